//! Who listens, and what they are sent.

use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Messages that may wait for a slow reader; with one more the connection is dropped.
pub(crate) const QUEUE_MAX: usize = 65_536;
/// Most connections at a time, market and account together.
pub(crate) const CONNECTIONS_MAX: usize = 300;

/// A public stream of the one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Book diffs every 100 ms of venue time.
    Depth100,
    /// Book diffs every second of venue time.
    Depth1000,
    /// Public trades.
    Trade,
    /// Best prices.
    BookTicker,
}

impl Stream {
    pub(crate) const ALL: [Self; 4] = [Self::Depth100, Self::Depth1000, Self::Trade, Self::BookTicker];

    /// What follows `<symbol>@` in its name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Depth100 => "depth@100ms",
            Self::Depth1000 => "depth",
            Self::Trade => "trade",
            Self::BookTicker => "bookTicker",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The streams one connection subscribed to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StreamSet(u8);

impl StreamSet {
    pub(crate) fn insert(&mut self, stream: Stream) {
        self.0 |= stream.bit();
    }

    pub(crate) fn remove(&mut self, stream: Stream) {
        self.0 &= !stream.bit();
    }

    pub(crate) fn contains(self, stream: Stream) -> bool {
        self.0 & stream.bit() != 0
    }
}

/// Which kind of connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Public streams; `combined` wraps each message with its stream's name.
    Market { streams: StreamSet, combined: bool },
    /// The WebSocket API; `account` once it subscribed to the user data of an account.
    Account { account: Option<usize> },
}

/// Names a connection in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionId(u64);

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    purpose: Purpose,
    sender: Sender<Utf8Bytes>,
}

/// All connections, and the faults that their messages meet.
#[derive(Debug)]
pub(crate) struct Hub {
    names: [String; 4],
    connections: Vec<Connection>,
    next_id: u64,
    silent_until: Option<Instant>,
    skipped_diffs: u32,
    broken_diffs: u32,
}

/// Which connections a fault drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Market,
    Account,
    All,
}

impl Hub {
    pub(crate) fn new(symbol: &str) -> Self {
        let lower = symbol.to_ascii_lowercase();
        Self {
            names: Stream::ALL.map(|stream| format!("{lower}@{}", stream.suffix())),
            connections: Vec::new(),
            next_id: 0,
            silent_until: None,
            skipped_diffs: 0,
            broken_diffs: 0,
        }
    }

    /// The stream of a name, such as `btcusdt@trade`.
    pub(crate) fn stream(&self, name: &str) -> Option<Stream> {
        let at = self.names.iter().position(|known| known == name)?;
        Stream::ALL.get(at).copied()
    }

    pub(crate) fn name(&self, stream: Stream) -> &str {
        &self.names[stream as usize]
    }

    /// A new connection; `None` when there are too many.
    pub(crate) fn connect(&mut self, purpose: Purpose) -> Option<(ConnectionId, Receiver<Utf8Bytes>)> {
        if self.connections.len() >= CONNECTIONS_MAX {
            return None;
        }
        let (sender, receiver) = channel(QUEUE_MAX);
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        self.connections.push(Connection { id, purpose, sender });
        Some((id, receiver))
    }

    pub(crate) fn disconnect(&mut self, id: ConnectionId) {
        self.connections.retain(|connection| connection.id != id);
    }

    /// The kind of a connection, to change its subscriptions; `None` once it was dropped.
    pub(crate) fn purpose_mut(&mut self, id: ConnectionId) -> Option<&mut Purpose> {
        let connection = self.connections.iter_mut().find(|connection| connection.id == id);
        connection.map(|connection| &mut connection.purpose)
    }

    /// `(market, account)` connections.
    pub(crate) fn count(&self) -> (usize, usize) {
        let market = self
            .connections
            .iter()
            .filter(|one| matches!(one.purpose, Purpose::Market { .. }))
            .count();
        (market, self.connections.len() - market)
    }

    /// Whether anyone would get a message of `stream`.
    pub(crate) fn is_wanted(&self, stream: Stream) -> bool {
        self.connections
            .iter()
            .any(|one| matches!(one.purpose, Purpose::Market { streams, .. } if streams.contains(stream)))
    }

    /// Sends a public message to all that subscribed to its stream.
    pub(crate) fn publish(&mut self, stream: Stream, payload: &str) {
        if self.silent_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let is_diff = matches!(stream, Stream::Depth100 | Stream::Depth1000);
        if is_diff && self.skipped_diffs > 0 {
            self.skipped_diffs -= 1;
            return;
        }
        let malformed = is_diff && self.broken_diffs > 0;
        self.broken_diffs -= u32::from(malformed);
        let payload = if malformed {
            &payload[..payload.len() / 2]
        } else {
            payload
        };
        let raw = Utf8Bytes::from(payload.to_owned());
        let mut wrapped: Option<Utf8Bytes> = None;
        let name = &self.names[stream as usize];
        self.connections.retain(|connection| {
            let Purpose::Market { streams, combined } = connection.purpose else {
                return true;
            };
            if !streams.contains(stream) {
                return true;
            }
            let message = if combined {
                let make = || Utf8Bytes::from(format!("{{\"stream\":\"{name}\",\"data\":{payload}}}"));
                wrapped.get_or_insert_with(make).clone()
            } else {
                raw.clone()
            };
            // A reader that is too slow, or gone, is dropped.
            connection.sender.try_send(message).is_ok()
        });
    }

