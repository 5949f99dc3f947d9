//! The dealer: prepares correlated randomness, and never sees a vote.
//!
//! It relays each plan that the aggregator asks for to the members, bit for bit, so that an aggregator cannot have it prepare for
//! other members than the users believe; and it prepares each (round, attempt, group) once.

pub(crate) mod shamir;

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::correlation::{self, Deal, MemberKeys};
use crate::grouping::Coins;
use crate::ledger::Outbox;
use crate::mac::MacField;
use crate::machine::{Action, Event, Machine, StateName, UseMark};
use crate::prg::{Context, Purpose, Seed, SessionId};
use crate::roster::{Roster, verifies};
use crate::scene::{Scene, with_elements};
use crate::settings::Settings;
use crate::wire::{Fault, Frame, FrameKind, Party, RoundPlan, SurvivorSet, pack_vectors};
use crate::{Circuit, Protocol, Result, Tie};

/// What a dealer is started with.
#[derive(Debug)]
pub struct DealerConfig {
    /// The session.
    pub session: SessionId,
    /// What is agreed.
    pub settings: Settings,
    /// The users.
    pub roster: Roster,
    /// The aggregator's public key; for the survivors protocol.
    pub aggregator_key: [u8; 32],
    /// A fresh seed for each user.
    pub seeds: Vec<Seed>,
    /// The dealer's own randomness.
    pub own: Seed,
    /// The last randomness that an earlier run of this session used.
    pub last_used: Option<UseMark>,
}

/// The dealer's machine.
pub struct Dealer {
    config: DealerConfig,
    scene: Scene,
    outbox: Outbox,
    last_used: Option<UseMark>,
    /// The groups prepared in this round and attempt, with their members.
    prepared: BTreeMap<u16, Vec<u16>>,
    survivors_dealt: bool,
}

impl Dealer {
    /// A dealer for a session.
    ///
    /// # Errors
    /// [`Error::Value`](crate::Error::Value) if the settings do not fit the roster, or not every user has a seed.
    pub fn new(config: DealerConfig) -> Result<Self> {
        config.settings.check(config.roster.len())?;
        if config.seeds.len() != config.roster.len() {
            return Err(crate::Error::value(
                "the number of seeds",
                config.seeds.len(),
                &format!("{}, one for each user", config.roster.len()),
            ));
        }
        let scene = Scene::new(config.session, &config.settings, Party::Dealer);
        let last_used = config.last_used;
        Ok(Self { config, scene, outbox: Outbox::default(), last_used, prepared: BTreeMap::new(), survivors_dealt: false })
    }

    /// The frames that give each user its seed, once, over encrypted channels.
    pub fn grants(&mut self) -> Vec<Action> {
        let header = self.scene.header(FrameKind::SeedGrant, 0, 0);
        let grant = |(user, seed): (u16, &Seed)| {
            let frame = header.frame(|bytes| bytes.extend_from_slice(seed.bytes()));
            self.outbox.send(Party::User(user), frame.into())
        };
        (0..).zip(&self.config.seeds).map(grant).collect()
    }

    /// What was sent.
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Forgets what was sent.
    pub fn clear_outbox(&mut self) {
        self.outbox = Outbox::default();
    }

