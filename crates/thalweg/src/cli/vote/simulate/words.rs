//! What a simulation says: its document, sentences and table.

use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::report::format::{count, percent, seconds, significant};
use thalweg::report::{Column, NumberFormat, Table};
use thalweg::vote::costs::{self, Counting, Savings};
use thalweg::vote::ledger::{Ledger, UserLedger};
use thalweg::vote::{Mode, Protocol, Regroup, Settings, leakage};

use crate::cli::vote::failed;

#[derive(Serialize)]
pub(super) struct Document {
    pub(super) matches_plain: bool,
    pub(super) users: usize,
    pub(super) dim: u32,
    pub(super) mode: Mode,
    pub(super) group: u16,
    pub(super) regroup: Regroup,
    pub(super) rounds: u32,
    /// Rounds with a published result.
    pub(super) results: u32,
    /// Users whose votes were counted in the last round with a result.
    pub(super) survivors: Option<Vec<u16>>,
    /// Why parties ended rounds without a result, each reason with how often.
    pub(super) aborts: Vec<(String, usize)>,
    /// The names of refused messages' faults, each with how often.
    pub(super) faults: Vec<(String, usize)>,
    pub(super) ledger: Bill,
    pub(super) leak_bits: f64,
    pub(super) seconds: f64,
}

/// The bytes of all rounds.
#[derive(Serialize)]
pub(super) struct Bill {
    /// Those of the user that sent and received the most.
    #[serde(flatten)]
    largest: UserLedger,
    /// Bits of openings that this user sent, by coordinate and round.
    #[serde(rename = "Cu")]
    cu: f64,
    /// What groups save in openings, where there are groups.
    saving_user: Option<f64>,
    saving_total_paper: Option<f64>,
    saving_total_all: Option<f64>,
    #[serde(flatten)]
    all: Ledger,
}

/// What the aggregator learns of one user's sign in a coordinate, in bits.
pub(super) fn leaked(mode: Mode, settings: &Settings, users: usize) -> Result<f64> {
    if mode == Mode::Plain {
        return Ok(1.0);
    }
    let sizes = settings.group_sizes(users);
    let smallest = sizes.last().copied().unwrap_or(users);
    let leak = match settings.protocol {
        Protocol::Sealed => leakage::of_sealed_vote(&sizes, settings.ties),
        _ => leakage::of_vote(smallest, 0, settings.ties.inner),
    };
    Ok(leak.map_err(failed)?.bits)
}

pub(super) fn leakage_note(mode: Mode, settings: &Settings, users: usize, rounds: u32, bits: f64) -> Result<String> {
    if mode == Mode::Plain {
        return Ok("leakage: everything, 1 bit of each user's sign in each coordinate".into());
    }
    let sizes = settings.group_sizes(users);
    let smallest = sizes.last().copied().unwrap_or(users);
    let seen = match (settings.protocol, sizes.len()) {
        (Protocol::Sealed, _) => format!("the final vote of {users}"),
        (_, 1) => format!("the vote of {users}"),
        _ => format!("the vote of a group of {smallest}"),
    };
    let mut note = format!("leakage: {seen} tells {} bit of a member's sign in each coordinate", significant(bits, 3));
    if settings.protocol != Protocol::Sealed && rounds > 1 {
        let after = leakage::error_over_rounds(smallest, rounds as usize, settings.ties.inner).map_err(failed)?;
        note.push_str(&format!("; a sign that stays the same for {rounds} rounds is guessed wrong in {}", percent(after, 1)));
    }
    Ok(note)
}

pub(super) fn bill(ledger: Ledger, mode: Mode, settings: &Settings, users: usize, rounds: u32) -> Bill {
    let largest = ledger.users.iter().max_by_key(|user| user.wire_up + user.correction_down).copied().unwrap_or_default();
    let grouped = settings.group_sizes(users).len() > 1 && settings.protocol != Protocol::Sealed && mode != Mode::Plain;
    let savings: Option<Savings> = grouped.then(|| costs::savings(settings, users, Counting::Openings).ok()).flatten();
    Bill {
        largest,
        cu: 8.0 * largest.open_up as f64 / f64::from(settings.coordinates) / f64::from(rounds),
        saving_user: savings.map(|savings| savings.user),
        saving_total_paper: savings.map(|savings| savings.total_paper),
        saving_total_all: savings.map(|savings| savings.total_all),
        all: ledger,
    }
}

pub(super) fn describe(document: &Document, settings: &Settings) -> Result<String> {
    let sizes = settings.group_sizes(document.users);
    let layout = if sizes.len() == 1 { "one group of all".to_owned() } else { format!("{} groups", sizes.len()) };
    let verdict = match (document.results, document.matches_plain) {
        (0, _) => "no round has a result",
        (_, true) => "every result is the plain vote of those whose votes were counted",
        (_, false) => "A RESULT IS NOT THE PLAIN VOTE",
    };
    let mut text = format!(
        "{} users, {} coordinates, {}, {layout}: {} of {} rounds with a result, in {}\n{verdict}\n",
        document.users,
        count(document.dim.into()),
        document.mode,
        document.results,
        document.rounds,
        seconds(document.seconds),
    );
    if let Some(survivors) = document.survivors.as_ref().filter(|survivors| survivors.len() < document.users) {
        text.push_str(&format!("counted in the last result: {} users\n", survivors.len()));
    }
    for (reason, times) in &document.aborts {
        text.push_str(&format!("ended {times} times: {reason}\n"));
    }
    for (fault, times) in &document.faults {
        text.push_str(&format!("refused {times} times: {fault}\n"));
    }
    text.push_str(&format!("\n{}", bytes_table(document)?.to_text()));
    let bill = &document.ledger;
    if let (Some(user), Some(paper), Some(all)) = (bill.saving_user, bill.saving_total_paper, bill.saving_total_all) {
        text.push_str(&format!(
            "\n\nAgainst one group of all, in openings without final shares and headers: a user saves {}; the published total (one user \
             of each group against one user) saves {}; all users against all save {}",
            percent(user, 2),
            percent(paper, 2),
            percent(all, 2)
        ));
    }
    Ok(text)
}

fn bytes_table(document: &Document) -> Result<Table> {
    let format = NumberFormat::Significant(4);
    let mut table = Table::new([
        Column::text("the user that sent the most"),
        Column::number("bytes", NumberFormat::Count),
        Column::number("bits a coordinate and round", format),
    ]);
    let user = &document.ledger.largest;
    let per = 8.0 / f64::from(document.dim) / f64::from(document.rounds);
    let rows = [
        ("masked values sent", user.open_up),
        ("shares of the result sent", user.final_up),
        ("both, with headers", user.wire_up),
        ("sums received", user.open_down),
        ("results received", user.vote_down),
        ("corrections received from the dealer", user.correction_down),
        ("signatures and codes", user.confirm),
        ("greetings, plans, other", user.control),
        ("headers, both ways", user.header_bytes),
    ];
    for (name, bytes) in rows {
        let row = [name.into(), (bytes as f64).into(), (bytes as f64 * per).into()];
        table.row(row).map_err(|error| Error::piece("drawing the table", error))?;
    }
    Ok(table)
}
