//! Who takes part, and the beacon from a part of each.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{Aggregator, State};
use crate::grouping::Beacon;
use crate::machine::{Action, Reason, StateName};
use crate::wire::{Fault, Frame, FrameKind, Hello, HelloList, Party, WHOLE_ROUND};

/// Greetings and parts of the beacon so far.
#[derive(Default)]
pub(super) struct Greeting {
    hellos: BTreeMap<u16, Hello>,
    /// Whether all commitments are public, so that nobody may join any more.
    closed: bool,
    parts: BTreeMap<u16, [u8; 32]>,
}

impl Greeting {
    pub(super) const fn state(&self) -> StateName {
        if self.closed { StateName::Revealing } else { StateName::Greeting }
    }
}

impl Aggregator {
    pub(super) fn take_hello(&mut self, user: u16, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        let hello = Hello::read(frame)?;
        if self.config.roster.key(user) != Some(&hello.key) {
            return Err(Fault::NotAMember(Party::User(user)));
        }
        let everyone = self.config.roster.len();
        let State::Greeting(greeting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        if greeting.closed {
            return Err(self.wrong_state(frame.header.kind));
        }
        greeting.hellos.insert(user, hello);
        if greeting.hellos.len() == everyone { self.close_greeting() } else { Ok(Vec::new()) }
    }

    /// All have greeted, or the deadline has passed; or, later, somebody has not revealed its part.
    pub(super) fn close_greeting(&mut self) -> Result<Vec<Action>, Fault> {
        let State::Greeting(greeting) = &mut self.state else { return Ok(Vec::new()) };
        let users: Vec<u16> = greeting.hellos.keys().copied().collect();
        if greeting.closed {
            let culprit = users.iter().copied().find(|user| !greeting.parts.contains_key(user));
            return Ok(self.abort_round(&users, Reason::BeaconIncomplete, culprit));
        }
        let settings = &self.config.settings;
        if users.len() < usize::from(settings.min_survivors) || settings.check(users.len()).is_err() {
            return Ok(self.abort_round(&users, Reason::TooFewSurvivors, None));
        }
        greeting.closed = true;
        let list = HelloList(greeting.hellos.iter().map(|(&user, &hello)| (user, hello)).collect());
        let frame = self.scene.header(FrameKind::HelloAll, WHOLE_ROUND, 0).frame(|bytes| list.write(bytes));
        let mut actions = self.broadcast(&users, frame);
        actions.push(self.set_timer());
        Ok(actions)
    }

    pub(super) fn take_reveal(&mut self, user: u16, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        let State::Greeting(greeting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        if !greeting.closed {
            return Err(self.wrong_state(frame.header.kind));
        }
        frame.check_length(32)?;
        let hello = greeting.hellos.get(&user).ok_or(Fault::NotAMember(Party::User(user)))?;
        if Sha256::digest(frame.payload).as_slice() != hello.commitment {
            return Err(Fault::CommitmentMismatch(user));
        }
        let mut part = [0; 32];
        part.copy_from_slice(frame.payload);
        greeting.parts.insert(user, part);
        let users: Vec<u16> = greeting.hellos.keys().copied().collect();
        let beacon = (greeting.parts.len() == users.len()).then(|| Beacon::from_reveals(greeting.parts.values()));
        let mut actions = self.broadcast(&users, bytes.to_vec());
        if let Some(beacon) = beacon {
            actions.extend(self.start_round(users, beacon).map_err(|_| Fault::BadSurvivors("no vote of this many users"))?);
        }
        Ok(actions)
    }
}
