//! Functions of single numbers.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::host::operation::apply;
use crate::host::relu::Rectifier;
use crate::host::tensor::is_covered;
use crate::pass::{Place, place_of};

/// A function applied to every number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x Phi(x)` with the normal distribution function `Phi`, exactly.
    Gelu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// The shape stays.
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => relu(input),
            Self::Gelu => burn::tensor::activation::gelu(input),
            Self::Tanh => burn::tensor::activation::tanh(input),
        }
    }
}

/// `max(x, 0)`; its derivative at 0 is 0.
pub fn relu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    if place_of(&input.device()) == Place::Host && is_covered(input.dtype()) {
        return apply(Rectifier::default(), input);
    }
    burn::tensor::activation::relu(input)
}
