//! Full-batch gradient descent of a deep ReLU network, with what the theory bounds along the way.

use faer::{Mat, Scale};
use serde::Serialize;
use thalweg_probes::svd;

use super::examples::Examples;
use super::network::{Network, Pass};
use crate::error::{Error, Result, positive};

/// How a network descends: `W <- W - rate gradient` of the mean logistic loss, over all hidden layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// The learning rate.
    pub rate: f64,
    /// The number of steps T.
    pub steps: u64,
    /// The numbers of steps after which the network is probed, increasing.
    pub record: Vec<u64>,
}

/// A network after some steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// Steps made.
    pub step: u64,
    /// The mean logistic loss on the training examples.
    pub loss: f64,
    /// The rate times the sum of the losses at the starts of all steps so far.
    pub summed_loss: f64,
    /// The share of training examples with the wrong sign.
    pub training_error: f64,
    /// The share of test examples with the wrong sign.
    pub test_error: f64,
    /// The mean logistic loss on the test examples.
    pub test_loss: f64,
    /// The distance from the start, over all layers (Frobenius).
    pub distance: f64,
    /// The spectral distance from the start of each layer.
    pub spectral_distances: Vec<f64>,
    /// How many of the m n activations of each layer differ from the start.
    pub flips: Vec<usize>,
    /// The largest gradient of an output by each layer's weights.
    pub gradient_norms: Vec<f64>,
    /// The largest `|f - f_0 - <grad f_0, W - W_0>|` over the training examples: how far the network is from linear.
    pub linearisation_residual: f64,
    /// `|W^{l+1}|^2 - |W^l|^2` of neighbouring layers, which gradient flow conserves.
    pub layer_gaps: Vec<f64>,
    /// The gaps at the start plus `sum rate^2 (|G^{l+1}|^2 - |G^l|^2)`: where they must be if every gradient is right.
    pub predicted_layer_gaps: Vec<f64>,
}

/// Looks at a training before each step; for sums over all steps.
pub trait Watch {
    /// The network and its loss at the start of a step.
    fn before_step(&mut self, network: &Network, loss: f64);

    /// The network and its loss after the last step.
    fn at_end(&mut self, network: &Network, loss: f64);
}

/// Watches nothing.
impl Watch for () {
    fn before_step(&mut self, _: &Network, _: f64) {}

    fn at_end(&mut self, _: &Network, _: f64) {}
}

impl Training {
    /// Trains a network in place and returns its probes.
    ///
    /// ```
    /// use thalweg_descent::Seed;
    /// use thalweg_dynamics::relu::{Network, Shape, Training, xor};
    ///
    /// let all = xor::all(4)?;
    /// let mut network = Network::random(Shape::new(4, 64, 2)?, &mut Seed(0).stream("network").at(0));
    /// let training = Training { rate: 0.5, steps: 200, record: vec![200] };
    /// let probes = training.run(&mut network, &all.select(&[0, 3, 5, 6, 9, 10, 12, 15])?, &all, &mut ())?;
    /// assert!(probes[0].training_error < 0.2);
    /// # Ok::<(), thalweg_dynamics::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for a bad rate and examples of another dimension; [`Error::Diverged`], with the step and losses until then, when the loss or the
    /// weights are no longer finite.
    pub fn run(&self, network: &mut Network, examples: &Examples, test: &Examples, watch: &mut impl Watch) -> Result<Vec<Probe>> {
        let mut passed = Vec::new();
        self.run_into(&mut passed, network, examples, test, watch).map_err(|error| error.keeping(&passed))
    }

    /// Losses on the way are there even after an error.
    fn run_into(
        &self,
        passed: &mut Vec<Passed>,
        network: &mut Network,
        examples: &Examples,
        test: &Examples,
        watch: &mut impl Watch,
    ) -> Result<Vec<Probe>> {
        positive("the learning rate", self.rate)?;
        let mut run = Run::new(network, examples, test, self.rate)?;
        let mut probes = Vec::new();
        let mut next = self.record.iter().copied().peekable();
        let every = self.steps.div_ceil(MOST_PASSED).max(1);
        for step in 0..self.steps {
            let loss = run.evaluate(network, step)?;
            if step.is_multiple_of(every) {
                passed.push(Passed { step, loss });
            }
            if next.next_if_eq(&step).is_some() {
                probes.push(run.probe(network, step, loss)?);
            }
            watch.before_step(network, loss);
            run.step(network, loss);
        }
        let loss = run.evaluate(network, self.steps)?;
        if next.next_if_eq(&self.steps).is_some() {
            probes.push(run.probe(network, self.steps, loss)?);
        }
        watch.at_end(network, loss);
        Ok(probes)
    }
}

