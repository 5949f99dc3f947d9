//! Two-dimensional convolution.

use burn::Tensor;
use burn::tensor::ops::ConvOptions;
use serde::{Deserialize, Serialize};
use thalweg_descent::BlockId;

use crate::error::at_least_one;
use crate::host::columns::Geometry;
use crate::host::convolution::Convolution;
use crate::pass::Place;
use crate::plan::Initial;
use crate::tap::{Kind, Use};
use crate::{Error, Pass, Plan, Result};

/// Describes a [`Conv2d`] layer. Pairs are (vertical, horizontal).
///
/// ```
/// use thalweg_nn::{Conv2dConfig, Plan};
///
/// let mut plan = Plan::new();
/// Conv2dConfig::new([3, 32], [3, 3]).with_padding([1, 1]).build(&mut plan, "first")?;
/// assert_eq!(plan.layout().len(), 32 * 3 * 9 + 32);
///
/// let error = Conv2dConfig::new([3, 32], [3, 3]).with_groups(2).build(&mut plan, "second").unwrap_err();
/// assert_eq!(error.to_string(), "second: groups = 2; it must divide both the 3 input and the 32 output channels");
/// # Ok::<(), thalweg_nn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Conv2dConfig {
    /// Input and output channels.
    pub channels: [usize; 2],
    /// The size of the kernel.
    pub kernel: [usize; 2],
    /// Steps between windows.
    #[serde(default = "ones")]
    pub stride: [usize; 2],
    /// Zeros around the image.
    #[serde(default)]
    pub padding: [usize; 2],
    /// Distance between kernel entries.
    #[serde(default = "ones")]
    pub dilation: [usize; 2],
    /// Into how many parts the channels fall, each convolved on its own.
    #[serde(default = "one")]
    pub groups: usize,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub bias: bool,
}

fn ones() -> [usize; 2] {
    [1, 1]
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

impl Conv2dConfig {
    /// With stride 1, no padding, no dilation, one group and a bias.
    pub fn new(channels: [usize; 2], kernel: [usize; 2]) -> Self {
        Self { channels, kernel, stride: ones(), padding: [0, 0], dilation: ones(), groups: 1, bias: true }
    }

    /// Sets the steps between windows.
    #[must_use]
    pub fn with_stride(mut self, stride: [usize; 2]) -> Self {
        self.stride = stride;
        self
    }

    /// Sets the zeros around the image.
    #[must_use]
    pub fn with_padding(mut self, padding: [usize; 2]) -> Self {
        self.padding = padding;
        self
    }

    /// Sets the distance between kernel entries.
    #[must_use]
    pub fn with_dilation(mut self, dilation: [usize; 2]) -> Self {
        self.dilation = dilation;
        self
    }

    /// Sets the number of groups; as many as channels make a depthwise convolution.
    #[must_use]
    pub fn with_groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Leaves out the bias.
    #[must_use]
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// Registers `name.weight` of shape `[out, in / groups, tall, wide]` and `name.bias`, both uniform within
    /// `1 / sqrt(in / groups * tall * wide)`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0 or the groups do not divide the channels.
    pub fn build(&self, plan: &mut Plan, name: &str) -> Result<Conv2d> {
        let [inputs, outputs] = self.channels;
        for (field, pair) in
            [("channels", self.channels), ("kernel", self.kernel), ("stride", self.stride), ("dilation", self.dilation)]
        {
            at_least_one(name, field, pair[0].min(pair[1]))?;
        }
        at_least_one(name, "groups", self.groups)?;
        if !inputs.is_multiple_of(self.groups) || !outputs.is_multiple_of(self.groups) {
            let expected = format!("it must divide both the {inputs} input and the {outputs} output channels");
            return Err(Error::config(name, "groups", self.groups, expected));
        }
        let [tall, wide] = self.kernel;
        let initial = Initial::fan_in(inputs / self.groups * tall * wide);
        let weight = plan.block(&format!("{name}.weight"), &[outputs, inputs / self.groups, tall, wide], initial)?;
        let bias = self.bias.then(|| plan.block(&format!("{name}.bias"), &[outputs], initial)).transpose()?;
        Ok(Conv2d { config: self.clone(), weight, bias })
    }
}

/// A convolution of images `[n, channels, height, width]`.
///
/// On the processor it is this crate's own operation: columns of a band of rows that fit the cache, and matrix products.
#[derive(Clone, Debug)]
pub struct Conv2d {
    config: Conv2dConfig,
    weight: BlockId,
    bias: Option<BlockId>,
}

impl Conv2d {
    /// From `[n, in, height, width]` to `[n, out, height', width']`, where
    /// `height' = (height + 2 padding - dilation (kernel - 1) - 1) / stride + 1`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the channels are others or the kernel does not fit into the padded image.
    pub fn forward(&self, pass: &Pass<'_>, input: Tensor<4>) -> Result<Tensor<4>> {
        let geometry = self.geometry(pass, input.dims())?;
        let uses = pass.uses(&input, |input| {
            let weight = Use { block: self.weight, kind: Kind::Convolution { geometry, input } };
            let (channels, inner) = (geometry.filters, geometry.positions());
            let offset = |block| Use { block, kind: Kind::Channel { channels, inner, factor: None } };
            std::iter::once(weight).chain(self.bias.map(offset)).collect()
        })?;
        if pass.place() == Place::Host {
            let weight = pass.host_parameter(self.weight);
            let bias = self.bias.map(|bias| pass.host_parameter(bias));
            return Ok(pass.apply(Convolution { geometry, weight, bias }, input, uses));
        }
        let options = ConvOptions::new(geometry.stride, geometry.padding, geometry.dilation, geometry.groups);
        let bias = self.bias.map(|bias| pass.parameter::<1>(bias));
        let output = burn::tensor::module::conv2d(input, pass.parameter::<4>(self.weight), bias, options);
        Ok(pass.tap(output, uses))
    }

    fn geometry(&self, pass: &Pass<'_>, dims: [usize; 4]) -> Result<Geometry> {
        let [_, channels, height, width] = dims;
        let config = &self.config;
        let geometry = Geometry {
            channels,
            height,
            width,
            filters: config.channels[1],
            kernel: config.kernel,
            stride: config.stride,
            padding: config.padding,
            dilation: config.dilation,
            groups: config.groups,
        };
        if channels == config.channels[0] && geometry.output().is_some() {
            return Ok(geometry);
        }
        Err(Error::Shape {
            layer: pass.layout().block(self.weight).name.clone(),
            expected: format!(
                "[n, {}, height, width] that holds a kernel of {:?} with dilation {:?} after padding by {:?}",
                config.channels[0], config.kernel, config.dilation, config.padding
            ),
            found: dims.to_vec(),
        })
    }
}
