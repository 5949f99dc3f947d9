//! A fixed number of bits for each element.

use pulp::Arch;

use super::UnpackError;

/// The bytes of `count` elements of `bits` bits.
pub(crate) fn length(bits: u32, count: usize) -> usize {
    (count * bits as usize).div_ceil(8)
}

/// Moves the low `bits` bits of 8 bytes together, by halves.
#[inline(always)]
const fn gather(bytes: u64, bits: u32) -> u64 {
    const PAIRS: u64 = 0x00ff_00ff_00ff_00ff;
    const QUADS: u64 = 0x0000_ffff_0000_ffff;
    let pairs = (bytes & PAIRS) | ((bytes & !PAIRS) >> (8 - bits));
    let quads = (pairs & QUADS) | ((pairs & !QUADS) >> (16 - 2 * bits));
    (quads & 0xffff_ffff) | ((quads >> 32) << (4 * bits))
}

/// The inverse of [`gather`].
#[inline(always)]
const fn scatter(word: u64, bits: u32) -> u64 {
    let half = (1u64 << (4 * bits)) - 1;
    let quads = (word & half) | ((word >> (4 * bits)) << 32);
    let low = ((1u64 << (2 * bits)) - 1) * 0x0000_0001_0000_0001;
    let pairs = (quads & low) | ((quads & !low) << (16 - 2 * bits));
    let low = ((1u64 << bits) - 1) * 0x0001_0001_0001_0001;
    (pairs & low) | ((pairs & !low) << (8 - bits))
}

/// Appends the elements, of `bits` bits each.
pub(crate) fn pack(bits: u32, elements: &[u8], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    let end = start + length(bits, elements.len());
    // Whole words are written over the bytes of the next group; the last one may stand out.
    bytes.resize(end + 8, 0);
    let (groups, rest) = elements.as_chunks::<8>();
    let (out, width) = (&mut bytes[start..], bits as usize);
    Arch::new().dispatch(|| {
        for (i, group) in groups.iter().enumerate() {
            let word = gather(u64::from_le_bytes(*group), bits).to_le_bytes();
            out[i * width..i * width + 8].copy_from_slice(&word);
        }
    });
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let at = groups.len() * width;
    out[at..at + 8].copy_from_slice(&gather(u64::from_le_bytes(last), bits).to_le_bytes());
    bytes.truncate(end);
}

/// Decodes `elements.len()` elements of `bits` bits from exactly as many bytes as they take.
pub(crate) fn unpack(bits: u32, bytes: &[u8], elements: &mut [u8]) -> Result<(), UnpackError> {
    let width = bits as usize;
    let used = elements.len() * width % 8;
    if used != 0 && bytes.last().is_some_and(|&last| last >> used != 0) {
        return Err(UnpackError::Padding);
    }
    let word = |at: usize| {
        let mut word = [0; 8];
        let part = &bytes[at..bytes.len().min(at + 8)];
        word[..part.len()].copy_from_slice(part);
        u64::from_le_bytes(word) & (u64::MAX >> (64 - 8 * bits))
    };
    let (groups, rest) = elements.as_chunks_mut::<8>();
    let at = groups.len() * width;
    // Groups whose 8 bytes lie within the input need no copy.
    let whole = groups.len().min((bytes.len().saturating_sub(8)) / width);
    let (fast, slow) = groups.split_at_mut(whole);
    Arch::new().dispatch(|| {
        for (i, group) in fast.iter_mut().enumerate() {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[i * width..i * width + 8]);
            *group = scatter(u64::from_le_bytes(word) & (u64::MAX >> (64 - 8 * bits)), bits).to_le_bytes();
        }
    });
    for (i, group) in slow.iter_mut().enumerate() {
        *group = scatter(word((whole + i) * width), bits).to_le_bytes();
    }
    if !rest.is_empty() {
        rest.copy_from_slice(&scatter(word(at), bits).to_le_bytes()[..rest.len()]);
    }
    Ok(())
}
