//! Activations of an equilibrium model, with what its solver must know of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A scalar, non-decreasing or nearly so, activation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Activation {
    /// `z`
    Linear,
    /// `tanh z`
    Tanh,
    /// `1 / (1 + e^-z)`
    Sigmoid,
    /// `max(z, 0)`, with slope 1 at 0
    Relu,
    /// `z` above 0, a hundredth of it below
    LeakyRelu,
    /// `z Phi(z)`, Phi the normal distribution function
    Gelu,
    /// `z + strength tanh z`
    WeakTanh {
        /// How far it is from linear.
        strength: f64,
    },
}

const LEAK: f64 = 0.01;

/// The largest slope of GELU, at z = sqrt 2.
const GELU_SLOPE: f64 = 1.128_904_145_2;

impl Activation {
    /// The value at z.
    pub fn value(self, z: f64) -> f64 {
        match self {
            Self::Linear => z,
            Self::Tanh => z.tanh(),
            Self::Sigmoid => sigmoid(z),
            Self::Relu => z.max(0.0),
            Self::LeakyRelu => z.max(LEAK * z),
            Self::Gelu => z * normal_distribution(z),
            Self::WeakTanh { strength } => z + strength * z.tanh(),
        }
    }

    /// The derivative at z.
    pub fn slope(self, z: f64) -> f64 {
        match self {
            Self::Linear => 1.0,
            Self::Tanh => 1.0 - z.tanh().powi(2),
            Self::Sigmoid => sigmoid(z) * (1.0 - sigmoid(z)),
            Self::Relu => f64::from(u8::from(z >= 0.0)),
            Self::LeakyRelu => {
                if z >= 0.0 {
                    1.0
                } else {
                    LEAK
                }
            }
            Self::Gelu => normal_distribution(z) + z * (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt(),
            Self::WeakTanh { strength } => 1.0 + strength * (1.0 - z.tanh().powi(2)),
        }
    }

    /// The least upper bound of the absolute slope: the map `y -> activation(s + v y)` contracts when |v| times it is below 1.
    pub fn largest_slope(self) -> f64 {
        match self {
            Self::Sigmoid => 0.25,
            Self::Gelu => GELU_SLOPE,
            Self::WeakTanh { strength } => 1.0 + strength.max(0.0),
            Self::Linear | Self::Tanh | Self::Relu | Self::LeakyRelu => 1.0,
        }
    }

    /// The values' lower and upper bound, infinite where there is none.
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::Tanh => (-1.0, 1.0),
            Self::Sigmoid => (0.0, 1.0),
            Self::Relu => (0.0, f64::INFINITY),
            Self::Gelu => (-0.17, f64::INFINITY),
            Self::Linear | Self::LeakyRelu | Self::WeakTanh { .. } => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

fn normal_distribution(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear => f.write_str("linear"),
            Self::Tanh => f.write_str("tanh"),
            Self::Sigmoid => f.write_str("sigmoid"),
            Self::Relu => f.write_str("relu"),
            Self::LeakyRelu => f.write_str("leaky-relu"),
            Self::Gelu => f.write_str("gelu"),
            Self::WeakTanh { strength } => write!(f, "z+{strength}tanh"),
        }
    }
}

impl FromStr for Activation {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes: a name, or `z+0.5tanh` for a weak non-linearity.
    fn from_str(name: &str) -> Result<Self> {
        let weak = || name.strip_prefix("z+")?.strip_suffix("tanh")?.parse().ok().filter(|strength: &f64| *strength >= 0.0);
        match name {
            "linear" => Ok(Self::Linear),
            "tanh" => Ok(Self::Tanh),
            "sigmoid" => Ok(Self::Sigmoid),
            "relu" => Ok(Self::Relu),
            "leaky-relu" => Ok(Self::LeakyRelu),
            "gelu" => Ok(Self::Gelu),
            _ => match weak() {
                Some(strength) if strength.is_finite() => Ok(Self::WeakTanh { strength }),
                _ => Err(Error::value(
                    "the activation",
                    format!("{name:?}"),
                    "linear, tanh, sigmoid, relu, leaky-relu, gelu, or z+0.5tanh with a strength of 0 or more",
                )),
            },
        }
    }
}

impl TryFrom<String> for Activation {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<Activation> for String {
    fn from(activation: Activation) -> Self {
        activation.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Activation; 7] = [
        Activation::Linear,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Relu,
        Activation::LeakyRelu,
        Activation::Gelu,
        Activation::WeakTanh { strength: 0.5 },
    ];

    #[test]
    fn slopes_are_central_differences_within_their_bounds() {
        for activation in ALL {
            let (low, high) = activation.range();
            let mut steepest = 0.0f64;
            for step in -400..400 {
                let z = 0.02 * f64::from(step) + 0.01;
                let difference = (activation.value(z + 1e-6) - activation.value(z - 1e-6)) / 2e-6;
                assert!((activation.slope(z) - difference).abs() < 1e-8, "{activation} at {z}");
                assert!(activation.value(z) >= low && activation.value(z) <= high, "{activation} at {z}");
                steepest = steepest.max(activation.slope(z).abs());
            }
            let bound = activation.largest_slope();
            assert!(steepest <= bound && steepest > 0.999 * bound, "{activation}: {steepest} of {bound}");
        }
    }

    #[test]
    fn names_are_read_as_written() {
        for activation in ALL {
            assert_eq!(activation.to_string().parse::<Activation>().unwrap(), activation);
        }
        for wrong in ["", "softmax", "z+tanh", "z+-1tanh", "z+inftanh"] {
            assert!(wrong.parse::<Activation>().unwrap_err().to_string().contains("activation"), "{wrong}");
        }
    }
}
