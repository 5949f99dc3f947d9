//! `thalweg dynamics deq --run matrix`.

use std::process::ExitCode;

use thalweg::descent::{Error, Result};
use thalweg::dynamics::deq::matrix_experiment::{Forward, MatrixExperiment, MatrixReport};
use thalweg::report::format::significant;

use super::Deq;
use crate::cli::Common;
use crate::cli::console::Console;
use crate::cli::dynamics::keeping_record;

impl Deq {
    /// Two outputs of three inputs; nothing is drawn, by chance or on a page.
    pub(super) fn run_matrix(&self, common: &Common, console: &Console) -> Result<ExitCode> {
        let senseless = [
            ("--activation", self.activation.is_some()),
            ("--inputs", self.inputs.is_some()),
            ("--samples", self.samples.is_some()),
            ("--seed", common.seed.is_some()),
            ("--out", common.out.is_some()),
        ];
        if let Some((option, _)) = senseless.iter().find(|(_, given)| *given) {
            return Err(Error::input(format!("{option} means nothing to the run matrix; leave it out")));
        }
        let preset = MatrixExperiment::default();
        let experiment = MatrixExperiment {
            target: self.target.clone().unwrap_or(preset.target),
            start: self.start.clone().unwrap_or(preset.start),
            rate: self.eta.unwrap_or(preset.rate),
            steps: self.steps.unwrap_or(preset.steps),
            backward: self.backward.unwrap_or(preset.backward),
            ..preset
        };
        let found = keeping_record(common, "deq", experiment.run())?;
        console.result(&found, &describe(&found))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(found: &MatrixReport) -> String {
    let numbers = |values: &[f64]| values.iter().map(|value| significant(*value, 10)).collect::<Vec<_>>().join("  ");
    let mut lines = vec![
        format!("W, U       {}", numbers(&found.theta)),
        format!("risk       {}", significant(found.risk, 6)),
        format!("B B^T      {}", numbers(&found.conserved.start)),
        format!("at the end {}", numbers(&found.conserved.end)),
        format!("predicted  {}", numbers(&found.conserved.predicted_end)),
    ];
    lines.extend(found.forward.iter().map(|Forward { method, iterations, .. }| match iterations {
        Some(iterations) => format!("{method:<10} finds the equilibrium in {iterations} evaluations of the map"),
        None => format!("{method:<10} finds no equilibrium"),
    }));
    lines.join("\n")
}
