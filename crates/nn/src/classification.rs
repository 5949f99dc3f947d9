//! Classification as an objective, its evaluation, and the observer that watches it.

use std::sync::Arc;

use thalweg_descent::{Batch, Contributions, Differentiate, Layout, Observe, Record, Stateful, View};

use crate::loss::cross_entropy;
use crate::{Device, Error, Network, Pass, PerExample, Result, Samples, Views};

/// The cross-entropy of a network on examples; a batch names the examples, and each is a unit.
///
/// ```
/// use std::sync::Arc;
/// use rand::SeedableRng;
/// use thalweg_descent::{Batch, Differentiate, Weights};
/// use thalweg_nn::{Classification, Device, NetworkConfig, Samples};
///
/// let network = Arc::new(NetworkConfig::mlp(2, &[8], 2).build()?);
/// let samples = Arc::new(Samples::features(vec![0.0, 1.0, 2.0, 3.0], &[2], vec![0, 1], 2)?);
/// let parameters = network.init(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
/// let objective = Classification::new(network, samples, Device::Cpu)?;
///
/// let batch = Batch { step: 0, indices: vec![0, 1] };
/// let mut contributions = objective.differentiate(&parameters, &batch)?;
/// let norms = contributions.squared_norms()?;
/// let clip = Weights::PerUnit((0..2).map(|unit| (1.0 / norms.norm(unit)).min(1.0)).collect());
/// let mut sum = vec![0.0; parameters.len()];
/// contributions.add_weighted_sum(&clip, &mut sum)?;
/// assert!(thalweg_descent::norm(&sum) <= 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classification {
    network: Arc<Network>,
    samples: Arc<Samples>,
    device: burn::tensor::Device,
    smoothing: f64,
    views: Option<Views>,
}

impl Classification {
    /// Without label smoothing.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is not compiled in.
    pub fn new(network: Arc<Network>, samples: Arc<Samples>, device: Device) -> Result<Self> {
        Ok(Self { network, samples, device: device.open()?, smoothing: 0.0, views: None })
    }

    /// Spreads a share of each target over all classes.
    ///
    /// # Errors
    /// [`Error::Config`] when it is not in `[0, 1)`.
    pub fn with_label_smoothing(mut self, smoothing: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&smoothing) {
            return Err(Error::config("classification", "label-smoothing", smoothing, "it must be at least 0 and below 1"));
        }
        self.smoothing = smoothing;
        Ok(self)
    }

    /// Takes the mean loss over several random views of each example; they are one unit.
    ///
    /// # Errors
    /// [`Error::Samples`] when the examples are no images.
    pub fn with_views(mut self, views: Views) -> Result<Self> {
        self.samples.image_shape()?;
        self.views = Some(views);
        Ok(self)
    }

    /// The parameter blocks.
    pub fn layout(&self) -> &Layout {
        self.network.layout()
    }

    /// The gradients of the examples of a batch.
    ///
    /// # Errors
    /// When an index is out of range or the network does not take the examples.
    pub fn per_example(&self, parameters: &[f32], batch: &Batch) -> Result<PerExample<'_>> {
        let units = batch.indices.len();
        if units == 0 {
            return Ok(PerExample::empty(self.layout()));
        }
        let pass = Pass::tapped(self.layout(), parameters, units, &self.device)?;
        let (inputs, labels) = match &self.views {
            None => self.samples.gather(&batch.indices, &self.device)?,
            Some(views) => self.samples.gather_views(batch, views, &self.device)?,
        };
        let logits = self.network.class_logits(&pass, &inputs)?;
        drop(inputs);
        let losses = cross_entropy(logits, &labels, self.smoothing)?;
        match labels.len() / units {
            1 => pass.backward(losses),
            views => pass.backward(losses.reshape([units, views]).mean_dim(1).reshape([units])),
        }
    }
}

impl Differentiate<Batch, f32> for Classification {
    fn differentiate<'a>(
        &'a self,
        parameters: &'a [f32],
        shard: &'a Batch,
    ) -> thalweg_descent::Result<Box<dyn Contributions<f32> + 'a>> {
        Ok(Box::new(self.per_example(parameters, shard)?))
    }
}

/// How a network does on examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The mean cross-entropy, without label smoothing.
    pub loss: f64,
    /// The share of examples whose label has the largest score.
    pub accuracy: f64,
    /// The number of examples.
    pub n: usize,
}

/// Examples evaluated at once.
const BATCH: usize = 256;

/// Loss and accuracy of a network on examples; NaN for both when there are none.
///
/// # Errors
/// When the device is not compiled in, or the network does not take the examples or parameters.
pub fn evaluate(network: &Network, parameters: &[f32], samples: &Samples, device: Device) -> Result<Evaluation> {
    let device = device.open()?;
    let pass = Pass::plain(network.layout(), parameters, &device)?;
    let indices: Vec<usize> = (0..samples.len()).collect();
    let (mut loss, mut right) = (0.0, 0);
    for indices in indices.chunks(BATCH) {
        let (inputs, labels) = samples.gather(indices, &device)?;
        let logits = network.class_logits(&pass, &inputs)?;
        right += count_right(&logits.clone().into_data().iter::<f32>().collect::<Vec<_>>(), &labels);
        loss += cross_entropy(logits, &labels, 0.0)?.into_data().iter::<f64>().sum::<f64>();
    }
    let n = samples.len();
    Ok(Evaluation { loss: loss / n as f64, accuracy: right as f64 / n as f64, n })
}

