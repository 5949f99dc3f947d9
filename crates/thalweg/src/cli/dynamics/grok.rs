//! `thalweg dynamics grok`.

use std::num::NonZeroU64;
use std::process::ExitCode;

use clap::Args;
use thalweg::compose::{
    Command, Form, Job, NetworkChoice, Optimiser, PLAIN, ProbeConfig, ProbeName, Sampling, Task, TrainingConfig,
};
use thalweg::descent::{Result, Schedule};

use crate::cli::console::Console;
use crate::cli::probe::ProbeArgs;
use crate::cli::{Common, private};

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
    #[arg(long, value_name = "SHARE", default_value_t = 0.4, allow_negative_numbers = true)]
    train_share: f64,
    /// Numbers in each position
    #[arg(long, value_name = "N", default_value_t = 64)]
    width: usize,
    /// Blocks of attention and dense layers
    #[arg(long, value_name = "N", default_value_t = 1)]
    layers: usize,
    /// Attention heads; they divide the width
    #[arg(long, value_name = "N", default_value_t = 4)]
    heads: usize,
    /// Steps
    #[arg(long, value_name = "T", default_value_t = 5_000)]
    steps: u64,
    /// Pairs in a step [default: all that are trained on]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Differentiate at most so many pairs at once; with --threads they are shared out
    #[arg(long, value_name = "N")]
    micro_batch: Option<usize>,
    /// The learning rate of AdamW
    #[arg(long, value_name = "X", default_value_t = 1e-3, allow_negative_numbers = true)]
    rate: f64,
    /// Decoupled weight decay
    #[arg(long, value_name = "X", default_value_t = 3.0, allow_negative_numbers = true)]
    weight_decay: f64,
    /// The decay of AdamW's mean of squares
    #[arg(long, value_name = "X", default_value_t = 0.98, allow_negative_numbers = true)]
    beta2: f64,
    /// Measure on all pairs after every so many steps
    #[arg(long, value_name = "STEPS", default_value_t = 100)]
    evaluate_every: u64,
    /// Save a checkpoint after every so many steps [default: once a second]
    #[arg(long, value_name = "STEPS")]
    checkpoint_every: Option<NonZeroU64>,
    #[command(flatten)]
    probes: ProbeArgs,
}

impl Grok {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let text = self.config(common).to_toml()?;
        let job = Job::from_config(&text, "the configuration")?;
        // Everything that can be wrong with the input is found before a folder is made.
        let steps = job.check()?;
        let run = common.create_run("grok", &text)?;
        private::drive(&run, &job, steps, console)
    }

    fn config(self, common: &Common) -> TrainingConfig {
        let task = Task::ModularAddition { modulus: self.modulus, train_share: self.train_share };
        let mut config = TrainingConfig { command: Command::DynamicsGrok, ..TrainingConfig::default() };
        let (width, layers, heads) = (self.width, self.layers, self.heads);
        config.network = NetworkChoice::Transformer { width, layers, heads, form: Form::Bare };
        config.training.steps = Some(self.steps);
        config.training.batch = self.batch.or(task.train_examples()).unwrap_or(1);
        config.training.micro_batch = self.micro_batch;
        config.training.sampling = Sampling::Shuffled;
        config.training.rate = self.rate;
        config.training.schedule = Schedule::Constant;
        config.training.optimiser = Optimiser::Adamw;
        config.training.weight_decay = self.weight_decay;
        config.training.beta2 = Some(self.beta2);
        config.training.seed = common.seed.unwrap_or(config.training.seed);
        config.task = Some(task);
        config.privacy.mechanism = PLAIN.to_owned();
        config.record.evaluate_every = self.evaluate_every;
        config.record.checkpoint_every = self.checkpoint_every;
        let names = vec![ProbeName::Seen, ProbeName::Spectra, ProbeName::Subspaces, ProbeName::Autocorrelation];
        config.probe = self.probes.apply(ProbeConfig { names, every: self.evaluate_every, ..ProbeConfig::default() });
        if !config.probe.names.contains(&ProbeName::Seen) {
            // Without it nobody knows when the pairs are known.
            config.probe.names.push(ProbeName::Seen);
        }
        config.machine.device = common.device.clone().unwrap_or(config.machine.device);
        config.machine.threads = common.threads.map_or(config.machine.threads, Into::into);
        config
    }
}
