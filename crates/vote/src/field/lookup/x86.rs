//! Look-ups of 32 places at once, 16 entries of the table in each shuffle.

use std::arch::x86_64::__m256i;

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast};

/// As [`look_up`](super::look_up), where the processor has AVX2; gives whether it has.
pub(super) fn look_up(table: &[u8], places: &[u8], values: &mut [u8]) -> bool {
    V3::try_new().map(|simd| simd.vectorize(LookUp { simd, table, places, values })).is_some()
}

struct LookUp<'a> {
    simd: V3,
    table: &'a [u8],
    places: &'a [u8],
    values: &'a mut [u8],
}

impl NullaryFnOnce for LookUp<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, table, places, values } = self;
        let mut parts: [__m256i; 16] = [cast([0u8; 32]); 16];
        for (part, entries) in parts.iter_mut().zip(table.chunks(16)) {
            let mut both = [0u8; 32];
            both[..entries.len()].copy_from_slice(entries);
            both[16..16 + entries.len()].copy_from_slice(entries);
            *part = cast(both);
        }
        let parts = &parts[..table.len().div_ceil(16)];
        let (groups, rest) = places.as_chunks::<32>();
        let (out, out_rest) = values.as_chunks_mut::<32>();
        let (sixteen, bias) = (simd.avx._mm256_set1_epi8(16), simd.avx._mm256_set1_epi8(0x70));
        for (place, value) in groups.iter().zip(out) {
            let mut place: __m256i = cast(*place);
            let mut found: __m256i = cast([0u8; 32]);
            for &part in parts {
                // Places of 16 and more get their top bit set, and a shuffle gives 0 for those.
                let within = simd.avx2._mm256_adds_epu8(place, bias);
                found = simd.avx2._mm256_or_si256(found, simd.avx2._mm256_shuffle_epi8(part, within));
                // Places of earlier parts wrap round to 240 and more, and stay out.
                place = simd.avx2._mm256_sub_epi8(place, sixteen);
            }
            *value = cast(found);
        }
        super::look_up_one_by_one(table, rest, out_rest);
    }
}