/// Rows whose label has a score above all others; of equal scores the first counts.
fn count_right(scores: &[f32], labels: &[u32]) -> usize {
    let classes = scores.len() / labels.len().max(1);
    let best = |row: &[f32]| row.iter().enumerate().fold(0, |best, (at, score)| if *score > row[best] { at } else { best });
    scores.chunks_exact(classes.max(1)).zip(labels).filter(|(row, label)| best(row) == **label as usize).count()
}

/// Writes `<prefix>.loss` and `<prefix>.accuracy` of given examples into the step's record.
#[derive(Clone, Debug)]
pub struct Accuracy {
    prefix: String,
    network: Arc<Network>,
    samples: Arc<Samples>,
    device: Device,
}

impl Accuracy {
    /// `prefix` is usually `test` or `train`.
    pub fn new(prefix: &str, network: Arc<Network>, samples: Arc<Samples>, device: Device) -> Self {
        Self { prefix: prefix.to_owned(), network, samples, device }
    }
}

impl Stateful for Accuracy {}

impl Observe<f32> for Accuracy {
    fn observe(&mut self, view: &View<'_, f32>, record: &mut Record) -> thalweg_descent::Result<()> {
        let evaluation = evaluate(&self.network, view.parameters, &self.samples, self.device)?;
        record.put_number(&format!("{}.loss", self.prefix), evaluation.loss);
        record.put_number(&format!("{}.accuracy", self.prefix), evaluation.accuracy);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use thalweg_descent::{Seed, Weights};

    use super::*;
    use crate::{Augmentation, Mirror, NetworkConfig};

    /// The views of an example are one unit: its gradient is that of the mean loss, by Burn's own operations.
    #[test]
    fn views_of_an_example_are_one_unit() {
        let image = |i: usize| ((i * 31) % 17) as f32 / 17.0;
        let samples = Samples::features((0..4 * 72).map(image).collect(), &[2, 6, 6], vec![0, 1, 1, 0], 2).unwrap();
        let samples = Arc::new(samples);
        let augmentation = Augmentation { shift: 1, mirror: Mirror::Half, ..Augmentation::default() };
        let views = Views::new(NonZeroUsize::new(5).unwrap(), augmentation, Seed(2).stream("views"));
        for config in [NetworkConfig::mlp(72, &[7], 2), NetworkConfig::cnn([2, 6, 6], &[4], 2)] {
            let network = Arc::new(config.build().unwrap());
            let objective = Classification::new(network.clone(), samples.clone(), Device::Cpu).unwrap();
            let objective = objective.with_views(views.clone()).unwrap();
            let parameters = network.init(&mut ChaCha20Rng::seed_from_u64(3));
            let batch = Batch { step: 9, indices: vec![3, 0, 2] };
            let mut contributions = objective.per_example(&parameters, &batch).unwrap();
            let norms = contributions.squared_norms().unwrap();
            let mut sum = vec![0.0; parameters.len()];
            Box::new(contributions).add_weighted_sum(&Weights::One, &mut sum).unwrap();

            let mut expected = vec![0.0; parameters.len()];
            for (unit, index) in batch.indices.iter().enumerate() {
                let gradient =
                    gradient_of_mean(&network, &parameters, &samples, &views, Batch { step: 9, indices: vec![*index] });
                assert!((norms.norm(unit) / thalweg_descent::norm(&gradient) - 1.0).abs() < 1e-5);
                expected.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
            }
            let difference: Vec<f32> = sum.iter().zip(&expected).map(|(a, b)| a - b).collect();
            assert!(thalweg_descent::norm(&difference) < 1e-5 * thalweg_descent::norm(&expected));
        }
    }

    fn gradient_of_mean(network: &Network, parameters: &[f32], samples: &Samples, views: &Views, batch: Batch) -> Vec<f32> {
        let device = burn::tensor::Device::flex();
        let pass = Pass::tracked(network.layout(), parameters, &device).unwrap();
        let (inputs, labels) = samples.gather_views(&batch, views, &device).unwrap();
        assert_eq!(labels.len(), views.count());
        let losses = cross_entropy(network.class_logits(&pass, &inputs).unwrap(), &labels, 0.0).unwrap();
        pass.gradient(&losses.mean()).unwrap()
    }

    #[test]
    fn views_need_images() {
        let samples = Arc::new(Samples::tokens(vec![1, 2], 2, vec![2], vec![0], 2).unwrap());
        let network = Arc::new(NetworkConfig::mlp(2, &[], 2).build().unwrap());
        let views = Views::new(NonZeroUsize::MIN, Augmentation::default(), Seed(1).stream("views"));
        let error = Classification::new(network, samples, Device::Cpu).unwrap().with_views(views).unwrap_err();
        assert!(error.to_string().contains("images"), "{error}");
    }
}
