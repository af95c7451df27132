//! The newer socket's messages. Numbers are bare, with the text under which the checksum is made.

use std::fmt::Write as _;

use axum::extract::ws::Utf8Bytes;
use domain::{Side, Timestamp, Trade};
use serde_json::{Value, json};

use super::book::{Level, ShownBook};
use super::entry::side_name;
use super::names::{self, Names};
use super::session::{Session, Trigger};
use super::views::{reason, type_name};
use crate::events::{Event, Happening, OrderNews};
use crate::frames::Class;
use crate::history::{Day, ShownBar};
use crate::hub::Hub;
use crate::instant::rfc3339;
use crate::orders::{OrderRecord, Status};
use crate::venue::Mode;
use crate::wire::{self, Scene};

/// Decimals of a second in times.
const TIME_DECIMALS: usize = 6;

/// The socket's text of a time.
pub(super) fn time(ts: Timestamp) -> String {
    rfc3339(ts, TIME_DECIMALS)
}

/// Words an event for the connections of the newer socket.
pub(super) fn publish(hub: &mut Hub, scene: &Scene<'_>, event: &Event<'_>) {
    let names = Names::of(scene.listing);
    match event {
        Event::Book { diff, .. } => publish_book(hub, scene, &names, diff.ts),
        Event::Trade(trade) => publish_trade(hub, scene, &names, trade),
        Event::Quote(ts, _) => to_all(hub, Class::Quote, |session| {
            (session.ticker == Some(Trigger::BestPrices)).then(|| ticker(scene, &names, "update", *ts))
        }),
        Event::Order(news) => to_all(hub, Class::Account, |session| {
            (session.executions == Some(news.order.account)).then(|| {
                let sequence = session.next_sequence();
                executions(&names, news, sequence)
            })
        }),
        Event::Balances { account, time_ms, .. } => to_all(hub, Class::Account, |session| {
            balance_update(session, scene, *account, Timestamp::from_millis(*time_ms))
        }),
        Event::Mode(mode) => to_all(hub, Class::Status, |_| Some(status(*mode))),
        Event::Heartbeat => to_all(hub, Class::Status, |session| {
            session.listens().then(|| r#"{"channel":"heartbeat"}"#.to_owned())
        }),
        Event::Shutdown => {}
    }
}

/// Sends each connection of this socket its own text.
fn to_all(hub: &mut Hub, class: Class, mut text_for: impl FnMut(&mut Session) -> Option<String>) {
    hub.broadcast(class, |session| match session {
        wire::Session::Kraken(session) if !session.is_v1 => text_for(session).map(Utf8Bytes::from),
        _ => None,
    });
}

fn publish_book(hub: &mut Hub, scene: &Scene<'_>, names: &Names, ts: Timestamp) {
    let spoils = hub.spoils_checksum();
    let mut written = false;
    to_all(hub, Class::Book, |session| {
        let book = session.book.as_mut()?;
        let changes = book.advance(scene.market);
        (!changes.is_empty()).then(|| {
            written = true;
            let checksum = book.checksum(names) ^ u32::from(spoils);
            book_text("update", names, &changes.bids, &changes.asks, checksum, ts)
        })
    });
    to_all(hub, Class::Book, |session| {
        let book = session.level3.as_mut()?;
        let before = book.clone();
        let changes = book.advance(scene.market);
        (!changes.is_empty()).then(|| {
            written = true;
            let checksum = book.checksum(names) ^ u32::from(spoils);
            let orders = [(Side::Buy, &changes.bids), (Side::Sell, &changes.asks)];
            let [bids, asks] = orders.map(|(side, levels)| orders_text(names, side, levels, Some(&before)));
            level3_text("update", names, &bids, &asks, checksum, ts)
        })
    });
    if spoils && written {
        hub.checksum_was_spoiled();
    }
}

/// The book as a snapshot.
pub(super) fn book_snapshot(names: &Names, book: &ShownBook, now: Timestamp) -> String {
    book_text(
        "snapshot",
        names,
        &book.bids,
        &book.asks,
        book.checksum(names),
        now,
    )
}

/// The book as single orders: at each price one, whose name the price makes.
pub(super) fn level3_snapshot(names: &Names, book: &ShownBook, now: Timestamp) -> String {
    let orders = [(Side::Buy, &book.bids), (Side::Sell, &book.asks)];
    let [bids, asks] = orders.map(|(side, levels)| orders_text(names, side, levels, None));
    level3_text("snapshot", names, &bids, &asks, book.checksum(names), now)
}

fn level3_text(kind: &str, names: &Names, bids: &str, asks: &str, checksum: u32, ts: Timestamp) -> String {
    format!(
        r#"{{"channel":"level3","type":"{kind}","data":[{{"symbol":"{}","bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"{}"}}]}}"#,
        names.symbol,
        time(ts)
    )
}

/// Orders of a side; `before` is the book that they change.
fn orders_text(names: &Names, side: Side, levels: &[Level], before: Option<&ShownBook>) -> String {
    let letter = if side == Side::Buy { 'B' } else { 'S' };
    let order = |&(price, quantity): &Level| {
        let stood = before.is_some_and(|book| {
            let side = if side == Side::Buy { &book.bids } else { &book.asks };
            side.iter().any(|level| level.0 == price)
        });
        let event = match (before.is_some(), stood, quantity.is_zero()) {
            (false, ..) => "",
            (_, _, true) => r#""event":"delete","#,
            (_, true, false) => r#""event":"modify","#,
            (_, false, false) => r#""event":"add","#,
        };
        let id = format!("O{letter}-{}", price.units());
        let (price, quantity) = (names.price(price), names::quantity(quantity));
        format!(r#"{{{event}"order_id":"{id}","limit_price":{price},"order_qty":{quantity}}}"#)
    };
    levels.iter().map(order).collect::<Vec<_>>().join(",")
}

fn book_text(
    kind: &str,
    names: &Names,
    bids: &[Level],
    asks: &[Level],
    checksum: u32,
    ts: Timestamp,
) -> String {
    let mut text = format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{}","bids":"#,
        names.symbol
    );
    push_levels(&mut text, names, bids);
    text.push_str(r#","asks":"#);
    push_levels(&mut text, names, asks);
    // Writing to a String does not fail.
    let _ = write!(text, r#","checksum":{checksum},"timestamp":"{}"}}]}}"#, time(ts));
    text
}

fn push_levels(text: &mut String, names: &Names, levels: &[Level]) {
    text.push('[');
    for (index, &(price, quantity)) in levels.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (price, quantity) = (names.price(price), names::quantity(quantity));
        let _ = write!(text, r#"{comma}{{"price":{price},"qty":{quantity}}}"#);
    }
    text.push(']');
}

fn publish_trade(hub: &mut Hub, scene: &Scene<'_>, names: &Names, trade: &Trade) {
    to_all(hub, Class::Trade, |session| {
        session
            .trade
            .then(|| trades(names, "update", std::iter::once(trade)))
    });
    to_all(hub, Class::Quote, |session| {
        (session.ticker == Some(Trigger::Trades)).then(|| ticker(scene, names, "update", trade.ts_event))
    });
    to_all(hub, Class::Quote, |session| {
        let bar = session
            .ohlc
            .then(|| scene.history.bars(trade.ts_event, None, None, 1))?;
        Some(ohlc(names, "update", &bar, trade.ts_event))
    });
}

/// Public trades, oldest first.
pub(super) fn trades<'a>(names: &Names, kind: &str, trades: impl Iterator<Item = &'a Trade>) -> String {
    let one = |trade: &Trade| {
        format!(
            r#"{{"symbol":"{}","side":"{}","price":{},"qty":{},"ord_type":"market","trade_id":{},"timestamp":"{}"}}"#,
            names.symbol,
            side_name(trade.aggressor),
            names.price(trade.price),
            names::quantity(trade.quantity),
            trade.trade_id.0,
            time(trade.ts_event),
        )
    };
    let data: Vec<String> = trades.map(one).collect();
    format!(
        r#"{{"channel":"trade","type":"{kind}","data":[{}]}}"#,
        data.join(",")
    )
}

/// Best prices, the last trade, and the day.
pub(super) fn ticker(scene: &Scene<'_>, names: &Names, kind: &str, now: Timestamp) -> String {
    let best = scene.market.best();
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    let day = Day::of(scene.history, now);
    let last = scene.history.last_price();
    let change = domain::Price::from_units(last.units() - day.open.units());
    let percent =
        i128::from(change.units()) * 100 * i128::from(domain::SCALE) / i128::from(day.open.units().max(1));
    let percent = crate::decimal::fixed(i64::try_from(percent).unwrap_or(0), 2);
    format!(
        r#"{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{}","bid":{},"bid_qty":{},"ask":{},"ask_qty":{},"last":{},"volume":{},"vwap":{},"low":{},"high":{},"change":{},"change_pct":{percent}}}]}}"#,
        names.symbol,
        names.price(bid.0),
        names::quantity(bid.1),
        names.price(ask.0),
        names::quantity(ask.1),
        names.price(last),
        names::quantity(day.volume),
        names.price(day.vwap),
        names.price(day.low),
        names.price(day.high),
        names.price(change),
    )
}

/// Bars of the record's span.
pub(super) fn ohlc(names: &Names, kind: &str, bars: &[ShownBar], now: Timestamp) -> String {
    let one = |shown: &ShownBar| {
        let bar = &shown.bar;
        format!(
            r#"{{"symbol":"{}","open":{},"high":{},"low":{},"close":{},"trades":{},"volume":{},"vwap":{},"interval_begin":"{}","interval":{},"timestamp":"{}"}}"#,
            names.symbol,
            names.price(bar.open),
            names.price(bar.high),
            names.price(bar.low),
            names.price(bar.close),
            shown.trades,
            names::quantity(bar.volume),
            super::public::vwap(shown, names),
            rfc3339(bar.ts_open, 9),
            bar.span.0 / 60_000_000_000,
            time(bar.ts_close()),
        )
    };
    let data: Vec<String> = bars.iter().map(one).collect();
    format!(
        r#"{{"channel":"ohlc","type":"{kind}","timestamp":"{}","data":[{}]}}"#,
        time(now),
        data.join(",")
    )
}

/// What the venue takes. The number of the connection is beyond what a float holds, as the venue's are.
pub(crate) fn status(mode: Mode) -> String {
    format!(
        r#"{{"channel":"status","type":"update","data":[{{"version":"2.0.10","system":"{}","api_version":"v2","connection_id":13834774380200032777}}]}}"#,
        mode.as_str()
    )
}

/// Assets and pairs.
pub(super) fn instruments(scene: &Scene<'_>, names: &Names, mode: Mode) -> String {
    let instrument = &scene.listing.instrument;
    let rules = &instrument.rules;
    let asset = |currency: domain::Currency| {
        format!(
            r#"{{"id":"{}","status":"enabled","precision":{},"precision_display":5,"borrowable":false,"collateral_value":0.0,"margin_rate":0.0}}"#,
            currency.as_str(),
            names::COST_DECIMALS
        )
    };
    let step = crate::decimal::plain(rules.tick_size.units());
    format!(
        r#"{{"channel":"instrument","type":"snapshot","data":{{"assets":[{},{}],"pairs":[{{"symbol":"{}","base":"{}","quote":"{}","status":"{}","qty_precision":{},"qty_increment":0.00000001,"price_precision":{},"cost_precision":{},"marginable":false,"has_index":false,"cost_min":{},"tick_size":{step},"price_increment":{step},"qty_min":{}}}]}}}}"#,
        asset(instrument.base),
        asset(instrument.quote),
        names.symbol,
        instrument.base.as_str(),
        instrument.quote.as_str(),
        mode.as_str(),
        names::LOT_DECIMALS,
        names.price_decimals,
        names::COST_DECIMALS,
        crate::decimal::plain(rules.min_notional.decimal_units().unwrap_or(0)),
        crate::decimal::plain(rules.min_quantity.units()),
    )
}

/// What happened to an order: an execution that completes it still says `partially_filled`, and `filled` follows.
fn executions(names: &Names, news: &OrderNews<'_>, sequence: u64) -> String {
    let ts = time(Timestamp::from_millis(news.time_ms));
    let entries = match news.what {
        Happening::Accepted => vec![
            order_entry(names, news.order, "pending_new", "pending_new", &ts),
            order_entry(names, news.order, "new", "new", &ts),
        ],
        Happening::Filled => {
            let mut entries = vec![trade_entry(names, news, &ts)];
            if news.order.status == Status::Filled {
                entries.push(order_entry(names, news.order, "filled", "filled", &ts));
            }
            entries
        }
        Happening::Canceled => vec![order_entry(names, news.order, "canceled", "canceled", &ts)],
        Happening::Expired if news.order.status == Status::ExpiredInMatch => {
            vec![order_entry(names, news.order, "canceled", "canceled", &ts)]
        }
        Happening::Expired => vec![order_entry(names, news.order, "expired", "expired", &ts)],
        Happening::Amended => vec![order_entry(
            names,
            news.order,
            "amended",
            open_name(news.order),
            &ts,
        )],
    };
    format!(
        r#"{{"channel":"executions","type":"update","data":[{}],"sequence":{sequence}}}"#,
        entries.join(",")
    )
}

fn open_name(order: &OrderRecord) -> &'static str {
    if order.filled.is_zero() {
        "new"
    } else {
        "partially_filled"
    }
}

/// The open orders of an account, as the channel begins.
pub(super) fn executions_snapshot(scene: &Scene<'_>, names: &Names, account: usize, sequence: u64) -> String {
    let entry = |order: &OrderRecord| {
        let ts = time(Timestamp::from_millis(order.updated_ms));
        order_entry(names, order, "new", open_name(order), &ts)
    };
    let data: Vec<String> = scene.orders.open_of(account).map(entry).collect();
    format!(
        r#"{{"channel":"executions","type":"snapshot","data":[{}],"sequence":{sequence}}}"#,
        data.join(",")
    )
}

/// The fields that name an order.
fn order_names(names: &Names, order: &OrderRecord) -> String {
    let ticket = &order.ticket;
    let mut text = format!(
        r#""order_id":"{}","order_userref":{},"symbol":"{}","side":"{}","order_type":"{}""#,
        names::order_id(order.id),
        ticket.reference.unwrap_or(0),
        names.symbol,
        side_name(ticket.side),
        type_name(ticket.order_type),
    );
    if !ticket.client_order_id.is_empty() {
        let _ = write!(text, r#","cl_ord_id":{}"#, json!(ticket.client_order_id));
    }
    text
}

fn order_entry(names: &Names, order: &OrderRecord, exec: &str, status: &str, ts: &str) -> String {
    let ticket = &order.ticket;
    let mut text = format!(
        r#"{{{},"exec_type":"{exec}","order_status":"{status}","order_qty":{},"cum_qty":{},"cum_cost":{},"avg_price":{},"fee_usd_equiv":{},"time_in_force":"{}","timestamp":"{ts}""#,
        order_names(names, order),
        names::quantity(ticket.quantity),
        names::quantity(order.filled),
        names::amount(order.filled_value),
        names.price(order.average_price()),
        names::amount(order.fees()),
        match ticket.time_in_force {
            domain::TimeInForce::Gtc if ticket.expires.is_none() => "GTC",
            domain::TimeInForce::Gtc | domain::TimeInForce::Gtd(_) => "GTD",
            domain::TimeInForce::Ioc => "IOC",
            domain::TimeInForce::Fok => "FOK",
        },
    );
    if let Some(price) = ticket.price {
        let _ = write!(
            text,
            r#","limit_price":{},"limit_price_type":"static""#,
            names.price(price)
        );
    }
    if ticket.post_only {
        text.push_str(r#","post_only":true"#);
    }
    if let Some(ending) = order.ending {
        let _ = write!(text, r#","reason":"{}""#, reason(ending));
    }
    text.push('}');
    text
}

fn trade_entry(names: &Names, news: &OrderNews<'_>, ts: &str) -> String {
    let Some(fill) = news.fill else {
        return order_entry(names, news.order, "status", open_name(news.order), ts);
    };
    format!(
        r#"{{{},"exec_type":"trade","order_status":"partially_filled","exec_id":"{}","trade_id":{},"last_qty":{},"last_price":{},"cost":{},"liquidity_ind":"{}","fees":[{{"asset":"{}","qty":{}}}],"fee_usd_equiv":{},"order_qty":{},"cum_qty":{},"timestamp":"{ts}"}}"#,
        order_names(names, news.order),
        super::views::fill_id(fill),
        fill.trade_id.0,
        names::quantity(fill.quantity),
        names.price(fill.price),
        names::amount(fill.value()),
        if fill.liquidity == domain::Liquidity::Maker {
            "m"
        } else {
            "t"
        },
        fill.fee.currency().as_str(),
        names::amount(fill.fee.units()),
        names::amount(fill.fee.units()),
        names::quantity(news.order.ticket.quantity),
        names::quantity(news.order.filled),
    )
}

/// All balances of an account, as the channel begins.
pub(super) fn balances_snapshot(session: &mut Session, scene: &Scene<'_>, account: usize) -> String {
    let mut told = std::collections::BTreeMap::new();
    let entry = |(currency, holding): (domain::Currency, crate::account::Holding)| {
        let total = holding.free + holding.locked;
        told.insert(currency, total);
        let total = names::amount(total);
        format!(
            r#"{{"asset":"{}","asset_class":"currency","balance":{total},"wallets":[{{"type":"spot","id":"main","balance":{total}}}]}}"#,
            currency.as_str()
        )
    };
    let data: Vec<String> = scene.accounts[account].holdings().map(entry).collect();
    session.balances = Some((account, told));
    let sequence = session.next_sequence();
    format!(
        r#"{{"channel":"balances","type":"snapshot","data":[{}],"sequence":{sequence}}}"#,
        data.join(",")
    )
}

/// The balances that are others than the connection was last told; `None` where all are the same.
fn balance_update(session: &mut Session, scene: &Scene<'_>, account: usize, ts: Timestamp) -> Option<String> {
    let (owner, told) = session.balances.as_mut()?;
    if *owner != account {
        return None;
    }
    let ts = time(ts);
    let mut data = Vec::new();
    for (currency, holding) in scene.accounts[account].holdings() {
        let total = holding.free + holding.locked;
        let before = told.insert(currency, total).unwrap_or(0);
        if total != before {
            data.push(format!(
                r#"{{"asset":"{}","asset_class":"currency","amount":{},"balance":{},"fee":0.0,"ledger_id":"L{ts}","ref_id":"","timestamp":"{ts}","type":"trade","subtype":"","category":"trade","wallet_type":"spot","wallet_id":"main"}}"#,
                currency.as_str(),
                names::amount(total - before),
                names::amount(total),
            ));
        }
    }
    if data.is_empty() {
        return None;
    }
    let sequence = session.next_sequence();
    Some(format!(
        r#"{{"channel":"balances","type":"update","data":[{}],"sequence":{sequence}}}"#,
        data.join(",")
    ))
}

/// The answer of a request.
pub(super) fn reply(
    method: &str,
    req_id: Option<&Value>,
    result: Result<Value, &str>,
    now: Timestamp,
) -> Value {
    let ts = time(now);
    let mut reply = match result {
        Ok(result) => json!({ "method": method, "result": result, "success": true }),
        Err(error) => json!({ "method": method, "error": error, "success": false }),
    };
    if let Some(req_id) = req_id {
        reply["req_id"] = req_id.clone();
    }
    reply["time_in"] = json!(ts);
    reply["time_out"] = json!(ts);
    reply
}
