//! Messages of the user data stream: what happened to our orders and our balances.
//!
//! `executionReport` is a flat object whose optional fields come and go with the kind of order, so its fast
//! reader walks the keys instead of a fixed skeleton. It gives up (and `serde_json` reads) at any nested
//! value, escape, repeated key or unusual number.

use std::borrow::Cow;

use domain::{Balance, Currency, OrderStatus, Price, Quantity, Side, Text, Timestamp, TradeId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::scan::Cursor;
use super::{ParseError, Symbol, slow, timestamp};
use crate::unknown::unknown_word;

/// Most assets in one account message.
const POSITIONS_MAX: usize = 10_000;

/// What kind of event an execution report is (`x`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionType {
    /// The order rests or was taken.
    New,
    /// It was canceled.
    Canceled,
    /// It was refused after it had been taken.
    Rejected,
    /// It traded.
    Trade,
    /// The venue ended it.
    Expired,
    /// Self-trade prevention took some or all of it.
    TradePrevention,
    /// Its quantity was lowered.
    Replaced,
    /// A kind this build does not know.
    Unknown,
}

impl ExecutionType {
    fn parse(text: &[u8]) -> Self {
        match text {
            b"NEW" => Self::New,
            b"CANCELED" => Self::Canceled,
            b"REJECTED" => Self::Rejected,
            b"TRADE" => Self::Trade,
            b"EXPIRED" => Self::Expired,
            b"TRADE_PREVENTION" => Self::TradePrevention,
            b"REPLACED" => Self::Replaced,
            word => {
                unknown_word("kind of an execution", &String::from_utf8_lossy(word));
                Self::Unknown
            }
        }
    }
}

/// The venue's order status in our words; a status this build does not know is `Unknown`.
pub(in crate::binance) fn order_status(text: &[u8]) -> OrderStatus {
    match text {
        b"NEW" | b"PENDING_NEW" => OrderStatus::Accepted,
        b"PARTIALLY_FILLED" => OrderStatus::PartiallyFilled,
        b"FILLED" => OrderStatus::Filled,
        b"CANCELED" => OrderStatus::Canceled,
        b"PENDING_CANCEL" => OrderStatus::PendingCancel,
        b"REJECTED" => OrderStatus::Rejected,
        b"EXPIRED" | b"EXPIRED_IN_MATCH" => OrderStatus::Expired,
        word => {
            unknown_word("status of an order", &String::from_utf8_lossy(word));
            OrderStatus::Unknown
        }
    }
}

/// The venue's side in our words.
pub(in crate::binance) fn side(text: &[u8]) -> Option<Side> {
    match text {
        b"BUY" => Some(Side::Buy),
        b"SELL" => Some(Side::Sell),
        _ => None,
    }
}

/// An event of one order on our account (`executionReport`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// What it trades.
    pub symbol: Symbol,
    /// When it happened (`T`).
    pub ts_event: Timestamp,
    /// The order's client id: `C` when the event is a cancel, whose own id stands in `c`.
    pub client_order_id: Text<40>,
    /// The venue's number of the order.
    pub venue_order_id: u64,
    /// The order's side.
    pub side: Side,
    /// What happened.
    pub kind: ExecutionType,
    /// The order's state after it.
    pub status: OrderStatus,
    /// What the order asks for, zero when it is one at the market.
    pub price: Price,
    /// Its base quantity in all, as it is after a change.
    pub quantity: Quantity,
    /// Base quantity of this execution, zero when it is not one.
    pub last_quantity: Quantity,
    /// Its price, zero when it is not one.
    pub last_price: Price,
    /// Base quantity executed so far.
    pub filled: Quantity,
    /// What the venue took, in units of 1e-8 of `fee_currency`.
    pub fee: Quantity,
    /// In which asset; `None` when it took nothing.
    pub fee_currency: Option<Currency>,
    /// The venue's number of the execution; `None` when it is not one.
    pub trade_id: Option<TradeId>,
    /// Whether our order was resting.
    pub is_maker: bool,
}

