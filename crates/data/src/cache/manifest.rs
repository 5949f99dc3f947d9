//! The small file beside a packed set that says what it should be.

use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::content_hash::Sha256Hash;
use crate::error::{DataError, Result};

/// What a packed file should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) records: usize,
    pub(super) content_sha256: Sha256Hash,
    pub(super) packed_sha256: Sha256Hash,
    pub(super) packed_bytes: u64,
    /// Time of last change of the packed file, in nanoseconds since 1970: equal size and time spare computing the digest.
    pub(super) modified: u64,
}

/// What the file system says about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) bytes: u64,
    pub(super) modified: u64,
}

impl FileState {
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let about = std::fs::metadata(path)?;
        let since_1970 = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        // 64 bits of nanoseconds last until the year 2554.
        Ok(Self { bytes: about.len(), modified: since_1970.as_nanos() as u64 })
    }
}

/// The manifest with a digest over itself, so that a change of any byte is found.
#[derive(Serialize, Deserialize)]
struct Signed {
    manifest: Manifest,
    manifest_sha256: Sha256Hash,
}

impl Manifest {
    pub(super) fn state(&self) -> FileState {
        FileState { bytes: self.packed_bytes, modified: self.modified }
    }

    pub(crate) fn to_text(&self) -> String {
        let plain = serde_json::to_vec(self).expect("a manifest of strings and numbers is always JSON");
        let signed = Signed { manifest: self.clone(), manifest_sha256: Sha256Hash::of(&plain) };
        serde_json::to_string_pretty(&signed).expect("a manifest of strings and numbers is always JSON") + "\n"
    }

    pub(crate) fn parse(text: &[u8], path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let wrong = |found: String| DataError::malformed(&file, 0, "the manifest that was written", found);
        let signed: Signed = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        if signed.manifest.to_text().as_bytes() != text {
            return Err(wrong("a changed one".to_owned()));
        }
        Ok(signed.manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_found() {
        let manifest = Manifest {
            name: "digits".to_owned(),
            version: "1".to_owned(),
            records: 3,
            content_sha256: Sha256Hash::of(b"a"),
            packed_sha256: Sha256Hash::of(b"b"),
            packed_bytes: 4,
            modified: 5,
        };
        let text = manifest.to_text().into_bytes();
        assert_eq!(Manifest::parse(&text, Path::new("m")).unwrap(), manifest);
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            assert_eq!(Manifest::parse(&changed, Path::new("m")).unwrap_err().code(), "E09", "byte {at}");
        }
    }
}
