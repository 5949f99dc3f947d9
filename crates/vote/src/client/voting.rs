//! Openings: from the first masked value to the last sum, chunk by chunk.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::check::Check;
use super::ending::{Gate, Results};
use super::leg::Leg;
use super::{Ballot, Client, ClientConfig, State};
use crate::correlation::Explicit;
use crate::dealer::{Circuits, check_survivors, coins, position};
use crate::evaluate::{self, Block, Evaluation};
use crate::field::block;
use crate::grouping::{Beacon, Coins};
use crate::mac::MacField;
use crate::machine::{Action, StateName};
use crate::prg::Seed;
use crate::scene::{Scene, check_group, check_step, chunk_of, with_bits, with_elements};
use crate::settings::Settings;
use crate::wire::{
    Fault, Frame, FrameKind, Party, RoundPlan, SurvivorSet, pack_flags, pack_vectors, split_flags, unpack_vectors,
};
use crate::{Circuit, Protocol};

/// Where a chunk stands.
pub(super) struct Progress {
    /// The leg that is under way.
    pub(super) leg: usize,
    /// The level of it, from 1.
    pub(super) level: usize,
    pub(super) evaluation: Option<Evaluation>,
    pub(super) stage: Stage,
    /// The opened sums of the last leg, for codes.
    pub(super) opened: Vec<u8>,
    /// The masked signs of all members, for codes.
    pub(super) flags: Vec<Vec<i8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nothing was sent.
    Waiting,
    Flags,
    Open,
    /// All openings are done.
    Ready,
    /// The share of the result has left.
    Final,
}

/// What a user knows while it votes.
pub(super) struct Voting {
    pub(super) plan: RoundPlan,
    pub(super) group: u16,
    pub(super) ballot: Ballot,
    pub(super) users: Vec<u16>,
    pub(super) beacon: Option<Beacon>,
    pub(super) legs: Vec<Leg>,
    pub(super) chunks: Vec<Progress>,
    pub(super) coins: Coins,
    pub(super) mac: Option<MacField>,
    /// What all members should have seen, in the order of the signature: the plan, flags by chunk, sums by step and chunk.
    pub(super) transcript: BTreeMap<(u16, usize), Vec<u8>>,
    plan_frame: Vec<u8>,
    pub(super) gate: Gate,
    pub(super) check: Option<Box<Check>>,
    pub(super) survivors: Survivors,
    pub(super) results: Results,
    pub(super) next_plan: Option<Vec<u8>>,
    pub(super) early: Vec<Vec<u8>>,
    signs: crate::prg::StreamKey,
}

/// What a user knows of the survivors, in that protocol.
#[derive(Default)]
pub(super) struct Survivors {
    by_aggregator: Option<Vec<u8>>,
    by_dealer: Option<Vec<u8>>,
    pub(super) set: Option<SurvivorSet>,
    pub(super) circuit: Option<Circuit>,
    pub(super) shares: Explicit,
    corrected: Vec<bool>,
}

impl Voting {
    pub(super) fn new(
        config: &ClientConfig,
        scene: &Scene,
        seed: &Seed,
        (plan, group, plan_frame): (RoundPlan, u16, Vec<u8>),
        (ballot, users, beacon): (Ballot, Vec<u16>, Option<Beacon>),
    ) -> Result<Self, Fault> {
        let settings = &config.settings;
        let circuits = Circuits::new(settings, &plan)?;
        let context = (scene, settings, seed, config.user);
        let refused = |_| Fault::PlanDiffers("the number of members");
        let first = match circuits.group {
            Some(circuit) => circuit,
            None => settings.survivors_circuit(plan.members.len(), plan.members.len()).map_err(refused)?,
        };
        let mut legs = vec![Leg::new(first, (group, 1), &plan.members, context)];
        if settings.protocol == Protocol::Survivors {
            legs[0].without_holder();
        }
        if let Some(outer) = circuits.outer {
            legs.push(Leg::new(outer, (plan.groups, 2), &users, context));
        }
        let mac = settings.options.mac.is_on().then(|| MacField::of(legs[0].circuit.field())).transpose().map_err(refused)?;
        let coins = coins(settings, &plan, scene.session, scene.round);
        let signs = seed.derive(
            scene.session,
            crate::prg::Purpose::Signs,
            crate::prg::Context { round: scene.round, attempt: scene.attempt, group, user: config.user },
        );
        let progress =
            |_| Progress { leg: 0, level: 1, evaluation: None, stage: Stage::Waiting, opened: Vec::new(), flags: Vec::new() };
        Ok(Self {
            group,
            ballot,
            users,
            beacon,
            legs,
            chunks: (0..settings.chunks()).map(progress).collect(),
            coins,
            mac,
            transcript: BTreeMap::new(),
            plan_frame,
            gate: Gate::first(&settings.options),
            check: None,
            survivors: Survivors { corrected: vec![false; settings.chunks()], ..Survivors::default() },
            results: Results::new(settings),
            next_plan: None,
            early: Vec::new(),
            signs,
            plan,
        })
    }

