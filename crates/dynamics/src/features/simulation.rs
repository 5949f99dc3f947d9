//! Whole runs of the signal-and-noise model, over seeds.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg_descent::Seed;

use super::alignment::Alignment;
use super::decomposition::Decomposition;
use super::network::Network;
use super::noisy_gd::{NoisyDescent, NoisyGd};
use super::outside::Outside;
use super::patches::Patches;
use super::synthetic::Synthetic;
use super::unseen::{Unseen, covariance};
use crate::error::{Error, Result};

/// Runs of one setting: each draws data, first weights, noise and test examples of its own.
///
/// A run is computed in the coordinates of its training patches; the rest of the weights, which no gradient reaches, is followed by
/// its law alone. So a step costs `2 m n^2` multiplications whatever the dimension.
///
/// The injected noise comes from the seed too: the data are synthetic, and there is nobody to protect.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Simulation {
    /// The data.
    pub data: Synthetic,
    /// The network.
    pub network: Network,
    /// The descent.
    pub descent: NoisyGd,
    /// Unseen examples, on which a run is tested.
    pub tests: usize,
    /// The number of runs.
    pub runs: u32,
    /// A record is kept after each so many steps, and at the end; `None` for the end alone.
    pub record_every: Option<u64>,
    /// The seed of all runs.
    pub seed: u64,
}

impl Default for Simulation {
    /// Four runs of 500 examples in 2,000 dimensions, tested on 1,000.
    fn default() -> Self {
        Self {
            data: Synthetic::default(),
            network: Network::default(),
            descent: NoisyGd::default(),
            tests: 1000,
            runs: 4,
            record_every: None,
            seed: 0,
        }
    }
}

/// A run after some steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The number of steps taken.
    pub step: u64,
    /// The share of training examples with a margin above 0.
    pub train_accuracy: f64,
    /// The share of unseen examples with a margin above 0.
    pub test_accuracy: f64,
    /// The mean logistic loss on the training examples.
    pub train_loss: f64,
    /// The mean logistic loss on unseen examples.
    pub test_loss: f64,
    /// The largest gamma.
    pub signal: f64,
    /// The largest rho. With injected noise it is no sign of memorisation: see `control_noise` and `alignment`.
    pub noise: f64,
    /// The largest rho of the same injected noise without any gradient.
    pub control_noise: f64,
    /// The norm of the weights' change outside the span of signal and noise patches: injected noise alone.
    pub residual: f64,
    /// How much the noise patches are memorised with their labels.
    pub alignment: Alignment,
    /// The median norm of an example's gradient.
    pub median_norm: f64,
    /// The largest norm of an example's gradient.
    pub largest_norm: f64,
    /// The share of examples whose gradient is clipped.
    pub clipped: f64,
}

impl Record {
    fn memorises(&self) -> bool {
        self.alignment.is_clear() && self.train_accuracy >= self.test_accuracy + 0.1
    }
}

/// What a network has made of its examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Regime {
    /// At least 90 % right on training and on unseen examples.
    Learned,
    /// At least 90 % right on training examples, at most 60 % on unseen ones.
    Memorised,
    /// Less than 70 % right on training examples.
    NoFit,
    /// None of these.
    Mixed,
}

impl Regime {
    /// By the two accuracies.
    pub fn of(train: f64, test: f64) -> Self {
        match () {
            () if train >= 0.9 && test >= 0.9 => Self::Learned,
            () if train >= 0.9 && test <= 0.6 => Self::Memorised,
            () if train < 0.7 => Self::NoFit,
            () => Self::Mixed,
        }
    }
}

/// The mean over runs, and the extremes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The lowest.
    pub lowest: f64,
    /// The highest.
    pub highest: f64,
}

