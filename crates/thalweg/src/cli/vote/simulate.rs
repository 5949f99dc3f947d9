//! `thalweg vote simulate`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use rand::RngExt;
use serde::Serialize;
use thalweg::descent::store::write_atomically;
use thalweg::descent::{Error, Result, Seed};
use thalweg::report::format::{count, percent, seconds, significant};
use thalweg::report::{Column, NumberFormat, Table};
use thalweg::vote::costs::{self, Counting, Savings};
use thalweg::vote::ledger::{Ledger, UserLedger};
use thalweg::vote::simulate::{Faults, RoundReport, SentFrame};
use thalweg::vote::{Domain, Protocol, Settings, Simulation, SimulationConfig, Switch, leakage};

use super::agreed::Agreed;
use super::failed;
use super::losses::{Stop, losses};
use crate::cli::Common;
use crate::cli::console::Console;

/// Let simulated users vote over real messages, and compare with the plain vote
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg vote simulate
  thalweg vote simulate --preset paper --dim 8000
  thalweg vote simulate --users 24 --mode sealed --group 3
  thalweg vote simulate --mode survivors --drop 5@1 --drop 7@0
  thalweg vote simulate --rounds 50 --drop-rate 0.05 --seed 7
  thalweg vote simulate --users 3 --dim 20 --frames round.frames && thalweg vote inspect round.frames

Users, aggregator and dealer run in this process and exchange the messages of the wire format, in virtual time. Signs are random, and
all randomness comes from --seed: nothing here is a secret. Exit code 1 where a published result is not the plain vote of those whose
votes were counted, or no round has a result.")]
pub(crate) struct Simulate {
    /// The number of users
    #[arg(long, value_name = "N", default_value_t = 24)]
    users: usize,
    /// The number of coordinates
    #[arg(long, value_name = "D", default_value_t = 8_000)]
    dim: u32,
    /// Rounds
    #[arg(long, value_name = "R", default_value_t = 1)]
    rounds: u32,
    #[command(flatten)]
    agreed: Agreed,
    /// Somebody stops in every round after so many messages: 3@1, aggregator@0, dealer@2
    #[arg(long, value_name = "WHO@MESSAGES")]
    drop: Vec<Stop>,
    /// Each user stops in each round with this probability, before or between its messages
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    drop_rate: f64,
    /// So many messages of each round are lost, late, doubled, altered or go astray
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with_all = ["drop", "drop_rate"])]
    mishaps: usize,
    /// Do not start a flat vote again without the users that it lost
    #[arg(long)]
    no_restart: bool,
    /// Write all messages of the last round here, for `inspect`
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
}

/// Signs beyond this number would not fit the memory of a common machine.
const MOST_SIGNS: u64 = 1 << 31;

#[derive(Serialize)]
struct Document {
    matches_plain: bool,
    users: usize,
    dim: u32,
    mode: Protocol,
    group: u16,
    rounds: u32,
    /// Rounds with a published result.
    results: u32,
    /// Users whose votes were counted in the last round with a result.
    survivors: Option<Vec<u16>>,
    /// Why parties ended rounds without a result, each reason with how often.
    aborts: Vec<(String, usize)>,
    /// The names of refused messages' faults, each with how often.
    faults: Vec<(String, usize)>,
    ledger: Bill,
    leak_bits: f64,
    seconds: f64,
}