/// Balances after a change (`outboundAccountPosition`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// When the account changed (`u`).
    pub ts_event: Timestamp,
    /// The assets that may have changed. Assets whose code is not plain ASCII are left out.
    pub balances: Vec<Balance>,
}

/// One message of the user data stream or an answer on its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountMessage {
    /// An event of an order.
    Execution(Execution),
    /// Balances changed.
    Position(Position),
    /// The subscription has ended; the connection may live on.
    Terminated,
    /// The server will close this connection soon.
    ServerShutdown,
    /// The answer to a request on this connection.
    Answer {
        /// HTTP-like status: 200 is success.
        status: u16,
        /// The venue's code, zero on success.
        code: i64,
        /// The venue's words, empty on success.
        message: String,
    },
    /// An event we do not use.
    Other,
}

/// One value of a flat JSON object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    Text(&'a [u8]),
    Number(&'a [u8]),
    True,
    False,
    Null,
}

/// The values of single-letter keys.
struct Letters<'a>([Option<Value<'a>>; 128]);

impl<'a> Letters<'a> {
    fn get(&self, key: u8) -> Option<Value<'a>> {
        self.0[usize::from(key & 0x7f)]
    }

    fn text(&self, key: u8) -> Option<&'a [u8]> {
        match self.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn unsigned(&self, key: u8) -> Option<u64> {
        match self.get(key)? {
            Value::Number(digits) => {
                let mut cursor = Cursor::new(digits);
                let value = cursor.unsigned()?;
                cursor.is_at_end().then_some(value)
            }
            _ => None,
        }
    }

    fn flag(&self, key: u8) -> Option<bool> {
        match self.get(key)? {
            Value::True => Some(true),
            Value::False => Some(false),
            _ => None,
        }
    }
}

/// Reads an execution report; `None` sends the bytes to [`read_slowly`].
pub(super) fn scan_execution(frame: &[u8]) -> Option<Execution> {
    let mut cursor = Cursor::new(frame);
    let wrapped = cursor.literal(br#"{"subscriptionId":"#).is_some();
    if wrapped {
        cursor.unsigned()?;
        cursor.literal(br#","event":"#)?;
    }
    cursor.literal(br#"{"e":"executionReport","#)?;
    let letters = flat_members(&mut cursor)?;
    if wrapped {
        cursor.byte(b'}')?;
    }
    if !cursor.is_at_end() || letters.get(b'e').is_some() {
        return None;
    }
    let text = |key| std::str::from_utf8(letters.text(key)?).ok();
    let trade_id = match letters.get(b't')? {
        Value::Number(b"-1") => None,
        _ => Some(TradeId(
            letters.unsigned(b't').filter(|&id| i64::try_from(id).is_ok())?,
        )),
    };
    let fee_currency = match letters.get(b'N')? {
        Value::Null => None,
        _ => Some(Currency::new(text(b'N')?)?),
    };
    let original = match letters.get(b'C') {
        Some(_) => letters.text(b'C')?,
        None => b"",
    };
    let client_order_id = if original.is_empty() {
        text(b'c')?
    } else {
        text(b'C')?
    };
    // Required by the oracle too, so that both refuse alike.
    letters.text(b'c')?;
    Some(Execution {
        symbol: Symbol::new(text(b's')?)?,
        ts_event: timestamp(letters.unsigned(b'T')?),
        client_order_id: Text::new(client_order_id)?,
        venue_order_id: letters.unsigned(b'i')?,
        side: side(letters.text(b'S')?)?,
        kind: ExecutionType::parse(letters.text(b'x')?),
        status: order_status(letters.text(b'X')?),
        price: Price::parse(letters.text(b'p')?).ok()?,
        quantity: Quantity::parse(letters.text(b'q')?).ok()?,
        last_quantity: Quantity::parse(letters.text(b'l')?).ok()?,
        last_price: Price::parse(letters.text(b'L')?).ok()?,
        filled: Quantity::parse(letters.text(b'z')?).ok()?,
        fee: Quantity::parse(letters.text(b'n')?).ok()?,
        fee_currency,
        trade_id,
        is_maker: letters.flag(b'm')?,
    })
}

/// The members of an object after its first one, up to and with the closing brace.
fn flat_members<'a>(cursor: &mut Cursor<'a>) -> Option<Letters<'a>> {
    let mut letters = Letters([None; 128]);
    loop {
        cursor.byte(b'"')?;
        let key = cursor.text()?;
        cursor.byte(b':')?;
        let value = value(cursor)?;
        if let [letter] = key {
            let slot = &mut letters.0[usize::from(letter & 0x7f)];
            if slot.replace(value).is_some() {
                return None;
            }
        }
        if cursor.byte(b',').is_none() {
            cursor.byte(b'}')?;
            return Some(letters);
        }
    }
}

fn value<'a>(cursor: &mut Cursor<'a>) -> Option<Value<'a>> {
    match cursor.peek()? {
        b'"' => {
            cursor.byte(b'"')?;
            cursor.text().map(Value::Text)
        }
        b't' => cursor.literal(b"true").map(|()| Value::True),
        b'f' => cursor.literal(b"false").map(|()| Value::False),
        b'n' => cursor.literal(b"null").map(|()| Value::Null),
        _ => cursor.number().map(Value::Number),
    }
}