    pub(super) fn state(&self) -> StateName {
        let all = |stage: Stage| self.chunks.iter().all(|chunk| chunk.stage == stage);
        match () {
            () if matches!(self.gate, Gate::Confirming(_)) => StateName::Confirming,
            () if self.check.is_some() => StateName::Checking,
            () if all(Stage::Final) => StateName::Final,
            () if all(Stage::Waiting) => StateName::Planned,
            () if self.chunks.iter().any(|chunk| chunk.stage == Stage::Flags) => StateName::Flagging,
            () if all(Stage::Ready) => StateName::Surviving,
            () => StateName::Opening,
        }
    }

    /// The digest of what this user saw.
    pub(super) fn transcript_digest(&self) -> [u8; 32] {
        let start = Sha256::new_with_prefix(b"thalweg-vote transcript v1").chain_update(&self.plan_frame);
        self.transcript.values().fold(start, Sha256::chain_update).finalize().into()
    }

    pub(super) fn leg_of(&self, chunk: usize) -> &Leg {
        &self.legs[self.chunks[chunk].leg]
    }

    /// The step of the wire at which a chunk stands.
    fn step_of(&self, chunk: usize) -> u16 {
        self.leg_of(chunk).first_step + self.chunks[chunk].level as u16 - 1
    }

    /// The votes of a chunk as this user's share of their sum.
    fn input(&self, settings: &Settings, chunk: usize) -> Block {
        let votes = &self.ballot.votes[settings.chunk_range(chunk)];
        let mut elements = Block::new(vec![0; votes.len()]);
        block::from_votes(self.legs[0].circuit.field(), votes, &mut elements);
        elements
    }

    /// The votes of a chunk under the user's sign mask.
    fn masked_signs(&self, settings: &Settings, user: u16, chunk: usize) -> Vec<i8> {
        let votes = &self.ballot.votes[settings.chunk_range(chunk)];
        let slot = crate::correlation::SIGN_MASKS + position(&self.plan.members, user) as u32;
        let mut masked = vec![0; votes.len()];
        self.signs.expand_signs(settings.suite, slot, chunk as u64, &mut masked);
        for (mask, vote) in masked.iter_mut().zip(votes) {
            *mask *= vote;
        }
        masked
    }

    /// Begins a chunk with a share of the argument, and opens the first level.
    fn begin_chunk(&mut self, scene: &Scene, settings: &Settings, chunk: usize, input: Block) -> Result<Option<Vec<u8>>, Fault> {
        let leg = &self.legs[self.chunks[chunk].leg];
        let evaluation = Evaluation::new(&leg.circuit, leg.part, chunk as u64, input);
        self.chunks[chunk].evaluation = Some(evaluation);
        self.open(scene, settings, chunk)
    }

    /// The opening of a chunk's level; none if there is nothing to open.
    fn open(&mut self, scene: &Scene, settings: &Settings, chunk: usize) -> Result<Option<Vec<u8>>, Fault> {
        let step = self.step_of(chunk);
        let leg = &self.legs[self.chunks[chunk].leg];
        let progress = &mut self.chunks[chunk];
        if progress.level > leg.circuit.levels() {
            progress.stage = Stage::Ready;
            return Ok(None);
        }
        progress.stage = Stage::Open;
        let Some(evaluation) = &mut progress.evaluation else { return Ok(None) };
        let vectors = evaluation.open(&leg.circuit, progress.level, &leg.source)?;
        let range = settings.chunk_range(chunk);
        let header =
            with_elements(scene.chunk_header(FrameKind::Open, leg.group, step, &range), settings.encoding, leg.circuit.field());
        Ok(Some(header.frame(|bytes| pack_vectors(settings.encoding, leg.circuit.field(), &vectors, bytes))))
    }

