//! What a person types, and where it goes.

mod completions;
mod console;
mod data;
mod dynamics;
mod private;
mod probe;
mod runs;
mod schedule;
mod stop;
mod study;
mod tour;
mod vote;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use thalweg::descent::store::{Run, RunStore};
use thalweg::descent::{Error, Result};

use console::Console;

/// A workbench for gradient descent: published methods on one descent loop, each run recorded, resumable to the bit, and explained
/// with pictures.
#[derive(Parser)]
#[command(name = "thalweg", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "Examples:
  thalweg tour                                    private training and secure votes, small, with one report
  thalweg private train --epsilon 4 --epochs 20   train on the embedded digits, privately
  thalweg vote simulate                           let 24 users vote in secret, in one process
  thalweg runs list                               what was run, and how it ended
  thalweg study studies/private-schedule.toml     put a published claim to the test";

/// What means the same in every command.
#[derive(Args, Clone)]
struct Common {
    /// Print one JSON document on standard output, and nothing else there
    #[arg(long, global = true)]
    json: bool,

    /// The folder that holds the runs
    #[arg(
        long,
        global = true,
        env = "THALWEG_RUNS",
        default_value = "runs",
        value_name = "FOLDER",
        help_heading = "Common options"
    )]
    runs: PathBuf,

    /// Where the result goes instead of a new folder in the runs
    #[arg(long, global = true, value_name = "PATH", help_heading = "Common options")]
    out: Option<PathBuf>,

    /// Governs initial weights, batch order and synthetic data; never privacy noise
    #[arg(long, global = true, value_name = "N", help_heading = "Common options")]
    seed: Option<u64>,

    /// cpu, or vulkan in a build with that feature (cuda is forwarded, untested)
    #[arg(long, global = true, value_name = "NAME", help_heading = "Common options")]
    device: Option<String>,

    /// Threads to use; the results do not depend on it
    #[arg(long, global = true, value_name = "N", help_heading = "Common options")]
    threads: Option<std::num::NonZeroUsize>,

    /// Say more about what is going on, on standard error
    #[arg(long, short, global = true, help_heading = "Common options")]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Train with and without privacy, small, on embedded real data, and draw one report
    Tour(tour::Tour),
    /// Train under (epsilon, delta) with noise that suits the learning-rate schedule
    #[command(subcommand)]
    Private(private::Private),
    /// Let devices vote on the sign of each gradient coordinate, while nobody learns a single device's signs
    #[command(subcommand)]
    Vote(vote::Vote),
    /// What theory says of a small model's descent, beside the descent itself
    #[command(subcommand)]
    Dynamics(dynamics::Dynamics),
    /// List, show, resume, draw and compare recorded runs
    #[command(subcommand)]
    Runs(runs::Runs),
    /// Find, get and check real data sets
    #[command(subcommand)]
    Data(data::Data),
    /// Put a published claim to the test
    Study(study::Study),
    /// Print a script that completes commands in a shell
    Completions(completions::Completions),
}

/// Runs the command line: exit code 0 when it is done, 1 when the work failed, 2 when the input or the call is wrong.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return Console::new(std::env::args_os().any(|word| word == "--json")).misunderstood(&error),
    };
    let console = Console::new(cli.common.json);
    log_to_stderr(cli.common.verbose);
    match run(cli, &console) {
        Ok(code) => code,
        Err(error) => console.fail(&error),
    }
}

fn run(cli: Cli, console: &Console) -> Result<ExitCode> {
    let common = &cli.common;
    common.refuse_unheeded(cli.command.heeds())?;
    if let Some(threads) = common.threads {
        // Fails only where a pool exists already, which nothing before this line makes.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global();
    }
    match cli.command {
        Command::Tour(tour) => tour.run(common, console),
        Command::Private(private) => private.run(common, console),
        Command::Vote(vote) => vote.run(common, console),
        Command::Dynamics(dynamics) => dynamics.run(common, console),
        Command::Runs(runs) => runs.run(common, console),
        Command::Data(data) => data.run(console),
        Command::Study(study) => study.run(common, console),
        Command::Completions(completions) => completions.run::<Cli>(),
    }
}

impl Command {
    /// Which of the common options it has a use for, beside those that every command has.
    fn heeds(&self) -> &'static [Heeded] {
        match self {
            Self::Private(private::Private::Train(_)) => &[Heeded::Out, Heeded::Seed, Heeded::Device],
            Self::Private(private::Private::Account(_)) => &[Heeded::Seed],
            Self::Private(private::Private::Audit(_)) | Self::Tour(_) => &[Heeded::Out, Heeded::Seed],
            Self::Vote(vote) => vote.heeds(),
            Self::Dynamics(dynamics) => dynamics.heeds(),
            Self::Private(private::Private::Plan(_)) | Self::Study(_) | Self::Runs(runs::Runs::Compare { .. }) => &[Heeded::Out],
            Self::Runs(_) | Self::Data(_) | Self::Completions(_) => &[],
        }
    }
}

/// A common option that not every command has a use for.
#[derive(Clone, Copy, PartialEq)]
enum Heeded {
    Out,
    Seed,
    Device,
}

impl Common {
    /// An option that would be ignored is an error: somebody expects something of it.
    fn refuse_unheeded(&self, heeded: &[Heeded]) -> Result<()> {
        let given = [
            (Heeded::Out, "--out", self.out.is_some()),
            (Heeded::Seed, "--seed", self.seed.is_some()),
            (Heeded::Device, "--device", self.device.is_some()),
        ];
        match given.iter().find(|(option, _, given)| *given && !heeded.contains(option)) {
            Some((_, name, _)) => Err(Error::input(format!("{name} means nothing to this command; leave it out"))),
            None => Ok(()),
        }
    }

    fn store(&self) -> RunStore {
        RunStore::at(&self.runs)
    }

    /// A new run in the folder that `--out` names, or one of that kind in the store.
    fn create_run(&self, kind: &str, config: &str) -> Result<Run> {
        let Some(folder) = &self.out else { return Ok(self.store().create(kind, config)?) };
        let name = folder.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| Error::input(format!("--out {}: it must end in the name of a folder", folder.display())))?;
        let root = folder.parent().filter(|root| !root.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
        Ok(RunStore::at(root).create_named(name, config)?)
    }
}

fn log_to_stderr(verbose: bool) {
    use std::io::IsTerminal;

    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::prelude::*;
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::WARN };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // Of others' crates only what is wrong: their details are of bytes on the wire.
    let ours = Targets::new().with_default(LevelFilter::WARN).with_target("thalweg", level);
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours).without_time().with_target(false);
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}
