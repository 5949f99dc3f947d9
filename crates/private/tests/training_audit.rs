//! One-run audits of a real training: logistic regression on plain slices, through the descent's loop.

use std::num::NonZeroUsize;
use std::ops::ControlFlow::Continue;

use rand::RngExt;
use thalweg_descent::differentiate::{Differentiate, EachUnit};
use thalweg_descent::step::Sgd;
use thalweg_descent::{Batch, Batches, Descent, Layout, Participation, Pieces, Rates, Reduction, Schedule, Seed};
use thalweg_private::audit::{CanaryGradients, Direction, Method, TrainingAudit, Verdict};
use thalweg_private::{Clip, Name, NoiseKey, PrivacyPlan, Ratios, Shares, Workload};

const EXAMPLES: usize = 600;
const CANARIES: usize = 400;
const FEATURES: usize = 511;
const BATCH: usize = 50;
const STEPS: u64 = 200;
const DELTA: f64 = 1e-7;
const PERIOD: u64 = ((EXAMPLES + CANARIES) / BATCH) as u64;

fn layout() -> Layout {
    let mut layout = Layout::single("weight", &[FEATURES]);
    layout.push("bias", &[1]);
    layout
}

/// Log-loss of examples whose label is the sign of a sum of eight of their features.
fn logistic_regression() -> impl Differentiate<Batch, f32> {
    let mut rng = Seed(7).stream("data").at(0);
    let inputs: Vec<f32> = (0..EXAMPLES * FEATURES).map(|_| rng.random_range(-1.0..1.0)).collect();
    EachUnit::new(layout(), move |parameters: &[f32], i: usize, gradient: &mut [f32]| {
        let input = &inputs[i * FEATURES..(i + 1) * FEATURES];
        let label = if input[..8].iter().sum::<f32>() > 0.0 { 1.0 } else { -1.0 };
        let (weight, bias) = (&parameters[..FEATURES], parameters[FEATURES]);
        let margin = label * (input.iter().zip(weight).map(|(x, w)| x * w).sum::<f32>() + bias);
        let slope = -label / (1.0 + margin.exp());
        gradient.iter_mut().zip(input.iter().chain([&1.0])).for_each(|(gradient, x)| *gradient = slope * x);
        Ok(f64::from(-margin).exp().ln_1p())
    })
}

fn fixed_order() -> Participation {
    Participation::Separated { separation: PERIOD, at_most: STEPS / PERIOD }
}

fn plan(name: Name, epsilon: f64, participation: Participation, clip: Clip) -> PrivacyPlan {
    let workload = Workload::new(Ratios::exponential(STEPS as usize, 0.1).unwrap());
    let plan = PrivacyPlan::new(epsilon, DELTA, name, workload, participation).with_expected_batch(BATCH as f64);
    plan.with_bands(Some(4)).with_clipping(clip).build().unwrap()
}

fn flat() -> Clip {
    Clip::to(1.0).unwrap()
}

/// An audit of `claimed`, and the descent that carries out `real`.
fn set_up(claimed: &PrivacyPlan, real: &PrivacyPlan, seed: u64, threads: usize) -> (TrainingAudit, Descent<Batch, f32>) {
    let canaries = CanaryGradients::new(CANARIES, &layout(), Direction::Sparse { coordinates: 1 }, Seed(seed)).unwrap();
    let audit = TrainingAudit::new(claimed, canaries, EXAMPLES);
    let stream = Seed(seed).stream("batches");
    let batches = match real.summary().participation {
        Participation::Poisson { .. } => Batches::poisson(audit.population(), BATCH as f64, stream),
        Participation::CyclicPoisson { groups, .. } => {
            Batches::cyclic_poisson(audit.population(), groups as usize, BATCH as f64, stream)
        }
        Participation::BallsInBins { bins } => Batches::balls_in_bins(audit.population(), bins as usize, &stream),
        Participation::BMinSep { separation, .. } => Batches::b_min_sep(audit.population(), separation, BATCH as f64, stream),
        _ => Batches::fixed_order(audit.population(), BATCH, STEPS, &stream),
    };
    let pieces = Pieces {
        choose: Box::new(audit.choose(batches.unwrap().in_shards_of(20))),
        differentiate: Box::new(audit.differentiate(logistic_regression())),
        reduction: Reduction::on_threads(NonZeroUsize::new(threads).unwrap()),
        guard: Box::new(real.guard(&NoiseKey::insecure(seed))),
        step: Box::new(Sgd::plain()),
        observe: vec![Box::new(audit.observer())],
    };
    let rates = Rates::new(2.0, Schedule::Constant, STEPS).unwrap();
    (audit, Descent::new(vec![0.0; FEATURES + 1], layout(), rates, pieces).unwrap())
}

