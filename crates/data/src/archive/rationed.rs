//! A stream of which no more can be read than its owner allows at the time.

use std::cell::Cell;
use std::io::{Error, Read, Result};
use std::rc::Rc;

pub(super) struct Rationed<R> {
    inner: R,
    ration: Ration,
}

/// How many bytes may still be read.
#[derive(Clone, Default)]
pub(super) struct Ration(Rc<Cell<u64>>);

impl Ration {
    pub(super) fn set(&self, bytes: u64) {
        self.0.set(bytes);
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.set(self.0.get().saturating_add(bytes));
    }
}

impl<R: Read> Rationed<R> {
    /// A stream of which nothing can be read yet.
    pub(super) fn new(inner: R) -> (Self, Ration) {
        let ration = Ration::default();
        (Self { inner, ration: ration.clone() }, ration)
    }
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        let left = self.ration.0.get();
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        if allowed == 0 && !out.is_empty() {
            return Err(Error::other("the headers of one member are longer than any are"));
        }
        let read = self.inner.read(&mut out[..allowed])?;
        self.ration.set(left - read as u64);
        Ok(read)
    }
}
