//! Canaries for a whole training: gradients in secret directions, each in or out by a coin flip.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand::seq::index;
use rayon::prelude::*;
use thalweg_descent::{Layout, Seed, Stream};

use crate::error::{Error, Result};

/// The usual number of canaries.
pub const CANARIES: usize = 1000;

/// The directions of canary gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// So many random coordinates with random signs. Canaries share no coordinate where there are enough for all of them, and
    /// then none hides another.
    Sparse {
        /// The coordinates of each, at least 1.
        coordinates: usize,
    },
    /// All coordinates with random signs: m canaries cost m passes over the parameters in each step.
    Dense,
}

/// Canaries with unit gradients, and the fair coins that decide which of them take part.
///
/// Everything is a function of the seed, so that a resumed run has the same canaries.
///
/// ```
/// use thalweg_descent::{Layout, Seed};
/// use thalweg_private::audit::{CANARIES, CanaryGradients, Direction};
///
/// let layout = Layout::single("weight", &[100, 100]);
/// let canaries = CanaryGradients::new(CANARIES, &layout, Direction::Sparse { coordinates: 8 }, Seed(1))?;
/// let mut update = vec![0.0; 10_000];
/// canaries.add(3, 0.5, &mut update);
/// assert!((canaries.response(3, &update) - 0.5).abs() < 1e-6);
/// assert_eq!(canaries.response(4, &update), 0.0);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CanaryGradients {
    layout: Layout,
    included: Vec<bool>,
    support: Support,
}

#[derive(Clone, Debug)]
enum Support {
    /// The coordinates and signs of each canary, one canary after the other.
    Sparse { coordinates: usize, entries: Vec<(u32, f32)> },
    /// Drawn again at each look.
    Dense(Stream),
}

impl CanaryGradients {
    /// So many canaries for parameters of this layout.
    ///
    /// # Errors
    /// [`Error::Value`] for less than 2 canaries, or a number of coordinates that is 0 or above that of the parameters.
    pub fn new(count: usize, layout: &Layout, direction: Direction, seed: Seed) -> Result<Self> {
        if count < 2 {
            return Err(Error::value("the number of canaries", count, "at least 2"));
        }
        let len = layout.len();
        if len == 0 || u32::try_from(len).is_err() {
            return Err(Error::value("the number of parameters under audit", len, "from 1 to 2^32 - 1"));
        }
        let mut coins = seed.stream("canary coins").at(0);
        let included = (0..count).map(|_| coins.random_bool(0.5)).collect();
        let stream = seed.stream("canary directions");
        let support = match direction {
            Direction::Dense => Support::Dense(stream),
            Direction::Sparse { coordinates } if (1..=len).contains(&coordinates) => {
                Support::Sparse { coordinates, entries: sparse(count, coordinates, len, &stream) }
            }
            Direction::Sparse { coordinates } => {
                return Err(Error::value(
                    "the coordinates of a canary",
                    coordinates,
                    &format!("from 1 to {len}, the parameters"),
                ));
            }
        };
        Ok(Self { layout: layout.clone(), included, support })
    }

    /// m, the number of canaries.
    pub fn count(&self) -> usize {
        self.included.len()
    }

    /// Whether a canary takes part.
    pub fn is_in(&self, canary: usize) -> bool {
        self.included[canary]
    }

    /// Adds `length` times a canary's direction to a vector of the parameters' length.
    pub fn add(&self, canary: usize, length: f32, vector: &mut [f32]) {
        self.visit(canary, |coordinate, value| vector[coordinate] += length * value);
    }

    /// The inner product of a canary's direction and such a vector.
    pub fn response(&self, canary: usize, vector: &[f32]) -> f64 {
        let mut sum = 0.0;
        self.visit(canary, |coordinate, value| sum += f64::from(value) * f64::from(vector[coordinate]));
        sum
    }

    /// [`response`](Self::response) of every canary.
    pub fn responses(&self, vector: &[f32]) -> Vec<f64> {
        (0..self.count()).into_par_iter().map(|canary| self.response(canary, vector)).collect()
    }

