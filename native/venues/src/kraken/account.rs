//! Our account's own streams: what happened to our orders (`executions`) and balances (`balances`).
//!
//! What the documentation says and this reader relies on (2026, never seen live):
//! - An event may leave out all that an earlier one of the same order said: only its number is always there. So the
//!   orders seen are remembered.
//! - A `trade` may say `partially_filled` although it completes the order; a `filled` of its own follows. Only the trade
//!   is a fill.
//! - Messages are counted in `sequence`; a number that does not follow is a message that was lost. Whether a connection
//!   counts or each channel ("the subscription message sequence number"), the second channel's first number tells.
//! - The snapshot holds the open orders and the last fifty trades. Those trades that came to pass while the stream was
//!   down are told; older ones are history.
//! - Balances are totals: what open orders hold of them is not said.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use domain::{
    Balance, ClientOrderId, Currency, Fill, Instrument, InstrumentId, Liquidity, Money, OrderReport,
    OrderReportKind, OrderTerms, Quantity, Side, Text, Timestamp, TradeId, VenueOrderId,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client_id::WireId;
use super::decimal;
use super::orders::{price, quantity, side, venue_order_id};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::iso8601;
use crate::trading::{AccountEvent, AccountProtocol, AccountStatistics, EmitAccount};
use crate::unknown::unknown_word;
use crate::websocket::{StreamMessage, StreamMessageKind};

/// Orders remembered; the oldest are forgotten first.
const ORDERS_MAX: usize = 16_384;

/// Most reports in one message: the venue's own bound of a snapshot is far below.
const REPORTS_MAX: usize = 16_384;

/// Which private channel a message belongs to, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) channel: Channel,
    pub(super) sequence: u64,
}

/// The private channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Executions,
    Balances,
}

/// What is counted: learned from the first number of the second channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    Channels,
    Connection,
}

/// The numbers of the private messages of one connection.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sequences {
    by_channel: [Option<u64>; 2],
    last: Option<u64>,
    counts: Option<Counts>,
}

impl Sequences {
    /// Whether this message follows the last one.
    pub(super) fn follows(&mut self, place: Place) -> bool {
        let number = place.sequence;
        let next = |last: u64| last.checked_add(1) == Some(number);
        let before = self.by_channel[place.channel.index()].replace(number);
        let last = self.last.replace(number);
        match (before, last) {
            // The first of its channel, and the first of all: it begins.
            (None, None) => true,
            (None, Some(last)) => {
                let counts = if number != 1 && next(last) {
                    Counts::Connection
                } else {
                    Counts::Channels
                };
                self.counts = Some(counts);
                true
            }
            (Some(before), Some(last)) => next(match self.counts {
                Some(Counts::Connection) => last,
                Some(Counts::Channels) | None => before,
            }),
            // A number of a channel is the last of all where there is no other.
            (Some(_), None) => false,
        }
    }
}

/// The channel and number of a message; `None` when it is of no private channel.
pub(super) fn place(message: &[u8]) -> Option<Place> {
    let envelope: Envelope<'_> = serde_json::from_slice(message).ok()?;
    Some(Place {
        channel: channel(envelope.channel.as_deref()?)?,
        sequence: envelope.sequence?,
    })
}

impl Channel {
    const fn index(self) -> usize {
        match self {
            Self::Executions => 0,
            Self::Balances => 1,
        }
    }
}

fn channel(word: &str) -> Option<Channel> {
    match word {
        "executions" => Some(Channel::Executions),
        "balances" => Some(Channel::Balances),
        _ => None,
    }
}

/// Channels that tell nothing of the account.
fn is_unused(word: &str) -> bool {
    matches!(word, "heartbeat" | "status")
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    sequence: Option<u64>,
}

#[derive(Deserialize)]
struct RawReport<'a> {
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow)]
    exec_type: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, default)]
    cl_ord_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    symbol: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    side: Option<Cow<'a, str>>,
    #[serde(default)]
    trade_id: Option<u64>,
    #[serde(borrow, default)]
    last_qty: Option<&'a RawValue>,
    #[serde(borrow, default)]
    last_price: Option<&'a RawValue>,
    #[serde(borrow, default)]
    limit_price: Option<&'a RawValue>,
    #[serde(borrow, default)]
    order_qty: Option<&'a RawValue>,
    #[serde(borrow, default)]
    liquidity_ind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    fees: Vec<RawFee<'a>>,
}

