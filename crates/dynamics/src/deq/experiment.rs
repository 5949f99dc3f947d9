//! One descent of an equilibrium model on random inputs.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use thalweg_descent::Seed;
use thalweg_descent::streams::StreamRng;

use super::activation::Activation;
use super::backward::Backward;
use super::descent::{Descent, Outcome};
use super::linear::LinearDeq;
use super::single_index::SingleIndex;
use crate::error::{Error, Result};

/// How inputs are drawn, each number on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inputs {
    /// In [0, 1).
    Uniform,
    /// Normal, of mean 0 and variance 1.
    Normal,
}

/// A descent of a linear or a single-index model towards a target of the same kind with v = 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// The activation; a linear model is descended by its second moments alone.
    pub activation: Activation,
    /// The target's weights, one an input.
    pub target: Vec<f64>,
    /// How inputs are drawn.
    pub inputs: Inputs,
    /// How many inputs are drawn.
    pub samples: usize,
    /// The inputs themselves, in place of draws: so many numbers each as the target has.
    pub given: Option<Vec<f64>>,
    /// For one input and a linear model: `E x^2` in place of the sample's.
    pub second_moment: Option<f64>,
    /// The weights and v at the start; drawn from N(0, 0.1^2) where there are none.
    pub start: Option<Vec<f64>>,
    /// The learning rate.
    pub rate: f64,
    /// The number of steps.
    pub steps: u64,
    /// The way back through the equilibrium.
    pub backward: Backward,
    /// The state is recorded at the start of each so many steps; `None` for never.
    pub record_every: Option<u64>,
    /// The seed of inputs and start.
    pub seed: u64,
}

impl Default for Experiment {
    /// The published linear run: target 2, 1000 uniform inputs, 200 steps of 0.01.
    fn default() -> Self {
        Self {
            activation: Activation::Linear,
            target: vec![2.0],
            inputs: Inputs::Uniform,
            samples: 1000,
            given: None,
            second_moment: None,
            start: None,
            rate: 0.01,
            steps: 200,
            backward: Backward::Exact,
            record_every: None,
            seed: 0,
        }
    }
}

/// More numbers than this are not drawn.
const MOST_NUMBERS: usize = 20_000_000;

/// More records than this are not kept.
const MOST_RECORDS: u64 = 1_000_000;

impl Experiment {
    /// Draws inputs and start, and descends.
    ///
    /// ```
    /// use thalweg_dynamics::deq::Experiment;
    ///
    /// let published = Experiment {
    ///     second_moment: Some(0.332_122_994_590_394_74),
    ///     start: Some(vec![0.024_422_950_667_176_008, 0.067_817_832_007_885_59]),
    ///     ..Experiment::default()
    /// };
    /// let run = published.run()?;
    /// assert!((run.theta[0] - 0.840_261_693_766_925_3).abs() < 1e-12);
    /// assert!((run.radius_squared.end - run.radius_squared.predicted_end).abs() < 1e-12);
    /// # Ok::<(), thalweg_dynamics::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for a field out of range; as [`Descent::run`].
    pub fn run(&self) -> Result<Outcome> {
        let d = self.target.len();
        self.check_inputs()?;
        if self.record_every == Some(0) {
            return Err(Error::value("the steps between records", 0, "1 or more"));
        }
        let records = self.record_every.map_or(0, |every| self.steps / every);
        if records > MOST_RECORDS {
            return Err(Error::value("the number of records", records, format!("at most {MOST_RECORDS}: record more rarely")));
        }
        let record = self.record_every.map_or(Vec::new(), |every| (0..=self.steps / every).map(|k| k * every).collect());
        let descent = Descent { rate: self.rate, steps: self.steps, backward: self.backward, record };
        let stream = Seed(self.seed).stream("equilibrium experiment");
        let start = self.start.clone().unwrap_or_else(|| {
            let mut rng = stream.at(0);
            (0..=d).map(|_| 0.1 * normal(&mut rng)).collect()
        });
        if self.activation == Activation::Linear {
            descent.run(&mut LinearDeq::new(&self.moments(&mut stream.at(1))?, &self.target)?, &start)
        } else if self.second_moment.is_some() {
            Err(Error::value("the second moment", "given", "left out: a non-linear model needs the inputs themselves"))
        } else {
            descent.run(&mut SingleIndex::new(self.activation, &self.inputs(&mut stream.at(1)), &self.target)?, &start)
        }
    }

    fn check_inputs(&self) -> Result<()> {
        let d = self.target.len();
        if let Some(given) = &self.given {
            return match given.len() {
                0 => Err(Error::value("the number of input entries", 0, "1 or more")),
                entries if d == 0 || entries % d != 0 => Err(Error::value(
                    "the number of input entries",
                    entries,
                    format!("a multiple of {d}, the inputs of the target"),
                )),
                _ => Ok(()),
            };
        }
        let numbers = d.saturating_mul(self.samples);
        if (1..=MOST_NUMBERS).contains(&numbers) {
            return Ok(());
        }
        let expected = format!("1 to {MOST_NUMBERS}: {d} inputs times {} samples", self.samples);
        Err(Error::value("the number of input entries", numbers, expected))
    }

