//! Singular values that are checked before they are believed.
//!
//! A decomposition is compared with its matrix; where the first method fails to converge or to reproduce the matrix, others follow:
//! the transposed matrix, one-sided Jacobi rotations, and last the eigenvalues of the Gram matrix, which lose half the digits of
//! small singular values and say so.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, svd as faer_svd, svd_scratch};
use faer::{Mat, MatRef, Par};

use crate::eigen;
use crate::error::{Error, Result};

/// A way to a singular value decomposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Bidiagonalisation of the matrix.
    Direct,
    /// Bidiagonalisation of its transpose.
    Transposed,
    /// One-sided Jacobi rotations (Hestenes), accurate in small values too.
    Jacobi,
    /// Eigenvalues of the Gram matrix.
    Gram,
}

impl Method {
    /// All methods, in the order in which they are tried.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Transposed, Self::Jacobi, Self::Gram];
}

/// `A = left diag(values) right^T`, for an m x n matrix and k = min(m, n).
#[derive(Clone, Debug)]
pub struct Svd {
    /// Left singular vectors, m x k.
    pub left: Mat<f64>,
    /// Singular values, k of them, not increasing.
    pub values: Vec<f64>,
    /// Right singular vectors, n x k.
    pub right: Mat<f64>,
    /// The method that passed the check.
    pub method: Method,
    /// Singular values below this have no reliable digit.
    pub reliable_above: f64,
}

/// The checked singular value decomposition of a matrix; the same bits on any number of threads.
///
/// ```
/// use faer::mat;
/// use thalweg_probes::svd;
///
/// let found = svd::decompose(mat![[3.0, 0.0], [4.0, 5.0]].as_ref())?;
/// assert!((found.values[0] - 45f64.sqrt()).abs() < 1e-14);
/// assert!((found.values[1] - 5f64.sqrt()).abs() < 1e-14);
/// # Ok::<(), thalweg_probes::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotFinite`] for an entry that is not finite, [`Error::Decomposition`] when no method passes the check.
pub fn decompose(matrix: MatRef<'_, f64>) -> Result<Svd> {
    decompose_by(matrix, &Method::ALL)
}

/// Like [`decompose`], by the given methods in the given order.
///
/// # Errors
/// As [`decompose`].
pub fn decompose_by(matrix: MatRef<'_, f64>, methods: &[Method]) -> Result<Svd> {
    check_finite(matrix)?;
    let (rows, columns) = matrix.shape();
    let scale = power_of_two_above(largest(matrix));
    let scaled = Mat::from_fn(rows, columns, |i, j| matrix[(i, j)] / scale);
    let attempt = |&method: &Method| run(scaled.as_ref(), method).filter(|found| reproduces(scaled.as_ref(), found));
    let mut found = methods.iter().find_map(attempt).ok_or(Error::Decomposition {
        decomposition: "the singular value decomposition",
        rows,
        columns,
    })?;
    found.values.iter_mut().for_each(|value| *value *= scale);
    let digits = if found.method == Method::Gram { f64::EPSILON.sqrt() } else { f64::EPSILON * rows.max(columns) as f64 };
    found.reliable_above = digits * found.values.first().copied().unwrap_or(0.0);
    Ok(found)
}

/// The checked singular values of a matrix, not increasing.
///
/// # Errors
/// As [`decompose`].
pub fn singular_values(matrix: MatRef<'_, f64>) -> Result<Vec<f64>> {
    Ok(decompose(matrix)?.values)
}

/// The largest singular value, 0 for an empty matrix.
///
/// # Errors
/// As [`decompose`].
pub fn spectral_norm(matrix: MatRef<'_, f64>) -> Result<f64> {
    Ok(singular_values(matrix)?.first().copied().unwrap_or(0.0))
}

pub(crate) fn check_finite(matrix: MatRef<'_, f64>) -> Result<()> {
    for column in 0..matrix.ncols() {
        for row in 0..matrix.nrows() {
            let value = matrix[(row, column)];
            if !value.is_finite() {
                return Err(Error::NotFinite { row, column, value });
            }
        }
    }
    Ok(())
}