#[derive(Deserialize)]
struct RawFee<'a> {
    #[serde(borrow)]
    asset: Cow<'a, str>,
    #[serde(borrow)]
    qty: &'a RawValue,
}

#[derive(Deserialize)]
struct RawBalance<'a> {
    #[serde(borrow)]
    asset: Cow<'a, str>,
    #[serde(borrow)]
    balance: &'a RawValue,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    wallets: Vec<RawWallet<'a>>,
    #[serde(borrow, default)]
    wallet_type: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawWallet<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    balance: &'a RawValue,
}

/// What is remembered of an order.
#[derive(Debug, Clone, Copy)]
struct Known {
    client_order_id: Option<ClientOrderId>,
    instrument: InstrumentId,
    side: Side,
}

/// The orders seen, in the order in which they were.
#[derive(Debug, Default)]
struct Orders {
    known: BTreeMap<VenueOrderId, Known>,
    oldest: VecDeque<VenueOrderId>,
}

impl Orders {
    fn insert(&mut self, id: VenueOrderId, known: Known) {
        if self.known.insert(id, known).is_some() {
            return;
        }
        self.oldest.push_back(id);
        if self.oldest.len() > ORDERS_MAX
            && let Some(gone) = self.oldest.pop_front()
        {
            self.known.remove(&gone);
        }
    }
}

/// What a report is part of.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// News.
    Update,
    /// What stands, and the last trades; told before: everything up to this time.
    Snapshot { told: Option<Timestamp> },
}

/// Reads the account's streams, without I/O.
#[derive(Debug)]
pub struct AccountData {
    instruments: Arc<Instruments>,
    orders: Orders,
    sequences: Sequences,
    /// The newest time of any event: what a snapshot says of before is history.
    newest: Option<Timestamp>,
    is_up: bool,
    statistics: AccountStatistics,
}

fn invalid(field: &'static str, problem: &'static str) -> ParseError {
    ParseError::Value { field, problem }
}

