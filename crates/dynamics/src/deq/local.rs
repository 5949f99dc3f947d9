//! Curvature at the target for Gaussian inputs: how fast a single-index model converges, and for which rates.

use super::activation::Activation;
use crate::error::{Error, Result};
use crate::quadrature::gaussian_mean;

/// The curvatures of the loss at `(teacher, 0)` for inputs x ~ N(0, I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curvatures {
    /// In the directions of u orthogonal to the teacher.
    pub orthogonal: f64,
    /// The smaller one in the plane of the teacher's direction and v.
    pub least: f64,
    /// The larger one in that plane.
    pub greater: f64,
}

impl Curvatures {
    /// The rate from which on descent is unstable at the target.
    pub fn largest_rate(&self) -> f64 {
        2.0 / self.orthogonal.max(self.greater)
    }
}

/// The curvatures for a teacher of that length: `2 E activation'(rho g)^2` and the eigenvalues of
/// `2 E activation'^2 (g, y) (g, y)^T`, `y = activation(rho g)`, g ~ N(0, 1).
///
/// A linear activation cannot tell u from v: its least curvature is 0.
///
/// # Errors
/// [`Error::Value`] for a length that is negative or not finite.
pub fn curvatures(activation: Activation, teacher_norm: f64) -> Result<Curvatures> {
    if !(teacher_norm.is_finite() && teacher_norm >= 0.0) {
        return Err(Error::value("the length of the teacher", teacher_norm, "finite, 0 or more"));
    }
    let mean = |f: &dyn Fn(f64, f64) -> f64| {
        gaussian_mean(|g| {
            let z = teacher_norm * g;
            2.0 * activation.slope(z).powi(2) * f(g, activation.value(z))
        })
    };
    let (a, b, c) = (mean(&|g, _| g * g), mean(&|g, y| g * y), mean(&|_, y| y * y));
    let middle = 0.5 * (a + c);
    let greater = middle + (0.5 * (a - c)).hypot(b);
    // The product of both is the determinant, which does not cancel as the difference would; it is a variance.
    let determinant = if greater > 0.0 { mean(&|g, y| (y - b / a * g).powi(2)) * a } else { 0.0 };
    Ok(Curvatures { orthogonal: mean(&|_, _| 1.0), least: determinant / greater, greater })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_nonlinearity_leaves_a_curvature_of_second_order() {
        for strength in [0.5, 0.25, 0.125, 1e-4] {
            let least = curvatures(Activation::WeakTanh { strength }, 1.0).unwrap().least / (strength * strength);
            assert!((0.025..0.031).contains(&least), "{strength}: {least}");
        }
        assert!(curvatures(Activation::Linear, 1.0).unwrap().least.abs() < 1e-15);
    }

    #[test]
    fn a_sample_approaches_the_gaussian_values() {
        // A quasi-random sample of normal quantiles in two dimensions by the Box-Muller map of a lattice.
        let n = 20_000;
        let inputs: Vec<f64> = (0..n)
            .flat_map(|k| {
                let (p, q) = ((k as f64 + 0.5) / n as f64, (k as f64 * 0.618_033_988_749_894_9).fract());
                let length = (-2.0 * p.ln()).sqrt();
                [length * (std::f64::consts::TAU * q).cos(), length * (std::f64::consts::TAU * q).sin()]
            })
            .collect();
        for activation in [Activation::Tanh, Activation::Sigmoid, Activation::Relu] {
            let sample = super::super::SingleIndex::new(activation, &inputs, &[0.6, 0.8]).unwrap().curvatures().unwrap();
            let exact = curvatures(activation, 1.0).unwrap();
            let mut expected = [exact.orthogonal, exact.least, exact.greater];
            expected.sort_by(f64::total_cmp);
            assert!(sample.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-3), "{activation}: {sample:?} {expected:?}");
        }
    }

    #[test]
    fn bad_lengths_are_refused() {
        assert!(curvatures(Activation::Tanh, -1.0).is_err() && curvatures(Activation::Tanh, f64::NAN).is_err());
        assert!(curvatures(Activation::Sigmoid, 0.0).unwrap().least > 0.0);
    }
}
