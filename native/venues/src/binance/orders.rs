//! What the venue answers about orders, trades and balances over REST, and what it means.
//!
//! The one rule that matters: only an answer that is the venue's own and says so is a definite no. Anything
//! else (no answer, a server error, an answer nobody can read) leaves the outcome unknown.

use std::borrow::Cow;

use domain::{
    AmendRejectReason, AmendRequest, Balance, CancelRejectReason, ClientOrderId, Currency, Fill, Instrument,
    InstrumentId, Liquidity, Money, OrderReport, OrderReportKind, OrderRequest, OrderStatus, OrderTerms,
    Price, Quantity, RejectReason, Side, Text, Timestamp, TradeId, VenueOrderId,
};
use serde::Deserialize;

use super::parser::{self, price, quantity};
use super::rest::Answer;
use crate::error::{AUTHENTICATION_CODES, ParseError, VenueError};
use crate::trading::{AccountTrade, KeyRights, OrderView};

/// Codes that say "nobody knows": unknown error, internal disconnect, unexpected answer, timeout.
const UNKNOWN_CODES: [i64; 4] = [-1000, -1001, -1006, -1007];

/// The venue's "Order does not exist."
pub(super) const NO_SUCH_ORDER: i64 = -2013;

/// The venue's "Unknown order sent.": nothing to cancel.
pub(super) const NOTHING_TO_CANCEL: i64 = -2011;

/// The venue's `ORDER_AMEND_REJECTED`: not of this order, or not to this quantity.
const AMEND_REJECTED: i64 = -2038;

/// Statuses below 500 that are a definite no even when the body is not the venue's own: the request was
/// stopped before the venue's engine could see it.
const STOPPED_BEFORE_THE_ENGINE: [u16; 5] = [403, 413, 414, 418, 429];

/// What an attempt to place an order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Submitted {
    /// These reports, in order.
    Reports(Vec<OrderReport>),
    /// The id is in use by an open order: the first attempt arrived. Ask for the order.
    AlreadyOpen,
}

/// What a request that may have reached the venue left behind.
pub(super) type Exchanged = Result<Answer, VenueError>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPlaced<'a> {
    order_id: u64,
    #[serde(borrow)]
    client_order_id: Cow<'a, str>,
    transact_time: i64,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    fills: Vec<RawPlacedFill<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPlacedFill<'a> {
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    qty: Cow<'a, str>,
    #[serde(borrow)]
    commission: Cow<'a, str>,
    #[serde(borrow)]
    commission_asset: Cow<'a, str>,
    trade_id: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCanceled<'a> {
    #[serde(borrow)]
    orig_client_order_id: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default)]
    transact_time: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAmended<'a> {
    transact_time: i64,
    #[serde(borrow)]
    amended_order: RawAmendedOrder<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAmendedOrder<'a> {
    #[serde(borrow)]
    client_order_id: Cow<'a, str>,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    qty: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOrder<'a> {
    order_id: u64,
    #[serde(borrow)]
    client_order_id: Cow<'a, str>,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    orig_qty: Cow<'a, str>,
    #[serde(borrow)]
    executed_qty: Cow<'a, str>,
    update_time: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTrade<'a> {
    id: u64,
    order_id: u64,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    qty: Cow<'a, str>,
    #[serde(borrow)]
    commission: Cow<'a, str>,
    #[serde(borrow)]
    commission_asset: Cow<'a, str>,
    time: i64,
    is_buyer: bool,
    is_maker: bool,
}

#[derive(Deserialize)]
struct RawAccount<'a> {
    #[serde(borrow)]
    balances: Vec<RawBalance<'a>>,
}

#[derive(Deserialize)]
struct RawBalance<'a> {
    #[serde(borrow)]
    asset: Cow<'a, str>,
    #[serde(borrow)]
    free: Cow<'a, str>,
    #[serde(borrow)]
    locked: Cow<'a, str>,
}

/// Reads what a key may do.
pub(super) fn key_rights(body: &[u8]) -> Result<KeyRights, ParseError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Raw {
        enable_withdrawals: bool,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    Ok(KeyRights {
        may_withdraw: raw.enable_withdrawals,
    })
}

