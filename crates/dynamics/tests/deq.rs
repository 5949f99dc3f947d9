//! Equilibrium models: descent against flow, and what theory says of stability and approximate ways back.

use rand_distr::{Distribution, StandardNormal};
use thalweg_descent::Seed;
use thalweg_dynamics::Error;
use thalweg_dynamics::deq::{Backward, Descent, LinearDeq, Outcome, Warning};
use thalweg_dynamics::ode::Tolerance;

fn descend(model: &mut LinearDeq, start: &[f64], rate: f64, steps: u64, backward: &str) -> Outcome {
    Descent { rate, steps, backward: backward.parse().unwrap(), record: vec![] }.run(model, start).unwrap()
}

#[test]
fn descent_approaches_the_flow_with_order_one() {
    let mut model = LinearDeq::new(&[1.0, 0.3, 0.3, 0.5], &[0.7, -1.1]).unwrap();
    let start = [0.2, -0.4, 0.3];
    let flow = model.flow(&start, &[0.0, 0.5], &Tolerance::default()).unwrap();
    let mut gap = |steps: u64| {
        let run = descend(&mut model, &start, 0.5 / steps as f64, steps, "exact");
        run.theta.iter().zip(flow.last()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    let orders = [200, 400, 800].map(|steps| (gap(steps) / gap(2 * steps)).log2());
    assert!(orders.iter().all(|order| (order - 1.0).abs() < 0.02), "{orders:?}");
}

#[test]
fn the_radius_drifts_by_the_prediction_on_every_way_back() {
    for backward in ["exact", "jfb", "neumann2", "neumann3", "damped2", "phantom5"] {
        let run = descend(&mut LinearDeq::scalar(1.0, 1.0).unwrap(), &[8f64.sqrt(), 0.0], 0.02, 5000, backward);
        let radius = run.radius_squared;
        assert!((radius.end - radius.predicted_end).abs() <= 1e-12 * radius.end, "{backward}: {radius:?}");
        assert!(radius.end - radius.start > 0.05);
    }
}

#[test]
fn two_terms_stall_and_are_found_out() {
    let mut model = LinearDeq::scalar(1.0, 1.0).unwrap();
    let mut run = |backward| descend(&mut model, &[8f64.sqrt(), 0.0], 0.02, 5000, backward);
    let stuck = run("neumann2");
    assert!((stuck.risk - 0.01600863521938117).abs() < 1e-12 && (stuck.theta[1] + 1.0).abs() < 1e-12);
    assert!(stuck.warnings.contains(&Warning::StuckNotMinimum));
    for backward in ["exact", "jfb", "damped2"] {
        let run = run(backward);
        assert!(run.risk < 1e-25 && !run.warnings.contains(&Warning::StuckNotMinimum), "{backward}");
        assert!(run.warnings.contains(&Warning::ContractionViolated), "{backward} ends at v < -1");
    }
}

#[test]
fn converged_runs_end_above_the_stability_line() {
    // 20 random starts around the degenerate point, N((0, 1), 0.1^2).
    let starts = Seed(3).stream("starts");
    let mut converged = 0;
    for at in 0..20 {
        let mut rng = starts.at(at);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let start = [0.1 * normal(), 1.0 + 0.1 * normal()];
        let mut model = LinearDeq::scalar(1.0 / 3.0, 2.0).unwrap();
        let run = descend(&mut model, &start, 0.01, 4000, "exact");
        let line = model.stability_line(0.01).unwrap();
        assert!((line - 0.01 / 3.0 * 25.0).abs() < 1e-15);
        assert!(run.risk > 1e-20 || run.radius_squared.end >= line, "{start:?}");
        assert_eq!(run.warnings.contains(&Warning::LongStep), run.longest_step > 1.0);
        converged += u32::from(run.risk < 1e-20);
    }
    assert!(converged >= 10, "{converged}");
}

#[test]
fn a_run_that_diverges_stops_with_step_and_value() {
    let descent = Descent { rate: 1e9, steps: 10, backward: Backward::Exact, record: vec![] };
    let error = descent.run(&mut LinearDeq::scalar(1.0, 2.0).unwrap(), &[0.1, 0.2]).unwrap_err();
    assert!(matches!(error, Error::Diverged { step: 0, value, .. } if value > 1e6), "{error}");
    let bad = |rate, start: &[f64]| {
        let descent = Descent { rate, steps: 1, backward: Backward::Exact, record: vec![] };
        descent.run(&mut LinearDeq::scalar(1.0, 2.0).unwrap(), start).unwrap_err().to_string()
    };
    assert!(bad(0.0, &[0.1, 0.2]).contains("learning rate"));
    assert!(bad(f64::NAN, &[0.1, 0.2]).contains("learning rate"));
    assert!(bad(0.1, &[0.1, 1.0]).contains("v is 1"));
    assert!(bad(0.1, &[]).contains("number of parameters"));
    // Half a step of the gradient (-2, -2) lands on v = 1.
    let descent = Descent { rate: 0.5, steps: 2, backward: Backward::Exact, record: vec![] };
    let error = descent.run(&mut LinearDeq::scalar(1.0, 2.0).unwrap(), &[1.0, 0.0]).unwrap_err();
    assert!(matches!(error, Error::Step { step: 1, .. }) && error.to_string().starts_with("in step 1: v is 1"), "{error}");
}
