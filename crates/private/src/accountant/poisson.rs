//! DP-SGD with Poisson sampling: T steps of the subsampled Gaussian mechanism, composed by the privacy-loss distribution.
//!
//! The distribution is put on a grid by connecting the dots of the exact privacy profile (Doroshenko et al., arXiv 2207.04380), which
//! never reports less than the truth; T-fold composition is a power of its Fourier transform. Neighbours add or remove one example,
//! and the worse direction counts.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex64;
use serde::{Deserialize, Serialize};

use super::normal::cdf;
use crate::error::{Error, Result, positive, probability};

/// The grid's step by default.
pub const GRID: f64 = 1e-4;
/// The most points of a grid.
const CAP: usize = 10_000_000;
/// Wrapped mass that is not worth a wider grid; it is added to delta.
const NEGLIGIBLE: f64 = 1e-15;
/// The most steps: the relative rounding of the power grows with them, and must stay far below the least delta.
const MOST_STEPS: u64 = 10_000_000;
/// Below this delta the rounding of the Fourier transform could show.
const LEAST_DELTA: f64 = 1e-10;

/// T steps of Poisson sampling at rate q with Gaussian noise of multiplier sigma.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Poisson {
    /// The noise multiplier sigma, above 0.
    pub sigma: f64,
    /// The sampling rate q, in (0, 1].
    pub rate: f64,
    /// The steps T, at least 1.
    pub steps: u64,
}

/// What a neighbour does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The example is there, and not in the neighbour.
    Remove,
    /// The example is in the neighbour only.
    Add,
}

impl Poisson {
    pub(super) fn check(&self) -> Result<()> {
        positive("the noise multiplier sigma", self.sigma)?;
        if !(self.rate > 0.0 && self.rate <= 1.0) {
            return Err(Error::value("the sampling rate q", self.rate, "above 0 and at most 1"));
        }
        if !(1..=MOST_STEPS).contains(&self.steps) {
            return Err(Error::value("the number of steps", self.steps, &format!("1 to {MOST_STEPS}")));
        }
        Ok(())
    }

    /// The least delta of one step at `epsilon`, which may be negative: exact.
    pub fn step_delta(&self, direction: Direction, epsilon: f64) -> f64 {
        let (s, q) = (self.sigma, self.rate);
        let place = |odds: f64| s * s * odds.ln() + 0.5;
        match direction {
            Direction::Remove if epsilon <= (1.0 - q).ln() => -epsilon.exp_m1(),
            Direction::Remove => {
                let x = place((epsilon.exp_m1() + q) / q);
                let excess = -epsilon.exp_m1() - q;
                excess * cdf(-x / s) + q * cdf((1.0 - x) / s)
            }
            Direction::Add if -epsilon <= (1.0 - q).ln() => 0.0,
            Direction::Add => {
                let x = place(((-epsilon).exp_m1() + q) / q);
                let excess = -epsilon.exp_m1() + epsilon.exp() * q;
                excess * cdf(x / s) - epsilon.exp() * q * cdf((x - 1.0) / s)
            }
        }
        .max(0.0)
    }

    /// The epsilon of all steps at `delta`, on a grid of that step; never below the truth.
    ///
    /// ```
    /// use thalweg_private::accountant::poisson::{GRID, Poisson};
    /// let steps = Poisson { sigma: 1.0, rate: 0.01, steps: 1000 };
    /// assert!((steps.epsilon(1e-5, GRID)? - 1.828_244).abs() < 1e-4);
    /// # Ok::<(), thalweg_private::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Value`] for values out of range, or a delta too small for the method; [`Error::GridTooLarge`].
    pub fn epsilon(&self, delta: f64, grid: f64) -> Result<f64> {
        let mut worst = 0.0f64;
        for direction in [Direction::Remove, Direction::Add] {
            worst = worst.max(self.epsilon_in(direction, delta, grid)?);
        }
        Ok(worst)
    }

    /// The epsilon in one direction.
    ///
    /// # Errors
    /// As [`epsilon`](Self::epsilon).
    pub fn epsilon_in(&self, direction: Direction, delta: f64, grid: f64) -> Result<f64> {
        self.check()?;
        let delta = probability("delta", delta)?;
        if delta < LEAST_DELTA {
            return Err(Error::value("delta", delta, "at least 1e-10: below it rounding could hide a loss of privacy"));
        }
        Losses::of_step(self, direction, positive("the grid's step", grid)?)?.compose(self.steps)?.epsilon(delta)
    }

