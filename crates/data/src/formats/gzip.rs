//! Gzip by its magic bytes, never by a file's name.

use std::borrow::Cow;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::error::{DataError, Result};

/// Deflate cannot expand a byte to more than this many.
const MAX_EXPANSION: usize = 1032;

/// The first `at_most` bytes of `bytes` themselves, or of what they unpack to where they begin with the gzip magic `1F 8B`. A limit
/// keeps a small file from filling the memory.
pub(crate) fn unpacked<'a>(bytes: &'a [u8], at_most: usize, file: &str) -> Result<Cow<'a, [u8]>> {
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(Cow::Borrowed(&bytes[..bytes.len().min(at_most)]));
    }
    let mut out = Vec::new();
    // Only a hint, and one that may lie: where there is not as much memory, reading still tries.
    let _ = out.try_reserve_exact(stated_length(bytes).min(bytes.len().saturating_mul(MAX_EXPANSION)).min(at_most));
    match MultiGzDecoder::new(bytes).take(at_most as u64).read_to_end(&mut out) {
        Ok(_) => Ok(Cow::Owned(out)),
        Err(error) => Err(DataError::malformed(file, 0, "a whole gzip stream", format!("{error} after {} bytes", out.len()))),
    }
}

/// `bytes` as one gzip member without a time stamp, so that equal input gives equal output.
pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing to a vector cannot fail")
}

/// The length a gzip file states in its last four bytes: a hint, right for a single member below 4 GiB.
fn stated_length(bytes: &[u8]) -> usize {
    bytes.last_chunk().map_or(0, |tail| u32::from_le_bytes(*tail) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_joined_and_damage_is_an_error() {
        let two = [packed(b"ab"), packed(b"c")].concat();
        assert_eq!(&*unpacked(&two, usize::MAX, "x").unwrap(), b"abc");
        assert_eq!(&*unpacked(b"plain", usize::MAX, "x").unwrap(), b"plain");
        let whole = packed(&[7; 1000]);
        for cut in 2..whole.len() {
            assert_eq!(unpacked(&whole[..cut], usize::MAX, "x").unwrap_err().code(), "E09");
        }
    }

    #[test]
    fn no_more_is_unpacked_than_asked_for() {
        let bomb = packed(&vec![0; 10_000_000]);
        for at_most in [0, 1, 100_000] {
            let found = unpacked(&bomb, at_most, "x").unwrap().into_owned();
            assert!(found.len() == at_most && found.capacity() <= at_most.max(64), "{} of {at_most}", found.capacity());
            assert_eq!(unpacked(&[7; 200_000], at_most, "x").unwrap().len(), at_most);
        }
    }
}
