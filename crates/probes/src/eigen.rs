//! Eigenvalues of symmetric matrices, checked before they are believed.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par};

use crate::error::{Error, Result};
use crate::svd::check_finite;

/// `A vectors = vectors diag(values)`.
#[derive(Clone, Debug)]
pub struct Eigen {
    /// The eigenvalues, not decreasing.
    pub values: Vec<f64>,
    /// The eigenvectors, one a column, orthonormal.
    pub vectors: Mat<f64>,
}

/// The eigenvalues and eigenvectors of a symmetric matrix; the same bits on any number of threads. The upper and the lower triangle
/// are averaged.
///
/// ```
/// let found = thalweg_probes::eigen::decompose(faer::mat![[2.0, 1.0], [1.0, 2.0]].as_ref())?;
/// assert!((found.values[0] - 1.0).abs() < 1e-14 && (found.values[1] - 3.0).abs() < 1e-14);
/// # Ok::<(), thalweg_probes::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for a matrix that is not square, [`Error::NotFinite`] for an entry that is not finite,
/// [`Error::Decomposition`] when no method passes the check.
pub fn decompose(matrix: MatRef<'_, f64>) -> Result<Eigen> {
    let (rows, columns) = matrix.shape();
    if rows != columns {
        return Err(Error::value("the matrix", format!("{rows} x {columns}"), "square, to have eigenvalues"));
    }
    check_finite(matrix)?;
    let symmetric = Mat::from_fn(rows, rows, |i, j| 0.5 * matrix[(i, j)] + 0.5 * matrix[(j, i)]);
    let attempt = |method: fn(MatRef<'_, f64>) -> Option<Eigen>| {
        method(symmetric.as_ref()).filter(|found| reproduces(symmetric.as_ref(), found))
    };
    let failed = Error::Decomposition { decomposition: "the eigenvalue decomposition", rows, columns };
    attempt(tridiagonal).or_else(|| attempt(jacobi)).ok_or(failed)
}

fn tridiagonal(matrix: MatRef<'_, f64>) -> Option<Eigen> {
    let n = matrix.nrows();
    if n == 0 {
        return Some(Eigen { values: Vec::new(), vectors: Mat::zeros(0, 0) });
    }
    let (mut vectors, mut values) = (Mat::zeros(n, n), Diag::<f64>::zeros(n));
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    let mut buffer = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut buffer);
    self_adjoint_evd(matrix, values.as_mut(), Some(vectors.as_mut()), Par::Seq, stack, Default::default()).ok()?;
    Some(Eigen { values: values.column_vector().iter().copied().collect(), vectors })
}

const MOST_SWEEPS: usize = 60;

/// Cyclic Jacobi rotations.
fn jacobi(matrix: MatRef<'_, f64>) -> Option<Eigen> {
    let n = matrix.nrows();
    let (mut rest, mut vectors) = (matrix.to_owned(), Mat::<f64>::identity(n, n));
    let small = f64::EPSILON * 1e-2 * matrix.norm_l2();
    for _ in 0..MOST_SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                if rest[(p, q)].abs() > small {
                    rotate(&mut rest, &mut vectors, p, q);
                    rotated = true;
                }
            }
        }
        if !rotated {
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| rest[(a, a)].total_cmp(&rest[(b, b)]));
            let values = order.iter().map(|&at| rest[(at, at)]).collect();
            return Some(Eigen { values, vectors: Mat::from_fn(n, n, |i, j| vectors[(i, order[j])]) });
        }
    }
    None
}

fn rotate(rest: &mut Mat<f64>, vectors: &mut Mat<f64>, p: usize, q: usize) {
    let zeta = (rest[(q, q)] - rest[(p, p)]) / (2.0 * rest[(p, q)]);
    let tangent = if zeta == 0.0 { 1.0 } else { zeta.signum() / (zeta.abs() + zeta.hypot(1.0)) };
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = cosine * tangent;
    for row in 0..rest.nrows() {
        let (a, b) = (rest[(row, p)], rest[(row, q)]);
        (rest[(row, p)], rest[(row, q)]) = (cosine * a - sine * b, sine * a + cosine * b);
        let (a, b) = (vectors[(row, p)], vectors[(row, q)]);
        (vectors[(row, p)], vectors[(row, q)]) = (cosine * a - sine * b, sine * a + cosine * b);
    }
    for column in 0..rest.ncols() {
        let (a, b) = (rest[(p, column)], rest[(q, column)]);
        (rest[(p, column)], rest[(q, column)]) = (cosine * a - sine * b, sine * a + cosine * b);
    }
}

fn reproduces(matrix: MatRef<'_, f64>, found: &Eigen) -> bool {
    let n = matrix.nrows();
    if found.values.iter().any(|value| !value.is_finite()) || check_finite(found.vectors.as_ref()).is_err() {
        return false;
    }
    let weighted = Mat::from_fn(n, n, |i, j| found.vectors[(i, j)] * found.values[j]);
    let rest = matrix * &found.vectors - weighted;
    let identity = found.vectors.transpose() * &found.vectors - Mat::<f64>::identity(n, n);
    rest.norm_l2() <= 1e-13 * n as f64 * matrix.norm_l2() && identity.norm_l2() <= 1e-12 * (n as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_methods_agree_with_the_known_spectrum_of_a_chain() {
        // The path of n points: 2 - 2 cos(k pi / (n + 1)).
        let n = 12;
        let chain = Mat::from_fn(n, n, |i, j| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        });
        for found in [decompose(chain.as_ref()).unwrap(), jacobi(chain.as_ref()).unwrap()] {
            for (k, value) in found.values.iter().enumerate() {
                let expected = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
                assert!((value - expected).abs() < 1e-13);
            }
            assert!(reproduces(chain.as_ref(), &found));
        }
    }

    #[test]
    fn degenerate_zero_empty_and_huge_matrices() {
        for matrix in [Mat::zeros(3, 3), Mat::<f64>::identity(4, 4), Mat::zeros(0, 0), Mat::from_fn(1, 1, |_, _| -7.0)] {
            for found in [decompose(matrix.as_ref()).unwrap(), jacobi(matrix.as_ref()).unwrap()] {
                assert!(reproduces(matrix.as_ref(), &found));
            }
        }
        let huge = Mat::from_fn(3, 3, |i, j| 1e150 * (1.0 + (i * j) as f64));
        assert!(decompose(huge.as_ref()).is_ok());
    }

    #[test]
    fn bad_matrices_are_refused() {
        assert!(decompose(Mat::zeros(2, 3).as_ref()).unwrap_err().to_string().contains("2 x 3"));
        let broken = Mat::from_fn(2, 2, |i, _| if i == 0 { f64::NAN } else { 1.0 });
        assert!(matches!(decompose(broken.as_ref()), Err(Error::NotFinite { row: 0, column: 0, .. })));
    }
}