    /// Takes the sums of a chunk's level; gives the next opening, if there is one.
    fn absorb(&mut self, scene: &Scene, settings: &Settings, chunk: usize, sums: Vec<Vec<u8>>) -> Result<Option<Vec<u8>>, Fault> {
        let leg = &self.legs[self.chunks[chunk].leg];
        let progress = &mut self.chunks[chunk];
        if self.mac.is_some() {
            progress.opened = sums.first().cloned().unwrap_or_default();
        }
        if leg.circuit.protocol() == Protocol::Sealed {
            let difference = sums.first().map(Vec::as_slice).unwrap_or_default();
            let share = evaluate::open_table(leg.circuit.field(), difference, chunk as u64, &leg.source)?;
            (progress.leg, progress.level) = (progress.leg + 1, 1);
            return self.begin_chunk(scene, settings, chunk, share);
        }
        if let Some(evaluation) = &mut progress.evaluation {
            evaluation.absorb(&leg.circuit, progress.level, sums, &leg.source)?;
        }
        progress.level += 1;
        self.open(scene, settings, chunk)
    }
}

impl Client {
    pub(super) fn take_correction(&mut self, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        let settings = &self.config.settings;
        let most = settings.chunks() * 2;
        match &mut self.state {
            State::Planning(planning) => {
                self.scene.check(&frame.header)?;
                planning.keep_early(bytes, frame.header.kind, most)?;
                Ok(Vec::new())
            }
            State::Voting(voting) if frame.header.attempt == self.scene.attempt + 1 && voting.next_plan.is_some() => {
                if voting.early.len() >= most {
                    return Err(Fault::Duplicate(FrameKind::Correction));
                }
                voting.early.push(bytes.to_vec());
                Ok(Vec::new())
            }
            State::Voting(voting) => {
                self.scene.check(&frame.header)?;
                if settings.protocol == Protocol::Survivors {
                    return self.take_shamir_shares(frame);
                }
                if voting.chunks.iter().any(|chunk| chunk.stage != Stage::Waiting) {
                    return Err(self.wrong_state(frame.header.kind));
                }
                let leg = voting.legs.iter_mut().find(|leg| leg.group == frame.header.group);
                let leg = leg.ok_or(Fault::WrongGroup(frame.header.group))?;
                leg.correct(frame, settings, voting.mac.as_ref())?;
                self.start_if_ready()
            }
            State::Abstained(_) => Ok(Vec::new()),
            _ => Err(self.wrong_state(frame.header.kind)),
        }
    }

    /// Sends the first frames of every chunk once all corrections are there.
    pub(super) fn start_if_ready(&mut self) -> Result<Vec<Action>, Fault> {
        let State::Voting(voting) = &mut self.state else { return Ok(Vec::new()) };
        let settings = &self.config.settings;
        if !voting.legs.iter().all(Leg::is_ready) || voting.chunks.iter().any(|chunk| chunk.stage != Stage::Waiting) {
            return Ok(Vec::new());
        }
        let mut frames = Vec::new();
        for chunk in 0..settings.chunks() {
            if settings.options.sign_mask.is_on() {
                let range = settings.chunk_range(chunk);
                let header = with_bits(self.scene.chunk_header(FrameKind::SignFlags, voting.group, 0, &range));
                let flags = voting.masked_signs(settings, self.config.user, chunk);
                frames.push(header.frame(|bytes| pack_flags(&flags, bytes)));
                voting.chunks[chunk].flags = vec![flags];
                voting.chunks[chunk].stage = Stage::Flags;
            } else {
                let input = voting.input(settings, chunk);
                frames.extend(voting.begin_chunk(&self.scene, settings, chunk, input)?);
            }
        }
        let mut actions = self.send_all(frames);
        actions.extend(self.finish_if_ready()?);
        Ok(actions)
    }

