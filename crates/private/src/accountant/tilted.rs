//! Sums of many independent losses: exponential tilting, then one power of a Fourier transform.
//!
//! A transform is accurate relative to the largest mass, and a small delta lives far out in the tail. So each distribution is first
//! tilted to `mass e^{t loss}/E[e^{t loss}]`, with t such that the sum's mean lies where delta is read off. The window of the transform
//! then spans some ten standard deviations around it, whatever the delta; and rounding is relative to delta itself.

use std::sync::{LazyLock, Mutex};

use realfft::RealFftPlanner;
use realfft::num_complex::Complex64;

use super::losses::{CAP, Grid, Losses, Spacing};
use super::pair::Pair;
use crate::error::{Error, Result};

/// What lies outside the window, at most, in the tilted distribution.
const OUTSIDE: f64 = 1e-14;
/// How much of epsilon the grid may add where its step is free.
const EXCESS: f64 = 2e-5;
/// The most points of the transform where the step is free; beyond, the step grows.
const ROOMY: f64 = 4e6;
/// The farthest tail of a normal distribution that doubles represent.
const FARTHEST: f64 = 38.0;
/// The least delta that the tail can hold.
pub(super) const LEAST_DELTA: f64 = 1e-280;

/// Independent steps: how often each pair occurs.
pub(super) type Steps = [(Pair, u64)];

/// The least epsilon of the sum of all losses at `delta`, never below the truth; on a grid of this step where one is given.
pub(super) fn epsilon(steps: &Steps, delta: f64, step: Option<f64>) -> Result<f64> {
    let pilot = Pilot::of(steps);
    let tilt = pilot.tilt_where(|sum| sum.log_tail() <= delta.ln());
    let sum = Sum::of(steps, &pilot, tilt, delta, step)?;
    sum.epsilon(delta)
}

/// The least delta at `epsilon` >= 0, never below the truth.
pub(super) fn delta(steps: &Steps, epsilon: f64, step: Option<f64>) -> Result<f64> {
    let pilot = Pilot::of(steps);
    let tilt = pilot.tilt_where(|sum| sum.mean >= epsilon);
    let at = pilot.cumulants(tilt);
    // Chernoff's bound, and the truncation of the pilot itself.
    let bound = (at.log_moment - tilt * epsilon).exp() + LEAST_DELTA;
    if bound < 1e3 * LEAST_DELTA {
        return Ok(bound);
    }
    let sum = Sum::of(steps, &pilot, tilt, at.log_tail().exp().max(LEAST_DELTA), step)?;
    Ok(sum.delta(epsilon).min(1.0))
}

/// The losses of each pair at evenly spaced places: cumulants without a grid of losses.
struct Pilot {
    parts: Vec<(Vec<(f64, f64)>, f64)>,
}

/// Of the tilted sum.
struct Cumulants {
    tilt: f64,
    /// `log E[e^{tilt loss}]`.
    log_moment: f64,
    mean: f64,
    variance: f64,
}

impl Cumulants {
    /// Chernoff's bound on the log of the mass above the tilted mean.
    fn log_tail(&self) -> f64 {
        self.log_moment - self.tilt * self.mean
    }
}

impl Pilot {
    fn of(steps: &Steps) -> Self {
        const WIDTH: f64 = 0.125;
        let part = |&(pair, count): &(Pair, u64)| {
            let (start, end) = pair.range(FARTHEST);
            let places = (0..=((end - start) / WIDTH) as usize).map(|i| start + i as f64 * WIDTH);
            let log_scale = (WIDTH / (2.0 * std::f64::consts::PI).sqrt()).ln();
            let nodes = places.map(|z| {
                let loss = pair.loss(z);
                (loss, log_scale + pair.log_base(z) + loss)
            });
            (nodes.collect(), count as f64)
        };
        Self { parts: steps.iter().map(part).collect() }
    }

    fn cumulants(&self, tilt: f64) -> Cumulants {
        let mut sum = Cumulants { tilt, log_moment: 0.0, mean: 0.0, variance: 0.0 };
        for (nodes, count) in &self.parts {
            let largest = nodes.iter().map(|(loss, log)| tilt * loss + log).fold(f64::NEG_INFINITY, f64::max);
            let [mut zeroth, mut first, mut second] = [0.0; 3];
            for (loss, log) in nodes {
                let mass = (tilt * loss + log - largest).exp();
                zeroth += mass;
                first += mass * loss;
                second += mass * loss * loss;
            }
            let mean = first / zeroth;
            sum.log_moment += count * (largest + zeroth.ln());
            sum.mean += count * mean;
            sum.variance += count * (second / zeroth - mean * mean).max(0.0);
        }
        sum
    }

