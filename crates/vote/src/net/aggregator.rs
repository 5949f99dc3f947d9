//! The aggregator's process: opens rounds when the users are there, and publishes results.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::folder::PartyFolder;
use super::hub::{Arrival, Driver, End, Happening, Hub, failed, round_of};
use super::link::{Destination, keep};
use super::mailbox::Letter;
use super::metrics::Traffic;
use super::{Stop, Watch, server};
use crate::machine::{Event, Machine, Outcome, Reason, UseMark};
use crate::settings::Switch;
use crate::wire::Party;
use crate::{Aggregator, AggregatorConfig, BeaconRule, Error, Result};

/// What an aggregator's process is started with.
pub struct AggregatorProcess {
    /// Its folder.
    pub folder: PartyFolder,
    /// Where it listens for users.
    pub listener: TcpListener,
    /// Where the dealer listens, `host:port`.
    pub dealer: String,
    /// The rounds to open.
    pub rounds: u32,
    /// How long to wait for all users before a round; after that it opens with those who are there, if they are enough.
    pub gather: Duration,
    /// How long a step of a round may take.
    pub step: Duration,
    /// How long a round may take in all.
    pub whole: Duration,
    /// Whether a flat vote that loses a user starts again without it, once.
    pub restart: Switch,
    /// How it can be watched.
    pub watch: Watch,
}

/// How a round ended for the aggregator.
#[derive(Clone, Debug, Serialize)]
pub struct RoundEnd {
    /// The round.
    pub round: u32,
    /// The result, if there is one.
    pub outcome: Option<Outcome>,
    /// Why there is none.
    pub reason: Option<Reason>,
    /// Who is to blame for that, if known.
    pub culprit: Option<Party>,
    /// The users that did not answer in time, with or without a result.
    pub missing: Vec<u16>,
    /// From the opening to the end.
    pub seconds: f64,
}

