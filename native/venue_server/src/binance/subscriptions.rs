//! The streams that connections subscribe to.

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use serde_json::{Value, json};

use crate::frames::{Class, Frame};
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

    /// The stream of a name among the binary ones.
    pub(crate) fn of_binary_name(symbol: &str, name: &str) -> Option<Self> {
        let (of, stream) = name.split_once('@')?;
        if of != symbol.to_ascii_lowercase() {
            return None;
        }
        match stream {
            "depth" => Some(Self::Depth100),
            "trade" => Some(Self::Trade),
            "bestBidAsk" => Some(Self::BookTicker),
            _ => None,
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

/// How a connection has its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they are.
    Raw,
    /// Each wrapped with its stream's name.
    Combined,
    /// In binary, which names no stream.
    Binary,
}

/// Which kind of connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// Public streams, each in its form.
    Market { streams: StreamSet, form: Form },
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

/// Sends a public message to all that subscribed to its stream; it is worded once in each form, if anyone wants it.
pub(crate) fn publish_stream(
    hub: &mut Hub,
    symbol: &str,
    stream: Stream,
    class: Class,
    word: impl Fn() -> String,
    encode: impl Fn() -> Bytes,
) {
    let (mut raw, mut wrapped): (Option<Utf8Bytes>, Option<Utf8Bytes>) = (None, None);
    let mut binary: Option<Bytes> = None;
    hub.broadcast(class, |session| {
        let wire::Session::Binance(Session::Market { streams, form }) = session else {
            return None;
        };
        if !streams.contains(stream) {
            return None;
        }
        if *form == Form::Binary {
            return Some(Frame::Binary(binary.get_or_insert_with(&encode).clone()));
        }
        let raw = raw.get_or_insert_with(|| word().into());
        if *form == Form::Raw {
            return Some(Frame::Text(raw.clone()));
        }
        let wrap = || format!("{{\"stream\":\"{}\",\"data\":{raw}}}", stream.name(symbol)).into();
        Some(Frame::Text(wrapped.get_or_insert_with(wrap).clone()))
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

    #[test]
    fn messages_reach_their_subscribers_raw_or_wrapped() {
        let forms = [
            (Form::Combined, r#"{"stream":"btcusdt@trade","data":{}}"#),
            (Form::Raw, "{}"),
            (Form::Binary, "in binary"),
        ];
        for (form, expected) in forms {
            let mut hub = Hub::default();
            let mut streams = StreamSet::default();
            streams.insert(Stream::Trade);
            let session = wire::Session::Binance(Session::Market { streams, form });
            let (_, mut receiver) = hub.connect(session).unwrap();
            let word = || "{}".to_owned();
            let encode = || Bytes::from_static(b"in binary");
            publish_stream(&mut hub, "BTCUSDT", Stream::Trade, Class::Trade, word, encode);
            publish_stream(
                &mut hub,
                "BTCUSDT",
                Stream::BookTicker,
                Class::Quote,
                word,
                encode,
            );
            let said = match receiver.try_recv().unwrap().frame {
                Frame::Text(text) => text.to_string(),
                Frame::Binary(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                close @ Frame::Close { .. } => panic!("{close:?}"),
            };
            assert_eq!(said, expected);
            assert!(receiver.try_recv().is_err());
        }
    }
}
