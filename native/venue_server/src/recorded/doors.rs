//! The doors of a recorded venue: streams, and what REST can answer from the recording.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, RawQuery, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::{Decimal, Price};
use serde_json::{Value, json};
use tokio::sync::mpsc::channel;
use tokio::sync::oneshot;

use super::{House, WAITING_MAX, Waiting};
use crate::listing::Listing;
use crate::shared::json_text;
use crate::socket;
use crate::venue::Mode;
use crate::wire::VenueKind;

/// Messages on their way to one listener.
const QUEUE: usize = 1_024;

/// Messages that a connection may send in a second.
const MESSAGES_PER_SECOND: u32 = 5;

/// Longest wait for a snapshot that the recording does not hold yet. A client's own patience is mostly shorter.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(10);

/// Levels a side that are answered where no number is asked for, and the most.
const LEVELS: (usize, usize) = (100, 5_000);

/// What the venue says of its weight limit.
const WEIGHT_PER_MINUTE: u64 = 6_000;

pub(super) fn router(house: Arc<House>) -> Router {
    Router::new()
        .route("/ws", get(raw))
        .route("/ws/{*names}", get(raw_of))
        .route("/stream", get(combined))
        .route(
            "/api/v3/ping",
            get(async || json_text(StatusCode::OK, "{}".to_owned())),
        )
        .route("/api/v3/time", get(time))
        .route("/api/v3/depth", get(depth))
        .route("/api/v3/exchangeInfo", get(exchange_info))
        // A recording has no bars of before.
        .route(
            "/api/v3/klines",
            get(async || json_text(StatusCode::OK, "[]".to_owned())),
        )
        .route("/admin/state", get(state))
        .with_state(house)
}

async fn raw(State(house): State<Arc<House>>, upgrade: WebSocketUpgrade) -> Response {
    open(house, upgrade, &BTreeSet::new(), false)
}

async fn raw_of(
    State(house): State<Arc<House>>,
    Path(names): Path<String>,
    upgrade: WebSocketUpgrade,
) -> Response {
    open(house, upgrade, &names_in(&names), false)
}

async fn combined(
    State(house): State<Arc<House>>,
    RawQuery(query): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let names = value(&query.unwrap_or_default(), "streams").unwrap_or_default();
    open(house, upgrade, &names_in(&names), true)
}

fn names_in(path: &str) -> BTreeSet<String> {
    path.split('/').map(str::to_owned).collect()
}

/// Names that are not in the recording are passed over, as the venue passes over what it does not have.
fn open(
    house: Arc<House>,
    upgrade: WebSocketUpgrade,
    names: &BTreeSet<String>,
    is_combined: bool,
) -> Response {
    let streams: BTreeSet<String> = names.intersection(&house.contents.streams).cloned().collect();
    upgrade.on_upgrade(move |socket| async move {
        let (sender, queue) = channel(QUEUE);
        let Some(id) = house.stage().listen(streams, is_combined, sender) else {
            return;
        };
        house.heard.notify_waiters();
        let stop = house.stop.subscribe();
        let answer = |text: String| std::future::ready(Some(on_text(&house, id, &text)));
        socket::run(socket, queue, stop, Some(MESSAGES_PER_SECOND), answer).await;
        house.stage().leave(id);
    })
}

/// Obeys SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS.
fn on_text(house: &House, id: u64, text: &str) -> String {
    let request: Value = serde_json::from_str(text).unwrap_or_default();
    let number = request.get("id").cloned().unwrap_or_default();
    let params = request.get("params").and_then(Value::as_array);
    let names = params.into_iter().flatten().filter_map(Value::as_str);
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    let mut stage = house.stage();
    let refused = |message: &str| {
        json!({ "error": { "code": 2, "msg": format!("Invalid request: {message}") }, "id": number })
            .to_string()
    };
    let Some(listener) = stage.listeners.iter_mut().find(|listener| listener.id == id) else {
        return refused("the connection is closing");
    };
    let result = match request.get("method").and_then(Value::as_str) {
        Some("SUBSCRIBE") => {
            if let Some(unknown) = names.difference(&house.contents.streams).next() {
                return refused(&format!("no stream `{unknown}` in the recording"));
            }
            listener.streams.extend(names);
            house.heard.notify_waiters();
            Value::Null
        }
        Some("UNSUBSCRIBE") => {
            listener.streams.retain(|stream| !names.contains(stream));
            Value::Null
        }
        Some("LIST_SUBSCRIPTIONS") => listener.streams.iter().cloned().collect(),
        _ => return refused("unknown method, expected SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS"),
    };
    json!({ "result": result, "id": number }).to_string()
}

