//! Votes between processes: gRPC over TLS 1.3, with certificates on both sides.
//!
//! The machines do the protocol; this module only carries their frames. It knows who sent a frame from the certificate at the other
//! end of its connection, and nothing else decides that.
//!
//! | question | module |
//! |---|---|
//! | what does a party keep on disk, and who issues it? | [`folder`], [`authority`] |
//! | who is at the other end? | `tls` |
//! | how do frames travel? | `exchange`, `mailbox`; `server` accepts, `link` connects and reconnects |
//! | who drives a machine? | `hub`; [`run_aggregator`], [`run_dealer`], [`run_client`] |
//! | what was sent? | [`metrics`], told on request by `monitor`; [`frame_log`] frame by frame |
//!
//! **Delivery.** A connection may break at any time. Each side keeps the frames of the last two rounds for the other, sends all of them
//! again on a new connection, and drops what it has already received, byte for byte. So a machine sees each frame once.
//!
//! **Limits.** A frame has at most what the session's settings can need, at the most 64 MiB; each party has one connection; frames
//! wait in queues of fixed length, and a slow reader slows its sender.
//!
//! The processes need a runtime of several threads: machines compute for long.

mod aggregator;
pub mod authority;
mod client;
mod dealer;
mod exchange;
pub mod folder;
pub mod frame_log;
mod hub;
mod link;
mod mailbox;
pub mod metrics;
mod monitor;
mod server;
mod tls;

pub use aggregator::{AggregatorProcess, RoundEnd, run_aggregator};
pub use client::{ClientProcess, ClientRound, run_client};
pub use dealer::{DealerProcess, run_dealer};
pub use folder::{PartyFolder, SessionFile};
pub use frame_log::FrameLog;
pub use metrics::Traffic;

/// How a process can be watched while it runs.
#[derive(Debug, Default)]
pub struct Watch {
    /// Where `GET /metrics` is answered, in the text format of Prometheus. Whoever can connect may ask, so let it be a local address.
    pub metrics: Option<tokio::net::TcpListener>,
    /// Where the hash of each frame is noted.
    pub frame_log: Option<FrameLog>,
}

/// Becomes true when a process is to end: after what is under way has been told to the others.
pub type Stop = tokio::sync::watch::Receiver<bool>;
