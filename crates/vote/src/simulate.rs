//! All users, the aggregator and the dealer in one process, over real frames, in virtual time.
//!
//! Machines that have events at the same moment run on all threads; what they send is queued in a fixed order, so a run does not
//! depend on the number of threads.

mod faults;
mod network;
mod plain_vote;
mod randomness;

use std::time::Duration;

use rayon::prelude::*;

use crate::grouping::{self, Beacon};
use crate::ledger::{Ledger, UserLedger};
use crate::machine::{Action, Event, FrameBytes, GroupStatus, Machine, Outcome, Reason, StateName, Tally};
use crate::plain;
use crate::prg::Seed;
use crate::roster::{Identity, Roster};
use crate::wire::{Fault, Party};
use crate::{
    Aggregator, AggregatorConfig, BeaconRule, Client, ClientConfig, Dealer, DealerConfig, Protocol, Result, Settings, Switch,
};

pub use faults::{Faults, Loss, Mishap};
use network::{Delivery, Network};
pub use plain_vote::{PlainRound, PlainVote};
use randomness::{PublicRandomness, Seeds};

/// What is simulated.
#[derive(Clone, Debug)]
pub struct SimulationConfig {
    /// What is agreed.
    pub settings: Settings,
    /// The number of users.
    pub users: usize,
    /// How the beacon is found.
    pub beacon: BeaconRule,
    /// Whether a flat vote that loses a user starts again without it.
    pub restart: Switch,
    /// Whether reports carry all frames: what an observer of all channels would see.
    pub keep_frames: Switch,
    /// Repeatable randomness, for tests and comparisons: it protects nobody. Without it, the operating system's.
    pub insecure_seed: Option<u64>,
}

impl SimulationConfig {
    /// The settings among users, with secret randomness and a beacon from the run's seed.
    pub const fn new(settings: Settings, users: usize) -> Self {
        Self { settings, users, beacon: BeaconRule::Given, restart: Switch::On, keep_frames: Switch::Off, insecure_seed: None }
    }
}

/// How a round went.
#[derive(Debug)]
pub struct RoundReport {
    /// What the aggregator published.
    pub outcome: Option<Outcome>,
    /// What each user accepted.
    pub accepted: Vec<Option<Tally>>,
    /// Why rounds or groups ended without a result, by party.
    pub aborts: Vec<(Party, Reason)>,
    /// The frames that were refused, by the party that refused them.
    pub faults: Vec<(Party, Fault)>,
    /// The state of every party at the end.
    pub states: Vec<(Party, StateName)>,
    /// Bytes.
    pub ledger: Ledger,
    /// All frames in the order of sending, if they are kept.
    pub frames: Vec<SentFrame>,
    /// Virtual time from the first to the last event.
    pub duration: Duration,
}

/// A frame as it was sent, before any mishap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentFrame {
    /// By whom.
    pub from: Party,
    /// To whom.
    pub to: Party,
    /// The bytes.
    pub bytes: FrameBytes,
}

/// How long a frame travels.
const LATENCY: Duration = Duration::from_millis(1);

/// How long parties wait: the aggregator's deadline passes first, so that it decides who is lost.
const AGGREGATOR_PATIENCE: Duration = Duration::from_secs(10);
const CLIENT_PATIENCE: Duration = Duration::from_secs(60);

enum Node {
    Client(Box<Client>),
    Aggregator(Box<Aggregator>),
    Dealer(Box<Dealer>),
}

impl Node {
    fn machine(&mut self) -> &mut dyn Machine {
        match self {
            Self::Client(client) => client.as_mut(),
            Self::Aggregator(aggregator) => aggregator.as_mut(),
            Self::Dealer(dealer) => dealer.as_mut(),
        }
    }

    fn state(&self) -> StateName {
        match self {
            Self::Client(client) => client.state(),
            Self::Aggregator(aggregator) => aggregator.state(),
            Self::Dealer(dealer) => dealer.state(),
        }
    }

    /// Takes an event; a refused frame may be followed by a farewell.
    fn take(&mut self, delivery: &Delivery) -> (Vec<Action>, Option<Fault>) {
        let event = match delivery {
            Delivery::Frame { from, bytes } => Event::Frame { from: *from, bytes },
            Delivery::Timer(id) => Event::Deadline(*id),
        };
        match self.machine().handle(event) {
            Ok(actions) => (actions, None),
            Err(fault) => {
                let farewell = if let Self::Client(client) = self { client.farewell() } else { None };
                (farewell.into_iter().collect(), Some(fault))
            }
        }
    }
}

/// All parties of a session.
///
/// ```
/// use thalweg_vote::{Settings, Simulation, SimulationConfig};
///
/// let votes = vec![vec![1, -1, 1], vec![1, 1, -1], vec![-1, -1, -1], vec![1, -1, 1]];
/// let mut session = Simulation::new(SimulationConfig::new(Settings::new(3), 4))?;
/// let report = session.round(&votes)?;
/// assert_eq!(report.outcome.unwrap().tally.votes(), [1, -1, 0]);
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
pub struct Simulation {
    config: SimulationConfig,
    public: PublicRandomness,
    /// The users, then the aggregator, then the dealer.
    nodes: Vec<Node>,
    round: u32,
}

