//! Privacy by Renyi divergences (Mironov, arXiv 1702.07476; with Poisson sampling: Mironov, Talwar and Zhang, arXiv 1908.10530).
//!
//! The divergence of one step is exact at every order, integer or not; peers over-estimate fractional orders. For the least epsilon
//! take [`Composition::epsilon`](super::Composition::epsilon), which is 5 to 15 % lower.

use super::pair::Pair;
use super::tilted::Steps;
use super::{Composition, Mechanism, Neighbours};
use crate::error::{Error, Result};

/// The orders that a conversion tries: 1.1 to 10.9 by tenths, 12 to 63, and four large ones for little loss at a small delta.
pub fn orders() -> impl Iterator<Item = f64> {
    (11..110).map(|tenths| f64::from(tenths) / 10.0).chain((12..64).map(f64::from)).chain([128.0, 256.0, 512.0, 1024.0])
}

/// The Renyi divergence of one use of a mechanism at an order a above 1, in its worse direction: `log E_Q[(P/Q)^a] / (a - 1)`.
///
/// ```
/// use thalweg_private::accountant::{Mechanism, Neighbours, rdp};
/// let step = Mechanism::Poisson { noise_multiplier: 1.0, rate: 0.01 };
/// assert!((rdp::divergence(step, Neighbours::AddRemove, 4.5)? - 4.149_270_673_25e-4).abs() < 1e-13);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a mechanism out of range, an order that is not above 1, or noise too small to integrate.
pub fn divergence(mechanism: Mechanism, neighbours: Neighbours, order: f64) -> Result<f64> {
    if !(order.is_finite() && order > 1.0) {
        return Err(Error::value("the order", order, "a finite number above 1"));
    }
    let mut worst = 0.0f64;
    for steps in Composition::of(neighbours, mechanism, 1)?.directions() {
        worst = worst.max(composed(&steps, order)?);
    }
    Ok(worst)
}

/// The least of `R(a) + log((a-1)/a) - (log delta + log a)/(a-1)` over [`orders`], with R the divergence of all steps.
pub(super) fn epsilon_of(steps: &Steps, delta: f64) -> Result<f64> {
    let mut least = f64::INFINITY;
    for a in orders() {
        least = least.min(composed(steps, a)? + (-1.0 / a).ln_1p() - (delta.ln() + a.ln()) / (a - 1.0));
    }
    Ok(least.max(0.0))
}

fn composed(steps: &Steps, order: f64) -> Result<f64> {
    let mut sum = 0.0;
    for (pair, count) in steps {
        sum += *count as f64 * of_pair(pair, order)?;
    }
    Ok(sum)
}

