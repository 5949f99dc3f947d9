//! What the trainings of transformers have in common.

use std::num::NonZeroU64;
use std::process::ExitCode;

use clap::Args;
use thalweg::compose::{Job, PLAIN, ProbeConfig, ProbeName, TrainingConfig};
use thalweg::descent::Result;

use crate::cli::console::Console;
use crate::cli::probe::ProbeArgs;
use crate::cli::{Common, private};

/// Options of a training that is watched and recorded.
#[derive(Args)]
pub(super) struct Trained {
    /// Attention heads; they divide the width
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) heads: usize,
    /// Layers of attention
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) layers: usize,
    /// Differentiate at most so many examples at once; with --threads they are shared out
    #[arg(long, value_name = "N")]
    micro_batch: Option<usize>,
    /// The learning rate at the start
    #[arg(long, value_name = "X", default_value_t = 1e-3, allow_negative_numbers = true)]
    rate: f64,
    /// Measure on what is not trained on after every so many steps
    #[arg(long, value_name = "STEPS", default_value_t = 100)]
    evaluate_every: u64,
    /// Save a checkpoint after every so many steps [default: once a second]
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<NonZeroU64>,
    #[command(flatten)]
    probes: ProbeArgs,
}

impl Trained {
    /// Writes these options, and those that all commands have, into a configuration; these probes watch unless others are named.
    pub(super) fn apply(self, config: &mut TrainingConfig, common: &Common, probes: &[ProbeName]) {
        config.training.micro_batch = self.micro_batch;
        config.training.rate = self.rate;
        config.training.seed = common.seed.unwrap_or(config.training.seed);
        config.privacy.mechanism = PLAIN.to_owned();
        config.record.evaluate_every = self.evaluate_every;
        config.record.checkpoint_every = self.checkpoint_every;
        let watched = ProbeConfig { names: probes.to_vec(), every: self.evaluate_every, ..ProbeConfig::default() };
        config.probe = self.probes.apply(watched);
        config.machine.device = common.device.clone().unwrap_or_else(|| config.machine.device.clone());
        config.machine.threads = common.threads.map_or(config.machine.threads, Into::into);
    }
}

/// Trains as a configuration says, in a new run of that kind.
pub(super) fn train(config: &TrainingConfig, kind: &str, common: &Common, console: &Console) -> Result<ExitCode> {
    let text = config.to_toml()?;
    let job = Job::from_config(&text, "the configuration")?;
    // Everything that can be wrong with the input is found before a folder is made.
    let steps = job.check()?;
    let run = common.create_run(kind, &text)?;
    private::drive(&run, &job, steps, console)
}