impl Simulation {
    /// The parties of a session; the dealer has given every user its seed.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) or [`Error::Unsuitable`](crate::Error::Unsuitable) if the settings do not fit the
    /// number of users.
    pub fn new(config: SimulationConfig) -> Result<Self> {
        config.settings.check(config.users)?;
        let source = Seeds::new(config.insecure_seed)?;
        let public = source.public(config.settings.regroup)?;
        let session = public.session;
        let count = config.users as u16;
        let identity = |number: u32| Ok(Identity::from_bytes(&source.bytes(number)?));
        let identities: Vec<Identity> = (0..=u32::from(count)).map(|user| identity(1_000 + user)).collect::<Result<_>>()?;
        let roster = Roster::new(identities[..config.users].iter().map(Identity::public_key).collect())?;
        let aggregator_key = identities[config.users].public_key();
        let mut nodes = Vec::with_capacity(config.users + 2);
        let mut identities = identities.into_iter();
        for (user, identity) in (0..count).zip(identities.by_ref()) {
            let client = Client::new(ClientConfig {
                user,
                session,
                settings: config.settings.clone(),
                roster: roster.clone(),
                identity,
                aggregator_key,
                beacon: config.beacon,
                own: Seed::from_bytes(source.bytes(2_000 + u32::from(user))?),
                last_used: None,
                patience: CLIENT_PATIENCE,
            })?;
            nodes.push(Node::Client(Box::new(client)));
        }
        if let Some(identity) = identities.next() {
            let aggregator = Aggregator::new(AggregatorConfig {
                session,
                settings: config.settings.clone(),
                roster: roster.clone(),
                identity,
                beacon: config.beacon,
                restart: config.restart,
                patience: AGGREGATOR_PATIENCE,
            })?;
            nodes.push(Node::Aggregator(Box::new(aggregator)));
        }
        let seeds = (0..u32::from(count)).map(|user| Ok(Seed::from_bytes(source.bytes(3_000 + user)?))).collect::<Result<_>>()?;
        let mut dealer = Dealer::new(DealerConfig {
            session,
            settings: config.settings.clone(),
            roster,
            aggregator_key,
            seeds,
            own: Seed::from_bytes(source.bytes(1)?),
            last_used: None,
        })?;
        let grants = dealer.grants();
        nodes.push(Node::Dealer(Box::new(dealer)));
        let mut simulation = Self { config, public, nodes, round: 0 };
        let mut network = Network::new(Faults::none());
        network.do_all(Party::Dealer, grants, LATENCY);
        simulation.run(&mut network);
        Ok(simulation)
    }

    /// The round that comes next.
    pub const fn next_round(&self) -> u32 {
        self.round
    }

    /// The round that comes next, of those to come: a session that goes on elsewhere never uses a round twice.
    pub const fn skip_to(&mut self, round: u32) {
        if round > self.round {
            self.round = round;
        }
    }

    /// Whether later reports carry all frames.
    pub const fn keep_frames(&mut self, keep: Switch) {
        self.config.keep_frames = keep;
    }

    /// A round in which nothing goes wrong.
    ///
    /// # Errors
    /// As [`Client::begin`].
    pub fn round(&mut self, votes: &[Vec<i8>]) -> Result<RoundReport> {
        self.round_with(votes, Faults::none())
    }

    /// A round with mishaps on the way.
    ///
    /// # Errors
    /// As [`Client::begin`].
    pub fn round_with(&mut self, votes: &[Vec<i8>], faults: Faults) -> Result<RoundReport> {
        if votes.len() != self.config.users {
            return Err(crate::Error::value("the number of users who vote", votes.len(), &self.config.users.to_string()));
        }
        let round = self.round;
        let beacon = (self.config.beacon == BeaconRule::Given).then(|| self.given_beacon(round));
        let mut network = Network::new(faults);
        network.keep_frames = self.config.keep_frames;
        for node in &mut self.nodes {
            match node {
                Node::Client(client) => {
                    client.abandon();
                    client.clear_outbox();
                }
                Node::Aggregator(aggregator) => {
                    aggregator.abandon();
                    aggregator.clear_outbox();
                }
                Node::Dealer(dealer) => dealer.clear_outbox(),
            }
        }
        for (user, (node, votes)) in (0..).zip(self.nodes.iter_mut().zip(votes)) {
            if let Node::Client(client) = node {
                network.do_all(Party::User(user), client.begin(round, votes)?, LATENCY);
            }
        }
        for node in &mut self.nodes {
            if let Node::Aggregator(aggregator) = node {
                network.do_all(Party::Aggregator, aggregator.begin(round, beacon)?, LATENCY);
            }
        }
        self.round += 1;
        self.run(&mut network);
        Ok(self.report(network))
    }

