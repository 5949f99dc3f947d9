//! Sets of tasks y = W x, and what they must fulfil for the theories to be exact.

use faer::{Mat, MatRef};
use rand_distr::{Distribution, StandardNormal};
use thalweg_descent::streams::StreamRng;

use crate::error::{Error, Result};
use crate::matrix::{self, product};

/// A finite set of tasks, one d x d matrix each.
#[derive(Clone, Debug)]
pub struct Tasks {
    matrices: Vec<Mat<f64>>,
}

impl Tasks {
    /// Tasks from their matrices, each d x d and row-major.
    ///
    /// # Errors
    /// [`Error::Value`] for no tasks, entries that are not finite, and matrices that are not square and of one size.
    pub fn new(matrices: &[Vec<f64>]) -> Result<Self> {
        let entries = matrices.first().map_or(0, Vec::len);
        let d = entries.isqrt();
        if d == 0 || d * d != entries {
            return Err(Error::value("the number of entries of task 0", entries, "a square above 0"));
        }
        let one = |(at, entries): (usize, &Vec<f64>)| matrix::from_rows(&format!("task {at}"), entries, d, d);
        Ok(Self { matrices: matrices.iter().enumerate().map(one).collect::<Result<_>>()? })
    }

    /// Tasks `diag(lambda)` from their eigenvalues.
    ///
    /// # Errors
    /// [`Error::Value`] for no tasks, no modes, different numbers of modes, and values that are not finite.
    pub fn diagonal(eigenvalues: &[Vec<f64>]) -> Result<Self> {
        let spread = |lambda: &Vec<f64>| {
            let d = lambda.len();
            (0..d * d).map(|at| if at / d == at % d { lambda[at / d] } else { 0.0 }).collect()
        };
        Self::new(&eigenvalues.iter().map(spread).collect::<Vec<_>>())
    }

    /// The least power of two above d of tasks with eigenvalues +-1: the columns 1 to d of Sylvester's Hadamard matrix, so that all
    /// second moments are 1, and means and mixed second moments vanish. Exact for aligned starts.
    ///
    /// # Panics
    /// For d = 0.
    pub fn hadamard(d: usize) -> Self {
        assert!(d > 0, "tasks have at least one mode");
        let count = (d + 1).next_power_of_two();
        let sign = |row: usize, column: usize| if (row & column).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        let matrices = (0..count).map(|row| Mat::from_fn(d, d, |i, j| if i == j { sign(row, i + 1) } else { 0.0 })).collect();
        Self { matrices }
    }

    /// [`hadamard`](Self::hadamard) and the negative of each task: all odd moments vanish. Exact for every start.
    ///
    /// # Panics
    /// For d = 0.
    pub fn hadamard_pairs(d: usize) -> Self {
        Self::hadamard(d).with_negatives()
    }

    /// Tasks with eigenvalues lambda ~ N(0, 1).
    ///
    /// # Errors
    /// [`Error::Value`] for no tasks or no modes.
    pub fn gaussian(d: usize, count: usize, rng: &mut StreamRng) -> Result<Self> {
        let mut draw = || -> Vec<f64> { (0..d).map(|_| StandardNormal.sample(rng)).collect() };
        let eigenvalues: Vec<Vec<f64>> = (0..count).map(|_| draw()).collect();
        Self::diagonal(&eigenvalues)
    }

    /// With the negative of each task.
    pub fn with_negatives(self) -> Self {
        let negatives: Vec<Mat<f64>> = self.matrices.iter().map(|w| -w).collect();
        Self { matrices: self.matrices.into_iter().chain(negatives).collect() }
    }

    /// The tasks `U W U^T`.
    ///
    /// # Errors
    /// [`Error::Value`] for a basis of another size.
    pub fn in_basis(self, basis: MatRef<'_, f64>) -> Result<Self> {
        let d = self.dimension();
        if basis.shape() != (d, d) {
            return Err(Error::value("the basis", format!("{} x {}", basis.nrows(), basis.ncols()), format!("{d} x {d}")));
        }
        let turn = |w: &Mat<f64>| product(basis, product(w.as_ref(), basis.transpose()).as_ref());
        Ok(Self { matrices: self.matrices.iter().map(turn).collect() })
    }

    /// The matrices.
    pub fn matrices(&self) -> &[Mat<f64>] {
        &self.matrices
    }

    /// The number of tasks P.
    pub fn len(&self) -> usize {
        self.matrices.len()
    }

    /// Whether there are no tasks, which cannot be.
    pub fn is_empty(&self) -> bool {
        self.matrices.is_empty()
    }

    /// The number of inputs and outputs, d.
    pub fn dimension(&self) -> usize {
        self.matrices[0].nrows()
    }

    /// The second moments A_a = mean lambda_a^2 in a basis of eigenvectors: what the exact theory needs.
    ///
    /// # Errors
    /// [`Error::Value`] when a task does not have these eigenvectors, or the basis another size.
    pub fn second_moments(&self, basis: MatRef<'_, f64>) -> Result<Vec<f64>> {
        let eigenvalues = self.eigenvalues(basis)?;
        let mean = |mode: usize| eigenvalues.iter().map(|lambda| lambda[mode] * lambda[mode]).sum::<f64>() / self.len() as f64;
        Ok((0..self.dimension()).map(mean).collect())
    }

