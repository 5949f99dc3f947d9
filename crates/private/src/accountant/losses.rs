//! The privacy losses of a pair on a grid, by connecting the dots (Doroshenko et al., arXiv 2207.04380).
//!
//! Between two losses of the grid, P and Q keep their masses: each interval's mass goes to its two ends in the one way that preserves
//! both. The privacy profile of the result touches the exact one at the grid and is never below it.

use super::pair::Pair;
use crate::error::{Error, Result};

/// The most points of a grid.
pub(super) const CAP: usize = 10_000_000;
/// Where a grid may be coarser far out: its spacing stays below this share of the loss.
const FAR: i64 = 256;
/// Pieces of an interval, in standard deviations: four-point Gauss quadrature is exact to 1e-11 on them, also 10 deviations out.
const PIECE: f64 = 1.0 / 16.0;

/// The grid of losses `k step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) step: f64,
    pub(super) spacing: Spacing,
}

/// Which multiples of the step a grid uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Spacing {
    /// All.
    Even,
    /// All near 0, and 2, 4, 8, ... times fewer far out, where hardly any mass lies.
    Widening,
}

impl Grid {
    /// The distance in steps from point `k` to the next.
    fn gap(&self, k: i64) -> i64 {
        match self.spacing {
            Spacing::Even => 1,
            Spacing::Widening => {
                let widest = 1i64 << (k.unsigned_abs() / FAR as u64).max(1).ilog2();
                // A multiple of every power of two has all its trailing bits clear.
                if k == 0 { 1 } else { widest.min(1 << k.trailing_zeros().min(62)) }
            }
        }
    }

    /// The points that enclose the losses from `low` to `high`.
    fn points(&self, low: f64, high: f64) -> Result<Vec<i64>> {
        let (first, last) = ((low / self.step).floor(), (high / self.step).ceil());
        let needed = last - first + 1.0;
        if self.spacing == Spacing::Even && needed > CAP as f64 {
            return Err(Error::GridTooLarge { points: needed as usize, cap: CAP, step: self.step });
        }
        let (first, last) = (first as i64, last as i64);
        let mut points = vec![first];
        let mut k = first;
        while k < last {
            k += self.gap(k);
            points.push(k);
        }
        Ok(points)
    }
}

/// A distribution of losses: logarithms of masses at multiples of the grid's step, and the rest at infinity.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    pub(super) step: f64,
    pub(super) points: Vec<(i64, f64)>,
    pub(super) infinite: f64,
}

impl Losses {
    /// The losses of a pair, all but `e^{-tail^2/2}` of them; what is left out counts as a larger loss.
    pub(super) fn of(pair: &Pair, grid: Grid, tail: f64) -> Result<Self> {
        let (start, end) = pair.range(tail);
        let indices = grid.points(pair.loss(start), pair.loss(end))?;
        let mut points: Vec<(i64, f64)> = indices.into_iter().map(|k| (k, 0.0)).collect();
        points[0].1 = pair.below(start);
        let mut from = start;
        for k in 1..points.len() {
            let (low, high) = (points[k - 1].0 as f64 * grid.step, points[k].0 as f64 * grid.step);
            let to = pair.place(high).clamp(from, end);
            let (up, down) = integrate(pair, from, to, low, high);
            points[k].1 += up / -(low - high).exp_m1();
            points[k - 1].1 += down / (high - low).exp_m1();
            from = to;
        }
        let mut infinite = pair.above(end);
        if pair.is_bounded_above() {
            points.last_mut().expect("the grid has a first point").1 += infinite;
            infinite = 0.0;
        }
        points.iter_mut().for_each(|point| point.1 = point.1.ln());
        Ok(Self { step: grid.step, points, infinite })
    }

    /// `log E[e^{tilt loss}]` over the finite losses.
    pub(super) fn log_moment(&self, tilt: f64) -> f64 {
        let scale = tilt * self.step;
        let largest = self.points.iter().fold(f64::NEG_INFINITY, |largest, &(k, log)| largest.max(scale * k as f64 + log));
        let sum: f64 = self.points.iter().map(|&(k, log)| (scale * k as f64 + log - largest).exp()).sum();
        largest + sum.ln()
    }
}

