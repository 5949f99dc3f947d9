//! The exact dynamics at finite context length, mode by mode.
//!
//! The published dynamics replaces `E[Sh A Sh]`, Sh the sample covariance of a context, by `E[Sh^2] A`. Wishart's identity keeps the
//! coupling between modes. With M = 1 + 1/N, `T = sum s^2 q^2`, `U = sum A s p^2`, on the clock t = steps x rate x tasks:
//!
//! ```text
//! dp/dt = A s^2 q - A p s (M s^2 q^2 + T / N)
//! dq/dt = A s^2 p - q s^2 (A M s p^2 + U / N)
//! L     = 1/2 sum A (s - 2 p q s^2 + p^2 (M s^3 q^2 + s T / N))
//! ```
//!
//! Only `sum p^2 - q^2` is conserved. Both dynamics agree for equal variances, and for N -> infinity. Derived here.

use super::modes::{Modes, Weights};
use super::plateau;
use crate::error::{Error, Result};
use crate::ode::{self, Tolerance};

/// The weights along the exact flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// The times.
    pub times: Vec<f64>,
    /// The weights at each time.
    pub weights: Vec<Weights>,
    /// The loss at each time.
    pub losses: Vec<f64>,
}

/// Follows the exact flow from a start through the times.
///
/// # Errors
/// [`Error::Value`] for a start with another number of modes or a value that is not finite; as [`ode::solve`].
pub fn flow(modes: &Modes, start: &Weights, times: &[f64], tolerance: &Tolerance) -> Result<Path> {
    modes.check_start("the start p", &start.p)?;
    modes.check_start("the start q", &start.q)?;
    let path = ode::solve(rhs(modes), &[&start.p[..], &start.q[..]].concat(), times, tolerance)?;
    let weights: Vec<Weights> = path.states.iter().map(|state| unpack(state)).collect();
    let losses = weights.iter().map(|weights| loss(modes, weights)).collect();
    Ok(Path { times: path.times, weights, losses })
}

/// The exact loss of weights, half the mean squared error summed over outputs, in the mean over tasks.
///
/// # Panics
/// For fewer modes than the problem has.
pub fn loss(modes: &Modes, weights: &Weights) -> f64 {
    let (n, m) = (modes.n(), 1.0 + 1.0 / modes.n());
    let sums = Sums::new(modes, &weights.p, &weights.q);
    let mode = |mode: usize| {
        let (s, a, p, q) = (modes.variances()[mode], modes.task_moments()[mode], weights.p[mode], weights.q[mode]);
        a * (s - 2.0 * p * q * s * s + p * p * (m * s.powi(3) * q * q + s * sums.t / n))
    };
    0.5 * (0..modes.len()).map(mode).sum::<f64>()
}

/// When each mode is half learned.
#[derive(Clone, Debug, PartialEq)]
pub struct HalfTimes {
    /// The time at which each mode's `a = p q` first reaches half its plateau: `None` for a mode that is never learned or not until
    /// [`searched_to`](Self::searched_to), 0 for one that starts above.
    pub times: Vec<Option<f64>>,
    /// Where the search was given up, if any learned mode was not half learned by then: modes whose variances are thousands of times
    /// smaller than others' make the flow stiff, and their times too dear to find.
    pub searched_to: Option<f64>,
}

/// When each mode's `a = p q` first reaches half its plateau, from a balanced start a0.
///
/// # Errors
/// As [`Weights::balanced`] and [`ode::solve`].
pub fn half_times(modes: &Modes, a0: f64, tolerance: &Tolerance) -> Result<HalfTimes> {
    half_times_within(modes, a0, tolerance, MOST_EVALUATIONS)
}

fn half_times_within(modes: &Modes, a0: f64, tolerance: &Tolerance, most_evaluations: usize) -> Result<HalfTimes> {
    let plateau = plateau::of(modes);
    let start = Weights::balanced(modes.len(), a0)?;
    let goal = |mode: usize| 0.5 * plateau.products[mode];
    let mut found: Vec<Option<f64>> =
        (0..modes.len()).map(|mode| (plateau.active[mode] && a0 >= goal(mode)).then_some(0.0)).collect();
    let (mut t, mut state) = (0.0, [&start.p[..], &start.q[..]].concat());
    // Windows grow with time: fast modes are bracketed finely, slow ones are reached in few windows.
    let mut window = 0.02 / modes.variances().iter().zip(modes.task_moments()).map(|(s, a)| a * s * s).fold(0.0, f64::max);
    let missing = |found: &[Option<f64>]| (0..modes.len()).any(|mode| plateau.active[mode] && found[mode].is_none());
    let tolerance = &tolerance.with_most_steps(most_evaluations.div_ceil(EVALUATIONS_A_STEP));
    let mut left = most_evaluations;
    while missing(&found) && left > 0 {
        let end = match ode::solve(rhs(modes), &state, &[t, t + window], tolerance) {
            Ok(end) => end,
            Err(Error::Flow { .. }) if t > 0.0 => break,
            Err(error) => return Err(error),
        };
        left = left.saturating_sub(end.evaluations);
        let products = unpack(end.last()).products();
        for mode in 0..modes.len() {
            if plateau.active[mode] && found[mode].is_none() && products[mode] >= goal(mode) {
                found[mode] = Some(t + crossing(modes, &state, window, mode, goal(mode), tolerance)?);
            }
        }
        state = end.last().to_vec();
        t += window;
        window = window.max(0.05 * t);
    }
    let searched_to = missing(&found).then_some(t);
    Ok(HalfTimes { times: found, searched_to })
}

