//! Every rule against a search over all feasible sets of steps and all signs.

use proptest::prelude::*;

use super::toeplitz::{of_correlations, of_leading_steps, of_scaled_toeplitz, of_toeplitz, squared_with_gradient, toeplitz_gram};
use super::*;
use crate::coefficients;
use crate::pattern::Pattern;

/// All sets of steps that one unit may take part in.
fn feasible(steps: usize, pattern: Pattern) -> Vec<Vec<usize>> {
    let (b, k) = (pattern.separation(steps), pattern.at_most(steps));
    let fits = |s: &[usize]| {
        let apart = s.windows(2).all(|pair| match pattern {
            Pattern::FixedOrder { .. } => (pair[1] - pair[0]) % b == 0,
            _ => pair[1] - pair[0] >= b,
        });
        s.len() <= k && apart
    };
    (1u32..1 << steps).map(|mask| (0..steps).filter(|i| mask >> i & 1 == 1).collect::<Vec<_>>()).filter(|s| fits(s)).collect()
}

/// Searches all feasible sets and all signs: a lower bound on the sensitivity, attained where X is non-negative.
fn sign_search(gram: &[f64], steps: usize, pattern: Pattern) -> f64 {
    let mut best = 0.0f64;
    for s in feasible(steps, pattern) {
        for signs in 0..1u32 << (s.len() - 1) {
            let sign = |p: usize| if signs >> p & 1 == 1 { -1.0 } else { 1.0 };
            let pairs = (0..s.len()).flat_map(|p| (0..s.len()).map(move |q| (p, q)));
            best = best.max(pairs.map(|(p, q)| sign(p) * sign(q) * gram[s[p] * steps + s[q]]).sum());
        }
    }
    best.sqrt()
}

/// The matrix bound as published, which also counts entries of steps too close to meet.
fn unmasked(gram: &[f64], steps: usize, b: usize, k: usize) -> f64 {
    let row = |i: usize| {
        let row: Vec<f64> = gram[i * steps..(i + 1) * steps].iter().map(|value| value.abs()).collect();
        best_separated(&row, b, k)
    };
    best_separated(&(0..steps).map(row).collect::<Vec<_>>(), b, k).sqrt()
}

fn gram_of(c: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|at| (0..n).map(|t| c[t * n + at / n] * c[t * n + at % n]).sum()).collect()
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
            assert!((sign_search(&gram, 8, pattern) - search).abs() < 1e-8);
            assert!((of_leading_steps(&coefficients::majorant(c), 8, b, k) - majorant).abs() < 1e-8);
            assert!((unmasked(&gram, 8, b, k) - matrix).abs() < 1e-8);
            let sharper = of_gram(&gram, 8, pattern).value;
            assert!(sharper >= search - 1e-8 && sharper <= matrix + 1e-8, "{c:?} {k} {b}: {sharper}");
            // Ours meets the search in the whole table, where the majorant of all of c does not.
            assert!((of_toeplitz(c, 8, pattern).value - search).abs() < 1e-8, "{c:?} {k} {b}");
        }
    }
}

