//! Layers of attention alone, on sequences of vectors.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::at_least_one;
use crate::{Attention, AttentionConfig, Error, Linear, LinearConfig, Mask, Pass, Plan, Result, last_position, residual};

/// Describes an [`AttentionOnly`] network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AttentionOnlyConfig {
    /// Numbers of each vector of a sequence.
    pub inputs: usize,
    /// Numbers out.
    pub outputs: usize,
    /// Numbers in each position.
    pub width: usize,
    /// Layers of attention.
    pub layers: usize,
    /// Attention heads; they divide the width.
    pub heads: usize,
}

impl AttentionOnlyConfig {
    /// Registers `input`, `layer.0.attention`, ... and `output`; only the attention layers have biases.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0 or the heads do not divide the width.
    pub fn build(&self, plan: &mut Plan) -> Result<AttentionOnly> {
        at_least_one("attention-only", "layers", self.layers)?;
        let input = LinearConfig::new(self.inputs, self.width).without_bias().build(plan, "input")?;
        let attention = AttentionConfig::new(self.width, self.heads);
        let layers = (0..self.layers).map(|at| attention.build(plan, &format!("layer.{at}.attention"))).collect::<Result<_>>()?;
        let output = LinearConfig::new(self.width, self.outputs).without_bias().build(plan, "output")?;
        Ok(AttentionOnly { inputs: self.inputs, input, layers, output })
    }
}

/// A dense layer on each vector, residual layers of softmax attention without norms or positions, and a dense layer on the last
/// position: what a transformer can do in context by attention alone.
#[derive(Clone, Debug)]
pub struct AttentionOnly {
    inputs: usize,
    input: Linear,
    layers: Vec<Attention>,
    output: Linear,
}

impl AttentionOnly {
    /// From sequences that lie vector after vector, `[n, length * inputs]`, to `[n, outputs]`.
    ///
    /// # Errors
    /// [`Error::Samples`] when the numbers are not whole vectors.
    pub fn forward(&self, pass: &Pass<'_>, sequences: Tensor<2>) -> Result<Tensor<2>> {
        let [n, numbers] = sequences.dims();
        if numbers == 0 || !numbers.is_multiple_of(self.inputs) {
            let reason = format!("{numbers} numbers of a sequence; the network takes whole vectors of {}", self.inputs);
            return Err(Error::Samples(reason));
        }
        let vectors = sequences.reshape([n, numbers / self.inputs, self.inputs]);
        let mut x = self.input.forward(pass, vectors)?;
        for layer in &self.layers {
            x = residual(x, |x| layer.forward(pass, x, &Mask::none()))?;
        }
        self.output.forward(pass, last_position(x))
    }
}
