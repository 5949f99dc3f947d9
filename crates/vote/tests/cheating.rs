//! What a user can do who enters an element that is no vote, where nothing checks it: the reason for masked signs.

use thalweg_vote::correlation::{Deal, MemberKeys, Seeded, holder};
use thalweg_vote::evaluate::{Block, Evaluation, Part};
use thalweg_vote::prg::{Context, Seed, SessionId, Suite};
use thalweg_vote::{Circuit, Field, Protocol, Settings};

const COORDINATES: usize = 60_000;

/// The shares of all members added up.
fn sum(field: Field, shares: &[Block]) -> Vec<u8> {
    let at = |c: usize| shares.iter().fold(0, |sum, share| field.add(sum, share[c]));
    (0..COORDINATES).map(at).collect()
}

/// The result of a group's one-round vote on any inputs, legal or not.
fn result(circuit: &Circuit, inputs: Vec<Vec<u8>>) -> Vec<u8> {
    let (session, coins) = (SessionId([3; 16]), vec![1; COORDINATES]);
    let key = |user: u16| {
        let context = Context { round: 0, attempt: 0, group: 0, user };
        MemberKeys::derive(&Seed::from_bytes([user as u8 + 1; 32]), session, context)
    };
    let keys: Vec<MemberKeys> = (0..inputs.len() as u16).map(key).collect();
    let (suite, holder) = (Suite::ChaCha20, holder(0, 0, inputs.len()));
    let deal = Deal { recipe: circuit.recipe(), keys: &keys, suite, holder, chunk: 0, coins: &coins, mac: None };
    let corrections = deal.corrections();
    let source = |member: usize| {
        let (key, recipe) = (keys[member].correlation.clone(), circuit.recipe().clone());
        if member != holder {
            return Seeded::new(key, suite, recipe);
        }
        let mut source = Seeded::holder(key, suite, recipe);
        for (entry, correction) in circuit.recipe().corrected().zip(&corrections) {
            source.correct(entry.slot, 0, correction.to_vec());
        }
        source
    };
    let sources: Vec<Seeded> = (0..inputs.len()).map(source).collect();
    let part = |member: usize| if member == 0 { Part::Designated } else { Part::Other };
    let mut members: Vec<Evaluation> =
        inputs.into_iter().enumerate().map(|(at, input)| Evaluation::new(circuit, part(at), 0, Block::new(input))).collect();
    let openings: Vec<Block> = members
        .iter_mut()
        .zip(&sources)
        .map(|(member, source)| member.open(circuit, 1, source).unwrap().pop().unwrap())
        .collect();
    let opened = sum(circuit.field(), &openings);
    let finals: Vec<Block> = members
        .into_iter()
        .zip(&sources)
        .map(|(mut member, source)| {
            member.absorb(circuit, 1, vec![opened.clone()], source).unwrap();
            member.finish(circuit, &coins, source).unwrap()
        })
        .collect();
    sum(circuit.field(), &finals)
}

/// In a group of 3, whose field is F_5, the input 3 outvotes two votes of -1, and looks normal but where both others vote +1.
#[test]
fn an_overweight_input_decides_and_is_seldom_seen() {
    let circuit = Settings { protocol: Protocol::OneRound, ..Settings::new(COORDINATES as u32) }.circuit(3).unwrap();
    let field = circuit.field();
    assert_eq!(field.order(), 5);
    // Each pair of honest votes in a quarter of the coordinates.
    let honest =
        |user: usize| -> Vec<u8> { (0..COORDINATES).map(|c| field.element(if (c >> user) & 1 == 1 { 1 } else { -1 })).collect() };
    let [a, b] = [0, 1].map(honest);
    let result = result(&circuit, vec![vec![3; COORDINATES], a.clone(), b.clone()]);
    let (mut decided, mut outvoted, mut seen) = (0, 0, 0);
    for ((&a, &b), &result) in a.iter().zip(&b).zip(&result) {
        let both = (a == 1, b == 1);
        assert_eq!(circuit.majority().decode(result), if both == (true, true) { None } else { Some(1) });
        decided += usize::from(result == 1);
        outvoted += usize::from(both == (false, false) && result == 1);
        seen += usize::from(circuit.majority().decode(result).is_none());
    }
    assert_eq!([decided, outvoted, seen], [3, 1, 1].map(|quarters| quarters * COORDINATES / 4));
}

/// The control: three honest votes never give an illegal result, and the majority is theirs.
#[test]
fn honest_inputs_are_never_seen_as_cheating() {
    let circuit = Settings { protocol: Protocol::OneRound, ..Settings::new(COORDINATES as u32) }.circuit(3).unwrap();
    let field = circuit.field();
    let votes =
        |user: usize| (0..COORDINATES).map(|c| field.element(if (c >> user) & 1 == 1 { 1 } else { -1 })).collect::<Vec<u8>>();
    let result = result(&circuit, (0..3).map(votes).collect());
    for (c, &result) in result.iter().enumerate() {
        let majority = if (c & 7).count_ones() >= 2 { 1 } else { -1 };
        assert_eq!(circuit.majority().decode(result), Some(majority), "{c}");
    }
}
