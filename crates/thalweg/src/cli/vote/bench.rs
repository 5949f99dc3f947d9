//! `thalweg vote bench`.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::report::{Column, NumberFormat, Table};
use thalweg::vote::{Protocol, Settings, Simulation, SimulationConfig};

use super::failed;
use crate::cli::console::Console;

/// Time rounds of several modes side by side
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote bench
  thalweg vote bench --users 24 --dim 1000000 --repeats 3 --threads 1

A round is everything: all users, the aggregator and the dealer in this process, every message packed and unpacked. Modes take turns,
so that a machine that slows down slows all of them.")]
pub(crate) struct Bench {
    /// The number of users
    #[arg(long, value_name = "N", default_value_t = 24)]
    users: usize,
    /// The number of coordinates
    #[arg(long, value_name = "D", default_value_t = 7_850)]
    dim: u32,
    /// Rounds of each mode
    #[arg(long, value_name = "R", default_value_t = 7)]
    repeats: usize,
}

#[derive(Serialize)]
struct Document {
    users: usize,
    dim: u32,
    threads: usize,
    modes: Vec<Timing>,
}

#[derive(Serialize)]
struct Timing {
    mode: Protocol,
    group: u16,
    median_seconds: f64,
    least_seconds: f64,
    bytes_up: u64,
    #[serde(skip)]
    all: Vec<f64>,
}

/// Beyond this the bench takes hours and more memory than common machines have.
const MOST_SIGNS: u64 = 1 << 29;

impl Bench {
    pub(super) fn run(self, console: &Console) -> Result<ExitCode> {
        if self.repeats == 0 {
            return Err(Error::input("--repeats is 0, but must be at least 1"));
        }
        if (self.users as u64).saturating_mul(self.dim.into()) > MOST_SIGNS {
            return Err(Error::input(format!("--users {} times --dim {} is above {MOST_SIGNS} signs", self.users, self.dim)));
        }
        let mut sessions = self.sessions()?;
        let vote = |user: usize, c: usize| if (user * 31 + c * 17) % 5 < 2 { 1 } else { -1 };
        let votes: Vec<Vec<i8>> = (0..self.users).map(|user| (0..self.dim as usize).map(|c| vote(user, c)).collect()).collect();
        let progress = console.progress((self.repeats * sessions.len()) as u64);
        for _ in 0..self.repeats {
            for (session, timing) in &mut sessions {
                let started = Instant::now();
                let report = session.round(&votes).map_err(failed)?;
                timing.all.push(started.elapsed().as_secs_f64());
                timing.bytes_up = report.ledger.users.iter().map(|user| user.wire_up).max().unwrap_or_default();
                progress.inc(1);
            }
        }
        progress.finish_and_clear();
        let modes = sessions.into_iter().map(|(_, timing)| timing.summed_up()).collect();
        let document = Document { users: self.users, dim: self.dim, threads: rayon::current_num_threads(), modes };
        console.result(&document, &describe(&document)?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// A session of each mode that these users can vote in.
    fn sessions(&self) -> Result<Vec<(Simulation, Timing)>> {
        Settings::new(self.dim).check(self.users).map_err(failed)?;
        let modes = Protocol::ALL.into_iter().flat_map(|mode| [(mode, 0), (mode, 3)]);
        let fits = |settings: &Settings| {
            let groups = settings.group_sizes(self.users).len();
            (settings.group_size == 0) == (groups == 1) && settings.check(self.users).is_ok()
        };
        let settings = modes.map(|(protocol, group_size)| Settings { protocol, group_size, ..Settings::new(self.dim) });
        let session = |settings: Settings| {
            let (mode, group) = (settings.protocol, settings.group_size);
            let config = SimulationConfig { insecure_seed: Some(1), ..SimulationConfig::new(settings, self.users) };
            let timing = Timing {
                mode,
                group,
                median_seconds: 0.0,
                least_seconds: 0.0,
                bytes_up: 0,
                all: Vec::with_capacity(self.repeats),
            };
            Ok((Simulation::new(config).map_err(failed)?, timing))
        };
        settings.filter(fits).map(session).collect()
    }
}

impl Timing {
    fn summed_up(mut self) -> Self {
        self.all.sort_by(f64::total_cmp);
        self.median_seconds = self.all[self.all.len() / 2];
        self.least_seconds = self.all[0];
        self
    }
}

fn describe(document: &Document) -> Result<String> {
    let mut table = Table::new([
        Column::text("mode"),
        Column::number("group", NumberFormat::Count),
        Column::number("median round", NumberFormat::Seconds),
        Column::number("least", NumberFormat::Seconds),
        Column::number("bytes up per user", NumberFormat::Count),
    ]);
    for timing in &document.modes {
        let row = [
            timing.mode.name().into(),
            f64::from(timing.group).into(),
            timing.median_seconds.into(),
            timing.least_seconds.into(),
            (timing.bytes_up as f64).into(),
        ];
        table.row(row).map_err(|error| Error::piece("drawing the table", error))?;
    }
    let head = format!("{} users, {} coordinates, {} threads", document.users, document.dim, document.threads);
    Ok(format!("{head}\n\n{}", table.to_text()))
}
