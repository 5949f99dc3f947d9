//! How much one unit can move the output of a mechanism: `sens(C)`.
//!
//! A unit's contributions are arbitrary vectors of norm at most 1 (times the clip norm) in the steps S of a feasible pattern:
//! `sens^2 = max over S and unit vectors u_i of sum_{i,j in S} X_ij <u_i,u_j>` with `X = C^T C`. Each rule here is either
//! exact or an upper bound, and says which.

use serde::{Deserialize, Serialize};

use crate::coefficients;
use crate::pattern::Pattern;

/// Whether a sensitivity is the exact one or an upper bound; both are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Some unit attains it.
    Exact,
    /// No unit exceeds it.
    Upper,
}

/// The sensitivity of a strategy matrix, for clip norm 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The value.
    pub value: f64,
    /// Exact, or an upper bound.
    pub kind: Kind,
}

impl Sensitivity {
    pub(crate) fn exact(value: f64) -> Self {
        Self { value, kind: Kind::Exact }
    }

    pub(crate) fn upper(value: f64) -> Self {
        Self { value, kind: Kind::Upper }
    }

    /// The smaller of two bounds; the exact one where they agree.
    fn or_smaller(self, other: Self) -> Self {
        match (self.kind, other.kind) {
            (Kind::Exact, _) => self,
            (_, Kind::Exact) => other,
            _ if other.value < self.value => other,
            _ => self,
        }
    }
}

/// Above this many steps the O(n^2) memory of the matrix bound is not spent.
const LARGEST_MATRIX_BOUND: usize = 2048;

/// The sensitivity of `C = toep(c)` over `steps` steps, by the sharpest rule that applies.
///
/// ```
/// use thalweg_private::{coefficients, sensitivity, Pattern};
///
/// let c = coefficients::root(8);
/// let found = sensitivity::of_toeplitz(&c, 8, Pattern::separated(3, 2)?);
/// assert!((found.value - 2.14941456).abs() < 1e-8);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
pub fn of_toeplitz(c: &[f64], steps: usize, pattern: Pattern) -> Sensitivity {
    let c = &c[..c.len().min(steps)];
    let (b, k) = (pattern.separation(steps), pattern.at_most(steps));
    if k == 1 {
        return Sensitivity::exact(coefficients::norm(c));
    }
    if c.len() <= b {
        return Sensitivity::exact(of_orthogonal_columns(c, steps, b, k));
    }
    if coefficients::is_non_increasing(c) {
        return Sensitivity::exact(of_non_increasing(c, steps, b, k));
    }
    let majorant = Sensitivity::upper(of_non_increasing(&coefficients::majorant(c), steps, b, k));
    if steps > LARGEST_MATRIX_BOUND {
        return majorant;
    }
    majorant.or_smaller(of_gram(&toeplitz_gram(c, steps), steps, pattern))
}

/// Rule (i): for non-negative, non-increasing c the steps 1, 1+b, 1+2b, ... are the worst, and
/// `sens = |s|` with `s_t = sum_{j<k, jb<=t} c_{t-jb}`. O(n), by a stride-b cumulative sum.
pub fn of_non_increasing(c: &[f64], steps: usize, separation: usize, at_most: usize) -> f64 {
    let at = |t: usize| c.get(t).copied().unwrap_or(0.0);
    let mut sums = vec![0.0; steps];
    let window = separation.saturating_mul(at_most);
    for t in 0..steps {
        let before = if t >= separation { sums[t - separation] } else { 0.0 };
        // With few participations the sum is a window, not a running total; adding afresh avoids cancellation.
        sums[t] = if t < window { before + at(t) } else { (0..at_most).map(|j| at(t - j * separation)).sum() };
    }
    coefficients::norm(&sums)
}

/// Rule (v) and the exact part of (iii): columns at least b apart do not overlap, so their squared norms add up; column norms
/// of a Toeplitz matrix fall, so the first feasible columns are the worst.
fn of_orthogonal_columns(c: &[f64], steps: usize, separation: usize, at_most: usize) -> f64 {
    let squares: f64 = (0..at_most)
        .map(|j| j * separation)
        .take_while(|&start| start < steps)
        .map(|start| c[..c.len().min(steps - start)].iter().map(|value| value * value).sum::<f64>())
        .sum();
    squares.sqrt()
}

