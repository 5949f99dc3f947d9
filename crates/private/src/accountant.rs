//! From noise to (epsilon, delta), and back.
//!
//! [`account`] is the way in: it takes how batches are drawn, which data are neighbours, and noise or epsilon.
//!
//! | accountant | for |
//! |---|---|
//! | [`gaussian`] | one Gaussian mechanism, exact; every matrix mechanism without sampling is one |
//! | [`Composition`] | Gaussian mechanisms and Poisson-sampled steps together, by the privacy-loss distribution, pessimistic |
//! | [`MonteCarlo`] | balls-in-bins and b-min-sep sampling, by draws of the privacy loss, with what the draws prove |
//! | [`poisson`] | DP-SGD with Poisson sampling |
//! | [`concentrated`] | discrete Gaussian noise on a grid, in any number of dimensions |
//! | [`rdp`] | the same by Renyi divergences: looser |

pub mod concentrated;
pub mod gaussian;
pub mod poisson;
pub mod rdp;

mod account;
mod balls_in_bins;
mod calibration;
mod columns;
mod composition;
mod confidence;
mod losses;
mod min_separated;
mod monte_carlo;
mod normal;
mod pair;
mod search;
mod tally;
mod tilted;

use serde::{Deserialize, Serialize};

pub use account::{Account, AccountRequest, Accountant, Confidence, Target, account};
pub use composition::{Composition, Event, Mechanism};
pub use monte_carlo::{Claim, MonteCarlo};

use crate::error::{Error, Result};

/// Which data sets are neighbours: what one person may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbours {
    /// One example is there or not.
    AddRemove,
    /// One example is another one; the order of the others stays.
    ReplaceOne,
    /// One example's contributions are there or are zero; the order of the others stays.
    ZeroOut,
}

impl Neighbours {
    /// All, as commands spell them.
    pub const ALL: [Self; 3] = [Self::AddRemove, Self::ReplaceOne, Self::ZeroOut];

    /// The spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddRemove => "add-remove",
            Self::ReplaceOne => "replace-one",
            Self::ZeroOut => "zero-out",
        }
    }

    /// The farthest two contributions of one example can be apart, in clip norms.
    pub fn distance(self) -> f64 {
        match self {
            Self::AddRemove | Self::ZeroOut => 1.0,
            Self::ReplaceOne => 2.0,
        }
    }
}

impl std::fmt::Display for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::AddRemove => "add or remove one example",
            Self::ReplaceOne => "replace one example",
            Self::ZeroOut => "zero out one example",
        })
    }
}

impl std::str::FromStr for Neighbours {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|neighbours| neighbours.as_str() == text)
            .ok_or_else(|| Error::value("the neighbouring relation", format!("{text:?}"), "add-remove, replace-one or zero-out"))
    }
}
