//! The result: of a group, and of the round; and what becomes of both when users are lost.

use super::round::residues;
use super::tally::{Exchange, Tally};
use super::{Aggregator, State};
use crate::machine::{self, Action, GroupStatus, Outcome, Reason};
use crate::scene::with_bits;
use crate::settings::Outer;
use crate::wire::{Fault, FrameKind, VoteCode, WHOLE_ROUND, write_mean};
use crate::{Protocol, Tie, plain};

impl Aggregator {
    /// The votes of a chunk from the sum of all shares.
    pub(super) fn decide_chunk(&mut self, at: usize, chunk: usize) -> Result<Vec<Action>, Fault> {
        let range = self.config.settings.chunk_range(chunk);
        let State::Voting(round) = &mut self.state else { return Ok(Vec::new()) };
        let elements = residues(&mut round.tallies[at].chunks[chunk].sums, range.len()).pop().unwrap_or_default();
        self.take_elements(at, chunk, &elements)
    }

    /// Reads a chunk's result as votes; one that is none kills the group.
    pub(super) fn take_elements(&mut self, at: usize, chunk: usize, elements: &[u8]) -> Result<Vec<Action>, Fault> {
        let settings = self.config.settings.clone();
        let State::Voting(round) = &mut self.state else { return Ok(Vec::new()) };
        let tally = &mut round.tallies[at];
        let majority = tally.circuit.majority();
        let votes: Option<Vec<i8>> = elements.iter().map(|&element| majority.decode(element)).collect();
        let Some(votes) = votes else {
            tally.die(Reason::OutputOutOfRange, Vec::new());
            let (members, group) = (tally.members.clone(), tally.group);
            let is_only = round.tallies.iter().all(Tally::is_decided);
            let mut actions = match is_only {
                true => Vec::new(),
                false => self.tell_abort(&members, group, Reason::GroupIncomplete, None),
            };
            actions.extend(self.publish_if_decided()?);
            return Ok(actions);
        };
        tally.votes[settings.chunk_range(chunk)].copy_from_slice(&votes);
        tally.await_next(chunk, super::tally::Awaited::Nothing);
        if tally.chunks.iter().any(|chunk| chunk.awaited != super::tally::Awaited::Nothing) {
            return Ok(vec![self.set_timer()]);
        }
        if !settings.options.mac.is_on() {
            tally.status = Some(GroupStatus::Decided);
            return self.publish_if_decided();
        }
        tally.exchange = Exchange::CheckResult;
        let members = tally.members.clone();
        let mut actions = self.send_group_votes(at, &members);
        actions.push(self.set_timer());
        Ok(actions)
    }

    /// A group's own vote, to its members.
    fn send_group_votes(&mut self, at: usize, to: &[u16]) -> Vec<Action> {
        let settings = self.config.settings.clone();
        let State::Voting(round) = &self.state else { return Vec::new() };
        let tally = &round.tallies[at];
        let code = VoteCode::new(tally.circuit.majority().reveals_ties());
        let frame = |chunk: usize| {
            let range = settings.chunk_range(chunk);
            let header = with_bits(self.scene.chunk_header(FrameKind::Vote, tally.group, tally.last_step(), &range));
            header.frame(|bytes| code.write(&tally.votes[range.clone()], bytes))
        };
        let frames: Vec<Vec<u8>> = (0..settings.chunks()).map(frame).collect();
        frames.into_iter().flat_map(|frame| self.broadcast(to, frame)).collect()
    }

    /// Publishes the result once every group has one or is dead.
    pub(super) fn publish_if_decided(&mut self) -> Result<Vec<Action>, Fault> {
        let settings = self.config.settings.clone();
        let State::Voting(round) = &self.state else { return Ok(Vec::new()) };
        if !round.tallies.iter().all(Tally::is_decided) {
            return Ok(vec![self.set_timer()]);
        }
        let users = round.users.clone();
        let voters: Vec<&Tally> = round.tallies.iter().filter(|tally| tally.has_result).collect();
        let alive: Vec<&Tally> = voters.iter().copied().filter(|tally| tally.status == Some(GroupStatus::Decided)).collect();
        let Some(first) = alive.first() else {
            let reason = match voters.first().and_then(|tally| tally.status.clone()) {
                Some(GroupStatus::Dead { reason, .. }) if voters.len() == 1 => reason,
                _ => Reason::NoGroupLeft,
            };
            return Ok(self.abort_round(&users, reason, None));
        };
        let mut survivors: Vec<u16> = alive.iter().flat_map(|tally| tally.active()).copied().collect();
        survivors.sort_unstable();
        let groups: Vec<GroupStatus> = voters.iter().filter_map(|tally| tally.status.clone()).collect();
        let of_groups: Vec<&[i8]> = alive.iter().map(|tally| tally.votes.as_slice()).collect();
        let counted = of_groups.len() as u16;
        let is_only = voters.len() == 1;
        let tally = match settings.outer {
            _ if is_only => machine::Tally::Vote(first.votes.clone()),
            Outer::Vote => machine::Tally::Vote(outer_vote(&of_groups, settings.ties.outer, &round.coins)),
            Outer::Mean => machine::Tally::Mean { sums: sums(&of_groups), groups: counted },
        };
        let mut actions = match (is_only, settings.options.mac.is_on()) {
            // The members have it, and have checked it.
            (true, true) => Vec::new(),
            (true, false) => {
                let at = round.tallies.len() - 1;
                let to = round.tallies[at].active().to_vec();
                self.send_group_votes(at, &to)
            }
            (false, _) => self.send_round_result(&users, &tally),
        };
        let outcome = Outcome { round: self.scene.round, attempt: self.scene.attempt, tally, survivors, groups };
        actions.push(Action::Done(Box::new(outcome)));
        self.state = State::Done;
        Ok(actions)
    }

