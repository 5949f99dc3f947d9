//! Seeded splits that depend on record numbers alone, and the generator behind them.
//!
//! A split must be the same on every machine, for every number of threads and for every order of reading, so it is a function of
//! `(seed, index)`: record `i` gets the key `splitmix64(seed ^ splitmix64(i))`, and the records with the smallest keys are held out.

use crate::error::{DataError, Result};

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The first output of the `SplitMix64` generator started at `state` (Steele, Lea, Flood, 2014).
///
/// ```
/// assert_eq!(thalweg_data::splitmix64(0), 0xe220_a839_7b1d_cdaf);
/// ```
#[must_use]
pub const fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The key by which record `index` is ordered under `seed`.
pub(crate) const fn record_key(seed: u64, index: usize) -> u64 {
    splitmix64(seed ^ splitmix64(index as u64))
}

/// How many records a split holds out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeldOut {
    /// A fraction in `0..=1` of the records; the count is rounded to the nearest integer.
    Fraction(f64),
    /// So many records.
    Count(usize),
}

impl HeldOut {
    fn of(self, n: usize) -> Result<usize> {
        match self {
            Self::Fraction(f) if (0.0..=1.0).contains(&f) => Ok((f * n as f64).round() as usize),
            Self::Fraction(f) => Err(DataError::bad_request("the held-out fraction", f, "a number from 0 to 1")),
            Self::Count(count) if count <= n => Ok(count),
            Self::Count(count) => Err(DataError::bad_request("the held-out count", count, format!("at most the {n} records"))),
        }
    }
}

/// Record indices in two parts, each in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Records to train on.
    pub kept: Vec<usize>,
    /// Records set aside.
    pub held_out: Vec<usize>,
}

impl Split {
    /// Splits the records `0..n` by seed.
    ///
    /// # Errors
    /// [`DataError::BadRequest`] where `held_out` is not a fraction or exceeds `n`.
    ///
    /// ```
    /// use thalweg_data::{HeldOut, Split};
    /// let split = Split::seeded(10, HeldOut::Fraction(0.2), 0)?;
    /// assert_eq!((split.kept.len(), split.held_out.len()), (8, 2));
    /// # Ok::<(), thalweg_data::DataError>(())
    /// ```
    pub fn seeded(n: usize, held_out: HeldOut, seed: u64) -> Result<Self> {
        let count = held_out.of(n)?;
        let order = in_seeded_order((0..n).collect(), seed);
        Ok(Self::from_held_out(n, &order[..count]))
    }

    /// Splits by seed so that every class is held out in proportion to its size.
    ///
    /// Each class first gives the whole part of its share `held_out * n_c / n`; the records still missing to the total come from the
    /// classes with the largest remainders (Hamilton's method, ties to the lower class), so the total is exact.
    ///
    /// # Errors
    /// As [`Split::seeded`].
    pub fn stratified(labels: &[u32], held_out: HeldOut, seed: u64) -> Result<Self> {
        let total = held_out.of(labels.len())?;
        let classes = members_by_class(labels);
        let quotas = apportion(&classes.iter().map(Vec::len).collect::<Vec<_>>(), total);
        let mut held = Vec::with_capacity(total);
        for (members, quota) in classes.into_iter().zip(quotas) {
            held.extend_from_slice(&in_seeded_order(members, seed)[..quota]);
        }
        Ok(Self::from_held_out(labels.len(), &held))
    }

    fn from_held_out(n: usize, held: &[usize]) -> Self {
        let mut is_held = vec![false; n];
        for &i in held {
            is_held[i] = true;
        }
        let (held_out, kept) = (0..n).partition(|&i| is_held[i]);
        Self { kept, held_out }
    }
}

/// The records in ascending order of their keys.
pub(crate) fn in_seeded_order(mut indices: Vec<usize>, seed: u64) -> Vec<usize> {
    indices.sort_by_cached_key(|&i| (record_key(seed, i), i));
    indices
}

/// Non-empty classes in ascending order of label. Sorting, not indexing by label: a label may be any u32.
fn members_by_class(labels: &[u32]) -> Vec<Vec<usize>> {
    let mut by_class = std::collections::BTreeMap::<u32, Vec<usize>>::new();
    for (i, &label) in labels.iter().enumerate() {
        by_class.entry(label).or_default().push(i);
    }
    by_class.into_values().collect()
}

fn apportion(sizes: &[usize], total: usize) -> Vec<usize> {
    let n = sizes.iter().sum::<usize>().max(1) as u128;
    let shares = sizes.iter().map(|&size| size as u128 * total as u128);
    let (mut quotas, remainders): (Vec<usize>, Vec<u128>) = shares.map(|share| ((share / n) as usize, share % n)).unzip();
    let missing = total - quotas.iter().sum::<usize>();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(remainders[class]));
    for &class in by_remainder.iter().take(missing) {
        quotas[class] += 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seed: u64, n: usize) -> Vec<u64> {
        (0..n as u64).map(|k| splitmix64(seed.wrapping_add(k.wrapping_mul(GOLDEN)))).collect()
    }

    #[test]
    fn splitmix64_gives_the_published_stream() {
        assert_eq!(stream(0, 3), [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        let uniform: Vec<f64> = stream(42, 3).iter().map(|x| (x >> 11) as f64 / (1u64 << 53) as f64).collect();
        assert_eq!(uniform, [0.741_564_878_771_823_3, 0.159_910_392_876_920_1, 0.278_601_130_255_138_66]);
    }

    #[test]
    fn held_out_records_have_the_smallest_keys() {
        let split = Split::seeded(1000, HeldOut::Fraction(0.137), 7).unwrap();
        assert_eq!(split.held_out.len(), 137);
        let largest_held = split.held_out.iter().map(|&i| record_key(7, i)).max().unwrap();
        let smallest_kept = split.kept.iter().map(|&i| record_key(7, i)).min().unwrap();
        assert!(largest_held < smallest_kept);
        let mut all = [split.kept, split.held_out].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn another_seed_gives_another_split() {
        let of = |seed| Split::seeded(200, HeldOut::Count(50), seed).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn stratified_totals_are_exact_and_proportional() {
        let sizes = [178usize, 182, 177, 183, 181, 182, 181, 179, 174, 180];
        let labels: Vec<u32> = sizes.iter().enumerate().flat_map(|(c, &n)| vec![c as u32; n]).collect();
        let split = Split::stratified(&labels, HeldOut::Count(360), 0).unwrap();
        assert_eq!(split.held_out.len(), 360);
        for (class, &size) in sizes.iter().enumerate() {
            let held = split.held_out.iter().filter(|&&i| labels[i] == class as u32).count();
            let share = 360.0 * size as f64 / 1797.0;
            assert!((held as f64 - share).abs() < 1.0, "class {class}: {held} of {share}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!(Split::seeded(0, HeldOut::Fraction(0.5), 0).unwrap().kept, Vec::<usize>::new());
        assert_eq!(Split::stratified(&[], HeldOut::Count(0), 0).unwrap().held_out, Vec::<usize>::new());
        assert_eq!(Split::stratified(&[u32::MAX, 3], HeldOut::Count(2), 0).unwrap().held_out, [0, 1]);
        assert_eq!(Split::seeded(1, HeldOut::Fraction(1.0), 0).unwrap().held_out, [0]);
        for bad in [HeldOut::Fraction(f64::NAN), HeldOut::Fraction(-0.1), HeldOut::Fraction(1.1), HeldOut::Count(4)] {
            assert_eq!(Split::seeded(3, bad, 0).unwrap_err().code(), "E19");
        }
    }
}