fn trained(claimed: &PrivacyPlan, real: &PrivacyPlan) -> TrainingAudit {
    let (audit, mut descent) = set_up(claimed, real, 1, 1);
    descent.run(|_| Continue(())).unwrap();
    audit
}

fn mean_and_variance(scores: &[f64]) -> (f64, f64) {
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    (mean, scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / scores.len() as f64)
}

#[test]
fn scores_are_those_of_an_adversary_who_knows_everything_but_the_coins() {
    for (name, clip) in
        [(Name::Identity, flat()), (Name::LrBisr, flat()), (Name::PrefixRoot, Clip::global(0.5).unwrap()), (Name::Bsr, flat())]
    {
        let plan = plan(name, 4.0, fixed_order(), clip);
        let scores = trained(&plan, &plan).scores().unwrap();
        assert_eq!(scores.inside().len() + scores.outside().len(), CANARIES);
        for (scores, shift) in [(scores.inside(), 1.0 / plan.summary().noise_multiplier), (scores.outside(), 0.0)] {
            let (mean, variance) = mean_and_variance(scores);
            let n = scores.len() as f64;
            // Five standard errors each: a false alarm in 100,000 seeds for all sixteen.
            assert!((mean - shift).abs() < 5.0 / n.sqrt(), "{name}: {mean} instead of {shift}");
            assert!((variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{name}: {variance}");
        }
    }
}

#[test]
fn a_sound_training_is_consistent_and_too_little_noise_is_not() {
    let claimed = plan(Name::LrBisr, 1.0, fixed_order(), flat());
    // The noise of epsilon 60: an eighth of what is claimed.
    let faulty = plan(Name::LrBisr, 60.0, fixed_order(), flat());
    for method in [Method::OneRun, Method::OneRunFdp] {
        let report = trained(&claimed, &claimed).report(method).unwrap();
        assert_eq!(report.verdict, Verdict::Consistent, "{method}: {report:?}");
        let report = trained(&claimed, &faulty).report(method).unwrap();
        assert_eq!(report.verdict, Verdict::Violated, "{method}: {report:?}");
        // Where so much is claimed, so little noise is right.
        let report = trained(&faulty, &faulty).report(method).unwrap();
        assert_eq!(report.verdict, Verdict::Consistent);
        assert!(report.epsilon_lower_bound > 3.0, "{method}: {}", report.epsilon_lower_bound);
    }
}

#[test]
fn sampled_batches_are_audited_without_knowing_the_sample() {
    let sampled = || Participation::Poisson { rate: BATCH as f64 / (EXAMPLES + CANARIES) as f64 };
    let claimed = plan(Name::Identity, 1.0, sampled(), flat());
    let audit = trained(&claimed, &claimed);
    let report = audit.report(Method::OneRun).unwrap();
    assert_eq!(report.verdict, Verdict::Consistent, "{report:?}");
    assert_eq!(report.canaries_inside + report.canaries_outside, CANARIES);
    assert!(audit.report(Method::OneRunFdp).unwrap_err().to_string().contains("sampling"));
    assert!(audit.report(Method::Gdp).unwrap_err().to_string().contains("one training"));
    let faulty = plan(Name::Identity, 60.0, sampled(), flat());
    let report = trained(&claimed, &faulty).report(Method::OneRun).unwrap();
    assert_eq!(report.verdict, Verdict::Violated, "{report:?}");
}

#[test]
fn every_sampling_is_audited_without_knowing_the_sample() {
    let rate = BATCH as f64 / (EXAMPLES + CANARIES) as f64;
    for (name, sampled) in [
        (Name::Bandmf, Participation::CyclicPoisson { groups: 4, rate }),
        (Name::Bisr, Participation::BallsInBins { bins: PERIOD }),
        (Name::Bandmf, Participation::BMinSep { separation: 4, rate }),
    ] {
        // One run refutes nothing at a delta that is not small beside 1 / canaries; drawn losses take long at a much smaller one.
        let plan = |epsilon: f64| {
            let workload = Workload::new(Ratios::exponential(STEPS as usize, 0.1).unwrap());
            let plan = PrivacyPlan::new(epsilon, 1e-4, name, workload, sampled.clone()).with_expected_batch(BATCH as f64);
            plan.with_bands(Some(4)).build().unwrap()
        };
        let (claimed, faulty) = (plan(1.0), plan(60.0));
        let audit = trained(&claimed, &claimed);
        let report = audit.report(Method::OneRun).unwrap();
        assert_eq!(report.verdict, Verdict::Consistent, "{sampled}: {report:?}");
        assert_eq!(report.canaries_inside + report.canaries_outside, CANARIES);
        assert!(audit.report(Method::OneRunFdp).unwrap_err().to_string().contains("sampling"));
        let report = trained(&claimed, &faulty).report(Method::OneRun).unwrap();
        assert_eq!(report.verdict, Verdict::Violated, "{sampled}: {report:?}");
    }
}

#[test]
fn clipping_by_block_is_audited_too() {
    let clip = Clip::per_block(1.0, Shares::Given(vec![0.9, 0.1])).unwrap();
    let claimed = plan(Name::LrBisr, 1.0, fixed_order(), clip);
    assert_eq!(trained(&claimed, &claimed).report(Method::OneRunFdp).unwrap().verdict, Verdict::Consistent);
    let careless = plan(Name::LrBisr, 60.0, fixed_order(), flat());
    assert_eq!(trained(&claimed, &careless).report(Method::OneRunFdp).unwrap().verdict, Verdict::Violated);
}

#[test]
fn the_training_learns_beside_its_canaries() {
    let plan = plan(Name::LrBisr, 60.0, fixed_order(), flat());
    let (_, mut descent) = set_up(&plan, &plan, 1, 1);
    let mean_loss = |parameters: &[f32]| {
        let all = Batch { indices: (0..EXAMPLES).collect(), ..Batch::default() };
        let objective = logistic_regression();
        let losses = objective.differentiate(parameters, &all).unwrap().losses().to_vec();
        losses.iter().sum::<f64>() / EXAMPLES as f64
    };
    let before = mean_loss(descent.parameters());
    descent.run(|_| Continue(())).unwrap();
    let after = mean_loss(descent.parameters());
    assert!(after < 0.8 * before, "{before} {after}");
}

#[test]
fn neither_threads_nor_a_resume_change_a_bit() {
    let plan = plan(Name::LrBisr, 4.0, fixed_order(), flat());
    let scores = |threads: usize| {
        let (audit, mut descent) = set_up(&plan, &plan, 1, threads);
        descent.run(|_| Continue(())).unwrap();
        audit.scores().unwrap()
    };
    let whole = scores(1);
    assert_eq!(whole, scores(3));

    let (_, mut first) = set_up(&plan, &plan, 1, 1);
    let mut left = 77;
    first
        .run(|_| {
            left -= 1;
            if left == 0 { std::ops::ControlFlow::Break(()) } else { Continue(()) }
        })
        .unwrap();
    let (audit, mut second) = set_up(&plan, &plan, 1, 1);
    second.restore(first.snapshot().unwrap()).unwrap();
    second.run(|_| Continue(())).unwrap();
    assert_eq!(audit.scores().unwrap(), whole);
}

#[test]
fn a_run_that_stops_early_is_audited_as_far_as_it_went() {
    let plan = plan(Name::PrefixRoot, 4.0, fixed_order(), flat());
    let (audit, mut descent) = set_up(&plan, &plan, 1, 1);
    assert!(audit.report(Method::OneRun).is_err(), "nothing was released yet");
    for _ in 0..PERIOD {
        let contribution = descent.contribute().unwrap();
        descent.apply(contribution).unwrap();
    }
    descent.contribute().unwrap();
    let (mean, variance) = mean_and_variance(audit.scores().unwrap().outside());
    assert!(mean.abs() < 0.4 && (variance - 1.0).abs() < 0.5, "{mean} {variance}");
    assert_eq!(audit.report(Method::OneRunFdp).unwrap().verdict, Verdict::Consistent);
}

#[test]
fn pieces_that_do_not_fit_are_refused() {
    let plan = plan(Name::LrBisr, 4.0, fixed_order(), flat());
    let canaries = CanaryGradients::new(CANARIES, &layout(), Direction::Dense, Seed(1)).unwrap();
    let audit = TrainingAudit::new(&plan, canaries, EXAMPLES);
    let objective = audit.differentiate(logistic_regression());
    let mixed = Batch { indices: vec![EXAMPLES - 1, EXAMPLES], ..Batch::default() };
    let error = objective.differentiate(&[0.0; FEATURES + 1], &mixed).err().expect("a refusal").to_string();
    assert!(error.contains("TrainingAudit::choose"), "{error}");
    let mut beyond = audit.choose(thalweg_descent::choose::Always(Batch { indices: vec![EXAMPLES + CANARIES], step: 0 }));
    let position = thalweg_descent::Position { step: 0, parameters: &[], last: None };
    let error = thalweg_descent::Choose::choose(&mut beyond, &position).unwrap_err().to_string();
    assert!(error.contains("example 1000"), "{error}");
}
