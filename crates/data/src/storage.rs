//! Bytes that are owned or lie in a memory-mapped file; readers cannot tell which.

use std::ops::{Deref, Range};
use std::sync::Arc;

use memmap2::Mmap;

/// A run of immutable bytes. Cloning shares a mapped file and copies owned bytes' handle only.
#[derive(Clone)]
pub(crate) enum Storage {
    Owned(Arc<Vec<u8>>),
    Mapped { map: Arc<Mmap>, range: Range<usize> },
}

impl From<Vec<u8>> for Storage {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(Arc::new(bytes))
    }
}

impl Deref for Storage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped { map, range } => &map[range.clone()],
        }
    }
}
