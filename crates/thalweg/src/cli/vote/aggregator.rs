//! `thalweg vote aggregator`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use thalweg::descent::Result;
use thalweg::vote::Switch;
use thalweg::vote::net::{AggregatorProcess, RoundEnd, Traffic, run_aggregator};
use thalweg::vote::wire::Party;

use super::failed;
use super::network::{Counts, describe_traffic, folder, listen, run, seconds, stop_on_ctrl_c, write};
use crate::cli::Common;
use crate::cli::console::Console;

/// Run the aggregator of a vote over a network: it adds what users send, and publishes results
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote aggregator --keys keys/aggregator --listen 0.0.0.0:7000 --dealer dealer.example.org:7001
  thalweg vote aggregator --keys keys/aggregator --listen 127.0.0.1:7000 --dealer 127.0.0.1:7001 --rounds 100 --out results.json

A round opens when all users and the dealer are connected; after --gather seconds with those who are there, if they are enough. A user
that does not answer within --step-timeout is lost: what then happens depends on the mode. Exit code 1 where a round has no result.")]
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
    /// Do not start a flat vote again without the users that it lost
    #[arg(long)]
    no_restart: bool,
}

#[derive(Serialize)]
struct Document {
    rounds: Vec<Round>,
    traffic: Traffic,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<PathBuf>,
}

/// A round without its votes, which `--out` holds.
#[derive(Serialize)]
struct Round {
    round: u32,
    has_result: bool,
    survivors: Vec<u16>,
    counts: Option<Counts>,
    reason: Option<String>,
    culprit: Option<Party>,
    seconds: f64,
}

impl Round {
    fn of(end: &RoundEnd) -> Self {
        let outcome = end.outcome.as_ref();
        Self {
            round: end.round,
            has_result: outcome.is_some(),
            survivors: outcome.map(|outcome| outcome.survivors.clone()).unwrap_or_default(),
            counts: outcome.map(|outcome| Counts::of(&outcome.tally.votes())),
            reason: end.reason.map(|reason| reason.to_string()),
            culprit: end.culprit,
            seconds: end.seconds,
        }
    }

    fn describe(&self) -> String {
        match (&self.counts, &self.reason) {
            (Some(counts), _) => format!(
                "round {}: {} users counted, {} times +1, {} times -1, {} ties, in {:.2} s",
                self.round,
                self.survivors.len(),
                counts.plus,
                counts.minus,
                counts.ties,
                self.seconds
            ),
            (None, Some(reason)) => {
                let culprit = self.culprit.map(|party| format!(", because of {party}")).unwrap_or_default();
                format!("round {}: no result, {reason}{culprit}", self.round)
            }
            (None, None) => format!("round {}: no result", self.round),
        }
    }
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
                restart: if self.no_restart { Switch::Off } else { Switch::On },
            };
            let report = |end: &RoundEnd| {
                console.note(&Round::of(end).describe());
                ends.push(end.clone());
            };
            run_aggregator(process, stop_on_ctrl_c()?, report).await.map_err(failed)
        };
        let traffic = run(work);
        // What was decided is kept, also when a later round failed.
        let out = write(common.out.as_deref().filter(|_| !ends.is_empty()), &ends)?;
        let document = Document { rounds: ends.iter().map(Round::of).collect(), traffic: traffic?, out };
        let mut text: String = document.rounds.iter().map(|round| round.describe() + "\n").collect();
        text.push_str(&describe_traffic(&document.traffic));
        let is_complete = document.rounds.iter().all(|round| round.has_result);
        console.result(&document, &text)?;
        Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
