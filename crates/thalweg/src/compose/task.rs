//! Tasks whose examples are made up: nothing is loaded, and nobody's data are in them.

mod in_context;
mod modular_addition;

use serde::{Deserialize, Serialize};
use thalweg_descent::store::read_events;
use thalweg_descent::{Error, Record, Result};

pub(crate) use in_context::{Contexts, WatchContexts};
pub(crate) use modular_addition::modular_addition;

use crate::compose::{DataConfig, TrainingConfig};

/// A task in place of data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub enum Task {
    /// The sum of two numbers, modulo p: all pairs, of which a part is trained on.
    ModularAddition {
        /// p, at least 3.
        #[serde(default = "default_modulus")]
        modulus: u32,
        /// The part of the pairs that is trained on, in (0, 1).
        #[serde(default = "default_share")]
        train_share: f64,
    },
    /// Regression in context: from N pairs (x, W x) and another x, the answer W x; every context has a W of its own.
    InContext {
        /// The variances of the entries of x; W is diagonal with standard normal entries.
        #[serde(default = "default_spectrum")]
        spectrum: Vec<f64>,
        /// N, the length of a context.
        #[serde(default = "default_context")]
        context: usize,
        /// Contexts that are kept to measure on.
        #[serde(default = "default_held_out")]
        held_out: usize,
    },
}

fn default_modulus() -> u32 {
    53
}

fn default_share() -> f64 {
    0.4
}

fn default_spectrum() -> Vec<f64> {
    vec![2.0, 1.0, 0.5, 0.25]
}

fn default_context() -> usize {
    32
}

fn default_held_out() -> usize {
    1024
}

impl Default for Task {
    fn default() -> Self {
        Self::ModularAddition { modulus: default_modulus(), train_share: default_share() }
    }
}

/// Modulus and context beyond which a table of pairs or a step fits no memory.
const MOST: usize = 10_000;

impl Task {
    /// Regression in context at its usual size.
    pub fn in_context() -> Self {
        Self::InContext { spectrum: default_spectrum(), context: default_context(), held_out: default_held_out() }
    }

    /// The examples that are trained on; `None` where every step has new ones.
    pub fn train_examples(&self) -> Option<usize> {
        match *self {
            Self::ModularAddition { modulus, train_share } => Some(modular_addition::train_pairs(modulus, train_share)),
            Self::InContext { .. } => None,
        }
    }

    /// The loss of the best layer of linear attention on contexts of that length, and that of answering 0.
    ///
    /// # Errors
    /// [`Error::Input`] for a variance that is not above 0, and an empty context.
    pub fn reference_losses(spectrum: &[f64], context: usize) -> Result<[f64; 2]> {
        in_context::reference_losses(spectrum, context)
    }

    pub(crate) fn validate(&self, config: &TrainingConfig) -> Result<()> {
        if config.data != DataConfig::default() {
            return Err(Error::input("data: a task makes its own examples; leave the data out"));
        }
        match self {
            Self::ModularAddition { modulus, train_share } => modular_addition::check(*modulus, *train_share),
            Self::InContext { spectrum, context, held_out } => {
                in_context::check(spectrum, *context, *held_out)?;
                refuse_in_context(config)
            }
        }
    }
}

/// What regression in context has no use for.
fn refuse_in_context(config: &TrainingConfig) -> Result<()> {
    let training = &config.training;
    let refused = [
        (config.guarantee().is_some(), "privacy.mechanism: examples that are made up need no guarantee; choose \"none\""),
        (config.vote.is_some(), "vote: users vote on labelled examples, and these have none"),
        (training.ema.is_some(), "training.ema: the average is measured on labelled examples, and these have none; leave it out"),
        (training.views != 1, "training.views: views are taken of pictures; leave it out"),
        (training.steps.is_none(), "training.steps: every step has new contexts, so there are no epochs; say how many steps"),
    ];
    match refused.iter().find(|(wrong, _)| *wrong) {
        Some((_, reason)) => Err(Error::input(*reason)),
        None => Ok(()),
    }
}

