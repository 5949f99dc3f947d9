//! The polynomial rectifier `s(z) = max(0, z)^q`.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// `s(z) = max(0, z)^q`.
///
/// The theory of benign overfitting asks for `q > 2`, which makes filters that know a feature learn it faster; smaller powers run,
/// but [`is_within_theory`](Self::is_within_theory) is false for them. At `q = 1` the slope at 0 is taken as 0.
///
/// ```
/// use thalweg_dynamics::features::Activation;
///
/// let cubic = Activation::new(3.0)?;
/// assert_eq!((cubic.value(2.0), cubic.slope(2.0), cubic.slope(-1.0)), (8.0, 12.0, 0.0));
/// assert!(Activation::new(0.5).is_err());
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Activation {
    power: f64,
}

impl Activation {
    /// The rectifier of power q.
    ///
    /// # Errors
    /// [`Error::Value`] unless q is finite and at least 1.
    pub fn new(power: f64) -> Result<Self> {
        if power.is_finite() && power >= 1.0 {
            return Ok(Self { power });
        }
        Err(Error::value(
            "the power q of the activation",
            power,
            "a finite number of at least 1; the theory asks for more than 2",
        ))
    }

    /// The power q.
    pub fn power(self) -> f64 {
        self.power
    }

    /// Whether the published theory speaks of this power: `q > 2`.
    pub fn is_within_theory(self) -> bool {
        self.power > 2.0
    }

    /// `s(z)`; NaN for NaN.
    pub fn value(self, z: f64) -> f64 {
        if z <= 0.0 { 0.0 } else { z.powf(self.power) }
    }

    /// `s'(z) = q max(0, z)^(q-1)`; NaN for NaN.
    pub fn slope(self, z: f64) -> f64 {
        // `NaN^0` is 1.
        if z > 0.0 { self.power * z.powf(self.power - 1.0) } else { 0.0 * rectified(z) }
    }

    /// Writes `s'(factor z)` for each z.
    pub(crate) fn slopes(self, factor: f64, z: &[f64], slopes: &mut [f64]) {
        let pairs = slopes.iter_mut().zip(z);
        // The powers in use are small integers; `powf` costs twenty times a product.
        if self.power == 3.0 {
            pairs.for_each(|(slope, z)| {
                let z = rectified(factor * z);
                *slope = 3.0 * z * z;
            });
        } else if self.power == 4.0 {
            pairs.for_each(|(slope, z)| {
                let z = rectified(factor * z);
                *slope = 4.0 * z * z * z;
            });
        } else {
            pairs.for_each(|(slope, z)| *slope = self.slope(factor * z));
        }
    }
}

impl Default for Activation {
    fn default() -> Self {
        Self { power: 3.0 }
    }
}

impl TryFrom<f64> for Activation {
    type Error = Error;

    fn try_from(power: f64) -> Result<Self> {
        Self::new(power)
    }
}

impl From<Activation> for f64 {
    fn from(activation: Activation) -> Self {
        activation.power
    }
}

/// `max(0, z)` that keeps NaN, unlike `f64::max`.
pub(crate) fn rectified(z: f64) -> f64 {
    if z <= 0.0 { 0.0 } else { z }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slope_is_the_derivative() {
        for power in [1.5, 2.0, 3.0, 4.0, 5.5] {
            let activation = Activation::new(power).unwrap();
            for z in [-1.0, 0.3, 1.0, 2.5] {
                let h = 1e-6;
                let difference = (activation.value(z + h) - activation.value(z - h)) / (2.0 * h);
                assert!((activation.slope(z) - difference).abs() < 1e-7 * (1.0 + difference.abs()), "{power} {z}");
            }
        }
    }

    #[test]
    fn rows_agree_with_single_values_and_keep_nan() {
        let z = [-2.0, 0.0, 0.5, 3.0, f64::NAN];
        for power in [1.0, 2.0, 3.0, 4.0, 2.5] {
            let activation = Activation::new(power).unwrap();
            for factor in [1.0, -1.0, 0.5] {
                let mut slopes = [0.0; 5];
                activation.slopes(factor, &z, &mut slopes);
                for (slope, z) in slopes.iter().zip(z).take(4) {
                    assert!((slope - activation.slope(factor * z)).abs() < 1e-14 * (1.0 + slope));
                }
                assert!(slopes[4].is_nan());
            }
        }
    }

    #[test]
    fn powers_outside_their_range_are_refused() {
        for power in [0.0, 0.99, f64::NAN, f64::INFINITY, -3.0] {
            assert!(Activation::new(power).unwrap_err().to_string().contains("power q"));
        }
        assert!(!Activation::new(2.0).unwrap().is_within_theory());
    }
}
