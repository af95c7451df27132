//! The older socket: books with checksums, trades and tickers.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use axum::extract::{State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{Side, Timestamp, Trade};
use serde_json::{Value, json};

use super::book::{DEPTHS, Level, ShownBook};
use super::names::{self, Names};
use super::public::socket_time;
use super::session::{Session, Trigger};
use crate::events::Event;
use crate::frames::Class;
use crate::hub::{ConnectionId, Hub};
use crate::shared::Shared;
use crate::socket;
use crate::venue::Venue;
use crate::wire::{self, Scene};

/// Numbers of the channels.
const BOOK_CHANNEL: u32 = 320;
const TRADE_CHANNEL: u32 = 321;
const TICKER_CHANNEL: u32 = 340;

/// `/` and `/ws`.
pub(crate) async fn open(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let session = wire::Session::Kraken(Box::new(Session::v1()));
    let (id, queue) = {
        let mut venue = shared.venue();
        let Some((id, queue)) = venue.hub.connect(session) else {
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        };
        let hello = status(venue.mode().as_str());
        venue.hub.send(id, hello);
        (id, queue)
    };
    let failed = Arc::clone(&shared);
    upgrade
        .on_failed_upgrade(move |_| failed.venue().hub.disconnect(id))
        .on_upgrade(move |socket| async move {
            let stop = shared.stop.subscribe();
            let answer = |text: String| {
                on_text(&mut shared.venue(), id, &text);
                std::future::ready(None)
            };
            socket::run(socket, queue, stop, None, answer).await;
            shared.venue().hub.disconnect(id);
        })
}

fn status(mode: &str) -> String {
    format!(
        r#"{{"connectionID":17413893361151983591,"event":"systemStatus","status":"{mode}","version":"1.9.6"}}"#
    )
}

fn on_text(venue: &mut Venue, id: ConnectionId, text: &str) {
    let request: Value = serde_json::from_str(text).unwrap_or_default();
    let event = request["event"].as_str().unwrap_or_default();
    match event {
        "ping" => {
            let mut pong = json!({ "event": "pong" });
            echo(&mut pong, &request);
            venue.hub.send(id, pong.to_string());
        }
        "subscribe" | "unsubscribe" => {
            for pair in request["pair"].as_array().into_iter().flatten() {
                subscription(venue, id, event, pair.as_str().unwrap_or_default(), &request);
            }
        }
        _ => {
            let error = json!({ "event": "error", "errorMessage": "Malformed request" });
            venue.hub.send(id, error.to_string());
        }
    }
}

/// The client's number of its request stands in the answer.
fn echo(reply: &mut Value, request: &Value) {
    if let Some(reqid) = request.get("reqid") {
        reply["reqid"] = reqid.clone();
    }
}

fn subscription(venue: &mut Venue, id: ConnectionId, event: &str, pair: &str, request: &Value) {
    let now = venue.catch_up();
    let names = Names::of(&venue.listing);
    let name = request["subscription"]["name"].as_str().unwrap_or_default();
    let depth = request["subscription"]["depth"].as_u64().unwrap_or(10);
    let depth = usize::try_from(depth).unwrap_or(0);
    let error = match name {
        _ if pair != names.ws => Some("Currency pair not supported"),
        "book" if !DEPTHS.contains(&depth) => Some("Subscription depth not supported"),
        "book" | "trade" | "ticker" => None,
        _ => Some("Subscription name invalid"),
    };
    let mut reply = json!({ "event": "subscriptionStatus", "pair": pair, "subscription": { "name": name } });
    echo(&mut reply, request);
    if let Some(error) = error {
        reply["status"] = json!("error");
        reply["errorMessage"] = json!(format!("{error} {pair}").trim_end());
        venue.hub.send(id, reply.to_string());
        return;
    }
    let is_on = event == "subscribe";
    reply["status"] = json!(if is_on { "subscribed" } else { "unsubscribed" });
    let (channel, channel_name) = match name {
        "book" => (BOOK_CHANNEL, format!("book-{depth}")),
        "trade" => (TRADE_CHANNEL, name.to_owned()),
        _ => (TICKER_CHANNEL, name.to_owned()),
    };
    if name == "book" {
        reply["subscription"]["depth"] = json!(depth);
    }
    reply["channelID"] = json!(channel);
    reply["channelName"] = json!(channel_name);
    let (scene, hub) = venue.scene(now);
    hub.send(id, reply.to_string());
    let is_stalled = hub.is_stalled(Class::Book);
    let Some(wire::Session::Kraken(session)) = hub.session_mut(id) else {
        return;
    };
    match name {
        "book" => session.book = is_on.then(|| ShownBook::snapshot(scene.market, depth)),
        "trade" => session.trade = is_on,
        _ => session.ticker = is_on.then_some(Trigger::Trades),
    }
    let first = session
        .book
        .as_ref()
        .filter(|_| name == "book" && !is_stalled)
        .map(|book| snapshot(book, &names, now));
    if let Some(first) = first {
        hub.send(id, first);
    }
}