    /// Sends an event to all subscriptions of an account's user data.
    pub(crate) fn publish_account(&mut self, account: usize, event: &serde_json::Value) {
        self.connections.retain(|connection| {
            let subscribed = connection.purpose
                == Purpose::Account {
                    account: Some(account),
                };
            if !subscribed {
                return true;
            }
            let wrapped = serde_json::json!({ "subscriptionId": 0, "event": event });
            connection
                .sender
                .try_send(Utf8Bytes::from(wrapped.to_string()))
                .is_ok()
        });
    }

    /// Ends the user data subscriptions of all connections; the connections stay.
    pub(crate) fn end_account_streams(&mut self) {
        for connection in &mut self.connections {
            if let Purpose::Account { account } = &mut connection.purpose {
                *account = None;
            }
        }
    }

    /// Drops connections without a word.
    pub(crate) fn drop_connections(&mut self, target: Target) {
        self.connections.retain(|connection| {
            let is_market = matches!(connection.purpose, Purpose::Market { .. });
            match target {
                Target::All => false,
                Target::Market => !is_market,
                Target::Account => is_market,
            }
        });
    }

    /// Loses all public messages of the next `wall` time; connections stay.
    pub(crate) fn silence(&mut self, wall: Duration) {
        self.silent_until = Some(Instant::now() + wall);
    }

    /// Loses the next book diffs.
    pub(crate) fn skip_diffs(&mut self, count: u32) {
        self.skipped_diffs = count;
    }

    /// Cuts the next book diffs in half.
    pub(crate) fn break_diffs(&mut self, count: u32) {
        self.broken_diffs = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub_with(stream: Stream, combined: bool) -> (Hub, Receiver<Utf8Bytes>) {
        let mut hub = Hub::new("BTCUSDT");
        let mut streams = StreamSet::default();
        streams.insert(stream);
        let (_, receiver) = hub.connect(Purpose::Market { streams, combined }).unwrap();
        (hub, receiver)
    }

    #[test]
    fn messages_reach_their_subscribers_raw_or_wrapped() {
        let (mut hub, mut receiver) = hub_with(Stream::Trade, true);
        hub.publish(Stream::Trade, "{}");
        hub.publish(Stream::BookTicker, "{}");
        assert_eq!(
            receiver.try_recv().unwrap().as_str(),
            r#"{"stream":"btcusdt@trade","data":{}}"#
        );
        assert!(receiver.try_recv().is_err());
        let (mut hub, mut receiver) = hub_with(Stream::Trade, false);
        hub.publish(Stream::Trade, "{}");
        assert_eq!(receiver.try_recv().unwrap().as_str(), "{}");
    }

    #[test]
    fn a_full_queue_drops_the_connection() {
        let (mut hub, _receiver) = hub_with(Stream::Trade, false);
        for _ in 0..QUEUE_MAX {
            hub.publish(Stream::Trade, "{}");
        }
        assert_eq!(hub.count(), (1, 0));
        hub.publish(Stream::Trade, "{}");
        assert_eq!(hub.count(), (0, 0));
    }

    #[test]
    fn connections_are_bounded() {
        let mut hub = Hub::new("BTCUSDT");
        let held: Vec<_> = (0..=CONNECTIONS_MAX)
            .map(|_| hub.connect(Purpose::Account { account: None }))
            .collect();
        assert_eq!(held.iter().flatten().count(), CONNECTIONS_MAX);
    }

    #[test]
    fn faults_meet_the_messages_they_name() {
        let (mut hub, mut receiver) = hub_with(Stream::Depth100, false);
        hub.skip_diffs(1);
        hub.publish(Stream::Depth100, r#"{"u":1}"#);
        hub.break_diffs(1);
        hub.publish(Stream::Depth100, r#"{"u":2}"#);
        hub.publish(Stream::Depth100, r#"{"u":3}"#);
        assert_eq!(receiver.try_recv().unwrap().as_str(), r#"{"u"#);
        assert_eq!(receiver.try_recv().unwrap().as_str(), r#"{"u":3}"#);
        hub.silence(Duration::from_hours(1));
        hub.publish(Stream::Depth100, r#"{"u":4}"#);
        assert!(receiver.try_recv().is_err());
    }
}
