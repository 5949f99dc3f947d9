//! How much one unit can move the output of a mechanism: `sens(C)`.
//!
//! A unit's contributions are arbitrary vectors of norm at most 1 (times the clip norm) in the steps S of a feasible pattern:
//! `sens^2 = max over S and unit vectors u_i of sum_{i,j in S} X_ij <u_i,u_j>` with `X = C^T C`. Each rule here is either
//! exact or an upper bound, and says which.
//!
//! | C | rule | |
//! |---|---|---|
//! | any, one participation | the largest column norm | exact |
//! | columns at distance b and beyond do not overlap | their squared norms add up, [`best_separated`] | exact |
//! | Toeplitz, `c >= 0`, non-increasing from lag b on | [`of_leading_steps`]: steps 1, 1+b, 1+2b, ... are the worst | exact |
//! | Toeplitz, any c | the same with a majorant of the lags from b on | upper bound |
//! | Toeplitz, any c | [`of_correlations`]: with a majorant of the columns' inner products | upper bound, often attained |
//! | any | [`of_gram`] | upper bound |

#[cfg(test)]
mod brute_force;
mod matrix;
mod toeplitz;

use serde::{Deserialize, Serialize};

pub use matrix::{best_separated, of_gram};
pub use toeplitz::{of_correlations, of_leading_steps, of_toeplitz, toeplitz_gram};
pub(crate) use toeplitz::{of_scaled_toeplitz, squared_with_gradient};

/// Whether a sensitivity is the exact one or an upper bound; both are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Some unit attains it.
    Exact,
    /// No unit exceeds it.
    Upper,
}

/// The sensitivity of a strategy matrix, for clip norm 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The value.
    pub value: f64,
    /// Exact, or an upper bound.
    pub kind: Kind,
}

impl Sensitivity {
    pub(crate) fn exact(value: f64) -> Self {
        Self { value, kind: Kind::Exact }
    }

    pub(crate) fn upper(value: f64) -> Self {
        Self { value, kind: Kind::Upper }
    }

    /// The smaller of two bounds; the exact one where there is one.
    fn or_smaller(self, other: Self) -> Self {
        match (self.kind, other.kind) {
            (Kind::Exact, _) => self,
            (_, Kind::Exact) => other,
            _ if other.value < self.value => other,
            _ => self,
        }
    }
}
