//! The protocol that tolerates losses: who has sent its votes is counted, and any t answers give the result.

use super::tally::{Awaited, Exchange};
use super::{Aggregator, State};
use crate::dealer::shamir::lagrange_at_zero;
use crate::field::block::Accumulator;
use crate::machine::{Action, Reason};
use crate::scene::with_elements;
use crate::settings::Settings;
use crate::wire::{Fault, FrameKind, Party, SurvivorSet, pack_vectors};

impl Aggregator {
    /// Goes on if nobody is awaited any more.
    pub(super) fn advance_survivors(&mut self) -> Result<Vec<Action>, Fault> {
        let State::Voting(round) = &self.state else { return Ok(Vec::new()) };
        let tally = &round.tallies[0];
        if !(0..tally.chunks.len()).all(|chunk| tally.is_complete(chunk)) {
            return Ok(Vec::new());
        }
        match tally.chunks[0].awaited {
            Awaited::Opening(_) => self.close_survivors(),
            Awaited::Final => self.interpolate(),
            _ => Ok(Vec::new()),
        }
    }

    /// Those who are lost are not awaited any more.
    pub(super) fn lose_in_survivors(&mut self, lost: &[u16]) -> Result<Vec<Action>, Fault> {
        let State::Voting(round) = &mut self.state else { return Ok(Vec::new()) };
        let users = round.users.clone();
        let tally = &mut round.tallies[0];
        if tally.exchange == Exchange::Confirming {
            let left = tally.active().iter().filter(|user| tally.signatures.contains_key(user)).count();
            let survivors = tally.survivors.as_ref().map_or(0, Vec::len);
            if left < Settings::threshold(tally.members.len(), survivors) {
                return Ok(self.abort_round(&users, Reason::TooFewSurvivors, lost.first().copied()));
            }
            return self.end_confirmation(0);
        }
        match tally.chunks[0].awaited {
            Awaited::Opening(_) => {
                // Who has sent everything stays, even if it is gone by now: its votes are counted.
                let complete =
                    |user: &u16| tally.place(*user).is_some_and(|place| tally.chunks.iter().all(|chunk| chunk.received[place]));
                let stays = |user: &u16| complete(user) || !lost.contains(user);
                let active: Vec<u16> = tally.active().iter().copied().filter(stays).collect();
                tally.survivors = Some(active);
                self.advance_survivors()
            }
            Awaited::Final => self.interpolate(),
            _ => Ok(Vec::new()),
        }
    }

    /// Publishes who has sent its votes, and the sum of what they sent.
    fn close_survivors(&mut self) -> Result<Vec<Action>, Fault> {
        let settings = self.config.settings.clone();
        let State::Voting(round) = &mut self.state else { return Ok(Vec::new()) };
        let users = round.users.clone();
        let tally = &mut round.tallies[0];
        let survivors = tally.active().to_vec();
        let circuit = settings.survivors_circuit(tally.members.len(), survivors.len());
        let (true, Ok(circuit)) = (survivors.len() >= usize::from(settings.min_survivors), circuit) else {
            return Ok(self.abort_round(&users, Reason::TooFewSurvivors, None));
        };
        let field = circuit.field();
        tally.circuit = circuit;
        tally.survivors = Some(survivors.clone());
        let of = self.config.roster.len() as u16;
        let mut set = SurvivorSet { users: survivors.clone(), of, signature: [0; 64] };
        set.signature = self.config.identity.sign(&set.signed_bytes(self.scene.session, self.scene.round, self.scene.attempt));
        let mut frames = vec![self.scene.header(FrameKind::Survivors, 0, 0).frame(|bytes| set.write(bytes))];
        for chunk in 0..settings.chunks() {
            let range = settings.chunk_range(chunk);
            let mut sum = Accumulator::new(field, range.len());
            survivors.iter().filter_map(|&user| tally.place(user)).for_each(|place| sum.add(&tally.chunks[chunk].kept[place]));
            let mut difference = vec![0; range.len()];
            sum.finish(&mut difference);
            let header = with_elements(self.scene.chunk_header(FrameKind::OpenSum, 0, 1, &range), settings.encoding, field);
            frames.push(header.frame(|bytes| pack_vectors(settings.encoding, field, &[difference], bytes)));
            let next = if settings.options.confirm.is_on() { Awaited::Gate } else { Awaited::Final };
            tally.await_next(chunk, next);
        }
        if settings.options.confirm.is_on() {
            tally.exchange = Exchange::Confirming;
        }
        let mut actions = vec![self.outbox.send(Party::Dealer, frames[0].clone().into())];
        for frame in frames {
            actions.extend(self.broadcast(&survivors, frame));
        }
        actions.push(self.set_timer());
        Ok(actions)
    }

    /// The result from the first t shares; the others must be on the same polynomial.
    fn interpolate(&mut self) -> Result<Vec<Action>, Fault> {
        let settings = self.config.settings.clone();
        let State::Voting(round) = &mut self.state else { return Ok(Vec::new()) };
        let users = round.users.clone();
        let tally = &mut round.tallies[0];
        let field = tally.circuit.field();
        let complete: Vec<usize> =
            (0..tally.members.len()).filter(|&place| tally.chunks.iter().all(|chunk| chunk.received[place])).collect();
        let threshold = Settings::threshold(tally.members.len(), tally.circuit.majority().voters());
        if complete.len() < threshold {
            return Ok(self.abort_round(&users, Reason::TooFewSurvivors, None));
        }
        let points: Vec<u8> = complete.iter().map(|&place| place as u8 + 1).collect();
        let (first, rest) = points.split_at(threshold);
        let mut actions = Vec::new();
        for chunk in 0..settings.chunks() {
            let State::Voting(round) = &mut self.state else { return Ok(actions) };
            let kept = &round.tallies[0].chunks[chunk].kept;
            let length = settings.chunk_range(chunk).len();
            let combine = |weights: &[u8]| {
                let mut sum = Accumulator::new(field, length);
                weights.iter().zip(&complete).for_each(|(&weight, &place)| sum.add_scaled(weight, &kept[place]));
                let mut value = vec![0; length];
                sum.finish(&mut value);
                value
            };
            for (&point, &place) in rest.iter().zip(&complete[threshold..]) {
                // The polynomial at another point: the weights at 0 of the points moved by it.
                let moved: Vec<u8> = first.iter().map(|&at| field.subtract(at, point)).collect();
                if combine(&lagrange_at_zero(field, &moved)) != kept[place] {
                    return Ok(self.abort_round(&users, Reason::SharesDisagree, None));
                }
            }
            let elements = combine(&lagrange_at_zero(field, first));
            actions.extend(self.take_elements(0, chunk, &elements)?);
        }
        Ok(actions)
    }
}
