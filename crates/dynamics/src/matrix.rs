//! Small dense matrices: products in one fixed order, eigenvalues, and symmetric matrices that were checked once.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use thalweg_probes::eigen;

use crate::error::{Error, Result};

/// The matrix with those entries.
pub(crate) fn from_fn(rows: usize, columns: usize, entry: impl FnMut(usize, usize) -> f64) -> Mat<f64> {
    Mat::from_fn(rows, columns, entry)
}

/// `A B`, on one thread.
pub(crate) fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
    out
}

/// The eigenvalues of a symmetric matrix, not decreasing.
pub(crate) fn eigenvalues(matrix: &Mat<f64>) -> Result<Vec<f64>> {
    Ok(eigen::decompose(matrix.as_ref())?.values)
}

/// A matrix from its rows, one after the other.
pub(crate) fn from_rows(what: &str, entries: &[f64], rows: usize, columns: usize) -> Result<Mat<f64>> {
    if entries.len() != rows * columns {
        let expected = format!("{}, for {rows} x {columns}", rows * columns);
        return Err(Error::value(format!("the number of entries of {what}"), entries.len(), expected));
    }
    if let Some(at) = entries.iter().position(|value| !value.is_finite()) {
        return Err(Error::value(format!("{what}, row {}, column {}", at / columns, at % columns), entries[at], "finite"));
    }
    Ok(from_fn(rows, columns, |i, j| entries[i * columns + j]))
}

/// The rows of a matrix, one after the other.
pub(crate) fn to_rows(matrix: MatRef<'_, f64>) -> Vec<f64> {
    (0..matrix.nrows()).flat_map(|i| (0..matrix.ncols()).map(move |j| matrix[(i, j)])).collect()
}

/// Entries may differ from their mirror image by rounding alone.
const SYMMETRIC: f64 = 1e-12;

/// A symmetric positive definite matrix.
#[derive(Clone, Debug)]
pub(crate) struct Symmetric {
    matrix: Mat<f64>,
}

impl Symmetric {
    /// Checks a d x d matrix, given by rows.
    pub(crate) fn positive_definite(what: &str, entries: &[f64], d: usize) -> Result<Self> {
        if d == 0 {
            return Err(Error::value(format!("the size of {what}"), 0, "1 or more"));
        }
        let matrix = from_rows(what, entries, d, d)?;
        let size = matrix.norm_max();
        for i in 0..d {
            for j in 0..i {
                let (here, there) = (matrix[(i, j)], matrix[(j, i)]);
                if (here - there).abs() > SYMMETRIC * size {
                    let found = format!("{here} in row {i}, column {j} and {there} in row {j}, column {i}");
                    return Err(Error::value(what, found, "symmetric"));
                }
            }
        }
        let found = Self { matrix };
        let least = found.least_eigenvalue()?;
        if least <= f64::EPSILON * size {
            return Err(Error::value(format!("the least eigenvalue of {what}"), least, "above 0 (positive definite)"));
        }
        Ok(found)
    }

    pub(crate) fn as_ref(&self) -> MatRef<'_, f64> {
        self.matrix.as_ref()
    }

    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        self.matrix[(i, j)]
    }

    /// `S x`
    pub(crate) fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..x.len()).map(|i| x.iter().enumerate().map(|(j, x)| self.matrix[(i, j)] * x).sum()).collect()
    }

    pub(crate) fn least_eigenvalue(&self) -> Result<f64> {
        Ok(eigenvalues(&self.matrix)?[0])
    }

    /// The greatest eigenvalue of `S B`, for a symmetric positive semidefinite B.
    pub(crate) fn greatest_eigenvalue_of_product(&self, b: &Mat<f64>) -> Result<f64> {
        let eigen = eigen::decompose(self.matrix.as_ref())?;
        let d = self.matrix.nrows();
        let half = from_fn(d, d, |i, j| eigen.vectors[(i, j)] * eigen.values[j].max(0.0).sqrt());
        let turned = product(half.transpose(), product(b.as_ref(), half.as_ref()).as_ref());
        Ok(*eigenvalues(&turned)?.last().expect("at least one row"))
    }
}
