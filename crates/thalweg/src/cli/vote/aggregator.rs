//! `thalweg vote aggregator`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use thalweg::descent::Result;
use thalweg::vote::Switch;
use thalweg::vote::net::{AggregatorProcess, RoundEnd, run_aggregator};
use thalweg::vote::wire::Party;

use super::failed;
use super::network::{Document, Round, Seen, WatchOptions, folder, listen, run, seconds, stop_on_ctrl_c, write};
use crate::cli::Common;
use crate::cli::console::Console;

/// Run the aggregator of a vote over a network: it adds what users send, and publishes results
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote aggregator --keys keys/aggregator --listen 0.0.0.0:7000 --dealer dealer.example.org:7001
  thalweg vote aggregator --keys keys/aggregator --listen 127.0.0.1:7000 --dealer 127.0.0.1:7001 --rounds 100 --out results.json

A round opens when all users and the dealer are connected; after --gather seconds with those who are there, if they are enough. A user
that does not answer within --step-timeout is lost: what then happens depends on the mode. After --round-timeout a round ends in any
case: groups that are not done count as 0, and without groups there is no result. The end of a round names who was missing. Exit code 1 where a round has no result.")]
pub(crate) struct Aggregator {
    /// The aggregator's folder, from `vote keys`
    #[arg(long, value_name = "FOLDER")]
    keys: PathBuf,
    /// Where to listen for users
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7000")]
    listen: String,
    /// Where the dealer listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7001")]
    dealer: String,
    /// Rounds to open
    #[arg(long, value_name = "R", default_value_t = 1)]
    rounds: u32,
    /// Seconds to wait for all users before a round
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    gather: Duration,
    /// Seconds to wait for a message of a round
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    step_timeout: Duration,
    /// Seconds that a round may take in all
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    round_timeout: Duration,
    /// Do not start a flat vote again without the users that it lost
    #[arg(long)]
    no_restart: bool,
    #[command(flatten)]
    watch: WatchOptions,
}

fn round(end: &RoundEnd) -> Round {
    let outcome = end.outcome.as_ref();
    let seen = Seen {
        survivors: outcome.map(|outcome| outcome.survivors.clone()).unwrap_or_default(),
        missing: end.missing.clone(),
        culprit: end.culprit,
        seconds: end.seconds,
    };
    Round::new(end.round, outcome.map(|outcome| &outcome.tally), end.reason.map(|reason| reason.to_string()), Some(seen))
}

impl Aggregator {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        if self.rounds == 0 {
            return Err(thalweg::descent::Error::input("--rounds is 0, but must be at least 1"));
        }
        let keys = folder(&self.keys, "the aggregator", |party| *party == Party::Aggregator)?;
        let mut ends: Vec<RoundEnd> = Vec::new();
        let work = async {
            let process = AggregatorProcess {
                folder: keys,
                listener: listen(&self.listen, console).await?,
                dealer: self.dealer.clone(),
                rounds: self.rounds,
                gather: self.gather,
                step: self.step_timeout,
                whole: self.round_timeout,
                restart: if self.no_restart { Switch::Off } else { Switch::On },
                watch: self.watch.open(console).await?,
            };
            let report = |end: &RoundEnd| {
                console.note(&round(end).describe());
                ends.push(end.clone());
            };
            run_aggregator(process, stop_on_ctrl_c()?, report).await.map_err(failed)
        };
        let traffic = run(work);
        // What was decided is kept, also when a later round failed.
        let out = write(common.out.as_deref().filter(|_| !ends.is_empty()), &ends)?;
        Document { user: None, rounds: ends.iter().map(round).collect(), traffic: traffic?, out }.show(console)
    }
}
