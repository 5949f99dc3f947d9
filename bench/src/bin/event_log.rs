//! Times the event log: events a second, and its share of a training run.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p thalweg-bench --bin event_log
//! ```
//!
//! Runs through the run store, as the command line drives them: the `mlp` task's, and the smallest, where the log weighs most, a
//! 64-64-10 network (`digits`). Their own events are then written again, alone, and made durable as often as the run's checkpoints
//! made them. Prints one line of JSON.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "the result of this program")]

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use thalweg_bench::measurement::{EventLogSpeed, Measurement, RunShare};
use thalweg_bench::task::Task;
use thalweg_descent::step::Sgd;
use thalweg_descent::store::{CheckpointEvery, Controls, EventLog, RunStore, read_events, read_timings};
use thalweg_descent::{Batch, Batches, Descent, Every, Mean, Pieces, Rates, Record, Reduction, Schedule, Seed};
use thalweg_probes::{Loss, Norms};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Events appended in one go.
const EVENTS: u64 = 500_000;

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mlp = share_of_run(&Trial { task: "mlp", steps: 300, log_every: 10 }, folder.path())?;
    let digits = share_of_run(&Trial { task: "digits", steps: 2_000, log_every: 10 }, folder.path())?;
    let every_step = Trial { task: "digits", steps: 2_000, log_every: 1 };
    let runs = vec![mlp, digits, share_of_run(&every_step, folder.path())?];
    let events = read_events(&folder.path().join(every_step.id()).join("events.jsonl"))?;
    let cost = append(&mut events.iter().cycle().take(EVENTS as usize), u64::MAX, &folder.path().join("long.jsonl"))?;
    let speed = EventLogSpeed {
        events: EVENTS,
        per_cpu_second: EVENTS as f64 / cost.cpu.as_secs_f64(),
        per_second: EVENTS as f64 / cost.wall.as_secs_f64(),
        runs,
    };
    println!("{}", Measurement::EventLog(speed).to_line());
    Ok(())
}

/// A training run.
struct Trial {
    task: &'static str,
    steps: u64,
    log_every: u64,
}

impl Trial {
    fn id(&self) -> String {
        format!("{}-every-{}", self.task, self.log_every)
    }
}

/// The log's share of the CPU time of a training run.
fn share_of_run(trial: &Trial, folder: &Path) -> Outcome<RunShare> {
    let mut descent = descent(trial)?;
    let run = RunStore::at(folder).create_named(&trial.id(), "")?;
    let stop = AtomicBool::new(false);
    let start = ProcessTime::now();
    run.drive(&mut descent, &mut Controls { checkpoints: CheckpointEvery::default(), stop: &stop, progress: &mut |_| () })?;
    let whole = start.elapsed().as_secs_f64();
    let events = read_events(&run.folder().join("events.jsonl"))?;
    let checkpoints = read_timings(&run.folder().join("timings.jsonl"))?.len();
    let again = |name: &str, sync_every| append(&mut events.iter(), sync_every, &run.folder().join(name));
    let appending = again("once.jsonl", u64::MAX)?.appending.as_secs_f64() / whole;
    let share = again("often.jsonl", (events.len() / checkpoints.max(1)) as u64)?.cpu.as_secs_f64() / whole;
    Ok(RunShare { task: trial.task.to_owned(), log_every: trial.log_every, appending, share })
}

fn descent(trial: &Trial) -> Outcome<Descent<Batch, f32>> {
    let task = Task::named(trial.task)?;
    let pieces = Pieces {
        choose: Box::new(Batches::shuffled(task.batch, task.batch, trial.steps, Seed(1).stream("batches"))?),
        differentiate: Box::new(task.objective()?),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step: Box::new(Sgd::plain()),
        observe: vec![Box::new(Every::new(trial.log_every, Loss)), Box::new(Every::new(trial.log_every, Norms))],
    };
    let rates = Rates::new(0.05, Schedule::Constant, trial.steps)?;
    Ok(Descent::new(task.start.clone(), task.network.layout().clone(), rates, pieces)?)
}

struct Cost {
    /// Without the last synchronisation.
    appending: Duration,
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
    let appending = cpu.elapsed();
    log.sync()?;
    Ok(Cost { appending, cpu: cpu.elapsed(), wall: wall.elapsed() })
}
