//! One layer of linear attention with all its trained blocks, and its gradient on one context.
//!
//! Of `W^P` only the lower row of blocks, `[p1 p2]`, and of `W^Q` only the left column, `[q1; q2]`, touch the prediction. With the
//! sample covariance Sh of a context and its query x:
//!
//! ```text
//! Cxx = Sh + x x^T / N,  Cyx = W Sh,  Cyy = W Sh W^T
//! prediction = (p1 Cxx + p2 Cyx) q1 x + (p1 Cxy + p2 Cyy) q2 x
//! ```
//!
//! Products with these matrices need only products with Sh, W and W^T, so that a gradient takes O(d^2).

use crate::error::{Error, Result};
use crate::vector::{add_scaled, dot, norm_squared};

/// The trained blocks p1, p2, q1, q2, each d x d and row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Transformer {
    d: usize,
    values: Vec<f64>,
}

/// The blocks, in the order in which they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Value weights of the inputs.
    P1,
    /// Value weights of the outputs.
    P2,
    /// Key-query weights of the inputs.
    Q1,
    /// Key-query weights of the outputs.
    Q2,
}

impl Transformer {
    /// All blocks 0.
    pub fn zeros(d: usize) -> Self {
        Self { d, values: vec![0.0; 4 * d * d] }
    }

    /// The reduced model: p2 = p and q1 = q (d x d, row-major), the other blocks 0.
    ///
    /// # Errors
    /// [`Error::Value`] for another number of entries, or entries that are not finite.
    pub fn reduced(d: usize, p: &[f64], q: &[f64]) -> Result<Self> {
        let mut found = Self::zeros(d);
        for (what, block, values) in [("p2", Block::P2, p), ("q1", Block::Q1, q)] {
            if values.len() != d * d {
                return Err(Error::value(
                    format!("the number of entries of {what}"),
                    values.len(),
                    format!("{}, {d} x {d}", d * d),
                ));
            }
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(Error::value(format!("entry {at} of {what}"), values[at], "finite"));
            }
            found.block_mut(block).copy_from_slice(values);
        }
        Ok(found)
    }

    /// The number of inputs, d.
    pub fn dimension(&self) -> usize {
        self.d
    }

    /// A block, row-major.
    pub fn block(&self, block: Block) -> &[f64] {
        let size = self.d * self.d;
        &self.values[block as usize * size..(block as usize + 1) * size]
    }

    /// A block, row-major.
    pub fn block_mut(&mut self, block: Block) -> &mut [f64] {
        let size = self.d * self.d;
        &mut self.values[block as usize * size..(block as usize + 1) * size]
    }

    /// All blocks in one slice.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// All blocks in one slice.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// `|p1|^2 + |p2|^2 - |q1|^2 - |q2|^2`, which gradient flow conserves; of a gradient, what a step of rate eta adds over eta^2.
    pub fn imbalance(&self) -> f64 {
        let (p, q) = self.values.split_at(2 * self.d * self.d);
        norm_squared(p) - norm_squared(q)
    }
}

/// One context as the model sees it, and its task.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// The sample covariance `X X^T / N` of the context's inputs, d x d.
    pub sample_covariance: &'a [f64],
    /// The query x.
    pub query: &'a [f64],
    /// The task W, d x d, row-major.
    pub task: &'a [f64],
    /// The context length N.
    pub contexts: f64,
}

/// Room for the vectors of one gradient, so that no step allocates.
#[derive(Clone, Debug)]
pub struct Workspace {
    vectors: Vec<f64>,
}

impl Workspace {
    /// Room for a model of d inputs.
    pub fn new(d: usize) -> Self {
        Self { vectors: vec![0.0; 11 * d] }
    }
}

