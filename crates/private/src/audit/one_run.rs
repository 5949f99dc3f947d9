//! Auditing in one run (Steinke, Nasr and Jagielski, arXiv 2305.08846): many canaries, each in the training by a coin flip of its
//! own, are guessed from a single training.

use super::binomial::Binomial;
use super::largest_refuted;

/// What guessing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guesses {
    /// m: the canaries, in and out, each of them in by a fair coin flip.
    pub canaries: usize,
    /// g: on how many of them a guess was made, at most m.
    pub made: usize,
    /// v: how many guesses were right, at most g.
    pub right: usize,
}

/// A bound on the chance of at least v right guesses under (epsilon, delta): `min(1, beta + 2 m delta a)` with `q = 1 / (1 +
/// e^-epsilon)`, `beta = P[Bin(g, q) >= v]` and `a = max_i (P[Bin(g, q) >= v - i] - beta) / i` over i = 1..v.
///
/// `epsilon` is at least 0 and `delta` in [0, 1).
///
/// ```
/// use thalweg_private::audit::one_run::{Guesses, p_value};
///
/// let guesses = Guesses { canaries: 1000, made: 200, right: 180 };
/// assert!((p_value(&guesses, 1.0, 1e-5) / 4.362_245_386e-4 - 1.0).abs() < 1e-9);
/// ```
pub fn p_value(guesses: &Guesses, epsilon: f64, delta: f64) -> f64 {
    let law = Binomial::with_log_odds(guesses.made, epsilon);
    let beta = law.at_least(guesses.right);
    if delta == 0.0 || guesses.right == 0 {
        return beta;
    }
    (beta + 2.0 * guesses.canaries as f64 * delta * largest_mean(&law, guesses.right, beta)).min(1.0)
}

/// The largest epsilon at which the guesses are less likely than `significance`, or 0.
///
/// `delta` is in [0, 1), `significance` in (0, 1).
pub fn epsilon(guesses: &Guesses, delta: f64, significance: f64) -> f64 {
    epsilon_above(guesses, delta, significance, 0.0)
}

/// The same, where it is above `least`; `least` otherwise.
pub(super) fn epsilon_above(guesses: &Guesses, delta: f64, significance: f64, least: f64) -> f64 {
    largest_refuted(least, |epsilon| {
        let law = Binomial::with_log_odds(guesses.made, epsilon);
        // The first part alone settles most.
        law.at_least(guesses.right) <= significance && p_value(guesses, epsilon, delta) <= significance
    })
}

/// `max_i (P[X >= v - i] - P[X >= v]) / i`, the largest mean of the probabilities of v-1, v-2, ..., v-i, for v of at least 1.
///
/// The probabilities have one mode, so that the mean rises with i up to some i and falls from there on.
fn largest_mean(law: &Binomial, right: usize, beta: f64) -> f64 {
    let mean = |i: usize| (law.at_least(right - i) - beta) / i as f64;
    let falls_after = |i: usize| law.pmf(right - i - 1) < mean(i);
    let (mut low, mut high) = (1, right);
    while low < high {
        let middle = low.midpoint(high);
        if falls_after(middle) { high = middle } else { low = middle + 1 }
    }
    mean(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUESSES: Guesses = Guesses { canaries: 1000, made: 200, right: 180 };

    #[test]
    fn golden_p_values_and_epsilons() {
        assert!((p_value(&GUESSES, 1.0, 1e-5) / 4.362245386e-4 - 1.0).abs() < 2e-10);
        assert!((p_value(&GUESSES, 1.0, 0.0) / 2.906353e-9 - 1.0).abs() < 2e-7);
        assert!((epsilon(&GUESSES, 1e-5, 0.05) - 1.796285).abs() < 5e-7);
        assert!((epsilon(&GUESSES, 0.0, 0.05) - 1.798865).abs() < 5e-7);
    }

    /// The definition, tail by tail.
    fn by_definition(guesses: &Guesses, epsilon: f64, delta: f64) -> f64 {
        let law = Binomial::with_log_odds(guesses.made, epsilon);
        let beta = law.at_least(guesses.right);
        let mean = |i: usize| (law.at_least(guesses.right - i) - beta) / i as f64;
        let largest = (1..=guesses.right).map(mean).fold(0.0, f64::max);
        (beta + 2.0 * guesses.canaries as f64 * delta * largest).min(1.0)
    }

    #[track_caller]
    fn check_definition(guesses: Guesses, epsilon: f64) {
        let (found, expected) = (p_value(&guesses, epsilon, 1e-4), by_definition(&guesses, epsilon, 1e-4));
        assert!((found - expected).abs() < 1e-12 * (1.0 + expected), "{guesses:?} {epsilon}: {found} {expected}");
    }

    #[test]
    fn the_search_finds_the_largest_mean_of_the_definition() {
        for made in [1, 2, 5, 37, 300] {
            for right in (0..=made).step_by(1 + made / 17).chain([made]) {
                [0.0, 0.3, 2.0, 9.0].into_iter().for_each(|epsilon| {
                    check_definition(Guesses { canaries: 400, made, right }, epsilon);
                });
            }
        }
        // Most of these probabilities are below the smallest number.
        check_definition(Guesses { canaries: 200, made: 20_000, right: 18_000 }, 0.3);
    }

    /// The chance that randomised response, which is exactly epsilon-DP, is found to exceed `claimed`.
    fn alarms(epsilon: f64, claimed: f64) -> f64 {
        let law = Binomial::with_log_odds(300, epsilon);
        let alarm = |right: usize| p_value(&Guesses { canaries: 300, made: 300, right }, claimed, 0.0) <= 0.05;
        (0..=300).filter(|&right| alarm(right)).map(|right| law.pmf(right)).sum()
    }

    #[test]
    fn randomised_response_is_refuted_beyond_its_epsilon_alone() {
        for epsilon in [0.1, 0.5, 1.0, 2.0, 4.0] {
            assert!(alarms(epsilon, epsilon) <= 0.05 + 1e-12, "{epsilon}: {}", alarms(epsilon, epsilon));
        }
        // The negative control.
        assert!(alarms(1.5, 1.0) > 0.9, "{}", alarms(1.5, 1.0));
    }

    #[test]
    fn the_edges_refute_nothing() {
        for (made, right) in [(0, 0), (1, 0), (1, 1), (10, 5), (4, 4)] {
            assert_eq!(epsilon(&Guesses { canaries: 20, made, right }, 1e-5, 0.05), 0.0, "{made} {right}");
        }
        assert!(epsilon(&Guesses { canaries: 20, made: 20, right: 20 }, 0.0, 0.05) > 1.7);
        // 100,000 canaries that all give themselves away.
        let all = epsilon(&Guesses { canaries: 100_000, made: 100_000, right: 100_000 }, 1e-6, 0.05);
        assert!(all > 8.0 && all.is_finite(), "{all}");
    }
}
