//! The beacon of a round, from a part of every user: committed to before any is revealed.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::planning::Planning;
use super::{Ballot, Client, ClientConfig, State};
use crate::grouping::Beacon;
use crate::machine::{Action, StateName};
use crate::scene::{Scene, check_group, check_step};
use crate::wire::{Fault, Frame, FrameKind, Hello, HelloList, Party, WHOLE_ROUND};

/// What a user knows while the beacon is made.
pub(super) struct Greeting {
    ballot: Ballot,
    part: Zeroizing<[u8; 32]>,
    /// The commitments, once all are public.
    commitments: Option<BTreeMap<u16, [u8; 32]>>,
    revealed: BTreeMap<u16, [u8; 32]>,
    /// What the dealer sent before the aggregator's last part of the beacon came: their channels are two.
    early: Vec<Vec<u8>>,
    turn: Turn,
}

/// The first greeting, or the second and last: who sees the others' parts and withdraws chooses between two beacons, not more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    First,
    Second,
}

impl Turn {
    /// The step of its frames.
    const fn step(self) -> u16 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }
}

impl Greeting {
    pub(super) const fn new(ballot: Ballot, part: Zeroizing<[u8; 32]>) -> Self {
        Self { ballot, part, commitments: None, revealed: BTreeMap::new(), early: Vec::new(), turn: Turn::First }
    }

    fn commitment(&self) -> [u8; 32] {
        Sha256::digest(*self.part).into()
    }

    pub(super) fn hello(&self, scene: &Scene, config: &ClientConfig) -> Vec<u8> {
        let hello = Hello { key: config.identity.public_key(), commitment: self.commitment() };
        scene.header(FrameKind::Hello, WHOLE_ROUND, self.turn.step()).frame(|bytes| hello.write(config.user, bytes))
    }

    pub(super) const fn state(&self) -> StateName {
        if self.commitments.is_none() { StateName::Greeting } else { StateName::Revealing }
    }

    /// Keeps a frame of the dealer until the beacon is known.
    pub(super) fn keep_early(&mut self, bytes: &[u8], kind: FrameKind, most: usize) -> Result<(), Fault> {
        if self.early.len() >= most {
            return Err(Fault::WrongState { kind, state: self.state().to_string() });
        }
        self.early.push(bytes.to_vec());
        Ok(())
    }

    /// Checks the list of greetings: own entry unchanged, keys of the roster.
    fn check(&self, list: &HelloList, config: &ClientConfig) -> Result<(), Fault> {
        let own = Hello { key: config.identity.public_key(), commitment: self.commitment() };
        for (user, hello) in &list.0 {
            if config.roster.key(*user) != Some(&hello.key) {
                return Err(Fault::NotAMember(Party::User(*user)));
            }
        }
        match list.0.iter().find(|(user, _)| *user == config.user) {
            Some((_, hello)) if *hello == own => Ok(()),
            _ => Err(Fault::CommitmentMismatch(config.user)),
        }
    }
}

impl Client {
    /// All commitments are public: reveal.
    pub(super) fn take_greetings(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        check_group(&frame.header, WHOLE_ROUND)?;
        let State::Greeting(greeting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        check_step(&frame.header, greeting.turn.step())?;
        if greeting.commitments.is_some() {
            return Err(Fault::Duplicate(FrameKind::HelloAll));
        }
        let list = HelloList::read(frame)?;
        greeting.check(&list, &self.config)?;
        if list.0.len() < usize::from(self.config.settings.min_survivors) || self.config.settings.check(list.0.len()).is_err() {
            return Err(Fault::BadSurvivors("too few users take part in the round"));
        }
        greeting.commitments = Some(list.0.into_iter().map(|(user, hello)| (user, hello.commitment)).collect());
        let (part, step) = (greeting.part.clone(), greeting.turn.step());
        let reveal =
            self.scene.header(FrameKind::Beacon, WHOLE_ROUND, step).frame(|bytes| bytes.extend_from_slice(part.as_ref()));
        Ok(vec![self.outbox.send(Party::Aggregator, reveal.into()), self.set_timer()])
    }

    /// Somebody has not revealed its part: commit to a new one, once.
    pub(super) fn take_greet_again(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        check_group(&frame.header, WHOLE_ROUND)?;
        check_step(&frame.header, Turn::Second.step())?;
        frame.check_empty()?;
        let part = self.own_key(0).nonce(1);
        let State::Greeting(greeting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        if greeting.turn == Turn::Second {
            return Err(Fault::Duplicate(FrameKind::GreetAgain));
        }
        if greeting.commitments.is_none() {
            return Err(self.wrong_state(frame.header.kind));
        }
        (greeting.turn, greeting.part) = (Turn::Second, part);
        greeting.commitments = None;
        greeting.revealed.clear();
        let hello = greeting.hello(&self.scene, &self.config);
        Ok(vec![self.outbox.send(Party::Aggregator, hello.into()), self.set_timer()])
    }

    /// A user's part of the beacon, relayed by the aggregator; with the last one the beacon is known.
    pub(super) fn take_reveal(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        check_group(&frame.header, WHOLE_ROUND)?;
        let State::Greeting(greeting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        let Party::User(user) = frame.header.sender else { return Err(Fault::NotAMember(frame.header.sender)) };
        check_step(&frame.header, greeting.turn.step())?;
        frame.check_length(32)?;
        let Some(commitments) = &greeting.commitments else { return Err(self.wrong_state(frame.header.kind)) };
        let commitment = commitments.get(&user).ok_or(Fault::NotAMember(frame.header.sender))?;
        if Sha256::digest(frame.payload).as_slice() != commitment {
            return Err(Fault::CommitmentMismatch(user));
        }
        let mut part = [0; 32];
        part.copy_from_slice(frame.payload);
        if greeting.revealed.insert(user, part).is_some() {
            return Err(Fault::Duplicate(FrameKind::Beacon));
        }
        if greeting.revealed.len() < commitments.len() {
            return Ok(Vec::new());
        }
        let beacon = Beacon::from_reveals(greeting.revealed.values());
        let users: Vec<u16> = commitments.keys().copied().collect();
        let State::Greeting(greeting) = std::mem::replace(&mut self.state, State::Idle) else { return Ok(Vec::new()) };
        let Greeting { ballot, early, .. } = *greeting;
        self.state = State::Planning(Box::new(Planning::new(ballot, users, Some(beacon))));
        let mut actions = vec![self.set_timer()];
        for bytes in early {
            actions.extend(self.take_frame(Party::Dealer, &bytes)?);
        }
        Ok(actions)
    }
}
