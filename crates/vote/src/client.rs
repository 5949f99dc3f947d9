//! A user: enters its votes, and learns the result and nothing else.
//!
//! A client trusts nobody with its votes: it refuses a plan that differs from what was agreed, a group that the beacon did not draw,
//! a plan that aggregator and dealer do not agree on, and randomness that was used before. Any fault ends the round for it.

mod check;
mod ending;
mod greeting;
mod leg;
mod planning;
mod voting;

use std::time::Duration;

use zeroize::Zeroizing;

use crate::grouping::{Beacon, Regroup};
use crate::ledger::Outbox;
use crate::machine::{Action, Event, Machine, Reason, StateName, TimerId, UseMark};
use crate::prg::{Context, Purpose, Seed, SessionId, StreamKey};
use crate::roster::{Identity, Roster};
use crate::scene::Scene;
use crate::settings::Settings;
use crate::wiped::Wiped;
use crate::wire::{Abort, Fault, Frame, FrameKind, Party, RoundPlan};
use crate::{Error, Result, signs};

use ending::Results;
use greeting::Greeting;
use planning::Planning;
use voting::Voting;

/// How the users of a round and its beacon are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeaconRule {
    /// Every user commits to a part and reveals it: no single party chooses.
    CommitReveal,
    /// The plan names it. For simulations, where it comes from the run's seed.
    Given,
}

impl BeaconRule {
    /// Checks that a session can find its beacons so.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] for groups that are kept over rounds whose users make a new beacon each time.
    pub(crate) fn check(self, settings: &Settings) -> Result<()> {
        if self == Self::CommitReveal && settings.regroup != Regroup::Every && settings.group_size > 0 {
            let reason = "the users make a new beacon in every round, who may be others each time; regroup every round";
            return Err(Error::unsuitable(format!("regroup {}", settings.regroup), reason));
        }
        Ok(())
    }
}

/// What a client is started with.
#[derive(Debug)]
pub struct ClientConfig {
    /// The user's index in the roster.
    pub user: u16,
    /// The session.
    pub session: SessionId,
    /// What is agreed.
    pub settings: Settings,
    /// The users.
    pub roster: Roster,
    /// The user's signing key, whose public part is in the roster.
    pub identity: Identity,
    /// The aggregator's public key; for the survivors protocol.
    pub aggregator_key: [u8; 32],
    /// How the beacon is found.
    pub beacon: BeaconRule,
    /// The user's own randomness, shared with nobody.
    pub own: Seed,
    /// The last randomness that an earlier run of this session used.
    pub last_used: Option<UseMark>,
    /// How long to wait for a frame.
    pub patience: Duration,
}

/// A user's votes in a round, kept until the round ends.
struct Ballot {
    votes: Wiped<i8>,
    /// Whether a share of a result has left: after that nothing is voted again.
    final_sent: bool,
}

enum State {
    Idle,
    Greeting(Box<Greeting>),
    Planning(Box<Planning>),
    Voting(Box<Voting>),
    /// The group is dead; the others go on.
    Abstained(Box<(RoundPlan, Results)>),
    Done,
    Aborted(String),
}

/// A user's machine.
pub struct Client {
    config: ClientConfig,
    seed: Option<Seed>,
    scene: Scene,
    outbox: Outbox,
    last_used: Option<UseMark>,
    /// The last draw of groups that was accepted: its round, and the beacon that drew them.
    drawn: Option<(u32, Beacon)>,
    state: State,
    timer: TimerId,
    farewell: Option<Action>,
}

impl Client {
    /// A client for a session.
    ///
    /// # Errors
    /// [`Error::Value`] if the settings do not fit the roster, or the user is not in it.
    pub fn new(config: ClientConfig) -> Result<Self> {
        config.settings.check(config.roster.len())?;
        config.beacon.check(&config.settings)?;
        if config.roster.key(config.user) != Some(&config.identity.public_key()) {
            return Err(Error::value("the user", config.user, "an index of the roster, with the user's own key there"));
        }
        let scene = Scene::new(config.session, &config.settings, Party::User(config.user));
        let last_used = config.last_used;
        Ok(Self {
            config,
            seed: None,
            scene,
            outbox: Outbox::default(),
            last_used,
            drawn: None,
            state: State::Idle,
            timer: TimerId(0),
            farewell: None,
        })
    }