fn largest(matrix: MatRef<'_, f64>) -> f64 {
    let columns = (0..matrix.ncols()).flat_map(|j| (0..matrix.nrows()).map(move |i| (i, j)));
    columns.map(|at| matrix[at].abs()).fold(0.0, f64::max)
}

/// A power of two by which to divide so that the largest entry is near 1, without rounding; 1 for 0.
fn power_of_two_above(largest: f64) -> f64 {
    if largest == 0.0 { 1.0 } else { largest.log2().ceil().clamp(-1000.0, 1000.0).exp2() }
}

fn run(matrix: MatRef<'_, f64>, method: Method) -> Option<Svd> {
    let turned = |found: Svd| Svd { left: found.right, right: found.left, ..found };
    let tall = matrix.nrows() >= matrix.ncols();
    let found = match method {
        Method::Direct => direct(matrix),
        Method::Transposed => direct(matrix.transpose()).map(turned),
        Method::Jacobi if tall => jacobi(matrix),
        Method::Jacobi => jacobi(matrix.transpose()).map(turned),
        Method::Gram if tall => gram(matrix),
        Method::Gram => gram(matrix.transpose()).map(turned),
    };
    found.map(|found| Svd { method, ..found })
}

fn direct(matrix: MatRef<'_, f64>) -> Option<Svd> {
    let (m, n) = matrix.shape();
    let k = m.min(n);
    let (mut left, mut right, mut values) = (Mat::zeros(m, k), Mat::zeros(n, k), Diag::<f64>::zeros(k));
    let thin = ComputeSvdVectors::Thin;
    let mut buffer = MemBuffer::new(svd_scratch::<f64>(m, n, thin, thin, Par::Seq, Default::default()));
    let stack = MemStack::new(&mut buffer);
    let (u, v) = (Some(left.as_mut()), Some(right.as_mut()));
    faer_svd(matrix, values.as_mut(), u, v, Par::Seq, stack, Default::default()).ok()?;
    let values = values.column_vector().iter().copied().collect();
    Some(Svd { left, values, right, method: Method::Direct, reliable_above: 0.0 })
}

/// Rotations stop when all pairs of columns are orthogonal to this relative accuracy.
const ORTHOGONAL: f64 = 1e-15;

const MOST_SWEEPS: usize = 60;

/// One-sided Jacobi of a tall matrix: its columns are rotated in pairs until all are orthogonal.
fn jacobi(matrix: MatRef<'_, f64>) -> Option<Svd> {
    let n = matrix.ncols();
    let mut columns = matrix.to_owned();
    let mut right = Mat::<f64>::identity(n, n);
    for _ in 0..MOST_SWEEPS {
        let mut rotated = false;
        for p in 0..n {
            for q in p + 1..n {
                rotated |= rotate(&mut columns, &mut right, p, q);
            }
        }
        if !rotated {
            return Some(from_orthogonal_columns(columns.as_ref(), right.as_ref()));
        }
    }
    None
}

/// Makes columns p and q orthogonal; whether they were not.
fn rotate(columns: &mut Mat<f64>, right: &mut Mat<f64>, p: usize, q: usize) -> bool {
    let product = |i: usize, j: usize| columns.col(i).iter().zip(columns.col(j).iter()).map(|(a, b)| a * b).sum::<f64>();
    let (pp, qq, pq) = (product(p, p), product(q, q), product(p, q));
    if pq.abs() <= ORTHOGONAL * (pp * qq).sqrt() || pq == 0.0 {
        return false;
    }
    let zeta = (qq - pp) / (2.0 * pq);
    let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = cosine * tangent;
    for matrix in [columns, right] {
        for row in 0..matrix.nrows() {
            let (a, b) = (matrix[(row, p)], matrix[(row, q)]);
            matrix[(row, p)] = cosine * a - sine * b;
            matrix[(row, q)] = sine * a + cosine * b;
        }
    }
    true
}

