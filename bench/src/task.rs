//! The networks and data that both sides train on.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use thalweg_nn::{Classification, CnnConfig, Device, Network, NetworkConfig, Samples};

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
    /// - `digits`: 64-64-10, batch 64, small as the tour's.
    ///
    /// # Errors
    /// When there is no such task.
    pub fn named(name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        match name {
            "mlp" => Self::build("mlp", &NetworkConfig::mlp(784, &[512, 512], CLASSES), &[784], 256),
            "cnn3" => Self::build("cnn3", &NetworkConfig::cnn(IMAGE, &[32, 64, 128], CLASSES), &IMAGE, 64),
            "cnn" => {
                let config = CnnConfig::new(IMAGE, &[32, 64], CLASSES).with_depth(1);
                Self::build("cnn", &NetworkConfig::Cnn(config), &IMAGE, 64)
            }
            "digits" => Self::build("digits", &NetworkConfig::mlp(64, &[64], CLASSES), &[64], 64),
            other => Err(format!("there is no task {other:?}; choose mlp, cnn3, cnn or digits").into()),
        }
    }

    fn build(
        name: &'static str,
        config: &NetworkConfig,
        shape: &[usize],
        batch: usize,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let features = (0..batch * shape.iter().product::<usize>()).map(|_| rng.random::<f32>()).collect();
        let labels = (0..batch).map(|_| rng.random_range(0..CLASSES as u32)).collect();
        let samples = Arc::new(Samples::features(features, shape, labels, CLASSES)?);
        let network = Arc::new(config.build()?);
        let start = network.init(&mut rng);
        Ok(Self { name, start, network, batch, samples })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_have_the_sizes_that_the_goals_name() {
        let parameters = |name| Task::named(name).unwrap().start.len();
        assert_eq!(parameters("mlp"), 669_706);
        assert_eq!(parameters("cnn3"), 307_498);
        assert_eq!(parameters("cnn"), 896 + 18_496 + 40_970);
        assert!(Task::named("rnn").is_err());
    }
}
