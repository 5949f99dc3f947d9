//! What is agreed for a session, by everyone, before it starts. A plan that differs is refused by every user.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::circuit::OuterVote;
use crate::grouping::Regroup;
use crate::mac::MacField;
use crate::plain::Ties;
use crate::prg::{CHUNK, Suite};
use crate::wire::{LARGEST_FRAME, Unsent};
use crate::{Circuit, Degree, Domain, Encoding, Error, Majority, Protocol, Result, ScheduleKind, ZeroSharing, grouping};

/// What becomes of the groups' votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outer {
    /// Their majority.
    #[default]
    Vote,
    /// Their mean.
    Mean,
}

/// On or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// On.
    On,
    /// Off.
    #[default]
    Off,
}

impl Switch {
    /// Whether it is on.
    pub const fn is_on(self) -> bool {
        matches!(self, Self::On)
    }
}

/// Choices that change what is sent, but not the vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Whether final shares carry a fresh sharing of zero.
    pub zero_sharing: ZeroSharing,
    /// Which polynomial.
    pub degree: Degree,
    /// How powers are made; for Beaver and lean.
    pub schedule: ScheduleKind,
    /// Whether users sign what they saw before they send final shares: finds an aggregator that tells them different things.
    pub confirm: Switch,
    /// Whether users enter their votes as one masked bit, so that no vote can be anything but -1 or +1. One-round only.
    pub sign_mask: Switch,
    /// Whether shares carry authentication codes, so that no altered share passes. Needs sign masks.
    pub mac: Switch,
}

/// What is agreed for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The protocol.
    pub protocol: Protocol,
    /// The members of a group, about; 0 for one group of all.
    pub group_size: u16,
    /// How often groups are drawn anew.
    #[serde(default)]
    pub regroup: Regroup,
    /// The tie policies.
    pub ties: Ties,
    /// What a user may vote.
    pub domain: Domain,
    /// What becomes of the groups' votes.
    pub outer: Outer,
    /// Choices that do not change the vote.
    pub options: Options,
    /// How elements are packed.
    pub encoding: Encoding,
    /// The cipher that expands seeds.
    pub suite: Suite,
    /// The least members of a group, below which users refuse to vote.
    pub min_group: u16,
    /// The least users whose votes are counted, after losses.
    pub min_survivors: u16,
    /// The number d of coordinates.
    pub coordinates: u32,
    /// Coordinates of a frame.
    pub chunk: u32,
}

impl Settings {
    /// The defaults for d coordinates: one-round, one group of all, ties to zero.
    pub fn new(coordinates: u32) -> Self {
        Self {
            protocol: Protocol::OneRound,
            group_size: 0,
            regroup: Regroup::Every,
            ties: Ties::default(),
            domain: Domain::Binary,
            outer: Outer::Vote,
            options: Options::default(),
            encoding: Encoding::BaseP,
            suite: Suite::ChaCha20,
            min_group: 3,
            min_survivors: 3,
            coordinates,
            chunk: CHUNK as u32,
        }
    }

    /// The published scheme with the settings that give its figures: Beaver in groups of 3, bits, no zero sharing.
    pub fn published(coordinates: u32) -> Self {
        let options = Options { zero_sharing: ZeroSharing::Off, ..Options::default() };
        Self { protocol: Protocol::Beaver, group_size: 3, encoding: Encoding::Bits, options, ..Self::new(coordinates) }
    }

    /// The sizes of the groups of `users` users.
    pub fn group_sizes(&self, users: usize) -> Vec<usize> {
        match self.group_size {
            0 => vec![users],
            size => grouping::sizes(users, size.into()).unwrap_or_default(),
        }
    }

    /// What is agreed and not on the wire.
    pub const fn unsent(&self) -> Unsent {
        Unsent { group_size: self.group_size, regroup: self.regroup }
    }

    /// Checks that `users` users can vote with these settings.
    ///
    /// # Errors
    /// [`Error::Value`] or [`Error::Unsuitable`], with what would be right.
    pub fn check(&self, users: usize) -> Result<()> {
        self.check_numbers(users)?;
        self.check_protocol(users)?;
        self.check_defences(users)?;
        for members in self.group_sizes(users) {
            let circuit = self.circuit(members)?;
            let most = (1..=circuit.levels()).map(|level| circuit.openings(level)).max().unwrap_or(1);
            let bytes = self
                .encoding
                .length(circuit.field(), self.chunk as usize)
                .saturating_mul(most.max(circuit.recipe().entries().len()));
            if bytes > LARGEST_FRAME / 2 {
                return Err(Error::value("the chunk", self.chunk, "smaller, so that a frame stays below 32 MiB"));
            }
        }
        Ok(())
    }

    fn check_numbers(&self, users: usize) -> Result<()> {
        if users < 2 {
            return Err(Error::value("the number of users", users, "at least 2"));
        }
        if self.coordinates == 0 || self.chunk == 0 {
            return Err(Error::value("the number of coordinates, and of those in a chunk", 0, "at least 1"));
        }
        if self.group_size == 1 {
            return Err(Error::value("the group size", 1, "0 for one group of all, or at least the least group"));
        }
        let smallest = self.group_sizes(users).last().copied().unwrap_or_default();
        if self.min_group < 2 || smallest < usize::from(self.min_group) {
            let expected = format!(
                "at least {}, the least group; 2 members learn each other's sign where they agree",
                self.min_group.max(2)
            );
            return Err(Error::value("the smallest group", smallest, &expected));
        }
        if self.min_survivors < 2 || usize::from(self.min_survivors) > users {
            return Err(Error::value("the least number of survivors", self.min_survivors, &format!("from 2 to {users}")));
        }
        Ok(())
    }

