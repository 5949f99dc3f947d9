//! `thalweg dynamics grok`.

use std::process::ExitCode;

use clap::Args;
use thalweg::compose::{Command, Form, NetworkChoice, Optimiser, ProbeName, Sampling, Task, TrainingConfig};
use thalweg::descent::{Result, Schedule};

use super::training::{Trained, train};
use crate::cli::Common;
use crate::cli::console::Console;

/// Train a transformer on addition modulo p: it knows the examples long before it knows the rule
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics grok                                      p = 53; some minutes
  thalweg dynamics grok --weight-decay 0                     without decay it stays with what it was shown
  thalweg dynamics grok --modulus 113 --train-share 0.3 --width 128 --weight-decay 1 --steps 50000
                                                             the usual setting: for a bigger machine
  thalweg dynamics grok --probe-target runs/grok-1           the same again, with distances to where the first run ended

A transformer of one layer, without norms, is trained on a part of all pairs, all of them in every step. The page draws effective ranks,
subspaces and the loss's autocorrelation over the training curve. An interrupted run goes on with `thalweg runs resume`.")]
pub(crate) struct Grok {
    /// p
    #[arg(long, value_name = "P", default_value_t = 53)]
    modulus: u32,
    /// The part of the pairs that is trained on
    #[arg(long, value_name = "SHARE", default_value_t = 0.5, allow_negative_numbers = true)]
    train_share: f64,
    /// Numbers in each position
    #[arg(long, value_name = "N", default_value_t = 64)]
    width: usize,
    /// Steps
    #[arg(long, value_name = "T", default_value_t = 3_000)]
    steps: u64,
    /// Pairs in a step [default: all that are trained on]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Decoupled weight decay of AdamW
    #[arg(long, value_name = "X", default_value_t = 3.0, allow_negative_numbers = true)]
    weight_decay: f64,
    /// The decay of AdamW's mean of squares
    #[arg(long, value_name = "X", default_value_t = 0.98, allow_negative_numbers = true)]
    beta2: f64,
    #[command(flatten)]
    trained: Trained,
}

impl Grok {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        train(&self.config(common), "grok", common, console)
    }

    fn config(self, common: &Common) -> TrainingConfig {
        let task = Task::ModularAddition { modulus: self.modulus, train_share: self.train_share };
        let mut config = TrainingConfig { command: Command::DynamicsGrok, ..TrainingConfig::default() };
        let Trained { heads, layers, .. } = self.trained;
        config.network = NetworkChoice::Transformer { width: self.width, layers, heads, form: Form::Bare };
        config.training.steps = Some(self.steps);
        config.training.batch = self.batch.or(task.train_examples()).unwrap_or(1);
        config.training.sampling = Sampling::Shuffled;
        config.training.schedule = Schedule::Constant;
        config.training.optimiser = Optimiser::Adamw;
        config.training.weight_decay = self.weight_decay;
        config.training.beta2 = Some(self.beta2);
        config.task = Some(task);
        let probes = [ProbeName::Seen, ProbeName::Spectra, ProbeName::Subspaces, ProbeName::Autocorrelation];
        self.trained.apply(&mut config, common, &probes);
        if !config.probe.names.contains(&ProbeName::Seen) {
            // Without it nobody knows when the pairs are known.
            config.probe.names.push(ProbeName::Seen);
        }
        config
    }
}
