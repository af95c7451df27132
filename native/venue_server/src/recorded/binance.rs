//! Binance's combined stream: its streams, and what REST can answer from the recording.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::Utf8Bytes;
use axum::extract::{Path, RawQuery, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::{Decimal, Price, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::book::{Change, RecordedBook, Snapshot, coarser};
use super::script::{Played, Script, Wire};
use super::{House, Listener, doors};
use crate::listing::Listing;
use crate::shared::json_text;
use crate::venue::Mode;
use crate::wire::VenueKind;

/// Most requests for a snapshot that wait until the recording holds one.
const WAITING_MAX: usize = 1_024;

/// A tick before any price is known, units of 1e-8.
const TICK_MAX: i64 = 1_000_000_000_000;

/// Messages that a connection may send in a second.
const MESSAGES_PER_SECOND: u32 = 5;

/// Longest wait for a snapshot that the recording does not hold yet. A client's own patience is mostly shorter.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(10);

/// Levels a side that are answered where no number is asked for, and the most.
const LEVELS: (usize, usize) = (100, 5_000);

/// What the venue says of its weight limit.
const WEIGHT_PER_MINUTE: u64 = 6_000;

/// A request for a snapshot that is not there yet.
#[derive(Debug)]
struct Waiting {
    symbol: String,
    reply: oneshot::Sender<String>,
}

/// The wire's state.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: BTreeSet<String>,
    books: BTreeMap<String, RecordedBook>,
    ticks: BTreeMap<String, i64>,
    /// The finest step of snapshots that stand without their request: whose they are matters only while they are played.
    finest: Option<i64>,
    waiting: Vec<Waiting>,
}

/// A message of the combined stream.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    e: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    s: Option<Cow<'a, str>>,
}

impl Streams {
    /// The recording holds a snapshot, which is only looked at.
    pub(super) fn note(&mut self, url: Option<&str>, body: &[u8]) {
        let Ok(snapshot) = serde_json::from_slice::<Snapshot<'_>>(body) else {
            return;
        };
        match url.and_then(symbol_in) {
            Some(symbol) => {
                let tick = self.ticks.entry(symbol.to_owned()).or_insert(TICK_MAX);
                *tick = coarser(*tick, &snapshot);
            }
            None => self.finest = Some(coarser(self.finest.unwrap_or(TICK_MAX), &snapshot)),
        }
    }

    /// Whose book an answer tells: one that stands without its request is of the book whose numbers it is nearest to.
    pub(super) fn whose(&self, url: Option<&str>, body: &[u8]) -> Option<String> {
        let snapshot = serde_json::from_slice::<Snapshot<'_>>(body).ok()?;
        if let Some(symbol) = url.and_then(symbol_in) {
            return Some(symbol.to_owned());
        }
        let books = self.books.iter();
        let nearest = books.min_by_key(|(_, book)| book.last().abs_diff(snapshot.last));
        nearest.map(|(symbol, _)| symbol.clone())
    }

    /// Whether somebody asks for this snapshot, or it is known already.
    pub(super) fn is_wanted(&self, symbol: &str) -> bool {
        let stands = self.books.get(symbol).is_some_and(RecordedBook::stands);
        stands || self.waiting.iter().any(|waiting| waiting.symbol == symbol)
    }

    /// The recording holds a snapshot: who waits for it has it, as it was.
    pub(super) fn answer(&mut self, symbol: &str, body: &[u8]) {
        let Ok(snapshot) = serde_json::from_slice::<Snapshot<'_>>(body) else {
            return;
        };
        let book = self.books.entry(symbol.to_owned()).or_default();
        if book.stands() {
            return;
        }
        book.snapshot(&snapshot);
        let text = String::from_utf8_lossy(body);
        for waiting in self.waiting.extract_if(.., |waiting| waiting.symbol == symbol) {
            // Who asked may be gone.
            let _ = waiting.reply.send(text.clone().into_owned());
        }
    }
}

fn envelope(message: &str) -> Option<Envelope<'_>> {
    serde_json::from_str(message).ok()
}

/// The value of `symbol` in a request's address.
fn symbol_in(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("symbol="))
}

