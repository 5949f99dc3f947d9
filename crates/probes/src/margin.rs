//! The margin of labelled points in the feature space of a kernel, with a certified bracket.
//!
//! The largest gamma with `y_i <w, phi_i> >= gamma` for a unit w is, by duality, `min sqrt(p^T Q p)` over weights p >= 0 of sum 1, with
//! `Q_ij = y_i y_j K_ij`. Any p certifies: `sqrt(p^T Q p)` is an upper bound, and `min_i (Q p)_i / sqrt(p^T Q p)` a lower one, which
//! `w = sum p_i y_i phi_i` attains.

use faer::{Mat, MatRef, Side};
use serde::Serialize;
use thalweg_descent::Real;

use crate::error::{Error, Result};
use crate::svd::check_finite;

/// When the search for a margin ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Ends when `p^T Q p - min_i (Q p)_i`, for a Q scaled to a mean diagonal of 1, is below this.
    pub tolerance: f64,
    /// Ends after so many exchanges of weight; the bracket is certified all the same.
    pub most_iterations: usize,
}

impl Default for Search {
    /// 1e-14, 200 000 iterations.
    fn default() -> Self {
        Self { tolerance: 1e-14, most_iterations: 200_000 }
    }
}

/// A margin and its certificate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Margin {
    /// The middle of the bracket.
    pub margin: f64,
    /// The margin is not below this: the margin of the separator with these weights.
    pub lower: f64,
    /// The margin is not above this.
    pub upper: f64,
    /// The weights p, which sum to 1.
    pub weights: Vec<f64>,
    /// How many weights are not 0.
    pub support: usize,
    /// How many exchanges of weight were made.
    pub iterations: usize,
}

/// A margin whose square is below this share of the mean diagonal is 0 to rounding.
const SEPARABLE: f64 = 1e-14;

/// The margin of points with a kernel (n x n) and labels +-1, by pairwise Frank-Wolfe steps: in each, weight moves from the support
/// point that is worst for the bound to the point that is best.
///
/// ```
/// use faer::mat;
/// use thalweg_probes::margin::{self, Search};
///
/// // Two points at right angles with opposite labels: (1, 0) and (0, 1).
/// let found = margin::of(mat![[1.0, 0.0], [0.0, 1.0]].as_ref(), &[1.0, -1.0], &Search::default())?;
/// assert!((found.margin - 0.5f64.sqrt()).abs() < 1e-12);
/// # Ok::<(), thalweg_probes::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for no points, sizes that do not fit, labels other than +-1, and a kernel that is not symmetric and positive
/// semidefinite; [`Error::NotSeparable`] for points that no separator tells apart; [`Error::NotFinite`] for an entry that is not finite.
pub fn of(kernel: MatRef<'_, f64>, labels: &[f64], search: &Search) -> Result<Margin> {
    check(kernel, labels)?;
    let n = labels.len();
    let scale = (0..n).map(|i| kernel[(i, i)]).sum::<f64>() / n as f64;
    if scale <= 0.0 {
        return Err(Error::NotSeparable);
    }
    let signed = Mat::from_fn(n, n, |i, j| labels[i] * labels[j] * kernel[(i, j)] / scale);
    let (weights, iterations) = minimise(signed.as_ref(), search);
    let image = times(signed.as_ref(), &weights);
    let square: f64 = weights.iter().zip(&image).map(|(p, g)| p * g).sum();
    if square <= SEPARABLE {
        return Err(Error::NotSeparable);
    }
    let least = image.iter().copied().fold(f64::INFINITY, f64::min);
    let (upper, lower) = ((square * scale).sqrt(), least / square.sqrt() * scale.sqrt());
    // Rounding may turn an exact bracket around.
    let lower = lower.min(upper);
    let support = weights.iter().filter(|&&weight| weight > 0.0).count();
    Ok(Margin { margin: 0.5 * (lower + upper), lower, upper, weights, support, iterations })
}

