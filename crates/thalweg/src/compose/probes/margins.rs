//! By which margin training examples are told apart, and by which a linear model of the same gradients could tell them apart.

use std::sync::Arc;

use thalweg_descent::{Batch, Contributions, Error, Observe, Record, Result, Stateful, View, Weights};
use thalweg_nn::{Device, Network, Pass, Samples};
use thalweg_probes::margin::{self, Search};

/// Writes, over the examples of a step,
///
/// - `margin.least` and `margin.mean`, of the score of the label over the best of the others;
/// - `margin.kernel.lower` and `margin.kernel.upper`, a bracket of the margin by which the gradients of these differences can be
///   separated from 0 (a tangent kernel's margin, one linear model for all classes); 0 where they cannot.
///
/// It reads training examples before any guard: on a private run it is not covered by the guarantee.
pub(super) struct Margins {
    network: Arc<Network>,
    samples: Arc<Samples>,
    device: Device,
    examples: Box<dyn Fn(u64) -> Batch + Send>,
}

impl Margins {
    pub(super) fn new(
        network: Arc<Network>,
        samples: Arc<Samples>,
        device: Device,
        examples: Box<dyn Fn(u64) -> Batch + Send>,
    ) -> Self {
        Self { network, samples, device, examples }
    }

    /// An example's margin and its gradient.
    fn margin(&self, parameters: &[f32], index: usize) -> thalweg_nn::Result<(f64, Vec<f32>)> {
        let pass = Pass::tapped(self.network.layout(), parameters, 1, &self.device.open()?)?;
        let (inputs, labels) = self.samples.gather(&[index], &self.device.open()?)?;
        let scores = self.network.class_logits(&pass, &inputs)?;
        let label = labels[0] as usize;
        let values: Vec<f32> = scores.clone().into_data().iter::<f32>().collect();
        let rival = (0..values.len()).filter(|class| *class != label).max_by(|a, b| values[*a].total_cmp(&values[*b]));
        let rival = rival.ok_or_else(|| thalweg_nn::Error::Samples("a margin needs at least two classes".to_owned()))?;
        let score = |class: usize| scores.clone().slice([0..1, class..class + 1]).reshape([1]);
        let contributions = pass.backward(score(label) - score(rival))?;
        let margin = contributions.losses()[0];
        let mut gradient = vec![0.0; parameters.len()];
        let summed = Box::new(contributions).add_weighted_sum(&Weights::One, &mut gradient);
        summed.map_err(|error| thalweg_nn::Error::Pass(error.to_string()))?;
        Ok((margin, gradient))
    }
}

impl Stateful for Margins {}

impl Observe<f32> for Margins {
    fn observe(&mut self, view: &View<'_, f32>, record: &mut Record) -> Result<()> {
        let batch = (self.examples)(view.step);
        let found = batch.indices.iter().map(|index| self.margin(view.parameters, *index));
        let (margins, gradients): (Vec<f64>, Vec<Vec<f32>>) = found.collect::<thalweg_nn::Result<Vec<_>>>()?.into_iter().unzip();
        record.put_number("margin.least", margins.iter().copied().fold(f64::INFINITY, f64::min));
        record.put_number("margin.mean", margins.iter().sum::<f64>() / margins.len() as f64);
        let kernel =
            margin::from_zero(&gradients, &Search::default()).map_err(|error| Error::piece("watching margins", error))?;
        record.put_number("margin.kernel.lower", kernel.as_ref().map_or(0.0, |found| found.lower.max(0.0)));
        record.put_number("margin.kernel.upper", kernel.as_ref().map_or(0.0, |found| found.upper));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_network_s_margin_is_that_of_its_scores() {
        let network = Arc::new(thalweg_nn::NetworkConfig::mlp(2, &[], 3).build().unwrap());
        let samples = Arc::new(Samples::features(vec![1.0, 2.0, -1.0, 0.5], &[2], vec![2, 0], 3).unwrap());
        let margins = Margins::new(network, samples, Device::Cpu, Box::new(|_| Batch::default()));
        // Weights [2, 3] row by row, then biases: the scores of the first example are 1.9, -0.1, 3.0.
        let parameters = [0.5, -0.3, 1.0, 0.7, 0.1, 0.9, 0.0, 0.0, 0.2];
        let (margin, gradient) = margins.margin(&parameters, 0).unwrap();
        assert!((margin - (3.0 - 1.9)).abs() < 1e-6, "{margin}");
        assert_eq!(gradient, [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0]);
    }
}