impl AccountData {
    /// For these instruments, not yet subscribed.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>) -> Self {
        Self {
            instruments,
            orders: Orders::default(),
            sequences: Sequences::default(),
            newest: None,
            is_up: false,
            statistics: AccountStatistics::default(),
        }
    }

    fn set_up(&mut self, up: bool, emit: &mut EmitAccount<'_>) {
        if self.is_up != up {
            self.is_up = up;
            emit(if up { AccountEvent::Up } else { AccountEvent::Down });
        }
    }

    fn on_frame(
        &mut self,
        received: Timestamp,
        frame: &[u8],
        emit: &mut EmitAccount<'_>,
    ) -> Result<(), ParseError> {
        let envelope: Envelope<'_> = serde_json::from_slice(frame)?;
        let Some(channel) = envelope.channel.as_deref().and_then(channel) else {
            if let Some(word) = envelope.channel.filter(|word| !is_unused(word)) {
                unknown_word("channel of the account", &word);
            }
            self.statistics.unused += 1;
            return Ok(());
        };
        let sequence = envelope
            .sequence
            .ok_or_else(|| invalid("sequence", "a private message has a number"))?;
        if !self.sequences.follows(Place { channel, sequence }) {
            // Something was lost. The connection is made anew by whoever made it; until then nothing is certain.
            self.set_up(false, emit);
        }
        let is_snapshot = match envelope.kind.as_deref() {
            Some("snapshot") => true,
            Some("update") => false,
            _ => return Err(invalid("type", "a private message is a snapshot or an update")),
        };
        let data = envelope
            .data
            .ok_or_else(|| invalid("data", "a private message has data"))?;
        match channel {
            Channel::Executions => self.on_reports(data.get(), is_snapshot, emit),
            Channel::Balances => on_balances(data.get(), received, emit),
        }
    }

    fn on_reports(
        &mut self,
        data: &str,
        is_snapshot: bool,
        emit: &mut EmitAccount<'_>,
    ) -> Result<(), ParseError> {
        let rows: Vec<&RawValue> = serde_json::from_str(data)?;
        if rows.len() > REPORTS_MAX {
            return Err(ParseError::TooMany {
                field: "data",
                max: REPORTS_MAX,
            });
        }
        let part = if is_snapshot {
            Part::Snapshot { told: self.newest }
        } else {
            Part::Update
        };
        let mut refused = None;
        // Whatever is wrong with one report, the others are told.
        for row in rows {
            let read = serde_json::from_str(row.get()).map_err(ParseError::from);
            let told = read.and_then(|raw| self.on_report(&raw, part, emit));
            if let Err(error) = told {
                refused = Some(error);
            }
        }
        refused.map_or(Ok(()), Err)
    }

    fn on_report(
        &mut self,
        raw: &RawReport<'_>,
        part: Part,
        emit: &mut EmitAccount<'_>,
    ) -> Result<(), ParseError> {
        let id = venue_order_id(&raw.order_id)?;
        let ts_event = iso8601::parse(raw.timestamp.as_bytes()).ok_or_else(|| {
            invalid(
                "timestamp",
                "a time is UTC text such as 2026-08-16T23:37:05.376419Z",
            )
        })?;
        let Some(known) = self.know(id, raw)? else {
            self.statistics.unknown_symbols += 1;
            return Ok(());
        };
        let instrument = *self
            .instruments
            .get(known.instrument)
            .ok_or_else(|| invalid("symbol", "an instrument of this session"))?;
        let fill = match raw.exec_type.as_ref() {
            "trade" => Some(fill(raw, known.side, &instrument)?),
            _ => None,
        };
        self.newest = self.newest.max(Some(ts_event));
        if let Part::Snapshot { told } = part {
            let came_while_down = told.is_some_and(|told| ts_event >= told);
            if fill.is_none() || !came_while_down {
                return Ok(());
            }
        }
        let kind = match (raw.exec_type.as_ref(), raw.limit_price, raw.order_qty) {
            ("amended", Some(price), Some(quantity)) => Some(OrderReportKind::Amended(OrderTerms {
                price: super::orders::price(price.get())?,
                quantity: super::orders::quantity(quantity.get())?,
            })),
            _ => None,
        };
        match (kind, known.client_order_id) {
            (Some(kind), Some(client_order_id)) => emit(AccountEvent::Order(OrderReport {
                client_order_id,
                instrument: known.instrument,
                ts_event,
                kind,
            })),
            _ => self.tell(known, id, raw.exec_type.as_ref(), fill, ts_event, emit),
        }
        Ok(())
    }

    /// What is known of an order, by this report and those before it; `None` for an instrument that is not ours.
    fn know(&mut self, id: VenueOrderId, raw: &RawReport<'_>) -> Result<Option<Known>, ParseError> {
        let mut known = self.orders.known.get(&id).copied();
        if let Some(symbol) = raw.symbol.as_deref() {
            let symbol = Text::new(symbol);
            let listed = symbol.and_then(|symbol| self.instruments.by_symbol(&symbol));
            let Some(instrument) = listed else { return Ok(None) };
            let told = raw.side.as_deref().map(side).transpose()?;
            let side = told.or(known.map(|known| known.side));
            known = Some(Known {
                client_order_id: known.and_then(|known| known.client_order_id),
                instrument: instrument.id,
                side: side.ok_or_else(|| invalid("side", "the first report of an order has a side"))?,
            });
        }
        let mut known =
            known.ok_or_else(|| invalid("symbol", "the first report of an order has a symbol"))?;
        if let Some(text) = raw.cl_ord_id.as_deref() {
            known.client_order_id = WireId::parse(text);
        }
        self.orders.insert(id, known);
        Ok(Some(known))
    }

    fn tell(
        &mut self,
        known: Known,
        venue_order_id: VenueOrderId,
        exec_type: &str,
        fill: Option<Fill>,
        ts_event: Timestamp,
        emit: &mut EmitAccount<'_>,
    ) {
        let Some(client_order_id) = known.client_order_id else {
            emit(AccountEvent::ForeignOrder {
                instrument: known.instrument,
                venue_order_id,
                fill,
                ts_event,
            });
            return;
        };
        let kind = match (exec_type, fill) {
            (_, Some(fill)) => OrderReportKind::Filled(fill),
            ("new", None) => OrderReportKind::Accepted(venue_order_id),
            ("canceled", None) => OrderReportKind::Canceled,
            ("expired", None) => OrderReportKind::Expired,
            // Not live yet; its fills were told one by one; its trigger's price, and its shown part, are not ours to know.
            ("pending_new" | "filled" | "status" | "iceberg_refill", None) => {
                self.statistics.unused += 1;
                return;
            }
            // Its quantity or price is another now: ask.
            ("amended" | "restated", None) => OrderReportKind::OutcomeUnknown,
            // This build has no word for it: ask.
            (word, None) => {
                unknown_word("kind of an execution", word);
                OrderReportKind::OutcomeUnknown
            }
        };
        emit(AccountEvent::Order(OrderReport {
            client_order_id,
            instrument: known.instrument,
            ts_event,
            kind,
        }));
    }
}

