//! Convolutional networks of blocks: convolutions, then pooling by 2.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::at_least_one;
use crate::{Conv2d, Conv2dConfig, Error, Linear, LinearConfig, Pass, Plan, Result, max_pool2d, relu};

/// Describes a [`Cnn`].
///
/// ```
/// use thalweg_nn::{CnnConfig, Plan};
///
/// // The network of the private-training studies: 3-32-32, pool, 64-64, pool, 128-128, pool, linear 2048-10.
/// let mut plan = Plan::new();
/// CnnConfig::new([3, 32, 32], &[32, 64, 128], 10).build(&mut plan)?;
/// assert_eq!(plan.layout().len(), 307_498);
/// # Ok::<(), thalweg_nn::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CnnConfig {
    /// Channels, height and width of an example.
    pub image: [usize; 3],
    /// Channels of each block, in order.
    pub channels: Vec<usize>,
    /// Convolutions in each block.
    #[serde(default = "two")]
    pub depth: usize,
    /// Numbers out.
    pub classes: usize,
}

fn two() -> usize {
    2
}

impl CnnConfig {
    /// With two convolutions in each block.
    pub fn new(image: [usize; 3], channels: &[usize], classes: usize) -> Self {
        Self { image, channels: channels.to_vec(), depth: two(), classes }
    }

    /// Sets the number of convolutions in each block.
    #[must_use]
    pub fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Registers `block.0.0`, `block.0.1`, `block.1.0`, ... (3 x 3 convolutions with padding 1) and `output`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0, there is no block, or the image is too small to be halved once a block.
    pub fn build(&self, plan: &mut Plan) -> Result<Cnn> {
        let [mut inputs, mut height, mut width] = self.image;
        at_least_one("cnn", "image", inputs.min(height).min(width))?;
        at_least_one("cnn", "depth", self.depth)?;
        at_least_one("cnn", "channels", self.channels.len())?;
        let mut blocks = Vec::with_capacity(self.channels.len());
        for (block, outputs) in self.channels.iter().enumerate() {
            let mut layers = Vec::with_capacity(self.depth);
            for layer in 0..self.depth {
                let config = Conv2dConfig::new([inputs, *outputs], [3, 3]).with_padding([1, 1]);
                layers.push(config.build(plan, &format!("block.{block}.{layer}"))?);
                inputs = *outputs;
            }
            blocks.push(layers);
            (height, width) = (height / 2, width / 2);
        }
        if height == 0 || width == 0 {
            let expected = format!("each of the {} blocks halves height and width, and nothing is left", self.channels.len());
            return Err(Error::config("cnn", "image", format!("{:?}", self.image), expected));
        }
        let output = LinearConfig::new(inputs * height * width, self.classes).build(plan, "output")?;
        Ok(Cnn { blocks, output })
    }
}

/// Blocks of 3 x 3 convolutions with rectifiers, each followed by max-pooling by 2, then a dense layer.
#[derive(Clone, Debug)]
pub struct Cnn {
    blocks: Vec<Vec<Conv2d>>,
    output: Linear,
}

impl Cnn {
    /// From `[n, channels, height, width]` to `[n, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the images have another shape.
    pub fn forward(&self, pass: &Pass<'_>, input: Tensor<4>) -> Result<Tensor<2>> {
        let mut x = input;
        for block in &self.blocks {
            for layer in block {
                x = relu(layer.forward(pass, x)?);
            }
            x = max_pool2d(x, [2, 2], [2, 2])?;
        }
        self.output.forward(pass, x.flatten(1, 3))
    }
}
