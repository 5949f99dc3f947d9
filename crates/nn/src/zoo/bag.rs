//! A bag of words: the mean of the tokens' vectors, and one dense layer.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::samples::Tokens;
use crate::{Embedding, EmbeddingConfig, Linear, LinearConfig, Pass, Plan, Result, mean_over_positions};

/// Describes a [`Bag`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BagConfig {
    /// The number of tokens.
    pub vocabulary: usize,
    /// Numbers in a token's vector.
    pub width: usize,
    /// Numbers out.
    pub classes: usize,
}

impl BagConfig {
    /// Registers `token` and `output`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) when a size is 0.
    pub fn build(&self, plan: &mut Plan) -> Result<Bag> {
        let token = EmbeddingConfig::new(self.vocabulary, self.width).build(plan, "token")?;
        let output = LinearConfig::new(self.width, self.classes).build(plan, "output")?;
        Ok(Bag { token, output })
    }
}

/// Classifies a sequence by the mean of its tokens' vectors, whatever their order.
#[derive(Clone, Debug)]
pub struct Bag {
    token: Embedding,
    output: Linear,
}

impl Bag {
    /// The scores of the classes, `[n, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when a token is outside the vocabulary.
    pub fn forward(&self, pass: &Pass<'_>, tokens: &Tokens) -> Result<Tensor<2>> {
        let vectors = self.token.forward(pass, tokens.ids(), tokens.rows())?;
        self.output.forward(pass, mean_over_positions(vectors, tokens.padding(&pass.device())))
    }
}
