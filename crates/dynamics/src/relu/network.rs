//! Deep ReLU networks with fixed output weights: outputs, gradients and the kernel of finite width.
//!
//! `h^0 = x`, `h^l = sqrt(2/m) relu(W^l h^{l-1})`, `f = a^T h^L`. Backwards, with `D^l` the pattern of non-negative pre-activations,
//! `b^L = sqrt(2/m) D^L a`, `b^l = sqrt(2/m) D^l W^{l+1,T} b^{l+1}`, and `df/dW^l = b^l h^{l-1,T}`.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rand_distr::{Distribution, StandardNormal};
use thalweg_descent::streams::StreamRng;

use super::examples::{Examples, logistic_pull};
use super::kernel::check_depth;
use crate::error::{Error, Result};
use crate::matrix::product;

/// The sizes of a network: d inputs, m units in each of L hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    inputs: usize,
    width: usize,
    depth: usize,
}

/// The widest network that is taken.
const WIDEST: usize = 16_384;

/// At most 2 GiB of numbers are held at once.
const MOST_NUMBERS: u128 = 1 << 28;

pub(super) fn check_size(what: &str, numbers: u128) -> Result<()> {
    if numbers <= MOST_NUMBERS {
        return Ok(());
    }
    Err(Error::value(what, numbers, format!("at most {MOST_NUMBERS}, which take 2 GiB")))
}

impl Shape {
    /// A network's sizes.
    ///
    /// # Errors
    /// [`Error::Value`] unless d is 1 or more, m even and 2 to 16384, and L 1 to 100.
    pub fn new(inputs: usize, width: usize, depth: usize) -> Result<Self> {
        if inputs == 0 {
            return Err(Error::value("the number of inputs d", 0, "1 or more"));
        }
        if !width.is_multiple_of(2) {
            return Err(Error::value("the width m", width, "even: the start is symmetric in its halves"));
        }
        if !(2..=WIDEST).contains(&width) {
            return Err(Error::value("the width m", width, format!("2 to {WIDEST}")));
        }
        check_depth(depth)?;
        let weights = width as u128 * (inputs as u128 + (depth - 1) as u128 * width as u128);
        check_size("the number of weights", weights)?;
        Ok(Self { inputs, width, depth })
    }

    /// The inputs d.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The units m of each hidden layer.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The hidden layers L.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The columns of a layer's weights, counted from 0.
    fn columns(&self, layer: usize) -> usize {
        if layer == 0 { self.inputs } else { self.width }
    }

    /// `sqrt(2/m)`
    fn scale(&self) -> f64 {
        (2.0 / self.width as f64).sqrt()
    }
}

/// A deep ReLU network.
#[derive(Clone, Debug)]
pub struct Network {
    shape: Shape,
    /// W^1 to W^L.
    weights: Vec<Mat<f64>>,
    /// The output weights a, +-1.
    signs: Vec<f64>,
}

impl Network {
    /// A symmetric start from numbers that should be normal: `W^1` to `W^L`, row by row; of `W^L` the first half, which the second
    /// repeats. Output weights are +1, -1, +1, ... on the first half and opposite on the second, so that the network is 0.
    pub fn symmetric(shape: Shape, mut normal: impl FnMut() -> f64) -> Self {
        let half = shape.width / 2;
        let weights = (0..shape.depth)
            .map(|layer| {
                let rows = if layer + 1 == shape.depth { half } else { shape.width };
                let columns = shape.columns(layer);
                let drawn: Vec<f64> = (0..rows * columns).map(|_| normal()).collect();
                Mat::from_fn(shape.width, columns, |i, j| drawn[i % rows * columns + j])
            })
            .collect();
        let sign = |unit: usize| if unit.is_multiple_of(2) { 1.0 } else { -1.0 };
        let signs = (0..shape.width).map(|unit| if unit < half { sign(unit) } else { -sign(unit - half) }).collect();
        Self { shape, weights, signs }
    }

    /// A symmetric start from a random stream.
    pub fn random(shape: Shape, rng: &mut StreamRng) -> Self {
        Self::symmetric(shape, || StandardNormal.sample(rng))
    }

    /// The sizes.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The hidden layers' weights, `W^1` (m x d) first.
    pub fn weights(&self) -> &[Mat<f64>] {
        &self.weights
    }

    /// The hidden layers' weights.
    pub fn weights_mut(&mut self) -> &mut [Mat<f64>] {
        &mut self.weights
    }

