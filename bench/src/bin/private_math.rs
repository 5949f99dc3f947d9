//! Times the mathematics of private training: an account, an optimised strategy, a step of correlated noise.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-bench --bin private_math -- TASK
//! ```
//!
//! The tasks are `account` (noise multiplier 1), `account-4`, `optimise`, `noise` and `noise-limit`; the peers' side is
//! `peers/private_math.py`. `noise-limit` is what `noise` cannot be faster than on this machine: fresh Gaussian
//! numbers of ChaCha20 alone (`gaussian`), and one pass over the ring of past vectors alone (`ring`). With `RAYON_NUM_THREADS=2`
//! `noise` is called `2-threads`. Prints lines of JSON.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::hint::black_box;
use std::time::Instant;

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
    let print = |task: &str, mode: &str, times, value| print(task, mode, times, value, start_mib);
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
        "noise" => {
            let mode = if std::env::var("RAYON_NUM_THREADS").is_ok_and(|threads| threads == "2") { "2-threads" } else { "alone" };
            print(&task, mode, noise(BANDS, BANDS)?, None);
        }
        "noise-limit" => {
            print("noise", "gaussian", noise(1, 2)?, None);
            print("noise", "ring", ring()?, None);
        }
        other => return Err(format!("{other:?} is none of account, account-4, optimise, noise and noise-limit").into()),
    }
    Ok(())
}

/// Steps of the noise of a banded square root, once its ring is full.
fn noise(bands: usize, warm_up: usize) -> Outcome<Times> {
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
fn ring() -> Outcome<Times> {
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
    Ok(timed(NOISE_STEPS, &mut pass)?.0)
}

/// Milliseconds of each call.
#[derive(Default)]
struct Times {
    cpu: Vec<f64>,
    wall: Vec<f64>,
}

/// The times of the calls, and what the last gave.
fn timed<T>(repetitions: usize, mut f: impl FnMut() -> Outcome<T>) -> Outcome<(Times, T)> {
    let mut times = Times::default();
    loop {
        let (cpu, wall) = (ProcessTime::now(), Instant::now());
        let value = f()?;
        times.cpu.push(1e3 * cpu.elapsed().as_secs_f64());
        times.wall.push(1e3 * wall.elapsed().as_secs_f64());
        if times.cpu.len() >= repetitions {
            return Ok((times, value));
        }
    }
}

fn print(task: &str, mode: &str, times: Times, value: Option<f64>, start_mib: f64) {
    let cost = StepCost {
        engine: "thalweg".to_owned(),
        task: task.to_owned(),
        mode: mode.to_owned(),
        cpu_ms: times.cpu,
        wall_ms: times.wall,
        peak_mib: peak_mib(),
        start_mib,
        value,
    };
    println!("{}", Measurement::Step(cost).to_line());
}
