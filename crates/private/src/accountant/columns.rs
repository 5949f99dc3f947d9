//! The columns of a strategy as a sampled unit sees them: absolute values, over the largest column norm.
//!
//! Absolute values bound every choice of contributions, also one that depends on earlier outputs: the log-likelihood ratios of the
//! possible samples against pure noise are martingales whose covariations are largest, at every step at once, when all contributions
//! are one unit vector and no entry is negative. Where no entry is, the bound is attained.

use crate::error::{Error, Result};
use crate::strategy::{LARGEST_DENSE, Strategy};

/// A lower-triangular matrix without negative entries, whose largest column norm is 1.
pub(super) enum Columns {
    /// Its first column.
    Toeplitz { steps: usize, first: Vec<f64> },
    /// Row-major.
    Dense { steps: usize, entries: Vec<f64> },
}

impl Columns {
    /// Of a strategy; of independent noise where there is none.
    pub(super) fn of(strategy: Option<&Strategy>, steps: u64) -> Result<Self> {
        let steps = usize::try_from(steps).map_err(|_| Error::value("the number of steps", steps, "less"))?;
        let Some(strategy) = strategy else { return Ok(Self::Toeplitz { steps, first: vec![1.0] }) };
        let mut columns = match strategy.toeplitz() {
            Some(first) => Self::Toeplitz { steps, first },
            None if steps <= LARGEST_DENSE => Self::Dense { steps, entries: strategy.matrix() },
            None => {
                let reason = format!("its columns differ, and so many are kept for at most {LARGEST_DENSE} steps");
                return Err(Error::unsuitable(strategy.name(), reason));
            }
        };
        let norm = columns.largest_norm();
        if !norm.is_finite() {
            return Err(Error::unsuitable(
                strategy.name(),
                "its strategy matrix overflows; use fewer steps or other coefficients",
            ));
        }
        let (Self::Toeplitz { first: entries, .. } | Self::Dense { entries, .. }) = &mut columns;
        entries.iter_mut().for_each(|entry| *entry = entry.abs() / norm);
        Ok(columns)
    }

    pub(super) fn steps(&self) -> usize {
        let (Self::Toeplitz { steps, .. } | Self::Dense { steps, .. }) = self;
        *steps
    }

    fn largest_norm(&self) -> f64 {
        match self {
            Self::Toeplitz { first, .. } => crate::coefficients::norm(first),
            Self::Dense { steps, entries } => {
                let mut squares = vec![0.0; *steps];
                for row in entries.chunks_exact(*steps) {
                    squares.iter_mut().zip(row).for_each(|(square, entry)| *square += entry * entry);
                }
                squares.into_iter().fold(0.0, f64::max).sqrt()
            }
        }
    }

    /// The number of diagonals that are not 0.
    pub(super) fn bands(&self) -> usize {
        match self {
            Self::Toeplitz { first, .. } => first.iter().rposition(|entry| *entry != 0.0).map_or(1, |last| last + 1),
            Self::Dense { steps, entries } => {
                let of_row =
                    |(t, row): (usize, &[f64])| row.iter().position(|entry| *entry != 0.0).map_or(1, |first| t - first + 1);
                entries.chunks_exact(*steps).enumerate().map(of_row).max().unwrap_or(1)
            }
        }
    }

