//! How the units of a population take part in a run, declared before it starts.

use serde::{Deserialize, Serialize};

/// How units (examples, clients) take part in the steps of a run.
///
/// A chooser declares it, and a guard checks that its guarantee covers it: noise calibrated for Poisson sampling protects
/// nobody in a fixed order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Participation {
    /// There are no units: a plan of actions, a matrix, a simulator.
    NoUnits,
    /// Every unit takes part in every step.
    Everyone,
    /// Each unit at most `at_most` times, any two of its steps at least `separation` apart: b-min-separation.
    Separated {
        /// The least distance b between two steps of one unit, at least 1.
        separation: u64,
        /// The most steps k of one unit.
        at_most: u64,
    },
    /// Each unit in each step independently with probability `rate`.
    Poisson {
        /// In (0, 1].
        rate: f64,
    },
    /// The population is split into groups; in step t each unit of group `t mod groups` independently, such that a share `rate` of
    /// the whole population takes part.
    CyclicPoisson {
        /// At least 1.
        groups: u64,
        /// In (0, 1/groups].
        rate: f64,
    },
    /// Each unit lies in one of `bins` bins, drawn independently once; step t takes bin `t mod bins`.
    BallsInBins {
        /// At least 1.
        bins: u64,
    },
    /// A unit that took part waits `separation - 1` steps, then takes part in each step with one probability until it does, such
    /// that it takes part in a share `rate` of all steps: b-min-sep sampling.
    BMinSep {
        /// b, at least 1.
        separation: u64,
        /// In (0, 1/b].
        rate: f64,
    },
    /// Shuffled afresh each epoch: a unit may take part in two neighbouring steps of different epochs.
    Shuffled {
        /// The most steps of one unit, that is, the number of epochs begun.
        at_most: u64,
    },
    /// Which units take part depends on the data or on the parameters.
    DataDependent {
        /// How, in words.
        how: String,
    },
}

impl std::fmt::Display for Participation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoUnits => write!(f, "no units"),
            Self::Everyone => write!(f, "everyone in every step"),
            Self::Separated { separation, at_most } => {
                write!(f, "each unit at most {at_most} times, {separation} steps apart")
            }
            Self::Poisson { rate } => write!(f, "Poisson sampling at rate {rate}"),
            Self::CyclicPoisson { groups, rate } => write!(f, "cyclic Poisson sampling from {groups} groups at rate {rate}"),
            Self::BallsInBins { bins } => write!(f, "balls in {bins} bins"),
            Self::BMinSep { separation, rate } => write!(f, "{separation}-min-sep sampling at rate {rate}"),
            Self::Shuffled { at_most } => {
                write!(f, "shuffled each epoch, each unit at most {at_most} times")
            }
            Self::DataDependent { how } => write!(f, "depends on the data ({how})"),
        }
    }
}
