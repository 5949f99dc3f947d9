//! Random contexts, drawn through what the model sees of them.
//!
//! A linear transformer sees a context's inputs only through their sample covariance, which has Wishart's distribution. Bartlett's
//! decomposition draws it from about d^2 / 2 numbers, whatever the context length: `Sh = A A^T / N`, `A = F L`, F the Cholesky factor
//! of S and L lower triangular with normal entries below the diagonal and chi-distributed ones on it, of N, N - 1, ... degrees.

use faer::Side;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use thalweg_descent::streams::StreamRng;

use super::ahead::Ahead;
use super::problem::Problem;
use super::side_by_side::{Contexts, Law};
use crate::error::{Error, Result};
use crate::matrix::to_rows;
use crate::vector::{add_scaled, dot};

/// Draws sample covariances and queries of a problem.
#[derive(Clone, Debug)]
pub struct Sampler {
    d: usize,
    contexts: f64,
    /// The Cholesky factor of the input covariance, d x d.
    factor: Vec<f64>,
    /// The squares on the diagonal of L; fewer than d for contexts shorter than d.
    diagonal: Vec<ChiSquared<f64>>,
    /// Row i of A.
    rows: Vec<f64>,
    triangle: Vec<f64>,
    normals: Vec<f64>,
}

impl Sampler {
    /// A sampler of a problem.
    ///
    /// # Errors
    /// [`Error::Value`] when the covariance has no Cholesky factor.
    pub fn new(problem: &Problem) -> Result<Self> {
        let (d, n) = (problem.dimension(), problem.contexts());
        let failed = |_| Error::value("the input covariance", "singular to rounding", "positive definite");
        let factor = problem.covariance().llt(Side::Lower).map_err(failed)?;
        let columns = d.min(usize::try_from(n).unwrap_or(usize::MAX));
        let degrees = |i: usize| ChiSquared::new(n as f64 - i as f64).expect("degrees are above 0");
        Ok(Self {
            d,
            contexts: n as f64,
            factor: to_rows(factor.L()),
            diagonal: (0..columns).map(degrees).collect(),
            rows: vec![0.0; d * columns],
            triangle: vec![0.0; d * columns],
            normals: vec![0.0; d],
        })
    }

    /// Draws a sample covariance (d x d) and a query (d).
    ///
    /// # Panics
    /// When the slices have other sizes.
    pub fn draw(&mut self, rng: &mut StreamRng, sample_covariance: &mut [f64], query: &mut [f64]) {
        let (d, columns) = (self.d, self.diagonal.len());
        for (i, row) in self.triangle.chunks_exact_mut(columns).enumerate() {
            let below = i.min(columns);
            row[..below].iter_mut().for_each(|entry| *entry = StandardNormal.sample(rng));
            if let Some(square) = self.diagonal.get(i) {
                row[i] = square.sample(rng).sqrt();
            }
        }
        for (factor, row) in self.factor.chunks_exact(d).zip(self.rows.chunks_exact_mut(columns)).take(d) {
            row.fill(0.0);
            for (weight, triangle) in factor.iter().zip(self.triangle.chunks_exact(columns)) {
                if *weight != 0.0 {
                    add_scaled(row, *weight, triangle);
                }
            }
        }
        for i in 0..d {
            for j in 0..=i {
                let entry = dot(&self.rows[i * columns..(i + 1) * columns], &self.rows[j * columns..(j + 1) * columns]);
                sample_covariance[i * d + j] = entry / self.contexts;
                sample_covariance[j * d + i] = entry / self.contexts;
            }
        }
        self.normals.iter_mut().for_each(|entry| *entry = StandardNormal.sample(rng));
        for (factor, entry) in self.factor.chunks_exact(d).zip(query) {
            *entry = dot(factor, &self.normals);
        }
    }
}

impl Sampler {
    /// Room for contexts side by side.
    pub(super) fn contexts(&self) -> Contexts {
        Contexts::new(self.d, self.diagonal.len())
    }

