//! The discrete Gaussian on the integers, sampled exactly (Canonne, Kamath and Steinke 2020).
//!
//! `P(x) ~ e^{-x^2 / (2 sigma^2)}`. Only integers are computed with: every comparison is of a uniform integer with a rational
//! number, so that no probability is rounded. How long a value takes depends on the value: the sampler is not for settings in
//! which an adversary times it.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::gaussian::CHUNK;
use super::key::NoiseKey;
use crate::error::{Error, Result};

/// In which arithmetic noise is drawn and added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseKind {
    /// Gaussian noise in `f32`: every mechanism has it. It protects from whoever sees the model, but not the low bits of each
    /// released number.
    #[default]
    Gaussian,
    /// The discrete Gaussian on sums of whole numbers of a [`grid`](crate::grid): independent noise alone, and also against whoever
    /// reads every bit of what is released.
    Discrete,
}

impl NoiseKind {
    pub(crate) fn is_gaussian(&self) -> bool {
        *self == Self::Gaussian
    }
}

impl std::str::FromStr for NoiseKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "gaussian" => Ok(Self::Gaussian),
            "discrete" => Ok(Self::Discrete),
            _ => Err(Error::value("the noise", format!("{text:?}"), "gaussian or discrete")),
        }
    }
}

/// The largest variance: up to here all intermediate integers fit into 128 bits.
pub const LARGEST_VARIANCE: u64 = 1 << 48;

/// Multiples of the scale beyond which no value is proposed: they have probability `e^{-1024}` together.
const FURTHEST: u64 = 1 << 10;

/// The discrete Gaussian of variance parameter `sigma^2`, an integer; its variance is that, but for less than a
/// millionth.
///
/// ```
/// use thalweg_private::NoiseKey;
/// use thalweg_private::noise::DiscreteGaussian;
///
/// let noise = DiscreteGaussian::new(1_000_000)?;
/// let mut values = [0; 3];
/// noise.fill(&NoiseKey::generate()?, 0, 0, &mut values);
/// assert!(values.iter().all(|value| value.abs() < 10_000), "ten standard deviations");
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscreteGaussian {
    variance: u64,
    /// `t = floor(sigma) + 1`, the scale of the discrete Laplace proposals.
    scale: u64,
}

impl DiscreteGaussian {
    /// Of variance `sigma^2`, from 1 to [`LARGEST_VARIANCE`].
    ///
    /// # Errors
    /// [`Error::Value`] otherwise.
    pub fn new(variance: u64) -> Result<Self> {
        if !(1..=LARGEST_VARIANCE).contains(&variance) {
            return Err(Error::value("the variance of discrete noise", variance, "from 1 to 2^48 squared units of the grid"));
        }
        Ok(Self { variance, scale: variance.isqrt() + 1 })
    }

    /// `sigma^2`.
    pub fn variance(&self) -> u64 {
        self.variance
    }

    /// Fills `values` with the values of vector `step` from index `chunk * CHUNK` on; a repetition gives the same values.
    ///
    /// `values` is at most [`CHUNK`] long. The randomness shares nothing with that of [`Gaussian`](super::Gaussian) noise under
    /// the same key.
    pub fn fill(&self, key: &NoiseKey, step: u64, chunk: usize, values: &mut [i64]) {
        debug_assert!(values.len() <= CHUNK);
        let seed = Zeroizing::new(blake3::derive_key("thalweg discrete gaussian noise 1", key.bytes()));
        let mut rng = ChaCha20Rng::from_seed(*seed);
        rng.set_stream((step << 32) | (chunk as u64 & 0xffff_ffff));
        let mut coins = Bits { rng };
        values.iter_mut().for_each(|value| *value = self.sample(&mut coins));
    }

    fn sample(&self, coins: &mut impl Coins) -> i64 {
        loop {
            if let Some(value) = self.propose(coins) {
                return value;
            }
        }
    }

