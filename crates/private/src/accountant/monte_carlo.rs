//! Accounting by draws of the privacy loss, for sampling schemes whose loss has no closed form.
//!
//! `delta(epsilon) = E[(1 - e^{epsilon - Y})_+]` over losses Y drawn from the true distribution. The mean over draws is an estimate;
//! [`Claim::Guarantee`] asks for an epsilon that holds with the chance of being deceived counted into delta.

use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg_descent::Seed;
use thalweg_descent::streams::StreamRng;

use super::calibration;
use super::confidence::{acceptance, draws_for};
use super::tally::Tally;
use super::{Confidence, Neighbours};
use crate::error::{Error, Result};
use crate::noise::{CHUNK, Gaussian, Innovations, NoiseKey};

/// Draws that are made together.
pub(super) const LANES: usize = 8;
/// Draws to a block, which has random numbers of its own.
const BLOCK: u64 = 4096;
/// The most draws.
const MOST: u64 = 1 << 40;
/// How often a noise multiplier may be checked with fresh draws before a calibration gives up.
const ATTEMPTS: u32 = 6;
/// The relative width at which a calibration ends: draws do not tell closer.
const WIDTH: f64 = 1e-3;

/// What is claimed of a Monte-Carlo epsilon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// It is the best guess; about half of such guesses are too small.
    Estimate,
    /// It holds at delta, over the draws of the account and the noise of the run together.
    #[default]
    Guarantee,
}

/// How the privacy loss is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonteCarlo {
    /// The number of draws, rounded up to a multiple of 4096; as many as make the guarantee at half of delta where none is given.
    pub draws: Option<u64>,
    /// The seed: the same seed gives the same account. Trying seeds until one pleases voids the guarantee.
    pub seed: u64,
    /// What is claimed.
    pub claim: Claim,
}

/// Draws losses of a sampling scheme.
pub(super) trait Losses: Sync {
    /// Draws [`LANES`] losses in each direction: of the example's removal and of its addition, or of its replacement alone.
    fn draw(&self, noise: &mut Normals<'_>, chance: &mut StreamRng, losses: &mut Directions);
}

/// Losses of each direction.
pub(super) type Directions = Vec<[f64; LANES]>;

/// How many directions differ.
pub(super) fn directions(neighbours: Neighbours) -> usize {
    match neighbours {
        Neighbours::AddRemove | Neighbours::ZeroOut => 2,
        Neighbours::ReplaceOne => 1,
    }
}

/// A stream of standard normal values for one block.
pub(super) struct Normals<'a> {
    source: &'a Gaussian,
    block: u64,
    chunk: usize,
    values: Vec<f32>,
    used: usize,
}

impl<'a> Normals<'a> {
    fn new(source: &'a Gaussian, block: u64) -> Self {
        Self { source, block, chunk: 0, values: vec![0.0; CHUNK], used: CHUNK }
    }

    /// Fills `out` with the next values.
    pub(super) fn fill(&mut self, mut out: &mut [f64]) {
        while !out.is_empty() {
            if self.used == CHUNK {
                self.source.fill(self.block, self.chunk, &mut self.values);
                self.chunk += 1;
                self.used = 0;
            }
            let count = out.len().min(CHUNK - self.used);
            let (now, later) = out.split_at_mut(count);
            now.iter_mut().zip(&self.values[self.used..]).for_each(|(out, value)| *out = f64::from(*value));
            self.used += count;
            out = later;
        }
    }
}

/// Makes `draws` draws; the result depends on losses, draws and seed alone.
pub(super) fn tally(losses: &impl Losses, neighbours: Neighbours, draws: u64, seed: u64) -> Vec<Tally> {
    let directions = directions(neighbours);
    let source = Gaussian::new(NoiseKey::insecure(seed));
    let chance = Seed(seed).stream("privacy loss");
    let empty = || vec![Tally::new(); directions];
    let of_block = |mut tallies: Vec<Tally>, block: usize| {
        let (mut normals, mut chance) = (Normals::new(&source, block as u64), chance.at(block as u64));
        let mut drawn = vec![[0.0; LANES]; directions];
        for _ in 0..BLOCK / LANES as u64 {
            losses.draw(&mut normals, &mut chance, &mut drawn);
            tallies.iter_mut().zip(&drawn).for_each(|(tally, losses)| losses.iter().for_each(|loss| tally.add(*loss)));
        }
        tallies
    };
    let joined = |mut left: Vec<Tally>, right: Vec<Tally>| {
        left.iter_mut().zip(&right).for_each(|(left, right)| left.join(right));
        left
    };
    let blocks = (draws / BLOCK) as usize;
    // A tally has megabytes: a few to a thread.
    let least = (blocks / (4 * rayon::current_num_threads())).max(1);
    (0..blocks).into_par_iter().with_min_len(least).fold(empty, of_block).reduce(empty, joined)
}

