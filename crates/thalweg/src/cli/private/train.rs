//! `thalweg private train`.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thalweg::compose::{
    Job, Learned, Milestones, NetworkChoice, Optimiser, PLAIN, PictureSize, Sampling, Summary, TrainingConfig,
};
use thalweg::descent::store::{Controls, Run};
use thalweg::descent::{Record, Result, Schedule};
use thalweg::nn::Mirror;
use thalweg::pages;
use thalweg::private::NoiseKind;
use thalweg::private::Objective;
use thalweg::private::strategy::StrategyFile;
use thalweg::report::format::{bytes, significant};

use crate::cli::console::Console;
use crate::cli::probe::ProbeArgs;
use crate::cli::schedule::schedule;
use crate::cli::{Common, stop};

/// A configuration file, and what the command line changes in it. What neither names has its default.
#[derive(Args)]
#[command(after_help = TRAIN_EXAMPLES)]
pub(crate) struct Train {
    /// A configuration to start from, in the form of a run's config.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The bound epsilon of the guarantee [default: 8]
    #[arg(long, value_name = "X", help_heading = "Privacy", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// The bound delta of the guarantee [default: 1e-5]
    #[arg(long, value_name = "X", help_heading = "Privacy", allow_negative_numbers = true)]
    delta: Option<f64>,
    /// The noise: identity (DP-SGD), prefix-root, lr-root, bsr, bisr, ..., or none for plain training [default: lr-root]
    #[arg(long, value_name = "NAME", help_heading = "Privacy")]
    mechanism: Option<String>,
    /// The bandwidth, for the mechanisms that have one
    #[arg(long, value_name = "P", help_heading = "Privacy")]
    bands: Option<usize>,
    /// What tuned and optimised mechanisms minimise: mean or max [default: mean]
    #[arg(long, value_name = "ERROR", help_heading = "Privacy")]
    objective: Option<Objective>,
    /// A strategy that `private plan --save` wrote for this very run, in place of a mechanism
    #[arg(long, value_name = "FILE", help_heading = "Privacy", conflicts_with_all = ["mechanism", "bands", "objective"])]
    strategy: Option<PathBuf>,
    /// The arithmetic of the noise: gaussian, or discrete: whole numbers on a grid, which also protect from whoever reads every bit
    /// of what is released; for identity in a fixed order, one example at a time [default: gaussian]
    #[arg(long, value_name = "KIND", help_heading = "Privacy")]
    noise: Option<NoiseKind>,
    /// Another rule than --clip: per-block:NORM, automatic:GAMMA or global:NORM
    #[arg(long, value_name = "RULE", help_heading = "Privacy", conflicts_with = "clip")]
    clipping: Option<String>,
    /// The largest norm of one example's gradient [default: 1]
    #[arg(long, value_name = "NORM", help_heading = "Privacy", allow_negative_numbers = true)]
    clip: Option<f64>,
    /// Make the noise repeatable, for tests: the run is then NOT private
    #[arg(long, value_name = "N", help_heading = "Privacy")]
    insecure_seed: Option<u64>,

