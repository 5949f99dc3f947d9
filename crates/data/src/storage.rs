//! Bytes that are owned or lie in a memory-mapped file; readers cannot tell which.

use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::Mmap;

/// A run of immutable bytes. Cloning and slicing share them.
#[derive(Clone)]
pub(crate) struct Storage {
    source: Source,
    range: Range<usize>,
}

#[derive(Clone)]
enum Source {
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<Mmap>),
}

impl Storage {
    /// A part of these bytes.
    ///
    /// # Panics
    /// When it is read, where it leaves them.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let start = self.range.start;
        Self { source: self.source.clone(), range: start + range.start..start + range.end }
    }
}

impl From<Vec<u8>> for Storage {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { source: Source::Owned(Arc::new(bytes)), range }
    }
}

impl From<Mmap> for Storage {
    fn from(map: Mmap) -> Self {
        let range = 0..map.len();
        Self { source: Source::Mapped(Arc::new(map)), range }
    }
}

impl Deref for Storage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes: &[u8] = match &self.source {
            Source::Owned(bytes) => bytes,
            Source::Mapped(map) => map,
        };
        &bytes[self.range.clone()]
    }
}
