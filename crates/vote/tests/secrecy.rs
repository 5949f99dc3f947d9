//! What the server and all other users see does not depend on the honest user's votes.
//!
//! Two worlds: the honest user votes +1 everywhere, or -1 everywhere; the others are many enough that the result is the same. Over
//! 20,000 coordinates the joint counts of what is seen are compared by a chi-square test of homogeneity. Each test has a false alarm
//! of 1e-6; there are 100 to 250 (the last line counts), so fewer than one in 4,000 choices of seeds would fail.

use thalweg_vote::correlation::{CorrelationSource, Explicit, ZERO_SHARING};
use thalweg_vote::evaluate::{Block, Evaluation, Part};
use thalweg_vote::wire::{Frame, FrameKind, Party, unpack_vectors};
use thalweg_vote::{
    Circuit, Degree, Domain, Encoding, Field, Majority, Protocol, ScheduleKind, Settings, Simulation, SimulationConfig, Switch,
    Tie, ZeroSharing,
};

const COORDINATES: usize = 20_000;

/// The quantile of chi-square that is exceeded with probability 1e-6 (Wilson and Hilferty).
fn quantile(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + 4.753 * spread.sqrt()).powi(3)
}

/// Whether two samples of pairs come from different laws.
fn differ(field: Field, worlds: [(&[u8], &[u8]); 2]) -> bool {
    let p = usize::from(field.order());
    let mut counts = vec![[0.0f64; 2]; p * p];
    for (world, (a, b)) in worlds.into_iter().enumerate() {
        a.iter().zip(b).for_each(|(&a, &b)| counts[usize::from(a) * p + usize::from(b)][world] += 1.0);
    }
    let cells: Vec<[f64; 2]> = counts.into_iter().filter(|[a, b]| a + b > 0.0).collect();
    let statistic: f64 = cells.iter().map(|[a, b]| (a - b) * (a - b) / (a + b)).sum();
    statistic > quantile((cells.len() - 1).max(1) as f64)
}

/// What is seen of one run: vectors of elements that can be compared between worlds.
struct View {
    /// What the honest user opens, vector by vector.
    openings: Vec<Vec<u8>>,
    /// Its share of the result.
    share: Vec<u8>,
    /// The sum of the others' shares of the result.
    others: Vec<u8>,
    /// The first vector that the dealer sends to the holder, if that is another user.
    correction: Option<Vec<u8>>,
}

fn view(protocol: Protocol, users: usize, honest: u16, vote: i8) -> (Field, View) {
    let settings = Settings { protocol, encoding: Encoding::Bits, ..Settings::new(COORDINATES as u32) };
    let seed = 1_000 * users as u64 + 10 * u64::from(honest) + u64::from(vote > 0);
    let config =
        SimulationConfig { keep_frames: Switch::On, insecure_seed: Some(seed), ..SimulationConfig::new(settings.clone(), users) };
    let votes: Vec<Vec<i8>> = (0..users as u16).map(|user| vec![if user == honest { vote } else { 1 }; COORDINATES]).collect();
    let report = Simulation::new(config).unwrap().round(&votes).unwrap();
    assert_eq!(report.outcome.unwrap().tally.votes(), vec![1; COORDINATES], "the result is the same in both worlds");
    let circuit = settings.circuit(users).unwrap();
    let field = circuit.field();
    let (mut openings, mut share, mut others, mut correction) = (Vec::new(), Vec::new(), vec![0; COORDINATES], None);
    for sent in &report.frames {
        let frame = Frame::parse(&sent.bytes).unwrap();
        let is_honest = sent.from == Party::User(honest);
        let vectors = |count: usize| unpack_vectors(&frame, Encoding::Bits, field, count).unwrap();
        match frame.header.kind {
            FrameKind::Open if is_honest => openings.extend(vectors(circuit.openings(frame.header.step.into()))),
            FrameKind::Final if is_honest => share = vectors(1).remove(0),
            FrameKind::Final => others.iter_mut().zip(&vectors(1)[0]).for_each(|(sum, &share)| *sum = field.add(*sum, share)),
            FrameKind::Correction if sent.to != Party::User(honest) => {
                correction = Some(vectors(circuit.recipe().corrected().count()).remove(0));
            }
            _ => {}
        }
    }
    (field, View { openings, share, others, correction })
}