/// `X = C^T C` of `C = toep(c)`, row-major: `X_ij = X_{i+1,j+1} + c_{n-1-i} c_{n-1-j}`.
pub fn toeplitz_gram(c: &[f64], steps: usize) -> Vec<f64> {
    let at = |t: usize| c.get(t).copied().unwrap_or(0.0);
    let mut gram = vec![0.0; steps * steps];
    for i in (0..steps).rev() {
        for j in (0..=i).rev() {
            let below = if i + 1 < steps { gram[(i + 1) * steps + j + 1] } else { 0.0 };
            gram[i * steps + j] = below + at(steps - 1 - i) * at(steps - 1 - j);
            gram[j * steps + i] = gram[i * steps + j];
        }
    }
    gram
}

/// Rule (iii), or (iv) for a fixed order: the sensitivity from `X = C^T C` (row-major, n x n) of any C.
///
/// Exact where X vanishes at distance b and beyond, where it has no negative entry at such distances and the order is fixed,
/// and for single participation.
pub fn of_gram(gram: &[f64], steps: usize, pattern: Pattern) -> Sensitivity {
    let (b, k) = (pattern.separation(steps), pattern.at_most(steps));
    let diagonal: Vec<f64> = (0..steps).map(|i| gram[i * steps + i].max(0.0)).collect();
    if k == 1 {
        return Sensitivity::exact(diagonal.iter().fold(0.0f64, |a, &x| a.max(x)).sqrt());
    }
    let apart = |i: usize| (0..steps).filter(move |j| i.abs_diff(*j) >= b);
    let smallest = (0..steps)
        .flat_map(|i| apart(i).map(move |j| gram[i * steps + j]))
        .fold((0.0f64, 0.0f64), |(low, high), x| (low.min(x), high.max(x.abs())));
    if smallest.1 == 0.0 {
        return Sensitivity::exact(best_separated(&diagonal, b, k).sqrt());
    }
    match pattern {
        Pattern::FixedOrder { .. } => of_residue_classes(gram, steps, b, k, smallest.0 >= 0.0),
        _ => {
            let mut absolute = vec![0.0; steps];
            let rows: Vec<f64> = (0..steps)
                .map(|i| {
                    let row = &gram[i * steps..(i + 1) * steps];
                    // Steps closer than b never meet in one S; the row's own entry always does.
                    for (j, (out, value)) in absolute.iter_mut().zip(row).enumerate() {
                        *out = if i == j || i.abs_diff(j) >= b { value.abs() } else { 0.0 };
                    }
                    best_separated(&absolute, b, k)
                })
                .collect();
            Sensitivity::upper(best_separated(&rows, b, k).sqrt())
        }
    }
}

/// Rule (iv): the largest sum of |X| over k consecutive members of a residue class modulo b.
fn of_residue_classes(gram: &[f64], steps: usize, b: usize, k: usize, non_negative: bool) -> Sensitivity {
    let mut largest = 0.0f64;
    for first in 0..steps {
        let members: Vec<usize> = (first..steps).step_by(b).take(k).collect();
        let sum: f64 = members.iter().flat_map(|&i| members.iter().map(move |&j| gram[i * steps + j].abs())).sum();
        largest = largest.max(sum);
    }
    Sensitivity { value: largest.sqrt(), kind: if non_negative { Kind::Exact } else { Kind::Upper } }
}

