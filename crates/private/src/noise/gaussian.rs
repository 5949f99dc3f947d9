//! Standard normal values from ChaCha20, addressed by step and chunk.
//!
//! Every (step, chunk) has a ChaCha20 stream of its own under one key, so that values can be drawn in any order, by any number
//! of threads, and drawn again to replay them.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::key::NoiseKey;

/// Values to a chunk: 64 KiB of `f32`, so that a chunk and a few more stay in the second-level cache.
pub const CHUNK: usize = 16 * 1024;

/// The independent vectors z that a noise stream mixes, in random access.
pub trait Innovations: Send + Sync {
    /// Fills `values` with the values of vector `step` from index `chunk * CHUNK` on; a repetition gives the same values.
    ///
    /// `values` is at most [`CHUNK`] long.
    fn fill(&self, step: u64, chunk: usize, values: &mut [f32]);
}

/// Independent standard normal values from ChaCha20.
#[derive(Clone, Debug)]
pub struct Gaussian {
    key: NoiseKey,
}

impl Gaussian {
    /// The values under this key.
    pub fn new(key: NoiseKey) -> Self {
        Self { key }
    }
}

impl Innovations for Gaussian {
    fn fill(&self, step: u64, chunk: usize, values: &mut [f32]) {
        // 2^32 steps of 2^32 chunks: more than any run has.
        let stream = (step << 32) | (chunk as u64 & 0xffff_ffff);
        let mut words = Words::new(self.key.bytes(), stream);
        let tables = &*TABLES;
        for value in values {
            *value = tables.sample(&mut words) as f32;
        }
    }
}

/// Random words of one stream, generated in blocks.
struct Words {
    rng: ChaCha20Rng,
    block: [u8; Self::BLOCK],
    used: usize,
}

/// 40 random bits: ChaCha20 is three quarters of the cost of a value, so a value takes no more of it than it needs.
struct Word {
    low: u8,
    high: i32,
}

impl Words {
    const WORD: usize = 5;
    /// Whole words, and whole outputs of the generator (4 blocks of 64 bytes).
    const BLOCK: usize = Self::WORD * 512;

    fn new(key: &[u8; 32], stream: u64) -> Self {
        let mut rng = ChaCha20Rng::from_seed(*key);
        rng.set_stream(stream);
        Self { rng, block: [0; Self::BLOCK], used: Self::BLOCK / Self::WORD }
    }

    #[inline]
    fn next(&mut self) -> Word {
        if self.used == Self::BLOCK / Self::WORD {
            self.rng.fill_bytes(&mut self.block);
            self.used = 0;
        }
        let (words, _) = self.block.as_chunks::<{ Self::WORD }>();
        let [low, high @ ..] = words[self.used];
        self.used += 1;
        Word { low, high: i32::from_le_bytes(high) }
    }

    /// Uniform in (0, 1).
    fn open(&mut self) -> f64 {
        let Word { low, high } = self.next();
        let bits = (u64::from(low) << 32) | u64::from(high.cast_unsigned());
        (bits as f64 + 0.5) * (1.0 / (1u64 << 40) as f64)
    }
}

/// Layers of the ziggurat (Marsaglia and Tsang 2000), 256 of equal area under the density `exp(-x^2/2)`.
struct Ziggurat {
    /// Right edges, from the base layer (of virtual width) to the top.
    edge: [f64; 257],
    /// The density at the edges.
    density: [f64; 257],
}

/// Where the tail begins, and the area of a layer.
const TAIL: f64 = 3.654_152_885_361_009;
const AREA: f64 = 0.004_928_673_233_974_655;

static TABLES: LazyLock<Ziggurat> = LazyLock::new(Ziggurat::new);

impl Ziggurat {
    fn new() -> Self {
        let f = |x: f64| (-0.5 * x * x).exp();
        let (mut edge, mut density) = ([0.0; 257], [0.0; 257]);
        edge[0] = AREA / f(TAIL);
        edge[1] = TAIL;
        for i in 1..256 {
            let height = (AREA / edge[i] + f(edge[i])).min(1.0);
            edge[i + 1] = (-2.0 * height.ln()).sqrt();
        }
        edge[256] = 0.0;
        density.iter_mut().zip(&edge).for_each(|(density, &x)| *density = f(x));
        Self { edge, density }
    }

    #[inline]
    fn sample(&self, words: &mut Words) -> f64 {
        loop {
            // 8 bits choose the layer, 32 the place in (-1, 1): more than the 24 of the `f32` that comes out.
            let word = words.next();
            let layer = usize::from(word.low);
            let place = (f64::from(word.high) + 0.5) * (1.0 / (1u64 << 31) as f64);
            let x = place * self.edge[layer];
            if x.abs() < self.edge[layer + 1] {
                return x;
            }
            if let Some(x) = self.near_the_edge(layer, x, words) {
                return x;
            }
        }
    }

