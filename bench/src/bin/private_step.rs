//! Times a training step through the descent loop: plain, or clipped example by example and noised.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-bench --bin private_step -- mlp private
//! ```
//!
//! The first argument is a task (`mlp`, `cnn3`, `cnn`, `resnet`, `transformer`), the second what a step does: `plain` and `private` with
//! SGD, `adamw` plain with AdamW. Prints one line of JSON. `TASK export FILE` writes the weights instead, and prints the loss that the
//! peer must find at them.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::path::Path;

use thalweg_bench::clock::{STEPS, time_steps};
use thalweg_bench::measurement::{Measurement, StepCost, peak_mib};
use thalweg_bench::task::Task;
use thalweg_descent::step::{AdamW, Sgd, Step};
use thalweg_descent::{Batch, Batches, Choose, Descent, Guard, Mean, Participation, Pieces, Rates, Reduction, Schedule, Seed};
use thalweg_nn::weights;
use thalweg_private::{Name, NoiseKey, PrivacyPlan, Ratios, Workload};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The standard deviation of the noise in the clipped sum, for clip norm 1.
const NOISE: f64 = 1.0;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [task, mode, path] if mode == "export" => export(&Task::named(task)?, Path::new(path)),
        [task, mode] => time(task, mode),
        _ => Err("usage: private_step TASK MODE, or private_step TASK export FILE".into()),
    }
}

fn export(task: &Task, path: &Path) -> Outcome<()> {
    weights::save(path, task.network.layout(), &task.start)?;
    println!("{{\"loss\": {}}}", task.loss()?);
    Ok(())
}

fn time(task: &str, mode: &str) -> Outcome<()> {
    let start_mib = peak_mib();
    let mut descent = descent(&Task::named(task)?, mode)?;
    let cpu_ms = time_steps(&mut descent, |_| Ok(()))?;
    let cost = StepCost {
        engine: "thalweg".to_owned(),
        task: task.to_owned(),
        mode: mode.to_owned(),
        cpu_ms,
        wall_ms: vec![],
        peak_mib: peak_mib(),
        start_mib,
        value: None,
    };
    println!("{}", Measurement::Step(cost).to_line());
    Ok(())
}

fn descent(task: &Task, mode: &str) -> Outcome<Descent<Batch, f32>> {
    let batches = Batches::fixed_order(task.batch, task.batch, STEPS, &Seed(1).stream("batches"))?;
    let batches = batches.in_shards_of(task.micro_batch);
    let participation = Choose::<Batch, f32>::participation(&batches);
    let sgd = || Box::new(Sgd::plain());
    let (guard, step, rate): (Box<dyn Guard<f32>>, Box<dyn Step<f32>>, f64) = match mode {
        "plain" => (Box::new(Mean), sgd(), 0.05),
        "private" => (Box::new(plan(task.batch, &participation)?.guard(&NoiseKey::generate()?)), sgd(), 0.05),
        "adamw" => (Box::new(Mean), Box::new(AdamW::new(0.01)?), 1e-3),
        other => return Err(format!("a step is plain, private or adamw, not {other:?}").into()),
    };
    let pieces = Pieces {
        choose: Box::new(batches),
        differentiate: Box::new(task.objective()?),
        reduction: Reduction::in_turn(),
        guard,
        step,
        observe: vec![],
    };
    let rates = Rates::new(rate, Schedule::Constant, STEPS)?;
    Ok(Descent::new(task.start.clone(), task.network.layout().clone(), rates, pieces)?)
}

/// The plan of fresh Gaussian noise whose standard deviation in the clipped sum is [`NOISE`].
fn plan(batch: usize, participation: &Participation) -> Outcome<PrivacyPlan> {
    let build = |epsilon: f64| {
        let workload = Workload::new(Ratios::constant(STEPS as usize)?);
        PrivacyPlan::new(epsilon, 1e-5, Name::Identity, workload, participation.clone())
            .with_clip(1.0)
            .with_expected_batch(batch as f64)
            .build()
    };
    let (mut low, mut high) = (0.1, 1e4);
    for _ in 0..50 {
        let epsilon = f64::sqrt(low * high);
        let noise = build(epsilon)?.summary().noise_std * batch as f64;
        if noise > NOISE { low = epsilon } else { high = epsilon }
    }
    Ok(build(high)?)
}
