//! A round under way: plans, openings, and what happens when a user is lost.

use super::tally::{Awaited, Exchange, Tally};
use super::{Aggregator, State};
use crate::dealer::Circuits;
use crate::field::block::Accumulator;
use crate::grouping::{self, Beacon};
use crate::mac::MacField;
use crate::machine::{Action, GroupStatus, Reason, StateName};
use crate::scene::{check_group, check_step, chunk_of, with_bits, with_elements};
use crate::wire::{
    ConfirmAll, Fault, Frame, FrameKind, MacOpening, Party, RoundPlan, pack_flags, pack_vectors, split_flags, unpack_vectors,
};
use crate::{Protocol, Result, Tie};

/// The groups of a round.
pub(super) struct Round {
    pub(super) users: Vec<u16>,
    pub(super) beacon: Beacon,
    /// In order; in the sealed protocol the last one is that of all users.
    pub(super) tallies: Vec<Tally>,
    pub(super) coins: Vec<i8>,
}

impl Round {
    /// Who has not sent what is awaited; in the sealed protocol of all users only once all groups are done.
    pub(super) fn missing(&self) -> Vec<u16> {
        let mut missing: Vec<u16> = Vec::new();
        for tally in &self.tallies {
            if tally.has_result && !missing.is_empty() && tally.first_step > 1 {
                break;
            }
            missing.extend(tally.missing());
        }
        missing.sort_unstable();
        missing.dedup();
        missing
    }

    /// Whether there are several groups that vote each for itself.
    pub(super) fn has_visible_groups(&self) -> bool {
        self.tallies.len() > 1 && self.tallies.iter().all(|tally| tally.has_result)
    }

    pub(super) fn state(&self) -> StateName {
        let open = || self.tallies.iter().filter(|tally| !tally.is_decided());
        let awaited = open().flat_map(|tally| tally.chunks.iter().map(|chunk| chunk.awaited)).min();
        match (open().map(|tally| tally.exchange).find(|&exchange| exchange != Exchange::None), awaited) {
            (Some(Exchange::Confirming), _) => StateName::Confirming,
            (Some(_), _) => StateName::Checking,
            (None, Some(Awaited::Flags)) => StateName::Flagging,
            (None, Some(Awaited::Final | Awaited::Nothing) | None) => StateName::Final,
            (None, Some(_)) => StateName::Opening,
        }
    }
}

impl Aggregator {
    /// Sends the plans of a round.
    pub(super) fn start_round(&mut self, users: Vec<u16>, beacon: Beacon) -> Result<Vec<Action>> {
        let groups = self.config.settings.group_sizes(users.len()).len();
        let groups = match groups {
            1 => vec![users.clone()],
            _ => {
                let drawn_in = self.config.settings.regroup.drawn_in(self.scene.round);
                let drawn = grouping::draw(&beacon, self.config.session, drawn_in, users.len(), groups)?;
                let of_place = |place: u16| users[usize::from(place)];
                drawn.into_iter().map(|group| group.into_iter().map(of_place).collect()).collect()
            }
        };
        self.start_attempt(&users, beacon, groups)
    }

    /// A second attempt: the flat vote of the rest.
    pub(super) fn start_attempt_of(&mut self, users: &[u16], beacon: Beacon, rest: Vec<u16>) -> Result<Vec<Action>> {
        self.start_attempt(users, beacon, vec![rest])
    }

    fn start_attempt(&mut self, users: &[u16], beacon: Beacon, groups: Vec<Vec<u16>>) -> Result<Vec<Action>> {
        let settings = self.config.settings.clone();
        self.seen.clear();
        let (mut tallies, mut actions) = (Vec::new(), Vec::new());
        let mut everyone = None;
        let group_count = groups.len() as u16;
        for (group, members) in (0..).zip(groups) {
            let plan = RoundPlan {
                settings: settings.clone(),
                users: users.len() as u16,
                groups: group_count,
                members: members.clone(),
                beacon,
                roster: self.config.roster.digest(),
            };
            let circuits =
                Circuits::new(&settings, &plan).map_err(|fault| crate::Error::unsuitable("the round", fault.to_string()))?;
            let frame: Vec<u8> = plan.frame(self.scene.header(FrameKind::RoundPlan, group, 0));
            actions.push(self.outbox.send(Party::Dealer, frame.clone().into()));
            actions.extend(self.broadcast(&members, frame));
            let circuit = match circuits.group {
                Some(circuit) => circuit,
                None => settings.survivors_circuit(members.len(), members.len())?,
            };
            let mut tally = Tally::new(&settings, circuit, group, members);
            tally.has_result = circuits.outer.is_none();
            everyone = everyone.or(circuits.outer);
            tallies.push(tally);
        }
        if let Some(outer) = everyone {
            tallies.push(Tally { first_step: 2, ..Tally::new(&settings, outer, group_count, users.to_vec()) });
        }
        let count = settings.coordinates as usize;
        let coins = match settings.ties.outer {
            Tie::Coin => beacon.coins(self.config.session, self.scene.round, count),
            // Nobody tosses one.
            _ => Vec::new(),
        };
        self.state = State::Voting(Box::new(Round { users: users.to_vec(), beacon, tallies, coins }));
        actions.push(self.set_timer());
        Ok(actions)
    }