/// The margin by which vectors are separated from 0 by one direction: gradients of single examples' scores, say. `None` where no
/// direction does.
///
/// # Errors
/// As [`of`], but for vectors that cannot be separated.
///
/// # Panics
/// When the vectors have different lengths.
pub fn from_zero<F: Real>(vectors: &[Vec<F>], search: &Search) -> Result<Option<Margin>> {
    let inner = |a: &[F], b: &[F]| {
        assert_eq!(a.len(), b.len(), "vectors of one space");
        a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum::<f64>()
    };
    let n = vectors.len();
    let kernel = Mat::from_fn(n, n, |i, j| inner(&vectors[i.min(j)], &vectors[i.max(j)]));
    match of(kernel.as_ref(), &vec![1.0; n], search) {
        Err(Error::NotSeparable) => Ok(None),
        found => found.map(Some),
    }
}

/// `Q p` is computed anew after so many updates, lest rounding adds up.
const REFRESH: usize = 1000;

/// Minimises `p^T Q p` over the simplex; returns p and the number of exchanges.
fn minimise(q: MatRef<'_, f64>, search: &Search) -> (Vec<f64>, usize) {
    let n = q.nrows();
    let mut weights = vec![1.0 / n as f64; n];
    let mut image = times(q, &weights);
    for iteration in 0..search.most_iterations {
        if iteration % REFRESH == REFRESH - 1 {
            image = times(q, &weights);
        }
        let square: f64 = weights.iter().zip(&image).map(|(p, g)| p * g).sum();
        let best = (0..n).min_by(|&a, &b| image[a].total_cmp(&image[b])).expect("there are points");
        if square - image[best] < search.tolerance {
            return (weights, iteration);
        }
        let support = (0..n).filter(|&i| weights[i] > 0.0);
        let worst = support.max_by(|&a, &b| image[a].total_cmp(&image[b])).expect("weights sum to 1");
        let bend = q[(best, best)] + q[(worst, worst)] - 2.0 * q[(best, worst)];
        let moved = if bend > 1e-18 { ((image[worst] - image[best]) / bend).min(weights[worst]) } else { weights[worst] };
        weights[best] += moved;
        weights[worst] = if moved == weights[worst] { 0.0 } else { weights[worst] - moved };
        for ((image, to), from) in image.iter_mut().zip(q.col(best).iter()).zip(q.col(worst).iter()) {
            *image += moved * (to - from);
        }
    }
    (weights, search.most_iterations)
}

fn times(q: MatRef<'_, f64>, weights: &[f64]) -> Vec<f64> {
    let mut image = vec![0.0; weights.len()];
    for (j, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
        image.iter_mut().zip(q.col(j).iter()).for_each(|(image, entry)| *image += weight * entry);
    }
    image
}