    fn take_plan(&mut self, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        let settings = &self.config.settings;
        let plan = RoundPlan::read(frame, settings.unsent())?;
        if plan.settings != *settings {
            return Err(Fault::PlanDiffers("settings"));
        }
        if plan.roster != self.config.roster.digest() {
            return Err(Fault::PlanDiffers("roster"));
        }
        let (header, users) = (&frame.header, self.config.roster.len());
        if plan.members.iter().any(|&user| usize::from(user) >= users) || usize::from(plan.users) > users {
            return Err(Fault::PlanDiffers("members"));
        }
        let mark = UseMark { round: header.round, attempt: header.attempt };
        let is_new = self.last_used.is_none_or(|last| mark > last);
        let is_current = (self.scene.round, self.scene.attempt) == (mark.round, mark.attempt) && !self.prepared.is_empty();
        let taken: BTreeSet<u16> = self.prepared.values().flatten().copied().collect();
        let overlaps = is_current && !is_new && plan.members.iter().any(|user| taken.contains(user));
        let is_first = is_new || is_current && !self.prepared.contains_key(&header.group);
        if !is_first || overlaps {
            return Err(Fault::AlreadyUsed { round: mark.round, attempt: mark.attempt });
        }
        let circuits = Circuits::new(settings, &plan)?;
        let mut actions = Vec::new();
        if is_new {
            self.prepared.clear();
            self.survivors_dealt = false;
            (self.scene.round, self.scene.attempt) = (mark.round, mark.attempt);
            self.last_used = Some(mark);
            actions.push(Action::Persist(mark));
        }
        self.prepared.insert(header.group, plan.members.clone());
        for &user in &plan.members {
            actions.push(self.outbox.send(Party::User(user), bytes.into()));
        }
        if let Some(group) = &circuits.group {
            actions.extend(self.correct(group, &plan, header.group, &plan.members)?);
        }
        if let Some(outer) = &circuits.outer {
            let everyone: BTreeSet<u16> = self.prepared.values().flatten().copied().collect();
            if everyone.len() == usize::from(plan.users) {
                let everyone: Vec<u16> = everyone.into_iter().collect();
                actions.extend(self.correct(outer, &plan, plan.groups, &everyone)?);
            }
        }
        let ready = self.scene.header(FrameKind::DealerReady, header.group, 0).frame(|_| ());
        actions.push(self.outbox.send(Party::Aggregator, ready.into()));
        Ok(actions)
    }

    /// The corrections of a circuit, to the holder among its members.
    fn correct(&mut self, circuit: &Circuit, plan: &RoundPlan, group: u16, members: &[u16]) -> Result<Vec<Action>, Fault> {
        let Some(field) = circuit.recipe().corrected_field() else { return Ok(Vec::new()) };
        let settings = &self.config.settings;
        let keys: Vec<MemberKeys> = members.iter().map(|&user| self.keys(group, user)).collect();
        let holder = correlation::holder(self.scene.round, self.scene.attempt, members.len());
        let coins = coins(settings, plan, self.config.session, self.scene.round);
        let mac = settings.options.mac.is_on().then(|| MacField::of(circuit.field())).transpose();
        let mac = mac.map_err(|_| Fault::PlanDiffers("mac"))?;
        let scene = self.scene;
        let frame = |chunk: usize| {
            let range = settings.chunk_range(chunk);
            let coins = coins.of(range.clone());
            let deal = Deal {
                recipe: circuit.recipe(),
                keys: &keys,
                suite: settings.suite,
                holder,
                chunk: chunk as u64,
                coins: &coins,
                mac: mac.as_ref(),
            };
            let header = with_elements(scene.chunk_header(FrameKind::Correction, group, 0, &range), settings.encoding, field);
            header.frame(|bytes| pack_vectors(settings.encoding, field, &deal.corrections(), bytes))
        };
        let frames: Vec<Vec<u8>> = (0..settings.chunks()).into_par_iter().map(frame).collect();
        let to = Party::User(members[holder]);
        Ok(frames.into_iter().map(|frame| self.outbox.send(to, frame.into())).collect())
    }

    fn keys(&self, group: u16, user: u16) -> MemberKeys {
        let context = Context { round: self.scene.round, attempt: self.scene.attempt, group, user };
        MemberKeys::derive(&self.config.seeds[usize::from(user)], self.config.session, context)
    }

    fn take_survivors(&mut self, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        let settings = self.config.settings.clone();
        let members = self.prepared.get(&frame.header.group).filter(|_| settings.protocol == Protocol::Survivors);
        let members = members.ok_or_else(|| self.wrong_state(frame.header.kind))?.clone();
        if self.survivors_dealt {
            return Err(Fault::SecondSurvivorSet);
        }
        let set = SurvivorSet::read(frame)?;
        check_survivors(&set, &settings, &self.scene, &members, &self.config.aggregator_key)?;
        self.survivors_dealt = true;
        let keys: Vec<MemberKeys> = set.users.iter().map(|&user| self.keys(frame.header.group, user)).collect();
        let circuit = settings.survivors_circuit(members.len(), set.users.len()).map_err(|_| Fault::BadSurvivors("too few"))?;
        let context = Context { round: self.scene.round, attempt: self.scene.attempt, group: frame.header.group, user: u16::MAX };
        let own = self.config.own.derive(self.config.session, Purpose::Own, context);
        let points: Vec<u8> = set.users.iter().map(|user| position(&members, *user) as u8 + 1).collect();
        let threshold = Settings::threshold(members.len(), set.users.len());
        let (scene, field) = (self.scene, circuit.field());
        let deal = |chunk: usize| {
            let range = settings.chunk_range(chunk);
            let masks = shamir::sum_of_masks(field, &keys, settings.suite, chunk as u64, range.len());
            let shares =
                shamir::share_powers(field, masks, circuit.majority().degree(), threshold, &points, (&own, chunk as u64));
            let header =
                with_elements(scene.chunk_header(FrameKind::Correction, frame.header.group, 0, &range), settings.encoding, field);
            let frame = |vectors: Vec<crate::evaluate::Block>| {
                header.frame(|bytes| pack_vectors(settings.encoding, field, &vectors, bytes))
            };
            shares.into_iter().map(frame).collect::<Vec<_>>()
        };
        let frames: Vec<Vec<Vec<u8>>> = (0..settings.chunks()).into_par_iter().map(deal).collect();
        let mut actions: Vec<Action> = set.users.iter().map(|&user| self.outbox.send(Party::User(user), bytes.into())).collect();
        for chunk in frames {
            actions.extend(set.users.iter().zip(chunk).map(|(&user, frame)| self.outbox.send(Party::User(user), frame.into())));
        }
        Ok(actions)
    }

