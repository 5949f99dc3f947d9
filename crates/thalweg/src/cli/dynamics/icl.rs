//! `thalweg dynamics icl`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::dynamics::icl::Experiment;
use thalweg::dynamics::icl::experiment::{Outcome, Report};
use thalweg::pages;
use thalweg::probes::overlay::Caveat;
use thalweg::report::format::significant;
use thalweg::report::{Cell, Column, NumberFormat, Table};

use super::{draw_page, or_dash, page_line};
use crate::cli::Common;
use crate::cli::console::Console;

/// How a linear transformer learns in context: plateaus and half-times of each mode, published and exact
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics icl                                        four modes, contexts of 32, theory alone
  thalweg dynamics icl --spectrum 4,2,1,.5,.1 --context 6     a short context never learns its weak modes
  thalweg dynamics icl --seeds 8 --steps 6000 --out icl.html  beside 8 runs of stochastic descent, drawn

Time is steps x eta, where eta is the learning rate times the number of tasks. The published curve of a mode is exact for endless
contexts or equal variances; the exact one holds at any length.")]
pub(crate) struct Icl {
    /// The variances of the inputs, one a mode
    #[arg(long, value_name = "S1,S2,..", value_delimiter = ',', default_value = "2,1,0.5,0.25", allow_negative_numbers = true)]
    spectrum: Vec<f64>,
    /// The length N of a context
    #[arg(long, value_name = "N", default_value_t = 32)]
    context: u64,
    /// The product of both weights of each mode at the start
    #[arg(long, value_name = "A0", default_value_t = 1e-3, allow_negative_numbers = true)]
    start: f64,
    /// Runs of stochastic descent to compare with; 0 for theory alone [default: 0; 4 in an overlay]
    #[arg(long, value_name = "K")]
    pub(super) seeds: Option<u32>,
    /// The number of steps
    #[arg(long, value_name = "T", default_value_t = 6000)]
    steps: u64,
    /// The learning rate times the number of tasks
    #[arg(long, value_name = "X", default_value_t = 0.02, allow_negative_numbers = true)]
    eta: f64,
    /// Contexts for each task and step
    #[arg(long, value_name = "B", default_value_t = 8)]
    batch: usize,
    /// A value is kept after each so many steps [default: a hundredth of the steps]
    #[arg(long, value_name = "T")]
    every: Option<u64>,
    /// The relative tolerance to which the exact flow is followed
    #[arg(long, value_name = "X", default_value_t = 1e-11, allow_negative_numbers = true)]
    tolerance: f64,
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    report: Report,
    caveats: Vec<Caveat>,
    half_times_searched_to: Option<f64>,
    flow: Flow,
    page: Option<PathBuf>,
}

/// How closely the exact flow was followed.
#[derive(Serialize)]
struct Flow {
    tolerance: f64,
    change_at_half_tolerance: Option<f64>,
}

impl Icl {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let outcome = self.outcome(common, console, 0)?;
        let page = draw_page(common, |path| pages::write_icl_page(&self.spectrum, &outcome, path))?;
        let text = format!("{}\n{}{}", self.table(&outcome)?, sentence(&outcome), page_line(page.as_ref()));
        let Outcome { report, caveats, half_times_searched_to, change_at_half_tolerance, .. } = outcome;
        let flow = Flow { tolerance: self.tolerance, change_at_half_tolerance };
        console.result(&Document { report, caveats, half_times_searched_to, flow, page }, &text)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Theory, and as many runs unless told otherwise.
    pub(super) fn outcome(&self, common: &Common, console: &Console, runs: u32) -> Result<Outcome> {
        let runs = self.seeds.unwrap_or(runs);
        if runs == 0 && common.seed.is_some() {
            return Err(Error::input("--seed means nothing without --seeds: theory has no draws; leave it out"));
        }
        if runs > 0 {
            console.note(&format!("{runs} {} of {} steps", if runs == 1 { "run" } else { "runs" }, self.steps));
        }
        let experiment = Experiment {
            variances: self.spectrum.clone(),
            contexts: self.context,
            start: self.start,
            rate_times_tasks: self.eta,
            steps: self.steps,
            batch_per_task: self.batch,
            record_every: self.every.unwrap_or((self.steps / 100).max(1)),
            runs,
            seed: common.seed.unwrap_or(0),
            tolerance: self.tolerance,
        };
        super::keeping_record(common, "icl", experiment.run())
    }

    pub(super) fn spectrum(&self) -> &[f64] {
        &self.spectrum
    }

    pub(super) fn table(&self, outcome: &Outcome) -> Result<String> {
        let number = |title: &str| Column::number(title, NumberFormat::Significant(6));
        let mut table = Table::new([
            number("variance"),
            number("plateau, published"),
            number("exact"),
            number("half-time, published"),
            Column::text("exact"),
        ]);
        let Report { plateau, half_time, .. } = &outcome.report;
        for (mode, variance) in self.spectrum.iter().enumerate() {
            let row: [Cell; 5] = [
                (*variance).into(),
                plateau.published[mode].into(),
                plateau.exact[mode].into(),
                half_time.published[mode].into(),
                or_dash(half_time.exact[mode]).into(),
            ];
            table.row(row).map_err(|error| Error::piece("making a table", error))?;
        }
        Ok(table.to_text())
    }
}

pub(super) fn sentence(outcome: &Outcome) -> String {
    let Report { plateau, rms, expected_rms, .. } = &outcome.report;
    let never = plateau.exact.iter().filter(|plateau| **plateau == 0.0).count();
    let mut lines = Vec::new();
    if never > 0 {
        lines.push(format!("Of {} modes {never} are never learned: the context is too short for them.", plateau.exact.len()));
    }
    if let (Some(published), Some(exact), Some(expected)) = (rms.published, rms.exact, expected_rms) {
        let [published, exact, expected] = [published, exact, *expected].map(|value| significant(value, 3));
        lines.push(format!(
            "Descent is {exact} (root mean square) from the exact curve and {published} from the published one; its spread over runs \
             lets one expect {expected}."
        ));
    }
    if let Some(time) = outcome.half_times_searched_to {
        lines.push(format!("A dash is a half-time that lies beyond {}.", significant(time, 4)));
    }
    lines.join("\n")
}