/// The decomposition of `A` from `A right`, whose columns are orthogonal.
fn from_orthogonal_columns(columns: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Svd {
    let (m, n) = columns.shape();
    let norms: Vec<f64> = (0..n).map(|j| columns.col(j).norm_l2()).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| norms[b].total_cmp(&norms[a]));
    let values: Vec<f64> = order.iter().map(|&j| norms[j]).collect();
    let mut left =
        Mat::from_fn(m, n, |i, j| if values[j] > f64::MIN_POSITIVE { columns[(i, order[j])] / values[j] } else { 0.0 });
    orthonormalise(&mut left);
    let right = Mat::from_fn(right.nrows(), n, |i, j| right[(i, order[j])]);
    Svd { left, values, right, method: Method::Jacobi, reliable_above: 0.0 }
}

/// Makes the columns of a tall matrix orthonormal, from the first to the last. A column in the span of those before it is replaced by
/// a unit vector outside.
fn orthonormalise(basis: &mut Mat<f64>) {
    let (m, n) = basis.shape();
    let mut axes = 0..m;
    for at in 0..n {
        let mut column: Vec<f64> = basis.col(at).iter().copied().collect();
        while !stands_out(basis, at, &mut column) {
            let Some(axis) = axes.next() else { return };
            column = (0..m).map(|i| f64::from(u8::from(i == axis))).collect();
        }
        (0..m).for_each(|i| basis[(i, at)] = column[i]);
    }
}

/// Takes the span of the first `before` columns out of a unit vector and normalises the rest; false where too little is left.
fn stands_out(basis: &Mat<f64>, before: usize, column: &mut [f64]) -> bool {
    for _ in 0..2 {
        for other in 0..before {
            let share: f64 = column.iter().zip(basis.col(other).iter()).map(|(a, b)| a * b).sum();
            column.iter_mut().zip(basis.col(other).iter()).for_each(|(a, b)| *a -= share * b);
        }
    }
    let norm = column.iter().map(|value| value * value).sum::<f64>().sqrt();
    column.iter_mut().for_each(|value| *value /= norm);
    norm > 1e-3 / (column.len() as f64).sqrt()
}

/// From the eigenvectors of `A^T A`, A tall.
fn gram(matrix: MatRef<'_, f64>) -> Option<Svd> {
    let product = matrix.transpose() * matrix;
    let eigen = eigen::decompose(product.as_ref()).ok()?;
    let columns = matrix * &eigen.vectors;
    Some(Svd { method: Method::Gram, ..from_orthogonal_columns(columns.as_ref(), eigen.vectors.as_ref()) })
}