    /// Masked signs, openings and shares of the result: added up, and passed on once the last one is there.
    pub(super) fn take_vectors(&mut self, user: u16, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        let settings = self.config.settings.clone();
        let State::Voting(round) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        let header = &frame.header;
        let at = round.tallies.iter().position(|tally| tally.group == header.group).ok_or(Fault::WrongGroup(header.group))?;
        let tally = &mut round.tallies[at];
        let place = tally.place(user).ok_or(Fault::NotAMember(Party::User(user)))?;
        let chunk = chunk_of(&settings, frame)?;
        if tally.is_decided() || !tally.active().contains(&user) {
            return Err(Fault::Ended("the group's part in the round".into()));
        }
        let awaited = tally.chunks[chunk].awaited;
        let (step, vectors) = match (awaited, header.kind) {
            (Awaited::Flags, FrameKind::SignFlags) => (0, 0),
            (Awaited::Opening(level), FrameKind::Open) => (tally.first_step + level as u16 - 1, tally.circuit.openings(level)),
            (Awaited::Final, FrameKind::Final) => (tally.last_step(), 1),
            _ => return Err(self.wrong_state(header.kind)),
        };
        check_step(header, step)?;
        if tally.chunks[chunk].received[place] {
            return Err(Fault::Duplicate(header.kind));
        }
        if awaited == Awaited::Flags {
            let mut flags = split_flags(frame, 1)?;
            tally.chunks[chunk].flags[place] = flags.pop().unwrap_or_default();
        } else {
            let field = tally.circuit.field();
            let mut vectors = unpack_vectors(frame, settings.encoding, field, vectors)?;
            let length = header.length as usize;
            let chunk = &mut tally.chunks[chunk];
            if settings.protocol == Protocol::Survivors {
                chunk.kept[place] = vectors.pop().unwrap_or_default();
            } else {
                chunk.sums.resize_with(vectors.len(), || Accumulator::new(field, length));
                chunk.sums.iter_mut().zip(&vectors).for_each(|(sum, vector)| sum.add(vector));
            }
        }
        tally.chunks[chunk].received[place] = true;
        if settings.protocol == Protocol::Survivors {
            return self.advance_survivors();
        }
        if tally.is_complete(chunk) { self.advance(at, chunk) } else { Ok(Vec::new()) }
    }

    /// All members have sent what was awaited of a chunk.
    fn advance(&mut self, at: usize, chunk: usize) -> Result<Vec<Action>, Fault> {
        let settings = self.config.settings.clone();
        let State::Voting(round) = &mut self.state else { return Ok(Vec::new()) };
        let tally = &mut round.tallies[at];
        let range = settings.chunk_range(chunk);
        let members = tally.members.clone();
        let frame = match tally.chunks[chunk].awaited {
            Awaited::Flags => {
                let header = with_bits(self.scene.chunk_header(FrameKind::SignFlagsAll, tally.group, 0, &range));
                let flags = std::mem::take(&mut tally.chunks[chunk].flags);
                tally.await_next(chunk, Awaited::Opening(1));
                header.frame(|bytes| flags.iter().for_each(|flags| pack_flags(flags, bytes)))
            }
            Awaited::Opening(level) => {
                let field = tally.circuit.field();
                let step = tally.first_step + level as u16 - 1;
                let header = self.scene.chunk_header(FrameKind::OpenSum, tally.group, step, &range);
                let sums = residues(&mut tally.chunks[chunk].sums, range.len());
                let next =
                    if level < tally.circuit.levels() { Awaited::Opening(level + 1) } else { tally.after_openings(&settings) };
                tally.await_next(chunk, next);
                if tally.is_opened() && !tally.has_result {
                    tally.status = Some(GroupStatus::Decided);
                }
                if next == Awaited::Gate && tally.is_opened() {
                    let confirm = settings.options.confirm.is_on();
                    tally.exchange = if confirm { Exchange::Confirming } else { Exchange::CheckOpenings };
                }
                let header = with_elements(header, settings.encoding, field);
                header.frame(|bytes| pack_vectors(settings.encoding, field, &sums, bytes))
            }
            Awaited::Final => return self.decide_chunk(at, chunk),
            Awaited::Gate | Awaited::Nothing => return Ok(Vec::new()),
        };
        let mut actions = self.broadcast(&members, frame);
        actions.push(self.set_timer());
        Ok(actions)
    }

