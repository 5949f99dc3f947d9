//! Times what the descent loop adds to an objective, on the `mlp` task's 669,706 parameters.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-bench --bin loop_cost
//! ```
//!
//! Everything but the objective counts: choose, join, guard, step, observe (the batch loss and, every 10 steps, the norms), event
//! log. Prints one line of JSON for each way to measure it and for each part:
//!
//! - `plain-logged`: the whole plain step, objective included;
//! - `loop`: what is left of that very step without the objective;
//! - `loop-alone`: the step of an objective that costs nothing;
//! - `loop/...`: single parts, alone.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use cpu_time::ProcessTime;
use thalweg_bench::clock::{STEPS, WARM_UP, milliseconds, time_steps};
use thalweg_bench::measurement::{Measurement, StepCost, peak_mib};
use thalweg_bench::task::Task;
use thalweg_descent::step::{Sgd, Step};
use thalweg_descent::store::EventLog;
use thalweg_descent::{
    Batch, Batches, Contributions, Descent, Differentiate, Every, Guard, Mean, Pieces, Rates, Record, Reduction, Result,
    Schedule, Seed, SquaredNorms, Weights,
};
use thalweg_probes::{Loss, Norms};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let start_mib = peak_mib();
    let print = |mode: &str, cpu_ms: Vec<f64>| {
        let cost = StepCost {
            engine: "thalweg".to_owned(),
            task: "mlp".to_owned(),
            mode: mode.to_owned(),
            cpu_ms,
            wall_ms: vec![],
            peak_mib: peak_mib(),
            start_mib,
            value: None,
        };
        println!("{}", Measurement::Step(cost).to_line());
    };
    let task = Task::named("mlp")?;
    let folder = tempfile::tempdir()?;

    let spent: &'static Spent = Box::leak(Box::default());
    let whole = time(&task, Timed { objective: task.objective()?, spent }, &folder.path().join("timed.jsonl"))?;
    let objective = spent.lock().expect("no thread panicked").split_off(WARM_UP as usize);
    let rest = whole.iter().zip(objective).map(|(whole, objective)| whole - milliseconds(objective)).collect();
    print("plain-logged", whole);
    print("loop", rest);
    print("loop-alone", time(&task, Free { losses: vec![1.0; task.batch] }, &folder.path().join("free.jsonl"))?);

    let mut parts = Parts { update: vec![1e-3; task.start.len()], parameters: task.start };
    print("loop/zero", repeat(|| parts.zero()));
    print("loop/mean", repeat(|| parts.mean()));
    print("loop/sgd", repeat(|| parts.sgd()));
    print("loop/norms", repeat(|| parts.norms()));
    Ok(())
}

/// CPU milliseconds of the steps of a logged descent on that objective.
fn time(
    task: &Task,
    objective: impl Differentiate<Batch, f32> + 'static,
    log: &Path,
) -> std::result::Result<Vec<f64>, Box<dyn std::error::Error>> {
    let pieces = Pieces {
        choose: Box::new(Batches::fixed_order(task.batch, task.batch, STEPS, &Seed(1).stream("batches"))?),
        differentiate: Box::new(objective),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step: Box::new(Sgd::plain()),
        observe: vec![Box::new(Loss), Box::new(Every::new(10, Norms))],
    };
    let rates = Rates::new(0.05, Schedule::Constant, STEPS)?;
    let mut descent = Descent::new(task.start.clone(), task.network.layout().clone(), rates, pieces)?;
    let mut log = EventLog::open_at(log, 0)?;
    Ok(time_steps(&mut descent, |record| Ok(log.append(record)?))?)
}

/// The CPU time of the objective at each step.
type Spent = Mutex<Vec<Duration>>;

/// An objective that notes what it costs.
struct Timed<D> {
    objective: D,
    spent: &'static Spent,
}

impl<D: Differentiate<Batch, f32>> Differentiate<Batch, f32> for Timed<D> {
    fn differentiate<'a>(&'a self, parameters: &'a [f32], shard: &'a Batch) -> Result<Box<dyn Contributions<f32> + 'a>> {
        let start = ProcessTime::now();
        let contributions = self.objective.differentiate(parameters, shard)?;
        self.spent.lock().expect("no thread panicked").push(start.elapsed());
        Ok(Box::new(TimedContributions { contributions, spent: self.spent }))
    }
}

struct TimedContributions<'a> {
    contributions: Box<dyn Contributions<f32> + 'a>,
    spent: &'static Spent,
}

impl Contributions<f32> for TimedContributions<'_> {
    fn units(&self) -> usize {
        self.contributions.units()
    }

    fn losses(&self) -> &[f64] {
        self.contributions.losses()
    }

    fn squared_norms(&mut self) -> Result<SquaredNorms> {
        self.contributions.squared_norms()
    }

    fn add_weighted_sum(self: Box<Self>, weights: &Weights, sum: &mut [f32]) -> Result<()> {
        let start = ProcessTime::now();
        self.contributions.add_weighted_sum(weights, sum)?;
        if let Some(spent) = self.spent.lock().expect("no thread panicked").last_mut() {
            *spent += start.elapsed();
        }
        Ok(())
    }
}

/// An objective that costs nothing, with the units of a batch.
struct Free {
    losses: Vec<f64>,
}

impl Differentiate<Batch, f32> for Free {
    fn differentiate<'a>(&'a self, _: &'a [f32], _: &'a Batch) -> Result<Box<dyn Contributions<f32> + 'a>> {
        Ok(Box::new(FreeContributions { losses: &self.losses }))
    }
}

struct FreeContributions<'a> {
    losses: &'a [f64],
}

impl Contributions<f32> for FreeContributions<'_> {
    fn units(&self) -> usize {
        self.losses.len()
    }

    fn losses(&self) -> &[f64] {
        self.losses
    }

    fn squared_norms(&mut self) -> Result<SquaredNorms> {
        Ok(SquaredNorms::new(1, vec![0.0; self.losses.len()]))
    }

    fn add_weighted_sum(self: Box<Self>, _: &Weights, _: &mut [f32]) -> Result<()> {
        Ok(())
    }
}

/// What the loop does to the vectors, piece by piece.
struct Parts {
    update: Vec<f32>,
    parameters: Vec<f32>,
}

impl Parts {
    /// What the reduction does before the objective adds its sum.
    fn zero(&mut self) {
        self.update.fill(std::hint::black_box(0.0));
    }

    fn mean(&mut self) {
        Mean.release(0, 256, &mut self.update, &mut Record::default()).expect("a mean needs nothing");
    }

    fn sgd(&mut self) {
        Sgd::plain().step(0.05, &self.update, &mut self.parameters);
    }

    fn norms(&mut self) {
        std::hint::black_box(thalweg_descent::norm(&self.parameters) + thalweg_descent::norm(&self.update));
    }
}

fn repeat(mut part: impl FnMut()) -> Vec<f64> {
    (0..50)
        .map(|_| {
            let start = ProcessTime::now();
            part();
            milliseconds(start.elapsed())
        })
        .collect()
}
