//! Closed forms for buffered linear Toeplitz matrices: the error at a constant rate, and the column norm. Their cost does not
//! depend on the number of steps.
//!
//! The partial sums of the inverse column are sums of exponentials too: `S_t = a + sum_j b_j theta_hat_j^t` with
//! `b_j = -omega_hat_j / (1 - theta_hat_j)` and `a = 1 - sum_j b_j`, all of them positive. The squared norm of the last row of
//! B, which is the largest, is `sum_{t<n} S_t^2`; that of all rows together `sum_{t<n} (n-t) S_t^2`.

use super::decays::{Exponentials, Slopes};
use crate::evaluation::Objective;

/// What the powers of q are summed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weights {
    /// `sum_{t<n} q^t`.
    One,
    /// `sum_{t<n} (n-t) q^t`.
    Remaining,
}

/// `1 + sum_ij omega_i omega_j sum_{t<n-1} (theta_i theta_j)^t`: the squared norm of the column, with its derivatives.
pub(crate) fn squared_norm(side: &Exponentials, steps: usize) -> (f64, Slopes) {
    let (sum, slopes) = pairs(&side.weight, &side.gap, Weights::One, steps - 1);
    (1.0 + sum, slopes)
}

/// The square of MaxSE or MeanSE for sensitivity 1, with its derivatives in the inverse.
pub(crate) fn squared_error(inverse: &Exponentials, steps: usize, objective: Objective) -> (f64, Slopes) {
    let weights = match objective {
        Objective::Max => Weights::One,
        Objective::Mean => Weights::Remaining,
    };
    let part: Vec<f64> = inverse.weight.iter().zip(&inverse.gap).map(|(weight, gap)| -weight / gap).collect();
    let rest = 1.0 - part.iter().sum::<f64>();
    // The constant a is the part that does not decay.
    let amplitude: Vec<f64> = std::iter::once(rest).chain(part.iter().copied()).collect();
    let gap: Vec<f64> = std::iter::once(0.0).chain(inverse.gap.iter().copied()).collect();
    let (sum, found) = pairs(&amplitude, &gap, weights, steps);
    let scale = if objective == Objective::Mean { 1.0 / steps as f64 } else { 1.0 };
    let mut slopes = Slopes { decay: found.decay[1..].to_vec(), weight: vec![0.0; part.len()] };
    for (j, (part, gap)) in part.iter().zip(&inverse.gap).enumerate() {
        // b_j grows at the cost of a.
        let in_part = found.weight[j + 1] - found.weight[0];
        slopes.weight[j] = -scale * in_part / gap;
        slopes.decay[j] = scale * (slopes.decay[j] + in_part * part / gap);
    }
    (scale * sum, slopes)
}

/// `sum_ij w_i w_j K(x_i x_j)` for the power sum K and decays `x = 1 - gap`, with its derivatives in x and w.
fn pairs(weight: &[f64], gap: &[f64], weights: Weights, steps: usize) -> (f64, Slopes) {
    let mut slopes = Slopes { decay: vec![0.0; gap.len()], weight: vec![0.0; gap.len()] };
    let mut total = 0.0;
    for i in 0..gap.len() {
        for j in 0..gap.len() {
            let (sum, slope) = power_sum(weights, gap[i] + gap[j] - gap[i] * gap[j], steps);
            total += weight[i] * weight[j] * sum;
            slopes.weight[i] += 2.0 * weight[j] * sum;
            slopes.decay[i] += 2.0 * weight[i] * weight[j] * slope * (1.0 - gap[j]);
        }
    }
    (total, slopes)
}

/// The sum of n powers of `q = 1 - p` and its derivative in q.
fn power_sum(weights: Weights, p: f64, n: usize) -> (f64, f64) {
    let steps = n as f64;
    if p * steps < 0.1 {
        return near_one(weights, p, steps);
    }
    let power = (steps * f64::ln_1p(-p)).exp();
    let q = 1.0 - p;
    let sum = (1.0 - power) / p;
    // q^{n-1}, which is 1 for n = 1 even where q is 0.
    let before = if n <= 1 { 1.0 } else { ((steps - 1.0) * f64::ln_1p(-p)).exp() };
    let slope = (sum - steps * before) / p;
    match weights {
        Weights::One => (sum, slope),
        Weights::Remaining => {
            let remaining = (steps - q * sum) / p;
            (remaining, (remaining - sum - q * slope) / p)
        }
    }
}

/// The same by the series `sum_k binom(n, k+1) (-p)^k`, or `sum_k binom(n+1, k+2) (-p)^k`: the closed form cancels where q is
/// so near 1 that the powers hardly fall.
fn near_one(weights: Weights, p: f64, steps: f64) -> (f64, f64) {
    const TERMS: usize = 12;
    let (upper, lower, mut binomial) = match weights {
        Weights::One => (steps, 1.0, steps),
        Weights::Remaining => (steps + 1.0, 2.0, steps * (steps + 1.0) / 2.0),
    };
    let (mut sum, mut slope, mut power) = (0.0, 0.0, 1.0);
    for k in 0..TERMS {
        let order = k as f64;
        sum += binomial * power;
        let next = binomial * (upper - lower - order) / (lower + order + 1.0);
        // d/dq of the next term, -d/dp.
        slope += (order + 1.0) * next * power;
        power *= -p;
        binomial = next;
    }
    (sum, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_sums_are_those_of_the_powers() {
        for n in [0usize, 1, 2, 7, 300] {
            for p in [0.0, 1e-9, 1e-4, 3.3e-4, 3.4e-4, 0.01, 0.0143, 0.3, 1.0] {
                let q: f64 = 1.0 - p;
                for weights in [Weights::One, Weights::Remaining] {
                    let factor = |t: usize| if weights == Weights::One { 1.0 } else { (n - t) as f64 };
                    let sum: f64 = (0..n).map(|t| factor(t) * q.powi(t as i32)).sum();
                    let slope: f64 = (1..n).map(|t| factor(t) * t as f64 * q.powi(t as i32 - 1)).sum();
                    let found = power_sum(weights, p, n);
                    let close = |found: f64, expected: f64| (found - expected).abs() <= 1e-11 * (1.0 + expected.abs());
                    assert!(close(found.0, sum) && close(found.1, slope), "{weights:?} {n} {p}: {found:?} {sum} {slope}");
                }
            }
        }
    }
}
