//! From Advanced Trade's bytes to numbers, without a float.
//!
//! Two readers of the same messages. `scan` verifies the literal skeleton the venue sends and reads the fields in
//! between; it never allocates in steady state. Whatever deviates by one byte, and the rare `status`, goes to `slow`, which is
//! `serde_json` over borrowed text, and is counted. `slow` is also the oracle: for every message the scanner accepts, both agree.

#[cfg(any(test, feature = "fuzzing"))]
pub mod oracle;
mod scan;
mod slow;

use std::ops::Range;

use domain::{Level, Price, Quantity, Side, Text, Timestamp, TradeId};

use crate::error::ParseError;

/// Most levels in one message, both sides and all its events together: what the largest message that the socket accepts
/// (16 MiB) can hold. The deepest recorded snapshot holds 46,000.
pub const MESSAGE_LEVELS_MAX: usize = 200_000;

/// Most trades in one message. The venue gathers a quarter of a second.
pub const MESSAGE_TRADES_MAX: usize = 65_536;

/// Most events in one message, each of a product.
pub const MESSAGE_EVENTS_MAX: usize = 4_096;

/// A product as the venue writes it, such as `BTC-USD`.
pub type Symbol = Text<24>;

/// Whether an event replaces what came before it or follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The whole of it: a book, or the last hundred trades.
    Snapshot,
    /// What is new.
    Update,
}

impl EventKind {
    fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"snapshot" => Some(Self::Snapshot),
            b"update" => Some(Self::Update),
            _ => None,
        }
    }
}

/// Changes of one book (an event of `l2_data`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookMessage<'a> {
    /// Snapshot or update.
    pub kind: EventKind,
    /// Whose book.
    pub symbol: Symbol,
    /// The newest time of its levels (`event_time`); the message's own where they bear none.
    pub ts_event: Timestamp,
    /// Bids: positive prices, quantities not negative.
    pub bids: &'a [Level],
    /// Asks (the venue's `offer`), likewise.
    pub asks: &'a [Level],
}

/// The events of an `l2_data` message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookMessages<'a> {
    events: &'a [BookEvent],
    bids: &'a [Level],
    asks: &'a [Level],
}

impl<'a> BookMessages<'a> {
    /// In the order they stand.
    pub fn iter(&self) -> impl Iterator<Item = BookMessage<'a>> {
        let (bids, asks) = (self.bids, self.asks);
        self.events.iter().map(move |event| BookMessage {
            kind: event.kind,
            symbol: event.symbol,
            ts_event: event.ts_event,
            bids: &bids[event.bids.clone()],
            asks: &asks[event.asks.clone()],
        })
    }
}

/// A public trade (of `market_trades`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeMessage {
    /// Whether it stands in the snapshot of the last hundred.
    pub kind: EventKind,
    /// What traded.
    pub symbol: Symbol,
    /// When it traded.
    pub ts_event: Timestamp,
    /// The venue's number of it: rises by one with each trade of the product.
    pub trade_id: TradeId,
    /// Positive.
    pub price: Price,
    /// Positive.
    pub quantity: Quantity,
    /// Side of the order that took: the venue names the maker's.
    pub aggressor: Side,
}

/// Best bid and ask (of `ticker`). They run beside the book, not in step with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickerMessage {
    /// Of which product.
    pub symbol: Symbol,
    /// Best bid; positive price and quantity.
    pub bid: Level,
    /// Best ask, likewise.
    pub ask: Level,
}

/// What the venue takes of a product (of `status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusMessage {
    /// Of which product.
    pub symbol: Symbol,
    /// Whether it takes everything; any word but `online` says that it does not.
    pub is_online: bool,
}

/// What a numbered message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Books changed (`l2_data`).
    Books(BookMessages<'a>),
    /// Trades (`market_trades`), by rising number whatever their order in the message.
    Trades(&'a [TradeMessage]),
    /// Best prices (`ticker`); those with an empty side are left out.
    Tickers(&'a [TickerMessage]),
    /// States of products (`status`); those whose name is none that we could trade are left out.
    Statuses(&'a [StatusMessage]),
    /// The venue lives (`heartbeats`); the number counts seconds.
    Heartbeat {
        /// The venue's count.
        counter: u64,
    },
    /// What we are subscribed to (`subscriptions`).
    Subscriptions,
    /// Bars of five minutes (`candles`); not used.
    Candles,
    /// A channel we do not use.
    Other,
}

/// One message of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A message of a channel. All channels of a connection share one count.
    Numbered {
        /// `sequence_num`: each is the one before it plus one.
        sequence: u64,
        /// When the venue sent it.
        ts_sent: Timestamp,
        /// What it says.
        body: Body<'a>,
    },
    /// The venue refuses what we sent (`type` is `error`).
    Refused,
    /// JSON without a channel.
    Unnumbered,
}

/// An event of `l2_data` without its levels, which lie in the buffers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BookEvent {
    kind: EventKind,
    symbol: Symbol,
    ts_event: Timestamp,
    bids: Range<usize>,
    asks: Range<usize>,
}

/// What both readers fill, reused from message to message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Buffers {
    events: Vec<BookEvent>,
    bids: Vec<Level>,
    asks: Vec<Level>,
    trades: Vec<TradeMessage>,
    tickers: Vec<TickerMessage>,
    statuses: Vec<StatusMessage>,
}

impl Buffers {
    fn clear(&mut self) {
        self.events.clear();
        self.bids.clear();
        self.asks.clear();
        self.trades.clear();
        self.tickers.clear();
        self.statuses.clear();
    }
}

