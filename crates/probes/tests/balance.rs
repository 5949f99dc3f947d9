//! Measured drift against predicted drift, on a two-layer ReLU network with hand-written gradients in f64.

use std::ops::ControlFlow;

use thalweg_descent::choose::Always;
use thalweg_descent::differentiate::Gradient;
use thalweg_descent::step::Sgd;
use thalweg_descent::{Descent, Layout, Mean, Observe, Pieces, Rates, Record, Reduction, Result, Schedule, Step};
use thalweg_probes::{Balance, Loss, Norms};

const INPUTS: usize = 3;
const HIDDEN: usize = 5;

fn layout() -> Layout {
    let mut layout = Layout::default();
    layout.push("hidden.weight", &[HIDDEN, INPUTS]);
    layout.push("hidden.bias", &[HIDDEN]);
    layout.push("output.weight", &[1, HIDDEN]);
    layout
}

/// Squared loss on four points; `slope` is the output's derivative, 1 unless a defect is wanted.
fn loss_and_gradient(parameters: &[f64], gradient: &mut [f64], slope: f64) -> f64 {
    let points = [([1.0, 0.5, -0.3], 1.0), ([-0.4, 0.9, 0.2], -1.0), ([0.3, -0.8, 0.7], 0.5), ([-1.0, 0.1, 0.4], 2.0)];
    let (w, rest) = parameters.split_at(HIDDEN * INPUTS);
    let (b, v) = rest.split_at(HIDDEN);
    let mut loss = 0.0;
    for (x, y) in points {
        let z: Vec<f64> = (0..HIDDEN).map(|h| (0..INPUTS).map(|i| w[h * INPUTS + i] * x[i]).sum::<f64>() + b[h]).collect();
        let residual = (0..HIDDEN).map(|h| v[h] * z[h].max(0.0)).sum::<f64>() - y;
        loss += residual * residual / 2.0;
        for h in 0..HIDDEN {
            gradient[HIDDEN * (INPUTS + 1) + h] += residual * z[h].max(0.0);
            if z[h] > 0.0 {
                for i in 0..INPUTS {
                    gradient[h * INPUTS + i] += slope * residual * v[h] * x[i];
                }
                gradient[HIDDEN * INPUTS + h] += slope * residual * v[h];
            }
        }
    }
    loss
}

/// Drift and prediction after 200 steps.
fn drift_and_prediction(step: Box<dyn Step<f64>>, slope: f64) -> (f64, f64) {
    let start: Vec<f64> = (0..layout().len()).map(|i| 0.4 * (1.7 * i as f64 + 0.3).sin()).collect();
    let balance = Balance::new(&layout(), &start, &["hidden.weight", "hidden.bias"], "output.weight", 10).unwrap();
    let observe: Vec<Box<dyn Observe<f64>>> = vec![Box::new(Loss), Box::new(Norms), Box::new(balance)];
    let differentiate = Gradient::new(move |x: &[f64], _: &(), gradient: &mut [f64]| -> Result<f64> {
        Ok(loss_and_gradient(x, gradient, slope))
    });
    let pieces = Pieces {
        choose: Box::new(Always(())),
        differentiate: Box::new(differentiate),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step,
        observe,
    };
    let rates = Rates::new(0.05, Schedule::Exponential { end: 0.5 }, 200).unwrap();
    let mut descent = Descent::new(start, layout(), rates, pieces).unwrap();
    descent.run(|_: &Record| ControlFlow::Continue(())).unwrap();
    let number = |name: &str| descent.record().number(name).unwrap();
    assert!(number("train.loss") < 0.1 || slope != 1.0, "{}", number("train.loss"));
    assert!(number("norm.parameters") > 0.0 && number("norm.update") >= 0.0);
    (number("balance.drift"), number("balance.predicted"))
}

#[test]
fn plain_descent_drifts_as_predicted() {
    let (drift, predicted) = drift_and_prediction(Box::new(Sgd::plain()), 1.0);
    assert!(drift.abs() > 1e-4, "the drift must be visible for the comparison to say anything: {drift}");
    assert!((drift - predicted).abs() < 1e-12, "{drift} against {predicted}");
}

#[test]
fn a_wrong_gradient_and_a_momentum_step_are_caught() {
    for (step, slope) in [(Box::new(Sgd::plain()), 1.1), (Box::new(Sgd::new(0.5, 0.0).unwrap()), 1.0)] {
        let (drift, predicted) = drift_and_prediction(step, slope);
        assert!((drift - predicted).abs() > 1e-3, "{drift} against {predicted}");
    }
}

#[test]
fn an_unknown_block_is_named_with_those_that_exist() {
    let error = Balance::new(&layout(), &[0.0; 25], &["first.weight"], "output.weight", 1).unwrap_err().to_string();
    assert!(error.contains("first.weight") && error.contains("hidden.bias"), "{error}");
}
