//! A pre-norm transformer encoder.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::at_least_one;
use crate::samples::Tokens;
use crate::{
    Activation, Attention, AttentionConfig, Embedding, EmbeddingConfig, Error, LayerNorm, LayerNormConfig, Linear, LinearConfig,
    Mask, Pass, Plan, Result, last_position, mean_over_positions, residual,
};

/// What stands at the end of a [`Transformer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
#[non_exhaustive]
pub enum Head {
    /// The mean over the positions and a dense layer: one class a sequence.
    Classes {
        /// The number of classes.
        classes: usize,
    },
    /// A dense layer at each position: scores of all tokens.
    Tokens,
    /// As [`Head::Tokens`], with the token embedding's table as weights.
    TiedTokens,
    /// The last position and a dense layer: one class a sequence.
    Last {
        /// The number of classes.
        classes: usize,
    },
}

/// Whether a [`Transformer`] normalises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norms {
    /// Before each block of layers and at the end.
    #[default]
    Before,
    /// Nowhere.
    None,
}

/// Which positions a position of a [`Transformer`] attends to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// All that are not padding.
    #[default]
    All,
    /// Itself and earlier ones.
    Causal,
}

/// Describes a [`Transformer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TransformerConfig {
    /// The number of tokens.
    pub vocabulary: usize,
    /// The longest sequence.
    pub length: usize,
    /// Numbers in each position.
    pub width: usize,
    /// Blocks of attention and dense layers.
    pub layers: usize,
    /// Attention heads; they divide the width.
    pub heads: usize,
    /// The inner width of the dense layers, as a multiple of `width`.
    #[serde(default = "four")]
    pub expansion: usize,
    /// Which positions are attended to.
    #[serde(default)]
    pub view: View,
    /// Whether it normalises.
    #[serde(default)]
    pub norms: Norms,
    /// Within the dense layers.
    #[serde(default = "gelu")]
    pub activation: Activation,
    /// What stands at the end.
    pub head: Head,
}

fn four() -> usize {
    4
}

fn gelu() -> Activation {
    Activation::Gelu
}

impl TransformerConfig {
    /// With an inner width of 4 `width`, a view of all positions, layer norms and GELU.
    pub fn new(vocabulary: usize, length: usize, width: usize, layers: usize, heads: usize, head: Head) -> Self {
        Self {
            vocabulary,
            length,
            width,
            layers,
            heads,
            expansion: four(),
            view: View::All,
            norms: Norms::Before,
            activation: gelu(),
            head,
        }
    }

    /// Sets whether it normalises.
    #[must_use]
    pub fn with_norms(mut self, norms: Norms) -> Self {
        self.norms = norms;
        self
    }

    /// Sets the function within the dense layers.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Sets which positions are attended to.
    #[must_use]
    pub fn with_view(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// Sets the inner width of the dense layers, as a multiple of `width`.
    #[must_use]
    pub fn with_expansion(mut self, expansion: usize) -> Self {
        self.expansion = expansion;
        self
    }

    /// Registers `token`, `position`, `layer.0.attention`, ..., `norm` where it normalises, and `head`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0 or the heads do not divide the width.
    pub fn build(&self, plan: &mut Plan) -> Result<Transformer> {
        at_least_one("transformer", "layers", self.layers)?;
        at_least_one("transformer", "expansion", self.expansion)?;
        let token = EmbeddingConfig::new(self.vocabulary, self.width).build(plan, "token")?;
        let position = EmbeddingConfig::new(self.length, self.width).build(plan, "position")?;
        let layers = (0..self.layers).map(|at| Layer::build(plan, &format!("layer.{at}"), self)).collect::<Result<_>>()?;
        let norm = norm(plan, "norm", self)?;
        let output = match self.head {
            Head::Classes { classes } => {
                Output::Classes(LinearConfig::new(self.width, classes).build(plan, "head")?, Pooling::Mean)
            }
            Head::Last { classes } => Output::Classes(LinearConfig::new(self.width, classes).build(plan, "head")?, Pooling::Last),
            Head::Tokens => Output::Tokens(LinearConfig::new(self.width, self.vocabulary).build(plan, "head")?),
            Head::TiedTokens => Output::Tied,
        };
        Ok(Transformer { token, position, layers, norm, output, view: self.view })
    }
}

fn norm(plan: &mut Plan, name: &str, config: &TransformerConfig) -> Result<Option<LayerNorm>> {
    match config.norms {
        Norms::Before => LayerNormConfig::new(config.width).build(plan, name).map(Some),
        Norms::None => Ok(None),
    }
}

fn normalise(norm: Option<&LayerNorm>, pass: &Pass<'_>, input: Tensor<3>) -> Result<Tensor<3>> {
    match norm {
        Some(norm) => norm.forward(pass, input),
        None => Ok(input),
    }
}

#[derive(Clone, Debug)]
struct Layer {
    attention_norm: Option<LayerNorm>,
    attention: Attention,
    dense_norm: Option<LayerNorm>,
    inner: Linear,
    outer: Linear,
    activation: Activation,
}

impl Layer {
    fn build(plan: &mut Plan, name: &str, config: &TransformerConfig) -> Result<Self> {
        let (width, inner) = (config.width, config.width * config.expansion);
        Ok(Self {
            attention_norm: norm(plan, &format!("{name}.attention-norm"), config)?,
            attention: AttentionConfig::new(width, config.heads).build(plan, &format!("{name}.attention"))?,
            dense_norm: norm(plan, &format!("{name}.dense-norm"), config)?,
            inner: LinearConfig::new(width, inner).build(plan, &format!("{name}.inner"))?,
            outer: LinearConfig::new(inner, width).build(plan, &format!("{name}.outer"))?,
            activation: config.activation,
        })
    }

