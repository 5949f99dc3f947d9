//! Which vectors of correlated randomness a circuit takes, and what their shares add up to.

use crate::Field;
use crate::schedule::Schedule;

/// The number of a vector, which names its stream.
pub type Slot = u32;

/// The slot of the sharing of zero.
pub const ZERO_SHARING: Slot = 0xffff;

/// What the shares of a vector add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Anything: every user expands its share.
    Uniform,
    /// The product of two earlier vectors, by their places in the recipe.
    Product(usize, usize),
    /// Zero.
    Zero,
}

impl Value {
    /// Whether the holder's share is sent by the dealer.
    pub const fn is_corrected(self) -> bool {
        !matches!(self, Self::Uniform)
    }
}

/// The vectors of a circuit, ascending by slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    field: Field,
    entries: Vec<(Slot, Value)>,
}

impl Recipe {
    /// Triples `(a, b, ab)` at the slots `3t, 3t+1, 3t+2` for product t.
    pub fn triples(field: Field, schedule: &Schedule) -> Self {
        let triple = |t: usize| {
            let slot = 3 * t as Slot;
            [(slot, Value::Uniform), (slot + 1, Value::Uniform), (slot + 2, Value::Product(3 * t, 3 * t + 1))]
        };
        Self { field, entries: (0..schedule.products().len()).flat_map(triple).collect() }
    }

    /// A mask for each operand, then for each product the product of its operands' masks.
    pub fn masked_operands(field: Field, schedule: &Schedule) -> Self {
        let operands = schedule.operands();
        // Every factor is an operand.
        let place = |power: usize| operands.partition_point(|&operand| operand < power);
        let masks = operands.iter().map(|_| Value::Uniform);
        let products = schedule.products().iter().map(|product| Value::Product(place(product.i), place(product.j)));
        Self { field, entries: (0..).zip(masks.chain(products)).collect() }
    }

    /// A mask r and its powers `r^2, ..., r^degree`.
    pub fn powers(field: Field, degree: usize) -> Self {
        let power = |j: usize| if j == 1 { Value::Uniform } else { Value::Product(j - 2, 0) };
        Self { field, entries: (1..=degree.max(1)).map(|j| (j as Slot - 1, power(j))).collect() }
    }

    /// The same with a sharing of zero.
    pub(crate) fn with_zero_sharing(mut self) -> Self {
        self.entries.push((ZERO_SHARING, Value::Zero));
        self
    }

    /// The field.
    pub const fn field(&self) -> Field {
        self.field
    }

    /// The slots and their values, ascending by slot.
    pub fn entries(&self) -> &[(Slot, Value)] {
        &self.entries
    }

    /// Whether there is a sharing of zero.
    pub fn has_zero_sharing(&self) -> bool {
        self.entries.last().is_some_and(|&(slot, _)| slot == ZERO_SHARING)
    }

    /// The slots whose holder's share is sent, ascending.
    pub fn corrected(&self) -> impl Iterator<Item = Slot> {
        self.entries.iter().filter(|(_, value)| value.is_corrected()).map(|&(slot, _)| slot)
    }

    /// The place of the last product that uses an entry.
    pub(super) fn last_use(&self, place: usize) -> Option<usize> {
        self.entries.iter().rposition(|&(_, value)| matches!(value, Value::Product(a, b) if a == place || b == place))
    }
}
