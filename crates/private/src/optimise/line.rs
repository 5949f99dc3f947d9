//! Functions of one variable.

use rayon::prelude::*;

/// Minimises a function on `[low, high]`: the best of `intervals + 1` points in equal distances, then golden sections between
/// its neighbours. Returns the place of the smallest value seen; where the function cannot be evaluated it is infinite.
pub(crate) fn minimise_on(low: f64, high: f64, intervals: usize, f: impl Fn(f64) -> f64 + Sync) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    const SECTIONS: usize = 26;
    let place = |i: usize| low + (high - low) * i as f64 / intervals as f64;
    let values: Vec<f64> = (0..=intervals).into_par_iter().map(|i| f(place(i))).collect();
    let best = (0..=intervals).min_by(|&i, &j| values[i].total_cmp(&values[j])).unwrap_or(0);
    let (mut left, mut right) = (place(best.saturating_sub(1)), place((best + 1).min(intervals)));
    let mut inner = [right - GOLDEN * (right - left), left + GOLDEN * (right - left)];
    let mut at_inner = inner.map(&f);
    let mut smallest = (place(best), values[best]);
    for _ in 0..SECTIONS {
        for (x, value) in inner.into_iter().zip(at_inner) {
            if value < smallest.1 {
                smallest = (x, value);
            }
        }
        if at_inner[0] <= at_inner[1] {
            right = inner[1];
            inner = [right - GOLDEN * (right - left), inner[0]];
            at_inner = [f(inner[0]), at_inner[0]];
        } else {
            left = inner[0];
            inner = [inner[1], left + GOLDEN * (right - left)];
            at_inner = [at_inner[1], f(inner[1])];
        }
    }
    smallest.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_valley_and_the_edges_are_found() {
        let valleys = |x: f64| (x - 1.3).powi(2).min((x - 7.7).powi(2) - 0.1);
        assert!((minimise_on(0.0, 10.0, 20, valleys) - 7.7).abs() < 1e-6);
        assert_eq!(minimise_on(2.0, 3.0, 5, |x| x), 2.0);
        assert_eq!(minimise_on(2.0, 3.0, 5, |x| -x), 3.0);
        let partly = |x: f64| if x < 0.45 { f64::INFINITY } else { x };
        assert!((minimise_on(0.0, 1.0, 10, partly) - 0.45).abs() < 1e-6);
    }
}