fn check(kernel: MatRef<'_, f64>, labels: &[f64]) -> Result<()> {
    let n = labels.len();
    if n == 0 {
        return Err(Error::value("the number of points", 0, "1 or more"));
    }
    if kernel.shape() != (n, n) {
        let found = format!("{} x {}", kernel.nrows(), kernel.ncols());
        return Err(Error::value("the kernel", found, format!("{n} x {n}, for {n} labels")));
    }
    if let Some(at) = labels.iter().position(|label| label.abs() != 1.0) {
        return Err(Error::value(format!("label {at}"), labels[at], "+1 or -1"));
    }
    check_finite(kernel)?;
    let size = kernel.norm_max();
    let asymmetry = (kernel - kernel.transpose()).norm_max();
    if asymmetry > 1e-9 * size {
        return Err(Error::value("the kernel", format!("off its transpose by {asymmetry:e}"), "symmetric"));
    }
    let trace: f64 = (0..n).map(|i| kernel[(i, i)]).sum();
    let lift = 1e-10 * (trace / n as f64).abs() + f64::MIN_POSITIVE;
    let lifted = Mat::from_fn(n, n, |i, j| if i == j { kernel[(i, j)] + lift } else { kernel[(i, j)] });
    if size > 0.0 && lifted.llt(Side::Lower).is_err() {
        let expected = "positive semidefinite: no eigenvalue below -1e-10 of the mean diagonal";
        return Err(Error::value("the kernel", "indefinite", expected));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gram(points: &[[f64; 2]]) -> Mat<f64> {
        Mat::from_fn(points.len(), points.len(), |i, j| points[i][0] * points[j][0] + points[i][1] * points[j][1])
    }

    #[test]
    fn a_plane_s_margin_is_that_of_a_scan_over_directions() {
        let points = [[1.0, 0.2], [0.7, 0.9], [-0.3, 1.0], [-1.0, -0.4], [0.1, -1.2]];
        let labels = [1.0, 1.0, 1.0, -1.0, -1.0];
        let found = of(gram(&points).as_ref(), &labels, &Search::default()).unwrap();
        let scan = (0..400_000).fold(f64::NEG_INFINITY, |best: f64, k| {
            let (sine, cosine) = (f64::from(k) * std::f64::consts::TAU / 400_000.0).sin_cos();
            let margins = points.iter().zip(labels).map(|(x, y)| y * (x[0] * cosine + x[1] * sine));
            best.max(margins.fold(f64::INFINITY, f64::min))
        });
        assert!((found.margin - scan).abs() < 1e-5, "{} {scan}", found.margin);
        assert!(found.upper - found.lower < 1e-9 && found.lower >= scan - 1e-9);
        assert!((found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12 && found.support <= 3);
    }

    #[test]
    fn an_early_end_still_brackets() {
        let points: Vec<[f64; 2]> = (0..40).map(|k| [(f64::from(k) * 0.05).cos() + 0.1, (f64::from(k) * 0.05).sin()]).collect();
        let kernel = gram(&points);
        let exact = of(kernel.as_ref(), &[1.0; 40], &Search::default()).unwrap();
        let early = of(kernel.as_ref(), &[1.0; 40], &Search { most_iterations: 3, ..Search::default() }).unwrap();
        assert!(early.lower <= exact.margin && exact.margin <= early.upper && early.upper - early.lower > 1e-4);
    }

    #[test]
    fn scaling_the_kernel_scales_the_margin_by_its_root() {
        let points = [[1.0, 0.2], [0.7, 0.9], [-1.0, -0.4]];
        let labels = [1.0, 1.0, -1.0];
        let one = of(gram(&points).as_ref(), &labels, &Search::default()).unwrap().margin;
        for scale in [1e-12, 1e8] {
            let kernel = gram(&points) * faer::Scale(scale);
            let found = of(kernel.as_ref(), &labels, &Search::default()).unwrap().margin;
            assert!((found / scale.sqrt() / one - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn vectors_on_one_side_have_a_margin_and_opposite_ones_none() {
        let found = from_zero(&[vec![1.0f32, 1.0], vec![1.0, -1.0]], &Search::default()).unwrap().unwrap();
        assert!((found.lower - 1.0).abs() < 1e-9 && (found.upper - 1.0).abs() < 1e-9);
        assert_eq!(from_zero(&[vec![1.0, 0.0], vec![-1.0, 0.0]], &Search::default()).unwrap(), None);
        assert!(from_zero::<f64>(&[], &Search::default()).is_err());
    }

    #[test]
    fn bad_input_is_refused_by_name() {
        let refused = |kernel: Mat<f64>, labels: &[f64]| of(kernel.as_ref(), labels, &Search::default()).unwrap_err().to_string();
        assert!(refused(gram(&[[1.0, 0.0], [1.0, 0.0]]), &[1.0, -1.0]).contains("not separable"));
        assert!(refused(Mat::zeros(2, 2), &[1.0, -1.0]).contains("not separable"));
        assert!(refused(Mat::zeros(0, 0), &[]).contains("number of points"));
        assert!(refused(Mat::zeros(2, 2), &[1.0]).contains("1 x 1"));
        assert!(refused(Mat::identity(2, 2), &[1.0, 0.5]).contains("label 1"));
        assert!(refused(faer::mat![[1.0, 0.5], [0.0, 1.0]], &[1.0, 1.0]).contains("symmetric"));
        assert!(refused(faer::mat![[1.0, 2.0], [2.0, 1.0]], &[1.0, 1.0]).contains("semidefinite"));
        assert!(refused(faer::mat![[1.0, f64::NAN], [0.0, 1.0]], &[1.0, 1.0]).contains("NaN"));
        assert!((of(Mat::identity(1, 1).as_ref(), &[-1.0], &Search::default()).unwrap().margin - 1.0).abs() < 1e-15);
    }
}