impl Script for Streams {
    fn take(&mut self, message: &str) -> Option<Played> {
        let Envelope { stream, data } = envelope(message)?;
        let head: Head<'_> = serde_json::from_str(data.get()).unwrap_or(Head { e: None, s: None });
        if let Some(symbol) = head.s
            && !self.ticks.contains_key(symbol.as_ref())
        {
            self.ticks.insert(symbol.into_owned(), TICK_MAX);
        }
        if head.e.is_some_and(|kind| kind == "depthUpdate")
            && let Ok(change) = serde_json::from_str::<Change<'_>>(data.get())
        {
            let symbol = change.s.clone().into_owned();
            self.books.entry(symbol).or_default().change(&change);
        }
        if !self.streams.contains(stream.as_ref()) {
            self.streams.insert(stream.clone().into_owned());
        }
        Some(Played::of(vec![stream.into_owned()]))
    }

    fn lose(&mut self) {
        self.books.values_mut().for_each(RecordedBook::lose);
    }

    /// Obeys SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS.
    fn on_text(&mut self, listener: &mut Listener, text: &str, _: Timestamp) -> Vec<String> {
        vec![obey(&self.streams, listener, text)]
    }

    fn worded(&self, listener: &mut Listener, message: &Utf8Bytes, _: i64) -> Utf8Bytes {
        if listener.is_combined {
            return message.clone();
        }
        envelope(message).map_or_else(|| message.clone(), |envelope| envelope.data.get().into())
    }

    fn ticks(&self) -> BTreeMap<String, i64> {
        let finest = self.finest.unwrap_or(TICK_MAX);
        let ticks = self.ticks.iter();
        ticks
            .map(|(symbol, &tick)| (symbol.clone(), tick.min(finest)))
            .collect()
    }
}

pub(super) fn routes() -> Router<Arc<House>> {
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
    let streams: BTreeSet<String> = names.intersection(&house.contents.topics).cloned().collect();
    doors::open(house, upgrade, streams, is_combined, Some(MESSAGES_PER_SECOND))
}

fn obey(known: &BTreeSet<String>, listener: &mut Listener, text: &str) -> String {
    let request: Value = serde_json::from_str(text).unwrap_or_default();
    let number = request.get("id").cloned().unwrap_or_default();
    let params = request.get("params").and_then(Value::as_array);
    let names = params.into_iter().flatten().filter_map(Value::as_str);
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    let refused = |message: &str| {
        json!({ "error": { "code": 2, "msg": format!("Invalid request: {message}") }, "id": number })
            .to_string()
    };
    let result = match request.get("method").and_then(Value::as_str) {
        Some("SUBSCRIBE") => {
            if let Some(unknown) = names.difference(known).next() {
                return refused(&format!("no stream `{unknown}` in the recording"));
            }
            listener.topics.extend(names);
            Value::Null
        }
        Some("UNSUBSCRIBE") => {
            listener.topics.retain(|stream| !names.contains(stream));
            Value::Null
        }
        Some("LIST_SUBSCRIPTIONS") => listener.topics.iter().cloned().collect(),
        _ => return refused("unknown method, expected SUBSCRIBE, UNSUBSCRIBE or LIST_SUBSCRIPTIONS"),
    };
    json!({ "result": result, "id": number }).to_string()
}

async fn time(State(house): State<Arc<House>>) -> Response {
    let text = json!({ "serverTime": house.stage().now().millis() }).to_string();
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
        let is_done = stage.is_done;
        let Wire::Binance(streams) = &mut stage.wire else {
            return StatusCode::NOT_FOUND.into_response();
        };
        if let Some(book) = streams.books.get(&symbol).filter(|book| book.stands()) {
            return json_text(StatusCode::OK, book.answer(limit.min(LEVELS.1)));
        }
        streams.waiting.retain(|waiting| !waiting.reply.is_closed());
        if streams.waiting.len() == WAITING_MAX || is_done {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let (reply, waiting) = oneshot::channel();
        streams.waiting.push(Waiting { symbol, reply });
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
    let time_ms = house.stage().now().millis();
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