/// The bytes of all rounds.
#[derive(Serialize)]
struct Bill {
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

/// What happened over all rounds.
#[derive(Default)]
struct Course {
    results: u32,
    right: u32,
    survivors: Option<Vec<u16>>,
    aborts: Vec<(String, usize)>,
    faults: Vec<(String, usize)>,
    ledger: Ledger,
    frames: Vec<SentFrame>,
}

impl Simulate {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        self.check()?;
        let settings = self.agreed.settings(self.users, self.dim)?;
        for warning in settings.warnings(self.users) {
            console.note(&warning);
        }
        let leak_bits = leaked(&settings, self.users)?;
        console.note(&leakage_note(&settings, self.users, self.rounds, leak_bits)?);
        let started = Instant::now();
        let course = self.vote(&settings, Seed(common.seed.unwrap_or(1)), console)?;
        let elapsed = started.elapsed().as_secs_f64();
        if let Some(path) = &self.frames {
            write_atomically(path, &course.frames.iter().flat_map(|frame| frame.bytes.iter().copied()).collect::<Vec<u8>>())?;
        }
        let document = Document {
            matches_plain: course.results > 0 && course.right == course.results,
            users: self.users,
            dim: self.dim,
            mode: settings.protocol,
            group: settings.group_size,
            rounds: self.rounds,
            results: course.results,
            survivors: course.survivors,
            aborts: course.aborts,
            faults: course.faults,
            ledger: bill(course.ledger, &settings, self.users, self.rounds),
            leak_bits,
            seconds: elapsed,
        };
        console.result(&document, &describe(&document, &settings)?)?;
        Ok(if document.matches_plain { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn check(&self) -> Result<()> {
        if self.rounds == 0 {
            return Err(Error::input("--rounds is 0, but must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.drop_rate) {
            return Err(Error::input(format!("--drop-rate is {}, but must be from 0 to 1", self.drop_rate)));
        }
        if let Some(user) = self.drop.iter().filter_map(|stop| stop.user()).find(|&user| usize::from(user) >= self.users) {
            return Err(Error::input(format!("--drop names user {user}, but users are 0 to {}", self.users.saturating_sub(1))));
        }
        let folder = self.frames.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Error::input(format!("--frames: there is no folder {}", folder.display())));
        }
        let signs = (self.users as u64).saturating_mul(self.dim.into());
        if signs > MOST_SIGNS {
            let message = format!(
                "--users {} times --dim {} is {signs} signs, but one process holds at most {MOST_SIGNS}",
                self.users, self.dim
            );
            return Err(Error::input(message));
        }
        Ok(())
    }

    fn vote(&self, settings: &Settings, seed: Seed, console: &Console) -> Result<Course> {
        let mut config = SimulationConfig::new(settings.clone(), self.users);
        config.insecure_seed = Some(seed.0);
        config.restart = if self.no_restart { Switch::Off } else { Switch::On };
        let mut session = Simulation::new(config).map_err(failed)?;
        let mut course = Course::default();
        let progress = console.progress(self.rounds.into());
        for round in 0..self.rounds {
            if self.frames.is_some() && round + 1 == self.rounds {
                session.keep_frames(Switch::On);
            }
            let votes = random_votes(self.users, self.dim, settings.domain, round, seed);
            let faults = self.faults(settings, round, seed)?;
            let report = session.round_with(&votes, faults).map_err(failed)?;
            course.count(&session, &votes, round, report)?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(course)
    }

    fn faults(&self, settings: &Settings, round: u32, seed: Seed) -> Result<Faults> {
        let largest = settings.group_sizes(self.users).first().copied().unwrap_or(self.users);
        let messages = costs::upload(settings, self.users, largest).map_err(failed)?.frames as usize;
        if self.mishaps == 0 {
            return Ok(losses(&self.drop, self.drop_rate, self.users, messages, round.into(), seed));
        }
        // Each message up is answered by about one down.
        let seed = seed.stream("vote.mishaps").at(round.into()).random();
        Ok(Faults::random(seed, self.mishaps, 2 * messages * self.users, self.users as u16))
    }
}

impl Course {
    fn count(&mut self, session: &Simulation, votes: &[Vec<i8>], round: u32, report: RoundReport) -> Result<()> {
        for (_, reason) in &report.aborts {
            tally(&mut self.aborts, reason.to_string());
        }
        for (_, fault) in &report.faults {
            tally(&mut self.faults, fault.name());
        }
        self.ledger += report.ledger;
        self.frames = report.frames;
        let Some(outcome) = report.outcome else { return Ok(()) };
        let expected = session.expected(votes, &outcome, &session.given_beacon(round)).map_err(failed)?;
        let accepted = report.accepted.iter().flatten();
        self.results += 1;
        self.right += u32::from(outcome.tally == expected && accepted.into_iter().all(|tally| *tally == expected));
        self.survivors = Some(outcome.survivors);
        Ok(())
    }
}

fn tally(counts: &mut Vec<(String, usize)>, name: String) {
    match counts.iter_mut().find(|(other, _)| *other == name) {
        Some((_, count)) => *count += 1,
        None => counts.push((name, 1)),
    }
}

fn random_votes(users: usize, dim: u32, domain: Domain, round: u32, seed: Seed) -> Vec<Vec<i8>> {
    let values: &[i8] = match domain {
        Domain::Binary => &[-1, 1],
        Domain::Ternary => &[-1, 0, 1],
    };
    let mut rng = seed.stream("vote.signs").at(round.into());
    let mut sign = || values[rng.random_range(0..values.len())];
    (0..users).map(|_| (0..dim).map(|_| sign()).collect()).collect()
}

/// What the aggregator learns of one user's sign in a coordinate, in bits.
fn leaked(settings: &Settings, users: usize) -> Result<f64> {
    let sizes = settings.group_sizes(users);
    let smallest = sizes.last().copied().unwrap_or(users);
    let leak = match settings.protocol {
        Protocol::Sealed => leakage::of_sealed_vote(&sizes, settings.ties),
        _ => leakage::of_vote(smallest, 0, settings.ties.inner),
    };
    Ok(leak.map_err(failed)?.bits)
}

fn leakage_note(settings: &Settings, users: usize, rounds: u32, bits: f64) -> Result<String> {
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

fn bill(ledger: Ledger, settings: &Settings, users: usize, rounds: u32) -> Bill {
    let largest = ledger.users.iter().max_by_key(|user| user.wire_up + user.correction_down).copied().unwrap_or_default();
    let grouped = settings.group_sizes(users).len() > 1 && settings.protocol != Protocol::Sealed;
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

fn describe(document: &Document, settings: &Settings) -> Result<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_votes_are_of_their_domain_and_repeat_with_their_seed() {
        let votes = random_votes(3, 50, Domain::Ternary, 2, Seed(4));
        assert_eq!(votes, random_votes(3, 50, Domain::Ternary, 2, Seed(4)));
        assert_ne!(votes, random_votes(3, 50, Domain::Ternary, 3, Seed(4)));
        assert!(votes.iter().flatten().any(|&vote| vote == 0));
        assert!(random_votes(3, 50, Domain::Binary, 0, Seed(1)).iter().flatten().all(|&vote| vote != 0));
    }
}