    /// `G = M^T M` with `m_i = sum_e C[:, i + e bins]`, row-major: what a unit in each of the bins moves.
    pub(super) fn gram_of_bins(&self, bins: usize) -> Vec<f64> {
        let mut gram = vec![0.0; bins * bins];
        match self {
            Self::Toeplitz { steps, first } => {
                // Column i of M is the sequence d_j = c_j + d_{j-bins}, moved down by i.
                let mut sums = vec![0.0; *steps];
                for j in 0..*steps {
                    let before = if j >= bins { sums[j - bins] } else { 0.0 };
                    sums[j] = before + first.get(j).copied().unwrap_or(0.0);
                }
                for lag in 0..bins.min(*steps) {
                    let mut product = 0.0;
                    // G[i, i+lag] sums over the rows below i + lag: the shortest column comes first.
                    for u in 0..steps - lag {
                        product += sums[u + lag] * sums[u];
                        let k = steps - 1 - u;
                        if k < bins {
                            gram[(k - lag) * bins + k] = product;
                            gram[k * bins + k - lag] = product;
                        }
                    }
                }
            }
            Self::Dense { steps, entries } => {
                let mut row = vec![0.0; bins];
                for entries in entries.chunks_exact(*steps) {
                    row.fill(0.0);
                    entries.iter().enumerate().for_each(|(s, entry)| row[s % bins] += entry);
                    for (i, &a) in row.iter().enumerate().filter(|(_, a)| **a != 0.0) {
                        gram[i * bins..(i + 1) * bins].iter_mut().zip(&row).for_each(|(out, b)| *out += a * b);
                    }
                }
            }
        }
        gram
    }

    /// `C[s + j, s]` for j < bands, row by column s; 0 beyond the last step.
    pub(super) fn banded(&self, bands: usize) -> Vec<f64> {
        let steps = self.steps();
        let at = |s: usize, j: usize| match self {
            _ if s + j >= steps => 0.0,
            Self::Toeplitz { first, .. } => first.get(j).copied().unwrap_or(0.0),
            Self::Dense { entries, .. } => entries[(s + j) * steps + s],
        };
        (0..steps).flat_map(|s| (0..bands).map(move |j| (s, j))).map(|(s, j)| at(s, j)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{Form, Name};
    use crate::workload::{Ratios, Workload};

    /// Strategies of 11 steps: banded, dense, and one whose columns differ.
    fn strategies() -> Vec<Strategy> {
        let workload = Workload::new(Ratios::exponential(11, 0.3).unwrap());
        vec![
            Strategy::identity(11).unwrap(),
            Strategy::bsr(&workload, 4).unwrap(),
            Strategy::lr_root(&workload),
            Strategy::split(&workload),
            Strategy::new(Name::Bandmf, 11, Form::Direct { coefficients: vec![2.0, -1.0, 0.5] }).unwrap(),
        ]
    }

    #[test]
    fn the_gram_of_bins_is_the_product_by_definition() {
        for strategy in strategies() {
            let columns = Columns::of(Some(&strategy), 11).unwrap();
            let c: Vec<f64> = strategy.matrix().iter().map(|entry| entry.abs()).collect();
            let square = (0..11).map(|s| (0..11).map(|t| c[t * 11 + s] * c[t * 11 + s]).sum::<f64>()).fold(0.0, f64::max);
            for bins in [1, 3, 4, 11] {
                let gram = columns.gram_of_bins(bins);
                let m = |t: usize, i: usize| (i..11).step_by(bins).map(|s| c[t * 11 + s]).sum::<f64>();
                for i in 0..bins {
                    for k in 0..bins {
                        let expected = (0..11).map(|t| m(t, i) * m(t, k)).sum::<f64>() / square;
                        assert!((gram[i * bins + k] - expected).abs() < 1e-12, "{} {bins} {i} {k}", strategy.name());
                    }
                }
            }
        }
    }

    #[test]
    fn bands_and_columns_are_those_of_the_matrix() {
        for (strategy, bands) in strategies().iter().zip([1, 4, 11, 11, 3]) {
            let columns = Columns::of(Some(strategy), 11).unwrap();
            assert_eq!(columns.bands(), bands, "{}", strategy.name());
            let (c, norm) =
                (strategy.matrix(), columns.banded(bands).chunks(bands).map(crate::coefficients::norm).fold(0.0, f64::max));
            assert!((norm - 1.0).abs() < 1e-12);
            let banded = columns.banded(bands);
            let scale = banded[0] / c[0].abs();
            for s in 0..11 {
                for j in 0..bands {
                    let expected = if s + j < 11 { c[(s + j) * 11 + s].abs() * scale } else { 0.0 };
                    assert!((banded[s * bands + j] - expected).abs() < 1e-12);
                }
            }
        }
    }
}
