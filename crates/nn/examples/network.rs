//! A network descends, recorded, so that a kill loses nothing.
//!
//! `cargo run -p thalweg-nn --example network -- RUNS_FOLDER`, again and again, also after a kill.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rand::RngExt;
use thalweg_descent::step::AdamW;
use thalweg_descent::store::{CheckpointEvery, Controls, RunStore};
use thalweg_descent::{Batches, Descent, Every, Mean, Pieces, Rates, Record, Reduction, Result, Schedule, Seed};
use thalweg_nn::{Accuracy, Classification, Device, NetworkConfig, Samples, evaluate};

const STEPS: u64 = 1_500;

fn main() -> Result<()> {
    let root = std::env::args().nth(1).unwrap_or_else(|| "runs".to_owned());
    let run = RunStore::at(root).open_or_create("network", "steps = 1500\nseed = 4\n")?;
    let seed = Seed(4);
    let samples = Arc::new(rings(seed)?);
    let network = Arc::new(NetworkConfig::mlp(2, &[32, 32], 2).build()?);
    let start = network.init(&mut seed.stream("initial weights").at(0));
    let accuracy = Accuracy::new("train", network.clone(), samples.clone(), Device::Cpu);
    let pieces = Pieces {
        choose: Box::new(Batches::shuffled(samples.len(), 64, STEPS, seed.stream("batches"))?),
        differentiate: Box::new(Classification::new(network.clone(), samples.clone(), Device::Cpu)?),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step: Box::new(AdamW::new(0.0)?),
        observe: vec![Box::new(Every::new(100, accuracy))],
    };
    let rates = Rates::new(0.01, Schedule::Cosine { end: 0.1 }, STEPS)?;
    let mut descent = Descent::new(start, network.layout().clone(), rates, pieces)?;
    let mut progress = |_: &Record| {};
    run.drive(
        &mut descent,
        &mut Controls { checkpoints: CheckpointEvery::steps(25), stop: &AtomicBool::new(false), progress: &mut progress },
    )?;
    let accuracy = evaluate(&network, descent.parameters(), &samples, Device::Cpu)?.accuracy;
    println!("{:.1} % of the points are told apart", 100.0 * accuracy);
    assert!(accuracy > 0.9, "two rings can be told apart");
    Ok(())
}

/// Points in the plane, inside or outside of a circle.
fn rings(seed: Seed) -> Result<Samples> {
    let mut rng = seed.stream("points").at(0);
    let points: Vec<f32> = (0..1_000).map(|_| rng.random_range(-1.0..1.0)).collect();
    let labels = points.as_chunks::<2>().0.iter().map(|[x, y]| u32::from(x * x + y * y > 0.6)).collect();
    Ok(Samples::features(points, &[2], labels, 2)?)
}