/// At most so many losses are kept on the way.
const MOST_PASSED: u64 = 200;

/// A loss on the way: what is left of a training that diverges.
#[derive(Clone, Copy, Debug, Serialize)]
struct Passed {
    step: u64,
    loss: f64,
}

struct Run<'a> {
    examples: &'a Examples,
    test: &'a Examples,
    rate: f64,
    start: Network,
    /// The passes at the start, each example with weight 1.
    start_pass: Pass,
    pass: Pass,
    gradients: Vec<Mat<f64>>,
    summed_loss: f64,
    predicted_layer_gaps: Vec<f64>,
    last_norm: f64,
}

impl<'a> Run<'a> {
    fn new(network: &Network, examples: &'a Examples, test: &'a Examples, rate: f64) -> Result<Self> {
        network.outputs(&test.select(&[0])?)?;
        Ok(Self {
            examples,
            test,
            rate,
            start: network.clone(),
            start_pass: Pass::of(network, examples)?,
            pass: Pass::new(network, examples)?,
            gradients: network.weights().to_vec(),
            summed_loss: 0.0,
            predicted_layer_gaps: gaps(network.weights()),
            last_norm: size(network.weights()),
        })
    }

    fn evaluate(&mut self, network: &Network, step: u64) -> Result<f64> {
        self.pass.forward(network);
        let loss = self.examples.loss(self.pass.outputs.iter().copied());
        let norm = size(network.weights());
        if loss.is_finite() && norm.is_finite() {
            self.last_norm = norm;
            return Ok(loss);
        }
        let (what, value) = if loss.is_finite() { ("the norm of the weights", norm) } else { ("the loss", loss) };
        Err(Error::diverged(what, value, step, self.last_norm, "a smaller learning rate"))
    }

    fn step(&mut self, network: &mut Network, loss: f64) {
        self.pass.backward_loss(network, self.examples.labels());
        self.pass.gradients(&mut self.gradients);
        self.summed_loss += self.rate * loss;
        for (predicted, gap) in self.predicted_layer_gaps.iter_mut().zip(gaps(&self.gradients)) {
            *predicted += self.rate * self.rate * gap;
        }
        for (weights, gradient) in network.weights_mut().iter_mut().zip(&self.gradients) {
            for j in 0..weights.ncols() {
                let moved = weights.col_mut(j).iter_mut().zip(gradient.col(j).iter());
                moved.for_each(|(weight, gradient)| *weight -= self.rate * gradient);
            }
        }
    }

    fn probe(&self, network: &Network, step: u64, loss: f64) -> Result<Probe> {
        let moves: Vec<Mat<f64>> = network.weights().iter().zip(self.start.weights()).map(|(now, start)| now - start).collect();
        let mut spectral_distances = Vec::new();
        for moved in &moves {
            spectral_distances.push(svd::spectral_norm(moved.as_ref())?);
        }
        let tested = network.outputs(self.test)?;
        Ok(Probe {
            step,
            loss,
            summed_loss: self.summed_loss,
            training_error: self.examples.error(self.pass.outputs.iter().copied()),
            test_error: self.test.error(tested.iter().copied()),
            test_loss: self.test.loss(tested),
            distance: size(&moves),
            spectral_distances,
            flips: self.flips(network),
            gradient_norms: self.gradient_norms(network),
            linearisation_residual: self.linearisation_residual(&moves),
            layer_gaps: gaps(network.weights()),
            predicted_layer_gaps: self.predicted_layer_gaps.clone(),
        })
    }

    fn flips(&self, network: &Network) -> Vec<usize> {
        let (width, n) = (network.shape().width(), self.examples.len());
        let flipped = |layer: usize, unit: usize, example: usize| {
            self.pass.is_active(layer, unit, example) != self.start_pass.is_active(layer, unit, example)
        };
        let in_layer = |layer: usize| (0..n).map(|at| (0..width).filter(|&unit| flipped(layer, unit, at)).count()).sum();
        (0..network.shape().depth()).map(in_layer).collect()
    }

