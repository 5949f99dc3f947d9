//! A stream's numbers, made many at a time.
//!
//! A descent of a small model spends most of its time on random numbers. ChaCha's blocks are independent, so sixteen are computed side
//! by side, one in each lane; drawing a number is then a load. The numbers are those of the stream itself.

use std::convert::Infallible;

use pulp::{Arch, Simd, WithSimd};
use rand::TryRng;
use thalweg_descent::streams::StreamRng;

/// Blocks side by side.
const BLOCKS: usize = 16;

/// Words of a block.
const WORDS: usize = 16;

/// Numbers made at a time.
const MADE: usize = BLOCKS * WORDS / 2;

const DOUBLE_ROUNDS: usize = 6;

/// "expand 32-byte k"
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// One word of each block.
type Lanes = [u32; BLOCKS];

/// The numbers of a stream from its beginning.
#[derive(Clone)]
pub(super) struct Ahead {
    key: [u32; 8],
    stream: u64,
    next_block: u64,
    made: [u64; MADE],
    taken: usize,
}

impl Ahead {
    /// The numbers that the generator would give if nothing were drawn from it yet.
    pub(super) fn of(generator: &StreamRng) -> Self {
        let seed = generator.get_seed();
        let word = |at: usize| u32::from_le_bytes([seed[at], seed[at + 1], seed[at + 2], seed[at + 3]]);
        let key = std::array::from_fn(|at| word(4 * at));
        Self { key, stream: generator.get_stream(), next_block: 0, made: [0; MADE], taken: MADE }
    }

    #[cold]
    fn make(&mut self) {
        Arch::new().dispatch(Make(self));
    }

    /// The words of the next blocks, before the rounds.
    #[inline(always)]
    fn start(&self) -> [Lanes; WORDS] {
        let mut state = [[0; BLOCKS]; WORDS];
        for at in 0..4 {
            state[at] = [CONSTANTS[at]; BLOCKS];
        }
        for at in 0..8 {
            state[4 + at] = [self.key[at]; BLOCKS];
        }
        let counters: [u64; BLOCKS] = std::array::from_fn(|lane| self.next_block.wrapping_add(lane as u64));
        state[12] = counters.map(|counter| counter as u32);
        state[13] = counters.map(|counter| (counter >> 32) as u32);
        state[14] = [self.stream as u32; BLOCKS];
        state[15] = [(self.stream >> 32) as u32; BLOCKS];
        state
    }
}

struct Make<'a>(&'a mut Ahead);

impl WithSimd for Make<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ahead = self.0;
        let mut state = ahead.start();
        for part in 0..BLOCKS / S::U32_LANES {
            let start: [S::u32s; WORDS] = std::array::from_fn(|at| S::as_simd_u32s(&state[at]).0[part]);
            let mut words = start;
            for _ in 0..DOUBLE_ROUNDS {
                for at in 0..4 {
                    quarter_round(simd, &mut words, [at, 4 + at, 8 + at, 12 + at]);
                }
                for at in 0..4 {
                    quarter_round(simd, &mut words, [at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4]);
                }
            }
            for at in 0..WORDS {
                S::as_mut_simd_u32s(&mut state[at]).0[part] = simd.add_u32s(words[at], start[at]);
            }
        }
        for pair in 0..WORDS / 2 {
            let (low, high) = (&state[2 * pair], &state[2 * pair + 1]);
            let numbers: [u64; BLOCKS] = std::array::from_fn(|block| u64::from(high[block]) << 32 | u64::from(low[block]));
            for (block, number) in numbers.into_iter().enumerate() {
                ahead.made[block * WORDS / 2 + pair] = number;
            }
        }
        ahead.next_block = ahead.next_block.wrapping_add(BLOCKS as u64);
        ahead.taken = 0;
    }
}

#[inline(always)]
fn quarter_round<S: Simd>(simd: S, words: &mut [S::u32s; WORDS], [a, b, c, d]: [usize; 4]) {
    for (sum, with, turned, by) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        words[sum] = simd.add_u32s(words[sum], words[with]);
        let mixed = simd.xor_u32s(words[turned], words[sum]);
        let left = simd.wrapping_dyn_shl_u32s(mixed, simd.splat_u32s(by));
        words[turned] = simd.or_u32s(left, simd.wrapping_dyn_shr_u32s(mixed, simd.splat_u32s(32 - by)));
    }
}

impl TryRng for Ahead {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    #[inline(always)]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        if self.taken == MADE {
            self.make();
        }
        self.taken += 1;
        Ok(self.made[self.taken - 1])
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.try_next_u64()?.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use thalweg_descent::Seed;

    #[test]
    fn they_are_the_streams_own() {
        for counter in [0, 3, u64::MAX] {
            let mut stream = Seed(5).stream("draws").at(counter);
            let mut ahead = Ahead::of(&stream);
            assert!((0..5 * MADE).all(|_| stream.next_u64() == ahead.next_u64()), "{counter}");
        }
        // The counter's carry.
        let mut stream = Seed(5).stream("draws").at(1);
        let mut ahead = Ahead { next_block: (1 << 32) - 8, ..Ahead::of(&stream) };
        stream.set_word_pos(16 * u128::from(ahead.next_block));
        assert!((0..2 * MADE).all(|_| stream.next_u64() == ahead.next_u64()));
    }
}
