//! Fixed points `z = f(z)` of vector maps: damped iteration, Anderson's mixing, Broyden's method.

use std::collections::VecDeque;

use crate::error::{Error, Result};
use crate::vector::{add_scaled, dot, norm};

/// A way to a fixed point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// `z <- (1 - damping) z + damping f(z)`: reaches the fixed point of a contraction, and with a small damping that of a map whose
    /// eigenvalues have real parts below 1.
    Damped {
        /// The share of the map, in (0, 1]; 1 is Picard's iteration.
        damping: f64,
    },
    /// Anderson's mixing: the combination of the last iterates whose residual is smallest.
    Anderson {
        /// How many differences are kept, 1 or more.
        history: usize,
        /// The share of the map in a mixed step, in (0, 1].
        damping: f64,
    },
    /// Broyden's good method with a limited memory; it restarts when the memory is full.
    Broyden {
        /// How many updates are kept, 1 or more.
        memory: usize,
    },
}

/// When a search for a fixed point ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// How the next iterate is found.
    pub method: Method,
    /// Ends when `|f(z) - z| <= tolerance (1 + |z|)`.
    pub tolerance: f64,
    /// Fails after so many evaluations of the map.
    pub most_iterations: usize,
}

impl Default for Search {
    /// Anderson's mixing of 6 differences, undamped, to 1e-8 in 100 iterations.
    fn default() -> Self {
        Self { method: Method::Anderson { history: 6, damping: 1.0 }, tolerance: 1e-8, most_iterations: 100 }
    }
}

/// A fixed point and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedPoint {
    /// The point.
    pub point: Vec<f64>,
    /// `|f(z) - z|` there.
    pub residual: f64,
    /// How often the map was evaluated.
    pub iterations: usize,
    /// How often the memory of past iterates was cleared.
    pub restarts: usize,
}

/// A residual that grew by this factor over the best one clears the memory.
const RESTART_GROWTH: f64 = 10.0;

/// Searches the fixed point of a map from a start. The map writes `f` of its first argument into its second.
///
/// ```
/// use thalweg_dynamics::deq::fixed_point::{self, Search};
///
/// let found = fixed_point::search(|z, out| out[0] = z[0].cos(), &[1.0], &Search::default())?;
/// assert!((found.point[0] - 0.739_085_133).abs() < 1e-7);
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for settings out of range; [`Error::NoFixedPoint`] when the iterates leave the finite numbers or do not arrive.
pub fn search(mut map: impl FnMut(&[f64], &mut [f64]), start: &[f64], search: &Search) -> Result<FixedPoint> {
    search.check()?;
    let mut walk = Walk::new(start);
    let mut memory = Memory::new(search.method);
    let mut best = f64::INFINITY;
    let mut restarts = 0;
    let mut residuals = [f64::NAN; 2];
    for iterations in 1..=search.most_iterations {
        map(&walk.point, &mut walk.image);
        let residual = walk.measure();
        residuals = [residuals[1], residual];
        if !residual.is_finite() {
            return Err(Error::no_fixed_point(iterations, residual, residuals[1] / residuals[0]));
        }
        if residual <= search.tolerance * (1.0 + norm(&walk.point)) {
            return Ok(FixedPoint { point: walk.point, residual, iterations, restarts });
        }
        if residual > RESTART_GROWTH * best && memory.forget() {
            restarts += 1;
        }
        best = best.min(residual);
        restarts += usize::from(memory.remember(&walk));
        walk.go(&memory);
    }
    Err(Error::no_fixed_point(search.most_iterations, residuals[1], residuals[1] / residuals[0]))
}

impl Search {
    fn check(&self) -> Result<()> {
        if !(self.tolerance.is_finite() && self.tolerance >= 4.0 * f64::EPSILON) {
            return Err(Error::value(
                "the tolerance of the fixed point",
                self.tolerance,
                "9e-16 or more; rounding decides below",
            ));
        }
        let share = |damping: f64| match damping > 0.0 && damping <= 1.0 {
            true => Ok(()),
            false => Err(Error::value("the damping of the forward iteration", damping, "in (0, 1]")),
        };
        match self.method {
            Method::Damped { damping } => share(damping),
            Method::Anderson { history: 0, .. } => Err(Error::value("the history of Anderson's mixing", 0, "1 or more")),
            Method::Anderson { damping, .. } => share(damping),
            Method::Broyden { memory: 0 } => Err(Error::value("the memory of Broyden's method", 0, "1 or more")),
            Method::Broyden { .. } => Ok(()),
        }
    }
}

/// The current iterate, its image and residual, and the last step.
struct Walk {
    point: Vec<f64>,
    image: Vec<f64>,
    residual: Vec<f64>,
    last_residual: Vec<f64>,
    step: Vec<f64>,
}

