//! The sockets behind [`super::AccountData`]: the account's channel, and its executions over REST whenever an order's
//! executed quantity grows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{InstrumentId, Quantity, VenueOrderId};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::gateway::{FILLS, FILLS_PER_PAGE, escaped, query};
use super::market_feed::{Heartbeats, feed_parts, subscribe};
use super::orders;
use super::rest::{RestClient, malformed};
use super::user::{self, UserBody, UserMessage, UserOrder};
use crate::error::VenueError;
use crate::feeds::AccountFeed;
use crate::instruments::Instruments;
use crate::retry::Jitter;
use crate::websocket::{FrameSink, Injected, Injection, Judgement, Protocol, StreamMessageKind};

/// Most orders whose fills are being asked for, and whose quantity is remembered.
const ORDERS_MAX: usize = 16_384;

/// Most pages of the executions of one order.
const PAGES_MAX: usize = 50;

/// Questions for the fills of an order: the list lags behind the stream.
const ATTEMPTS_MAX: u32 = 16;

/// First and longest pause between two questions for the same order.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// An order that is owed fills.
#[derive(Debug, Clone, Copy)]
struct Owed {
    instrument: InstrumentId,
    filled: Quantity,
    /// Of that, passed on by this feed.
    passed_on: Quantity,
    attempts: u32,
    due: Instant,
}

/// The orders that are owed fills.
#[derive(Debug, Default)]
struct Owing {
    orders: Mutex<BTreeMap<VenueOrderId, Owed>>,
    any: Notify,
}

impl Owing {
    fn orders(&self) -> MutexGuard<'_, BTreeMap<VenueOrderId, Owed>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room for it.
    fn want(&self, order: &UserOrder, instrument: InstrumentId) -> bool {
        let mut orders = self.orders();
        if orders.len() >= ORDERS_MAX && !orders.contains_key(&order.venue_order_id) {
            return false;
        }
        let owed = orders.entry(order.venue_order_id).or_insert(Owed {
            instrument,
            filled: order.filled,
            passed_on: Quantity::ZERO,
            attempts: 0,
            due: Instant::now(),
        });
        owed.filled = owed.filled.max(order.filled);
        owed.attempts = 0;
        owed.due = Instant::now();
        drop(orders);
        self.any.notify_one();
        true
    }

    /// The order whose turn it is next.
    fn next(&self) -> Option<(VenueOrderId, Owed)> {
        let orders = self.orders();
        let next = orders.iter().min_by_key(|(_, owed)| owed.due);
        next.map(|(&id, &owed)| (id, owed))
    }

    /// What became of a question: `sum` was executed by the list.
    fn asked(&self, id: VenueOrderId, sum: Option<Quantity>) -> Asked {
        let mut orders = self.orders();
        let Some(owed) = orders.get_mut(&id) else {
            return Asked::Settled;
        };
        if let Some(sum) = sum {
            owed.passed_on = owed.passed_on.max(sum);
            if sum >= owed.filled {
                orders.remove(&id);
                return Asked::Settled;
            }
        }
        owed.attempts += 1;
        if owed.attempts >= ATTEMPTS_MAX {
            orders.remove(&id);
            return Asked::GaveUp;
        }
        let pause = PAUSE.0.saturating_mul(1 << owed.attempts.min(16)).min(PAUSE.1);
        owed.due = Instant::now() + pause;
        Asked::Again
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Settled,
    Again,
    GaveUp,
}

/// The account's channel.
struct UserStream {
    rest: Arc<RestClient>,
    instruments: Arc<Instruments>,
    url: String,
    heartbeats: Heartbeats,
    next_sequence: Option<u64>,
    is_ready: bool,
    /// Executed quantities by the stream.
    seen: BTreeMap<VenueOrderId, Quantity>,
    owing: Arc<Owing>,
}

impl UserStream {
    fn new(rest: &Arc<RestClient>, instruments: &Arc<Instruments>, owing: Arc<Owing>) -> Self {
        Self {
            url: rest.settings().endpoints.user.clone(),
            heartbeats: Heartbeats::new(rest.settings().heartbeat_timeout),
            next_sequence: None,
            is_ready: false,
            seen: BTreeMap::new(),
            owing,
            rest: Arc::clone(rest),
            instruments: Arc::clone(instruments),
        }
    }

    fn on_numbered(&mut self, sequence: u64, body: &UserBody) -> Judgement {
        let next = self.next_sequence.replace(sequence.saturating_add(1));
        if next.is_some_and(|next| next != sequence) {
            warn!(sequence, "a message of the account's stream is missing");
            return Judgement::Ended;
        }
        match body {
            UserBody::Heartbeat { .. } => self.heartbeats.heard(),
            UserBody::Orders(orders) => {
                if !orders.iter().all(|order| self.on_order(order)) {
                    warn!("more orders are owed fills than are asked for");
                    return Judgement::Ended;
                }
            }
            UserBody::Subscriptions { .. } if !self.is_ready => {
                self.is_ready = true;
                self.heartbeats.begin();
                return Judgement::Ready;
            }
            UserBody::Subscriptions { .. } | UserBody::Other => {}
        }
        if self.heartbeats.are_missing() {
            warn!("no heartbeats on the account's stream");
            return Judgement::Ended;
        }
        Judgement::Deliver
    }

