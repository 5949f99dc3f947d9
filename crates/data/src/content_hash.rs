//! One sha256 that stands for a whole data set, whatever file it lies in.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{DataError, Result};

/// A sha256 digest, shown and stored as 64 hexadecimal digits.
///
/// The content hash of a data set is the digest over its records in canonical order, where a record's bytes are
///
/// * images: the `u8` pixels in HWC order,
/// * text: the UTF-8 bytes and one 0 byte,
///
/// each followed by the label as one little-endian `u32` where there are labels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sha256Hash([u8; 32]);

impl Sha256Hash {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a whole file, read in pieces.
    ///
    /// # Errors
    /// [`DataError::Unreadable`].
    pub fn of_file(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(DataError::unreadable(path))?;
        Self::of_reader(file).map_err(DataError::unreadable(path))
    }

    pub(crate) fn of_reader(mut reader: impl Read) -> std::io::Result<Self> {
        let mut hasher = Hasher::new();
        let mut piece = vec![0; 1 << 18];
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(hasher.finish()),
                n => hasher.update(&piece[..n]),
            }
        }
    }

    /// The first 16 hexadecimal digits, as reports print them.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..16].to_owned()
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Hash({self})")
    }
}

impl From<Sha256Hash> for String {
    fn from(hash: Sha256Hash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for Sha256Hash {
    type Error = String;

    fn try_from(hex: String) -> std::result::Result<Self, String> {
        let wrong = || format!("`{hex}` is not a sha256: 64 hexadecimal digits are needed");
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(digest))
    }
}

/// A digest in the making.
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of what came so far, without ending it.
    pub(crate) fn so_far(&self) -> Sha256Hash {
        Sha256Hash(self.0.clone().finalize().into())
    }

    pub(crate) fn finish(self) -> Sha256Hash {
        Sha256Hash(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digest_and_round_trip() {
        let hash = Sha256Hash::of(b"abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash.short(), "ba7816bf8f01cfea");
        assert_eq!(Sha256Hash::try_from(hash.to_string()), Ok(hash));
        assert!(Sha256Hash::try_from("ba78".to_owned()).is_err());
        assert!(Sha256Hash::try_from("g".repeat(64)).is_err());
    }
}
