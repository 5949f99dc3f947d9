//! How batches are drawn, as far as a privacy guarantee depends on it.

use serde::{Deserialize, Serialize};
use thalweg_descent::Participation;

use crate::error::{Error, Result};

/// A way to draw the batches of a run. `rate` is always the expected share of all data in one step, B/N.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Sampling {
    /// Batches that do not depend on secret chance: a fixed order, or all data in each step.
    None,
    /// Each example in each step independently with probability `rate`.
    Poisson {
        /// In (0, 1].
        rate: f64,
    },
    /// The data lie in `groups` disjoint groups of nearly equal size; step t draws from group `t mod groups`, each example
    /// independently with probability `groups * rate`.
    Cyclic {
        /// b', at least 1.
        groups: u64,
        /// In (0, 1/b'].
        rate: f64,
    },
    /// Each example lies in one of `bins` bins, drawn once; step t takes all of bin `t mod bins`, for `epochs` rounds.
    BallsInBins {
        /// b, at least 1.
        bins: u64,
        /// E, at least 1; the run has `bins * epochs` steps, or fewer where the last epoch ends early.
        epochs: u64,
    },
    /// An example that took part waits `separation - 1` steps, then takes part in each step with one probability until it does, such
    /// that it takes part in a share `rate` of all steps.
    BMinSep {
        /// b, at least 1.
        separation: u64,
        /// p0, in (0, 1/b].
        rate: f64,
    },
}

impl Sampling {
    /// The sampling of a run of `steps` steps whose batches declare this participation.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] for batches that depend on the data, are shuffled afresh each epoch, or have no units.
    pub fn of(participation: &Participation, steps: u64) -> Result<Self> {
        match *participation {
            Participation::Everyone | Participation::Separated { .. } => Ok(Self::None),
            Participation::Poisson { rate } => Ok(Self::Poisson { rate }),
            Participation::CyclicPoisson { groups, rate } => Ok(Self::Cyclic { groups, rate }),
            Participation::BallsInBins { bins } if bins > 0 => Ok(Self::BallsInBins { bins, epochs: steps.div_ceil(bins) }),
            Participation::BMinSep { separation, rate } => Ok(Self::BMinSep { separation, rate }),
            _ => Err(Error::unsuitable(
                "the accountant",
                format!("it covers a fixed order, Poisson, cyclic, balls-in-bins and b-min-sep sampling; here: {participation}"),
            )),
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Value`] that names the parameter.
    pub fn checked(self) -> Result<Self> {
        match self {
            Self::None => {}
            Self::Poisson { rate } => check_rate(rate)?,
            Self::Cyclic { groups, rate } => {
                check_rate(rate)?;
                if groups == 0 {
                    return Err(Error::value("the number of groups", 0, "at least 1"));
                }
                if groups as f64 * rate > 1.0 {
                    return Err(Error::value(
                        "the sampling rate within a group, groups times rate,",
                        groups as f64 * rate,
                        "at most 1: take fewer groups or a smaller batch",
                    ));
                }
            }
            Self::BallsInBins { bins, epochs } => {
                for (what, value) in [("the number of bins", bins), ("the number of epochs", epochs)] {
                    if value == 0 {
                        return Err(Error::value(what, 0, "at least 1"));
                    }
                }
            }
            Self::BMinSep { separation, rate } => {
                check_rate(rate)?;
                if separation == 0 {
                    return Err(Error::value("the separation b", 0, "at least 1"));
                }
                // 1/b itself, also where it is no double.
                if separation as f64 * rate > 1.0 + 1e-12 {
                    let most = format!("at most 1/b = {}: an example waits {} steps", 1.0 / separation as f64, separation - 1);
                    return Err(Error::value("the sampling rate", rate, &most));
                }
            }
        }
        Ok(self)
    }
}

fn check_rate(rate: f64) -> Result<()> {
    if rate > 0.0 && rate <= 1.0 { Ok(()) } else { Err(Error::value("the sampling rate", rate, "above 0 and at most 1")) }
}

impl std::fmt::Display for Sampling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => write!(f, "no sampling"),
            Self::Poisson { rate } => write!(f, "Poisson sampling at rate {rate}"),
            Self::Cyclic { groups, rate } => write!(f, "cyclic Poisson sampling from {groups} groups at rate {rate}"),
            Self::BallsInBins { bins, epochs } => write!(f, "balls in {bins} bins for {epochs} epochs"),
            Self::BMinSep { separation, rate } => write!(f, "{separation}-min-sep sampling at rate {rate}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use thalweg_descent::{Batch, Batches, Choose, Seed};

    use super::*;

    #[test]
    fn batches_declare_what_is_accounted() {
        let stream = Seed(1).stream("batches");
        let of = |batches: Batches| Sampling::of(&Choose::<Batch, f32>::participation(&batches), 20).unwrap().checked().unwrap();
        assert_eq!(of(Batches::fixed_order(100, 10, 20, &stream).unwrap()), Sampling::None);
        assert_eq!(of(Batches::poisson(100, 5.0, stream.clone()).unwrap()), Sampling::Poisson { rate: 0.05 });
        let cyclic = of(Batches::cyclic_poisson(100, 4, 5.0, stream.clone()).unwrap());
        assert_eq!(cyclic, Sampling::Cyclic { groups: 4, rate: 0.05 });
        let bins = of(Batches::balls_in_bins(100, 10, &stream).unwrap());
        assert_eq!(bins, Sampling::BallsInBins { bins: 10, epochs: 2 });
        let separated = of(Batches::b_min_sep(100, 7, 100.0 / 7.0, stream.clone()).unwrap());
        assert!(matches!(separated, Sampling::BMinSep { separation: 7, .. }), "{separated}");
        for refused in [Participation::Shuffled { at_most: 2 }, Participation::NoUnits, Participation::BallsInBins { bins: 0 }] {
            assert!(Sampling::of(&refused, 20).is_err(), "{refused}");
        }
    }
}
