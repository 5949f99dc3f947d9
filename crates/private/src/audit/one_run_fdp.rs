//! Auditing f-DP in one run (Mahloujifar, Melis and Chaudhuri, arXiv 2410.22235), for the trade-off curves of Gaussian
//! mechanisms.
//!
//! It looks at the whole curve of an (epsilon, delta) Gaussian mechanism and not at one point of it, and so refutes larger
//! epsilons than [`one_run`](super::one_run). What it says holds for mechanisms that claim such a curve; under another one with
//! the same (epsilon, delta) it may refute too much.

use super::gdp::{self, trade_off};
use super::largest_refuted;
use super::one_run::Guesses;
use crate::error::Result;

/// Whether the guesses are less likely than `significance` under a Gaussian mechanism of multiplier `1 / mu` (mu-GDP).
///
/// With `r = s v/m` and `h = s (g-v)/m`, for i = v-1 down to 0: `h' = max(h, Phi(Phi^-1(r) - mu))`, then `r` grows by
/// `i/(g-i) (h' - h)` and h becomes h'. Refuted when `r + h` exceeds `g/m`.
pub fn is_refuted(guesses: &Guesses, mu: f64, significance: f64) -> bool {
    let [m, g, v] = [guesses.canaries, guesses.made, guesses.right].map(|count| count as f64);
    let limit = g / m;
    let (mut right, mut wrong) = (significance * v / m, significance * (g - v) / m);
    for i in (0..guesses.right).rev() {
        let next = trade_off(right, mu).max(wrong);
        if next == wrong {
            break;
        }
        let i = i as f64;
        right = (right + i / (g - i) * (next - wrong)).min(1.0);
        wrong = next;
        if right + wrong > limit {
            return true;
        }
    }
    right + wrong > limit
}

/// The largest epsilon whose Gaussian mechanism at `delta` is refuted, or 0.
///
/// ```
/// use thalweg_private::audit::{one_run::Guesses, one_run_fdp};
///
/// let guesses = Guesses { canaries: 1000, made: 200, right: 180 };
/// assert!((one_run_fdp::epsilon(&guesses, 1e-5, 0.05)? - 2.901_243).abs() < 1e-6);
/// # Ok::<(), thalweg_private::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`](crate::Error::Value) when `delta` is not in (0, 1).
pub fn epsilon(guesses: &Guesses, delta: f64, significance: f64) -> Result<f64> {
    gdp::to_epsilon(mu_above(guesses, significance, 0.0), delta)
}

/// The largest refuted mu, where it is above `least`; `least` otherwise.
pub(super) fn mu_above(guesses: &Guesses, significance: f64, least: f64) -> f64 {
    largest_refuted(least, |mu| is_refuted(guesses, mu, significance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_epsilon() {
        let guesses = Guesses { canaries: 1000, made: 200, right: 180 };
        assert!((epsilon(&guesses, 1e-5, 0.05).unwrap() - 2.901243).abs() < 5e-7);
        assert!(epsilon(&guesses, 0.0, 0.05).is_err());
    }

    #[test]
    fn refuted_is_monotone_and_the_edges_refute_nothing() {
        let guesses = Guesses { canaries: 500, made: 120, right: 100 };
        let refuted: Vec<bool> = (0..60).map(|i| is_refuted(&guesses, f64::from(i) * 0.05, 0.05)).collect();
        assert!(refuted[0] && !refuted[59]);
        assert!(refuted.windows(2).all(|pair| pair[0] || !pair[1]), "{refuted:?}");
        for (made, right) in [(0, 0), (1, 0), (1, 1), (10, 5), (4, 4)] {
            assert_eq!(epsilon(&Guesses { canaries: 20, made, right }, 1e-5, 0.05).unwrap(), 0.0, "{made} {right}");
        }
        let all = epsilon(&Guesses { canaries: 1000, made: 1000, right: 1000 }, 1e-6, 0.05).unwrap();
        assert!(all > 5.0 && all.is_finite(), "{all}");
    }
}
