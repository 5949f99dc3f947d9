//! Whole votes on shares against the transcripts of an independent program.

use std::collections::BTreeMap;

use serde::Deserialize;
use thalweg_vote::correlation::{self, CorrelationSource, Deal, Explicit, MemberKeys, Seeded};
use thalweg_vote::evaluate::{Block, Evaluation, Part};
use thalweg_vote::prg::{Context, Seed, SessionId, Suite};
use thalweg_vote::{Circuit, Degree, Domain, Field, Majority, Protocol, ScheduleKind, Tie, ZeroSharing, plain};

fn elements(field: Field, votes: &[i8]) -> Block {
    Block::new(votes.iter().map(|&vote| field.element(vote.into())).collect())
}

fn sum(field: Field, shares: &[Block]) -> Vec<u8> {
    (0..shares[0].len()).map(|c| shares.iter().fold(0, |sum, share| field.add(sum, share[c]))).collect()
}

struct Run {
    /// `[level][user][vector]`.
    sent: Vec<Vec<Vec<Block>>>,
    sums: Vec<Vec<Vec<u8>>>,
    final_shares: Vec<Block>,
    result: Vec<u8>,
}

/// Runs all users of a circuit in step.
fn run(circuit: &Circuit, inputs: &[&[i8]], sources: &[&dyn CorrelationSource]) -> Run {
    let field = circuit.field();
    let part = |user: usize| if user == 0 { Part::Designated } else { Part::Other };
    let mut users: Vec<Evaluation> =
        inputs.iter().enumerate().map(|(user, votes)| Evaluation::new(circuit, part(user), 0, elements(field, votes))).collect();
    let (mut sent, mut sums) = (Vec::new(), Vec::new());
    for level in 1..=circuit.levels() {
        let opened: Vec<Vec<Block>> =
            users.iter_mut().zip(sources).map(|(user, source)| user.open(circuit, level, *source).unwrap()).collect();
        assert!(opened.iter().all(|vectors| vectors.len() == circuit.openings(level)));
        let added: Vec<Vec<u8>> = (0..circuit.openings(level))
            .map(|vector| sum(field, &opened.iter().map(|vectors| vectors[vector].clone()).collect::<Vec<_>>()))
            .collect();
        for (user, source) in users.iter_mut().zip(sources) {
            user.absorb(circuit, level, added.clone(), *source).unwrap();
        }
        sent.push(opened);
        sums.push(added);
    }
    let coins = vec![1; inputs[0].len()];
    let final_shares: Vec<Block> =
        users.into_iter().zip(sources).map(|(user, source)| user.finish(circuit, &coins, *source).unwrap()).collect();
    let result = sum(field, &final_shares);
    Run { sent, sums, final_shares, result }
}

fn votes(circuit: &Circuit, result: &[u8]) -> Vec<i8> {
    result.iter().map(|&element| circuit.majority().decode(element).unwrap()).collect()
}

fn majority(n: usize, tie: Tie) -> Majority {
    Majority::new(Domain::Binary, n, tie, Degree::Full).unwrap()
}

#[derive(Deserialize)]
struct BeaverCase {
    label: String,
    n: usize,
    tie: Tie,
    inputs: Vec<Vec<i8>>,
    steps: Vec<BeaverStep>,
    final_shares: Vec<Vec<u8>>,
    #[serde(rename = "F")]
    result: Vec<u8>,
    vote: Vec<i8>,
}

#[derive(Deserialize)]
struct BeaverStep {
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

/// The degree-1 circuit without a zero sharing does not exist in the library; its transcript's sharing is all zeros.
fn with_zeros(mut source: Explicit, length: usize) -> Explicit {
    source.insert(correlation::ZERO_SHARING, 0, vec![0; length]);
    source
}

#[test]
fn beaver_with_given_triples() {
    let cases: Vec<BeaverCase> = serde_json::from_str(include_str!("vectors/transcripts_beaver_explicit.json")).unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let circuit = Circuit::new(Protocol::Beaver, majority(case.n, case.tie), ScheduleKind::Halving, ZeroSharing::Off);
        let source = |user: usize| {
            let mut source = Explicit::default();
            for (t, step) in case.steps.iter().enumerate() {
                for (slot, shares) in (3 * t as u32..).zip([&step.a_shares, &step.b_shares, &step.c_shares]) {
                    source.insert(slot, 0, shares[user].clone());
                }
            }
            with_zeros(source, case.inputs[0].len())
        };
        let sources: Vec<Explicit> = (0..case.n).map(source).collect();
        let sources: Vec<&dyn CorrelationSource> = sources.iter().map(|source| source as _).collect();
        let inputs: Vec<&[i8]> = case.inputs.iter().map(Vec::as_slice).collect();
        let run = run(&circuit, &inputs, &sources);
        for step in &case.steps {
            let place = circuit.schedule().of_level(step.level).position(|(_, product)| product.k == step.k).unwrap();
            for user in 0..case.n {
                assert_eq!(*run.sent[step.level - 1][user][2 * place], step.sent_delta[user], "{}", case.label);
                assert_eq!(*run.sent[step.level - 1][user][2 * place + 1], step.sent_eps[user], "{}", case.label);
            }
            assert_eq!(run.sums[step.level - 1][2 * place], step.delta);
            assert_eq!(run.sums[step.level - 1][2 * place + 1], step.eps);
        }
        assert!(run.final_shares.iter().zip(&case.final_shares).all(|(share, expected)| **share == *expected), "{}", case.label);
        assert_eq!(votes(&circuit, &run.result), case.vote);
        assert_eq!(run.result, case.result);
    }
}

