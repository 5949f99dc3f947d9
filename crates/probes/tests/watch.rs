//! The probes at the seam, on a two-layer ReLU network with hand-written gradients in f64.

use std::ops::ControlFlow;

use rand::RngExt;
use thalweg_descent::differentiate::EachUnit;
use thalweg_descent::step::{AdamW, Sgd, Step};
use thalweg_descent::{
    Batch, Batches, Contributions, Descent, Differentiate, Guard, Layout, Mean, Observe, Participation, Pieces, Rates, Record,
    Reduction, Result, Schedule, Seed, Stateful, Weights,
};
use thalweg_probes::conserved::{Conserved, Entries, Frame, Part};
use thalweg_probes::watch::{Forgetting, Invariants, NamedMatrix, NoiseScale, Spectra, Subspaces, Update};
use thalweg_probes::{RankRule, conserved};

const INPUTS: usize = 3;
const HIDDEN: usize = 5;
const POINTS: [([f64; INPUTS], f64); 4] =
    [([1.0, 0.5, -0.3], 1.0), ([-0.4, 0.9, 0.2], -1.0), ([0.3, -0.8, 0.7], 0.5), ([-1.0, 0.1, 0.4], 2.0)];

fn layout() -> Layout {
    let mut layout = Layout::default();
    layout.push("hidden.weight", &[HIDDEN, INPUTS]);
    layout.push("hidden.bias", &[HIDDEN]);
    layout.push("output.weight", &[1, HIDDEN]);
    layout
}

/// Half the squared error on one point; the gradient of the hidden weights is multiplied by `slope`, 1 unless a defect is wanted.
fn loss_and_gradient(parameters: &[f64], point: usize, gradient: &mut [f64], slope: f64) -> f64 {
    let (x, y) = POINTS[point];
    let (w, rest) = parameters.split_at(HIDDEN * INPUTS);
    let (b, v) = rest.split_at(HIDDEN);
    let z: Vec<f64> = (0..HIDDEN).map(|h| (0..INPUTS).map(|i| w[h * INPUTS + i] * x[i]).sum::<f64>() + b[h]).collect();
    let residual = (0..HIDDEN).map(|h| v[h] * z[h].max(0.0)).sum::<f64>() - y;
    for h in 0..HIDDEN {
        gradient[HIDDEN * (INPUTS + 1) + h] = residual * z[h].max(0.0);
        if z[h] > 0.0 {
            (0..INPUTS).for_each(|i| gradient[h * INPUTS + i] = slope * residual * v[h] * x[i]);
            gradient[HIDDEN * INPUTS + h] = residual * v[h];
        }
    }
    residual * residual / 2.0
}

fn start() -> Vec<f64> {
    (0..layout().len()).map(|i| 0.4 * (1.7 * i as f64 + 0.3).sin()).collect()
}

fn objective(slope: f64) -> impl Differentiate<Batch, f64> {
    EachUnit::new(layout(), move |x: &[f64], point: usize, gradient: &mut [f64]| Ok(loss_and_gradient(x, point, gradient, slope)))
}

fn units() -> Conserved {
    Conserved::Frames {
        plus: vec![Frame::Rows(Part::new(0, HIDDEN, INPUTS)), Frame::Columns(Part::new(HIDDEN * INPUTS, 1, HIDDEN))],
        minus: vec![Frame::Columns(Part::new(HIDDEN * (INPUTS + 1), 1, HIDDEN))],
        entries: Entries::Diagonal,
    }
}

fn balance() -> Conserved {
    Conserved::Balance {
        plus: vec![Part::new(0, HIDDEN, INPUTS), Part::new(HIDDEN * INPUTS, 1, HIDDEN)],
        minus: vec![Part::new(HIDDEN * (INPUTS + 1), 1, HIDDEN)],
    }
}

/// Adds independent noise to the mean gradient.
struct Noise(f64);

impl Stateful for Noise {}

impl Guard<f64> for Noise {
    fn admit(&mut self, _: &Participation, _: u64) -> Result<()> {
        Ok(())
    }

    fn weigh(&self, contributions: &mut dyn Contributions<f64>) -> Result<Weights> {
        // Every example by its own factor, as clipping does: the identities hold for each.
        Ok(Weights::PerUnit((0..contributions.units()).map(|unit| 1.0 / (1.0 + unit as f64)).collect()))
    }

    fn release(&mut self, step: u64, _: usize, sum: &mut [f64], _: &mut Record) -> Result<()> {
        let mut rng = Seed(3).stream("noise").at(step);
        for value in sum {
            let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            *value += self.0 * normal;
        }
        Ok(())
    }
}

