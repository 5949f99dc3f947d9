//! Where a user's shares come from.

use std::collections::BTreeMap;

use super::{Recipe, Slot};
use crate::Field;
use crate::evaluate::Block;
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

    /// Shows the share of a vector's chunk part by part, with the places of the parts, as bytes that are congruent to its elements.
    ///
    /// # Errors
    /// [`Missing`] if the source does not have it.
    fn visit(&self, slot: Slot, chunk: u64, length: usize, see: &mut dyn FnMut(usize, &[u8])) -> Result<(), Missing> {
        let mut share = Block::new(vec![0; length]);
        self.share(slot, chunk, &mut share)?;
        see(0, &share);
        Ok(())
    }
}

/// Shares that are given: corrections of the dealer, and tests against vectors.
#[derive(Clone, Default)]
pub struct Explicit {
    shares: BTreeMap<(Slot, u64), Block>,
}

impl Explicit {
    /// Sets the share of a vector's chunk.
    pub fn insert(&mut self, slot: Slot, chunk: u64, share: Vec<u8>) {
        self.shares.insert((slot, chunk), Block::new(share));
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

/// Shares expanded from a key; the holder's corrected ones come from the dealer.
pub struct Seeded {
    key: StreamKey,
    suite: Suite,
    recipe: Recipe,
    /// The holder's shares of the corrected vectors.
    corrections: Option<Explicit>,
}

impl Seeded {
    /// The shares of a user that is not the holder.
    pub const fn new(key: StreamKey, suite: Suite, recipe: Recipe) -> Self {
        Self { key, suite, recipe, corrections: None }
    }

    /// The shares of the holder, who expands everything but the corrected vectors.
    pub fn holder(key: StreamKey, suite: Suite, recipe: Recipe) -> Self {
        Self { corrections: Some(Explicit::default()), ..Self::new(key, suite, recipe) }
    }

    fn source(&self, slot: Slot, chunk: u64) -> Result<Source<'_>, Missing> {
        let entry = self.recipe.entry(slot).ok_or(Missing { slot, chunk })?;
        Ok(match &self.corrections {
            Some(corrections) if entry.value.is_corrected() => Source::Given(corrections),
            _ => Source::Expanded(entry.field),
        })
    }

    /// Takes a correction from the dealer; only a holder has use for it.
    pub fn correct(&mut self, slot: Slot, chunk: u64, share: Vec<u8>) {
        if let Some(corrections) = &mut self.corrections {
            corrections.insert(slot, chunk, share);
        }
    }
}

impl CorrelationSource for Seeded {
    fn share(&self, slot: Slot, chunk: u64, share: &mut [u8]) -> Result<(), Missing> {
        match self.source(slot, chunk)? {
            Source::Given(corrections) => corrections.share(slot, chunk, share),
            Source::Expanded(field) => {
                self.key.expand(self.suite, slot, chunk, field, share);
                Ok(())
            }
        }
    }

    fn visit(&self, slot: Slot, chunk: u64, length: usize, see: &mut dyn FnMut(usize, &[u8])) -> Result<(), Missing> {
        match self.source(slot, chunk)? {
            Source::Given(corrections) => corrections.visit(slot, chunk, length, see),
            Source::Expanded(field) => {
                self.key.visit(self.suite, slot, chunk, (field, length), see);
                Ok(())
            }
        }
    }
}

/// Where one vector's share comes from.
enum Source<'a> {
    Given(&'a Explicit),
    Expanded(Field),
}
