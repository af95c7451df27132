//! Orders, executions and balances as REST lists them.

use domain::{Liquidity, OrderType, TimeInForce};
use serde_json::{Map, Value, json};

use super::entry::{describe, find, side_name};
use super::error::Failure;
use super::fields::Fields;
use super::names::{self, Names};
use crate::decimal::plain;
use crate::instant::seconds;
use crate::orders::{Ending, FillRecord, OrderRecord, Status};
use crate::venue::Venue;

/// Entries of one page of a list.
const PAGE: usize = 50;
/// Orders or executions that one query may name.
const NAMED_MAX: usize = 50;

/// Its state as REST names it.
fn status_name(status: Status) -> &'static str {
    match status {
        Status::New | Status::PartiallyFilled => "open",
        Status::Filled => "closed",
        Status::Canceled | Status::ExpiredInMatch => "canceled",
        Status::Expired => "expired",
    }
}

/// Why it ended, as the venue words it.
pub(super) fn reason(ending: Ending) -> &'static str {
    match ending {
        Ending::Asked => "User requested",
        Ending::Switch => "Cancel all orders after",
        Ending::PostOnly => "Post only order",
        Ending::NothingToTake => "Time in force",
        Ending::SelfTrade => "Self trade prevention",
        Ending::TimeUp => "Expired",
    }
}

/// Seconds since the epoch, as a JSON number.
pub(super) fn time(ms: i64) -> Value {
    let text = seconds(domain::Timestamp::from_millis(ms), 4);
    serde_json::from_str(&text).unwrap_or_default()
}

/// What the account's key may do.
pub(super) fn key_info(venue: &Venue, account: usize) -> Value {
    let mut permissions = vec![
        "query-funds",
        "query-open-trades",
        "query-closed-trades",
        "modify-trades",
        "close-trades",
    ];
    if venue.keys_may_withdraw {
        permissions.push("withdraw-funds");
    }
    json!({
        "api_key_name": "api",
        "api_key": venue.accounts[account].key.key,
        "nonce": "0",
        "nonce_window": 0,
        "permissions": permissions,
        "ip_allowlist": [],
    })
}

pub(super) fn order(order: &OrderRecord, names: &Names, with_trades: bool) -> Value {
    let ticket = &order.ticket;
    let price = ticket
        .price
        .map_or_else(|| "0".to_owned(), |price| names.price(price));
    let mut value = json!({
        "refid": Value::Null,
        "userref": ticket.reference.unwrap_or(0),
        "status": status_name(order.status),
        "opentm": time(order.created_ms),
        "starttm": 0,
        "expiretm": ticket.expires.map_or(json!(0), |end| time(end.millis())),
        "descr": {
            "pair": names.alt,
            "type": side_name(ticket.side),
            "ordertype": type_name(ticket.order_type),
            "price": price,
            "price2": "0",
            "leverage": "none",
            "order": describe(ticket, names),
            "close": "",
        },
        "vol": names::quantity(ticket.quantity),
        "vol_exec": names::quantity(order.filled),
        "cost": names::amount(order.filled_value),
        "fee": names::amount(order.fees()),
        "price": names.price(order.average_price()),
        "stopprice": "0.00000",
        "limitprice": "0.00000",
        "misc": "",
        "oflags": if ticket.post_only { "fciq,post" } else { "fciq" },
    });
    let map = value.as_object_mut().expect("it was made as an object");
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    if !ticket.client_order_id.is_empty() {
        put("cl_ord_id", json!(ticket.client_order_id));
    }
    if !order.status.is_open() {
        put("closetm", time(order.updated_ms));
        put(
            "reason",
            order.ending.map_or(Value::Null, |ending| json!(reason(ending))),
        );
    }
    if ticket.time_in_force != TimeInForce::Gtc {
        let name = if ticket.time_in_force == TimeInForce::Ioc {
            "IOC"
        } else {
            "FOK"
        };
        put("timeinforce", json!(name));
    }
    if with_trades && !order.fills.is_empty() {
        let ids = order
            .fills
            .iter()
            .map(|fill| json!(names::trade_id(fill.trade_id.0)));
        put("trades", ids.collect());
    }
    value
}

pub(super) fn type_name(order_type: OrderType) -> &'static str {
    match order_type {
        OrderType::Limit => "limit",
        OrderType::Market => "market",
    }
}

fn trade(venue: &Venue, fill: &FillRecord, names: &Names) -> Value {
    let order_type = venue.orders.get(fill.order).map(|order| order.ticket.order_type);
    json!({
        "ordertxid": names::order_id(fill.order),
        "postxid": "TKH2SE-M7IF5-CFI7LT",
        "pair": names.pair,
        "time": time(fill.time_ms),
        "type": side_name(fill.side),
        "ordertype": order_type.map_or("limit", type_name),
        "price": names.price(fill.price),
        "cost": names::amount(fill.value()),
        "fee": names::amount(fill.fee.units()),
        "vol": names::quantity(fill.quantity),
        "margin": "0.00000",
        "leverage": "0",
        "misc": "",
        "trade_id": fill.trade_id.0,
        "maker": fill.liquidity == Liquidity::Maker,
    })
}

/// `QueryOrders`: those of the numbers that are the account's own.
pub(super) fn query_orders(venue: &Venue, account: usize, fields: &Fields) -> Result<Value, Failure> {
    let names = Names::of(&venue.listing);
    let asked = fields.list("txid");
    if asked.is_empty() || asked.len() > NAMED_MAX {
        return Err(Failure::arguments("txid"));
    }
    let with_trades = fields.flag("trades");
    let mut found = Map::new();
    for text in asked {
        if names::parse_order_id(&text).is_none() {
            return Err(Failure::text("EOrder:Invalid order"));
        }
        if let Some(record) = find(venue, account, &text) {
            found.insert(text, order(record, &names, with_trades));
        }
    }
    Ok(Value::Object(found))
}

