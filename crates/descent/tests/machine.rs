//! The machine: turns, refusals, divergence, threads.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use thalweg_descent::choose::Always;
use thalweg_descent::differentiate::Gradient;
use thalweg_descent::step::{AdamW, Sgd, Sign};
use thalweg_descent::{
    Batch, Batches, Contributions, Descent, Disclosure, Error, Guard, Layout, Mean, Observe, Participation, Pieces, Rates,
    Record, Reduction, Result, Schedule, Seed, Stateful, Step, View, Weights,
};

/// f(x) = |x|^2 / 2 for `steps` steps.
fn bowl(start: &[f64], rate: f64, steps: u64) -> Descent<(), f64> {
    let pieces = Pieces {
        choose: Box::new(Always(())),
        differentiate: Box::new(Gradient::new(|x: &[f64], _: &(), gradient: &mut [f64]| {
            gradient.copy_from_slice(x);
            Ok(0.5 * x.iter().map(|v| v * v).sum::<f64>())
        })),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step: Box::new(Sgd::plain()),
        observe: vec![],
    };
    let rates = Rates::new(rate, Schedule::Constant, steps).unwrap();
    Descent::new(start.to_vec(), Layout::single("x", &[start.len()]), rates, pieces).unwrap()
}

#[test]
fn contribute_and_apply_must_take_turns() {
    let mut descent = bowl(&[1.0, 2.0], 0.5, 2);
    let first = descent.contribute().unwrap();
    assert!(matches!(descent.contribute(), Err(Error::OutOfTurn(_))), "two contributions to one step");
    assert!(matches!(descent.snapshot(), Err(Error::OutOfTurn(_))), "a snapshot of half a step");
    let mut late = first.clone();
    late.step = 7;
    assert!(matches!(descent.apply(late), Err(Error::OutOfTurn(_))), "the update of another step");
    let mut short = first.clone();
    short.sum.pop();
    assert!(matches!(descent.apply(short), Err(Error::OutOfTurn(_))), "an update of another length");
    descent.apply(first.clone()).unwrap();
    assert!(matches!(descent.apply(first), Err(Error::OutOfTurn(_))), "the same update twice");
    assert_eq!(descent.parameters(), [0.5, 1.0]);
    descent.run(|_| ControlFlow::Continue(())).unwrap();
    assert!(matches!(descent.contribute(), Err(Error::OutOfTurn(_))), "a step past the end");
}

#[test]
fn a_descent_of_a_hundred_thousand_steps_keeps_its_closed_form() {
    let mut descent = bowl(&[1.0], 1e-5, 100_000);
    descent.run(|_| ControlFlow::Continue(())).unwrap();
    let expected = (1.0 - 1e-5f64).powi(100_000);
    // Each step rounds once and so does the factor below: at most 2 x 100,000 half units in the last place.
    let bound = 1e5 * f64::EPSILON * expected;
    assert!((descent.parameters()[0] - expected).abs() < bound);
}

#[test]
fn divergence_is_an_error_that_names_step_and_value() {
    let error = bowl(&[1.0], 1e200, 10).run(|_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, Error::Diverged { .. }), "{error}");
    assert!(error.to_string().contains("step"), "{error}");
}

#[test]
fn bad_rates_and_lengths_are_input_errors() {
    for (rate, steps) in [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (f64::INFINITY, 1), (1.0, 0)] {
        let error = Rates::new(rate, Schedule::Constant, steps).unwrap_err();
        assert!(error.is_input(), "{error}");
    }
    assert!(Sgd::<f32>::new(1.0, 0.0).is_err() && Sgd::<f32>::new(0.0, -1.0).is_err() && AdamW::<f32>::new(f64::NAN).is_err());
}

/// Admits Poisson sampling alone, and shows nothing.
struct PoissonOnly;

impl Stateful for PoissonOnly {}

impl Guard<f64> for PoissonOnly {
    fn admit(&mut self, participation: &Participation, _: u64) -> Result<()> {
        match participation {
            Participation::Poisson { .. } => Ok(()),
            other => Err(Error::Refused { guard: "poisson-only".into(), reason: format!("batches are {other}") }),
        }
    }
    fn disclosure(&self) -> Disclosure {
        Disclosure::ReleasedOnly
    }
    fn weigh(&self, _: &mut dyn Contributions<f64>) -> Result<Weights> {
        Ok(Weights::One)
    }
    fn release(&mut self, _: u64, _: usize, _: &mut [f64], _: &mut Record) -> Result<()> {
        Ok(())
    }
}

/// Writes whether losses were shown.
struct SeesLosses;

impl Stateful for SeesLosses {}

impl Observe<f64> for SeesLosses {
    fn observe(&mut self, view: &View<'_, f64>, record: &mut Record) -> Result<()> {
        record.put("sees losses", view.losses.is_some());
        Ok(())
    }
}

