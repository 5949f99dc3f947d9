//! Where the exact dynamics ends: a plateau for each mode, 0 for the modes below a cut-off.

use super::modes::Modes;

/// The fixed point of the exact finite-context flow that is reached from small starts.
///
/// Derived here; the published plateau has no cut-off.
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    /// `a = p q` of each mode, 0 where it is switched off.
    pub products: Vec<f64>,
    /// Which modes are learned.
    pub active: Vec<bool>,
    /// The cut-off: a mode is learned when `sqrt(A s) > cutoff / N`.
    pub cutoff: f64,
}

/// The plateau of a problem, by an active set: with M = 1 + 1/N,
/// `a = (1 - cutoff / (N sqrt(A s))) / (M s)` and `cutoff = sum_active sqrt(A s) / M / (1 + n_active / (N + 1))`.
///
/// ```
/// use thalweg_dynamics::icl::{Modes, plateau};
///
/// let found = plateau::of(&Modes::new(&[4.0, 2.0, 1.0, 0.5, 0.1, 0.01], 6)?);
/// assert_eq!(found.active, [true, true, true, true, false, false]);
/// assert!((found.products[0] - 0.164_402_72).abs() < 1e-8);
/// # Ok::<(), thalweg_dynamics::Error>(())
/// ```
pub fn of(modes: &Modes) -> Plateau {
    let n = modes.n();
    let m = 1.0 + 1.0 / n;
    let strengths: Vec<f64> = modes.variances().iter().zip(modes.task_moments()).map(|(s, a)| (a * s).sqrt()).collect();
    let mut active = vec![true; strengths.len()];
    // Every round switches modes off, so there are at most as many rounds as modes.
    let cutoff = loop {
        let learned = || strengths.iter().zip(&active).filter(|(_, active)| **active).map(|(strength, _)| strength);
        let cutoff = learned().sum::<f64>() / m / (1.0 + learned().count() as f64 / (n + 1.0));
        let still: Vec<bool> =
            strengths.iter().zip(&active).map(|(strength, active)| *active && *strength > cutoff / n).collect();
        if still == active {
            break cutoff;
        }
        active = still;
    };
    let product = |mode: usize| {
        let share = if active[mode] { 1.0 - cutoff / (n * strengths[mode]) } else { 0.0 };
        share / (m * modes.variances()[mode])
    };
    Plateau { products: (0..strengths.len()).map(product).collect(), active, cutoff }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn equal_modes_have_the_published_plateau() {
        let modes = Modes::new(&[0.7; 4], 4).unwrap();
        let found = of(&modes);
        let published = super::super::Published::new(&modes).unwrap().plateau();
        assert!(found.products.iter().zip(published).all(|(a, b)| (a - b).abs() < 1e-15));
        assert!(found.active.iter().all(|active| *active));
    }

    proptest! {
        #[test]
        fn the_strongest_mode_is_always_learned_and_all_are_for_long_contexts(
            s in prop::collection::vec(1e-4f64..10.0, 1..8), n in 1u64..50,
        ) {
            let found = of(&Modes::new(&s, n).unwrap());
            let strongest = (0..s.len()).max_by(|&a, &b| s[a].total_cmp(&s[b])).unwrap();
            prop_assert!(found.active[strongest]);
            prop_assert!(found.products.iter().zip(&s).all(|(a, s)| *a >= 0.0 && *a <= 1.0 / s));
            let long = of(&Modes::new(&s, 1_000_000_000).unwrap());
            prop_assert!(long.products.iter().zip(&s).all(|(a, s)| (a * s - 1.0).abs() < 1e-4));
        }
    }
}