/// What the lists of a message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Books,
    Trades,
    Tickers,
    Statuses,
    Heartbeat { counter: u64 },
    Subscriptions,
    Candles,
    Other,
}

/// A message without its lists, which lie in the buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Envelope {
    Numbered {
        sequence: u64,
        ts_sent: Timestamp,
        head: Head,
    },
    Refused,
    Unnumbered,
}

/// A reader with reused buffers.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    buffers: Buffers,
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

    /// Reads one message.
    ///
    /// # Errors
    /// [`ParseError`] when it is not a message of the venue; nothing panics, whatever the bytes.
    pub fn message(&mut self, frame: &[u8]) -> Result<Message<'_>, ParseError> {
        let envelope = if let Some(envelope) = scan::message(frame, &mut self.buffers) {
            self.scanned += 1;
            envelope
        } else {
            self.fallbacks += 1;
            slow::message(frame, &mut self.buffers)?
        };
        // The venue writes the newest first.
        self.buffers.trades.sort_unstable_by_key(|trade| trade.trade_id);
        Ok(self.with_lists(envelope))
    }

    fn with_lists(&self, envelope: Envelope) -> Message<'_> {
        let (sequence, ts_sent, head) = match envelope {
            Envelope::Numbered {
                sequence,
                ts_sent,
                head,
            } => (sequence, ts_sent, head),
            Envelope::Refused => return Message::Refused,
            Envelope::Unnumbered => return Message::Unnumbered,
        };
        let body = match head {
            Head::Books => Body::Books(BookMessages {
                events: &self.buffers.events,
                bids: &self.buffers.bids,
                asks: &self.buffers.asks,
            }),
            Head::Trades => Body::Trades(&self.buffers.trades),
            Head::Tickers => Body::Tickers(&self.buffers.tickers),
            Head::Statuses => Body::Statuses(&self.buffers.statuses),
            Head::Heartbeat { counter } => Body::Heartbeat { counter },
            Head::Subscriptions => Body::Subscriptions,
            Head::Candles => Body::Candles,
            Head::Other => Body::Other,
        };
        Message::Numbered {
            sequence,
            ts_sent,
            body,
        }
    }
}

/// The rules that values must keep, whichever reader read them.
mod rule {
    use super::{
        BookEvent, Buffers, Level, ParseError, Price, Quantity, Side, StatusMessage, TickerMessage,
        Timestamp, TradeMessage,
    };
    use super::{MESSAGE_EVENTS_MAX, MESSAGE_LEVELS_MAX, MESSAGE_TRADES_MAX};

    /// Keeps a level of the book's side `is_bid`.
    pub(super) fn level(level: Level, is_bid: bool, buffers: &mut Buffers) -> Result<(), ParseError> {
        if level.price <= Price::ZERO || level.quantity < Quantity::ZERO {
            return Err(ParseError::Value {
                field: "updates",
                problem: "a level has a positive price and a quantity that is not negative",
            });
        }
        bounded(
            "updates",
            buffers.bids.len() + buffers.asks.len(),
            MESSAGE_LEVELS_MAX,
        )?;
        let side = if is_bid {
            &mut buffers.bids
        } else {
            &mut buffers.asks
        };
        side.push(level);
        Ok(())
    }

    /// Keeps an event. Levels of a snapshot may bear the epoch for a time: then it is the message's.
    pub(super) fn event(
        mut event: BookEvent,
        ts_sent: Timestamp,
        buffers: &mut Buffers,
    ) -> Result<(), ParseError> {
        bounded("events", buffers.events.len(), MESSAGE_EVENTS_MAX)?;
        if event.ts_event <= Timestamp::EPOCH {
            event.ts_event = ts_sent;
        }
        buffers.events.push(event);
        Ok(())
    }

    pub(super) fn trade(trade: TradeMessage, buffers: &mut Buffers) -> Result<(), ParseError> {
        if trade.price <= Price::ZERO || trade.quantity <= Quantity::ZERO {
            return Err(ParseError::Value {
                field: "trades",
                problem: "a trade has a positive price and quantity",
            });
        }
        bounded("trades", buffers.trades.len(), MESSAGE_TRADES_MAX)?;
        buffers.trades.push(trade);
        Ok(())
    }

    /// Keeps best prices, unless a side is empty.
    pub(super) fn ticker(ticker: TickerMessage, buffers: &mut Buffers) -> Result<(), ParseError> {
        bounded("tickers", buffers.tickers.len(), MESSAGE_EVENTS_MAX)?;
        let is_there = |level: Level| level.price > Price::ZERO && level.quantity > Quantity::ZERO;
        if is_there(ticker.bid) && is_there(ticker.ask) {
            buffers.tickers.push(ticker);
        }
        Ok(())
    }

    pub(super) fn status(status: StatusMessage, buffers: &mut Buffers) -> Result<(), ParseError> {
        bounded("products", buffers.statuses.len(), MESSAGE_EVENTS_MAX)?;
        buffers.statuses.push(status);
        Ok(())
    }

    /// The taker's side of a trade, whose `side` is the maker's.
    pub(super) fn aggressor(maker: &[u8]) -> Option<Side> {
        match maker {
            b"BUY" => Some(Side::Sell),
            b"SELL" => Some(Side::Buy),
            _ => None,
        }
    }

    fn bounded(field: &'static str, len: usize, max: usize) -> Result<(), ParseError> {
        if len < max {
            Ok(())
        } else {
            Err(ParseError::TooMany { field, max })
        }
    }
}

#[cfg(test)]
mod tests;
