//! Buffered linear Toeplitz strategies: the golden table of optimiser quality, any schedule and pattern, and the edges.

use thalweg_private::{Blt, BuildOptions, Form, Kind, Name, Objective, Pattern, Ratios, Strategy, Workload, evaluate};

fn constant(n: usize) -> Workload {
    Workload::new(Ratios::constant(n).unwrap())
}

/// MaxSE for single participation at a constant rate, over `1 + ln(n)/pi`.
fn quality(n: usize, buffers: usize) -> f64 {
    let workload = constant(n);
    let strategy = Strategy::blt(&workload, Some(buffers), Pattern::Single, Objective::Max).unwrap();
    assert!(strategy.memory_vectors() <= 2 * buffers);
    evaluate(&workload, &strategy, Pattern::Single).unwrap().max_se / (1.0 + (n as f64).ln() / std::f64::consts::PI)
}

#[test]
fn quality_meets_the_golden_table() {
    for (n, buffers, limit) in
        [(1000, 2, 1.040), (1000, 3, 1.03), (10_000, 3, 1.03), (100_000, 4, 1.03), (100_000, 2, 1.16), (1_000_000, 5, 1.05)]
    {
        let found = quality(n, buffers);
        assert!(found <= limit, "{n} {buffers}: {found}");
    }
}

#[test]
fn two_buffers_at_a_thousand_steps_are_no_worse_than_the_reference() {
    let workload = constant(1000);
    let strategy = Strategy::blt(&workload, Some(2), Pattern::Single, Objective::Max).unwrap();
    let found = evaluate(&workload, &strategy, Pattern::Single).unwrap();
    assert!(found.max_se < 3.321262 + 1e-6, "{}", found.max_se);
    assert_eq!(found.argmax_row, 1000);
}

#[test]
fn the_reference_parameters_at_a_hundred_thousand_steps_are_found_again() {
    let workload = constant(100_000);
    let strategy = Strategy::blt(&workload, Some(2), Pattern::Single, Objective::Max).unwrap();
    let Form::Buffered { blt } = strategy.form() else { panic!("another form") };
    for (found, expected) in blt.omega().iter().zip([0.0122853238, 0.1878393665]) {
        assert!((found / expected - 1.0).abs() < 1e-5, "{blt:?}");
    }
    for (found, expected) in blt.theta().iter().zip([0.9999528892, 0.9857068667]) {
        assert!((found - expected).abs() < 1e-5, "{blt:?}");
    }
    let published = Blt::new(vec![0.0122853238, 0.1878393665], vec![0.9999528892, 0.9857068667]).unwrap();
    let published = Strategy::new(Name::Blt, 100_000, Form::Buffered { blt: published }).unwrap();
    let error = |strategy| evaluate(&workload, strategy, Pattern::Single).unwrap();
    assert!((error(&published).max_se - 5.29674715).abs() < 1e-7);
    assert!((error(&published).sensitivity.value.powi(2) - 4.1667918467).abs() < 1e-8);
    assert!(error(&strategy).max_se <= error(&published).max_se * (1.0 + 1e-9));
}

