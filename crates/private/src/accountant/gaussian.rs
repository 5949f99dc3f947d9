//! One Gaussian mechanism of sensitivity 1: exact (Balle and Wang, arXiv 1805.06530).

use super::normal::{cdf, log_cdf};
use super::search::least;
use crate::error::{Error, Result, positive, probability};

/// The largest noise multiplier that a calibration tries.
const LIMIT: f64 = 1e9;

/// The least delta of noise multiplier `sigma` at `epsilon` >= 0:
/// `Phi(1/(2 sigma) - epsilon sigma) - e^epsilon Phi(-1/(2 sigma) - epsilon sigma)`.
///
/// # Errors
/// [`Error::Value`] when sigma is not above 0 or epsilon is negative or no number.
pub fn delta(sigma: f64, epsilon: f64) -> Result<f64> {
    let sigma = positive("the noise multiplier sigma", sigma)?;
    if epsilon.is_nan() || epsilon < 0.0 {
        return Err(Error::value("epsilon", epsilon, "at least 0"));
    }
    Ok(delta_of(sigma, epsilon))
}

fn delta_of(sigma: f64, epsilon: f64) -> f64 {
    let (half, shift) = (0.5 / sigma, epsilon * sigma);
    (cdf(half - shift) - (epsilon + log_cdf(-half - shift)).exp()).max(0.0)
}

/// The least epsilon of noise multiplier `sigma` at `delta`; 0 where delta is met without any.
///
/// ```
/// use thalweg_private::accountant::gaussian;
/// assert!((gaussian::epsilon(1.0, 1e-5)? - 4.377_178_10).abs() < 1e-6);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a sigma or delta out of range.
pub fn epsilon(sigma: f64, delta: f64) -> Result<f64> {
    let sigma = positive("the noise multiplier sigma", sigma)?;
    let delta = probability("delta", delta)?;
    if delta_of(sigma, 0.0) <= delta {
        return Ok(0.0);
    }
    // Beyond this epsilon the first term alone is below delta (Phi(-38) < 1e-300).
    let high = (38.0 + 0.5 / sigma) / sigma;
    least(0.0, high, |epsilon| delta_of(sigma, epsilon) <= delta).ok_or_else(|| Error::NoConvergence {
        what: "epsilon of the Gaussian mechanism",
        reason: format!("delta {delta:e} is below what double precision can tell"),
    })
}

/// The least noise multiplier for (epsilon, delta).
///
/// # Errors
/// [`Error::Value`] for an epsilon or delta out of range; [`Error::Unreachable`].
pub fn sigma(epsilon: f64, delta: f64) -> Result<f64> {
    let epsilon = positive("epsilon", epsilon)?;
    let delta = probability("delta", delta)?;
    least(1e-6, LIMIT, |sigma| delta_of(sigma, epsilon) <= delta).ok_or_else(|| Error::Unreachable {
        epsilon,
        delta,
        limit: LIMIT,
        hint: "choose a larger epsilon or delta".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_sigmas() {
        let at = |epsilon| sigma(epsilon, 1e-5).unwrap();
        for (epsilon, expected) in [
            (9.0, 0.54474579),
            (8.0, 0.60022907),
            (4.0, 1.08116185),
            (3.0, 1.39059346),
            (2.0, 1.99381245),
            (1.0, 3.73063163),
            (0.5, 7.03182668),
        ] {
            assert!((at(epsilon) - expected).abs() < 1e-6, "{epsilon}: {}", at(epsilon));
        }
        assert!((sigma(1.0, 1e-6).unwrap() - 4.22467889).abs() < 1e-6);
    }

    #[test]
    fn golden_epsilons_and_deltas() {
        for (sigma, expected) in [(0.54, 9.09667071), (1.0, 4.37717810), (2.0, 1.99309140), (4.0, 0.92634150)] {
            assert!((epsilon(sigma, 1e-5).unwrap() - expected).abs() < 1e-6);
        }
        for (sigma, at, expected) in
            [(1.0, 1.0, 0.1269367375), (2.0, 0.5, 0.0524403233), (1.0 / 3.0, 1.0, 0.7876007414), (1.0, 0.0, 0.3829249225)]
        {
            assert!((delta(sigma, at).unwrap() - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn the_edges_are_errors_or_finite() {
        for (epsilon, delta) in [(0.0, 1e-5), (-1.0, 1e-5), (f64::NAN, 1e-5), (1.0, 0.0), (1.0, 1.0), (1.0, f64::NAN)] {
            assert!(sigma(epsilon, delta).is_err(), "{epsilon} {delta}");
        }
        assert!(sigma(1e-6, 1e-12).unwrap() > 1e5);
        assert!(sigma(1000.0, 1e-5).unwrap() < 0.05);
        assert!(epsilon(1e-3, 1e-300).unwrap() > 5e5);
        assert_eq!(epsilon(1e6, 1e-3).unwrap(), 0.0);
        assert_eq!(delta(1.0, 1e6).unwrap(), 0.0);
    }
}
