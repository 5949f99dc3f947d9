//! A small residual network with group normalisation.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::at_least_one;
use crate::{
    Conv2d, Conv2dConfig, Error, GroupNorm, GroupNormConfig, Linear, LinearConfig, Pass, Plan, Result, global_avg_pool2d, join,
    relu,
};

/// How the channels of an image are normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
#[non_exhaustive]
pub enum Normalisation {
    /// By groups of channels, each example by itself.
    Group {
        /// The number of groups; it divides the channels.
        groups: usize,
    },
    /// Over the batch: refused by [`ResNetConfig::build`], since no example then has a gradient of its own.
    Batch,
}

/// Describes a [`ResNet`].
///
/// ```
/// use thalweg_nn::{Normalisation, Plan, ResNetConfig};
///
/// let config = ResNetConfig::new([3, 32, 32], &[16, 32, 64], 10);
/// let error = config.with_normalisation(Normalisation::Batch).build(&mut Plan::new()).unwrap_err();
/// assert!(error.to_string().contains("mixes the examples of a batch"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ResNetConfig {
    /// Channels, height and width of an example.
    pub image: [usize; 3],
    /// Channels of each stage, in order; from the second on, a stage halves height and width.
    pub widths: Vec<usize>,
    /// Residual blocks in each stage.
    #[serde(default = "one")]
    pub blocks: usize,
    /// After each convolution.
    #[serde(default = "eight_groups")]
    pub normalisation: Normalisation,
    /// Numbers out.
    pub classes: usize,
}

fn one() -> usize {
    1
}

fn eight_groups() -> Normalisation {
    Normalisation::Group { groups: 8 }
}

impl ResNetConfig {
    /// With one block in each stage and normalisation in 8 groups.
    pub fn new(image: [usize; 3], widths: &[usize], classes: usize) -> Self {
        Self { image, widths: widths.to_vec(), blocks: one(), normalisation: eight_groups(), classes }
    }

    /// Sets the residual blocks in each stage.
    #[must_use]
    pub fn with_blocks(mut self, blocks: usize) -> Self {
        self.blocks = blocks;
        self
    }

    /// Sets the normalisation after each convolution.
    #[must_use]
    pub fn with_normalisation(mut self, normalisation: Normalisation) -> Self {
        self.normalisation = normalisation;
        self
    }

    /// Registers `stem`, `stage.0.0.first`, `stage.0.0.second`, ... and `output`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0 or does not fit; [`Error::BatchNorm`] when batch normalisation is asked for.
    pub fn build(&self, plan: &mut Plan) -> Result<ResNet> {
        let Normalisation::Group { groups } = self.normalisation else {
            return Err(Error::BatchNorm { what: "resnet".to_owned() });
        };
        let [mut channels, height, width] = self.image;
        at_least_one("resnet", "image", channels.min(height).min(width))?;
        at_least_one("resnet", "blocks", self.blocks)?;
        let Some(first) = self.widths.first() else {
            return Err(Error::config("resnet", "widths", "[]", "there must be at least one stage"));
        };
        let stem = Unit::build(plan, "stem", [channels, *first], 1, groups)?;
        channels = *first;
        let mut blocks = Vec::new();
        for (stage, outputs) in self.widths.iter().enumerate() {
            for block in 0..self.blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("stage.{stage}.{block}");
                blocks.push(Block::build(plan, &name, [channels, *outputs], stride, groups)?);
                channels = *outputs;
            }
        }
        let output = LinearConfig::new(channels, self.classes).build(plan, "output")?;
        Ok(ResNet { stem, blocks, output })
    }
}

/// A convolution without bias and its normalisation.
#[derive(Clone, Debug)]
struct Unit {
    convolution: Conv2d,
    norm: GroupNorm,
}

impl Unit {
    fn build(plan: &mut Plan, name: &str, channels: [usize; 2], stride: usize, groups: usize) -> Result<Self> {
        let config = Conv2dConfig::new(channels, [3, 3]).with_padding([1, 1]).with_stride([stride, stride]);
        Self::of(plan, name, &config, groups)
    }

    fn of(plan: &mut Plan, name: &str, config: &Conv2dConfig, groups: usize) -> Result<Self> {
        let convolution = config.clone().without_bias().build(plan, &format!("{name}.convolution"))?;
        let norm = GroupNormConfig::new(groups, config.channels[1]).build(plan, &format!("{name}.norm"))?;
        Ok(Self { convolution, norm })
    }

    fn forward(&self, pass: &Pass<'_>, input: Tensor<4>) -> Result<Tensor<4>> {
        self.norm.forward(pass, self.convolution.forward(pass, input)?)
    }
}

/// `relu(x + f(x))`, where `x` goes through a 1 x 1 convolution if its shape must change.
#[derive(Clone, Debug)]
struct Block {
    first: Unit,
    second: Unit,
    shortcut: Option<Unit>,
}

impl Block {
    fn build(plan: &mut Plan, name: &str, channels: [usize; 2], stride: usize, groups: usize) -> Result<Self> {
        let [inputs, outputs] = channels;
        let first = Unit::build(plan, &format!("{name}.first"), channels, stride, groups)?;
        let second = Unit::build(plan, &format!("{name}.second"), [outputs, outputs], 1, groups)?;
        let project = Conv2dConfig::new(channels, [1, 1]).with_stride([stride, stride]);
        let changes = stride != 1 || inputs != outputs;
        let shortcut = changes.then(|| Unit::of(plan, &format!("{name}.shortcut"), &project, groups)).transpose()?;
        Ok(Self { first, second, shortcut })
    }

    fn forward(&self, pass: &Pass<'_>, input: Tensor<4>) -> Result<Tensor<4>> {
        let inner = relu(self.first.forward(pass, input.clone())?);
        let branch = self.second.forward(pass, inner)?;
        let straight = match &self.shortcut {
            Some(shortcut) => shortcut.forward(pass, input)?,
            None => input,
        };
        Ok(relu(join(straight, branch)?))
    }
}

/// A stem, stages of residual blocks, the mean over all pixels, and a dense layer.
#[derive(Clone, Debug)]
pub struct ResNet {
    stem: Unit,
    blocks: Vec<Block>,
    output: Linear,
}

impl ResNet {
    /// From `[n, channels, height, width]` to `[n, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the images have another number of channels.
    pub fn forward(&self, pass: &Pass<'_>, input: Tensor<4>) -> Result<Tensor<2>> {
        let mut x = relu(self.stem.forward(pass, input)?);
        for block in &self.blocks {
            x = block.forward(pass, x)?;
        }
        self.output.forward(pass, global_avg_pool2d(x))
    }
}