/// Whether a list's filters keep an order.
fn kept(order: &OrderRecord, fields: &Fields) -> Result<bool, Failure> {
    let reference = fields.integer("userref")?;
    let client_id = fields.get("cl_ord_id");
    Ok(
        reference.is_none_or(|asked| order.ticket.reference == Some(asked))
            && client_id.is_none_or(|asked| order.ticket.client_order_id == asked),
    )
}

pub(super) fn open_orders(venue: &Venue, account: usize, fields: &Fields) -> Result<Value, Failure> {
    let names = Names::of(&venue.listing);
    let mut open = Map::new();
    for record in venue.orders.open_of(account) {
        if kept(record, fields)? {
            open.insert(
                names::order_id(record.id),
                order(record, &names, fields.flag("trades")),
            );
        }
    }
    Ok(json!({ "open": open }))
}

/// `ClosedOrders`: the latest first, a page at a time.
pub(super) fn closed_orders(venue: &Venue, account: usize, fields: &Fields) -> Result<Value, Failure> {
    let names = Names::of(&venue.listing);
    let mut all = Vec::new();
    for record in venue.orders.of_account(account) {
        let times = (record.created_ms, record.updated_ms);
        if !record.status.is_open() && kept(record, fields)? && within(fields, times.1)? {
            all.push(record);
        }
    }
    all.sort_by_key(|record| std::cmp::Reverse((record.updated_ms, record.id.0)));
    let count = all.len();
    let shown = all.into_iter().skip(offset(fields)?).take(PAGE);
    let closed: Map<String, Value> = shown
        .map(|record| {
            (
                names::order_id(record.id),
                order(record, &names, fields.flag("trades")),
            )
        })
        .collect();
    Ok(json!({ "closed": closed, "count": count }))
}

/// Whether a time lies after `start` and up to `end` (seconds, with decimals, or a number of an order or trade).
fn within(fields: &Fields, ms: i64) -> Result<bool, Failure> {
    let bound = |name: &str| -> Result<Option<i64>, Failure> {
        let Some(text) = fields.get(name) else {
            return Ok(None);
        };
        let number = domain::Decimal::parse(text.as_bytes()).map_err(|_| Failure::arguments(name))?;
        // Units of 1e-8 of a second, as milliseconds.
        Ok(Some(number.units() / 100_000))
    };
    Ok(bound("start")?.is_none_or(|start| ms > start) && bound("end")?.is_none_or(|end| ms <= end))
}

fn offset(fields: &Fields) -> Result<usize, Failure> {
    let asked = fields.integer("ofs")?.unwrap_or(0);
    usize::try_from(asked).map_err(|_| Failure::arguments("ofs"))
}

/// `TradesHistory`: the latest first, a page at a time.
pub(super) fn trades_history(venue: &Venue, account: usize, fields: &Fields) -> Result<Value, Failure> {
    let names = Names::of(&venue.listing);
    let mut all = Vec::new();
    for fill in venue.accounts[account].fills.iter().rev() {
        if within(fields, fill.time_ms)? {
            all.push(fill);
        }
    }
    let count = all.len();
    let shown = all.into_iter().skip(offset(fields)?).take(PAGE);
    let trades: Map<String, Value> = shown
        .map(|fill| (fill_id(fill), trade(venue, fill, &names)))
        .collect();
    Ok(json!({ "trades": trades, "count": count }))
}

/// An execution's number: both sides of a trade share the trade's, so the order's stands in it.
pub(super) fn fill_id(fill: &FillRecord) -> String {
    names::trade_id(fill.trade_id.0)
}

pub(super) fn query_trades(venue: &Venue, account: usize, fields: &Fields) -> Result<Value, Failure> {
    let names = Names::of(&venue.listing);
    let asked = fields.list("txid");
    if asked.is_empty() || asked.len() > NAMED_MAX {
        return Err(Failure::arguments("txid"));
    }
    let mut found = Map::new();
    for text in asked {
        let id = names::parse_trade_id(&text).ok_or_else(|| Failure::arguments("txid"))?;
        let fills = &venue.accounts[account].fills;
        if let Some(fill) = fills.iter().find(|fill| fill.trade_id.0 == id) {
            found.insert(text, trade(venue, fill, &names));
        }
    }
    Ok(Value::Object(found))
}

pub(super) fn balance(venue: &Venue, account: usize) -> Value {
    let entries = venue.accounts[account].holdings().map(|(currency, holding)| {
        let total = names::amount(holding.free + holding.locked);
        (names::asset(currency), json!(total))
    });
    Value::Object(entries.collect())
}

pub(super) fn balance_ex(venue: &Venue, account: usize) -> Value {
    let entries = venue.accounts[account].holdings().map(|(currency, holding)| {
        let total = names::amount(holding.free + holding.locked);
        let entry = json!({ "balance": total, "hold_trade": names::amount(holding.locked) });
        (names::asset(currency), entry)
    });
    Value::Object(entries.collect())
}

/// `TradeVolume`: the rates that are charged, in percent.
pub(super) fn trade_volume(venue: &Venue) -> Value {
    let names = Names::of(&venue.listing);
    let (maker, taker) = venue.rates();
    let rate = |bps: domain::Decimal| {
        let percent = plain(bps.units() / 100);
        json!({ "fee": percent, "minfee": percent, "maxfee": percent, "nextfee": null, "nextvolume": null, "tiervolume": "0" })
    };
    json!({
        "currency": names.quote,
        "volume": "0.0000",
        "fees": { &names.pair: rate(taker) },
        "fees_maker": { &names.pair: rate(maker) },
    })
}
