//! Private sums without floating point where it matters: gradients on a grid, exact sums, discrete Gaussian noise.
//!
//! Floating point breaks the guarantee of noisy sums in two ways. The low bits of a released number tell which values the noise
//! can and cannot have taken; and a sum that is rounded after each addition can move by more than one clipped gradient. Here every
//! gradient is rounded to integer multiples of a unit, then clipped by integer arithmetic, so that its norm is at most R units,
//! exactly; integers are added without rounding; and the noise is a [`DiscreteGaussian`], sampled by integer arithmetic alone.
//! Rounding adds nothing to the sensitivity, since clipping comes after it. What is released is a multiple of the unit, whatever
//! the data.
//!
//! | arithmetic | what it protects against |
//! |---|---|
//! | `f32` noise of a [`NoiseStream`](crate::noise::NoiseStream), as in a [`PrivateGuard`](crate::PrivateGuard) by default | whoever sees the model, but not the low bits of each released number |
//! | this grid | also whoever reads every bit of everything released |
//!
//! Neither hides how long a computation takes. Only independent noise can be had so: the matrices of correlated mechanisms have
//! entries that are no multiples of any unit, and their products with integer noise would have to be rounded, which is the leak
//! that the grid is there to close.
//!
//! In a descent, a plan with [`NoiseKind::Discrete`](crate::NoiseKind) works so: [`OnGrid`] differentiates one unit at a time, so
//! that nobody's gradient depends on who else is in the batch, and its sums are whole numbers in `f32`, which are exact below
//! [`EXACT_BELOW`]; the guard adds whole numbers to them. [`GridRun`] is the same for a loop of your own.

mod objective;

pub use objective::OnGrid;

use crate::accountant::{Neighbours, concentrated};
use crate::error::{Error, Result, positive};
use crate::noise::{CHUNK, DiscreteGaussian, NoiseKey};

/// The grid that gradients lie on, and the largest norm of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    unit: f64,
    norm: u64,
}

/// Noise on a grid for a guarantee: the sum in each step gets discrete Gaussian noise of the same variance.
#[derive(Clone, Debug, PartialEq)]
pub struct GridMechanism {
    grid: Grid,
    noise: DiscreteGaussian,
    rho: f64,
}

/// The exact sum of clipped gradients of one step.
#[derive(Clone, Debug)]
pub struct GridSum {
    grid: Grid,
    sum: Vec<i64>,
    rounded: Vec<i64>,
    units: usize,
}

/// Releases the sums of a run, each step once.
#[derive(Debug)]
pub struct GridRun {
    mechanism: GridMechanism,
    key: NoiseKey,
    next: u64,
}

/// At most so many units a step, so that no sum overflows.
const MOST_UNITS: usize = 1 << 30;

/// Whole numbers up to here are exact in `f32`.
pub const EXACT_BELOW: u64 = 1 << 24;

/// No finer grid is taken: its units are far below what `f32` gradients resolve.
const FINEST: u32 = 20;

/// No coarser grid is taken.
const COARSEST: u32 = 4;

/// Rounding may move a typical gradient by this share of the clip norm at most.
const MOST_ROUNDING: f64 = 0.1;

impl Grid {
    /// For a clip norm, in units of a power of two that go into it between `2^bits` and `2^{bits+1}` times; 16 bits are plenty.
    ///
    /// # Errors
    /// [`Error::Value`] for a clip norm not above 0, or bits not in 4..=24.
    pub fn new(clip: f64, bits: u32) -> Result<Self> {
        positive("the clip norm", clip)?;
        if !(1e-30..=1e30).contains(&clip) {
            return Err(Error::value("the clip norm", clip, "from 1e-30 to 1e30"));
        }
        if !(COARSEST..=24).contains(&bits) {
            return Err(Error::value("the bits of the grid", bits, "from 4 to 24"));
        }
        let most = (1u64 << (bits + 1)) as f64;
        let mut unit = 1.0;
        while clip / unit >= most {
            unit *= 2.0;
        }
        while clip / unit < most / 2.0 {
            unit /= 2.0;
        }
        Ok(Self { unit, norm: (clip / unit) as u64 })
    }

    /// The finest grid on which sums of so many units are exact in `f32`.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Value`] for more than 2^19 units.
    pub fn finest_for(clip: f64, units: u64) -> Result<Self> {
        let units = units.max(1);
        // R is below 2^{bits+1}.
        let bits = (COARSEST..=FINEST).rev().find(|bits| units <= EXACT_BELOW >> (bits + 1));
        match bits {
            Some(bits) => Self::new(clip, bits),
            None => Err(Error::value("the batch of discrete noise", units, "at most 2^19 examples, whose sum is exact in f32")),
        }
    }