/// Whether the factors give the matrix back, with orthonormal right vectors.
fn reproduces(matrix: MatRef<'_, f64>, found: &Svd) -> bool {
    let k = found.values.len();
    let size = matrix.nrows().max(matrix.ncols()) as f64;
    let finite = found.values.iter().all(|value| value.is_finite()) && check_finite(found.right.as_ref()).is_ok();
    if !finite {
        return false;
    }
    let weighted = Mat::from_fn(found.left.nrows(), k, |i, j| found.left[(i, j)] * found.values[j]);
    let rest = matrix - weighted * found.right.transpose();
    let identity = found.right.transpose() * &found.right - Mat::<f64>::identity(k, k);
    let accuracy = if found.method == Method::Gram { f64::EPSILON.sqrt() } else { 1e-13 };
    rest.norm_l2() <= accuracy * size * matrix.norm_l2() && identity.norm_l2() <= 1e-12 * size.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graded(rows: usize, columns: usize) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| ((i * 7 + j * 3) as f64 * 0.37).sin() * 10f64.powi(-(j as i32)))
    }

    fn cases() -> Vec<Mat<f64>> {
        let hilbert = Mat::from_fn(6, 5, |i, j| 1.0 / (i + j + 1) as f64);
        let low_rank = Mat::from_fn(6, 5, |i, j| ((i + 1) as f64 + 2.0 * (j + 1) as f64).cos());
        let tiny = &hilbert * faer::Scale(1e-200);
        let mut cases = vec![hilbert.clone(), low_rank, graded(8, 8), graded(3, 9), tiny, Mat::zeros(4, 3), Mat::identity(5, 5)];
        cases.extend([Mat::zeros(0, 0), Mat::zeros(0, 3), Mat::from_fn(1, 1, |_, _| -2.0), hilbert.transpose().to_owned()]);
        cases
    }

    #[test]
    fn every_method_gives_the_same_values() {
        for matrix in cases() {
            let first = decompose(matrix.as_ref()).unwrap();
            for method in Method::ALL {
                let found = decompose_by(matrix.as_ref(), &[method]).unwrap();
                assert_eq!(found.method, method);
                let scale = first.values.first().copied().unwrap_or(0.0);
                for (a, b) in found.values.iter().zip(&first.values) {
                    let digits = if method == Method::Gram { 1e-7 } else { 1e-14 };
                    assert!((a - b).abs() <= digits * scale, "{method:?}: {a} {b}");
                }
                assert!(found.values.windows(2).all(|pair| pair[0] >= pair[1]));
            }
        }
    }

    #[test]
    fn jacobi_is_accurate_in_the_tail() {
        // Columns of norms 1, 1e-6, 1e-12, nearly orthogonal: the small values have full relative accuracy.
        let matrix = Mat::from_fn(5, 3, |i, j| ((i * 3 + j * j + i * i * j) as f64).sin() * [1.0, 1e-6, 1e-12][j]);
        let found = decompose_by(matrix.as_ref(), &[Method::Jacobi]).unwrap();
        let determinant: f64 = found.values.iter().map(|value| value.ln()).sum();
        let rescaled = Mat::from_fn(5, 3, |i, j| ((i * 3 + j * j + i * i * j) as f64).sin());
        let expected: f64 = singular_values(rescaled.as_ref()).unwrap().iter().map(|value| value.ln()).sum();
        assert!((determinant - expected - 1e-18f64.ln()).abs() < 1e-12, "{determinant} {expected}");
    }

    #[test]
    fn a_failing_method_is_passed_over() {
        let matrix = graded(6, 4);
        let mut wrong = decompose(matrix.as_ref()).unwrap();
        assert!(reproduces(matrix.as_ref(), &wrong));
        wrong.values[1] *= 1.0 + 1e-9;
        assert!(!reproduces(matrix.as_ref(), &wrong));
        wrong.values[1] = f64::NAN;
        assert!(!reproduces(matrix.as_ref(), &wrong));
        assert!(matches!(decompose_by(matrix.as_ref(), &[]), Err(Error::Decomposition { rows: 6, columns: 4, .. })));
    }

    #[test]
    fn entries_that_are_no_numbers_are_named() {
        let mut matrix = graded(3, 3);
        matrix[(2, 1)] = f64::NAN;
        assert!(matches!(decompose(matrix.as_ref()), Err(Error::NotFinite { row: 2, column: 1, .. })));
        matrix[(2, 1)] = f64::INFINITY;
        assert!(singular_values(matrix.as_ref()).is_err());
    }

    #[test]
    fn larger_matrices_pass_the_check() {
        let matrix = Mat::from_fn(90, 70, |i, j| ((i * i + 3 * j + i * j) as f64 * 0.618).sin());
        let found = decompose(matrix.as_ref()).unwrap();
        assert_eq!(found.method, Method::Direct);
        let squares: f64 = found.values.iter().map(|value| value * value).sum();
        assert!((squares / matrix.norm_l2().powi(2) - 1.0).abs() < 1e-12);
        assert_eq!(spectral_norm(matrix.as_ref()).unwrap(), found.values[0]);
    }
}
