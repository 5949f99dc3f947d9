//! `thalweg dynamics phase`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::compose::Worked;
use thalweg::compose::phase::{Axis, Found, Grid, Lab, Parameters, Part, Place, Sweep, TheoryLine, crossing, csv, label};
use thalweg::descent::store::write_atomically;
use thalweg::descent::{Error, Result};
use thalweg::pages;
use thalweg::report::format::significant;
use thalweg::report::{Cell, Column, NumberFormat, Table};
use thalweg::study::Shard;

use crate::cli::console::Console;
use crate::cli::{Common, stop};

/// A lab over a grid of two parameters and many seeds: a heat map that can be resumed
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics phase features --x snr=0.05,0.1,0.2,0.3,0.5 --y epsilon=inf,16,8,4,2,1 --seeds 4
  thalweg dynamics phase icl --x context=8,32,128,512 --y condition=2,8,32
  thalweg dynamics phase deq --x eta=0.003,0.01,0.03,0.1 --y radius=0.1,0.3,1,3 --seeds 10
  thalweg dynamics phase relu --x points=8,16,32 --y depth=1,2,3 --seeds 3 --set steps=200
  thalweg dynamics phase features --x n=50,200,500 --y snr=0.1,0.3 --shard 2/4    one of four processes on one folder

Parameters and their defaults:
  features  n 500, dim 2000, snr 0.3, epsilon inf, delta 1e-5, width 10, steps 100, eta 0.2, clip 1, power 3
  icl       context 32, condition 8 (largest over smallest variance), modes 4, largest 2, start 0.001
  deq       eta 0.01, radius 1, target 2, moment 1/3, steps 4000
  relu      xor 6, points 16, width 128, depth 1, eta 0.1, steps 500

Every cell is a file in the folder (--out FOLDER, or phase-LAB in the folder of runs). Interrupted at any moment, the same call goes
on, and ends with the same page. `phase.csv` beside it holds the same numbers. Where theory has a line over the two parameters, it is
drawn over the map: orders of signal-to-noise (features), the cut-off of the weakest mode (icl), the stability line (deq), the theorem's
largest rate (relu).")]
pub(crate) struct Phase {
    /// features, icl, deq or relu
    lab: Lab,
    /// A parameter and its values, drawn along the page
    #[arg(long, value_name = "NAME=V1,V2,..")]
    x: Axis,
    /// A parameter and its values, drawn up the page
    #[arg(long, value_name = "NAME=V1,V2,..")]
    y: Axis,
    /// Seeds in each place
    #[arg(long, value_name = "K", default_value_t = 1)]
    seeds: u32,
    /// A parameter that stays, at another value than its default; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, f64)>,
    /// Work on part i of n of the cells; the page is drawn from all that are finished
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Stop after so many cells
    #[arg(long, value_name = "N")]
    cells: Option<usize>,
    /// Compute cells again that failed
    #[arg(long)]
    retry_failed: bool,
}

fn setting(text: &str) -> Result<(String, f64)> {
    let axis: Axis = text.parse()?;
    match axis.values[..] {
        [value] => Ok((axis.name, value)),
        _ => Err(Error::input(format!("{text:?} sets several values; --set takes one, --x and --y take several"))),
    }
}

#[derive(Serialize)]
struct Document {
    lab: Lab,
    x: String,
    y: String,
    seeds: u32,
    set: Parameters,
    cells: usize,
    finished: usize,
    places: Vec<Place>,
    /// For each value of y, the least x with 90 % of unseen examples right.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    required: BTreeMap<String, Option<f64>>,
    /// What theory draws over the grid.
    theory: Vec<TheoryLine>,
    page: PathBuf,
}

