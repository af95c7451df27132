//! What the venue answers about orders, executions and balances over REST, and what it means.
//!
//! The one rule that matters: only an answer that is the venue's own and says so is a definite no. Anything else (no
//! answer, a server error, an answer nobody can read) leaves the outcome unknown. Forms and words are those of the
//! venue's documentation (Advanced Trade REST, "Orders", 2026-08); never seen live.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Balance, ClientOrderId, Currency, Fill, FixedPointError, Instrument, InstrumentId, Liquidity,
    OrderReport, OrderReportKind, OrderRequest, OrderStatus, Price, Quantity, RejectReason, Side, Timestamp,
    VenueOrderId,
};
use serde::Deserialize;

use super::decimal::{base_of_quote, fee, quantity_down};
use super::ids::{trade_id, venue_order_id};
use super::rest::{Answer, Refusal};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::iso8601;
use crate::trading::{AccountTrade, KeyRights, OrderView};
use crate::unknown::unknown_word;

/// Words of a refusal that say "nobody knows".
const UNKNOWN_WORDS: [&str; 8] = [
    "UNKNOWN",
    "INTERNAL",
    "INTERNAL_SERVER_ERROR",
    "DEADLINE_EXCEEDED",
    "UNAVAILABLE",
    "ABORTED",
    "CANCELLED",
    "DATA_LOSS",
];

/// Statuses below 500 that say the same: timeout, conflict, too early, closed by the client.
const UNKNOWN_STATUSES: [u16; 4] = [408, 409, 425, 499];

/// The word for "such a thing is there already".
const ALREADY_EXISTS: &str = "ALREADY_EXISTS";

/// The venue's words for a reason that it does not know itself begin so.
const UNKNOWN_REASON: &str = "UNKNOWN_";

/// What an attempt to place an order came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Submitted {
    /// The venue took it, under this name.
    Accepted(VenueOrderId),
    /// The venue has an order by this id: an attempt before this one arrived. Ask for the order.
    AlreadyThere,
    /// This, and nothing more.
    Report(OrderReportKind),
}

/// What a request that may have reached the venue left behind.
pub(super) type Exchanged = Result<Answer, VenueError>;

#[derive(Deserialize)]
struct RawPlaced<'a> {
    success: bool,
    #[serde(borrow, default)]
    failure_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    order_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    success_response: Option<RawPlacedOrder<'a>>,
    #[serde(borrow, default)]
    error_response: Option<RawNotPlaced<'a>>,
}

#[derive(Deserialize)]
struct RawPlacedOrder<'a> {
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow)]
    client_order_id: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
struct RawNotPlaced<'a> {
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    new_order_failure_reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    preview_failure_reason: Option<Cow<'a, str>>,
}

/// What the answer to a new order means.
pub(super) fn submitted(order: &OrderRequest, exchanged: &Exchanged) -> Submitted {
    match exchanged {
        // It never left.
        Err(
            VenueError::RateLimited { .. }
            | VenueError::NotConnected { .. }
            | VenueError::Stopped { .. }
            | VenueError::NoCredentials
            | VenueError::Setting { .. },
        ) => Submitted::Report(OrderReportKind::NotSent),
        Err(_) => Submitted::Report(OrderReportKind::OutcomeUnknown),
        Ok(answer) if answer.is_success() => placed(order, &answer.body),
        Ok(answer) => match definite(answer) {
            None if answer.refusal().word == ALREADY_EXISTS => Submitted::AlreadyThere,
            None => Submitted::Report(OrderReportKind::OutcomeUnknown),
            Some(refusal) => Submitted::Report(OrderReportKind::Rejected(refused(answer.status, &refusal))),
        },
    }
}

/// Reads the answer to a new order that the venue gave with a success: it may still say no. One that says both, or neither,
/// says nothing.
fn placed(order: &OrderRequest, body: &[u8]) -> Submitted {
    let unknown = Submitted::Report(OrderReportKind::OutcomeUnknown);
    let Ok(raw) = serde_json::from_slice::<RawPlaced<'_>>(body) else {
        return unknown;
    };
    let is_named = raw.order_id.as_deref().is_some_and(|name| !name.is_empty());
    let placed = match (raw.success, raw.success_response.as_ref(), failure(&raw)) {
        (true, Some(placed), None) => placed,
        (false, None, Some(reason)) if !is_named => {
            return Submitted::Report(OrderReportKind::Rejected(reason));
        }
        _ => return unknown,
    };
    // An answer about another order says nothing of ours.
    if placed.client_order_id != order.client_order_id.to_string() {
        return unknown;
    }
    venue_order_id(&placed.order_id).map_or(unknown, Submitted::Accepted)
}

