//! Which vectors of correlated randomness a circuit takes, and what their shares add up to.

use crate::schedule::Schedule;
use crate::{Field, Majority, Tie};

/// The number of a vector, which names its stream.
pub type Slot = u32;

/// The slot of the sharing of zero.
pub const ZERO_SHARING: Slot = 0xffff;

/// The slot of the first member's sign mask.
pub const SIGN_MASKS: Slot = 0x1_0000;

/// What the shares of a vector add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Anything: every user expands its share.
    Uniform,
    /// The product of two earlier vectors, by their places in the recipe.
    Product(usize, usize),
    /// Zero.
    Zero,
    /// The vote at `shift + r`, r the first vector.
    Truth(u8),
    /// The sign mask of a member, by its place in the group.
    Sign(usize),
}

impl Value {
    /// Whether the holder's share is sent by the dealer.
    pub const fn is_corrected(self) -> bool {
        !matches!(self, Self::Uniform)
    }
}

/// A vector of correlated randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub slot: Slot,
    /// The field of its shares.
    pub field: Field,
    /// What they add up to.
    pub value: Value,
}

/// The vectors of a circuit, ascending by slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    field: Field,
    entries: Vec<Entry>,
    /// For truth tables: the vote at each sum, and the tie policy.
    truth: Vec<(u8, i8)>,
    tie: Tie,
}

impl Recipe {
    fn new(field: Field, values: impl Iterator<Item = Value>) -> Self {
        let entries = (0..).zip(values).map(|(slot, value)| Entry { slot, field, value }).collect();
        Self { field, entries, truth: Vec::new(), tie: Tie::Zero }
    }

    /// Triples `(a, b, ab)` at the slots `3t, 3t+1, 3t+2` for product t.
    pub fn triples(field: Field, schedule: &Schedule) -> Self {
        let triple = |t: usize| [Value::Uniform, Value::Uniform, Value::Product(3 * t, 3 * t + 1)];
        Self::new(field, (0..schedule.products().len()).flat_map(triple))
    }

    /// A mask for each operand, then for each product the product of its operands' masks.
    pub fn masked_operands(field: Field, schedule: &Schedule) -> Self {
        let operands = schedule.operands();
        // Every factor is an operand.
        let place = |power: usize| operands.partition_point(|&operand| operand < power);
        let masks = operands.iter().map(|_| Value::Uniform);
        let products = schedule.products().iter().map(|product| Value::Product(place(product.i), place(product.j)));
        Self::new(field, masks.chain(products))
    }

    /// A mask r and its powers `r^2, ..., r^degree`.
    pub fn powers(field: Field, degree: usize) -> Self {
        Self::new(field, (1..=degree.max(1)).map(|j| if j == 1 { Value::Uniform } else { Value::Product(j - 2, 0) }))
    }

    /// A mask r, then, in the field `outer`, the vote at `i + r` for each element i.
    pub fn truth_table(majority: &Majority, outer: Field) -> Self {
        let field = majority.field();
        let mut recipe = Self::new(field, std::iter::once(Value::Uniform));
        let row = |place: u8| Entry { slot: Slot::from(place) + 1, field: outer, value: Value::Truth(place) };
        recipe.entries.extend(field.elements().map(row));
        let sums = majority.domain().sums(majority.voters());
        recipe.truth = sums.map(|sum| (field.element(sum), majority.tie().majority(sum, 0))).collect();
        recipe.tie = majority.tie();
        recipe
    }

    /// The same with a sharing of zero.
    pub(crate) fn with_zero_sharing(mut self) -> Self {
        self.entries.push(Entry { slot: ZERO_SHARING, field: self.field, value: Value::Zero });
        self
    }

    /// The same with a sign mask for each member.
    pub(crate) fn with_sign_masks(mut self, members: usize) -> Self {
        let field = self.field;
        let mask = |member: usize| Entry { slot: SIGN_MASKS + member as Slot, field, value: Value::Sign(member) };
        self.entries.extend((0..members).map(mask));
        self
    }

    /// The field of uniform vectors.
    pub const fn field(&self) -> Field {
        self.field
    }

    /// The vectors, ascending by slot.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The vector at a slot.
    pub fn entry(&self, slot: Slot) -> Option<Entry> {
        let place = self.entries.binary_search_by_key(&slot, |entry| entry.slot).ok()?;
        Some(self.entries[place])
    }

    /// Whether there is a sharing of zero.
    pub fn has_zero_sharing(&self) -> bool {
        self.entry(ZERO_SHARING).is_some()
    }

    /// The vectors whose holder's share is sent, ascending by slot; all are in one field.
    pub fn corrected(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter().copied().filter(|entry| entry.value.is_corrected())
    }

    /// The field of the corrected vectors, if there are any.
    pub fn corrected_field(&self) -> Option<Field> {
        self.corrected().next().map(|entry| entry.field)
    }

    /// The vectors that carry authentication codes: all but the sharing of zero.
    pub fn authenticated(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter().copied().filter(|entry| entry.value != Value::Zero)
    }

    /// The vote at each element that a sum can be, 0 on ties that a coin decides.
    pub(super) fn truth(&self) -> &[(u8, i8)] {
        &self.truth
    }

    /// Whether ties take the coin of the coordinate.
    pub(super) fn has_coin(&self) -> bool {
        self.tie == Tie::Coin
    }

    /// The place of the last vector that needs the value of an entry.
    pub(super) fn last_use(&self, place: usize) -> Option<usize> {
        self.entries.iter().rposition(|entry| match entry.value {
            Value::Product(a, b) => a == place || b == place,
            Value::Truth(_) => place == 0,
            _ => false,
        })
    }
}
