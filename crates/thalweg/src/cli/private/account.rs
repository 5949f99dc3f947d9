//! `thalweg private account`.

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use thalweg::descent::{Error, Result, Schedule};
use thalweg::private::accountant::{self, AccountRequest, Accountant, Claim, MonteCarlo, Neighbours, Target};
use thalweg::private::sampler::Sampling;
use thalweg::private::strategy::StrategyFile;
use thalweg::private::{BuildOptions, Name, Pattern, Ratios, Strategy, Workload};
use thalweg::report::format::significant;

use crate::cli::Common;
use crate::cli::console::Console;
use crate::cli::private::course::check_steps;
use crate::cli::schedule::schedule;

/// Which epsilon has this noise, or which noise has this epsilon?
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg private account --sampling poisson --rate 0.01 --steps 1000 --delta 1e-5 --noise 1
  thalweg private account --sampling none --steps 781 --delta 1e-5 --epsilon 9
  thalweg private account --sampling cyclic --rate 0.01 --groups 16 --steps 1000 --delta 1e-5 --noise 1
  thalweg private account --sampling balls-in-bins --bins 100 --epochs 10 --delta 1e-3 --noise 2
  thalweg private account --sampling cyclic --rate 0.01 --groups 16 --strategy bandmf --bands 16 --steps 1000 --delta 1e-5 --noise 1
  thalweg private account --sampling none --strategy strategy.json --steps 500 --delta 1e-5 --epsilon 4

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
    /// What correlates the noise: a mechanism's name, or a file that `private plan --save` wrote [default: independent noise]
    #[arg(long, value_name = "FILE|NAME")]
    strategy: Option<String>,
    /// The course of the learning rate that a mechanism's name is built for
    #[arg(long, value_name = "SCHEDULE", value_parser = schedule, requires = "strategy")]
    schedule: Option<Schedule>,
    /// The bandwidth of a mechanism's name
    #[arg(long, value_name = "P", requires = "strategy")]
    bands: Option<usize>,
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
        let sampling = self.sampling()?;
        let steps = self.steps.unwrap_or(self.bins.unwrap_or(0).saturating_mul(self.epochs.unwrap_or(0)));
        let strategy = self.strategy(steps, sampling)?;
        let request = AccountRequest {
            sampling,
            neighbours: self.neighbour,
            accountant: self.accountant,
            steps,
            delta: self.delta,
            target,
            strategy: strategy.as_ref(),
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

    /// The strategy of a file, or a mechanism built by its name for the schedule.
    fn strategy(&self, steps: u64, sampling: Sampling) -> Result<Option<Strategy>> {
        let Some(given) = &self.strategy else { return Ok(None) };
        if let Ok(name) = given.parse::<Name>() {
            check_steps(steps)?;
            let schedule = self.schedule.clone().unwrap_or(Schedule::Constant);
            let workload = Workload::new(Ratios::of_schedule(&schedule, steps)?);
            let options = BuildOptions { bands: self.bands, ..BuildOptions::default() };
            return Ok(Some(Strategy::build(name, &workload, pattern(sampling, steps)?, options)?));
        }
        let path = Path::new(given);
        if !path.exists() {
            let names: Vec<&str> = Name::ALL.iter().map(|name| name.as_str()).collect();
            return Err(Error::input(format!("--strategy {given}: it is neither a file nor one of {}", names.join(", "))));
        }
        if self.schedule.is_some() || self.bands.is_some() {
            return Err(Error::input(format!(
                "--strategy {given}: the file says its schedule and bands; leave out --schedule and --bands"
            )));
        }
        Ok(Some(StrategyFile::load(path)?.strategy().clone()))
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

/// How often an example may take part under a sampling: what an optimised mechanism is optimised for.
fn pattern(sampling: Sampling, steps: u64) -> Result<Pattern> {
    let separation = match sampling {
        Sampling::Cyclic { groups, .. } => groups,
        Sampling::BallsInBins { bins, .. } => bins,
        Sampling::BMinSep { separation, .. } => separation,
        _ => return Ok(Pattern::Single),
    };
    let in_range = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    Ok(Pattern::separated(in_range(separation), in_range(steps.div_ceil(separation.max(1)).max(1)))?)
}

fn needed<T>(value: Option<T>, what: &str) -> Result<T> {
    value.ok_or_else(|| Error::input(format!("{what}: this sampling needs it")))
}
