//! `thalweg vote simulate`.

mod course;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use thalweg::descent::store::write_atomically;
use thalweg::descent::{Error, Result, Seed};
use thalweg::vote::{Mode, Regroup, Settings};

use super::agreed::Agreed;
use super::losses::Stop;
use crate::cli::Common;
use crate::cli::console::Console;
use words::Document;

/// Let simulated users vote over real messages, and compare with the plain vote
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote simulate
  thalweg vote simulate --preset paper --dim 8000
  thalweg vote simulate --users 24 --mode sealed --group 3
  thalweg vote simulate --mode survivors --drop 5@1 --drop 7@0
  thalweg vote simulate --rounds 50 --drop-rate 0.05 --seed 7
  thalweg vote simulate --mode lean --group 3 --rounds 20 --regroup 5
  thalweg vote simulate --mode plain --group 3
  thalweg vote simulate --users 3 --dim 20 --frames round.frames && thalweg vote inspect round.frames

Users, aggregator and dealer run in this process and exchange the messages of the wire format, in virtual time. Signs are random, and
all randomness comes from --seed: nothing here is a secret. --mode plain is the vote without secrecy, for comparison: the same seed has
the same groups and coins, so that results and bytes can be set side by side. Exit code 1 where a published result is not the plain vote of those whose
votes were counted, or no round has a result.")]
pub(crate) struct Simulate {
    /// The number of users
    #[arg(long, value_name = "N", default_value_t = 24)]
    users: usize,
    /// The number of coordinates
    #[arg(long, value_name = "D", default_value_t = 8_000)]
    dim: u32,
    /// Rounds
    #[arg(long, value_name = "R", default_value_t = 1)]
    rounds: u32,
    #[command(flatten)]
    agreed: Agreed,
    /// When groups are drawn anew: every round, never (fixed), or after so many rounds
    #[arg(long, value_name = "every|fixed|N", default_value = "every")]
    regroup: Regroup,
    /// Somebody stops in every round after so many messages: 3@1, aggregator@0, dealer@2
    #[arg(long, value_name = "WHO@MESSAGES")]
    drop: Vec<Stop>,
    /// Each user stops in each round with this probability, before or between its messages
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    drop_rate: f64,
    /// So many messages of each round are lost, late, doubled, altered or go astray
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with_all = ["drop", "drop_rate"])]
    mishaps: usize,
    /// Do not start a flat vote again without the users that it lost
    #[arg(long)]
    no_restart: bool,
    /// Write all messages of the last round here, for `inspect`
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
}

/// Signs beyond this number would not fit the memory of a common machine.
const MOST_SIGNS: u64 = 1 << 31;

impl Simulate {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        self.check()?;
        let settings = self.settings()?;
        let mode = self.agreed.mode();
        for warning in mode.warnings(&settings, self.users) {
            console.note(&warning);
        }
        let leak_bits = words::leaked(mode, &settings, self.users)?;
        console.note(&words::leakage_note(mode, &settings, self.users, self.rounds, leak_bits)?);
        let started = Instant::now();
        let course = self.vote(&settings, Seed(common.seed.unwrap_or(1)), console)?;
        let elapsed = started.elapsed().as_secs_f64();
        if let Some(path) = &self.frames {
            write_atomically(path, &course.frames.iter().flat_map(|frame| frame.bytes.iter().copied()).collect::<Vec<u8>>())?;
        }
        let document = Document {
            matches_plain: course.results > 0 && course.right == course.results,
            users: self.users,
            dim: self.dim,
            mode,
            group: settings.group_size,
            regroup: settings.regroup,
            rounds: self.rounds,
            results: course.results,
            survivors: course.survivors,
            aborts: course.aborts,
            faults: course.faults,
            ledger: words::bill(course.ledger, mode, &settings, self.users, self.rounds),
            leak_bits,
            seconds: elapsed,
        };
        console.result(&document, &words::describe(&document, &settings)?)?;
        Ok(if document.matches_plain { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn settings(&self) -> Result<Settings> {
        let settings = self.agreed.settings(self.users, self.dim)?;
        if self.regroup != Regroup::Every && settings.group_sizes(self.users).len() == 1 {
            let message = format!("--regroup {}: there is one group of all; --group G makes several", self.regroup);
            return Err(Error::input(message));
        }
        Ok(Settings { regroup: self.regroup, ..settings })
    }

    fn check(&self) -> Result<()> {
        if self.rounds == 0 {
            return Err(Error::input("--rounds is 0, but must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.drop_rate) {
            return Err(Error::input(format!("--drop-rate is {}, but must be from 0 to 1", self.drop_rate)));
        }
        if let Some(user) = self.drop.iter().filter_map(|stop| stop.user()).find(|&user| usize::from(user) >= self.users) {
            return Err(Error::input(format!("--drop names user {user}, but users are 0 to {}", self.users.saturating_sub(1))));
        }
        let faulty =
            !self.drop.is_empty() || self.drop_rate > 0.0 || self.mishaps > 0 || self.no_restart || self.frames.is_some();
        if self.agreed.mode() == Mode::Plain && faulty {
            let message = "--mode plain is for comparison: it has no --drop, --drop-rate, --mishaps, --no-restart and --frames";
            return Err(Error::input(message));
        }
        let folder = self.frames.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Error::input(format!("--frames: there is no folder {}", folder.display())));
        }
        let signs = (self.users as u64).saturating_mul(self.dim.into());
        if signs > MOST_SIGNS {
            let message = format!(
                "--users {} times --dim {} is {signs} signs, but one process holds at most {MOST_SIGNS}",
                self.users, self.dim
            );
            return Err(Error::input(message));
        }
        Ok(())
    }
}
