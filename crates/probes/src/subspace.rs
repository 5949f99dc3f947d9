//! How far the row space of a matrix is from another's.

use faer::{Mat, MatRef};

use crate::error::{Error, Result};
use crate::rank::RankRule;
use crate::svd;

/// How far the rows of a target are outside the row space of a matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// `min over A of |A M - T|` (Frobenius) = `|T (I - V V^T)|`, V the right singular vectors of M that count.
    pub absolute: f64,
    /// The distance over |T|; 0 for T = 0.
    pub relative: f64,
    /// How many right singular vectors counted.
    pub rank: usize,
    /// Whether M has full row space, so that the distance is 0 whatever T is and says nothing.
    pub vacuous: bool,
}

/// The distance of a target's rows from the row space of a matrix, of the rank that the rule gives it.
///
/// ```
/// use faer::mat;
/// use thalweg_probes::{RankRule, subspace};
///
/// let line = mat![[1.0, 0.0]];
/// let found = subspace::distance(line.as_ref(), mat![[3.0, 4.0]].as_ref(), RankRule::DOUBLE)?;
/// assert!((found.absolute - 4.0).abs() < 1e-14 && (found.relative - 0.8).abs() < 1e-14);
/// # Ok::<(), thalweg_probes::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for different numbers of columns; as [`svd::decompose`] and [`RankRule::rank`].
pub fn distance(matrix: MatRef<'_, f64>, target: MatRef<'_, f64>, rule: RankRule) -> Result<Distance> {
    let basis = row_basis(matrix, target.ncols(), rule)?;
    svd::check_finite(target)?;
    let outside = target - (target * &basis) * basis.transpose();
    let (absolute, whole) = (outside.norm_l2(), target.norm_l2());
    let rank = basis.ncols();
    Ok(Distance { absolute, relative: if whole > 0.0 { absolute / whole } else { 0.0 }, rank, vacuous: rank == target.ncols() })
}

/// The principal angles between the row spaces of two matrices, in radians, not decreasing; as many as the smaller rank.
///
/// Small angles come from sines, others from cosines, so that both are accurate (Bjorck and Golub, 1973).
///
/// # Errors
/// As [`distance`].
pub fn principal_angles(a: MatRef<'_, f64>, b: MatRef<'_, f64>, rule: RankRule) -> Result<Vec<f64>> {
    let (a, b) = (row_basis(a, b.ncols(), rule)?, row_basis(b, a.ncols(), rule)?);
    let (short, long) = if a.ncols() <= b.ncols() { (&a, &b) } else { (&b, &a) };
    let cosines = svd::singular_values((long.transpose() * short).as_ref())?;
    let outside = short - long * (long.transpose() * short);
    let sines = svd::singular_values(outside.as_ref())?;
    let angle = |(at, cosine): (usize, &f64)| {
        let sine = sines[cosines.len() - 1 - at];
        if cosine * cosine > 0.5 { sine.min(1.0).asin() } else { cosine.min(1.0).acos() }
    };
    Ok(cosines.iter().enumerate().map(angle).collect())
}

/// How much of a square matrix is off the diagonal in a basis: `|off(U^T M U)| / |M|`; 0 for M = 0.
///
/// # Errors
/// [`Error::Value`] when the sizes do not fit.
pub fn misalignment(matrix: MatRef<'_, f64>, basis: MatRef<'_, f64>) -> Result<f64> {
    let d = matrix.nrows();
    if matrix.ncols() != d || basis.shape() != (d, d) {
        let found = format!("{} x {}, and the basis {} x {}", d, matrix.ncols(), basis.nrows(), basis.ncols());
        return Err(Error::value("the matrix", found, "square, and the basis as large"));
    }
    let mut turned = basis.transpose() * matrix * basis;
    (0..d).for_each(|i| turned[(i, i)] = 0.0);
    let whole = matrix.norm_l2();
    Ok(if whole > 0.0 { turned.norm_l2() / whole } else { 0.0 })
}

