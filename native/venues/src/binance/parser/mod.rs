//! From Binance's bytes to numbers, without a float.
//!
//! Two readers of the same messages. `scan` verifies the literal skeleton the venue sends and reads the
//! fields in between; it never allocates in steady state. Whatever deviates by one byte (another field
//! order, white space, an escape, a new field) goes to `slow`, which is `serde_json` over borrowed text,
//! and is counted. `slow` is also the oracle: for every message the scanner accepts, both agree. Messages of the spot
//! market in the venue's binary form are read by `sbe`.

mod account;
#[cfg(any(test, feature = "fuzzing"))]
pub mod oracle;
mod sbe;
pub(crate) mod scan;
mod slow;

use domain::{Level, Price, Quantity, Side, Text, Timestamp, TradeId};

pub use account::{AccountMessage, Execution, ExecutionType, Position};
pub(super) use account::{order_status, side};
pub(super) use slow::{price, quantity};

use crate::error::ParseError;

/// Most levels on one side of one message: the deepest snapshot holds 5,000, an update that changes more
/// than twice that is not one we can trust.
pub const MESSAGE_LEVELS_MAX: usize = 10_000;

/// A symbol as the venue writes it.
pub type Symbol = Text<24>;

/// Which of the venue's market wires. They share their words and differ in their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Spot.
    #[default]
    Spot,
    /// USD-M futures: every message bears the time of the matching engine (`T`), a change names the end of the one before
    /// it (`pu`), a trade says how it came about (`X`).
    Futures,
}

/// A change of the book (`depthUpdate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepthMessage<'a> {
    /// Whose book.
    pub symbol: Symbol,
    /// Venue time: of the matching engine (`T`) where it is sent, else of the message (`E`).
    pub ts_event: Timestamp,
    /// Number of the first update in it (`U`).
    pub first_update_id: u64,
    /// Number of the last update in it (`u`), not below the first.
    pub last_update_id: u64,
    /// Number of the last update in the message before it (`pu`); futures only.
    pub previous_update_id: Option<u64>,
    /// Bids (`b`): positive prices, quantities not negative.
    pub bids: &'a [Level],
    /// Asks (`a`), likewise.
    pub asks: &'a [Level],
}

/// The answer of REST `depth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotMessage<'a> {
    /// Number of the book's last update.
    pub last_update_id: u64,
    /// Bids, best first.
    pub bids: &'a [Level],
    /// Asks, best first.
    pub asks: &'a [Level],
}

/// A public trade (`trade`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeMessage {
    /// What traded.
    pub symbol: Symbol,
    /// When it traded (`T`).
    pub ts_event: Timestamp,
    /// The venue's number of it.
    pub trade_id: TradeId,
    /// Positive.
    pub price: Price,
    /// Positive.
    pub quantity: Quantity,
    /// Side of the order that took: the seller's when the buyer was the maker (`m`).
    pub aggressor: Side,
}

/// The best bid and ask (`bookTicker`). A side without orders has price and quantity zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickerMessage {
    /// Whose book.
    pub symbol: Symbol,
    /// Venue time (`T`); futures only.
    pub ts_event: Option<Timestamp>,
    /// Number of the update that made it so.
    pub update_id: u64,
    /// Best bid.
    pub bid: Level,
    /// Best ask.
    pub ask: Level,
}

/// One message of a market stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamMessageBody<'a> {
    /// The book changed.
    Depth(DepthMessage<'a>),
    /// A trade.
    Trade(TradeMessage),
    /// Trades of one symbol that came together (binary form only).
    Trades {
        /// What traded.
        symbol: Symbol,
        /// In the order of their numbers.
        trades: &'a [TradeMessage],
    },
    /// A number of the tape under which nothing traded: price and quantity are zero (futures, `X` other than `MARKET`).
    EmptyTrade {
        /// On whose tape.
        symbol: Symbol,
        /// The number.
        trade_id: TradeId,
    },
    /// Best bid and ask.
    Ticker(TickerMessage),
    /// The server will close this connection soon.
    ServerShutdown,
    /// The answer to a request, or an event we did not subscribe to.
    Other,
}

/// A reader with reused buffers.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    dialect: Dialect,
    bids: Vec<Level>,
    asks: Vec<Level>,
    trades: Vec<TradeMessage>,
    scanned: u64,
    fallbacks: u64,
}

impl Parser {
    /// For the spot wire, with empty buffers; they grow to the largest message seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For either wire.
    #[must_use]
    pub fn of(dialect: Dialect) -> Self {
        Self {
            dialect,
            ..Self::default()
        }
    }

    /// How many messages the scanner read, and how many the slow reader had to.
    #[must_use]
    pub const fn counts(&self) -> (u64, u64) {
        (self.scanned, self.fallbacks)
    }