    fn forward(&self, pass: &Pass<'_>, input: Tensor<3>, mask: &Mask) -> Result<Tensor<3>> {
        let attend = |x| self.attention.forward(pass, normalise(self.attention_norm.as_ref(), pass, x)?, mask);
        residual(residual(input, attend)?, |x| {
            let inner = self.inner.forward(pass, normalise(self.dense_norm.as_ref(), pass, x)?)?;
            self.outer.forward(pass, self.activation.forward(inner))
        })
    }
}

#[derive(Clone, Debug)]
enum Output {
    Classes(Linear, Pooling),
    Tokens(Linear),
    Tied,
}

/// What a class is told from.
#[derive(Clone, Copy, Debug)]
enum Pooling {
    Mean,
    Last,
}

/// Token and position embeddings, blocks of attention and dense layers with a norm before each, a last norm, and a head.
#[derive(Clone, Debug)]
pub struct Transformer {
    token: Embedding,
    position: Embedding,
    layers: Vec<Layer>,
    norm: Option<LayerNorm>,
    output: Output,
    view: View,
}

impl Transformer {
    /// The scores of the classes, `[n, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when a token is outside the vocabulary or the sequences are too long; [`Error::Config`] when the
    /// network has another head.
    pub fn class_logits(&self, pass: &Pass<'_>, tokens: &Tokens) -> Result<Tensor<2>> {
        let Output::Classes(head, pooling) = &self.output else {
            return Err(Error::config("transformer", "head", "tokens", "classification needs the head \"classes\""));
        };
        let padding = tokens.padding(&pass.device());
        let encoded = self.encode(pass, tokens)?;
        let pooled = match (pooling, padding) {
            (Pooling::Mean, padding) => mean_over_positions(encoded, padding),
            (Pooling::Last, None) => last_position(encoded),
            (Pooling::Last, Some(_)) => {
                return Err(Error::Samples("the last position is read of sequences of one length; these are padded".to_owned()));
            }
        };
        head.forward(pass, pooled)
    }

    /// The scores of the tokens at each position, `[n, length, vocabulary]`.
    ///
    /// # Errors
    /// As for [`Transformer::class_logits`].
    pub fn token_logits(&self, pass: &Pass<'_>, tokens: &Tokens) -> Result<Tensor<3>> {
        let encoded = self.encode(pass, tokens)?;
        match &self.output {
            Output::Tokens(head) => head.forward(pass, encoded),
            Output::Tied => self.token.project(pass, encoded),
            Output::Classes(..) => Err(Error::config(
                "transformer",
                "head",
                "classes",
                "scores of tokens need the head \"tokens\" or \"tied-tokens\"",
            )),
        }
    }

    fn encode(&self, pass: &Pass<'_>, tokens: &Tokens) -> Result<Tensor<3>> {
        let (rows, length) = (tokens.rows(), tokens.length());
        let mut x = self.token.forward(pass, tokens.ids(), rows)? + self.position.positions(pass, rows, length)?;
        let mask = match self.view {
            View::All => Mask::none(),
            View::Causal => Mask::causal(),
        };
        let mask = mask.with_padding(tokens.padding(&pass.device()));
        for layer in &self.layers {
            x = layer.forward(pass, x, &mask)?;
        }
        normalise(self.norm.as_ref(), pass, x)
    }
}