    /// The outputs on examples.
    ///
    /// # Errors
    /// [`Error::Value`] for examples of another dimension.
    pub fn outputs(&self, examples: &Examples) -> Result<Vec<f64>> {
        let n = examples.len();
        let mut outputs = Vec::with_capacity(n);
        for first in (0..n).step_by(BLOCK) {
            let block = examples.points().subcols(first, BLOCK.min(n - first));
            let mut pass = Pass::on(self, block)?;
            pass.forward(self);
            outputs.append(&mut pass.outputs);
        }
        Ok(outputs)
    }

    /// The neural tangent kernel of this network on examples, `K_ij = sum_l <b^l_i, b^l_j> <h^{l-1}_i, h^{l-1}_j>`.
    ///
    /// # Errors
    /// [`Error::Value`] for examples of another dimension.
    pub fn kernel(&self, examples: &Examples) -> Result<Mat<f64>> {
        let pass = Pass::of(self, examples)?;
        let n = examples.len();
        let mut kernel = Mat::zeros(n, n);
        for layer in 0..self.shape.depth {
            let back = product(pass.back[layer].transpose(), pass.back[layer].as_ref());
            let hidden = product(pass.below(layer).transpose(), pass.below(layer));
            kernel += Mat::from_fn(n, n, |i, j| back[(i, j)] * hidden[(i, j)]);
        }
        Ok(kernel)
    }
}

/// Outputs are computed for so many examples at a time.
const BLOCK: usize = 1024;

/// All layers on all examples, forwards and backwards; made once, so that no step allocates.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    inputs: Mat<f64>,
    /// Pre-activations of each layer, m x n.
    pre: Vec<Mat<f64>>,
    /// Hidden layers h^1 to h^L, m x n.
    hidden: Vec<Mat<f64>>,
    /// `b^l`, one column an example, times the example's weight.
    pub(super) back: Vec<Mat<f64>>,
    pub(super) outputs: Vec<f64>,
}

impl Pass {
    pub(super) fn new(network: &Network, examples: &Examples) -> Result<Self> {
        Self::on(network, examples.points())
    }

    fn on(network: &Network, points: MatRef<'_, f64>) -> Result<Self> {
        let Shape { inputs, width, depth } = network.shape;
        let n = points.ncols();
        if points.nrows() != inputs {
            return Err(Error::value("the dimension of the examples", points.nrows(), format!("{inputs}, as the network")));
        }
        check_size("the number of activations", 3 * width as u128 * n as u128 * depth as u128)?;
        let layers = || vec![Mat::zeros(width, n); depth];
        Ok(Self { inputs: points.to_owned(), pre: layers(), hidden: layers(), back: layers(), outputs: vec![0.0; n] })
    }

    /// Both passes, each example with weight 1, so that `back` holds the `b^l` themselves.
    pub(super) fn of(network: &Network, examples: &Examples) -> Result<Self> {
        let mut pass = Self::new(network, examples)?;
        pass.forward(network);
        pass.backward(network, |_, _| 1.0);
        Ok(pass)
    }

