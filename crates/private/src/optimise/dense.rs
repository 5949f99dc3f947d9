//! The optimum of MeanSE over all matrices, for single participation (arXiv 2202.08312).
//!
//! Over `X = C^T C` with unit diagonal, `tr(H X^{-1})` for `H = A^T A` is convex. Its dual, `2 tr M^{1/2} - sum v` with
//! `M = V^{1/2} H V^{1/2}` and `V = diag(v)`, has its maximum where `v = diag(M^{1/2})`, and there
//! `X = V^{-1/2} M^{1/2} V^{-1/2}`.

use std::collections::VecDeque;

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use crate::error::{Error, Result};
use crate::workload::Workload;

/// The fixed point counts as found when no `ln v_i` moves by more.
const STILL: f64 = 1e-12;

/// Iterations, of one decomposition each; 10 to 40 are usual.
const MOST_ITERATIONS: usize = 100;

/// Past iterations whose residuals are combined.
const WINDOW: usize = 10;

/// The relative distance of the optimum found from the dual bound, above which it is not called one.
const LARGEST_GAP: f64 = 1e-8;

/// What a decomposition of M tells.
struct Root {
    root: Mat<f64>,
    /// `ln diag(M^{1/2})`, the image of `ln v`.
    image: Vec<f64>,
    dual: f64,
}

/// The best `X = C^T C` of unit diagonal, by the fixed-point iteration `v <- diag(M^{1/2})` with Anderson's acceleration.
///
/// The dual never falls: where an accelerated step lowers it, the plain one is taken, which does not.
pub(crate) fn mean_optimum(workload: &Workload) -> Result<Mat<f64>> {
    let n = workload.steps();
    let matrix = workload.matrix();
    let a = Mat::from_fn(n, n, |i, j| matrix[i * n + j]);
    let mut at = vec![0.0; n];
    let mut found = root(&a, &at)?;
    let mut history = Anderson::default();
    let mut iterations = 1;
    // With v = 1 this is far from the fixed point, and not worth combining.
    let mut next = found.image.clone();
    while iterations < MOST_ITERATIONS && distance(&found.image, &at) > STILL {
        let mut there = root(&a, &next)?;
        iterations += 1;
        if there.dual < found.dual * (1.0 - 1e-14) && next != found.image {
            history = Anderson::default();
            next.clone_from(&found.image);
            there = root(&a, &next)?;
            iterations += 1;
        }
        let still = distance(&there.image, &next) >= distance(&found.image, &at) && distance(&there.image, &next) < 1e-9;
        (at, found) = (next, there);
        if still {
            // Rounding moves v as much as the iteration does; the gap tells whether that is good enough.
            break;
        }
        next = history.step(&at, &found.image);
    }
    let gram_of_c = normalised(&found.root);
    let primal = objective(&a, &gram_of_c)?;
    let gap = (primal - found.dual) / primal;
    if gap.is_nan() || gap > LARGEST_GAP {
        let reason = format!("after {iterations} iterations the error squared is {primal}, and the bound {}", found.dual);
        return Err(Error::NoConvergence { what: "the optimum over all matrices", reason });
    }
    Ok(gram_of_c)
}

/// C^{-1} of the lower-triangular C with `C^T C = X`: by the Cholesky decomposition `L L^T` of X with its order reversed, whose L
/// is `C^T` reversed.
pub(crate) fn inverse_factor(gram: &Mat<f64>) -> Result<Mat<f64>> {
    let n = gram.nrows();
    let reversed = Mat::from_fn(n, n, |i, j| gram[(n - 1 - i, n - 1 - j)]);
    let factor = reversed
        .llt(Side::Lower)
        .map_err(|error| Error::NoConvergence { what: "the Cholesky decomposition", reason: format!("{error:?}") })?;
    let mut inverse = Mat::<f64>::identity(n, n);
    faer::linalg::triangular_solve::solve_lower_triangular_in_place(factor.L(), inverse.as_mut(), faer::Par::Seq);
    Ok(Mat::from_fn(n, n, |i, j| inverse[(n - 1 - j, n - 1 - i)]))
}

/// `M^{1/2} = Q S Q^T` for the singular values S and right singular vectors Q of `A V^{1/2}`: by the eigenvalues of M, and by the
/// singular value decomposition, at three times the cost, where these are so far apart that the small ones have no digit left.
fn root(a: &Mat<f64>, at: &[f64]) -> Result<Root> {
    const FAR_APART: f64 = 1e-9;
    let n = a.nrows();
    let half: Vec<f64> = at.iter().map(|value| (0.5 * value).exp()).collect();
    let scaled = Mat::from_fn(n, n, |i, j| a[(i, j)] * half[j]);
    let eigen = (scaled.transpose() * &scaled)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|error| Error::NoConvergence { what: "the eigenvalue decomposition", reason: format!("{error:?}") })?;
    let values = eigen.S().column_vector();
    let quarter: Vec<f64>;
    let half_root = if values[0] > FAR_APART * values[n - 1] {
        quarter = (0..n).map(|k| values[k].powf(0.25)).collect();
        Mat::from_fn(n, n, |i, k| eigen.U()[(i, k)] * quarter[k])
    } else {
        let svd = scaled
            .svd()
            .map_err(|error| Error::NoConvergence { what: "the singular value decomposition", reason: format!("{error:?}") })?;
        quarter = (0..n).map(|k| svd.S().column_vector()[k].sqrt()).collect();
        Mat::from_fn(n, n, |i, k| svd.V()[(i, k)] * quarter[k])
    };
    let root = &half_root * half_root.transpose();
    let dual = 2.0 * quarter.iter().map(|value| value * value).sum::<f64>() - at.iter().map(|value| value.exp()).sum::<f64>();
    let image: Vec<f64> = (0..n).map(|i| root[(i, i)].ln()).collect();
    if dual.is_finite() && image.iter().all(|value| value.is_finite()) {
        return Ok(Root { root, image, dual });
    }
    let reason = "the workload's rates are too far apart for double precision".to_owned();
    Err(Error::NoConvergence { what: "the optimum over all matrices", reason })
}

