//! `transcripts_beaver_explicit.json`, `transcripts_oneround_explicit.json`, `transcripts_seeded.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::secret::{Run, plain, run};
use super::streams::suite_of;
use super::{Checks, Hex};
use crate::correlation::{self, CorrelationSource, Deal, Explicit, MemberKeys, Seeded, ZERO_SHARING};
use crate::prg::{Context, Seed, SessionId};
use crate::scene::{Scene, with_bits, with_elements};
use crate::wire::{FrameKind, Party, VoteCode, pack_vectors};
use crate::{Circuit, Degree, Domain, Encoding, Majority, Protocol, ScheduleKind, Settings, Tie, ZeroSharing};

fn circuit(protocol: Protocol, n: usize, tie: Tie) -> crate::Result<Circuit> {
    let rule = Majority::new(Domain::Binary, n, tie, Degree::Full)?;
    Ok(Circuit::new(protocol, rule, ScheduleKind::Halving, ZeroSharing::Off))
}

fn votes(circuit: &Circuit, result: &[u8]) -> Vec<Option<i8>> {
    result.iter().map(|&element| circuit.majority().decode(element)).collect()
}

/// Runs given shares. At degree 1 the library insists on a sharing of zero; here it is zeros.
fn run_explicit(circuit: &Circuit, inputs: &[Vec<i8>], mut sources: Vec<Explicit>) -> Result<Run, correlation::Missing> {
    let length = inputs.first().map_or(0, Vec::len);
    sources.iter_mut().for_each(|source| source.insert(ZERO_SHARING, 0, vec![0; length]));
    let sources: Vec<&dyn CorrelationSource> = sources.iter().map(|source| source as _).collect();
    let inputs: Vec<&[i8]> = inputs.iter().map(Vec::as_slice).collect();
    run(circuit, &inputs, &sources)
}

#[derive(Deserialize)]
struct Beaver {
    label: String,
    n: usize,
    tie: Tie,
    inputs: Vec<Vec<i8>>,
    steps: Vec<Step>,
    final_shares: Vec<Vec<u8>>,
    #[serde(rename = "F")]
    result: Vec<u8>,
    vote: Vec<i8>,
}

#[derive(Deserialize)]
struct Step {
    k: usize,
    level: usize,
    a_shares: Vec<Vec<u8>>,
    b_shares: Vec<Vec<u8>>,
    c_shares: Vec<Vec<u8>>,
    sent_delta: Vec<Vec<u8>>,
    sent_eps: Vec<Vec<u8>>,
    delta: Vec<u8>,
    eps: Vec<u8>,
}