    /// A signature of the transcript; with the last one, all go to all.
    pub(super) fn take_confirmation(&mut self, user: u16, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        let State::Voting(round) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        let tally = round.tallies.iter_mut().find(|tally| tally.group == frame.header.group);
        let tally = tally.ok_or(Fault::WrongGroup(frame.header.group))?;
        if tally.is_decided() || tally.exchange != Exchange::Confirming || !tally.active().contains(&user) {
            return Err(self.wrong_state(frame.header.kind));
        }
        check_step(&frame.header, tally.last_step())?;
        frame.check_length(96)?;
        let mut signature = [0; 64];
        signature.copy_from_slice(&frame.payload[32..]);
        if !self.config.roster.verifies(user, &frame.payload[..32], &signature) {
            return Err(Fault::ConfirmationMismatch(user));
        }
        tally.signatures.insert(user, signature);
        if tally.signatures.len() == tally.active().len() { self.end_confirmation(frame.header.group) } else { Ok(Vec::new()) }
    }

    /// The signatures that there are go to all whose signature is there.
    pub(super) fn end_confirmation(&mut self, group: u16) -> Result<Vec<Action>, Fault> {
        let mac = self.config.settings.options.mac.is_on();
        let State::Voting(round) = &mut self.state else { return Ok(Vec::new()) };
        let Some(tally) = round.tallies.iter_mut().find(|tally| tally.group == group) else { return Ok(Vec::new()) };
        let list = ConfirmAll(tally.signatures.iter().map(|(&user, &signature)| (user, signature)).collect());
        let signers: Vec<u16> = tally.signatures.keys().copied().collect();
        tally.exchange = if mac { Exchange::CheckOpenings } else { Exchange::None };
        if !mac {
            (0..tally.chunks.len()).for_each(|chunk| tally.await_next(chunk, Awaited::Final));
        }
        if tally.survivors.is_some() {
            tally.survivors = Some(signers.clone());
        }
        let frame = self.scene.header(FrameKind::ConfirmAll, group, tally.last_step()).frame(|bytes| list.write(bytes));
        let mut actions = self.broadcast(&signers, frame);
        actions.push(self.set_timer());
        Ok(actions)
    }

    /// Passes a part of the check of codes on to the other members.
    pub(super) fn relay_check(&mut self, user: u16, frame: &Frame<'_>, bytes: &[u8]) -> Result<Vec<Action>, Fault> {
        let State::Voting(round) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        let header = &frame.header;
        let at = round.tallies.iter().position(|tally| tally.group == header.group).ok_or(Fault::WrongGroup(header.group))?;
        let tally = &mut round.tallies[at];
        let step = match tally.exchange {
            Exchange::CheckOpenings => tally.last_step() - 1,
            Exchange::CheckResult => tally.last_step(),
            _ => return Err(self.wrong_state(header.kind)),
        };
        check_group(header, tally.group)?;
        check_step(header, step)?;
        tally.place(user).ok_or(Fault::NotAMember(Party::User(user)))?;
        let field = MacField::of(tally.circuit.field()).map_err(|_| Fault::PlanDiffers("mac"))?;
        if header.kind == FrameKind::MacOpen && header.offset == 1 {
            let opening = MacOpening::read(frame, field.degree(), field.base().order())?;
            tally.sigmas.insert(user, opening.elements);
        } else {
            frame.check_length(32)?;
        }
        let others: Vec<u16> = tally.members.iter().copied().filter(|&member| member != user).collect();
        let is_over = tally.sigmas.len() == tally.members.len();
        let mut actions = self.broadcast(&others, bytes.to_vec());
        actions.push(self.set_timer());
        if is_over {
            actions.extend(self.end_check(at, &field)?);
        }
        Ok(actions)
    }

    fn end_check(&mut self, at: usize, field: &MacField) -> Result<Vec<Action>, Fault> {
        let State::Voting(round) = &mut self.state else { return Ok(Vec::new()) };
        let tally = &mut round.tallies[at];
        let mut sum = vec![0; field.degree()];
        for sigma in std::mem::take(&mut tally.sigmas).values() {
            crate::field::block::add_assign(field.base(), &mut sum, sigma);
        }
        if sum.iter().any(|&component| component != 0) {
            tally.die(Reason::SharesDisagree, Vec::new());
        } else if tally.exchange == Exchange::CheckResult {
            tally.status = Some(GroupStatus::Decided);
        } else {
            (0..tally.chunks.len()).for_each(|chunk| tally.await_next(chunk, Awaited::Final));
        }
        tally.exchange = Exchange::None;
        self.publish_if_decided()
    }
}

/// The residues of sums.
pub(super) fn residues(sums: &mut [Accumulator], length: usize) -> Vec<Vec<u8>> {
    let residue = |sum: &mut Accumulator| {
        let mut residue = vec![0; length];
        sum.finish(&mut residue);
        residue
    };
    sums.iter_mut().map(residue).collect()
}
