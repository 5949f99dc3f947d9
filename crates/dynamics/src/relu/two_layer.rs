//! A network of one hidden layer with biases, both layers trained: what the published experiment runs, beside what its text says.

use rand::RngExt;
use thalweg_descent::streams::StreamRng;

use super::examples::{Examples, logistic_pull};
use super::network::check_size;
use crate::error::{Error, Result, positive};
use crate::vector::{dot, norm};

/// `f(x) = v^T relu(W x + b) + c`
#[derive(Clone, Debug, PartialEq)]
pub struct TwoLayer {
    inputs: usize,
    /// W, m x d, row-major.
    weights: Vec<f64>,
    biases: Vec<f64>,
    outgoing: Vec<f64>,
    offset: f64,
}

/// Gradient descent of a [`TwoLayer`] network on the mean logistic loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Epochs {
    /// The learning rate.
    pub rate: f64,
    /// The most epochs; each is one full-batch step.
    pub most: u64,
    /// Ends early when the loss changes by less than this in one epoch.
    pub least_change: Option<f64>,
    /// The epochs at whose start the network is recorded, increasing.
    pub record: Vec<u64>,
}

/// A network at the start of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Epochs made.
    pub epoch: u64,
    /// The mean logistic loss.
    pub loss: f64,
    /// The network.
    pub network: TwoLayer,
    /// For each unit, `|w|^2 + b^2 - v^2`, which gradient flow conserves.
    pub balances: Vec<f64>,
    /// The balances at the start plus `sum rate^2 (|g_w|^2 + g_b^2 - g_v^2)`.
    pub predicted_balances: Vec<f64>,
}

impl TwoLayer {
    /// A network of d inputs and m units from numbers that should be uniform in [0, 1): all weights and biases of a layer within
    /// `+-1 / sqrt(inputs of the layer)`; W first, row by row, then b, v, c.
    ///
    /// # Errors
    /// [`Error::Value`] for no inputs or units.
    pub fn uniform(d: usize, m: usize, mut uniform: impl FnMut() -> f64) -> Result<Self> {
        if d == 0 || m == 0 {
            return Err(Error::value("the sizes d x m", format!("{d} x {m}"), "1 or more"));
        }
        check_size("the number of weights", d as u128 * m as u128)?;
        let mut draw = |count: usize, inputs: usize| -> Vec<f64> {
            let bound = 1.0 / (inputs as f64).sqrt();
            (0..count).map(|_| (2.0 * uniform() - 1.0) * bound).collect()
        };
        let (weights, biases, outgoing) = (draw(m * d, d), draw(m, d), draw(m, m));
        Ok(Self { inputs: d, weights, biases, outgoing, offset: draw(1, m)[0] })
    }

    /// A network from a random stream.
    ///
    /// # Errors
    /// As [`uniform`](Self::uniform).
    pub fn random(d: usize, m: usize, rng: &mut StreamRng) -> Result<Self> {
        Self::uniform(d, m, || rng.random())
    }

    /// The norm of W.
    pub fn incoming_norm(&self) -> f64 {
        norm(&self.weights)
    }

    /// The norm of v.
    pub fn outgoing_norm(&self) -> f64 {
        norm(&self.outgoing)
    }

    /// The offset c.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// The share of examples with the wrong sign.
    ///
    /// # Errors
    /// [`Error::Value`] for examples of another dimension.
    pub fn error(&self, examples: &Examples) -> Result<f64> {
        self.check(examples)?;
        Ok(examples.error((0..examples.len()).map(|at| self.output(point(examples, at)))))
    }

    /// `|w|^2 + b^2 - v^2` of each unit; of a gradient, what a step of rate eta adds over eta^2.
    fn balances(&self) -> Vec<f64> {
        let units = self.weights.chunks_exact(self.inputs).zip(&self.biases).zip(&self.outgoing);
        units.map(|((w, b), v)| dot(w, w) + b * b - v * v).collect()
    }

    fn output(&self, x: &[f64]) -> f64 {
        let units = self.weights.chunks_exact(self.inputs).zip(&self.biases).zip(&self.outgoing);
        units.map(|((w, b), v)| v * (dot(w, x) + b).max(0.0)).sum::<f64>() + self.offset
    }

    fn check(&self, examples: &Examples) -> Result<()> {
        if examples.dimension() == self.inputs {
            return Ok(());
        }
        Err(Error::value("the dimension of the examples", examples.dimension(), format!("{}, as the network", self.inputs)))
    }

    /// Writes the gradient of the mean loss and returns the loss.
    fn gradient(&self, examples: &Examples, pre: &mut [f64], gradient: &mut Self) -> f64 {
        let (n, d) = (examples.len() as f64, self.inputs);
        gradient.weights.fill(0.0);
        gradient.biases.fill(0.0);
        gradient.outgoing.fill(0.0);
        gradient.offset = 0.0;
        let mut loss = 0.0;
        for (at, label) in examples.labels().iter().enumerate() {
            let x = point(examples, at);
            let mut output = self.offset;
            for ((pre, (w, b)), v) in pre.iter_mut().zip(self.weights.chunks_exact(d).zip(&self.biases)).zip(&self.outgoing) {
                *pre = dot(w, x) + b;
                output += v * pre.max(0.0);
            }
            loss += super::examples::logistic(label * output) / n;
            let pull = -label * logistic_pull(label * output) / n;
            gradient.offset += pull;
            for (unit, pre) in pre.iter().enumerate().filter(|(_, pre)| **pre > 0.0) {
                gradient.outgoing[unit] += pull * pre;
                let back = pull * self.outgoing[unit];
                gradient.biases[unit] += back;
                crate::vector::add_scaled(&mut gradient.weights[unit * d..(unit + 1) * d], back, x);
            }
        }
        loss
    }