    /// The parts of the parameters.
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The entries of a direction that are not 0, with their coordinates.
    pub(super) fn visit(&self, canary: usize, mut entry: impl FnMut(usize, f32)) {
        match &self.support {
            Support::Sparse { coordinates, entries } => {
                entries[canary * coordinates..(canary + 1) * coordinates]
                    .iter()
                    .for_each(|&(at, value)| entry(at as usize, value));
            }
            Support::Dense(stream) => {
                let mut rng = stream.at(canary as u64);
                let value = unit_entry(self.layout.len());
                for first in (0..self.layout.len()).step_by(64) {
                    let signs: u64 = rng.random();
                    for at in first..self.layout.len().min(first + 64) {
                        entry(at, if signs >> (at - first) & 1 == 0 { value } else { -value });
                    }
                }
            }
        }
    }
}

/// The size of the entries of a unit vector of so many equal ones.
fn unit_entry(entries: usize) -> f32 {
    (1.0 / (entries as f64).sqrt()) as f32
}

fn sparse(count: usize, coordinates: usize, len: usize, stream: &Stream) -> Vec<(u32, f32)> {
    let mut rng = stream.at(0);
    let places: Vec<usize> = if count.saturating_mul(coordinates) <= len {
        let mut all: Vec<usize> = index::sample(&mut rng, len, count * coordinates).into_vec();
        all.shuffle(&mut rng);
        all
    } else {
        (0..count).flat_map(|_| index::sample(&mut rng, len, coordinates).into_vec()).collect()
    };
    let value = unit_entry(coordinates);
    places.into_iter().map(|at| (at as u32, if rng.random_bool(0.5) { value } else { -value })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canaries(count: usize, len: usize, direction: Direction) -> CanaryGradients {
        CanaryGradients::new(count, &Layout::single("x", &[len]), direction, Seed(3)).unwrap()
    }

    #[test]
    fn directions_have_length_1_and_disjoint_ones_do_not_meet() {
        for direction in [Direction::Sparse { coordinates: 1 }, Direction::Sparse { coordinates: 7 }, Direction::Dense] {
            let canaries = canaries(20, 150, direction);
            for i in 0..20 {
                let mut vector = vec![0.0; 150];
                canaries.add(i, 1.0, &mut vector);
                assert!((thalweg_descent::norm(&vector) - 1.0).abs() < 1e-6, "{direction:?}");
                assert!((canaries.response(i, &vector) - 1.0).abs() < 1e-6);
                for j in (0..20).filter(|&j| j != i) {
                    // Signs of 150 coordinates have inner products of standard deviation 0.08.
                    let limit = if direction == Direction::Dense { 0.5 } else { 0.0 };
                    assert!(canaries.response(j, &vector).abs() <= limit, "{direction:?} {i} {j}");
                }
            }
        }
    }

    #[test]
    fn crowded_canaries_have_distinct_coordinates_of_their_own() {
        let canaries = canaries(50, 10, Direction::Sparse { coordinates: 4 });
        for i in 0..50 {
            let mut seen = Vec::new();
            canaries.visit(i, |at, _| seen.push(at));
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 4);
        }
    }

    #[test]
    fn coins_are_fair_and_a_seed_repeats_everything() {
        let make = |seed: u64| {
            let layout = Layout::single("x", &[300]);
            CanaryGradients::new(2000, &layout, Direction::Sparse { coordinates: 3 }, Seed(seed)).unwrap()
        };
        let coins = |canaries: &CanaryGradients| (0..2000).map(|i| canaries.is_in(i)).collect::<Vec<bool>>();
        let heads = coins(&make(1)).iter().filter(|&&is_in| is_in).count();
        // Five standard deviations of 2,000 fair coins: a false alarm in two million seeds.
        assert!(heads.abs_diff(1000) < 112, "{heads}");
        assert_eq!(coins(&make(1)), coins(&make(1)));
        assert_ne!(coins(&make(1)), coins(&make(2)));
        let ones = vec![1.0; 300];
        assert_eq!(make(1).response(9, &ones), make(1).response(9, &ones));
    }

    #[test]
    fn impossible_canaries_are_refused() {
        let layout = Layout::single("x", &[5]);
        let refused = |count: usize, layout: &Layout, direction: Direction| {
            CanaryGradients::new(count, layout, direction, Seed(0)).unwrap_err().to_string()
        };
        assert!(refused(1, &layout, Direction::Dense).contains("at least 2"));
        assert!(refused(2, &Layout::default(), Direction::Dense).contains("parameters"));
        for coordinates in [0, 6] {
            assert!(refused(2, &layout, Direction::Sparse { coordinates }).contains("from 1 to 5"));
        }
    }
}