    /// Reads one message of a market stream: raw, in the envelope of a combined stream, or binary.
    ///
    /// # Errors
    /// [`ParseError`] when it is not a message of the venue; nothing panics, whatever the bytes.
    pub fn stream_message(&mut self, frame: &[u8]) -> Result<StreamMessageBody<'_>, ParseError> {
        if self.dialect == Dialect::Spot && sbe::is_binary(frame) {
            let mut out = sbe::Out {
                bids: &mut self.bids,
                asks: &mut self.asks,
                trades: &mut self.trades,
            };
            let head = sbe::stream_message(frame, &mut out)?;
            self.scanned += 1;
            return Ok(self.with_levels(head));
        }
        let scanned = scan::stream_message(self.dialect, frame, &mut self.bids, &mut self.asks);
        let head = if let Some(head) = scanned {
            self.scanned += 1;
            head
        } else {
            self.fallbacks += 1;
            slow::stream_message(self.dialect, frame, &mut self.bids, &mut self.asks)?
        };
        Ok(self.with_levels(head))
    }

    /// Reads the answer of REST `depth`.
    ///
    /// # Errors
    /// [`ParseError`] when it is not one.
    pub fn snapshot(&mut self, body: &[u8]) -> Result<SnapshotMessage<'_>, ParseError> {
        let scanned = scan::snapshot(self.dialect, body, &mut self.bids, &mut self.asks);
        let last_update_id = if let Some(id) = scanned {
            self.scanned += 1;
            id
        } else {
            self.fallbacks += 1;
            slow::snapshot(body, &mut self.bids, &mut self.asks)?
        };
        Ok(SnapshotMessage {
            last_update_id,
            bids: &self.bids,
            asks: &self.asks,
        })
    }

    /// Reads one message of the user data stream.
    ///
    /// # Errors
    /// [`ParseError`] when it is not one.
    pub fn account_message(&mut self, frame: &[u8]) -> Result<AccountMessage, ParseError> {
        if let Some(execution) = account::scan_execution(frame) {
            self.scanned += 1;
            return Ok(AccountMessage::Execution(execution));
        }
        self.fallbacks += 1;
        account::read_slowly(frame)
    }

    fn with_levels(&self, head: Head) -> StreamMessageBody<'_> {
        match head {
            Head::Depth(depth) => StreamMessageBody::Depth(DepthMessage {
                symbol: depth.symbol,
                ts_event: depth.ts_event,
                first_update_id: depth.first_update_id,
                last_update_id: depth.last_update_id,
                previous_update_id: depth.previous_update_id,
                bids: &self.bids,
                asks: &self.asks,
            }),
            Head::Trade(trade) => StreamMessageBody::Trade(trade),
            Head::Trades { symbol } => StreamMessageBody::Trades {
                symbol,
                trades: &self.trades,
            },
            Head::EmptyTrade { symbol, trade_id } => StreamMessageBody::EmptyTrade { symbol, trade_id },
            Head::Ticker(ticker) => StreamMessageBody::Ticker(ticker),
            Head::ServerShutdown => StreamMessageBody::ServerShutdown,
            Head::Other => StreamMessageBody::Other,
        }
    }
}

/// A depth message without its levels, which lie in the buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DepthHead {
    symbol: Symbol,
    ts_event: Timestamp,
    first_update_id: u64,
    last_update_id: u64,
    previous_update_id: Option<u64>,
}

/// What both readers produce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Depth(DepthHead),
    Trade(TradeMessage),
    /// The trades lie in the buffer.
    Trades {
        symbol: Symbol,
    },
    EmptyTrade {
        symbol: Symbol,
        trade_id: TradeId,
    },
    Ticker(TickerMessage),
    ServerShutdown,
    Other,
}

/// Whether a combined stream's name is of best levels at intervals (`btcusdt@depth20@100ms`): on the futures wire they
/// look like changes of the book, and are none.
fn is_partial_depth(stream: &[u8]) -> bool {
    const MARK: &[u8] = b"@depth";
    let place = stream.windows(MARK.len()).position(|window| window == MARK);
    place.is_some_and(|place| stream.get(place + MARK.len()).is_some_and(u8::is_ascii_digit))
}

/// Milliseconds of the venue as a time; beyond the year 2262 saturates.
fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The rules that numbers must keep, whichever reader read them.
mod rule {
    use super::{DepthHead, Level, ParseError, Price, Quantity, TickerMessage, TradeMessage};

    pub(super) fn level(level: Level, field: &'static str) -> Result<Level, ParseError> {
        if level.price > Price::ZERO && level.quantity >= Quantity::ZERO {
            Ok(level)
        } else {
            Err(ParseError::Value {
                field,
                problem: "a level has a positive price and a quantity that is not negative",
            })
        }
    }

    pub(super) fn depth(head: DepthHead) -> Result<DepthHead, ParseError> {
        let rises = head
            .previous_update_id
            .is_none_or(|previous| previous < head.last_update_id);
        if rises && head.first_update_id <= head.last_update_id {
            Ok(head)
        } else {
            Err(ParseError::Value {
                field: "U",
                problem: "update ids do not rise: `pu`, `U`, `u`",
            })
        }
    }

    pub(super) fn trade(trade: TradeMessage) -> Result<TradeMessage, ParseError> {
        if trade.price > Price::ZERO && trade.quantity > Quantity::ZERO {
            Ok(trade)
        } else {
            Err(ParseError::Value {
                field: "p",
                problem: "a trade has a positive price and quantity",
            })
        }
    }

    pub(super) fn ticker(ticker: TickerMessage) -> Result<TickerMessage, ParseError> {
        let side = |level: Level| level.price >= Price::ZERO && level.quantity >= Quantity::ZERO;
        if side(ticker.bid) && side(ticker.ask) {
            Ok(ticker)
        } else {
            Err(ParseError::Value {
                field: "b",
                problem: "best prices and quantities are not negative",
            })
        }
    }
}

#[cfg(test)]
mod tests;