    /// A grid of units twice as large; `None` where that is too coarse.
    fn coarser(&self) -> Option<Self> {
        let norm = self.norm / 2;
        (norm >= 1 << COARSEST).then_some(Self { unit: 2.0 * self.unit, norm })
    }

    /// Checks that the units are small beside the entries of a gradient of so many parameters at the clip norm.
    ///
    /// # Errors
    /// [`Error::Value`] where rounding would move a gradient by more than a tenth of the clip norm.
    pub fn check_parameters(&self, parameters: usize) -> Result<()> {
        // A rounding error is uniform in a unit: its variance is 1/12.
        let moved = (parameters as f64 / 12.0).sqrt() / self.norm as f64;
        if moved <= MOST_ROUNDING {
            return Ok(());
        }
        let right = format!(
            "at most {:.0} on a grid of {} units in the clip norm; take smaller batches or a larger epsilon, which make it finer",
            12.0 * (MOST_ROUNDING * self.norm as f64).powi(2),
            self.norm
        );
        Err(Error::value("the number of parameters under discrete noise", parameters, &right))
    }

    /// The unit, a power of two.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// R: the largest norm of a clipped gradient, in units. At most the clip norm asked for, and less than a unit below it.
    pub fn norm(&self) -> u64 {
        self.norm
    }

    /// Rounds a gradient to the grid, then clips it: the squares of the integers add up to at most `R^2`.
    ///
    /// Each entry is off by half a unit at most, and where the rounded norm exceeds R, by another unit.
    ///
    /// # Errors
    /// [`Error::NonFiniteNorm`] naming its place in the batch for a gradient that is no finite number.
    pub fn clip(&self, gradient: &[f32], place: usize, out: &mut [i64]) -> Result<()> {
        let norm = gradient.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            return Err(Error::NonFiniteNorm { unit: place, norm });
        }
        // In floating point, for its size alone: what it gets wrong the integers below put right.
        let bound = self.norm as f64;
        let scale = if norm > bound * self.unit { bound / norm } else { 1.0 / self.unit };
        for (out, &value) in out.iter_mut().zip(gradient) {
            *out = (f64::from(value) * scale).round_ties_even() as i64;
        }
        let square: u128 = out.iter().map(|&value| u128::from(value.unsigned_abs()).pow(2)).sum();
        if square > u128::from(self.norm).pow(2) {
            let root = square.isqrt() + 1;
            // |x| R / root, rounded towards 0: the squares add up to less than R^2.
            let shortened = |value: i64| (u128::from(value.unsigned_abs()) * u128::from(self.norm) / root) as i64;
            out.iter_mut().for_each(|value| *value = shortened(*value) * value.signum());
        }
        Ok(())
    }
}

impl GridMechanism {
    /// The least noise for (epsilon, delta), over a run in which each unit takes part in at most `at_most` steps.
    ///
    /// By [`concentrated`] differential privacy, without amplification by sampling. Batches may be chosen in any way that does not
    /// look at the data, nor, where one example may be missing, at how many there are.
    ///
    /// ```
    /// use thalweg_private::accountant::Neighbours;
    /// use thalweg_private::grid::{Grid, GridMechanism, GridRun};
    /// use thalweg_private::NoiseKey;
    ///
    /// let mechanism = GridMechanism::calibrate(Grid::new(1.0, 16)?, 10, Neighbours::ZeroOut, 4.0, 1e-5)?;
    /// let mut run = GridRun::new(mechanism, NoiseKey::generate()?);
    /// let mut sum = run.sum(3);
    /// for gradient in [[0.3, -0.2, 4.0], [0.0, 0.1, 0.2]] {
    ///     sum.add(&gradient)?;
    /// }
    /// let noisy: Vec<f64> = run.release(0, &sum)?;
    /// assert_eq!(noisy.len(), 3);
    /// # Ok::<(), thalweg_private::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for what is out of range; [`Error::Unreachable`] when the noise would need more units than the sampler
    /// has: take a coarser grid.
    pub fn calibrate(grid: Grid, at_most: u64, neighbours: Neighbours, epsilon: f64, delta: f64) -> Result<Self> {
        if at_most == 0 {
            return Err(Error::value("the number of participations k", 0, "at least 1"));
        }
        let rho = concentrated::rho(epsilon, delta)?;
        let squared = at_most as f64 * (neighbours.distance() * grid.norm as f64).powi(2);
        // Rounded up, with room for the rounding of this division.
        let variance = (squared / (2.0 * rho) * (1.0 + 1e-12)).ceil().max(1.0);
        let limit = crate::noise::LARGEST_DISCRETE_VARIANCE as f64;
        if variance > limit {
            let hint = format!("take fewer bits than a clip norm of {} units, or less privacy", grid.norm);
            return Err(Error::Unreachable { epsilon, delta, limit: limit.sqrt() / grid.norm as f64, hint });
        }
        let noise = DiscreteGaussian::new(variance as u64)?;
        Ok(Self { grid, noise, rho: squared / (2.0 * variance) })
    }

