//! Uniform elements from a key stream, by rejection.
//!
//! Which bytes are dropped says nothing about the elements that are kept, so that the compaction may look up a table; the reduction
//! of what is kept is arithmetic.

#[cfg(target_arch = "x86_64")]
mod x86;

use zeroize::Zeroizing;

use super::keystream::Keystream;
use crate::Field;
use crate::field::block;

/// The most bytes drawn at once: they stay in the first cache.
const DRAW: usize = 4_096;

/// Fills the block: bytes below `p floor(256/p)` in their order, modulo p.
pub(super) fn fill(stream: &mut Keystream, field: Field, elements: &mut [u8]) {
    let order = u16::from(field.order());
    let kept = 256 / order * order;
    let mut bytes = Zeroizing::new([0; DRAW]);
    let mut filled = 0;
    while filled < elements.len() {
        // What is expected to be needed, in whole blocks of the cipher.
        let missing = (elements.len() - filled) * 256 / usize::from(kept);
        let draw = &mut bytes[..missing.next_multiple_of(512).min(DRAW)];
        stream.fill(draw);
        filled += keep_below(kept, draw, &mut elements[filled..]);
    }
    block::reduce_assign(field, elements);
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
