//! `thalweg vote check-vectors`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::report::{Column, NumberFormat, Table};
use thalweg::vote::check_vectors;
use thalweg::vote::vectors::FileReport;

use super::failed;
use crate::cli::console::Console;

/// Check this program, or one in another language, against files of test vectors
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote check-vectors crates/vote/tests/vectors

The files' names and forms are those of crates/vote/tests/vectors. Exit code 1 where a case does not hold.")]
pub(crate) struct CheckVectors {
    /// The folder that holds the files
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Document {
    holds: bool,
    cases: usize,
    files: Vec<FileReport>,
}

impl CheckVectors {
    pub(super) fn run(self, console: &Console) -> Result<ExitCode> {
        if !self.folder.is_dir() {
            return Err(Error::input(format!("{} is no folder", self.folder.display())));
        }
        let files = check_vectors(&self.folder).map_err(failed)?;
        let holds = files.iter().all(|file| file.failures.is_empty());
        let document = Document { holds, cases: files.iter().map(|file| file.cases).sum(), files };
        console.result(&document, &describe(&document)?)?;
        Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The failures that are shown of each file.
const SHOWN: usize = 3;

fn describe(document: &Document) -> Result<String> {
    let count = NumberFormat::Count;
    let mut table = Table::new([Column::text("file"), Column::number("cases", count), Column::number("failures", count)]);
    let mut failures = String::new();
    for file in &document.files {
        let row = [file.file.clone().into(), (file.cases as f64).into(), (file.failures.len() as f64).into()];
        table.row(row).map_err(|error| Error::piece("drawing the table", error))?;
        for failure in file.failures.iter().take(SHOWN) {
            failures.push_str(&format!("\n{}: {failure}", file.file));
        }
        if file.failures.len() > SHOWN {
            failures.push_str(&format!("\n{}: and {} more", file.file, file.failures.len() - SHOWN));
        }
    }
    let verdict = if document.holds { "all hold" } else { "NOT all hold" };
    Ok(format!("{}\n{} cases, {verdict}{failures}", table.to_text().trim_end(), document.cases))
}
