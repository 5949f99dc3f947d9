//! ChaCha20 (RFC 8439) with AVX-512: 16 blocks side by side, each in its lane of 16 vectors, one vector for each word of the state.
//!
//! The cipher's crate has such a backend only behind a compiler flag, which a library cannot set for those who build it. Additions,
//! rotations and exclusive ors take the same time for all keys.

use std::arch::x86_64::__m512i;

use pulp::x86::V4;
use pulp::{NullaryFnOnce, cast};

/// The bytes of 16 blocks.
pub(super) const GROUP: usize = 1_024;

/// "expand 32-byte k"
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// The state before block 0: constants, key, counter, nonce.
pub(super) fn initial_state(key: &[u8; 32], nonce: [u8; 12]) -> [u32; 16] {
    let mut state = [0; 16];
    state[..4].copy_from_slice(&CONSTANTS);
    for (word, bytes) in state[4..12].iter_mut().zip(key.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    for (word, bytes) in state[13..].iter_mut().zip(nonce.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    state
}

/// Writes the key stream from block `counter` on, where the processor has AVX-512; gives whether it has.
pub(super) fn fill(state: &[u32; 16], counter: u32, groups: &mut [[u8; GROUP]]) -> bool {
    V4::try_new().map(|simd| simd.vectorize(Fill { simd, state, counter, groups })).is_some()
}

struct Fill<'a> {
    simd: V4,
    state: &'a [u32; 16],
    counter: u32,
    groups: &'a mut [[u8; GROUP]],
}

impl NullaryFnOnce for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, state, counter, groups } = self;
        let mut first: [__m512i; 16] = [cast([0u32; 16]); 16];
        for (vector, &word) in first.iter_mut().zip(state) {
            *vector = simd.avx512f._mm512_set1_epi32(word as i32);
        }
        let first = First { simd, words: first };
        let mut counter = counter;
        let (pairs, last) = groups.as_chunks_mut::<2>();
        for [group, next] in pairs {
            let (state, next_state) = (first.at(counter), first.at(counter.wrapping_add(16)));
            let (mut words, mut next_words) = (state, next_state);
            for _ in 0..10 {
                columns(simd, &mut words);
                columns(simd, &mut next_words);
                diagonals(simd, &mut words);
                diagonals(simd, &mut next_words);
            }
            write_blocks(simd, &sum(simd, &words, &state), group);
            write_blocks(simd, &sum(simd, &next_words, &next_state), next);
            counter = counter.wrapping_add(32);
        }
        for group in last {
            let state = first.at(counter);
            let mut words = state;
            for _ in 0..10 {
                columns(simd, &mut words);
                diagonals(simd, &mut words);
            }
            write_blocks(simd, &sum(simd, &words, &state), group);
        }
    }
}

/// The state of 16 blocks but for the counters.
struct First {
    simd: V4,
    words: [__m512i; 16],
}

impl First {
    #[inline(always)]
    fn at(&self, counter: u32) -> [__m512i; 16] {
        let lanes: __m512i = cast([0u32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        let mut state = self.words;
        state[12] = self.simd.avx512f._mm512_add_epi32(self.simd.avx512f._mm512_set1_epi32(counter as i32), lanes);
        state
    }
}

#[inline(always)]
fn sum(simd: V4, a: &[__m512i; 16], b: &[__m512i; 16]) -> [__m512i; 16] {
    let mut sum = *a;
    for (a, &b) in sum.iter_mut().zip(b) {
        *a = simd.avx512f._mm512_add_epi32(*a, b);
    }
    sum
}

#[inline(always)]
fn columns(simd: V4, x: &mut [__m512i; 16]) {
    quarter_round(simd, x, 0, 4, 8, 12);
    quarter_round(simd, x, 1, 5, 9, 13);
    quarter_round(simd, x, 2, 6, 10, 14);
    quarter_round(simd, x, 3, 7, 11, 15);
}

#[inline(always)]
fn diagonals(simd: V4, x: &mut [__m512i; 16]) {
    quarter_round(simd, x, 0, 5, 10, 15);
    quarter_round(simd, x, 1, 6, 11, 12);
    quarter_round(simd, x, 2, 7, 8, 13);
    quarter_round(simd, x, 3, 4, 9, 14);
}

#[inline(always)]
fn quarter_round(simd: V4, x: &mut [__m512i; 16], a: usize, b: usize, c: usize, d: usize) {
    let f = simd.avx512f;
    x[a] = f._mm512_add_epi32(x[a], x[b]);
    x[d] = f._mm512_rol_epi32::<16>(f._mm512_xor_si512(x[d], x[a]));
    x[c] = f._mm512_add_epi32(x[c], x[d]);
    x[b] = f._mm512_rol_epi32::<12>(f._mm512_xor_si512(x[b], x[c]));
    x[a] = f._mm512_add_epi32(x[a], x[b]);
    x[d] = f._mm512_rol_epi32::<8>(f._mm512_xor_si512(x[d], x[a]));
    x[c] = f._mm512_add_epi32(x[c], x[d]);
    x[b] = f._mm512_rol_epi32::<7>(f._mm512_xor_si512(x[b], x[c]));
}

/// Words in lanes to blocks one after the other: a transposition of 16 x 16 words.
#[inline(always)]
fn write_blocks(simd: V4, words: &[__m512i; 16], group: &mut [u8; GROUP]) {
    let f = simd.avx512f;
    let mut quads = *words;
    // 4 x 4 words within each quarter: then `quads[4 i + k]` holds words 4i..4i+4 of the blocks k, 4+k, 8+k, 12+k.
    for i in [0, 4, 8, 12] {
        let (low, high) = (f._mm512_unpacklo_epi32(words[i], words[i + 1]), f._mm512_unpackhi_epi32(words[i], words[i + 1]));
        let (next_low, next_high) =
            (f._mm512_unpacklo_epi32(words[i + 2], words[i + 3]), f._mm512_unpackhi_epi32(words[i + 2], words[i + 3]));
        quads[i] = f._mm512_unpacklo_epi64(low, next_low);
        quads[i + 1] = f._mm512_unpackhi_epi64(low, next_low);
        quads[i + 2] = f._mm512_unpacklo_epi64(high, next_high);
        quads[i + 3] = f._mm512_unpackhi_epi64(high, next_high);
    }
    let blocks = group.as_chunks_mut::<64>().0;
    // Then 4 x 4 quarters.
    for k in [0, 1, 2, 3] {
        let (a, b) =
            (f._mm512_shuffle_i32x4::<0x44>(quads[k], quads[4 + k]), f._mm512_shuffle_i32x4::<0xee>(quads[k], quads[4 + k]));
        let (c, d) = (
            f._mm512_shuffle_i32x4::<0x44>(quads[8 + k], quads[12 + k]),
            f._mm512_shuffle_i32x4::<0xee>(quads[8 + k], quads[12 + k]),
        );
        blocks[k] = cast(f._mm512_shuffle_i32x4::<0x88>(a, c));
        blocks[4 + k] = cast(f._mm512_shuffle_i32x4::<0xdd>(a, c));
        blocks[8 + k] = cast(f._mm512_shuffle_i32x4::<0x88>(b, d));
        blocks[12 + k] = cast(f._mm512_shuffle_i32x4::<0xdd>(b, d));
    }
}
