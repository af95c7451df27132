//! The newer socket: its connections and its requests.

use std::sync::Arc;

use axum::extract::{State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::book::{DEPTHS, LEVEL3_DEPTHS, ShownBook};
use super::fields::Fields;
use super::names::Names;
use super::session::{Session, Trigger};
use super::{v2_feed, v2_orders};
use crate::frames::Class;
use crate::hub::ConnectionId;
use crate::shared::Shared;
use crate::socket;
use crate::venue::Venue;
use crate::wire;

/// Trades of a snapshot.
const TRADES: usize = 50;
/// Bars of a snapshot.
const BARS: usize = 720;

/// A request as it comes.
#[derive(Debug, Deserialize)]
struct Request<'a> {
    method: String,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    req_id: Option<Value>,
}

/// `/v2`.
pub(crate) async fn open(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let session = wire::Session::Kraken(Box::default());
    let (id, queue) = {
        let mut venue = shared.venue();
        let Some((id, queue)) = venue.hub.connect(session) else {
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        };
        let hello = v2_feed::status(venue.mode());
        venue.hub.send(id, hello);
        (id, queue)
    };
    let failed = Arc::clone(&shared);
    upgrade
        .on_failed_upgrade(move |_| failed.venue().hub.disconnect(id))
        .on_upgrade(move |socket| async move {
            let stop = shared.stop.subscribe();
            let answer = |text: String| {
                let shared = Arc::clone(&shared);
                async move { on_text(&shared, id, &text).await }
            };
            socket::run(socket, queue, stop, None, answer).await;
            shared.venue().hub.disconnect(id);
        })
}

/// Obeys a request; what it answers is queued, in the order of all other messages, but where a fault makes it late.
async fn on_text(shared: &Shared, id: ConnectionId, text: &str) -> Option<String> {
    let Ok(request) = serde_json::from_str::<Request<'_>>(text) else {
        return Some(json!({ "error": "Malformed request", "success": false }).to_string());
    };
    let params = request.params.map_or("{}", RawValue::get);
    let fields = Fields::from_json(params).unwrap_or_default();
    let req_id = request.req_id.as_ref();
    match request.method.as_str() {
        "ping" => {
            let mut venue = shared.venue();
            let now = venue.catch_up();
            let ts = v2_feed::time(venue.shown(now));
            let mut pong = json!({ "method": "pong", "time_in": ts, "time_out": ts });
            if let Some(req_id) = req_id {
                pong["req_id"] = req_id.clone();
            }
            venue.hub.send(id, pong.to_string());
            None
        }
        "subscribe" => {
            subscribe(&mut shared.venue(), id, &fields, req_id);
            None
        }
        "unsubscribe" => {
            unsubscribe(&mut shared.venue(), id, &fields, req_id);
            None
        }
        method => v2_orders::answer(shared, id, method, &fields, req_id).await,
    }
}

/// Subscribes to a channel: an answer for each symbol, then the snapshot.
fn subscribe(venue: &mut Venue, id: ConnectionId, fields: &Fields, req_id: Option<&Value>) {
    let now = venue.catch_up();
    let shown = venue.shown(now);
    let names = Names::of(&venue.listing);
    let channel = fields.get("channel").unwrap_or_default().to_owned();
    let refuse = |venue: &mut Venue, error: &str, symbol: Option<&str>| {
        let mut reply = v2_feed::reply("subscribe", req_id, Err(error), shown);
        if let Some(symbol) = symbol {
            reply["symbol"] = json!(symbol);
        }
        venue.hub.send(id, reply.to_string());
    };
    if matches!(channel.as_str(), "executions" | "balances") {
        let Some(account) = fields
            .get("token")
            .and_then(|token| venue.kraken.account_of(token))
        else {
            return refuse(venue, "EAuth:Invalid token", None);
        };
        return subscribe_account(venue, id, &channel, account, fields, req_id);
    }
    let account = fields
        .get("token")
        .and_then(|token| venue.kraken.account_of(token));
    if channel == "level3" && account.is_none() {
        return refuse(venue, "EAuth:Invalid token", None);
    }
    if channel == "instrument" {
        return take(venue, id, &channel, &names, fields, req_id, None);
    }
    for symbol in fields.list("symbol") {
        if symbol == names.symbol {
            take(venue, id, &channel, &names, fields, req_id, Some(&symbol));
        } else {
            refuse(
                venue,
                &format!("Currency pair not supported {symbol}"),
                Some(&symbol),
            );
        }
    }
}

