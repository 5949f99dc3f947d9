//! Epsilon for the features lab: its noise from the accountant of private training.

use thalweg_descent::Result;
use thalweg_dynamics::features::Protection;
use thalweg_private::accountant::{AccountRequest, Target, account};
use thalweg_private::sampler::Sampling;

/// Clip and noise of a full-batch descent that is (epsilon, delta)-private in all its steps together: adding or removing an example,
/// whose gradient is clipped, moves each step's sum by at most the clip. An infinite epsilon asks for no noise, but clips all the same.
///
/// # Errors
/// When epsilon is not above 0, delta not in (0, 1), or the clip not above 0.
pub fn protection(epsilon: f64, delta: f64, clip: f64, steps: u64) -> Result<Protection> {
    if epsilon == f64::INFINITY {
        // The same refusals as with a budget.
        account(&AccountRequest::new(Sampling::None, steps, delta, Target::Epsilon(1.0)))?;
        return Ok(Protection::new(clip, 0.0)?);
    }
    let request = AccountRequest::new(Sampling::None, steps, delta, Target::Epsilon(epsilon));
    // The accountant's multiplier is over the sensitivity of all steps together, sqrt(T) clips.
    let noise_multiplier = (steps as f64).sqrt() * account(&request)?.noise_multiplier;
    Ok(Protection::new(clip, noise_multiplier)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference multipliers of 100 steps at delta 1e-5.
    #[test]
    fn noise_is_that_of_the_analytic_gaussian_mechanism() {
        for (epsilon, expected) in [(8.0, 6.0022907), (1.0, 37.3063163)] {
            let found = protection(epsilon, 1e-5, 0.5, 100).unwrap();
            assert!((found.noise_multiplier() - expected).abs() < 1e-6, "{found:?}");
            assert_eq!(found.clip(), Some(0.5));
        }
        assert_eq!(protection(f64::INFINITY, 1e-5, 1.0, 100).unwrap(), Protection::Clipped { clip: 1.0 });
    }

    #[test]
    fn impossible_budgets_are_refused() {
        for (epsilon, delta, clip) in [
            (0.0, 1e-5, 1.0),
            (f64::NAN, 1e-5, 1.0),
            (1.0, 0.0, 1.0),
            (1.0, 1.0, 1.0),
            (f64::INFINITY, 2.0, 1.0),
            (1.0, 1e-5, 0.0),
        ] {
            assert!(protection(epsilon, delta, clip, 100).unwrap_err().is_input(), "{epsilon} {delta} {clip}");
        }
    }
}
