//! `thalweg private account`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thalweg::descent::{Error, Result};
use thalweg::private::accountant::{self, AccountRequest, Accountant, Neighbours, Target};
use thalweg::private::sampler::Sampling;
use thalweg::report::format::significant;

use crate::cli::console::Console;

/// Which epsilon has this noise, or which noise has this epsilon?
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg private account --sampling poisson --rate 0.01 --steps 1000 --delta 1e-5 --noise 1
  thalweg private account --sampling none --steps 781 --delta 1e-5 --epsilon 9
  thalweg private account --sampling cyclic --rate 0.01 --groups 16 --steps 1000 --delta 1e-5 --noise 1

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
    /// The steps of the run
    #[arg(long, value_name = "T")]
    steps: u64,
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
}

#[derive(Clone, Copy, ValueEnum)]
enum SamplingKind {
    None,
    Poisson,
    Cyclic,
}

impl Account {
    pub(super) fn run(self, console: &Console) -> Result<ExitCode> {
        let target = match (self.noise, self.epsilon) {
            (Some(noise), _) => Target::Noise(noise),
            (None, Some(epsilon)) => Target::Epsilon(epsilon),
            (None, None) => return Err(Error::input("--noise S or --epsilon E: say which of the two is known")),
        };
        let request = AccountRequest {
            sampling: self.sampling()?,
            neighbours: self.neighbour,
            accountant: self.accountant,
            steps: self.steps,
            delta: self.delta,
            target,
            strategy: None,
            monte_carlo: accountant::MonteCarlo::default(),
        };
        let account = accountant::account(&request)?;
        let text = format!(
            "({}, {})-private at noise multiplier {}\naccountant  {}\nneighbours  {}\nbatches     {}",
            significant(account.epsilon, 6),
            account.delta,
            significant(account.noise_multiplier, 6),
            account.accountant,
            account.neighbours,
            account.sampling
        );
        console.result(&account, &text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn sampling(&self) -> Result<Sampling> {
        let unused = |name: &str| Err(Error::input(format!("{name} means nothing with this sampling; leave it out")));
        let rate =
            || self.rate.ok_or_else(|| Error::input("--rate Q: sampling needs the expected share of the data in one step"));
        match self.sampling {
            SamplingKind::None if self.rate.is_some() => unused("--rate"),
            SamplingKind::None | SamplingKind::Poisson if self.groups.is_some() => unused("--groups"),
            SamplingKind::None => Ok(Sampling::None),
            SamplingKind::Poisson => Ok(Sampling::Poisson { rate: rate()? }),
            SamplingKind::Cyclic => {
                let groups = self.groups.ok_or_else(|| Error::input("--groups G: cyclic sampling needs the number of groups"))?;
                Ok(Sampling::Cyclic { groups, rate: rate()? })
            }
        }
    }
}
