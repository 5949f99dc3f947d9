//! Who takes part, and the beacon from a part of each.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::{Aggregator, State};
use crate::grouping::Beacon;
use crate::machine::{Action, Reason, StateName};
use crate::scene::check_step;
use crate::wire::{Fault, Frame, FrameKind, Hello, HelloList, Party, WHOLE_ROUND};

/// Greetings and parts of the beacon so far.
#[derive(Default)]
pub(super) struct Greeting {
    hellos: BTreeMap<u16, Hello>,
    /// Whether all commitments are public, so that nobody may join any more.
    closed: bool,
    parts: BTreeMap<u16, [u8; 32]>,
    /// Who has left, and is not waited for.
    gone: BTreeSet<u16>,
    /// In the second greeting, who may take part: those that have revealed their part in the first.
    again: Option<BTreeSet<u16>>,
}

impl Greeting {
    pub(super) const fn state(&self) -> StateName {
        if self.closed { StateName::Revealing } else { StateName::Greeting }
    }

    /// The step of its frames.
    fn step(&self) -> u16 {
        u16::from(self.again.is_some())
    }

    /// Who is waited for, of so many users in the roster.
    pub(super) fn missing(&self, users: usize) -> Vec<u16> {
        let is_there = |user: &u16| {
            self.gone.contains(user) || if self.closed { self.parts.contains_key(user) } else { self.hellos.contains_key(user) }
        };
        let everyone: Vec<u16> = match &self.again {
            _ if self.closed => self.hellos.keys().copied().collect(),
            Some(invited) => invited.iter().copied().collect(),
            None => (0..users as u16).collect(),
        };
        everyone.into_iter().filter(|user| !is_there(user)).collect()
    }
}

impl Aggregator {
    pub(super) fn take_hello(&mut self, user: u16, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        let hello = Hello::read(frame)?;
        if self.config.roster.key(user) != Some(&hello.key) {
            return Err(Fault::NotAMember(Party::User(user)));
        }
        let State::Greeting(greeting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        check_step(&frame.header, greeting.step())?;
        let is_invited = greeting.again.as_ref().is_none_or(|invited| invited.contains(&user));
        if greeting.closed || !is_invited || greeting.gone.contains(&user) {
            return Err(self.wrong_state(frame.header.kind));
        }
        greeting.hellos.insert(user, hello);
        self.close_greeting_if_complete()
    }

    fn close_greeting_if_complete(&mut self) -> Result<Vec<Action>, Fault> {
        let State::Greeting(greeting) = &self.state else { return Ok(Vec::new()) };
        if greeting.missing(self.config.roster.len()).is_empty() { self.close_greeting() } else { Ok(Vec::new()) }
    }

    /// A user has said that it leaves: nobody waits for it.
    pub(super) fn take_leave(&mut self, user: u16) -> Result<Vec<Action>, Fault> {
        let State::Greeting(greeting) = &mut self.state else { return Ok(Vec::new()) };
        greeting.gone.insert(user);
        if !greeting.closed {
            greeting.hellos.remove(&user);
        }
        self.close_greeting_if_complete()
    }

    /// All have greeted, or the deadline has passed; or, later, somebody has not revealed its part.
    pub(super) fn close_greeting(&mut self) -> Result<Vec<Action>, Fault> {
        let State::Greeting(greeting) = &mut self.state else { return Ok(Vec::new()) };
        if greeting.closed {
            return Ok(self.greet_again());
        }
        let users: Vec<u16> = greeting.hellos.keys().copied().collect();
        let settings = &self.config.settings;
        if users.len() < usize::from(settings.min_survivors) || settings.check(users.len()).is_err() {
            return Ok(self.abort_round(&users, Reason::TooFewSurvivors, None));
        }
        greeting.closed = true;
        let step = greeting.step();
        let list = HelloList(greeting.hellos.iter().map(|(&user, &hello)| (user, hello)).collect());
        let frame = self.scene.header(FrameKind::HelloAll, WHOLE_ROUND, step).frame(|bytes| list.write(bytes));
        let mut actions = self.broadcast(&users, frame);
        actions.push(self.set_timer());
        Ok(actions)
    }

    /// Somebody has not revealed its part: the others commit to new ones, without it and once. Those that were revealed are worth
    /// nothing now, since who kept its own back has seen them.
    fn greet_again(&mut self) -> Vec<Action> {
        let State::Greeting(greeting) = &mut self.state else { return Vec::new() };
        let users: Vec<u16> = greeting.hellos.keys().copied().collect();
        let (there, lost): (Vec<u16>, Vec<u16>) =
            users.iter().partition(|user| greeting.parts.contains_key(user) && !greeting.gone.contains(user));
        let settings = &self.config.settings;
        let enough = there.len() >= usize::from(settings.min_survivors) && settings.check(there.len()).is_ok();
        if greeting.again.is_some() || !enough {
            return self.abort_round(&users, Reason::BeaconIncomplete, lost.first().copied());
        }
        **greeting = Greeting { again: Some(there.iter().copied().collect()), ..Greeting::default() };
        let mut actions = self.tell_abort(&lost, WHOLE_ROUND, Reason::LeftOut, None);
        let frame = self.scene.header(FrameKind::GreetAgain, WHOLE_ROUND, 1).frame(|_| ());
        actions.extend(self.broadcast(&there, frame));
        actions.push(self.set_timer());
        actions
    }

    pub(super) fn take_reveal(&mut self, user: u16, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        let State::Greeting(greeting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        if !greeting.closed {
            return Err(self.wrong_state(frame.header.kind));
        }
        check_step(&frame.header, greeting.step())?;
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
        match beacon {
            Some(beacon) => {
                actions.extend(self.start_round(users, beacon).map_err(|_| Fault::BadSurvivors("no vote of this many users"))?);
            }
            None => actions.extend(self.close_greeting_if_complete()?),
        }
        Ok(actions)
    }
}
