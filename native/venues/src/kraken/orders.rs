//! What the venue answers about orders, trades and balances, and what it means, whichever door it came through.
//!
//! The one rule that matters: only the venue's own words that say so are a definite no. Anything else (no answer, words
//! that are not known, an answer nobody can read) leaves the outcome unknown.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::{
    AmendRejectReason, AmendRequest, Balance, CancelRejectReason, CancelRequest, Currency, Fill,
    FixedPointError, Instrument, Liquidity, OrderReport, OrderReportKind, OrderRequest, OrderStatus, Price,
    Quantity, RejectReason, Side, Text, Timestamp, TradeId, VenueOrderId,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Meaning, Outcome};
use super::client_id::WireId;
use super::decimal;
use super::rules::Names;
use crate::error::{ParseError, VenueError};
use crate::trading::{AccountTrade, KeyRights, OrderView};
use crate::unknown::unknown_word;

/// Most orders or trades in one answer.
const LIST_MAX: usize = 16_384;

/// What an attempt to place an order came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Submitted {
    /// This report.
    Report(OrderReport),
    /// The id is in use by an open order: the first attempt arrived. Ask for the order.
    AlreadyOpen,
}

/// What a request that may have reached the venue left behind.
pub(super) type Exchanged = Result<Outcome, VenueError>;

fn invalid(field: &'static str, problem: &'static str) -> ParseError {
    ParseError::Value { field, problem }
}

/// What the answer to a new order means. It tells no fills: those come over the account's stream.
pub(super) fn submitted(order: &OrderRequest, exchanged: &Exchanged, now: Timestamp) -> Submitted {
    let report = |kind| {
        Submitted::Report(OrderReport {
            client_order_id: order.client_order_id,
            instrument: order.instrument,
            ts_event: now,
            kind,
        })
    };
    match exchanged {
        // It never left.
        Err(
            VenueError::RateLimited { .. } | VenueError::NotConnected { .. } | VenueError::Stopped { .. },
        ) => report(OrderReportKind::NotSent),
        Err(_) | Ok(Outcome::Unreadable) => report(OrderReportKind::OutcomeUnknown),
        Ok(Outcome::Done(result)) => {
            report(placed(order, result).map_or(OrderReportKind::OutcomeUnknown, OrderReportKind::Accepted))
        }
        Ok(Outcome::Refused(refusal)) => match refusal.meaning() {
            Meaning::No(RejectReason::DuplicateId) => Submitted::AlreadyOpen,
            Meaning::No(reason) => report(OrderReportKind::Rejected(reason)),
            // That an order just sent is not known is no answer to it.
            Meaning::NoSuchOrder | Meaning::Unknown => report(OrderReportKind::OutcomeUnknown),
        },
    }
}

/// Reads the result of `AddOrder` or `add_order`.
fn placed(order: &OrderRequest, result: &[u8]) -> Result<VenueOrderId, ParseError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, default)]
        txid: Vec<Cow<'a, str>>,
        #[serde(borrow, default)]
        order_id: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        cl_ord_id: Option<Cow<'a, str>>,
    }
    let raw: Raw<'_> = serde_json::from_slice(result)?;
    let ours = |text: &str| WireId::parse(text) == Some(order.client_order_id);
    if raw.cl_ord_id.as_deref().is_some_and(|text| !ours(text)) {
        return Err(invalid("cl_ord_id", "the answer is about another order"));
    }
    match (&raw.txid[..], &raw.order_id) {
        ([id], None) | ([], Some(id)) => venue_order_id(id),
        _ => Err(invalid("txid", "an order placed has one number")),
    }
}

/// What the answer to a cancel means.
pub(super) fn canceled(cancel: &CancelRequest, exchanged: &Exchanged, now: Timestamp) -> OrderReport {
    let kind = match exchanged {
        // The order is as it was: only the cancel did not leave.
        Err(
            VenueError::RateLimited { .. } | VenueError::NotConnected { .. } | VenueError::Stopped { .. },
        ) => OrderReportKind::CancelRejected(CancelRejectReason::Other),
        Err(_) | Ok(Outcome::Unreadable) => OrderReportKind::OutcomeUnknown,
        Ok(Outcome::Done(result)) => canceled_one(cancel, result).unwrap_or(OrderReportKind::OutcomeUnknown),
        Ok(Outcome::Refused(refusal)) => match refusal.meaning() {
            Meaning::NoSuchOrder => OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder),
            Meaning::No(_) => OrderReportKind::CancelRejected(CancelRejectReason::Other),
            Meaning::Unknown => OrderReportKind::OutcomeUnknown,
        },
    };
    OrderReport {
        client_order_id: cancel.client_order_id,
        instrument: cancel.instrument,
        ts_event: now,
        kind,
    }
}

