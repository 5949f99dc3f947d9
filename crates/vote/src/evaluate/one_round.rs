//! One opening: `D = x - r` is public, and `F(x) = F(D + r) = sum_j w_j(D) r^j` is linear in the shared powers of r.

use super::beaver::add_with_coins;
use super::{Block, Part, share};
use crate::correlation::{CorrelationSource, Missing};
use crate::field::block::{self, Accumulator, Products};
use crate::field::lookup::look_up;
use crate::{Circuit, Field, Majority, Polynomial};

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
        let weights = circuit.weights();
        let (field, difference) = (circuit.field(), self.difference);
        let mut base = Weighted::new(field, &weights.base, &difference);
        let mut on_tie = weights.on_tie.as_ref().map(|tables| Weighted::new(field, tables, &difference));
        for j in 1..=circuit.majority().degree() {
            let (mut base, mut on_tie) = (base.term(j), on_tie.as_mut().and_then(|on_tie| on_tie.term(j)));
            source.visit(j as u32 - 1, chunk, difference.len(), &mut |at, power| {
                for term in [&mut base, &mut on_tie].into_iter().flatten() {
                    term.add(at, power);
                }
            })?;
        }
        let mut result = base.finish(part);
        if let Some(on_tie) = on_tie {
            add_with_coins(field, &mut result, &on_tie.finish(part), coins);
        }
        Ok(result)
    }
}

/// The weights of a circuit's polynomials, `w_j(D)` at `[j][D]`.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    base: Vec<Vec<u8>>,
    on_tie: Option<Vec<Vec<u8>>>,
}

impl Weights {
    pub(crate) fn of(majority: &Majority) -> Self {
        Self { base: weight_tables(majority.base()), on_tie: majority.on_tie().map(weight_tables) }
    }
}

/// `sum_j w_j(D) r^j` of one polynomial.
struct Weighted<'a> {
    tables: &'a [Vec<u8>],
    difference: &'a [u8],
    sum: Accumulator,
    weights: Vec<u8>,
}

/// One j of the sum.
struct Term<'a> {
    table: &'a [u8],
    difference: &'a [u8],
    products: Products<'a>,
    weights: &'a mut Vec<u8>,
}

impl<'a> Weighted<'a> {
    fn new(field: Field, tables: &'a [Vec<u8>], difference: &'a [u8]) -> Self {
        Self { tables, difference, sum: Accumulator::new(field, difference.len()), weights: Vec::new() }
    }

    fn term(&mut self, j: usize) -> Option<Term<'_>> {
        let table = self.tables.get(j)?;
        Some(Term { table, difference: self.difference, products: self.sum.products(), weights: &mut self.weights })
    }

    fn finish(mut self, part: Part) -> Block {
        let mut value = Block::new(vec![0; self.difference.len()]);
        if part == Part::Designated {
            look_up(&self.tables[0], self.difference, &mut value);
            self.sum.add(&value);
        }
        self.sum.finish(&mut value);
        value
    }
}

impl Term<'_> {
    /// Adds a part of the share of `r^j`, in bytes that are congruent to it.
    fn add(&mut self, at: usize, power: &[u8]) {
        self.weights.resize(power.len(), 0);
        look_up(self.table, &self.difference[at..at + power.len()], self.weights);
        self.products.add(at, self.weights, power);
    }
}

/// The weights at every difference: `[j][D]`.
pub(crate) fn weight_tables(polynomial: &Polynomial) -> Vec<Vec<u8>> {
    let rows: Vec<Vec<u8>> = polynomial.field().elements().map(|difference| polynomial.shifted(difference)).collect();
    (0..=polynomial.degree()).map(|j| rows.iter().map(|row| row[j]).collect()).collect()
}
