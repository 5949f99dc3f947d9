//! The vote of a group that stays shared: a one-time truth table.
//!
//! The dealer shares `T[i] = F(i + r)` in the field of the outer vote; with `D = x - r` public, `T[D] = F(x)`.

use super::Block;
use crate::Field;
use crate::correlation::{CorrelationSource, Missing};
use crate::field::block;

/// A user's share of the table at the public places `difference`, elements of `inner`. The table's vectors start at slot 1.
///
/// # Errors
/// [`Missing`] if the source lacks a vector.
pub fn open_table(inner: Field, difference: &[u8], chunk: u64, source: &dyn CorrelationSource) -> Result<Block, Missing> {
    let mut chosen = Block::new(vec![0; difference.len()]);
    let mut entry = Block::new(vec![0; difference.len()]);
    for place in inner.elements() {
        source.share(u32::from(place) + 1, chunk, &mut entry)?;
        block::choose_where(&mut chosen, &entry, difference, place);
    }
    Ok(chosen)
}
