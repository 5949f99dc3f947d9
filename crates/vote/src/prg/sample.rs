//! Uniform elements from a key stream, by rejection.
//!
//! Which bytes are dropped says nothing about the elements that are kept, so that the compaction may look up a table; the reduction
//! of what is kept is arithmetic.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::keystream::Keystream;
use crate::Field;
use crate::wiped::Wiped;

/// The most bytes drawn at once: they stay in the first cache.
const DRAW: usize = 4_096;

/// Parts are whole vectors, but for the last one.
const VECTOR: usize = 64;

/// Shows `length` bytes below `p floor(256/p)`, in their order, part by part with their places.
pub(super) fn visit(stream: &mut Keystream, field: Field, length: usize, see: &mut dyn FnMut(usize, &[u8])) {
    let order = u16::from(field.order());
    let limit = 256 / order * order;
    let (mut bytes, mut part) = (Wiped::new(vec![0; DRAW]), Wiped::new(vec![0; DRAW + 2 * VECTOR]));
    let (mut seen, mut held) = (0, 0);
    while seen < length {
        // What is expected to be needed, in whole groups of the cipher's blocks.
        let missing = (length - seen - held) * 256 / usize::from(limit);
        let draw = &mut bytes[..missing.next_multiple_of(1_024).min(DRAW)];
        stream.fill(draw);
        let room = part.len().min(length - seen);
        held += keep_below(limit, draw, &mut part[held..room]);
        let whole = if seen + held == length { held } else { held / VECTOR * VECTOR };
        see(seen, &part[..whole]);
        part.copy_within(whole..held, 0);
        seen += whole;
        held -= whole;
    }
}

/// Copies the bytes below `limit` in their order, as many as there is room for; gives how many.
fn keep_below(limit: u16, bytes: &[u8], kept: &mut [u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if let Some(count) = x86::keep_below(limit, bytes, kept) {
        return count;
    }
    keep_below_one_by_one(limit, bytes, kept)
}

/// The definition, without branches on the bytes.
fn keep_below_one_by_one(limit: u16, bytes: &[u8], kept: &mut [u8]) -> usize {
    let mut count = 0;
    for &byte in bytes {
        let Some(place) = kept.get_mut(count) else { break };
        *place = byte;
        count += usize::from(u16::from(byte) < limit);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_keep_what_single_bytes_keep() {
        let bytes: Vec<u8> = (0..1_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        for limit in [1, 2, 3, 128, 131, 232, 255, 256] {
            for (length, room) in [(0, 9), (1, 9), (15, 40), (16, 16), (17, 16), (64, 30), (1_000, 1_000), (1_000, 333)] {
                let (mut fast, mut plain) = (vec![0; room], vec![0; room]);
                let counts =
                    [keep_below(limit, &bytes[..length], &mut fast), keep_below_one_by_one(limit, &bytes[..length], &mut plain)];
                assert_eq!(counts[0], counts[1], "{limit} {length} {room}");
                assert_eq!(fast[..counts[0]], plain[..counts[1]]);
            }
        }
    }
}