    fn gradient_norms(&self, network: &Network) -> Vec<f64> {
        let mut pass = self.pass.clone();
        pass.backward(network, |_, _| 1.0);
        let norm = |layer: usize, at: usize| pass.back[layer].col(at).norm_l2() * pass.below(layer).col(at).norm_l2();
        (0..network.shape().depth()).map(|layer| (0..self.examples.len()).map(|at| norm(layer, at)).fold(0.0, f64::max)).collect()
    }

    fn linearisation_residual(&self, moves: &[Mat<f64>]) -> f64 {
        let mut residual: Vec<f64> =
            self.pass.outputs.iter().zip(&self.start_pass.outputs).map(|(now, start)| now - start).collect();
        for (layer, moved) in moves.iter().enumerate() {
            let image = moved * self.start_pass.below(layer);
            for (at, residual) in residual.iter_mut().enumerate() {
                *residual -= self.start_pass.back[layer].col(at).transpose() * image.col(at);
            }
        }
        residual.into_iter().map(f64::abs).fold(0.0, f64::max)
    }
}

/// `|W|` over all layers.
pub(super) fn size(layers: &[Mat<f64>]) -> f64 {
    layers.iter().map(Mat::squared_norm_l2).sum::<f64>().sqrt()
}

/// `|W^{l+1}|^2 - |W^l|^2` of neighbouring layers.
fn gaps(layers: &[Mat<f64>]) -> Vec<f64> {
    layers.windows(2).map(|pair| pair[1].squared_norm_l2() - pair[0].squared_norm_l2()).collect()
}

/// The network moved from a start by a multiple of a direction.
pub(super) fn moved(start: &Network, direction: &[Mat<f64>], by: f64) -> Network {
    let mut moved = start.clone();
    moved.weights_mut().iter_mut().zip(direction).for_each(|(weights, direction)| *weights += direction * Scale(by));
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relu::{Shape, xor};
    use thalweg_descent::Seed;

    fn network(depth: usize) -> Network {
        Network::random(Shape::new(6, 32, depth).unwrap(), &mut Seed(4).stream("network").at(0))
    }

    fn train(rate: f64, steps: u64, depth: usize) -> Result<Vec<Probe>> {
        let all = xor::all(6).unwrap();
        let examples = all.select(&[3, 17, 25, 40, 62, 11, 50, 33]).unwrap();
        Training { rate, steps, record: vec![0, steps] }.run(&mut network(depth), &examples, &all, &mut ())
    }

    #[test]
    fn layer_gaps_drift_as_predicted() {
        let probes = train(1.0, 300, 3).unwrap();
        let (first, last) = (&probes[0], &probes[1]);
        for layer in 0..2 {
            assert!((last.layer_gaps[layer] - last.predicted_layer_gaps[layer]).abs() < 1e-10);
            assert!((last.layer_gaps[layer] - first.layer_gaps[layer]).abs() > 1e-3);
        }
        assert!(last.loss < 0.5 * first.loss && last.training_error == 0.0);
        assert!((first.loss - std::f64::consts::LN_2).abs() < 1e-12 && first.distance == 0.0 && first.flips == [0, 0, 0]);
        assert!(last.flips.iter().all(|&flips| flips > 0) && last.linearisation_residual > 0.1);
    }

    #[test]
    fn between_kinks_descent_approaches_the_flow_with_order_one() {
        let end = |steps: u64| {
            let last = train(0.1 / steps as f64, steps, 1).unwrap().remove(1);
            assert_eq!(last.flips, [0], "a kink makes the order uneven");
            last.loss
        };
        let losses = [20, 40, 80, 160].map(end);
        let changes: Vec<f64> = losses.windows(2).map(|pair| pair[0] - pair[1]).collect();
        let orders: Vec<f64> = changes.windows(2).map(|pair| (pair[0] / pair[1]).log2()).collect();
        assert!(orders.iter().all(|order| (order - 1.0).abs() < 0.02), "{orders:?}");
    }

    #[test]
    fn a_run_that_diverges_stops_with_step_and_value() {
        let error = train(1e300, 50, 2).unwrap_err();
        assert!(matches!(error, Error::Diverged { step, .. } if step < 50), "{error}");
        assert!(train(0.0, 1, 1).unwrap_err().to_string().contains("learning rate"));
    }
}
