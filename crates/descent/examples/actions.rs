//! A plan of 80 actions descends: a cart is driven to a goal by gradient through its simulator, with noise on its start so that
//! each step imagines other futures.
//!
//! `cargo run -p thalweg-descent --example actions -- RUNS_FOLDER`, again and again, also after a kill.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::atomic::AtomicBool;

use rand::RngExt;
use thalweg_descent::differentiate::Gradient;
use thalweg_descent::observe::{Every, Observe, View};
use thalweg_descent::step::AdamW;
use thalweg_descent::store::{CheckpointEvery, Controls, RunStore};
use thalweg_descent::{
    Choose, Descent, Layout, Mean, Participation, Pieces, Position, Rates, Record, Reduction, Result, Schedule, Seed, Stateful,
    Stream,
};

/// Time steps; each has an acceleration along x and along y.
const HORIZON: usize = 40;
const DT: f64 = 0.1;
const GOAL: [f64; 2] = [3.0, -1.0];

fn main() -> Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| "runs".to_owned());
    let run = RunStore::at(root).open_or_create("actions", "steps = 20000\nseed = 1\n")?;
    let mut descent = descent()?;
    let mut progress = |_: &Record| {};
    let mut controls =
        Controls { checkpoints: CheckpointEvery::steps(500), stop: &AtomicBool::new(false), progress: &mut progress };
    run.drive(&mut descent, &mut controls)?;
    let cost = cost_and_gradient(descent.parameters(), [0.0, 0.0], &mut [0.0; 2 * HORIZON]);
    println!("cost {cost:.4} after {} steps", descent.steps_taken());
    Ok(())
}

fn descent() -> Result<Descent<[f64; 2], f64>> {
    let pieces = Pieces {
        choose: Box::new(Futures { starts: Seed(1).stream("starts"), count: 4 }),
        differentiate: Box::new(Gradient::new(|plan: &[f64], start: &[f64; 2], gradient: &mut [f64]| {
            Ok(cost_and_gradient(plan, *start, gradient))
        })),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step: Box::new(AdamW::new(0.0)?),
        observe: vec![Box::new(Every::new(100, MeanCost))],
    };
    let rates = Rates::new(0.01, Schedule::Exponential { end: 0.1 }, 20_000)?;
    Descent::new(vec![0.0; 2 * HORIZON], Layout::single("actions", &[HORIZON, 2]), rates, pieces)
}

/// Imagines a few starts near the origin, each a shard.
struct Futures {
    starts: Stream,
    count: usize,
}

impl Stateful for Futures {}

impl Choose<[f64; 2], f64> for Futures {
    fn participation(&self) -> Participation {
        Participation::NoUnits
    }

    fn choose(&mut self, position: &Position<'_, f64>) -> Result<Vec<[f64; 2]>> {
        let mut rng = self.starts.at(position.step);
        Ok((0..self.count).map(|_| [rng.random_range(-0.2..0.2), rng.random_range(-0.2..0.2)]).collect())
    }
}

/// Squared distance from the goal and remaining speed at the end, plus a little effort; the gradient by the adjoint.
fn cost_and_gradient(plan: &[f64], start: [f64; 2], gradient: &mut [f64]) -> f64 {
    const EFFORT: f64 = 1e-3;
    let mut cost = 0.0;
    for axis in 0..2 {
        let action = |t: usize| plan[2 * t + axis];
        let (mut position, mut speed) = (start[axis], 0.0);
        for t in 0..HORIZON {
            position += DT * speed;
            speed += DT * action(t);
            cost += EFFORT * action(t).powi(2);
        }
        cost += (position - GOAL[axis]).powi(2) + speed * speed;
        // Backwards in time: how the cost depends on the position and speed after each step.
        let (by_position, mut by_speed) = (2.0 * (position - GOAL[axis]), 2.0 * speed);
        for t in (0..HORIZON).rev() {
            gradient[2 * t + axis] = DT * by_speed + 2.0 * EFFORT * action(t);
            by_speed += DT * by_position;
        }
    }
    cost
}

/// Writes the mean cost over the imagined futures.
struct MeanCost;

impl Stateful for MeanCost {}

impl Observe<f64> for MeanCost {
    fn observe(&mut self, view: &View<'_, f64>, record: &mut Record) -> Result<()> {
        if let Some(costs) = view.losses {
            record.put_number("cost", costs.iter().sum::<f64>() / costs.len() as f64);
        }
        Ok(())
    }
}
