//! `thalweg dynamics overlay`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::dynamics::deq::Outcome;
use thalweg::dynamics::icl::experiment::{Both, Report};
use thalweg::pages;
use thalweg::probes::overlay::{Caveat, Gap};

use super::deq::{Deq, describe};
use super::icl::{Icl, sentence};
use crate::cli::Common;
use crate::cli::console::Console;

/// Draw theory over measurement on one page
#[derive(Subcommand)]
#[command(after_help = "Examples:
  thalweg dynamics overlay icl --seeds 8           published and exact curves over the band of 8 runs
  thalweg dynamics overlay deq --run near-singular the conserved radius and its predicted drift

The page goes to --out FILE.html, or to overlay-icl.html and overlay-deq.html in the folder of runs.")]
pub(crate) enum Overlay {
    /// In-context learning: both theories over the band of stochastic descent
    Icl(Icl),
    /// An equilibrium model: the radius, measured and predicted
    Deq(Deq),
}

#[derive(Serialize)]
struct IclDocument {
    #[serde(flatten)]
    report: Report,
    /// One a mode.
    gaps: Vec<Both<Gap>>,
    caveats: Vec<Caveat>,
    page: PathBuf,
}

#[derive(Serialize)]
struct DeqDocument {
    #[serde(flatten)]
    outcome: Outcome,
    /// The measured end less the predicted one.
    residual: f64,
    page: PathBuf,
}

/// A mode farther from theory than this has left it.
const GAP: f64 = 0.01;

/// Runs where nobody says how many.
const RUNS: u32 = 4;

impl Overlay {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        match self {
            Self::Icl(icl) => overlay_icl(&icl, common, console),
            Self::Deq(deq) => overlay_deq(&deq, common, console),
        }
    }
}

fn page(common: &Common, lab: &str) -> PathBuf {
    common.out.clone().unwrap_or_else(|| common.runs.join(format!("overlay-{lab}.html")))
}

fn overlay_icl(icl: &Icl, common: &Common, console: &Console) -> Result<ExitCode> {
    if icl.seeds == Some(0) {
        return Err(Error::input("--seeds is 0, but an overlay needs at least 1 run to lay theory over"));
    }
    let outcome = icl.outcome(common, console, RUNS)?;
    let gaps = outcome.gaps(GAP)?.unwrap_or_default();
    let page = pages::write_icl_page(icl.spectrum(), &outcome, &page(common, "icl"))?;
    let text = format!("{}\n{}\npage       {}", icl.table(&outcome)?, sentence(&outcome), page.display());
    console.result(&IclDocument { report: outcome.report, gaps, caveats: outcome.caveats, page }, &text)?;
    Ok(ExitCode::SUCCESS)
}

fn overlay_deq(deq: &Deq, common: &Common, console: &Console) -> Result<ExitCode> {
    let outcome = deq.outcome(common)?;
    let page = pages::write_deq_page(&deq.title(), &outcome, &page(common, "deq"))?;
    let residual = outcome.radius_squared.end - outcome.radius_squared.predicted_end;
    let text = format!("{}\nresidual   {residual:.1e}\npage       {}", describe(&outcome), page.display());
    console.result(&DeqDocument { outcome, residual, page }, &text)?;
    Ok(ExitCode::SUCCESS)
}