    /// A data set of `thalweg data list`, or a folder of your own, as ./photos [default: digits]
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    data: Option<String>,
    /// Scale a folder's pictures to so many columns and rows
    #[arg(long, value_name = "WxH", help_heading = "Training")]
    resize: Option<PictureSize>,
    /// At most so many training examples
    #[arg(long, value_name = "N", help_heading = "Training")]
    limit: Option<usize>,
    /// Hold out so many training examples and measure on them instead of the test examples
    #[arg(long, value_name = "N", help_heading = "Training")]
    validation: Option<usize>,
    /// The network: mlp, cnn or resnet for images, bag or transformer for texts [default: mlp]
    #[arg(long, alias = "network", value_name = "KIND", help_heading = "Training")]
    model: Option<String>,
    /// Widths of an mlp's hidden layers, channels of a cnn's or resnet's blocks, or the width of a word's vector, as 64,64
    #[arg(long, value_name = "N,..", value_delimiter = ',', help_heading = "Training")]
    widths: Option<Vec<usize>>,
    /// Passes over the data [default: 10]
    #[arg(long, value_name = "N", help_heading = "Training")]
    epochs: Option<u64>,
    /// Examples a step [default: 64]
    #[arg(long, value_name = "N", help_heading = "Training")]
    batch: Option<usize>,
    /// Random views of each image, whose mean gradient is the example's [default: 1]
    #[arg(long, value_name = "K", help_heading = "Training")]
    views: Option<usize>,
    /// A view is moved by up to so many pixels [default: 0]
    #[arg(long, value_name = "PIXELS", help_heading = "Training")]
    shift: Option<usize>,
    /// Half of the views are seen in a mirror
    #[arg(long, help_heading = "Training")]
    mirror: bool,
    /// A view is turned by up to so many degrees [default: 0]
    #[arg(long, value_name = "DEGREES", help_heading = "Training", allow_negative_numbers = true)]
    rotate: Option<f64>,
    /// A view is moved by up to this share of its height and width, between pixels too [default: 0]
    #[arg(long, value_name = "SHARE", help_heading = "Training", allow_negative_numbers = true)]
    translate: Option<f64>,
    /// A random rectangle of a view is blanked with this probability [default: 0]
    #[arg(long, value_name = "P", help_heading = "Training", allow_negative_numbers = true)]
    erase: Option<f64>,
    /// Keep and evaluate a moving average of the parameters with that decay, such as 0.99
    #[arg(long, value_name = "DECAY", help_heading = "Training", allow_negative_numbers = true)]
    ema: Option<f64>,
    /// How batches are drawn [default: fixed-order]
    #[arg(long, value_name = "HOW", help_heading = "Training")]
    sampling: Option<SamplingKind>,
    /// The groups of cyclic sampling [default: the bands]
    #[arg(long, value_name = "G", help_heading = "Training")]
    groups: Option<usize>,
    /// The least distance of two steps of one example, with b-min-sep sampling [default: the bands]
    #[arg(long, value_name = "B", help_heading = "Training")]
    separation: Option<usize>,
    /// Differentiate at most so many examples at once
    #[arg(long, value_name = "N", help_heading = "Training")]
    micro_batch: Option<usize>,
    /// The learning rate at the start [default: 1]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// Its course: constant, exponential:END, linear:END, cosine:END, polynomial:END, step:DROPS:END, warmup:STEPS+REST
    /// file:PATH of rates [default: exponential:0.1]
    #[arg(long, value_name = "SCHEDULE", help_heading = "Training", value_parser = schedule)]
    schedule: Option<Schedule>,
    /// How the parameters move [default: sgd]
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    optimiser: Option<OptimiserKind>,
    /// Momentum of SGD [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    momentum: Option<f64>,
    /// Decoupled weight decay [default: 0]
    #[arg(long, value_name = "X", help_heading = "Training", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// Evaluate on the test examples after every so many steps [default: 50]
    #[arg(long, value_name = "STEPS", help_heading = "Training")]
    evaluate_every: Option<u64>,
    /// Save a checkpoint after every so many steps [default: once a second]
    #[arg(long, value_name = "STEPS", help_heading = "Training")]
    checkpoint_every: Option<NonZeroU64>,
    #[command(flatten)]
    probes: ProbeArgs,
}

const TRAIN_EXAMPLES: &str = "Examples:
  thalweg private train --epsilon 4 --epochs 20
  thalweg private train --mechanism identity --sampling poisson --batch 128 --epsilon 2
  thalweg private train --mechanism bandmf --bands 8 --sampling cyclic --epsilon 2
  thalweg private train --mechanism bandmf --bands 8 --sampling b-min-sep --batch 32 --epsilon 2
  thalweg private train --mechanism identity --noise discrete --epsilon 4
  thalweg private train --mechanism none --seed 3            plain training, to compare with
  thalweg private train --data ./photos --resize 32x32 --model cnn    photos/<class>/<picture>, or below photos/train and test
  thalweg private train --probe spectra,invariants           watch what the released parameters show
  thalweg private train --config runs/private-1/config.toml --epsilon 1";

#[derive(Clone, Copy, ValueEnum)]
enum SamplingKind {
    FixedOrder,
    Poisson,
    Cyclic,
    BallsInBins,
    BMinSep,
    Shuffled,
}

#[derive(Clone, Copy, ValueEnum)]
enum OptimiserKind {
    Sgd,
    Adamw,
}

