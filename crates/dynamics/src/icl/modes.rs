//! What the theories of in-context learning need to know: the inputs' variances, the context length, the tasks' second moments.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, positive};

/// A linear transformer's problem, mode by mode in the common eigenbasis of inputs and tasks.
///
/// Inputs are x ~ N(0, S), S with eigenvalues s_a; tasks are y = W x, W with eigenvalues lambda_a and the same eigenvectors;
/// contexts hold N pairs (x, y).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    variances: Vec<f64>,
    contexts: u64,
    task_moments: Vec<f64>,
}

impl Modes {
    /// Input variances s_a (one a mode) and a context length N, with tasks of unit second moments.
    ///
    /// # Errors
    /// [`Error::Value`] for no modes, a variance that is not a finite number above 0, or N = 0.
    pub fn new(variances: &[f64], contexts: u64) -> Result<Self> {
        if variances.is_empty() {
            return Err(Error::value("the number of modes", 0, "1 or more"));
        }
        if contexts == 0 {
            return Err(Error::value("the context length N", 0, "1 or more"));
        }
        for (mode, &variance) in variances.iter().enumerate() {
            positive(&format!("the input variance of mode {mode}"), variance)?;
        }
        Ok(Self { variances: variances.to_vec(), contexts, task_moments: vec![1.0; variances.len()] })
    }

    /// With the tasks' second moments A_a = mean lambda_a^2.
    ///
    /// # Errors
    /// [`Error::Value`] unless there is one for each mode, a finite number above 0.
    pub fn with_task_moments(self, moments: &[f64]) -> Result<Self> {
        if moments.len() != self.variances.len() {
            return Err(Error::value(
                "the number of task moments",
                moments.len(),
                format!("{}, one a mode", self.variances.len()),
            ));
        }
        for (mode, &moment) in moments.iter().enumerate() {
            positive(&format!("the second moment of the tasks in mode {mode}"), moment)?;
        }
        Ok(Self { task_moments: moments.to_vec(), ..self })
    }

    /// The input variances s_a.
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// The context length N.
    pub fn contexts(&self) -> u64 {
        self.contexts
    }

    /// The tasks' second moments A_a.
    pub fn task_moments(&self) -> &[f64] {
        &self.task_moments
    }

    /// The number of modes.
    pub fn len(&self) -> usize {
        self.variances.len()
    }

    /// Whether there are no modes, which cannot be.
    pub fn is_empty(&self) -> bool {
        self.variances.is_empty()
    }

    pub(crate) fn n(&self) -> f64 {
        self.contexts as f64
    }

    /// Refuses a value vector with another number of modes, or with a value that is not finite.
    pub(crate) fn check_start(&self, what: &str, values: &[f64]) -> Result<()> {
        if values.len() != self.len() {
            return Err(Error::value(
                format!("the number of values of {what}"),
                values.len(),
                format!("{}, one a mode", self.len()),
            ));
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(mode) => Err(Error::value(format!("{what} in mode {mode}"), values[mode], "finite")),
            None => Ok(()),
        }
    }
}

/// The value weight p_a and the key-query weight q_a of each mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Value weights, the diagonal of p2 in the eigenbasis.
    pub p: Vec<f64>,
    /// Key-query weights, the diagonal of q1.
    pub q: Vec<f64>,
}

impl Weights {
    /// Balanced weights, `p = q = sqrt a0` in every mode.
    ///
    /// # Errors
    /// [`Error::Value`] unless a0 is a finite number above 0: at 0 descent is stuck on a saddle.
    pub fn balanced(modes: usize, a0: f64) -> Result<Self> {
        let root = positive("the start a0", a0)?.sqrt();
        Ok(Self { p: vec![root; modes], q: vec![root; modes] })
    }

    /// `a = p q` of each mode: what the model makes of it.
    pub fn products(&self) -> Vec<f64> {
        self.p.iter().zip(&self.q).map(|(p, q)| p * q).collect()
    }

    /// `sum p^2 - q^2`, which gradient flow conserves.
    pub fn imbalance(&self) -> f64 {
        self.p.iter().zip(&self.q).map(|(p, q)| p * p - q * q).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_problems_are_refused_by_name() {
        let refused = |s: &[f64], n| Modes::new(s, n).unwrap_err().to_string();
        assert!(refused(&[], 8).contains("number of modes"));
        assert!(refused(&[1.0], 0).contains("context length"));
        assert!(refused(&[1.0, 0.0], 8).contains("input variance of mode 1"));
        assert!(refused(&[-1.0], 8).contains("-1"));
        assert!(refused(&[f64::NAN], 8).contains("NaN"));
        let modes = Modes::new(&[1.0, 2.0], 8).unwrap();
        assert!(modes.clone().with_task_moments(&[1.0]).is_err());
        assert!(modes.clone().with_task_moments(&[1.0, 0.0]).unwrap_err().to_string().contains("mode 1"));
        assert!(Weights::balanced(2, 0.0).is_err() && Weights::balanced(2, -1.0).is_err());
        assert!(modes.check_start("p", &[1.0, f64::NAN]).is_err() && modes.check_start("p", &[1.0]).is_err());
    }
}
