//! From the last opening to the result: signatures, shares of the result, and the result itself.

use super::check::Check;
use super::voting::{Stage, Voting};
use super::{Client, State};
use crate::machine::{Action, Outcome, Tally};
use crate::scene::{check_group, check_step, chunk_of, with_elements};
use crate::settings::{Options, Outer, Settings};
use crate::wire::{self, ConfirmAll, Fault, Frame, FrameKind, Party, VoteCode, WHOLE_ROUND, pack_vectors};
use crate::{Circuit, Protocol};

/// What stands between the openings and the shares of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// The user signs what it saw once all is opened.
    BeforeConfirm,
    /// It waits for the others' signatures of the same digest.
    Confirming([u8; 32]),
    /// The codes of all openings are checked first.
    BeforeCheck,
    /// That is under way.
    Checking,
    /// Nothing.
    Open,
}

impl Gate {
    pub(super) const fn first(options: &Options) -> Self {
        if options.confirm.is_on() { Self::BeforeConfirm } else { Self::after_confirm(options) }
    }

    const fn after_confirm(options: &Options) -> Self {
        if options.mac.is_on() { Self::BeforeCheck } else { Self::Open }
    }
}

/// The result as it comes in, chunk by chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    pub(super) votes: Vec<i8>,
    received: Vec<bool>,
    /// For a mean, the groups that were counted.
    groups: Option<u16>,
    /// Whether the result of the whole round is awaited, after the group's was checked.
    pub(super) whole_round: bool,
}

impl Results {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            votes: vec![0; settings.coordinates as usize],
            received: vec![false; settings.chunks()],
            groups: None,
            whole_round: false,
        }
    }

    fn is_complete(&self) -> bool {
        self.received.iter().all(|&received| received)
    }

    /// Takes a chunk of the result.
    fn take(&mut self, settings: &Settings, frame: &Frame<'_>, code: VoteCode) -> Result<(), Fault> {
        let chunk = chunk_of(settings, frame)?;
        if std::mem::replace(&mut self.received[chunk], true) {
            return Err(Fault::Duplicate(frame.header.kind));
        }
        let votes = match settings.outer {
            Outer::Mean if frame.header.group == WHOLE_ROUND => {
                let (groups, sums) = wire::read_mean(frame)?;
                if self.groups.replace(groups).is_some_and(|known| known != groups) {
                    return Err(Fault::BadPayload { what: "the number of groups", found: groups.to_string() });
                }
                sums
            }
            _ => code.read(frame)?,
        };
        self.votes[settings.chunk_range(chunk)].copy_from_slice(&votes);
        Ok(())
    }

    fn tally(self) -> Tally {
        match self.groups {
            Some(groups) => Tally::Mean { sums: self.votes, groups },
            None => Tally::Vote(self.votes),
        }
    }
}

impl Voting {
    /// The circuit whose shares are final, the group of its frames, and their step.
    fn last_circuit(&self) -> (&Circuit, u16, u16) {
        let leg = &self.legs[self.legs.len() - 1];
        let circuit = self.survivors.circuit.as_ref().unwrap_or(&leg.circuit);
        (circuit, leg.group, leg.first_step + circuit.levels() as u16)
    }

    /// The share of a chunk's result.
    fn final_share(&mut self, settings: &Settings, chunk: usize) -> Result<Option<crate::evaluate::Block>, Fault> {
        let Some(evaluation) = self.chunks[chunk].evaluation.take() else { return Ok(None) };
        let coins = self.coins.of(settings.chunk_range(chunk));
        let leg = &self.legs[self.legs.len() - 1];
        let share = match &self.survivors.circuit {
            Some(circuit) => evaluation.finish(circuit, &coins, &self.survivors.shares)?,
            None => evaluation.finish(&leg.circuit, &coins, &leg.source)?,
        };
        self.chunks[chunk].stage = Stage::Final;
        Ok(Some(share))
    }

    /// Whether the group's result has come.
    pub(super) fn is_result_known(&self) -> bool {
        self.results.is_complete()
    }

    /// Whether the result comes by the group's frames, and not by those of the whole round.
    fn is_group_result(&self, settings: &Settings) -> bool {
        let is_only = self.plan.groups == 1 || settings.protocol == Protocol::Sealed;
        is_only || (settings.options.mac.is_on() && !self.results.whole_round)
    }
}

