//! The error of a strategy on a workload: exact, in units of noise multiplier times clip norm.
//!
//! With `B = A C^{-1}`: `MaxSE = sens(C) max_m |B_m|` and `MeanSE = sens(C) |B|_F / sqrt(n)`, where `B_m` is row m. Both are
//! roots of expected squared errors of the iterates. For falling rates the worst row is not the last.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pattern::Pattern;
use crate::sensitivity::Sensitivity;
use crate::strategy::Strategy;
use crate::workload::Workload;

/// Which error a choice or an optimisation looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// The root mean squared error over all iterates.
    #[default]
    Mean,
    /// The root of the worst iterate's expected squared error.
    Max,
}

impl std::str::FromStr for Objective {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mean" => Ok(Self::Mean),
            "max" => Ok(Self::Max),
            _ => Err(Error::value("the objective", format!("{text:?}"), "mean or max")),
        }
    }
}

/// The exact errors of a strategy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// `sens(C) max_m |B_m|`.
    pub max_se: f64,
    /// The row m of the largest error, counted from 1.
    pub argmax_row: usize,
    /// `sens(C) |B|_F / sqrt(n)`.
    pub mean_se: f64,
    /// `sens(C)`.
    pub sensitivity: Sensitivity,
}

impl Evaluation {
    /// The error that an objective looks at.
    pub fn get(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Mean => self.mean_se,
            Objective::Max => self.max_se,
        }
    }
}

/// The squared norms of the rows of `B = A C^{-1}`. O(n^2) time, O(n) memory.
pub fn squared_row_norms(workload: &Workload, strategy: &Strategy) -> Vec<f64> {
    let mut norms = Vec::with_capacity(workload.steps());
    let visit = |_: usize, row: &[f64]| norms.push(row.iter().map(|value| value * value).sum());
    workload.rows_times(strategy.noise_rows(), visit);
    norms
}

/// Evaluates a strategy on a workload for a participation pattern.
///
/// # Errors
/// [`Error::Unsuitable`] when the strategy is for another number of steps, or its sensitivity cannot be computed.
pub fn evaluate(workload: &Workload, strategy: &Strategy, pattern: Pattern) -> Result<Evaluation> {
    if strategy.steps() != workload.steps() {
        let reason = format!("it is built for {} steps, and the run has {}", strategy.steps(), workload.steps());
        return Err(Error::unsuitable(strategy.name(), reason));
    }
    let sensitivity = strategy.sensitivity(pattern)?;
    let errors = Errors::of(&squared_row_norms(workload, strategy));
    let evaluation = Evaluation {
        max_se: sensitivity.value * errors.max,
        argmax_row: errors.argmax_row,
        mean_se: sensitivity.value * errors.mean,
        sensitivity,
    };
    if evaluation.max_se.is_finite() {
        Ok(evaluation)
    } else {
        Err(Error::unsuitable(strategy.name(), "its error overflows; use fewer steps or other coefficients"))
    }
}

/// The errors of B alone, for sensitivity 1.
pub(crate) struct Errors {
    pub(crate) max: f64,
    pub(crate) argmax_row: usize,
    pub(crate) mean: f64,
}

impl Errors {
    pub(crate) fn of(squares: &[f64]) -> Self {
        let (row, max) = squares.iter().enumerate().fold((0, 0.0f64), |best, (m, &x)| if x > best.1 { (m, x) } else { best });
        let total: f64 = squares.iter().sum();
        Self { max: max.sqrt(), argmax_row: row + 1, mean: (total / squares.len() as f64).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Ratios;

    #[test]
    fn small_exact_case() {
        let workload = Workload::new(Ratios::exponential(4, 0.125).unwrap());
        let mut rows = Vec::new();
        let root = Strategy::lr_root(&workload);
        workload.rows_times(root.noise_rows(), |_, row| rows.extend_from_slice(row));
        let expected = [1.0, 0.875, 0.5, 0.8671875, 0.4375, 0.25, 0.8662109375, 0.43359375, 0.21875, 0.125];
        assert!(rows.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-14));

        let aware = evaluate(&workload, &root, Pattern::Single).unwrap();
        assert!((aware.max_se - 1.0438283742).abs() < 1e-10 && (aware.mean_se - 1.0387861510).abs() < 1e-10);
        assert!((aware.sensitivity.value - 1.0357678028).abs() < 1e-10 && aware.argmax_row == 2);
        let prefix = evaluate(&workload, &Strategy::prefix_root(&workload), Pattern::Single).unwrap();
        assert!((prefix.max_se - 1.2199513310).abs() < 1e-10 && (prefix.mean_se - 1.0941525672).abs() < 1e-10);
        assert_eq!(prefix.argmax_row, 1);
    }

    #[test]
    fn another_number_of_steps_is_refused() {
        let workload = Workload::new(Ratios::constant(4).unwrap());
        let error = evaluate(&workload, &Strategy::identity(5).unwrap(), Pattern::Single).unwrap_err();
        assert!(error.to_string().contains("5 steps"));
    }

    #[test]
    fn one_step_costs_the_same_everywhere() {
        let workload = Workload::new(Ratios::constant(1).unwrap());
        for strategy in [
            Strategy::identity(1).unwrap(),
            Strategy::output(&workload),
            Strategy::lr_root(&workload),
            Strategy::lambda_cgd(1, 0.5).unwrap(),
        ] {
            let found = evaluate(&workload, &strategy, Pattern::Single).unwrap();
            assert_eq!((found.max_se, found.mean_se), (1.0, 1.0));
        }
    }
}