/// When a network knew what it was shown, and when the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Milestones {
    /// The accuracy on the examples that it is trained on, at the end.
    pub seen_accuracy: Option<f64>,
    /// The first recorded step at which that is 99 %.
    pub memorised_at: Option<u64>,
    /// The first recorded step from which on the test accuracy is 95 % or more.
    pub generalised_at: Option<u64>,
}

/// An accuracy on the training pairs that counts as knowing them.
const MEMORISED: f64 = 0.99;

/// An accuracy on the other pairs that counts as knowing the rule.
const GENERALISED: f64 = 0.95;

impl Milestones {
    /// From the events of a run.
    pub fn of(records: &[Record]) -> Self {
        let series = |name: &str| -> Vec<(u64, f64)> {
            let at = |record: &Record| Some((record.number("step")? as u64 + 1, record.number(name)?));
            records.iter().filter_map(at).collect()
        };
        let (seen, test) = (series("seen.accuracy"), series("test.accuracy"));
        let last_miss = test.iter().rposition(|(_, accuracy)| *accuracy < GENERALISED);
        let known_from = last_miss.map_or(0, |at| at + 1);
        Self {
            seen_accuracy: seen.last().map(|(_, accuracy)| *accuracy),
            memorised_at: seen.iter().find(|(_, accuracy)| *accuracy >= MEMORISED).map(|(step, _)| *step),
            generalised_at: test.get(known_from).map(|(step, _)| *step),
        }
    }
}

/// What a network has learned in context.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// The share of each mode that is answered, at the end.
    pub modes: Vec<Option<f64>>,
    /// The loss of the best layer of linear attention: where the exact theory ends.
    pub linear_loss: f64,
    /// The loss of answering 0.
    pub zero_loss: f64,
}

/// What the events of a run on a task say of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) milestones: Option<Milestones>,
    pub(crate) learned: Option<Learned>,
}

impl Outcome {
    /// From the events in a run's folder; nothing where the run is on data.
    pub(crate) fn of(task: Option<&Task>, folder: &std::path::Path) -> Result<Self> {
        let events = folder.join("events.jsonl");
        let Some(task) = task.filter(|_| events.exists()) else { return Ok(Self::default()) };
        let records = read_events(&events)?;
        Ok(match task {
            Task::ModularAddition { .. } => Self { milestones: Some(Milestones::of(&records)), learned: None },
            Task::InContext { spectrum, context, .. } => {
                let last = |mode| records.iter().rev().find_map(|record| record.number(&in_context::mode_key(mode)));
                let [linear_loss, zero_loss] = in_context::reference_losses(spectrum, *context)?;
                let learned = Learned { modes: (0..spectrum.len()).map(last).collect(), linear_loss, zero_loss };
                Self { milestones: None, learned: Some(learned) }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milestones_are_the_first_of_knowing_and_of_knowing_for_good() {
        let record = |step: u64, seen: f64, test: f64| {
            let mut record = Record::default();
            record.put("step", step);
            record.put("seen.accuracy", seen);
            record.put("test.accuracy", test);
            record
        };
        let run = [(9, 0.5, 0.1), (19, 1.0, 0.2), (29, 1.0, 0.995), (39, 0.98, 0.7), (49, 1.0, 0.95), (59, 1.0, 1.0)];
        let records = run.map(|(step, seen, test)| record(step, seen, test));
        let found = Milestones::of(&records);
        assert_eq!(
            found,
            Milestones { seen_accuracy: Some(1.0), memorised_at: Some(20), generalised_at: Some(50) },
            "it was lost again at 40"
        );
        assert_eq!(Milestones::of(&records[..4]).generalised_at, None);
        assert_eq!(Milestones::of(&[]), Milestones::default());
    }
}