    fn check_protocol(&self, users: usize) -> Result<()> {
        let groups = self.group_sizes(users).len();
        match self.protocol {
            Protocol::Sealed if groups < 2 => {
                Err(Error::unsuitable(self.protocol, "it hides the votes of groups, and there is but one; set a group size"))
            }
            Protocol::Sealed if self.options.confirm.is_on() => {
                Err(Error::unsuitable("confirm", "the groups of the sealed protocol see different openings; switch it off"))
            }
            Protocol::Sealed if self.outer == Outer::Mean => {
                Err(Error::unsuitable(self.protocol, "it shows no group's vote, so there is no mean"))
            }
            Protocol::Survivors if groups > 1 => {
                Err(Error::unsuitable(self.protocol, "it is one group of all; set the group size to 0"))
            }
            _ if self.outer == Outer::Mean && groups < 2 => {
                Err(Error::unsuitable("the mean of groups' votes", "there is but one group"))
            }
            _ => Ok(()),
        }
    }

    fn check_defences(&self, users: usize) -> Result<()> {
        let options = &self.options;
        if options.mac.is_on() && !options.sign_mask.is_on() {
            return Err(Error::unsuitable("mac", "an input is not authenticated without sign_mask; switch both on"));
        }
        if !options.sign_mask.is_on() {
            return Ok(());
        }
        if self.protocol != Protocol::OneRound {
            return Err(Error::unsuitable("sign_mask", format!("it needs the protocol oneround, not {}", self.protocol)));
        }
        if self.domain == Domain::Ternary {
            return Err(Error::unsuitable("sign_mask", "a masked sign is -1 or +1; take the binary domain"));
        }
        if options.mac.is_on() {
            for members in self.group_sizes(users) {
                MacField::of(self.domain.field(members)?)?;
            }
        }
        Ok(())
    }

    /// How a group of `members` evaluates its vote.
    ///
    /// # Errors
    /// [`Error::Value`] for too few or too many members.
    pub fn circuit(&self, members: usize) -> Result<Circuit> {
        let majority = Majority::new(self.domain, members, self.ties.inner, self.options.degree)?;
        self.circuit_of(majority)
    }

    fn circuit_of(&self, majority: Majority) -> Result<Circuit> {
        let options = &self.options;
        let circuit = Circuit::new(self.protocol, majority, options.schedule, options.zero_sharing);
        Ok(if options.sign_mask.is_on() { circuit.with_sign_masks() } else { circuit })
    }

    /// How the survivors among `users` users evaluate their vote: over the field of all users.
    ///
    /// # Errors
    /// [`Error::Value`] for too few or too many.
    pub fn survivors_circuit(&self, users: usize, survivors: usize) -> Result<Circuit> {
        let field = self.domain.field(users)?;
        self.circuit_of(Majority::over(field, self.domain, survivors, self.ties.inner, self.options.degree)?)
    }

    /// The two circuits of the sealed protocol, for a group of `members` among `users`.
    ///
    /// # Errors
    /// [`Error::Value`] for too few or too many.
    pub fn sealed_circuits(&self, users: usize, members: usize) -> Result<(Circuit, Circuit)> {
        let sizes = self.group_sizes(users);
        let can_tie = self.ties.inner == crate::Tie::Zero && sizes.iter().any(|&size| self.domain.can_tie(size));
        let domain = if can_tie { Domain::Ternary } else { Domain::Binary };
        let outer = Majority::new(domain, sizes.len(), self.ties.outer, self.options.degree)?;
        let inner = Majority::new(self.domain, members, self.ties.inner, self.options.degree)?;
        let inner = Circuit::sealed(inner, OuterVote { field: outer.field() });
        Ok((inner, Circuit::new(Protocol::OneRound, outer, self.options.schedule, self.options.zero_sharing)))
    }

    /// The shares from which a result is interpolated in the survivors protocol: `floor(2n/3) + 1`, at most the survivors.
    pub const fn threshold(users: usize, survivors: usize) -> usize {
        let most = users * 2 / 3 + 1;
        if most < survivors { most } else { survivors }
    }

    /// The number of chunks.
    pub const fn chunks(&self) -> usize {
        self.coordinates.div_ceil(self.chunk) as usize
    }

    /// The coordinates of a chunk.
    pub fn chunk_range(&self, chunk: usize) -> Range<usize> {
        let start = chunk * self.chunk as usize;
        start..(start + self.chunk as usize).min(self.coordinates as usize)
    }

    /// Whether the published result can be zero, for `users` users.
    pub fn reveals_ties(&self, users: usize) -> bool {
        let sizes = self.group_sizes(users);
        match sizes.as_slice() {
            [_] => self.ties.inner == crate::Tie::Zero && (self.domain.can_tie(users) || self.protocol == Protocol::Survivors),
            _ => self.ties.outer == crate::Tie::Zero,
        }
    }

    /// What a person should be told about ties.
    pub(crate) fn tie_warnings(&self) -> impl Iterator<Item = String> {
        let ties = [("ties within groups", self.ties.inner), ("ties among groups", self.ties.outer)];
        ties.into_iter().filter_map(|(place, tie)| tie.warning().map(|words| format!("{place}: {words}")))
    }

    /// What a person should be told before a session with these settings.
    pub fn warnings(&self, users: usize) -> Vec<String> {
        let mut warnings = vec![format!("{}: {}", self.protocol, self.protocol.caution())];
        warnings.extend(self.tie_warnings());
        let groups = self.group_sizes(users).len();
        if groups > 1 && self.protocol != Protocol::Sealed {
            warnings.push(format!(
                "the aggregator learns the vote of each of {groups} groups; one group of all, or sealed, hides them"
            ));
        }
        if self.group_sizes(users).contains(&2) {
            warnings.push("two members learn each other's sign where they agree".into());
        }
        warnings
    }
}
