//! `thalweg vote train`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thalweg::compose::{Command, Job, NetworkChoice, PLAIN, PictureSize, ProbeConfig, Split, TrainingConfig, VoteConfig};
use thalweg::descent::{Result, Schedule};
use thalweg::vote::{Mode, Regroup, Tie};

use super::agreed::{modes, ties};
use crate::cli::console::Console;
use crate::cli::probe::ProbeArgs;
use crate::cli::schedule::schedule;
use crate::cli::{Common, private};

/// Train a network by secure votes of users who hold the data, and record the run
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote train
  thalweg vote train --mode beaver --group 3 --rounds 400 --seed 2
  thalweg vote train --split by-class --tie coin
  thalweg vote train --group 3 --mode lean --regroup 10
  thalweg vote train --flippers 6 --mode plain
  thalweg vote train --data fashion-mnist --widths 128 --rounds 1000
  thalweg vote train --probe spectra,subspaces       watch the weights, which everybody sees

In each round every user takes the signs of its batch's gradient, all vote over the protocol's real messages, and the parameters move by
the rate along the result. All users are in this process. An interrupted run goes on with `thalweg runs resume`, to the same bits.")]
pub(crate) struct Train {
    /// The examples: a name of `thalweg data list`, or a folder of labelled pictures, as ./photos
    #[arg(long, value_name = "NAME", default_value = "digits")]
    data: String,
    /// Scale a folder's pictures to so many columns and rows
    #[arg(long, value_name = "WxH")]
    resize: Option<PictureSize>,
    /// The users among whom the training examples are divided
    #[arg(long, value_name = "N", default_value_t = 24)]
    users: usize,
    /// Who holds which examples
    #[arg(long, value_name = "HOW", default_value = "iid")]
    split: SplitKind,
    /// Rounds: steps with a vote in each
    #[arg(long, value_name = "R", default_value_t = 400)]
    rounds: u64,
    /// Examples of a user in a round
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: usize,
    /// By how much a vote moves a parameter, at first
    #[arg(long, value_name = "X", default_value_t = 0.002, allow_negative_numbers = true)]
    rate: f64,
    /// The course of the rate
    #[arg(long, value_name = "SCHEDULE", default_value = "exponential:0.25", value_parser = schedule)]
    schedule: Schedule,
    /// The widths of the hidden layers
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [32])]
    widths: Vec<usize>,
    /// How the vote is evaluated; oneround, survivors and sealed are our own constructions, not reviewed; plain hides nothing
    #[arg(long, value_name = "MODE", default_value = "oneround", value_parser = modes())]
    mode: Mode,
    /// The members of a group, about; 0 is one group of all
    #[arg(long, value_name = "G", default_value_t = 0)]
    group: u16,
    /// When groups are drawn anew: every round, never (fixed), or after so many rounds
    #[arg(long, value_name = "every|fixed|N", default_value = "every")]
    regroup: Regroup,
    /// The first N users vote the opposite of their gradient's signs, to see what a result bears
    #[arg(long, value_name = "N", default_value_t = 0)]
    flippers: usize,
    /// The vote on a tie, within a group; plus and minus bias training
    #[arg(long, value_name = "TIE", default_value = "zero", value_parser = ties())]
    tie: Tie,
    /// The vote on a tie among groups
    #[arg(long, value_name = "TIE", default_value = "zero", value_parser = ties())]
    tie_outer: Tie,
    #[command(flatten)]
    probes: ProbeArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum SplitKind {
    /// Everybody a random part
    Iid,
    /// Everybody two shards of the examples in the order of their classes
    ByClass,
}

impl Train {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let mut config = self.config(common);
        config.data.pin()?;
        if let Some(vote) = &config.vote {
            vote.warnings()?.iter().for_each(|warning| console.note(warning));
        }
        let text = config.to_toml()?;
        let job = Job::from_config(&text, "the configuration")?;
        // Everything that can be wrong with the input is found before a folder is made.
        let steps = job.check()?;
        let run = common.create_run("vote", &text)?;
        private::drive(&run, &job, steps, console)
    }

    fn config(self, common: &Common) -> TrainingConfig {
        let mut config = TrainingConfig { command: Command::VoteTrain, ..TrainingConfig::default() };
        config.data.name = self.data;
        config.data.resize = self.resize;
        config.network = NetworkChoice::Mlp { hidden: self.widths };
        config.training.batch = self.batch;
        config.training.rate = self.rate;
        config.training.schedule = self.schedule;
        config.training.seed = common.seed.unwrap_or(config.training.seed);
        config.privacy.mechanism = PLAIN.to_owned();
        config.vote = Some(VoteConfig {
            users: self.users,
            rounds: self.rounds,
            split: match self.split {
                SplitKind::Iid => Split::Iid,
                SplitKind::ByClass => Split::ByClass,
            },
            mode: self.mode,
            group: self.group,
            regroup: self.regroup,
            flippers: self.flippers,
            tie: self.tie,
            tie_outer: self.tie_outer,
        });
        config.probe = self.probes.apply(ProbeConfig::default());
        config.machine.threads = common.threads.map_or(config.machine.threads, Into::into);
        config
    }
}
