//! What a process has sent, received and refused.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters that all connections of a process share.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) frames_sent: AtomicU64,
    pub(super) frame_bytes_sent: AtomicU64,
    pub(super) frames_received: AtomicU64,
    pub(super) frame_bytes_received: AtomicU64,
    pub(super) transport_bytes_sent: AtomicU64,
    pub(super) transport_bytes_received: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) connections_refused: AtomicU64,
    rounds_with_result: AtomicU64,
    rounds_without_result: AtomicU64,
    connected: AtomicU64,
    refused: Mutex<BTreeMap<String, u64>>,
}

/// The counters at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Rounds that ended with a result; the dealer knows of none.
    pub rounds_with_result: u64,
    /// Rounds that ended without one.
    pub rounds_without_result: u64,
    /// Frames sent; a frame that is sent again on a new connection counts again.
    pub frames_sent: u64,
    /// Their bytes, headers included.
    pub frame_bytes_sent: u64,
    /// Frames received.
    pub frames_received: u64,
    /// Their bytes.
    pub frame_bytes_received: u64,
    /// Bytes that went out by TCP: frames, gRPC, HTTP/2 and TLS.
    pub transport_bytes_sent: u64,
    /// Bytes that came in by TCP.
    pub transport_bytes_received: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Connections that failed at their handshake or certificate.
    pub connections_refused: u64,
    /// Frames that were refused, by the name of the fault.
    pub refused: BTreeMap<String, u64>,
}

pub(super) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

impl Metrics {
    /// A round has ended.
    pub(super) fn ended(&self, has_result: bool) {
        add(if has_result { &self.rounds_with_result } else { &self.rounds_without_result }, 1);
    }

    /// So many parties are connected now.
    pub(super) fn connect(&self, parties: usize) {
        self.connected.store(parties as u64, Ordering::Relaxed);
    }

    pub(super) fn connected(&self) -> u64 {
        self.connected.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self, fault: &str) {
        // A poisoned lock means that another thread has panicked; a count is no reason to follow it.
        if let Ok(mut refused) = self.refused.lock() {
            *refused.entry(fault.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn snapshot(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            rounds_with_result: read(&self.rounds_with_result),
            rounds_without_result: read(&self.rounds_without_result),
            frames_sent: read(&self.frames_sent),
            frame_bytes_sent: read(&self.frame_bytes_sent),
            frames_received: read(&self.frames_received),
            frame_bytes_received: read(&self.frame_bytes_received),
            transport_bytes_sent: read(&self.transport_bytes_sent),
            transport_bytes_received: read(&self.transport_bytes_received),
            connections: read(&self.connections),
            connections_refused: read(&self.connections_refused),
            refused: self.refused.lock().map(|refused| refused.clone()).unwrap_or_default(),
        }
    }
}
