//! The canary that an additive mechanism hides worst, and the statistic that finds it best.

use crate::error::{Error, Result};
use crate::pattern::Pattern;
use crate::strategy::{Form, LARGEST_DENSE, Strategy};

/// A canary with a unit gradient in the steps u, and its matched filter.
///
/// The mechanism releases `G + C^{-1} Z`. Whitened by C it is `C G + Z`, and the most powerful test for a canary in the steps u
/// is `<C u, C G + Z>`, which is `<C^T C u, G + C^{-1} Z>`: a weighted sum of what is released.
#[derive(Clone, Debug)]
pub(super) struct MatchedFilter {
    /// Whether the canary takes part in each step.
    pub(super) takes_part: Vec<bool>,
    /// `C^T C u`: the weight of each step.
    pub(super) weights: Vec<f64>,
    /// `|C u|`: the shift of the canary in deviations of z; the sensitivity of C where that is attained.
    pub(super) length: f64,
}

impl MatchedFilter {
    /// The canary every b steps, k times, from the step on where it shows most.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] for a C of no structure that is too large to be formed.
    pub(super) fn of_pattern(strategy: &Strategy, pattern: Pattern) -> Result<Self> {
        let n = strategy.steps();
        let matrix = Matrix::of(strategy, n)?;
        let (b, k) = (pattern.separation(n), pattern.at_most(n));
        // All places where k participations fit, and the rest of the first period.
        let places = n.saturating_sub((k - 1) * b).max(b.min(n));
        let (mut longest, mut best) = (0.0, Vec::new());
        for first in 0..places {
            let steps: Vec<usize> = (first..n).step_by(b).take(k).collect();
            let length = norm(&matrix.sum_of_columns(&steps));
            if length > longest {
                (longest, best) = (length, steps);
            }
        }
        Ok(Self::of_steps(&matrix, &best))
    }

    /// The canary in so many steps, as far as they fit: evenly spread, and a multiple of `apart` from each other.
    ///
    /// # Errors
    /// As [`of_pattern`](Self::of_pattern).
    pub(super) fn spread(strategy: &Strategy, apart: usize, count: usize) -> Result<Self> {
        let n = strategy.steps();
        let places = n.div_ceil(apart.max(1));
        let count = count.clamp(1, places);
        let steps: Vec<usize> = (0..count).map(|i| i * places / count * apart).collect();
        Ok(Self::of_steps(&Matrix::of(strategy, n)?, &steps))
    }

    /// The canary in these steps, each below the steps of the matrix.
    pub(super) fn of_steps(matrix: &Matrix, steps: &[usize]) -> Self {
        let shift = matrix.sum_of_columns(steps);
        let mut takes_part = vec![false; matrix.steps];
        steps.iter().for_each(|&step| takes_part[step] = true);
        Self { takes_part, weights: matrix.transposed_times(&shift), length: norm(&shift) }
    }
}

/// The first rows and columns of C, which is lower-triangular.
pub(super) struct Matrix {
    steps: usize,
    entries: Entries,
}

enum Entries {
    /// `toep(c) diag(1 / scale)`.
    Toeplitz { c: Vec<f64>, scale: Option<Vec<f64>> },
    /// Row-major, in rows of so many columns.
    Dense { columns: usize, values: Vec<f64> },
}

impl Matrix {
    /// Of the first `released` steps, at most those of the strategy.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] for a C of no structure that is too large to be formed.
    pub(super) fn of(strategy: &Strategy, released: usize) -> Result<Self> {
        let steps = strategy.steps();
        let entries = match (strategy.toeplitz(), strategy.form()) {
            (Some(c), _) => Entries::Toeplitz { c, scale: None },
            (None, Form::ScaledInverse { scale, coefficients }) => {
                Entries::Toeplitz { c: crate::coefficients::inverse(coefficients, steps), scale: Some(scale.clone()) }
            }
            _ if steps <= LARGEST_DENSE => Entries::Dense { columns: steps, values: strategy.matrix() },
            _ => {
                let reason =
                    format!("its audit needs an n x n matrix, kept for at most {LARGEST_DENSE} steps; audit fewer steps");
                return Err(Error::unsuitable(strategy.name(), reason));
            }
        };
        Ok(Self { steps: released.min(steps), entries })
    }