/// What came of a change of an order.
pub(super) fn amended(amend: &AmendRequest, exchanged: &Exchanged, now: Timestamp) -> OrderReport {
    let kind = match exchanged {
        // The order is as it was: only the request did not leave.
        Err(
            VenueError::RateLimited { .. } | VenueError::NotConnected { .. } | VenueError::Stopped { .. },
        ) => OrderReportKind::AmendRejected(AmendRejectReason::Other),
        Err(_) | Ok(Outcome::Unreadable) => OrderReportKind::OutcomeUnknown,
        Ok(Outcome::Done(_)) => OrderReportKind::Amended(amend.terms),
        Ok(Outcome::Refused(refusal)) => match refusal.meaning() {
            Meaning::NoSuchOrder => OrderReportKind::AmendRejected(AmendRejectReason::UnknownOrder),
            Meaning::No(_) => OrderReportKind::AmendRejected(AmendRejectReason::Other),
            Meaning::Unknown => OrderReportKind::OutcomeUnknown,
        },
    };
    OrderReport {
        client_order_id: amend.client_order_id,
        instrument: amend.instrument,
        ts_event: now,
        kind,
    }
}

/// The result of `CancelOrder` (a count) or `cancel_order` (the order's names).
#[derive(Deserialize)]
struct RawCanceled<'a> {
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    pending: bool,
    #[serde(borrow, default)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cl_ord_id: Option<Cow<'a, str>>,
}

impl RawCanceled<'_> {
    /// What it says of the one order that was named. `is_it` tells whether the names in the answer may be that order's.
    fn meaning(&self, is_it: bool) -> Gone {
        match (self.pending, self.count, &self.order_id, &self.cl_ord_id) {
            // Taken, and not done yet; or about another order.
            (true, ..) => Gone::Unknown,
            _ if !is_it => Gone::Unknown,
            (_, Some(0), ..) => Gone::NotOpen,
            (_, Some(1), ..) | (_, None, Some(_), _) | (_, None, _, Some(_)) => Gone::Canceled,
            _ => Gone::Unknown,
        }
    }
}

fn canceled_one(cancel: &CancelRequest, result: &[u8]) -> Result<OrderReportKind, ParseError> {
    let raw: RawCanceled<'_> = serde_json::from_slice(result)?;
    let name = raw.cl_ord_id.as_deref();
    let is_it = name.is_none_or(|text| WireId::parse(text) == Some(cancel.client_order_id));
    Ok(match raw.meaning(is_it) {
        Gone::Canceled => OrderReportKind::Canceled,
        Gone::NotOpen => OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder),
        Gone::Unknown => OrderReportKind::OutcomeUnknown,
    })
}

/// What the answer to a cancel says of its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// The venue canceled it.
    Canceled,
    /// It was not open any more.
    NotOpen,
    /// The answer does not say that it is gone: it may be.
    Unknown,
}

/// What the answer to a cancel by the venue's number means.
///
/// # Errors
/// [`VenueError`] when the cancel did not leave, or the venue refuses it: the order is as it was.
pub(super) fn gone(order: VenueOrderId, exchanged: Exchanged) -> Result<Gone, VenueError> {
    match exchanged {
        Err(
            error @ (VenueError::RateLimited { .. }
            | VenueError::NotConnected { .. }
            | VenueError::Stopped { .. }),
        ) => Err(error),
        Err(_) | Ok(Outcome::Unreadable) => Ok(Gone::Unknown),
        Ok(Outcome::Done(result)) => Ok(gone_by(order, &result).unwrap_or(Gone::Unknown)),
        Ok(Outcome::Refused(refusal)) => match refusal.meaning() {
            Meaning::NoSuchOrder => Ok(Gone::NotOpen),
            Meaning::Unknown => Ok(Gone::Unknown),
            Meaning::No(_) => Err(VenueError::Refused {
                request: "cancel",
                status: 200,
                code: 0,
                message: refusal.text(),
            }),
        },
    }
}

fn gone_by(order: VenueOrderId, result: &[u8]) -> Result<Gone, ParseError> {
    let raw: RawCanceled<'_> = serde_json::from_slice(result)?;
    let name = raw.order_id.as_deref();
    Ok(raw.meaning(name.is_none_or(|id| id == order.0.as_str())))
}

/// Reads what a key may do. The venue names each right in words; every one that speaks of withdrawing counts.
pub(super) fn key_rights(result: &[u8]) -> Result<KeyRights, ParseError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        permissions: Vec<Cow<'a, str>>,
    }
    let raw: Raw<'_> = serde_json::from_slice(result)?;
    let withdraws = |word: &Cow<'_, str>| word.to_ascii_lowercase().contains("withdraw");
    Ok(KeyRights {
        may_withdraw: raw.permissions.iter().any(withdraws),
    })
}

