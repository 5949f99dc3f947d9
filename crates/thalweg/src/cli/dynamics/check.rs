//! `thalweg dynamics check`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::Result;
use thalweg::dynamics::check::Row;

use crate::cli::console::Console;

/// Recompute published and reference values
#[derive(Args)]
#[command(after_help = "Example:
  thalweg dynamics check vectors/dynamics

Each file of the folder (*.json) says its kind, the parameters of its cases, what is expected and how closely. The exit code is 1
when a value is farther away.")]
pub(crate) struct Check {
    /// The folder of vector files
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Document {
    passed: bool,
    checked: usize,
    failed: usize,
    rows: Vec<Row>,
}

impl Check {
    pub(super) fn run(self, console: &Console) -> Result<ExitCode> {
        let found = thalweg::dynamics::check(&self.folder)?;
        let (checked, failed, passed) = (found.rows.len(), found.failures().count(), found.passed());
        let end = match failed {
            0 => format!("All {checked} values agree."),
            _ => format!("{failed} of {checked} values do not agree."),
        };
        let text = format!("{}\n{end}", found.table().to_text());
        console.result(&Document { passed, checked, failed, rows: found.rows }, &text)?;
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
