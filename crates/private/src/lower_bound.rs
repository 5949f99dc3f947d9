//! What no factorisation can beat: lower bounds on the error by the nuclear norm of the workload.

use faer::Mat;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::pattern::Pattern;
use crate::workload::{Ratios, Workload};

/// Above this many steps the singular values of a workload with momentum or decay are not computed.
pub const LARGEST_NUCLEAR_NORM: usize = 1024;

/// The nuclear norm (sum of singular values) of the workload's matrix.
///
/// For any rates without momentum and decay in O(n) time and memory; otherwise by a singular value decomposition.
///
/// # Errors
/// [`Error::Unsuitable`] above [`LARGEST_NUCLEAR_NORM`] steps with momentum or decay.
pub fn nuclear_norm(workload: &Workload) -> Result<f64> {
    if workload.is_plain() {
        return Ok(of_rates(workload.ratios()));
    }
    let n = workload.steps();
    if n > LARGEST_NUCLEAR_NORM {
        let reason = format!("with momentum or decay it needs singular values, computed up to n = {LARGEST_NUCLEAR_NORM}");
        return Err(Error::unsuitable("the lower bound", reason));
    }
    by_decomposition(workload)
}

fn by_decomposition(workload: &Workload) -> Result<f64> {
    let (n, matrix) = (workload.steps(), workload.matrix());
    let values = Mat::from_fn(n, n, |i, j| matrix[i * n + j])
        .singular_values()
        .map_err(|error| Error::NoConvergence { what: "the singular value decomposition", reason: format!("{error:?}") })?;
    Ok(values.iter().sum())
}

/// The nuclear norm of `A_chi`: with `T = (A_chi A_chi^T)^{-1}`, which is tridiagonal,
/// `tr T^{-1/2} = (2/pi) int tr (T + e^{2x})^{-1} e^x dx`.
///
/// An eigenvalue `l` contributes `sech(x - ln(l)/2) / (2 sqrt(l))`, whose trapezoid sum has the relative error
/// `4 e^{-pi^2/h}`, and whose tails fall as `e^{-|x|}`.
fn of_rates(ratios: &Ratios) -> f64 {
    const WIDTH: f64 = 0.26;
    const TAIL: f64 = 37.0;
    let chi = ratios.values();
    // All singular values lie between half the smallest rate and the Frobenius norm.
    let largest = chi.iter().rev().enumerate().map(|(later, chi)| (later + 1) as f64 * chi * chi).sum::<f64>().sqrt();
    let smallest = chi.iter().fold(f64::INFINITY, |a, &b| a.min(b)) / 2.0;
    let first = -largest.ln() - TAIL;
    let points = ((-smallest.ln() + TAIL - first) / WIDTH).ceil() as usize;
    let term = |i: usize| {
        let x = first + WIDTH * i as f64;
        x.exp() * trace_of_inverse(chi, (2.0 * x).exp())
    };
    let terms: Vec<f64> = (0..=points).into_par_iter().map(term).collect();
    2.0 / std::f64::consts::PI * WIDTH * terms.iter().sum::<f64>()
}

/// `tr (T + shift)^{-1}`, the derivative of `log det (T + shift)`.
///
/// `T = L diag(chi^{-2}) L^T` with the unit lower bidiagonal L of entries `-chi_{m-1}/chi_m`. The pivots `chi^{-2} + s` of the
/// shifted matrix follow by the stationary qd recursion, in which all terms are positive: no digit is lost.
fn trace_of_inverse(chi: &[f64], shift: f64) -> f64 {
    let (mut s, mut slope, mut sum) = (shift, 1.0, 0.0);
    for (m, chi_m) in chi.iter().enumerate() {
        let d = 1.0 / (chi_m * chi_m);
        let pivot = d + s;
        sum += slope / pivot;
        if let Some(next) = chi.get(m + 1) {
            let coupling = (chi_m / next).powi(2) * d;
            s = shift + coupling * s / pivot;
            slope = 1.0 + coupling * slope * d / (pivot * pivot);
        }
    }
    sum
}

/// A lower bound on MeanSE, and so on MaxSE, of every factorisation: `|A|_* / sqrt(n m)`.
///
/// m is the number of feasible sets of steps that together cover all n: some set has at least the m-th part of `|C|_F^2`, and
/// `|B|_F |C|_F >= |A|_*`. It is n for single participation, b when a unit takes part every b steps throughout.
///
/// # Errors
/// As [`nuclear_norm`].
pub fn lower_bound(workload: &Workload, pattern: Pattern) -> Result<f64> {
    let n = workload.steps();
    let (b, k) = (pattern.separation(n), pattern.at_most(n));
    let cover = if k == 1 { n } else { n.min(b * n.div_ceil(k * b)) };
    Ok(nuclear_norm(workload)? / (n as f64 * cover as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Ratios;

    #[test]
    fn golden_nuclear_norms() {
        for (n, beta, expected) in [
            (64, 1.0, 2.040128),
            (64, 0.5, 1.540356),
            (64, 0.1, 0.928209),
            (256, 1.0, 2.471446),
            (256, 0.5, 1.851854),
            (256, 0.1, 1.093916),
            (1024, 1.0, 2.909584),
        ] {
            let workload = Workload::new(Ratios::exponential(n, beta).unwrap());
            let found = lower_bound(&workload, Pattern::Single).unwrap();
            assert!((found - expected).abs() < 1e-6, "{n} {beta}: {found} instead of {expected}");
        }
    }

    #[test]
    fn constant_rates_have_known_singular_values() {
        for n in [1usize, 2, 30, 20_000] {
            let angle = std::f64::consts::PI / (4 * n + 2) as f64;
            let expected: f64 = (1..=n).map(|i| 1.5 / ((2 * i - 1) as f64 * angle).sin()).sum();
            let found = nuclear_norm(&Workload::new(Ratios::new(vec![3.0; n]).unwrap())).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-12, "{n}: {found} instead of {expected}");
        }
    }

    #[test]
    fn any_rates_agree_with_the_decomposition() {
        let wild: Vec<f64> = (0..60).map(|t| (f64::from(t) * 0.8).sin().exp() * 10f64.powi(t % 5 - 3)).collect();
        for ratios in [Ratios::cosine(60, 1e-3), Ratios::exponential(60, 0.1), Ratios::new(wild)] {
            let workload = Workload::new(ratios.unwrap());
            let (found, expected) = (nuclear_norm(&workload).unwrap(), by_decomposition(&workload).unwrap());
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} instead of {expected}");
        }
    }
}