/// Why the venue did not take an order; `None` where it does not know itself.
fn failure(raw: &RawPlaced<'_>) -> Option<RejectReason> {
    let none = RawNotPlaced::default();
    let inner = raw.error_response.as_ref().unwrap_or(&none);
    let words = [
        &inner.new_order_failure_reason,
        &inner.preview_failure_reason,
        &inner.error,
        &raw.failure_reason,
    ];
    let word = words
        .into_iter()
        .filter_map(Option::as_deref)
        .find(|word| !word.is_empty() && !word.starts_with(UNKNOWN_REASON))?;
    Some(reject_reason(word))
}

/// Why the venue refused an order, from its word. What was found before the order was placed has a word of its own.
pub(super) fn reject_reason(word: &str) -> RejectReason {
    match word.strip_prefix("PREVIEW_").unwrap_or(word) {
        "INSUFFICIENT_FUND"
        | "INSUFFICIENT_FUNDS"
        | "INSUFFICIENT_LEDGER_BALANCE"
        | "INVALID_LEDGER_BALANCE" => RejectReason::InsufficientBalance,
        "INVALID_LIMIT_PRICE_POST_ONLY" => RejectReason::WouldTake,
        "INVALID_SIZE_PRECISION"
        | "INVALID_PRICE_PRECISION"
        | "INVALID_LIMIT_PRICE"
        | "INVALID_BASE_SIZE_TOO_LARGE"
        | "INVALID_BASE_SIZE_TOO_SMALL"
        | "INVALID_QUOTE_SIZE_PRECISION"
        | "INVALID_QUOTE_SIZE_TOO_LARGE"
        | "INVALID_QUOTE_SIZE_TOO_SMALL"
        | "INVALID_PRICE_TOO_LARGE"
        | "BREACHED_PRICE_LIMIT" => RejectReason::Filter,
        "ORDER_ENTRY_DISABLED" | "INELIGIBLE_PAIR" | "INVALID_PRODUCT_ID" | "INVALID_NO_LIQUIDITY" => {
            RejectReason::NotTrading
        }
        _ => RejectReason::Other,
    }
}

/// The venue's refusal of a request, when it is one that can be relied on.
fn definite(answer: &Answer) -> Option<Refusal> {
    let refusal = answer.refusal();
    let is_client_error = (400..500).contains(&answer.status) && !UNKNOWN_STATUSES.contains(&answer.status);
    let word = refusal.word.to_ascii_uppercase();
    let is_own = !word.is_empty() && word != ALREADY_EXISTS && !UNKNOWN_WORDS.contains(&word.as_str());
    (is_client_error && is_own).then_some(refusal)
}

fn refused(status: u16, refusal: &Refusal) -> RejectReason {
    match status {
        401 | 403 => RejectReason::Authentication,
        429 => RejectReason::RateLimit,
        _ => reject_reason(&refusal.word),
    }
}

/// What an attempt to cancel an order came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelAnswer {
    /// The venue will cancel it, or is at it already. It says no more: ask for the order.
    Initiated,
    /// There is nothing to cancel.
    NothingOpen,
    /// The venue refuses; the order is as it was.
    Refused,
    /// The cancel did not leave; the order is as it was.
    NotSent,
    /// Nobody knows.
    Unknown,
}

#[derive(Deserialize)]
struct RawCancels<'a> {
    #[serde(borrow)]
    results: Vec<RawCancel<'a>>,
}

#[derive(Deserialize)]
struct RawCancel<'a> {
    success: bool,
    #[serde(borrow, default)]
    failure_reason: Cow<'a, str>,
    #[serde(borrow)]
    order_id: Cow<'a, str>,
}

