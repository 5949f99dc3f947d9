//! `thalweg dynamics deq`.

mod matrix;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::dynamics::deq::experiment::Inputs;
use thalweg::dynamics::deq::{Activation, Backward, Experiment, Outcome, Warning, published};
use thalweg::pages;
use thalweg::report::format::significant;

use super::{draw_page, page_line};
use crate::cli::Common;
use crate::cli::console::Console;

/// How an equilibrium model descends, and what it conserves
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics deq                                  the published linear run
  thalweg dynamics deq --run two-term                   two terms of a series: stuck where there is no minimum
  thalweg dynamics deq --run near-singular --out n.html thrown outwards until the minimum is stable, drawn
  thalweg dynamics deq --run matrix --backward jfb      two states: a whole matrix is conserved, and moves as predicted
  thalweg dynamics deq --run linear --target 1,-0.5 --start 0.1,0.2,0.3 --eta 0.02 --steps 2000

Gradient flow of a linear equilibrium model y = u x + v y keeps |u|^2 + (1 - v)^2. A step of descent moves it by exactly eta^2 times
the squared gradient: `predicted_end` is the sum of these.")]
pub(crate) struct Deq {
    /// A run with a name; every option below changes it
    #[arg(long = "run", value_enum, default_value_t = Preset::Linear)]
    preset: Preset,
    /// The learning rate
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    eta: Option<f64>,
    /// The number of steps
    #[arg(long, value_name = "T")]
    steps: Option<u64>,
    /// The weights u, one an input, and then v; for the matrix run W and then U, row by row
    #[arg(long, value_name = "U,V", value_delimiter = ',', allow_negative_numbers = true)]
    start: Option<Vec<f64>>,
    /// The target's weights, one an input; for the matrix run the matrix M, row by row
    #[arg(long, value_name = "X1,X2,..", value_delimiter = ',', allow_negative_numbers = true)]
    target: Option<Vec<f64>>,
    /// linear, tanh, sigmoid, relu, leaky-relu, gelu, or z+0.5tanh
    #[arg(long, value_name = "NAME")]
    activation: Option<Activation>,
    /// The way back through the equilibrium: exact, jfb, neumann2, damped2, phantom5, damped2:0.3
    #[arg(long, value_name = "NAME")]
    backward: Option<Backward>,
    /// How inputs are drawn
    #[arg(long, value_enum)]
    inputs: Option<Drawn>,
    /// How many inputs are drawn
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
}

/// A run with a name.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Preset {
    /// The published linear run: target 2, 200 steps of 0.01
    Linear,
    /// The same from next to v = 1, where no minimum is stable
    NearSingular,
    /// Target 1 from (sqrt 8, 0), with the exact gradient
    Exact,
    /// ... with the Jacobian-free gradient
    Jfb,
    /// ... with two terms of Neumann's series
    TwoTerm,
    /// ... with two damped terms
    Damped,
    /// A sigmoid unit, target 2, on the inputs of the linear run
    Sigmoid,
    /// A tanh unit of four inputs, on the inputs of a reference run
    Tanh,
    /// A linear model of two states and three inputs: a whole matrix is conserved
    Matrix,
}

#[derive(Clone, Copy, ValueEnum)]
enum Drawn {
    /// In [0, 1)
    Uniform,
    /// Of mean 0 and variance 1
    Normal,
}

impl Preset {
    /// `None` for the matrix run, which is none of a single unit.
    fn experiment(self) -> Option<Experiment> {
        Some(match self {
            Self::Linear => published::linear(),
            Self::NearSingular => published::near_singular(),
            Self::Exact => published::from_afar(Backward::Exact),
            Self::Jfb => published::from_afar(Backward::Jfb),
            Self::TwoTerm => published::from_afar(Backward::Neumann { terms: 2 }),
            Self::Damped => published::from_afar(Backward::Damped { terms: 2, damping: 0.5 }),
            Self::Sigmoid => published::sigmoid(),
            Self::Tanh => published::tanh(),
            Self::Matrix => return None,
        })
    }
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    outcome: Outcome,
    page: Option<PathBuf>,
}

impl Deq {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        if self.preset == Preset::Matrix {
            return self.run_matrix(common, console);
        }
        let outcome = self.outcome(common)?;
        let page = draw_page(common, |path| pages::write_deq_page(&self.title(), &outcome, path))?;
        let text = format!("{}{}", describe(&outcome), page_line(page.as_ref()));
        console.result(&Document { outcome, page }, &text)?;
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn outcome(&self, common: &Common) -> Result<Outcome> {
        let experiment = self.experiment(common)?;
        if common.seed.is_some() && !experiment.draws() {
            return Err(Error::input(
                "--seed means nothing to this run: neither its inputs nor its start are drawn; leave it out",
            ));
        }
        super::keeping_record(common, "deq", experiment.run())
    }

    pub(super) fn title(&self) -> String {
        let name = self.preset.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        format!("Equilibrium model, run {name}")
    }

    fn experiment(&self, common: &Common) -> Result<Experiment> {
        let no_unit = || {
            Error::input(
                "--run matrix has no single unit to lay theory over; `dynamics deq --run matrix` tells what it conserves",
            )
        };
        let mut experiment = self.preset.experiment().ok_or_else(no_unit)?;
        let draws = self.inputs.is_some() || self.samples.is_some();
        let other_model = self.target.is_some() || self.activation.is_some();
        if draws || other_model {
            experiment.second_moment = None;
        }
        if draws {
            experiment.given = None;
        }
        if let Some(target) = &self.target {
            if target.len() != experiment.target.len() {
                (experiment.start, experiment.given) = (None, None);
            }
            experiment.target.clone_from(target);
        }
        let inputs = self.inputs.map(|drawn| match drawn {
            Drawn::Uniform => Inputs::Uniform,
            Drawn::Normal => Inputs::Normal,
        });
        let steps = self.steps.unwrap_or(experiment.steps);
        Ok(Experiment {
            rate: self.eta.unwrap_or(experiment.rate),
            steps,
            start: self.start.clone().or(experiment.start),
            activation: self.activation.unwrap_or(experiment.activation),
            backward: self.backward.unwrap_or(experiment.backward),
            inputs: inputs.unwrap_or(experiment.inputs),
            samples: self.samples.unwrap_or(experiment.samples),
            record_every: Some((steps / 200).max(1)),
            seed: common.seed.unwrap_or(0),
            ..experiment
        })
    }
}

pub(super) fn describe(outcome: &Outcome) -> String {
    let radius = outcome.radius_squared;
    let theta: Vec<String> = outcome.theta.iter().map(|value| significant(*value, 12)).collect();
    let mut lines = vec![
        format!("theta      {}", theta.join("  ")),
        format!("risk       {}", significant(outcome.risk, 6)),
        format!("radius^2   {} -> {}", significant(radius.start, 12), significant(radius.end, 12)),
        format!("predicted  {}", significant(radius.predicted_end, 12)),
    ];
    lines.extend(outcome.warnings.iter().map(|warning| format!("warning    {}", explain(*warning))));
    lines.join("\n")
}

pub(super) fn explain(warning: Warning) -> &'static str {
    match warning {
        Warning::LongStep => "a step was longer than 1: the run jumps rather than follows the flow",
        Warning::BelowStabilityLine => "the run ended within the stability line: no minimum there is stable",
        Warning::CrossedDegenerate => "the run jumped over v = 1",
        Warning::StuckNotMinimum => "the approximate gradient vanished where the exact one does not: this is no minimum",
        Warning::ContractionViolated => "iterating the map would not converge at the end",
    }
}
