//! How many directions a matrix uses.

use faer::MatRef;

use crate::error::Result;
use crate::rank::RankRule;
use crate::svd;

/// An effective rank after the leading singular values were taken away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EffectiveRank {
    /// The effective rank of what is left; 0 where nothing is.
    pub value: f64,
    /// How many singular values counted before any was taken away.
    pub rank: usize,
    /// Whether nothing was left.
    pub empty: bool,
}

/// The effective rank, `exp(-sum p_i ln p_i)` with `p_i = sigma_i / sum sigma` (Roy and Vetterli, 2007), of the singular values that
/// count, without the first `dropped` of them.
///
/// The rule comes first: without it, a matrix of rank 2 without its 2 leading values would have the effective rank of rounding errors.
///
/// ```
/// use faer::mat;
/// use thalweg_probes::{RankRule, spectrum};
///
/// let matrix = mat![[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
/// let after_one = spectrum::effective_rank(matrix.as_ref(), RankRule::DOUBLE, 1)?;
/// assert!((after_one.value - 2.0).abs() < 1e-12);
/// # Ok::<(), thalweg_probes::Error>(())
/// ```
///
/// # Errors
/// As [`svd::decompose`] and [`RankRule::rank`].
pub fn effective_rank(matrix: MatRef<'_, f64>, rule: RankRule, dropped: usize) -> Result<EffectiveRank> {
    of_values(&svd::singular_values(matrix)?, rule, dropped)
}

/// Likewise, from singular values that do not increase.
///
/// # Errors
/// As [`RankRule::rank`].
pub fn of_values(values: &[f64], rule: RankRule, dropped: usize) -> Result<EffectiveRank> {
    let rank = rule.rank(values)?;
    let left = values[..rank].get(dropped..).unwrap_or(&[]);
    Ok(EffectiveRank { value: entropy_rank(left), rank, empty: left.is_empty() })
}

/// The exponential of the entropy of the values' shares; 0 for none.
fn entropy_rank(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let total: f64 = values.iter().sum();
    let entropy: f64 =
        values.iter().map(|value| value / total).filter(|&share| share > 0.0).map(|share| -share * share.ln()).sum();
    entropy.exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::Mat;

    #[test]
    fn a_matrix_of_rank_two_has_nothing_after_two() {
        let matrix = Mat::from_fn(6, 5, |i, j| ((i + 1) as f64 + 2.0 * (j + 1) as f64).cos());
        let ranks = [0, 1, 2, 9].map(|dropped| effective_rank(matrix.as_ref(), RankRule::DOUBLE, dropped).unwrap());
        assert!((ranks[0].value - 1.9923697565).abs() < 1e-10 && (ranks[1].value - 1.0).abs() < 1e-12);
        assert_eq!((ranks[2].value, ranks[2].empty, ranks[2].rank), (0.0, true, 2));
        assert!(ranks[3].empty);
        // The negative control: without a rule the rest is rounding, and looks like two dimensions and more.
        assert!(effective_rank(matrix.as_ref(), RankRule::Relative(0.0), 2).unwrap().value > 1.5);
    }

    #[test]
    fn bounds_and_edges() {
        let equal = effective_rank(Mat::<f64>::identity(7, 7).as_ref(), RankRule::DOUBLE, 0).unwrap();
        assert!((equal.value - 7.0).abs() < 1e-12);
        for matrix in [Mat::zeros(3, 2), Mat::zeros(0, 0)] {
            assert!(effective_rank(matrix.as_ref(), RankRule::DOUBLE, 0).unwrap().empty);
        }
    }
}