pub(super) fn beaver(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Beaver>>(text)? {
        checks.case();
        let Some(circuit) = checks.value(&case.label, circuit(Protocol::Beaver, case.n, case.tie)) else { continue };
        let mut sources = vec![Explicit::default(); case.n];
        for (t, step) in (0u32..).zip(&case.steps) {
            for (slot, shares) in (3 * t..).zip([&step.a_shares, &step.b_shares, &step.c_shares]) {
                sources.iter_mut().zip(shares).for_each(|(source, share)| source.insert(slot, 0, share.clone()));
            }
        }
        let Some(run) = checks.value(&case.label, run_explicit(&circuit, &case.inputs, sources)) else { continue };
        for step in &case.steps {
            let place = circuit.schedule().of_level(step.level).position(|(_, product)| product.k == step.k);
            let Some(place) = checks.value(&case.label, place.ok_or("a product of another level")) else { continue };
            let sent = |which: usize| -> Vec<Vec<u8>> {
                run.sent[step.level - 1].iter().map(|vectors| vectors[2 * place + which].to_vec()).collect()
            };
            checks.equal(&case.label, &(sent(0), sent(1)), &(step.sent_delta.clone(), step.sent_eps.clone()));
            let sums = &run.sums[step.level - 1][2 * place..2 * place + 2];
            checks.equal(&case.label, &sums.to_vec(), &vec![step.delta.clone(), step.eps.clone()]);
        }
        checks.equal(&case.label, &plain(&run.final_shares), &case.final_shares);
        checks.equal(&case.label, &run.result, &case.result);
        checks.equal(&case.label, &votes(&circuit, &run.result), &case.vote.iter().copied().map(Some).collect());
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct Powers {
    label: String,
    n: usize,
    tie: Tie,
    inputs: Vec<Vec<i8>>,
    power_shares: BTreeMap<u32, Vec<Vec<u8>>>,
    sent: Vec<Vec<u8>>,
    #[serde(rename = "D")]
    difference: Vec<u8>,
    weights: Vec<Vec<u8>>,
    final_shares: Vec<Vec<u8>>,
    #[serde(rename = "F")]
    result: Vec<u8>,
}

pub(super) fn one_round(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Powers>>(text)? {
        checks.case();
        let Some(circuit) = checks.value(&case.label, circuit(Protocol::OneRound, case.n, case.tie)) else { continue };
        let mut sources = vec![Explicit::default(); case.n];
        for (j, shares) in &case.power_shares {
            sources.iter_mut().zip(shares).for_each(|(source, share)| source.insert(j - 1, 0, share.clone()));
        }
        let Some(run) = checks.value(&case.label, run_explicit(&circuit, &case.inputs, sources)) else { continue };
        let sent: Vec<Vec<u8>> = run.sent[0].iter().map(|vectors| vectors[0].to_vec()).collect();
        checks.equal(&case.label, &sent, &case.sent);
        checks.equal(&case.label, &run.sums[0][0], &case.difference);
        let weights: Vec<Vec<u8>> = case.difference.iter().map(|&d| circuit.majority().base().shifted(d)).collect();
        checks.equal(&case.label, &weights, &case.weights);
        checks.equal(&case.label, &plain(&run.final_shares), &case.final_shares);
        checks.equal(&case.label, &run.result, &case.result);
    }
    Ok(checks)
}

#[derive(Deserialize)]
struct Whole {
    protocol: Protocol,
    members: Vec<u16>,
    n: usize,
    tie: Tie,
    d: usize,
    session: Hex,
    round: u32,
    attempt: u16,
    group: u16,
    suite: u8,
    enc: u8,
    zero_share: bool,
    min_degree: bool,
    seeds: BTreeMap<u16, Hex>,
    inputs: BTreeMap<u16, Vec<i8>>,
    holder: u16,
    corrections: Vec<(u32, Vec<u8>)>,
    final_shares: BTreeMap<u16, Vec<u8>>,
    #[serde(rename = "F")]
    result: Vec<u8>,
    vote: Vec<i8>,
    frames: Vec<Hex>,
}

impl Whole {
    fn name(&self) -> String {
        format!("{} of {} users, round {}", self.protocol, self.n, self.round)
    }

    fn circuit(&self) -> crate::Result<Circuit> {
        let degree = if self.min_degree { Degree::Least } else { Degree::Full };
        let zero = if self.zero_share { ZeroSharing::On } else { ZeroSharing::Off };
        let rule = Majority::new(Domain::Binary, self.n, self.tie, degree)?;
        Ok(Circuit::new(self.protocol, rule, ScheduleKind::Halving, zero))
    }

    fn keys(&self) -> Result<Vec<MemberKeys>, String> {
        let session = SessionId(self.session.array()?);
        let of_user = |&user: &u16| {
            let seed = self.seeds.get(&user).ok_or("a member without a seed")?;
            let context = Context { round: self.round, attempt: self.attempt, group: self.group, user };
            Ok(MemberKeys::derive(&Seed::from_bytes(seed.array()?), session, context))
        };
        self.members.iter().map(of_user).collect()
    }

    /// The frames: the correction, each level's openings and sums, the shares of the result, the vote.
    fn frames(&self, circuit: &Circuit, run: &Run, holder: u16) -> Result<Vec<Vec<u8>>, String> {
        let settings = Settings { suite: suite_of(self.suite), ..Settings::new(self.d as u32) };
        let scene = |sender: Party| Scene {
            round: self.round,
            attempt: self.attempt,
            ..Scene::new(SessionId(self.session.array().unwrap_or_default()), &settings, sender)
        };
        let encoding = if self.enc == 1 { Encoding::Bits } else { Encoding::BaseP };
        let field = circuit.field();
        let frame = |kind, sender, step, vectors: &[Vec<u8>]| {
            let header = scene(sender).chunk_header(kind, self.group, step, &(0..self.d));
            with_elements(header, encoding, field).frame(|bytes| pack_vectors(encoding, field, vectors, bytes))
        };
        let mut frames = Vec::new();
        if self.members.contains(&holder) && !self.corrections.is_empty() {
            let vectors: Vec<Vec<u8>> = self.corrections.iter().map(|(_, vector)| vector.clone()).collect();
            frames.push(frame(FrameKind::Correction, Party::Dealer, 0, &vectors));
        }
        for ((step, sent), sums) in (1..).zip(&run.sent).zip(&run.sums) {
            for (&user, vectors) in self.members.iter().zip(sent) {
                frames.push(frame(FrameKind::Open, Party::User(user), step, &plain(vectors)));
            }
            frames.push(frame(FrameKind::OpenSum, Party::Aggregator, step, sums));
        }
        let last = circuit.levels() as u16 + 1;
        for (&user, share) in self.members.iter().zip(&run.final_shares) {
            frames.push(frame(FrameKind::Final, Party::User(user), last, &[share.to_vec()]));
        }
        let header = with_bits(scene(Party::Aggregator).chunk_header(FrameKind::Vote, self.group, last, &(0..self.d)));
        let code = VoteCode::new(circuit.majority().reveals_ties());
        frames.push(header.frame(|bytes| code.write(&self.vote, bytes)));
        Ok(frames)
    }
}

pub(super) fn seeded(text: &str) -> Result<Checks, serde_json::Error> {
    let mut checks = Checks::default();
    for case in serde_json::from_str::<Vec<Whole>>(text)? {
        checks.case();
        let name = case.name();
        let Some(circuit) = checks.value(&name, case.circuit()) else { continue };
        let Some(keys) = checks.value(&name, case.keys()) else { continue };
        let holder = correlation::holder(case.round, case.attempt, case.n);
        checks.equal(&name, &case.members.get(holder).copied(), &Some(case.holder));
        let coins = vec![1; case.d];
        let recipe = circuit.recipe();
        let suite = suite_of(case.suite);
        let deal = Deal { recipe, keys: &keys, suite, holder, chunk: 0, coins: &coins, mac: None };
        let corrections: Vec<(u32, Vec<u8>)> =
            recipe.corrected().map(|entry| entry.slot).zip(plain(&deal.corrections())).collect();
        checks.equal(&name, &corrections, &case.corrections);
        let source = |(member, keys): (usize, &MemberKeys)| {
            if member != holder {
                return Seeded::new(keys.correlation.clone(), suite, recipe.clone());
            }
            let mut source = Seeded::holder(keys.correlation.clone(), suite, recipe.clone());
            case.corrections.iter().for_each(|(slot, correction)| source.correct(*slot, 0, correction.clone()));
            source
        };
        let sources: Vec<Seeded> = keys.iter().enumerate().map(source).collect();
        let sources: Vec<&dyn CorrelationSource> = sources.iter().map(|source| source as _).collect();
        let inputs: Vec<&[i8]> = case.members.iter().filter_map(|user| case.inputs.get(user).map(Vec::as_slice)).collect();
        let Some(run) = checks.value(&name, run(&circuit, &inputs, &sources)) else { continue };
        let final_shares: BTreeMap<u16, Vec<u8>> = case.members.iter().copied().zip(plain(&run.final_shares)).collect();
        checks.equal(&name, &final_shares, &case.final_shares);
        checks.equal(&name, &run.result, &case.result);
        checks.equal(&name, &votes(&circuit, &run.result), &case.vote.iter().copied().map(Some).collect());
        if let Some(frames) = checks.value(&name, case.frames(&circuit, &run, case.holder)) {
            checks.equal(&name, &frames, &case.frames.iter().map(|frame| frame.0.clone()).collect());
        }
    }
    Ok(checks)
}
