//! Any network of the zoo, by its description.

use burn::Tensor;
use rand::Rng;
use serde::{Deserialize, Serialize};
use thalweg_descent::Layout;

use crate::samples::Inputs;
use crate::zoo::attention_only::{AttentionOnly, AttentionOnlyConfig};
use crate::zoo::bag::{Bag, BagConfig};
use crate::zoo::cnn::{Cnn, CnnConfig};
use crate::zoo::mlp::{Mlp, MlpConfig};
use crate::zoo::resnet::{ResNet, ResNetConfig};
use crate::zoo::transformer::{Transformer, TransformerConfig};
use crate::{Error, Pass, Plan, Result};

/// Describes a [`Network`]; in a configuration file, `kind` names which.
///
/// ```
/// use thalweg_nn::NetworkConfig;
///
/// let config: NetworkConfig = toml::from_str("kind = 'mlp'\ninputs = 64\nhidden = [32]\nclasses = 10")?;
/// assert_eq!(config, NetworkConfig::mlp(64, &[32], 10));
/// assert_eq!(config.build()?.layout().len(), 64 * 32 + 32 + 32 * 10 + 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum NetworkConfig {
    /// A multi-layer perceptron.
    Mlp(MlpConfig),
    /// A convolutional network.
    Cnn(CnnConfig),
    /// A residual network with group normalisation.
    Resnet(ResNetConfig),
    /// A transformer encoder.
    Transformer(TransformerConfig),
    /// A bag of words.
    Bag(BagConfig),
    /// Layers of attention alone, on sequences of vectors.
    AttentionOnly(AttentionOnlyConfig),
}

impl NetworkConfig {
    /// Dense layers of the hidden widths, with rectifiers.
    pub fn mlp(inputs: usize, hidden: &[usize], classes: usize) -> Self {
        Self::Mlp(MlpConfig::new(inputs, hidden, classes))
    }

    /// Blocks of two 3 x 3 convolutions with the given channels and a max-pooling by 2, for images of shape
    /// (channels, height, width).
    pub fn cnn(image: [usize; 3], channels: &[usize], classes: usize) -> Self {
        Self::Cnn(CnnConfig::new(image, channels, classes))
    }

    /// Checks the description and lays out the parameters.
    ///
    /// # Errors
    /// [`Error::Config`] naming field and value; [`Error::BatchNorm`] when batch normalisation is asked for.
    pub fn build(&self) -> Result<Network> {
        let mut plan = Plan::new();
        let body = match self {
            Self::Mlp(config) => Body::Mlp(config.build(&mut plan)?),
            Self::Cnn(config) => Body::Cnn(config.build(&mut plan)?, config.image),
            Self::Resnet(config) => Body::ResNet(config.build(&mut plan)?, config.image),
            Self::Transformer(config) => Body::Transformer(Box::new(config.build(&mut plan)?)),
            Self::Bag(config) => Body::Bag(config.build(&mut plan)?),
            Self::AttentionOnly(config) => Body::AttentionOnly(config.build(&mut plan)?),
        };
        Ok(Network { config: self.clone(), plan, body })
    }
}

/// A network of the zoo: a value without state, whose parameters are a flat vector.
#[derive(Clone, Debug)]
pub struct Network {
    config: NetworkConfig,
    plan: Plan,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Mlp(Mlp),
    Cnn(Cnn, [usize; 3]),
    ResNet(ResNet, [usize; 3]),
    Transformer(Box<Transformer>),
    Bag(Bag),
    AttentionOnly(AttentionOnly),
}

impl Network {
    /// What it was built from.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Names, shapes and places of its parameter blocks.
    pub fn layout(&self) -> &Layout {
        self.plan.layout()
    }

    /// The parameters at the start: dense and convolution layers uniform within `1 / sqrt(fan-in)`, embeddings normal with
    /// standard deviation 0.02, gains 1, offsets 0. The same generator gives the same.
    pub fn init(&self, rng: &mut impl Rng) -> Vec<f32> {
        self.plan.init(rng)
    }

    /// The scores of the classes, `[n, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Samples`] when the network does not take such inputs.
    pub fn class_logits(&self, pass: &Pass<'_>, inputs: &Inputs) -> Result<Tensor<2>> {
        match (&self.body, inputs) {
            (Body::Mlp(mlp), Inputs::Features(features)) => mlp.forward(pass, (**features).clone()),
            (Body::Cnn(cnn, image), Inputs::Features(features)) => cnn.forward(pass, images(features, *image)?),
            (Body::ResNet(resnet, image), Inputs::Features(features)) => resnet.forward(pass, images(features, *image)?),
            (Body::Transformer(transformer), Inputs::Tokens(tokens)) => transformer.class_logits(pass, tokens),
            (Body::Bag(bag), Inputs::Tokens(tokens)) => bag.forward(pass, tokens),
            (Body::AttentionOnly(_), _) => Err(wrong_inputs("layers of attention alone give numbers, not classes")),
            (Body::Transformer(_) | Body::Bag(_), Inputs::Features(_)) => {
                Err(wrong_inputs("a transformer or bag of words takes tokens, not features"))
            }
            (_, Inputs::Tokens(_)) => {
                Err(wrong_inputs("tokens go to a transformer or a bag of words; this network takes features"))
            }
        }
    }

    /// The scores of the tokens at each position, `[n, length, vocabulary]`.
    ///
    /// # Errors
    /// [`Error::Samples`] when the network is no transformer or the inputs are no tokens.
    pub fn token_logits(&self, pass: &Pass<'_>, inputs: &Inputs) -> Result<Tensor<3>> {
        match (&self.body, inputs) {
            (Body::Transformer(transformer), Inputs::Tokens(tokens)) => transformer.token_logits(pass, tokens),
            _ => Err(wrong_inputs("scores of tokens come from a transformer on tokens")),
        }
    }

    /// The numbers that the network answers to sequences of vectors: from `[n, length * inputs]` to `[n, outputs]`.
    ///
    /// # Errors
    /// [`Error::Samples`] when the network gives classes or the vectors have another length.
    pub fn values(&self, pass: &Pass<'_>, sequences: Tensor<2>) -> Result<Tensor<2>> {
        match &self.body {
            Body::AttentionOnly(network) => network.forward(pass, sequences),
            _ => Err(wrong_inputs("numbers come from layers of attention alone; this network gives classes")),
        }
    }
}

fn wrong_inputs(reason: &str) -> Error {
    Error::Samples(reason.to_owned())
}

/// Flat examples as images.
fn images(features: &Tensor<2>, [channels, height, width]: [usize; 3]) -> Result<Tensor<4>> {
    let [n, numbers] = features.dims();
    if numbers == channels * height * width {
        return Ok(features.clone().reshape([n, channels, height, width]));
    }
    Err(wrong_inputs(&format!(
        "the network takes images of {channels} x {height} x {width}, but the examples have {numbers} numbers"
    )))
}
