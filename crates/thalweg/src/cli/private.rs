//! `thalweg private`.

mod account;
mod audit;
mod course;
mod plan;
mod train;

use std::process::ExitCode;

use clap::Subcommand;
use thalweg::descent::Result;

use crate::cli::Common;
use crate::cli::console::Console;

pub(crate) use train::drive;

/// Train under (epsilon, delta) with noise that suits the learning-rate schedule
#[derive(Subcommand)]
pub(crate) enum Private {
    /// Which noise suits my schedule, epochs, batch and memory?
    Plan(Box<plan::Plan>),
    /// Which epsilon has this noise, or which noise has this epsilon?
    Account(account::Account),
    /// Train a network, privately unless asked not to, and record the run
    Train(Box<train::Train>),
    /// Try to break a guarantee: a lower bound on epsilon beside the accountant's upper bound
    Audit(audit::Audit),
}

impl Private {
    pub(crate) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        match self {
            Self::Plan(plan) => plan.run(common, console),
            Self::Account(account) => account.run(common, console),
            Self::Train(train) => train.run(common, console),
            Self::Audit(audit) => audit.run(common, console),
        }
    }
}