    /// Whether inputs or start are drawn, so that the seed matters.
    pub fn draws(&self) -> bool {
        (self.second_moment.is_none() && self.given.is_none()) || self.start.is_none()
    }

    fn inputs(&self, rng: &mut StreamRng) -> Vec<f64> {
        if let Some(given) = &self.given {
            return given.clone();
        }
        let one = || match self.inputs {
            Inputs::Uniform => rng.random(),
            Inputs::Normal => normal(rng),
        };
        std::iter::repeat_with(one).take(self.target.len() * self.samples).collect()
    }

    /// `mean x x^T`, d x d.
    fn moments(&self, rng: &mut StreamRng) -> Result<Vec<f64>> {
        let d = self.target.len();
        if let Some(moment) = self.second_moment {
            return match d {
                1 => Ok(vec![moment]),
                _ => Err(Error::value("the second moment", "given", format!("left out for {d} inputs"))),
            };
        }
        if d.saturating_mul(d) > MOST_NUMBERS {
            return Err(Error::value("the number of inputs", d, "at most 4472: their second moments are a square matrix"));
        }
        let mut moments = vec![0.0; d * d];
        let inputs = self.inputs(rng);
        let samples = (inputs.len() / d) as f64;
        for x in inputs.chunks_exact(d) {
            for (row, x_i) in moments.chunks_exact_mut(d).zip(x) {
                crate::vector::add_scaled(row, x_i / samples, x);
            }
        }
        Ok(moments)
    }
}

fn normal(rng: &mut StreamRng) -> f64 {
    StandardNormal.sample(rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_activation_and_way_back_descends() {
        for activation in ["linear", "tanh", "sigmoid", "relu", "leaky-relu", "gelu", "z+0.5tanh"] {
            for backward in ["exact", "jfb", "neumann3", "damped2", "phantom3"] {
                let experiment = Experiment {
                    activation: activation.parse().unwrap(),
                    backward: backward.parse().unwrap(),
                    target: vec![0.5, -0.3],
                    inputs: Inputs::Normal,
                    samples: 200,
                    rate: 0.05,
                    steps: 300,
                    record_every: Some(100),
                    ..Experiment::default()
                };
                let run = experiment.run().unwrap();
                assert_eq!(run.records.len(), 4);
                assert!(run.risk < run.records[0].risk, "{activation} {backward}");
                assert_eq!(run, experiment.run().unwrap());
            }
        }
    }

    #[test]
    fn the_outcome_has_its_agreed_shape() {
        let json = serde_json::to_value(Experiment::default().run().unwrap()).unwrap();
        assert!(json["theta"].is_array() && json["risk"].is_number());
        for key in ["start", "end", "predicted_end"] {
            assert!(json["radius_squared"][key].is_number(), "{key}");
        }
    }

    #[test]
    fn bad_experiments_are_refused_by_name() {
        let refused = |experiment: Experiment| experiment.run().unwrap_err().to_string();
        let base = Experiment::default;
        assert!(refused(Experiment { samples: 0, ..base() }).contains("input entries"));
        assert!(refused(Experiment { samples: usize::MAX, ..base() }).contains("20000000"));
        assert!(refused(Experiment { target: vec![], ..base() }).contains("input entries"));
        let given = |given: Vec<f64>| Experiment { given: Some(given), target: vec![1.0, 2.0], ..base() };
        assert!(refused(given(vec![1.0; 3])).contains("multiple of 2"));
        assert!(refused(given(vec![])).contains("1 or more"));
        assert!(refused(Experiment { target: vec![f64::NAN], ..base() }).contains("target"));
        assert!(refused(Experiment { record_every: Some(0), ..base() }).contains("records"));
        assert!(refused(Experiment { record_every: Some(1), steps: u64::MAX, ..base() }).contains("at most 1000000"));
        assert!(refused(Experiment { target: vec![1.0; 5000], samples: 10, ..base() }).contains("4472"));
        assert!(refused(Experiment { second_moment: Some(-1.0), ..base() }).contains("second moment"));
        assert!(refused(Experiment { second_moment: Some(1.0), activation: Activation::Tanh, ..base() }).contains("left out"));
        assert!(refused(Experiment { second_moment: Some(1.0), target: vec![1.0, 1.0], ..base() }).contains("left out"));
        assert!(refused(Experiment { start: Some(vec![0.1]), ..base() }).contains("number of parameters"));
        assert!(refused(Experiment { start: Some(vec![0.1, 1.0]), ..base() }).contains("v is 1"));
        assert!(refused(Experiment { rate: -1.0, ..base() }).contains("learning rate"));
        assert!(refused(Experiment { backward: Backward::Neumann { terms: 0 }, ..base() }).contains("terms"));
        // Two samples cannot have three independent inputs.
        assert!(refused(Experiment { samples: 2, target: vec![1.0; 3], ..base() }).contains("positive definite"));
    }
}
