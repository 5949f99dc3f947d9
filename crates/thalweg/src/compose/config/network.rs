//! The network that a configuration asks for.

use serde::{Deserialize, Serialize};
use thalweg_descent::{Error, Result};

/// The network; its inputs and classes come from the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub enum NetworkChoice {
    /// Dense layers with ReLU between them.
    Mlp {
        /// The widths of the hidden layers.
        #[serde(default = "default_hidden")]
        hidden: Vec<usize>,
    },
    /// Three blocks of two 3 x 3 convolutions and a max-pool.
    Cnn {
        /// The channels of the three blocks.
        #[serde(default = "default_channels")]
        channels: Vec<usize>,
    },
    /// Residual blocks with group normalisation; from the second on, a stage halves height and width.
    Resnet {
        /// The channels of the stages, multiples of 8.
        #[serde(default = "default_stages")]
        widths: Vec<usize>,
        /// Residual blocks in each stage.
        #[serde(default = "one")]
        blocks: usize,
    },
    /// A transformer encoder on words.
    Transformer {
        /// Numbers in each position.
        #[serde(default = "default_width")]
        width: usize,
        /// Blocks of attention and dense layers.
        #[serde(default = "one")]
        layers: usize,
        /// Attention heads; they divide the width.
        #[serde(default = "default_heads")]
        heads: usize,
        /// How it is built.
        #[serde(default, skip_serializing_if = "Form::is_default")]
        form: Form,
    },
    /// Layers of attention alone, for sequences of vectors.
    Attention {
        /// Numbers in each position.
        #[serde(default = "default_width")]
        width: usize,
        /// Layers of attention.
        #[serde(default = "one")]
        layers: usize,
        /// Attention heads; they divide the width.
        #[serde(default = "default_heads")]
        heads: usize,
    },
    /// A bag of words: the mean of their vectors and a dense layer.
    Bag {
        /// Numbers in a word's vector.
        #[serde(default = "default_width")]
        width: usize,
    },
}

/// How a transformer is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Layer norms, GELU, the mean over the positions.
    #[default]
    Usual,
    /// No norms, rectifiers, read at the last position: as grokking is studied.
    Bare,
}

impl Form {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn default_stages() -> Vec<usize> {
    vec![16, 32, 64]
}

fn one() -> usize {
    1
}

fn default_width() -> usize {
    32
}

fn default_heads() -> usize {
    4
}

fn default_hidden() -> Vec<usize> {
    vec![64]
}

fn default_channels() -> Vec<usize> {
    vec![32, 64, 128]
}

impl NetworkChoice {
    /// The kinds, as files and commands spell them.
    pub const KINDS: [&str; 6] = ["mlp", "cnn", "resnet", "transformer", "bag", "attention"];

    /// A network of that kind in its usual size.
    ///
    /// # Errors
    /// [`Error::Input`] with the kinds there are.
    pub fn of_kind(kind: &str) -> Result<Self> {
        Ok(match kind {
            "mlp" => Self::Mlp { hidden: default_hidden() },
            "cnn" => Self::Cnn { channels: default_channels() },
            "resnet" => Self::Resnet { widths: default_stages(), blocks: one() },
            "transformer" => {
                Self::Transformer { width: default_width(), layers: one(), heads: default_heads(), form: Form::default() }
            }
            "attention" => Self::Attention { width: default_width(), layers: one(), heads: default_heads() },
            "bag" => Self::Bag { width: default_width() },
            _ => return Err(Error::input(format!("network.kind = {kind:?}; it is one of {}", Self::KINDS.join(", ")))),
        })
    }

    /// The same network with other widths: of the hidden layers, blocks or stages, or of a word's vector.
    ///
    /// # Errors
    /// [`Error::Input`] when a network of words gets several.
    pub fn with_widths(mut self, given: Vec<usize>) -> Result<Self> {
        match &mut self {
            Self::Mlp { hidden: widths } | Self::Cnn { channels: widths } | Self::Resnet { widths, .. } => *widths = given,
            Self::Transformer { width, .. } | Self::Attention { width, .. } | Self::Bag { width } => match given[..] {
                [one] => *width = one,
                _ => return Err(Error::input(format!("widths = {given:?}; a network of words or vectors has one width"))),
            },
        }
        Ok(self)
    }

    /// Its kind, as files and commands spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mlp { .. } => "mlp",
            Self::Cnn { .. } => "cnn",
            Self::Resnet { .. } => "resnet",
            Self::Transformer { .. } => "transformer",
            Self::Attention { .. } => "attention",
            Self::Bag { .. } => "bag",
        }
    }
}

impl Default for NetworkChoice {
    fn default() -> Self {
        Self::Mlp { hidden: default_hidden() }
    }
}
