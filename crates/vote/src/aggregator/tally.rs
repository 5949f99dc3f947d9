//! What one group has sent so far, chunk by chunk.

use std::collections::BTreeMap;

use crate::Circuit;
use crate::dealer::position;
use crate::field::block::Accumulator;
use crate::machine::{GroupStatus, Reason};
use crate::settings::Settings;

/// What is awaited of every member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Awaited {
    /// Masked signs.
    Flags,
    /// The openings of a level, from 1.
    Opening(usize),
    /// Signatures, or the check of codes; for all chunks together.
    Gate,
    /// Shares of the result.
    Final,
    /// Nothing.
    Nothing,
}

/// A chunk of a group.
pub(super) struct ChunkTally {
    pub(super) awaited: Awaited,
    /// By place of the member.
    pub(super) received: Vec<bool>,
    pub(super) sums: Vec<Accumulator>,
    /// Masked signs, and what is kept apart for survivors, by place of the member.
    pub(super) kept: Vec<Vec<u8>>,
    pub(super) flags: Vec<Vec<i8>>,
}

/// What the members of a group exchange between openings and result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// Nothing.
    None,
    /// Signatures.
    Confirming,
    /// The check of the openings.
    CheckOpenings,
    /// The check of the result.
    CheckResult,
}

/// A group.
pub(super) struct Tally {
    pub(super) group: u16,
    pub(super) members: Vec<u16>,
    pub(super) circuit: Circuit,
    pub(super) first_step: u16,
    /// Whether it ends with shares of a result; the inner groups of the sealed protocol do not.
    pub(super) has_result: bool,
    pub(super) chunks: Vec<ChunkTally>,
    pub(super) exchange: Exchange,
    pub(super) signatures: BTreeMap<u16, [u8; 64]>,
    /// Revealed parts of the check of codes.
    pub(super) sigmas: BTreeMap<u16, Vec<u8>>,
    pub(super) votes: Vec<i8>,
    pub(super) status: Option<GroupStatus>,
    /// In the survivors protocol, who is left.
    pub(super) survivors: Option<Vec<u16>>,
}

impl Tally {
    pub(super) fn new(settings: &Settings, circuit: Circuit, group: u16, members: Vec<u16>) -> Self {
        let first = if settings.options.sign_mask.is_on() { Awaited::Flags } else { Awaited::Opening(1) };
        let chunk = |_| ChunkTally {
            awaited: first,
            received: vec![false; members.len()],
            sums: Vec::new(),
            kept: vec![Vec::new(); members.len()],
            flags: vec![Vec::new(); members.len()],
        };
        let mut tally = Self {
            group,
            first_step: 1,
            has_result: true,
            chunks: (0..settings.chunks()).map(chunk).collect(),
            exchange: Exchange::None,
            signatures: BTreeMap::new(),
            sigmas: BTreeMap::new(),
            votes: vec![0; settings.coordinates as usize],
            status: None,
            survivors: None,
            members,
            circuit,
        };
        for chunk in 0..tally.chunks.len() {
            if first == Awaited::Opening(1) && tally.circuit.levels() == 0 {
                tally.chunks[chunk].awaited = tally.after_openings(settings);
            }
        }
        tally
    }

    /// What is awaited once all openings of a chunk are done.
    pub(super) fn after_openings(&self, settings: &Settings) -> Awaited {
        match () {
            () if !self.has_result => Awaited::Nothing,
            () if settings.options.confirm.is_on() || settings.options.mac.is_on() => Awaited::Gate,
            () => Awaited::Final,
        }
    }

    /// The step of the shares of the result.
    pub(super) fn last_step(&self) -> u16 {
        self.first_step + self.circuit.levels() as u16
    }

    pub(super) fn place(&self, user: u16) -> Option<usize> {
        self.members.binary_search(&user).is_ok().then(|| position(&self.members, user))
    }

    /// Those whose frames are awaited: the survivors, once they are known.
    pub(super) fn active(&self) -> &[u16] {
        self.survivors.as_deref().unwrap_or(&self.members)
    }

    pub(super) fn is_decided(&self) -> bool {
        self.status.is_some()
    }

    pub(super) fn is_opened(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.awaited >= Awaited::Gate)
    }

    /// Whether a share of the result may have left a user: none does before all chunks are opened.
    pub(super) fn result_has_begun(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.awaited >= Awaited::Final)
    }

    /// Forgets who has sent what is now awaited of a chunk.
    pub(super) fn await_next(&mut self, chunk: usize, awaited: Awaited) {
        let chunk = &mut self.chunks[chunk];
        chunk.awaited = awaited;
        chunk.received.fill(false);
        chunk.sums.clear();
    }

    /// Whether all active members have sent what is awaited of a chunk.
    pub(super) fn is_complete(&self, chunk: usize) -> bool {
        self.active().iter().all(|&user| self.place(user).is_some_and(|place| self.chunks[chunk].received[place]))
    }

    /// Who has not sent what is awaited.
    pub(super) fn missing(&self) -> Vec<u16> {
        if self.is_decided() {
            return Vec::new();
        }
        // Shares of the result are not awaited before all chunks are opened.
        let is_opening = !self.is_opened();
        let is_awaited =
            |chunk: &ChunkTally| chunk.awaited != Awaited::Nothing && !(is_opening && chunk.awaited >= Awaited::Gate);
        let lacks = |user: u16, place: usize| match self.exchange {
            Exchange::Confirming => !self.signatures.contains_key(&user),
            Exchange::CheckOpenings | Exchange::CheckResult => !self.sigmas.contains_key(&user),
            Exchange::None => self.chunks.iter().any(|chunk| is_awaited(chunk) && !chunk.received[place]),
        };
        self.active().iter().copied().filter(|&user| self.place(user).is_some_and(|place| lacks(user, place))).collect()
    }

    pub(super) fn die(&mut self, reason: Reason, missing: Vec<u16>) {
        self.votes.fill(0);
        self.status = Some(GroupStatus::Dead { reason, missing });
    }
}
