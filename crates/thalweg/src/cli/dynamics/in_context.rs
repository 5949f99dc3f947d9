//! `thalweg dynamics in-context`.

use std::num::NonZeroU64;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thalweg::compose::{Command, Job, NetworkChoice, Optimiser, PLAIN, ProbeConfig, ProbeName, Sampling, Task, TrainingConfig};
use thalweg::descent::{Result, Schedule};

use crate::cli::console::Console;
use crate::cli::probe::ProbeArgs;
use crate::cli::schedule::schedule;
use crate::cli::{Common, private};

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
    /// Layers of attention
    #[arg(long, value_name = "N", default_value_t = 1)]
    layers: usize,
    /// Attention heads; they divide the width
    #[arg(long, value_name = "N", default_value_t = 4)]
    heads: usize,
    /// Numbers in each position
    #[arg(long, value_name = "N", default_value_t = 32)]
    width: usize,
    /// Steps
    #[arg(long, value_name = "T", default_value_t = 10_000)]
    steps: u64,
    /// Contexts in a step
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch: usize,
    /// Differentiate at most so many contexts at once; with --threads they are shared out
    #[arg(long, value_name = "N")]
    micro_batch: Option<usize>,
    /// The learning rate at the start
    #[arg(long, value_name = "X", default_value_t = 1e-3, allow_negative_numbers = true)]
    rate: f64,
    /// Its course
    #[arg(long, value_name = "SCHEDULE", default_value = "constant", value_parser = schedule)]
    schedule: Schedule,
    /// How the parameters move; conserved quantities are predicted for sgd
    #[arg(long, value_name = "NAME", default_value = "adamw")]
    optimiser: OptimiserKind,
    /// Decoupled weight decay
    #[arg(long, value_name = "X", default_value_t = 0.0, allow_negative_numbers = true)]
    weight_decay: f64,
    /// Measure on the held-out contexts after every so many steps
    #[arg(long, value_name = "STEPS", default_value_t = 100)]
    evaluate_every: u64,
    /// Save a checkpoint after every so many steps [default: once a second]
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<NonZeroU64>,
    #[command(flatten)]
    probes: ProbeArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptimiserKind {
    Sgd,
    Adamw,
}

impl InContext {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let text = self.config(common).to_toml()?;
        let job = Job::from_config(&text, "the configuration")?;
        // Everything that can be wrong with the input is found before a folder is made.
        let steps = job.check()?;
        let run = common.create_run("in-context", &text)?;
        private::drive(&run, &job, steps, console)
    }

    fn config(self, common: &Common) -> TrainingConfig {
        let mut config = TrainingConfig { command: Command::DynamicsInContext, ..TrainingConfig::default() };
        config.task = Some(Task::InContext { spectrum: self.spectrum, context: self.context, held_out: self.held_out });
        config.network = NetworkChoice::Attention { width: self.width, layers: self.layers, heads: self.heads };
        config.training.steps = Some(self.steps);
        config.training.batch = self.batch;
        config.training.micro_batch = self.micro_batch;
        config.training.sampling = Sampling::FixedOrder;
        config.training.rate = self.rate;
        config.training.schedule = self.schedule;
        config.training.optimiser = match self.optimiser {
            OptimiserKind::Sgd => Optimiser::Sgd,
            OptimiserKind::Adamw => Optimiser::Adamw,
        };
        config.training.weight_decay = self.weight_decay;
        config.training.seed = common.seed.unwrap_or(config.training.seed);
        config.privacy.mechanism = PLAIN.to_owned();
        config.record.evaluate_every = self.evaluate_every;
        config.record.checkpoint_every = self.checkpoint_every;
        let names = vec![ProbeName::Spectra, ProbeName::Subspaces, ProbeName::Autocorrelation, ProbeName::Invariants];
        config.probe = self.probes.apply(ProbeConfig { names, every: self.evaluate_every, ..ProbeConfig::default() });
        config.machine.device = common.device.clone().unwrap_or(config.machine.device);
        config.machine.threads = common.threads.map_or(config.machine.threads, Into::into);
        config
    }
}
