//! `thalweg study`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::pages;
use thalweg::report::format::significant;
use thalweg::study::{ClaimOutcome, Laboratory, Outcome, Progress, Shard, StudyFile, Worked};

use crate::cli::console::Console;
use crate::cli::{Common, stop};

/// Put a published claim to the test: claimed, measured, interval, verdict
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg study studies/private-schedule.toml
  thalweg study studies/private-schedule.toml --shard 1/2    one of two processes on one store

Interrupted at any moment, the same call goes on. The rule is part of the file, and is fixed when the first cell runs.")]
pub(crate) struct Study {
    /// The study
    file: PathBuf,

    /// Work on part i of n of the cells, written i/n; the outcome is drawn from all that are finished
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    report: PathBuf,
}

impl Study {
    pub(crate) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let (study, text) = StudyFile::read(&self.file)?;
        let folder = common.out.clone().unwrap_or_else(|| common.runs.join(&study.name));
        let laboratory = Laboratory::open(study, &text, &folder)?;
        let worked = work(&laboratory, self.shard.unwrap_or(Shard::ALL), console)?;
        let outcome = laboratory.outcome()?;
        let report = pages::write_study_report(&laboratory, &outcome)?;
        console.result(&Document { outcome: &outcome, report: report.clone() }, &describe(&outcome, &report))?;
        if worked == Worked::Stopped {
            return Err(Error::piece("the study was stopped", "the same call goes on where it stopped"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Works on the cells with a progress display.
pub(crate) fn work(laboratory: &Laboratory, shard: Shard, console: &Console) -> Result<Worked> {
    let stop = stop::on_ctrl_c()?;
    let bar = console.progress(laboratory.all_cells().len() as u64);
    let mut progress = |progress: Progress<'_>| {
        bar.set_length(progress.cells as u64);
        bar.set_position(progress.finished as u64);
        bar.set_message(progress.cell.to_owned());
    };
    let worked = laboratory.work(shard, stop, &mut progress);
    bar.finish_and_clear();
    worked
}

fn describe(outcome: &Outcome, report: &std::path::Path) -> String {
    let mut text = format!("claimed by {}\n", outcome.source);
    for setting in &outcome.settings {
        let mean = setting.mean.map_or_else(|| "nothing yet".to_owned(), |mean| interval(mean.mean, mean.half_width));
        let tuned = setting.tuned.as_deref().map(|tuned| format!("  ({tuned})")).unwrap_or_default();
        text.push_str(&format!("          {}: {mean}, {} seeds{tuned}\n", setting.name, setting.values.len()));
    }
    for claim in &outcome.claims {
        text.push_str(&describe_claim(claim, outcome));
    }
    if let Some(sentence) = outcome.intervals.describe(outcome.claims.len()) {
        text.push_str(&format!("\n{sentence}\n"));
    }
    text.push_str(&format!("\nreport    {}", report.display()));
    text
}

fn describe_claim(claim: &ClaimOutcome, outcome: &Outcome) -> String {
    let mut text = format!("\nclaimed   {}\n", claim.claim.says);
    let Some(decision) = &claim.decision else {
        text.push_str(&format!("verdict   none yet: {} of {} cells are finished\n", outcome.finished, outcome.cells));
        return text;
    };
    if let Some(measured) = decision.measured {
        text.push_str(&format!("measured  difference {}\n", significant(measured.mean, 3)));
        let (low, high) = (significant(measured.low(), 3), significant(measured.high(), 3));
        text.push_str(&format!("interval  {low} to {high}, {} seeds\n", decision.differences.len()));
    }
    text.push_str(&format!("verdict   {}: {}\n", decision.verdict, decision.reason));
    text
}

fn interval(mean: f64, half_width: f64) -> String {
    format!("{} ± {}", significant(mean, 4), significant(half_width, 2))
}
