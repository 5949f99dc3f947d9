//! The tilted distribution of a sum of losses, by one power of a Fourier transform.

use std::sync::{LazyLock, Mutex};

use realfft::RealFftPlanner;
use realfft::num_complex::Complex64;

use super::super::losses::{Grid, Losses};
use super::super::pair::Pair;
use super::super::search::least;
use super::pilot::{Cumulants, FARTHEST};
use super::{Steps, count};
use crate::error::{Error, Result};

/// What lies outside the window, at most, in the tilted distribution.
const OUTSIDE: f64 = 1e-12;

/// The tilted distribution of the sum of all finite losses: mass i of the window belongs to loss `(first + i) step`.
pub(super) struct Sum {
    pub(super) step: f64,
    first: i64,
    masses: Vec<f64>,
    tilt: f64,
    log_moment: f64,
    /// Tilted mass that may be missing anywhere in the window.
    missing: f64,
    infinite: f64,
}

impl Sum {
    /// On that grid, tilted as there; accurate for a delta of that order; of at most so many points.
    pub(super) fn of(steps: &Steps, at: &Cumulants, grid: Grid, delta: f64, most: usize) -> Result<Self> {
        // What is cut off is a thousand-millionth of delta.
        let tail = (2.0 * (count(steps).ln() - delta.ln() + 21.0)).sqrt().min(FARTHEST);
        let of_pair = |&(pair, count): &(Pair, u64)| Losses::of(&pair, grid, tail).map(|losses| (losses, count));
        let parts = steps.iter().map(of_pair).collect::<Result<Vec<_>>>()?;
        Self::compose(&parts, grid.step, at, most)
    }

    fn compose(parts: &[(Losses, u64)], step: f64, at: &Cumulants, most: usize) -> Result<Self> {
        let (tilt, deviation) = (at.tilt, at.variance.sqrt().max(step));
        let log_moment = |tilt: f64| parts.iter().map(|(losses, count)| *count as f64 * losses.log_moment(tilt)).sum::<f64>();
        let at = log_moment(tilt);
        let cut = (0.5 * OUTSIDE).ln();
        // Chernoff's bound on where the tilted sum lies, above (sign 1) and below (sign -1).
        let reach = |sign: f64| {
            // That of a normal distribution, and from there on to the least.
            let slope = (-2.0 * cut).sqrt() / deviation;
            sign * least_near(slope, 0.1 * deviation, |slope| (log_moment(tilt + sign * slope) - at - cut) / slope)
        };
        let (first, last) = ((reach(-1.0) / step).floor(), (reach(1.0) / step).ceil());
        let points = last - first + 1.0;
        if points.is_nan() {
            let reason = "the losses of so little noise are beyond double precision; take more noise".to_owned();
            return Err(Error::NoConvergence { what: "epsilon of the privacy-loss distribution", reason });
        }
        if points > most as f64 {
            return Err(Error::GridTooLarge { points: points as usize, cap: most, step });
        }
        let masses = transform(parts, first as i64, smooth(points as usize), tilt)?;
        let count: f64 = parts.iter().map(|part| part.1 as f64).sum();
        let left: f64 = parts.iter().map(|(losses, count)| *count as f64 * (-losses.infinite).ln_1p()).sum();
        let (missing, infinite) = (missing(count), -left.exp_m1());
        Ok(Self { step, first: first as i64, masses, tilt, log_moment: at, missing, infinite })
    }

    /// The factor that undoes the tilt at a loss.
    fn untilt(&self, loss: f64) -> f64 {
        (self.log_moment - self.tilt * loss).exp()
    }

    fn loss(&self, place: usize) -> f64 {
        (self.first + place as i64) as f64 * self.step
    }

