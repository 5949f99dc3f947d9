//! Losses of balls-in-bins sampling (arXiv 2410.06266): each example lies in one of b bins, drawn once, and takes part in steps
//! i, i+b, i+2b, ... of its bin i.
//!
//! With `m_i = sum_e C[:, i+eb]` the output is dominated by `N(m_i, sigma^2 I)` for a uniform i, against `N(0, sigma^2 I)`; the bin
//! statistics `u = M^T x` are enough, and `u ~ N(G[:, i], sigma^2 G)` with `G = M^T M`. A replaced example stays in its bin, with the
//! opposite contribution at worst.

use rand::RngExt;
use thalweg_descent::streams::StreamRng;

use super::Neighbours;
use super::columns::Columns;
use super::monte_carlo::{Directions, LANES, Losses, Normals};
use crate::error::{Error, Result};

/// The largest squared distance of a bin, in standard deviations of the noise: its exponential is still a number.
const FARTHEST: f64 = 250.0;
/// The most bins: the factor and the shifts are dense.
const MOST_BINS: usize = 4096;

/// What does not depend on the noise.
pub(super) struct Bins {
    bins: usize,
    gram: Vec<f64>,
    factor: Envelope,
    neighbours: Neighbours,
}

/// A row of a lower-triangular matrix from its first entry that is not 0.
struct Envelope {
    rows: Vec<(usize, Vec<f64>)>,
}

impl Envelope {
    /// The Cholesky factor of a positive definite matrix: it fills in between each row's first entry and the diagonal only, so a
    /// banded or cyclically banded matrix stays cheap, and no entry is dropped.
    fn cholesky(gram: &[f64], n: usize) -> Result<Self> {
        let mut rows: Vec<(usize, Vec<f64>)> = Vec::with_capacity(n);
        for i in 0..n {
            let first = (0..=i).find(|&j| gram[i * n + j] != 0.0).unwrap_or(i);
            let mut row = gram[i * n + first..=i * n + i].to_vec();
            for j in first..i {
                let (other_first, other) = &rows[j];
                let from = first.max(*other_first);
                let product: f64 =
                    row[from - first..j - first].iter().zip(&other[from - other_first..]).map(|(a, b)| a * b).sum();
                row[j - first] = (row[j - first] - product) / other[j - other_first];
            }
            let square = row[i - first] - row[..i - first].iter().map(|value| value * value).sum::<f64>();
            if square.is_nan() || square <= 0.0 {
                let reason = "the Gram matrix of the bins is not positive definite to double precision".to_owned();
                return Err(Error::NoConvergence { what: "the Cholesky factor of the bins", reason });
            }
            row[i - first] = square.sqrt();
            rows.push((first, row));
        }
        Ok(Self { rows })
    }
}

impl Bins {
    pub(super) fn new(columns: &Columns, bins: u64, neighbours: Neighbours) -> Result<Self> {
        let most = MOST_BINS.min(columns.steps());
        let bins = usize::try_from(bins).unwrap_or(usize::MAX);
        if !(1..=most).contains(&bins) {
            return Err(Error::value("the number of bins", bins, &format!("1 to {most}")));
        }
        let gram = columns.gram_of_bins(bins);
        let factor = Envelope::cholesky(&gram, bins)?;
        Ok(Self { bins, gram, factor, neighbours })
    }

    /// The losses under a noise multiplier.
    pub(super) fn with_noise(&self, sigma: f64) -> Result<BinLosses<'_>> {
        let inverse = 1.0 / (sigma * sigma);
        let largest = (0..self.bins).map(|i| self.gram[i * self.bins + i]).fold(0.0, f64::max);
        if largest * inverse > FARTHEST {
            let least = (largest / FARTHEST).sqrt();
            return Err(Error::value(
                "the noise multiplier sigma",
                sigma,
                &format!("at least {least}: less has an epsilon above 50"),
            ));
        }
        let at = |i: usize| self.gram[i * self.bins + i] * inverse;
        Ok(BinLosses {
            of: self,
            sigma,
            offsets: (0..self.bins).map(|i| -0.5 * at(i)).collect(),
            shifts: self.gram.iter().map(|value| (value * inverse).exp()).collect(),
        })
    }
}

/// Draws the losses.
pub(super) struct BinLosses<'a> {
    of: &'a Bins,
    sigma: f64,
    /// `-G_kk / (2 sigma^2)`.
    offsets: Vec<f64>,
    /// `e^{G_ik / sigma^2}`: what a unit in bin i does to the likelihood of bin k.
    shifts: Vec<f64>,
}