/// Takes a subscription of a public channel, or refuses it in the answer only.
fn take(
    venue: &mut Venue,
    id: ConnectionId,
    channel: &str,
    names: &Names,
    fields: &Fields,
    req_id: Option<&Value>,
    symbol: Option<&str>,
) {
    let now = venue.catch_up();
    let shown = venue.shown(now);
    let mode = venue.mode();
    let snapshot_wanted = fields.get("snapshot") != Some("false");
    let mut result = json!({ "channel": channel, "snapshot": snapshot_wanted });
    if let Some(symbol) = symbol {
        result["symbol"] = json!(symbol);
    }
    let (scene, hub) = venue.scene(now);
    let is_stalled = matches!(channel, "book" | "level3") && hub.is_stalled(Class::Book);
    let Some(wire::Session::Kraken(session)) = hub.session_mut(id) else {
        return;
    };
    let taken = match channel {
        "book" => take_book(session, &scene, fields, &mut result),
        "level3" => take_level3(session, &scene, fields, &mut result),
        "trade" => {
            session.trade = true;
            Ok(v2_feed::trades(names, "snapshot", scene.history.latest(TRADES)))
        }
        "ticker" => take_ticker(session, fields, &mut result)
            .map(|()| v2_feed::ticker(&scene, names, "snapshot", now)),
        "ohlc" => take_ohlc(session, &scene, fields, &mut result).map(|()| {
            let bars = scene.history.bars(now, None, None, BARS);
            v2_feed::ohlc(names, "snapshot", &bars, now)
        }),
        "instrument" => {
            session.instrument = true;
            Ok(v2_feed::instruments(&scene, names, mode))
        }
        other => Err(format!("Unsupported channel {other}")),
    };
    match taken {
        Ok(snapshot) => {
            let reply = v2_feed::reply("subscribe", req_id, Ok(result), shown);
            hub.send(id, reply.to_string());
            if snapshot_wanted && !is_stalled {
                hub.send(id, snapshot);
            }
        }
        Err(error) => {
            let mut reply = v2_feed::reply("subscribe", req_id, Err(&error), shown);
            if let Some(symbol) = symbol {
                reply["symbol"] = json!(symbol);
            }
            hub.send(id, reply.to_string());
        }
    }
}

fn take_book(
    session: &mut Session,
    scene: &wire::Scene<'_>,
    fields: &Fields,
    result: &mut Value,
) -> Result<String, String> {
    let depth = fields.get("depth").unwrap_or("10").parse().unwrap_or(0);
    if !DEPTHS.contains(&depth) {
        return Err("Subscription depth not supported".to_owned());
    }
    if session.book.is_some() {
        return Err("Already subscribed".to_owned());
    }
    result["depth"] = json!(depth);
    let book = session.book.insert(ShownBook::snapshot(scene.market, depth));
    Ok(v2_feed::book_snapshot(&Names::of(scene.listing), book, scene.now))
}

fn take_level3(
    session: &mut Session,
    scene: &wire::Scene<'_>,
    fields: &Fields,
    result: &mut Value,
) -> Result<String, String> {
    let depth = fields.get("depth").unwrap_or("10").parse().unwrap_or(0);
    if !LEVEL3_DEPTHS.contains(&depth) {
        return Err("Subscription depth not supported".to_owned());
    }
    if session.level3.is_some() {
        return Err("Already subscribed".to_owned());
    }
    result["depth"] = json!(depth);
    let book = session.level3.insert(ShownBook::snapshot(scene.market, depth));
    Ok(v2_feed::level3_snapshot(
        &Names::of(scene.listing),
        book,
        scene.now,
    ))
}

