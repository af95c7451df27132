//! From Kraken's bytes to numbers, without a float: a verified scanner, and `serde_json` for whatever deviates.
//!
//! Version 2 writes prices and quantities as bare JSON numbers, version 1 as text. Both are read as they stand, because
//! the checksum covers their digits.

mod scan_v1;
mod scan_v2;
mod slow_v1;
mod slow_v2;

use domain::{Price, Quantity, Side, Text, Timestamp, TradeId};

use super::book::{MESSAGE_LEVELS_MAX, WireLevel};
use super::number::WireNumber;
use crate::error::ParseError;

/// A symbol as the venue writes it, such as `BTC/USD` (version 2) or `XBT/USD` (version 1).
pub type Symbol = Text<24>;

/// Most trades in one message.
pub const MESSAGE_TRADES_MAX: usize = 5_000;

/// A message about one book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookMessage<'a> {
    /// Whose book.
    pub symbol: Symbol,
    /// Whether the levels are the whole book.
    pub is_snapshot: bool,
    /// Bids.
    pub bids: &'a [WireLevel],
    /// Asks.
    pub asks: &'a [WireLevel],
    /// The venue's checksum of the book after it; version 1 has none for snapshots.
    pub checksum: Option<u32>,
    /// Venue time: the newest that the message bears; version 2 has none for snapshots.
    pub ts_event: Option<Timestamp>,
}

/// A public trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeMessage {
    /// What traded.
    pub symbol: Symbol,
    /// When.
    pub ts_event: Timestamp,
    /// The venue's number of it; version 1 has none.
    pub trade_id: Option<TradeId>,
    /// Positive.
    pub price: Price,
    /// Positive.
    pub quantity: Quantity,
    /// Side of the order that took.
    pub aggressor: Side,
}

/// The venue as a whole, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemStatus {
    /// Trading.
    Online,
    /// Orders that rest stay and may be canceled; nothing new.
    CancelOnly,
    /// Only orders that rest.
    PostOnly,
    /// Nothing, not even cancels.
    Maintenance,
    /// A word that we do not know: not tradable.
    Unknown,
}

impl SystemStatus {
    /// Whether new orders of every kind are taken.
    #[must_use]
    pub fn takes_orders(self) -> bool {
        self == Self::Online
    }
}

/// One message of a market connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A book was told, or changed.
    Book(BookMessage<'a>),
    /// Trades, oldest first.
    Trades(&'a [TradeMessage]),
    /// The venue's state.
    Status(SystemStatus),
    /// A request was refused: what was asked for will not come.
    Refused,
    /// Anything else, by the venue's own word for it.
    Other(&'static str),
}

/// A message without what lies in the buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Book {
        symbol: Symbol,
        is_snapshot: bool,
        checksum: Option<u32>,
        ts_event: Option<Timestamp>,
    },
    Trades,
    Status(SystemStatus),
    Refused,
    Other(&'static str),
}

/// What a message's lists are read into: reused from message to message.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Lists {
    bids: Vec<WireLevel>,
    asks: Vec<WireLevel>,
    trades: Vec<TradeMessage>,
}

impl Lists {
    fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
        self.trades.clear();
    }
}

/// A reader with reused buffers, of one version of the wire.
#[derive(Debug, Clone)]
pub struct Parser {
    version: super::WireVersion,
    lists: Lists,
    scanned: u64,
    fallbacks: u64,
}

impl Parser {
    /// With empty buffers; they grow to the largest message seen.
    #[must_use]
    pub fn new(version: super::WireVersion) -> Self {
        Self {
            version,
            lists: Lists::default(),
            scanned: 0,
            fallbacks: 0,
        }
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
        let head = if let Some(head) = scan(self.version, frame, &mut self.lists) {
            self.scanned += 1;
            head
        } else {
            self.fallbacks += 1;
            slow(self.version, frame, &mut self.lists)?
        };
        Ok(match head {
            Head::Book {
                symbol,
                is_snapshot,
                checksum,
                ts_event,
            } => Message::Book(BookMessage {
                symbol,
                is_snapshot,
                bids: &self.lists.bids,
                asks: &self.lists.asks,
                checksum,
                ts_event,
            }),
            Head::Trades => Message::Trades(&self.lists.trades),
            Head::Status(status) => Message::Status(status),
            Head::Refused => Message::Refused,
            Head::Other(kind) => Message::Other(kind),
        })
    }
}