/// What the answer to a new order means. `now` stamps what the venue did not.
pub(super) fn submitted(order: &OrderRequest, exchanged: &Exchanged, now: Timestamp) -> Submitted {
    let one = |kind| Submitted::Reports(vec![report(order.client_order_id, order.instrument, now, kind)]);
    match exchanged {
        // It never left.
        Err(
            VenueError::RateLimited { .. } | VenueError::NotConnected { .. } | VenueError::Stopped { .. },
        ) => one(OrderReportKind::NotSent),
        Err(_) => one(OrderReportKind::OutcomeUnknown),
        Ok(answer) if answer.is_success() => match placed(order, &answer.body) {
            Ok(reports) => Submitted::Reports(reports),
            Err(_) => one(OrderReportKind::OutcomeUnknown),
        },
        Ok(answer) => match definite(answer) {
            None => one(OrderReportKind::OutcomeUnknown),
            Some(refusal) => match reject_reason(refusal.code, &refusal.message) {
                RejectReason::DuplicateId => Submitted::AlreadyOpen,
                reason => one(OrderReportKind::Rejected(reason)),
            },
        },
    }
}

/// What the answer to a cancel means.
pub(super) fn canceled(
    client_order_id: ClientOrderId,
    instrument: InstrumentId,
    exchanged: &Exchanged,
    now: Timestamp,
) -> OrderReport {
    let at = |ts, kind| report(client_order_id, instrument, ts, kind);
    let rejected = |reason| at(now, OrderReportKind::CancelRejected(reason));
    match exchanged {
        // The order is as it was: only the cancel did not leave.
        Err(VenueError::RateLimited { .. } | VenueError::NotConnected { .. }) => {
            rejected(CancelRejectReason::Other)
        }
        Err(_) => at(now, OrderReportKind::OutcomeUnknown),
        Ok(answer) if answer.is_success() => {
            let raw: Result<RawCanceled<'_>, _> = serde_json::from_slice(&answer.body);
            match raw {
                Ok(raw)
                    if raw.status == "CANCELED"
                        && raw.orig_client_order_id == client_order_id.to_string() =>
                {
                    at(
                        raw.transact_time.map_or(now, Timestamp::from_millis),
                        OrderReportKind::Canceled,
                    )
                }
                _ => at(now, OrderReportKind::OutcomeUnknown),
            }
        }
        Ok(answer) => match definite(answer) {
            None => at(now, OrderReportKind::OutcomeUnknown),
            Some(refusal) if refusal.code == NOTHING_TO_CANCEL => rejected(CancelRejectReason::UnknownOrder),
            Some(_) => rejected(CancelRejectReason::Other),
        },
    }
}

/// What the answer to a change means. The price is not part of the request: an answer with another one than asked for
/// leaves open which terms the order has.
pub(super) fn amended(amend: &AmendRequest, exchanged: &Exchanged, now: Timestamp) -> OrderReport {
    let at = |ts, kind| report(amend.client_order_id, amend.instrument, ts, kind);
    let rejected = |reason| at(now, OrderReportKind::AmendRejected(reason));
    match exchanged {
        // The order is as it was: only the request did not leave.
        Err(
            VenueError::RateLimited { .. } | VenueError::NotConnected { .. } | VenueError::Stopped { .. },
        ) => rejected(AmendRejectReason::Other),
        Err(_) => at(now, OrderReportKind::OutcomeUnknown),
        Ok(answer) if answer.is_success() => match changed_terms(amend, &answer.body) {
            Some((ts, terms)) if terms == amend.terms => at(ts, OrderReportKind::Amended(terms)),
            _ => at(now, OrderReportKind::OutcomeUnknown),
        },
        Ok(answer) => match definite(answer) {
            None => at(now, OrderReportKind::OutcomeUnknown),
            Some(refusal) if [NO_SUCH_ORDER, NOTHING_TO_CANCEL].contains(&refusal.code) => {
                rejected(AmendRejectReason::UnknownOrder)
            }
            Some(refusal) if refusal.code == AMEND_REJECTED => rejected(AmendRejectReason::NotOffered),
            Some(_) => rejected(AmendRejectReason::Other),
        },
    }
}

/// When an order was changed and what it asks for now; `None` for an answer about another order, or none that can be read.
fn changed_terms(amend: &AmendRequest, body: &[u8]) -> Option<(Timestamp, OrderTerms)> {
    let raw: RawAmended<'_> = serde_json::from_slice(body).ok()?;
    let order = raw.amended_order;
    if order.client_order_id != amend.client_order_id.to_string() {
        return None;
    }
    let terms = OrderTerms {
        price: price(&order.price, "price").ok()?,
        quantity: quantity(&order.qty, "qty").ok()?,
    };
    Some((Timestamp::from_millis(raw.transact_time), terms))
}

