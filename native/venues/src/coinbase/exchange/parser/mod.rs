//! From Exchange's bytes to numbers, without a float.
//!
//! Two readers find the same fields. `scan` walks one flat object without allocating, in whatever order its fields stand:
//! the documentation does not promise one, and no recording shows it. Whatever deviates (white space, an escape, an
//! object within) goes to `slow`, which is `serde_json` over borrowed text, and is counted. What the fields mean is read
//! from them once, in `head`; for every message the scanner accepts, both agree.

mod fields;
mod head;
#[cfg(any(test, feature = "fuzzing"))]
pub mod oracle;
mod scan;
mod slow;

use domain::{
    Level, OrderBookEvent, Price, PublicOrder, PublicOrderId, Quantity, Side, Text, Timestamp, TradeId,
};

pub use crate::coinbase::advanced::parser::MESSAGE_LEVELS_MAX;
use crate::error::ParseError;
pub use crate::order_book::ORDERS_MAX as SNAPSHOT_ORDERS_MAX;

/// A product as the venue writes it, such as `BTC-USD`.
pub type Symbol = Text<24>;

/// A book of prices, or what changed in it (`snapshot`, `l2update`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelsMessage<'a> {
    /// Whether these are all levels.
    pub is_snapshot: bool,
    /// Whose book.
    pub symbol: Symbol,
    /// Venue time; snapshots may bear none.
    pub ts_event: Option<Timestamp>,
    /// Bids: positive prices, quantities not negative.
    pub bids: &'a [Level],
    /// Asks, likewise.
    pub asks: &'a [Level],
}

/// A public trade (`match`, `last_match`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeMessage {
    /// What traded.
    pub symbol: Symbol,
    /// When it traded.
    pub ts_event: Timestamp,
    /// The product's number of the message.
    pub sequence: u64,
    /// The venue's number of it.
    pub trade_id: TradeId,
    /// The order that rested.
    pub maker: PublicOrderId,
    /// Positive.
    pub price: Price,
    /// Positive.
    pub quantity: Quantity,
    /// Side of the order that took: the venue names the maker's.
    pub aggressor: Side,
}

/// A step of an order's life (`received`, `open`, `done`, `change`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderMessage {
    /// In which book.
    pub symbol: Symbol,
    /// Venue time.
    pub ts_event: Timestamp,
    /// The product's number of the message.
    pub sequence: u64,
    /// What it does to the orders that rest, if anything.
    pub event: Option<OrderBookEvent>,
}

/// One message of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A book of prices.
    Levels(LevelsMessage<'a>),
    /// A trade as it happens.
    Match(TradeMessage),
    /// The last trade before we subscribed.
    LastMatch(TradeMessage),
    /// A step of an order's life; the venue's word for it.
    Order(&'static str, OrderMessage),
    /// The venue lives.
    Heartbeat {
        /// Of which product.
        symbol: Symbol,
        /// The product's number now.
        sequence: u64,
        /// The number of its last trade.
        last_trade_id: TradeId,
    },
    /// Best bid and ask after a trade.
    Ticker {
        /// Of which product.
        symbol: Symbol,
        /// Venue time.
        ts_event: Timestamp,
        /// The product's number of the message.
        sequence: u64,
        /// Best bid.
        bid: Level,
        /// Best ask.
        ask: Level,
    },
    /// The venue refuses what we sent.
    Refused,
    /// What we are subscribed to.
    Subscriptions,
    /// A message we do not use.
    Other,
}

/// The answer of REST `book` at level 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotMessage<'a> {
    /// The product's number that it stands at.
    pub sequence: u64,
    /// When it was made; older answers do not say.
    pub ts_event: Option<Timestamp>,
    /// The orders as they stand in the answer: bids, then asks.
    pub orders: &'a [PublicOrder],
}

/// What both readers fill, reused from message to message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Buffers {
    bids: Vec<Level>,
    asks: Vec<Level>,
}

/// A reader with reused buffers.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    buffers: Buffers,
    orders: Vec<PublicOrder>,
    scanned: u64,
    fallbacks: u64,
}

impl Parser {
    /// With empty buffers; they grow to the largest message seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages the scanner read, and how many the slow reader had to.
    #[must_use]
    pub const fn counts(&self) -> (u64, u64) {
        (self.scanned, self.fallbacks)
    }

    /// Reads one message of the stream.
    ///
    /// # Errors
    /// [`ParseError`] when it is not a message of the venue; nothing panics, whatever the bytes.
    pub fn message(&mut self, frame: &[u8]) -> Result<Message<'_>, ParseError> {
        let head = if let Some(fields) = scan::message(frame, &mut self.buffers) {
            self.scanned += 1;
            head::of(&fields)?
        } else {
            self.fallbacks += 1;
            slow::message(frame, &mut self.buffers)?
        };
        Ok(match head {
            head::Head::Levels {
                is_snapshot,
                symbol,
                ts_event,
            } => Message::Levels(LevelsMessage {
                is_snapshot,
                symbol,
                ts_event,
                bids: &self.buffers.bids,
                asks: &self.buffers.asks,
            }),
            head::Head::Message(message) => message,
        })
    }

    /// Reads the answer of REST `book` at level 3.
    ///
    /// # Errors
    /// [`ParseError`] when it is not one.
    pub fn snapshot(&mut self, body: &[u8]) -> Result<SnapshotMessage<'_>, ParseError> {
        self.fallbacks += 1;
        let (sequence, ts_event) = slow::snapshot(body, &mut self.orders)?;
        Ok(SnapshotMessage {
            sequence,
            ts_event,
            orders: &self.orders,
        })
    }
}

#[cfg(test)]
mod tests;
