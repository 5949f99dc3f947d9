//! Regression as an objective: half the squared error of each example, on examples that are drawn as they are needed.

use std::sync::Arc;

use burn::Tensor;
use burn::tensor::{DType, TensorData};
use thalweg_descent::{Batch, Contributions, Differentiate};

use crate::{Device, Error, Network, Pass, PerExample, Result};

/// Inputs and targets of some examples, one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// The inputs.
    pub inputs: Vec<f32>,
    /// The targets.
    pub targets: Vec<f32>,
}

/// Draws the examples of a batch: a function of its step and indices alone, so that a resumed run draws its past again.
pub trait Draw: Send + Sync {
    /// As many examples as the batch has indices.
    fn draw(&self, batch: &Batch) -> Pairs;
}

/// Half the squared distance of a network's numbers from their targets; each example is a unit.
#[derive(Clone)]
pub struct Regression {
    network: Arc<Network>,
    examples: Arc<dyn Draw>,
    device: burn::tensor::Device,
}

impl Regression {
    /// On examples that are drawn afresh.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is not compiled in.
    pub fn new(network: Arc<Network>, examples: Arc<dyn Draw>, device: Device) -> Result<Self> {
        Ok(Self { network, examples, device: device.open()? })
    }

    /// The gradients of the examples of a batch.
    ///
    /// # Errors
    /// When the network does not take the examples.
    pub fn per_example(&self, parameters: &[f32], batch: &Batch) -> Result<PerExample<'_>> {
        let units = batch.indices.len();
        if units == 0 {
            return Ok(PerExample::empty(self.network.layout()));
        }
        let pass = Pass::tapped(self.network.layout(), parameters, units, &self.device)?;
        let Pairs { inputs, targets } = self.examples.draw(batch);
        let values = self.network.values(&pass, rows(inputs, units, &self.device)?)?;
        let targets = rows(targets, units, &self.device)?;
        pass.backward(half_squared_errors(values, targets)?)
    }
}

impl Differentiate<Batch, f32> for Regression {
    fn differentiate<'a>(
        &'a self,
        parameters: &'a [f32],
        shard: &'a Batch,
    ) -> thalweg_descent::Result<Box<dyn Contributions<f32> + 'a>> {
        Ok(Box::new(self.per_example(parameters, shard)?))
    }
}

/// Half the squared distance of each row from its target: `[n]`.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ.
pub fn half_squared_errors(values: Tensor<2>, targets: Tensor<2>) -> Result<Tensor<1>> {
    if values.dims() != targets.dims() {
        let expected = format!("targets {:?}", values.dims());
        return Err(Error::Shape { layer: "regression".to_owned(), expected, found: targets.dims().to_vec() });
    }
    let n = values.dims()[0];
    let error = values - targets;
    Ok((error.clone() * error).sum_dim(1).reshape([n]) * 0.5)
}

/// Examples evaluated at once.
const BATCH: usize = 256;

/// The numbers that a network answers to `n` inputs, one after another.
///
/// # Errors
/// When the device is not compiled in, or the network does not take the inputs or parameters.
pub fn predict(network: &Network, parameters: &[f32], inputs: &[f32], n: usize, device: Device) -> Result<Vec<f32>> {
    let device = device.open()?;
    let pass = Pass::plain(network.layout(), parameters, &device)?;
    let mut values = Vec::new();
    if n == 0 {
        return Ok(values);
    }
    let numbers = numbers_each(inputs, n)?;
    for inputs in inputs.chunks(numbers * BATCH) {
        let found = network.values(&pass, rows(inputs.to_vec(), inputs.len() / numbers, &device)?)?;
        values.extend(found.into_data().iter::<f32>());
    }
    Ok(values)
}

/// How many numbers each of `n` examples has, at least 1.
fn numbers_each(values: &[f32], n: usize) -> Result<usize> {
    if values.is_empty() || !values.len().is_multiple_of(n) {
        return Err(Error::Samples(format!("{} numbers for {n} examples; each has as many, at least 1", values.len())));
    }
    Ok(values.len() / n)
}