    /// Asks for fills where the executed quantity grew; whether there was room.
    fn on_order(&mut self, order: &UserOrder) -> bool {
        let Some(instrument) = self.instruments.by_symbol(&order.symbol) else {
            return true;
        };
        if self.seen.len() >= ORDERS_MAX {
            // Forgotten quantities are asked for once more: what is known is passed on once all the same.
            self.seen.clear();
        }
        let before = self.seen.insert(order.venue_order_id, order.filled);
        // What an open order had executed before it was first seen is for reconciliation to find.
        let before = before.unwrap_or(if order.is_snapshot {
            order.filled
        } else {
            Quantity::ZERO
        });
        if order.filled > before {
            return self.owing.want(order, instrument.id);
        }
        self.seen.insert(order.venue_order_id, before);
        true
    }
}

impl Protocol for UserStream {
    fn name(&self) -> &'static str {
        "coinbase account"
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn hello(&mut self) -> Result<Vec<String>, VenueError> {
        self.heartbeats.begin();
        self.next_sequence = None;
        self.is_ready = false;
        // The first to be confirmed brings nothing that could be lost before all are.
        Ok(vec![
            subscribe(&self.rest, "subscribe", "heartbeats", &[])?,
            subscribe(&self.rest, "subscribe", "user", &[])?,
        ])
    }

    fn judge(&mut self, message: &[u8]) -> Judgement {
        match user::message(message) {
            Ok(UserMessage::Numbered { sequence, body, .. }) => self.on_numbered(sequence, &body),
            Ok(UserMessage::Refused(words)) => Judgement::Refused(words),
            Ok(UserMessage::Unnumbered) => Judgement::Deliver,
            Err(_) => {
                self.next_sequence = None;
                Judgement::Deliver
            }
        }
    }

    fn silence_max(&self) -> Option<Duration> {
        Some(self.heartbeats.timeout())
    }
}

/// Starts the account's stream in the current tokio runtime; everything it tells goes into `sink`, and so do the
/// executions of orders whose quantity grew, which come over REST.
///
/// # Errors
/// [`VenueError::NoCredentials`].
pub fn account_feed(
    rest: &Arc<RestClient>,
    instruments: &Arc<Instruments>,
    jitter: Jitter,
    sink: impl FrameSink,
) -> Result<AccountFeed, VenueError> {
    if !rest.has_credentials() {
        return Err(VenueError::NoCredentials);
    }
    let owing = Arc::new(Owing::default());
    let stream = UserStream::new(rest, instruments, Arc::clone(&owing));
    let fetcher = Fetcher {
        rest: Arc::clone(rest),
        instruments: Arc::clone(instruments),
        owing,
    };
    let parts = feed_parts(rest, jitter, sink);
    Ok(AccountFeed::spawn_beside(stream, parts, |injected| {
        fetcher.run(injected)
    }))
}

/// Asks for the fills that are owed, the order whose turn it is first.
struct Fetcher {
    rest: Arc<RestClient>,
    instruments: Arc<Instruments>,
    owing: Arc<Owing>,
}

impl Fetcher {
    async fn run(self, injected: mpsc::Sender<Injection>) {
        loop {
            let Some((id, owed)) = self.owing.next() else {
                self.owing.any.notified().await;
                continue;
            };
            if owed.due > Instant::now() {
                tokio::select! {
                    () = sleep_until(owed.due) => {}
                    () = self.owing.any.notified() => {}
                }
                continue;
            }
            if self.ask(id, owed, &injected).await.is_err() {
                return;
            }
        }
    }

    /// One question; an error when nobody takes the answers any more.
    async fn ask(
        &self,
        id: VenueOrderId,
        owed: Owed,
        injected: &mpsc::Sender<Injection>,
    ) -> Result<(), mpsc::error::SendError<Injection>> {
        let (bodies, sum) = match self.fetch(id).await {
            Ok((bodies, sum)) => (bodies, Some(sum)),
            Err(error) => {
                warn!(order = %id.0, %error, "no fills yet");
                (Vec::new(), None)
            }
        };
        let deliver = |body| {
            let instrument = owed.instrument;
            // An execution stays true whichever connection tells of it.
            let message = Injected::Message(StreamMessageKind::Snapshot { instrument, body });
            injected.send(Injection::from(message))
        };
        if sum.is_some_and(|sum| sum > owed.passed_on) {
            // The venue lists the newest first.
            for body in bodies.into_iter().rev() {
                deliver(body).await?;
            }
        }
        if self.owing.asked(id, sum) == Asked::GaveUp {
            warn!(order = %id.0, "the stream told of executions that the list does not show: asking for the order");
            deliver(Bytes::new()).await?;
        }
        Ok(())
    }

    /// The pages of an order's executions, as received, and what they add up to.
    async fn fetch(&self, id: VenueOrderId) -> Result<(Vec<Bytes>, Quantity), VenueError> {
        let call = query("fills of an order", FILLS);
        let by = format!("order_ids={}&limit={FILLS_PER_PAGE}", id.0);
        let (mut bodies, mut sum, mut cursor) = (Vec::new(), Quantity::ZERO, None::<String>);
        for _ in 0..PAGES_MAX {
            let params = match &cursor {
                None => by.clone(),
                Some(cursor) => format!("{by}&cursor={}", escaped(cursor)),
            };
            let body = self.rest.accepted(&call, &params, None).await?;
            let page =
                orders::fills(&body, &self.instruments).map_err(|source| malformed(call.name, source))?;
            bodies.push(body);
            for listed in page
                .items
                .iter()
                .filter(|listed| listed.trade.venue_order_id == id)
            {
                // A quotient, rounded down, may stay below the whole for ever.
                let quantity = if listed.is_in_quote {
                    Quantity::from_units(i64::MAX)
                } else {
                    listed.trade.fill.quantity
                };
                sum = sum
                    .checked_add(quantity)
                    .unwrap_or(Quantity::from_units(i64::MAX));
            }
            if page.next.is_none() || page.next == cursor {
                return Ok((bodies, sum));
            }
            cursor = page.next;
        }
        Err(VenueError::TooLarge {
            request: call.name,
            max: PAGES_MAX,
        })
    }
}

#[cfg(test)]
mod tests;
