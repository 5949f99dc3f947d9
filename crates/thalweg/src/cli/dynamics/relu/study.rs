//! `thalweg dynamics relu study`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use thalweg::compose::Worked;
use thalweg::compose::xor_study::{XorFound, XorStudy};
use thalweg::descent::{Error, Result};
use thalweg::dynamics::relu::{Protocol, Study as Settings};
use thalweg::pages;
use thalweg::report::format::significant;

use crate::cli::console::Console;
use crate::cli::{Common, stop};

/// How the test error on 2-XOR falls with data: error against d^2 / n, and the line through it
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics relu study                                             the notebook's protocol, d 6, about a minute
  thalweg dynamics relu study --protocol faithful --depth 1,2,3           the text's protocol, with depth
  thalweg dynamics relu study --dimensions 6,8,10 --examples 64 --seeds 5

The text trains hidden layers without biases from a symmetric start; the released notebook trains both layers and biases, and ends
early. The two have different slopes, and both slopes change with the number of steps. Every trial is a file in the folder (--out FOLDER,
or relu-study-PROTOCOL in the folder of runs): interrupted at any moment, the same call goes on, and ends with the same page.")]
pub(crate) struct Study {
    /// The dimensions d, each with every number of examples
    #[arg(long, value_name = "D1,D2,..", value_delimiter = ',', default_values_t = [6])]
    dimensions: Vec<usize>,
    /// The numbers n of training points
    #[arg(long, value_name = "N1,N2,..", value_delimiter = ',', default_values_t = [10, 14, 20, 28])]
    examples: Vec<usize>,
    /// Which network is trained, and how
    #[arg(long, value_enum, default_value_t = ProtocolKind::Notebook)]
    protocol: ProtocolKind,
    /// Trials in each place
    #[arg(long, value_name = "K", default_value_t = 12)]
    seeds: u32,
    /// The error is measured after these steps, in increasing order
    #[arg(long, value_name = "T1,T2,..", value_delimiter = ',', default_values_t = [500, 2000])]
    steps: Vec<u64>,
    /// The hidden layers of the faithful protocol, one or several depths
    #[arg(long, value_name = "L1,L2,..", value_delimiter = ',', default_values_t = [1])]
    depth: Vec<usize>,
    /// The width m
    #[arg(long, value_name = "M", default_value_t = 128)]
    width: usize,
    /// The learning rate
    #[arg(long, value_name = "X", default_value_t = 0.1, allow_negative_numbers = true)]
    eta: f64,
    /// Stop after so many trials
    #[arg(long, value_name = "N")]
    cells: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum ProtocolKind {
    /// As in the text: hidden layers alone, from the symmetric start, without biases
    Faithful,
    /// As in the notebook: one hidden layer, both layers and their biases, an early end
    Notebook,
}

#[derive(Serialize)]
struct Document {
    protocol: ProtocolKind,
    seeds: u32,
    #[serde(flatten)]
    found: XorFound,
    page: PathBuf,
}

impl Study {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let (protocol, name) = match self.protocol {
            ProtocolKind::Faithful => (Protocol::Text, "faithful"),
            ProtocolKind::Notebook => (Protocol::Notebook, "notebook"),
        };
        let settings = Settings {
            protocol,
            cells: self.dimensions.iter().flat_map(|&d| self.examples.iter().map(move |&n| (d, n))).collect(),
            trials: self.seeds,
            steps: self.steps.clone(),
            rate: self.eta,
            width: self.width,
            depth: 1,
            seed: common.seed.unwrap_or(0),
        };
        let folder = common.out.clone().unwrap_or_else(|| common.runs.join(format!("relu-study-{name}")));
        let study = XorStudy::open(&settings, &self.depth, &folder)?;
        let worked = self.work(&study, console)?;
        let found = study.found()?;
        let page = pages::write_xor_study_page(&study, &found, &folder.join("study.html"))?;
        let text = format!("{}\npage      {}", describe(&found), page.display());
        let failed = (found.failed > 0 && found.failed == found.finished).then(|| found.reason.clone().unwrap_or_default());
        console.result(&Document { protocol: self.protocol, seeds: self.seeds, found, page }, &text)?;
        match (worked, failed) {
            (Worked::Stopped, _) => Err(Error::piece("the study was stopped", "the same call goes on where it stopped")),
            (Worked::Done, Some(reason)) => Err(Error::piece("every trial failed", reason)),
            (Worked::Done, None) => Ok(ExitCode::SUCCESS),
        }
    }

    fn work(&self, study: &XorStudy, console: &Console) -> Result<Worked> {
        let stop = stop::on_ctrl_c()?;
        let bar = console.progress(0);
        let progress = |done: usize, cells: usize| {
            bar.set_length(cells as u64);
            bar.set_position(done as u64);
        };
        let worked = study.work(self.cells.unwrap_or(usize::MAX), stop, &progress);
        bar.finish_and_clear();
        worked
    }
}

fn describe(found: &XorFound) -> String {
    let mut lines = Vec::new();
    for of_depth in &found.depths {
        for row in &of_depth.rows {
            let errors = row.cells.iter().map(|cell| format!("d {} n {}: {}", cell.d, cell.n, significant(cell.mean, 3)));
            let errors = errors.collect::<Vec<_>>().join(", ");
            let line = row.line.map_or_else(
                || "no slope: all places have the same d^2/n".to_owned(),
                |line| format!("slope {} +- {}", significant(line.slope, 3), significant(line.standard_error, 2)),
            );
            lines.push(format!("depth {}   {} steps   {line}\n          {errors}", of_depth.depth, row.steps));
        }
    }
    let failed = if found.failed > 0 { format!(", {} of them failed", found.failed) } else { String::new() };
    lines.push(format!("trials    {} of {} finished{failed}", found.finished, found.cells));
    lines.join("\n")
}