    /// Draws so many contexts, as [`draw`](Self::draw) would one after the other.
    pub(super) fn draw_side_by_side(&self, rng: &mut Ahead, count: usize, contexts: &mut Contexts) {
        let law = Law { factor: &self.factor, diagonal: &self.diagonal, contexts: self.contexts };
        contexts.draw(law, count, rng);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icl::Tasks;
    use crate::icl::matrix_flow::wishart_mean;
    use faer::Mat;
    use thalweg_descent::Seed;

    const COVARIANCE: [f64; 9] = [1.0, 0.3, 0.0, 0.3, 0.8, -0.2, 0.0, -0.2, 0.5];

    fn problem(contexts: u64) -> Problem {
        Problem::new(&COVARIANCE, contexts, Tasks::hadamard(3)).unwrap()
    }

    /// Draws every input of the context.
    fn draw_inputs(problem: &Problem, rng: &mut StreamRng) -> Mat<f64> {
        let factor = problem.covariance().llt(Side::Lower).unwrap();
        let n = problem.contexts() as usize;
        let normals: Mat<f64> = Mat::from_fn(3, n, |_, _| StandardNormal.sample(rng));
        let inputs = factor.L() * normals;
        &inputs * inputs.transpose() * faer::Scale(1.0 / n as f64)
    }

    /// The largest deviation of the mean of `Sh Y Sh` from Wishart's identity, in standard errors, over entries and draws.
    fn deviation(contexts: u64, mut draw: impl FnMut(u64) -> Mat<f64>) -> f64 {
        let y = Mat::from_fn(3, 3, |i, j| 1.0 / (1 + i + j) as f64);
        let expected = wishart_mean(problem(contexts).covariance(), y.as_ref(), contexts);
        let draws = 20_000u64;
        let (mut sum, mut squares) = (Mat::<f64>::zeros(3, 3), Mat::<f64>::zeros(3, 3));
        for at in 0..draws {
            let sample = draw(at);
            let found = &sample * &y * &sample;
            squares += Mat::from_fn(3, 3, |i, j| found[(i, j)].powi(2));
            sum += found;
        }
        let count = draws as f64;
        let z = |i: usize, j: usize| {
            let mean = sum[(i, j)] / count;
            let error = ((squares[(i, j)] / count - mean * mean) / count).sqrt();
            ((mean - expected[(i, j)]) / error).abs()
        };
        (0..9).map(|at| z(at / 3, at % 3)).fold(0.0, f64::max)
    }

    // 9 entries, 5.5 standard errors: one false alarm in three million runs; the draws are fixed by the seed.
    #[test]
    fn bartlett_and_direct_draws_have_the_moments_of_wisharts_identity() {
        for contexts in [1, 2, 3, 8] {
            let mut sampler = Sampler::new(&problem(contexts)).unwrap();
            let (stream, mut query) = (Seed(7).stream("bartlett"), [0.0; 3]);
            let bartlett = deviation(contexts, |at| {
                let mut rows = [0.0; 9];
                sampler.draw(&mut stream.at(at), &mut rows, &mut query);
                Mat::from_fn(3, 3, |i, j| rows[3 * i + j])
            });
            let direct = deviation(contexts, |at| draw_inputs(&problem(contexts), &mut Seed(8).stream("direct").at(at)));
            assert!(bartlett < 5.5 && direct < 5.5, "N = {contexts}: {bartlett} {direct}");
        }
        // The negative control: the moments of another context length are found out.
        let wrong = deviation(8, |at| draw_inputs(&problem(6), &mut Seed(8).stream("direct").at(at)));
        assert!(wrong > 8.0, "{wrong}");
    }

    #[test]
    fn queries_have_the_covariance_of_the_inputs() {
        let mut sampler = Sampler::new(&problem(4)).unwrap();
        let (stream, mut rows, mut query) = (Seed(9).stream("queries"), [0.0; 9], [0.0; 3]);
        let mut sums = [0.0; 9];
        for at in 0..20_000 {
            sampler.draw(&mut stream.at(at), &mut rows, &mut query);
            (0..9).for_each(|at| sums[at] += query[at / 3] * query[at % 3] / 20_000.0);
        }
        // Standard errors are at most sqrt(2 / 20000) = 0.01.
        assert!(sums.iter().zip(COVARIANCE).all(|(a, b)| (a - b).abs() < 0.055), "{sums:?}");
    }
}