    fn send_round_result(&mut self, users: &[u16], tally: &machine::Tally) -> Vec<Action> {
        let settings = self.config.settings.clone();
        let code = VoteCode::new(settings.ties.outer == Tie::Zero);
        let frame = |chunk: usize| {
            let range = settings.chunk_range(chunk);
            let header = |kind| with_bits(self.scene.chunk_header(kind, WHOLE_ROUND, 0, &range));
            match tally {
                machine::Tally::Vote(votes) => header(FrameKind::Vote).frame(|bytes| code.write(&votes[range.clone()], bytes)),
                machine::Tally::Mean { sums, groups } => {
                    header(FrameKind::Mean).frame(|bytes| write_mean(&sums[range.clone()], *groups, bytes))
                }
            }
        };
        let frames: Vec<Vec<u8>> = (0..settings.chunks()).map(frame).collect();
        frames.into_iter().flat_map(|frame| self.broadcast(users, frame)).collect()
    }

    /// Users are lost: they said so, or the deadline has passed for them.
    pub(super) fn lose(&mut self, lost: &[u16]) -> Result<Vec<Action>, Fault> {
        if lost.is_empty() {
            return Ok(vec![self.set_timer()]);
        }
        let settings = self.config.settings.clone();
        let State::Voting(round) = &self.state else { return Ok(Vec::new()) };
        let users = round.users.clone();
        if settings.protocol == Protocol::Survivors {
            return self.lose_in_survivors(lost);
        }
        let concerns = |tally: &Tally| !tally.is_decided() && tally.members.iter().any(|user| lost.contains(user));
        if !round.tallies.iter().any(concerns) {
            return Ok(Vec::new());
        }
        if settings.protocol == Protocol::Sealed {
            return Ok(self.abort_round(&users, Reason::GroupIncomplete, lost.first().copied()));
        }
        if round.tallies.len() == 1 {
            return self.restart_without(lost);
        }
        let places: Vec<usize> = (0..round.tallies.len()).filter(|&at| concerns(&round.tallies[at])).collect();
        self.end_groups(&places, lost)
    }

    /// All groups that are not done end, and what the others have voted is the result.
    pub(super) fn close_groups(&mut self) -> Result<Vec<Action>, Fault> {
        let State::Voting(round) = &self.state else { return Ok(Vec::new()) };
        let missing = round.missing();
        let places: Vec<usize> = (0..round.tallies.len()).filter(|&at| !round.tallies[at].is_decided()).collect();
        self.end_groups(&places, &missing)
    }

    fn end_groups(&mut self, places: &[usize], lost: &[u16]) -> Result<Vec<Action>, Fault> {
        let mut actions = Vec::new();
        for &at in places {
            let State::Voting(round) = &mut self.state else { return Ok(actions) };
            let tally = &mut round.tallies[at];
            let missing: Vec<u16> = tally.members.iter().copied().filter(|user| lost.contains(user)).collect();
            let (members, group, culprit) = (tally.members.clone(), tally.group, missing.first().copied());
            tally.die(Reason::GroupIncomplete, missing);
            actions.extend(self.tell_abort(&members, group, Reason::GroupIncomplete, culprit));
        }
        actions.extend(self.publish_if_decided()?);
        Ok(actions)
    }

    /// The flat vote again without the lost, if nobody can have sent a share of the result.
    fn restart_without(&mut self, lost: &[u16]) -> Result<Vec<Action>, Fault> {
        let State::Voting(round) = &self.state else { return Ok(Vec::new()) };
        let (users, beacon) = (round.users.clone(), round.beacon);
        let tally = &round.tallies[0];
        let rest: Vec<u16> = tally.members.iter().copied().filter(|user| !lost.contains(user)).collect();
        let settings = &self.config.settings;
        let enough = rest.len() >= usize::from(settings.min_survivors.max(settings.min_group));
        let may = self.config.restart.is_on() && self.scene.attempt == 0 && !tally.result_has_begun();
        if !may || !enough || settings.options.mac.is_on() && settings.check(rest.len()).is_err() {
            let reason = if may { Reason::TooFewSurvivors } else { Reason::DeadlinePassed };
            return Ok(self.abort_round(&users, reason, lost.first().copied()));
        }
        let gone: Vec<u16> = tally.members.iter().copied().filter(|user| lost.contains(user)).collect();
        let mut actions = self.tell_abort(&gone, 0, Reason::LeftOut, None);
        self.scene.attempt += 1;
        let started = self.start_attempt_of(&users, beacon, rest);
        actions.extend(started.map_err(|_| Fault::BadSurvivors("no vote of this many users"))?);
        Ok(actions)
    }
}

fn outer_vote(groups: &[&[i8]], tie: Tie, coins: &[i8]) -> Vec<i8> {
    // The groups agree about the number of coordinates, and there is at least one.
    plain::flat(groups.iter().copied(), tie, coins).unwrap_or_default()
}

fn sums(groups: &[&[i8]]) -> Vec<i8> {
    let mut sums = vec![0i8; groups.first().map_or(0, |votes| votes.len())];
    for votes in groups {
        sums.iter_mut().zip(*votes).for_each(|(sum, vote)| *sum += vote);
    }
    sums
}