/// Reads how many orders a request canceled.
pub(super) fn count(result: &[u8]) -> Result<u64, ParseError> {
    #[derive(Deserialize)]
    struct Raw {
        count: u64,
    }
    Ok(serde_json::from_slice::<Raw>(result)?.count)
}

/// The venue's text for an order.
pub(super) fn venue_order_id(text: &str) -> Result<VenueOrderId, ParseError> {
    let fits = Text::new(text).filter(|_| super::sign::is_name(text));
    fits.map(VenueOrderId).ok_or_else(|| {
        invalid(
            "order id",
            "an order has a number of 1 to 40 letters, digits and hyphens",
        )
    })
}

pub(super) fn side(word: &str) -> Result<Side, ParseError> {
    match word {
        "buy" => Ok(Side::Buy),
        "sell" => Ok(Side::Sell),
        _ => Err(invalid("side", "a side is buy or sell")),
    }
}

#[derive(Deserialize)]
struct RawOrder<'a> {
    #[serde(borrow, default)]
    cl_ord_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    opentm: &'a RawValue,
    #[serde(borrow, default)]
    closetm: Option<&'a RawValue>,
    #[serde(borrow)]
    descr: RawDescription<'a>,
    #[serde(borrow)]
    vol: Cow<'a, str>,
    #[serde(borrow)]
    vol_exec: Cow<'a, str>,
    #[serde(borrow, default)]
    oflags: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawDescription<'a> {
    #[serde(borrow)]
    pair: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    side: Cow<'a, str>,
    #[serde(borrow, default)]
    ordertype: Cow<'a, str>,
    #[serde(borrow, default)]
    price: Cow<'a, str>,
}

/// Reads the result of `OpenOrders` (`open`), `ClosedOrders` (`closed`) or `QueryOrders` (no such word): the orders of
/// this instrument, whoever placed them.
pub(super) fn orders(
    result: &[u8],
    list: Option<&'static str>,
    instrument: &Instrument,
    names: &Names,
) -> Result<Vec<OrderView>, ParseError> {
    let outer: BTreeMap<Cow<'_, str>, &RawValue>;
    let text = match list {
        Some(word) => {
            outer = serde_json::from_slice(result)?;
            let found = outer.get(word).ok_or_else(|| invalid(word, "a list of orders"))?;
            found.get()
        }
        None => std::str::from_utf8(result).map_err(|_| invalid("", "an answer is UTF-8 text"))?,
    };
    let raw: BTreeMap<Cow<'_, str>, RawOrder<'_>> = serde_json::from_str(text)?;
    bounded(raw.len(), "orders")?;
    raw.iter()
        .filter(|(_, order)| names.instrument(&order.descr.pair) == Some(instrument.id))
        .map(|(id, order)| view(id, order, instrument))
        .collect()
}

fn view(id: &str, raw: &RawOrder<'_>, instrument: &Instrument) -> Result<OrderView, ParseError> {
    let filled = Quantity::from_units(decimal::units(&raw.vol_exec, "vol_exec")?);
    let in_quote = raw.oflags.split(',').any(|flag| flag == "viqc");
    let quantity = if in_quote {
        // Somebody else's, counted in the quote asset: of the base asset only what was executed is known.
        filled
    } else {
        Quantity::from_units(decimal::units(&raw.vol, "vol")?)
    };
    let time = match raw.closetm {
        Some(time) if time.get() != "null" => time,
        _ => raw.opentm,
    };
    Ok(OrderView {
        client_order_id: raw.cl_ord_id.as_deref().and_then(WireId::parse),
        venue_order_id: venue_order_id(id)?,
        instrument: instrument.id,
        side: side(&raw.descr.side)?,
        status: status(&raw.status, quantity, filled),
        price: (raw.descr.ordertype == "limit")
            .then(|| price(&raw.descr.price))
            .transpose()?,
        quantity,
        filled,
        ts_event: decimal::unix_time(time.get(), "closetm")?,
    })
}

fn status(word: &str, quantity: Quantity, filled: Quantity) -> OrderStatus {
    match word {
        "pending" | "open" if filled > Quantity::ZERO => OrderStatus::PartiallyFilled,
        "pending" | "open" => OrderStatus::Accepted,
        "closed" if filled >= quantity => OrderStatus::Filled,
        // Over, and not all of it traded.
        "closed" | "canceled" => OrderStatus::Canceled,
        "expired" => OrderStatus::Expired,
        _ => {
            unknown_word("status of an order", word);
            OrderStatus::Unknown
        }
    }
}

fn bounded(count: usize, field: &'static str) -> Result<(), ParseError> {
    if count > LIST_MAX {
        return Err(ParseError::TooMany { field, max: LIST_MAX });
    }
    Ok(())
}