    /// Likewise, on the finest grid on which sums of so many units are exact in `f32` and the noise has room.
    ///
    /// # Errors
    /// As [`calibrate`](Self::calibrate) and [`Grid::finest_for`].
    pub fn calibrate_finest(
        clip: f64,
        units: u64,
        at_most: u64,
        neighbours: Neighbours,
        epsilon: f64,
        delta: f64,
    ) -> Result<Self> {
        let mut grid = Grid::finest_for(clip, units)?;
        loop {
            match (Self::calibrate(grid, at_most, neighbours, epsilon, delta), grid.coarser()) {
                (Err(Error::Unreachable { .. }), Some(coarser)) => grid = coarser,
                (calibrated, _) => return calibrated,
            }
        }
    }

    /// With noise divided by a factor: a fault to be found by an audit.
    pub(crate) fn with_less_noise(&self, factor: f64) -> Result<Self> {
        let variance = (self.noise.variance() as f64 / (factor * factor)).round().max(1.0);
        Ok(Self { noise: DiscreteGaussian::new(variance as u64)?, ..self.clone() })
    }

    /// The grid.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// What the whole run costs in concentrated differential privacy.
    pub fn rho(&self) -> f64 {
        self.rho
    }

    /// The standard deviation of the noise in each entry of a sum.
    pub fn noise_std(&self) -> f64 {
        (self.noise.variance() as f64).sqrt() * self.grid.unit
    }

    /// Puts noise on sums of whole numbers of the grid, each of which it replaces by what `place` makes of the noisy one.
    fn add_noise<S>(&self, key: &NoiseKey, step: u64, sums: &mut [S], mut place: impl FnMut(&mut S, i64)) {
        let mut noise = vec![0; CHUNK.min(sums.len())];
        for (chunk, sums) in sums.chunks_mut(CHUNK).enumerate() {
            let noise = &mut noise[..sums.len()];
            self.noise.fill(key, step, chunk, noise);
            sums.iter_mut().zip(&*noise).for_each(|(sum, noise)| place(sum, *noise));
        }
    }

    /// Makes of a sum of so many units by [`OnGrid`] the noisy one, divided by the public batch.
    ///
    /// # Errors
    /// [`Error::OffGrid`] where the sum is none of whole numbers, or too large to be exact.
    pub(crate) fn release(&self, key: &NoiseKey, step: u64, units: usize, sum: &mut [f32], batch: f64) -> Result<()> {
        // Not the sum itself is compared, which is a secret, but how large it may be.
        let most = (units as u64).saturating_mul(self.grid.norm);
        let is_exact = |value: f32| value.fract() == 0.0 && f64::from(value.abs()) <= most as f64;
        if most > EXACT_BELOW || !sum.iter().all(|value| is_exact(*value)) {
            return Err(Error::OffGrid { step });
        }
        let scale = self.grid.unit / batch;
        // The noisy integer is the release. What scaling and rounding do to it tells nothing more.
        self.add_noise(key, step, sum, |sum, noise| *sum = ((*sum as i64 + noise) as f64 * scale) as f32);
        Ok(())
    }
}

impl GridSum {
    /// Adds a unit's gradient, clipped.
    ///
    /// # Errors
    /// [`Error::Value`] for another length, or more units than 2^30; [`Error::NonFiniteNorm`].
    pub fn add(&mut self, gradient: &[f32]) -> Result<()> {
        if gradient.len() != self.sum.len() {
            return Err(Error::value("the length of the gradient", gradient.len(), &format!("{}", self.sum.len())));
        }
        if self.units == MOST_UNITS {
            return Err(Error::value("the number of units in a step", self.units + 1, "at most 2^30"));
        }
        self.grid.clip(gradient, self.units, &mut self.rounded)?;
        self.sum.iter_mut().zip(&self.rounded).for_each(|(sum, value)| *sum += value);
        self.units += 1;
        Ok(())
    }
}