fn descent(
    slope: f64,
    guard: Box<dyn Guard<f64>>,
    step: Box<dyn Step<f64>>,
    steps: u64,
    observe: Box<dyn Observe<f64>>,
) -> Descent<Batch, f64> {
    let pieces = Pieces {
        choose: Box::new(Batches::shuffled(4, 2, steps, Seed(1).stream("batches")).unwrap()),
        differentiate: Box::new(objective(slope)),
        reduction: Reduction::in_turn(),
        guard,
        step,
        observe: vec![observe],
    };
    Descent::new(start(), layout(), Rates::new(0.1, Schedule::Constant, steps).unwrap(), pieces).unwrap()
}

fn invariants(quantity: Conserved, update: Update, decay: f64) -> Box<Invariants> {
    Box::new(Invariants::new(vec![("hidden".to_owned(), quantity)], &start(), update, decay, 5).unwrap())
}

/// The last record of a run.
fn end(mut descent: Descent<Batch, f64>) -> Record {
    descent.run(|_| ControlFlow::Continue(())).unwrap();
    descent.record().clone()
}

#[track_caller]
fn finding(record: &Record) -> &str {
    record.get("invariants.finding").and_then(|value| value.as_str()).unwrap()
}

#[test]
fn plain_descent_agrees_on_every_mini_batch_and_under_weight_decay() {
    for (quantity, decay) in [(units(), 0.0), (balance(), 0.0), (units(), 0.3)] {
        let step = Box::new(Sgd::new(0.0, decay).unwrap());
        let record = end(descent(1.0, Box::new(Mean), step, 200, invariants(quantity, Update::Gradient, decay)));
        assert_eq!(finding(&record), "agree", "{record:?}");
        assert!(record.number("invariant.hidden.drift").unwrap().abs() > 1e-3);
        assert!(record.number("invariant.hidden.residual").unwrap() < 1e-13);
    }
}

#[test]
fn a_gradient_wrong_by_a_hundredth_in_one_layer_is_found_in_ten_steps() {
    let plain = || Box::new(Sgd::plain());
    let record = end(descent(1.01, Box::new(Mean), plain(), 10, invariants(units(), Update::Gradient, 0.0)));
    assert_eq!(finding(&record), "wrong_gradient_or_symmetry", "{record:?}");
    let (residual, allowed) = (record.number("invariant.hidden.residual"), record.number("invariant.hidden.allowed"));
    assert!(residual.unwrap() > 1e6 * allowed.unwrap());
}

#[test]
fn momentum_and_adam_are_no_plain_steps() {
    let steps: [Box<dyn Step<f64>>; 2] = [Box::new(Sgd::new(0.9, 0.0).unwrap()), Box::new(AdamW::new(0.0).unwrap())];
    for step in steps {
        let record = end(descent(1.0, Box::new(Mean), step, 10, invariants(units(), Update::Gradient, 0.0)));
        assert_eq!(finding(&record), "non_plain_optimizer", "{record:?}");
    }
    // Decay that the probe was not told of is no plain step either.
    let decayed = Box::new(Sgd::new(0.0, 0.3).unwrap());
    let record = end(descent(1.0, Box::new(Mean), decayed, 10, invariants(units(), Update::Gradient, 0.0)));
    assert_eq!(finding(&record), "non_plain_optimizer");
}

#[test]
fn independent_noise_is_allowed_for_and_a_wrong_gradient_under_it_is_found_in_time() {
    let noisy = Update::Noisy { deviation: 0.01 };
    let run = |slope, steps, update| {
        end(descent(slope, Box::new(Noise(0.01)), Box::new(Sgd::plain()), steps, invariants(balance(), update, 0.0)))
    };
    assert_eq!(finding(&run(1.0, 400, noisy)), "agree", "per-example weights keep the identity");
    assert_eq!(finding(&run(1.5, 400, noisy)), "wrong_gradient_or_symmetry");
    assert_eq!(finding(&run(1.0, 400, Update::Gradient)), "wrong_gradient_or_symmetry", "noise that is not said is a defect");
    let correlated = run(1.0, 10, Update::Correlated);
    assert_eq!(finding(&correlated), "correlated_noise");
    assert!(correlated.get("invariant.hidden.allowed").is_none());
}

fn hidden() -> NamedMatrix {
    NamedMatrix { name: "hidden".to_owned(), part: Part::new(0, HIDDEN, INPUTS) }
}