/// Words an event for the connections of the older socket.
pub(super) fn publish(hub: &mut Hub, scene: &Scene<'_>, event: &Event<'_>) {
    let names = Names::of(scene.listing);
    match event {
        Event::Book { diff, .. } => {
            let spoils = hub.spoils_checksum();
            let mut written = false;
            to_all(hub, Class::Book, |session| {
                let text = update(session.book.as_mut()?, scene, &names, diff.ts, spoils);
                written |= text.is_some();
                text
            });
            if spoils && written {
                hub.checksum_was_spoiled();
            }
        }
        Event::Trade(one) => {
            to_all(hub, Class::Trade, |session| {
                session.trade.then(|| trade(&names, one))
            });
            to_all(hub, Class::Quote, |session| {
                session.ticker.map(|_| ticker(scene, &names, one))
            });
        }
        Event::Mode(mode) => to_all(hub, Class::Status, |_| Some(status(mode.as_str()))),
        Event::Heartbeat => to_all(hub, Class::Status, |session| {
            session.listens().then(|| r#"{"event":"heartbeat"}"#.to_owned())
        }),
        Event::Quote(..) | Event::Order(_) | Event::Balances { .. } | Event::Shutdown => {}
    }
}

fn to_all(hub: &mut Hub, class: Class, mut text_for: impl FnMut(&mut Session) -> Option<String>) {
    hub.broadcast(class, |session| match session {
        wire::Session::Kraken(session) if session.is_v1 => text_for(session).map(Utf8Bytes::from),
        _ => None,
    });
}

fn snapshot(book: &ShownBook, names: &Names, now: Timestamp) -> String {
    format!(
        r#"[{BOOK_CHANNEL},{{"as":{},"bs":{}}},"book-{}","{}"]"#,
        levels(names, &book.asks, now),
        levels(names, &book.bids, now),
        book.depth,
        names.ws
    )
}

/// An update: where both sides change, one array holds two objects, and the checksum stands in the second.
fn update(
    book: &mut ShownBook,
    scene: &Scene<'_>,
    names: &Names,
    ts: Timestamp,
    spoiled: bool,
) -> Option<String> {
    let changes = book.advance(scene.market);
    if changes.is_empty() {
        return None;
    }
    let checksum = book.v1_checksum(names) ^ u32::from(spoiled);
    let asks = levels(names, &changes.asks, ts);
    let bids = levels(names, &changes.bids, ts);
    let body = match (changes.asks.is_empty(), changes.bids.is_empty()) {
        (false, true) => format!(r#"{{"a":{asks},"c":"{checksum}"}}"#),
        (true, _) => format!(r#"{{"b":{bids},"c":"{checksum}"}}"#),
        (false, false) => format!(r#"{{"a":{asks}}},{{"b":{bids},"c":"{checksum}"}}"#),
    };
    Some(format!(
        r#"[{BOOK_CHANNEL},{body},"book-{}","{}"]"#,
        book.depth, names.ws
    ))
}

fn levels(names: &Names, levels: &[Level], ts: Timestamp) -> String {
    let mut text = String::from("[");
    for (index, &(price, quantity)) in levels.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(
            text,
            r#"{comma}["{}","{}","{}"]"#,
            names.v1_price(price),
            names::quantity(quantity),
            socket_time(ts)
        );
    }
    text.push(']');
    text
}

fn trade(names: &Names, trade: &Trade) -> String {
    format!(
        r#"[{TRADE_CHANNEL},[["{}","{}","{}","{}","l",""]],"trade","{}"]"#,
        names.v1_price(trade.price),
        names::quantity(trade.quantity),
        socket_time(trade.ts_event),
        if trade.aggressor == Side::Buy { "b" } else { "s" },
        names.ws
    )
}

fn ticker(scene: &Scene<'_>, names: &Names, last: &Trade) -> String {
    let best = scene.market.best();
    let [bid, ask] = [best.bid, best.ask].map(Option::unwrap_or_default);
    let quote = |level: Level| json!([names.v1_price(level.0), 1, names::quantity(level.1)]);
    let body = json!({
        "a": quote(ask),
        "b": quote(bid),
        "c": [names.v1_price(last.price), names::quantity(last.quantity)],
    });
    format!(r#"[{TICKER_CHANNEL},{body},"ticker","{}"]"#, names.ws)
}