    /// One round: a discrete Laplace value y of scale t, kept with probability `e^{-(|y| - sigma^2/t)^2 / (2 sigma^2)}`.
    fn propose(&self, coins: &mut impl Coins) -> Option<i64> {
        let (variance, scale) = (u128::from(self.variance), u128::from(self.scale));
        let distance = self.distance(coins)?;
        let negative = coins.bernoulli(1, 2);
        if negative && distance == 0 {
            return None;
        }
        let off = (u128::from(distance) * scale).abs_diff(variance);
        let kept = coins.bernoulli_exp(off * off, 2 * variance * scale * scale);
        let value = distance.cast_signed();
        kept.then_some(if negative { -value } else { value })
    }

    /// `|y|` of a discrete Laplace value, geometric with ratio `e^{-1/t}`: the rest of a division by t, and the quotient.
    fn distance(&self, coins: &mut impl Coins) -> Option<u64> {
        let scale = u128::from(self.scale);
        let rest = coins.below(scale);
        if !coins.bernoulli_exp(rest, scale) {
            return None;
        }
        let mut quotient = 0;
        while quotient < FURTHEST && coins.bernoulli_exp(1, 1) {
            quotient += 1;
        }
        Some(rest as u64 + self.scale * quotient)
    }
}

/// Exact randomness.
trait Coins {
    /// Uniform in `0..bound`.
    fn below(&mut self, bound: u128) -> u128;

    /// True with probability `n / d`, at most 1.
    fn bernoulli(&mut self, n: u128, d: u128) -> bool {
        self.below(d) < n
    }

    /// True with probability `e^{-n/d}`.
    fn bernoulli_exp(&mut self, n: u128, d: u128) -> bool
    where
        Self: Sized,
    {
        bernoulli_exp(self, n, d)
    }
}

/// `e^{-floor(g)}` by as many coins of `e^{-1}`, then `e^{-g}` for `g = n/d <= 1`: the first k at which a coin of `g/k` fails is
/// odd with that probability.
fn bernoulli_exp(coins: &mut impl Coins, mut n: u128, d: u128) -> bool {
    while n > d {
        if !bernoulli_exp(coins, 1, 1) {
            return false;
        }
        n -= d;
    }
    let mut k = 1;
    while coins.bernoulli(n, d * k) {
        k += 1;
    }
    k % 2 == 1
}

struct Bits {
    rng: ChaCha20Rng,
}