/// `integral of (p - e^low q)` and `integral of (e^high q - p)` over the places from `from` to `to`, where the loss lies between
/// `low` and `high`: neither cancels, so both are accurate however little mass there is.
fn integrate(pair: &Pair, from: f64, to: f64, low: f64, high: f64) -> (f64, f64) {
    const NODES: [(f64, f64); 4] = [
        (-0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
        (-0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
        (0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
        (0.861_136_311_594_052_6, 0.347_854_845_137_453_85),
    ];
    const ROOT_TAU: f64 = 2.506_628_274_631_000_5;
    let pieces = ((to - from) / PIECE).ceil().max(1.0);
    let half = 0.5 * (to - from) / pieces;
    let widening = (high - low).exp();
    let (mut up, mut down) = (0.0, 0.0);
    for piece in 0..pieces as usize {
        let middle = from + (2 * piece + 1) as f64 * half;
        for (node, weight) in NODES {
            let (p, q) = pair.densities(middle + node * half, low);
            up += weight * (p - q).max(0.0);
            down += weight * (widening * q - p).max(0.0);
        }
    }
    (up * half / ROOT_TAU, down * half / ROOT_TAU)
}

#[cfg(test)]
mod tests {
    use super::super::Neighbours;
    use super::*;

    fn pairs() -> Vec<Pair> {
        let mut pairs = vec![Pair::gaussian(0.7)];
        for (sigma, rate) in [(1.0, 0.01), (2.0, 0.5), (0.3, 0.2), (20.0, 1e-3)] {
            pairs.extend(Pair::of_step(Neighbours::AddRemove, sigma, rate));
            pairs.extend(Pair::of_step(Neighbours::ReplaceOne, sigma, rate));
        }
        pairs
    }

    /// delta at a point of the grid.
    fn delta(losses: &Losses, k: i64) -> f64 {
        let epsilon = k as f64 * losses.step;
        let finite = losses.points.iter().filter(|point| point.0 > k);
        losses.infinite + finite.map(|&(j, log)| -log.exp() * (epsilon - j as f64 * losses.step).exp_m1()).sum::<f64>()
    }

    #[test]
    fn both_distributions_keep_their_mass_and_the_dots_lie_on_the_profile() {
        for spacing in [Spacing::Even, Spacing::Widening] {
            for pair in pairs() {
                let losses = Losses::of(&pair, Grid { step: 1e-3, spacing }, 14.0).unwrap();
                let total = losses.infinite + losses.points.iter().map(|point| point.1.exp()).sum::<f64>();
                assert!((total - 1.0).abs() < 1e-12, "{pair:?}: {total}");
                let other: f64 = losses.points.iter().map(|&(k, log)| (log - k as f64 * losses.step).exp()).sum();
                assert!((other - 1.0).abs() < 1e-11, "{pair:?}: {other}");
                for &(k, _) in losses.points.iter().step_by(97) {
                    let exact = pair.delta(k as f64 * losses.step);
                    assert!((delta(&losses, k) - exact).abs() < 1e-13 + 1e-10 * exact, "{pair:?} {k}: {exact:e}");
                }
            }
        }
    }

    #[test]
    fn far_tails_are_accurate_relatively() {
        let pair = Pair::of_step(Neighbours::AddRemove, 1.0, 0.01)[0];
        let losses = Losses::of(&pair, Grid { step: 1e-3, spacing: Spacing::Widening }, 20.0).unwrap();
        let far = losses.points.iter().rev().map(|point| point.0).find(|&k| pair.delta(k as f64 * 1e-3) > 1e-60).unwrap();
        let exact = pair.delta(far as f64 * 1e-3);
        assert!((delta(&losses, far) / exact - 1.0).abs() < 1e-8, "{:e} {exact:e}", delta(&losses, far));
    }

    #[test]
    fn a_widening_grid_is_far_smaller() {
        let pair = Pair::of_step(Neighbours::AddRemove, 0.5, 1e-3)[0];
        let count = |spacing| Losses::of(&pair, Grid { step: 1e-5, spacing }, 12.0).unwrap().points.len();
        assert!(count(Spacing::Even) > 1_000_000 && count(Spacing::Widening) < 10_000);
    }

    #[test]
    fn a_grid_beyond_the_cap_is_refused() {
        let error = Losses::of(&Pair::gaussian(1.0), Grid { step: 1e-7, spacing: Spacing::Even }, 9.0).unwrap_err().to_string();
        assert!(error.contains("10000000"), "{error}");
    }
}