    /// The least tilt >= 0, roughly, from which on the condition holds.
    fn tilt_where(&self, holds: impl Fn(&Cumulants) -> bool) -> f64 {
        let (mut low, mut high) = (0.0, 1.0);
        while !holds(&self.cumulants(high)) {
            low = high;
            high *= 2.0;
            if high > 1e12 {
                return high;
            }
        }
        while high - low > 1e-3 * high.max(1e-6) {
            let middle = 0.5 * (low + high);
            if holds(&self.cumulants(middle)) { high = middle } else { low = middle }
        }
        high
    }
}

/// The tilted distribution of the sum of all finite losses: mass i of the window belongs to loss `(first + i) step`.
struct Sum {
    step: f64,
    first: i64,
    masses: Vec<f64>,
    tilt: f64,
    log_moment: f64,
    /// Tilted mass that may be missing anywhere in the window: rounding, and what lies outside.
    missing: f64,
    infinite: f64,
}

impl Sum {
    fn of(steps: &Steps, pilot: &Pilot, tilt: f64, delta: f64, step: Option<f64>) -> Result<Self> {
        let at = pilot.cumulants(tilt);
        let count: f64 = steps.iter().map(|step| step.1 as f64).sum();
        let deviation = at.variance.sqrt();
        let grid = match step {
            Some(step) => Grid { step, spacing: Spacing::Even },
            None => {
                // A grid of step h adds h^2/12 (t^2 + t) to the log of E[e^{t loss}], and 1/t of that to epsilon.
                let wanted = EXCESS * at.mean.max(0.1 * deviation);
                let step = (12.0 * wanted / (count * (tilt + 1.0))).sqrt();
                Grid { step: step.max(20.0 * deviation / ROOMY), spacing: Spacing::Widening }
            }
        };
        // What is cut off is a thousand-millionth of delta.
        let tail = (2.0 * (count.ln() - delta.ln() + 21.0)).sqrt().min(FARTHEST);
        let of_pair = |&(pair, count): &(Pair, u64)| Losses::of(&pair, grid, tail).map(|losses| (losses, count));
        let parts = steps.iter().map(of_pair).collect::<Result<Vec<_>>>()?;
        Self::compose(&parts, grid.step, tilt, deviation)
    }

    fn compose(parts: &[(Losses, u64)], step: f64, tilt: f64, deviation: f64) -> Result<Self> {
        let log_moment = |tilt: f64| parts.iter().map(|(losses, count)| *count as f64 * losses.log_moment(tilt)).sum::<f64>();
        let at = log_moment(tilt);
        // Chernoff's bound on where the tilted sum lies, above (sign 1) and below (sign -1).
        let reach = |sign: f64| {
            let bounds = [0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 7.5, 9.0, 12.0].map(|slope| {
                let slope = slope / deviation;
                (log_moment(tilt + sign * slope) - at - (0.5 * OUTSIDE).ln()) / slope
            });
            sign * bounds.into_iter().fold(f64::INFINITY, f64::min)
        };
        let (first, last) = ((reach(-1.0) / step).floor(), (reach(1.0) / step).ceil());
        let points = last - first + 1.0;
        if points.is_nan() || points > CAP as f64 {
            return Err(Error::GridTooLarge { points: points as usize, cap: CAP, step });
        }
        let first = first as i64;
        let size = smooth(points as usize);
        let mut masses = transform(parts, size, tilt)?;
        masses.rotate_left(first.rem_euclid(size as i64) as usize);
        let count: f64 = parts.iter().map(|part| part.1 as f64).sum();
        let left: f64 = parts.iter().map(|(losses, count)| *count as f64 * (-losses.infinite).ln_1p()).sum();
        let missing = OUTSIDE + 4.0 * f64::EPSILON * (count + 32.0);
        Ok(Self { step, first, masses, tilt, log_moment: at, missing, infinite: -left.exp_m1() })
    }

    /// The factor that undoes the tilt at a loss.
    fn untilt(&self, loss: f64) -> f64 {
        (self.log_moment - self.tilt * loss).exp()
    }