fn guarded(batches: Batches, guard: Box<dyn Guard<f64>>) -> Result<Descent<Batch, f64>> {
    let pieces = Pieces {
        choose: Box::new(batches),
        differentiate: Box::new(Gradient::new(|_: &[f64], _: &Batch, _: &mut [f64]| Ok(1.0))),
        reduction: Reduction::in_turn(),
        guard,
        step: Box::new(Sgd::plain()),
        observe: vec![Box::new(SeesLosses)],
    };
    Descent::new(vec![0.0], Layout::single("x", &[1]), Rates::new(1.0, Schedule::Constant, 1)?, pieces)
}

#[test]
fn a_guard_refuses_participation_that_it_does_not_cover_and_withholds_losses() {
    let stream = Seed(1).stream("batches");
    let fixed = Batches::fixed_order(10, 5, 1, &stream).unwrap();
    let error = guarded(fixed.clone(), Box::new(PoissonOnly)).err().expect("refused");
    assert!(error.is_input() && error.to_string().contains("at most 1 times"), "{error}");
    for (guard, shown) in [(Box::new(PoissonOnly) as Box<dyn Guard<f64>>, false), (Box::new(Mean), true)] {
        let mut descent = guarded(Batches::poisson(10, 5.0, stream.clone()).unwrap(), guard).unwrap();
        descent.run(|_| ControlFlow::Continue(())).unwrap();
        assert_eq!(descent.record().get("sees losses").unwrap(), shown);
    }
}

#[test]
fn a_worker_that_panics_is_an_error() {
    let panics = Gradient::new(|_: &[f64], batch: &Batch, _: &mut [f64]| {
        assert!(batch.indices != [3], "a defect in an objective");
        Ok(0.0)
    });
    let stream = Seed(1).stream("batches");
    let pieces = Pieces {
        choose: Box::new(Batches::fixed_order(4, 4, 1, &stream).unwrap().in_shards_of(1)),
        differentiate: Box::new(panics),
        reduction: Reduction::on_threads(NonZeroUsize::new(2).unwrap()),
        guard: Box::new(Mean),
        step: Box::new(Sgd::plain()),
        observe: vec![],
    };
    let rates = Rates::new(1.0, Schedule::Constant, 1).unwrap();
    let mut descent = Descent::new(vec![0.0], Layout::single("x", &[1]), rates, pieces).unwrap();
    assert!(descent.contribute().unwrap_err().to_string().contains("panicked"));
}

/// Parameters after the given updates of length 1.
#[track_caller]
fn check_steps(mut step: impl Step<f64>, updates: &[f64], expected: &[f64]) {
    let mut x = [1.0];
    for (update, expected) in updates.iter().zip(expected) {
        step.step(0.1, &[*update], &mut x);
        assert!((x[0] - expected).abs() < 1e-12, "{x:?}, expected {expected}");
    }
}

#[test]
fn steps_have_their_closed_forms() {
    check_steps(Sgd::plain(), &[1.0, 1.0], &[0.9, 0.8]);
    check_steps(Sgd::new(0.5, 0.0).unwrap(), &[1.0, 1.0], &[0.9, 0.75]);
    check_steps(Sgd::new(0.0, 1.0).unwrap(), &[1.0, 0.0], &[0.8, 0.72]);
    check_steps(Sign, &[5.0, -0.1, 0.0], &[0.9, 1.0, 1.0]);
    // With a constant update, both bias-corrected moments are exact from the first step: x moves by rate u / (|u| + epsilon).
    let moved = 0.1 * 2.0 / (2.0 + 1e-8);
    check_steps(AdamW::new(0.0).unwrap(), &[2.0, 2.0, 2.0], &[1.0 - moved, 1.0 - 2.0 * moved, 1.0 - 3.0 * moved]);
    check_steps(AdamW::new(1.0).unwrap(), &[2.0], &[0.9 - moved]);
}

#[test]
fn step_memory_is_restored_to_the_bit() {
    fn check(make: impl Fn() -> Box<dyn Step<f32>>) {
        let (mut whole, mut first) = (make(), make());
        let (mut x, mut y) = ([1.0f32, -2.0], [1.0f32, -2.0]);
        for t in 0..5 {
            whole.step(0.1, &[t as f32, 1.0], &mut x);
        }
        for t in 0..3 {
            first.step(0.1, &[t as f32, 1.0], &mut y);
        }
        let mut second = make();
        second.restore(&first.save()).unwrap();
        for t in 3..5 {
            second.step(0.1, &[t as f32, 1.0], &mut y);
        }
        assert_eq!(x, y);
        assert!(second.restore(&[1, 2, 3, 255, 255]).is_err(), "foreign bytes");
    }
    check(|| Box::new(Sgd::new(0.9, 0.01).unwrap()));
    check(|| Box::new(AdamW::new(0.01).unwrap()));
}

#[test]
fn streams_differ_by_name_seed_and_counter_and_by_nothing_else() {
    use rand::RngExt;
    let draw = |seed: u64, name: &str, counter: u64| -> [u64; 4] { Seed(seed).stream(name).at(counter).random() };
    assert_eq!(draw(1, "a", 0), draw(1, "a", 0));
    let others = [draw(2, "a", 0), draw(1, "b", 0), draw(1, "a", 1), draw(1, "", 0)];
    assert!(others.iter().all(|other| *other != draw(1, "a", 0)));
}
