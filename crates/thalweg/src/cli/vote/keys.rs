//! `thalweg vote keys`.

mod issue;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::vote::net::authority::{self, AuthorityKey, Terms};
use thalweg::vote::{Mode, Protocol, Switch};

use super::agreed::Agreed;
use super::failed;
use crate::cli::Common;
use crate::cli::console::Console;

/// Make the folders of all parties of a session: what is agreed, certificates, secrets
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  thalweg vote keys --out keys --users 5 --dim 7850
  thalweg vote keys --out keys --users 24 --dim 7850 --mode survivors
  thalweg vote keys --out keys --users 5 --dim 7850 --keep-authority
  thalweg vote keys issue --authority keys/authority --role user-3 --into keys/user-3

Hand each party its folder: aggregator, dealer, user-0, user-1, ... Keys and secrets are readable by their owner alone (mode 0600).
Whoever runs this has seen all of them, so it is for tests and trials. For real use let every party make its own, and an authority of
yours sign certificates with the URI name thalweg-vote://SESSION/ROLE and the DNS name ROLE (aggregator, dealer, user-N).

Users confirm to each other what the aggregator has told them, unless --no-confirm (or the mode sealed, which cannot)."
)]
pub(crate) struct Keys {
    #[command(subcommand)]
    issue: Option<One>,
    #[command(flatten)]
    all: All,
}

#[derive(Subcommand)]
enum One {
    /// Make one more certificate for a party, in place of one that has ended or whose key is lost
    Issue(issue::Issue),
}

#[derive(Args)]
struct All {
    /// The number of users
    #[arg(long, value_name = "N")]
    users: Option<usize>,
    /// The number of coordinates
    #[arg(long, value_name = "D")]
    dim: Option<u32>,
    #[command(flatten)]
    agreed: Agreed,
    /// Let users trust the aggregator to tell all of them the same
    #[arg(long, conflicts_with = "confirm")]
    no_confirm: bool,
    /// Keep the authority's own key in the folder `authority`, for `keys issue`; otherwise it is thrown away
    #[arg(long)]
    keep_authority: bool,
    /// The organisation to name in all certificates; real ones of aggregator and dealer name different ones
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
}

#[derive(Serialize)]
struct Document {
    folder: PathBuf,
    parties: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl Keys {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        match self.issue {
            Some(One::Issue(issue)) => issue.run(common, console),
            None => self.all.run(common, console),
        }
    }
}

impl All {
    fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let folder = common.out.clone().ok_or_else(|| Error::input("--out FOLDER: say where the keys go"))?;
        // Not demanded of the parser, since `keys issue` has no use for them.
        let count = self.users.ok_or_else(|| Error::input("--users N: say how many users vote"))?;
        let dim = self.dim.ok_or_else(|| Error::input("--dim D: say how many coordinates they vote on"))?;
        if self.agreed.mode() == Mode::Plain {
            return Err(Error::input("--mode plain: nothing is secret in it, and it has no keys; simulate and train know it"));
        }
        let mut settings = self.agreed.settings(count, dim)?;
        if !self.no_confirm && settings.protocol != Protocol::Sealed {
            settings.options.confirm = Switch::On;
        }
        settings.check(count).map_err(failed)?;
        let users = u16::try_from(count).ok().filter(|&users| users <= 250);
        let users = users.ok_or_else(|| Error::input(format!("--users is {count}, but must be from 3 to 250")))?;
        let terms = Terms { organisation: self.organisation, until: None };
        let key = if self.keep_authority { AuthorityKey::Kept } else { AuthorityKey::Forgotten };
        let parties = authority::issue_under(&folder, &settings, users, &terms, key).map_err(failed)?;
        let warnings = settings.warnings(count);
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
