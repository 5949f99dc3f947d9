//! The aggregator: adds what users send, and publishes the result. It learns the result, and with visible groups their votes.
//!
//! A frame that does not fit is an error value and changes nothing: no user can stop the others by it. Who does not answer in time is
//! lost, and what happens then is the protocol's: its group counts as 0, or the vote starts again without it, or goes on.

mod greeting;
mod publishing;
mod round;
mod survivors;
mod tally;

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::Result;
use crate::client::BeaconRule;
use crate::grouping::Beacon;
use crate::ledger::Outbox;
use crate::machine::{Action, Event, FrameBytes, Machine, Reason, StateName, TimerId};
use crate::prg::SessionId;
use crate::roster::{Identity, Roster};
use crate::scene::Scene;
use crate::settings::{Settings, Switch};
use crate::wire::{Abort, Fault, Frame, FrameKind, Party, WHOLE_ROUND};

use greeting::Greeting;
use round::Round;

/// What an aggregator is started with.
#[derive(Debug)]
pub struct AggregatorConfig {
    /// The session.
    pub session: SessionId,
    /// What is agreed.
    pub settings: Settings,
    /// The users.
    pub roster: Roster,
    /// The aggregator's signing key; for the survivors protocol.
    pub identity: Identity,
    /// How the beacon is found.
    pub beacon: BeaconRule,
    /// Whether a flat vote that loses a user starts again without it, once.
    pub restart: Switch,
    /// How long to wait for the users.
    pub patience: Duration,
}

enum State {
    Idle,
    Greeting(Box<Greeting>),
    Voting(Box<Round>),
    Done,
    Aborted(Reason),
}

/// The aggregator's machine.
pub struct Aggregator {
    config: AggregatorConfig,
    scene: Scene,
    outbox: Outbox,
    state: State,
    timer: TimerId,
    last_round: Option<u32>,
    /// The digest of each frame that a user sent in this attempt, by user, type, group, step and first coordinate: a repetition of
    /// the same bytes is ignored.
    seen: BTreeMap<(u16, FrameKind, u16, u16, u32), [u8; 32]>,
}

impl Aggregator {
    /// An aggregator for a session.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if the settings do not fit the roster.
    pub fn new(config: AggregatorConfig) -> Result<Self> {
        config.settings.check(config.roster.len())?;
        config.beacon.check(&config.settings)?;
        let scene = Scene::new(config.session, &config.settings, Party::Aggregator);
        Ok(Self {
            config,
            scene,
            outbox: Outbox::default(),
            state: State::Idle,
            timer: TimerId(0),
            last_round: None,
            seen: BTreeMap::new(),
        })
    }

    /// Begins a round. `beacon` is for the rule [`BeaconRule::Given`] alone.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) for a round that is not after the last one, while one is under way, or without the
    /// beacon that the rule needs.
    pub fn begin(&mut self, round: u32, beacon: Option<Beacon>) -> Result<Vec<Action>> {
        if matches!(self.state, State::Greeting(_) | State::Voting(_)) {
            return Err(crate::Error::value("the state", self.state(), "between rounds"));
        }
        if self.last_round.is_some_and(|last| round <= last) {
            return Err(crate::Error::value("the round", round, "after the last one"));
        }
        self.last_round = Some(round);
        (self.scene.round, self.scene.attempt) = (round, 0);
        self.seen.clear();
        match (self.config.beacon, beacon) {
            (BeaconRule::CommitReveal, None) => {
                self.state = State::Greeting(Box::default());
                Ok(vec![self.set_timer()])
            }
            (BeaconRule::Given, Some(beacon)) => {
                let users = (0..self.config.roster.len() as u16).collect();
                self.start_round(users, beacon)
            }
            (rule, _) => Err(crate::Error::value("the beacon", format!("{rule:?}"), "given exactly where the rule says so")),
        }
    }

    /// Gives up a round that is under way.
    pub fn abandon(&mut self) {
        if matches!(self.state, State::Greeting(_) | State::Voting(_)) {
            self.state = State::Aborted(Reason::DeadlinePassed);
        }
    }

    /// Who is waited for, by index.
    pub fn missing(&self) -> Vec<u16> {
        match &self.state {
            State::Greeting(greeting) => greeting.missing(self.config.roster.len()),
            State::Voting(round) => round.missing(),
            State::Idle | State::Done | State::Aborted(_) => Vec::new(),
        }
    }

    /// The round as a whole has taken too long: groups that are not done count as 0, and without any other there is no result.
    ///
    /// # Errors
    /// None that a caller could cause: those of [`Machine::handle`].
    pub fn expire(&mut self) -> Result<Vec<Action>, Fault> {
        let culprit = self.missing().first().copied();
        match &self.state {
            State::Greeting(_) => {
                let users: Vec<u16> = (0..self.config.roster.len() as u16).collect();
                Ok(self.abort_round(&users, Reason::DeadlinePassed, culprit))
            }
            State::Voting(round) if round.has_visible_groups() => self.close_groups(),
            State::Voting(round) => {
                let users = round.users.clone();
                Ok(self.abort_round(&users, Reason::DeadlinePassed, culprit))
            }
            State::Idle | State::Done | State::Aborted(_) => Ok(Vec::new()),
        }
    }

