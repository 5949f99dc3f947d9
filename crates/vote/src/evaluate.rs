//! The online part of a vote on one user's shares, chunk by chunk.
//!
//! The argument of the polynomial is the sum of all votes, so a user's own votes are its additive share of it: there is no round
//! in which inputs are shared. Constants are added by one *designated* user, the first of the group.

mod beaver;
mod lean;
mod one_round;
mod sealed;

use crate::correlation::{CorrelationSource, Missing, SIGN_MASKS, ZERO_SHARING};
use crate::field::block::{self, Accumulator};
use crate::wiped::Wiped;
use crate::{Circuit, Field, Protocol};

pub(crate) use one_round::{Weights, weight_tables};
pub use sealed::open_table;

/// A block of secret elements, wiped when dropped.
pub type Block = Wiped<u8>;

/// Whether a user adds the public constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The one user who does.
    Designated,
    /// Any other.
    Other,
}

/// What one user knows of a chunk while it evaluates a circuit.
pub struct Evaluation {
    chunk: u64,
    part: Part,
    state: State,
}

enum State {
    Beaver(beaver::Powers),
    Lean(lean::Powers),
    OneRound(one_round::Masked),
}

impl Evaluation {
    /// Starts with the user's share of the argument.
    pub fn new(circuit: &Circuit, part: Part, chunk: u64, input: Block) -> Self {
        let state = match circuit.protocol() {
            Protocol::Beaver => State::Beaver(beaver::Powers::new(circuit, input)),
            Protocol::Lean => State::Lean(lean::Powers::new(circuit, input)),
            Protocol::OneRound | Protocol::Survivors | Protocol::Sealed => State::OneRound(one_round::Masked::new(input)),
        };
        Self { chunk, part, state }
    }

    /// The vectors that the user opens at a level, from 1.
    ///
    /// # Errors
    /// [`Missing`] if the source lacks a share.
    pub fn open(&mut self, circuit: &Circuit, level: usize, source: &dyn CorrelationSource) -> Result<Vec<Block>, Missing> {
        match &mut self.state {
            State::Beaver(powers) => powers.open(circuit, level, self.chunk, source),
            State::Lean(powers) => powers.open(circuit, level, self.chunk, source),
            State::OneRound(masked) => masked.open(circuit.field(), self.chunk, source),
        }
    }

    /// Takes the sums of what all members opened at a level: public vectors of the chunk's length, as many as were opened.
    ///
    /// # Errors
    /// [`Missing`] if the source lacks a share.
    pub fn absorb(
        &mut self,
        circuit: &Circuit,
        level: usize,
        sums: Vec<Vec<u8>>,
        source: &dyn CorrelationSource,
    ) -> Result<(), Missing> {
        match &mut self.state {
            State::Beaver(powers) => powers.absorb(circuit, level, &sums, (self.part, self.chunk), source),
            State::Lean(powers) => powers.absorb(circuit, level, sums, (self.part, self.chunk), source),
            State::OneRound(masked) => {
                masked.absorb(sums);
                Ok(())
            }
        }
    }

    /// The user's share of the result, under the public coins of the chunk.
    ///
    /// # Errors
    /// [`Missing`] if the source lacks a share.
    pub fn finish(self, circuit: &Circuit, coins: &[i8], source: &dyn CorrelationSource) -> Result<Block, Missing> {
        let mut share = match self.state {
            State::Beaver(powers) => powers.finish(circuit, self.part, coins),
            State::Lean(powers) => powers.finish(circuit, self.part, coins),
            State::OneRound(masked) => masked.finish(circuit, (self.part, self.chunk), coins, source)?,
        };
        if circuit.recipe().has_zero_sharing() {
            let mut zero = Block::new(vec![0; share.len()]);
            source.share(ZERO_SHARING, self.chunk, &mut zero)?;
            block::add_assign(circuit.field(), &mut share, &zero);
        }
        Ok(share)
    }
}

/// A user's share of its group's sum of votes, from the masked signs that all members published: `sum_i f_i [b_i]`.
///
/// # Errors
/// [`Missing`] if the source lacks a share of a mask.
pub fn unmask(field: Field, flags: &[Vec<i8>], chunk: u64, source: &dyn CorrelationSource) -> Result<Block, Missing> {
    let length = flags.first().map_or(0, Vec::len);
    let mut sum = Accumulator::new(field, length);
    let (mut mask, mut elements) = (Block::new(vec![0; length]), vec![0; length]);
    for (slot, flags) in (SIGN_MASKS..).zip(flags) {
        source.share(slot, chunk, &mut mask)?;
        block::from_votes(field, flags, &mut elements);
        sum.add_product(&elements, &mask);
    }
    sum.finish(&mut mask);
    Ok(mask)
}

/// A user's share of a vector.
fn share(source: &dyn CorrelationSource, slot: usize, chunk: u64, length: usize) -> Result<Block, Missing> {
    let mut share = Block::new(vec![0; length]);
    source.share(slot as u32, chunk, &mut share)?;
    Ok(share)
}
