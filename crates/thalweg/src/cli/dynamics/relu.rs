//! `thalweg dynamics relu`.

mod study;

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use thalweg::descent::{Error, Result};
use thalweg::dynamics::relu::kernel::Start;
use thalweg::dynamics::relu::{MarginExperiment, TrainExperiment, TrainReport};
use thalweg::report::format::{percent, significant};
use thalweg::report::{Cell, Column, NumberFormat, Table};

use crate::cli::console::Console;
use crate::cli::{Common, Heeded};

/// Margins and certificates of deep ReLU networks on 2-XOR
#[derive(Subcommand)]
pub(crate) enum Relu {
    /// By which margin does a network's kernel separate 2-XOR points?
    Margin(Margin),
    /// Train a network, beside the theorem that bounds its loss
    Train(Train),
    /// The same at several depths: how margin and certificate grow
    Growth(Growth),
    /// How the test error on 2-XOR falls with data: error against d^2 / n, and the line through it
    Study(study::Study),
}

impl Relu {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        match self {
            Self::Margin(margin) => margin.run(common, console),
            Self::Train(train) => train.run(common, console),
            Self::Growth(growth) => growth.run(common, console),
            Self::Study(study) => study.run(common, console),
        }
    }

    /// Which common options it has a use for.
    pub(super) fn heeds(&self) -> &'static [Heeded] {
        match self {
            Self::Study(_) => &[Heeded::Out, Heeded::Seed],
            Self::Margin(_) | Self::Train(_) | Self::Growth(_) => &[Heeded::Seed],
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
    /// The hidden layers L
    #[arg(long, value_name = "L", default_value_t = 1)]
    depth: usize,
    #[command(flatten)]
    setting: Setting,
}

/// What is trained, but for the depth.
#[derive(Args)]
struct Setting {
    /// The dimension d of the points
    #[arg(long, value_name = "D", default_value_t = 6)]
    xor: usize,
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

impl Setting {
    fn experiment(self, depth: usize, common: &Common) -> TrainExperiment {
        TrainExperiment {
            dimension: self.xor,
            width: self.width,
            depth,
            points: self.points,
            rate: self.eta,
            steps: self.steps,
            seed: common.seed.unwrap_or(0),
        }
    }
}

impl Train {
    fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let found = super::keeping_record(common, "relu", self.setting.experiment(self.depth, common).run())?;
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

/// The same at several depths: how margin and certificate grow
#[derive(Args)]
#[command(after_help = "Example:
  thalweg dynamics relu growth --depths 1,2,3,4 --points 16

The theorem's orders in the depth come without constants: no measured exponent refutes them. These are what a network of this size does.")]
pub(crate) struct Growth {
    /// The hidden layers
    #[arg(long, value_name = "L1,L2,..", value_delimiter = ',', default_values_t = [1, 2, 3])]
    depths: Vec<usize>,
    #[command(flatten)]
    setting: Setting,
}

impl Growth {
    fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let found = self.setting.experiment(1, common).over_depths(&self.depths)?;
        let number = |title: &str| Column::number(title, NumberFormat::Significant(4));
        let mut table = Table::new([
            Column::number("depth", NumberFormat::Count),
            number("margin, all points, infinite width"),
            number("margin"),
            number("certificate"),
            number("measured"),
            number("test error"),
        ]);
        for row in &found.rows {
            let TrainReport { margin, certificate, measured_risk, test_error, .. } = row.report;
            let depth = row.depth as f64;
            table
                .row([depth, row.infinite_margin, margin, certificate, measured_risk, test_error].map(Cell::from))
                .map_err(|error| Error::piece("making a table", error))?;
        }
        let fit = |what: &str, exponent: Option<f64>| {
            exponent.map_or_else(String::new, |exponent| format!("\n{what} ~ depth^{}", significant(exponent, 3)))
        };
        let text = format!(
            "{}{}{}",
            table.to_text(),
            fit("certificate", found.certificate_exponent),
            fit("margin of infinite width", found.margin_exponent)
        );
        console.result(&found, &text)?;
        Ok(ExitCode::SUCCESS)
    }
}
