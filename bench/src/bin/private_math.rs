//! Times the mathematics of private training: an account, an optimised strategy, a step of correlated noise.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-bench --bin private_math -- TASK
//! ```
//!
//! The tasks are `account` (noise multiplier 1), `account-4`, `optimise`, `noise` and `noise-limit`; the peers' side is
//! `peers/private_math.py`. `noise-limit` is what `noise` cannot be faster than on this machine: fresh Gaussian
//! numbers of ChaCha20 alone (`gaussian`), and one pass over the ring of past vectors alone (`ring`). Prints lines of JSON.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::hint::black_box;

use cpu_time::ProcessTime;
use thalweg_bench::measurement::{Measurement, StepCost, peak_mib};
use thalweg_private::accountant::{AccountRequest, Target, account};
use thalweg_private::noise::{Gaussian, Memory, NoiseStream};
use thalweg_private::sampler::Sampling;
use thalweg_private::{NoiseKey, Objective, Pattern, Ratios, Strategy, Workload, evaluate};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// As in the peers' script.
const STEPS: usize = 2_000;
const BANDS: usize = 64;
const PARAMETERS: usize = 10_000_000;
const NOISE_STEPS: usize = 8;

fn main() -> Outcome<()> {
    let start_mib = peak_mib();
    let print = |task: &str, mode: &str, cpu_ms, value| print(task, mode, cpu_ms, value, start_mib);
    let task = std::env::args().nth(1).ok_or("which of account, account-4, optimise, noise and noise-limit?")?;
    match task.as_str() {
        "account" | "account-4" => {
            let sigma = if task == "account" { 1.0 } else { 4.0 };
            let request = AccountRequest::new(Sampling::Poisson { rate: 0.01 }, 10_000, 1e-5, Target::Noise(sigma));
            let (times, epsilon) = timed(5, || Ok(account(&request)?.epsilon))?;
            print(&task, "alone", times, Some(epsilon));
        }
        "optimise" => {
            let workload = Workload::new(Ratios::constant(STEPS)?);
            let (times, error) = timed(3, || {
                let strategy = Strategy::bandmf(&workload, BANDS, Pattern::Single, Objective::Mean)?;
                Ok(evaluate(&workload, &strategy, Pattern::Single)?.mean_se)
            })?;
            print(&task, "alone", times, Some(error));
        }
        "noise" => print(&task, "alone", noise(BANDS, BANDS)?, None),
        "noise-limit" => {
            print("noise", "gaussian", noise(1, 2)?, None);
            print("noise", "ring", ring(), None);
        }
        other => return Err(format!("{other:?} is none of account, account-4, optimise, noise and noise-limit").into()),
    }
    Ok(())
}

/// Steps of the noise of a banded square root, once its ring is full.
fn noise(bands: usize, warm_up: usize) -> Outcome<Vec<f64>> {
    let workload = Workload::new(Ratios::constant(warm_up + NOISE_STEPS)?);
    let strategy = Strategy::bsr(&workload, bands)?;
    let gaussian = Gaussian::new(NoiseKey::generate()?);
    let mut noise = NoiseStream::new(&strategy, PARAMETERS, gaussian, Memory::Ring)?;
    let mut out = vec![0.0f32; PARAMETERS];
    for _ in 0..warm_up {
        noise.add_next(1.0, &mut out)?;
    }
    Ok(timed(NOISE_STEPS, || Ok(noise.add_next(1.0, &mut out)?))?.0)
}

/// Reading all past vectors once and writing one.
fn ring() -> Vec<f64> {
    let past: Vec<Vec<f32>> = (0..BANDS - 1).map(|i| vec![i as f32; PARAMETERS]).collect();
    let mut out = vec![0.0f32; PARAMETERS];
    let mut pass = || {
        const BLOCK: usize = 4096;
        for (block, out) in out.chunks_mut(BLOCK).enumerate() {
            for past in &past {
                let past = &past[block * BLOCK..][..out.len()];
                out.iter_mut().zip(past).for_each(|(out, past)| *out += past);
            }
        }
        black_box(&mut out);
        Ok(())
    };
    timed(NOISE_STEPS, &mut pass).map_or_else(|_| Vec::new(), |(times, ())| times)
}

/// CPU milliseconds of each call, and what the last gave.
fn timed<T>(repetitions: usize, mut f: impl FnMut() -> Outcome<T>) -> Outcome<(Vec<f64>, T)> {
    let mut times = Vec::new();
    loop {
        let start = ProcessTime::now();
        let value = f()?;
        times.push(1e3 * start.elapsed().as_secs_f64());
        if times.len() >= repetitions {
            return Ok((times, value));
        }
    }
}

fn print(task: &str, mode: &str, cpu_ms: Vec<f64>, value: Option<f64>, start_mib: f64) {
    let cost = StepCost {
        engine: "thalweg".to_owned(),
        task: task.to_owned(),
        mode: mode.to_owned(),
        cpu_ms,
        wall_ms: vec![],
        peak_mib: peak_mib(),
        start_mib,
        value,
    };
    println!("{}", Measurement::Step(cost).to_line());
}