    /// How far odd moments are from 0: the largest of |mean lambda_a| and |mean lambda_a lambda_b lambda_c|.
    ///
    /// Where they do not vanish, a force of about this relative size acts on the other blocks of a transformer; `1 / sqrt P` for
    /// random tasks.
    ///
    /// # Errors
    /// As [`second_moments`](Self::second_moments).
    pub fn odd_moment(&self, basis: MatRef<'_, f64>) -> Result<f64> {
        let eigenvalues = self.eigenvalues(basis)?;
        let d = self.dimension();
        let mean = |f: &dyn Fn(&[f64]) -> f64| eigenvalues.iter().map(|lambda| f(lambda)).sum::<f64>().abs() / self.len() as f64;
        let mut largest = 0.0f64;
        for a in 0..d {
            largest = largest.max(mean(&|lambda| lambda[a]));
            for b in a..d {
                for c in b..d {
                    largest = largest.max(mean(&|lambda| lambda[a] * lambda[b] * lambda[c]));
                }
            }
        }
        Ok(largest)
    }

    fn eigenvalues(&self, basis: MatRef<'_, f64>) -> Result<Vec<Vec<f64>>> {
        let turned = self.clone().in_basis(basis.transpose())?;
        let diagonal = |(at, w): (usize, &Mat<f64>)| {
            let d = w.nrows();
            let off = matrix::from_fn(d, d, |i, j| if i == j { 0.0 } else { w[(i, j)] }).norm_l2();
            if off > SHARED_BASIS * w.norm_l2().max(1.0) {
                let expected = "diagonal in the eigenbasis of the inputs, to 1e-8";
                return Err(Error::value(format!("task {at}"), format!("off its diagonal by {off:e}"), expected));
            }
            Ok((0..d).map(|i| w[(i, i)]).collect())
        };
        turned.matrices.iter().enumerate().map(diagonal).collect()
    }
}

/// Tasks share a basis when they are diagonal in it to this accuracy.
const SHARED_BASIS: f64 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_descent::Seed;

    #[test]
    fn hadamard_tasks_have_the_moments_that_theory_asks_for() {
        for d in 1..10 {
            let eye = Mat::<f64>::identity(d, d);
            let tasks = Tasks::hadamard(d);
            assert!(tasks.len() > d && tasks.len().is_power_of_two());
            assert_eq!(tasks.second_moments(eye.as_ref()).unwrap(), vec![1.0; d]);
            let eigenvalues = tasks.eigenvalues(eye.as_ref()).unwrap();
            let mean = |f: &dyn Fn(&[f64]) -> f64| eigenvalues.iter().map(|lambda| f(lambda)).sum::<f64>();
            for a in 0..d {
                assert_eq!(mean(&|lambda| lambda[a]), 0.0);
                assert!((0..d).all(|b| mean(&|lambda| lambda[a] * lambda[b] * lambda[b]) == 0.0));
                assert!((0..a).all(|b| mean(&|lambda| lambda[a] * lambda[b]) == 0.0));
            }
            assert_eq!(Tasks::hadamard_pairs(d).odd_moment(eye.as_ref()).unwrap(), 0.0);
        }
        // Columns 1, 2 and 3 multiply to 1: a third moment that only pairs remove.
        assert_eq!(Tasks::hadamard(4).odd_moment(Mat::<f64>::identity(4, 4).as_ref()).unwrap(), 1.0);
    }

    #[test]
    fn random_tasks_and_bad_input() {
        let tasks = Tasks::gaussian(3, 4000, &mut Seed(1).stream("tasks").at(0)).unwrap();
        let moments = tasks.second_moments(Mat::<f64>::identity(3, 3).as_ref()).unwrap();
        // The mean of 4000 squares of normals is 1 within 6 sqrt(2 / 4000) but for one run in 10^8.
        assert!(moments.iter().all(|moment| (moment - 1.0).abs() < 0.135), "{moments:?}");
        assert!(Tasks::gaussian(3, 0, &mut Seed(1).stream("tasks").at(0)).is_err());
        assert!(Tasks::new(&[]).is_err() && Tasks::new(&[vec![1.0; 3]]).is_err());
        assert!(Tasks::new(&[vec![1.0; 4], vec![1.0; 9]]).unwrap_err().to_string().contains("task 1"));
        assert!(Tasks::new(&[vec![f64::NAN; 4]]).is_err());
        let skew = Tasks::new(&[vec![1.0, 0.5, 0.5, 1.0]]).unwrap();
        assert!(skew.second_moments(Mat::<f64>::identity(2, 2).as_ref()).unwrap_err().to_string().contains("task 0"));
        let half = 0.5f64.sqrt();
        let moments = skew.second_moments(faer::mat![[half, -half], [half, half]].as_ref()).unwrap();
        assert!((moments[0] - 2.25).abs() < 1e-14 && (moments[1] - 0.25).abs() < 1e-14);
    }
}