impl Mean {
    /// Of these values; NaN for none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            lowest: values.iter().copied().fold(f64::INFINITY, f64::min),
            highest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// What the runs found: means over runs, and each run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The mean accuracy on unseen examples.
    pub test_accuracy: f64,
    /// The mean accuracy on training examples.
    pub train_accuracy: f64,
    /// The mean of the largest gamma.
    pub signal: f64,
    /// The mean of the largest rho.
    pub noise: f64,
    /// The mean of the control's largest rho.
    pub control_noise: f64,
    /// The mean norm of what noise has added outside the span of the patches.
    pub residual: f64,
    /// The noise multiplier, 0 without noise.
    pub noise_multiplier: f64,
    /// What the network has made of its examples.
    pub regime: Regime,
    /// In how many runs memorisation is clear: the alignment exceeds four standard errors, and training examples are right more
    /// often than unseen ones, by a tenth at least.
    pub memorising_runs: u32,
    /// The records of each run; the last is the end.
    pub runs: Vec<Vec<Record>>,
}

/// More runs or test examples than this are a slip of the keyboard.
const MOST_DRAWS: usize = 1_000_000;

/// Weights outside the span of the patches are kept in memory: no more than 1 GiB.
const MOST_WEIGHTS: usize = 1 << 27;

impl Simulation {
    /// Runs all, on all threads; the result does not depend on their number.
    ///
    /// ```
    /// use thalweg_dynamics::features::{Regime, Simulation, Synthetic};
    ///
    /// let data = Synthetic { examples: 100, dimension: 400, snr: 0.8, ..Synthetic::default() };
    /// let found = Simulation { data, runs: 1, ..Simulation::default() }.run()?;
    /// assert_eq!(found.regime, Regime::Learned);
    /// # Ok::<(), thalweg_dynamics::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for a field out of range; [`Error::Diverged`] when a run leaves the finite numbers.
    pub fn run(&self) -> Result<Report> {
        self.check()?;
        let runs: Vec<Result<Vec<Record>>> = (0..self.runs).into_par_iter().map(|run| self.run_once(run)).collect();
        Ok(self.report(runs.into_iter().collect::<Result<_>>()?))
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Value`] for a field out of range.
    pub fn check(&self) -> Result<()> {
        self.data.check()?;
        self.network.check()?;
        self.descent.check()?;
        for (what, count) in [("the number of test examples", self.tests), ("the number of runs", self.runs as usize)] {
            if !(1..=MOST_DRAWS).contains(&count) {
                return Err(Error::value(what, count, format!("1 to {MOST_DRAWS}")));
            }
        }
        if self.record_every == Some(0) {
            return Err(Error::value("the steps between records", 0, "at least 1"));
        }
        let weights = self.data.dimension.saturating_mul(2 * self.network.width);
        if weights > MOST_WEIGHTS {
            return Err(Error::value(
                "the number of weights (dimension times filters)",
                weights,
                format!("at most {MOST_WEIGHTS}"),
            ));
        }
        Ok(())
    }

    fn run_once(&self, run: u32) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        self.run_into(&mut records, run).map_err(|error| error.keeping(&records))?;
        Ok(records)
    }

    /// The records are there even after an error.
    fn run_into(&self, records: &mut Vec<Record>, run: u32) -> Result<()> {
        let draws = |role: &str| Seed(self.seed).stream(&format!("features: {role}")).at(u64::from(run));
        let data = self.data.sample(&mut draws("data"))?;
        let mut start = draws("start");
        let initial = self.network.initial(data.dimension(), &mut start);
        let outside = self.network.initial(self.data.outside(), &mut start);
        let std = self.descent.noise_std(data.len());
        let outside = Outside::new(outside, std, self.descent.steps, draws("noise outside"));
        let descent = NoisyDescent::new(&data, self.network, self.descent, initial)?;
        let mut looked = Looked { simulation: self, data: &data, decomposition: Decomposition::of(&data)?, descent, outside };
        let mut noise = draws("noise");
        while !looked.descent.is_done() {
            looked.descent.step(&mut noise)?;
            let step = looked.descent.steps_taken();
            if looked.descent.is_done() || self.record_every.is_some_and(|every| step.is_multiple_of(every)) {
                // The same draws for each record, so that a curve shows the weights and not the test examples.
                records.push(looked.record(&mut draws("tests"))?);
            }
        }
        Ok(())
    }

    fn report(&self, runs: Vec<Vec<Record>>) -> Report {
        let ends: Vec<&Record> = runs.iter().filter_map(|records| records.last()).collect();
        let mean = |value: fn(&Record) -> f64| Mean::of(ends.iter().map(|record| value(record))).mean;
        let (test, train) = (mean(|end| end.test_accuracy), mean(|end| end.train_accuracy));
        Report {
            test_accuracy: test,
            train_accuracy: train,
            signal: mean(|end| end.signal),
            noise: mean(|end| end.noise),
            control_noise: mean(|end| end.control_noise),
            residual: mean(|end| end.residual),
            noise_multiplier: self.descent.protection.noise_multiplier(),
            regime: Regime::of(train, test),
            memorising_runs: ends.iter().map(|end| u32::from(end.memorises())).sum(),
            runs,
        }
    }
}

/// A run under way, with what is needed to look at it.
struct Looked<'a> {
    simulation: &'a Simulation,
    data: &'a Patches,
    decomposition: Decomposition,
    descent: NoisyDescent<'a>,
    outside: Outside,
}

impl Looked<'_> {
    fn record(&mut self, tests: &mut impl rand::Rng) -> Result<Record> {
        let Simulation { data, network, .. } = *self.simulation;
        let seen = self.descent.look()?;
        self.outside.advance(seen.step);
        let parts = self.decomposition.split(&self.descent.change())?;
        let control = self.decomposition.split(self.descent.injected())?;
        let covariance = covariance(data.noise_std, self.descent.weights(), &self.outside.weights());
        // mu lies along the first coordinate.
        let on_signal = self.descent.weights().row(0).iter().map(|weight| weight * data.signal_norm()).collect();
        let unseen = Unseen::new(network, on_signal, &covariance, data.noise_patches);
        let (test_loss, test_accuracy) = unseen.loss_and_accuracy(self.simulation.tests, tests)?;
        Ok(Record {
            step: seen.step,
            train_accuracy: seen.accuracy,
            test_accuracy,
            train_loss: seen.loss,
            test_loss,
            signal: parts.largest_signal(),
            noise: parts.largest_noise(),
            control_noise: control.largest_noise(),
            residual: self.outside.injected().squared_norm().sqrt(),
            alignment: Alignment::of(&parts.noise, self.data.labels())?,
            median_norm: median(self.descent.gradients().norms()),
            largest_norm: seen.largest_norm,
            clipped: seen.clipped,
        })
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Protection, logistic_loss};

    fn small(snr: f64, noise_multiplier: f64) -> Simulation {
        let data = Synthetic { examples: 60, dimension: 200, snr, ..Synthetic::default() };
        let protection = Protection::new(1.0, noise_multiplier).unwrap();
        Simulation { data, descent: NoisyGd { protection, ..NoisyGd::default() }, ..Simulation::default() }
    }

    #[test]
    fn strong_signals_are_learned_and_weak_ones_memorised() {
        let strong = small(1.0, 0.0).run().unwrap();
        assert_eq!((strong.regime, strong.residual, strong.control_noise), (Regime::Learned, 0.0, 0.0));
        assert_eq!(strong.memorising_runs, 0, "what is right everywhere is no memorisation");
        let weak = small(0.02, 0.0).run().unwrap();
        assert_eq!((weak.regime, weak.memorising_runs), (Regime::Memorised, 4));
        assert!(strong.signal > 3.0 * strong.noise && weak.noise > 10.0 * weak.signal, "{strong:?} {weak:?}");
    }

    #[test]
    fn threads_and_records_do_not_change_the_end() {
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| small(0.5, 2.0).run()).unwrap();
        let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap().install(|| small(0.5, 2.0).run()).unwrap();
        assert_eq!(one, three);
        let recorded = Simulation { record_every: Some(30), ..small(0.5, 2.0) }.run().unwrap();
        for (run, end) in recorded.runs.iter().zip(&one.runs) {
            assert_eq!(run.iter().map(|record| record.step).collect::<Vec<_>>(), [30, 60, 90, 100]);
            assert_eq!(run.last(), end.last());
        }
    }

    /// The span's coordinates against vectors in all d, with independent draws: means of 24 runs each agree within 4.5 standard errors.
    /// A false alarm has a probability of 4 x 7e-6; leaving the noise outside the span out is found.
    #[test]
    fn a_run_has_the_law_of_the_model_in_all_coordinates() {
        let simulation = Simulation { runs: 24, tests: 400, ..small(0.45, 1.0) };
        let inside: Vec<[f64; 4]> = simulation
            .run()
            .unwrap()
            .runs
            .iter()
            .map(|run| [run[0].test_accuracy, run[0].signal, run[0].noise, run[0].residual])
            .collect();
        let all: Vec<[f64; 4]> = (0..24).map(|run| in_all_coordinates(&simulation, run)).collect();
        let apart = |quantity: usize, inside: &[[f64; 4]]| {
            let moments = |rows: &[[f64; 4]]| {
                let mean = rows.iter().map(|row| row[quantity]).sum::<f64>() / 24.0;
                (mean, rows.iter().map(|row| (row[quantity] - mean).powi(2)).sum::<f64>() / 23.0 / 24.0)
            };
            let ((a, a_error), (b, b_error)) = (moments(inside), moments(&all));
            (a - b).abs() / (a_error + b_error).sqrt()
        };
        for quantity in 0..4 {
            assert!(apart(quantity, &inside) < 4.5, "{quantity}: {}", apart(quantity, &inside));
        }
        let without: Vec<[f64; 4]> = inside.iter().map(|row| [row[0], row[1], row[2], 0.9 * row[3]]).collect();
        assert!(apart(3, &without) > 4.5, "the test can fail");
    }

    fn in_all_coordinates(simulation: &Simulation, run: u64) -> [f64; 4] {
        let mut rng = Seed(99).stream("all coordinates").at(run);
        let data = simulation.data.sample_vectors(&mut rng).unwrap();
        let initial = simulation.network.initial(data.dimension(), &mut rng);
        let mut descent = NoisyDescent::new(&data, simulation.network, simulation.descent, initial).unwrap();
        while !descent.is_done() {
            descent.step(&mut rng).unwrap();
        }
        let parts = Decomposition::of(&data).unwrap().split(&descent.change()).unwrap();
        let tests = Synthetic { examples: 199, ..simulation.data };
        let margins: Vec<f64> = (0..2)
            .flat_map(|_| simulation.network.margins(descent.weights(), &tests.sample_vectors(&mut rng).unwrap()).unwrap())
            .collect();
        assert!(margins.iter().all(|margin| logistic_loss(*margin).is_finite()));
        let right = margins.iter().filter(|margin| **margin > 0.0).count() as f64 / margins.len() as f64;
        [right, parts.largest_signal(), parts.largest_noise(), parts.residual.squared_norm().sqrt()]
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        let base = small(0.5, 0.0);
        let refused = |simulation: Simulation| simulation.run().unwrap_err().to_string();
        assert!(refused(Simulation { tests: 0, ..base }).contains("test examples"));
        assert!(refused(Simulation { runs: 0, ..base }).contains("number of runs"));
        assert!(refused(Simulation { record_every: Some(0), ..base }).contains("records"));
        assert!(refused(Simulation { data: Synthetic { snr: 0.0, ..base.data }, ..base }).contains("signal-to-noise"));
        assert!(refused(Simulation { data: Synthetic { examples: 200, ..base.data }, ..base }).contains("at most 199"));
        let endless = Synthetic { dimension: usize::MAX, ..base.data };
        assert!(refused(Simulation { data: endless, ..base }).contains("number of weights"));
        assert!(refused(Simulation { descent: NoisyGd { steps: 0, ..base.descent }, ..base }).contains("steps"));
    }

    #[test]
    fn regimes_are_by_both_accuracies() {
        assert_eq!(Regime::of(0.9, 0.9), Regime::Learned);
        assert_eq!(Regime::of(0.95, 0.6), Regime::Memorised);
        assert_eq!(Regime::of(0.69, 0.5), Regime::NoFit);
        assert_eq!(Regime::of(0.8, 0.8), Regime::Mixed);
        assert_eq!(Regime::of(f64::NAN, f64::NAN), Regime::Mixed);
    }
}