async fn time(State(house): State<Arc<House>>) -> Response {
    let text = json!({ "serverTime": house.stage().now_ns() / 1_000_000 }).to_string();
    json_text(StatusCode::OK, text)
}

/// As of the live stream; before the recording holds a snapshot, when it does.
async fn depth(State(house): State<Arc<House>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let symbol = value(&query, "symbol").unwrap_or_default();
    if !house.contents.ticks.contains_key(&symbol) {
        return invalid_symbol();
    }
    let limit = value(&query, "limit").map_or(Some(LEVELS.0), |text| text.parse().ok());
    let Some(limit) = limit.filter(|&limit| limit > 0) else {
        return refusal(-1_100, "Illegal characters found in parameter 'limit'.");
    };
    let waiting = {
        let mut stage = house.stage();
        if let Some(book) = stage.books.get(&symbol).filter(|book| book.stands()) {
            return json_text(StatusCode::OK, book.answer(limit.min(LEVELS.1)));
        }
        stage.waiting.retain(|waiting| !waiting.reply.is_closed());
        if stage.waiting.len() == WAITING_MAX || stage.is_done {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let (reply, waiting) = oneshot::channel();
        stage.waiting.push(Waiting { symbol, reply });
        waiting
    };
    house.heard.notify_waiters();
    match tokio::time::timeout(SNAPSHOT_PATIENCE, waiting).await {
        Ok(Ok(text)) => json_text(StatusCode::OK, text),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn exchange_info(State(house): State<Arc<House>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let wanted: Option<Vec<String>> = value(&query, "symbol")
        .map(|symbol| vec![symbol])
        .or_else(|| value(&query, "symbols").and_then(|list| serde_json::from_str(&list).ok()));
    let known = &house.contents.ticks;
    if wanted.iter().flatten().any(|symbol| !known.contains_key(symbol)) {
        return invalid_symbol();
    }
    let time_ms = house.stage().now_ns() / 1_000_000;
    let mut info = Value::Null;
    let mut symbols = Vec::new();
    for (symbol, &tick) in known {
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(symbol)) {
            continue;
        }
        let free = (Decimal::ZERO, Decimal::ZERO);
        let tick = Price::from_units(tick);
        // A symbol whose currencies cannot be told apart cannot be listed.
        let Ok(listing) = Listing::new(VenueKind::Binance, symbol, tick, free, WEIGHT_PER_MINUTE) else {
            continue;
        };
        info = listing.exchange_info(Mode::Online, time_ms);
        if let Some(Value::Array(own)) = info.get_mut("symbols").map(Value::take) {
            symbols.extend(own);
        }
    }
    info["symbols"] = symbols.into();
    json_text(StatusCode::OK, info.to_string())
}

/// For people and tests: where the recording is.
async fn state(State(house): State<Arc<House>>) -> Response {
    let stage = house.stage();
    let text = json!({
        "position_ns": stage.position_ns,
        "played": stage.played,
        "listeners": stage.listeners.len(),
        "is_done": stage.is_done,
    });
    json_text(StatusCode::OK, text.to_string())
}

fn invalid_symbol() -> Response {
    refusal(-1_121, "Invalid symbol.")
}

fn refusal(code: i64, message: &str) -> Response {
    let text = json!({ "code": code, "msg": message }).to_string();
    json_text(StatusCode::BAD_REQUEST, text)
}

/// A parameter of a query.
fn value(query: &str, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}