fn rows(values: Vec<f32>, n: usize, device: &burn::tensor::Device) -> Result<Tensor<2>> {
    let numbers = numbers_each(&values, n)?;
    Ok(Tensor::from_data(TensorData::new(values, [n, numbers]), (device, DType::F32)))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use thalweg_descent::Weights;

    use super::*;
    use crate::{AttentionOnlyConfig, NetworkConfig};

    struct Waves;

    impl Draw for Waves {
        fn draw(&self, batch: &Batch) -> Pairs {
            let wave = |at: usize| (at as f32 * 0.7 + batch.step as f32).sin();
            let inputs = batch.indices.iter().flat_map(|index| (0..15).map(move |at| wave(index * 17 + at))).collect();
            let targets = batch.indices.iter().flat_map(|index| (0..2).map(move |at| wave(index * 5 + at))).collect();
            Pairs { inputs, targets }
        }
    }

    /// The directional derivative of the summed loss is what predictions at both sides say: no rule is shared with the backward pass.
    #[test]
    fn the_gradient_is_that_of_the_predictions_own_errors() {
        let config = AttentionOnlyConfig { inputs: 3, outputs: 2, width: 8, layers: 2, heads: 2 };
        let network = Arc::new(NetworkConfig::AttentionOnly(config).build().unwrap());
        let parameters = network.init(&mut ChaCha20Rng::seed_from_u64(4));
        let batch = Batch { step: 3, indices: vec![0, 2, 7] };
        let objective = Regression::new(network.clone(), Arc::new(Waves), Device::Cpu).unwrap();
        let contributions = objective.per_example(&parameters, &batch).unwrap();
        let losses: f64 = contributions.losses().iter().sum();
        let mut gradient = vec![0.0f32; parameters.len()];
        Box::new(contributions).add_weighted_sum(&Weights::One, &mut gradient).unwrap();

        let Pairs { inputs, targets } = Waves.draw(&batch);
        let loss_at = |along: f32| {
            let norm = thalweg_descent::norm(&gradient) as f32;
            let moved: Vec<f32> = parameters.iter().zip(&gradient).map(|(p, g)| p + along * g / norm).collect();
            let values = predict(&network, &moved, &inputs, 3, Device::Cpu).unwrap();
            values.iter().zip(&targets).map(|(v, t)| 0.5 * f64::from(v - t).powi(2)).sum::<f64>()
        };
        assert!((loss_at(0.0) - losses).abs() < 1e-6 * losses);
        let slope = (loss_at(0.02) - loss_at(-0.02)) / 0.04;
        let expected = thalweg_descent::norm(&gradient);
        assert!((slope / expected - 1.0).abs() < 2e-3, "{slope} {expected}");
    }

    #[test]
    fn misfits_are_refused() {
        let network = NetworkConfig::mlp(3, &[], 2).build().unwrap();
        let parameters = vec![0.0; network.layout().len()];
        assert!(predict(&network, &parameters, &[0.0; 3], 1, Device::Cpu).unwrap_err().to_string().contains("classes"));
        let attention = AttentionOnlyConfig { inputs: 3, outputs: 2, width: 4, layers: 1, heads: 1 };
        let network = NetworkConfig::AttentionOnly(attention).build().unwrap();
        let parameters = vec![0.0; network.layout().len()];
        let refused = |inputs: &[f32], n| predict(&network, &parameters, inputs, n, Device::Cpu).unwrap_err().to_string();
        assert!(refused(&[0.0; 4], 1).contains("4 numbers"));
        assert!(refused(&[0.0; 3], 2).contains("3 numbers for 2 examples"));
        assert!(predict(&network, &parameters, &[], 0, Device::Cpu).unwrap().is_empty());
    }
}
