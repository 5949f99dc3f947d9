//! The course of a run that is thought of: its rates, and how often an example takes part.

use clap::Args;
use thalweg::compose::MOST_STEPS;
use thalweg::descent::{Error, Result, Schedule};
use thalweg::private::{Ratios, Workload};

use crate::cli::schedule::schedule;

#[derive(Args)]
pub(super) struct Course {
    /// The course of the learning rate: constant, exponential:B, linear:B, cosine:B, polynomial:B, or file:PATH of rates
    #[arg(long, value_name = "SCHEDULE", default_value = "constant", value_parser = schedule)]
    pub(super) schedule: Schedule,
    /// An example takes part at most so often
    #[arg(long, value_name = "K", default_value_t = 1)]
    participations: u64,
    /// ... and its steps are at least so far apart [default: the steps divided by the participations]
    #[arg(long, value_name = "B")]
    separation: Option<u64>,
}

impl Course {
    /// The linear map of SGD over so many steps, without momentum and decay.
    pub(super) fn workload(&self, steps: u64) -> Result<Workload> {
        check_steps(steps)?;
        Ok(Workload::new(Ratios::of_schedule(&self.schedule, steps)?))
    }

    /// The separation and the participations of one example in so many steps.
    pub(super) fn participation(&self, steps: u64) -> Result<(u64, u64)> {
        if self.participations == 0 {
            return Err(Error::input("--participations 0: an example takes part at least once"));
        }
        let even = (steps / self.participations).max(1);
        Ok((self.separation.unwrap_or(even), self.participations))
    }
}

/// As many steps as a training may take: beyond them the exact errors take too long.
pub(super) fn check_steps(steps: u64) -> Result<()> {
    if (1..=MOST_STEPS).contains(&steps) {
        return Ok(());
    }
    Err(Error::input(format!("{steps} steps: a run takes 1 to {MOST_STEPS}")))
}
