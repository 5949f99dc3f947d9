//! Per-example clipping: weights that bound what one unit adds to the sum.

use thalweg_descent::{SquaredNorms, Weights};

use crate::error::{Error, Result, positive};

/// Flat clipping: unit i gets the weight `min(1, zeta / |g_i|)`, so that its contribution has norm at most zeta.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    norm: f64,
}

impl Clip {
    /// To norm zeta, above 0.
    ///
    /// # Errors
    /// [`Error::Value`] otherwise.
    pub fn to(norm: f64) -> Result<Self> {
        Ok(Self { norm: positive("the clip norm", norm)? })
    }

    /// The bound zeta.
    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// The weight of each unit.
    ///
    /// # Errors
    /// [`Error::NonFiniteNorm`] naming the unit: a NaN has no bound.
    pub fn weights(&self, norms: &SquaredNorms) -> Result<Weights> {
        (0..norms.units())
            .map(|unit| {
                let norm = norms.norm(unit);
                if !norm.is_finite() {
                    return Err(Error::NonFiniteNorm { unit, norm });
                }
                Ok(if norm > self.norm { self.norm / norm } else { 1.0 })
            })
            .collect::<Result<Vec<f64>>>()
            .map(Weights::PerUnit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_gradients_are_shortened_to_the_bound_and_short_ones_kept() {
        let norms = SquaredNorms::new(2, vec![9.0, 16.0, 0.04, 0.0, 0.0, 0.0]);
        let weights = Clip::to(1.0).unwrap().weights(&norms).unwrap();
        assert_eq!(weights, Weights::PerUnit(vec![0.2, 1.0, 1.0]));
        assert_eq!(Clip::to(1.0).unwrap().weights(&SquaredNorms::new(1, vec![])).unwrap(), Weights::PerUnit(vec![]));
    }

    #[test]
    fn what_has_no_bound_is_an_error_that_names_the_unit() {
        for bad in [f64::NAN, f64::INFINITY] {
            let error = Clip::to(1.0).unwrap().weights(&SquaredNorms::new(1, vec![1.0, bad])).unwrap_err();
            assert!(matches!(error, Error::NonFiniteNorm { unit: 1, .. }), "{error}");
        }
        for bad in [0.0, -1.0, f64::NAN] {
            assert!(Clip::to(bad).is_err());
        }
    }
}