#[derive(Deserialize)]
struct PowersCase {
    label: String,
    n: usize,
    tie: Tie,
    inputs: Vec<Vec<i8>>,
    power_shares: BTreeMap<u32, Vec<Vec<u8>>>,
    sent: Vec<Vec<u8>>,
    #[serde(rename = "D")]
    difference: Vec<u8>,
    final_shares: Vec<Vec<u8>>,
    #[serde(rename = "F")]
    result: Vec<u8>,
}

#[test]
fn one_round_with_given_powers() {
    let cases: Vec<PowersCase> = serde_json::from_str(include_str!("vectors/transcripts_oneround_explicit.json")).unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let circuit = Circuit::new(Protocol::OneRound, majority(case.n, case.tie), ScheduleKind::Halving, ZeroSharing::Off);
        let source = |user: usize| {
            let mut source = Explicit::default();
            for (j, shares) in &case.power_shares {
                source.insert(j - 1, 0, shares[user].clone());
            }
            with_zeros(source, case.inputs[0].len())
        };
        let sources: Vec<Explicit> = (0..case.n).map(source).collect();
        let sources: Vec<&dyn CorrelationSource> = sources.iter().map(|source| source as _).collect();
        let inputs: Vec<&[i8]> = case.inputs.iter().map(Vec::as_slice).collect();
        let run = run(&circuit, &inputs, &sources);
        assert!(run.sent[0].iter().zip(&case.sent).all(|(sent, expected)| *sent[0] == *expected), "{}", case.label);
        assert_eq!(run.sums[0][0], case.difference);
        assert!(run.final_shares.iter().zip(&case.final_shares).all(|(share, expected)| **share == *expected), "{}", case.label);
        assert_eq!(run.result, case.result);
        assert_eq!(votes(&circuit, &run.result), plain::flat(inputs, case.tie, &[1; 8]).unwrap());
    }
}

#[derive(Deserialize)]
struct SeededCase {
    protocol: Protocol,
    members: Vec<u16>,
    n: usize,
    tie: Tie,
    d: usize,
    session: String,
    round: u32,
    attempt: u16,
    group: u16,
    suite: u8,
    zero_share: bool,
    min_degree: bool,
    seeds: BTreeMap<u16, String>,
    inputs: BTreeMap<u16, Vec<i8>>,
    holder: u16,
    corrections: Vec<(u32, Vec<u8>)>,
    final_shares: BTreeMap<u16, Vec<u8>>,
    #[serde(rename = "F")]
    result: Vec<u8>,
    vote: Vec<i8>,
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

#[test]
fn votes_from_seeds_with_the_dealers_corrections() {
    let cases: Vec<SeededCase> = serde_json::from_str(include_str!("vectors/transcripts_seeded.json")).unwrap();
    assert_eq!(cases.len(), 8);
    for case in cases {
        let degree = if case.min_degree { Degree::Least } else { Degree::Full };
        let zero = if case.zero_share { ZeroSharing::On } else { ZeroSharing::Off };
        let rule = Majority::new(Domain::Binary, case.n, case.tie, degree).unwrap();
        let circuit = Circuit::new(case.protocol, rule, ScheduleKind::Halving, zero);
        let suite = if case.suite == 1 { Suite::ChaCha20 } else { Suite::Aes256Ctr };
        let key = |user: &u16| {
            let context = Context { round: case.round, attempt: case.attempt, group: case.group, user: *user };
            MemberKeys::derive(&Seed::from_bytes(bytes(&case.seeds[user])), SessionId(bytes(&case.session)), context)
        };
        let keys: Vec<MemberKeys> = case.members.iter().map(key).collect();
        let holder = correlation::holder(case.round, case.attempt, case.n);
        assert_eq!(case.members[holder], case.holder);
        let coins = vec![1; case.d];
        let deal = Deal { recipe: circuit.recipe(), keys: &keys, suite, holder, chunk: 0, coins: &coins, mac: None };
        let corrections = deal.corrections();
        let slots: Vec<u32> = circuit.recipe().corrected().map(|entry| entry.slot).collect();
        assert_eq!(slots, case.corrections.iter().map(|(slot, _)| *slot).collect::<Vec<_>>());
        assert!(corrections.iter().zip(&case.corrections).all(|(found, (_, expected))| **found == *expected));

        let source = |(member, keys): (usize, &MemberKeys)| {
            if member != holder {
                return Seeded::new(keys.correlation.clone(), suite, circuit.recipe().clone());
            }
            let mut source = Seeded::holder(keys.correlation.clone(), suite, circuit.recipe().clone());
            for (slot, correction) in &case.corrections {
                source.correct(*slot, 0, correction.clone());
            }
            source
        };
        let sources: Vec<Seeded> = keys.iter().enumerate().map(source).collect();
        let sources: Vec<&dyn CorrelationSource> = sources.iter().map(|source| source as _).collect();
        let inputs: Vec<&[i8]> = case.members.iter().map(|user| case.inputs[user].as_slice()).collect();
        let run = run(&circuit, &inputs, &sources);
        for (share, user) in run.final_shares.iter().zip(&case.members) {
            assert_eq!(**share, case.final_shares[user]);
        }
        assert_eq!(run.result, case.result);
        assert_eq!(votes(&circuit, &run.result), case.vote);
        assert_eq!(case.vote, plain::flat(inputs, case.tie, &vec![1; case.d]).unwrap());
    }
}