#[test]
fn any_schedule_and_pattern_is_served_and_more_buffers_are_never_worse() {
    let n = 150;
    let warm: Vec<f64> = (0..n).map(|t| ((t + 1) as f64 / 10.0).min(1.0) * (1.0 - 0.9 * t as f64 / n as f64)).collect();
    let with = |ratios, momentum, decay| Workload::new(ratios).with_momentum(momentum).unwrap().with_decay(decay).unwrap();
    let workloads = [
        with(Ratios::exponential(n, 0.1).unwrap(), 0.0, 0.0),
        with(Ratios::exponential(n, 0.1).unwrap(), 0.9, 0.0),
        with(Ratios::cosine(n, 0.01).unwrap(), 0.0, 0.0),
        with(Ratios::new(warm).unwrap(), 0.5, 0.01),
    ];
    let patterns = [Pattern::Single, Pattern::separated(30, 5).unwrap(), Pattern::FixedOrder { separation: 50, at_most: 3 }];
    for (workload, pattern) in workloads.iter().flat_map(|workload| patterns.map(|pattern| (workload, pattern))) {
        for objective in [Objective::Mean, Objective::Max] {
            let error = |strategy: &Strategy| evaluate(workload, strategy, pattern).unwrap().get(objective);
            let mut before = error(&Strategy::identity(n).unwrap());
            for buffers in [1, 2, 3] {
                let strategy = Strategy::blt(workload, Some(buffers), pattern, objective).unwrap();
                let sensitivity = strategy.sensitivity(pattern).unwrap();
                assert_eq!(sensitivity.kind, Kind::Exact);
                assert!(error(&strategy) <= before, "{pattern} {objective:?} {buffers}");
                before = error(&strategy);
            }
            if pattern == Pattern::Single && workload.is_plain() {
                let banded = error(&Strategy::bandinvmf(workload, 3, pattern, objective).unwrap());
                assert!(before < banded, "{objective:?}: {before} against {banded} of three bands");
            }
        }
    }
}

#[test]
fn optima_are_stationary() {
    let workload = Workload::new(Ratios::cosine(200, 0.1).unwrap());
    let pattern = Pattern::separated(50, 4).unwrap();
    for objective in [Objective::Mean, Objective::Max] {
        let strategy = Strategy::blt(&workload, Some(2), pattern, objective).unwrap();
        let Form::Buffered { blt } = strategy.form() else { panic!("another form") };
        let error = |blt: Blt| {
            let moved = Strategy::new(Name::Blt, 200, Form::Buffered { blt }).unwrap();
            evaluate(&workload, &moved, pattern).unwrap().get(objective)
        };
        let least = error(blt.clone());
        for (j, change) in (0..blt.buffers()).flat_map(|j| [(j, 1e-3), (j, -1e-3)]) {
            let moved = |values: &[f64], relative: f64| {
                let mut values = values.to_vec();
                values[j] *= relative;
                values
            };
            let weights = Blt::new(moved(blt.omega(), 1.0 + change), blt.theta().to_vec()).unwrap();
            let decays = Blt::new(blt.omega().to_vec(), moved(blt.theta(), 1.0 + 0.1 * change)).unwrap();
            for other in [weights, decays] {
                assert!(error(other) > least * (1.0 - 1e-7), "{objective:?} {j} {change}");
            }
        }
    }
}

#[test]
fn buffers_are_added_while_worth_their_memory() {
    let workload = constant(1000);
    let options = BuildOptions { bands: None, objective: Objective::Mean };
    let free = Strategy::build(Name::Blt, &workload, Pattern::Single, options).unwrap();
    let buffers = free.memory_vectors() / 2;
    assert!((2..=4).contains(&buffers), "{buffers}");
    for (bands, limit) in [(1, 0), (2, 0), (3, 2), (4, 2), (5, 4), (64, 20)] {
        let options = BuildOptions { bands: Some(bands), ..options };
        let memory = Strategy::build(Name::Blt, &workload, Pattern::Single, options).unwrap().memory_vectors();
        assert!(memory <= limit && memory < bands.max(1), "{bands}: {memory}");
    }
    let error = Strategy::blt(&workload, Some(11), Pattern::Single, Objective::Mean).unwrap_err().to_string();
    assert!(error.contains("at most 10"), "{error}");
}

#[test]
fn short_runs_are_served() {
    for n in [1, 2, 3] {
        for objective in [Objective::Mean, Objective::Max] {
            let workload = constant(n);
            let strategy = Strategy::blt(&workload, None, Pattern::Single, objective).unwrap();
            let identity = Strategy::identity(n).unwrap();
            let error = |strategy| evaluate(&workload, strategy, Pattern::Single).unwrap().get(objective);
            assert!(error(&strategy) <= error(&identity));
        }
    }
}