/// What the answer to a cancel means for each order it named.
pub(super) fn canceled(orders: &[VenueOrderId], exchanged: &Exchanged) -> Vec<CancelAnswer> {
    let all = |answer| vec![answer; orders.len()];
    match exchanged {
        Err(
            VenueError::RateLimited { .. }
            | VenueError::NotConnected { .. }
            | VenueError::NoCredentials
            | VenueError::Setting { .. },
        ) => all(CancelAnswer::NotSent),
        Ok(answer) if answer.is_success() => {
            let Ok(raw) = serde_json::from_slice::<RawCancels<'_>>(&answer.body) else {
                return all(CancelAnswer::Unknown);
            };
            let of = |order: &VenueOrderId| {
                let result = raw
                    .results
                    .iter()
                    .find(|result| result.order_id == order.0.as_str());
                result.map_or(CancelAnswer::Unknown, cancel_answer)
            };
            orders.iter().map(of).collect()
        }
        Ok(answer) if definite(answer).is_some() => all(CancelAnswer::Refused),
        Ok(_) | Err(_) => all(CancelAnswer::Unknown),
    }
}

fn cancel_answer(raw: &RawCancel<'_>) -> CancelAnswer {
    if raw.success {
        return CancelAnswer::Initiated;
    }
    match raw.failure_reason.as_ref() {
        "DUPLICATE_CANCEL_REQUEST" => CancelAnswer::Initiated,
        "UNKNOWN_CANCEL_ORDER" | "ORDER_IS_FULLY_FILLED" => CancelAnswer::NothingOpen,
        "INVALID_CANCEL_REQUEST"
        | "COMMANDER_REJECTED_CANCEL_ORDER"
        | "NOT_ALLOWED_TO_CANCEL"
        | "ORDER_IS_BEING_REPLACED"
        | "INVALID_CANCEL_PRODUCT_ID" => CancelAnswer::Refused,
        _ => CancelAnswer::Unknown,
    }
}

/// What an attempt to change an order came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// The venue changed it.
    Done,
    /// A definite no, or the request did not leave; the order is as it was.
    Refused,
    /// It may have been changed: ask for the order.
    Unknown,
}

#[derive(Deserialize)]
struct RawEdited<'a> {
    success: bool,
    #[serde(borrow, default)]
    errors: Vec<RawNotEdited<'a>>,
}

#[derive(Deserialize)]
struct RawNotEdited<'a> {
    #[serde(borrow, default)]
    edit_failure_reason: Cow<'a, str>,
    #[serde(borrow, default)]
    preview_failure_reason: Cow<'a, str>,
}

impl RawEdited<'_> {
    /// What it says; nothing, where it says both that it did and why it did not, or neither.
    fn meaning(&self) -> Amended {
        let is_reason = |word: &str| !word.is_empty() && !word.starts_with(UNKNOWN_REASON);
        let is_refused = self
            .errors
            .iter()
            .any(|error| is_reason(&error.edit_failure_reason) || is_reason(&error.preview_failure_reason));
        match (self.success, is_refused) {
            (true, false) => Amended::Done,
            (false, true) => Amended::Refused,
            _ => Amended::Unknown,
        }
    }
}

/// What the answer to a change means.
pub(super) fn amended(exchanged: &Exchanged) -> Amended {
    match exchanged {
        Err(
            VenueError::RateLimited { .. }
            | VenueError::NotConnected { .. }
            | VenueError::NoCredentials
            | VenueError::Setting { .. }
            | VenueError::Stopped { .. },
        ) => Amended::Refused,
        Ok(answer) if answer.is_success() => serde_json::from_slice::<RawEdited<'_>>(&answer.body)
            .map_or(Amended::Unknown, |raw| raw.meaning()),
        Ok(answer) if definite(answer).is_some() => Amended::Refused,
        Ok(_) | Err(_) => Amended::Unknown,
    }
}

/// Whether the venue says that it does not know an order.
pub(super) fn is_not_found(error: &VenueError) -> bool {
    match error {
        VenueError::Refused { status, message, .. } => {
            *status == 404
                || ((400..500).contains(status) && message.to_ascii_lowercase().contains("not found"))
        }
        _ => false,
    }
}

#[derive(Deserialize)]
struct RawOneOrder<'a> {
    #[serde(borrow)]
    order: RawOrder<'a>,
}

