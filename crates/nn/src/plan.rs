//! The parameters of a network: names, shapes, and how they start.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use thalweg_descent::{BlockId, Layout};

use crate::{Error, Result};

/// How the entries of a parameter block start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Uniform on `[-bound, bound)`.
    Uniform {
        /// The bound.
        bound: f32,
    },
    /// Normal with mean 0.
    Normal {
        /// The standard deviation.
        deviation: f32,
    },
}

impl Initial {
    /// Uniform within `1 / sqrt(fan_in)`: what PyTorch gives dense and convolution layers.
    pub fn fan_in(inputs: usize) -> Self {
        Self::Uniform { bound: 1.0 / (inputs as f32).sqrt() }
    }
}

/// The parameter blocks of a network, registered by its layers while it is built.
///
/// A layer keeps the numbers of its blocks; the parameters themselves are a flat vector that the descent owns.
///
/// ```
/// use rand::SeedableRng;
/// use thalweg_nn::{LinearConfig, Plan};
///
/// let mut plan = Plan::new();
/// LinearConfig::new(4, 3).build(&mut plan, "output")?;
/// assert_eq!(plan.layout().len(), 15);
/// let parameters = plan.init(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
/// assert!(parameters.iter().all(|p| p.abs() <= 0.5));
/// # Ok::<(), thalweg_nn::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Plan {
    layout: Layout,
    initials: Vec<Initial>,
}

impl Plan {
    /// Without parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a block; its name is a path such as `hidden.0.weight`.
    ///
    /// # Errors
    /// [`Error::Config`] when the name is taken.
    pub fn block(&mut self, name: &str, shape: &[usize], initial: Initial) -> Result<BlockId> {
        if self.layout.find(name).is_some() {
            return Err(Error::config("plan", "name", format!("{name:?}"), "two parameter blocks cannot have one name"));
        }
        self.initials.push(initial);
        Ok(self.layout.push(name, shape))
    }

    /// Names, shapes and places of the blocks.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The parameters at the start; the same generator gives the same.
    pub fn init(&self, rng: &mut impl Rng) -> Vec<f32> {
        let mut parameters = Vec::with_capacity(self.layout.len());
        for (block, initial) in self.layout.blocks().iter().zip(&self.initials) {
            parameters.extend((0..block.len()).map(|_| match initial {
                Initial::Zeros => 0.0,
                Initial::Ones => 1.0,
                Initial::Uniform { bound } => bound * (2.0 * rng.random::<f32>() - 1.0),
                Initial::Normal { deviation } => deviation * Distribution::<f32>::sample(&StandardNormal, rng),
            }));
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    use super::*;

    #[test]
    fn blocks_start_as_described_and_repeatably() {
        let mut plan = Plan::new();
        plan.block("a", &[100, 100], Initial::Uniform { bound: 0.5 }).unwrap();
        plan.block("b", &[10_000], Initial::Normal { deviation: 2.0 }).unwrap();
        plan.block("c", &[2], Initial::Ones).unwrap();
        let init = |seed| plan.init(&mut ChaCha20Rng::seed_from_u64(seed));
        let parameters = init(7);
        assert_eq!(parameters, init(7));
        assert_ne!(parameters, init(8));
        let mean_square = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
        // Variances 1/12 and 4; relative deviations of these estimates are 0.9 % and 1.4 %.
        assert!((mean_square(&parameters[..10_000]) * 12.0 - 1.0).abs() < 0.06);
        assert!((mean_square(&parameters[10_000..20_000]) / 4.0 - 1.0).abs() < 0.09);
        assert_eq!(parameters[20_000..], [1.0, 1.0]);
    }

    #[test]
    fn a_name_is_given_once() {
        let mut plan = Plan::new();
        plan.block("weight", &[1], Initial::Zeros).unwrap();
        assert!(plan.block("weight", &[1], Initial::Zeros).unwrap_err().to_string().contains("weight"));
    }
}
