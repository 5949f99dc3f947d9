//! `thalweg vote client`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rand::RngExt;
use thalweg::descent::{Error, Result, Seed};
use thalweg::vote::net::{ClientProcess, ClientRound, run_client};
use thalweg::vote::prg;
use thalweg::vote::signs::{ZeroVote, of_gradient};
use thalweg::vote::wire::Party;
use thalweg::vote::{Domain, Settings};

use super::failed;
use super::network::{Document, Round, WatchOptions, folder, run, seconds, stop_on_ctrl_c, write};
use crate::cli::Common;
use crate::cli::console::Console;

/// Run a user of a vote over a network: it votes the signs of a gradient, and learns the result
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote client --keys keys/user-0 --gradient gradient.f32 --out result.json
  thalweg vote client --keys keys/user-1 --gradient 'gradient-{round}.json' --aggregator a.example.org:7000 --dealer d.example.org:7001
  thalweg vote client --keys keys/user-2 --random

A gradient is a file of 32-bit floats, little-endian, or a JSON list of numbers where its name ends in .json; {round} in the name stands
for the round's number, and the file is read when the round opens. Where the gradient is zero a coin votes (in the ternary domain: 0).
The process votes in every round until the aggregator has finished. It never votes twice in one round, even after a crash: the last one
is in used.json of its folder. Exit code 1 where a round has no result.")]
pub(crate) struct Client {
    /// The user's folder, from `vote keys`
    #[arg(long, value_name = "FOLDER")]
    keys: PathBuf,
    /// Where the aggregator listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7000")]
    aggregator: String,
    /// Where the dealer listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7001")]
    dealer: String,
    /// The file with the gradient
    #[arg(long, value_name = "FILE", required_unless_present = "random")]
    gradient: Option<String>,
    /// Vote random signs, for a trial; --seed makes them repeatable
    #[arg(long, conflicts_with = "gradient")]
    random: bool,
    /// Seconds to wait for a message of a round
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    patience: Duration,
    /// Seconds for which a server may be away
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    away: Duration,
    #[command(flatten)]
    watch: WatchOptions,
}

fn round(end: &ClientRound) -> Round {
    Round::new(end.round, end.tally.as_ref(), end.reason.clone(), None)
}

impl Client {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let keys = folder(&self.keys, "a user", |party| matches!(party, Party::User(_)))?;
        let Party::User(user) = keys.party else { return Err(Error::input("--keys: that of a user is needed")) };
        let settings = keys.session.settings.clone();
        let source = self.source(common)?;
        let mut ends: Vec<ClientRound> = Vec::new();
        // The first error of the gradient; the library's own errors have no room for it.
        let mut unreadable = None;
        let work = async {
            let process = ClientProcess {
                folder: keys,
                aggregator: self.aggregator.clone(),
                dealer: self.dealer.clone(),
                patience: self.patience,
                away: self.away,
                watch: self.watch.open(console).await?,
            };
            let votes = |round: u32| {
                source.votes(&settings, user, round).map_err(|error| {
                    let reason = error.to_string();
                    unreadable = Some(error);
                    thalweg::vote::Error::Network { doing: format!("reading the votes of round {round}"), reason }
                })
            };
            let report = |end: &ClientRound| {
                console.note(&round(end).describe());
                ends.push(end.clone());
            };
            run_client(process, stop_on_ctrl_c()?, votes, report).await.map_err(failed)
        };
        let traffic = run(work);
        let out = write(common.out.as_deref().filter(|_| !ends.is_empty()), &ends)?;
        let traffic = unreadable.map_or(traffic, Err)?;
        Document { user: Some(user), rounds: ends.iter().map(round).collect(), traffic, out }.show(console)
    }

    fn source(&self, common: &Common) -> Result<Source> {
        match (&self.gradient, common.seed) {
            (Some(_), Some(_)) => Err(Error::input("--seed means nothing with --gradient; leave it out")),
            (Some(name), None) => Ok(Source::Gradient(name.clone())),
            (None, seed) => Ok(Source::Random(Seed(seed.unwrap_or(1)))),
        }
    }
}

/// Where votes come from.
enum Source {
    Gradient(String),
    Random(Seed),
}

impl Source {
    fn votes(&self, settings: &Settings, user: u16, round: u32) -> Result<Vec<i8>> {
        match self {
            Self::Gradient(name) => {
                let path = name.replace("{round}", &round.to_string());
                let gradient = read_gradient(Path::new(&path), settings.coordinates as usize)?;
                let zero = match settings.domain {
                    Domain::Binary => ZeroVote::Random { seed: prg::Seed::generate().map_err(failed)?, round },
                    Domain::Ternary => ZeroVote::Abstain,
                };
                of_gradient(&gradient, &zero).map_err(|error| Error::input(format!("{path}: {error}")))
            }
            Self::Random(seed) => {
                let mut rng = seed.stream(&format!("vote.user.{user}")).at(round.into());
                Ok((0..settings.coordinates).map(|_| if rng.random() { 1 } else { -1 }).collect())
            }
        }
    }
}

/// The most bytes of a number and what parts it from the next, in a JSON file.
const LONGEST_NUMBER: u64 = 64;

fn read_gradient(path: &Path, coordinates: usize) -> Result<Vec<f32>> {
    let wrong = |reason: String| Error::input(format!("{}: {reason}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    let expected = coordinates as u64 * 4;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    if is_json && length > coordinates as u64 * LONGEST_NUMBER + LONGEST_NUMBER || !is_json && length != expected {
        return Err(wrong(format!(
            "{length} bytes, but a gradient of {coordinates} coordinates has {expected} as 32-bit floats"
        )));
    }
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    if !is_json {
        return Ok(bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect());
    }
    let gradient: Vec<f32> = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if gradient.len() == coordinates {
        return Ok(gradient);
    }
    Err(wrong(format!("{} numbers, but {coordinates} coordinates were agreed", gradient.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_read_by_their_name_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.f32"), [1.5f32, -2.0].map(f32::to_le_bytes).concat()).unwrap();
        std::fs::write(path("a.json"), "[1.5, -2]").unwrap();
        assert_eq!(read_gradient(&path("a.f32"), 2).unwrap(), [1.5, -2.0]);
        assert_eq!(read_gradient(&path("a.json"), 2).unwrap(), [1.5, -2.0]);
        for name in ["a.f32", "a.json", "missing.f32"] {
            let error = read_gradient(&path(name), 3).unwrap_err();
            assert!(error.is_input() && error.to_string().contains(name), "{error}");
        }
        std::fs::write(path("b.json"), "[1.5, null]").unwrap();
        assert!(read_gradient(&path("b.json"), 2).unwrap_err().is_input());
    }

    #[test]
    fn a_round_has_its_own_file_and_nan_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let name = |round: u32| folder.path().join(format!("g{round}.f32"));
        std::fs::write(name(0), [1.0f32, -1.0, 0.0].map(f32::to_le_bytes).concat()).unwrap();
        std::fs::write(name(1), [1.0f32, f32::NAN, 0.0].map(f32::to_le_bytes).concat()).unwrap();
        let source = Source::Gradient(folder.path().join("g{round}.f32").display().to_string());
        let settings = Settings { domain: Domain::Ternary, ..Settings::new(3) };
        assert_eq!(source.votes(&settings, 0, 0).unwrap(), [1, -1, 0]);
        assert_ne!(source.votes(&Settings::new(3), 0, 0).unwrap()[2], 0);
        let error = source.votes(&settings, 0, 1).unwrap_err().to_string();
        assert!(error.contains("g1.f32") && error.contains("coordinate 1"), "{error}");
    }
}
