//! The socket's messages.

use std::fmt::Write as _;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use domain::{Level, OrderType, Side, Timestamp, Trade};
use serde::Serialize;
use serde_json::{Value, json};
use simulation::DepthDiff;

use super::names;
use super::session::Session;
use super::views;
use crate::decimal::plain;
use crate::events::Event;
use crate::frames::Class;
use crate::history::Day;
use crate::hub::Hub;
use crate::instant::rfc3339;
use crate::orders::OrderRecord;
use crate::wire::{self, Scene};

/// A connection that has subscribed to nothing after this long is closed.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(5);
/// Trades of a snapshot.
const TRADES: usize = 100;

/// The socket's text of a time.
pub(super) fn time(ts: Timestamp) -> String {
    rfc3339(ts, 9)
}

/// Words an event and tells those who listen.
pub(crate) fn publish(hub: &mut Hub, scene: &Scene<'_>, event: &Event<'_>) {
    let now = time(scene.now);
    match event {
        Event::Book { diff, .. } => {
            let mut body: Option<String> = None;
            to_all(hub, Class::Book, |session| {
                session.level2.then(|| {
                    let body = body.get_or_insert_with(|| book_update(&scene.listing.symbol, diff));
                    session.envelope("l2_data", &now, body)
                })
            });
        }
        Event::Trade(trade) => publish_trade(hub, scene, trade, &now),
        Event::Order(news) => to_all(hub, Class::Account, |session| {
            (session.user == Some(news.order.account)).then(|| {
                let orders = json!([user_order(news.order, &scene.listing.symbol)]);
                let body = json!({ "type": "update", "orders": orders }).to_string();
                session.envelope("user", &now, &body)
            })
        }),
        Event::Heartbeat => {
            let late = |session: &wire::Session| {
                matches!(session, wire::Session::Coinbase(session)
                    if !session.listens() && session.since.elapsed() > SUBSCRIBE_WITHIN)
            };
            hub.close_those(late, 1_008, "subscribe within 5 seconds");
            to_all(hub, Class::Status, |session| {
                session.heartbeats.then(|| heartbeat(session, scene.now, &now))
            });
        }
        Event::Mode(_) => to_all(hub, Class::Status, |session| {
            session.status.then(|| {
                let body = status(scene, "update");
                session.envelope("status", &now, &body)
            })
        }),
        Event::Quote(..) | Event::Balances { .. } | Event::Shutdown => {}
    }
}

fn to_all(hub: &mut Hub, class: Class, mut text_for: impl FnMut(&mut Session) -> Option<String>) {
    hub.broadcast(class, |session| match session {
        wire::Session::Coinbase(session) => text_for(session).map(Utf8Bytes::from),
        _ => None,
    });
}

fn heartbeat(session: &mut Session, now: Timestamp, shown: &str) -> String {
    session.beats += 1;
    let current = rfc3339(now, 9).replace('T', " ").replace('Z', " +0000 UTC");
    let beats = session.beats;
    let body = format!(r#"{{"current_time":"{current}","heartbeat_counter":{beats}}}"#);
    session.envelope("heartbeats", shown, &body)
}

fn push_levels(text: &mut String, side: &str, levels: impl Iterator<Item = Level>, time: &str) {
    for level in levels {
        let comma = if text.ends_with('[') { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(
            text,
            r#"{comma}{{"side":"{side}","event_time":"{time}","price_level":"{}","new_quantity":"{}"}}"#,
            names::price(level.price),
            names::quantity(level.quantity)
        );
    }
}

fn book_update(symbol: &str, diff: &DepthDiff<'_>) -> String {
    let mut text = format!(r#"{{"type":"update","product_id":"{symbol}","updates":["#);
    let at = rfc3339(diff.ts, 6);
    push_levels(&mut text, "bid", diff.bids.iter().copied(), &at);
    push_levels(&mut text, "offer", diff.asks.iter().copied(), &at);
    text.push_str("]}");
    text
}

/// The whole book, in one message.
pub(super) fn book_snapshot(scene: &Scene<'_>) -> String {
    let mut text = format!(
        r#"{{"type":"snapshot","product_id":"{}","updates":["#,
        scene.listing.symbol
    );
    let at = rfc3339(scene.now, 6);
    for (side, name) in [(Side::Buy, "bid"), (Side::Sell, "offer")] {
        let mut levels = Vec::new();
        scene.market.depth(side, usize::MAX, &mut levels);
        let levels = levels
            .into_iter()
            .map(|(price, quantity)| Level { price, quantity });
        push_levels(&mut text, name, levels, &at);
    }
    text.push_str("]}");
    text
}

fn publish_trade(hub: &mut Hub, scene: &Scene<'_>, trade: &Trade, now: &str) {
    to_all(hub, Class::Trade, |session| {
        session.trades.then(|| {
            let body = trades(&scene.listing.symbol, "update", std::iter::once(trade));
            session.envelope("market_trades", now, &body)
        })
    });
    let mut body: Option<String> = None;
    to_all(hub, Class::Quote, |session| {
        session.ticker.then(|| {
            let body = body.get_or_insert_with(|| ticker(scene, "update"));
            session.envelope("ticker", now, body)
        })
    });
}

/// Public trades, their fields in the venue's order.
#[derive(Serialize)]
struct Trades<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    trades: Vec<TradeLine<'a>>,
}

#[derive(Serialize)]
struct TradeLine<'a> {
    product_id: &'a str,
    trade_id: String,
    price: String,
    size: String,
    time: String,
    side: &'static str,
}

fn trades<'a>(symbol: &str, kind: &str, trades: impl Iterator<Item = &'a Trade>) -> String {
    let one = |trade: &Trade| TradeLine {
        product_id: symbol,
        trade_id: trade.trade_id.0.to_string(),
        price: names::price(trade.price),
        size: names::quantity(trade.quantity),
        time: rfc3339(trade.ts_event, 6),
        side: views::maker_side(trade.aggressor),
    };
    let trades = trades.map(one).collect();
    written(&Trades { kind, trades })
}

