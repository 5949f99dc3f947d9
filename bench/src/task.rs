//! The networks and data that both sides train on.

use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use thalweg_nn::{
    Classification, CnnConfig, Device, Head, Network, NetworkConfig, ResNetConfig, Samples, TransformerConfig, evaluate,
};

/// A network, and one batch of random examples for it.
pub struct Task {
    /// How both sides call it.
    pub name: &'static str,
    /// The parameters to start from.
    pub start: Vec<f32>,
    /// The network.
    pub network: Arc<Network>,
    /// Examples in the batch: all there are.
    pub batch: usize,
    /// So many of them are differentiated at once.
    pub micro_batch: usize,
    /// The examples.
    pub samples: Arc<Samples>,
}

/// The numbers that a network gives for an example.
const CLASSES: usize = 10;

impl Task {
    /// The task of that name:
    ///
    /// - `mlp`: 784-512-512-10, batch 256;
    /// - `cnn3`: three blocks of two 3 x 3 convolutions and max-pooling, 32, 64 and 128 channels, on 3 x 32 x 32, batch 64;
    /// - `cnn`: the two convolutions 3-32-64, each with max-pooling, on 3 x 32 x 32, batch 64;
    /// - `resnet`: a stem and three stages of one residual block, 16, 32 and 64 channels in 8 groups, on 3 x 32 x 32, batch 64;
    /// - `transformer`: two pre-norm layers of width 64 and 4 heads on 128 tokens of 10,000, batch 64, differentiated
    ///   16 at a time;
    /// - `digits`: 64-64-10, batch 64, small as the tour's.
    ///
    /// # Errors
    /// When there is no such task.
    pub fn named(name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        match name {
            "mlp" => Self::build("mlp", NetworkConfig::mlp(784, &[512, 512], CLASSES), features(256, &[784])?),
            "cnn3" => Self::build("cnn3", NetworkConfig::cnn(IMAGE, &[32, 64, 128], CLASSES), features(64, &IMAGE)?),
            "cnn" => {
                let config = CnnConfig::new(IMAGE, &[32, 64], CLASSES).with_depth(1);
                Self::build("cnn", NetworkConfig::Cnn(config), features(64, &IMAGE)?)
            }
            "resnet" => {
                let config = ResNetConfig::new(IMAGE, &[16, 32, 64], CLASSES);
                Self::build("resnet", NetworkConfig::Resnet(config), features(64, &IMAGE)?)
            }
            "transformer" => {
                let config = TransformerConfig::new(VOCABULARY, LENGTH, 64, 2, 4, Head::Classes { classes: CLASSES });
                let task = Self::build("transformer", NetworkConfig::Transformer(config), tokens(64)?)?;
                Ok(Self { micro_batch: 16, ..task })
            }
            "digits" => Self::build("digits", NetworkConfig::mlp(64, &[64], CLASSES), features(64, &[64])?),
            other => Err(format!("there is no task {other:?}; choose mlp, cnn3, cnn, resnet, transformer or digits").into()),
        }
    }

    fn build(name: &'static str, config: NetworkConfig, samples: Samples) -> Result<Self, Box<dyn std::error::Error>> {
        let network = Arc::new(config.build()?);
        let start = network.init(&mut ChaCha20Rng::seed_from_u64(1));
        let batch = samples.len();
        Ok(Self { name, start, network, batch, micro_batch: batch, samples: Arc::new(samples) })
    }

    /// The mean cross-entropy at the start, by which both sides are shown to train the same network.
    ///
    /// # Errors
    /// Never on the CPU.
    pub fn loss(&self) -> thalweg_nn::Result<f64> {
        Ok(evaluate(&self.network, &self.start, &self.samples, Device::Cpu)?.loss)
    }

    /// The cross-entropy on its examples.
    ///
    /// # Errors
    /// Never on the CPU.
    pub fn objective(&self) -> thalweg_nn::Result<Classification> {
        Classification::new(self.network.clone(), self.samples.clone(), Device::Cpu)
    }
}

const IMAGE: [usize; 3] = [3, 32, 32];
const VOCABULARY: usize = 10_000;
const LENGTH: usize = 128;

/// Numbers of 24 bits without a pattern, the same on both sides.
fn scrambled(count: usize) -> impl Iterator<Item = u32> {
    (0..count as u32).map(|mut x| {
        for _ in 0..2 {
            x = (x ^ (x >> 16)).wrapping_mul(0x45D_9F3B);
        }
        (x ^ (x >> 16)) >> 8
    })
}

fn features(batch: usize, shape: &[usize]) -> thalweg_nn::Result<Samples> {
    let values = scrambled(batch * shape.iter().product::<usize>()).map(|value| value as f32 / (1 << 24) as f32);
    Samples::features(values.collect(), shape, labels(batch), CLASSES)
}

fn tokens(batch: usize) -> thalweg_nn::Result<Samples> {
    let ids = scrambled(batch * LENGTH).map(|value| value % VOCABULARY as u32);
    Samples::tokens(ids.collect(), LENGTH, vec![LENGTH; batch], labels(batch), CLASSES)
}

fn labels(batch: usize) -> Vec<u32> {
    (0..batch).map(|at| (at % CLASSES) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_have_the_sizes_that_the_goals_name() {
        let parameters = |name| Task::named(name).unwrap().start.len();
        assert_eq!(parameters("mlp"), 669_706);
        assert_eq!(parameters("cnn3"), 307_498);
        assert_eq!(parameters("cnn"), 896 + 18_496 + 40_970);
        assert_eq!(parameters("resnet"), 78_042);
        assert_eq!(parameters("transformer"), 648_192 + 2 * 49_984 + 128 + 650);
        assert!(Task::named("rnn").is_err());
    }
}
