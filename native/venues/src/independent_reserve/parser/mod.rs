//! From Independent Reserve's bytes to numbers, without a float.
//!
//! Two readers of the same messages. `scan` verifies the literal skeleton the venue sends and reads the fields in
//! between; whatever deviates by one byte goes to `slow`, which is `serde_json` over borrowed text, and is counted. `slow`
//! is also the oracle: for every message the scanner accepts, both agree.

#[cfg(any(test, feature = "fuzzing"))]
pub mod oracle;
mod scan;
mod slow;

use domain::{Price, PublicOrder, PublicOrderId, Quantity, Side, Text, Timestamp};

use crate::error::ParseError;
pub use crate::order_book::ORDERS_MAX as SNAPSHOT_ORDERS_MAX;

/// Most currencies in which one order is priced. The venue has four.
pub const PRICES_MAX: usize = 16;

/// A currency in the venue's own words, in lower case: `eth`, `aud`.
pub type Code = Text<8>;

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderAction {
    /// It came to rest (`NewOrder`), with this quantity.
    New(Quantity),
    /// This is left of it (`OrderChanged`); zero when it is filled.
    Changed(Quantity),
    /// It was canceled (`OrderCanceled`).
    Canceled,
}

/// An event of an order (channel `orderbook-...`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderMessage<'a> {
    /// What is traded.
    pub primary: Code,
    /// The channel's number: rises by one with each of its messages.
    pub nonce: u64,
    /// Venue time.
    pub ts_event: Timestamp,
    /// Which order.
    pub id: PublicOrderId,
    /// Its side.
    pub side: Side,
    /// What happened.
    pub action: OrderAction,
    /// Its price in each currency, zero where it is too small for one; only with [`OrderAction::New`].
    pub prices: &'a [(Code, Price)],
}

/// A public trade (channel `ticker-...`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeMessage<'a> {
    /// What traded.
    pub primary: Code,
    /// The channel's number.
    pub nonce: u64,
    /// Venue time.
    pub ts_event: Timestamp,
    /// How much, positive.
    pub quantity: Quantity,
    /// Side of the order that took.
    pub aggressor: Side,
    /// Its price in each currency.
    pub prices: &'a [(Code, Price)],
}

/// One message of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// Something happened to an order.
    Order(OrderMessage<'a>),
    /// Something traded.
    Trade(TradeMessage<'a>),
    /// What we are subscribed to.
    Subscriptions,
    /// The venue lives.
    Heartbeat,
    /// The venue refuses what we sent.
    Refused,
    /// An event we do not know.
    Other,
}

/// The answer of REST `GetAllOrders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotMessage<'a> {
    /// What is traded.
    pub primary: Code,
    /// The currency of its prices.
    pub secondary: Code,
    /// When it was made (`CreatedTimestampUtc`).
    pub ts_event: Timestamp,
    /// The orders as they stand in the answer: bids, then asks, each side best first; without those whose price is zero
    /// when converted into this currency.
    pub orders: &'a [PublicOrder],
}

/// A message without its prices, which lie in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Order {
        primary: Code,
        nonce: u64,
        ts_event: Timestamp,
        id: PublicOrderId,
        side: Side,
        action: OrderAction,
    },
    Trade {
        primary: Code,
        nonce: u64,
        ts_event: Timestamp,
        quantity: Quantity,
        aggressor: Side,
    },
    Subscriptions,
    Heartbeat,
    Refused,
    Other,
}

/// A snapshot without its orders, which lie in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SnapshotHead {
    primary: Code,
    secondary: Code,
    ts_event: Timestamp,
}