#[derive(Deserialize)]
struct RawOrders<'a> {
    #[serde(borrow)]
    orders: Vec<RawOrder<'a>>,
    #[serde(default)]
    has_next: bool,
    #[serde(borrow, default)]
    cursor: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawOrder<'a> {
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow, default)]
    client_order_id: Cow<'a, str>,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    filled_size: Cow<'a, str>,
    #[serde(borrow)]
    created_time: Cow<'a, str>,
    #[serde(borrow, default)]
    last_fill_time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    order_configuration: Option<BTreeMap<Cow<'a, str>, RawConfiguration<'a>>>,
}

#[derive(Deserialize)]
struct RawConfiguration<'a> {
    #[serde(borrow, default)]
    base_size: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    limit_price: Option<Cow<'a, str>>,
}

/// A page of a list, and where the next begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The cursor of the next page; `None` on the last one.
    pub(super) next: Option<String>,
}

/// The venue's order status in our words; a status this build does not know is `Unknown`.
pub(super) fn order_status(word: &str, filled: Quantity) -> OrderStatus {
    let has_fills = filled > Quantity::ZERO;
    match word {
        "PENDING" | "QUEUED" | "OPEN" | "EDIT_QUEUED" if has_fills => OrderStatus::PartiallyFilled,
        "PENDING" | "QUEUED" | "OPEN" | "EDIT_QUEUED" => OrderStatus::Accepted,
        "FILLED" => OrderStatus::Filled,
        "CANCEL_QUEUED" => OrderStatus::PendingCancel,
        "CANCELLED" => OrderStatus::Canceled,
        "EXPIRED" => OrderStatus::Expired,
        // What has traded was not refused.
        "FAILED" if has_fills => OrderStatus::Canceled,
        "FAILED" => OrderStatus::Rejected,
        word => {
            unknown_word("status of an order", word);
            OrderStatus::Unknown
        }
    }
}

pub(super) fn side(word: &str) -> Result<Side, ParseError> {
    match word {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(ParseError::Value {
            field: "side",
            problem: "a side is BUY or SELL",
        }),
    }
}

/// Reads one order; `None` where it is of another instrument than the one given.
pub(super) fn order(body: &[u8], instrument: &Instrument) -> Result<Option<OrderView>, ParseError> {
    let raw: RawOneOrder<'_> = serde_json::from_slice(body)?;
    if raw.order.product_id != instrument.symbol.as_str() {
        return Ok(None);
    }
    view(&raw.order, instrument).map(Some)
}

/// Reads a page of the list of orders; those of other instruments are left out.
pub(super) fn orders(body: &[u8], instrument: &Instrument) -> Result<Page<OrderView>, ParseError> {
    let raw: RawOrders<'_> = serde_json::from_slice(body)?;
    let ours = raw
        .orders
        .iter()
        .filter(|order| order.product_id == instrument.symbol.as_str());
    let items = ours
        .map(|order| view(order, instrument))
        .collect::<Result<_, _>>()?;
    Ok(Page {
        items,
        next: next_page(raw.has_next, &raw.cursor)?,
    })
}

/// Where a list goes on, where its answer says so.
///
/// # Errors
/// [`ParseError`] when there is more and the answer does not say where: a list that looks whole and is not would be believed.
fn next_page(has_next: bool, cursor: &str) -> Result<Option<String>, ParseError> {
    match (has_next, cursor) {
        (false, _) => Ok(None),
        (true, "") => Err(ParseError::Value {
            field: "cursor",
            problem: "a list that goes on says where",
        }),
        (true, cursor) => Ok(Some(cursor.to_owned())),
    }
}

