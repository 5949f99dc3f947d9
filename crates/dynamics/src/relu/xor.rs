//! The noisy 2-XOR problem, and its margin in closed form.
//!
//! All 2^d points of norm 1 with `(x1, x2)` one of `(+-s, 0)`, label +1, and `(0, +-s)`, label -1, and the other coordinates +-s,
//! `s = 1 / sqrt(d - 1)`. A learner must see that x1^2 - x2^2 matters and the d - 2 others do not.

use rand::RngExt;
use thalweg_descent::streams::StreamRng;

use super::examples::Examples;
use super::kernel::{Start, check_depth, of_angle};
use crate::error::{Error, Result};

/// The largest dimension whose 2^d points are listed.
pub const LARGEST_DIMENSION: usize = 20;

/// The largest dimension whose margin is computed.
const LARGEST_IN_CLOSED_FORM: usize = 1000;

fn check_dimension(d: usize, largest: usize) -> Result<()> {
    if (3..=largest).contains(&d) {
        return Ok(());
    }
    Err(Error::value("the dimension d of 2-XOR", d, format!("3 to {largest}")))
}

/// All 2^d points, in four blocks `(+s, 0)`, `(0, +s)`, `(-s, 0)`, `(0, -s)`; in a block the last coordinate changes fastest, -s first.
///
/// # Errors
/// [`Error::Value`] unless 3 <= d <= 20.
pub fn all(d: usize) -> Result<Examples> {
    check_dimension(d, LARGEST_DIMENSION)?;
    let s = 1.0 / ((d - 1) as f64).sqrt();
    let rest = d - 2;
    let mut points = Vec::with_capacity(d << d);
    let mut labels = Vec::with_capacity(1 << d);
    for (head, label) in [([s, 0.0], 1.0), ([0.0, s], -1.0), ([-s, 0.0], 1.0), ([0.0, -s], -1.0)] {
        for bits in 0..1usize << rest {
            points.extend(head);
            points.extend((0..rest).map(|at| if bits >> (rest - 1 - at) & 1 == 1 { s } else { -s }));
            labels.push(label);
        }
    }
    Examples::new(&points, &labels, d)
}

/// n different points, drawn without replacement; as indices into [`all`].
///
/// # Errors
/// [`Error::Value`] unless 3 <= d <= 20 and 1 <= n <= 2^d.
pub fn sample(d: usize, n: usize, rng: &mut StreamRng) -> Result<Vec<usize>> {
    let population = check_sample(d, n)?;
    // The first n places of a random permutation (Fisher and Yates).
    let mut indices: Vec<usize> = (0..population).collect();
    for at in 0..n {
        let other = rng.random_range(at..population);
        indices.swap(at, other);
    }
    indices.truncate(n);
    Ok(indices)
}

/// The 2^d points of which n can be drawn.
pub(super) fn check_sample(d: usize, n: usize) -> Result<usize> {
    check_dimension(d, LARGEST_DIMENSION)?;
    let population = 1usize << d;
    if (1..=population).contains(&n) {
        return Ok(population);
    }
    Err(Error::value("the number of points n", n, format!("1 to {population}, drawn without replacement")))
}

