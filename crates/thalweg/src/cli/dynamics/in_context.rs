//! `thalweg dynamics in-context`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thalweg::compose::{Command, NetworkChoice, Optimiser, ProbeName, Sampling, Task, TrainingConfig};
use thalweg::descent::{Result, Schedule};

use super::training::{Trained, train};
use crate::cli::Common;
use crate::cli::console::Console;
use crate::cli::schedule::schedule;

/// Train layers of attention to regress in context, beside what linear attention can do
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics in-context                                one layer, four modes; some minutes
  thalweg dynamics in-context --layers 4 --steps 20000
  thalweg dynamics in-context --optimiser sgd --rate 0.05 --probe invariants,noise-scale,spectra
  thalweg dynamics icl --spectrum 2,1,0.5,0.25 --context 32  the exact theory of the linear layer

The task is that of `dynamics icl`: every context has a diagonal W of its own, and pairs (x, W x) that tell of it. Layers of softmax
attention without norms or dense layers between learn it on new contexts in every step. `modes` in the result is the share of each
direction that is answered; `linear_loss` is where the exact theory of one linear layer ends. An interrupted run goes on with
`thalweg runs resume`.")]
pub(crate) struct InContext {
    /// The variances of the inputs, one a mode
    #[arg(long, value_name = "S1,S2,..", value_delimiter = ',', default_value = "2,1,0.5,0.25", allow_negative_numbers = true)]
    spectrum: Vec<f64>,
    /// The length N of a context
    #[arg(long, value_name = "N", default_value_t = 32)]
    context: usize,
    /// Contexts that are kept to measure on
    #[arg(long, value_name = "N", default_value_t = 1024)]
    held_out: usize,
    /// Numbers in each position
    #[arg(long, value_name = "N", default_value_t = 32)]
    width: usize,
    /// Steps
    #[arg(long, value_name = "T", default_value_t = 10_000)]
    steps: u64,
    /// Contexts in a step
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch: usize,
    /// The course of the learning rate
    #[arg(long, value_name = "SCHEDULE", default_value = "constant", value_parser = schedule)]
    schedule: Schedule,
    /// How the parameters move; conserved quantities are predicted for sgd
    #[arg(long, value_name = "NAME", default_value = "adamw")]
    optimiser: OptimiserKind,
    /// Decoupled weight decay
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    weight_decay: f64,
    #[command(flatten)]
    trained: Trained,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptimiserKind {
    Sgd,
    Adamw,
}

impl InContext {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        train(&self.config(common), "in-context", common, console)
    }

    fn config(self, common: &Common) -> TrainingConfig {
        let mut config = TrainingConfig { command: Command::DynamicsInContext, ..TrainingConfig::default() };
        config.task = Some(Task::InContext { spectrum: self.spectrum, context: self.context, held_out: self.held_out });
        let Trained { heads, layers, .. } = self.trained;
        config.network = NetworkChoice::Attention { width: self.width, layers, heads };
        config.training.steps = Some(self.steps);
        config.training.batch = self.batch;
        config.training.sampling = Sampling::FixedOrder;
        config.training.schedule = self.schedule;
        config.training.optimiser = match self.optimiser {
            OptimiserKind::Sgd => Optimiser::Sgd,
            OptimiserKind::Adamw => Optimiser::Adamw,
        };
        config.training.weight_decay = self.weight_decay;
        let probes = [ProbeName::Spectra, ProbeName::Subspaces, ProbeName::Autocorrelation, ProbeName::Invariants];
        self.trained.apply(&mut config, common, &probes);
        config
    }
}
