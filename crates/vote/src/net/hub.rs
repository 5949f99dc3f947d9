//! The middle of a process: what arrives goes to the machine, what the machine wants done is done.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::Stop;
use super::Watch;
use super::exchange::Envelope;
use super::folder::PartyFolder;
use super::frame_log::{FrameLog, Way};
use super::mailbox::{Letter, Mailbox};
use super::metrics::{Metrics, add};
use crate::machine::{Action, Event, FrameBytes, Machine, Outcome, Reason, TimerId};
use crate::wire::{Fault, FrameKind, HEADER_LENGTH, LARGEST_FRAME, Party};
use crate::{Error, Result, Settings};

/// What comes from outside.
#[derive(Debug)]
pub(super) enum Arrival {
    Frame {
        from: Party,
        bytes: Vec<u8>,
    },
    /// The aggregator has opened a round.
    Opens(u32),
    Connected(Party),
    Gone(Party),
    /// The party has said that it sends nothing more.
    Finished(Party),
    /// A link could not be made for too long.
    Lost(Party, String),
}

/// Arrivals that wait for the machine: beyond them senders wait.
const QUEUE: usize = 64;

/// After so many refused frames a connection is ended.
const PATIENCE_WITH_FAULTS: u64 = 1_000;

/// What all connections of a process share.
#[derive(Debug)]
pub(super) struct Hub {
    mailboxes: BTreeMap<Party, Arc<Mailbox>>,
    inbox: mpsc::Sender<Arrival>,
    received: Mutex<BTreeMap<Party, Received>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) largest_frame: usize,
    /// Frames refused, by party.
    faults: BTreeMap<Party, AtomicU64>,
}

/// What has been received from a party: frames that come again on a new connection are dropped.
#[derive(Debug, Default)]
struct Received {
    round: u32,
    frames: HashSet<[u8; 32]>,
    /// Of all rounds.
    lasting: HashSet<[u8; 32]>,
}

impl Received {
    fn is_new(&mut self, bytes: &[u8]) -> bool {
        let digest = Sha256::digest(bytes).into();
        if bytes.get(4) == Some(&FrameKind::SeedGrant.code()) {
            return self.lasting.insert(digest);
        }
        let round = round_of(bytes);
        if round > self.round.saturating_add(1) {
            self.frames.clear();
            self.round = round;
        }
        self.frames.insert(digest)
    }
}

