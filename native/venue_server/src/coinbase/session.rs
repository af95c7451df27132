//! What one connection subscribed to.

use std::time::Instant;

/// A connection of the socket.
#[derive(Debug)]
pub(crate) struct Session {
    /// When it connected.
    pub(super) since: Instant,
    pub(super) level2: bool,
    pub(super) trades: bool,
    pub(super) ticker: bool,
    pub(super) heartbeats: bool,
    pub(super) status: bool,
    /// The account whose orders are told.
    pub(super) user: Option<usize>,
    /// Number of the next message: one count over all channels.
    pub(super) sequence: u64,
    /// Heartbeats so far.
    pub(super) beats: u64,
}

impl Session {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            level2: false,
            trades: false,
            ticker: false,
            heartbeats: false,
            status: false,
            user: None,
            sequence: 0,
            beats: 0,
        }
    }

    /// Whether it carries an account's data.
    pub(crate) fn is_account(&self) -> bool {
        self.user.is_some()
    }

    pub(super) fn listens(&self) -> bool {
        self.level2 || self.trades || self.ticker || self.heartbeats || self.status || self.is_account()
    }

    /// A message of a channel, with the next number.
    pub(super) fn envelope(&mut self, channel: &str, time: &str, events: &str) -> String {
        let number = self.sequence;
        self.sequence += 1;
        format!(
            r#"{{"channel":"{channel}","client_id":"","timestamp":"{time}","sequence_num":{number},"events":[{events}]}}"#
        )
    }
}
