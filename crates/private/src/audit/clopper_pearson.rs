//! Exact confidence bounds on a probability (Clopper and Pearson 1934), and the audit that compares two of them.

use super::binomial::Binomial;
use super::scores::Counts;

/// The upper bound on a probability of which `successes` of `trials` came true: it fails with at most the probability
/// `significance`.
///
/// `successes` is at most `trials`, `significance` in (0, 1).
///
/// ```
/// use thalweg_private::audit::clopper_pearson;
/// assert!((clopper_pearson::upper(3, 100, 0.05) - 0.075_710_79).abs() < 1e-8);
/// ```
pub fn upper(successes: usize, trials: usize, significance: f64) -> f64 {
    if successes >= trials {
        return 1.0;
    }
    if successes == 0 {
        return -(significance.ln() / trials as f64).exp_m1();
    }
    // P[X <= k] = significance. In q = 1 - p it is the equation of `lower` for the failures, and loses no digits near p = 0
    // when it is solved in p.
    let start = 1.0 - start_below(trials - successes, trials, significance);
    solve(start, |p| {
        let law = Binomial::new(trials, p);
        let tail = law.at_most(successes);
        let slope = -((trials - successes) as f64) / (1.0 - p) * law.pmf(successes);
        (tail.ln() - significance.ln(), slope / tail)
    })
}

/// The lower bound, as [`upper`].
pub fn lower(successes: usize, trials: usize, significance: f64) -> f64 {
    if successes == 0 {
        return 0.0;
    }
    if successes >= trials {
        return (significance.ln() / trials as f64).exp();
    }
    solve(start_below(successes, trials, significance), |p| {
        let law = Binomial::new(trials, p);
        let tail = law.at_least(successes);
        let slope = successes as f64 / p * law.pmf(successes);
        (tail.ln() - significance.ln(), slope / tail)
    })
}

/// The largest epsilon that the two rates refute, half the significance for each: `log((TPR - delta) / FPR)`, or 0.
///
/// ```
/// use thalweg_private::audit::{Counts, clopper_pearson};
///
/// let counts = Counts { inside: 1000, outside: 1000, true_positives: 800, false_positives: 50 };
/// assert!((clopper_pearson::epsilon(&counts, 1e-5, 0.05) - 2.470_976_2).abs() < 1e-7);
/// ```
pub fn epsilon(counts: &Counts, delta: f64, significance: f64) -> f64 {
    let (true_positives, false_positives) = rates(counts, significance);
    ((true_positives - delta) / false_positives).ln().max(0.0)
}

/// The lower bound on the rate of true positives and the upper bound on that of false ones, half the significance for each.
pub(super) fn rates(counts: &Counts, significance: f64) -> (f64, f64) {
    (
        lower(counts.true_positives, counts.inside, significance / 2.0),
        upper(counts.false_positives, counts.outside, significance / 2.0),
    )
}

/// Wilson's bound from below with a quarter more deviations: a start for Newton's method on the side where it never overshoots.
fn start_below(successes: usize, trials: usize, significance: f64) -> f64 {
    let (n, rate) = (trials as f64, successes as f64 / trials as f64);
    let z = 1.25 * (-2.0 * significance.ln()).max(1.0).sqrt();
    let square = z * z / n;
    let center = rate + square / 2.0;
    let width = z * (rate * (1.0 - rate) / n + square / (4.0 * n)).sqrt();
    ((center - width) / (1.0 + square)).max(1e-3 * rate)
}

/// Newton's method on the logarithm of a tail, which is concave in p: it comes to the root from one side.
fn solve(start: f64, log_tail: impl Fn(f64) -> (f64, f64)) -> f64 {
    let mut p = start;
    for _ in 0..100 {
        let (value, slope) = log_tail(p);
        let next = (p - value / slope).clamp(0.5 * p, 0.5 * (1.0 + p));
        if (next - p).abs() <= 1e-15 * p {
            return next;
        }
        p = next;
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bounds() {
        for (k, expected) in [(0, 0.02951305), (3, 0.07571079), (50, 0.58637829)] {
            let found = upper(k, 100, 0.05);
            assert!((found - expected).abs() < 5e-9, "{k}: {found}");
            assert!((lower(100 - k, 100, 0.05) - (1.0 - found)).abs() < 1e-13, "mirrored");
        }
    }

    #[test]
    fn bounds_solve_their_equation_to_ten_digits() {
        for n in [1usize, 2, 10, 1000, 100_000] {
            for k in [0, 1, 2, n / 3, n / 2, n - 1, n].into_iter().filter(|k| *k <= n) {
                for significance in [0.6, 0.05, 1e-3, 1e-8, 1e-12] {
                    let brackets = |bound: f64, tail: &dyn Fn(f64) -> f64| {
                        let [below, above] =
                            [1.0 - 1e-10, 1.0 + 1e-10].map(|factor| tail((factor * bound).min(1.0)) - significance);
                        below * above <= 0.0
                    };
                    let (low, high) = (lower(k, n, significance), upper(k, n, significance));
                    assert!(k == 0 || brackets(low, &|p| Binomial::new(n, p).at_least(k)), "{k}/{n} at {significance}: {low}");
                    assert!(k == n || brackets(high, &|p| Binomial::new(n, p).at_most(k)), "{k}/{n} at {significance}: {high}");
                    assert!(significance > 0.5 || low <= k as f64 / n as f64 && k as f64 / n as f64 <= high);
                }
            }
        }
    }

    /// The chance that the bound of X lies below the truth, exactly.
    fn failure(n: usize, p: f64, bound: impl Fn(usize) -> f64) -> f64 {
        (0..=n).filter(|&k| bound(k) < p).map(|k| Binomial::new(n, p).pmf(k)).sum()
    }

    #[test]
    fn upper_bounds_fail_as_rarely_as_they_say_and_smaller_ones_do_not() {
        let mut control = 0.0f64;
        for p in [0.01, 0.1, 0.3, 0.5, 0.9] {
            let failures = failure(60, p, |k| upper(k, 60, 0.05));
            assert!(failures <= 0.05 + 1e-12, "{p}: {failures}");
            // The negative control: the rate itself in place of its bound.
            control = control.max(failure(60, p, |k| k as f64 / 60.0));
        }
        assert!(control > 0.3);
    }

    #[test]
    fn golden_audit() {
        let counts = Counts { inside: 1000, outside: 1000, true_positives: 800, false_positives: 50 };
        assert!((epsilon(&counts, 1e-5, 0.05) - 2.4709762).abs() < 5e-8);
        let chance = Counts { true_positives: 50, ..counts };
        assert_eq!(epsilon(&chance, 1e-5, 0.05), 0.0);
        let nothing = Counts { true_positives: 0, false_positives: 0, ..counts };
        assert_eq!(epsilon(&nothing, 1e-5, 0.05), 0.0);
    }
}
