//! Keys, streams, packings, groups and plain votes against the vectors of an independent program.

use serde::Deserialize;
use thalweg_vote::grouping::{self, Beacon};
use thalweg_vote::prg::{Context, Purpose, Seed, SessionId, Suite};
use thalweg_vote::{Encoding, Field, Tie, plain};

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
    assert_eq!(hex.len(), 2 * N);
    std::array::from_fn(byte)
}

#[derive(Deserialize)]
struct Stream {
    suite: u8,
    session: String,
    seed: String,
    purpose: String,
    round: u32,
    attempt: u16,
    group: u16,
    user: u16,
    slot: u32,
    chunk: u64,
    p: u16,
    elements: Vec<u8>,
}

#[test]
fn elements_of_both_suites() {
    let cases: Vec<Stream> = serde_json::from_str(include_str!("vectors/prg.json")).unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let suite = if case.suite == 1 { Suite::ChaCha20 } else { Suite::Aes256Ctr };
        let purpose = match case.purpose.as_str() {
            "corr" => Purpose::Correlation,
            "sgns" => Purpose::Signs,
            _ => Purpose::Macs,
        };
        let context = Context { round: case.round, attempt: case.attempt, group: case.group, user: case.user };
        let key = Seed::from_bytes(bytes(&case.seed)).derive(SessionId(bytes(&case.session)), purpose, context);
        let mut elements = vec![0; case.elements.len()];
        key.expand(suite, case.slot, case.chunk, Field::new(case.p).unwrap(), &mut elements);
        assert_eq!(elements, case.elements);
        // A longer vector starts with the same elements.
        let mut longer = vec![0; 10_000];
        key.expand(suite, case.slot, case.chunk, Field::new(case.p).unwrap(), &mut longer);
        assert_eq!(longer[..elements.len()], elements);
        if case.p == 2 {
            let mut signs = vec![0; elements.len()];
            key.expand_signs(suite, case.slot, case.chunk, &mut signs);
            assert!(signs.iter().zip(&elements).all(|(&sign, &bit)| sign == 2 * bit as i8 - 1));
        }
    }
}

#[derive(Deserialize)]
struct Packed {
    p: u16,
    values: Vec<u8>,
    packed_bits: String,
    packed_base_p: String,
}

#[test]
fn both_encodings() {
    let cases: Vec<Packed> = serde_json::from_str(include_str!("vectors/packing.json")).unwrap();
    for case in cases {
        let field = Field::new(case.p).unwrap();
        for (encoding, expected) in [(Encoding::Bits, case.packed_bits), (Encoding::BaseP, case.packed_base_p)] {
            let mut packed = Vec::new();
            encoding.pack(field, &case.values, &mut packed);
            assert_eq!(packed.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected, "{encoding:?} {}", case.p);
        }
    }
}

#[derive(Deserialize)]
struct Grouping {
    session: String,
    beacon: String,
    n: usize,
    n1: usize,
    round: u32,
    sizes: Vec<usize>,
    groups: Vec<Vec<u16>>,
    coin16: Vec<i8>,
}

#[test]
fn groups_and_coins() {
    let cases: Vec<Grouping> = serde_json::from_str(include_str!("vectors/grouping.json")).unwrap();
    assert_eq!(cases.len(), 7);
    for case in cases {
        let (session, beacon) = (SessionId(bytes(&case.session)), Beacon(bytes(&case.beacon)));
        let sizes = grouping::sizes(case.n, case.n1).unwrap();
        assert_eq!(sizes, case.sizes);
        assert_eq!(grouping::draw(&beacon, session, case.round, case.n, sizes.len()).unwrap(), case.groups);
        assert_eq!(beacon.coins(session, case.round, 16), case.coin16);
    }
}

#[derive(Deserialize)]
struct Hierarchical {
    groups: Vec<Vec<u16>>,
    tie_intra: Tie,
    tie_inter: Tie,
    inputs: Vec<Vec<i8>>,
    subgroup_votes: Vec<Vec<i8>>,
    vote: Vec<i8>,
    flat_vote: Vec<i8>,
}

#[test]
fn plain_votes_of_two_levels() {
    let cases: Vec<Hierarchical> = serde_json::from_str(include_str!("vectors/hierarchical.json")).unwrap();
    for case in cases {
        let ties = plain::Ties { inner: case.tie_intra, outer: case.tie_inter };
        let votes = plain::two_level(&case.inputs, &case.groups, ties, &[]).unwrap();
        assert_eq!((votes.groups, votes.vote), (case.subgroup_votes, case.vote));
        let flat = plain::flat(case.inputs.iter().map(Vec::as_slice), case.tie_inter, &[]).unwrap();
        assert_eq!(flat, case.flat_vote);
    }
}