    /// Begins a round with the user's votes. Between rounds only: what a round has begun is never voted again.
    ///
    /// # Errors
    /// [`Error::Vote`] for a vote outside the domain; [`Error::Value`] for a wrong number of votes, a round that is not after the
    /// last one, or while a round is under way.
    pub fn begin(&mut self, round: u32, votes: &[i8]) -> Result<Vec<Action>> {
        if !matches!(self.state, State::Idle | State::Done | State::Aborted(_)) {
            return Err(Error::value("the state", self.state(), "between rounds"));
        }
        if votes.len() != self.config.settings.coordinates as usize {
            return Err(Error::value(
                "the number of votes",
                votes.len(),
                &format!("{}, as agreed", self.config.settings.coordinates),
            ));
        }
        signs::check(votes, self.config.settings.domain)?;
        if self.last_used.is_some_and(|last| round <= last.round) {
            return Err(Error::value("the round", round, "after the last one: its randomness is never used again"));
        }
        (self.scene.round, self.scene.attempt) = (round, 0);
        self.farewell = None;
        let ballot = Ballot { votes: Wiped::new(votes.to_vec()), final_sent: false };
        let mut actions = Vec::new();
        self.state = match self.config.beacon {
            BeaconRule::Given => State::Planning(Box::new(Planning::new(ballot, self.everyone(), None))),
            BeaconRule::CommitReveal => {
                let greeting = Greeting::new(ballot, self.own_key(0).nonce(0));
                actions.push(self.outbox.send(Party::Aggregator, greeting.hello(&self.scene, &self.config).into()));
                State::Greeting(Box::new(greeting))
            }
        };
        actions.push(self.set_timer());
        Ok(actions)
    }

