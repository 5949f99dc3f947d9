//! Group normalisation, which unlike batch normalisation treats each example by itself.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::at_least_one;
use crate::layers::layer_norm::{check_epsilon, epsilon};
use crate::layers::standardised::GainAndOffset;
use crate::{Error, Pass, Plan, Result};

/// Describes a [`GroupNorm`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GroupNormConfig {
    /// Into how many groups the channels fall.
    pub groups: usize,
    /// The channels.
    pub channels: usize,
    /// Added to the variance.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
}

impl GroupNormConfig {
    /// With 1e-5 added to the variance.
    pub fn new(groups: usize, channels: usize) -> Self {
        Self { groups, channels, epsilon: epsilon() }
    }

    /// Sets what is added to the variance.
    #[must_use]
    pub fn with_epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Registers `name.gain` (1 at the start) and `name.offset` (0), each of shape `[channels]`.
    ///
    /// # Errors
    /// [`Error::Config`] when a size is 0, the groups do not divide the channels, or epsilon is not positive.
    pub fn build(&self, plan: &mut Plan, name: &str) -> Result<GroupNorm> {
        at_least_one(name, "groups", self.groups)?;
        at_least_one(name, "channels", self.channels)?;
        check_epsilon(name, self.epsilon)?;
        if !self.channels.is_multiple_of(self.groups) {
            return Err(Error::config(name, "groups", self.groups, format!("it must divide the {} channels", self.channels)));
        }
        let parameters = GainAndOffset::build(plan, name, self.channels)?;
        Ok(GroupNorm { parameters, groups: self.groups, epsilon: self.epsilon })
    }
}

/// `gain (x - mean) / sqrt(variance + epsilon) + offset`, with mean and variance over the channels and pixels of a group.
#[derive(Clone, Debug)]
pub struct GroupNorm {
    parameters: GainAndOffset,
    groups: usize,
    epsilon: f64,
}

impl GroupNorm {
    /// Images `[n, channels, height, width]`; the shape stays.
    ///
    /// # Errors
    /// [`Error::Shape`] when the channels are others.
    pub fn forward(&self, pass: &Pass<'_>, input: Tensor<4>) -> Result<Tensor<4>> {
        let [_, channels, height, width] = input.dims();
        let expected = self.parameters.channels;
        if channels != expected {
            let layer = pass.layout().block(self.parameters.gain).name.clone();
            let expected = format!("[n, {expected}, height, width]");
            return Err(Error::Shape { layer, expected, found: input.dims().to_vec() });
        }
        let pixels = height * width;
        self.parameters.forward(pass, input, [channels / self.groups * pixels, pixels], self.epsilon)
    }
}