    #[cold]
    fn near_the_edge(&self, layer: usize, x: f64, words: &mut Words) -> Option<f64> {
        if layer == 0 {
            return Some(tail(words).copysign(x));
        }
        let height = self.density[layer] + words.open() * (self.density[layer + 1] - self.density[layer]);
        (height < (-0.5 * x * x).exp()).then_some(x)
    }
}

/// A value beyond [`TAIL`] (Marsaglia 1964).
fn tail(words: &mut Words) -> f64 {
    loop {
        let x = -words.open().ln() / TAIL;
        let y = -words.open().ln();
        if 2.0 * y > x * x {
            return TAIL + x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::function::erf::erfc;

    fn draw(count: usize, seed: u64) -> Vec<f32> {
        let source = Gaussian::new(NoiseKey::insecure(seed));
        let mut values = vec![0.0; count];
        for (chunk, values) in values.chunks_mut(CHUNK).enumerate() {
            source.fill(3, chunk, values);
        }
        values
    }

    /// Pearson's statistic over 64 cells of equal probability, as a z-score: (chi^2 - 63) / sqrt(126).
    fn chi_square_score(values: &[f32]) -> f64 {
        let mut cells = [0u32; 64];
        for &value in values {
            let p = 0.5 * erfc(-f64::from(value) / std::f64::consts::SQRT_2);
            cells[((p * 64.0) as usize).min(63)] += 1;
        }
        let expected = values.len() as f64 / 64.0;
        let statistic: f64 = cells.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        (statistic - 63.0) / 126.0f64.sqrt()
    }

    /// The z-scores of the first four moments and of the mass beyond the ziggurat's tail.
    fn moment_scores(values: &[f32]) -> [f64; 5] {
        let n = values.len() as f64;
        let mean = |f: fn(f64) -> f64| values.iter().map(|&x| f(f64::from(x))).sum::<f64>() / n;
        let beyond = erfc(TAIL / std::f64::consts::SQRT_2);
        let found = mean(|x| if x.abs() > TAIL { 1.0 } else { 0.0 });
        [
            mean(|x| x) * n.sqrt(),
            (mean(|x| x * x) - 1.0) * (n / 2.0).sqrt(),
            mean(|x| x * x * x) * (n / 15.0).sqrt(),
            (mean(|x| x.powi(4)) - 3.0) * (n / 96.0).sqrt(),
            (found - beyond) * (n / beyond).sqrt(),
        ]
    }

    // Fixed seeds make the tests repeatable. For a right sampler and a fresh seed, some score beyond 5 has a chance below
    // 1e-5 (the chi-square statistic with 63 degrees of freedom: 1.4e-5).
    #[test]
    fn values_are_standard_normal() {
        let values = draw(1 << 20, 11);
        assert!(moment_scores(&values).iter().all(|score| score.abs() < 5.0), "{:?}", moment_scores(&values));
        assert!(chi_square_score(&values).abs() < 5.0, "{}", chi_square_score(&values));
    }

    #[test]
    fn the_tests_catch_a_slightly_wrong_sampler() {
        let values = draw(1 << 20, 11);
        let wide: Vec<f32> = values.iter().map(|x| x * 1.01).collect();
        assert!(moment_scores(&wide)[1] > 5.0);
        let clipped: Vec<f32> = values.iter().map(|x| x.clamp(-3.65, 3.65)).collect();
        assert!(moment_scores(&clipped)[4] < -5.0);
        let uniform: Vec<f32> = (0..1 << 20).map(|i| ((i as f32 + 0.5) / (1 << 20) as f32 - 0.5) * 12f32.sqrt()).collect();
        assert!(chi_square_score(&uniform) > 5.0);
    }

    #[test]
    fn neighbouring_streams_are_uncorrelated() {
        let source = Gaussian::new(NoiseKey::insecure(5));
        let draw = |step, chunk| {
            let mut values = vec![0.0; CHUNK];
            source.fill(step, chunk, &mut values);
            values
        };
        let first = draw(0, 0);
        for (step, chunk) in [(0, 1), (1, 0), (1 << 20, 0)] {
            let other = draw(step, chunk);
            let sum: f64 = first.iter().zip(&other).map(|(a, b)| f64::from(a * b)).sum();
            assert!((sum / (CHUNK as f64).sqrt()).abs() < 5.0);
        }
        assert_eq!(first, draw(0, 0));
        let mut short = vec![0.0; 10];
        source.fill(0, 0, &mut short);
        assert_eq!(short, first[..10]);
    }

    #[test]
    fn ziggurat_layers_have_equal_areas() {
        let tables = Ziggurat::new();
        let area = tables.edge[255] * (1.0 - tables.density[255]);
        assert!((area - AREA).abs() < 1e-12, "the top layer has area {area}");
    }
}
