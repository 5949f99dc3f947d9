//! Times the event log: events a second, and its share of a training run.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-bench --bin event_log
//! ```
//!
//! The run is a small one, where the log weighs most: a 64-64-10 network with batches of 64, through the run store, a checkpoint
//! every 100 steps. Its own events are then written again, alone. Prints one line of JSON.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use thalweg_bench::measurement::{EventLogSpeed, Measurement};
use thalweg_bench::task::Task;
use thalweg_descent::step::Sgd;
use thalweg_descent::store::{Controls, EventLog, RunStore, read_events};
use thalweg_descent::{Batches, Descent, Every, Mean, Pieces, Rates, Record, Reduction, Schedule, Seed};
use thalweg_probes::{Loss, Norms};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Steps of the training run.
const STEPS: u64 = 2_000;

/// Steps between two checkpoints, at which the log is made durable: the default of the command line.
const CHECKPOINT_EVERY: u64 = 100;

/// Events appended in one go.
const EVENTS: u64 = 500_000;

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let task = Task::named("digits")?;
    let share = share_of_run(&task, 10, folder.path())?;
    let share_every_step = share_of_run(&task, 1, folder.path())?;
    let events = read_events(&folder.path().join("every-1").join("events.jsonl"))?;
    let cost = append(&mut events.iter().cycle().take(EVENTS as usize), u64::MAX, &folder.path().join("long.jsonl"))?;
    let speed = EventLogSpeed {
        events: EVENTS,
        per_cpu_second: EVENTS as f64 / cost.cpu.as_secs_f64(),
        per_second: EVENTS as f64 / cost.wall.as_secs_f64(),
        share,
        share_every_step,
    };
    println!("{}", Measurement::EventLog(speed).to_line());
    Ok(())
}

/// The log's share of the CPU time of a training run that logs every so many steps.
fn share_of_run(task: &Task, log_every: u64, folder: &Path) -> Outcome<f64> {
    let mut descent = Descent::new(
        task.start.clone(),
        task.network.layout().clone(),
        Rates::new(0.05, Schedule::Constant, STEPS)?,
        Pieces {
            choose: Box::new(Batches::shuffled(task.batch, task.batch, STEPS, Seed(1).stream("batches"))?),
            differentiate: Box::new(task.objective()?),
            reduction: Reduction::in_turn(),
            guard: Box::new(Mean),
            step: Box::new(Sgd::plain()),
            observe: vec![Box::new(Every::new(log_every, Loss)), Box::new(Every::new(log_every, Norms))],
        },
    )?;
    let id = format!("every-{log_every}");
    let run = RunStore::at(folder).create_named(&id, "")?;
    let start = ProcessTime::now();
    let stop = AtomicBool::new(false);
    run.drive(&mut descent, &mut Controls { checkpoint_every: CHECKPOINT_EVERY, stop: &stop, progress: &mut |_| () })?;
    let whole = start.elapsed();
    let events = read_events(&run.folder().join("events.jsonl"))?;
    let alone = append(&mut events.iter(), CHECKPOINT_EVERY / log_every, &folder.join(format!("{id}.jsonl")))?;
    Ok(alone.cpu.as_secs_f64() / whole.as_secs_f64())
}

struct Cost {
    cpu: Duration,
    wall: Duration,
}

/// Appends the events to a new log and makes it durable after every `sync_every` of them and at the end.
fn append(events: &mut dyn Iterator<Item = &Record>, sync_every: u64, path: &Path) -> Outcome<Cost> {
    let (cpu, wall) = (ProcessTime::now(), Instant::now());
    let mut log = EventLog::open_at(path, 0)?;
    for (number, event) in (1..).zip(events) {
        log.append(event)?;
        if u64::is_multiple_of(number, sync_every) {
            log.sync()?;
        }
    }
    log.sync()?;
    Ok(Cost { cpu: cpu.elapsed(), wall: wall.elapsed() })
}