    /// `h^{l-1}`, below the layer of that index, from 0.
    pub(super) fn below(&self, layer: usize) -> MatRef<'_, f64> {
        if layer == 0 { self.inputs.as_ref() } else { self.hidden[layer - 1].as_ref() }
    }

    /// Whether a unit is active on an example.
    pub(super) fn is_active(&self, layer: usize, unit: usize, example: usize) -> bool {
        self.pre[layer][(unit, example)] >= 0.0
    }

    pub(super) fn forward(&mut self, network: &Network) {
        let scale = network.shape.scale();
        for layer in 0..network.shape.depth {
            let (done, rest) = self.hidden.split_at_mut(layer);
            let below = if layer == 0 { self.inputs.as_ref() } else { done[layer - 1].as_ref() };
            multiply(self.pre[layer].as_mut(), network.weights[layer].as_ref(), below);
            let pre = self.pre[layer].as_ref();
            by_columns(rest[0].as_mut(), 0, &|first, mut hidden| {
                for j in 0..hidden.ncols() {
                    let above = hidden.as_mut().col_mut(j).iter_mut();
                    above.zip(pre.col(first + j).iter()).for_each(|(hidden, pre)| *hidden = scale * pre.max(0.0));
                }
            });
        }
        let top = &self.hidden[network.shape.depth - 1];
        for (j, output) in self.outputs.iter_mut().enumerate() {
            *output = network.signs.iter().zip(top.col(j).iter()).map(|(sign, hidden)| sign * hidden).sum();
        }
    }

    /// The backward pass, each example with the weight that its index and output give it.
    pub(super) fn backward(&mut self, network: &Network, weight: impl Fn(usize, f64) -> f64) {
        let (scale, depth) = (network.shape.scale(), network.shape.depth);
        for layer in (0..depth).rev() {
            let (below, above) = self.back.split_at_mut(layer + 1);
            let back = &mut below[layer];
            if let Some(above) = above.first() {
                multiply(back.as_mut(), network.weights[layer + 1].transpose(), above.as_ref());
            } else {
                for (j, output) in self.outputs.iter().enumerate() {
                    let weight = weight(j, *output);
                    back.col_mut(j).iter_mut().zip(&network.signs).for_each(|(back, sign)| *back = weight * sign);
                }
            }
            let pre = self.pre[layer].as_ref();
            by_columns(back.as_mut(), 0, &|first, mut back| {
                for j in 0..back.ncols() {
                    let pattern = pre.col(first + j).iter();
                    let masked = back.as_mut().col_mut(j).iter_mut().zip(pattern);
                    masked.for_each(|(back, pre)| *back = if *pre >= 0.0 { scale * *back } else { 0.0 });
                }
            });
        }
    }

    /// The backward pass of the mean logistic loss.
    pub(super) fn backward_loss(&mut self, network: &Network, labels: &[f64]) {
        let n = labels.len() as f64;
        self.backward(network, |at, output| -labels[at] * logistic_pull(labels[at] * output) / n);
    }

    /// Writes the gradients that the last backward pass summed over examples.
    pub(super) fn gradients(&self, gradients: &mut [Mat<f64>]) {
        for (layer, gradient) in gradients.iter_mut().enumerate() {
            multiply(gradient.as_mut(), self.back[layer].as_ref(), self.below(layer).transpose());
        }
    }
}

/// Threads share a matrix by so many columns each, whatever their number: so it changes no bit.
const PART: usize = 512;

/// Calls `f` on parts of the columns, with the place of their first, on all threads.
fn by_columns(matrix: MatMut<'_, f64>, first: usize, f: &(impl Fn(usize, MatMut<'_, f64>) + Sync)) {
    let parts = matrix.ncols().div_ceil(PART);
    if parts <= 1 {
        return f(first, matrix);
    }
    let half = parts / 2 * PART;
    let (left, right) = matrix.split_at_col_mut(half);
    rayon::join(|| by_columns(left, first, f), || by_columns(right, first + half, f));
}

