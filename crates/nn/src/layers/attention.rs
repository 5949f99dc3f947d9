//! Multi-head self-attention.

use burn::Tensor;
use burn::tensor::{Bool, activation};
use serde::{Deserialize, Serialize};

use crate::error::at_least_one;
use crate::{Error, Linear, LinearConfig, Pass, Plan, Result};

/// Describes an [`Attention`] layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AttentionConfig {
    /// Numbers in each position.
    pub width: usize,
    /// Heads; they divide the width.
    pub heads: usize,
}

impl AttentionConfig {
    /// `heads` heads of `width / heads` numbers each.
    pub fn new(width: usize, heads: usize) -> Self {
        Self { width, heads }
    }

    /// Registers the dense layers `name.query-key-value`, from `width` to `3 width`, and `name.output`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0 or the heads do not divide the width.
    pub fn build(&self, plan: &mut Plan, name: &str) -> Result<Attention> {
        at_least_one(name, "width", self.width)?;
        at_least_one(name, "heads", self.heads)?;
        if !self.width.is_multiple_of(self.heads) {
            return Err(Error::config(name, "heads", self.heads, format!("it must divide the width {}", self.width)));
        }
        Ok(Attention {
            width: self.width,
            heads: self.heads,
            query_key_value: LinearConfig::new(self.width, 3 * self.width).build(plan, &format!("{name}.query-key-value"))?,
            output: LinearConfig::new(self.width, self.width).build(plan, &format!("{name}.output"))?,
        })
    }
}

/// Which positions a position may attend to.
#[derive(Clone, Debug, Default)]
pub struct Mask {
    direction: Direction,
    padding: Option<Tensor<2, Bool>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Direction {
    #[default]
    Both,
    Backwards,
}

impl Mask {
    /// Every position attends to every position.
    pub fn none() -> Self {
        Self::default()
    }

    /// A position attends to itself and to earlier positions.
    pub fn causal() -> Self {
        Self { direction: Direction::Backwards, padding: None }
    }

    /// Positions where `padding` (`[n, length]`) is true are not attended to; the first position of a sequence never is.
    #[must_use]
    pub fn with_padding(mut self, padding: Option<Tensor<2, Bool>>) -> Self {
        self.padding = padding;
        self
    }

    /// Sets what may not be attended to, in scores `[n, heads, length, length]`, to a number that the softmax makes 0.
    fn apply(&self, mut scores: Tensor<4>) -> Tensor<4> {
        let [n, heads, length, _] = scores.dims();
        if self.direction == Direction::Backwards {
            let later = Tensor::<2, Bool>::tril_mask([length, length], 0, &scores.device().without_autodiff());
            scores = scores.mask_fill(later.reshape([1, 1, length, length]).expand([n, heads, length, length]), NEVER);
        }
        if let Some(padding) = &self.padding {
            let keys = padding.clone().reshape([n, 1, 1, length]).expand([n, heads, length, length]);
            scores = scores.mask_fill(keys, NEVER);
        }
        scores
    }
}

/// Far below every score, and finite, so that a fully masked row is uniform instead of NaN.
const NEVER: f32 = -1e9;

/// `softmax(Q K^T / sqrt(width / heads)) V` for each head, then a dense layer.
#[derive(Clone, Debug)]
pub struct Attention {
    width: usize,
    heads: usize,
    query_key_value: Linear,
    output: Linear,
}

impl Attention {
    /// Sequences `[n, length, width]`; the shape stays.
    ///
    /// # Errors
    /// [`Error::Shape`] when the last dimension is not `width`, or the mask has another shape than the sequences.
    pub fn forward(&self, pass: &Pass<'_>, input: Tensor<3>, mask: &Mask) -> Result<Tensor<3>> {
        let [n, length, width] = input.dims();
        if let Some(padding) = mask.padding.as_ref().filter(|padding| padding.dims() != [n, length]) {
            let expected = format!("a padding mask [{n}, {length}]");
            return Err(Error::Shape { layer: "attention".to_owned(), expected, found: padding.dims().to_vec() });
        }
        let head = self.width / self.heads;
        let all = self.query_key_value.forward(pass, input)?;
        let part = |at: usize| {
            let part = all.clone().slice([0..n, 0..length, at * width..(at + 1) * width]);
            part.reshape([n, length, self.heads, head]).swap_dims(1, 2)
        };
        let query = part(0) * (1.0 / (head as f64).sqrt());
        let scores = mask.apply(query.matmul(part(1).transpose()));
        let mixed = activation::softmax(scores, 3).matmul(part(2));
        self.output.forward(pass, mixed.swap_dims(1, 2).reshape([n, length, width]))
    }
}