    /// Column t from its diagonal entry downwards.
    fn column(&self, t: usize) -> Box<dyn Iterator<Item = f64> + '_> {
        match &self.entries {
            Entries::Toeplitz { c, scale } => {
                let factor = scale.as_ref().map_or(1.0, |scale| 1.0 / scale[t]);
                Box::new(c.iter().take(self.steps - t).map(move |c| factor * c))
            }
            Entries::Dense { columns, values } => Box::new(values.iter().skip(t * columns + t).step_by(*columns).copied()),
        }
    }

    /// `C u` for u = 1 in these steps.
    fn sum_of_columns(&self, steps: &[usize]) -> Vec<f64> {
        let mut sum = vec![0.0; self.steps];
        for &step in steps {
            sum[step..].iter_mut().zip(self.column(step)).for_each(|(sum, entry)| *sum += entry);
        }
        sum
    }

    /// For each step t the response of a canary in that step alone, `<C e_t, C r>`, and the square of its length.
    pub(super) fn each_step(&self, released: &[f64]) -> Vec<(f64, f64)> {
        let mut whitened = vec![0.0; self.steps];
        for (t, value) in released.iter().enumerate().take(self.steps) {
            whitened[t..].iter_mut().zip(self.column(t)).for_each(|(sum, entry)| *sum += entry * value);
        }
        let of = |t: usize| {
            let response = self.column(t).zip(&whitened[t..]).map(|(entry, x)| entry * x).sum();
            (response, self.column(t).map(|entry| entry * entry).sum())
        };
        (0..self.steps).map(of).collect()
    }

    /// `C^T x`.
    fn transposed_times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.steps).map(|t| self.column(t).zip(&x[t..]).map(|(entry, x)| entry * x).sum()).collect()
    }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensitivity::Kind;
    use crate::strategy::Name;
    use crate::workload::{Ratios, Workload};

    fn strategies(n: usize) -> Vec<Strategy> {
        let workload = Workload::new(Ratios::exponential(n, 0.1).unwrap());
        let warm: Vec<f64> = (0..n).map(|t| 0.2 + (t as f64 * 0.9).sin().abs()).collect();
        let rows = (0..n).flat_map(|m| [1.0, if m == 0 { 0.0 } else { -0.3 - 0.01 * m as f64 }]).collect();
        vec![
            Strategy::identity(n).unwrap(),
            Strategy::output(&workload),
            Strategy::prefix_root(&workload),
            Strategy::lr_root(&workload),
            Strategy::bisr(&workload, 3).unwrap(),
            Strategy::bsr(&workload, 3).unwrap(),
            Strategy::lambda_cgd(n, 0.7).unwrap(),
            Strategy::split(&Workload::new(Ratios::new(warm).unwrap())),
            Strategy::new(Name::Dense, n, Form::InverseRows { band: 2, rows }).unwrap(),
        ]
    }

    #[test]
    fn the_weights_are_those_of_the_whole_matrix() {
        let n = 12;
        for strategy in strategies(n) {
            let filter = MatchedFilter::of_pattern(&strategy, Pattern::separated(4, 2).unwrap()).unwrap();
            let c = strategy.matrix();
            let u: Vec<f64> = filter.takes_part.iter().map(|&takes_part| f64::from(u8::from(takes_part))).collect();
            assert_eq!(u.iter().sum::<f64>(), 2.0, "{}", strategy.name());
            let shift: Vec<f64> = (0..n).map(|m| (0..n).map(|t| c[m * n + t] * u[t]).sum()).collect();
            let weights: Vec<f64> = (0..n).map(|t| (0..n).map(|m| c[m * n + t] * shift[m]).sum()).collect();
            for (found, expected) in filter.weights.iter().zip(&weights) {
                assert!((found - expected).abs() < 1e-12 * expected.abs().max(1.0), "{}", strategy.name());
            }
            assert!((filter.length - norm(&shift)).abs() < 1e-12);
            // The filter's response to the canary is the square of its length.
            let response: f64 = filter.weights.iter().zip(&u).map(|(weight, u)| weight * u).sum();
            assert!((response - filter.length.powi(2)).abs() < 1e-10);
        }
    }

    #[test]
    fn the_response_of_each_step_is_that_of_a_canary_in_it_alone() {
        let released: Vec<f64> = (0..12).map(|t| (t as f64 * 1.3).sin()).collect();
        for strategy in strategies(12) {
            let matrix = Matrix::of(&strategy, 12).unwrap();
            for (t, (response, square)) in matrix.each_step(&released).into_iter().enumerate() {
                let filter = MatchedFilter::of_steps(&matrix, &[t]);
                let expected: f64 = filter.weights.iter().zip(&released).map(|(weight, released)| weight * released).sum();
                assert!((response - expected).abs() < 1e-10 && (square - filter.length.powi(2)).abs() < 1e-10, "{t}");
            }
        }
    }

    #[test]
    fn the_canary_attains_exact_sensitivities_and_exceeds_none() {
        for (b, k) in [(4, 1), (4, 3), (1, 12), (5, 9)] {
            let pattern = Pattern::separated(b, k).unwrap();
            for strategy in strategies(12) {
                let length = MatchedFilter::of_pattern(&strategy, pattern).unwrap().length;
                let sensitivity = strategy.sensitivity(pattern).unwrap();
                assert!(length <= sensitivity.value * (1.0 + 1e-12), "{} {b} {k}", strategy.name());
                if sensitivity.kind == Kind::Exact {
                    assert!(length > sensitivity.value * (1.0 - 1e-12), "{} {b} {k}: {length}", strategy.name());
                }
            }
        }
    }

    #[test]
    fn spread_canaries_take_part_as_often_as_asked_and_no_more_than_there_are_steps() {
        for (apart, count, expected) in [
            (1, 1, vec![0]),
            (1, 3, vec![0, 4, 8]),
            (1, 100, (0..12).collect()),
            (5, 100, vec![0, 5, 10]),
            (5, 2, vec![0, 5]),
            (50, 2, vec![0]),
        ] {
            let filter = MatchedFilter::spread(&Strategy::identity(12).unwrap(), apart, count).unwrap();
            let steps: Vec<usize> = (0..12).filter(|&step| filter.takes_part[step]).collect();
            assert_eq!(steps, expected);
            assert!((filter.length - (expected.len() as f64).sqrt()).abs() < 1e-12);
        }
    }
}
