//! `thalweg dynamics relu`.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use thalweg::descent::{Error, Result};
use thalweg::dynamics::relu::kernel::Start;
use thalweg::dynamics::relu::{MarginExperiment, TrainExperiment};
use thalweg::report::format::{percent, significant};

use crate::cli::Common;
use crate::cli::console::Console;

/// Margins and certificates of deep ReLU networks on 2-XOR
#[derive(Subcommand)]
pub(crate) enum Relu {
    /// By which margin does a network's kernel separate 2-XOR points?
    Margin(Margin),
    /// Train a network, beside the theorem that bounds its loss
    Train(Train),
}

impl Relu {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        match self {
            Self::Margin(margin) => margin.run(common, console),
            Self::Train(train) => train.run(common, console),
        }
    }
}

/// By which margin does a network's kernel separate 2-XOR points?
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics relu margin --xor 6 --depth 1            all 64 points, infinite width
  thalweg dynamics relu margin --xor 6 --depth 3 --init independent
  thalweg dynamics relu margin --xor 6 --width 128 --points 32")]
pub(crate) struct Margin {
    /// The dimension d of the points
    #[arg(long, value_name = "D", default_value_t = 6)]
    xor: usize,
    /// The hidden layers L
    #[arg(long, value_name = "L", default_value_t = 1)]
    depth: usize,
    /// How an infinitely wide network starts
    #[arg(long, value_enum, default_value_t = Init::Symmetric)]
    init: Init,
    /// The width of a finite, symmetric network, even [default: infinite]
    #[arg(long, value_name = "M")]
    width: Option<usize>,
    /// The number of points, drawn without replacement [default: all 2^d]
    #[arg(long, value_name = "N")]
    points: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Init {
    /// Halves that cancel, so that the network starts at 0
    Symmetric,
    /// All weights independent
    Independent,
}

impl Margin {
    fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let start = match self.init {
            Init::Symmetric => Start::Symmetric,
            Init::Independent => Start::Independent,
        };
        let (width, points) = (self.width, self.points);
        if common.seed.is_some() && width.is_none() && points.is_none() {
            return Err(Error::input("--seed means nothing without --width or --points: nothing is drawn; leave it out"));
        }
        let seed = common.seed.unwrap_or(0);
        let found = MarginExperiment { dimension: self.xor, depth: self.depth, start, width, points, seed }.run()?;
        let [margin, lower, upper] = [found.margin, found.lower, found.upper].map(|value| significant(value, 10));
        let support = found.support.map(|points| format!("\nsupport  {points} points hold it")).unwrap_or_default();
        console.result(&found, &format!("margin   {margin}\nbracket  {lower} to {upper}{support}"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Train a network, beside the theorem that bounds its loss
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics relu train
  thalweg dynamics relu train --xor 6 --depth 2 --width 512 --points 32 --eta 0.3 --steps 2000

The certificate bounds the mean training loss over all steps. It holds, and exceeds ln 2, the loss of no training at all, on any
network that fits a machine: the theorem's width is met by none.")]
pub(crate) struct Train {
    /// The dimension d of the points
    #[arg(long, value_name = "D", default_value_t = 6)]
    xor: usize,
    /// The hidden layers L
    #[arg(long, value_name = "L", default_value_t = 1)]
    depth: usize,
    /// The width m, even: the symmetric start has two equal halves
    #[arg(long, value_name = "M", default_value_t = 128)]
    width: usize,
    /// The number of training points, drawn without replacement
    #[arg(long, value_name = "N", default_value_t = 32)]
    points: usize,
    /// The learning rate
    #[arg(long, value_name = "X", default_value_t = 0.1, allow_negative_numbers = true)]
    eta: f64,
    /// The number of steps
    #[arg(long, value_name = "T", default_value_t = 500)]
    steps: u64,
}

impl Train {
    fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let experiment = TrainExperiment {
            dimension: self.xor,
            width: self.width,
            depth: self.depth,
            points: self.points,
            rate: self.eta,
            steps: self.steps,
            seed: common.seed.unwrap_or(0),
        };
        let found = experiment.run()?;
        let holds = if found.kept.holds { "holds after every step" } else { "was broken" };
        let vacuous = if found.vacuous { "; vacuous: no training has ln 2 = 0.693" } else { "" };
        let text = format!(
            "test error     {} of all points\ncertificate    mean training loss at most {}{vacuous}\nmeasured       {} (the inequality {holds})\nmargin         {}",
            percent(found.test_error, 2),
            significant(found.certificate, 4),
            significant(found.measured_risk, 4),
            significant(found.margin, 6),
        );
        console.result(&found, &text)?;
        Ok(ExitCode::SUCCESS)
    }
}
