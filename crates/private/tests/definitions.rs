//! Every closed form against its definition: matrices written down entry by entry, inverted and multiplied naively, and the
//! sensitivity found by trying all participations and all signs.

use thalweg_private::{Kind, Pattern, Ratios, Strategy, Workload, evaluate};

type Matrix = Vec<Vec<f64>>;

fn matrix(n: usize, entry: impl Fn(usize, usize) -> f64) -> Matrix {
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

/// Lower-triangular Toeplitz with that first column.
fn toeplitz(n: usize, column: impl Fn(usize) -> f64) -> Matrix {
    matrix(n, |i, j| if j <= i { column(i - j) } else { 0.0 })
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    matrix(a.len(), |i, j| (0..a.len()).map(|k| a[i][k] * b[k][j]).sum())
}

/// Of a lower-triangular matrix, row by row.
fn inverse(a: &Matrix) -> Matrix {
    let mut inverse: Matrix = Vec::with_capacity(a.len());
    for (i, row) in a.iter().enumerate() {
        let entry = |j: usize| {
            let rest: f64 = (j..i).map(|k| row[k] * inverse[k][j]).sum();
            if j <= i { (f64::from(u8::from(i == j)) - rest) / row[i] } else { 0.0 }
        };
        inverse.push((0..a.len()).map(entry).collect());
    }
    inverse
}

/// `|binom(-1/2, j)| = binom(2j, j) / 4^j`.
fn root(j: usize) -> f64 {
    (1..=j).map(|i| (2 * i - 1) as f64 / (2 * i) as f64).product()
}

/// `binom(1/2, j) (-1)^j`: the coefficients of `(1 - x)^{1/2}`.
fn inverse_root(j: usize) -> f64 {
    (1..=j).map(|i| (i as f64 - 1.5) / i as f64).product()
}

/// What is left of a coefficient sequence after p bands.
fn banded(p: usize, coefficient: impl Fn(usize) -> f64) -> impl Fn(usize) -> f64 {
    move |j| if j < p { coefficient(j) } else { 0.0 }
}

/// All sets of steps in which a unit may take part, by trying every subset.
fn participations(n: usize, pattern: Pattern) -> Vec<Vec<usize>> {
    let (b, k, fixed) = match pattern {
        Pattern::Single => (n, 1, false),
        Pattern::Separated { separation, at_most } => (separation, at_most, false),
        Pattern::FixedOrder { separation, at_most } => (separation, at_most, true),
    };
    let steps = |set: u32| (0..n).filter(|i| set >> i & 1 == 1).collect::<Vec<_>>();
    let fits = |set: &Vec<usize>| {
        let gaps = set.windows(2).map(|pair| pair[1] - pair[0]);
        set.len() <= k && gaps.into_iter().all(|gap| if fixed { gap == b } else { gap >= b })
    };
    (1..1u32 << n).map(steps).filter(fits).collect()
}

/// The largest norm of `C u` over all participations and signs.
fn brute_sensitivity(c: &Matrix, pattern: Pattern) -> f64 {
    let n = c.len();
    let norm = |steps: &[usize], signs: u32| {
        let row = |i: usize| -> f64 {
            let terms = steps.iter().enumerate().map(|(at, &j)| if signs >> at & 1 == 1 { -c[i][j] } else { c[i][j] });
            terms.sum()
        };
        (0..n).map(|i| row(i).powi(2)).sum::<f64>().sqrt()
    };
    let of = |steps: Vec<usize>| (0..1u32 << (steps.len() - 1)).map(|signs| norm(&steps, signs)).fold(0.0, f64::max);
    participations(n, pattern).into_iter().map(of).fold(0.0, f64::max)
}

#[track_caller]
fn check(workload: &Workload, chi: &[f64], strategy: &Strategy, c: &Matrix, pattern: Pattern, what: &str) {
    let n = chi.len();
    let found = evaluate(workload, strategy, pattern).unwrap();
    let brute = brute_sensitivity(c, pattern);
    let sensitivity = found.sensitivity.value;
    match found.sensitivity.kind {
        Kind::Exact => assert!((sensitivity - brute).abs() < 1e-10 * brute, "{what}: {sensitivity}, by trial {brute}"),
        Kind::Upper => assert!(sensitivity > brute * (1.0 - 1e-12), "{what}: {sensitivity} is below {brute}"),
    }
    let b = product(&matrix(n, |m, t| if t <= m { chi[t] } else { 0.0 }), &inverse(c));
    let squares: Vec<f64> = b.iter().map(|row| row.iter().map(|entry| entry * entry).sum()).collect();
    let worst = squares.iter().copied().fold(0.0, f64::max);
    let (max, mean) = (sensitivity * worst.sqrt(), sensitivity * (squares.iter().sum::<f64>() / n as f64).sqrt());
    assert!((found.max_se - max).abs() < 1e-10 * max, "{what}: MaxSE {}, by the matrices {max}", found.max_se);
    assert!((found.mean_se - mean).abs() < 1e-10 * mean, "{what}: MeanSE {}, by the matrices {mean}", found.mean_se);
    assert!(squares[found.argmax_row - 1] > worst * (1.0 - 1e-12), "{what}: row {}", found.argmax_row);
}

/// The Toeplitz matrix whose square has the first column chi, found by trying each entry.
fn square_root(chi: &[f64]) -> impl Fn(usize) -> f64 {
    let mut c: Vec<f64> = vec![chi[0].sqrt()];
    for j in 1..chi.len() {
        let square = |last: f64| (1..j).map(|i| c[i] * c[j - i]).sum::<f64>() + 2.0 * c[0] * last;
        // Linear in the last entry.
        let (at_0, at_1) = (square(0.0), square(1.0));
        c.push((chi[j] - at_0) / (at_1 - at_0));
    }
    move |j| c[j]
}

fn patterns(n: usize) -> Vec<Pattern> {
    let mut patterns = vec![Pattern::Single];
    for (b, k) in [(1, 2), (1, n), (2, 2), (2, n), (3, 2), (3, 3), (4, 2)] {
        let k = k.min(n.div_ceil(b));
        patterns.push(Pattern::Separated { separation: b, at_most: k });
        patterns.push(Pattern::FixedOrder { separation: b, at_most: k });
    }
    patterns
}

/// All closed forms of one schedule, for which `damped` is what a coefficient of the learning-rate-aware inverse root is, where the
/// schedule has one.
fn check_all(ratios: Ratios, damped: Option<f64>, schedule: &str) {
    let (chi, n) = (ratios.values().to_vec(), ratios.len());
    let workload = Workload::new(ratios);
    let lr_root = square_root(&chi);
    let lr_inverse = inverse(&toeplitz(n, &lr_root));
    if let Some(alpha) = damped {
        // The definition of the paper and that for any schedule are one.
        (0..n).for_each(|j| assert!((lr_root(j) - alpha.powi(j as i32) * root(j)).abs() < 1e-12, "{schedule} {j}"));
    }
    let mut cases: Vec<(String, Strategy, Matrix)> = vec![
        ("identity".into(), Strategy::identity(n).unwrap(), toeplitz(n, banded(1, |_| 1.0))),
        ("output".into(), Strategy::output(&workload), matrix(n, |m, t| if t <= m { chi[t] } else { 0.0 })),
        ("split".into(), Strategy::split(&workload), matrix(n, |i, j| if j <= i { root(i - j) * chi[j] } else { 0.0 })),
        ("prefix-root".into(), Strategy::prefix_root(&workload), toeplitz(n, root)),
        ("lr-root".into(), Strategy::lr_root(&workload), toeplitz(n, &lr_root)),
    ];
    for lambda in [0.0, 0.3, 0.95] {
        let c = toeplitz(n, |j| f64::powi(lambda, j as i32));
        cases.push((format!("lambda-cgd {lambda}"), Strategy::lambda_cgd(n, lambda).unwrap(), c));
    }
    for p in [1, 2, 3, n].into_iter().filter(|p| *p <= n) {
        let inverse_of = |coefficient: &dyn Fn(usize) -> f64| inverse(&toeplitz(n, banded(p, coefficient)));
        cases.push((format!("bsr {p}"), Strategy::bsr(&workload, p).unwrap(), toeplitz(n, banded(p, root))));
        cases.push((format!("lr-bsr {p}"), Strategy::lr_bsr(&workload, p).unwrap(), toeplitz(n, banded(p, &lr_root))));
        cases.push((format!("bisr {p}"), Strategy::bisr(&workload, p).unwrap(), inverse_of(&inverse_root)));
        cases.push((format!("lr-bisr {p}"), Strategy::lr_bisr(&workload, p).unwrap(), inverse_of(&|j| lr_inverse[j][0])));
    }
    for (name, strategy, c) in &cases {
        for pattern in patterns(n) {
            check(&workload, &chi, strategy, c, pattern, &format!("{name}, {n} steps, {schedule}, {pattern:?}"));
        }
    }
}

#[test]
fn closed_forms_are_their_definitions_under_every_schedule() {
    for n in [1, 2, 3, 5, 9] {
        for beta in [1.0, 0.37, 0.013] {
            let alpha = if n > 1 { f64::powf(beta, 1.0 / (n - 1) as f64) } else { 1.0 };
            check_all(Ratios::exponential(n, beta).unwrap(), Some(alpha), &format!("exponential {beta}"));
            check_all(Ratios::linear(n, beta).unwrap(), None, &format!("linear {beta}"));
            check_all(Ratios::cosine(n, beta).unwrap(), None, &format!("cosine {beta}"));
            check_all(Ratios::polynomial(n, beta).unwrap(), None, &format!("polynomial {beta}"));
        }
    }
    // Any rates: a warm-up, and a jump.
    check_all(Ratios::new(vec![1.0, 3.0, 5.0, 7.0, 2.5, 0.5]).unwrap(), None, "rising, then falling");
    check_all(Ratios::new(vec![1.0, 1.0, 0.01, 0.01, 3.0]).unwrap(), None, "with jumps");
}

#[test]
fn schedules_are_their_formulas() {
    for (n, beta) in [(2, 0.5), (7, 0.1), (12, 0.03)] {
        let at = |t: usize| t as f64 / (n - 1) as f64;
        let formulas: [(Ratios, &dyn Fn(usize) -> f64); 4] = [
            (Ratios::exponential(n, beta).unwrap(), &|t| beta.powf(at(t))),
            (Ratios::linear(n, beta).unwrap(), &|t| 1.0 - (1.0 - beta) * at(t)),
            (Ratios::cosine(n, beta).unwrap(), &|t| beta + (1.0 - beta) * (1.0 + (std::f64::consts::PI * at(t)).cos()) / 2.0),
            (Ratios::polynomial(n, beta).unwrap(), &|t| 1.0 / (1.0 + (1.0 / beta - 1.0) * at(t))),
        ];
        for (ratios, formula) in formulas {
            ratios.values().iter().enumerate().for_each(|(t, chi)| assert!((chi - formula(t)).abs() < 1e-14, "{n} {beta} {t}"));
        }
    }
}
