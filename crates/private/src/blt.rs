//! Buffered linear Toeplitz matrices: few exponentials stand for a long memory.
//!
//! `c_0 = 1`, `c_i = sum_j omega_j theta_j^{i-1}` (arXiv 2404.16706). The inverse is of the same form. All in `f64`: with
//! `f32` buffers the recursion is unstable.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The parameters of a buffered linear Toeplitz matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blt {
    omega: Vec<f64>,
    theta: Vec<f64>,
}

impl Blt {
    /// From output weights `omega` and decays `theta`, one each for a buffer.
    ///
    /// # Errors
    /// [`Error::Value`] when the lengths differ, a value is not finite, or a theta is outside [0, 1).
    pub fn new(omega: Vec<f64>, theta: Vec<f64>) -> Result<Self> {
        let blt = Self { omega, theta };
        blt.check()?;
        Ok(blt)
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.omega.len() != self.theta.len() {
            return Err(Error::value(
                "the number of output weights omega",
                self.omega.len(),
                &format!("{}, that of the decays theta", self.theta.len()),
            ));
        }
        if self.omega.iter().any(|value| !value.is_finite()) || !self.theta.iter().all(|theta| (0.0..1.0).contains(theta)) {
            return Err(Error::value(
                "the buffers",
                format!("omega {:?}, theta {:?}", self.omega, self.theta),
                "finite omega and theta in [0, 1)",
            ));
        }
        Ok(())
    }

    /// From the decays of the matrix and of its inverse:
    /// `omega_i = prod_j (theta_i - theta_hat_j) / prod_{j != i} (theta_i - theta_j)`.
    ///
    /// # Errors
    /// [`Error::Value`] when the lengths differ or two decays coincide.
    pub fn from_decays(theta: Vec<f64>, inverse_theta: &[f64]) -> Result<Self> {
        if theta.len() != inverse_theta.len() {
            return Err(Error::value("the number of decays of the inverse", inverse_theta.len(), &format!("{}", theta.len())));
        }
        let omega = (0..theta.len()).map(|i| residue(&theta, inverse_theta, i)).collect();
        Self::new(omega, theta)
    }

    /// The number of buffers.
    pub fn buffers(&self) -> usize {
        self.omega.len()
    }

    /// The output weights.
    pub fn omega(&self) -> &[f64] {
        &self.omega
    }

    /// The decays.
    pub fn theta(&self) -> &[f64] {
        &self.theta
    }

    /// The first column of C.
    pub fn column(&self, steps: usize) -> Vec<f64> {
        let mut power = self.omega.clone();
        let mut column = vec![1.0];
        while column.len() < steps {
            column.push(power.iter().sum());
            power.iter_mut().zip(&self.theta).for_each(|(power, theta)| *power *= theta);
        }
        column.truncate(steps);
        column
    }

    /// The first column of `C^{-1}`, by the streaming recursion on a unit impulse.
    pub fn inverse_column(&self, steps: usize) -> Vec<f64> {
        let mut buffers = vec![0.0; self.buffers()];
        let next = |t: usize| {
            let impulse = if t == 0 { 1.0 } else { 0.0 };
            let carried: f64 = self.omega.iter().zip(&buffers).map(|(omega, buffer)| omega * buffer).sum();
            let value = impulse - carried;
            buffers.iter_mut().zip(&self.theta).for_each(|(buffer, theta)| *buffer = theta * *buffer + value);
            value
        };
        (0..steps).map(next).collect()
    }
}

/// `prod_j (at_i - other_j) / prod_{j != i} (at_i - at_j)`.
pub(crate) fn residue(at: &[f64], other: &[f64], i: usize) -> f64 {
    let numerator: f64 = other.iter().map(|other| at[i] - other).product();
    let denominator: f64 = at.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, value)| at[i] - value).product();
    numerator / denominator
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64], tolerance: f64) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
        }
    }

    #[test]
    fn columns_match_the_golden_values() {
        let blt = Blt::new(vec![0.3, 0.1], vec![0.9, 0.5]).unwrap();
        close(&blt.column(6), &[1.0, 0.4, 0.32, 0.268, 0.2312, 0.20308], 1e-12);
        close(&blt.inverse_column(6), &[1.0, -0.4, -0.16, -0.076, -0.0424, -0.02644], 1e-12);
        let square: f64 = blt.column(10).iter().map(|c| c * c).sum();
        assert!((square - 1.5249283963).abs() < 1e-10);
    }

    #[test]
    fn decays_of_both_sides_give_the_weights() {
        let blt = Blt::from_decays(vec![0.9, 0.5], &[0.7, 0.3]).unwrap();
        close(blt.omega(), &[0.3, 0.1], 1e-12);
        let inverse: Vec<f64> = (0..2).map(|i| residue(&[0.7, 0.3], &[0.9, 0.5], i)).collect();
        close(&inverse, &[-0.1, -0.3], 1e-12);
    }

    #[test]
    fn without_buffers_it_is_the_identity() {
        let blt = Blt::new(vec![], vec![]).unwrap();
        assert_eq!(blt.column(3), [1.0, 0.0, 0.0]);
        assert_eq!(blt.inverse_column(3), [1.0, 0.0, 0.0]);
        assert!(Blt::new(vec![0.1], vec![1.0]).is_err());
        assert!(Blt::new(vec![0.1], vec![]).is_err());
    }
}
