//! How one group evaluates its vote: the public description that users, aggregator and dealer derive from the plan.

use std::sync::OnceLock;

use crate::correlation::Recipe;
use crate::evaluate::Weights;
use crate::schedule::{Schedule, ScheduleKind};
use crate::{Field, Majority, Protocol};

/// A majority rule with the way to evaluate it on shares.
#[derive(Clone, Debug)]
pub struct Circuit {
    protocol: Protocol,
    majority: Majority,
    schedule: Schedule,
    recipe: Recipe,
    weights: OnceLock<Weights>,
}

/// Where the shared vote of a sealed group goes.
#[derive(Clone, Copy, Debug)]
pub struct OuterVote {
    /// The field of the vote of votes.
    pub field: Field,
}

/// Whether final shares carry a fresh sharing of zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZeroSharing {
    /// They do. Without products this is what hides the inputs, so it is the default.
    #[default]
    On,
    /// They do not: the published byte counts of the dealer.
    Off,
}

impl Circuit {
    /// The circuit of a rule. A polynomial of degree 1 always gets a zero sharing: its final shares would be the inputs.
    pub fn new(protocol: Protocol, majority: Majority, kind: ScheduleKind, zero: ZeroSharing) -> Self {
        let schedule = majority.schedule(kind);
        let recipe = match protocol {
            Protocol::Beaver => Recipe::triples(majority.field(), &schedule),
            Protocol::Lean => Recipe::masked_operands(majority.field(), &schedule),
            Protocol::OneRound | Protocol::Survivors | Protocol::Sealed => Recipe::powers(majority.field(), majority.degree()),
        };
        let needs_zero = (zero == ZeroSharing::On || majority.degree() < 2) && protocol != Protocol::Survivors;
        let recipe = if needs_zero { recipe.with_zero_sharing() } else { recipe };
        Self { protocol, majority, schedule, recipe, weights: OnceLock::new() }
    }

    /// The circuit of a group whose vote stays shared, in the field of the outer vote.
    pub fn sealed(majority: Majority, outer: OuterVote) -> Self {
        let recipe = Recipe::truth_table(&majority, outer.field);
        let schedule = Schedule::new(ScheduleKind::Halving, &[]);
        Self { protocol: Protocol::Sealed, majority, schedule, recipe, weights: OnceLock::new() }
    }

    /// The same with shares of each member's sign mask.
    pub fn with_sign_masks(self) -> Self {
        let members = self.majority.voters();
        Self { recipe: self.recipe.with_sign_masks(members), ..self }
    }

    /// The protocol.
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The rule.
    pub const fn majority(&self) -> &Majority {
        &self.majority
    }

    /// The field.
    pub const fn field(&self) -> Field {
        self.majority.field()
    }

    /// The products of the powers; used by Beaver and lean.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The correlated randomness.
    pub const fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The weights of the powers of a mask, worked out once.
    pub(crate) fn weights(&self) -> &Weights {
        self.weights.get_or_init(|| Weights::of(&self.majority))
    }

    /// The openings that wait for one another; the final shares are one step more.
    pub fn levels(&self) -> usize {
        match self.protocol {
            Protocol::Beaver | Protocol::Lean => self.schedule.depth(),
            Protocol::OneRound | Protocol::Survivors | Protocol::Sealed => 1,
        }
    }

    /// The vectors that a user opens at a level, from 1.
    pub fn openings(&self, level: usize) -> usize {
        match self.protocol {
            Protocol::Beaver => 2 * self.schedule.of_level(level).count(),
            Protocol::Lean => self.schedule.operands_of_level(level).count(),
            Protocol::OneRound | Protocol::Survivors | Protocol::Sealed => 1,
        }
    }

    /// The vectors that a user opens in all.
    pub fn all_openings(&self) -> usize {
        (1..=self.levels()).map(|level| self.openings(level)).sum()
    }
}