    fn step(&mut self, rate: f64, gradient: &Self) {
        crate::vector::add_scaled(&mut self.weights, -rate, &gradient.weights);
        crate::vector::add_scaled(&mut self.biases, -rate, &gradient.biases);
        crate::vector::add_scaled(&mut self.outgoing, -rate, &gradient.outgoing);
        self.offset -= rate * gradient.offset;
    }
}

fn point(examples: &Examples, at: usize) -> &[f64] {
    examples.points().col(at).try_as_col_major().expect("points are columns").as_slice()
}

impl Epochs {
    /// Trains a network in place and returns its snapshots; the last is of the end where an early one was asked for.
    ///
    /// # Errors
    /// [`Error::Value`] for a bad rate and examples of another dimension; [`Error::Diverged`], with the epoch, when the loss is no
    /// longer finite.
    pub fn run(&self, network: &mut TwoLayer, examples: &Examples) -> Result<Vec<Snapshot>> {
        positive("the learning rate", self.rate)?;
        network.check(examples)?;
        let mut gradient = network.clone();
        let mut pre = vec![0.0; network.biases.len()];
        let mut predicted_balances = network.balances();
        let mut snapshots = Vec::new();
        let mut next = self.record.iter().copied().peekable();
        let mut last_loss = f64::INFINITY;
        let mut last_norm = network.incoming_norm();
        for epoch in 0..=self.most {
            let loss = network.gradient(examples, &mut pre, &mut gradient);
            if !loss.is_finite() {
                return Err(Error::diverged("the loss", loss, epoch, last_norm, "a smaller learning rate"));
            }
            let settled = self.least_change.is_some_and(|least| (last_loss - loss).abs() < least);
            let wanted = next.next_if_eq(&epoch).is_some();
            if wanted || (settled && next.peek().is_some()) {
                let (network, predicted_balances) = (network.clone(), predicted_balances.clone());
                snapshots.push(Snapshot { epoch, loss, balances: network.balances(), network, predicted_balances });
            }
            if settled || epoch == self.most {
                break;
            }
            for (predicted, change) in predicted_balances.iter_mut().zip(gradient.balances()) {
                *predicted += self.rate * self.rate * change;
            }
            last_norm = network.incoming_norm();
            network.step(self.rate, &gradient);
            last_loss = loss;
        }
        Ok(snapshots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relu::xor;
    use thalweg_descent::Seed;

    fn network() -> TwoLayer {
        TwoLayer::random(6, 16, &mut Seed(2).stream("network").at(0)).unwrap()
    }

    fn examples() -> Examples {
        xor::all(6).unwrap().select(&[3, 17, 25, 40, 62, 11, 50, 33]).unwrap()
    }

    #[test]
    fn gradients_are_central_differences() {
        let (network, examples) = (network(), examples());
        let mut gradient = network.clone();
        network.gradient(&examples, &mut [0.0; 16], &mut gradient);
        let check = |of: fn(&mut TwoLayer) -> &mut f64| {
            let mut gradient = gradient.clone();
            let loss = |by: f64| {
                let mut moved = network.clone();
                *of(&mut moved) += by;
                moved.gradient(&examples, &mut [0.0; 16], &mut network.clone())
            };
            let difference = (loss(1e-6) - loss(-1e-6)) / 2e-6;
            assert!((*of(&mut gradient) - difference).abs() < 1e-9, "{difference}");
        };
        check(|network| &mut network.weights[40]);
        check(|network| &mut network.biases[3]);
        check(|network| &mut network.outgoing[7]);
        check(|network| &mut network.offset);
    }

    #[test]
    fn balances_drift_as_predicted_and_an_early_end_is_recorded() {
        let mut trained = network();
        let epochs = Epochs { rate: 0.5, most: 500, least_change: None, record: vec![0, 500] };
        let snapshots = epochs.run(&mut trained, &examples()).unwrap();
        let last = &snapshots[1];
        let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(gap(&last.balances, &last.predicted_balances) < 1e-12);
        assert!(gap(&last.balances, &snapshots[0].balances) > 1e-4);
        assert_eq!(last.network, trained);
        let settle = Epochs { least_change: Some(1e-4), record: vec![5000], most: 5000, rate: 0.5 };
        let early = settle.run(&mut network(), &examples()).unwrap();
        assert!(early.len() == 1 && early[0].epoch < 5000);
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        assert!(TwoLayer::random(0, 4, &mut Seed(2).stream("network").at(0)).is_err());
        assert!(TwoLayer::random(6, usize::MAX, &mut Seed(2).stream("network").at(0)).unwrap_err().to_string().contains("2 GiB"));
        let other = xor::all(4).unwrap();
        let epochs = |rate| Epochs { rate, most: 50, least_change: None, record: vec![] };
        assert!(epochs(0.1).run(&mut network(), &other).unwrap_err().to_string().contains("dimension"));
        assert!(epochs(f64::NAN).run(&mut network(), &examples()).unwrap_err().to_string().contains("rate"));
        let diverged = epochs(1e200).run(&mut network(), &examples()).unwrap_err();
        assert!(matches!(diverged, Error::Diverged { .. }), "{diverged}");
    }
}