/// An account of losses that depend on the noise multiplier.
pub(super) struct Question<'a, F> {
    pub(super) losses: F,
    pub(super) neighbours: Neighbours,
    pub(super) delta: f64,
    pub(super) how: &'a MonteCarlo,
}

impl<L: Losses, F: Fn(f64) -> Result<L>> Question<'_, F> {
    fn draws(&self, attempts: u32) -> Result<u64> {
        let draws = self.how.draws.unwrap_or_else(|| draws_for(attempts, self.delta, 0.5));
        if draws == 0 || draws > MOST {
            return Err(Error::value("the number of draws", draws, &format!("1 to {MOST}")));
        }
        Ok(draws.div_ceil(BLOCK) * BLOCK)
    }

    fn threshold(&self, draws: u64, attempts: u32) -> Result<Option<f64>> {
        match (self.how.claim, acceptance(draws, attempts, self.delta)) {
            (Claim::Guarantee, None) => Err(Error::TooFewDraws {
                draws,
                delta: self.delta,
                least: draws_for(attempts, self.delta, 0.0).div_ceil(BLOCK) * BLOCK,
                good: draws_for(attempts, self.delta, 0.5).div_ceil(BLOCK) * BLOCK,
            }),
            (_, threshold) => Ok(threshold),
        }
    }

    /// The epsilon of a noise multiplier, estimated and guaranteed.
    pub(super) fn epsilon(&self, sigma: f64) -> Result<Confidence> {
        let draws = self.draws(1)?;
        let threshold = self.threshold(draws, 1)?;
        self.measure(sigma, draws, self.how.seed, threshold)
    }

    fn measure(&self, sigma: f64, draws: u64, seed: u64, threshold: Option<f64>) -> Result<Confidence> {
        let tallies = tally(&(self.losses)(sigma)?, self.neighbours, draws, seed);
        let worst = |mean: f64| tallies.iter().map(|tally| tally.epsilon(mean)).fold(0.0, f64::max);
        let guaranteed = threshold.map(worst);
        Ok(Confidence { estimate: worst(self.delta), guaranteed, draws, seed: self.how.seed })
    }

    /// The least noise multiplier for an epsilon, and what was found of it.
    pub(super) fn noise(&self, epsilon: f64) -> Result<(f64, Confidence)> {
        match self.how.claim {
            Claim::Estimate => {
                let draws = self.draws(1)?;
                let at = |sigma| self.measure(sigma, draws, self.how.seed, acceptance(draws, 1, self.delta));
                let sigma = calibration::to_width(WIDTH, epsilon, self.delta, |sigma| at(sigma).map(|found| found.estimate))?;
                Ok((sigma, at(sigma)?))
            }
            Claim::Guarantee => self.checked_noise(epsilon),
        }
    }

    /// Searches with draws of its own, then checks with fresh ones; every check is counted.
    fn checked_noise(&self, epsilon: f64) -> Result<(f64, Confidence)> {
        let draws = self.draws(ATTEMPTS)?;
        let threshold = self.threshold(draws, ATTEMPTS)?;
        let accepted = threshold.unwrap_or_default();
        let pilot = (draws / 8).div_ceil(BLOCK) * BLOCK;
        let searched = |sigma| self.measure(sigma, pilot, stream(self.how.seed, 0), Some(accepted));
        let guess = |sigma| searched(sigma).map(|found| found.guaranteed.unwrap_or(f64::INFINITY));
        let mut sigma = calibration::to_width(WIDTH, epsilon, self.delta, guess)?;
        for attempt in 1..=ATTEMPTS {
            let found = self.measure(sigma, draws, stream(self.how.seed, attempt), threshold)?;
            let excess = found.guaranteed.unwrap_or(f64::INFINITY) / epsilon;
            if excess <= 1.0 {
                return Ok((sigma, found));
            }
            // Epsilon falls at least as fast as the noise rises.
            sigma *= excess.min(2.0) * (1.0 + WIDTH);
        }
        Err(Error::NoConvergence {
            what: "the calibration by draws",
            reason: format!("no noise multiplier up to {sigma} passed {ATTEMPTS} checks; use more draws than {draws}"),
        })
    }
}

/// The seed of another set of draws.
fn stream(seed: u64, number: u32) -> u64 {
    Seed(seed).stream("draws").at(u64::from(number)).random()
}

/// The losses themselves, for tests.
#[cfg(test)]
pub(super) struct Blocks {
    source: Gaussian,
    seed: u64,
    blocks: u64,
    directions: usize,
}