#[test]
fn the_view_of_all_others_does_not_depend_on_a_users_votes() {
    let mut tests = 0;
    for protocol in [Protocol::OneRound, Protocol::Lean, Protocol::Beaver] {
        for users in [3, 5] {
            for honest in 0..users as u16 {
                let (field, plus) = view(protocol, users, honest, 1);
                let (_, minus) = view(protocol, users, honest, -1);
                let context = format!("{protocol}, user {honest} of {users}");
                for (a, b) in plus.openings.iter().zip(&minus.openings) {
                    assert!(!differ(field, [(a, &plus.share), (b, &minus.share)]), "{context}: opening and own share");
                    assert!(!differ(field, [(a, &plus.others), (b, &minus.others)]), "{context}: opening and the others' shares");
                    tests += 2;
                }
                if let (Some(plus_correction), Some(minus_correction)) = (&plus.correction, &minus.correction) {
                    let worlds = [(&plus.openings[0][..], &plus_correction[..]), (&minus.openings[0][..], &minus_correction[..])];
                    assert!(!differ(field, worlds), "{context}: opening and correction");
                    tests += 1;
                }
            }
        }
    }
    assert!((100..=250).contains(&tests), "{tests}");
}

/// Shares with nothing random in them: the test must find the leak.
struct Zeros;

impl CorrelationSource for Zeros {
    fn share(&self, _: u32, _: u64, share: &mut [u8]) -> Result<(), thalweg_vote::correlation::Missing> {
        share.fill(0);
        Ok(())
    }
}

fn element_block(field: Field, vote: i8) -> Block {
    Block::new(vec![field.element(vote.into()); COORDINATES])
}

#[test]
fn masks_of_zero_are_found() {
    let rule = Majority::new(Domain::Binary, 3, Tie::Zero, Degree::Full).unwrap();
    for protocol in [Protocol::OneRound, Protocol::Lean, Protocol::Beaver] {
        let circuit = Circuit::new(protocol, rule.clone(), ScheduleKind::Halving, ZeroSharing::On);
        let opening = |vote: i8| {
            let mut user = Evaluation::new(&circuit, Part::Other, 0, element_block(circuit.field(), vote));
            user.open(&circuit, 1, &Zeros).unwrap().remove(0).to_vec()
        };
        let (plus, minus, other) = (opening(1), opening(-1), vec![0; COORDINATES]);
        assert!(differ(circuit.field(), [(&plus, &other), (&minus, &other)]), "{protocol}");
    }
}

/// A mask that is uniform but used for two coordinates: each opening alone looks uniform, a pair of them does not.
#[test]
fn masks_that_are_used_twice_are_found() {
    let circuit = Circuit::new(
        Protocol::OneRound,
        Majority::new(Domain::Binary, 3, Tie::Zero, Degree::Full).unwrap(),
        ScheduleKind::Halving,
        ZeroSharing::On,
    );
    let field = circuit.field();
    let masks: Vec<u8> =
        (0..COORDINATES as u32).map(|c| ((c / 2).wrapping_mul(2_654_435_761) >> 16) as u8 % field.order()).collect();
    let mut source = Explicit::default();
    source.insert(0, 0, masks);
    let pairs = |votes: [i8; 2]| {
        let votes: Vec<u8> = (0..COORDINATES).map(|c| field.element(votes[c % 2].into())).collect();
        let mut user = Evaluation::new(&circuit, Part::Other, 0, Block::new(votes));
        let opened = user.open(&circuit, 1, &source).unwrap().remove(0);
        let (even, odd): (Vec<u8>, Vec<u8>) = opened.as_chunks::<2>().0.iter().map(|[even, odd]| (*even, *odd)).unzip();
        (even, odd)
    };
    let (same, different) = (pairs([1, 1]), pairs([1, -1]));
    assert!(differ(field, [(&same.0, &same.1), (&different.0, &different.1)]));
    let ones = vec![0; same.0.len()];
    assert!(!differ(field, [(&same.0, &ones), (&different.0, &ones)]), "one of the two alone shows nothing");
}

/// At degree 1 (two users) a share of the result is the vote itself, but for the sharing of zero, which is therefore always there.
#[test]
fn two_users_need_the_sharing_of_zero() {
    let rule = Majority::new(Domain::Binary, 2, Tie::Zero, Degree::Full).unwrap();
    for protocol in [Protocol::Beaver, Protocol::Lean, Protocol::OneRound] {
        let circuit = Circuit::new(protocol, rule.clone(), ScheduleKind::Halving, ZeroSharing::Off);
        assert!(circuit.recipe().has_zero_sharing(), "{protocol}");
        assert!(circuit.recipe().entry(ZERO_SHARING).is_some());
    }
}