/// `VecSens`: the largest sum of at most k entries (all non-negative) pairwise at least b apart, by dynamic programming.
pub fn best_separated(values: &[f64], separation: usize, at_most: usize) -> f64 {
    let n = values.len();
    let mut fewer = vec![0.0; n + 1];
    let mut best = vec![0.0; n + 1];
    for _ in 0..at_most {
        for i in (0..n).rev() {
            let rest = fewer.get(i + separation).copied().unwrap_or(0.0);
            best[i] = f64::max(values[i] + rest, best[i + 1]);
        }
        std::mem::swap(&mut fewer, &mut best);
    }
    fewer[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All feasible S of at most k steps.
    fn feasible(steps: usize, b: usize, k: usize) -> Vec<Vec<usize>> {
        let fits = |s: &[usize]| s.len() <= k && s.windows(2).all(|pair| pair[1] - pair[0] >= b);
        (1u32..1 << steps).map(|mask| (0..steps).filter(|i| mask >> i & 1 == 1).collect::<Vec<_>>()).filter(|s| fits(s)).collect()
    }

    /// Searches all feasible S and all signs: a lower bound on the sensitivity.
    fn sign_search(gram: &[f64], steps: usize, b: usize, k: usize) -> f64 {
        let mut best = 0.0f64;
        for s in feasible(steps, b, k) {
            for signs in 0..1u32 << (s.len() - 1) {
                let sign = |i: usize| if signs >> i & 1 == 1 { -1.0 } else { 1.0 };
                let mut sum = 0.0;
                for (p, &i) in s.iter().enumerate() {
                    for (q, &j) in s.iter().enumerate() {
                        sum += sign(p) * sign(q) * gram[i * steps + j];
                    }
                }
                best = best.max(sum);
            }
        }
        best.sqrt()
    }

    /// The matrix bound as published, which also counts entries of steps too close to meet.
    fn unmasked(gram: &[f64], steps: usize, b: usize, k: usize) -> f64 {
        let rows: Vec<f64> = (0..steps)
            .map(|i| {
                let row: Vec<f64> = gram[i * steps..(i + 1) * steps].iter().map(|value| value.abs()).collect();
                best_separated(&row, b, k)
            })
            .collect();
        best_separated(&rows, b, k).sqrt()
    }

    #[test]
    fn golden_table_of_small_toeplitz_matrices() {
        let half: Vec<f64> = (0..8).map(|j| (-0.5f64).powi(j)).collect();
        let patterns = [(1, 8), (2, 3), (3, 2), (3, 3)];
        let table: [(&[f64], [[f64; 3]; 4]); 3] = [
            (
                &[1.0, 0.5, 0.8],
                [
                    [1.37477271, 1.50996689, 1.37477271],
                    [1.94422221, 2.13541565, 1.94422221],
                    [2.97825452, 3.16859590, 3.10966236],
                    [2.24276615, 2.48997992, 2.25388553],
                ],
            ),
            (&coefficients::root(8), [[1.31086966; 3], [2.14941456; 3], [2.99876494; 3], [2.72563112; 3]]),
            (&half, [[1.15469173; 3], [1.73157502; 3], [2.34329423, 2.34329423, 2.39176086], [2.14474114; 3]]),
        ];
        for (c, rows) in table {
            let gram = toeplitz_gram(c, 8);
            for ((k, b), [search, majorant, matrix]) in patterns.into_iter().zip(rows) {
                let pattern = Pattern::separated(b, k).unwrap();
                assert!((sign_search(&gram, 8, b, k) - search).abs() < 1e-8);
                assert!((of_non_increasing(&coefficients::majorant(c), 8, b, k) - majorant).abs() < 1e-8);
                assert!((unmasked(&gram, 8, b, k) - matrix).abs() < 1e-8);
                let sharper = of_gram(&gram, 8, pattern).value;
                assert!(sharper >= search - 1e-8 && sharper <= matrix + 1e-8, "{c:?} {k} {b}: {sharper}");
                let chosen = of_toeplitz(c, 8, pattern);
                assert!(chosen.value <= majorant + 1e-8 && chosen.value >= search - 1e-8);
            }
        }
    }

    #[test]
    fn separated_sums_match_the_golden_values() {
        let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        for (k, b, expected) in [(2, 3, 13.0), (3, 2, 19.0), (2, 4, 12.0)] {
            assert_eq!(best_separated(&values, b, k), expected);
        }
        assert_eq!(best_separated(&[], 3, 2), 0.0);
    }

    #[test]
    fn learning_rate_root_matches_the_golden_value() {
        let alpha = 0.1f64.powf(1.0 / 11.0);
        let c = coefficients::scaled(&coefficients::root(12), alpha);
        let found = of_toeplitz(&c, 12, Pattern::separated(4, 3).unwrap());
        assert_eq!(found.kind, Kind::Exact);
        assert!((found.value - 2.1583368931).abs() < 1e-9);
    }

    #[test]
    fn author_sensitivities() {
        // Weight decay .9999, momentum .9, n = 781, b = 78, k = 11.
        let rows = |sequence: Vec<f64>| {
            coefficients::product(&coefficients::scaled(&sequence, 0.9999), &coefficients::scaled(&sequence, 0.9), 781)
        };
        let (c, ct) = (rows(coefficients::root(781)), rows(coefficients::inverse_root(781)));
        for (found, expected) in c.iter().zip([1.0, 0.94995, 0.9036525038, 0.8607948236, 0.8210916311, 0.7842824953]) {
            assert!((found - expected).abs() < 1e-10);
        }
        for (found, expected) in ct.iter().zip([1.0, -0.94995, -0.00124750125, -0.001185063812, -0.001126529498]) {
            assert!((found - expected).abs() < 1e-12);
        }
        let pattern = Pattern::separated(78, 11).unwrap();
        let check = |c: &[f64], expected: f64| {
            let found = of_toeplitz(c, 781, pattern);
            assert_eq!(found.kind, Kind::Exact);
            assert!((found.value - expected).abs() < 1e-8, "{} instead of {expected}", found.value);
        };
        check(&[1.0], 3.3166247904);
        check(&c[..4], 5.9665405205);
        check(&coefficients::inverse(&ct[..4], 781), 10.6149682114);
    }

    proptest! {
        #[test]
        fn rules_bound_the_sign_search(c in prop::collection::vec(-1.0f64..1.0, 1..9), b in 1usize..5, k in 1usize..5) {
            let n = 9;
            let gram = toeplitz_gram(&c, n);
            let search = sign_search(&gram, n, b, k);
            let pattern = Pattern::separated(b, k).unwrap();
            let chosen = of_toeplitz(&c, n, pattern);
            prop_assert!(chosen.value >= search - 1e-12);
            if chosen.kind == Kind::Exact {
                prop_assert!(chosen.value <= search + 1e-12);
            }
            prop_assert!(of_gram(&gram, n, pattern).value >= search - 1e-12);
        }

        #[test]
        fn non_increasing_rule_is_exact(steps in prop::collection::vec(0.0f64..1.0, 1..10), b in 1usize..5, k in 1usize..5) {
            let mut c = steps;
            c.sort_by(|a, b| b.total_cmp(a));
            let n = 10;
            let search = sign_search(&toeplitz_gram(&c, n), n, b, k);
            let found = of_toeplitz(&c, n, Pattern::separated(b, k).unwrap());
            prop_assert_eq!(found.kind, Kind::Exact);
            prop_assert!((found.value - search).abs() < 1e-12);
        }

        #[test]
        fn any_matrix_is_bounded(entries in prop::collection::vec(-1.0f64..1.0, 36), b in 1usize..4, k in 1usize..4) {
            let n = 8;
            let mut c = vec![0.0; n * n];
            let mut entries = entries.iter();
            for i in 0..n {
                for j in 0..=i {
                    c[i * n + j] = *entries.next().expect("36 entries fill 8 rows");
                }
            }
            let gram: Vec<f64> = (0..n * n).map(|at| (0..n).map(|t| c[t * n + at / n] * c[t * n + at % n]).sum()).collect();
            let search = sign_search(&gram, n, b, k);
            prop_assert!(of_gram(&gram, n, Pattern::separated(b, k).unwrap()).value >= search - 1e-12);
            let fixed = of_gram(&gram, n, Pattern::FixedOrder { separation: b, at_most: k }).value;
            for first in 0..b.min(n) {
                let members: Vec<usize> = (first..n).step_by(b).take(k).collect();
                let sum: f64 = members.iter().flat_map(|&i| members.iter().map(move |&j| (i, j))).map(|(i, j)| gram[i * n + j]).sum();
                prop_assert!(fixed >= sum.max(0.0).sqrt() - 1e-12);
            }
        }
    }
}
