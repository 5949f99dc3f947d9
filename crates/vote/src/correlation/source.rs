//! Where a user's shares come from.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::Slot;
use crate::Field;
use crate::prg::{StreamKey, Suite};

/// A vector that a source does not have, or has in another length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the share of vector {slot} is missing in chunk {chunk}")]
pub struct Missing {
    /// The vector.
    pub slot: Slot,
    /// The chunk.
    pub chunk: u64,
}

/// A user's shares of the vectors of correlated randomness.
pub trait CorrelationSource {
    /// Writes the share of a vector's chunk.
    ///
    /// # Errors
    /// [`Missing`] if the source does not have it.
    fn share(&self, slot: Slot, chunk: u64, share: &mut [u8]) -> Result<(), Missing>;
}

/// Shares that are given, for tests against vectors.
#[derive(Clone, Default)]
pub struct Explicit {
    shares: BTreeMap<(Slot, u64), Zeroizing<Vec<u8>>>,
}

impl Explicit {
    /// Sets the share of a vector's chunk.
    pub fn insert(&mut self, slot: Slot, chunk: u64, share: Vec<u8>) {
        self.shares.insert((slot, chunk), Zeroizing::new(share));
    }
}

impl CorrelationSource for Explicit {
    fn share(&self, slot: Slot, chunk: u64, share: &mut [u8]) -> Result<(), Missing> {
        match self.shares.get(&(slot, chunk)) {
            Some(known) if known.len() == share.len() => {
                share.copy_from_slice(known);
                Ok(())
            }
            _ => Err(Missing { slot, chunk }),
        }
    }
}

/// Shares expanded from a key; those that the dealer corrected for the holder come first.
pub struct Seeded {
    key: StreamKey,
    suite: Suite,
    field: Field,
    corrections: Explicit,
    corrected: Vec<Slot>,
}

impl Seeded {
    /// The shares of a user that is not the holder.
    pub fn new(key: StreamKey, suite: Suite, field: Field) -> Self {
        Self { key, suite, field, corrections: Explicit::default(), corrected: Vec::new() }
    }

    /// The shares of the holder, who expands everything but the `corrected` slots.
    pub fn holder(key: StreamKey, suite: Suite, field: Field, corrected: impl IntoIterator<Item = Slot>) -> Self {
        Self { corrected: corrected.into_iter().collect(), ..Self::new(key, suite, field) }
    }

    /// Takes a correction from the dealer.
    pub fn correct(&mut self, slot: Slot, chunk: u64, share: Vec<u8>) {
        self.corrections.insert(slot, chunk, share);
    }
}

impl CorrelationSource for Seeded {
    fn share(&self, slot: Slot, chunk: u64, share: &mut [u8]) -> Result<(), Missing> {
        if self.corrected.contains(&slot) {
            return self.corrections.share(slot, chunk, share);
        }
        self.key.expand(self.suite, slot, chunk, self.field, share);
        Ok(())
    }
}
