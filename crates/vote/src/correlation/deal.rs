//! The dealer's part: what the holder's shares must be.

use zeroize::Zeroizing;

use super::{Recipe, Value};
use crate::field::block::{self, Accumulator};
use crate::prg::{StreamKey, Suite};

/// The place among `members` of the one that gets the corrections: it rotates.
pub const fn holder(round: u32, attempt: u16, members: usize) -> usize {
    ((round as u64 + attempt as u64) % members as u64) as usize
}

/// The holder's shares of the corrected vectors of a chunk of `length` coordinates, ascending by slot.
///
/// `keys` are the members' keys in their order, `holder` is the holder's place among them.
pub fn corrections(
    recipe: &Recipe,
    keys: &[StreamKey],
    suite: Suite,
    holder: usize,
    chunk: u64,
    length: usize,
) -> Vec<Zeroizing<Vec<u8>>> {
    let field = recipe.field();
    let mut values: Vec<Zeroizing<Vec<u8>>> = Vec::with_capacity(recipe.entries().len());
    let mut corrections = Vec::new();
    let (mut sum, mut share) = (Accumulator::new(field, length), Zeroizing::new(vec![0; length]));
    for (place, &(slot, value)) in recipe.entries().iter().enumerate() {
        let others = keys.iter().enumerate().filter(|&(member, _)| member != holder || !value.is_corrected());
        for (_, key) in others {
            key.expand(suite, slot, chunk, field, &mut share);
            sum.add(&share);
        }
        let mut total = Zeroizing::new(vec![0; length]);
        sum.finish(&mut total);
        let target = match value {
            Value::Uniform => total,
            Value::Zero | Value::Product(..) => {
                let target = target(field, value, &values, length);
                let mut correction = target.clone();
                block::subtract_assign(field, &mut correction, &total);
                corrections.push(correction);
                target
            }
        };
        values.push(target);
        release(recipe, place, &mut values);
    }
    corrections
}

/// What the shares of a corrected vector add up to.
fn target(field: crate::Field, value: Value, values: &[Zeroizing<Vec<u8>>], length: usize) -> Zeroizing<Vec<u8>> {
    match value {
        Value::Product(a, b) => {
            let mut product = values[a].clone();
            block::multiply_assign(field, &mut product, &values[b]);
            product
        }
        Value::Uniform | Value::Zero => Zeroizing::new(vec![0; length]),
    }
}

/// Frees the values that no later product needs.
fn release(recipe: &Recipe, place: usize, values: &mut [Zeroizing<Vec<u8>>]) {
    for (earlier, value) in values.iter_mut().enumerate() {
        if !value.is_empty() && recipe.last_use(earlier).is_none_or(|last| last <= place) {
            *value = Zeroizing::default();
        }
    }
}
