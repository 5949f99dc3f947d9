//! One opening: `D = x - r` is public, and `F(x) = F(D + r) = sum_j w_j(D) r^j` is linear in the shared powers of r.

use super::beaver::add_with_coins;
use super::{Block, Part, share};
use crate::correlation::{CorrelationSource, Missing};
use crate::field::block::{self, Accumulator};
use crate::field::lookup::look_up;
use crate::{Circuit, Field, Polynomial};

/// The share of the argument, then the opened difference.
pub(super) struct Masked {
    input: Block,
    difference: Vec<u8>,
}

impl Masked {
    pub(super) fn new(input: Block) -> Self {
        Self { input, difference: Vec::new() }
    }

    /// `x - r`.
    pub(super) fn open(
        &mut self,
        circuit_field: Field,
        chunk: u64,
        source: &dyn CorrelationSource,
    ) -> Result<Vec<Block>, Missing> {
        let mut masked = std::mem::take(&mut self.input);
        let mask = share(source, 0, chunk, masked.len())?;
        block::subtract_assign(circuit_field, &mut masked, &mask);
        Ok(vec![masked])
    }

    pub(super) fn absorb(&mut self, sums: Vec<Vec<u8>>) {
        self.difference = sums.into_iter().next().unwrap_or_default();
    }

    pub(super) fn finish(
        self,
        circuit: &Circuit,
        (part, chunk): (Part, u64),
        coins: &[i8],
        source: &dyn CorrelationSource,
    ) -> Result<Block, Missing> {
        let majority = circuit.majority();
        let mut base = Weighted::new(majority.base(), self.difference.len());
        let mut on_tie = majority.on_tie().map(|on_tie| Weighted::new(on_tie, self.difference.len()));
        let mut power = Block::new(vec![0; self.difference.len()]);
        for j in 1..=majority.degree() {
            source.share(j as u32 - 1, chunk, &mut power)?;
            base.add(j, &self.difference, &power);
            if let Some(on_tie) = &mut on_tie {
                on_tie.add(j, &self.difference, &power);
            }
        }
        let mut result = base.finish(part, &self.difference);
        if let Some(on_tie) = on_tie {
            add_with_coins(circuit.field(), &mut result, &on_tie.finish(part, &self.difference), coins);
        }
        Ok(result)
    }
}

/// `sum_j w_j(D) r^j` of one polynomial.
struct Weighted {
    /// `w_j(D)` at `[j][D]`.
    tables: Vec<Vec<u8>>,
    sum: Accumulator,
    weights: Vec<u8>,
}

impl Weighted {
    fn new(polynomial: &Polynomial, length: usize) -> Self {
        Self { tables: weight_tables(polynomial), sum: Accumulator::new(polynomial.field(), length), weights: vec![0; length] }
    }

    fn add(&mut self, j: usize, difference: &[u8], power: &[u8]) {
        if let Some(table) = self.tables.get(j) {
            look_up(table, difference, &mut self.weights);
            self.sum.add_product(&self.weights, power);
        }
    }

    fn finish(mut self, part: Part, difference: &[u8]) -> Block {
        if part == Part::Designated {
            look_up(&self.tables[0], difference, &mut self.weights);
            self.sum.add(&self.weights);
        }
        let mut value = Block::new(vec![0; difference.len()]);
        self.sum.finish(&mut value);
        value
    }
}

/// The weights at every difference: `[j][D]`.
pub(crate) fn weight_tables(polynomial: &Polynomial) -> Vec<Vec<u8>> {
    let rows: Vec<Vec<u8>> = polynomial.field().elements().map(|difference| polynomial.shifted(difference)).collect();
    (0..=polynomial.degree()).map(|j| rows.iter().map(|row| row[j]).collect()).collect()
}