impl Walk {
    fn new(start: &[f64]) -> Self {
        let zeros = vec![0.0; start.len()];
        let last_residual = Vec::new();
        Self { point: start.to_vec(), image: zeros.clone(), residual: zeros.clone(), last_residual, step: zeros }
    }

    /// Forms the residual `f(z) - z` and returns its norm.
    fn measure(&mut self) -> f64 {
        for ((residual, image), point) in self.residual.iter_mut().zip(&self.image).zip(&self.point) {
            *residual = image - point;
        }
        norm(&self.residual)
    }

    fn go(&mut self, memory: &Memory) {
        memory.step(&self.residual, &mut self.step);
        add_scaled(&mut self.point, 1.0, &self.step);
        self.last_residual.clone_from(&self.residual);
    }

    /// The change of the residual by the last step; `None` before the first.
    fn change(&self) -> Option<Vec<f64>> {
        let last = Some(&self.last_residual).filter(|last| !last.is_empty())?;
        Some(self.residual.iter().zip(last).map(|(now, before)| now - before).collect())
    }
}

/// What a method keeps of the past.
enum Memory {
    Damped { damping: f64 },
    Anderson { damping: f64, history: usize, pairs: VecDeque<(Vec<f64>, Vec<f64>)> },
    Broyden { memory: usize, updates: Vec<(Vec<f64>, Vec<f64>)> },
}

impl Memory {
    fn new(method: Method) -> Self {
        match method {
            Method::Damped { damping } => Self::Damped { damping },
            Method::Anderson { history, damping } => Self::Anderson { damping, history, pairs: VecDeque::new() },
            Method::Broyden { memory } => Self::Broyden { memory, updates: Vec::new() },
        }
    }

    /// Clears the memory; whether there was any.
    fn forget(&mut self) -> bool {
        match self {
            Self::Damped { .. } => false,
            Self::Anderson { pairs, .. } => !std::mem::take(pairs).is_empty(),
            Self::Broyden { updates, .. } => !std::mem::take(updates).is_empty(),
        }
    }

    /// Learns from the last step; whether the memory was full and had to be cleared.
    fn remember(&mut self, walk: &Walk) -> bool {
        let Some(change) = walk.change() else { return false };
        match self {
            Self::Damped { .. } => false,
            Self::Anderson { history, pairs, .. } => {
                pairs.truncate(*history - 1);
                pairs.push_front((walk.step.clone(), change));
                false
            }
            Self::Broyden { memory, updates } => {
                let full = updates.len() >= *memory;
                if full {
                    updates.clear();
                }
                // With H the inverse Jacobian of f(z) - z: H += (dz - H dr) dz^T H / (dz^T H dr).
                let row = apply_left(updates, &walk.step);
                let mut column = apply(updates, &change);
                let scale = dot(&row, &change);
                if scale.abs() > f64::MIN_POSITIVE {
                    for (column, step) in column.iter_mut().zip(&walk.step) {
                        *column = (step - *column) / scale;
                    }
                    updates.push((column, row));
                }
                full
            }
        }
    }

    /// The next step.
    fn step(&self, residual: &[f64], step: &mut [f64]) {
        match self {
            Self::Damped { damping } => {
                step.fill(0.0);
                add_scaled(step, *damping, residual);
            }
            Self::Anderson { damping, pairs, .. } => mix(*damping, pairs, residual, step),
            Self::Broyden { updates, .. } => {
                step.fill(0.0);
                add_scaled(step, -1.0, &apply(updates, residual));
            }
        }
    }
}

/// A column that lies in the span of newer ones to this relative accuracy is left out.
const INDEPENDENT: f64 = 1e-8;

/// Anderson's step: the residual's part outside the span of past changes, and the past steps that would have made the rest.
///
/// The changes are made orthogonal from the newest to the oldest, each with its step, so that old, dependent ones drop out.
fn mix(damping: f64, pairs: &VecDeque<(Vec<f64>, Vec<f64>)>, residual: &[f64], step: &mut [f64]) {
    let mut basis: Vec<(Vec<f64>, Vec<f64>)> = Vec::with_capacity(pairs.len());
    for (moved, change) in pairs {
        let (mut moved, mut change) = (moved.clone(), change.clone());
        let whole = norm(&change);
        for _ in 0..2 {
            for (other_moved, direction) in &basis {
                let share = dot(&change, direction);
                add_scaled(&mut change, -share, direction);
                add_scaled(&mut moved, -share, other_moved);
            }
        }
        let rest = norm(&change);
        if rest > INDEPENDENT * whole {
            change.iter_mut().chain(&mut moved).for_each(|value| *value /= rest);
            basis.push((moved, change));
        }
    }
    let mut outside = residual.to_vec();
    step.fill(0.0);
    for (moved, direction) in &basis {
        let share = dot(&outside, direction);
        add_scaled(&mut outside, -share, direction);
        add_scaled(step, -share, moved);
    }
    add_scaled(step, damping, &outside);
}

