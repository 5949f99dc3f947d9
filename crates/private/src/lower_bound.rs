//! What no factorisation can beat: lower bounds on the error by the nuclear norm of the workload.

use faer::Mat;

use crate::error::{Error, Result};
use crate::pattern::Pattern;
use crate::workload::Workload;

/// Above this many steps the singular values of a workload without closed form are not computed.
pub const LARGEST_NUCLEAR_NORM: usize = 1024;

/// The nuclear norm (sum of singular values) of the workload's matrix.
///
/// In closed form for a constant rate without momentum and decay: the singular values of the prefix-sum matrix are
/// `1 / (2 sin((2i-1) pi / (4n+2)))`.
///
/// # Errors
/// [`Error::Unsuitable`] above [`LARGEST_NUCLEAR_NORM`] steps where there is no closed form.
pub fn nuclear_norm(workload: &Workload) -> Result<f64> {
    let n = workload.steps();
    if workload.is_plain() && workload.ratios().is_constant() {
        let angle = std::f64::consts::PI / (4 * n + 2) as f64;
        let sum: f64 = (1..=n).map(|i| 0.5 / ((2 * i - 1) as f64 * angle).sin()).sum();
        return Ok(sum * workload.ratios().values()[0]);
    }
    if n > LARGEST_NUCLEAR_NORM {
        return Err(Error::unsuitable(
            "the lower bound",
            format!("it needs the singular values of an n x n matrix, computed up to n = {LARGEST_NUCLEAR_NORM}"),
        ));
    }
    let matrix = workload.matrix();
    let values = Mat::from_fn(n, n, |i, j| matrix[i * n + j])
        .singular_values()
        .map_err(|error| Error::NoConvergence { what: "the singular value decomposition", reason: format!("{error:?}") })?;
    Ok(values.iter().sum())
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
    fn closed_form_agrees_with_the_decomposition() {
        let constant = Workload::new(Ratios::constant(30).unwrap());
        let nearly = Workload::new(Ratios::exponential(30, 1.0 - 1e-13).unwrap());
        let (closed, computed) = (nuclear_norm(&constant).unwrap(), nuclear_norm(&nearly).unwrap());
        assert!((closed - computed).abs() < 1e-9);
    }
}