    /// The least noise multiplier for (epsilon, delta).
    ///
    /// # Errors
    /// [`Error::Value`], [`Error::Unreachable`].
    pub fn calibrate(rate: f64, steps: u64, epsilon: f64, delta: f64) -> Result<f64> {
        const LIMIT: f64 = 1e4;
        let epsilon = positive("epsilon", epsilon)?;
        Self { sigma: LIMIT, rate, steps }.check()?;
        probability("delta", delta)?;
        let excess = |sigma: f64, grid: f64| Self { sigma, rate, steps }.epsilon(delta, grid).map(|found| found - epsilon);
        // The coarse grid is never below the fine one, so noise that is enough there is enough; the fine one then lowers it.
        let mut enough = 1.0;
        while excess(enough, 10.0 * GRID)? > 0.0 {
            enough *= 2.0;
            if enough > LIMIT {
                let hint = "choose a larger epsilon or delta, a smaller batch, or fewer steps".to_owned();
                return Err(Error::Unreachable { epsilon, delta, limit: LIMIT, hint });
            }
        }
        let probe = |sigma: f64, grid: f64| excess(sigma, grid).map(|excess| Probe { sigma, excess });
        let mut low = probe(enough / 2.0, 10.0 * GRID)?;
        while low.excess <= 0.0 {
            enough = low.sigma;
            low = probe(enough / 2.0, 10.0 * GRID)?;
        }
        let coarse = illinois(low, probe(enough, 10.0 * GRID)?, |sigma| excess(sigma, 10.0 * GRID))?;
        let high = probe(coarse, GRID)?;
        let mut share = 1e-3;
        let mut low = probe(coarse * (1.0 - share), GRID)?;
        while low.excess <= 0.0 {
            share *= 4.0;
            low = probe(low.sigma * (1.0 - share.min(0.5)), GRID)?;
        }
        illinois(low, high, |sigma| excess(sigma, GRID))
    }
}

/// A noise multiplier and by how much its epsilon exceeds the bound.
#[derive(Clone, Copy)]
struct Probe {
    sigma: f64,
    excess: f64,
}

/// The root of a falling function by the Illinois method, on its safe side: `low.excess > 0 >= high.excess`.
fn illinois(mut low: Probe, mut high: Probe, excess: impl Fn(f64) -> Result<f64>) -> Result<f64> {
    const WIDTH: f64 = 1e-7;
    let (mut low_weight, mut high_weight) = (1.0, 1.0);
    while high.sigma / low.sigma - 1.0 > WIDTH && high.excess < -WIDTH {
        let (up, down) = (low_weight * low.excess, high_weight * high.excess);
        let place = (low.sigma * down - high.sigma * up) / (down - up);
        let sigma = place.clamp(low.sigma + 0.25 * WIDTH * low.sigma, high.sigma - 0.25 * WIDTH * low.sigma);
        let probe = Probe { sigma, excess: excess(sigma)? };
        if probe.excess > 0.0 {
            (low, low_weight, high_weight) = (probe, 1.0, 0.5 * high_weight);
        } else {
            (high, high_weight, low_weight) = (probe, 1.0, 0.5 * low_weight);
        }
    }
    Ok(high.sigma)
}

/// A privacy-loss distribution on a grid: `masses[i]` at loss `(first + i) step`, and the rest at infinity.
struct Losses {
    step: f64,
    first: i64,
    masses: Vec<f64>,
    infinite: f64,
}

impl Losses {
    /// Connects the dots of one step's exact profile.
    fn of_step(step: &Poisson, direction: Direction, grid: f64) -> Result<Self> {
        let (s, q) = (step.sigma, step.rate);
        // Beyond this place the normal tail is below 1e-26.
        let far = 11.0 * s + 2.0;
        let loss = |x: f64| log_mixture(q, (2.0 * x - 1.0) / (2.0 * s * s));
        let (low, high) = match direction {
            Direction::Remove => (loss(-far), loss(far)),
            Direction::Add => (-loss(far), -loss(-far)),
        };
        let (first, last) = ((low / grid).floor() as i64, (high / grid).ceil() as i64);
        let points = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        if points > CAP {
            return Err(Error::GridTooLarge { points, cap: CAP, step: grid });
        }
        let profile: Vec<f64> = (first..=last).map(|k| step.step_delta(direction, k as f64 * grid)).collect();
        let (up, down) = (grid.exp_m1(), -(-grid).exp_m1());
        let masses = (0..points).map(|k| {
            let right = if k + 1 < points { (profile[k + 1] - profile[k]) / up } else { 0.0 };
            let left = if k == 0 { profile[0] - 1.0 } else { (profile[k] - profile[k - 1]) / down };
            (right - left).max(0.0)
        });
        Ok(Self { step: grid, first, masses: masses.collect(), infinite: profile[points - 1] })
    }

