//! The error of a strategy on a workload: exact, in units of noise multiplier times clip norm.
//!
//! With `B = A C^{-1}`: `MaxSE = sens(C) max_m |B_m|` and `MeanSE = sens(C) |B|_F / sqrt(n)`, where `B_m` is row m. Both are
//! roots of expected squared errors of the iterates. For falling rates the worst row is not the last.

mod buffered;
mod columns;
mod gram;

use serde::{Deserialize, Serialize};

pub(crate) use buffered::Recursion as BufferedErrors;
pub(crate) use gram::Gram;

use crate::coefficients;
use crate::error::{Error, Result};
use crate::pattern::Pattern;
use crate::sensitivity::Sensitivity;
use crate::strategy::{Form, Strategy};
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

/// The squared norms of the rows of `B = A C^{-1}`: O(n p) for a `C^{-1}` of p diagonals, O(n) for a Toeplitz one under
/// exponential rates without decay, O(n d^2) for d buffers.
pub fn squared_row_norms(workload: &Workload, strategy: &Strategy) -> Vec<f64> {
    let steps = strategy.steps();
    match strategy.form() {
        Form::Inverse { coefficients } => ToeplitzErrors::new(workload).squares(coefficients),
        Form::Direct { coefficients } => ToeplitzErrors::new(workload).squares(&coefficients::inverse(coefficients, steps)),
        Form::Buffered { blt } => BufferedErrors::new(workload, blt.omega(), blt.theta()).squares(),
        Form::ScaledInverse { scale, coefficients } => {
            columns::squared_row_norms(workload, coefficients.len(), |t, lag| scale[t] * coefficients[lag])
        }
        Form::InverseRows { band, rows } => columns::squared_row_norms(workload, *band, |t, lag| rows[t * band + lag]),
    }
}

/// The row norms of B for `C^{-1} = toep(ct)`, and their derivatives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToeplitzErrors<'a> {
    workload: &'a Workload,
    /// Where column j of A, and so of B, is the first one shifted by j, times alpha^j: alpha^2.
    shift: Option<f64>,
}

impl<'a> ToeplitzErrors<'a> {
    pub(crate) fn new(workload: &'a Workload) -> Self {
        Self { workload, shift: workload.shift_factor().map(|alpha| alpha * alpha) }
    }

    /// `|B_m|^2` for each row m. With shifted columns `|B_m|^2 = g_m^2 + alpha^2 |B_{m-1}|^2` for the first column g.
    pub(crate) fn squares(&self, ct: &[f64]) -> Vec<f64> {
        let Some(shift) = self.shift else {
            return columns::squared_row_norms(self.workload, ct.len(), |_, lag| ct[lag]);
        };
        let mut square = 0.0;
        let next = |g: f64| {
            square = g * g + shift * square;
            square
        };
        self.workload.apply(ct).into_iter().map(next).collect()
    }

    /// The derivative of `sum_m weights_m |B_m|^2` in ct.
    pub(crate) fn gradient(&self, ct: &[f64], weights: &[f64]) -> Vec<f64> {
        let Some(shift) = self.shift else {
            return columns::gradient(self.workload, ct, weights);
        };
        let mut in_column = self.workload.apply(ct);
        let mut later = 0.0;
        for (g, weight) in in_column.iter_mut().zip(weights).rev() {
            later = weight + shift * later;
            *g *= 2.0 * later;
        }
        let mut gradient = self.workload.apply_transposed(&in_column);
        gradient.truncate(ct.len());
        gradient
    }
}

/// Evaluates a strategy on a workload for a participation pattern.
///
/// # Errors
/// [`Error::Unsuitable`] when the strategy is for another number of steps, or its sensitivity cannot be computed.
pub fn evaluate(workload: &Workload, strategy: &Strategy, pattern: Pattern) -> Result<Evaluation> {
    evaluate_rows(workload, strategy, pattern).map(|(evaluation, _)| evaluation)
}