impl Train {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let text = self.config(common)?.to_toml()?;
        let job = Job::from_config(&text, "the configuration")?;
        // Everything that can be wrong with the input is found before a folder is made.
        let steps = job.check()?;
        let run = common.create_run("private", &text)?;
        drive(&run, &job, steps, console)
    }

    fn config(self, common: &Common) -> Result<TrainingConfig> {
        let mut config = match &self.config {
            Some(path) => TrainingConfig::read(path)?,
            None => TrainingConfig::default(),
        };
        config.network = self.network(config.network)?;
        let training = &mut config.training;
        replace(&mut training.epochs, self.epochs);
        replace(&mut training.batch, self.batch);
        replace(&mut training.rate, self.rate);
        replace(&mut training.schedule, self.schedule);
        replace(&mut training.momentum, self.momentum);
        replace(&mut training.weight_decay, self.weight_decay);
        replace(&mut training.seed, common.seed);
        replace(&mut training.sampling, self.sampling.map(Into::into));
        training.groups = self.groups.or(training.groups);
        training.separation = self.separation.or(training.separation);
        replace(&mut training.optimiser, self.optimiser.map(Into::into));
        replace(&mut training.views, self.views);
        replace(&mut training.augmentation.shift, self.shift);
        replace(&mut training.augmentation.mirror, self.mirror.then_some(Mirror::Half));
        replace(&mut training.augmentation.rotation, self.rotate);
        replace(&mut training.augmentation.translation, self.translate);
        replace(&mut training.augmentation.erasing, self.erase);
        training.ema = self.ema.or(training.ema);
        training.micro_batch = self.micro_batch.or(training.micro_batch);
        let privacy = &mut config.privacy;
        replace(&mut privacy.epsilon, self.epsilon);
        replace(&mut privacy.delta, self.delta);
        replace(&mut privacy.clip, self.clip);
        replace(&mut privacy.noise, self.noise);
        replace(&mut privacy.mechanism, self.mechanism);
        privacy.bands = self.bands.or(privacy.bands);
        replace(&mut privacy.objective, self.objective);
        privacy.clipping = self.clipping.or(privacy.clipping.take());
        if let Some(path) = self.strategy {
            privacy.mechanism = StrategyFile::load(&path)?.strategy().name().to_string();
            // A run may be resumed from another folder.
            privacy.strategy = Some(std::path::absolute(&path).unwrap_or(path));
        }
        privacy.insecure_seed = self.insecure_seed.or(privacy.insecure_seed);
        replace(&mut config.data.name, self.data);
        config.data.resize = self.resize.or(config.data.resize);
        config.data.pin()?;
        config.data.limit = self.limit.or(config.data.limit);
        config.data.validation = self.validation.or(config.data.validation);
        replace(&mut config.record.evaluate_every, self.evaluate_every);
        config.record.checkpoint_every = self.checkpoint_every.or(config.record.checkpoint_every);
        config.probe = self.probes.apply(config.probe);
        replace(&mut config.machine.device, common.device.clone());
        replace(&mut config.machine.threads, common.threads.map(Into::into));
        Ok(config)
    }

    fn network(&self, configured: NetworkChoice) -> Result<NetworkChoice> {
        let network = match &self.model {
            Some(kind) if kind != configured.name() => NetworkChoice::of_kind(kind)?,
            _ => configured,
        };
        match &self.widths {
            Some(widths) => network.with_widths(widths.clone()),
            None => Ok(network),
        }
    }
}

fn replace<T>(field: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *field = value;
    }
}

impl From<SamplingKind> for Sampling {
    fn from(kind: SamplingKind) -> Self {
        match kind {
            SamplingKind::FixedOrder => Self::FixedOrder,
            SamplingKind::Poisson => Self::Poisson,
            SamplingKind::Cyclic => Self::Cyclic,
            SamplingKind::BallsInBins => Self::BallsInBins,
            SamplingKind::BMinSep => Self::BMinSep,
            SamplingKind::Shuffled => Self::Shuffled,
        }
    }
}

impl From<OptimiserKind> for Optimiser {
    fn from(kind: OptimiserKind) -> Self {
        match kind {
            OptimiserKind::Sgd => Self::Sgd,
            OptimiserKind::Adamw => Self::Adamw,
        }
    }
}