    pub(super) fn epsilon(&self, delta: f64) -> Result<f64> {
        // Sums over the losses above, in units of `untilt` here: of their mass, and of their mass times e^{loss here - loss}.
        let (mut above, mut discounted) = (0.0, 0.0);
        let (decay, faster) = ((-self.tilt * self.step).exp(), (-(self.tilt + 1.0) * self.step).exp());
        // The unit grows by the same factor from point to point; it is computed once a block, within which it stays in range.
        let block = (16.0 / (self.tilt * self.step)).clamp(1.0, 256.0) as usize;
        let mut end = self.masses.len();
        while end > 0 {
            let start = (end - 1) / block * block;
            let mut wanted = (delta - self.infinite) / self.untilt(self.loss(end - 1));
            for place in (start..end).rev() {
                (above, discounted) = (above * decay, discounted * faster);
                if self.missing + above - discounted > wanted {
                    return self.between(place, delta, above, discounted);
                }
                if self.first + (place as i64) < 0 {
                    return Ok(0.0);
                }
                above += self.masses[place];
                discounted += self.masses[place];
                wanted *= decay;
            }
            end = start;
        }
        Ok(self.below(delta, above, discounted))
    }

    /// Epsilon below the window, where hardly any loss lies: delta is `infinite + missing untilt(epsilon) + untilt(first) (above -
    /// e^{epsilon - first} discounted)`.
    fn below(&self, delta: f64, above: f64, discounted: f64) -> f64 {
        let first = self.loss(0);
        let untilt = self.untilt(first);
        let delta_at = |epsilon: f64| {
            self.infinite + self.missing * self.untilt(epsilon) + untilt * (above - (epsilon - first).exp() * discounted)
        };
        least(0.0, first, |epsilon| delta_at(epsilon) <= delta).unwrap_or(first)
    }

    /// Epsilon between a loss, where delta is exceeded, and the next: delta there is `certain + above - e^{epsilon - loss} discounted`.
    fn between(&self, place: usize, delta: f64, above: f64, discounted: f64) -> Result<f64> {
        let loss = self.loss(place);
        let untilt = self.untilt(loss);
        let certain = self.infinite + self.missing * untilt;
        if certain >= delta {
            return Err(self.out_of_reach(delta));
        }
        let within = ((certain - delta) / untilt + above).ln() - discounted.ln();
        Ok((loss + within.min(self.step)).max(0.0))
    }

    pub(super) fn delta(&self, epsilon: f64) -> f64 {
        let from = ((epsilon / self.step).floor() as i64 + 1 - self.first).clamp(0, self.masses.len() as i64) as usize;
        let finite = self.masses[from..].iter().enumerate().rev().map(|(i, mass)| {
            let loss = self.loss(from + i);
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

/// Tilted mass of that many steps that may be missing anywhere in the window: rounding, and what lies outside.
pub(super) fn missing(count: f64) -> f64 {
    OUTSIDE + 4.0 * f64::EPSILON * (count + 32.0)
}

/// The least value of a function that falls and then rises, from this slope on by factors, as long as a step gains so much.
fn least_near(slope: f64, gain: f64, value: impl Fn(f64) -> f64) -> f64 {
    let mut least = value(slope);
    for factor in [1.5, 1.0 / 1.5] {
        let mut next = slope * factor;
        while let Some(found) = Some(value(next)).filter(|found| *found < least - gain) {
            least = found;
            next *= factor;
        }
    }
    least
}

/// The tilted sum's masses in a window of `size` points from `first` on: a product of powers of transforms, transformed back.
fn transform(parts: &[(Losses, u64)], first: i64, size: usize, tilt: f64) -> Result<Vec<f64>> {
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
    let scale = 1.0 / size as f64;
    values.rotate_left(first.rem_euclid(size as i64) as usize);
    values.iter_mut().for_each(|value| *value = (*value * scale).max(0.0));
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

/// The least `m 2^k` of at least `size` with m in 8, 9, 10, 12, 15: transforms of such lengths are fast.
fn smooth(size: usize) -> usize {
    let whole = size.next_power_of_two().max(32);
    [9, 10, 12, 15].into_iter().map(|m| m * (whole / 16)).find(|candidate| *candidate >= size).unwrap_or(whole)
}
