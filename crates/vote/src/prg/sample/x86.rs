//! The compaction by shuffles of 8 bytes.

use std::arch::x86_64::__m128i;

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast};

/// As [`keep_below`](super::keep_below), where the processor has AVX2.
pub(super) fn keep_below(limit: u16, bytes: &[u8], kept: &mut [u8]) -> Option<usize> {
    V3::try_new().map(|simd| simd.vectorize(KeepBelow { simd, limit, bytes, kept }))
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