    pub(super) fn send_all(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Action> {
        frames.into_iter().map(|frame| self.outbox.send(Party::Aggregator, frame.into())).collect()
    }

    pub(super) fn take_flags(&mut self, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        let settings = &self.config.settings;
        let State::Voting(voting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        check_group(&frame.header, voting.group)?;
        check_step(&frame.header, 0)?;
        let chunk = chunk_of(settings, frame)?;
        if voting.chunks[chunk].stage != Stage::Flags {
            return Err(Fault::Duplicate(FrameKind::SignFlagsAll));
        }
        let flags = split_flags(frame, voting.plan.members.len())?;
        let own = position(&voting.plan.members, self.config.user);
        if voting.chunks[chunk].flags.first() != flags.get(own) {
            return Err(Fault::BadPayload { what: "this user's own masked sign", found: "changed".into() });
        }
        if settings.options.confirm.is_on() {
            voting.transcript.insert((0, chunk), bytes.to_vec());
        }
        let leg = &voting.legs[0];
        let input = evaluate::unmask(leg.circuit.field(), &flags, chunk as u64, &leg.source)?;
        voting.chunks[chunk].flags = flags;
        let opening = voting.begin_chunk(&self.scene, settings, chunk, input)?;
        Ok(self.send_all(opening))
    }

    pub(super) fn take_sums(&mut self, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        let settings = &self.config.settings;
        let State::Voting(voting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        let chunk = chunk_of(settings, frame)?;
        if voting.chunks[chunk].stage != Stage::Open {
            return Err(Fault::Duplicate(FrameKind::OpenSum));
        }
        if settings.protocol == Protocol::Survivors && voting.survivors.set.is_none() {
            return Err(self.wrong_state(frame.header.kind));
        }
        let leg = voting.leg_of(chunk);
        check_group(&frame.header, leg.group)?;
        check_step(&frame.header, voting.step_of(chunk))?;
        let openings = leg.circuit.openings(voting.chunks[chunk].level);
        let sums = unpack_vectors(frame, settings.encoding, leg.circuit.field(), openings)?;
        if settings.options.confirm.is_on() {
            voting.transcript.insert((frame.header.step, chunk), bytes.to_vec());
        }
        let opening = voting.absorb(&self.scene, settings, chunk, sums)?;
        let mut actions = self.send_all(opening);
        actions.push(self.set_timer());
        actions.extend(self.finish_if_ready()?);
        Ok(actions)
    }

    /// The survivors, from the aggregator and again from the dealer.
    pub(super) fn take_survivors(&mut self, frame: &Frame<'_>, bytes: &[u8], from: Party) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        let settings = &self.config.settings;
        let State::Voting(voting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        if settings.protocol != Protocol::Survivors {
            return Err(self.wrong_state(frame.header.kind));
        }
        check_group(&frame.header, voting.group)?;
        let survivors = &mut voting.survivors;
        let (place, other) = match from {
            Party::Dealer => (&mut survivors.by_dealer, &survivors.by_aggregator),
            _ => (&mut survivors.by_aggregator, &survivors.by_dealer),
        };
        if place.is_some() || other.as_ref().is_some_and(|other| other != bytes) {
            return Err(Fault::SecondSurvivorSet);
        }
        *place = Some(bytes.to_vec());
        if survivors.set.is_some() {
            return Ok(Vec::new());
        }
        let set = SurvivorSet::read(frame)?;
        check_survivors(&set, settings, &self.scene, &voting.plan.members, &self.config.aggregator_key)?;
        if set.users.binary_search(&self.config.user).is_err() {
            return Err(Fault::BadSurvivors("this user is not in it, though it has sent its votes"));
        }
        let circuit = settings.survivors_circuit(voting.plan.members.len(), set.users.len());
        survivors.circuit = Some(circuit.map_err(|_| Fault::BadSurvivors("too few"))?);
        survivors.set = Some(set);
        Ok(vec![self.set_timer()])
    }

    /// This user's shares of the powers of the survivors' mask.
    fn take_shamir_shares(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        let settings = &self.config.settings;
        let State::Voting(voting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        let survivors = &mut voting.survivors;
        let Some(circuit) = survivors.circuit.as_ref().filter(|_| survivors.by_dealer.is_some()) else {
            return Err(self.wrong_state(frame.header.kind));
        };
        check_group(&frame.header, voting.group)?;
        let chunk = chunk_of(settings, frame)?;
        if std::mem::replace(&mut survivors.corrected[chunk], true) {
            return Err(Fault::Duplicate(FrameKind::Correction));
        }
        let vectors = unpack_vectors(frame, settings.encoding, circuit.field(), circuit.majority().degree())?;
        for (slot, vector) in (0..).zip(vectors) {
            survivors.shares.insert(slot, chunk as u64, vector);
        }
        self.finish_if_ready()
    }
}

impl Survivors {
    /// Whether a chunk has its shares, and aggregator and dealer agree on who is left.
    pub(super) fn is_ready(&self, chunk: usize) -> bool {
        self.corrected[chunk] && self.by_aggregator.is_some() && self.by_dealer.is_some()
    }
}
