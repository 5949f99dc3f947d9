//! The compaction: 16 bytes in the lanes of a vector with AVX-512, shuffles of 8 bytes with AVX2.

use std::arch::x86_64::__m128i;

use pulp::x86::{V3, V4};
use pulp::{NullaryFnOnce, cast};

/// As [`keep_below`](super::keep_below), where the processor has AVX-512 or AVX2.
pub(super) fn keep_below(limit: u16, bytes: &[u8], kept: &mut [u8]) -> Option<usize> {
    if let Some(simd) = V4::try_new() {
        return Some(simd.vectorize(Compress { simd, limit, bytes, kept }));
    }
    by_shuffles(limit, bytes, kept)
}

fn by_shuffles(limit: u16, bytes: &[u8], kept: &mut [u8]) -> Option<usize> {
    V3::try_new().map(|simd| simd.vectorize(KeepBelow { simd, limit, bytes, kept }))
}

struct Compress<'a> {
    simd: V4,
    limit: u16,
    bytes: &'a [u8],
    kept: &'a mut [u8],
}

impl NullaryFnOnce for Compress<'_> {
    type Output = usize;

    #[inline(always)]
    fn call(self) -> usize {
        let Self { simd, limit, bytes, kept } = self;
        let f = simd.avx512f;
        let limits = f._mm512_set1_epi32(limit.into());
        let groups = bytes.as_chunks::<16>().0;
        let mut count = 0;
        let mut done = 0;
        for group in groups {
            // 16 bytes are written, whatever is kept of them.
            let Some(place) = kept[count..].first_chunk_mut::<16>() else { break };
            let lanes = f._mm512_cvtepu8_epi32(cast(*group));
            let below = f._mm512_cmplt_epu32_mask(lanes, limits);
            *place = cast(f._mm512_cvtepi32_epi8(f._mm512_maskz_compress_epi32(below, lanes)));
            count += below.count_ones() as usize;
            done += 16;
        }
        count + super::keep_below_one_by_one(limit, &bytes[done..], &mut kept[count..])
    }
}

/// For each set of kept bytes among 8, where each kept byte comes from; the rest is 0x80, which gives zero.
static SOURCES: [[u8; 8]; 256] = {
    let mut sources = [[0x80; 8]; 256];
    let mut set = 0;
    while set < 256 {
        let (mut from, mut to) = (0, 0);
        while from < 8 {
            if set >> from & 1 == 1 {
                sources[set][to] = from as u8;
                to += 1;
            }
            from += 1;
        }
        set += 1;
    }
    sources
};

struct KeepBelow<'a> {
    simd: V3,
    limit: u16,
    bytes: &'a [u8],
    kept: &'a mut [u8],
}

impl NullaryFnOnce for KeepBelow<'_> {
    type Output = usize;

    #[inline(always)]
    fn call(self) -> usize {
        let Self { simd, limit, bytes, kept } = self;
        let largest = simd.sse2._mm_set1_epi8((limit - 1) as i8);
        let groups = bytes.as_chunks::<16>().0;
        let mut count = 0;
        let mut done = 0;
        for group in groups {
            // Both halves are written as 8 bytes, whatever is kept of them.
            if count + 16 > kept.len() {
                break;
            }
            let group: __m128i = cast(*group);
            let below = simd.sse2._mm_cmpeq_epi8(simd.sse2._mm_min_epu8(group, largest), group);
            let set = simd.sse2._mm_movemask_epi8(below) as u32;
            let halves: [u64; 2] = cast(group);
            for (half, set) in halves.into_iter().zip([set & 255, set >> 8]) {
                let sources: __m128i = cast([u64::from_le_bytes(SOURCES[set as usize]), u64::MAX]);
                let moved: [u64; 2] = cast(simd.ssse3._mm_shuffle_epi8(cast([half, 0]), sources));
                kept[count..count + 8].copy_from_slice(&moved[0].to_le_bytes());
                count += set.count_ones() as usize;
            }
            done += 16;
        }
        count + super::keep_below_one_by_one(limit, &bytes[done..], &mut kept[count..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffles_keep_what_lanes_keep() {
        let bytes: Vec<u8> = (0..1_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        for (limit, room) in [(1, 1_000), (232, 1_000), (232, 900), (255, 333), (256, 1_000)] {
            let (mut lanes, mut shuffles) = (vec![0; room], vec![0; room]);
            let counts = [keep_below(limit, &bytes, &mut lanes), by_shuffles(limit, &bytes, &mut shuffles)];
            if let [Some(count), Some(other)] = counts {
                assert_eq!((count, &lanes[..count]), (other, &shuffles[..count]), "{limit} {room}");
            }
        }
    }
}
