//! A user's process: votes in each round that the aggregator opens.

use std::time::Duration;

use serde::Serialize;

use super::folder::{Derived, PartyFolder};
use super::hub::{Arrival, Driver, End, Happening, Hub, failed, round_of};
use super::link::{Destination, keep};
use super::metrics::Traffic;
use super::{Stop, Watch};
use crate::machine::{Event, Machine, Reason, StateName, Tally};
use crate::wire::{FrameKind, Party};
use crate::{BeaconRule, Client, ClientConfig, Error, Result};

/// What a user's process is started with.
pub struct ClientProcess {
    /// Its folder.
    pub folder: PartyFolder,
    /// Where the aggregator listens, `host:port`.
    pub aggregator: String,
    /// Where the dealer listens, `host:port`.
    pub dealer: String,
    /// How long to wait for a message of a round.
    pub patience: Duration,
    /// How long a server may be away before the process gives up.
    pub away: Duration,
    /// How it can be watched.
    pub watch: Watch,
}

/// How a round ended for a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientRound {
    /// The round.
    pub round: u32,
    /// The result, if there is one.
    pub tally: Option<Tally>,
    /// Why there is none.
    pub reason: Option<String>,
}

/// Votes until the aggregator has finished: `votes` gives the user's votes of a round, `report` gets the end of each.
///
/// # Errors
/// [`Error::Network`] if a server stays away; [`Error::Folder`] if the mark of used randomness cannot be stored; what `votes` says;
/// [`Error::Value`] for the folder of another party.
pub async fn run_client(
    process: ClientProcess,
    stop: Stop,
    mut votes: impl FnMut(u32) -> Result<Vec<i8>>,
    mut report: impl FnMut(&ClientRound),
) -> Result<Traffic> {
    let folder = &process.folder;
    let Party::User(user) = folder.party else {
        return Err(Error::value("the folder's party", folder.party, "a user"));
    };
    let (settings, roster) = (&folder.session.settings, folder.session.roster()?);
    let users = roster.len();
    let mut machine = Client::new(ClientConfig {
        user,
        session: folder.session.session(),
        settings: settings.clone(),
        roster,
        identity: folder.identity(),
        aggregator_key: folder.session.aggregator_key(),
        beacon: BeaconRule::CommitReveal,
        own: folder.derived(Derived::Own),
        last_used: folder.last_used()?,
        patience: process.patience,
    })?;
    let (hub, arrivals) = Hub::new([Party::Aggregator, Party::Dealer], settings, users);
    for (party, address) in [(Party::Aggregator, process.aggregator), (Party::Dealer, process.dealer)] {
        let destination = Destination { party, address, patience: process.away };
        tokio::spawn(keep(destination, folder.tls.clone(), hub.clone()));
    }
    let mut driver = Driver::new(hub.clone(), arrivals, stop, folder, process.watch);
    let mut voter = Voter { round: None, is_voting: false };
    let mut report = |end: &ClientRound| {
        hub.metrics.ended(end.tally.is_some());
        report(end);
    };
    let ended = loop {
        match driver.next(None).await {
            Some(Happening::Arrival(Arrival::Opens(round))) => {
                if let Err(error) = voter.begin(&mut driver, &mut machine, round, &mut votes, &mut report) {
                    break Err(error);
                }
            }
            Some(Happening::Arrival(Arrival::Frame { from, bytes })) if voter.wants(&bytes) => {
                voter.take(&mut driver, &mut machine, Event::Frame { from, bytes: &bytes }, &mut report)?;
            }
            Some(Happening::Deadline(id)) => voter.take(&mut driver, &mut machine, Event::Deadline(id), &mut report)?,
            Some(Happening::Arrival(Arrival::Finished(Party::Aggregator))) if voter.is_voting => {
                break Err(failed(format!("round {}", voter.round.unwrap_or_default()), "the aggregator has left in the middle"));
            }
            Some(Happening::Arrival(Arrival::Finished(Party::Aggregator))) => break Ok(()),
            Some(Happening::Arrival(Arrival::Lost(party, reason))) => {
                break Err(failed(format!("connecting to {party}"), reason));
            }
            Some(Happening::Stopped) => {
                machine.abandon();
                driver.act(machine.farewell().into_iter().collect())?;
                break Err(failed("voting", "stopped"));
            }
            Some(Happening::Arrival(_)) | None => {}
        }
    };
    hub.finish(&driver.connected).await;
    ended.map(|()| hub.metrics.snapshot())
}

/// Where a user is in its rounds.
struct Voter {
    round: Option<u32>,
    is_voting: bool,
}

impl Voter {
    fn begin(
        &mut self,
        driver: &mut Driver<'_>,
        machine: &mut Client,
        round: u32,
        votes: &mut impl FnMut(u32) -> Result<Vec<i8>>,
        report: &mut impl FnMut(&ClientRound),
    ) -> Result<()> {
        // The word of a round comes again on every new connection.
        if self.round.is_some_and(|last| round <= last) {
            return Ok(());
        }
        if self.is_voting {
            machine.abandon();
            self.end(report, None, Some("the aggregator has opened another round".into()));
        }
        self.round = Some(round);
        match machine.begin(round, &votes(round)?) {
            Ok(actions) => {
                tracing::info!(round, "a round is open");
                self.is_voting = true;
                driver.act(actions)?;
            }
            // Its randomness is used: another process, or this one before a crash, has voted in it.
            Err(error @ Error::Value { .. }) => self.end(report, None, Some(error.to_string())),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether a frame is of the round that is under way; seeds are of no round.
    fn wants(&self, bytes: &[u8]) -> bool {
        bytes.get(4) == Some(&FrameKind::SeedGrant.code()) || self.is_voting && Some(round_of(bytes)) == self.round
    }

    fn take(
        &mut self,
        driver: &mut Driver<'_>,
        machine: &mut Client,
        event: Event<'_>,
        report: &mut impl FnMut(&ClientRound),
    ) -> Result<()> {
        let before = machine.state();
        let (end, fault) = driver.handle(machine, event)?;
        if machine.state() != before {
            tracing::debug!(state = %machine.state(), "the round goes on");
        }
        driver.act(machine.farewell().into_iter().collect())?;
        if !self.is_voting {
            return Ok(());
        }
        match end {
            Some(End::Done(outcome)) => self.end(report, Some(outcome.tally), None),
            Some(End::Aborted { reason, culprit }) => self.end(report, None, Some(words(reason, culprit))),
            None if machine.state() == StateName::Aborted => {
                self.end(report, None, Some(fault.map_or_else(|| "the round was given up".into(), |fault| fault.to_string())));
            }
            None => {}
        }
        Ok(())
    }

    fn end(&mut self, report: &mut impl FnMut(&ClientRound), tally: Option<Tally>, reason: Option<String>) {
        self.is_voting = false;
        let round = self.round.unwrap_or_default();
        match &reason {
            None => tracing::info!(round, "the result is known"),
            Some(reason) => tracing::warn!(round, "no result: {reason}"),
        }
        report(&ClientRound { round, tally, reason });
    }
}

fn words(reason: Reason, culprit: Option<Party>) -> String {
    culprit.map_or_else(|| reason.to_string(), |party| format!("{reason}, because of {party}"))
}
