//! What the processes of a vote over a network have in common.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use thalweg::descent::store::write_atomically;
use thalweg::descent::{Error, Result};
use thalweg::report::format::bytes;
use thalweg::vote::machine::Tally;
use thalweg::vote::net::{FrameLog, PartyFolder, Stop, Traffic, Watch};
use thalweg::vote::wire::Party;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::failed;
use crate::cli::console::Console;
use crate::cli::stop;

/// Runs a process to its end, on a runtime of its own.
pub(super) fn run<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Error::piece("starting the network", error))?;
    let result = runtime.block_on(work);
    // A task that still waits for a peer must not hold the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// Becomes true at the first Ctrl-C, or when the process is asked to terminate.
pub(super) fn stop_on_ctrl_c() -> Result<Stop> {
    let flag = stop::on_ctrl_c()?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        while !flag.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Without a receiver the process is ending anyway.
        let _ = sender.send(true);
    });
    Ok(receiver)
}

/// Listens, and says where on standard error: with port 0 the system chooses one.
pub(super) async fn listen(address: &str, console: &Console) -> Result<TcpListener> {
    bind("--listen", address, "listening on", console).await
}

async fn bind(option: &str, address: &str, words: &str, console: &Console) -> Result<TcpListener> {
    let wrong =
        |error: std::io::Error| Error::input(format!("{option} {address}: {error}; HOST:PORT is needed, as 0.0.0.0:7000"));
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let at = listener.local_addr().map_err(wrong)?;
    console.note(&format!("{words} {at}"));
    Ok(listener)
}

/// The folder of a party, which must be of the role that the command is for.
pub(super) fn folder(path: &Path, role: &str, is_right: impl Fn(&thalweg::vote::wire::Party) -> bool) -> Result<PartyFolder> {
    let folder = PartyFolder::read(path).map_err(failed)?;
    if !is_right(&folder.party) {
        return Err(Error::input(format!(
            "--keys {} is the folder of {}, but that of {role} is needed",
            path.display(),
            folder.party
        )));
    }
    Ok(folder)
}

/// A positive number of seconds, from an option.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no number of seconds"))?;
    let most = 86_400.0;
    if seconds > 0.0 && seconds <= most {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(format!("{seconds} is not above 0 and at most {most} seconds"))
}

/// Writes what `--out` asks for.
pub(super) fn write(out: Option<&Path>, document: &impl Serialize) -> Result<Option<PathBuf>> {
    let Some(path) = out else { return Ok(None) };
    let text = serde_json::to_vec(document).map_err(|error| Error::piece("writing JSON", error))?;
    write_atomically(path, &text)?;
    Ok(Some(path.to_owned()))
}

/// How a process can be watched, as options.
#[derive(Args)]
pub(super) struct WatchOptions {
    /// Answer GET /metrics there with counters for Prometheus; whoever can connect may ask
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Option<String>,
    /// Append a line with the SHA-256 of each message that was sent or taken, to settle later who said what
    #[arg(long, value_name = "FILE")]
    frame_log: Option<PathBuf>,
}

impl WatchOptions {
    pub(super) async fn open(&self, console: &Console) -> Result<Watch> {
        let frame_log = self.frame_log.as_deref().map(FrameLog::open).transpose().map_err(failed)?;
        let metrics = match &self.metrics {
            Some(address) => Some(bind("--metrics", address, "metrics on", console).await?),
            None => None,
        };
        Ok(Watch { metrics, frame_log })
    }
}

/// What a process that took part in rounds prints at its end.
#[derive(Serialize)]
pub(super) struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<u16>,
    pub(super) rounds: Vec<Round>,
    pub(super) traffic: Traffic,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) out: Option<PathBuf>,
}

impl Document {
    /// Prints it; the exit code says whether every round, and at least one, has a result.
    pub(super) fn show(&self, console: &Console) -> Result<ExitCode> {
        let mut text: String = self.rounds.iter().map(|round| round.describe() + "\n").collect();
        text.push_str(&describe_traffic(&self.traffic));
        console.result(self, &text)?;
        let is_complete = !self.rounds.is_empty() && self.rounds.iter().all(|round| round.has_result);
        Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A round without its votes, which `--out` holds.
#[derive(Serialize)]
pub(super) struct Round {
    round: u32,
    has_result: bool,
    counts: Option<Counts>,
    reason: Option<String>,
    /// What the aggregator alone knows.
    #[serde(flatten)]
    seen: Option<Seen>,
}

/// What the aggregator sees of a round.
#[derive(Serialize)]
pub(super) struct Seen {
    pub(super) survivors: Vec<u16>,
    /// The users that did not answer in time.
    pub(super) missing: Vec<u16>,
    pub(super) culprit: Option<Party>,
    pub(super) seconds: f64,
}

impl Round {
    pub(super) fn new(round: u32, tally: Option<&Tally>, reason: Option<String>, seen: Option<Seen>) -> Self {
        let counts = tally.map(|tally| Counts::of(&tally.votes()));
        Self { round, has_result: tally.is_some(), counts, reason, seen }
    }

    pub(super) fn describe(&self) -> String {
        let mut text = match &self.counts {
            Some(Counts { plus, minus, ties }) => format!("round {}: {plus} times +1, {minus} times -1, {ties} ties", self.round),
            None => format!("round {}: no result, {}", self.round, self.reason.as_deref().unwrap_or("for no known reason")),
        };
        let Some(seen) = &self.seen else { return text };
        match (self.has_result, seen.culprit) {
            (true, _) => text.push_str(&format!(", of {} users", seen.survivors.len())),
            (false, Some(party)) => text.push_str(&format!(", because of {party}")),
            (false, None) => {}
        }
        text.push_str(&format!(", in {:.2} s", seen.seconds));
        if !seen.missing.is_empty() {
            text.push_str(&format!("; users that did not answer in time: {}", listed(&seen.missing)));
        }
        text
    }
}

fn listed(users: &[u16]) -> String {
    users.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

/// How often a vote has each value.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Counts {
    pub(super) plus: usize,
    pub(super) minus: usize,
    pub(super) ties: usize,
}

impl Counts {
    pub(super) fn of(votes: &[i8]) -> Self {
        let count = |value: i8| votes.iter().filter(|&&vote| vote == value).count();
        Self { plus: count(1), minus: count(-1), ties: count(0) }
    }
}

pub(super) fn describe_traffic(traffic: &Traffic) -> String {
    let mut text = format!(
        "sent {} frames of {}, received {} of {}; by TCP {} out and {} in, on {} connections",
        traffic.frames_sent,
        bytes(traffic.frame_bytes_sent as f64),
        traffic.frames_received,
        bytes(traffic.frame_bytes_received as f64),
        bytes(traffic.transport_bytes_sent as f64),
        bytes(traffic.transport_bytes_received as f64),
        traffic.connections
    );
    if traffic.connections_refused > 0 {
        text.push_str(&format!("\nrefused {} connections", traffic.connections_refused));
    }
    for (fault, count) in &traffic.refused {
        text.push_str(&format!("\nrefused {count} frames: {fault}"));
    }
    text
}
