//! `thalweg vote keys`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::vote::net::authority;
use thalweg::vote::{Protocol, Switch};

use super::agreed::Agreed;
use super::failed;
use crate::cli::Common;
use crate::cli::console::Console;

/// Make the folders of all parties of a session: what is agreed, certificates, secrets
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote keys --out keys --users 5 --dim 7850
  thalweg vote keys --out keys --users 24 --dim 7850 --mode survivors

Hand each party its folder: aggregator, dealer, user-0, user-1, ... Keys and secrets are readable by their owner alone (mode 0600).
Whoever runs this has seen all of them, so it is for tests and trials. For real use let every party make its own, and an authority of
yours sign certificates with the URI name thalweg-vote://SESSION/ROLE and the DNS name ROLE (aggregator, dealer, user-N).

Users confirm to each other what the aggregator has told them, unless --no-confirm (or the mode sealed, which cannot).")]
pub(crate) struct Keys {
    /// The number of users
    #[arg(long, value_name = "N")]
    users: usize,
    /// The number of coordinates
    #[arg(long, value_name = "D")]
    dim: u32,
    #[command(flatten)]
    agreed: Agreed,
    /// Let users trust the aggregator to tell all of them the same
    #[arg(long, conflicts_with = "confirm")]
    no_confirm: bool,
}

#[derive(Serialize)]
struct Document {
    folder: PathBuf,
    parties: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl Keys {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let folder = common.out.clone().ok_or_else(|| Error::input("--out FOLDER: say where the keys go"))?;
        let mut settings = self.agreed.settings(self.users, self.dim)?;
        if !self.no_confirm && settings.protocol != Protocol::Sealed {
            settings.options.confirm = Switch::On;
        }
        settings.check(self.users).map_err(failed)?;
        let users = u16::try_from(self.users).ok().filter(|&users| users <= 250);
        let users = users.ok_or_else(|| Error::input(format!("--users is {}, but must be from 3 to 250", self.users)))?;
        let parties = authority::issue(&folder, &settings, users).map_err(failed)?;
        let warnings = settings.warnings(self.users);
        let mut text = format!(
            "{} folders in {}: aggregator, dealer, user-0 to user-{}\nhand each party its own; dealer and aggregator must be run by \
             different administrations, since both together read every vote",
            parties.len(),
            folder.display(),
            users - 1
        );
        for warning in &warnings {
            text.push_str(&format!("\n{warning}"));
        }
        console.result(&Document { folder, parties, warnings }, &text)?;
        Ok(ExitCode::SUCCESS)
    }
}