/// JSON with the fields in the order of their declaration.
fn written(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

/// The latest trades, the last one first.
pub(super) fn trades_snapshot(scene: &Scene<'_>) -> String {
    trades(
        &scene.listing.symbol,
        "snapshot",
        scene.history.latest(TRADES).rev(),
    )
}

/// Best prices, the last trade, and the day, its fields in the venue's order.
#[derive(Serialize)]
struct Tickers<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    tickers: [TickerLine<'a>; 1],
}

#[derive(Serialize)]
struct TickerLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    product_id: &'a str,
    price: String,
    volume_24_h: String,
    low_24_h: String,
    high_24_h: String,
    low_52_w: String,
    high_52_w: String,
    price_percent_chg_24_h: &'static str,
    best_bid: String,
    best_ask: String,
    best_bid_quantity: String,
    best_ask_quantity: String,
}

pub(super) fn ticker(scene: &Scene<'_>, kind: &str) -> String {
    let best = scene.market.best();
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    let day = Day::of(scene.history, scene.now);
    let (low, high) = (names::price(day.low), names::price(day.high));
    let line = TickerLine {
        kind: "ticker",
        product_id: &scene.listing.symbol,
        price: names::price(scene.history.last_price()),
        volume_24_h: names::quantity(day.volume),
        low_24_h: low.clone(),
        high_24_h: high.clone(),
        low_52_w: low,
        high_52_w: high,
        price_percent_chg_24_h: "0",
        best_bid: names::price(bid.0),
        best_ask: names::price(ask.0),
        best_bid_quantity: names::quantity(bid.1),
        best_ask_quantity: names::quantity(ask.1),
    };
    written(&Tickers {
        kind,
        tickers: [line],
    })
}

/// The product and what the venue takes of it.
pub(super) fn status(scene: &Scene<'_>, kind: &str) -> String {
    let instrument = &scene.listing.instrument;
    let rules = &instrument.rules;
    json!({
        "type": kind,
        "products": [{
            "product_type": "SPOT",
            "id": scene.listing.symbol,
            "base_currency": instrument.base.as_str(),
            "quote_currency": instrument.quote.as_str(),
            "base_increment": names::quantity(rules.lot_size),
            "quote_increment": names::price(rules.tick_size),
            "display_name": scene.listing.symbol.replace('-', "/"),
            "status": scene.mode.as_str(),
            "status_message": "",
            "min_market_funds": plain(rules.min_notional.decimal_units().unwrap_or(0)),
        }],
    })
    .to_string()
}

/// An order as its owner's channel shows it.
fn user_order(order: &OrderRecord, symbol: &str) -> Value {
    let ticket = &order.ticket;
    let limit = ticket.order_type == OrderType::Limit;
    let leaves = if order.status.is_open() {
        order.remaining()
    } else {
        domain::Quantity::ZERO
    };
    json!({
        "order_id": names::order_id(order.id),
        "client_order_id": ticket.client_order_id,
        "product_id": symbol,
        "product_type": "SPOT",
        "order_side": views::side_name(ticket.side),
        "order_type": if limit { "Limit" } else { "Market" },
        "status": views::status_name(order.status),
        "time_in_force": views::time_in_force(ticket),
        "limit_price": ticket.price.map_or_else(String::new, names::price),
        "stop_price": "",
        "post_only": ticket.post_only.to_string(),
        "avg_price": names::price(order.average_price()),
        "cumulative_quantity": names::quantity(order.filled),
        "leaves_quantity": names::quantity(leaves),
        "completion_percentage": views::completion(order),
        "filled_value": names::amount(order.filled_value),
        "number_of_fills": order.fills.len().to_string(),
        "total_fees": names::amount(order.fees()),
        "total_value_after_fees": names::amount(views::value_after_fees(order)),
        "outstanding_hold_amount": names::amount(order.reserved),
        "cancel_reason": views::cancel_message(order.ending),
        "reject_Reason": "",
        "trigger_status": "INVALID_ORDER_TYPE",
        "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
        "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
        "retail_portfolio_id": names::portfolio_id(order.account),
        "creation_time": names::time(order.created_ms),
        "end_time": "0001-01-01T00:00:00Z",
        "start_time": "0001-01-01T00:00:00Z",
    })
}

/// The open orders of an account, as the channel begins.
pub(super) fn user_snapshot(scene: &Scene<'_>, account: usize) -> String {
    let open = scene.orders.open_of(account);
    let orders: Value = open
        .map(|order| user_order(order, &scene.listing.symbol))
        .collect();
    let positions = json!({ "perpetual_futures_positions": [], "expiring_futures_positions": [] });
    json!({ "type": "snapshot", "orders": orders, "positions": positions }).to_string()
}

/// What a connection is subscribed to.
pub(super) fn subscriptions(session: &Session, symbol: &str, owner: Option<&str>) -> String {
    let product = json!([symbol]);
    let mut listed = serde_json::Map::new();
    for (on, name) in [
        (session.level2, "level2"),
        (session.trades, "market_trades"),
        (session.ticker, "ticker"),
        (session.status, "status"),
    ] {
        if on {
            listed.insert(name.to_owned(), product.clone());
        }
    }
    if session.heartbeats {
        listed.insert("heartbeats".to_owned(), json!(["heartbeats"]));
    }
    if let Some(owner) = owner {
        listed.insert("user".to_owned(), json!([owner]));
    }
    json!({ "subscriptions": listed }).to_string()
}