impl Transformer {
    /// Adds `weight` times the gradient on one example to `gradient` and returns the loss, half the squared error.
    ///
    /// # Panics
    /// When the example, the gradient or the room have another size than the model.
    pub fn accumulate(&self, example: &Example<'_>, weight: f64, gradient: &mut Transformer, room: &mut Workspace) -> f64 {
        let d = self.d;
        let (x, w, n) = (example.query, example.task, example.contexts);
        let mut vectors = room.vectors.chunks_exact_mut(d);
        let mut vector = || vectors.next().expect("the room was made for this model");
        let (keys, back, mixed, zx, zy, error) = (vector(), vector(), vector(), vector(), vector(), vector());
        let (by_x, by_y, joined, left_x, left_y) = (vector(), vector(), vector(), vector(), vector());

        // z = C (q1 x; q2 x), through Sh (q1 x + W^T q2 x).
        times(self.block(Block::Q1), x, keys);
        times(self.block(Block::Q2), x, back);
        transposed_times(w, back, mixed);
        add_scaled(mixed, 1.0, keys);
        times(example.sample_covariance, mixed, zx);
        times(w, zx, zy);
        add_scaled(zx, dot(x, keys) / n, x);

        times(self.block(Block::P1), zx, error);
        add_times(self.block(Block::P2), zy, error);
        times(w, x, keys);
        add_scaled(error, -1.0, keys);

        // (p1^T e; p2^T e) goes back through C in the same way.
        transposed_times(self.block(Block::P1), error, by_x);
        transposed_times(self.block(Block::P2), error, by_y);
        transposed_times(w, by_y, joined);
        add_scaled(joined, 1.0, by_x);
        times(example.sample_covariance, joined, left_x);
        times(w, left_x, left_y);
        add_scaled(left_x, dot(x, by_x) / n, x);

        add_outer(gradient.block_mut(Block::P1), weight, error, zx);
        add_outer(gradient.block_mut(Block::P2), weight, error, zy);
        add_outer(gradient.block_mut(Block::Q1), weight, left_x, x);
        add_outer(gradient.block_mut(Block::Q2), weight, left_y, x);
        0.5 * norm_squared(error)
    }
}

/// `out = A x`
fn times(a: &[f64], x: &[f64], out: &mut [f64]) {
    for (row, out) in a.chunks_exact(x.len()).zip(out) {
        *out = dot(row, x);
    }
}

/// `out += A x`
fn add_times(a: &[f64], x: &[f64], out: &mut [f64]) {
    for (row, out) in a.chunks_exact(x.len()).zip(out) {
        *out += dot(row, x);
    }
}

/// `out = A^T x`
fn transposed_times(a: &[f64], x: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for (row, x) in a.chunks_exact(out.len()).zip(x) {
        add_scaled(out, *x, row);
    }
}