/// `V^{-1/2} M^{1/2} V^{-1/2}`, scaled to a diagonal of exactly 1.
fn normalised(root: &Mat<f64>) -> Mat<f64> {
    let n = root.nrows();
    let scale: Vec<f64> = (0..n).map(|i| root[(i, i)].sqrt()).collect();
    Mat::from_fn(n, n, |i, j| if i == j { 1.0 } else { root[(i, j)] / (scale[i] * scale[j]) })
}

/// `tr(H X^{-1}) = |A C^{-1}|_F^2`.
fn objective(a: &Mat<f64>, gram: &Mat<f64>) -> Result<f64> {
    let b = a * inverse_factor(gram)?;
    Ok(b.squared_norm_l2())
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Anderson's acceleration of a fixed-point iteration: the next point is the image of the combination of past ones whose residual
/// is smallest.
#[derive(Default)]
struct Anderson {
    /// The last point's image and residual.
    last: Option<(Vec<f64>, Vec<f64>)>,
    /// Changes of images and residuals, from one point to the next.
    changes: VecDeque<(Vec<f64>, Vec<f64>)>,
}

impl Anderson {
    fn step(&mut self, at: &[f64], image: &[f64]) -> Vec<f64> {
        let minus = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let residual = minus(image, at);
        if let Some((before, residual_before)) = self.last.take() {
            self.changes.push_back((minus(image, &before), minus(&residual, &residual_before)));
            if self.changes.len() > WINDOW.min(at.len()) {
                self.changes.pop_front();
            }
        }
        self.last = Some((image.to_vec(), residual.clone()));
        let size = self.changes.len();
        if size == 0 {
            return image.to_vec();
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let trace: f64 = self.changes.iter().map(|(_, change)| dot(change, change)).sum();
        // A little damping keeps near-parallel changes apart.
        let normal = Mat::from_fn(size, size, |i, j| {
            dot(&self.changes[i].1, &self.changes[j].1) + if i == j { 1e-14 * trace } else { 0.0 }
        });
        let right = Mat::from_fn(size, 1, |i, _| dot(&self.changes[i].1, &residual));
        let weights = normal.partial_piv_lu().solve(&right);
        let mut next = image.to_vec();
        for (i, (change, _)) in self.changes.iter().enumerate() {
            next.iter_mut().zip(change).for_each(|(next, change)| *next -= weights[(i, 0)] * change);
        }
        if next.iter().all(|value| value.is_finite()) { next } else { image.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Ratios;

    #[test]
    fn no_change_of_the_matrix_helps() {
        // The gradient X^{-1} H X^{-1} of the error vanishes off the diagonal, where X is free.
        for ratios in [Ratios::constant(24), Ratios::cosine(24, 0.01), Ratios::cosine(24, 1e-4)] {
            let workload = Workload::new(ratios.unwrap()).with_momentum(0.4).unwrap();
            let optimum = mean_optimum(&workload).unwrap();
            let matrix = workload.matrix();
            let a = Mat::from_fn(24, 24, |i, j| matrix[i * 24 + j]);
            let inverse = inverse_factor(&optimum).unwrap();
            let b = &a * &inverse;
            let y = &inverse * (b.transpose() * &b) * inverse.transpose();
            let diagonal = (0..24).map(|i| y[(i, i)]).fold(0.0, f64::max);
            for (i, j) in (0..24).flat_map(|i| (0..i).map(move |j| (i, j))) {
                assert!(y[(i, j)].abs() < 1e-8 * diagonal, "{i} {j}: {}", y[(i, j)]);
            }
        }
    }

    #[test]
    fn the_factor_is_lower_triangular_and_gives_the_matrix_back() {
        let workload = Workload::new(Ratios::exponential(9, 0.2).unwrap());
        let gram = mean_optimum(&workload).unwrap();
        let inverse = inverse_factor(&gram).unwrap();
        // C^{-T} (C^T C) C^{-1} = I.
        let unit = inverse.transpose() * &gram * &inverse;
        for (i, j) in (0..9).flat_map(|i| (0..9).map(move |j| (i, j))) {
            let expected = if i == j { 1.0 } else { 0.0 };
            assert!((unit[(i, j)] - expected).abs() < 1e-12);
            assert!(j <= i || inverse[(i, j)] == 0.0);
        }
    }
}