impl GridRun {
    /// Begins at step 0. The key is for this run alone.
    pub fn new(mechanism: GridMechanism, key: NoiseKey) -> Self {
        Self { mechanism, key, next: 0 }
    }

    /// An empty sum of gradients of this length.
    pub fn sum(&self, len: usize) -> GridSum {
        GridSum { grid: self.mechanism.grid, sum: vec![0; len], rounded: vec![0; len], units: 0 }
    }

    /// The sum with noise. Divide by the public expected batch, never by the number of units.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`] unless it is this step's turn; [`Error::Value`] for a sum on another grid.
    pub fn release(&mut self, step: u64, sum: &GridSum) -> Result<Vec<f64>> {
        if step != self.next {
            return Err(Error::OutOfTurn { asked: step, next: self.next });
        }
        let grid = self.mechanism.grid;
        if sum.grid != grid {
            let of = |grid: Grid| format!("{} units of {:e}", grid.norm, grid.unit);
            return Err(Error::value("the grid of the sum", of(sum.grid), &of(grid)));
        }
        let mut noisy = sum.sum.clone();
        self.mechanism.add_noise(&self.key, step, &mut noisy, |sum, noise| *sum += noise);
        self.next += 1;
        // The noisy integer is the release. What rounding to f64 does to it tells nothing more.
        Ok(noisy.into_iter().map(|value| value as f64 * grid.unit).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn square(values: &[i64]) -> u128 {
        values.iter().map(|&value| u128::from(value.unsigned_abs()).pow(2)).sum()
    }

    proptest! {
        #[test]
        fn no_clipped_gradient_exceeds_the_norm_by_a_single_unit(
            gradient in prop::collection::vec(-1.0f32..1.0, 1..40), scale in -40i32..120, bits in 4u32..=24, clip in 1e-6f64..1e6
        ) {
            let grid = Grid::new(clip, bits).unwrap();
            let gradient: Vec<f32> = gradient.iter().map(|value| value * 2f32.powi(scale)).collect();
            let mut found = vec![0; gradient.len()];
            grid.clip(&gradient, 0, &mut found).unwrap();
            prop_assert!(square(&found) <= u128::from(grid.norm()).pow(2));
            // And it is near the gradient, shortened to the norm.
            let norm = gradient.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            let weight = (grid.norm() as f64 * grid.unit() / norm).min(1.0);
            // Rounding lengthens a vector of d entries by sqrt(d)/2 units at most, which shortening takes back.
            let most = 2.5 + (gradient.len() as f64).sqrt() / 2.0;
            for (found, value) in found.iter().zip(&gradient) {
                prop_assert!((*found as f64 - f64::from(*value) * weight / grid.unit()).abs() <= most);
            }
        }
    }

    #[test]
    fn the_unit_is_a_power_of_two_that_goes_into_the_clip_norm() {
        for (clip, bits, unit, norm) in [(1.0, 16, 2f64.powi(-16), 1 << 16), (0.75, 4, 2f64.powi(-5), 24), (10.0, 4, 0.5, 20)] {
            let grid = Grid::new(clip, bits).unwrap();
            assert_eq!((grid.unit(), grid.norm()), (unit, norm));
        }
        for (clip, bits) in [(0.0, 16), (f64::NAN, 16), (1e31, 16), (1.0, 3), (1.0, 25)] {
            assert!(Grid::new(clip, bits).is_err());
        }
    }

    fn run(epsilon: f64) -> GridRun {
        let mechanism = GridMechanism::calibrate(Grid::new(1.0, 16).unwrap(), 4, Neighbours::ZeroOut, epsilon, 1e-5).unwrap();
        GridRun::new(mechanism, NoiseKey::insecure(3))
    }

    #[test]
    fn sums_are_exact_in_any_order() {
        let run = run(1.0);
        let gradients: Vec<[f32; 2]> = (0..1000).map(|i| [(i as f32 * 0.7).sin(), 1e-4 * (i as f32).cos()]).collect();
        let total = |order: &mut dyn Iterator<Item = &[f32; 2]>| {
            let mut sum = run.sum(2);
            order.for_each(|gradient| sum.add(gradient).unwrap());
            sum.sum
        };
        assert_eq!(total(&mut gradients.iter()), total(&mut gradients.iter().rev()));
        // The same in f32 depends on the order: a sum of floats has no exact sensitivity.
        let float = |order: &mut dyn Iterator<Item = &[f32; 2]>| order.map(|gradient| gradient[0]).sum::<f32>();
        assert_ne!(float(&mut gradients.iter()), float(&mut gradients.iter().rev()));
    }

    #[test]
    fn releases_lie_on_the_grid_with_the_planned_noise() {
        let mut run = run(2.0);
        let (unit, std) = (run.mechanism.grid().unit(), run.mechanism.noise_std());
        let len = 40_000;
        let mut sum = run.sum(len);
        let mut gradient = vec![0.0; len];
        gradient[0] = 100.0;
        sum.add(&gradient).unwrap();
        let noisy = run.release(0, &sum).unwrap();
        assert!(noisy.iter().all(|value| (value / unit).fract() == 0.0));
        let variance = noisy[1..].iter().map(|value| value * value).sum::<f64>() / (len - 1) as f64;
        // Beyond 5 standard errors with probability 6e-7.
        assert!((variance / (std * std) - 1.0).abs() < 5.0 * (2.0 / len as f64).sqrt());
        let second = run.release(1, &sum).unwrap();
        assert!(noisy.iter().zip(&second).filter(|(a, b)| a == b).count() < 10);
    }

    #[test]
    fn the_guarantee_is_that_of_the_whole_run() {
        let mechanism =
            |at_most, neighbours| GridMechanism::calibrate(Grid::new(1.0, 12).unwrap(), at_most, neighbours, 2.0, 1e-6).unwrap();
        let one = mechanism(1, Neighbours::AddRemove);
        assert!(concentrated::delta(one.rho(), 2.0).unwrap() <= 1e-6);
        for (other, ratio) in [(mechanism(9, Neighbours::AddRemove), 3.0), (mechanism(1, Neighbours::ReplaceOne), 2.0)] {
            assert!((other.noise_std() / one.noise_std() / ratio - 1.0).abs() < 1e-6);
            assert!((other.rho() / one.rho() - 1.0).abs() < 1e-6);
        }
        let fine = Grid::new(1.0, 24).unwrap();
        let error = GridMechanism::calibrate(fine, 1000, Neighbours::AddRemove, 0.1, 1e-6).unwrap_err().to_string();
        assert!(error.contains("fewer bits"), "{error}");
        assert!(GridMechanism::calibrate(fine, 0, Neighbours::AddRemove, 1.0, 1e-6).is_err());
    }

    #[test]
    fn the_finest_grid_keeps_sums_exact_and_leaves_room_for_the_noise() {
        for units in [1u64, 2, 3, 64, 100, 4096, 1 << 19] {
            for clip in [1.0, 0.37, 1023.0] {
                let grid = Grid::finest_for(clip, units).unwrap();
                assert!(units * grid.norm() <= EXACT_BELOW, "{units} {clip}");
                assert!(
                    grid.norm() == 1 << FINEST || grid.norm() >= (1 << 20) / 1024 || units > 4096,
                    "{units}: {}",
                    grid.norm()
                );
            }
        }
        assert!(Grid::finest_for(1.0, (1 << 19) + 1).unwrap_err().to_string().contains("batch"));
        let strict = GridMechanism::calibrate_finest(1.0, 1, 10_000, Neighbours::ZeroOut, 0.05, 1e-9).unwrap();
        let loose = GridMechanism::calibrate_finest(1.0, 1, 1, Neighbours::ZeroOut, 8.0, 1e-5).unwrap();
        assert!(strict.grid().norm() < loose.grid().norm());
        assert!(concentrated::delta(strict.rho(), 0.05).unwrap() <= 1e-9);
        loose.grid().check_parameters(10_000_000).unwrap();
        let coarse = Grid::finest_for(1.0, 1 << 19).unwrap();
        assert!(coarse.check_parameters(1_000_000).unwrap_err().to_string().contains("smaller batches"));
    }

    #[test]
    fn wrong_calls_are_refused_and_cost_nothing() {
        let mut run = run(1.0);
        let mut sum = run.sum(2);
        assert!(sum.add(&[0.0]).unwrap_err().to_string().contains("length"));
        assert!(sum.add(&[f32::NAN, 0.0]).is_err() && sum.add(&[f32::INFINITY, 0.0]).is_err());
        assert_eq!(sum.sum, [0, 0]);
        assert!(matches!(run.release(1, &sum), Err(Error::OutOfTurn { asked: 1, next: 0 })));
        let other = Grid::new(2.0, 16).unwrap();
        let foreign = GridSum { grid: other, ..sum.clone() };
        assert!(run.release(0, &foreign).unwrap_err().to_string().contains("grid"));
        run.release(0, &sum).unwrap();
        assert!(run.release(0, &sum).is_err(), "a step released twice");
    }
}
