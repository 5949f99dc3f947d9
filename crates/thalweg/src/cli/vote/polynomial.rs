//! `thalweg vote polynomial`.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::vote::{Degree, Domain, Majority, PolynomialSummary, ScheduleKind, Tie};

use super::agreed::{degrees, domains, schedules, ties};
use super::failed;
use crate::cli::console::Console;

/// Show the polynomial over a prime field that is the majority
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote polynomial --users 24
  thalweg vote polynomial --users 6 --tie coin
  thalweg vote polynomial --users 24 --degree least --schedule square-steps --json

F(x) at x = sum of all votes is their majority: 1, p-1 (which is -1), or the vote on a tie. Coefficients are a_0, a_1, ... modulo p;
products are what x, x^2, ... take on shared values, depth how many of them wait for one another.")]
pub(crate) struct Polynomial {
    /// The number of voters
    #[arg(long, value_name = "N")]
    users: usize,
    /// The vote on a tie; with coin both faces are shown
    #[arg(long, value_name = "TIE", default_value = "zero", value_parser = ties())]
    tie: Tie,
    /// What a user may vote: -1 or +1 (binary), or also 0 (ternary)
    #[arg(long, value_name = "DOMAIN", default_value = "binary", value_parser = domains())]
    domain: Domain,
    /// Which polynomial: full is 0 on all impossible sums, least has the least degree
    #[arg(long, value_name = "WHICH", default_value = "full", value_parser = degrees())]
    degree: Degree,
    /// How powers are multiplied up
    #[arg(long, value_name = "HOW", default_value = "halving", value_parser = schedules())]
    schedule: ScheduleKind,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Document {
    One(PolynomialSummary),
    Faces { plus: PolynomialSummary, minus: PolynomialSummary },
}

impl Polynomial {
    pub(super) fn run(self, console: &Console) -> Result<ExitCode> {
        if self.users < 2 {
            return Err(Error::input(format!("--users is {}, but a vote takes at least 2", self.users)));
        }
        let (document, text) = match self.tie {
            Tie::Coin => {
                let (plus, minus) = (self.summary(Tie::Plus)?, self.summary(Tie::Minus)?);
                let text = format!("coin on +1: {}\n\ncoin on -1: {}", describe(&plus), describe(&minus));
                (Document::Faces { plus, minus }, text)
            }
            tie => {
                let summary = self.summary(tie)?;
                let text = describe(&summary);
                (Document::One(summary), text)
            }
        };
        console.result(&document, &text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn summary(&self, tie: Tie) -> Result<PolynomialSummary> {
        let majority = Majority::new(self.domain, self.users, tie, self.degree).map_err(failed)?;
        let mut summary = majority.summary(self.schedule);
        if self.degree == Degree::Full {
            // All of a_0 .. a_(p-1), as the literature lists them.
            summary.coefficients.resize(summary.prime.into(), 0);
        }
        Ok(summary)
    }
}

fn describe(summary: &PolynomialSummary) -> String {
    let term = |(power, a): (usize, &u8)| match (power, a) {
        (_, 0) => None,
        (0, a) => Some(a.to_string()),
        (1, a) => Some(format!("{a} x")),
        (power, a) => Some(format!("{a} x^{power}")),
    };
    let terms: Vec<String> = summary.coefficients.iter().enumerate().filter_map(term).collect();
    format!(
        "F(x) = {}   modulo {}\ndegree {}, {} products, depth {}",
        terms.join(" + "),
        summary.prime,
        summary.degree,
        summary.products,
        summary.depth
    )
}