impl AccountProtocol for AccountData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut EmitAccount<'_>) -> Result<(), VenueError> {
        match &message.kind {
            StreamMessageKind::Connected => {
                self.sequences = Sequences::default();
                self.set_up(true, emit);
            }
            StreamMessageKind::Disconnected(_) => self.set_up(false, emit),
            StreamMessageKind::Snapshot { .. } => self.statistics.unused += 1,
            StreamMessageKind::Frame(frame) => {
                self.statistics.messages += 1;
                let read = self.on_frame(message.ts_received, frame, emit);
                return read.map_err(|source| {
                    self.statistics.malformed += 1;
                    VenueError::Malformed {
                        what: "account message",
                        source,
                    }
                });
            }
        }
        Ok(())
    }

    fn statistics(&self) -> &AccountStatistics {
        &self.statistics
    }
}

/// The execution in a report of a trade.
fn fill(raw: &RawReport<'_>, side: Side, instrument: &Instrument) -> Result<Fill, ParseError> {
    let number = |raw: Option<&RawValue>, field| {
        raw.map(RawValue::get)
            .ok_or_else(|| invalid(field, "a trade has a price and a quantity"))
            .map(ToOwned::to_owned)
    };
    let trade_id = raw
        .trade_id
        .ok_or_else(|| invalid("trade_id", "a trade has a number"))?;
    Ok(Fill {
        trade_id: TradeId(trade_id),
        price: price(&number(raw.last_price, "last_price")?)?,
        quantity: quantity(&number(raw.last_qty, "last_qty")?)?,
        side,
        fee: fee(&raw.fees, instrument.quote)?,
        liquidity: match raw.liquidity_ind.as_deref() {
            Some("m") => Liquidity::Maker,
            Some("t") => Liquidity::Taker,
            _ => return Err(invalid("liquidity_ind", "a trade made or took: m or t")),
        },
    })
}

/// What was taken, in whichever asset it was.
fn fee(fees: &[RawFee<'_>], quote: Currency) -> Result<Money, ParseError> {
    match fees {
        [] => Ok(Money::zero(quote)),
        [fee] => {
            let asset = Currency::new(&fee.asset)
                .ok_or_else(|| invalid("fees", "an asset is 1 to 12 letters or digits"))?;
            decimal::money(fee.qty.get(), "fees", asset)
        }
        _ => Err(invalid("fees", "a trade has one fee")),
    }
}

/// Totals of what can be traded with: what is lent out is not.
fn on_balances(data: &str, received: Timestamp, emit: &mut EmitAccount<'_>) -> Result<(), ParseError> {
    let rows: Vec<RawBalance<'_>> = serde_json::from_str(data)?;
    if rows.len() > REPORTS_MAX {
        return Err(ParseError::TooMany {
            field: "data",
            max: REPORTS_MAX,
        });
    }
    for raw in &rows {
        // What has another name than letters and digits is lent out or no asset to trade.
        let Some(currency) = Currency::new(&raw.asset) else {
            continue;
        };
        if raw.wallet_type.as_deref().is_some_and(|kind| kind != "spot") {
            continue;
        }
        let spot = raw.wallets.iter().filter(|wallet| wallet.kind == "spot");
        let mut total = 0_i64;
        if raw.wallets.is_empty() {
            total = decimal::units_cut(raw.balance.get(), "balance")?;
        }
        for wallet in spot {
            total = total.saturating_add(decimal::units_cut(wallet.balance.get(), "balance")?);
        }
        let time = raw
            .timestamp
            .as_deref()
            .map(|text| iso8601::parse(text.as_bytes()));
        let time = time.map(|time| time.ok_or_else(|| invalid("timestamp", "a time is UTC text")));
        emit(AccountEvent::Balance {
            ts_event: time.transpose()?.unwrap_or(received),
            balance: Balance {
                currency,
                free: Quantity::from_units(total),
                locked: Quantity::ZERO,
            },
        });
    }
    Ok(())
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
