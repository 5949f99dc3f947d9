//! `thalweg vote leak`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::Result;
use thalweg::report::{Column, NumberFormat, Table};
use thalweg::vote::{Tie, leakage};

use super::agreed::ties;
use super::failed;
use crate::cli::console::Console;

/// Show what a published vote, or many of them, say about one user
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote leak
  thalweg vote leak --users 24 --colluders 0,4,8
  thalweg vote leak --users 3,24 --rounds 1,10,100 --json

These figures hold for every protocol, since they follow from the result alone: the members of a group whose vote is seen, or all
users where only the final vote is. Signs are uniform and independent; over rounds, the user's sign stays and the others' are fresh.")]
pub(crate) struct Leak {
    /// The voters whose common vote is seen
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [3, 4, 6, 9, 24, 100])]
    users: Vec<usize>,
    /// Of them, those who tell their signs to whoever sees the vote
    #[arg(long, value_name = "C,...", value_delimiter = ',', default_values_t = [0, 1, 2])]
    colluders: Vec<usize>,
    /// Rounds in which the user's sign stays the same
    #[arg(long, value_name = "T,...", value_delimiter = ',', default_values_t = [1, 5, 11, 21, 51])]
    rounds: Vec<usize>,
    /// The vote on a tie
    #[arg(long, value_name = "TIE", default_value = "zero", value_parser = ties())]
    tie: Tie,
}

/// More rounds than this take long, and say nothing new.
const MOST_ROUNDS: usize = 20_000;

#[derive(Serialize)]
struct Document {
    tie: Tie,
    votes: Vec<OneVote>,
    rounds: Vec<ManyRounds>,
}

#[derive(Serialize)]
struct OneVote {
    users: usize,
    colluders: usize,
    /// Mutual information of sign and vote.
    bits: f64,
    /// The probability that the sign becomes certain.
    certain: f64,
}

#[derive(Serialize)]
struct ManyRounds {
    users: usize,
    rounds: usize,
    /// The probability that the best guess of the sign is wrong.
    error: f64,
}

impl Leak {
    pub(super) fn run(self, console: &Console) -> Result<ExitCode> {
        if let Some(&rounds) = self.rounds.iter().find(|rounds| !(1..=MOST_ROUNDS).contains(*rounds)) {
            let message = format!("--rounds is {rounds}, but must be from 1 to {MOST_ROUNDS}");
            return Err(thalweg::descent::Error::input(message));
        }
        let document = Document { tie: self.tie, votes: self.votes()?, rounds: self.over_rounds()? };
        console.result(&document, &describe(&document)?)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Every number of users with every number of colluders below it; a single one that is too large is an error.
    fn votes(&self) -> Result<Vec<OneVote>> {
        let mut votes = Vec::new();
        for &users in &self.users {
            for &colluders in self.colluders.iter().filter(|&&colluders| colluders < users || self.users.len() == 1) {
                let found = leakage::of_vote(users, colluders, self.tie).map_err(failed)?;
                votes.push(OneVote { users, colluders, bits: found.bits, certain: found.certain });
            }
        }
        Ok(votes)
    }

    fn over_rounds(&self) -> Result<Vec<ManyRounds>> {
        let mut found = Vec::new();
        for &users in &self.users {
            for &rounds in &self.rounds {
                let error = leakage::error_over_rounds(users, rounds, self.tie).map_err(failed)?;
                found.push(ManyRounds { users, rounds, error });
            }
        }
        Ok(found)
    }
}

fn describe(document: &Document) -> Result<String> {
    let number = |title: &str, format| Column::number(title, format);
    let count = NumberFormat::Count;
    let mut one = Table::new([
        number("voters", count),
        number("colluders", count),
        number("bits learnt of a sign", NumberFormat::Fixed(4)),
        number("sign certain", NumberFormat::Percent(2)),
    ]);
    for vote in &document.votes {
        let row = [(vote.users as f64).into(), (vote.colluders as f64).into(), vote.bits.into(), vote.certain.into()];
        one.row(row).map_err(|error| thalweg::descent::Error::piece("drawing the table", error))?;
    }
    let mut many = Table::new([
        number("voters", count),
        number("rounds", count),
        number("guess of a sign is wrong", NumberFormat::Percent(2)),
    ]);
    for found in &document.rounds {
        let row = [(found.users as f64).into(), (found.rounds as f64).into(), found.error.into()];
        many.row(row).map_err(|error| thalweg::descent::Error::piece("drawing the table", error))?;
    }
    Ok(format!("One vote\n{}\n\nVotes over rounds, the user's sign always the same\n{}", one.to_text(), many.to_text()))
}
