//! Sensitivities of any matrix, from `X = C^T C`.

use super::Sensitivity;
use crate::pattern::Pattern;

/// The sensitivity from `X = C^T C` (row-major, n x n) of any C.
///
/// Exact for single participation, where X vanishes at distance b and beyond, and where it is non-negative there and some unit
/// attains the bound: in the leading steps 0, b, 2b, ..., or by taking part in every epoch of a fixed order.
pub fn of_gram(gram: &[f64], steps: usize, pattern: Pattern) -> Sensitivity {
    let (b, k) = (pattern.separation(steps), pattern.at_most(steps));
    let diagonal: Vec<f64> = (0..steps).map(|i| gram[i * steps + i].max(0.0)).collect();
    if k == 1 {
        return Sensitivity::exact(diagonal.iter().fold(0.0f64, |a, &x| a.max(x)).sqrt());
    }
    let apart = |i: usize| (0..steps).filter(move |j| i.abs_diff(*j) >= b);
    let (smallest, largest) = (0..steps)
        .flat_map(|i| apart(i).map(move |j| gram[i * steps + j]))
        .fold((0.0f64, 0.0f64), |(low, high), x| (low.min(x), high.max(x.abs())));
    let bound = match pattern {
        Pattern::FixedOrder { .. } => {
            (0..b.min(steps)).map(|first| of_residue_class(gram, steps, first, b, k)).fold(0.0, f64::max)
        }
        _ if largest == 0.0 => best_separated(&diagonal, b, k),
        _ => pairwise_bound(steps, b, k, |i, j| gram[i * steps + j].abs()),
    };
    let leading: Vec<usize> = (0..steps).step_by(b).take(k).collect();
    let sum: f64 = leading.iter().flat_map(|&i| leading.iter().map(move |&j| gram[i * steps + j])).sum();
    // Equal up to the rounding of two orders of summation.
    let attained = sum >= bound * (1.0 - 1e-12);
    let whole_classes = matches!(pattern, Pattern::FixedOrder { .. }) && steps.div_ceil(b) <= k;
    let exact = largest == 0.0 || (smallest >= 0.0 && (attained || whole_classes));
    if exact { Sensitivity::exact(bound.sqrt()) } else { Sensitivity::upper(bound.sqrt()) }
}

/// `VecSens(v)` with `v_i` the best sum of row i over sets that may hold i: the set's pairs are bounded one row at a time.
fn pairwise_bound(steps: usize, b: usize, k: usize, absolute: impl Fn(usize, usize) -> f64) -> f64 {
    let row = |i: usize| {
        // Steps closer than b never meet in one set; the row's own entry always does.
        let entry = |j: usize| if i == j || i.abs_diff(j) >= b { absolute(i, j) } else { 0.0 };
        best_separated(&(0..steps).map(entry).collect::<Vec<_>>(), b, k)
    };
    best_separated(&(0..steps).map(row).collect::<Vec<_>>(), b, k)
}

/// The bound over subsets of at most k members of one residue class modulo b: the sum over the class where it has no more.
fn of_residue_class(gram: &[f64], steps: usize, first: usize, b: usize, k: usize) -> f64 {
    let members: Vec<usize> = (first..steps).step_by(b).collect();
    let absolute = |p: usize, q: usize| gram[members[p] * steps + members[q]].abs();
    if members.len() <= k {
        return (0..members.len()).flat_map(|p| (0..members.len()).map(move |q| (p, q))).map(|(p, q)| absolute(p, q)).sum();
    }
    pairwise_bound(members.len(), 1, k, absolute)
}

/// `VecSens`: the largest sum of at most k entries (all non-negative) pairwise at least b apart, by dynamic programming.
pub fn best_separated(values: &[f64], separation: usize, at_most: usize) -> f64 {
    let n = values.len();
    let mut fewer = vec![0.0; n + 1];
    let mut best = vec![0.0; n + 1];
    for _ in 0..at_most {
        for i in (0..n).rev() {
            let rest = fewer.get(i.saturating_add(separation)).copied().unwrap_or(0.0);
            best[i] = f64::max(values[i] + rest, best[i + 1]);
        }
        std::mem::swap(&mut fewer, &mut best);
    }
    fewer[0]
}