impl Phase {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let mut fixed = Parameters::new();
        for (name, value) in &self.settings {
            if fixed.insert(name.clone(), *value).is_some() {
                return Err(Error::input(format!("--set {name} is given twice")));
            }
        }
        let grid = Grid::new(self.x.clone(), self.y.clone(), self.seeds)?;
        let folder = common.out.clone().unwrap_or_else(|| common.runs.join(format!("phase-{}", self.lab)));
        let sweep = Sweep::open(self.lab, fixed, grid, &folder)?;
        let worked = self.work(&sweep, console)?;
        let found = sweep.found()?;
        let required = required(&sweep, &found);
        let page = pages::write_phase_page(&sweep, &found, &required, &folder.join("phase.html"))?;
        let text = format!("{}\npage      {}", describe(&sweep, &found)?, page.display());
        write_atomically(&folder.join("phase.csv"), csv(&sweep, &found).as_bytes())?;
        let all_failed = found.finished == found.cells && found.places.iter().all(|place| place.measured == 0);
        let reason = found.places.iter().find_map(|place| place.reason.clone());
        console.result(&document(&sweep, found, &required, page), &text)?;
        match (worked, reason) {
            (Worked::Stopped, _) => Err(Error::piece("the sweep was stopped", "the same call goes on where it stopped")),
            (Worked::Done, Some(reason)) if all_failed => Err(Error::piece("every cell failed", reason)),
            (Worked::Done, _) => Ok(ExitCode::SUCCESS),
        }
    }

    fn work(&self, sweep: &Sweep, console: &Console) -> Result<Worked> {
        let stop = stop::on_ctrl_c()?;
        let bar = console.progress(0);
        let progress = |done: usize, cells: usize| {
            bar.set_length(cells as u64);
            bar.set_position(done as u64);
        };
        let part = Part {
            shard: self.shard.unwrap_or(Shard::ALL),
            at_most: self.cells.unwrap_or(usize::MAX),
            retry_failed: self.retry_failed,
        };
        let worked = sweep.work(part, stop, &progress);
        bar.finish_and_clear();
        worked
    }
}

/// For the features lab over a signal-to-noise ratio: which ratio each value of y needs.
fn required(sweep: &Sweep, found: &Found) -> Vec<(f64, Option<f64>)> {
    if sweep.lab() != Lab::Features || sweep.grid().x.name != "snr" {
        return Vec::new();
    }
    let columns = sweep.grid().x.values.len();
    let row = |places: &[Place]| {
        let mut series: Vec<(f64, Option<f64>)> =
            places.iter().map(|place| (place.x, place.values.get("test_accuracy").map(|mean| mean.mean))).collect();
        series.sort_by(|a, b| a.0.total_cmp(&b.0));
        (places[0].y, crossing(&series, 0.9))
    };
    found.places.chunks_exact(columns).map(row).collect()
}

fn document(sweep: &Sweep, found: Found, required: &[(f64, Option<f64>)], page: PathBuf) -> Document {
    let grid = sweep.grid();
    Document {
        lab: sweep.lab(),
        x: grid.x.name.clone(),
        y: grid.y.name.clone(),
        seeds: grid.seeds,
        set: sweep.fixed().clone(),
        cells: found.cells,
        finished: found.finished,
        places: found.places,
        required: required.iter().map(|(y, x)| (label(*y), *x)).collect(),
        theory: sweep.theory(),
        page,
    }
}

/// The first measure as a table, a row for each value of y.
fn describe(sweep: &Sweep, found: &Found) -> Result<String> {
    let (measure, words) = sweep.lab().measures()[0];
    let grid = sweep.grid();
    let corner = Column::text(format!("{} \\ {}", grid.y.name, grid.x.name));
    let ticks = grid.x.ticks().into_iter().map(|tick| Column::number(tick, NumberFormat::Significant(3)));
    let mut table = Table::new([corner].into_iter().chain(ticks));
    for places in found.places.chunks_exact(grid.x.values.len()) {
        let value = |place: &Place| match place.values.get(measure) {
            Some(mean) => Cell::from(mean.mean),
            None if place.failed > 0 => "failed".into(),
            None => "-".into(),
        };
        let row = [Cell::from(label(places[0].y))].into_iter().chain(places.iter().map(value));
        table.row(row).map_err(|error| Error::piece("making a table", error))?;
    }
    let failed: u32 = found.places.iter().map(|place| place.failed).sum();
    let mut text = format!("{words}\n{}\ncells     {} of {} finished", table.to_text(), found.finished, found.cells);
    if failed > 0 {
        text.push_str(&format!(", {failed} of them failed (the page says why)"));
    }
    for (y, x) in required(sweep, found) {
        let needed = x.map_or_else(|| "more than the grid has".to_owned(), |x| significant(x, 3));
        text.push_str(&format!("\nneeded    snr {needed} at {} {}", grid.y.name, label(y)));
    }
    Ok(text)
}