#[test]
fn separated_sums_match_the_golden_values() {
    let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
    for (k, b, expected) in [(2, 3, 13.0), (3, 2, 19.0), (2, 4, 12.0), (2, usize::MAX, 9.0)] {
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

#[test]
fn a_lower_bound_is_no_sensitivity() {
    // Negative control: a minorant of c is below what some unit attains.
    let minorant = of_leading_steps(&[1.0, 0.5, 0.5], 8, 2, 3);
    assert!(minorant < sign_search(&toeplitz_gram(&[1.0, 0.5, 0.8], 8), 8, Pattern::separated(2, 3).unwrap()));
}

proptest! {
    #[test]
    fn toeplitz_rules_bound_the_sign_search(c in prop::collection::vec(-1.0f64..1.0, 1..9), b in 1usize..5, k in 1usize..5) {
        let n = 9;
        let gram = toeplitz_gram(&c, n);
        let pattern = Pattern::separated(b, k).unwrap();
        let search = sign_search(&gram, n, pattern);
        let chosen = of_toeplitz(&c, n, pattern);
        prop_assert!(chosen.value >= search - 1e-12);
        if chosen.kind == Kind::Exact {
            prop_assert!(chosen.value <= search + 1e-12);
        }
        prop_assert!(of_gram(&gram, n, pattern).value >= search - 1e-12);
        let k = pattern.at_most(n);
        prop_assert!(of_correlations(&c, n, b, k).value >= search - 1e-12);
        let (squared, _) = squared_with_gradient(&c, n, pattern);
        prop_assert!(squared.sqrt() >= search - 1e-12);
        let majorant = of_leading_steps(&coefficients::majorant(&c), n, b, k);
        prop_assert!(squared.sqrt() <= majorant + 1e-12, "never above the majorant of all of c");
        if c.len() > b && k > 1 {
            prop_assert!(of_correlations(&c, n, b, k).value <= squared.sqrt() + 1e-12);
        }
        let fixed = Pattern::FixedOrder { separation: b, at_most: k };
        prop_assert!(of_toeplitz(&c, n, fixed).value >= sign_search(&gram, n, fixed) - 1e-12);
    }

    #[test]
    fn non_increasing_tails_are_exact(mut head in prop::collection::vec(0.0f64..1.0, 1..5), mut tail in prop::collection::vec(0.0f64..1.0, 0..6), k in 1usize..5) {
        let b = head.len();
        tail.sort_by(|a, b| b.total_cmp(a));
        head.append(&mut tail);
        let n = 10;
        let pattern = Pattern::separated(b, k).unwrap();
        let search = sign_search(&toeplitz_gram(&head, n), n, pattern);
        let found = of_toeplitz(&head, n, pattern);
        prop_assert_eq!(found.kind, Kind::Exact);
        prop_assert!((found.value - search).abs() < 1e-12);
    }

    #[test]
    fn exact_correlations_are_attained(c in prop::collection::vec(0.0f64..1.0, 1..9), b in 1usize..5, k in 2usize..5) {
        let n = 9;
        let pattern = Pattern::separated(b, k).unwrap();
        let found = of_correlations(&c, n, b, pattern.at_most(n));
        let search = sign_search(&toeplitz_gram(&c, n), n, pattern);
        prop_assert!(found.value >= search - 1e-12);
        if found.kind == Kind::Exact {
            prop_assert!(found.value <= search + 1e-12);
        }
    }

    #[test]
    fn scaled_columns_are_bounded(
        c in prop::collection::vec(-0.5f64..1.0, 1..9), factors in prop::collection::vec(0.1f64..2.0, 8), b in 1usize..5, k in 1usize..5,
    ) {
        let n = 8;
        let mut gram = toeplitz_gram(&c, n);
        for (at, value) in gram.iter_mut().enumerate() {
            *value *= factors[at / n] * factors[at % n];
        }
        let pattern = Pattern::separated(b, k).unwrap();
        let search = sign_search(&gram, n, pattern);
        let found = of_scaled_toeplitz(&c, &factors, pattern);
        prop_assert!(found.value >= search - 1e-12);
        if found.kind == Kind::Exact {
            prop_assert!(found.value <= search + 1e-12);
        }
        let mut falling = factors.clone();
        falling.sort_by(|a, b| b.total_cmp(a));
        let absolute: Vec<f64> = coefficients::majorant(&c);
        prop_assert_eq!(of_scaled_toeplitz(&absolute, &falling, pattern).kind, Kind::Exact);
    }

    #[test]
    fn any_matrix_is_bounded(entries in prop::collection::vec(-1.0f64..1.0, 36), b in 1usize..4, k in 1usize..4, sign in prop::bool::ANY) {
        let n = 8;
        let mut c = vec![0.0; n * n];
        let mut entries = entries.iter().map(|entry| if sign { *entry } else { entry.abs() });
        for i in 0..n {
            c[i * n..=i * n + i].iter_mut().for_each(|entry| *entry = entries.next().expect("36 entries fill 8 rows"));
        }
        let gram = gram_of(&c, n);
        for pattern in [Pattern::Separated { separation: b, at_most: k }, Pattern::FixedOrder { separation: b, at_most: k }] {
            let search = sign_search(&gram, n, pattern);
            let found = of_gram(&gram, n, pattern);
            prop_assert!(found.value >= search - 1e-12, "{pattern}");
            if found.kind == Kind::Exact && !sign {
                prop_assert!(found.value <= search + 1e-11, "{pattern}");
            }
        }
    }

    #[test]
    fn gradient_of_the_bound_is_its_difference_quotient(c in prop::collection::vec(-1.0f64..1.0, 1..12), b in 1usize..6, k in 1usize..5) {
        let pattern = Pattern::separated(b, k).unwrap();
        let (_, gradient) = squared_with_gradient(&c, 12, pattern);
        for j in 0..c.len() {
            // Away from the kinks of |c| and of the majorant.
            let near = |x: f64| (0..c.len()).any(|i| i != j && (c[i].abs() - x.abs()).abs() < 1e-5) || x.abs() < 1e-5;
            if near(c[j]) {
                continue;
            }
            let at = |change: f64| {
                let mut moved = c.clone();
                moved[j] += change;
                squared_with_gradient(&moved, 12, pattern).0
            };
            let quotient = (at(1e-6) - at(-1e-6)) / 2e-6;
            prop_assert!((quotient - gradient[j]).abs() < 1e-7 * (1.0 + quotient.abs()), "{j}: {quotient} {}", gradient[j]);
        }
    }
}