impl Coins for Bits {
    fn below(&mut self, bound: u128) -> u128 {
        let mask = u128::MAX.checked_shr((bound - 1).leading_zeros()).unwrap_or(0);
        loop {
            let low = u128::from(self.rng.next_u64());
            let high = if mask > u128::from(u64::MAX) { u128::from(self.rng.next_u64()) << 64 } else { 0 };
            let value = (high | low) & mask;
            if value < bound {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Coins that go through all outcomes of an experiment, one path after the other, with the path's probability.
    #[derive(Default)]
    struct Paths {
        /// Choices so far, and how many there are.
        path: Vec<(u128, u128)>,
        at: usize,
        mass: f64,
        /// Whether `e^{-g}` is one choice, of exactly that probability.
        exact_exp: bool,
    }

    impl Paths {
        /// A path less likely than this is not branched any further.
        const NEGLIGIBLE: f64 = 1e-22;

        fn choose(&mut self, outcomes: u128) -> u128 {
            if self.mass < Self::NEGLIGIBLE {
                return 0;
            }
            if self.at == self.path.len() {
                self.path.push((0, outcomes));
            }
            self.at += 1;
            self.path[self.at - 1].0
        }

        /// All outcomes with their probabilities.
        fn explore<T>(exact_exp: bool, experiment: impl Fn(&mut Self) -> T) -> Vec<(T, f64)> {
            let mut paths = Self { exact_exp, ..Self::default() };
            let mut outcomes = vec![];
            loop {
                (paths.at, paths.mass) = (0, 1.0);
                let outcome = experiment(&mut paths);
                outcomes.push((outcome, paths.mass));
                while let Some((choice, of)) = paths.path.pop() {
                    if choice + 1 < of {
                        paths.path.push((choice + 1, of));
                        break;
                    }
                }
                if paths.path.is_empty() {
                    return outcomes;
                }
            }
        }
    }

    impl Coins for Paths {
        fn below(&mut self, bound: u128) -> u128 {
            let value = self.choose(bound);
            self.mass /= bound as f64;
            value
        }

        fn bernoulli(&mut self, n: u128, d: u128) -> bool {
            let p = n as f64 / d as f64;
            if n == 0 || n == d {
                return n == d;
            }
            let yes = self.choose(2) == 1;
            self.mass *= if yes { p } else { 1.0 - p };
            yes
        }

        fn bernoulli_exp(&mut self, n: u128, d: u128) -> bool {
            if !self.exact_exp {
                return bernoulli_exp(self, n, d);
            }
            if n == 0 {
                return true;
            }
            let yes = self.choose(2) == 1;
            let p = (-(n as f64) / d as f64).exp();
            self.mass *= if yes { p } else { 1.0 - p };
            yes
        }
    }

    #[test]
    fn coins_of_an_exponential_have_that_probability() {
        for (n, d) in [(0, 1), (1, 1), (1, 3), (7, 9), (5, 2), (3, 1), (1, 1000)] {
            let outcomes = Paths::explore(false, |paths| bernoulli_exp(paths, n, d));
            let yes: f64 = outcomes.iter().filter(|(outcome, _)| *outcome).map(|(_, mass)| mass).sum();
            let expected = (-(n as f64) / d as f64).exp();
            assert!((yes - expected).abs() < 1e-14, "{n}/{d}: {yes} instead of {expected}");
        }
    }

    fn density(variance: u64, x: i64) -> f64 {
        (-(x as f64).powi(2) / (2.0 * variance as f64)).exp()
    }

    fn total(variance: u64) -> f64 {
        let furthest = 40 * (variance.isqrt() + 1).cast_signed();
        (-furthest..=furthest).map(|x| density(variance, x)).sum()
    }

    #[test]
    fn a_round_gives_each_value_in_proportion_to_its_density() {
        // All paths of a round are enumerated: this is the distribution itself, not a sample of it.
        for variance in [1, 2, 3, 7, 30, 100] {
            let noise = DiscreteGaussian::new(variance).unwrap();
            let outcomes = Paths::explore(true, |paths| noise.propose(paths));
            let mut found = std::collections::BTreeMap::<i64, f64>::new();
            for (value, mass) in outcomes.into_iter().filter_map(|(value, mass)| Some((value?, mass))) {
                *found.entry(value).or_default() += mass;
            }
            let accepted: f64 = found.values().sum();
            let all = total(variance);
            let reach = 6 * (variance.isqrt() + 1).cast_signed();
            for x in -reach..=reach {
                let (found, expected) = (found.get(&x).copied().unwrap_or(0.0) / accepted, density(variance, x) / all);
                assert!((found - expected).abs() < 1e-14, "{variance} {x}: {found} instead of {expected}");
            }
            assert!(accepted > 0.3, "{variance}: {accepted} of the rounds give a value");
        }
    }

    fn draw(variance: u64, count: usize) -> Vec<i64> {
        let noise = DiscreteGaussian::new(variance).unwrap();
        let key = NoiseKey::insecure(7);
        let mut values = vec![0; count];
        for (chunk, values) in values.chunks_mut(CHUNK).enumerate() {
            noise.fill(&key, 0, chunk, values);
        }
        values
    }

    /// The z-score of Pearson's statistic against the exact probabilities, values with fewer than 10 expected joined to tails.
    fn chi_square_score(values: &[i64], variance: u64) -> f64 {
        let (count, all) = (values.len() as f64, total(variance));
        let expected = |x: i64| count * density(variance, x) / all;
        let mut reach = 0;
        while expected(reach + 1) >= 10.0 {
            reach += 1;
        }
        let inner: Vec<f64> = (-reach..=reach).map(expected).collect();
        let tail = (count - inner.iter().sum::<f64>()) / 2.0;
        let mut statistic = 0.0;
        let mut add = |found: usize, expected: f64| statistic += (found as f64 - expected).powi(2) / expected.max(1e-9);
        for (x, expected) in (-reach..=reach).zip(&inner) {
            add(values.iter().filter(|value| **value == x).count(), *expected);
        }
        add(values.iter().filter(|value| **value > reach).count(), tail);
        add(values.iter().filter(|value| **value < -reach).count(), tail);
        let freedom = (2 * reach + 2) as f64;
        (statistic - freedom) / (2.0 * freedom).sqrt()
    }

    /// The z-score of the second moment; that of the discrete Gaussian is `sigma^2` but for `e^{-2 pi^2 sigma^2}`.
    fn variance_score(values: &[i64], variance: u64) -> f64 {
        let mean = values.iter().map(|&x| (x as f64).powi(2)).sum::<f64>() / values.len() as f64;
        (mean / variance as f64 - 1.0) * (values.len() as f64 / 2.0).sqrt()
    }

    // Fixed seeds make the tests repeatable. For a right sampler and fresh seeds, a score beyond 6 has a chance below 1e-5 (the
    // chi-square statistic has a few more tails than the normal it is scored by).
    #[test]
    fn values_follow_the_exact_probabilities() {
        for variance in [1, 4, 50, 300] {
            let values = draw(variance, 200_000);
            assert!(chi_square_score(&values, variance).abs() < 6.0, "{variance}: {}", chi_square_score(&values, variance));
            assert!(variance_score(&values, variance).abs() < 6.0, "{variance}");
        }
        let large = draw(1 << 40, 100_000);
        assert!(variance_score(&large, 1 << 40).abs() < 6.0, "{}", variance_score(&large, 1 << 40));
        let beyond = large.iter().filter(|value| value.abs() > 3 << 20).count() as f64;
        let expected = 0.002_699_796_063 * 100_000.0;
        assert!((beyond - expected).abs() < 6.0 * expected.sqrt(), "{beyond} beyond 3 sigma");
    }

    #[test]
    fn the_tests_catch_a_wrong_sigma() {
        let values = draw(50, 200_000);
        assert!(chi_square_score(&values, 52) > 6.0, "{}", chi_square_score(&values, 52));
        assert!(variance_score(&values, 52) < -6.0);
        // A continuous Gaussian, rounded, is another distribution for a small sigma: its variance is larger by 1/12.
        let rounded = draw(1 << 40, 200_000).iter().map(|x| (*x as f64 / (1u64 << 20) as f64).round() as i64).collect::<Vec<_>>();
        assert!(chi_square_score(&rounded, 1) > 6.0, "{}", chi_square_score(&rounded, 1));
    }

    #[test]
    fn values_depend_on_key_step_and_place_alone() {
        let noise = DiscreteGaussian::new(1 << 30).unwrap();
        let draw = |key: u64, step, chunk, len: usize| {
            let mut values = vec![0; len];
            noise.fill(&NoiseKey::insecure(key), step, chunk, &mut values);
            values
        };
        let all = draw(1, 2, 3, 100);
        assert_eq!(draw(1, 2, 3, 10), all[..10]);
        for other in [draw(2, 2, 3, 100), draw(1, 3, 3, 100), draw(1, 2, 4, 100)] {
            assert!(all.iter().zip(other).filter(|(a, b)| **a == *b).count() < 3);
        }
        for variance in [0, LARGEST_VARIANCE + 1] {
            assert!(DiscreteGaussian::new(variance).unwrap_err().to_string().contains("2^48"));
        }
    }
}
