//! `thalweg vote keys issue`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::vote::net::authority::{self, Terms};
use thalweg::vote::wire::Party;

use super::failed;
use crate::cli::Common;
use crate::cli::console::Console;

/// Make one more certificate for a party, in place of one that has ended or whose key is lost
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote keys issue --authority keys/authority --role user-3 --into keys/user-3
  thalweg vote keys issue --authority keys/authority --role dealer --into keys/dealer --organisation 'Other Ltd' --days 90

The folder is the party's own: its secret and the mark of what it has used stay, its certificate and key are new. The authority is the
one that `vote keys --keep-authority` kept. A certificate that was given before stays good until it ends: there is no list of revoked
ones, so start a new session where a key was stolen.")]
pub(super) struct Issue {
    /// The authority's folder
    #[arg(long, value_name = "FOLDER")]
    authority: PathBuf,
    /// The party: aggregator, dealer, user-0, user-1, ...
    #[arg(long, value_name = "ROLE")]
    role: String,
    /// The party's folder
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    /// The organisation to name in it
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Days for which it is good; without end otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
}

#[derive(Serialize)]
struct Document {
    party: Party,
    folder: PathBuf,
}

impl Issue {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        if common.out.is_some() {
            return Err(Error::input("--out means nothing to this command; the party's folder is --into"));
        }
        let day = Duration::from_secs(86_400);
        let terms = Terms { organisation: self.organisation, until: self.days.map(|days| SystemTime::now() + day * days) };
        let party = authority::renew(&self.authority, &self.into, &self.role, &terms).map_err(failed)?;
        let text = format!("{} holds a new certificate and key of {party}", self.into.display());
        console.result(&Document { party, folder: self.into }, &text)?;
        Ok(ExitCode::SUCCESS)
    }
}