fn view(raw: &RawOrder<'_>, instrument: &Instrument) -> Result<OrderView, ParseError> {
    let filled = amount(&raw.filled_size, "filled_size")?;
    let configuration = raw.order_configuration.as_ref();
    let size = configuration.and_then(|kinds| kinds.values().find_map(|kind| kind.base_size.as_deref()));
    // Whoever asks for an amount of quote has no base quantity: what was filled is all that is known.
    let quantity = size.map_or(Ok(filled), |size| amount(size, "base_size"))?;
    let limit = configuration.and_then(|kinds| kinds.values().find_map(|kind| kind.limit_price.as_deref()));
    // One that is finer than we count is somebody else's, and none to us.
    let price = limit.and_then(|text| Price::parse(text.as_bytes()).ok());
    let created = time(&raw.created_time, "created_time")?;
    let last_fill = match raw.last_fill_time.as_deref() {
        None | Some("") => created,
        Some(text) => time(text, "last_fill_time")?,
    };
    Ok(OrderView {
        client_order_id: ClientOrderId::parse(&raw.client_order_id),
        venue_order_id: venue_order_id(&raw.order_id)?,
        instrument: instrument.id,
        side: side(&raw.side)?,
        status: order_status(&raw.status, filled),
        price,
        quantity,
        filled,
        ts_event: created.max(last_fill),
    })
}

#[derive(Deserialize)]
struct RawFills<'a> {
    #[serde(borrow)]
    fills: Vec<RawFill<'a>>,
    #[serde(borrow, default)]
    cursor: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawFill<'a> {
    #[serde(borrow)]
    trade_id: Cow<'a, str>,
    #[serde(borrow)]
    order_id: Cow<'a, str>,
    #[serde(borrow)]
    trade_time: Cow<'a, str>,
    #[serde(borrow)]
    trade_type: Cow<'a, str>,
    #[serde(borrow)]
    price: Cow<'a, str>,
    #[serde(borrow)]
    size: Cow<'a, str>,
    #[serde(borrow)]
    commission: Cow<'a, str>,
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow, default)]
    liquidity_indicator: Cow<'a, str>,
    #[serde(default)]
    size_in_quote: bool,
    #[serde(borrow)]
    side: Cow<'a, str>,
}

/// An execution as the venue lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListedFill {
    pub(super) trade: AccountTrade,
    /// Whether the venue said its size in quote, so that the base quantity is a quotient, rounded down.
    pub(super) is_in_quote: bool,
}

/// Reads a page of the account's executions; those of products that are not in the table are left out.
///
/// # Errors
/// [`ParseError`] also for an execution that is a correction of another: nothing here undoes what was booked, so a
/// person must look.
pub(super) fn fills(body: &[u8], instruments: &Instruments) -> Result<Page<ListedFill>, ParseError> {
    let raw: RawFills<'_> = serde_json::from_slice(body)?;
    let mut items = Vec::with_capacity(raw.fills.len());
    for fill in &raw.fills {
        let symbol = domain::Text::new(&fill.product_id);
        if let Some(instrument) = symbol.and_then(|symbol| instruments.by_symbol(&symbol)) {
            items.push(listed_fill(fill, instrument)?);
        }
    }
    Ok(Page {
        items,
        // This list has no flag.
        next: next_page(!raw.cursor.is_empty(), &raw.cursor)?,
    })
}

fn listed_fill(raw: &RawFill<'_>, instrument: &Instrument) -> Result<ListedFill, ParseError> {
    if raw.trade_type != "FILL" {
        return Err(ParseError::Value {
            field: "trade_type",
            problem: "an execution is a FILL; corrections are for a person to look at",
        });
    }
    let price = Price::parse(raw.price.as_bytes()).map_err(number("price"))?;
    let quantity = if raw.size_in_quote {
        base_of_quote(&raw.size, price).map_err(number("size"))?
    } else {
        amount(&raw.size, "size")?
    };
    if price <= Price::ZERO || quantity <= Quantity::ZERO {
        return Err(ParseError::Value {
            field: "size",
            problem: "an execution has a positive price and quantity",
        });
    }
    let fill = Fill {
        trade_id: trade_id(&raw.trade_id)?,
        price,
        quantity,
        side: side(&raw.side)?,
        // The venue takes its fees in quote.
        fee: fee(&raw.commission, instrument.quote).map_err(number("commission"))?,
        liquidity: match raw.liquidity_indicator.as_ref() {
            "MAKER" => Liquidity::Maker,
            // Where the venue does not say, the dearer one.
            _ => Liquidity::Taker,
        },
    };
    let trade = AccountTrade {
        client_order_id: None,
        venue_order_id: venue_order_id(&raw.order_id)?,
        instrument: instrument.id,
        ts_event: time(&raw.trade_time, "trade_time")?,
        fill,
    };
    Ok(ListedFill {
        trade,
        is_in_quote: raw.size_in_quote,
    })
}

