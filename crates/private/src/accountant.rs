//! From noise to (epsilon, delta), and back.
//!
//! | accountant | for |
//! |---|---|
//! | [`gaussian`] | one Gaussian mechanism, exact; every matrix mechanism without sampling is one |
//! | [`poisson`] | DP-SGD with Poisson sampling, by the privacy-loss distribution, pessimistic |
//! | [`rdp`] | the same by Renyi divergences: quicker, looser |

pub mod gaussian;
pub mod poisson;
pub mod rdp;

mod normal;
mod search;

use serde::{Deserialize, Serialize};

/// Which data sets are neighbours: what one person may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbours {
    /// One example is there or not.
    AddRemove,
    /// One example's contributions are there or are zero; the order of the others stays.
    ZeroOut,
}

impl std::fmt::Display for Neighbours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::AddRemove => "add or remove one example",
            Self::ZeroOut => "zero out one example",
        })
    }
}
