//! Sensitivities of lower-triangular Toeplitz matrices.
//!
//! Why the leading steps 0, b, 2b, ... decide. Let `i_0 < i_1 < ...` be feasible, so that `i_q >= qb` and
//! `i_r - i_q >= (r-q) b`. With `a = |c|`, `|X_ij| <= sum_{t < n-j} a_t a_{t+j-i}` for i <= j; the sum has fewer terms the later j
//! is, and with m, `m_j >= a_l` for all `l >= j >= b`, it is at most `sum_{t < n-rb} a_t m_{t+(r-q)b}`. For `c >= 0` that is
//! non-increasing from lag b on, m = c and the leading steps attain it.

use super::{Sensitivity, of_gram};
use crate::coefficients;
use crate::pattern::Pattern;

/// Above this many steps the O(n^2) memory of the matrix bound is not spent.
const LARGEST_MATRIX_BOUND: usize = 2048;

/// Above this many steps the O(n^2) time of the correlation bound is not spent.
const LARGEST_CORRELATION_BOUND: usize = 16_384;

/// The sensitivity of `C = toep(c)` over `steps` steps, by the sharpest rule that applies.
///
/// ```
/// use thalweg_private::{coefficients, sensitivity, Pattern};
///
/// let c = coefficients::root(8);
/// let found = sensitivity::of_toeplitz(&c, 8, Pattern::separated(3, 2)?);
/// assert!((found.value - 2.14941456).abs() < 1e-8);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
pub fn of_toeplitz(c: &[f64], steps: usize, pattern: Pattern) -> Sensitivity {
    let c = &c[..c.len().min(steps)];
    let (b, k) = (pattern.separation(steps), pattern.at_most(steps));
    if k == 1 {
        return Sensitivity::exact(coefficients::norm(c));
    }
    if c.len() <= b {
        return Sensitivity::exact(of_orthogonal_columns(c, steps, b, k).sqrt());
    }
    if leading_steps_decide(c, b) {
        return Sensitivity::exact(of_leading_steps(c, steps, b, k));
    }
    let mut best = Sensitivity::upper(tail_bound(c, steps, b, k, None).sqrt());
    if steps <= LARGEST_CORRELATION_BOUND {
        best = best.or_smaller(of_correlations(c, steps, b, k));
    }
    if steps <= LARGEST_MATRIX_BOUND {
        best = best.or_smaller(of_gram(&toeplitz_gram(c, steps), steps, pattern));
    }
    best
}

/// The sensitivity of `toep(c) diag(factors)` with positive factors.
pub(crate) fn of_scaled_toeplitz(c: &[f64], factors: &[f64], pattern: Pattern) -> Sensitivity {
    let n = factors.len();
    let (b, k) = (pattern.separation(n), pattern.at_most(n));
    if k == 1 {
        return Sensitivity::exact(largest_scaled_column(c, factors));
    }
    let highest = coefficients::majorant(factors);
    let value = tail_bound(c, n, b, k, Some(&highest)).sqrt();
    // The leading steps attain the bound where the majorants change nothing.
    let attained = leading_steps_decide(c, b) && (0..k).all(|q| highest[q * b] == factors[q * b]);
    if attained { Sensitivity::exact(value) } else { Sensitivity::upper(value) }
}

/// `max_t |c[0..n-t]| factor_t`.
fn largest_scaled_column(c: &[f64], factors: &[f64]) -> f64 {
    let mut square = 0.0;
    let mut largest = 0.0f64;
    for (t, factor) in factors.iter().rev().enumerate() {
        square += c.get(t).map_or(0.0, |value| value * value);
        largest = largest.max(square.sqrt() * factor);
    }
    largest
}

/// Whether c is non-negative, and non-increasing from lag b on.
fn leading_steps_decide(c: &[f64], b: usize) -> bool {
    c.iter().all(|&value| value >= 0.0) && coefficients::is_non_increasing(&c[b.min(c.len())..])
}

