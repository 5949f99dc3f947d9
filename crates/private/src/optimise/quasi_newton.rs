//! BFGS with the weak Wolfe line search of Lewis and Overton ("Nonsmooth optimization via quasi-Newton methods", 2013).
//!
//! Our objectives have kinks: the largest of many rows, the majorant of a sensitivity. Line searches for the strong Wolfe
//! conditions, as optimisation crates have them, look for a vanishing slope that a kink does not have; the weak conditions are
//! met at kinks too, and BFGS with them is known to converge there in practice. There are few variables, so the whole inverse
//! Hessian is kept.

/// A value and its gradient; none where the function cannot be evaluated, which counts as infinitely high.
pub(crate) type Sample = Option<(f64, Vec<f64>)>;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// After so many iterations.
    pub(crate) iterations: usize,
    /// After ten iterations that gained less than this together.
    pub(crate) gain: f64,
}

const PATIENCE: usize = 10;

/// Where a descent from `start` ends; none where the function cannot be evaluated there.
pub(crate) fn minimise(start: &[f64], stop: Stop, f: impl Fn(&[f64]) -> Sample) -> Option<Vec<f64>> {
    let mut x = start.to_vec();
    let (mut value, mut gradient) = f(&x)?;
    let mut hessian = InverseHessian::new(x.len());
    let mut values = vec![value];
    for _ in 0..stop.iterations {
        let mut direction = hessian.direction(&gradient);
        if dot(&direction, &gradient) >= 0.0 {
            hessian = InverseHessian::new(x.len());
            direction = hessian.direction(&gradient);
        }
        let first = if hessian.is_new() { 0.1 / norm(&gradient).max(0.1) } else { 1.0 };
        let Some(step) = line_search(&x, value, &gradient, &direction, first, &f) else {
            if hessian.is_new() {
                break;
            }
            hessian = InverseHessian::new(x.len());
            continue;
        };
        let moved: Vec<f64> = step.x.iter().zip(&x).map(|(new, old)| new - old).collect();
        let turned: Vec<f64> = step.gradient.iter().zip(&gradient).map(|(new, old)| new - old).collect();
        hessian.update(&moved, &turned);
        (x, value, gradient) = (step.x, step.value, step.gradient);
        values.push(value);
        let before = values[values.len().saturating_sub(PATIENCE + 1)];
        if values.len() > PATIENCE && before - value < stop.gain {
            break;
        }
    }
    Some(x)
}

struct Step {
    x: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// A step that descends enough, to where the slope has risen enough: bisection, doubling while no bracket is known.
fn line_search(
    x: &[f64],
    value: f64,
    gradient: &[f64],
    direction: &[f64],
    first: f64,
    f: &impl Fn(&[f64]) -> Sample,
) -> Option<Step> {
    const SUFFICIENT: f64 = 1e-4;
    const CURVATURE: f64 = 0.9;
    const TRIALS: usize = 50;
    let slope = dot(gradient, direction);
    if slope >= 0.0 || !slope.is_finite() {
        return None;
    }
    let (mut low, mut high, mut length) = (0.0, f64::INFINITY, first);
    let mut lowest: Option<Step> = None;
    for _ in 0..TRIALS {
        let there: Vec<f64> = x.iter().zip(direction).map(|(x, d)| x + length * d).collect();
        let sample = f(&there).filter(|(found, gradient)| found.is_finite() && gradient.iter().all(|g| g.is_finite()));
        match sample {
            Some((found, at)) if found < value + SUFFICIENT * length * slope => {
                let steep = dot(&at, direction) < CURVATURE * slope;
                if lowest.as_ref().is_none_or(|step| found < step.value) {
                    lowest = Some(Step { x: there, value: found, gradient: at });
                }
                if !steep {
                    return lowest;
                }
                low = length;
            }
            _ => high = length,
        }
        length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * length };
        if high - low <= 1e-15 * high {
            break;
        }
    }
    // At a kink the slope may never rise enough; a lower point is still one.
    lowest
}

/// The approximate inverse of the Hessian.
struct InverseHessian {
    size: usize,
    /// Row-major; none while it is the identity.
    entries: Option<Vec<f64>>,
}

impl InverseHessian {
    fn new(size: usize) -> Self {
        Self { size, entries: None }
    }

    fn is_new(&self) -> bool {
        self.entries.is_none()
    }

    fn times(&self, vector: &[f64]) -> Vec<f64> {
        match &self.entries {
            None => vector.to_vec(),
            Some(entries) => entries.chunks_exact(self.size).map(|row| dot(row, vector)).collect(),
        }
    }

    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        self.times(gradient).iter().map(|value| -value).collect()
    }

    /// `H <- (I - s y^T / sy) H (I - y s^T / sy) + s s^T / sy` for the step s and the change y of the gradient; the first time
    /// from the identity times `sy / yy`. Nothing happens unless the curvature `sy` is positive.
    fn update(&mut self, s: &[f64], y: &[f64]) {
        let (sy, yy) = (dot(s, y), dot(y, y));
        if !(sy > 1e-14 * norm(s) * yy.sqrt() && sy.is_finite()) {
            return;
        }
        if self.entries.is_none() {
            let mut identity = vec![0.0; self.size * self.size];
            identity.iter_mut().step_by(self.size + 1).for_each(|entry| *entry = sy / yy);
            self.entries = Some(identity);
        }
        let hy = self.times(y);
        let factor = (1.0 + dot(y, &hy) / sy) / sy;
        for (i, row) in self.entries.iter_mut().flat_map(|entries| entries.chunks_exact_mut(self.size)).enumerate() {
            let (outer, cross, inner) = (factor * s[i], s[i] / sy, hy[i] / sy);
            for ((entry, s), hy) in row.iter_mut().zip(s).zip(&hy) {
                *entry += outer * s - cross * hy - inner * s;
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: Stop = Stop { iterations: 1000, gain: 1e-14 };

    #[test]
    fn a_curved_valley_is_followed() {
        let rosenbrock = |x: &[f64]| {
            let (a, b) = (x[0], x[1]);
            let gradient = vec![-2.0 * (1.0 - a) - 400.0 * a * (b - a * a), 200.0 * (b - a * a)];
            Some(((1.0 - a).powi(2) + 100.0 * (b - a * a).powi(2), gradient))
        };
        let found = minimise(&[-1.2, 1.0], STOP, rosenbrock).unwrap();
        assert!((found[0] - 1.0).abs() < 1e-5 && (found[1] - 1.0).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn a_kink_is_found() {
        // 3 |a| + b^2 / 2 + |b - 0.4|: both terms have their kink at the minimum (0, 0.4).
        let kinked = |x: &[f64]| {
            let (a, b): (f64, f64) = (x[0], x[1]);
            let value = 3.0 * a.abs() + 0.5 * b * b + (b - 0.4).abs();
            Some((value, vec![3.0 * a.signum(), b + (b - 0.4).signum()]))
        };
        let found = minimise(&[1.3, -2.0], STOP, kinked).unwrap();
        assert!(found[0].abs() < 1e-6 && (found[1] - 0.4).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn walls_are_not_entered() {
        let walled = |x: &[f64]| (x[0] > 0.0).then(|| (x[0] - x[0].ln(), vec![1.0 - 1.0 / x[0]]));
        assert!((minimise(&[9.0], STOP, walled).unwrap()[0] - 1.0).abs() < 1e-6);
        assert!(minimise(&[-1.0], STOP, walled).is_none());
        assert!(minimise(&[], STOP, |_| Some((1.0, vec![]))).unwrap().is_empty());
    }
}