#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    e: Option<Cow<'a, str>>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(borrow, default)]
    error: Option<Refusal<'a>>,
}

#[derive(Deserialize)]
struct Refusal<'a> {
    code: i64,
    #[serde(borrow, default)]
    msg: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawExecution<'a> {
    #[serde(borrow, rename = "s")]
    symbol: Cow<'a, str>,
    #[serde(rename = "T")]
    transaction_ms: u64,
    #[serde(borrow, rename = "c")]
    client_order_id: Cow<'a, str>,
    #[serde(borrow, default, rename = "C")]
    original_client_order_id: Cow<'a, str>,
    #[serde(rename = "i")]
    venue_order_id: u64,
    #[serde(borrow, rename = "S")]
    side: Cow<'a, str>,
    #[serde(borrow, rename = "x")]
    kind: Cow<'a, str>,
    #[serde(borrow, rename = "X")]
    status: Cow<'a, str>,
    #[serde(borrow, rename = "p")]
    price: Cow<'a, str>,
    #[serde(borrow, rename = "q")]
    quantity: Cow<'a, str>,
    #[serde(borrow, rename = "l")]
    last_quantity: Cow<'a, str>,
    #[serde(borrow, rename = "L")]
    last_price: Cow<'a, str>,
    #[serde(borrow, rename = "z")]
    filled: Cow<'a, str>,
    #[serde(borrow, rename = "n")]
    fee: Cow<'a, str>,
    #[serde(borrow, rename = "N")]
    fee_currency: Option<Cow<'a, str>>,
    #[serde(rename = "t")]
    trade_id: i64,
    #[serde(rename = "m")]
    is_maker: bool,
}

#[derive(Deserialize)]
struct RawPosition<'a> {
    #[serde(rename = "u")]
    update_ms: u64,
    #[serde(borrow, rename = "B")]
    balances: Vec<RawBalance<'a>>,
}

#[derive(Deserialize)]
struct RawBalance<'a> {
    #[serde(borrow, rename = "a")]
    asset: Cow<'a, str>,
    #[serde(borrow, rename = "f")]
    free: Cow<'a, str>,
    #[serde(borrow, rename = "l")]
    locked: Cow<'a, str>,
}