    fn epsilon(&self, delta: f64) -> Result<f64> {
        let decay = (-self.step).exp();
        // Of the losses above: their mass, and their mass times e^{loss here - loss}.
        let (mut above, mut discounted) = (0.0, 0.0);
        for (i, mass) in self.masses.iter().enumerate().rev() {
            let loss = (self.first + i as i64) as f64 * self.step;
            let untilt = self.untilt(loss);
            let certain = self.infinite + self.missing * untilt;
            discounted *= decay;
            if certain + above - discounted > delta {
                // Between this loss and the next, delta is certain + above - e^{epsilon - loss} discounted.
                let within = ((certain + above - delta) / discounted).ln();
                return if certain < delta { Ok((loss + within.min(self.step)).max(0.0)) } else { Err(self.out_of_reach(delta)) };
            }
            if loss < 0.0 {
                break;
            }
            above += mass * untilt;
            discounted += mass * untilt;
        }
        Ok((self.first as f64 * self.step).max(0.0))
    }

    fn delta(&self, epsilon: f64) -> f64 {
        let from = ((epsilon / self.step).floor() as i64 + 1 - self.first).clamp(0, self.masses.len() as i64) as usize;
        let finite = self.masses[from..].iter().enumerate().rev().map(|(i, mass)| {
            let loss = (self.first + (from + i) as i64) as f64 * self.step;
            -mass * self.untilt(loss) * (epsilon - loss).min(0.0).exp_m1()
        });
        self.infinite + finite.sum::<f64>() + self.missing * self.untilt(epsilon)
    }

    fn out_of_reach(&self, delta: f64) -> Error {
        Error::NoConvergence {
            what: "epsilon of the privacy-loss distribution",
            reason: format!("delta {delta:e} lies beyond the grid of step {:e}; choose a finer one, or none", self.step),
        }
    }
}

/// The tilted sum's masses on a circle of `size` points: a product of powers of transforms, transformed back.
fn transform(parts: &[(Losses, u64)], size: usize, tilt: f64) -> Result<Vec<f64>> {
    static PLANNER: LazyLock<Mutex<RealFftPlanner<f64>>> = LazyLock::new(|| Mutex::new(RealFftPlanner::new()));
    let (forward, inverse) = {
        // A panic of another thread leaves a planner that is still whole.
        let mut planner = PLANNER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (planner.plan_fft_forward(size), planner.plan_fft_inverse(size))
    };
    let mut scratch = vec![Complex64::default(); forward.get_scratch_len().max(inverse.get_scratch_len())];
    let mut values = vec![0.0; size];
    let mut spectrum = forward.make_output_vec();
    let mut product: Option<Vec<Complex64>> = None;
    let failed = |error: realfft::FftError| Error::NoConvergence { what: "the Fourier transform", reason: error.to_string() };
    for (losses, count) in parts {
        let log_moment = losses.log_moment(tilt);
        values.fill(0.0);
        for &(k, log) in &losses.points {
            values[k.rem_euclid(size as i64) as usize] += (tilt * losses.step * k as f64 + log - log_moment).exp();
        }
        forward.process_with_scratch(&mut values, &mut spectrum, &mut scratch).map_err(failed)?;
        raise(&mut spectrum, *count as f64);
        match &mut product {
            None => product = Some(std::mem::replace(&mut spectrum, forward.make_output_vec())),
            Some(product) => product.iter_mut().zip(&spectrum).for_each(|(product, value)| *product *= value),
        }
    }
    let mut product = product.unwrap_or(spectrum);
    // What is real of a real signal's transform: the mean, and the fastest alternation.
    product[0].im = 0.0;
    product[size / 2].im = 0.0;
    inverse.process_with_scratch(&mut product, &mut values, &mut scratch).map_err(failed)?;
    values.iter_mut().for_each(|value| *value = (*value / size as f64).max(0.0));
    Ok(values)
}

fn raise(spectrum: &mut [Complex64], exponent: f64) {
    // What falls below the rounding of the transform by far: nearly all.
    let negligible = (-120.0 / exponent).exp();
    for value in spectrum {
        let square = value.norm_sqr();
        *value = if square < negligible {
            Complex64::default()
        } else {
            Complex64::from_polar((0.5 * exponent * square.ln()).exp(), exponent * value.arg())
        };
    }
}

/// The least `m 2^k` of at least `size` with m in 4, 5, 6: transforms of such lengths are fast.
fn smooth(size: usize) -> usize {
    let whole = size.next_power_of_two().max(8);
    [5 * whole / 8, 3 * whole / 4].into_iter().find(|candidate| *candidate >= size).unwrap_or(whole)
}