/// The venue's refusal, when it is one that can be relied on.
fn definite(answer: &Answer) -> Option<super::rest::Refusal> {
    let refusal = answer.refusal();
    let is_own = refusal.code != 0 && !UNKNOWN_CODES.contains(&refusal.code);
    let is_client_error = (400..500).contains(&answer.status);
    let is_stopped = STOPPED_BEFORE_THE_ENGINE.contains(&answer.status);
    (is_client_error && (is_own || (refusal.code == 0 && is_stopped))).then_some(refusal)
}

/// What is said of an instrument that is not traded now, under more than one code.
const CLOSED: &str = "Market is closed.";

/// Why the venue refused an order, from its code and, where one code means many things, its words.
fn reject_reason(code: i64, message: &str) -> RejectReason {
    if AUTHENTICATION_CODES.contains(&code) {
        return RejectReason::Authentication;
    }
    match code {
        // The timestamp was refused: ours, or the way was too long.
        -1021 => RejectReason::Authentication,
        -1003 | -1015 | -1034 => RejectReason::RateLimit,
        -1013 if message != CLOSED => RejectReason::Filter,
        -1013 => RejectReason::NotTrading,
        -2010 => match message {
            "Duplicate order sent." => RejectReason::DuplicateId,
            "Account has insufficient balance for requested action." => RejectReason::InsufficientBalance,
            "Order would immediately match and take." => RejectReason::WouldTake,
            CLOSED | "This symbol is not permitted for this account." => RejectReason::NotTrading,
            _ => RejectReason::Other,
        },
        0 => RejectReason::RateLimit,
        _ => RejectReason::Other,
    }
}

fn report(
    client_order_id: ClientOrderId,
    instrument: InstrumentId,
    ts_event: Timestamp,
    kind: OrderReportKind,
) -> OrderReport {
    OrderReport {
        client_order_id,
        instrument,
        ts_event,
        kind,
    }
}

/// Reads a `FULL` answer to a new order.
fn placed(order: &OrderRequest, body: &[u8]) -> Result<Vec<OrderReport>, ParseError> {
    let raw: RawPlaced<'_> = serde_json::from_slice(body)?;
    if raw.client_order_id != order.client_order_id.to_string() {
        return Err(ParseError::Value {
            field: "clientOrderId",
            problem: "the answer is about another order",
        });
    }
    let ts = Timestamp::from_millis(raw.transact_time);
    let at = |kind| report(order.client_order_id, order.instrument, ts, kind);
    let status = parser::order_status(raw.status.as_bytes());
    if status == OrderStatus::Rejected {
        return Ok(vec![at(OrderReportKind::Rejected(RejectReason::Other))]);
    }
    let mut reports = vec![at(OrderReportKind::Accepted(venue_order_id(raw.order_id)))];
    for fill in &raw.fills {
        reports.push(at(OrderReportKind::Filled(Fill {
            trade_id: TradeId(fill.trade_id),
            price: price(&fill.price, "price")?,
            quantity: positive(quantity(&fill.qty, "qty")?)?,
            side: order.side,
            fee: fee(&fill.commission, &fill.commission_asset)?,
            // What trades while the order is being placed takes.
            liquidity: Liquidity::Taker,
        })));
    }
    match status {
        OrderStatus::Expired => reports.push(at(OrderReportKind::Expired)),
        OrderStatus::Canceled => reports.push(at(OrderReportKind::Canceled)),
        OrderStatus::Unknown => reports.push(at(OrderReportKind::OutcomeUnknown)),
        _ => {}
    }
    Ok(reports)
}

/// Reads the orders that `DELETE openOrders` canceled: ours only.
pub(super) fn canceled_all(
    body: &[u8],
    instrument: InstrumentId,
    now: Timestamp,
) -> Result<Vec<OrderReport>, ParseError> {
    let raw: Vec<RawCanceled<'_>> = serde_json::from_slice(body)?;
    let ours = raw
        .iter()
        .filter(|canceled| canceled.status == "CANCELED")
        .filter_map(|canceled| {
            let id = ClientOrderId::parse(&canceled.orig_client_order_id)?;
            let ts = canceled.transact_time.map_or(now, Timestamp::from_millis);
            Some(report(id, instrument, ts, OrderReportKind::Canceled))
        });
    Ok(ours.collect())
}

