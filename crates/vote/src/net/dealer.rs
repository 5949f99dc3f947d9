//! The dealer's process: gives each user its seed, and prepares what the aggregator asks for. It never sees a vote.

use tokio::net::TcpListener;

use super::folder::{Derived, PartyFolder};
use super::hub::{Arrival, Driver, Happening, Hub, round_of};
use super::mailbox::Letter;
use super::metrics::Traffic;
use super::{Stop, Watch, server};
use crate::machine::{Action, Event};
use crate::wire::Party;
use crate::{Dealer, DealerConfig, Error, Result};

/// What a dealer's process is started with.
pub struct DealerProcess {
    /// Its folder.
    pub folder: PartyFolder,
    /// Where it listens for users and the aggregator.
    pub listener: TcpListener,
    /// How it can be watched.
    pub watch: Watch,
}

/// Serves a session until the aggregator has finished, or until it is stopped.
///
/// # Errors
/// [`Error::Folder`] if a mark cannot be stored; [`Error::Value`] for the folder of another party.
pub async fn run_dealer(process: DealerProcess, stop: Stop) -> Result<Traffic> {
    let folder = &process.folder;
    if folder.party != Party::Dealer {
        return Err(Error::value("the folder's party", folder.party, "the dealer"));
    }
    let (settings, roster) = (&folder.session.settings, folder.session.roster()?);
    let users = roster.len() as u16;
    let mut machine = Dealer::new(DealerConfig {
        session: folder.session.session(),
        settings: settings.clone(),
        roster,
        aggregator_key: folder.session.aggregator_key(),
        // From the folder's secret, so that a dealer that starts again gives the seeds that it gave before.
        seeds: (0..users).map(|user| folder.derived(Derived::SeedOf(user))).collect(),
        own: folder.derived(Derived::Own),
        last_used: folder.last_used()?,
    })?;
    let (hub, arrivals) = Hub::new((0..users).map(Party::User).chain([Party::Aggregator]), settings, users.into());
    for grant in machine.grants() {
        if let Action::Send { to, frame } = grant
            && let Some(mailbox) = hub.mailbox(to)
        {
            debug_assert_eq!(round_of(&frame), 0);
            mailbox.post_lasting(Letter::Frame(frame));
        }
    }
    let accepting = tokio::spawn(server::accept(process.listener, folder.tls.clone(), hub.clone()));
    let mut driver = Driver::new(hub.clone(), arrivals, stop, folder, process.watch);
    loop {
        match driver.next(None).await {
            Some(Happening::Stopped) => break,
            Some(Happening::Arrival(Arrival::Finished(Party::Aggregator))) => break,
            Some(Happening::Arrival(Arrival::Frame { from, bytes })) => {
                driver.handle(&mut machine, Event::Frame { from, bytes: &bytes })?;
            }
            Some(_) | None => {}
        }
    }
    hub.finish(&driver.connected).await;
    accepting.abort();
    Ok(hub.metrics.snapshot())
}