/// The round in a frame's header; 0 for what is no frame.
pub(super) fn round_of(bytes: &[u8]) -> u32 {
    match bytes.get(24..28) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

impl Hub {
    /// A hub that talks to these parties.
    pub(super) fn new(
        parties: impl IntoIterator<Item = Party>,
        settings: &Settings,
        users: usize,
    ) -> (Arc<Self>, mpsc::Receiver<Arrival>) {
        let (inbox, arrivals) = mpsc::channel(QUEUE);
        let mailboxes: BTreeMap<Party, Arc<Mailbox>> = parties.into_iter().map(|party| (party, Arc::default())).collect();
        let faults = mailboxes.keys().map(|&party| (party, AtomicU64::new(0))).collect();
        let hub = Self {
            mailboxes,
            inbox,
            received: Mutex::default(),
            metrics: Arc::default(),
            largest_frame: largest_frame(settings, users),
            faults,
        };
        (Arc::new(hub), arrivals)
    }

    pub(super) fn mailbox(&self, party: Party) -> Option<&Arc<Mailbox>> {
        self.mailboxes.get(&party)
    }

    pub(super) async fn tell(&self, arrival: Arrival) {
        // Without a receiver the process is ending.
        let _ = self.inbox.send(arrival).await;
    }

    /// Takes what a connection brings until it ends. `Ok` if the other side has finished.
    pub(super) async fn receive(&self, from: Party, mut incoming: Streaming<Envelope>) -> Result<(), Status> {
        self.tell(Arrival::Connected(from)).await;
        let ended = loop {
            match incoming.message().await {
                Ok(Some(envelope)) => {
                    if let Err(status) = self.take(from, envelope).await {
                        break Err(status);
                    }
                }
                Ok(None) => break Ok(()),
                Err(status) => {
                    if status.code() == tonic::Code::OutOfRange {
                        self.refuse(from, "FrameTooLarge");
                    }
                    break Err(status);
                }
            }
        };
        self.tell(if ended.is_ok() { Arrival::Finished(from) } else { Arrival::Gone(from) }).await;
        ended
    }

    async fn take(&self, from: Party, envelope: Envelope) -> Result<(), Status> {
        if self.faults.get(&from).is_some_and(|faults| faults.load(Ordering::Relaxed) > PATIENCE_WITH_FAULTS) {
            return Err(Status::permission_denied("too many of its frames were refused"));
        }
        if let (Some(round), Party::Aggregator) = (envelope.opens_round, from) {
            self.tell(Arrival::Opens(round)).await;
        }
        if envelope.frame.is_empty() {
            return Ok(());
        }
        add(&self.metrics.frames_received, 1);
        add(&self.metrics.frame_bytes_received, envelope.frame.len());
        let is_new = match self.received.lock() {
            Ok(mut received) => received.entry(from).or_default().is_new(&envelope.frame),
            Err(_) => return Err(Status::internal("the process is ending")),
        };
        if is_new {
            self.tell(Arrival::Frame { from, bytes: envelope.frame }).await;
        }
        Ok(())
    }

    pub(super) fn refuse(&self, from: Party, fault: &str) {
        self.metrics.refuse(fault);
        if let Some(faults) = self.faults.get(&from) {
            faults.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Nothing more is sent; waits a while until all connected parties have what there is.
    pub(super) async fn finish(&self, connected: &BTreeSet<Party>) {
        let until = Instant::now() + Duration::from_secs(5);
        let waits = |party: &Party| self.mailbox(*party).is_some_and(|mailbox| !mailbox.is_taken());
        while Instant::now() < until && connected.iter().any(waits) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.mailboxes.values().for_each(|mailbox| mailbox.close());
        // What was taken from the mailboxes is still on its way through queues and sockets.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The most bytes that a frame of the session can have.
fn largest_frame(settings: &Settings, users: usize) -> usize {
    let chunk = settings.chunk.min(settings.coordinates) as usize;
    if settings.options.mac.is_on() || settings.protocol == crate::Protocol::Sealed {
        return LARGEST_FRAME;
    }
    let circuits = settings.group_sizes(users).into_iter().filter_map(|members| settings.circuit(members).ok());
    let of_elements = circuits
        .map(|circuit| {
            let openings = (1..=circuit.levels()).map(|level| circuit.openings(level)).max().unwrap_or(1);
            let vectors = openings.max(circuit.recipe().entries().len()).max(circuit.majority().degree());
            settings.encoding.length(circuit.field(), chunk) * vectors
        })
        .max()
        .unwrap_or(LARGEST_FRAME);
    let of_bits = chunk.div_ceil(8) * users;
    // Greetings and signatures have 66 bytes for each user.
    (HEADER_LENGTH + of_elements.max(of_bits).max(80 * users) + 512).min(LARGEST_FRAME)
}

/// How a round ended for a machine.
#[derive(Debug)]
pub(super) enum End {
    Done(Box<Outcome>),
    Aborted { reason: Reason, culprit: Option<Party> },
}

/// What happens next to a process.
pub(super) enum Happening {
    Arrival(Arrival),
    Deadline(TimerId),
    Stopped,
}

/// A machine at its hub.
pub(super) struct Driver<'a> {
    pub(super) hub: Arc<Hub>,
    arrivals: mpsc::Receiver<Arrival>,
    stop: Stop,
    timer: Option<(Instant, TimerId)>,
    pub(super) connected: BTreeSet<Party>,
    folder: &'a PartyFolder,
    frame_log: Option<FrameLog>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        hub: Arc<Hub>,
        arrivals: mpsc::Receiver<Arrival>,
        stop: Stop,
        folder: &'a PartyFolder,
        watch: Watch,
    ) -> Self {
        if let Some(listener) = watch.metrics {
            tokio::spawn(super::monitor::serve(listener, hub.metrics.clone()));
        }
        Self { hub, arrivals, stop, timer: None, connected: BTreeSet::new(), folder, frame_log: watch.frame_log }
    }

    fn note(&mut self, way: Way, party: Party, bytes: &[u8]) -> Result<()> {
        self.frame_log.as_mut().map_or(Ok(()), |log| log.note(way, party, bytes))
    }

    /// Waits for what happens, at the latest at `until`.
    pub(super) async fn next(&mut self, until: Option<Instant>) -> Option<Happening> {
        let far = Instant::now() + Duration::from_secs(3_600);
        let timer = self.timer.map_or(far, |(at, _)| at);
        let until = until.unwrap_or(far);
        let happening = tokio::select! {
            biased;
            () = stopped(&mut self.stop) => Happening::Stopped,
            () = tokio::time::sleep_until(timer), if self.timer.is_some() => match self.timer.take() {
                Some((_, id)) => Happening::Deadline(id),
                None => return None,
            },
            arrival = self.arrivals.recv() => Happening::Arrival(arrival?),
            () = tokio::time::sleep_until(until) => return None,
        };
        if let Happening::Arrival(arrival) = &happening {
            match arrival {
                Arrival::Connected(party) => {
                    self.connected.insert(*party);
                }
                Arrival::Gone(party) | Arrival::Finished(party) => {
                    self.connected.remove(party);
                }
                _ => {}
            }
            self.hub.metrics.connect(self.connected.len());
        }
        Some(happening)
    }

    /// Gives a machine an event and does what it wants.
    pub(super) fn handle(&mut self, machine: &mut impl Machine, event: Event<'_>) -> Result<(Option<End>, Option<Fault>)> {
        let from = match event {
            Event::Frame { from, bytes } => {
                self.note(Way::Received, from, bytes)?;
                Some(from)
            }
            Event::Deadline(_) => None,
        };
        // Machines compute for long: the other tasks of this thread go to others meanwhile.
        match tokio::task::block_in_place(|| machine.handle(event)) {
            Ok(actions) => Ok((self.act(actions)?, None)),
            Err(fault) => {
                if let Some(from) = from {
                    tracing::warn!(%from, fault = fault.name(), state = %machine.state(), "a frame was refused: {fault}");
                    self.hub.refuse(from, &fault.name());
                }
                Ok((None, Some(fault)))
            }
        }
    }

    /// Does actions in their order. A mark that cannot be stored ends the process before anything that follows it is sent.
    pub(super) fn act(&mut self, actions: Vec<Action>) -> Result<Option<End>> {
        let mut end = None;
        for action in actions {
            match action {
                Action::Send { to, frame } => {
                    self.note(Way::Sent, to, &frame)?;
                    self.send(to, frame);
                }
                Action::SetTimer { id, after } => self.timer = Some((Instant::now() + after, id)),
                Action::Persist(mark) => tokio::task::block_in_place(|| self.folder.store_used(mark))?,
                Action::Done(outcome) => end = Some(End::Done(outcome)),
                Action::Abort { reason, culprit } => end = Some(End::Aborted { reason, culprit }),
            }
        }
        Ok(end)
    }

    fn send(&self, to: Party, frame: FrameBytes) {
        match self.hub.mailbox(to) {
            Some(mailbox) => mailbox.post(round_of(&frame), Letter::Frame(frame)),
            None => tracing::warn!(%to, "a frame for a party that this process does not talk to"),
        }
    }
}

/// Returns when the process is to end; never if nobody can say so any more.
async fn stopped(stop: &mut Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An error of a process.
pub(super) fn failed(doing: impl Into<String>, reason: impl std::fmt::Display) -> Error {
    Error::Network { doing: doing.into(), reason: reason.to_string() }
}
