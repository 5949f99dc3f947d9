//! Powers by Beaver triples: `x y = c + delta b + eps a + delta eps` with `delta = x - a` and `eps = y - b` opened.

use super::{Block, Part, share};
use crate::correlation::{CorrelationSource, Missing};
use crate::field::block::{self, Accumulator};
use crate::{Circuit, Field, Polynomial};

/// Shares of the powers of the argument.
pub(super) struct Powers {
    /// By exponent; empty where not made, and at 0.
    powers: Vec<Block>,
    /// The shares of a and b of the level that is open.
    open: Vec<[Block; 2]>,
}

impl Powers {
    pub(super) fn new(circuit: &Circuit, input: Block) -> Self {
        Self { powers: first_power(circuit, input), open: Vec::new() }
    }

    /// For each product of the level `x^i - a`, then `x^j - b`.
    pub(super) fn open(
        &mut self,
        circuit: &Circuit,
        level: usize,
        chunk: u64,
        source: &dyn CorrelationSource,
    ) -> Result<Vec<Block>, Missing> {
        let mut opened = Vec::new();
        for (t, product) in circuit.schedule().of_level(level) {
            let mut masks = [Block::default(), Block::default()];
            for ((mask, slot), power) in masks.iter_mut().zip(3 * t..).zip([product.i, product.j]) {
                let mut masked = self.powers[power].clone();
                *mask = share(source, slot, chunk, masked.len())?;
                block::subtract_assign(circuit.field(), &mut masked, mask);
                opened.push(masked);
            }
            self.open.push(masks);
        }
        Ok(opened)
    }

    pub(super) fn absorb(
        &mut self,
        circuit: &Circuit,
        level: usize,
        sums: &[Vec<u8>],
        (part, chunk): (Part, u64),
        source: &dyn CorrelationSource,
    ) -> Result<(), Missing> {
        let field = circuit.field();
        let masks = std::mem::take(&mut self.open);
        for (((t, product), [a, b]), opened) in circuit.schedule().of_level(level).zip(&masks).zip(sums.chunks_exact(2)) {
            let (delta, eps) = (&opened[0], &opened[1]);
            let mut power = share(source, 3 * t + 2, chunk, a.len())?;
            block::multiply_add_assign(field, &mut power, delta, b);
            block::multiply_add_assign(field, &mut power, eps, a);
            if part == Part::Designated {
                block::multiply_add_assign(field, &mut power, delta, eps);
            }
            self.powers[product.k] = power;
        }
        Ok(())
    }

    pub(super) fn finish(self, circuit: &Circuit, part: Part, coins: &[i8]) -> Block {
        combine(circuit, &self.powers, part, coins)
    }
}

/// The powers with only the first one known.
pub(super) fn first_power(circuit: &Circuit, input: Block) -> Vec<Block> {
    let mut powers = vec![Block::default(); circuit.majority().degree().max(1) + 1];
    powers[1] = input;
    powers
}

/// `F = sum_k a_k x^k`, the constant added by the designated user.
pub(super) fn combine(circuit: &Circuit, powers: &[Block], part: Part, coins: &[i8]) -> Block {
    let field = circuit.field();
    let length = powers[1].len();
    let mut result = polynomial(field, circuit.majority().base(), powers, part, length);
    if let Some(on_tie) = circuit.majority().on_tie() {
        let on_tie = polynomial(field, on_tie, powers, part, length);
        add_with_coins(field, &mut result, &on_tie, coins);
    }
    result
}

fn polynomial(field: Field, polynomial: &Polynomial, powers: &[Block], part: Part, length: usize) -> Block {
    let mut sum = Accumulator::new(field, length);
    for k in polynomial.support() {
        match k {
            0 if part == Part::Designated => sum.add(&vec![polynomial.coefficient(0); length]),
            0 => {}
            _ => sum.add_scaled(polynomial.coefficient(k), &powers[k]),
        }
    }
    let mut value = Block::new(vec![0; length]);
    sum.finish(&mut value);
    value
}

/// `result += coin on_tie`.
pub(super) fn add_with_coins(field: Field, result: &mut [u8], on_tie: &[u8], coins: &[i8]) {
    let mut elements = vec![0; coins.len()];
    block::from_votes(field, coins, &mut elements);
    block::multiply_add_assign(field, result, on_tie, &elements);
}
