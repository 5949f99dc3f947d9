//! The Gaussian trade-off curve, and the fit of its parameter mu to measured rates (arXiv 2302.07956).

use std::f64::consts::SQRT_2;

use libm::erfc;
use statrs::function::erf::erfc_inv;

use super::clopper_pearson;
use super::scores::Counts;
use crate::accountant::gaussian;
use crate::error::Result;

/// The largest mu that the two rates refute: `Phi^-1(1 - FPR) - Phi^-1(FNR)` with an upper confidence bound for each rate at half
/// the significance; negative infinity where a bound is trivial.
///
/// A mechanism is mu-GDP when no test tells neighbours apart better than N(0, 1) from N(mu, 1): a Gaussian mechanism of noise
/// multiplier sigma with `mu = 1 / sigma`.
pub fn mu(counts: &Counts, significance: f64) -> f64 {
    let (true_positives, false_positives) = clopper_pearson::rates(counts, significance);
    quantile(true_positives) - quantile(false_positives)
}

/// The epsilon of mu-GDP at `delta`; 0 for mu of at most 0.
///
/// # Errors
/// [`Error::Value`](crate::Error::Value) when `delta` is not in (0, 1).
pub fn to_epsilon(mu: f64, delta: f64) -> Result<f64> {
    let delta = crate::error::probability("delta", delta)?;
    if mu > 0.0 { gaussian::epsilon(1.0 / mu, delta) } else { Ok(0.0) }
}

/// `Phi(Phi^-1(p) - mu)`: from the rate of true positives to the least rate of false ones.
pub(super) fn trade_off(p: f64, mu: f64) -> f64 {
    0.5 * erfc((mu - quantile(p)) / SQRT_2)
}

/// `Phi^-1`.
pub(super) fn quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_invert_the_distribution() {
        for p in [1e-300, 1e-16, 1e-5, 0.2, 0.5, 0.9, 1.0 - 1e-10] {
            let back = trade_off(p, 0.0);
            assert!((back / p - 1.0).abs() < 1e-11, "{p}: {back}");
        }
        assert_eq!((quantile(0.0), quantile(1.0)), (f64::NEG_INFINITY, f64::INFINITY));
        assert!((quantile(0.975) - 1.959963984540054).abs() < 1e-14);
    }

    #[test]
    fn rates_of_two_normal_distributions_give_their_distance() {
        // Phi(-0.3) and Phi(1.2) of ten million trials.
        let n = 10_000_000;
        let count = |x: f64| (n as f64 * 0.5 * erfc(-x / SQRT_2)) as usize;
        let counts = Counts { inside: n, outside: n, true_positives: count(1.2), false_positives: count(-0.3) };
        let found = mu(&counts, 0.05);
        assert!(found < 1.5 && found > 1.5 - 3e-3, "{found}");
        assert!((to_epsilon(1.0, 1e-5).unwrap() - 4.377_178_10).abs() < 1e-6);
        assert_eq!(to_epsilon(-1.0, 1e-5).unwrap(), 0.0);
        assert!(to_epsilon(1.0, 0.0).is_err());
    }

    #[test]
    fn nothing_seen_refutes_nothing() {
        let counts = Counts { inside: 10, outside: 10, true_positives: 0, false_positives: 10 };
        assert_eq!(mu(&counts, 0.05), f64::NEG_INFINITY);
        assert_eq!(mu(&Counts { true_positives: 10, ..counts }, 0.05), f64::NEG_INFINITY);
    }
}