    /// The distribution of the sum of `steps` independent losses.
    fn compose(self, steps: u64) -> Result<Self> {
        if steps == 1 {
            return Ok(self);
        }
        let below = self.reach(steps, -1.0)?;
        let above = self.reach(steps, 1.0)?;
        let size = smooth(below + above + 1);
        let mut values = vec![Complex64::default(); size];
        for (i, mass) in self.masses.iter().enumerate() {
            let place = (self.first + i as i64).rem_euclid(size as i64) as usize;
            values[place] += mass;
        }
        let mut planner = FftPlanner::new();
        planner.plan_fft_forward(size).process(&mut values);
        let power = i32::try_from(steps).map_err(|_| Error::value("the number of steps", steps, "below 2^31"))?;
        raise(&mut values, power);
        planner.plan_fft_inverse(size).process(&mut values);
        let first = -(below as i64);
        let masses =
            (0..size as i64).map(|i| (values[(first + i).rem_euclid(size as i64) as usize].re / size as f64).max(0.0)).collect();
        let infinite = -(steps as f64 * (-self.infinite).ln_1p()).exp_m1() + NEGLIGIBLE;
        Ok(Self { step: self.step, first, masses, infinite })
    }

    /// Grid points on one side of 0 beyond which the sum lies with half the negligible probability at most (Chernoff):
    /// `P[sign * sum > edge] <= E[e^{l sign Y}]^T e^{-l edge}` for every l.
    fn reach(&self, steps: u64, sign: f64) -> Result<usize> {
        let exponents = (-4..=8).map(|i| 2f64.powi(i));
        let edges = exponents.map(|l| (steps as f64 * self.moment(l * sign).ln() - (0.5 * NEGLIGIBLE).ln()) / l);
        let points = (edges.fold(f64::INFINITY, f64::min).max(0.0) / self.step).ceil() + 1.0;
        if points > (CAP / 2) as f64 {
            return Err(Error::GridTooLarge { points: 2 * points as usize, cap: CAP, step: self.step });
        }
        Ok(points as usize)
    }

    /// `E[e^{l Y}]` over the finite losses.
    fn moment(&self, l: f64) -> f64 {
        // Powers by multiplication, begun afresh often enough that neither rounding nor underflow can grow.
        const RUN: usize = 64;
        let ratio = (l * self.step).exp();
        let runs = self.masses.chunks(RUN).enumerate().filter(|(_, masses)| masses.iter().any(|mass| *mass > 0.0));
        let of_run = |(run, masses): (usize, &[f64])| {
            let start = (l * (self.first + (run * RUN) as i64) as f64 * self.step).exp();
            start * masses.iter().rev().fold(0.0, |sum, mass| sum * ratio + mass)
        };
        runs.map(of_run).sum()
    }

    /// The epsilon at which `delta(epsilon) = infinite + sum over losses above epsilon of mass (1 - e^{epsilon - loss})` is met.
    fn epsilon(&self, delta: f64) -> Result<f64> {
        let decay = (-self.step).exp();
        // Both over the losses above: their mass, and their mass times e^{loss here - loss}.
        let (mut above, mut discounted) = (0.0, 0.0);
        for (i, mass) in self.masses.iter().enumerate().rev() {
            let loss = (self.first + i as i64) as f64 * self.step;
            discounted *= decay;
            if self.infinite + above - discounted > delta {
                // Between this loss and the next, delta is infinite + above - e^{epsilon - loss} discounted.
                let within = ((self.infinite + above - delta) / discounted).ln();
                return self.reached(loss + within, delta);
            }
            above += mass;
            discounted += mass;
        }
        Ok(0.0)
    }

    fn reached(&self, epsilon: f64, delta: f64) -> Result<f64> {
        if self.infinite < delta {
            return Ok(epsilon.max(0.0));
        }
        let hint = "the noise is far too small for this delta".to_owned();
        Err(Error::Unreachable { epsilon, delta, limit: epsilon, hint })
    }
}

/// The transform of real values to this power; its second half mirrors the first.
fn raise(spectrum: &mut [Complex64], power: i32) {
    let size = spectrum.len();
    for i in 0..=size / 2 {
        let value = spectrum[i].powi(power);
        spectrum[i] = value;
        if i > 0 {
            spectrum[size - i] = value.conj();
        }
    }
}

/// The least `m 2^k` of at least `size` with m in 4, 5, 6: transforms of such lengths are fast.
fn smooth(size: usize) -> usize {
    let whole = size.next_power_of_two().max(8);
    [5 * whole / 8, 3 * whole / 4].into_iter().find(|candidate| *candidate >= size).unwrap_or(whole)
}

