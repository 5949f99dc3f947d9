//! Dense layers.

use burn::Tensor;
use serde::{Deserialize, Serialize};
use thalweg_descent::BlockId;

use crate::error::at_least_one;
use crate::host::linear::{LinearMap, Orientation};
use crate::pass::Place;
use crate::plan::Initial;
use crate::tap::{Kind, Use};
use crate::{Error, Pass, Plan, Result};

/// Describes a [`Linear`] layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinearConfig {
    /// Numbers in.
    pub inputs: usize,
    /// Numbers out.
    pub outputs: usize,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub bias: bool,
}

fn yes() -> bool {
    true
}

impl LinearConfig {
    /// With a bias.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self { inputs, outputs, bias: true }
    }

    /// Leaves out the bias.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// Registers `name.weight` of shape `[inputs, outputs]` and `name.bias`, both uniform within `1 / sqrt(inputs)`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0.
    pub fn build(&self, plan: &mut Plan, name: &str) -> Result<Linear> {
        at_least_one(name, "inputs", self.inputs)?;
        at_least_one(name, "outputs", self.outputs)?;
        let initial = Initial::fan_in(self.inputs);
        let weight = plan.block(&format!("{name}.weight"), &[self.inputs, self.outputs], initial)?;
        let bias = self.bias.then(|| plan.block(&format!("{name}.bias"), &[self.outputs], initial)).transpose()?;
        Ok(Linear { inputs: self.inputs, outputs: self.outputs, weight, bias })
    }
}

/// `z = a W + b` on the last dimension.
#[derive(Clone, Debug)]
pub struct Linear {
    inputs: usize,
    outputs: usize,
    weight: BlockId,
    bias: Option<BlockId>,
}

impl Linear {
    /// From `[.., inputs]` to `[.., outputs]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the last dimension is not `inputs`.
    pub fn forward<const D: usize>(&self, pass: &Pass<'_>, input: Tensor<D>) -> Result<Tensor<D>> {
        map_rows(pass, input, [self.inputs, self.outputs], Orientation::Forwards, self.weight, self.bias)
    }
}

/// The rows of a tensor times a weight block, plus a bias.
pub(crate) fn map_rows<const D: usize>(
    pass: &Pass<'_>,
    input: Tensor<D>,
    [inputs, outputs]: [usize; 2],
    orientation: Orientation,
    weight: BlockId,
    bias: Option<BlockId>,
) -> Result<Tensor<D>> {
    if input.dims()[D - 1] != inputs {
        let layer = pass.layout().block(weight).name.clone();
        return Err(Error::Shape { layer, expected: format!("[.., {inputs}]"), found: input.dims().to_vec() });
    }
    let uses = pass.uses(&input, |input| {
        let matrix = Use { block: weight, kind: Kind::Linear { inputs, outputs, orientation, input } };
        let offset = |block| Use { block, kind: Kind::Channel { channels: outputs, inner: 1, factor: None } };
        std::iter::once(matrix).chain(bias.map(offset)).collect()
    })?;
    if pass.place() == Place::Host {
        let (weight, bias) = (pass.host_parameter(weight), bias.map(|bias| pass.host_parameter(bias)));
        return Ok(pass.apply(LinearMap { inputs, outputs, orientation, weight, bias }, input, uses));
    }
    let mut dims = input.dims();
    let rows = dims[..D - 1].iter().product::<usize>();
    dims[D - 1] = outputs;
    let weight = pass.parameter::<2>(weight);
    let weight = if orientation == Orientation::Transposed { weight.transpose() } else { weight };
    let mut output = input.reshape([rows, inputs]).matmul(weight);
    if let Some(bias) = bias {
        output = output + pass.parameter::<1>(bias).unsqueeze();
    }
    Ok(pass.tap(output.reshape(dims), uses))
}
