//! Powers with one mask for each operand: `x^i x^j = c + D_i m_j + D_j m_i + D_i D_j` with `D_i = x^i - m_i` opened once.

use super::beaver::{combine, first_power};
use super::{Block, Part, share};
use crate::Circuit;
use crate::correlation::{CorrelationSource, Missing};
use crate::field::block;

/// Shares of the powers of the argument, and what is known of the operands, by exponent.
pub(super) struct Powers {
    powers: Vec<Block>,
    masks: Vec<Block>,
    opened: Vec<Vec<u8>>,
}

impl Powers {
    pub(super) fn new(circuit: &Circuit, input: Block) -> Self {
        let powers = first_power(circuit, input);
        Self { masks: vec![Block::default(); powers.len()], opened: vec![Vec::new(); powers.len()], powers }
    }

    /// For each operand that the level before made, `x^i - m_i`.
    pub(super) fn open(
        &mut self,
        circuit: &Circuit,
        level: usize,
        chunk: u64,
        source: &dyn CorrelationSource,
    ) -> Result<Vec<Block>, Missing> {
        let mut opened = Vec::new();
        for (slot, power) in circuit.schedule().operands_of_level(level) {
            let mut masked = self.powers[power].clone();
            let mask = share(source, slot, chunk, masked.len())?;
            block::subtract_assign(circuit.field(), &mut masked, &mask);
            self.masks[power] = mask;
            opened.push(masked);
        }
        Ok(opened)
    }

    pub(super) fn absorb(
        &mut self,
        circuit: &Circuit,
        level: usize,
        sums: Vec<Vec<u8>>,
        (part, chunk): (Part, u64),
        source: &dyn CorrelationSource,
    ) -> Result<(), Missing> {
        let field = circuit.field();
        for ((_, power), sum) in circuit.schedule().operands_of_level(level).zip(sums) {
            self.opened[power] = sum;
        }
        let first_product = circuit.schedule().operands().len();
        for (t, product) in circuit.schedule().of_level(level) {
            let (i, j) = (product.i, product.j);
            let mut power = share(source, first_product + t, chunk, self.powers[1].len())?;
            block::multiply_add_assign(field, &mut power, &self.opened[i], &self.masks[j]);
            block::multiply_add_assign(field, &mut power, &self.opened[j], &self.masks[i]);
            if part == Part::Designated {
                block::multiply_add_assign(field, &mut power, &self.opened[i], &self.opened[j]);
            }
            self.powers[product.k] = power;
        }
        Ok(())
    }

    pub(super) fn finish(self, circuit: &Circuit, part: Part, coins: &[i8]) -> Block {
        combine(circuit, &self.powers, part, coins)
    }
}