/// The search for half-times ends after so many evaluations, some seconds.
const MOST_EVALUATIONS: usize = 20_000_000;

/// Of the method of order 8, with what it spends on outputs.
const EVALUATIONS_A_STEP: usize = 15;

/// How long after `state` the mode's product reaches the goal, by regula falsi with the window as its bracket.
fn crossing(modes: &Modes, state: &[f64], window: f64, mode: usize, goal: f64, tolerance: &Tolerance) -> Result<f64> {
    let gap = |t: f64| -> Result<f64> {
        let end = if t == 0.0 { state.to_vec() } else { ode::solve(rhs(modes), state, &[0.0, t], tolerance)?.last().to_vec() };
        Ok(unpack(&end).products()[mode] - goal)
    };
    let (mut low, mut high) = ((0.0, gap(0.0)?), (window, gap(window)?));
    for _ in 0..100 {
        let t = low.0 + (high.0 - low.0) * low.1 / (low.1 - high.1);
        if !(t > low.0 && t < high.0) || high.0 - low.0 < 1e-13 * high.0 {
            break;
        }
        let value = gap(t)?;
        if value.abs() < 1e-13 * goal {
            return Ok(t);
        }
        // Illinois: a side that stays is weighed half, so that both sides close in.
        if value < 0.0 {
            low = (t, value);
            high.1 *= 0.5;
        } else {
            high = (t, value);
            low.1 *= 0.5;
        }
    }
    Ok(0.5 * (low.0 + high.0))
}

/// The sums over modes that couple them.
struct Sums {
    t: f64,
    u: f64,
}

impl Sums {
    fn new(modes: &Modes, p: &[f64], q: &[f64]) -> Self {
        let (mut t, mut u) = (0.0, 0.0);
        for (mode, (s, a)) in modes.variances().iter().zip(modes.task_moments()).enumerate() {
            t += s * s * q[mode] * q[mode];
            u += a * s * p[mode] * p[mode];
        }
        Self { t, u }
    }
}

/// The right-hand side for the state (p, q).
fn rhs(modes: &Modes) -> impl Fn(&[f64], &mut [f64]) {
    let d = modes.len();
    let (n, m) = (modes.n(), 1.0 + 1.0 / modes.n());
    move |state, change| {
        let (p, q) = state.split_at(d);
        let (dp, dq) = change.split_at_mut(d);
        let sums = Sums::new(modes, p, q);
        for mode in 0..d {
            let (s, a) = (modes.variances()[mode], modes.task_moments()[mode]);
            let (p, q) = (p[mode], q[mode]);
            dp[mode] = a * s * s * q - a * p * s * (m * s * s * q * q + sums.t / n);
            dq[mode] = a * s * s * p - q * s * s * (a * m * s * p * p + sums.u / n);
        }
    }
}

