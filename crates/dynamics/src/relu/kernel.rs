//! The neural tangent kernel of deep ReLU networks of infinite width.
//!
//! With `k0(r) = (pi - acos r) / pi`, `k1(r) = (sqrt(1 - r^2) + r (pi - acos r)) / pi` and `S^0 = r`, `S^l = k1(S^{l-1})`:
//! a symmetric start, whose halves cancel, leaves the last hidden layer alone, `K = S^{L-1} k0(S^{L-1})`; an independent start has
//! `K = sum_l S^{l-1} prod_{j >= l} k0(S^{j-1})`. The output weights are fixed in both.

use std::f64::consts::PI;

use faer::Mat;
use serde::{Deserialize, Serialize};

use super::examples::Examples;
use crate::error::{Error, Result};

/// How the hidden layers start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Start {
    /// The halves of the last hidden layer are equal and their output weights opposite, so that the network starts at 0.
    Symmetric,
    /// All weights are independent.
    Independent,
}

/// The deepest network that is taken.
pub(super) const DEEPEST: usize = 100;

pub(super) fn check_depth(depth: usize) -> Result<()> {
    if (1..=DEEPEST).contains(&depth) {
        return Ok(());
    }
    Err(Error::value("the depth L", depth, format!("1 to {DEEPEST} hidden layers")))
}

/// The kernel of two unit vectors at an angle (in radians), for a depth of 1 or more.
///
/// From the angle, because the arc cosine of an inner product near +-1 loses half its digits: an error of 2e-16 moves the kernel of
/// antipodes by 7e-9.
pub fn of_angle(angle: f64, depth: usize, start: Start) -> f64 {
    let mut angle = angle;
    let mut similarity = angle.cos();
    let mut independent = 0.0;
    for layer in 1..=depth {
        let open = 1.0 - angle / PI;
        independent = (independent + similarity) * open;
        if layer == depth && start == Start::Symmetric {
            return similarity * open;
        }
        similarity = ((angle.sin() + angle.cos() * (PI - angle)) / PI).clamp(-1.0, 1.0);
        angle = similarity.acos();
    }
    independent
}

/// The angle between two unit vectors, accurate when they are nearly equal or opposite: `2 atan2(|x - y|, |x + y|)`.
pub fn angle(x: impl Iterator<Item = f64>, y: impl Iterator<Item = f64>) -> f64 {
    let (mut difference, mut sum) = (0.0, 0.0);
    for (x, y) in x.zip(y) {
        difference += (x - y).powi(2);
        sum += (x + y).powi(2);
    }
    2.0 * difference.sqrt().atan2(sum.sqrt())
}

/// The kernel matrix of examples, n x n.
///
/// ```
/// use thalweg_dynamics::relu::{Start, kernel, xor};
///
/// let points = xor::all(3)?;
/// let kernel = kernel::matrix(&points, 1, Start::Symmetric)?;
/// assert_eq!((kernel.nrows(), kernel[(0, 0)]), (8, 1.0));
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a depth of 0 or above 100.
pub fn matrix(examples: &Examples, depth: usize, start: Start) -> Result<Mat<f64>> {
    check_depth(depth)?;
    let (points, n) = (examples.points(), examples.len());
    let mut kernel = Mat::zeros(n, n);
    for j in 0..n {
        kernel[(j, j)] = of_angle(0.0, depth, start);
        for i in 0..j {
            let angle = angle(points.col(i).iter().copied(), points.col(j).iter().copied());
            kernel[(i, j)] = of_angle(angle, depth, start);
            kernel[(j, i)] = kernel[(i, j)];
        }
    }
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_exact_at_both_ends() {
        let x = [0.6, 0.8];
        let angle_to = |y: [f64; 2]| angle(x.into_iter(), y.into_iter());
        assert_eq!(angle_to(x), 0.0);
        assert_eq!(angle_to([-0.6, -0.8]), PI);
        for turn in [1e-12, 1e-6, 1.0, 3.0] {
            let (sine, cosine) = f64::sin_cos(turn);
            let found = angle_to([0.6 * cosine - 0.8 * sine, 0.6 * sine + 0.8 * cosine]);
            assert!((found - turn).abs() < 3e-16 * (1.0 + turn), "{turn} {found}");
        }
    }

    #[test]
    fn the_diagonal_is_one_or_the_depth_and_one_layer_knows_no_start() {
        for depth in 1..6 {
            assert_eq!(of_angle(0.0, depth, Start::Symmetric), 1.0);
            assert_eq!(of_angle(0.0, depth, Start::Independent), depth as f64);
        }
        for step in 0..32 {
            let angle = 0.1 * f64::from(step);
            assert_eq!(of_angle(angle, 1, Start::Symmetric), of_angle(angle, 1, Start::Independent));
        }
    }

    #[test]
    fn bad_depths_are_refused() {
        let points = Examples::new(&[1.0], &[1.0], 1).unwrap();
        assert!(matrix(&points, 0, Start::Symmetric).unwrap_err().to_string().contains("depth L"));
        assert!(matrix(&points, 101, Start::Symmetric).is_err());
    }
}
