//! All members of a circuit in step, on shares: what transcripts are compared with.

use crate::Circuit;
use crate::correlation::{CorrelationSource, Missing};
use crate::evaluate::{Block, Evaluation, Part};
use crate::field::block::{self, Accumulator};

/// What the members of a group sent, and what came out.
pub(super) struct Run {
    /// `[level][user][vector]`.
    pub(super) sent: Vec<Vec<Vec<Block>>>,
    /// `[level][vector]`.
    pub(super) sums: Vec<Vec<Vec<u8>>>,
    pub(super) final_shares: Vec<Block>,
    pub(super) result: Vec<u8>,
}

/// Evaluates a circuit among members with these votes and shares.
pub(super) fn run(circuit: &Circuit, votes: &[&[i8]], sources: &[&dyn CorrelationSource]) -> Result<Run, Missing> {
    let field = circuit.field();
    let begin = |(user, votes): (usize, &&[i8])| {
        let mut input = Block::new(vec![0; votes.len()]);
        block::from_votes(field, votes, &mut input);
        Evaluation::new(circuit, if user == 0 { Part::Designated } else { Part::Other }, 0, input)
    };
    let mut users: Vec<Evaluation> = votes.iter().enumerate().map(begin).collect();
    let (mut sent, mut sums) = (Vec::new(), Vec::new());
    for level in 1..=circuit.levels() {
        let opened: Vec<Vec<Block>> =
            users.iter_mut().zip(sources).map(|(user, source)| user.open(circuit, level, *source)).collect::<Result<_, _>>()?;
        let vectors = 0..circuit.openings(level);
        let added: Vec<Vec<u8>> = vectors.map(|vector| sum(circuit, opened.iter().map(|vectors| &vectors[vector]))).collect();
        for (user, source) in users.iter_mut().zip(sources) {
            user.absorb(circuit, level, added.clone(), *source)?;
        }
        sent.push(opened);
        sums.push(added);
    }
    let coins = vec![1; votes.first().map_or(0, |votes| votes.len())];
    let finish = |(user, source): (Evaluation, &&dyn CorrelationSource)| user.finish(circuit, &coins, *source);
    let final_shares: Vec<Block> = users.into_iter().zip(sources).map(finish).collect::<Result<_, _>>()?;
    let result = sum(circuit, final_shares.iter());
    Ok(Run { sent, sums, final_shares, result })
}

fn sum<'a>(circuit: &Circuit, mut shares: impl Iterator<Item = &'a Block>) -> Vec<u8> {
    let Some(first) = shares.next() else { return Vec::new() };
    let mut sum = Accumulator::new(circuit.field(), first.len());
    sum.add(first);
    shares.for_each(|share| sum.add(share));
    let mut residues = vec![0; first.len()];
    sum.finish(&mut residues);
    residues
}

/// Blocks as plain vectors, to compare.
pub(super) fn plain(blocks: &[Block]) -> Vec<Vec<u8>> {
    blocks.iter().map(|block| block.to_vec()).collect()
}
