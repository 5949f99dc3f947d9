//! The optimum over all matrices: golden values, better than every other mechanism, above the lower bound.

use thalweg_private::{
    CompareOptions, Kind, Name, Objective, Pattern, Ratios, Strategy, Workload, compare, evaluate, lower_bound,
};

fn exponential(n: usize, beta: f64) -> Workload {
    Workload::new(Ratios::exponential(n, beta).unwrap())
}

#[test]
fn the_optimum_meets_the_golden_values() {
    for (beta, expected) in [(1.0, 2.099856), (0.5, 1.701503), (0.25, 1.477734), (0.1, 1.314638), (0.01, 1.148162)] {
        let workload = exponential(64, beta);
        let strategy = Strategy::dense(&workload).unwrap();
        let found = evaluate(&workload, &strategy, Pattern::Single).unwrap();
        assert!((found.mean_se - expected).abs() < 1e-6, "{beta}: {} instead of {expected}", found.mean_se);
        assert!((found.sensitivity.value - 1.0).abs() < 1e-12);
        assert_eq!((found.sensitivity.kind, strategy.memory_vectors()), (Kind::Exact, 63));
    }
}

#[test]
fn no_mechanism_has_a_smaller_mean_error_for_single_participation() {
    let with = |ratios, momentum, decay| Workload::new(ratios).with_momentum(momentum).unwrap().with_decay(decay).unwrap();
    for workload in [
        exponential(60, 1.0),
        exponential(60, 0.01),
        with(Ratios::cosine(60, 0.01).unwrap(), 0.0, 0.0),
        with(Ratios::linear(60, 0.1).unwrap(), 0.9, 0.0),
        with(Ratios::polynomial(60, 0.1).unwrap(), 0.5, 0.05),
    ] {
        let found = compare(&workload, Pattern::Single, &CompareOptions::default()).unwrap();
        let error = |name: Name| found.mechanisms.iter().find(|entry| entry.name == name).unwrap().evaluated().unwrap().mean_se;
        let least = error(Name::Dense);
        assert!(least >= lower_bound(&workload, Pattern::Single).unwrap());
        for name in Name::ALL.into_iter().filter(|&name| name != Name::Dense) {
            assert!(error(name) > least, "{name}: {} against {least}", error(name));
        }
    }
}

#[test]
fn several_participations_are_evaluated_with_a_valid_sensitivity() {
    let workload = exponential(60, 0.1);
    let strategy = Strategy::dense(&workload).unwrap();
    for pattern in [Pattern::separated(20, 3).unwrap(), Pattern::FixedOrder { separation: 20, at_most: 3 }] {
        let found = evaluate(&workload, &strategy, pattern).unwrap();
        // Of the units in steps 0, 20 and 40, say, with equal gradients.
        let c = strategy.matrix();
        let sums: f64 = (0..60).map(|i| [0, 20, 40].iter().map(|&j| c[i * 60 + j]).sum::<f64>()).map(|sum| sum * sum).sum();
        assert!(found.sensitivity.value >= sums.sqrt() * (1.0 - 1e-12) && found.sensitivity.value <= 3.0);
    }
}

#[test]
fn one_step_and_too_many_are_answered() {
    let one = exponential(1, 1.0);
    let found = evaluate(&one, &Strategy::dense(&one).unwrap(), Pattern::Single).unwrap();
    assert!((found.get(Objective::Max) - 1.0).abs() < 1e-15);
    let error = Strategy::dense(&exponential(513, 0.5)).unwrap_err().to_string();
    assert!(error.contains("512") && error.contains("bandinvmf"), "{error}");
}
