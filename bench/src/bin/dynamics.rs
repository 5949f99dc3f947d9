//! Times the labs of exact dynamics.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-bench --bin dynamics -- TASK
//! ```
//!
//! The tasks are `icl` (8 runs of 6,000 steps of the linear transformer), `deq` (all golden descents of equilibrium models, their values
//! compared), `relu` (steps of a network of width 1,024 and depth 4 on 1,000 examples) and `features` (the 84 runs of the reference
//! table). The peers are `peers/icl.py`, `peers/deq.py`, `peers/relu.py` and `peers/features.py`. Prints one line of JSON.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::path::Path;
use std::time::Instant;

use cpu_time::ProcessTime;
use thalweg_bench::measurement::{Measurement, StepCost, peak_mib};
use thalweg_descent::Seed;
use thalweg_dynamics::check::check_file;
use thalweg_dynamics::features::{NoisyGd, Protection, Simulation, Synthetic};
use thalweg_dynamics::icl;
use thalweg_dynamics::relu::training::Watch;
use thalweg_dynamics::relu::{Network, Shape, Training, xor};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let task = std::env::args().nth(1).ok_or("which of icl, deq, relu and features?")?;
    let start_mib = peak_mib();
    let (clock, value) = match task.as_str() {
        "icl" => icl()?,
        "deq" => deq()?,
        "relu" => relu()?,
        "features" => features()?,
        other => return Err(format!("{other:?} is none of icl, deq, relu and features").into()),
    };
    let threads = std::env::var("RAYON_NUM_THREADS").unwrap_or_default();
    let cost = StepCost {
        engine: "thalweg".to_owned(),
        task,
        mode: if threads == "1" { "alone".to_owned() } else { format!("{threads}-threads") },
        cpu_ms: clock.cpu_ms,
        wall_ms: clock.wall_ms,
        peak_mib: peak_mib(),
        start_mib,
        value: Some(value),
    };
    println!("{}", Measurement::Step(cost).to_line());
    Ok(())
}

/// Times between marks.
struct Clock {
    cpu: ProcessTime,
    wall: Instant,
    cpu_ms: Vec<f64>,
    wall_ms: Vec<f64>,
}

impl Clock {
    fn start() -> Self {
        Self { cpu: ProcessTime::now(), wall: Instant::now(), cpu_ms: vec![], wall_ms: vec![] }
    }

    fn mark(&mut self) {
        self.cpu_ms.push(1e3 * self.cpu.elapsed().as_secs_f64());
        self.wall_ms.push(1e3 * self.wall.elapsed().as_secs_f64());
        (self.cpu, self.wall) = (ProcessTime::now(), Instant::now());
    }
}

/// The ensemble, and how far its mean is from the exact flow.
fn icl() -> Outcome<(Clock, f64)> {
    let mut clock = Clock::start();
    let mut rms = f64::NAN;
    for seed in 0..3 {
        let found = icl::Experiment { seed, ..icl::Experiment::default() }.run()?;
        rms = found.report.rms.exact.unwrap_or(f64::NAN);
        clock.mark();
    }
    // The spec's bound of the reference ensemble.
    if rms > 0.01 { Err(format!("{rms} from the exact flow").into()) } else { Ok((clock, rms)) }
}

/// All golden descents, reading and comparing included.
fn deq() -> Outcome<(Clock, f64)> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/dynamics/tests/vectors");
    let mut clock = Clock::start();
    for _ in 0..3 {
        for name in ["deq_gd", "deq_stress", "deq_sigmoid", "deq_tanh"] {
            let rows = check_file(&vectors.join(format!("{name}.json")))?;
            if let Some(row) = rows.iter().find(|row| !row.pass) {
                return Err(format!("{}: {} is wrong", row.name, row.quantity).into());
            }
        }
        clock.mark();
    }
    Ok((clock, 15.0))
}

/// Marks each step after the first.
struct Steps {
    clock: Clock,
    loss: f64,
}

impl Watch for Steps {
    fn before_step(&mut self, _: &Network, loss: f64) {
        self.at_end_of_step(loss);
    }

    fn at_end(&mut self, _: &Network, loss: f64) {
        self.at_end_of_step(loss);
    }
}

impl Steps {
    fn at_end_of_step(&mut self, loss: f64) {
        self.clock.mark();
        self.loss = loss;
    }
}

fn relu() -> Outcome<(Clock, f64)> {
    const POINTS: usize = 1000;
    let mut rng = Seed(0).stream("network").at(0);
    let examples = xor::all(10)?.select(&xor::sample(10, POINTS, &mut rng)?)?;
    let mut network = Network::random(Shape::new(10, 1024, 4)?, &mut rng);
    let mut steps = Steps { clock: Clock::start(), loss: f64::NAN };
    Training { rate: 0.1, steps: 4, record: vec![] }.run(&mut network, &examples, &examples, &mut steps)?;
    let Steps { mut clock, loss } = steps;
    // What lies before the first step is no step; in the first, memory is touched for the first time.
    clock.cpu_ms.drain(..2);
    clock.wall_ms.drain(..2);
    Ok((clock, loss))
}

/// The table of seven signal-to-noise ratios, six budgets and two seeds; epsilon is infinite, 16, 8, 4, 2 and 1.
fn features() -> Outcome<(Clock, f64)> {
    const SNRS: [f64; 7] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8];
    const NOISE: [f64; 6] = [0.0, 3.441_774_285_0, 6.002_290_722_0, 10.811_618_495_2, 19.938_124_456_4, 37.306_316_348_2];
    let mut clock = Clock::start();
    let mut accuracy = 0.0;
    for snr in SNRS {
        for noise in NOISE {
            let descent = NoisyGd { protection: Protection::new(1.0, noise)?, ..NoisyGd::default() };
            let data = Synthetic { snr, ..Synthetic::default() };
            accuracy += Simulation { data, descent, runs: 2, ..Simulation::default() }.run()?.test_accuracy / 42.0;
        }
    }
    clock.mark();
    Ok((clock, accuracy))
}
