//! Where a stream of noise stands.

use serde::{Deserialize, Serialize};
use thalweg_descent::state;

use crate::error::{Error, Result};
use crate::strategy::Strategy;

/// The step that comes next, of so many, for vectors of this length.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) next: u64,
    pub(super) steps: u64,
    pub(super) len: usize,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    next: u64,
    len: u64,
}

impl Place {
    pub(super) fn start(strategy: &Strategy, len: usize) -> Self {
        Self { next: 0, steps: strategy.steps() as u64, len }
    }

    /// The next step, when there is one and its vector has this length.
    pub(super) fn takes(&self, len: usize) -> Result<u64> {
        if self.next >= self.steps {
            return Err(Error::Exhausted { steps: self.steps });
        }
        if len != self.len {
            return Err(Error::value("the length of the vector that gets noise", len, &self.len.to_string()));
        }
        Ok(self.next)
    }

    pub(super) fn go_to(&mut self, step: u64) -> Result<()> {
        if step > self.steps {
            return Err(Error::Exhausted { steps: self.steps });
        }
        self.next = step;
        Ok(())
    }

    pub(super) fn save(&self) -> Vec<u8> {
        state::encode(&Saved { next: self.next, len: self.len as u64 })
    }

    /// The step in the bytes of a stream of the same shape.
    pub(super) fn saved_in(&self, bytes: &[u8]) -> Result<u64> {
        let saved: Saved = state::decode("the noise stream", bytes).map_err(|error| Error::state(error.to_string()))?;
        if saved.len != self.len as u64 || saved.next > self.steps {
            return Err(Error::state(format!(
                "it is at step {} of vectors of length {}; this stream has {} steps of vectors of length {}",
                saved.next, saved.len, self.steps, self.len
            )));
        }
        Ok(saved.next)
    }
}