fn unpack(state: &[f64]) -> Weights {
    let (p, q) = state.split_at(state.len() / 2);
    Weights { p: p.to_vec(), q: q.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icl::Published;

    fn modes(n: u64) -> Modes {
        Modes::new(&[2.0, 1.0, 0.5, 0.25], n).unwrap()
    }

    fn grid(end: u32) -> Vec<f64> {
        (0..=end).map(|k| 0.5 * f64::from(k)).collect()
    }

    #[test]
    fn the_flow_is_minus_the_gradient_of_the_loss() {
        let modes = modes(5).with_task_moments(&[0.5, 1.2, 2.0, 0.8]).unwrap();
        let weights = Weights { p: vec![0.3, -0.2, 0.7, 1.1], q: vec![0.5, 0.4, -0.6, 0.2] };
        let state = [&weights.p[..], &weights.q[..]].concat();
        let mut change = vec![0.0; 8];
        rhs(&modes)(&state, &mut change);
        for at in 0..8 {
            let loss_at = |by: f64| {
                let mut moved = state.clone();
                moved[at] += by;
                loss(&modes, &unpack(&moved))
            };
            let difference = (loss_at(1e-5) - loss_at(-1e-5)) / 2e-5;
            assert!((change[at] + difference).abs() < 1e-9, "{at}: {} {difference}", change[at]);
        }
    }

    #[test]
    fn the_gap_to_the_published_dynamics_falls_as_one_over_n() {
        let gap = |n: u64| {
            let modes = modes(n);
            let path = flow(&modes, &Weights::balanced(4, 1e-3).unwrap(), &grid(240), &Tolerance::default()).unwrap();
            let published = Published::new(&modes).unwrap();
            path.times.iter().zip(&path.weights).fold(0.0f64, |worst, (t, weights)| {
                let theory = published.products(1e-3, *t).unwrap();
                weights.products().iter().zip(theory).map(|(a, b)| (a - b).abs()).fold(worst, f64::max)
            })
        };
        for (n, expected) in [(8, 1.1788), (32, 1.0203), (512, 0.10691), (1024, 0.055719), (16384, 0.0036897)] {
            let found = gap(n);
            assert!((found / expected - 1.0).abs() < 5e-5, "{n}: {found}");
            assert!(n < 1024 || (55.0..63.0).contains(&(found * n as f64)));
        }
    }

    #[test]
    fn equal_variances_give_the_published_logistic_at_any_length() {
        for n in [1, 4, 100] {
            let modes = Modes::new(&[0.7; 4], n).unwrap();
            let path = flow(&modes, &Weights::balanced(4, 1e-3).unwrap(), &grid(40), &Tolerance::default()).unwrap();
            let published = Published::new(&modes).unwrap();
            for (t, weights) in path.times.iter().zip(&path.weights) {
                let theory = published.products(1e-3, *t).unwrap();
                assert!(weights.products().iter().zip(theory).all(|(a, b)| (a - b).abs() < 1e-9));
            }
        }
    }

    #[test]
    fn only_the_sum_over_modes_is_conserved() {
        let path = flow(&modes(32), &Weights::balanced(4, 1e-3).unwrap(), &grid(240), &Tolerance::default()).unwrap();
        let imbalance = path.weights.iter().map(|weights| weights.imbalance().abs()).fold(0.0, f64::max);
        let of_mode =
            |mode: usize| path.weights.iter().map(|w| (w.p[mode].powi(2) - w.q[mode].powi(2)).abs()).fold(0.0, f64::max);
        assert!(imbalance < 1e-10, "{imbalance}");
        for (mode, expected) in [0.70804, 0.65684, 0.67215, 1.33918].into_iter().enumerate() {
            assert!((of_mode(mode) - expected).abs() < 1e-3, "{mode}: {}", of_mode(mode));
        }
        assert!(path.losses.windows(2).all(|pair| pair[1] <= pair[0]));
    }

    #[test]
    fn half_times_match_the_golden_values_and_the_path() {
        for (n, expected) in
            [(8, [0.73, 3.63, 20.12, 131.17]), (32, [0.76, 3.50, 16.43, 79.71]), (1_000_000, [0.78, 3.46, 15.21, 66.36])]
        {
            let modes = modes(n);
            let found = half_times(&modes, 1e-3, &Tolerance::default()).unwrap().times;
            let half = plateau::of(&modes).products;
            for (mode, expected) in expected.into_iter().enumerate() {
                let t = found[mode].unwrap();
                // The golden values are the first points of a grid of 0.01 at or after the crossing, or the nearest.
                assert!((t - expected).abs() <= 0.01, "N = {n}, mode {mode}: {t}");
                let path = flow(&modes, &Weights::balanced(4, 1e-3).unwrap(), &[0.0, t], &Tolerance::default()).unwrap();
                assert!((path.weights[1].products()[mode] / half[mode] - 0.5).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn modes_below_the_cutoff_have_no_half_time_and_high_starts_have_zero() {
        let modes = Modes::new(&[4.0, 2.0, 1.0, 0.5, 0.1, 0.01], 6).unwrap();
        let HalfTimes { times: found, searched_to } = half_times(&modes, 1e-3, &Tolerance::default()).unwrap();
        assert_eq!(searched_to, None);
        assert!(found[..4].iter().all(Option::is_some) && found[4..].iter().all(Option::is_none), "{found:?}");
        assert_eq!(half_times(&Modes::new(&[1.0], 8).unwrap(), 5.0, &Tolerance::default()).unwrap().times, [Some(0.0)]);
    }

    #[test]
    fn half_times_of_stiff_spectra_are_found_or_given_up_openly() {
        let modes = |slowest: f64| Modes::new(&[2.0, 1.0, slowest], 1_000_000).unwrap();
        let tolerance = Tolerance::new(1e-9).unwrap();
        let found = half_times(&modes(0.01), 1e-3, &tolerance).unwrap();
        // The slowest mode learns alone: nearly ln(a_inf / a0) / (2 s^2).
        let alone = ((100.0f64 - 1e-3) / 1e-3).ln() / 2e-4;
        assert!((found.times[2].unwrap() / alone - 1.0).abs() < 0.01 && found.searched_to.is_none(), "{found:?} {alone}");
        let short = half_times_within(&modes(0.01), 1e-3, &tolerance, 5000).unwrap();
        assert!(short.times[0] == found.times[0] && short.times[2].is_none(), "{short:?}");
        assert!(short.searched_to.is_some_and(|t| t < found.times[2].unwrap()), "{short:?}");
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let start = Weights { p: vec![0.1; 3], q: vec![0.1; 4] };
        assert!(flow(&modes(8), &start, &[0.0, 1.0], &Tolerance::default()).unwrap_err().to_string().contains("start p"));
        assert!(half_times(&modes(8), 0.0, &Tolerance::default()).is_err());
    }
}
