//! A problem of in-context learning: covariance of the inputs, context length, tasks.

use faer::{Mat, MatRef};
use thalweg_probes::eigen;

use super::modes::Modes;
use super::tasks::Tasks;
use crate::error::{Error, Result};
use crate::matrix::Symmetric;

/// A problem with full matrices: contexts of N pairs (x, W x), x ~ N(0, S), W one of the tasks.
#[derive(Clone, Debug)]
pub struct Problem {
    covariance: Symmetric,
    eigenbasis: Mat<f64>,
    contexts: u64,
    tasks: Tasks,
}

/// Each of the more than d tasks is a d x d matrix.
const MOST_MODES: usize = 256;

impl Problem {
    /// A problem with input covariance S (d x d, row-major), context length and tasks.
    ///
    /// # Errors
    /// [`Error::Value`] when the covariance is not symmetric and positive definite, or N is 0.
    pub fn new(covariance: &[f64], contexts: u64, tasks: Tasks) -> Result<Self> {
        if contexts == 0 {
            return Err(Error::value("the context length N", 0, "1 or more"));
        }
        let covariance = Symmetric::positive_definite("the input covariance", covariance, tasks.dimension())?;
        let ascending = eigen::decompose(covariance.as_ref())?.vectors;
        let d = ascending.ncols();
        let eigenbasis = Mat::from_fn(d, d, |i, j| ascending[(i, d - 1 - j)]);
        Ok(Self { covariance, eigenbasis, contexts, tasks })
    }

    /// A problem in the eigenbasis of its inputs, with Hadamard tasks of unit second moments.
    ///
    /// # Errors
    /// As [`new`](Self::new), and for more than 256 modes.
    pub fn aligned(modes: &Modes) -> Result<Self> {
        let d = modes.len();
        if d > MOST_MODES {
            return Err(Error::value("the number of modes", d, format!("at most {MOST_MODES} where all blocks are descended")));
        }
        let diagonal: Vec<f64> = (0..d * d).map(|at| if at / d == at % d { modes.variances()[at / d] } else { 0.0 }).collect();
        let eigenbasis = Mat::identity(d, d);
        Ok(Self { eigenbasis, ..Self::new(&diagonal, modes.contexts(), Tasks::hadamard(d))? })
    }

    /// The number of inputs, d.
    pub fn dimension(&self) -> usize {
        self.tasks.dimension()
    }

    /// The input covariance.
    pub fn covariance(&self) -> MatRef<'_, f64> {
        self.covariance.as_ref()
    }

    /// The eigenvectors of the input covariance, one a column: by falling eigenvalue, or as given for an aligned problem.
    pub fn eigenbasis(&self) -> MatRef<'_, f64> {
        self.eigenbasis.as_ref()
    }

    /// The context length N.
    pub fn contexts(&self) -> u64 {
        self.contexts
    }

    /// The tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_problems_are_refused_by_name() {
        let tasks = || Tasks::hadamard(3);
        let eye = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
        assert!(Problem::new(&eye, 0, tasks()).unwrap_err().to_string().contains("context length"));
        assert!(Problem::new(&[1.0; 9], 5, tasks()).unwrap_err().to_string().contains("positive definite"));
        assert!(Problem::new(&[1.0; 4], 5, tasks()).unwrap_err().to_string().contains("3 x 3"));
        assert_eq!(Problem::new(&eye, 5, tasks()).unwrap().dimension(), 3);
        assert!(Problem::aligned(&Modes::new(&[1.0; 257], 5).unwrap()).unwrap_err().to_string().contains("at most 256"));
    }
}