/// Reads one order.
pub(super) fn order(body: &[u8], instrument: &Instrument) -> Result<OrderView, ParseError> {
    view(&serde_json::from_slice(body)?, instrument)
}

/// Reads a list of orders.
pub(super) fn orders(body: &[u8], instrument: &Instrument) -> Result<Vec<OrderView>, ParseError> {
    let raw: Vec<RawOrder<'_>> = serde_json::from_slice(body)?;
    raw.iter().map(|raw| view(raw, instrument)).collect()
}

fn view(raw: &RawOrder<'_>, instrument: &Instrument) -> Result<OrderView, ParseError> {
    Ok(OrderView {
        client_order_id: ClientOrderId::parse(&raw.client_order_id),
        venue_order_id: venue_order_id(raw.order_id),
        instrument: instrument.id,
        side: parser::side(raw.side.as_bytes()).ok_or(ParseError::Value {
            field: "side",
            problem: "a side is BUY or SELL",
        })?,
        status: parser::order_status(raw.status.as_bytes()),
        price: limit(&raw.price)?,
        quantity: quantity(&raw.orig_qty, "origQty")?,
        filled: quantity(&raw.executed_qty, "executedQty")?,
        ts_event: Timestamp::from_millis(raw.update_time),
    })
}

/// A limit; an order without one shows nothing or zero.
fn limit(text: &str) -> Result<Option<Price>, ParseError> {
    if text.is_empty() {
        return Ok(None);
    }
    let price = price(text, "price")?;
    Ok((price > Price::ZERO).then_some(price))
}

/// Reads the list of the account's trades, and the number of the last one.
pub(super) fn trades(body: &[u8], instrument: &Instrument) -> Result<Vec<AccountTrade>, ParseError> {
    let raw: Vec<RawTrade<'_>> = serde_json::from_slice(body)?;
    raw.iter()
        .map(|raw| {
            Ok(AccountTrade {
                // The list does not carry our ids.
                client_order_id: None,
                venue_order_id: venue_order_id(raw.order_id),
                instrument: instrument.id,
                ts_event: Timestamp::from_millis(raw.time),
                fill: Fill {
                    trade_id: TradeId(raw.id),
                    price: price(&raw.price, "price")?,
                    quantity: positive(quantity(&raw.qty, "qty")?)?,
                    side: if raw.is_buyer { Side::Buy } else { Side::Sell },
                    fee: fee(&raw.commission, &raw.commission_asset)?,
                    liquidity: if raw.is_maker {
                        Liquidity::Maker
                    } else {
                        Liquidity::Taker
                    },
                },
            })
        })
        .collect()
}

/// Reads the account's balances that are not zero. Assets whose code is not plain ASCII are left out.
pub(super) fn balances(body: &[u8]) -> Result<Vec<Balance>, ParseError> {
    let raw: RawAccount<'_> = serde_json::from_slice(body)?;
    let mut balances = Vec::new();
    for raw in &raw.balances {
        let Some(currency) = Currency::new(&raw.asset) else {
            continue;
        };
        let balance = Balance {
            currency,
            free: quantity(&raw.free, "free")?,
            locked: quantity(&raw.locked, "locked")?,
        };
        if !balance.free.is_zero() || !balance.locked.is_zero() {
            balances.push(balance);
        }
    }
    Ok(balances)
}

/// The venue numbers its orders; the text form is ours.
pub(super) fn venue_order_id(number: u64) -> VenueOrderId {
    // Twenty digits always fit in forty bytes.
    VenueOrderId(Text::new(&number.to_string()).expect("digits fit"))
}

fn fee(amount: &str, asset: &str) -> Result<Money, ParseError> {
    let currency = Currency::new(asset).ok_or(ParseError::Value {
        field: "commissionAsset",
        problem: "an asset is 1 to 12 letters or digits",
    })?;
    Ok(Money::from_decimal_units(
        quantity(amount, "commission")?.units(),
        currency,
    ))
}

fn positive(quantity: Quantity) -> Result<Quantity, ParseError> {
    if quantity > Quantity::ZERO {
        return Ok(quantity);
    }
    Err(ParseError::Value {
        field: "qty",
        problem: "an execution has a positive quantity",
    })
}

#[cfg(test)]
mod tests;