fn take_ticker(session: &mut Session, fields: &Fields, result: &mut Value) -> Result<(), String> {
    let trigger = fields.get("event_trigger").unwrap_or("trades");
    session.ticker = Some(match trigger {
        "trades" => Trigger::Trades,
        "bbo" => Trigger::BestPrices,
        _ => return Err("Unsupported event trigger".to_owned()),
    });
    result["event_trigger"] = json!(trigger);
    Ok(())
}

fn take_ohlc(
    session: &mut Session,
    scene: &wire::Scene<'_>,
    fields: &Fields,
    result: &mut Value,
) -> Result<(), String> {
    let span = scene.market.bars().first().map_or(0, |bar| bar.span.0) / 60_000_000_000;
    let asked: i64 = fields.get("interval").unwrap_or("1").parse().unwrap_or(0);
    if asked != span {
        return Err(format!(
            "Subscription ohlc interval not supported: {span} is served"
        ));
    }
    session.ohlc = true;
    result["interval"] = json!(asked);
    Ok(())
}

fn subscribe_account(
    venue: &mut Venue,
    id: ConnectionId,
    channel: &str,
    account: usize,
    fields: &Fields,
    req_id: Option<&Value>,
) {
    let now = venue.catch_up();
    let shown = venue.shown(now);
    let names = Names::of(&venue.listing);
    let flag = |name: &str, default: bool| fields.get(name).map_or(default, |value| value == "true");
    let mut result = json!({ "channel": channel });
    let snapshot_name = if channel == "balances" {
        "snapshot"
    } else {
        "snap_orders"
    };
    let snapshot_wanted = flag(snapshot_name, true);
    result[snapshot_name] = json!(snapshot_wanted);
    if channel == "executions" {
        result["snap_trades"] = json!(flag("snap_trades", false));
    }
    let (scene, hub) = venue.scene(now);
    let Some(wire::Session::Kraken(session)) = hub.session_mut(id) else {
        return;
    };
    let snapshot = if channel == "balances" {
        v2_feed::balances_snapshot(session, &scene, account)
    } else {
        session.executions = Some(account);
        let sequence = session.next_sequence();
        v2_feed::executions_snapshot(&scene, &names, account, sequence)
    };
    hub.send(
        id,
        v2_feed::reply("subscribe", req_id, Ok(result), shown).to_string(),
    );
    if snapshot_wanted {
        hub.send(id, snapshot);
    }
}

fn unsubscribe(venue: &mut Venue, id: ConnectionId, fields: &Fields, req_id: Option<&Value>) {
    let now = venue.catch_up();
    let shown = venue.shown(now);
    let channel = fields.get("channel").unwrap_or_default();
    let mut result = json!({ "channel": channel });
    if let Some(symbol) = fields.get("symbol") {
        result["symbol"] = json!(symbol);
    }
    let Some(wire::Session::Kraken(session)) = venue.hub.session_mut(id) else {
        return;
    };
    let had = match channel {
        "book" => session.book.take().is_some(),
        "level3" => session.level3.take().is_some(),
        "trade" => std::mem::take(&mut session.trade),
        "ticker" => session.ticker.take().is_some(),
        "ohlc" => std::mem::take(&mut session.ohlc),
        "instrument" => std::mem::take(&mut session.instrument),
        "executions" => session.executions.take().is_some(),
        "balances" => session.balances.take().is_some(),
        _ => false,
    };
    let result = if had {
        Ok(result)
    } else {
        Err("Subscription Not Found")
    };
    let reply = v2_feed::reply("unsubscribe", req_id, result, shown);
    venue.hub.send(id, reply.to_string());
}
