//! `thalweg vote plan`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::pages;
use thalweg::report::format::{count, percent};
use thalweg::vote::plan::{self, Mode};

use super::failed;
use crate::cli::Common;
use crate::cli::console::Console;

/// Compare all modes for a number of users: bytes, messages, leakage, losses
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote plan --users 24 --dim 7850
  thalweg vote plan --users 100 --dim 1000000 --out plan.html
  thalweg vote plan --users 24 --dim 8000 --json

The recommended mode has the least ln(bytes sent + bytes from the dealer) + 2 ln(leakage) - ln(P(complete)) - 2 ln(agreement with
the vote of all). It is a rule of thumb: read the table. The savings are those of the published scheme (beaver in groups of 3, bits) in
openings alone, without final shares; its `total` compares one user of each group with one user of the flat vote.")]
pub(crate) struct Plan {
    /// The number of users
    #[arg(long, value_name = "N", default_value_t = 24)]
    users: usize,
    /// The number of coordinates
    #[arg(long, value_name = "D", default_value_t = 8_000)]
    dim: u32,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    plan: &'a plan::Plan,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'a std::path::Path>,
}

impl Plan {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let plan = plan::compare(self.users, self.dim).map_err(failed)?;
        let page = common.out.as_deref();
        if let Some(path) = page {
            pages::write_vote_plan(self.users, self.dim, &plan, path)?;
        }
        console.result(&Document { plan: &plan, page }, &self.describe(&plan, page)?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn describe(&self, plan: &plan::Plan, page: Option<&std::path::Path>) -> Result<String> {
        let table = pages::vote_modes(plan).map_err(|error| Error::piece("drawing the table", error))?;
        let mut text = format!("{} users, {} coordinates\n\n{}\n\n", self.users, count(self.dim.into()), table.to_text());
        text.push_str(&format!("recommended: {}\n", plan.recommended));
        if let Some(why) = reasons(plan) {
            text.push_str(&format!("  {why}\n"));
        }
        text.push_str(&format!(
            "published scheme (beaver --group 3, openings alone): a user saves {}; the published total, one user of each group against \
             one user of the flat vote, saves {}; all users against all save {}\n",
            percent(plan.saving_user, 2),
            percent(plan.saving_total_paper, 2),
            percent(plan.saving_total_all, 2)
        ));
        if let Some(path) = page {
            text.push_str(&format!("page  {}", path.display()));
        }
        Ok(text)
    }
}

/// What speaks for the recommended mode beside the next best one.
fn reasons(plan: &plan::Plan) -> Option<String> {
    let name = |mode: &Mode| if mode.group == 0 { mode.mode.clone() } else { format!("{} --group {}", mode.mode, mode.group) };
    let mut modes: Vec<&Mode> = plan.modes.iter().filter(|mode| mode.mode != "plain").collect();
    modes.sort_by(|a, b| a.score().total_cmp(&b.score()));
    let (best, next) = (modes.first()?, modes.get(1)?);
    Some(format!(
        "it has the least score of bytes, leakage, losses and agreement, {:.2}; next is {} with {:.2}: {} against {} bytes up, leakage \
         {:.4} against {:.4} bit, complete at 5 % losses {} against {}",
        best.score(),
        name(next),
        next.score(),
        count(best.bytes_up as f64),
        count(next.bytes_up as f64),
        best.leak_bits,
        next.leak_bits,
        percent(best.complete_at_5_percent, 1),
        percent(next.complete_at_5_percent, 1),
    ))
}
