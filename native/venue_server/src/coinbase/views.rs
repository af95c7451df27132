//! Orders, executions and balances over REST.

use domain::{Liquidity, OrderType, Side, TimeInForce, Timestamp};
use serde_json::{Value, json};

use super::error::Failure;
use super::names;
use super::query::Query;
use crate::decimal::plain;
use crate::instant::{parse_rfc3339, rfc3339};
use crate::orders::{Ending, FillRecord, OrderRecord, Status, Ticket};
use crate::venue::Venue;

/// Entries of a page that asks for no number, and the most of any.
const PAGE_DEFAULT: usize = 100;
const PAGE_MAX: usize = 1_000;

pub(super) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// Public trades name the side of the order that rested.
pub(super) fn maker_side(aggressor: Side) -> &'static str {
    side_name(aggressor.opposite())
}

pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::New | Status::PartiallyFilled => "OPEN",
        Status::Filled => "FILLED",
        Status::Canceled | Status::ExpiredInMatch => "CANCELLED",
        Status::Expired => "EXPIRED",
    }
}

pub(super) fn cancel_message(ending: Option<Ending>) -> &'static str {
    match ending {
        Some(Ending::Asked) => "User requested cancel",
        Some(Ending::SelfTrade) => "Self trade prevention",
        Some(Ending::NothingToTake) => "Internal error: no liquidity",
        Some(Ending::TimeUp | Ending::Switch | Ending::PostOnly) | None => "",
    }
}

/// An order as it was asked for, in the venue's terms.
pub(super) fn configuration(ticket: &Ticket) -> Value {
    let base = names::quantity(ticket.quantity);
    let Some(price) = ticket.price.filter(|_| ticket.order_type == OrderType::Limit) else {
        return json!({ "market_market_ioc": { "base_size": base } });
    };
    let price = names::price(price);
    match (ticket.time_in_force, ticket.expires) {
        (TimeInForce::Ioc, _) => json!({ "sor_limit_ioc": { "base_size": base, "limit_price": price } }),
        (TimeInForce::Fok, _) => json!({ "limit_limit_fok": { "base_size": base, "limit_price": price } }),
        (TimeInForce::Gtc, Some(end)) | (TimeInForce::Gtd(end), _) => json!({ "limit_limit_gtd": {
            "base_size": base, "limit_price": price, "end_time": rfc3339(end, 0), "post_only": ticket.post_only,
        } }),
        (TimeInForce::Gtc, None) => json!({ "limit_limit_gtc": {
            "base_size": base, "limit_price": price, "post_only": ticket.post_only,
        } }),
    }
}

pub(super) fn time_in_force(ticket: &Ticket) -> &'static str {
    match (ticket.time_in_force, ticket.expires) {
        (TimeInForce::Ioc, _) => "IMMEDIATE_OR_CANCEL",
        (TimeInForce::Fok, _) => "FILL_OR_KILL",
        (TimeInForce::Gtc, Some(_)) | (TimeInForce::Gtd(_), _) => "GOOD_UNTIL_DATE_TIME",
        (TimeInForce::Gtc, None) => "GOOD_UNTIL_CANCELLED",
    }
}

/// Percent of its quantity that was filled.
pub(super) fn completion(order: &OrderRecord) -> String {
    let whole = i128::from(order.ticket.quantity.units()).max(1);
    let percent = i128::from(order.filled.units()) * 100 * i128::from(domain::SCALE) / whole;
    plain(i64::try_from(percent).unwrap_or(0))
}

/// What the filled part cost or brought, fees included.
pub(super) fn value_after_fees(order: &OrderRecord) -> i128 {
    match order.ticket.side {
        Side::Buy => order.filled_value + order.fees(),
        Side::Sell => order.filled_value - order.fees(),
    }
}

pub(super) fn order(order: &OrderRecord, symbol: &str) -> Value {
    let ticket = &order.ticket;
    let limit = ticket.order_type == OrderType::Limit;
    let last_fill = order.fills.last().map(|fill| names::time(fill.time_ms));
    json!({
        "order_id": names::order_id(order.id),
        "product_id": symbol,
        "user_id": names::portfolio_id(order.account),
        "order_configuration": configuration(ticket),
        "side": side_name(ticket.side),
        "client_order_id": ticket.client_order_id,
        "status": status_name(order.status),
        "time_in_force": time_in_force(ticket),
        "created_time": names::time(order.created_ms),
        "completion_percentage": completion(order),
        "filled_size": names::quantity(order.filled),
        "average_filled_price": names::price(order.average_price()),
        "fee": "",
        "number_of_fills": order.fills.len().to_string(),
        "filled_value": names::amount(order.filled_value),
        "pending_cancel": false,
        "size_in_quote": false,
        "total_fees": names::amount(order.fees()),
        "size_inclusive_of_fees": false,
        "total_value_after_fees": names::amount(value_after_fees(order)),
        "trigger_status": "INVALID_ORDER_TYPE",
        "order_type": if limit { "LIMIT" } else { "MARKET" },
        "reject_reason": "REJECT_REASON_UNSPECIFIED",
        "settled": order.status == Status::Filled,
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": cancel_message(order.ending),
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": names::amount(order.reserved),
        "is_liquidation": false,
        "last_fill_time": last_fill,
        "edit_history": [],
        "leverage": "",
        "margin_type": "UNKNOWN_MARGIN_TYPE",
        "retail_portfolio_id": names::portfolio_id(order.account),
    })
}

