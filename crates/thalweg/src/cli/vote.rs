//! `thalweg vote`.

mod aggregator;
mod agreed;
mod bench;
mod check_vectors;
mod client;
mod dealer;
mod inspect;
mod keys;
mod leak;
mod losses;
mod network;
mod plan;
mod polynomial;
mod simulate;
mod train;

use std::process::ExitCode;

use clap::Subcommand;
use thalweg::descent::{Error, Result};

use crate::cli::console::Console;
use crate::cli::{Common, Heeded};

/// Let devices vote on the sign of each gradient coordinate, while nobody learns a single device's signs
///
/// The published construction (arXiv 2511.18887) is known to us by its abstract alone; its cost model is fitted to its two published
/// percentages. The modes oneround, survivors and sealed are our own constructions: semi-honest, they need a dealer that colludes
/// with nobody, and no cryptographer has reviewed them.
#[derive(Subcommand)]
#[command(after_help = "Examples:
  thalweg vote simulate                               24 users in one process, over real messages
  thalweg vote plan --users 24 --dim 7850             which mode, what it costs, what it reveals
  thalweg vote polynomial --users 24                  the majority as a polynomial
  thalweg vote leak --users 3,24 --rounds 1,51        what votes say about one user")]
pub(crate) enum Vote {
    /// Compare all modes for a number of users: bytes, messages, leakage, losses
    Plan(plan::Plan),
    /// Show the polynomial over a prime field that is the majority
    Polynomial(polynomial::Polynomial),
    /// Let simulated users vote over real messages, and compare with the plain vote
    Simulate(simulate::Simulate),
    /// Train a network by secure votes of users who hold the data, and record the run
    Train(Box<train::Train>),
    /// Make the folders of all parties of a session: what is agreed, certificates, secrets
    Keys(keys::Keys),
    /// Run the aggregator of a vote over a network: it adds what users send, and publishes results
    Aggregator(aggregator::Aggregator),
    /// Run the dealer of a vote over a network: it prepares shared randomness, and never sees a vote
    Dealer(dealer::Dealer),
    /// Run a user of a vote over a network: it votes the signs of a gradient, and learns the result
    Client(client::Client),
    /// Time rounds of several modes side by side
    Bench(bench::Bench),
    /// Show what a published vote, or many of them, say about one user
    Leak(leak::Leak),
    /// Check this program, or one in another language, against files of test vectors
    CheckVectors(check_vectors::CheckVectors),
    /// Decode frames for people; secrets are not shown
    Inspect(inspect::Inspect),
}

impl Vote {
    pub(crate) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        match self {
            Self::Plan(plan) => plan.run(common, console),
            Self::Polynomial(polynomial) => polynomial.run(console),
            Self::Simulate(simulate) => simulate.run(common, console),
            Self::Train(train) => train.run(common, console),
            Self::Keys(keys) => keys.run(common, console),
            Self::Aggregator(aggregator) => aggregator.run(common, console),
            Self::Dealer(dealer) => dealer.run(console),
            Self::Client(client) => client.run(common, console),
            Self::Bench(bench) => bench.run(console),
            Self::Leak(leak) => leak.run(console),
            Self::CheckVectors(check) => check.run(console),
            Self::Inspect(inspect) => inspect.run(console),
        }
    }

    /// Which of the common options it has a use for.
    pub(crate) const fn heeds(&self) -> &'static [Heeded] {
        match self {
            Self::Plan(_) | Self::Keys(_) | Self::Aggregator(_) => &[Heeded::Out],
            Self::Client(_) | Self::Train(_) => &[Heeded::Out, Heeded::Seed],
            Self::Simulate(_) => &[Heeded::Seed],
            _ => &[],
        }
    }
}

/// An error of the vote's library, as one of input or of work.
fn failed(error: thalweg::vote::Error) -> Error {
    match error {
        thalweg::vote::Error::NoEntropy(_) => Error::piece("drawing secrets", error),
        thalweg::vote::Error::Network { doing, reason } => Error::piece(doing, reason),
        other => Error::input(other),
    }
}