#[derive(Deserialize)]
struct RawAccounts<'a> {
    #[serde(borrow)]
    accounts: Vec<RawAccount<'a>>,
    #[serde(default)]
    has_next: bool,
    #[serde(borrow, default)]
    cursor: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawAccount<'a> {
    #[serde(borrow, default)]
    uuid: Cow<'a, str>,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow)]
    available_balance: RawAmount<'a>,
    #[serde(borrow)]
    hold: RawAmount<'a>,
}

#[derive(Deserialize)]
struct RawAmount<'a> {
    #[serde(borrow)]
    value: Cow<'a, str>,
}

/// What one of the venue's accounts holds: there may be several of one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    /// The venue's name of the account; empty where it says none.
    account: String,
    balance: Balance,
}

/// Balances by asset: what all accounts hold of it, each account once.
///
/// # Errors
/// [`ParseError`] when together they are more than we count.
pub(super) fn summed(holdings: Vec<Holding>) -> Result<Vec<Balance>, ParseError> {
    let mut seen = BTreeSet::new();
    let mut sums: BTreeMap<Currency, Balance> = BTreeMap::new();
    for Holding { account, balance } in holdings {
        // A list that changes while its pages are read repeats what moved on to the next one.
        if !account.is_empty() && !seen.insert(account) {
            continue;
        }
        let sum = sums.entry(balance.currency).or_insert_with(|| Balance {
            free: Quantity::ZERO,
            locked: Quantity::ZERO,
            ..balance
        });
        let added = |held: Quantity, more: Quantity, field| {
            let source = FixedPointError::OutOfRange;
            held.checked_add(more).ok_or(ParseError::Number { field, source })
        };
        sum.free = added(sum.free, balance.free, "available_balance")?;
        sum.locked = added(sum.locked, balance.locked, "hold")?;
    }
    Ok(sums.into_values().collect())
}

/// Reads a page of the accounts that hold anything. What is finer than ours is cut off.
///
/// # Errors
/// [`ParseError`] also for a holding that is more than we count.
pub(super) fn holdings(body: &[u8]) -> Result<Page<Holding>, ParseError> {
    let raw: RawAccounts<'_> = serde_json::from_slice(body)?;
    let mut items = Vec::new();
    for account in &raw.accounts {
        let Some(currency) = Currency::new(&account.currency) else {
            continue;
        };
        let balance = Balance {
            currency,
            free: amount(&account.available_balance.value, "available_balance")?,
            locked: amount(&account.hold.value, "hold")?,
        };
        if !balance.free.is_zero() || !balance.locked.is_zero() {
            let account = account.uuid.clone().into_owned();
            items.push(Holding { account, balance });
        }
    }
    Ok(Page {
        items,
        next: next_page(raw.has_next, &raw.cursor)?,
    })
}

/// Reads what a key may do: moving funds between accounts and out of them is one right here.
pub(super) fn key_rights(body: &[u8]) -> Result<KeyRights, ParseError> {
    #[derive(Deserialize)]
    struct Raw {
        can_transfer: bool,
    }
    let raw: Raw = serde_json::from_slice(body)?;
    Ok(KeyRights {
        may_withdraw: raw.can_transfer,
    })
}

/// A report about one of our orders.
pub(super) const fn report(
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

/// A quantity that is not negative; nothing is zero.
pub(super) fn amount(text: &str, field: &'static str) -> Result<Quantity, ParseError> {
    let text = if text.is_empty() { "0" } else { text };
    let quantity = quantity_down(text).map_err(number(field))?;
    if quantity >= Quantity::ZERO {
        return Ok(quantity);
    }
    Err(ParseError::Value {
        field,
        problem: "a quantity is not negative",
    })
}

pub(super) fn time(text: &str, field: &'static str) -> Result<Timestamp, ParseError> {
    iso8601::parse(text.as_bytes()).ok_or(ParseError::Value {
        field,
        problem: "a time is such as 2026-08-09T21:05:48.170326Z",
    })
}

fn number(field: &'static str) -> impl Fn(FixedPointError) -> ParseError {
    move |source| ParseError::Number { field, source }
}

#[cfg(test)]
mod tests;