    /// What was sent.
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Forgets what was sent.
    pub fn clear_outbox(&mut self) {
        self.outbox = Outbox::default();
    }

    fn set_timer(&mut self) -> Action {
        self.timer.0 += 1;
        Action::SetTimer { id: self.timer, after: self.config.patience }
    }

    fn wrong_state(&self, kind: FrameKind) -> Fault {
        Fault::WrongState { kind, state: self.state().to_string() }
    }

    /// One frame to many.
    fn broadcast(&mut self, users: &[u16], frame: Vec<u8>) -> Vec<Action> {
        let frame: FrameBytes = frame.into();
        users.iter().map(|&user| self.outbox.send(Party::User(user), frame.clone())).collect()
    }

    /// Tells users that a group, or the round, has ended for them.
    fn tell_abort(&mut self, users: &[u16], group: u16, reason: Reason, culprit: Option<u16>) -> Vec<Action> {
        let abort = Abort { reason, culprit: culprit.map(Party::User), words: String::new() };
        let frame = self.scene.header(FrameKind::Abort, group, 0).frame(|bytes| abort.write(bytes));
        self.broadcast(users, frame)
    }

    /// Ends the round for everybody.
    fn abort_round(&mut self, users: &[u16], reason: Reason, culprit: Option<u16>) -> Vec<Action> {
        self.state = State::Aborted(reason);
        let mut actions = self.tell_abort(users, WHOLE_ROUND, reason, culprit);
        actions.push(Action::Abort { reason, culprit: culprit.map(Party::User) });
        actions
    }

    /// Whether the same frame has come before.
    ///
    /// # Errors
    /// [`Fault::Equivocation`] if another frame came in its place.
    fn is_repeated(&mut self, user: u16, frame: &Frame<'_>, bytes: &[u8]) -> Result<bool, Fault> {
        let header = &frame.header;
        let place = (user, header.kind, header.group, header.step, header.offset);
        match self.seen.get(&place) {
            None => Ok(false),
            Some(digest) if digest[..] == Sha256::digest(bytes)[..] => Ok(true),
            Some(_) => Err(Fault::Equivocation(user)),
        }
    }

    fn remember(&mut self, user: u16, frame: &Frame<'_>, bytes: &[u8]) {
        let header = &frame.header;
        self.seen.insert((user, header.kind, header.group, header.step, header.offset), Sha256::digest(bytes).into());
    }

    fn take_frame(&mut self, from: Party, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        let frame = Frame::parse(bytes)?;
        frame.check_sender(from)?;
        self.scene.check(&frame.header)?;
        match from {
            Party::User(user) if self.config.roster.key(user).is_some() => {
                if self.is_repeated(user, &frame, bytes)? {
                    return Ok(Vec::new());
                }
                let actions = self.take_from_user(user, &frame, bytes)?;
                self.remember(user, &frame, bytes);
                Ok(actions)
            }
            Party::Dealer if frame.header.kind == FrameKind::DealerReady => {
                frame.check_empty()?;
                Ok(Vec::new())
            }
            Party::Dealer => Err(self.wrong_state(frame.header.kind)),
            _ => Err(Fault::NotAMember(from)),
        }
    }

    fn take_from_user(&mut self, user: u16, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        match (frame.header.kind, &self.state) {
            (FrameKind::Hello, State::Greeting(_)) => self.take_hello(user, frame),
            (FrameKind::Beacon, State::Greeting(_)) => self.take_reveal(user, frame, bytes),
            (FrameKind::Abort, State::Greeting(_)) => {
                Abort::read(frame)?;
                self.take_leave(user)
            }
            (FrameKind::Abort, State::Voting(_)) => {
                Abort::read(frame)?;
                self.lose(&[user])
            }
            (FrameKind::SignFlags | FrameKind::Open | FrameKind::Final, State::Voting(_)) => self.take_vectors(user, frame),
            (FrameKind::Confirm, State::Voting(_)) => self.take_confirmation(user, frame),
            (FrameKind::MacCommit | FrameKind::MacOpen, State::Voting(_)) => self.relay_check(user, frame, bytes),
            (_, State::Aborted(reason)) => Err(Fault::Ended(reason.to_string())),
            (kind, _) => Err(self.wrong_state(kind)),
        }
    }
}

impl Machine for Aggregator {
    fn handle(&mut self, event: Event<'_>) -> Result<Vec<Action>, Fault> {
        match event {
            Event::Frame { from, bytes } => self.take_frame(from, bytes),
            Event::Deadline(id) if id == self.timer => match &self.state {
                State::Greeting(_) => self.close_greeting(),
                State::Voting(round) => {
                    let missing = round.missing();
                    self.lose(&missing)
                }
                _ => Ok(Vec::new()),
            },
            Event::Deadline(_) => Ok(Vec::new()),
        }
    }

    fn state(&self) -> StateName {
        match &self.state {
            State::Idle => StateName::Idle,
            State::Greeting(greeting) => greeting.state(),
            State::Voting(round) => round.state(),
            State::Done => StateName::Done,
            State::Aborted(_) => StateName::Aborted,
        }
    }
}
