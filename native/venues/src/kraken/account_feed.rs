//! The private socket: the account's streams, and the door for orders.
//!
//! Each is a connection of its own with a token of its own. A token is to be used within a quarter of an hour and then
//! lives as long as a subscription that was made with it, so the door for orders subscribes too, to nothing that it
//! needs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::warn;

use super::account::{Sequences, place};
use super::answer::Outcome;
use super::market_feed::{feed_parts, system_status};
use super::requests::{Desk, Requests, reply};
use super::rest::RestClient;
use crate::error::VenueError;
use crate::feeds::AccountFeed;
use crate::overhear::ORDER_SOCKET;
use crate::retry::Jitter;
use crate::secret::Secret;
use crate::trading::Pending;
use crate::websocket::{
    Connection, ConnectionStatistics, FrameSink, Injection, Judgement, Outgoing, Protocol, StreamMessage,
};

/// Requests on their way to the connection.
const REQUESTS_QUEUED_MAX: usize = 256;

/// Longest message that may be about the connection itself.
const ABOUT_BYTES_MAX: usize = 1_024;

/// A channel and what is asked of it.
type Subscription = (&'static str, &'static str);

/// The account's events: what is open, what traded last, and every change.
const EVENTS: &[Subscription] = &[
    (
        "executions",
        r#""snap_orders":true,"snap_trades":true,"order_status":true"#,
    ),
    ("balances", r#""snapshot":true"#),
];

/// The least that keeps a token alive.
const TOKEN_KEEPER: &[Subscription] = &[(
    "executions",
    r#""snap_orders":false,"snap_trades":false,"order_status":false"#,
)];

/// Subscriptions on the private socket.
struct PrivateStreams {
    name: &'static str,
    rest: Arc<RestClient>,
    wants: &'static [Subscription],
    /// Whether anything is passed on.
    is_heard: bool,
    desk: Arc<Desk>,
    token: Option<Secret>,
    /// Subscriptions that are not confirmed yet, by the number of their request.
    open: Vec<bool>,
    sequences: Sequences,
}

impl PrivateStreams {
    fn on_reply(&mut self, message: &[u8]) -> Option<Judgement> {
        let reply = reply(&Bytes::copy_from_slice(message))?;
        let number = reply.number.unwrap_or(u64::MAX);
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(open) = self.open.get_mut(at) else {
            self.rest
                .settings()
                .overhearing
                .answer(ORDER_SOCKET, 200, message);
            if !self.desk.answer(number, reply.outcome) {
                warn!(number, method = reply.method, "an answer that nobody waits for");
            }
            return Some(Judgement::Handshake);
        };
        let problem = match reply.outcome {
            Outcome::Done(_) => {
                *open = false;
                if self.open.iter().any(|open| *open) {
                    return Some(Judgement::Handshake);
                }
                self.desk.set_token(self.token.take());
                return Some(Judgement::Ready);
            }
            Outcome::Refused(refusal) => refusal.text(),
            Outcome::Unreadable => "an answer that cannot be read".to_owned(),
        };
        Some(Judgement::Refused(format!("{}: {problem}", self.wants[at].0)))
    }
}

impl Protocol for PrivateStreams {
    fn name(&self) -> &'static str {
        self.name
    }

    fn url(&self) -> &str {
        &self.rest.settings().endpoints.private
    }

    fn prepare(&mut self) -> Pending<'_, Result<(), VenueError>> {
        Box::pin(async {
            self.token = Some(self.rest.socket_token().await?);
            Ok(())
        })
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        let token = self.token.as_ref().ok_or(VenueError::NoCredentials)?.expose();
        self.open = vec![true; self.wants.len()];
        self.sequences = Sequences::default();
        let requests = self.wants.iter().enumerate().map(|(number, (channel, wish))| {
            format!(
                r#"{{"method":"subscribe","params":{{"channel":"{channel}",{wish},"token":"{token}"}},"req_id":{number}}}"#
            )
        });
        Ok(requests.collect())
    }

    fn judge(&mut self, message: &[u8]) -> Judgement {
        let unheard = if self.is_heard {
            Judgement::Deliver
        } else {
            Judgement::Handshake
        };
        if message.len() <= ABOUT_BYTES_MAX {
            if let Some(judgement) = self.on_reply(message) {
                return judgement;
            }
            if let Some(status) = system_status(message) {
                self.rest.set_status(status);
                return unheard;
            }
        }
        match place(message) {
            // A lost message does not come again: a new subscription brings a new snapshot.
            Some(place) if self.is_heard && !self.sequences.follows(place) => Judgement::Ended,
            _ => unheard,
        }
    }

    fn ended(&mut self) {
        self.token = None;
        self.desk.set_token(None);
    }

    /// Heartbeats come every second.
    fn silence_max(&self) -> Option<Duration> {
        Some(self.rest.settings().idle_timeout)
    }

    fn least_pause(&self) -> Duration {
        self.rest.least_pause()
    }
}

fn streams(name: &'static str, rest: &Arc<RestClient>, wants: &'static [Subscription]) -> PrivateStreams {
    PrivateStreams {
        name,
        rest: Arc::clone(rest),
        wants,
        is_heard: true,
        desk: Arc::default(),
        token: None,
        open: Vec::new(),
        sequences: Sequences::default(),
    }
}

/// Starts the account's streams in the current tokio runtime; everything they tell goes into `sink`.
///
/// # Errors
/// [`VenueError::NoCredentials`].
pub fn account_feed(
    rest: &Arc<RestClient>,
    jitter: Jitter,
    sink: impl FrameSink,
) -> Result<AccountFeed, VenueError> {
    if !rest.has_keys() {
        return Err(VenueError::NoCredentials);
    }
    let streams = streams("kraken account", rest, EVENTS);
    Ok(AccountFeed::spawn(streams, feed_parts(rest, jitter, sink)))
}

/// The door for orders: a connection over which requests leave.
#[derive(Debug)]
pub(super) struct OrderDoor {
    pub(super) requests: Requests,
    connection: Connection,
    // Nothing is injected; the sender is kept so that the channel stays open.
    _injected: mpsc::Sender<Injection>,
}

impl OrderDoor {
    /// Starts to connect, in the current tokio runtime.
    pub(super) fn spawn(rest: &Arc<RestClient>, jitter: Jitter) -> Self {
        let (injected_sender, injected) = mpsc::channel(1);
        let (queue, outgoing) = mpsc::channel::<Outgoing>(REQUESTS_QUEUED_MAX);
        let desk = Arc::new(Desk::default());
        let streams = PrivateStreams {
            is_heard: false,
            desk: Arc::clone(&desk),
            ..streams("kraken orders", rest, TOKEN_KEEPER)
        };
        // Beginnings and ends are nobody's business here; all else is not passed on.
        let deaf = |_: StreamMessage| Ok(());
        let parts = feed_parts(rest, jitter, deaf);
        let connection = Connection::spawn_two_way(
            streams,
            parts.settings,
            parts.clock,
            parts.jitter,
            injected,
            outgoing,
            parts.sink,
        );
        Self {
            requests: Requests::new(desk, queue, rest.settings().request_timeout),
            connection,
            _injected: injected_sender,
        }
    }

    /// The connection's counters.
    pub(super) fn statistics(&self) -> Arc<ConnectionStatistics> {
        self.connection.statistics()
    }
}
