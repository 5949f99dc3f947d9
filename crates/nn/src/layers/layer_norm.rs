//! Layer normalisation.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::at_least_one;
use crate::layers::standardised::GainAndOffset;
use crate::{Error, Pass, Plan, Result};

/// Describes a [`LayerNorm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LayerNormConfig {
    /// The last dimension.
    pub width: usize,
    /// Added to the variance.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
}

pub(crate) fn epsilon() -> f64 {
    1e-5
}

pub(crate) fn check_epsilon(name: &str, epsilon: f64) -> Result<()> {
    if epsilon > 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(Error::config(name, "epsilon", epsilon, "it must be a positive number"))
}

impl LayerNormConfig {
    /// With 1e-5 added to the variance.
    pub fn new(width: usize) -> Self {
        Self { width, epsilon: epsilon() }
    }

    /// Sets what is added to the variance.
    #[must_use]
    pub fn with_epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Registers `name.gain` (1 at the start) and `name.offset` (0), each of shape `[width]`.
    ///
    /// # Errors
    /// [`Error::Config`] when the width is 0 or epsilon is not positive.
    pub fn build(&self, plan: &mut Plan, name: &str) -> Result<LayerNorm> {
        at_least_one(name, "width", self.width)?;
        check_epsilon(name, self.epsilon)?;
        let parameters = GainAndOffset::build(plan, name, self.width)?;
        Ok(LayerNorm { parameters, epsilon: self.epsilon })
    }
}

/// `gain (x - mean) / sqrt(variance + epsilon) + offset` over the last dimension.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    parameters: GainAndOffset,
    epsilon: f64,
}

impl LayerNorm {
    /// The shape stays.
    ///
    /// # Errors
    /// [`Error::Shape`] when the last dimension is not `width`.
    pub fn forward<const D: usize>(&self, pass: &Pass<'_>, input: Tensor<D>) -> Result<Tensor<D>> {
        let width = self.parameters.channels;
        if input.dims()[D - 1] != width {
            let layer = pass.layout().block(self.parameters.gain).name.clone();
            return Err(Error::Shape { layer, expected: format!("[.., {width}]"), found: input.dims().to_vec() });
        }
        self.parameters.forward(pass, input, [width, 1], self.epsilon)
    }
}