/// `log(1 - q + q e^y)` without overflow.
pub(super) fn log_mixture(q: f64, y: f64) -> f64 {
    if y > 0.0 { y + (q + (1.0 - q) * (-y).exp()).ln() } else { (q * y.exp_m1()).ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poisson(sigma: f64, rate: f64, steps: u64) -> Poisson {
        Poisson { sigma, rate, steps }
    }

    #[test]
    fn one_step_has_its_golden_deltas() {
        for (rate, sigma, epsilon, remove, add) in [
            (0.01, 1.0, 0.2, 9.9085677991e-6, 0.0),
            (0.5, 2.0, 0.3, 2.3665271598e-2, 7.3291754319e-3),
            (0.1, 1.0, 0.05, 2.6143662959e-2, 1.0572581354e-2),
        ] {
            let step = poisson(sigma, rate, 1);
            assert!((step.step_delta(Direction::Remove, epsilon) - remove).abs() < 1e-12);
            assert!((step.step_delta(Direction::Add, epsilon) - add).abs() < 1e-12);
        }
        assert!((poisson(1.0, 0.01, 1).epsilon(1e-5, 1e-4).unwrap() - 0.19945045).abs() < 1e-5);
    }

    #[track_caller]
    fn check(sigma: f64, rate: f64, steps: u64, delta: f64, grid: f64, expected: f64) {
        let found = poisson(sigma, rate, steps).epsilon(delta, grid).unwrap();
        assert!((found - expected).abs() < 2e-6, "{found}, expected {expected}");
    }

    #[test]
    fn golden_epsilons_on_the_fine_grid() {
        check(1.0, 0.01, 1000, 1e-5, 1e-4, 1.828244);
        check(1.3, 1.0 / 240.0, 3600, 1e-5, 1e-4, 0.853030);
        check(0.6, 0.005, 5000, 1e-6, 1e-4, 8.900607);
        let add = poisson(1.0, 0.01, 1000).epsilon_in(Direction::Add, 1e-5, 1e-4).unwrap();
        assert!((add - 1.416672).abs() < 2e-6, "{add}");
    }

    #[test]
    fn golden_epsilons_on_the_coarse_grid() {
        check(1.0, 0.01, 1000, 1e-5, 1e-3, 1.828934);
        check(1.3, 1.0 / 240.0, 3600, 1e-5, 1e-3, 0.858029);
        check(1.5, 0.04, 2250, 1e-5, 1e-3, 6.769479);
        check(0.8, 0.01, 2000, 1e-5, 1e-3, 4.294171);
        check(4.0, 0.01, 10_000, 1e-5, 1e-3, 0.960045);
        check(1.0, 512.0 / 40_000.0, 781, 1e-5, 1e-3, 2.121111);
        check(1.1, 256.0 / 60_000.0, 14_062, 1e-5, 1e-3, 2.390530);
        check(0.6, 0.005, 5000, 1e-6, 1e-3, 8.901795);
    }

    #[test]
    fn a_coarser_grid_is_never_below_a_finer_one() {
        for (sigma, rate, steps) in [(0.7, 0.1, 10), (2.0, 0.5, 30), (1.0, 0.02, 500)] {
            let at = |grid| poisson(sigma, rate, steps).epsilon(1e-6, grid).unwrap();
            let (coarse, middle, fine) = (at(1.6e-3), at(4e-4), at(1e-4));
            assert!(coarse >= middle && middle >= fine, "{coarse} {middle} {fine}");
        }
    }

    #[test]
    fn without_sampling_it_is_one_gaussian() {
        // T full-batch steps of multiplier sigma are one of multiplier sigma / sqrt(T).
        let found = poisson(4.0, 1.0, 4).epsilon(1e-5, 1e-4).unwrap();
        let exact = super::super::gaussian::epsilon(2.0, 1e-5).unwrap();
        assert!(found >= exact && found < exact + 1e-3, "{found} against {exact}");
    }

    #[test]
    fn golden_calibrations() {
        for (epsilon, expected) in [(1.0, 1.414631), (8.0, 0.586261)] {
            let found = Poisson::calibrate(0.01, 1000, epsilon, 1e-5).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-5, "{found}, expected {expected}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        for (sigma, rate, steps, delta, part) in [
            (0.0, 0.1, 1, 1e-5, "sigma"),
            (1.0, 0.0, 1, 1e-5, "rate"),
            (1.0, 1.5, 1, 1e-5, "rate"),
            (1.0, 0.1, 0, 1e-5, "steps"),
            (1.0, 0.1, 1 << 31, 1e-5, "steps"),
            (1.0, 0.1, u64::MAX, 1e-5, "steps"),
            (1.0, 0.1, 1, 0.0, "delta"),
            (1.0, 0.1, 1, 1e-12, "1e-10"),
        ] {
            let error = poisson(sigma, rate, steps).epsilon(delta, 1e-3).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(Poisson::calibrate(0.01, 1000, 0.0, 1e-5).is_err());
    }
}