impl Losses for BinLosses<'_> {
    fn draw(&self, noise: &mut Normals<'_>, chance: &mut StreamRng, losses: &mut Directions) {
        let b = self.of.bins;
        let mut normals = vec![[0.0; LANES]; b];
        noise.fill(normals.as_flattened_mut());
        let lanes: [usize; LANES] = std::array::from_fn(|_| chance.random_range(0..b));
        let (mut without, mut with, mut opposite) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for (k, (first, row)) in self.of.factor.rows.iter().enumerate() {
            let mut statistic = [0.0; LANES];
            for (entry, normals) in row.iter().zip(&normals[*first..]) {
                statistic.iter_mut().zip(normals).for_each(|(sum, normal)| *sum += entry * normal);
            }
            let offset = self.offsets[k];
            for lane in 0..LANES {
                let ratio = (statistic[lane] / self.sigma + offset).exp();
                let shift = self.shifts[lanes[lane] * b + k];
                without[lane] += ratio;
                with[lane] += ratio * shift;
                if self.of.neighbours == Neighbours::ReplaceOne {
                    opposite[lane] += (2.0 * offset).exp() / (ratio * shift);
                }
            }
        }
        let log_bins = (b as f64).ln();
        for lane in 0..LANES {
            if self.of.neighbours == Neighbours::ReplaceOne {
                losses[0][lane] = with[lane].ln() - opposite[lane].ln();
            } else {
                losses[0][lane] = with[lane].ln() - log_bins;
                losses[1][lane] = log_bins - without[lane].ln();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::monte_carlo::{Blocks, tally};
    use super::*;
    use crate::strategy::Strategy;
    use crate::workload::{Ratios, Workload};

    fn bins(strategy: Option<&Strategy>, steps: u64, bins: u64, neighbours: Neighbours) -> Bins {
        Bins::new(&Columns::of(strategy, steps).unwrap(), bins, neighbours).unwrap()
    }

    fn banded() -> Strategy {
        Strategy::bsr(&Workload::new(Ratios::constant(60).unwrap()), 4).unwrap()
    }

    #[test]
    fn the_factor_of_a_cyclic_band_keeps_its_corner() {
        let bins = bins(Some(&banded()), 60, 12, Neighbours::AddRemove);
        assert!(bins.gram[11] > 0.1 * bins.gram[0], "the first and the last bin meet at the turn of the epoch");
        for i in 0..12 {
            for j in 0..=i {
                let entry = |k: usize, at: usize| {
                    let (first, row) = &bins.factor.rows[k];
                    if at < *first { 0.0 } else { row[at - first] }
                };
                let product: f64 = (0..=j).map(|k| entry(i, k) * entry(j, k)).sum();
                assert!((product - bins.gram[i * 12 + j]).abs() < 1e-12);
            }
        }
        let entries: usize = bins.factor.rows.iter().map(|row| row.1.len()).sum();
        assert!(entries < 12 * 4 + 3 * 12, "a band, and three full rows: {entries}");
    }

    #[test]
    fn golden_epsilons_of_both_directions() {
        for (count, epochs, sigma, remove, add) in [(100, 10, 2.0, 1.33, 0.59), (10, 10, 3.0, 1.36, 0.99)] {
            let bins = bins(None, count * epochs, count, Neighbours::AddRemove);
            let tallies = tally(&bins.with_noise(sigma).unwrap(), Neighbours::AddRemove, 40 * 4096, 1);
            for (tally, expected) in tallies.iter().zip([remove, add]) {
                let found = tally.epsilon(1e-3);
                assert!((found / expected - 1.0f64).abs() < 0.04, "{count}: {found}, expected {expected}");
            }
        }
    }

    #[test]
    fn one_bin_is_one_gaussian() {
        // Every example takes part in all 4 steps: a Gaussian mechanism of multiplier sigma / 2.
        for neighbours in Neighbours::ALL {
            let tallies = tally(&bins(None, 4, 1, neighbours).with_noise(3.0).unwrap(), neighbours, 50 * 4096, 2);
            let exact = super::super::gaussian::epsilon(1.5 / neighbours.distance(), 1e-2).unwrap();
            for tally in tallies {
                // delta is the mean of 204,800 draws: a standard error of 2 %, and a hundredth of epsilon for each 5 %.
                let found = tally.epsilon(1e-2);
                assert!((found / exact - 1.0).abs() < 0.02, "{neighbours}: {found}, exact {exact}");
            }
        }
    }

    /// The z-score of `mean e^{-Y} - 1`, which is 0 for losses of P against Q where P covers Q.
    fn score(losses: &BinLosses<'_>, direction: usize, shift: f64) -> f64 {
        let values: Vec<f64> =
            Blocks::new(9, 20, losses.of.neighbours).losses(losses, direction).map(|y| (shift - y).exp()).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
        (mean - 1.0) / (variance / n).sqrt()
    }

    // 5 standard errors: a false alarm in 2 million for each of the three, with a fresh seed.
    #[test]
    fn likelihood_ratios_have_mean_one() {
        let strategy = banded();
        for neighbours in [Neighbours::AddRemove, Neighbours::ReplaceOne] {
            let bins = bins(Some(&strategy), 60, 12, neighbours);
            let losses = bins.with_noise(4.0).unwrap();
            for direction in 0..super::super::monte_carlo::directions(neighbours) {
                let found = score(&losses, direction, 0.0);
                assert!(found.abs() < 5.0, "{neighbours} {direction}: {found}");
                assert!(score(&losses, direction, 0.05).abs() > 5.0, "losses that are 0.05 off show");
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let columns = Columns::of(None, 10).unwrap();
        for count in [0, 11, u64::MAX] {
            assert!(Bins::new(&columns, count, Neighbours::AddRemove).is_err());
        }
        let error = bins(None, 10, 1, Neighbours::AddRemove).with_noise(0.1).map(drop).unwrap_err().to_string();
        assert!(error.contains("at least 0.2"), "{error}");
    }
}
