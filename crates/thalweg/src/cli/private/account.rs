//! `thalweg private account`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thalweg::descent::{Error, Result};
use thalweg::private::accountant::{self, AccountRequest, Accountant, Claim, MonteCarlo, Neighbours, Target};
use thalweg::private::sampler::Sampling;
use thalweg::report::format::significant;

use crate::cli::Common;
use crate::cli::console::Console;

/// Which epsilon has this noise, or which noise has this epsilon?
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg private account --sampling poisson --rate 0.01 --steps 1000 --delta 1e-5 --noise 1
  thalweg private account --sampling none --steps 781 --delta 1e-5 --epsilon 9
  thalweg private account --sampling cyclic --rate 0.01 --groups 16 --steps 1000 --delta 1e-5 --noise 1
  thalweg private account --sampling balls-in-bins --bins 100 --epochs 10 --delta 1e-3 --noise 2

Balls in bins and b-min-sep have no formula: their privacy loss is drawn, and the answer counts the chance that the draws deceive.

The noise multiplier is the standard deviation of the fresh noise over clip norm times sensitivity (without sampling) or times the
largest column norm of the strategy (with sampling; 1 for independent noise).")]
pub(crate) struct Account {
    /// How batches are drawn
    #[arg(long, value_name = "HOW")]
    sampling: SamplingKind,
    /// The expected share of the data in one step, with sampling
    #[arg(long, value_name = "Q", allow_negative_numbers = true)]
    rate: Option<f64>,
    /// The groups of cyclic sampling: the bands of the strategy
    #[arg(long, value_name = "G")]
    groups: Option<u64>,
    /// The bins of balls-in-bins sampling: the steps of an epoch
    #[arg(long, value_name = "B")]
    bins: Option<u64>,
    /// The epochs of balls-in-bins sampling
    #[arg(long, value_name = "E")]
    epochs: Option<u64>,
    /// The least distance of two steps of one example, with b-min-sep sampling
    #[arg(long, value_name = "B")]
    separation: Option<u64>,
    /// The steps of the run [default: bins times epochs, with balls-in-bins sampling]
    #[arg(long, value_name = "T", required_unless_present_all = ["bins", "epochs"])]
    steps: Option<u64>,
    /// delta
    #[arg(long, value_name = "D", allow_negative_numbers = true)]
    delta: f64,
    /// The noise multiplier; asked for is epsilon
    #[arg(
        long,
        value_name = "S",
        allow_negative_numbers = true,
        required_unless_present = "epsilon",
        conflicts_with = "epsilon"
    )]
    noise: Option<f64>,
    /// Epsilon; asked for is the least noise multiplier
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// pld (tight) or rdp (looser)
    #[arg(long, value_name = "NAME", default_value = "pld")]
    accountant: Accountant,
    /// What one person may change: add-remove, replace-one or zero-out
    #[arg(long, value_name = "RELATION", default_value = "add-remove")]
    neighbour: Neighbours,
    /// How often the privacy loss is drawn, where it has no formula [default: as often as a guarantee needs]
    #[arg(long, value_name = "N")]
    draws: Option<u64>,
    /// Give the best guess of drawn losses, which may be too small, instead of a guarantee
    #[arg(long)]
    estimate: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum SamplingKind {
    None,
    Poisson,
    Cyclic,
    BallsInBins,
    BMinSep,
}

impl Account {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let target = match (self.noise, self.epsilon) {
            (Some(noise), _) => Target::Noise(noise),
            (None, Some(epsilon)) => Target::Epsilon(epsilon),
            (None, None) => return Err(Error::input("--noise S or --epsilon E: say which of the two is known")),
        };
        let request = AccountRequest {
            sampling: self.sampling()?,
            neighbours: self.neighbour,
            accountant: self.accountant,
            steps: self.steps.unwrap_or(self.bins.unwrap_or(0).saturating_mul(self.epochs.unwrap_or(0))),
            delta: self.delta,
            target,
            strategy: None,
            monte_carlo: self.monte_carlo(common),
        };
        let account = accountant::account(&request)?;
        let mut text = format!(
            "({}, {})-private at noise multiplier {}\naccountant  {}\nneighbours  {}\nbatches     {}",
            significant(account.epsilon, 6),
            account.delta,
            significant(account.noise_multiplier, 6),
            account.accountant,
            account.neighbours,
            account.sampling
        );
        if let Some(confidence) = account.confidence {
            let guaranteed =
                confidence.guaranteed.map_or_else(|| "none: too few draws".to_owned(), |found| significant(found, 6));
            let guess = significant(confidence.estimate, 6);
            text.push_str(&format!("\nguarantee   {guaranteed}; best guess {guess}, of {} draws", confidence.draws));
        }
        console.result(&account, &text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn monte_carlo(&self, common: &Common) -> MonteCarlo {
        let claim = if self.estimate { Claim::Estimate } else { Claim::Guarantee };
        MonteCarlo { draws: self.draws, seed: common.seed.unwrap_or(0), claim }
    }

    fn sampling(&self) -> Result<Sampling> {
        use SamplingKind::{BMinSep, BallsInBins, Cyclic, None, Poisson};
        self.refuse_unused()?;
        Ok(match self.sampling {
            None => Sampling::None,
            Poisson => Sampling::Poisson { rate: needed(self.rate, "--rate Q, the expected share of the data in one step")? },
            Cyclic => Sampling::Cyclic {
                groups: needed(self.groups, "--groups G, the number of groups")?,
                rate: needed(self.rate, "--rate Q, the expected share of the data in one step")?,
            },
            BallsInBins => Sampling::BallsInBins {
                bins: needed(self.bins, "--bins B, the steps of an epoch")?,
                epochs: needed(self.epochs, "--epochs E")?,
            },
            BMinSep => Sampling::BMinSep {
                separation: needed(self.separation, "--separation B, the least distance of two steps of one example")?,
                rate: needed(self.rate, "--rate Q, the share of steps in which an example takes part")?,
            },
        })
    }

    /// An option that would be ignored is an error.
    fn refuse_unused(&self) -> Result<()> {
        use SamplingKind::{BMinSep, BallsInBins, Cyclic, Poisson};
        let drawn: &[SamplingKind] = &[BallsInBins, BMinSep];
        let options = [
            ("--rate", self.rate.is_some(), &[Poisson, Cyclic, BMinSep][..]),
            ("--groups", self.groups.is_some(), &[Cyclic]),
            ("--bins", self.bins.is_some(), &[BallsInBins]),
            ("--epochs", self.epochs.is_some(), &[BallsInBins]),
            ("--separation", self.separation.is_some(), &[BMinSep]),
            ("--draws", self.draws.is_some(), drawn),
            ("--estimate", self.estimate, drawn),
        ];
        match options.iter().find(|(_, given, kinds)| *given && !kinds.contains(&self.sampling)) {
            Some((name, ..)) => Err(Error::input(format!("{name} means nothing with this sampling; leave it out"))),
            None => Ok(()),
        }
    }
}

fn needed<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Error::input(format!("{what}: this sampling needs it")))
}
