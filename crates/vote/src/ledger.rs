//! Bytes, counted where frames are emitted.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::machine::{Action, FrameBytes};
use crate::wire::{FrameKind, HEADER_LENGTH, Party};

/// What one party sent to another: payload bytes by category, and the frames that carried them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Openings and masked signs, or their sums.
    pub openings: u64,
    /// Final shares.
    pub finals: u64,
    /// Results.
    pub votes: u64,
    /// The dealer's corrections.
    pub corrections: u64,
    /// Signatures, and the check of codes.
    pub confirm: u64,
    /// Everything else: greetings, plans, seeds, survivors.
    pub control: u64,
    /// Frames of the first three kinds.
    pub vote_frames: u64,
    /// Frames.
    pub frames: u64,
}

impl Traffic {
    fn count(&mut self, kind: FrameKind, payload: u64) {
        let (category, of_vote) = match kind {
            FrameKind::Open | FrameKind::OpenSum | FrameKind::SignFlags | FrameKind::SignFlagsAll => (&mut self.openings, 1),
            FrameKind::Final => (&mut self.finals, 1),
            FrameKind::Vote | FrameKind::Mean => (&mut self.votes, 1),
            FrameKind::Correction => (&mut self.corrections, 0),
            FrameKind::Confirm | FrameKind::ConfirmAll | FrameKind::MacCommit | FrameKind::MacOpen => (&mut self.confirm, 0),
            _ => (&mut self.control, 0),
        };
        *category += payload;
        self.vote_frames += of_vote;
        self.frames += 1;
    }

    /// Payloads and headers.
    pub const fn wire(&self) -> u64 {
        self.openings
            + self.finals
            + self.votes
            + self.corrections
            + self.confirm
            + self.control
            + self.frames * HEADER_LENGTH as u64
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.openings += other.openings;
        self.finals += other.finals;
        self.votes += other.votes;
        self.corrections += other.corrections;
        self.confirm += other.confirm;
        self.control += other.control;
        self.vote_frames += other.vote_frames;
        self.frames += other.frames;
    }
}

/// What a machine has sent, by recipient.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    sent: BTreeMap<Party, Traffic>,
}

impl Outbox {
    /// The action that sends a frame, counted.
    pub(crate) fn send(&mut self, to: Party, frame: FrameBytes) -> Action {
        // Every frame of ours has a header with a known type.
        if let Some(kind) = frame.get(4).and_then(|&code| FrameKind::from_code(code)) {
            self.sent.entry(to).or_default().count(kind, (frame.len() - HEADER_LENGTH) as u64);
        }
        Action::Send { to, frame }
    }

    /// What went to a party.
    pub fn to(&self, party: Party) -> Traffic {
        self.sent.get(&party).copied().unwrap_or_default()
    }

    /// What went to anyone.
    pub fn total(&self) -> Traffic {
        self.sent.values().fold(Traffic::default(), |mut total, &traffic| {
            total += traffic;
            total
        })
    }
}

/// The bytes of one user: up to aggregator and dealer, and down from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserLedger {
    /// Masked values sent.
    pub open_up: u64,
    /// Final shares sent.
    pub final_up: u64,
    /// Sums received.
    pub open_down: u64,
    /// Results received.
    pub vote_down: u64,
    /// Corrections received.
    pub correction_down: u64,
    /// Signatures and codes, both ways.
    pub confirm: u64,
    /// Greetings, plans, seeds, both ways.
    pub control: u64,
    /// Headers of all frames, both ways.
    pub header_bytes: u64,
    /// Frames, both ways.
    pub frames: u64,
    /// Openings and final shares sent, with their headers: the upload of a vote.
    pub wire_up: u64,
}

impl UserLedger {
    /// The ledger of what a user sent and received.
    pub const fn new(up: Traffic, down: Traffic) -> Self {
        let frames = up.frames + down.frames;
        Self {
            open_up: up.openings,
            final_up: up.finals,
            open_down: down.openings,
            vote_down: down.votes,
            correction_down: down.corrections,
            confirm: up.confirm + down.confirm,
            control: up.control + down.control,
            header_bytes: frames * HEADER_LENGTH as u64,
            frames,
            wire_up: up.openings + up.finals + up.vote_frames * HEADER_LENGTH as u64,
        }
    }
}

impl AddAssign for UserLedger {
    fn add_assign(&mut self, other: Self) {
        self.open_up += other.open_up;
        self.final_up += other.final_up;
        self.open_down += other.open_down;
        self.vote_down += other.vote_down;
        self.correction_down += other.correction_down;
        self.confirm += other.confirm;
        self.control += other.control;
        self.header_bytes += other.header_bytes;
        self.frames += other.frames;
        self.wire_up += other.wire_up;
    }
}

/// The bytes of a round or a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// By user.
    pub users: Vec<UserLedger>,
    /// All that the aggregator sent.
    pub aggregator: Traffic,
    /// All that the dealer sent.
    pub dealer: Traffic,
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        self.users.resize(self.users.len().max(other.users.len()), UserLedger::default());
        for (sum, user) in self.users.iter_mut().zip(other.users) {
            *sum += user;
        }
        self.aggregator += other.aggregator;
        self.dealer += other.dealer;
    }
}

impl Ledger {
    /// Openings and final shares of all users: payload bytes.
    pub fn uploads(&self) -> u64 {
        self.users.iter().map(|user| user.open_up + user.final_up).sum()
    }
}
