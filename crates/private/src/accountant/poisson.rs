//! DP-SGD with Poisson sampling: T steps of the subsampled Gaussian mechanism, neighbours that add or remove one example.
//!
//! The parts behind it, for other neighbours and for several mechanisms together, are in [`Composition`].

use serde::{Deserialize, Serialize};

use super::calibration::calibrate;
use super::{Composition, Mechanism, Neighbours};
use crate::error::Result;

/// A usual step of the grid of privacy losses, for comparison with other accountants.
pub const GRID: f64 = 1e-4;

/// T steps of Poisson sampling at rate q with Gaussian noise of multiplier sigma.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poisson {
    /// The noise multiplier sigma, above 0.
    pub sigma: f64,
    /// The sampling rate q, in (0, 1].
    pub rate: f64,
    /// The steps T, at least 1.
    pub steps: u64,
}

impl Poisson {
    /// The steps as a ledger.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for values out of range.
    pub fn composition(&self, neighbours: Neighbours) -> Result<Composition> {
        Composition::of(neighbours, Mechanism::Poisson { noise_multiplier: self.sigma, rate: self.rate }, self.steps)
    }

    /// The epsilon of all steps at `delta`, on a grid of that step; never below the truth.
    ///
    /// ```
    /// use thalweg_private::accountant::poisson::{GRID, Poisson};
    /// let steps = Poisson { sigma: 1.0, rate: 0.01, steps: 1000 };
    /// assert!((steps.epsilon(1e-5, GRID)? - 1.828_244).abs() < 1e-5);
    /// # Ok::<(), thalweg_private::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for values out of range, [`Error::GridTooLarge`](crate::Error::GridTooLarge).
    pub fn epsilon(&self, delta: f64, grid: f64) -> Result<f64> {
        self.composition(Neighbours::AddRemove)?.epsilon_on(delta, grid)
    }

    /// The least noise multiplier for (epsilon, delta).
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value), [`Error::Unreachable`](crate::Error::Unreachable).
    pub fn calibrate(rate: f64, steps: u64, epsilon: f64, delta: f64) -> Result<f64> {
        calibrate(epsilon, delta, |sigma| Self { sigma, rate, steps }.composition(Neighbours::AddRemove)?.epsilon(delta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_calibrations() {
        for (epsilon, expected) in [(1.0, 1.414631), (2.0, 0.959103), (4.0, 0.734782), (8.0, 0.586261)] {
            let steps = |sigma| Poisson { sigma, rate: 0.01, steps: 1000 };
            let on_grid = calibrate(epsilon, 1e-5, |sigma| steps(sigma).epsilon(1e-5, GRID)).unwrap();
            assert!((on_grid / expected - 1.0).abs() < 1e-5, "{on_grid}, expected {expected}");
            let found = Poisson::calibrate(0.01, 1000, epsilon, 1e-5).unwrap();
            assert!((found / expected - 1.0).abs() < 5e-5, "{found}, expected {expected}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for (sigma, rate, steps, delta, part) in [
            (0.0, 0.1, 1, 1e-5, "sigma"),
            (1.0, 0.0, 1, 1e-5, "rate"),
            (1.0, 1.5, 1, 1e-5, "rate"),
            (1.0, 0.1, 0, 1e-5, "steps"),
            (1.0, 0.1, u64::MAX, 1e-5, "steps"),
            (1.0, 0.1, 1, 0.0, "delta"),
            (1.0, 0.1, 1, 1e-290, "1e-280"),
        ] {
            let error = Poisson { sigma, rate, steps }.epsilon(delta, 1e-3).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(Poisson::calibrate(0.01, 1000, 0.0, 1e-5).is_err());
    }
}
