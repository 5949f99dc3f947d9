//! The part of the tour in which users train by secure votes.

use serde::Serialize;
use thalweg_descent::store::read_events;
use thalweg_descent::{Error, Result};
use thalweg_private::NoiseKey;
use thalweg_report::format::{count, fixed, percent, significant};
use thalweg_report::{Axis, Cell, Figure, Line, Section, Table, XyChart};
use thalweg_vote::leakage;

use crate::compose::{Summary, Training};
use crate::pages::drawing;
use crate::pages::series::over_steps;
use crate::study::Laboratory;
use crate::tour::{VOTE, VOTERS, vote_config};

/// What came of the votes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VoteFigures {
    /// The users who hold the examples.
    pub users: usize,
    /// Rounds, a vote on every parameter in each.
    pub rounds: u64,
    /// The parameters.
    pub parameters: usize,
    /// Whether every result was the plain vote, in every parameter and round.
    pub matches_plain: bool,
    /// On the test examples, after the last round.
    pub test_accuracy: Option<f64>,
    /// Bits of masked signs and shares of the result that a user sends for a parameter in a round.
    pub bits_up: f64,
    /// The same for all parameters, in bytes, with headers.
    pub bytes_up: f64,
    /// What the aggregator learns of one user's sign of a parameter in a round, of one bit, for uniform signs.
    pub leak_bits: f64,
    #[serde(skip)]
    curve: Vec<(f64, f64)>,
}

impl VoteFigures {
    /// Reads them from the tour's finished vote.
    ///
    /// # Errors
    /// When the run cannot be read, or nobody voted in it.
    pub fn of(laboratory: &Laboratory, summary: &Summary) -> Result<Self> {
        let nobody = || Error::piece("reading the tour's vote", "its run says nothing of votes");
        let vote = summary.vote.as_ref().ok_or_else(nobody)?;
        let config = vote_config(laboratory);
        let parameters = Training::prepare(&config, &NoiseKey::insecure(0))?.descent.parameters().len();
        let ties = config.vote.unwrap_or_default().tie;
        let leak = leakage::of_vote(VOTERS, 0, ties).map_err(|error| Error::piece("the leak of the tour's vote", error))?;
        let rounds = summary.steps as f64;
        let curve = over_steps(&read_events(&laboratory.folder().join(VOTE).join("events.jsonl"))?, "test.accuracy");
        Ok(Self {
            users: VOTERS,
            rounds: summary.steps,
            parameters,
            matches_plain: vote.matches_plain,
            test_accuracy: summary.test_accuracy,
            bits_up: 8.0 * (vote.ledger.open_up + vote.ledger.final_up) as f64 / rounds / parameters as f64,
            bytes_up: vote.ledger.wire_up as f64 / rounds,
            leak_bits: leak.bits,
            curve,
        })
    }

    /// Adds the vote's line to the table of methods.
    pub fn add_to(&self, table: &mut Table) {
        let none = || Cell::Empty;
        let row = ["secure vote".into(), none(), none(), none(), none(), self.test_accuracy.into()];
        table.row(row).expect("the table of methods has six columns");
    }

    /// In words, for the terminal.
    pub fn sentence(&self) -> String {
        format!(
            "secure vote: one run; {} users send {} bits a parameter and round; {}; a vote tells {} bit of a user's sign",
            self.users,
            fixed(self.bits_up, 2),
            if self.matches_plain { "every result is the plain vote" } else { "A RESULT IS NOT THE PLAIN VOTE" },
            significant(self.leak_bits, 3)
        )
    }

    /// The section of the page.
    pub(super) fn section(&self) -> Result<Section> {
        let chart = XyChart::new(Axis::new("round"), Axis::new("test accuracy").percent());
        let chart = chart.line(Line::new("secure vote", self.curve.clone()));
        let figure = drawing(Figure::xy("Accuracy over the rounds", &chart))?.caption("A single run.");
        let equal = if self.matches_plain { "yes, in every parameter and round" } else { "NO" };
        let sent = format!("{} bits ({} bytes for all, with headers)", fixed(self.bits_up, 2), count(self.bytes_up));
        let leak = format!("{} bit of 1, for uniform signs", significant(self.leak_bits, 3));
        let section = Section::new("Votes in secret")
            .prose(format!(
                "The same digits, divided among {} users. In each of {} rounds every user takes the signs of its own gradient, all vote \
                 on the sign of each of {} parameters, and every parameter moves along the vote. What a user sends is masked: the \
                 aggregator reads the vote and no single sign. The messages are the real ones; all users are in this process.",
                self.users,
                self.rounds,
                count(self.parameters as f64)
            ))
            .facts([
                ("equal to the plain vote".to_owned(), equal.to_owned()),
                ("a user sends, for a parameter and round".to_owned(), sent),
                ("a vote tells of a user's sign".to_owned(), leak),
                ("test accuracy".to_owned(), self.test_accuracy.map_or_else(|| "none".to_owned(), |share| percent(share, 1))),
            ])
            .figure(figure)
            .prose(
                "What votes tell adds up over the rounds, and a vote gives no epsilon. The protocol, oneround, is our own and was not \
                 reviewed; it is semi-honest and needs a dealer that colludes with nobody.",
            );
        Ok(section)
    }
}