/// Reads any message of the user data stream with `serde_json`.
pub(super) fn read_slowly(frame: &[u8]) -> Result<AccountMessage, ParseError> {
    let text = std::str::from_utf8(frame).map_err(|_| ParseError::Value {
        field: "",
        problem: "a message is UTF-8 text",
    })?;
    let probe: Probe<'_> = serde_json::from_str(text)?;
    if let Some(event) = probe.event {
        let inner: Probe<'_> = serde_json::from_str(event.get())?;
        return event_message(event.get(), inner.e.as_deref());
    }
    if let Some(status) = probe.status {
        let (code, message) = probe
            .error
            .map_or((0, String::new()), |error| (error.code, error.msg.into_owned()));
        return Ok(AccountMessage::Answer {
            status,
            code,
            message,
        });
    }
    event_message(text, probe.e.as_deref())
}

fn event_message(text: &str, kind: Option<&str>) -> Result<AccountMessage, ParseError> {
    match kind {
        Some("executionReport") => execution(&serde_json::from_str(text)?).map(AccountMessage::Execution),
        Some("outboundAccountPosition") => {
            position(&serde_json::from_str(text)?).map(AccountMessage::Position)
        }
        Some("eventStreamTerminated") => Ok(AccountMessage::Terminated),
        Some("serverShutdown") => Ok(AccountMessage::ServerShutdown),
        // Deposits, lists of orders and locks: balances follow them, and we use no lists.
        Some("balanceUpdate" | "listStatus" | "externalLockUpdate") | None => Ok(AccountMessage::Other),
        Some(word) => {
            unknown_word("event of the account", word);
            Ok(AccountMessage::Other)
        }
    }
}

fn execution(raw: &RawExecution<'_>) -> Result<Execution, ParseError> {
    let invalid = |field, problem| ParseError::Value { field, problem };
    let client_order_id = if raw.original_client_order_id.is_empty() {
        &raw.client_order_id
    } else {
        &raw.original_client_order_id
    };
    let fee_currency = match raw.fee_currency.as_deref() {
        None => None,
        Some(code) => {
            Some(Currency::new(code).ok_or_else(|| invalid("N", "an asset is 1 to 12 letters or digits"))?)
        }
    };
    let trade_id = match raw.trade_id {
        -1 => None,
        id => Some(TradeId(
            u64::try_from(id).map_err(|_| invalid("t", "a trade id is -1 or not negative"))?,
        )),
    };
    Ok(Execution {
        symbol: slow::symbol(&raw.symbol)?,
        ts_event: timestamp(raw.transaction_ms),
        client_order_id: Text::new(client_order_id)
            .ok_or_else(|| invalid("c", "a client order id is at most 40 printable ASCII bytes"))?,
        venue_order_id: raw.venue_order_id,
        side: side(raw.side.as_bytes()).ok_or_else(|| invalid("S", "a side is BUY or SELL"))?,
        kind: ExecutionType::parse(raw.kind.as_bytes()),
        status: order_status(raw.status.as_bytes()),
        price: slow::price(&raw.price, "p")?,
        quantity: slow::quantity(&raw.quantity, "q")?,
        last_quantity: slow::quantity(&raw.last_quantity, "l")?,
        last_price: slow::price(&raw.last_price, "L")?,
        filled: slow::quantity(&raw.filled, "z")?,
        fee: slow::quantity(&raw.fee, "n")?,
        fee_currency,
        trade_id,
        is_maker: raw.is_maker,
    })
}

fn position(raw: &RawPosition<'_>) -> Result<Position, ParseError> {
    if raw.balances.len() > POSITIONS_MAX {
        return Err(ParseError::TooMany {
            field: "B",
            max: POSITIONS_MAX,
        });
    }
    let mut balances = Vec::with_capacity(raw.balances.len());
    for balance in &raw.balances {
        // The venue lists assets whose names are not ASCII; none of them can be traded here.
        if let Some(currency) = Currency::new(&balance.asset) {
            balances.push(Balance {
                currency,
                free: slow::quantity(&balance.free, "f")?,
                locked: slow::quantity(&balance.locked, "l")?,
            });
        }
    }
    Ok(Position {
        ts_event: timestamp(raw.update_ms),
        balances,
    })
}