    /// What the aggregator's outcome must be: the plain vote of those whose votes were counted, in the same groups.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if the votes do not fit.
    pub fn expected(&self, votes: &[Vec<i8>], outcome: &Outcome, beacon: &Beacon) -> Result<Tally> {
        let settings = &self.config.settings;
        let coins = beacon.coins(self.public.session, outcome.round, settings.coordinates as usize);
        let sizes = settings.group_sizes(self.config.users);
        if sizes.len() == 1 {
            let counted = outcome.survivors.iter().map(|&user| votes[usize::from(user)].as_slice());
            return Ok(Tally::Vote(plain::flat(counted, settings.ties.inner, &coins)?));
        }
        let drawn_in = settings.regroup.drawn_in(outcome.round);
        let groups = grouping::draw(beacon, self.public.session, drawn_in, self.config.users, sizes.len())?;
        let is_alive = |at: &usize| settings.protocol == Protocol::Sealed || outcome.groups[*at] == GroupStatus::Decided;
        let alive: Vec<Vec<u16>> = (0..groups.len()).filter(is_alive).map(|at| groups[at].clone()).collect();
        Ok(Tally::of_groups(plain::two_level(votes, &alive, settings.ties, &coins)?, settings.outer))
    }

    /// The beacon of a round, under [`BeaconRule::Given`]: that of the round that drew the groups.
    pub fn given_beacon(&self, round: u32) -> Beacon {
        self.public.beacon(round)
    }

    /// The machines of a user, of the aggregator and of the dealer.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn into_machines(mut self, user: usize) -> Option<(Client, Aggregator, Dealer)> {
        let (dealer, aggregator) = (self.nodes.pop()?, self.nodes.pop()?);
        match (self.nodes.into_iter().nth(user)?, aggregator, dealer) {
            (Node::Client(client), Node::Aggregator(aggregator), Node::Dealer(dealer)) => Some((*client, *aggregator, *dealer)),
            _ => None,
        }
    }

    fn run(&mut self, network: &mut Network) {
        let users = self.config.users;
        let place = |party: Party| match party {
            Party::User(user) => usize::from(user),
            Party::Aggregator => users,
            Party::Dealer => users + 1,
        };
        loop {
            if network.is_quiet() && self.nodes.iter().all(|node| is_settled(node.state())) {
                return;
            }
            let Some(batch) = network.next_batch() else { return };
            let mut inboxes: Vec<Vec<Delivery>> = self.nodes.iter().map(|_| Vec::new()).collect();
            for (party, delivery) in batch {
                if let Some(inbox) = inboxes.get_mut(place(party)) {
                    inbox.push(delivery);
                }
            }
            let work =
                |(node, inbox): (&mut Node, Vec<Delivery>)| inbox.iter().map(|delivery| node.take(delivery)).collect::<Vec<_>>();
            let results: Vec<_> = self.nodes.par_iter_mut().zip(inboxes).map(work).collect();
            for (at, results) in results.into_iter().enumerate() {
                let party = match at {
                    at if at < users => Party::User(at as u16),
                    at if at == users => Party::Aggregator,
                    _ => Party::Dealer,
                };
                for (actions, fault) in results {
                    network.refused.extend(fault.map(|fault| (party, fault)));
                    network.do_all(party, actions, LATENCY);
                }
            }
        }
    }

    fn report(&self, mut network: Network) -> RoundReport {
        let mut ledger = Ledger::default();
        let (aggregator, dealer) = match &self.nodes[self.config.users..] {
            [Node::Aggregator(aggregator), Node::Dealer(dealer)] => (aggregator.outbox().clone(), dealer.outbox().clone()),
            _ => Default::default(),
        };
        for (user, node) in (0..).zip(&self.nodes) {
            if let Node::Client(client) = node {
                let mut down = aggregator.to(Party::User(user));
                down += dealer.to(Party::User(user));
                ledger.users.push(UserLedger::new(client.outbox().total(), down));
            }
        }
        (ledger.aggregator, ledger.dealer) = (aggregator.total(), dealer.total());
        let parties = (0..self.config.users as u16).map(Party::User).chain([Party::Aggregator, Party::Dealer]);
        let states = parties.zip(&self.nodes).map(|(party, node)| (party, node.state())).collect();
        let mut done = std::mem::take(&mut network.done);
        let accepted = |user: u16| done.remove(&Party::User(user)).map(|outcome| outcome.tally);
        RoundReport {
            accepted: (0..self.config.users as u16).map(accepted).collect(),
            outcome: done.remove(&Party::Aggregator),
            aborts: network.aborts,
            faults: network.refused,
            states,
            ledger,
            frames: network.frames,
            duration: network.now,
        }
    }
}

fn is_settled(state: StateName) -> bool {
    matches!(state, StateName::Idle | StateName::Done | StateName::Aborted | StateName::Provisioned)
}
