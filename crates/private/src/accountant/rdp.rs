//! DP-SGD with Poisson sampling by Renyi divergences (Mironov, Talwar and Zhang, arXiv 1908.10530): quick, and never below the truth.
//!
//! The divergence of one step is exact at every order, integer or not; peers over-estimate fractional orders. For the least epsilon
//! take [`Poisson::epsilon`], which is 5 to 15 % lower.

use super::poisson::{Poisson, log_mixture};
use crate::error::{Error, Result, probability};

/// The orders that a conversion tries: 1.1 to 10.9 by tenths, and 12 to 63.
pub fn orders() -> impl Iterator<Item = f64> {
    (11..110).map(|tenths| f64::from(tenths) / 10.0).chain((12..64).map(f64::from))
}

/// The Renyi divergence of one step at an order a above 1:
/// `R(a) = log E[(1 - q + q e^{(2x-1)/(2 sigma^2)})^a] / (a - 1)` over x from `N(0, sigma^2)`.
///
/// ```
/// use thalweg_private::accountant::{poisson::Poisson, rdp};
/// let step = Poisson { sigma: 1.0, rate: 0.01, steps: 1 };
/// assert!((rdp::divergence(&step, 4.5)? - 4.149_270_673_25e-4).abs() < 1e-13);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a step out of range or an order that is not above 1.
pub fn divergence(step: &Poisson, order: f64) -> Result<f64> {
    step.check()?;
    if !(order.is_finite() && order > 1.0) {
        return Err(Error::value("the order", order, "a finite number above 1"));
    }
    let (s, q) = (step.sigma, step.rate);
    if q == 1.0 {
        return Ok(0.5 * order / (s * s));
    }
    // The integrand is at most a mixture of normal densities with centres in [0, a]; 12 sigma beyond them lies less than 1e-30.
    // It is analytic in a strip of half-width pi sigma^2, so the trapezoidal rule with this width is exact to rounding.
    let width = s.min(s * s) / 10.0;
    let points = ((order + 24.0 * s) / width).ceil();
    if points > 1e7 {
        return Err(Error::value("the noise multiplier sigma", s, "larger: its divergence is too sharp to be integrated"));
    }
    let log_density = |i: u64| {
        let x = i as f64 * width - 12.0 * s;
        order * log_mixture(q, (2.0 * x - 1.0) / (2.0 * s * s)) - 0.5 * (x / s).powi(2)
    };
    let largest = (0..=points as u64).map(log_density).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = (0..=points as u64).map(|i| (log_density(i) - largest).exp()).sum();
    let log_moment = largest + (sum * width / (s * (2.0 * std::f64::consts::PI).sqrt())).ln();
    Ok((log_moment / (order - 1.0)).max(0.0))
}

/// The epsilon of all steps at `delta`: the least of `T R(a) + log((a-1)/a) - (log delta + log a)/(a-1)` over [`orders`].
///
/// # Errors
/// [`Error::Value`] for values out of range.
pub fn epsilon(steps: &Poisson, delta: f64) -> Result<f64> {
    let delta = probability("delta", delta)?;
    let mut least = f64::INFINITY;
    for a in orders() {
        let composed = steps.steps as f64 * divergence(steps, a)?;
        least = least.min(composed + (-1.0 / a).ln_1p() - (delta.ln() + a.ln()) / (a - 1.0));
    }
    Ok(least.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(sigma: f64, rate: f64, steps: u64) -> Poisson {
        Poisson { sigma, rate, steps }
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
            let found = divergence(&steps(sigma, q, 1), order).unwrap();
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
            let found = divergence(&steps(s, q, 1), f64::from(a)).unwrap();
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
            let found = epsilon(&steps(sigma, rate, count), delta).unwrap();
            assert!(found <= peer + 1e-6 && found > 0.999 * peer, "{found}, a peer has {peer}");
        }
        let exact = epsilon(&steps(1.5, 0.04, 2250), 1e-5).unwrap();
        assert!((exact - 7.329111).abs() < 2e-6, "{exact}");
    }

    #[test]
    fn never_below_the_privacy_loss_distribution() {
        for of in [steps(1.0, 0.01, 1000), steps(2.0, 0.5, 30)] {
            assert!(epsilon(&of, 1e-5).unwrap() >= of.epsilon(1e-5, 1e-3).unwrap());
        }
    }

    #[test]
    fn what_is_out_of_range_is_an_error() {
        assert!(divergence(&steps(1.0, 0.1, 1), 1.0).is_err());
        assert!(divergence(&steps(1.0, 0.1, 1), f64::NAN).is_err());
        assert!(divergence(&steps(0.0, 0.1, 1), 2.0).is_err());
        assert!(divergence(&steps(1e-6, 0.1, 1), 2.0).is_err());
        assert!(epsilon(&steps(1.0, 0.1, 1), 1.0).is_err());
        assert_eq!(divergence(&steps(2.0, 1.0, 1), 4.0).unwrap(), 0.5);
    }
}