/// A reader with reused buffers.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    prices: Vec<(Code, Price)>,
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
        let head = if let Some(head) = scan::message(frame, &mut self.prices) {
            self.scanned += 1;
            head
        } else {
            self.fallbacks += 1;
            slow::message(frame, &mut self.prices)?
        };
        Ok(self.with_prices(head))
    }

    /// Reads the answer of REST `GetAllOrders`.
    ///
    /// # Errors
    /// [`ParseError`] when it is not one.
    pub fn snapshot(&mut self, body: &[u8]) -> Result<SnapshotMessage<'_>, ParseError> {
        let head = if let Some(head) = scan::snapshot(body, &mut self.orders) {
            self.scanned += 1;
            head
        } else {
            self.fallbacks += 1;
            slow::snapshot(body, &mut self.orders)?
        };
        Ok(SnapshotMessage {
            primary: head.primary,
            secondary: head.secondary,
            ts_event: head.ts_event,
            orders: &self.orders,
        })
    }

    fn with_prices(&self, head: Head) -> Message<'_> {
        match head {
            Head::Order {
                primary,
                nonce,
                ts_event,
                id,
                side,
                action,
            } => Message::Order(OrderMessage {
                primary,
                nonce,
                ts_event,
                id,
                side,
                action,
                prices: &self.prices,
            }),
            Head::Trade {
                primary,
                nonce,
                ts_event,
                quantity,
                aggressor,
            } => Message::Trade(TradeMessage {
                primary,
                nonce,
                ts_event,
                quantity,
                aggressor,
                prices: &self.prices,
            }),
            Head::Subscriptions => Message::Subscriptions,
            Head::Heartbeat => Message::Heartbeat,
            Head::Refused => Message::Refused,
            Head::Other => Message::Other,
        }
    }
}

/// Milliseconds of the venue as a time; beyond the year 2262 saturates.
fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

/// The rules that values must keep, whichever reader read them.
mod rule {
    use super::{
        Code, OrderAction, PRICES_MAX, ParseError, Price, PublicOrder, Quantity, SNAPSHOT_ORDERS_MAX, Side,
    };

    const fn fault(field: &'static str, problem: &'static str) -> ParseError {
        ParseError::Value { field, problem }
    }

    /// A currency's code, in lower case.
    pub(super) fn code(text: &[u8], field: &'static str) -> Result<Code, ParseError> {
        let mut lower = [0; 8];
        let lower = lower.get_mut(..text.len());
        let code = lower.filter(|_| !text.is_empty()).and_then(|lower| {
            lower.copy_from_slice(text);
            lower.make_ascii_lowercase();
            Code::new(std::str::from_utf8(lower).ok()?)
        });
        code.ok_or(fault(field, "a currency is one to eight printable ASCII bytes"))
    }

    /// `orderbook-eth` and `ticker-eth-aud`: which of the two, and the currency that is traded.
    pub(super) fn channel(text: &[u8]) -> Result<(bool, Code), ParseError> {
        let (is_book, rest) = match (text.strip_prefix(b"orderbook-"), text.strip_prefix(b"ticker-")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(fault("Channel", "a channel is `orderbook-...` or `ticker-...`")),
        };
        let primary = rest.split(|&byte| byte == b'-').next().unwrap_or_default();
        Ok((is_book, code(primary, "Channel")?))
    }

    pub(super) fn order_side(order_type: &[u8]) -> Result<Side, ParseError> {
        match order_type {
            b"LimitBid" => Ok(Side::Buy),
            b"LimitOffer" => Ok(Side::Sell),
            _ => Err(fault(
                "OrderType",
                "an order of the book is a `LimitBid` or a `LimitOffer`",
            )),
        }
    }

    pub(super) fn action(action: OrderAction, has_prices: bool) -> Result<OrderAction, ParseError> {
        let is_right = match action {
            OrderAction::New(quantity) => quantity > Quantity::ZERO && has_prices,
            OrderAction::Changed(quantity) => quantity >= Quantity::ZERO,
            OrderAction::Canceled => true,
        };
        if is_right {
            Ok(action)
        } else {
            Err(fault(
                "Volume",
                "a new order has a positive volume and a price, a changed one is not negative",
            ))
        }
    }

    pub(super) fn price(code: Code, price: Price, prices: &mut Vec<(Code, Price)>) -> Result<(), ParseError> {
        if price < Price::ZERO {
            return Err(fault("Price", "a price is not negative"));
        }
        if prices.len() == PRICES_MAX {
            return Err(ParseError::TooMany {
                field: "Price",
                max: PRICES_MAX,
            });
        }
        prices.push((code, price));
        Ok(())
    }

    pub(super) fn order(order: PublicOrder, orders: &mut Vec<PublicOrder>) -> Result<(), ParseError> {
        if order.price < Price::ZERO || order.quantity <= Quantity::ZERO {
            return Err(fault(
                "BuyOrders",
                "an order has a positive volume and a price that is not negative",
            ));
        }
        if order.price.is_zero() {
            return Ok(());
        }
        if orders.len() == SNAPSHOT_ORDERS_MAX {
            return Err(ParseError::TooMany {
                field: "BuyOrders",
                max: SNAPSHOT_ORDERS_MAX,
            });
        }
        orders.push(order);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
