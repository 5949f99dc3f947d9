//! Mapping a file into memory: the one place of this crate that needs `unsafe`.
#![allow(unsafe_code, reason = "a memory map has no safe constructor: another process could change the file")]

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{DataError, Result};
use crate::storage::Storage;

/// Maps a packed file of the cache for reading.
pub(crate) fn map(path: &Path) -> Result<Storage> {
    let file = File::open(path).map_err(DataError::unreadable(path))?;
    // SAFETY: packed files are never written in place. They are written under another name and renamed when complete, and removed
    // by unlinking, which leaves existing maps intact. Nothing is read from the map as a type with invalid bit patterns: text is
    // checked again on each access.
    let map = unsafe { Mmap::map(&file) }.map_err(DataError::unreadable(path))?;
    Ok(map.into())
}