/// `|s|` with `s_t = sum_{j<k, jb<=t} c_{t-jb}`, the sum of the columns of the leading steps 0, b, ..., (k-1)b.
///
/// The sensitivity, where c is non-negative and non-increasing from lag b on. O(n), by a stride-b cumulative sum.
pub fn of_leading_steps(c: &[f64], steps: usize, separation: usize, at_most: usize) -> f64 {
    let at = |t: usize| c.get(t).copied().unwrap_or(0.0);
    let mut sums = vec![0.0; steps];
    let window = separation.saturating_mul(at_most);
    for t in 0..steps {
        let before = if t >= separation { sums[t - separation] } else { 0.0 };
        // With few participations the sum is a window, not a running total; adding afresh avoids cancellation.
        sums[t] = if t < window { before + at(t) } else { (0..at_most).map(|j| at(t - j * separation)).sum() };
    }
    coefficients::norm(&sums)
}

/// The squared sensitivity when columns at least b apart do not overlap: their squared norms add up, and column norms of a
/// Toeplitz matrix fall, so that the leading steps are the worst.
fn of_orthogonal_columns(c: &[f64], steps: usize, separation: usize, at_most: usize) -> f64 {
    let square = |start: usize| c[..c.len().min(steps - start)].iter().map(|value| value * value).sum::<f64>();
    leading(steps, separation, at_most).map(square).sum()
}

/// The leading steps 0, b, ..., (k-1)b.
fn leading(steps: usize, separation: usize, at_most: usize) -> impl Iterator<Item = usize> {
    (0..steps).step_by(separation).take(at_most)
}

/// The squared bound of the leading steps, with lags from b on replaced by their majorant m:
/// `sum_tau sum_r f_r a_{tau-rb} (f_r a_{tau-rb} + 2 sum_{q<r} f_q m_{tau-qb})`, where `f_q` is the factor of step qb.
///
/// O(n k) time. Never above what the majorant of all of c gives.
fn tail_bound(c: &[f64], steps: usize, b: usize, k: usize, factors: Option<&[f64]>) -> f64 {
    let tail = tail_majorant(c, b);
    let factor = |step: usize| factors.map_or(1.0, |factors| factors[step]);
    let mut total = 0.0;
    for tau in 0..steps {
        let mut earlier = 0.0;
        for step in leading(tau + 1, b, k) {
            let lag = tau - step;
            let own = c.get(lag).map_or(0.0, |value| value.abs() * factor(step));
            total += own * (own + 2.0 * earlier);
            earlier += tail.get(lag).map_or(0.0, |value| value * factor(step));
        }
    }
    total
}

/// `m_j = max_{i>=j} |c_i|` for `j >= b`; before b the values of `|c|` themselves.
fn tail_majorant(c: &[f64], b: usize) -> Vec<f64> {
    let mut tail: Vec<f64> = c.iter().map(|value| value.abs()).collect();
    for j in (b + 1..tail.len()).rev() {
        tail[j - 1] = tail[j - 1].max(tail[j]);
    }
    tail
}

/// The bound `sum_q X_q(0) + 2 sum_{q<r} max_{d >= (r-q)b} X_q(d)` with `X_q(d) = sum_{t < n-qb-d} |c_t| |c_{t+d}|`, the inner
/// product of the columns qb and qb+d of `toep(|c|)`.
///
/// Valid for any c, by the argument above with the columns' products in place of the coefficients; exact where `c >= 0` and all
/// these maxima lie at their first place, so that the leading steps attain them. O(n^2) time, O(n) memory.
pub fn of_correlations(c: &[f64], steps: usize, separation: usize, at_most: usize) -> Sensitivity {
    let a: Vec<f64> = (0..steps).map(|t| c.get(t).map_or(0.0, |value| value.abs())).collect();
    let starts: Vec<usize> = leading(steps, separation, at_most).collect();
    let mut products = vec![0.0; steps];
    let (mut total, mut attained, mut counted) = (0.0, true, 0);
    // From the last start to the first the columns' products gain terms.
    for (q, start) in starts.iter().enumerate().rev() {
        let rows = steps - start;
        for t in counted..rows {
            // The new term of X(d) is a_t a_{t-d}.
            for (product, earlier) in products.iter_mut().zip(a[..=t].iter().rev()) {
                *product += a[t] * earlier;
            }
        }
        counted = rows;
        total += products[0];
        let (mut largest, mut next) = (0.0f64, rows);
        for later in (1..starts.len() - q).rev() {
            let first = later * separation;
            largest = products[first..next].iter().fold(largest, |largest, &product| largest.max(product));
            next = first;
            attained &= products[first] == largest;
            total += 2.0 * largest;
        }
    }
    let value = total.sqrt();
    if attained && c.iter().all(|&value| value >= 0.0) { Sensitivity::exact(value) } else { Sensitivity::upper(value) }
}