/// One answer of `TradesHistory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TradesPage {
    /// The trades of the instrument, by the venue's name of each.
    pub(super) trades: BTreeMap<String, AccountTrade>,
    /// How many trades the answer held, those of other instruments included.
    pub(super) len: usize,
}

#[derive(Deserialize)]
struct RawTrade<'a> {
    #[serde(borrow)]
    ordertxid: Cow<'a, str>,
    #[serde(borrow)]
    time: &'a RawValue,
    #[serde(borrow, rename = "type")]
    side: Cow<'a, str>,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    vol: Cow<'a, str>,
    #[serde(borrow)]
    fee: Cow<'a, str>,
    trade_id: u64,
    maker: bool,
}

/// Reads the result of `TradesHistory`.
pub(super) fn trades(
    result: &[u8],
    instrument: &Instrument,
    names: &Names,
) -> Result<TradesPage, ParseError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        trades: BTreeMap<Cow<'a, str>, &'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        pair: Cow<'a, str>,
    }
    let raw: Raw<'_> = serde_json::from_slice(result)?;
    bounded(raw.trades.len(), "trades")?;
    let mut trades = BTreeMap::new();
    for (name, one) in &raw.trades {
        let probe: Probe<'_> = serde_json::from_str(one.get())?;
        if names.instrument(&probe.pair) == Some(instrument.id) {
            let read: RawTrade<'_> = serde_json::from_str(one.get())?;
            trades.insert(name.clone().into_owned(), trade(&read, instrument)?);
        }
    }
    Ok(TradesPage {
        trades,
        len: raw.trades.len(),
    })
}

fn trade(raw: &RawTrade<'_>, instrument: &Instrument) -> Result<AccountTrade, ParseError> {
    Ok(AccountTrade {
        // The list does not tell.
        client_order_id: None,
        venue_order_id: venue_order_id(&raw.ordertxid)?,
        instrument: instrument.id,
        ts_event: decimal::unix_time(raw.time.get(), "time")?,
        fill: Fill {
            trade_id: TradeId(raw.trade_id),
            price: price(&raw.price)?,
            quantity: quantity(&raw.vol)?,
            side: side(&raw.side)?,
            // Every order of ours asks for it in the quote asset, and the list says that it is.
            fee: decimal::money(&raw.fee, "fee", instrument.quote)?,
            liquidity: if raw.maker {
                Liquidity::Maker
            } else {
                Liquidity::Taker
            },
        },
    })
}

/// The price of a trade: an average where a taker's trades are told as one, so what is finer than we count is cut off.
pub(super) fn price(text: &str) -> Result<Price, ParseError> {
    match decimal::units_cut(text, "price")? {
        units if units > 0 => Ok(Price::from_units(units)),
        _ => Err(invalid("price", "a trade has a positive price")),
    }
}

/// The quantity of a trade.
pub(super) fn quantity(text: &str) -> Result<Quantity, ParseError> {
    match decimal::units(text, "quantity")? {
        units if units > 0 => Ok(Quantity::from_units(units)),
        _ => Err(invalid("quantity", "a trade has a positive quantity")),
    }
}

/// Reads the result of `BalanceEx`: balances that are not zero. What is lent out (`ETH.F`) is left out: it is another
/// asset to the venue.
pub(super) fn balances(result: &[u8], names: &Names) -> Result<Vec<Balance>, ParseError> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        balance: Cow<'a, str>,
        #[serde(borrow, default)]
        hold_trade: Option<Cow<'a, str>>,
    }
    let raw: BTreeMap<Cow<'_, str>, Raw<'_>> = serde_json::from_slice(result)?;
    bounded(raw.len(), "balances")?;
    let mut totals: BTreeMap<Currency, (i64, i64)> = BTreeMap::new();
    let too_large = |field| ParseError::Number {
        field,
        source: FixedPointError::OutOfRange,
    };
    for (asset, raw) in &raw {
        let Some(currency) = names.currency(asset) else {
            continue;
        };
        let total = decimal::units_cut(&raw.balance, "balance")?;
        let held = raw.hold_trade.as_deref().unwrap_or("0");
        let held = decimal::units_cut(held, "hold_trade")?;
        let sum = totals.entry(currency).or_default();
        *sum = (
            sum.0.checked_add(total).ok_or_else(|| too_large("balance"))?,
            sum.1.checked_add(held).ok_or_else(|| too_large("hold_trade"))?,
        );
    }
    let balances = totals.into_iter().map(|(currency, (total, held))| Balance {
        currency,
        free: Quantity::from_units(total.saturating_sub(held)),
        locked: Quantity::from_units(held),
    });
    Ok(balances
        .filter(|balance| !balance.free.is_zero() || !balance.locked.is_zero())
        .collect())
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
