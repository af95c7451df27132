//! The streams that connections subscribe to.

use axum::extract::ws::Utf8Bytes;
use serde_json::{Value, json};

use crate::frames::Class;
use crate::hub::Hub;
use crate::wire;

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

    /// The stream of a name, such as `btcusdt@trade`.
    pub(crate) fn of_name(symbol: &str, name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.name(symbol) == name)
    }

    /// Its name for a symbol.
    pub(crate) fn name(self, symbol: &str) -> String {
        format!("{}@{}", symbol.to_ascii_lowercase(), self.suffix())
    }

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
pub(crate) enum Session {
    /// Public streams; `combined` wraps each message with its stream's name.
    Market { streams: StreamSet, combined: bool },
    /// The WebSocket API; `account` once it subscribed to the user data of an account.
    Account { account: Option<usize> },
}

impl Session {
    /// A connection of the WebSocket API.
    pub(crate) fn account() -> Self {
        Self::Account { account: None }
    }

    pub(crate) fn is_account(&self) -> bool {
        matches!(self, Self::Account { .. })
    }
}

/// Sends a public message to all that subscribed to its stream; it is worded once, if anyone did.
pub(crate) fn publish_stream(
    hub: &mut Hub,
    symbol: &str,
    stream: Stream,
    class: Class,
    word: impl Fn() -> String,
) {
    let (mut raw, mut wrapped): (Option<Utf8Bytes>, Option<Utf8Bytes>) = (None, None);
    hub.broadcast(class, |session| {
        let wire::Session::Binance(Session::Market { streams, combined }) = session else {
            return None;
        };
        if !streams.contains(stream) {
            return None;
        }
        let raw = raw.get_or_insert_with(|| word().into());
        if !*combined {
            return Some(raw.clone());
        }
        let wrap = || format!("{{\"stream\":\"{}\",\"data\":{raw}}}", stream.name(symbol)).into();
        Some(wrapped.get_or_insert_with(wrap).clone())
    });
}

/// Sends an event to all subscriptions of an account's user data.
pub(crate) fn publish_account(hub: &mut Hub, owner: usize, event: &Value) {
    let mut wrapped: Option<Utf8Bytes> = None;
    hub.broadcast(Class::Account, |session| {
        let subscribed = matches!(session, wire::Session::Binance(Session::Account { account }) if *account == Some(owner));
        let wrap = || json!({ "subscriptionId": 0, "event": event }).to_string().into();
        subscribed.then(|| wrapped.get_or_insert_with(wrap).clone())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::Frame;

    #[test]
    fn messages_reach_their_subscribers_raw_or_wrapped() {
        for (combined, expected) in [(true, r#"{"stream":"btcusdt@trade","data":{}}"#), (false, "{}")] {
            let mut hub = Hub::default();
            let mut streams = StreamSet::default();
            streams.insert(Stream::Trade);
            let session = wire::Session::Binance(Session::Market { streams, combined });
            let (_, mut receiver) = hub.connect(session).unwrap();
            let word = || "{}".to_owned();
            publish_stream(&mut hub, "BTCUSDT", Stream::Trade, Class::Trade, word);
            publish_stream(&mut hub, "BTCUSDT", Stream::BookTicker, Class::Quote, word);
            let Frame::Text(text) = receiver.try_recv().unwrap().frame else {
                panic!("a text");
            };
            assert_eq!(text.as_str(), expected);
            assert!(receiver.try_recv().is_err());
        }
    }
}