/// `X = C^T C` of `C = toep(c)`, row-major: `X_ij = X_{i+1,j+1} + c_{n-1-i} c_{n-1-j}`.
pub fn toeplitz_gram(c: &[f64], steps: usize) -> Vec<f64> {
    let at = |t: usize| c.get(t).copied().unwrap_or(0.0);
    let mut gram = vec![0.0; steps * steps];
    for i in (0..steps).rev() {
        for j in (0..=i).rev() {
            let below = if i + 1 < steps { gram[(i + 1) * steps + j + 1] } else { 0.0 };
            gram[i * steps + j] = below + at(steps - 1 - i) * at(steps - 1 - j);
            gram[j * steps + i] = gram[i * steps + j];
        }
    }
    gram
}

/// A square of an upper bound on the sensitivity that is cheap and has a derivative almost everywhere, and that derivative in
/// c: what optimisers work with. O(n k).
pub(crate) fn squared_with_gradient(c: &[f64], steps: usize, pattern: Pattern) -> (f64, Vec<f64>) {
    let c = &c[..c.len().min(steps)];
    let (b, k) = (pattern.separation(steps), pattern.at_most(steps));
    if k == 1 {
        return (c.iter().map(|value| value * value).sum(), c.iter().map(|value| 2.0 * value).collect());
    }
    if c.len() <= b {
        let mut columns = vec![0.0; c.len()];
        for start in leading(steps, b, k) {
            columns[..c.len().min(steps - start)].iter_mut().for_each(|count| *count += 1.0);
        }
        let gradient = c.iter().zip(&columns).map(|(value, count)| 2.0 * count * value).collect();
        return (of_orthogonal_columns(c, steps, b, k), gradient);
    }
    let tail = tail_majorant(c, b);
    let (own, in_tail) = tail_bound_gradient(c, &tail, steps, b, k);
    let value = tail_bound(c, steps, b, k, None);
    let mut gradient = own;
    // The majorant at j is |c| at the first place behind j that attains it.
    let mut place = c.len();
    for j in (0..c.len()).rev() {
        if j < b || place == c.len() || c[j].abs() >= tail[j] {
            place = j;
        }
        gradient[place] += in_tail[j];
    }
    gradient.iter_mut().zip(c).for_each(|(gradient, value)| *gradient *= value.signum());
    (value, gradient)
}

/// The derivatives of [`tail_bound`] in |c| and in its tail majorant.
fn tail_bound_gradient(c: &[f64], tail: &[f64], steps: usize, b: usize, k: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut own, mut in_tail) = (vec![0.0; c.len()], vec![0.0; c.len()]);
    for tau in 0..steps {
        let mut earlier = 0.0;
        for lag in leading(tau + 1, b, k).map(|step| tau - step).filter(|&lag| lag < c.len()) {
            own[lag] += 2.0 * (c[lag].abs() + earlier);
            earlier += tail[lag];
        }
        let mut later = 0.0;
        let participations = k.min(tau / b + 1);
        for lag in (0..participations).rev().map(|q| tau - q * b).filter(|&lag| lag < c.len()) {
            in_tail[lag] += 2.0 * later;
            later += c[lag].abs();
        }
    }
    (own, in_tail)
}
