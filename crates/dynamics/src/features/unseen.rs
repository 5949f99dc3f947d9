//! How a network does on examples that it has not seen.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::activation::rectified;
use super::filters::FilterMatrix;
use super::network::{Network, loss_and_accuracy};
use crate::error::{Error, Result};

/// What fresh examples of the model give: of a noise patch only its inner products with the filters matter, and those are normal
/// with covariance `noise_std^2 W W^T` (W without its part along mu). So they are drawn instead of d values: the law is the same.
#[derive(Clone, Debug)]
pub(crate) struct Unseen {
    network: Network,
    /// `<w, mu>` of each filter.
    on_signal: Vec<f64>,
    /// A root of the covariance, lower triangular, row-major.
    root: Vec<f64>,
    noise_patches: usize,
}

impl Unseen {
    /// `covariance` is that of the filters' inner products with a noise patch, row-major.
    pub(crate) fn new(network: Network, on_signal: Vec<f64>, covariance: &[f64], noise_patches: usize) -> Self {
        let root = semidefinite_root(covariance, on_signal.len());
        Self { network, on_signal, root, noise_patches }
    }

    /// Mean loss and accuracy on so many examples.
    pub(crate) fn loss_and_accuracy(&self, examples: usize, rng: &mut impl Rng) -> Result<(f64, f64)> {
        if examples == 0 {
            return Err(Error::value("the number of test examples", 0, "at least 1"));
        }
        let filters = self.on_signal.len();
        let (mut independent, mut z) = (vec![0.0; filters], vec![0.0; filters]);
        let mut margin = || {
            let label = if rng.random() { 1.0 } else { -1.0 };
            z.iter_mut().zip(&self.on_signal).for_each(|(z, signal)| *z = label * signal);
            let mut output = self.output(&z);
            for _ in 0..self.noise_patches {
                independent.iter_mut().for_each(|value| *value = StandardNormal.sample(rng));
                for (row, z) in z.iter_mut().enumerate() {
                    *z = self.root[row * filters..][..=row].iter().zip(&independent).map(|(a, b)| a * b).sum();
                }
                output += self.output(&z);
            }
            label * output
        };
        let margins: Vec<f64> = (0..examples).map(|_| margin()).collect();
        Ok(loss_and_accuracy(&margins))
    }

    fn output(&self, z: &[f64]) -> f64 {
        let (positive, negative) = z.split_at(self.network.width);
        let sum = |z: &[f64]| z.iter().map(|&z| self.network.activation.value(rectified(z))).sum::<f64>();
        (sum(positive) - sum(negative)) / self.network.width as f64
    }
}

/// Adds `factor sum_k w_k w_k^T` over these rows to a square of one number for each pair of filters.
pub(crate) fn add_gram<'a>(rows: impl Iterator<Item = &'a [f64]>, factor: f64, gram: &mut [f64]) {
    for row in rows {
        for (f, out) in gram.chunks_exact_mut(row.len()).enumerate() {
            let scaled = factor * row[f];
            out.iter_mut().zip(row).for_each(|(sum, value)| *sum += scaled * value);
        }
    }
}

/// The Gram matrix of the filters over these coordinates.
pub(crate) fn covariance(noise_std: f64, inside: &FilterMatrix, outside: &FilterMatrix) -> Vec<f64> {
    let mut gram = vec![0.0; inside.filters() * inside.filters()];
    // The first coordinate is mu's.
    add_gram(inside.iter_rows().skip(1).chain(outside.iter_rows()), noise_std * noise_std, &mut gram);
    gram
}

/// A lower triangular R with `R R^T` equal to this matrix, which may be singular: filters that start equal stay so.
fn semidefinite_root(matrix: &[f64], side: usize) -> Vec<f64> {
    let largest = (0..side).map(|i| matrix[i * side + i]).fold(0.0, f64::max);
    let smallest_pivot = largest * side as f64 * f64::EPSILON;
    let mut root = vec![0.0; side * side];
    for column in 0..side {
        let rest = |row: usize, root: &[f64]| {
            let products = root[row * side..][..column].iter().zip(&root[column * side..][..column]);
            matrix[row * side + column] - products.map(|(a, b)| a * b).sum::<f64>()
        };
        let pivot = rest(column, &root);
        if pivot <= smallest_pivot {
            continue;
        }
        let diagonal = pivot.sqrt();
        for row in column..side {
            root[row * side + column] = rest(row, &root) / diagonal;
        }
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_of_singular_matrices() {
        // Three filters in two dimensions, the second a copy of the first, and a filter of zeros.
        let rows = [[1.0, 1.0, 0.3, 0.0], [2.0, 2.0, -0.7, 0.0]];
        let mut gram = vec![0.0; 16];
        add_gram(rows.iter().map(|row| &row[..]), 1.0, &mut gram);
        let root = semidefinite_root(&gram, 4);
        for i in 0..4 {
            for k in 0..4 {
                let product: f64 = (0..4).map(|c| root[4 * i + c] * root[4 * k + c]).sum();
                assert!((product - gram[4 * i + k]).abs() < 1e-12);
                assert!(k <= i || root[4 * i + k] == 0.0);
            }
        }
        assert!(semidefinite_root(&[0.0; 4], 2).iter().all(|&x| x == 0.0));
    }
}
