//! What a connection has brought and how it fared, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use super::DisconnectReason;

/// Counters of one stream, over all connections that it was on; any thread reads them.
#[derive(Debug, Default)]
pub struct ConnectionStatistics {
    name: &'static str,
    connected: AtomicU64,
    reconnected: AtomicU64,
    rotations: AtomicU64,
    failed: AtomicU64,
    early_overruns: AtomicU64,
    lost: [AtomicU64; DisconnectReason::ALL.len()],
    messages: AtomicU64,
    bytes: AtomicU64,
    pings_sent: AtomicU64,
    pings_heard: AtomicU64,
    duplicates: AtomicU64,
    stalls: AtomicU64,
}

impl ConnectionStatistics {
    /// Nothing counted yet, of the stream of this name.
    pub(crate) fn of(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// The stream's name in logs and metrics; empty where there is no connection.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Times a connection came up: the first, each after a loss, and each that was made before a change.
    pub fn connected(&self) -> u64 {
        read(&self.connected)
    }

    /// Those of them that came after a loss.
    pub fn reconnected(&self) -> u64 {
        read(&self.reconnected)
    }

    /// Times a new connection took over from one that stood, without a word.
    pub fn rotations(&self) -> u64 {
        read(&self.rotations)
    }

    /// Attempts and handshakes that failed.
    pub fn failed(&self) -> u64 {
        read(&self.failed)
    }

    /// Those of them in which more came before the handshake was done than may wait for its end.
    pub fn early_overruns(&self) -> u64 {
        read(&self.early_overruns)
    }

    /// Times a connection ended for this reason.
    pub fn lost(&self, reason: DisconnectReason) -> u64 {
        read(&self.lost[reason.index()])
    }

    /// Messages read from the socket, handshakes included.
    pub fn messages(&self) -> u64 {
        read(&self.messages)
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        read(&self.bytes)
    }

    /// Pings of ours.
    pub fn pings_sent(&self) -> u64 {
        read(&self.pings_sent)
    }

    /// Pings of the venue's.
    pub fn pings_heard(&self) -> u64 {
        read(&self.pings_heard)
    }

    /// Messages that were not passed on because another connection of the same stream delivers them.
    pub fn duplicates(&self) -> u64 {
        read(&self.duplicates)
    }

    /// Messages that had to wait for room in the sink.
    pub fn stalls(&self) -> u64 {
        read(&self.stalls)
    }

    pub(crate) fn on_connected(&self, is_again: bool) {
        add(&self.connected, 1);
        if is_again {
            self.on_reconnected();
        }
    }

    pub(crate) fn on_reconnected(&self) {
        add(&self.reconnected, 1);
    }

    pub(crate) fn on_rotation(&self) {
        // Whoever reads it has seen what the new connection delivered.
        self.rotations.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn on_failed(&self) {
        add(&self.failed, 1);
    }

    pub(super) fn on_early_overrun(&self) {
        add(&self.early_overruns, 1);
    }

    pub(crate) fn on_lost(&self, reason: DisconnectReason) {
        add(&self.lost[reason.index()], 1);
    }

    pub(crate) fn on_message(&self, bytes: usize) {
        add(&self.messages, 1);
        add(&self.bytes, bytes as u64);
    }

    pub(crate) fn on_ping_sent(&self) {
        add(&self.pings_sent, 1);
    }

    pub(crate) fn on_ping_heard(&self) {
        add(&self.pings_heard, 1);
    }

    pub(crate) fn on_duplicates(&self, count: usize) {
        add(&self.duplicates, count as u64);
    }

    pub(super) fn on_stall(&self) {
        add(&self.stalls, 1);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Acquire)
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