/// `A += weight a b^T`
fn add_outer(out: &mut [f64], weight: f64, a: &[f64], b: &[f64]) {
    for (row, a) in out.chunks_exact_mut(b.len()).zip(a) {
        add_scaled(row, weight * a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::Mat;

    const D: usize = 3;
    const N: usize = 5;

    fn wave(seed: f64) -> impl FnMut() -> f64 {
        let mut at = seed;
        move || {
            at += 1.0;
            (at * at * 0.37).sin()
        }
    }

    fn model() -> Transformer {
        let mut next = wave(3.0);
        Transformer { d: D, values: (0..4 * D * D).map(|_| 0.5 * next()).collect() }
    }

    fn block(rows: &[f64]) -> Mat<f64> {
        Mat::from_fn(D, D, |i, j| rows[i * D + j])
    }

    /// The prediction from the definition: all tokens, all blocks, `Z + W^P (Z Z^T / N) W^Q Z`.
    fn by_definition(model: &Transformer, inputs: &Mat<f64>, query: &[f64], task: &Mat<f64>) -> Vec<f64> {
        let outputs = task * inputs;
        let tokens = Mat::from_fn(2 * D, N + 1, |i, j| match (i < D, j < N) {
            (true, true) => inputs[(i, j)],
            (true, false) => query[i],
            (false, true) => outputs[(i - D, j)],
            (false, false) => 0.0,
        });
        let blocks = [Block::P1, Block::P2, Block::Q1, Block::Q2].map(|which| block(model.block(which)));
        let mut other = wave(50.0);
        let mut any = |_: usize, _: usize| other();
        let (upper, right) = (Mat::from_fn(D, 2 * D, &mut any), Mat::from_fn(2 * D, D, &mut any));
        // The untrained blocks may be anything: they do not touch the prediction, except for the upper row of W^P, which writes elsewhere.
        let w_p = Mat::from_fn(2 * D, 2 * D, |i, j| match (i < D, j < D) {
            (true, _) => upper[(i, j)],
            (false, true) => blocks[0][(i - D, j)],
            (false, false) => blocks[1][(i - D, j - D)],
        });
        let w_q = Mat::from_fn(2 * D, 2 * D, |i, j| match (j < D, i < D) {
            (true, true) => blocks[2][(i, j)],
            (true, false) => blocks[3][(i - D, j)],
            (false, _) => right[(i, j - D)],
        });
        let out = &tokens + w_p * (&tokens * tokens.transpose() * faer::Scale(1.0 / N as f64)) * w_q * &tokens;
        (0..D).map(|i| out[(D + i, N)]).collect()
    }

    struct Data {
        inputs: Mat<f64>,
        query: Vec<f64>,
        task: Mat<f64>,
    }

    fn data() -> Data {
        let mut next = wave(20.0);
        let inputs = Mat::from_fn(D, N, |_, _| 1.5 * next());
        Data { inputs, query: (0..D).map(|_| next()).collect(), task: Mat::from_fn(D, D, |_, _| next()) }
    }

    fn loss_and_gradient(model: &Transformer, data: &Data) -> (f64, Transformer) {
        let covariance = &data.inputs * data.inputs.transpose() * faer::Scale(1.0 / N as f64);
        let example = Example {
            sample_covariance: &crate::matrix::to_rows(covariance.as_ref()),
            query: &data.query,
            task: &crate::matrix::to_rows(data.task.as_ref()),
            contexts: N as f64,
        };
        let mut gradient = Transformer::zeros(D);
        let loss = model.accumulate(&example, 1.0, &mut gradient, &mut Workspace::new(D));
        (loss, gradient)
    }

    #[test]
    fn the_loss_is_that_of_the_definition_and_the_gradient_its_central_difference() {
        let (model, data) = (model(), data());
        let by_tokens = |model: &Transformer| {
            let target = &data.task * faer::Mat::from_fn(D, 1, |i, _| data.query[i]);
            let prediction = by_definition(model, &data.inputs, &data.query, &data.task);
            0.5 * prediction.iter().enumerate().map(|(i, y)| (y - target[(i, 0)]).powi(2)).sum::<f64>()
        };
        let (loss, gradient) = loss_and_gradient(&model, &data);
        assert!((loss - by_tokens(&model)).abs() < 1e-13);
        for at in 0..model.values.len() {
            let moved = |by: f64| {
                let mut moved = model.clone();
                moved.values[at] += by;
                by_tokens(&moved)
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((gradient.values[at] - difference).abs() < 1e-8, "{at}: {} {difference}", gradient.values[at]);
        }
    }

    #[test]
    fn the_gradient_is_orthogonal_to_rescaling_on_every_example() {
        let (model, data) = (model(), data());
        let (_, gradient) = loss_and_gradient(&model, &data);
        let half = 2 * D * D;
        let defect = dot(&model.values[..half], &gradient.values[..half]) - dot(&model.values[half..], &gradient.values[half..]);
        assert!(defect.abs() < 1e-13);
    }

    #[test]
    fn bad_blocks_are_refused() {
        assert!(Transformer::reduced(2, &[1.0; 3], &[1.0; 4]).unwrap_err().to_string().contains("p2"));
        assert!(Transformer::reduced(2, &[1.0; 4], &[f64::NAN; 4]).unwrap_err().to_string().contains("q1"));
    }
}