impl Client {
    /// Goes through the gate, if all is opened, and sends what may be sent.
    pub(super) fn finish_if_ready(&mut self) -> Result<Vec<Action>, Fault> {
        let settings = self.config.settings.clone();
        let State::Voting(voting) = &mut self.state else { return Ok(Vec::new()) };
        let is_opened = voting.chunks.iter().all(|chunk| chunk.stage == Stage::Ready);
        match voting.gate {
            Gate::BeforeConfirm if is_opened => {
                let digest = voting.transcript_digest();
                voting.gate = Gate::Confirming(digest);
                let (_, group, step) = voting.last_circuit();
                let signature = self.config.identity.sign(&digest);
                let header = self.scene.header(FrameKind::Confirm, group, step);
                let frame = header.frame(|bytes| bytes.extend([&digest[..], &signature].concat()));
                Ok(self.send_all([frame]))
            }
            Gate::BeforeCheck if is_opened => self.start_check(),
            // Not before all chunks are opened: until then a vote that loses a user can start again.
            Gate::Open if voting.chunks.iter().all(|chunk| chunk.stage >= Stage::Ready) => {
                let mut frames = Vec::new();
                for chunk in 0..settings.chunks() {
                    let waits = settings.protocol == Protocol::Survivors && !voting.survivors.is_ready(chunk);
                    if waits || voting.chunks[chunk].stage != Stage::Ready {
                        continue;
                    }
                    let Some(share) = voting.final_share(&settings, chunk)? else { continue };
                    voting.ballot.final_sent = true;
                    let (circuit, group, step) = voting.last_circuit();
                    let header = self.scene.chunk_header(FrameKind::Final, group, step, &settings.chunk_range(chunk));
                    let field = circuit.field();
                    let header = with_elements(header, settings.encoding, field);
                    frames.push(header.frame(|bytes| pack_vectors(settings.encoding, field, &[share], bytes)));
                }
                Ok(self.send_all(frames))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Starts a check of codes: of the openings, or of the result once it is known.
    pub(super) fn start_check(&mut self) -> Result<Vec<Action>, Fault> {
        let own = self.own_key(self.scene.attempt);
        let State::Voting(voting) = &mut self.state else { return Ok(Vec::new()) };
        voting.gate = Gate::Checking;
        let (_, group, step) = voting.last_circuit();
        let step = if voting.is_result_known() { step } else { step - 1 };
        let check = Check::new(self.config.user, (group, step), &voting.plan.members, &own);
        let frame = check.commit_to_coin(&self.scene);
        voting.check = Some(Box::new(check));
        let mut actions = self.send_all([frame]);
        actions.push(self.set_timer());
        Ok(actions)
    }

    /// The signatures of all members over what this user saw.
    pub(super) fn take_confirmations(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        let State::Voting(voting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        let Gate::Confirming(digest) = voting.gate else { return Err(self.wrong_state(frame.header.kind)) };
        let (_, group, step) = voting.last_circuit();
        check_group(&frame.header, group)?;
        check_step(&frame.header, step)?;
        let list = ConfirmAll::read(frame)?;
        let signers = list.0.iter().map(|(user, _)| user);
        let complete = match &voting.survivors.set {
            // Somebody may be lost meanwhile, but not more than the result can do without.
            Some(set) => {
                let threshold = Settings::threshold(voting.plan.members.len(), set.users.len());
                list.0.len() >= threshold && signers.clone().all(|user| set.users.contains(user))
            }
            None => signers.eq(&voting.plan.members),
        };
        if !complete {
            return Err(Fault::BadPayload { what: "the list of signers", found: format!("{} users", list.0.len()) });
        }
        for (user, signature) in &list.0 {
            if !self.config.roster.verifies(*user, &digest, signature) {
                return Err(Fault::ConfirmationMismatch(*user));
            }
        }
        voting.gate = Gate::after_confirm(&self.config.settings.options);
        let mut actions = vec![self.set_timer()];
        actions.extend(self.finish_if_ready()?);
        Ok(actions)
    }

    /// The result.
    pub(super) fn take_result(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        let settings = &self.config.settings;
        let mean = settings.outer == Outer::Mean;
        let round_code = |users: u16| VoteCode::new(settings.reveals_ties(users.into()));
        match &mut self.state {
            State::Abstained(state) => {
                let (plan, results) = &mut **state;
                check_group(&frame.header, WHOLE_ROUND)?;
                check_kind(frame, mean)?;
                results.take(settings, frame, round_code(plan.users))?;
                if !results.is_complete() {
                    return Ok(Vec::new());
                }
                let results = std::mem::take(results);
                Ok(self.done(results))
            }
            State::Voting(voting) => {
                let open = voting.gate == Gate::Open && voting.check.is_none();
                if !open || voting.chunks.iter().any(|chunk| chunk.stage != Stage::Final) {
                    return Err(self.wrong_state(frame.header.kind));
                }
                let is_group = voting.is_group_result(settings);
                let (circuit, group, step) = voting.last_circuit();
                check_group(&frame.header, if is_group { group } else { WHOLE_ROUND })?;
                check_step(&frame.header, if is_group { step } else { 0 })?;
                check_kind(frame, mean && !is_group)?;
                let code =
                    if is_group { VoteCode::new(circuit.majority().reveals_ties()) } else { round_code(voting.plan.users) };
                voting.results.take(settings, frame, code)?;
                if !voting.results.is_complete() {
                    return Ok(Vec::new());
                }
                if settings.options.mac.is_on() && is_group {
                    return self.start_check();
                }
                let results = std::mem::take(&mut voting.results);
                Ok(self.done(results))
            }
            _ => Err(self.wrong_state(frame.header.kind)),
        }
    }

    pub(super) fn done(&mut self, results: Results) -> Vec<Action> {
        self.state = State::Done;
        let outcome = Outcome {
            round: self.scene.round,
            attempt: self.scene.attempt,
            tally: results.tally(),
            survivors: Vec::new(),
            groups: Vec::new(),
        };
        vec![Action::Done(Box::new(outcome))]
    }
}

fn check_kind(frame: &Frame<'_>, mean: bool) -> Result<(), Fault> {
    let expected = if mean { FrameKind::Mean } else { FrameKind::Vote };
    if frame.header.kind == expected && frame.header.sender == Party::Aggregator {
        return Ok(());
    }
    Err(Fault::WrongState { kind: frame.header.kind, state: format!("final, where a {expected} is awaited") })
}
