//! `thalweg tour`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::store::Status;
use thalweg::descent::{Error, Result};
use thalweg::pages::{self, InContextFigures, TourFigures, VoteFigures};
use thalweg::study::{Shard, Worked};
use thalweg::tour;

use crate::cli::console::Console;
use crate::cli::{Common, stop, study};

/// Train with and without privacy and by secure votes, small, on embedded real data, hold a theory against descent, and draw one report
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg tour
  thalweg tour --seed 7 --out my-tour

The noise comes from the seed, so that the same seed shows the same figures: the tour's runs are NOT private.")]
pub(crate) struct Tour;

#[derive(Serialize)]
struct Document {
    seed: u64,
    methods: TourFigures,
    vote: VoteFigures,
    in_context: InContextFigures,
    report: PathBuf,
}

impl Tour {
    #[expect(clippy::unused_self, reason = "every command is run alike")]
    pub(crate) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let seed = common.seed.unwrap_or(1);
        let folder = common.out.clone().unwrap_or_else(|| common.runs.join(format!("tour-{seed}")));
        let laboratory = tour::laboratory(seed, &folder)?;
        let worked = study::work(&laboratory, Shard::ALL, console)?;
        let voted = tour::vote(&laboratory, stop::on_ctrl_c()?)?;
        if worked == Worked::Stopped || voted.status != Status::Finished.to_string() {
            let reason = "what is finished is saved, and the same call goes on where it stopped";
            return Err(Error::piece("the tour was stopped", reason));
        }
        let methods = TourFigures::of(&laboratory)?;
        let vote = VoteFigures::of(&laboratory, &voted)?;
        let in_context = InContextFigures::of(tour::in_context(seed)?)?;
        let report = pages::write_tour_report(&laboratory, &methods, &vote, &in_context)?;
        let mut table = methods.table();
        vote.add_to(&mut table);
        let sentences = [vote.sentence(), in_context.sentence()].join("\n");
        let text = format!("{}\n\n{sentences}\nreport  {}", table.to_text().trim_end(), report.display());
        console.result(&Document { seed, methods, vote, in_context, report }, &text)?;
        Ok(ExitCode::SUCCESS)
    }
}