    /// Gives up a round that is under way, and wipes what was secret in it; [`farewell`](Self::farewell) then tells the aggregator.
    pub fn abandon(&mut self) {
        if !matches!(self.state, State::Idle | State::Done | State::Aborted(_)) {
            self.fail(Reason::LeftOut, "the user has given the round up".into());
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

    /// After a fault: the frame that tells the aggregator, once.
    pub fn farewell(&mut self) -> Option<Action> {
        self.farewell.take()
    }

    /// All users of the roster.
    fn everyone(&self) -> Vec<u16> {
        (0..self.config.roster.len() as u16).collect()
    }

    /// The key of the user's own randomness in this round.
    fn own_key(&self, attempt: u16) -> StreamKey {
        let context = Context { round: self.scene.round, attempt, group: 0, user: self.config.user };
        self.config.own.derive(self.config.session, Purpose::Own, context)
    }

    fn set_timer(&mut self) -> Action {
        self.timer.0 += 1;
        Action::SetTimer { id: self.timer, after: self.config.patience }
    }

    fn wrong_state(&self, kind: FrameKind) -> Fault {
        Fault::WrongState { kind, state: self.state().to_string() }
    }

    /// Ends the round and wipes what was secret in it.
    fn fail(&mut self, reason: Reason, words: String) {
        let abort = Abort { reason, culprit: None, words: words.clone() };
        let frame = self.scene.header(FrameKind::Abort, 0, 0).frame(|bytes| abort.write(bytes));
        self.farewell = Some(self.outbox.send(Party::Aggregator, frame.into()));
        self.state = State::Aborted(words);
    }

    fn take_frame(&mut self, from: Party, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        let frame = Frame::parse(bytes)?;
        self.scene.check_session(&frame.header)?;
        match &self.state {
            State::Done => return Err(Fault::Ended("the result is known".into())),
            State::Aborted(words) => return Err(Fault::Ended(words.clone())),
            _ => {}
        }
        match (frame.header.kind, from) {
            (_, Party::User(_)) => Err(Fault::NotAMember(from)),
            (FrameKind::SeedGrant, Party::Dealer) => self.take_seed(&frame),
            (kind @ (FrameKind::RoundPlan | FrameKind::Correction), Party::Dealer)
                if matches!(self.state, State::Greeting(_)) =>
            {
                // A plan, and the corrections of at most two circuits.
                let most = 1 + 2 * self.config.settings.chunks();
                if let State::Greeting(greeting) = &mut self.state {
                    greeting.keep_early(bytes, kind, most)?;
                }
                Ok(Vec::new())
            }
            // What the dealer relays names the aggregator as its sender.
            (FrameKind::RoundPlan | FrameKind::Survivors, _) => {
                frame.check_sender(Party::Aggregator)?;
                match frame.header.kind {
                    FrameKind::RoundPlan => self.take_plan(&frame, bytes, from),
                    _ => self.take_survivors(&frame, bytes, from),
                }
            }
            // What the aggregator relays names the user who sent it.
            (FrameKind::Beacon, Party::Aggregator) => self.take_reveal(&frame),
            (FrameKind::MacCommit | FrameKind::MacOpen, Party::Aggregator) => self.take_check(&frame),
            (kind, _) => {
                frame.check_sender(from)?;
                match (kind, from) {
                    (FrameKind::HelloAll, Party::Aggregator) => self.take_greetings(&frame),
                    (FrameKind::GreetAgain, Party::Aggregator) => self.take_greet_again(&frame),
                    (FrameKind::Correction, Party::Dealer) => self.take_correction(&frame, bytes),
                    (FrameKind::SignFlagsAll, Party::Aggregator) => self.take_flags(&frame, bytes),
                    (FrameKind::OpenSum, Party::Aggregator) => self.take_sums(&frame, bytes),
                    (FrameKind::ConfirmAll, Party::Aggregator) => self.take_confirmations(&frame),
                    (FrameKind::Vote | FrameKind::Mean, Party::Aggregator) => self.take_result(&frame),
                    (FrameKind::Abort, Party::Aggregator) => self.take_abort(&frame),
                    _ => Err(self.wrong_state(kind)),
                }
            }
        }
    }

    fn take_seed(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        frame.check_sender(Party::Dealer)?;
        if self.seed.is_some() {
            return Err(Fault::Duplicate(FrameKind::SeedGrant));
        }
        frame.check_length(32)?;
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.copy_from_slice(frame.payload);
        self.seed = Some(Seed::from_bytes(*bytes));
        Ok(Vec::new())
    }

    fn take_abort(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        let abort = Abort::read(frame)?;
        if abort.reason == Reason::GroupIncomplete
            && let State::Voting(voting) = &self.state
        {
            let results = Results::new(&self.config.settings);
            self.state = State::Abstained(Box::new((voting.plan.clone(), results)));
            return Ok(vec![self.set_timer()]);
        }
        self.state = State::Aborted(abort.reason.to_string());
        Ok(vec![Action::Abort { reason: abort.reason, culprit: abort.culprit }])
    }
}

impl Machine for Client {
    fn handle(&mut self, event: Event<'_>) -> Result<Vec<Action>, Fault> {
        match event {
            Event::Frame { from, bytes } => {
                let over = matches!(self.state, State::Done | State::Aborted(_));
                let result = self.take_frame(from, bytes);
                if let (Err(fault), false) = (&result, over) {
                    self.fail(Reason::FrameRefused, fault.to_string());
                }
                result
            }
            Event::Deadline(id) if id == self.timer && !matches!(self.state, State::Idle | State::Done | State::Aborted(_)) => {
                self.fail(Reason::DeadlinePassed, format!("waited in state {}", self.state()));
                Ok(vec![Action::Abort { reason: Reason::DeadlinePassed, culprit: None }])
            }
            Event::Deadline(_) => Ok(Vec::new()),
        }
    }

    fn state(&self) -> StateName {
        match &self.state {
            State::Idle => StateName::Idle,
            State::Greeting(greeting) => greeting.state(),
            State::Planning(_) => StateName::Planned,
            State::Voting(voting) => voting.state(),
            State::Abstained(_) => StateName::Abstained,
            State::Done => StateName::Done,
            State::Aborted(_) => StateName::Aborted,
        }
    }
}