fn of_pair(pair: &Pair, order: f64) -> Result<f64> {
    let mu = pair.mu();
    if pair.is_gaussian() {
        return Ok(0.5 * order * mu * mu);
    }
    // The integrand is at most a mixture of normal densities with centres in [-mu, 2 a mu]; 12 beyond them lies less than 1e-30.
    // It is analytic in a strip of half-width pi / mu, so the trapezoidal rule with this width is exact to rounding.
    let width = 0.1 / mu.max(1.0);
    let start = -mu - 12.0;
    let points = ((mu * (1.0 + 2.0 * order) + 24.0) / width).ceil();
    if points > 1e7 {
        return Err(Error::value("the noise multiplier sigma", 1.0 / mu, "larger: its divergence is too sharp to be integrated"));
    }
    let log_density = |i: u64| {
        let z = start + i as f64 * width;
        order * pair.loss(z) + pair.log_base(z)
    };
    let logs: Vec<f64> = (0..=points as u64).map(log_density).collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
    let log_moment = largest + (sum * width / (2.0 * std::f64::consts::PI).sqrt()).ln();
    Ok((log_moment / (order - 1.0)).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(sigma: f64, rate: f64) -> Mechanism {
        Mechanism::Poisson { noise_multiplier: sigma, rate }
    }

    fn at(sigma: f64, rate: f64, order: f64) -> Result<f64> {
        divergence(step(sigma, rate), Neighbours::AddRemove, order)
    }

    fn epsilon(sigma: f64, rate: f64, steps: u64, delta: f64) -> f64 {
        Composition::of(Neighbours::AddRemove, step(sigma, rate), steps).unwrap().renyi_epsilon(delta).unwrap()
    }

    #[test]
    fn golden_divergences() {
        for (q, sigma, order, expected) in [
            (0.01, 1.0, 2.0, 1.71813422075e-4),
            (0.01, 1.0, 8.0, 8.93643907606e-4),
            (0.01, 1.0, 4.5, 4.14927067325e-4),
            (0.04, 1.5, 5.0, 2.42392469238e-3),
            (0.04, 1.5, 3.4, 1.57688764108e-3),
            (0.04, 1.5, 1.7, 7.55175797309e-4),
            (0.1, 2.0, 16.0, 4.52918390836e-2),
        ] {
            let found = at(sigma, q, order).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-9, "{q} {sigma} {order}: {found:e}, expected {expected:e}");
        }
    }

    #[test]
    fn integer_orders_agree_with_the_binomial_sum() {
        for (q, s, a) in [(0.3, 0.5, 3u32), (0.02, 0.7, 6), (0.9, 3.0, 4)] {
            let mut binomial = 1.0;
            let mut moment = 0.0;
            for k in 0..=a {
                let x = f64::from(k);
                moment += binomial * (1.0f64 - q).powi((a - k) as i32) * q.powi(k as i32) * (x * (x - 1.0) / (2.0 * s * s)).exp();
                binomial *= f64::from(a - k) / (x + 1.0);
            }
            let expected = f64::ln(moment) / f64::from(a - 1);
            let found = at(s, q, f64::from(a)).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-10, "{found}, expected {expected}");
        }
    }

    #[test]
    fn golden_epsilons_are_at_most_those_of_the_inexact_fractional_orders() {
        for (sigma, rate, count, delta, peer) in [
            (1.0, 0.01, 1000, 1e-5, 2.101367),
            (1.3, 1.0 / 240.0, 3600, 1e-5, 0.942200),
            (1.5, 0.04, 2250, 1e-5, 7.329335),
            (0.8, 0.01, 2000, 1e-5, 4.861116),
            (4.0, 0.01, 10_000, 1e-5, 1.035490),
            (1.0, 512.0 / 40_000.0, 781, 1e-5, 2.420363),
            (1.1, 256.0 / 60_000.0, 14_062, 1e-5, 2.596556),
            (0.6, 0.005, 5000, 1e-6, 10.044535),
        ] {
            let found = epsilon(sigma, rate, count, delta);
            assert!(found <= peer + 1e-6 && found > 0.999 * peer, "{found}, a peer has {peer}");
        }
        let exact = epsilon(1.5, 0.04, 2250, 1e-5);
        assert!((exact - 7.329111).abs() < 2e-6, "{exact}");
    }

    #[test]
    fn replacing_costs_more_than_removing_and_at_most_two_such_steps() {
        for (sigma, rate) in [(1.0, 0.01), (3.0, 0.4)] {
            for order in [1.5, 4.0, 20.0] {
                let replaced = divergence(step(sigma, rate), Neighbours::ReplaceOne, order).unwrap();
                assert!(replaced > at(sigma, rate, order).unwrap());
                // The whole batch without sampling: sensitivity 2.
                assert!(replaced < 0.5 * order * 4.0 / (sigma * sigma));
            }
        }
        let whole = divergence(step(2.0, 1.0), Neighbours::ReplaceOne, 3.0).unwrap();
        assert_eq!(whole, 0.5 * 3.0);
    }

    #[test]
    fn what_is_out_of_range_is_an_error() {
        assert!(at(1.0, 0.1, 1.0).is_err());
        assert!(at(1.0, 0.1, f64::NAN).is_err());
        assert!(at(0.0, 0.1, 2.0).is_err());
        assert!(at(1e-6, 0.1, 2.0).is_err());
        assert_eq!(at(2.0, 1.0, 4.0).unwrap(), 0.5);
        assert!(Composition::new(Neighbours::AddRemove).renyi_epsilon(1.0).is_err());
    }
}