/// The margin of the kernel of infinite width on all 2^d points. By symmetry the best weights are uniform, so that with
/// `r_k = (d - 2 - 2k) / (d - 1)`
///
/// ```text
/// gamma^2 = (1 / (4 2^{d-2})) sum_k C(d-2, k) [K(r_k + 1/(d-1)) + K(r_k - 1/(d-1)) - 2 K(r_k)]
/// ```
///
/// For one hidden layer and large d it is `1 / (sqrt(2 pi) (d - 1))`.
///
/// ```
/// use thalweg_dynamics::relu::{Start, xor};
///
/// assert!((xor::margin(3, 1, Start::Symmetric)? - 0.5 / 3f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] unless 3 <= d <= 1000 and 1 <= L <= 100.
pub fn margin(d: usize, depth: usize, start: Start) -> Result<f64> {
    check_dimension(d, LARGEST_IN_CLOSED_FORM)?;
    check_depth(depth)?;
    // Inner products are whole multiples of 1/(d-1): at +-1 the angle is exact.
    let kernel = |numerator: i64| of_angle((numerator as f64 / (d - 1) as f64).acos(), depth, start);
    let rest = d as i64 - 2;
    let mut share = 0.5f64.powi(rest as i32);
    let mut square = 0.0;
    for k in 0..=rest {
        let r = rest - 2 * k;
        square += share * (kernel(r + 1) + kernel(r - 1) - 2.0 * kernel(r));
        share *= (rest - k) as f64 / (k + 1) as f64;
    }
    Ok((0.25 * square).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relu::kernel;
    use thalweg_descent::Seed;
    use thalweg_probes::margin::{self as bracket, Search};

    #[test]
    fn points_are_listed_in_their_order() {
        let points = all(4).unwrap();
        assert_eq!((points.len(), points.dimension()), (16, 4));
        let s = 1.0 / 3f64.sqrt();
        let point = |at: usize| points.points().col(at).iter().copied().collect::<Vec<f64>>();
        assert_eq!(point(1), [s, 0.0, -s, s]);
        assert_eq!(point(6), [0.0, s, s, -s]);
        assert_eq!(point(15), [0.0, -s, s, s]);
        assert_eq!(points.labels()[..8], [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0]);
    }

    #[test]
    fn the_closed_form_is_the_bracket_on_all_points() {
        for d in [3, 4, 6] {
            for depth in 1..4 {
                for start in [Start::Symmetric, Start::Independent] {
                    let points = all(d).unwrap();
                    let kernel = kernel::matrix(&points, depth, start).unwrap();
                    let found = bracket::of(kernel.as_ref(), points.labels(), &Search::default()).unwrap();
                    let closed = margin(d, depth, start).unwrap();
                    assert!(found.upper - found.lower < 1e-9 && (found.margin - closed).abs() < 1e-10, "{d} {depth} {start:?}");
                }
            }
        }
    }

    #[test]
    fn depth_lowers_the_symmetric_margin_and_raises_the_independent_one() {
        let margins = |start| (1..=4).map(|depth| margin(6, depth, start).unwrap()).collect::<Vec<_>>();
        assert!(margins(Start::Symmetric).windows(2).all(|pair| pair[1] < pair[0]));
        assert!(margins(Start::Independent).windows(2).all(|pair| pair[1] > pair[0]));
    }

    #[test]
    fn for_many_dimensions_the_margin_tends_to_a_constant_over_them() {
        // The second difference becomes K''(0) / (d - 1)^2, and K(r) = r k0(r) has K''(0) = 2 / pi.
        let limit = (2.0 * std::f64::consts::PI).sqrt().recip();
        let gaps = [50, 200, 1000].map(|d| margin(d, 1, Start::Symmetric).unwrap() * (d - 1) as f64 - limit);
        assert!(gaps.windows(2).all(|pair| pair[1] < 0.5 * pair[0]) && gaps[2] > 0.0 && gaps[2] < 5e-4, "{gaps:?}");
    }

    #[test]
    fn samples_have_no_point_twice_and_are_uniform() {
        let mut counts = [0u32; 8];
        for at in 0..4000 {
            let mut drawn = sample(3, 3, &mut Seed(5).stream("sample").at(at)).unwrap();
            drawn.iter().for_each(|&index| counts[index] += 1);
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), 3);
        }
        // Each point is in 3 of 8 samples: 1500 +- 31; six of these is one false alarm in 10^8.
        assert!(counts.iter().all(|&count| count.abs_diff(1500) < 186), "{counts:?}");
        assert_eq!(sample(3, 8, &mut Seed(5).stream("sample").at(0)).unwrap().len(), 8);
    }

    #[test]
    fn bad_sizes_are_refused_by_name() {
        assert!(all(2).unwrap_err().to_string().contains("3 to 20"));
        assert!(all(25).is_err());
        assert!(sample(3, 9, &mut Seed(5).stream("sample").at(0)).unwrap_err().to_string().contains("without replacement"));
        assert!(sample(3, 0, &mut Seed(5).stream("sample").at(0)).is_err());
        assert!(margin(6, 0, Start::Symmetric).is_err() && margin(2, 1, Start::Symmetric).is_err());
    }
}