/// The orders of an account, the latest first, a page at a time.
pub(super) fn orders(venue: &Venue, account: usize, query: &Query) -> Result<Value, Failure> {
    let symbol = &venue.listing.symbol;
    let bound = |name: &str| time_bound(query, name);
    let (start, end) = (bound("start_date")?, bound("end_date")?);
    let kept = |order: &&OrderRecord| {
        let created = Timestamp::from_millis(order.created_ms);
        query.keeps("order_ids", &names::order_id(order.id))
            && query.keeps("order_status", status_name(order.status))
            && query.keeps("order_side", side_name(order.ticket.side))
            && query.keeps("product_ids", symbol)
            && query.keeps("product_id", symbol)
            && start.is_none_or(|start| created >= start)
            && end.is_none_or(|end| created < end)
    };
    let mut all: Vec<&OrderRecord> = venue.orders.of_account(account).filter(kept).collect();
    all.reverse();
    let (page, cursor) = page(&all, query)?;
    let listed: Value = page.iter().map(|one| order(one, symbol)).collect();
    Ok(json!({ "orders": listed, "sequence": "0", "has_next": !cursor.is_empty(), "cursor": cursor }))
}

fn time_bound(query: &Query, name: &str) -> Result<Option<Timestamp>, Failure> {
    let read = |text: &str| parse_rfc3339(text).ok_or_else(|| Failure::invalid(name));
    query.get(name).map(read).transpose()
}

/// One page of a list and the cursor of the next; an empty cursor where there is none.
fn page<'a, T>(all: &'a [T], query: &Query) -> Result<(&'a [T], String), Failure> {
    let from = query.number("cursor")?.unwrap_or(0).min(all.len());
    let limit = query.number("limit")?.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let to = from.saturating_add(limit).min(all.len());
    let cursor = if to < all.len() {
        to.to_string()
    } else {
        String::new()
    };
    Ok((&all[from..to], cursor))
}

/// The executions of an account, the latest first, a page at a time.
pub(super) fn fills(venue: &Venue, account: usize, query: &Query) -> Result<Value, Failure> {
    let symbol = &venue.listing.symbol;
    let bound = |name: &str| time_bound(query, name);
    let (start, end) = (
        bound("start_sequence_timestamp")?,
        bound("end_sequence_timestamp")?,
    );
    let kept = |fill: &&FillRecord| {
        let at = Timestamp::from_millis(fill.time_ms);
        query.keeps("order_ids", &names::order_id(fill.order))
            && query.keeps("order_id", &names::order_id(fill.order))
            && query.keeps("trade_ids", &fill.trade_id.0.to_string())
            && query.keeps("product_ids", symbol)
            && query.keeps("product_id", symbol)
            && start.is_none_or(|start| at >= start)
            && end.is_none_or(|end| at < end)
    };
    let all: Vec<&FillRecord> = venue.accounts[account].fills.iter().rev().filter(kept).collect();
    let (page, cursor) = page(&all, query)?;
    let listed: Value = page
        .iter()
        .map(|fill| {
            json!({
                "entry_id": names::entry_id(fill.order, fill.trade_id.0),
                "trade_id": fill.trade_id.0.to_string(),
                "order_id": names::order_id(fill.order),
                "trade_time": names::time(fill.time_ms),
                "trade_type": "FILL",
                "price": names::price(fill.price),
                "size": names::quantity(fill.quantity),
                "commission": names::amount(fill.fee.units()),
                "product_id": symbol,
                "sequence_timestamp": names::time(fill.time_ms),
                "liquidity_indicator": if fill.liquidity == Liquidity::Maker { "MAKER" } else { "TAKER" },
                "size_in_quote": false,
                "user_id": names::portfolio_id(account),
                "side": side_name(fill.side),
                "retail_portfolio_id": names::portfolio_id(account),
            })
        })
        .collect();
    Ok(json!({ "fills": listed, "cursor": cursor }))
}

/// What an account holds, asset by asset.
pub(super) fn accounts(venue: &Venue, account: usize) -> Value {
    let listed: Vec<Value> = venue.accounts[account]
        .holdings()
        .map(|(currency, holding)| {
            let code = currency.as_str();
            let fiat = matches!(code, "USD" | "EUR" | "GBP");
            json!({
                "uuid": names::account_id(account, currency),
                "name": format!("{code} Wallet"),
                "currency": code,
                "available_balance": { "value": names::amount(holding.free), "currency": code },
                "default": true,
                "active": true,
                "created_at": "2021-01-01T00:00:00Z",
                "updated_at": names::time(venue.accounts[account].updated_ms),
                "deleted_at": null,
                "type": if fiat { "ACCOUNT_TYPE_FIAT" } else { "ACCOUNT_TYPE_CRYPTO" },
                "ready": true,
                "hold": { "value": names::amount(holding.locked), "currency": code },
                "retail_portfolio_id": names::portfolio_id(account),
                "platform": "ACCOUNT_PLATFORM_CONSUMER",
            })
        })
        .collect();
    json!({ "size": listed.len(), "accounts": listed, "has_next": false, "cursor": "" })
}

pub(super) fn key_permissions(account: usize, may_withdraw: bool) -> Value {
    json!({
        "can_view": true,
        "can_trade": true,
        "can_transfer": may_withdraw,
        "portfolio_uuid": names::portfolio_id(account),
        "portfolio_type": "DEFAULT",
    })
}

pub(super) fn transaction_summary(venue: &Venue) -> Value {
    let (maker, taker) = venue.rates();
    let rate = |bps: domain::Decimal| plain(bps.units() / 10_000);
    json!({
        "total_volume": 0,
        "total_fees": 0,
        "fee_tier": {
            "pricing_tier": "Advanced 1",
            "usd_from": "0",
            "usd_to": "1000",
            "taker_fee_rate": rate(taker),
            "maker_fee_rate": rate(maker),
        },
        "advanced_trade_only_volume": 0,
        "advanced_trade_only_fees": 0,
    })
}