fn scan(version: super::WireVersion, frame: &[u8], lists: &mut Lists) -> Option<Head> {
    lists.clear();
    match version {
        super::WireVersion::V1 => scan_v1::message(frame, lists),
        super::WireVersion::V2 => scan_v2::message(frame, lists),
    }
}

fn slow(version: super::WireVersion, frame: &[u8], lists: &mut Lists) -> Result<Head, ParseError> {
    lists.clear();
    match version {
        super::WireVersion::V1 => slow_v1::message(frame, lists),
        super::WireVersion::V2 => slow_v2::message(frame, lists),
    }
}

/// The venue's state by its word; a word that is not known is a state that is not tradable.
pub(super) fn system_status(word: &str) -> SystemStatus {
    rule::status(word)
}

/// The rules that values must keep, whichever reader read them.
mod rule {
    use super::{
        MESSAGE_LEVELS_MAX, MESSAGE_TRADES_MAX, ParseError, Price, Quantity, Side, Symbol, SystemStatus,
        TradeMessage, WireLevel, WireNumber,
    };

    pub(super) fn number(text: &[u8], field: &'static str) -> Result<WireNumber, ParseError> {
        WireNumber::parse(text).map_err(|source| ParseError::Number { field, source })
    }

    pub(super) fn push_level(
        out: &mut Vec<WireLevel>,
        price: WireNumber,
        quantity: WireNumber,
    ) -> Result<(), ParseError> {
        if price.units == 0 {
            return Err(ParseError::Value {
                field: "price",
                problem: "a level has a positive price",
            });
        }
        if out.len() == MESSAGE_LEVELS_MAX {
            return Err(ParseError::TooMany {
                field: "levels",
                max: MESSAGE_LEVELS_MAX,
            });
        }
        out.push(WireLevel { price, quantity });
        Ok(())
    }

    pub(super) fn push_trade(out: &mut Vec<TradeMessage>, trade: TradeMessage) -> Result<(), ParseError> {
        if trade.price <= Price::ZERO || trade.quantity <= Quantity::ZERO {
            return Err(ParseError::Value {
                field: "trade",
                problem: "a trade has a positive price and quantity",
            });
        }
        if out.len() == MESSAGE_TRADES_MAX {
            return Err(ParseError::TooMany {
                field: "trades",
                max: MESSAGE_TRADES_MAX,
            });
        }
        out.push(trade);
        Ok(())
    }

    pub(super) fn symbol(text: &str) -> Result<Symbol, ParseError> {
        Symbol::new(text).ok_or(ParseError::Value {
            field: "symbol",
            problem: "a symbol is at most 24 printable ASCII bytes",
        })
    }

    pub(super) fn side(word: &str) -> Result<Side, ParseError> {
        match word {
            "buy" | "b" => Ok(Side::Buy),
            "sell" | "s" => Ok(Side::Sell),
            _ => Err(ParseError::Value {
                field: "side",
                problem: "a side is buy or sell",
            }),
        }
    }

    pub(super) fn status(word: &str) -> SystemStatus {
        match word {
            "online" => SystemStatus::Online,
            "cancel_only" => SystemStatus::CancelOnly,
            "post_only" => SystemStatus::PostOnly,
            "maintenance" => SystemStatus::Maintenance,
            _ => SystemStatus::Unknown,
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub mod oracle {
    //! The scanner against the slow reader: whatever the first accepts, the second reads alike.

    use super::{Lists, scan, slow};
    use crate::kraken::WireVersion;

    /// Whether the scanner accepted the frame.
    ///
    /// # Panics
    /// When the readers disagree.
    pub fn agree(version: WireVersion, frame: &[u8]) -> bool {
        let (mut fast, mut slow_lists) = (Lists::default(), Lists::default());
        let Some(head) = scan(version, frame, &mut fast) else {
            return false;
        };
        let other =
            slow(version, frame, &mut slow_lists).expect("the oracle refuses what the scanner accepts");
        assert_eq!(
            (head, fast),
            (other, slow_lists),
            "{}",
            String::from_utf8_lossy(frame)
        );
        true
    }
}

#[cfg(test)]
mod tests;
