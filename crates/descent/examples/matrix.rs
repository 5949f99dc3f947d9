//! A 4 x 4 matrix descends: X X^T = M, found by gradient descent and recorded, so that a kill loses nothing.
//!
//! `cargo run -p thalweg-descent --example matrix -- RUNS_FOLDER`, again and again, also after a kill.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::atomic::AtomicBool;

use thalweg_descent::choose::Always;
use thalweg_descent::differentiate::Gradient;
use thalweg_descent::observe::{Every, Observe, View};
use thalweg_descent::step::Sgd;
use thalweg_descent::store::{CheckpointEvery, Controls, RunStore};
use thalweg_descent::{Descent, Layout, Mean, Pieces, Rates, Record, Reduction, Result, Schedule, Stateful};

const M: [[f64; 4]; 4] = [[4., 1., 0., 0.], [1., 3., 1., 0.], [0., 1., 2., 1.], [0., 0., 1., 2.]];

fn main() -> Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| "runs".to_owned());
    let run = RunStore::at(root).open_or_create("matrix", "steps = 40000\nrate = 0.001\n")?;
    let mut descent = descent()?;
    let mut progress = |_: &Record| {};
    let mut controls =
        Controls { checkpoints: CheckpointEvery::steps(500), stop: &AtomicBool::new(false), progress: &mut progress };
    run.drive(&mut descent, &mut controls)?;
    println!("loss {:.3e} after {} steps", loss_and_gradient(descent.parameters(), &mut [0.0; 16]), descent.steps_taken());
    Ok(())
}

fn descent() -> Result<Descent<(), f64>> {
    let start: Vec<f64> = (0..16).map(|i| if i % 5 == 0 { 1.0 } else { 0.1 }).collect();
    let pieces = Pieces {
        choose: Box::new(Always(())),
        differentiate: Box::new(Gradient::new(|x: &[f64], _: &(), gradient: &mut [f64]| Ok(loss_and_gradient(x, gradient)))),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step: Box::new(Sgd::new(0.9, 0.0)?),
        observe: vec![Box::new(Every::new(100, Loss))],
    };
    let rates = Rates::new(0.001, "cosine:0.1".parse::<Schedule>()?, 40_000)?;
    Descent::new(start, Layout::single("x", &[4, 4]), rates, pieces)
}

/// |X X^T - M|^2 / 4 and its gradient (X X^T - M) X.
fn loss_and_gradient(x: &[f64], gradient: &mut [f64]) -> f64 {
    let at = |i: usize, j: usize| x[4 * i + j];
    let residual = |i: usize, j: usize| (0..4).map(|k| at(i, k) * at(j, k)).sum::<f64>() - M[i][j];
    for i in 0..4 {
        for j in 0..4 {
            gradient[4 * i + j] = (0..4).map(|k| residual(i, k) * at(k, j)).sum();
        }
    }
    (0..16).map(|entry| residual(entry / 4, entry % 4).powi(2)).sum::<f64>() / 4.0
}

/// Writes the loss of the step.
struct Loss;

impl Stateful for Loss {}

impl Observe<f64> for Loss {
    fn observe(&mut self, view: &View<'_, f64>, record: &mut Record) -> Result<()> {
        if let Some(losses) = view.losses {
            record.put_number("loss", losses.iter().sum());
        }
        Ok(())
    }
}