/// Drives a run to its end or until Ctrl-C, draws its report and prints what came of it.
pub(crate) fn drive(run: &Run, job: &Job, steps: u64, console: &Console) -> Result<ExitCode> {
    let stop = stop::on_ctrl_c()?;
    let bar = console.progress(steps);
    bar.set_message(run.id().to_owned());
    let mut progress = |record: &Record| {
        bar.set_position(record.number("step").map_or(0, |step| step as u64 + 1));
    };
    let checkpoints = job.config().record.checkpoints();
    let driven = job.drive(run, &mut Controls { checkpoints, stop, progress: &mut progress });
    bar.finish_and_clear();
    let summary = driven?;
    let report = pages::write_run_report(run.folder())?;
    console.result(&summary, &describe(&summary, run, &report))?;
    if summary.status == "finished" {
        return Ok(ExitCode::SUCCESS);
    }
    console.note(&format!(
        "stopped after step {} of {}; go on with:  thalweg {}",
        summary.steps,
        summary.steps_planned,
        resume_call(run)
    ));
    Ok(ExitCode::FAILURE)
}

/// The command that resumes a run, with its store where that is not the default.
fn resume_call(run: &Run) -> String {
    let root = run.folder().parent().unwrap_or(run.folder());
    if root == std::path::Path::new("runs") {
        return format!("runs resume {}", run.id());
    }
    format!("runs resume {} --runs {}", run.id(), root.display())
}

fn describe(summary: &Summary, run: &Run, report: &std::path::Path) -> String {
    let mut lines = vec![format!("{}  {} after {} steps", summary.run, summary.status, summary.steps)];
    if let Some(accuracy) = summary.test_accuracy {
        lines.push(format!("test accuracy  {:.2} %", 100.0 * accuracy));
    }
    if let Some(vote) = &summary.vote {
        let words = if vote.matches_plain { "every result is the plain vote" } else { "A RESULT IS NOT THE PLAIN VOTE" };
        lines.push(format!("votes          {words}; a user sent {}", bytes(vote.ledger.wire_up as f64)));
    }
    if let Some(milestones) = &summary.milestones {
        lines.extend(describe_milestones(milestones));
    }
    if let Some(learned) = &summary.learned {
        lines.extend(describe_learned(learned, summary.test_loss));
    }
    match &summary.privacy {
        None if summary.milestones.is_some() || summary.learned.is_some() => {}
        None => lines.push(format!("privacy        none (mechanism {PLAIN})")),
        Some(privacy) if summary.private => {
            lines.push(format!("privacy        ({}, {})-DP by {}", privacy.epsilon, privacy.delta, privacy.mechanism));
        }
        Some(privacy) if !summary.unaccounted_probes.is_empty() => lines.push(format!(
            "privacy        ({}, {})-DP of the parameters alone: NOT of what the probes read of training examples",
            privacy.epsilon, privacy.delta
        )),
        Some(_) => lines.push("privacy        NONE: the noise comes from an insecure seed that anybody can repeat".to_owned()),
    }
    lines.push(format!("report         {}", report.display()));
    lines.push(format!("folder         {}", run.folder().display()));
    lines.join("\n")
}

/// When the examples were known, and when the rule.
fn describe_milestones(found: &Milestones) -> Vec<String> {
    let at = |step: Option<u64>| step.map_or_else(|| "not yet".to_owned(), |step| format!("from step {step} on"));
    let seen = found.seen_accuracy.map_or_else(|| "-".to_owned(), |accuracy| format!("{:.2} %", 100.0 * accuracy));
    vec![
        format!("seen accuracy  {seen}, on the training pairs"),
        format!("memorised      {} (99 % of the training pairs)", at(found.memorised_at)),
        format!("generalised    {} (95 % of the others)", at(found.generalised_at)),
    ]
}

/// What was learned in context, beside what linear attention can learn.
fn describe_learned(found: &Learned, loss: Option<f64>) -> Vec<String> {
    let share = |share: &Option<f64>| share.map_or_else(|| "-".to_owned(), |share| significant(share, 3));
    let modes: Vec<String> = found.modes.iter().map(share).collect();
    let loss = loss.map_or_else(|| "-".to_owned(), |loss| significant(loss, 4));
    let (linear, zero) = (significant(found.linear_loss, 4), significant(found.zero_loss, 4));
    vec![
        format!("test loss      {loss}; {linear} at the end of one linear layer, {zero} for answering 0"),
        format!("learned        {} of the modes, strongest first as given", modes.join(", ")),
    ]
}
