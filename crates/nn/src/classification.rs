//! Classification as an objective, its evaluation, and the observer that watches it.

use std::sync::Arc;

use thalweg_descent::{Batch, Contributions, Differentiate, Layout, Observe, Record, Stateful, View};

use crate::loss::cross_entropy;
use crate::{Device, Error, Network, Pass, PerExample, Result, Samples};

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
/// let batch = Batch { indices: vec![0, 1] };
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
}

impl Classification {
    /// Without label smoothing.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is not compiled in.
    pub fn new(network: Arc<Network>, samples: Arc<Samples>, device: Device) -> Result<Self> {
        Ok(Self { network, samples, device: device.open()?, smoothing: 0.0 })
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

    /// The parameter blocks.
    pub fn layout(&self) -> &Layout {
        self.network.layout()
    }

    /// The gradients of the examples of these indices.
    ///
    /// # Errors
    /// When an index is out of range or the network does not take the examples.
    pub fn per_example(&self, parameters: &[f32], indices: &[usize]) -> Result<PerExample<'_>> {
        if indices.is_empty() {
            return Ok(PerExample::empty(self.layout()));
        }
        let pass = Pass::tapped(self.layout(), parameters, indices.len(), &self.device)?;
        let (inputs, labels) = self.samples.gather(indices, &self.device)?;
        let logits = self.network.class_logits(&pass, &inputs)?;
        drop(inputs);
        let losses = cross_entropy(logits, &labels, self.smoothing)?;
        pass.backward(losses)
    }
}

impl Differentiate<Batch, f32> for Classification {
    fn differentiate<'a>(
        &'a self,
        parameters: &'a [f32],
        shard: &'a Batch,
    ) -> thalweg_descent::Result<Box<dyn Contributions<f32> + 'a>> {
        Ok(Box::new(self.per_example(parameters, &shard.indices)?))
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
