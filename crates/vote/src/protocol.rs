//! The protocols: how the majority polynomial is evaluated on shares.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a group evaluates its vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The published construction: powers by Beaver triples, two openings for each product.
    Beaver,
    /// Beaver products with one mask for each operand, opened once however many products use it. Our engineering of the same idea.
    Lean,
    /// One opening, of the sum of votes under a mask whose powers are shared. Our own construction, not reviewed.
    #[default]
    OneRound,
    /// One-round, where the dealer shares the mask of those that have sent their votes: users may leave. Our own, not reviewed.
    Survivors,
    /// Two levels, where the votes of groups stay shared. Our own, not reviewed.
    Sealed,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 5] = [Self::Beaver, Self::Lean, Self::OneRound, Self::Survivors, Self::Sealed];

    /// The name in plans, commands and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Beaver => "beaver",
            Self::Lean => "lean",
            Self::OneRound => "oneround",
            Self::Survivors => "survivors",
            Self::Sealed => "sealed",
        }
    }

    /// What a person should know before trusting it.
    pub const fn caution(self) -> &'static str {
        match self {
            Self::Beaver | Self::Lean => "semi-honest, needs a dealer that colludes with nobody",
            Self::OneRound | Self::Survivors | Self::Sealed => {
                "own construction, semi-honest, needs a dealer that colludes with nobody; not reviewed"
            }
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
