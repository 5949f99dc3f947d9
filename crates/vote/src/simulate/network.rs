//! Frames and timers on their way, in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::SentFrame;
use super::faults::{Fate, Faults};
use crate::Switch;
use crate::machine::{Action, FrameBytes, Outcome, Reason, TimerId};
use crate::wire::{Fault, Party};

/// What arrives at a party.
#[derive(Clone, Debug)]
pub(super) enum Delivery {
    Frame { from: Party, bytes: FrameBytes },
    Timer(TimerId),
}

/// The queue of a round, and what the parties said at its end.
pub(super) struct Network {
    pub(super) now: Duration,
    queue: BTreeMap<(Duration, u64), (Party, Delivery)>,
    sequence: u64,
    frames_in_flight: usize,
    faults: Faults,
    pub(super) keep_frames: Switch,
    pub(super) frames: Vec<SentFrame>,
    pub(super) done: BTreeMap<Party, Outcome>,
    pub(super) aborts: Vec<(Party, Reason)>,
    pub(super) refused: Vec<(Party, Fault)>,
}

impl Network {
    pub(super) const fn new(faults: Faults) -> Self {
        Self {
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            sequence: 0,
            frames_in_flight: 0,
            faults,
            keep_frames: Switch::Off,
            frames: Vec::new(),
            done: BTreeMap::new(),
            aborts: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Whether no frame is on its way.
    pub(super) const fn is_quiet(&self) -> bool {
        self.frames_in_flight == 0
    }

    /// Does what a party wants done.
    pub(super) fn do_all(&mut self, party: Party, actions: Vec<Action>, latency: Duration) {
        for action in actions {
            match action {
                Action::Send { to, frame } => {
                    if self.keep_frames.is_on() {
                        self.frames.push(SentFrame { from: party, to, bytes: frame.clone() });
                    }
                    for fate in self.faults.send(party, to, frame) {
                        self.put_frame(party, fate, latency);
                    }
                }
                Action::SetTimer { id, after } => self.put(self.now + after, party, Delivery::Timer(id)),
                Action::Persist(_) => {}
                Action::Done(outcome) => {
                    self.done.insert(party, *outcome);
                }
                Action::Abort { reason, .. } => self.aborts.push((party, reason)),
            }
        }
    }

    fn put_frame(&mut self, from: Party, fate: Fate, latency: Duration) {
        self.frames_in_flight += 1;
        self.put(self.now + latency + fate.delay, fate.to, Delivery::Frame { from, bytes: fate.bytes });
    }

    fn put(&mut self, at: Duration, to: Party, delivery: Delivery) {
        self.queue.insert((at, self.sequence), (to, delivery));
        self.sequence += 1;
    }

    /// Everything that arrives at the next moment, in the order of sending.
    pub(super) fn next_batch(&mut self) -> Option<Vec<(Party, Delivery)>> {
        let &(at, _) = self.queue.keys().next()?;
        let later = self.queue.split_off(&(at + Duration::from_nanos(1), 0));
        let batch = std::mem::replace(&mut self.queue, later);
        self.now = at;
        let batch: Vec<(Party, Delivery)> = batch.into_values().collect();
        self.frames_in_flight -= batch.iter().filter(|(_, delivery)| matches!(delivery, Delivery::Frame { .. })).count();
        Some(batch.into_iter().filter(|(party, _)| !self.faults.is_lost(*party)).collect())
    }
}