/// Runs the rounds; `report` gets the end of each.
///
/// # Errors
/// [`Error::Network`] if too few users or no dealer come; [`Error::Folder`] if a mark cannot be stored; [`Error::Value`] for the folder
/// of another party.
pub async fn run_aggregator(process: AggregatorProcess, stop: Stop, mut report: impl FnMut(&RoundEnd)) -> Result<Traffic> {
    let folder = &process.folder;
    if folder.party != Party::Aggregator {
        return Err(Error::value("the folder's party", folder.party, "the aggregator"));
    }
    let (settings, roster) = (&folder.session.settings, folder.session.roster()?);
    let users = roster.len() as u16;
    let mut machine = Aggregator::new(AggregatorConfig {
        session: folder.session.session(),
        settings: settings.clone(),
        roster,
        identity: folder.identity(),
        beacon: BeaconRule::CommitReveal,
        restart: process.restart,
        patience: process.step,
    })?;
    let (hub, arrivals) = Hub::new((0..users).map(Party::User).chain([Party::Dealer]), settings, users.into());
    let accepting = tokio::spawn(server::accept(process.listener, folder.tls.clone(), hub.clone()));
    let dealer = Destination { party: Party::Dealer, address: process.dealer, patience: process.gather };
    tokio::spawn(keep(dealer, folder.tls.clone(), hub.clone()));
    let mut driver = Driver::new(hub.clone(), arrivals, stop, folder, process.watch);
    let first = folder.last_used()?.map_or(0, |mark| mark.round.saturating_add(1));
    let mut ended = Ok(());
    for round in first..first.saturating_add(process.rounds) {
        ended = gather(&mut driver, users, settings.min_survivors, process.gather).await;
        if ended.is_err() {
            break;
        }
        match play(&mut driver, &mut machine, users, (round, process.whole)).await {
            Ok(end) => {
                hub.metrics.ended(end.outcome.is_some());
                report(&end);
            }
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    hub.finish(&driver.connected).await;
    accepting.abort();
    ended.map(|()| hub.metrics.snapshot())
}

/// Waits until all users and the dealer are there, or long enough for some of them.
async fn gather(driver: &mut Driver<'_>, users: u16, least: u16, patience: Duration) -> Result<()> {
    let until = Instant::now() + patience;
    loop {
        let there = driver.connected.iter().filter(|party| matches!(party, Party::User(_))).count();
        let dealer = driver.connected.contains(&Party::Dealer);
        if dealer && there == usize::from(users) {
            return Ok(());
        }
        match driver.next(Some(until)).await {
            None if dealer && there >= usize::from(least) => return Ok(()),
            None => {
                let dealer = if dealer { "" } else { ", and the dealer is not there" };
                let reason = format!("{there} of {users} came within {} s, {least} are needed{dealer}", patience.as_secs());
                return Err(failed("waiting for the users", reason));
            }
            Some(Happening::Stopped) => return Err(failed("waiting for the users", "stopped")),
            Some(Happening::Arrival(Arrival::Lost(party, reason))) => {
                return Err(failed(format!("connecting to {party}"), reason));
            }
            Some(_) => {}
        }
    }
}

async fn play(
    driver: &mut Driver<'_>,
    machine: &mut Aggregator,
    users: u16,
    (round, whole): (u32, Duration),
) -> Result<RoundEnd> {
    let started = Instant::now();
    // Stored first, so that no round is ever opened twice.
    driver.act(vec![crate::machine::Action::Persist(UseMark { round, attempt: 0 })])?;
    let actions = machine.begin(round, None)?;
    for user in 0..users {
        if let Some(mailbox) = driver.hub.mailbox(Party::User(user)) {
            mailbox.post(round, Letter::Opens(round));
        }
    }
    tracing::info!(round, users = driver.connected.len().saturating_sub(1), "a round is open");
    let mut end = driver.act(actions)?;
    let mut missing = BTreeSet::new();
    while end.is_none() {
        end = match driver.next(Some(started + whole)).await {
            // An answer that the last round did not need any more.
            Some(Happening::Arrival(Arrival::Frame { bytes, .. })) if round_of(&bytes) < round => None,
            Some(Happening::Arrival(Arrival::Frame { from, bytes })) => {
                driver.handle(machine, Event::Frame { from, bytes: &bytes })?.0
            }
            Some(Happening::Deadline(id)) => {
                note_missing(round, machine, "a step took too long", &mut missing);
                driver.handle(machine, Event::Deadline(id))?.0
            }
            None => {
                note_missing(round, machine, "the round took too long", &mut missing);
                let actions = machine.expire().map_err(|fault| failed(format!("round {round}"), fault))?;
                driver.act(actions)?
            }
            Some(Happening::Arrival(Arrival::Lost(party, reason))) => {
                return Err(failed(format!("connecting to {party}"), reason));
            }
            Some(Happening::Stopped) => return Err(failed(format!("round {round}"), "stopped")),
            Some(Happening::Arrival(_)) => None,
        };
    }
    let seconds = started.elapsed().as_secs_f64();
    let missing = missing.into_iter().collect();
    Ok(match end {
        Some(End::Done(outcome)) => {
            tracing::info!(round, seconds, counted = outcome.survivors.len(), "a result was published");
            RoundEnd { round, outcome: Some(*outcome), reason: None, culprit: None, missing, seconds }
        }
        Some(End::Aborted { reason, culprit }) => {
            tracing::warn!(round, seconds, "no result: {reason}");
            RoundEnd { round, outcome: None, reason: Some(reason), culprit, missing, seconds }
        }
        None => RoundEnd { round, outcome: None, reason: None, culprit: None, missing, seconds },
    })
}

fn note_missing(round: u32, machine: &Aggregator, what: &str, all: &mut BTreeSet<u16>) {
    let missing = machine.missing();
    tracing::warn!(round, state = %machine.state(), users = ?missing, "{what}");
    all.extend(missing);
}
