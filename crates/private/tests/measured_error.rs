//! The error that a plan states against the error that its guard makes: 200 runs of 256 steps without any gradients.

use thalweg_descent::step::{Sgd, Step};
use thalweg_descent::{Guard, Participation, Record};
use thalweg_private::{Name, NoiseKey, PlanSummary, PrivacyPlan, Ratios, Workload};

const STEPS: usize = 256;
const RUNS: u64 = 200;
/// Parameters of a run, each with noise of its own.
const PARAMETERS: usize = 64;
const BATCH: f64 = 32.0;
const MOMENTUM: f64 = 0.9;
const DECAY: f64 = 0.01;

/// Root mean squared errors of the iterates, in units of noise multiplier times clip norm.
struct Measured {
    mean: f64,
    at_argmax_row: f64,
}

fn measure(plan: &PrivacyPlan, chi: &[f64], make_step: impl Fn() -> Sgd<f32>) -> Measured {
    let summary = plan.summary();
    let mut squares = vec![0.0; STEPS];
    for run in 0..RUNS {
        let (mut guard, mut step) = (plan.guard(&NoiseKey::insecure(run)), make_step());
        let mut iterate = vec![0.0f32; PARAMETERS];
        for (t, (&rate, square)) in chi.iter().zip(&mut squares).enumerate() {
            let mut update = vec![0.0f32; PARAMETERS];
            guard.release(t as u64, 0, &mut update, &mut Record::default()).unwrap();
            step.step(rate, &update, &mut iterate);
            *square += iterate.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        }
    }
    let unit = summary.noise_multiplier * summary.clip / BATCH;
    let root = |sum: f64, count: usize| (sum / (RUNS as usize * PARAMETERS * count) as f64).sqrt() / unit;
    Measured { mean: root(squares.iter().sum(), STEPS), at_argmax_row: root(squares[summary.argmax_row - 1], 1) }
}

#[track_caller]
fn check(summary: &PlanSummary, measured: &Measured, tolerance: f64) {
    let (mean, max) = (measured.mean / summary.mean_se - 1.0, measured.at_argmax_row / summary.max_se - 1.0);
    assert!(mean.abs() < tolerance, "{}: the mean error is off by {mean}", summary.mechanism);
    assert!(max.abs() < tolerance, "{}: the largest error is off by {max}", summary.mechanism);
}

fn plan(name: Name, workload: Workload) -> PrivacyPlan {
    let batches = Participation::Separated { separation: 64, at_most: 4 };
    let plan = PrivacyPlan::new(2.0, 1e-5, name, workload, batches).with_bands(Some(8));
    plan.with_clip(0.5).with_expected_batch(BATCH).build().unwrap()
}

// One row of 12,800 errors has a relative standard error of 0.6 %, and the mean of all rows less: 3 % are five of them.
#[test]
fn noisy_prefix_sums_and_momentum_iterates_have_the_stated_errors() {
    for ratios in [Ratios::constant(STEPS).unwrap(), Ratios::exponential(STEPS, 0.1).unwrap()] {
        let plain = Workload::new(ratios.clone());
        let heavy = plain.clone().with_momentum(MOMENTUM).unwrap().with_decay(DECAY).unwrap();
        for name in [Name::Identity, Name::PrefixRoot, Name::LrRoot, Name::Bisr, Name::Bsr] {
            let plan_ = plan(name, plain.clone());
            let measured = measure(&plan_, ratios.values(), Sgd::plain);
            check(&plan_.summary(), &measured, 0.03);
            // The negative control: the plan of a workload with other rates.
            let other = plan(name, Workload::new(Ratios::exponential(STEPS, 0.5).unwrap())).summary();
            assert!((measured.mean / other.mean_se - 1.0).abs() > 0.03, "{name}");
        }
        let plan_ = plan(Name::Bisr, heavy);
        let measured = measure(&plan_, ratios.values(), || Sgd::new(MOMENTUM, DECAY).unwrap());
        check(&plan_.summary(), &measured, 0.03);
    }
}