/// H x, with `H = -I + sum column row^T`.
fn apply(updates: &[(Vec<f64>, Vec<f64>)], x: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = x.iter().map(|value| -value).collect();
    for (column, row) in updates {
        add_scaled(&mut out, dot(row, x), column);
    }
    out
}

/// x^T H.
fn apply_left(updates: &[(Vec<f64>, Vec<f64>)], x: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = x.iter().map(|value| -value).collect();
    for (column, row) in updates {
        add_scaled(&mut out, dot(column, x), row);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const METHODS: [Method; 4] = [
        Method::Damped { damping: 1.0 },
        Method::Damped { damping: 0.5 },
        Method::Anderson { history: 6, damping: 1.0 },
        Method::Broyden { memory: 20 },
    ];

    fn with(method: Method, most_iterations: usize) -> Search {
        Search { method, tolerance: 1e-12, most_iterations }
    }

    /// `z = A z + b` with a tridiagonal A of spectral radius below `size`.
    fn chain(size: f64) -> impl FnMut(&[f64], &mut [f64]) {
        move |z, out| {
            for at in 0..z.len() {
                let left = if at > 0 { z[at - 1] } else { 0.0 };
                let right = z.get(at + 1).copied().unwrap_or(0.0);
                out[at] = size * 0.5 * (left + right) + 1.0 + 0.1 * at as f64;
            }
        }
    }

    #[test]
    fn all_methods_reach_the_same_point_and_mixing_is_faster() {
        let found = METHODS.map(|method| search(chain(0.9), &[0.0; 12], &with(method, 1000)).unwrap());
        for other in &found[1..] {
            let gap = found[0].point.iter().zip(&other.point).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(gap < 1e-9, "{gap}");
        }
        let iterations = found.map(|found| found.iterations);
        assert!(iterations[2].max(iterations[3]) * 3 < iterations[0].min(iterations[1]), "{iterations:?}");
    }

    #[test]
    fn a_map_that_does_not_contract_is_refused_by_iteration_and_solved_by_the_others() {
        let twice = |z: &[f64], out: &mut [f64]| out[0] = -2.0 * z[0] + 3.0;
        let error = search(twice, &[0.0], &with(METHODS[0], 2000)).unwrap_err();
        assert!(error.to_string().contains("does not contract"), "{error}");
        assert!(search(twice, &[0.0], &with(METHODS[1], 2000)).is_ok());
        for method in &METHODS[2..] {
            assert!((search(twice, &[0.0], &with(*method, 50)).unwrap().point[0] - 1.0).abs() < 1e-11);
        }
    }

    #[test]
    fn edges() {
        let half = |z: &[f64], out: &mut [f64]| out.iter_mut().zip(z).for_each(|(out, z)| *out = z / 2.0);
        assert_eq!(search(half, &[], &Search::default()).unwrap().iterations, 1);
        assert_eq!(search(half, &[0.0, 0.0], &Search::default()).unwrap().iterations, 1);
        assert!(search(half, &[f64::NAN], &Search::default()).is_err());
        for method in [
            Method::Damped { damping: 0.0 },
            Method::Damped { damping: 1.5 },
            Method::Anderson { history: 0, damping: 1.0 },
            Method::Broyden { memory: 0 },
        ] {
            assert!(matches!(search(half, &[1.0], &with(method, 10)), Err(Error::Value { .. })));
        }
        assert!(matches!(search(half, &[1.0], &Search { tolerance: 0.0, ..Search::default() }), Err(Error::Value { .. })));
        let short = search(half, &[1e6], &with(METHODS[0], 3)).unwrap_err();
        assert!(matches!(short, Error::NoFixedPoint { iterations: 3, .. }), "{short}");
    }

    proptest! {
        #[test]
        fn tanh_layers_are_solved(weights in prop::collection::vec(-0.3f64..0.3, 25), bias in prop::collection::vec(-2.0f64..2.0, 5)) {
            let layer = |z: &[f64], out: &mut [f64]| {
                for (at, out) in out.iter_mut().enumerate() {
                    *out = (dot(&weights[5 * at..5 * at + 5], z) + bias[at]).tanh();
                }
            };
            for method in METHODS {
                let found = search(layer, &[0.0; 5], &with(method, 5000));
                if let Ok(found) = found {
                    let mut image = [0.0; 5];
                    layer(&found.point, &mut image);
                    prop_assert!(found.point.iter().zip(image).all(|(z, f)| (z - f).abs() < 1e-11));
                } else {
                    prop_assert!(matches!(method, Method::Damped { .. } | Method::Broyden { .. }), "{found:?}");
                }
            }
        }
    }
}