#[test]
fn every_probe_goes_on_after_a_restore_as_if_nothing_had_happened() {
    let make = || {
        let observers: [Box<dyn Observe<f64>>; 5] = [
            invariants(units(), Update::Gradient, 0.0),
            Box::new(Spectra::new(vec![hidden()], RankRule::DOUBLE, 1, 3).unwrap()),
            Box::new(Subspaces::new(vec![hidden()], &start(), RankRule::Fixed(1), 3).unwrap()),
            Box::new(Forgetting::new(6, 2, 3).unwrap()),
            Box::new(NoiseScale::new(std::sync::Arc::new(objective(1.0)), |_| Batch { step: 0, indices: vec![0, 1, 2, 3] }, 3)),
        ];
        let mut descent = |observe| descent(1.0, Box::new(Mean), Box::new(Sgd::plain()), 20, observe);
        observers.map(&mut descent)
    };
    for (mut whole, (mut half, mut rest)) in make().into_iter().zip(make().into_iter().zip(make())) {
        whole.run(|_| ControlFlow::Continue(())).unwrap();
        half.run(|record| if record.number("step") == Some(9.0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            .unwrap();
        rest.restore(half.snapshot().unwrap()).unwrap();
        rest.run(|_| ControlFlow::Continue(())).unwrap();
        assert_eq!(rest.record(), whole.record());
        assert!(whole.record().as_json().len() > 2, "{:?}", whole.record());
    }
}

#[test]
fn spectra_and_subspaces_are_those_of_the_parameters() {
    let spectra = Spectra::new(vec![hidden()], RankRule::DOUBLE, 1, 1).unwrap();
    let mut run = descent(1.0, Box::new(Mean), Box::new(Sgd::plain()), 7, Box::new(spectra));
    run.run(|_| ControlFlow::Continue(())).unwrap();
    let matrix = hidden().of(run.parameters());
    let of = |dropped| thalweg_probes::spectrum::effective_rank(matrix.as_ref(), RankRule::DOUBLE, dropped).unwrap();
    assert_eq!(run.record().number("spectrum.hidden.effective_rank"), Some(of(0).value));
    assert_eq!(run.record().number("spectrum.hidden.marginal_rank"), Some(of(1).value));
    assert_eq!(run.record().number("spectrum.hidden.rank"), Some(3.0));
    assert!(of(1).value < of(0).value);

    let at = |rule| {
        let subspaces = Subspaces::new(vec![hidden()], &start(), rule, 1).unwrap();
        end(descent(1.0, Box::new(Mean), Box::new(Sgd::plain()), 7, Box::new(subspaces)))
    };
    // All of the row space holds every target; one direction of it does not.
    assert_eq!(at(RankRule::DOUBLE).get("subspace.hidden.vacuous"), Some(&true.into()));
    assert!(at(RankRule::Fixed(1)).number("subspace.hidden.distance").unwrap() > 0.01);
    assert!(Spectra::new(vec![hidden()], RankRule::Fixed(4), 0, 1).is_err());
    assert!(Subspaces::new(vec![hidden()], &start(), RankRule::Fixed(4), 1).is_err());
}

#[test]
fn the_noise_scale_is_that_of_the_single_gradients() {
    let all = |_| Batch { step: 0, indices: vec![0, 1, 2, 3] };
    let probe = NoiseScale::new(std::sync::Arc::new(objective(1.0)), all, 1);
    let mut run = descent(1.0, Box::new(Mean), Box::new(Sgd::plain()), 3, Box::new(probe));
    run.run(|_| ControlFlow::Continue(())).unwrap();
    let gradients: Vec<Vec<f64>> = (0..4)
        .map(|point| {
            let mut gradient = vec![0.0; layout().len()];
            loss_and_gradient(run.parameters(), point, &mut gradient, 1.0);
            gradient
        })
        .collect();
    let mean = |at: usize| gradients.iter().map(|gradient| gradient[at]).sum::<f64>() / 4.0;
    let spread = |at: usize| gradients.iter().map(|gradient| (gradient[at] - mean(at)).powi(2)).sum::<f64>() / 3.0;
    let variance: f64 = (0..layout().len()).map(spread).sum();
    let signal = (0..layout().len()).map(|at| mean(at).powi(2)).sum::<f64>() - variance / 4.0;
    let found = |name: &str| run.record().number(name).unwrap();
    assert!((found("noise_scale.variance") / variance - 1.0).abs() < 1e-12);
    assert!((found("noise_scale.signal") - signal).abs() < 1e-12 * variance);
    assert_eq!(run.record().number("noise_scale.scale").is_some(), signal > 0.0);
}

#[test]
fn a_loss_is_forgotten_over_the_window_alone() {
    let mut run = descent(1.0, Box::new(Mean), Box::new(Sgd::plain()), 9, Box::new(Forgetting::new(4, 1, 1).unwrap()));
    let mut written = Vec::new();
    run.run(|record| {
        written.push(record.number("autocorrelation.curvature"));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(written[..3].iter().all(Option::is_none) && written[3..].iter().all(Option::is_some));
    assert!(Forgetting::new(3, 2, 1).is_err() && Forgetting::new(3, 0, 1).is_err());
}

#[test]
fn a_quantity_that_does_not_fit_is_refused() {
    let wide = Conserved::Balance { plus: vec![conserved::Part::new(0, 100, 1)], minus: vec![] };
    assert!(Invariants::new(vec![("wide".to_owned(), wide)], &start(), Update::Gradient, 0.0, 1).is_err());
}
