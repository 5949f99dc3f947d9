//! The multi-layer perceptron.

use burn::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Activation, Linear, LinearConfig, Pass, Plan, Result};

/// Describes an [`Mlp`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MlpConfig {
    /// Numbers of an example.
    pub inputs: usize,
    /// Widths of the hidden layers, in order; may be empty.
    pub hidden: Vec<usize>,
    /// Numbers out.
    pub classes: usize,
    /// After each hidden layer.
    #[serde(default)]
    pub activation: Activation,
}

impl MlpConfig {
    /// With the rectifier.
    pub fn new(inputs: usize, hidden: &[usize], classes: usize) -> Self {
        Self { inputs, hidden: hidden.to_vec(), classes, activation: Activation::Relu }
    }

    /// Sets the function after each hidden layer.
    #[must_use]
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Registers `hidden.0`, `hidden.1`, ... and `output`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) when a size is 0.
    pub fn build(&self, plan: &mut Plan) -> Result<Mlp> {
        let mut hidden = Vec::with_capacity(self.hidden.len());
        let mut inputs = self.inputs;
        for (at, outputs) in self.hidden.iter().enumerate() {
            hidden.push(LinearConfig::new(inputs, *outputs).build(plan, &format!("hidden.{at}"))?);
            inputs = *outputs;
        }
        let output = LinearConfig::new(inputs, self.classes).build(plan, "output")?;
        Ok(Mlp { hidden, output, activation: self.activation })
    }
}

/// Dense layers with a function between them.
#[derive(Clone, Debug)]
pub struct Mlp {
    hidden: Vec<Linear>,
    output: Linear,
    activation: Activation,
}

impl Mlp {
    /// From `[n, inputs]` to `[n, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) when the examples have another length.
    pub fn forward(&self, pass: &Pass<'_>, input: Tensor<2>) -> Result<Tensor<2>> {
        let mut x = input;
        for layer in &self.hidden {
            x = self.activation.forward(layer.forward(pass, x)?);
        }
        self.output.forward(pass, x)
    }
}
