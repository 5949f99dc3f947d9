//! How often, and how far apart, one unit may take part: what the sensitivity of a mechanism depends on.

use serde::{Deserialize, Serialize};
use thalweg_descent::Participation;

use crate::error::{Error, Result};

/// The steps in which one unit may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Pattern {
    /// At most once.
    Single,
    /// At most `at_most` times, any two of its steps at least `separation` apart.
    Separated {
        /// b, at least 1.
        separation: usize,
        /// k, at least 1.
        at_most: usize,
    },
    /// In a fixed order: steps i, i+b, i+2b, ... for one i < b, at most k of them.
    FixedOrder {
        /// b, the steps of an epoch.
        separation: usize,
        /// k, the epochs.
        at_most: usize,
    },
}

impl Pattern {
    /// b-min-separation with at most k participations.
    ///
    /// # Errors
    /// [`Error::Value`] when b or k is 0.
    pub fn separated(separation: usize, at_most: usize) -> Result<Self> {
        Self::Separated { separation, at_most }.checked()
    }

    /// Checks that b and k are at least 1.
    ///
    /// # Errors
    /// [`Error::Value`].
    pub fn checked(self) -> Result<Self> {
        if self.separation(1) == 0 {
            return Err(Error::value("the separation b", 0, "at least 1"));
        }
        if self.at_most(usize::MAX) == 0 {
            return Err(Error::value("the number of participations k", 0, "at least 1"));
        }
        Ok(self)
    }

    /// Checks that all k participations, b apart, fit into `steps` steps. One participation always does.
    ///
    /// # Errors
    /// [`Error::Value`] when b or k is 0, or the last of k participations would come after the last step.
    pub fn fitting(self, steps: usize) -> Result<Self> {
        let (Self::Separated { separation, at_most } | Self::FixedOrder { separation, at_most }) = self.checked()? else {
            return Ok(self);
        };
        let needed = separation.saturating_mul(at_most - 1).saturating_add(1);
        if needed <= steps {
            return Ok(self);
        }
        let most = steps.div_ceil(separation);
        let found = format!("{at_most}, at least {separation} steps apart, which takes {needed} steps");
        Err(Error::value("the number of participations k", found, &format!("at most {most}, all that fit into {steps} steps")))
    }

    /// b: the least distance of two steps of one unit; n where a unit takes part once.
    pub fn separation(&self, steps: usize) -> usize {
        match *self {
            Self::Single => steps,
            Self::Separated { separation, .. } | Self::FixedOrder { separation, .. } => separation,
        }
    }

    /// The number of participations that fit into `steps` steps: `min(k, ceil(n/b))`.
    pub fn at_most(&self, steps: usize) -> usize {
        match *self {
            Self::Single => 1,
            Self::Separated { separation, at_most } | Self::FixedOrder { separation, at_most } => {
                at_most.min(steps.div_ceil(separation.max(1)))
            }
        }
    }

    /// Whether a guarantee for this pattern covers a declared participation over `steps` steps.
    pub fn covers(&self, declared: &Participation, steps: usize) -> bool {
        let Participation::Separated { separation, at_most } = *declared else {
            return false;
        };
        let in_range = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let declared_b = in_range(separation).max(1);
        let declared_k = in_range(at_most).min(steps.div_ceil(declared_b));
        match self {
            // Separation alone does not promise that the order is fixed.
            _ if declared_k <= 1 => true,
            Self::Single | Self::FixedOrder { .. } => false,
            Self::Separated { separation, .. } => declared_b >= *separation && declared_k <= self.at_most(steps),
        }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Single => write!(f, "each unit at most once"),
            Self::Separated { separation, at_most } => {
                write!(f, "each unit at most {at_most} times, at least {separation} steps apart")
            }
            Self::FixedOrder { separation, at_most } => {
                write!(f, "each unit at most {at_most} times, every {separation} steps in a fixed order")
            }
        }
    }
}