/// `out = A B`
fn multiply(out: MatMut<'_, f64>, a: MatRef<'_, f64>, b: MatRef<'_, f64>) {
    by_columns(out, 0, &|first, out| {
        let columns = b.subcols(first, out.ncols());
        matmul(out, Accum::Replace, a, columns, 1.0, Par::Seq);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relu::{Start, kernel, xor};
    use thalweg_descent::Seed;

    fn network(width: usize, depth: usize) -> Network {
        Network::random(Shape::new(6, width, depth).unwrap(), &mut Seed(4).stream("network").at(0))
    }

    fn examples() -> Examples {
        xor::all(6).unwrap().select(&[3, 17, 25, 40, 62]).unwrap()
    }

    /// The start moved off its symmetry, so that all layers have gradients.
    fn moved(depth: usize) -> Network {
        let mut network = network(10, depth);
        let mut rng = Seed(5).stream("move").at(0);
        for weights in network.weights_mut() {
            *weights += Mat::from_fn(weights.nrows(), weights.ncols(), |_, _| {
                let normal: f64 = StandardNormal.sample(&mut rng);
                0.3 * normal
            });
        }
        network
    }

    #[test]
    fn a_symmetric_start_is_zero_and_moves_its_last_layer_alone() {
        for depth in 1..4 {
            let network = network(32, depth);
            assert!(network.outputs(&examples()).unwrap().iter().all(|output| output.abs() < 1e-14));
            let mut pass = Pass::of(&network, &examples()).unwrap();
            pass.backward_loss(&network, examples().labels());
            let mut gradients: Vec<Mat<f64>> = network.weights().to_vec();
            pass.gradients(&mut gradients);
            for (layer, gradient) in gradients.iter().enumerate() {
                assert_eq!(gradient.norm_l2() > 1e-3, layer + 1 == depth);
                assert!(layer + 1 == depth || gradient.norm_l2() < 1e-14);
            }
        }
    }

    #[test]
    fn gradients_are_central_differences() {
        for depth in 1..4 {
            let (network, examples) = (moved(depth), examples());
            let mut pass = Pass::of(&network, &examples).unwrap();
            pass.backward_loss(&network, examples.labels());
            let mut gradients: Vec<Mat<f64>> = network.weights().to_vec();
            pass.gradients(&mut gradients);
            for (layer, gradient) in gradients.iter().enumerate() {
                for (i, j) in [(0, 0), (3, 2), (9, 5), (6, 1)] {
                    let loss = |by: f64| {
                        let mut moved = network.clone();
                        moved.weights_mut()[layer][(i, j)] += by;
                        examples.loss(moved.outputs(&examples).unwrap())
                    };
                    let difference = (loss(1e-6) - loss(-1e-6)) / 2e-6;
                    assert!((gradient[(i, j)] - difference).abs() < 1e-9, "{depth} {layer} {i} {j}");
                }
            }
        }
    }

    #[test]
    fn threads_share_columns_without_changing_a_bit() {
        let examples = xor::all(11).unwrap();
        let gradients = || {
            let network = Network::random(Shape::new(11, 10, 2).unwrap(), &mut Seed(4).stream("x").at(0));
            let mut pass = Pass::of(&network, &examples).unwrap();
            pass.backward_loss(&network, examples.labels());
            let mut gradients = network.weights().to_vec();
            pass.gradients(&mut gradients);
            (pass.outputs, gradients)
        };
        let on = |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(gradients);
        assert!(on(1) == on(3));
    }

    #[test]
    fn outputs_come_in_blocks() {
        let (network, all) =
            (Network::random(Shape::new(11, 6, 2).unwrap(), &mut Seed(4).stream("x").at(0)), xor::all(11).unwrap());
        let outputs = network.outputs(&all).unwrap();
        assert_eq!(outputs.len(), 2048);
        for at in [0, 1023, 1024, 2047] {
            assert!((outputs[at] - network.outputs(&all.select(&[at]).unwrap()).unwrap()[0]).abs() < 1e-14);
        }
    }

    #[test]
    fn the_kernel_is_the_gram_matrix_of_the_gradients() {
        for depth in 1..4 {
            let (network, examples) = (moved(depth), examples());
            let kernel = network.kernel(&examples).unwrap();
            let gradient = |at: usize| {
                let one = examples.select(&[at]).unwrap();
                let mut gradients: Vec<Mat<f64>> = network.weights().to_vec();
                Pass::of(&network, &one).unwrap().gradients(&mut gradients);
                gradients
            };
            let all: Vec<Vec<Mat<f64>>> = (0..examples.len()).map(gradient).collect();
            for i in 0..examples.len() {
                for j in 0..examples.len() {
                    let layer =
                        |l: usize| (0..all[i][l].ncols()).map(|c| all[i][l].col(c).transpose() * all[j][l].col(c)).sum::<f64>();
                    assert!((kernel[(i, j)] - (0..depth).map(layer).sum::<f64>()).abs() < 1e-12);
                }
            }
        }
    }

    // Over 6 networks of 2048 units, an entry's standard error is about sqrt(2 / 1024 / 6) = 0.018 at most; the draws are fixed.
    #[test]
    fn wide_networks_approach_the_infinite_kernel() {
        let examples = examples();
        for depth in 1..=2 {
            let mut mean = Mat::<f64>::zeros(5, 5);
            for draw in 0..6 {
                let shape = Shape::new(6, 2048, depth).unwrap();
                let network = Network::random(shape, &mut Seed(6).stream("wide").at(draw));
                mean += network.kernel(&examples).unwrap() * faer::Scale(1.0 / 6.0);
            }
            let infinite = kernel::matrix(&examples, depth, Start::Symmetric).unwrap();
            assert!((mean - infinite).norm_max() < 0.05, "{depth}");
        }
    }

    #[test]
    fn bad_shapes_are_refused_by_name() {
        let refused = |d, m, l| Shape::new(d, m, l).unwrap_err().to_string();
        assert!(refused(0, 4, 1).contains("inputs d"));
        assert!(refused(3, 5, 1).contains("even"));
        assert!(refused(3, 0, 1).contains("width m is 0"));
        assert!(refused(3, 1 << 20, 1).contains("16384"));
        assert!(refused(3, 4, 0).contains("depth L"));
        assert!(refused(3, 16384, 3).contains("2 GiB") && refused(usize::MAX, 2, 1).contains("2 GiB"));
        let small = Network::random(Shape::new(3, 4, 1).unwrap(), &mut Seed(1).stream("x").at(0));
        assert!(small.outputs(&examples()).unwrap_err().to_string().contains("dimension of the examples"));
    }
}