/// The right singular vectors of a matrix that count, one a column.
fn row_basis(matrix: MatRef<'_, f64>, columns: usize, rule: RankRule) -> Result<Mat<f64>> {
    if matrix.ncols() != columns {
        return Err(Error::value(
            "the number of columns",
            format!("{} and {columns}", matrix.ncols()),
            "the same of both matrices",
        ));
    }
    let found = svd::decompose(matrix)?;
    let rank = rule.rank(&found.values)?;
    Ok(found.right.subcols(0, rank).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize, seed: f64) -> Mat<f64> {
        Mat::from_fn(rows, columns, |i, j| ((i * 5 + j * 3) as f64 * seed + (i * j) as f64).sin())
    }

    #[test]
    fn the_distance_is_the_least_over_all_combinations_of_rows() {
        let (a, t) = (matrix(2, 5, 0.7), matrix(3, 5, 1.3));
        let found = distance(a.as_ref(), t.as_ref(), RankRule::DOUBLE).unwrap();
        // The normal equations give the best combination.
        let gram = &a * a.transpose();
        let inverse = faer::mat![[gram[(1, 1)], -gram[(0, 1)]], [-gram[(1, 0)], gram[(0, 0)]]]
            * faer::Scale(1.0 / (gram[(0, 0)] * gram[(1, 1)] - gram[(0, 1)] * gram[(1, 0)]));
        let best = &t * a.transpose() * inverse;
        assert!(((&best * &a - &t).norm_l2() - found.absolute).abs() < 1e-13);
        assert!((&best * &a * faer::Scale(1.001) - &t).norm_l2() > found.absolute);
        assert!(!found.vacuous && found.rank == 2);
    }

    #[test]
    fn edges() {
        let full = distance(matrix(5, 5, 0.7).as_ref(), matrix(3, 5, 1.3).as_ref(), RankRule::DOUBLE).unwrap();
        assert!(full.vacuous && full.relative < 1e-14);
        let nothing = distance(Mat::zeros(2, 5).as_ref(), matrix(3, 5, 1.3).as_ref(), RankRule::DOUBLE).unwrap();
        assert_eq!((nothing.relative, nothing.rank), (1.0, 0));
        assert_eq!(distance(matrix(2, 5, 0.7).as_ref(), Mat::zeros(3, 5).as_ref(), RankRule::DOUBLE).unwrap().relative, 0.0);
        assert!(distance(matrix(2, 4, 0.7).as_ref(), matrix(2, 5, 0.7).as_ref(), RankRule::DOUBLE).is_err());
    }

    #[test]
    fn angles_of_planes_that_are_turned_by_known_angles() {
        let turn = |angle: f64| faer::mat![[1.0, 0.0, 0.0, 0.0], [0.0, angle.cos(), angle.sin(), 0.0]];
        let flat = turn(0.0);
        for angle in [1e-9, 1e-3, 0.5, 1.2, 1.57] {
            let found = principal_angles(flat.as_ref(), turn(angle).as_ref(), RankRule::DOUBLE).unwrap();
            assert!(found[0].abs() < 1e-15 && (found[1] - angle).abs() < 1e-14, "{angle}: {found:?}");
        }
    }

    #[test]
    fn misalignment_is_zero_in_the_eigenbasis_alone() {
        let basis = faer::mat![[0.6, -0.8], [0.8, 0.6]];
        let aligned = &basis * faer::mat![[2.0, 0.0], [0.0, -1.0]] * basis.transpose();
        assert!(misalignment(aligned.as_ref(), basis.as_ref()).unwrap() < 1e-15);
        assert!(misalignment(aligned.as_ref(), Mat::<f64>::identity(2, 2).as_ref()).unwrap() > 0.5);
        assert_eq!(misalignment(Mat::zeros(2, 2).as_ref(), basis.as_ref()).unwrap(), 0.0);
        assert!(misalignment(Mat::zeros(3, 2).as_ref(), basis.as_ref()).is_err());
    }
}
