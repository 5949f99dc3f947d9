//! Process CPU time of a training step: plain, and clipped example by example (without noise).
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-nn --example step_time
//! ```
//!
//! Prints one line for each network: the median over rounds in milliseconds, interleaved so that both kinds see the same
//! machine. `bench/peers` holds the other side.

#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use thalweg_descent::step::{AdamW, Step};
use thalweg_descent::{Batch, Contributions, Differentiate, Weights};
use thalweg_nn::{Classification, CnnConfig, Device, NetworkConfig, Samples};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 15;
const STEPS: usize = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let only = std::env::args().nth(1);
    for (name, config, shape, batch) in networks() {
        if only.as_deref().is_none_or(|only| only == name) {
            measure(name, &config, &shape, batch)?;
        }
    }
    Ok(())
}

fn networks() -> [(&'static str, NetworkConfig, Vec<usize>, usize); 3] {
    let small = CnnConfig::new([3, 32, 32], &[32, 64], 10).with_depth(1);
    [
        ("mlp", NetworkConfig::mlp(784, &[512, 512], 10), vec![784], 256),
        ("cnn", NetworkConfig::Cnn(small), vec![3, 32, 32], 64),
        ("cnn3", NetworkConfig::cnn([3, 32, 32], &[32, 64, 128], 10), vec![3, 32, 32], 64),
    ]
}

#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Clipped,
}

fn measure(name: &str, config: &NetworkConfig, shape: &[usize], batch: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let features = (0..batch * shape.iter().product::<usize>()).map(|_| rng.random::<f32>()).collect();
    let labels = (0..batch).map(|_| rng.random_range(0..10)).collect();
    let samples = Arc::new(Samples::features(features, shape, labels, 10)?);
    let network = Arc::new(config.build()?);
    let mut parameters = network.init(&mut rng);
    let objective = Classification::new(network.clone(), samples, Device::Cpu)?;
    let batch = Batch { step: 0, indices: (0..batch).collect() };
    let mut optimiser = AdamW::new(0.01)?;
    let mut step = |kind| one_step(&objective, &batch, &mut parameters, &mut optimiser, kind);
    let (mut plain, mut clipped) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(time(|| step(Kind::Plain))?);
        clipped.push(time(|| step(Kind::Clipped))?);
    }
    println!("{name}: plain {:.1} ms, clipped {:.1} ms", median(plain), median(clipped));
    Ok(())
}

fn one_step(
    objective: &Classification,
    batch: &Batch,
    parameters: &mut [f32],
    optimiser: &mut AdamW<f32>,
    kind: Kind,
) -> thalweg_descent::Result<()> {
    let mut update = vec![0.0; parameters.len()];
    let mut contributions = objective.differentiate(parameters, batch)?;
    let weights = match kind {
        Kind::Plain => Weights::One,
        Kind::Clipped => clip(contributions.as_mut())?,
    };
    contributions.add_weighted_sum(&weights, &mut update)?;
    let share = 1.0 / batch.indices.len() as f32;
    update.iter_mut().for_each(|value| *value *= share);
    optimiser.step(1e-3, &update, parameters);
    Ok(())
}

/// Weights that clip each example to a norm of 1.
fn clip(contributions: &mut dyn Contributions<f32>) -> thalweg_descent::Result<Weights> {
    let norms = contributions.squared_norms()?;
    Ok(Weights::PerUnit((0..norms.units()).map(|unit| (1.0 / norms.norm(unit)).min(1.0)).collect()))
}

/// CPU milliseconds for each of a few steps.
fn time(mut step: impl FnMut() -> thalweg_descent::Result<()>) -> thalweg_descent::Result<f64> {
    let start = cpu_time();
    for _ in 0..STEPS {
        step()?;
    }
    Ok((cpu_time() - start).as_secs_f64() * 1e3 / STEPS as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cpu_time() -> Duration {
    cpu_time::ProcessTime::now().as_duration()
}