/// [`evaluate`], with the squared norms of the rows of B.
pub(crate) fn evaluate_rows(workload: &Workload, strategy: &Strategy, pattern: Pattern) -> Result<(Evaluation, Vec<f64>)> {
    if strategy.steps() != workload.steps() {
        let reason = format!("it is built for {} steps, and the run has {}", strategy.steps(), workload.steps());
        return Err(Error::unsuitable(strategy.name(), reason));
    }
    let sensitivity = strategy.sensitivity(pattern)?;
    let squares = squared_row_norms(workload, strategy);
    let errors = Errors::of(&squares);
    let evaluation = Evaluation {
        max_se: sensitivity.value * errors.max,
        argmax_row: errors.argmax_row,
        mean_se: sensitivity.value * errors.mean,
        sensitivity,
    };
    if evaluation.max_se.is_finite() {
        Ok((evaluation, squares))
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
    pub(crate) fn get(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Mean => self.mean,
            Objective::Max => self.max,
        }
    }

    pub(crate) fn of(squares: &[f64]) -> Self {
        let (row, max) = squares.iter().enumerate().fold((0, 0.0f64), |best, (m, &x)| if x > best.1 { (m, x) } else { best });
        let total: f64 = squares.iter().sum();
        Self { max: max.sqrt(), argmax_row: row + 1, mean: (total / squares.len() as f64).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blt::Blt;
    use crate::strategy::Name;
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

    /// Constant, exponential and other rates, with and without momentum and decay.
    fn workloads(n: usize) -> Vec<Workload> {
        let user: Vec<f64> = (0..n).map(|t| 0.5 + (t as f64 * 0.9).sin().abs()).collect();
        let ratios = [Ratios::constant(n), Ratios::exponential(n, 0.1), Ratios::cosine(n, 0.05), Ratios::new(user)];
        let plain = ratios.into_iter().map(|ratios| Workload::new(ratios.unwrap()));
        let with = |workload: Workload, momentum, decay| workload.with_momentum(momentum).unwrap().with_decay(decay).unwrap();
        plain.flat_map(|plain| [plain.clone(), with(plain.clone(), 0.9, 0.0), with(plain, 0.5, 0.2)]).collect()
    }

    /// The definition: rows of `A C^{-1}`.
    fn by_rows(workload: &Workload, strategy: &Strategy) -> Vec<f64> {
        let mut squares = Vec::new();
        workload.rows_times(strategy.noise_rows(), |_, row| squares.push(row.iter().map(|value| value * value).sum()));
        squares
    }

    fn buffered(omega: &[f64], theta: &[f64], steps: usize) -> Strategy {
        let blt = Blt::new(omega.to_vec(), theta.to_vec()).unwrap();
        Strategy::new(Name::Blt, steps, Form::Buffered { blt }).unwrap()
    }

    #[test]
    fn row_norms_are_those_of_the_product_matrix() {
        for n in [1, 2, 3, 9, 17, 130] {
            for workload in workloads(n) {
                let bands = |p: usize| Strategy::bisr(&workload, p.min(n)).unwrap();
                let strategies = [
                    bands(1),
                    bands(2),
                    bands(7),
                    bands(8),
                    Strategy::bsr(&workload, 3.min(n)).unwrap(),
                    Strategy::prefix_root(&workload),
                    Strategy::split(&workload),
                    Strategy::output(&workload),
                    buffered(&[], &[], n),
                    buffered(&[0.3, 0.1], &[0.9, 0.5], n),
                    buffered(&[0.02, 0.1, 0.2], &[0.999, 0.8, 0.1], n),
                ];
                for strategy in strategies {
                    for (found, expected) in squared_row_norms(&workload, &strategy).iter().zip(by_rows(&workload, &strategy)) {
                        assert!(
                            (found - expected).abs() < 1e-12 * (1.0 + expected),
                            "{n} {}: {found} {expected}",
                            strategy.name()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn gram_gives_the_mean_squared_error() {
        for workload in workloads(23) {
            let gram = Gram::new(&workload, 9);
            for p in [1, 4, 9] {
                let ct = coefficients::inverse_root(p);
                let expected: f64 = ToeplitzErrors::new(&workload).squares(&ct).iter().sum();
                assert!((gram.of(&ct).0 / expected - 1.0).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn derivatives_are_difference_quotients() {
        for workload in workloads(40) {
            let errors = ToeplitzErrors::new(&workload);
            let weights: Vec<f64> = (0..40).map(|m| 1.0 + (f64::from(m)).cos()).collect();
            for p in [1, 3, 9, 40] {
                let ct = coefficients::scaled(&coefficients::inverse_root(p), 0.97);
                let at = |k: usize, change: f64| {
                    let mut ct = ct.clone();
                    ct[k] += change;
                    errors.squares(&ct).iter().zip(&weights).map(|(square, weight)| square * weight).sum::<f64>()
                };
                let gram = Gram::new(&workload, p).of(&ct).1;
                let ones = errors.gradient(&ct, &[1.0; 40]);
                for (k, found) in errors.gradient(&ct, &weights).iter().enumerate() {
                    // The function is quadratic: the central difference is exact but for rounding.
                    let expected = (at(k, 1e-2) - at(k, -1e-2)) / 2e-2;
                    assert!((found - expected).abs() < 1e-10 * (1.0 + expected.abs()), "{p} {k}: {found} {expected}");
                    assert!((gram[k] - ones[k]).abs() < 1e-11 * (1.0 + ones[k].abs()));
                }
            }
        }
    }

    #[test]
    fn derivatives_in_buffers_are_difference_quotients() {
        // More than one block of steps.
        for workload in workloads(700) {
            let weights: Vec<f64> = (0..700).map(|m| 1.0 + f64::from(m).cos()).collect();
            let at = |values: &[f64]| {
                let squares = BufferedErrors::new(&workload, &values[..2], &values[2..]).squares();
                squares.iter().zip(&weights).map(|(square, weight)| square * weight).sum::<f64>()
            };
            let values = [0.3, 0.1, 0.97, 0.5];
            let (in_omega, in_theta) = BufferedErrors::new(&workload, &values[..2], &values[2..]).gradient(&weights);
            for (k, found) in in_omega.into_iter().chain(in_theta).enumerate() {
                let moved = |change: f64| {
                    let mut values = values;
                    values[k] += change;
                    at(&values)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((found - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{k}: {found} {expected}");
            }
        }
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
