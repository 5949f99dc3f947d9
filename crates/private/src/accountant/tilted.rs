//! Sums of many independent losses: exponential tilting, then one power of a Fourier transform.
//!
//! A transform is accurate relative to the largest mass, and a small delta lives far out in the tail. So each distribution is first
//! tilted to `mass e^{t loss}/E[e^{t loss}]`, with t such that the sum's mean lies where delta is read off. The window of the transform
//! then spans some ten standard deviations around it, whatever the delta; and rounding is relative to delta itself.

mod pilot;
mod sum;

use self::pilot::{LARGEST_TILT, Pilot};
use self::sum::{Sum, missing};
use super::losses::{CAP, Grid, Spacing};
use super::pair::Pair;
use crate::error::{Error, Result};

/// Steps of a free grid below epsilon, at least: between two points delta is a chord of the convex truth.
const FINE: f64 = 256.0;
/// How much of delta may be missing in the window of a free grid that was refined.
const NEGLIGIBLE: f64 = 1e-7;
/// The most points of the transform of a free grid that was refined.
const ROOM_TO_REFINE: usize = 1 << 21;
/// The least delta that the tail can hold.
pub(super) const LEAST_DELTA: f64 = 1e-280;

/// Independent steps: how often each pair occurs.
pub(super) type Steps = [(Pair, u64)];

/// The least epsilon of the sum of all losses at `delta`, never below the truth; on a grid of this step where one is given.
pub(super) fn epsilon(steps: &Steps, delta: f64, step: Option<f64>) -> Result<f64> {
    let pilot = Pilot::of(steps);
    let at = pilot.at(|sum| sum.log_delta() <= delta.ln());
    if let Some(step) = step {
        return Sum::of(steps, &at, Grid { step, spacing: Spacing::Even }, delta, CAP)?.epsilon(delta);
    }
    let largest = largest_loss(steps);
    if let Some(largest) = largest.filter(|_| at.tilt >= LARGEST_TILT) {
        // So little delta leaves no room below.
        return Ok(largest);
    }
    let found =
        Sum::of(steps, &at, at.grid(steps, f64::INFINITY), delta, CAP).and_then(|sum| Ok((sum.epsilon(delta)?, sum.step)));
    match (found, largest) {
        (Ok((epsilon, step)), None) => refined(steps, &pilot, delta, epsilon, step),
        (Ok((epsilon, step)), Some(largest)) => Ok(refined(steps, &pilot, delta, epsilon, step)?.min(largest)),
        // Closer to the largest loss than the grid resolves.
        (Err(_), Some(largest)) => Ok(largest),
        (Err(error), None) => Err(error),
    }
}

/// Where few losses are large, delta is read off far below the tilted mean, and the grid there may be too coarse: finer ones, each
/// of which gives an upper bound.
fn refined(steps: &Steps, pilot: &Pilot, delta: f64, mut epsilon: f64, mut step: f64) -> Result<f64> {
    while epsilon > 0.0 && step > epsilon / FINE {
        // Less tilt has a narrower window; rounding and what lies outside it must stay far below delta.
        let missing = missing(count(steps)).ln();
        let enough = (NEGLIGIBLE * delta).ln();
        let at = pilot.at(|sum| missing + sum.log_moment - sum.tilt * epsilon <= enough || sum.mean >= epsilon);
        let grid = at.grid(steps, 0.5 * epsilon / FINE);
        if grid.step > 0.7 * step {
            break;
        }
        match Sum::of(steps, &at, grid, delta, ROOM_TO_REFINE) {
            Err(Error::GridTooLarge { .. }) => break,
            sum => epsilon = epsilon.min(sum?.epsilon(delta)?),
        }
        step = grid.step;
    }
    Ok(epsilon)
}

/// The least delta at `epsilon` >= 0, never below the truth.
pub(super) fn delta(steps: &Steps, epsilon: f64, step: Option<f64>) -> Result<f64> {
    let pilot = Pilot::of(steps);
    let at = pilot.at(|sum| sum.mean >= epsilon);
    // Chernoff's bound, and the truncation of the pilot itself.
    let bound = (at.log_moment - at.tilt * epsilon).exp() + LEAST_DELTA;
    if bound < 1e3 * LEAST_DELTA {
        return Ok(bound);
    }
    let finest = if epsilon > 0.0 { epsilon / FINE } else { f64::INFINITY };
    let grid = step.map_or_else(|| at.grid(steps, finest), |step| Grid { step, spacing: Spacing::Even });
    let sum = Sum::of(steps, &at, grid, at.log_delta().exp().max(LEAST_DELTA), CAP)?;
    Ok(sum.delta(epsilon).min(1.0))
}

/// The sum of the largest losses, where there are such.
fn largest_loss(steps: &Steps) -> Option<f64> {
    steps.iter().map(|(pair, count)| Some(pair.largest_loss()? * *count as f64)).sum()
}

/// The number of steps.
fn count(steps: &Steps) -> f64 {
    steps.iter().map(|step| step.1 as f64).sum()
}

#[cfg(test)]
mod tests {
    use super::super::Neighbours;
    use super::*;

    /// Six steps that a unit is added to, at rate 1/5.
    fn added(sigma: f64) -> [(Pair, u64); 1] {
        [(Pair::of_step(Neighbours::AddRemove, sigma, 0.2)[1], 6)]
    }

    #[test]
    fn losses_that_are_all_at_their_largest_are_accounted() {
        let largest = -6.0 * 0.8f64.ln();
        for sigma in [0.05, 0.01, 1e-4] {
            for delta in [1e-1f64, 1e-3, 1e-6, 1e-9, 1e-13, 1e-200] {
                // Without noise, delta(epsilon) = 1 - e^{epsilon - largest}.
                let exact = largest + (-delta).ln_1p();
                let found = epsilon(&added(sigma), delta, None).unwrap();
                assert!(
                    found >= exact * (1.0 - 1e-12) && found < exact * (1.0 + 1e-4),
                    "{sigma} {delta:e}: {found}, exact {exact}"
                );
            }
        }
    }

    #[test]
    fn little_noise_is_accounted_in_every_direction() {
        for neighbours in [Neighbours::AddRemove, Neighbours::ReplaceOne] {
            let mut last = f64::INFINITY;
            for sigma in [0.01, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0] {
                let of = |pair| epsilon(&[(pair, 6)], 1e-3, None).unwrap();
                let found = Pair::of_step(neighbours, sigma, 0.2).into_iter().map(of).fold(0.0, f64::max);
                assert!(found < last, "{neighbours} {sigma}: {found} {last}");
                last = found;
            }
        }
    }

    #[test]
    fn deltas_and_epsilons_are_inverse_where_few_losses_are_large() {
        for (sigma, rate, count, delta_of) in
            [(1.0, 1e-4, 5, 1e-6), (0.7, 1e-3, 40, 1e-5), (3.0, 1e-3, 10, 1e-7), (1.0, 0.01, 1000, 1e-5)]
        {
            for pair in Pair::of_step(Neighbours::ReplaceOne, sigma, rate) {
                let steps = [(pair, count)];
                let found = epsilon(&steps, delta_of, None).unwrap();
                let back = delta(&steps, found, None).unwrap();
                assert!((back / delta_of - 1.0).abs() < 2e-3, "{sigma} {rate} {count}: {back:e}, {delta_of:e}");
            }
        }
    }
}