#[cfg(test)]
impl Blocks {
    pub(super) fn new(seed: u64, blocks: u64, neighbours: Neighbours) -> Self {
        Self { source: Gaussian::new(NoiseKey::insecure(seed)), seed, blocks, directions: directions(neighbours) }
    }

    pub(super) fn losses(&self, losses: &impl Losses, direction: usize) -> impl Iterator<Item = f64> {
        (0..self.blocks).flat_map(move |block| {
            let (mut normals, mut chance) = (Normals::new(&self.source, block), Seed(self.seed).stream("privacy loss").at(block));
            let mut drawn = vec![[0.0; LANES]; self.directions];
            let mut all = Vec::new();
            for _ in 0..BLOCK / LANES as u64 {
                losses.draw(&mut normals, &mut chance, &mut drawn);
                all.extend(drawn[direction]);
            }
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::balls_in_bins::Bins;
    use super::super::columns::Columns;
    use super::*;

    fn ten_bins() -> Bins {
        Bins::new(&Columns::of(None, 100).unwrap(), 10, Neighbours::AddRemove).unwrap()
    }

    fn ask<T>(
        how: &MonteCarlo,
        delta: f64,
        answer: impl FnOnce(&dyn Fn(f64) -> Result<Confidence>, &dyn Fn(f64) -> Result<(f64, Confidence)>) -> T,
    ) -> T {
        let bins = ten_bins();
        let question = Question { losses: |sigma| bins.with_noise(sigma), neighbours: Neighbours::AddRemove, delta, how };
        answer(&|sigma| question.epsilon(sigma), &|epsilon| question.noise(epsilon))
    }

    #[test]
    fn the_result_depends_on_the_seed_and_not_on_the_threads() {
        let bins = ten_bins();
        let at = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let losses = bins.with_noise(3.0).unwrap();
            pool.install(|| tally(&losses, Neighbours::AddRemove, 5 * BLOCK, seed))[0].epsilon(1e-2)
        };
        assert_eq!(at(1, 7).to_bits(), at(3, 7).to_bits());
        assert_ne!(at(1, 7), at(1, 8));
    }

    #[test]
    fn a_guarantee_is_above_the_estimate_and_needs_draws() {
        let how = MonteCarlo { draws: Some(200_000), seed: 1, claim: Claim::Guarantee };
        let found = ask(&how, 1e-3, |epsilon, _| epsilon(3.0)).unwrap();
        assert!(found.guaranteed.unwrap() > found.estimate && found.draws.is_multiple_of(BLOCK));
        let few = MonteCarlo { draws: Some(5000), ..how };
        let Err(Error::TooFewDraws { draws, least, good, .. }) = ask(&few, 1e-3, |epsilon, _| epsilon(3.0)) else { panic!() };
        assert!(draws == 8192 && least > draws && good > least);
        let enough = MonteCarlo { draws: Some(least), ..how };
        ask(&enough, 1e-3, |epsilon, _| epsilon(3.0)).unwrap();
        let estimate = MonteCarlo { claim: Claim::Estimate, ..few };
        assert_eq!(ask(&estimate, 1e-3, |epsilon, _| epsilon(3.0)).unwrap().guaranteed, None);
        for draws in [0, u64::MAX] {
            let error = ask(&MonteCarlo { draws: Some(draws), ..how }, 1e-3, |epsilon, _| epsilon(3.0)).unwrap_err();
            assert!(error.to_string().contains("draws"), "{error}");
        }
    }

    #[test]
    fn calibrated_noise_has_the_epsilon_asked_for() {
        for claim in [Claim::Estimate, Claim::Guarantee] {
            let how = MonteCarlo { draws: Some(100_000), seed: 3, claim };
            let (sigma, found) = ask(&how, 1e-2, |_, noise| noise(1.0)).unwrap();
            let reached = if claim == Claim::Estimate { found.estimate } else { found.guaranteed.unwrap() };
            assert!(reached <= 1.0 && reached > 0.9, "{claim:?} {sigma}: {reached}");
        }
    }

    /// Losses that are 0 or infinite: delta does not fall with epsilon.
    struct Hopeless;

    impl Losses for Hopeless {
        fn draw(&self, _: &mut Normals<'_>, chance: &mut StreamRng, losses: &mut Directions) {
            losses.iter_mut().flatten().for_each(|loss| *loss = if chance.random::<bool>() { f64::INFINITY } else { 0.0 });
        }
    }

    #[test]
    fn what_no_noise_reaches_is_an_error() {
        let how = MonteCarlo { draws: Some(50_000), seed: 1, claim: Claim::Guarantee };
        let question = Question { losses: |_| Ok(Hopeless), neighbours: Neighbours::AddRemove, delta: 1e-2, how: &how };
        assert!(matches!(question.noise(1.0), Err(Error::Unreachable { .. })));
    }
}