    fn wrong_state(&self, kind: FrameKind) -> Fault {
        Fault::WrongState { kind, state: self.state().to_string() }
    }
}

/// Checks a set of survivors: signed, of these members, large enough.
pub(crate) fn check_survivors(
    set: &SurvivorSet,
    settings: &Settings,
    scene: &Scene,
    members: &[u16],
    aggregator_key: &[u8; 32],
) -> Result<(), Fault> {
    if !verifies(aggregator_key, &set.signed_bytes(scene.session, scene.round, scene.attempt), &set.signature) {
        return Err(Fault::BadSignature);
    }
    if set.users.iter().any(|user| members.binary_search(user).is_err()) {
        return Err(Fault::BadSurvivors("somebody in it is no member"));
    }
    if set.users.len() < usize::from(settings.min_survivors) {
        return Err(Fault::BadSurvivors("it has fewer users than were agreed"));
    }
    Ok(())
}

/// The place of a member; members are ascending.
pub(crate) fn position(members: &[u16], user: u16) -> usize {
    members.partition_point(|&member| member < user)
}

/// The coins of all coordinates, where a tie policy takes them; else ones.
pub(crate) fn coins(settings: &Settings, plan: &RoundPlan, session: SessionId, round: u32) -> Coins {
    let count = settings.coordinates as usize;
    if [settings.ties.inner, settings.ties.outer].contains(&Tie::Coin) {
        return Coins::tossed(plan.beacon.coins(session, round, count));
    }
    Coins::ones()
}

/// What the dealer prepares from its seeds for a group's plan.
pub(crate) struct Circuits {
    /// For the group itself.
    pub(crate) group: Option<Circuit>,
    /// For the vote of votes, where that is secret.
    pub(crate) outer: Option<Circuit>,
}

impl Circuits {
    pub(crate) fn new(settings: &Settings, plan: &RoundPlan) -> Result<Self, Fault> {
        let members = plan.members.len();
        let refused = |_| Fault::PlanDiffers("the number of members");
        match settings.protocol {
            Protocol::Survivors => Ok(Self { group: None, outer: None }),
            Protocol::Sealed => {
                let (group, outer) = settings.sealed_circuits(plan.users.into(), members).map_err(refused)?;
                Ok(Self { group: Some(group), outer: Some(outer) })
            }
            _ => Ok(Self { group: Some(settings.circuit(members).map_err(refused)?), outer: None }),
        }
    }
}

impl Machine for Dealer {
    fn handle(&mut self, event: Event<'_>) -> Result<Vec<Action>, Fault> {
        let Event::Frame { from, bytes } = event else { return Ok(Vec::new()) };
        let frame = Frame::parse(bytes)?;
        frame.check_sender(from)?;
        self.scene.check_session(&frame.header)?;
        if from != Party::Aggregator {
            return Err(Fault::NotAMember(from));
        }
        match frame.header.kind {
            FrameKind::RoundPlan => self.take_plan(&frame, bytes),
            FrameKind::Survivors => self.take_survivors(&frame, bytes),
            kind => Err(self.wrong_state(kind)),
        }
    }

    fn state(&self) -> StateName {
        if self.prepared.is_empty() { StateName::Idle } else { StateName::Provisioned }
    }
}
