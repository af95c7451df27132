//! Kraken, version 2: books by their text, with the venue's checksum; and what REST says of the pairs of either version.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get};
use domain::{Decimal, Price, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::levels::{Level, TextBook};
use super::script::{Played, Script};
use super::{House, Listener, doors};
use crate::instant::{parse_rfc3339, rfc1123, rfc3339};
use crate::kraken::{DEPTHS, Fields, Names, asset_pair, assets};
use crate::listing::Listing;
use crate::shared::json_text;
use crate::venue::Mode;
use crate::wire::VenueKind;

/// Most answers that are kept as they were recorded.
const ANSWERS_MAX: usize = 4_096;

/// Decimals of a second in the socket's times.
const TIME_DECIMALS: usize = 6;

/// The wire's state.
#[derive(Debug, Default)]
pub(super) struct Kraken {
    books: BTreeMap<String, TextBook>,
    /// Symbols of any channel.
    symbols: BTreeSet<String>,
    /// What the venue said of itself when the connection was made.
    status: Option<String>,
    /// Whether nothing came since then.
    is_fresh: bool,
    /// Its answers to subscriptions, by topic, as they were recorded.
    answers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    result: Option<Subscribed<'a>>,
    #[serde(default)]
    success: Option<bool>,
    #[serde(borrow, default)]
    req_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Subscribed<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow, default)]
    symbol: Option<Cow<'a, str>>,
    #[serde(default)]
    depth: Option<usize>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, default)]
    symbol: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow, default)]
    bids: Vec<Priced<'a>>,
    #[serde(borrow, default)]
    asks: Vec<Priced<'a>>,
    #[serde(default)]
    checksum: Option<u32>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Priced<'a> {
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
}

#[derive(Deserialize)]
struct Request<'a> {
    method: String,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(default)]
    req_id: Option<Value>,
}

fn topic(channel: &str, symbol: &str) -> String {
    format!("{channel} {symbol}")
}

impl Kraken {
    fn take_book(&mut self, is_snapshot: bool, book: &Book<'_>) {
        let shown = self.books.entry(book.symbol.clone().into_owned()).or_default();
        if is_snapshot {
            shown.begin();
        }
        for (is_bid, levels) in [(true, &book.bids), (false, &book.asks)] {
            for level in levels {
                shown.set(is_bid, level.price.get(), level.qty.get(), "");
            }
        }
        if is_snapshot && shown.depth.is_none() {
            shown.depth = DEPTHS.into_iter().find(|&depth| depth >= shown.len());
        }
        shown.cut();
        if let Some(time) = &book.timestamp {
            shown.time.clear();
            shown.time.push_str(time);
        }
        // Who comes later must not be told a book that the recorded checksum contradicts.
        shown.stands &= book.checksum.is_none_or(|checksum| checksum == shown.checksum());
    }

    /// An answer to a subscription, which is kept; it goes out when somebody asks the same.
    fn take_answer(&mut self, message: &str, read: &Message<'_>) {
        let Some(Subscribed {
            channel,
            symbol: Some(symbol),
            depth,
        }) = &read.result
        else {
            return;
        };
        let is_ours = read.method.as_deref() == Some("subscribe") && read.success == Some(true);
        if !is_ours || self.symbols.len() > ANSWERS_MAX || self.answers.len() > ANSWERS_MAX {
            return;
        }
        self.symbols.insert(symbol.clone().into_owned());
        if channel == "book" {
            let book = self.books.entry(symbol.clone().into_owned()).or_default();
            book.depth = depth.or(book.depth);
        }
        if read.req_id.is_none() {
            self.answers.insert(topic(channel, symbol), message.to_owned());
        }
    }

    fn subscribe(
        &self,
        listener: &mut Listener,
        fields: &Fields,
        req_id: Option<&Value>,
        now: Timestamp,
    ) -> Vec<String> {
        let channel = fields.get("channel").unwrap_or_default();
        let mut said = Vec::new();
        for symbol in fields.list("symbol") {
            let topic = topic(channel, &symbol);
            let refusal = self.refusal(listener, channel, &symbol, fields);
            if let Some(refusal) = refusal {
                let mut reply = reply("subscribe", req_id, Err(&refusal), now);
                reply["symbol"] = json!(symbol);
                said.push(reply.to_string());
                continue;
            }
            said.push(match self.answers.get(&topic).filter(|_| req_id.is_none()) {
                Some(recorded) => recorded.clone(),
                None => self.accepted(channel, &symbol, fields, req_id, now).to_string(),
            });
            let is_wanted = fields.get("snapshot") != Some("false");
            if channel == "book"
                && is_wanted
                && let Some(book) = self.books.get(&symbol).filter(|book| book.stands)
            {
                said.push(snapshot(&symbol, book));
            }
            listener.topics.insert(topic);
        }
        said
    }

    fn refusal(&self, listener: &Listener, channel: &str, symbol: &str, fields: &Fields) -> Option<String> {
        if !matches!(channel, "book" | "trade" | "ticker" | "ohlc" | "level3") {
            return Some(format!("Unsupported channel {channel}"));
        }
        if !self.symbols.contains(symbol) {
            return Some(format!("Currency pair not supported {symbol}"));
        }
        if listener.topics.contains(&topic(channel, symbol)) {
            return Some("Already subscribed".to_owned());
        }
        let depth = self.books.get(symbol).and_then(|book| book.depth)?;
        let asked = fields.get("depth").unwrap_or("10");
        (channel == "book" && asked != depth.to_string())
            .then(|| format!("Subscription depth not supported: the recording has {depth}"))
    }

    fn accepted(
        &self,
        channel: &str,
        symbol: &str,
        fields: &Fields,
        req_id: Option<&Value>,
        now: Timestamp,
    ) -> Value {
        let is_wanted = fields.get("snapshot") != Some("false");
        let mut result = json!({ "channel": channel, "snapshot": is_wanted, "symbol": symbol });
        if let Some(depth) = self.books.get(symbol).and_then(|book| book.depth)
            && channel == "book"
        {
            result["depth"] = json!(depth);
        }
        reply("subscribe", req_id, Ok(result), now)
    }
}

impl Script for Kraken {
    fn sent(&mut self, text: &str) {
        let Ok(request) = serde_json::from_str::<Request<'_>>(text) else {
            return;
        };
        let fields = Fields::from_json(request.params.map_or("{}", RawValue::get)).unwrap_or_default();
        if request.method != "subscribe" || fields.get("channel") != Some("book") {
            return;
        }
        let depth = fields.get("depth").unwrap_or("10").parse().ok();
        for symbol in fields.list("symbol") {
            self.books.entry(symbol).or_default().depth = depth;
        }
    }

    fn take(&mut self, message: &str) -> Option<Played> {
        let read: Message<'_> = serde_json::from_str(message).ok()?;
        let Some(channel) = &read.channel else {
            self.take_answer(message, &read);
            return None;
        };
        if channel == "status" {
            let was_fresh = std::mem::replace(&mut self.is_fresh, false);
            if was_fresh || self.status.is_none() {
                self.status = Some(message.to_owned());
                return None;
            }
            return Some(Played::for_all());
        }
        self.is_fresh = false;
        let Some(data) = read.data else {
            return Some(Played::for_all());
        };
        let mut played = Played::default();
        if channel == "book" {
            let Ok(books) = serde_json::from_str::<Vec<Book<'_>>>(data.get()) else {
                self.books.values_mut().for_each(TextBook::lose);
                return Some(Played::for_all());
            };
            for book in &books {
                self.take_book(read.kind.as_deref() == Some("snapshot"), book);
                let time = book.timestamp.as_deref().and_then(parse_rfc3339);
                played.time = played.time.max(time);
            }
        }
        let named: Vec<Named<'_>> = serde_json::from_str(data.get()).unwrap_or_default();
        for symbol in named.into_iter().filter_map(|named| named.symbol) {
            let topic = topic(channel, &symbol);
            if !played.topics.contains(&topic) {
                played.topics.push(topic);
            }
            if !self.symbols.contains(symbol.as_ref()) {
                self.symbols.insert(symbol.into_owned());
            }
        }
        Some(played)
    }

    fn lose(&mut self) {
        self.is_fresh = true;
        self.books.values_mut().for_each(TextBook::lose);
    }

    fn hello(&self, _: Timestamp) -> Option<String> {
        let said = self.status.clone();
        Some(said.unwrap_or_else(|| crate::kraken::status(Mode::Online)))
    }

    fn on_text(&mut self, listener: &mut Listener, text: &str, now: Timestamp) -> Vec<String> {
        let Ok(request) = serde_json::from_str::<Request<'_>>(text) else {
            return vec![json!({ "error": "Malformed request", "success": false }).to_string()];
        };
        let fields = Fields::from_json(request.params.map_or("{}", RawValue::get)).unwrap_or_default();
        let req_id = request.req_id.as_ref();
        let single = match request.method.as_str() {
            "subscribe" => return self.subscribe(listener, &fields, req_id, now),
            "unsubscribe" => {
                let channel = fields.get("channel").unwrap_or_default();
                let answer = |symbol: String| {
                    let had = listener.topics.remove(&topic(channel, &symbol));
                    let result = json!({ "channel": channel, "symbol": symbol });
                    let result = if had {
                        Ok(result)
                    } else {
                        Err("Subscription Not Found")
                    };
                    reply("unsubscribe", req_id, result, now).to_string()
                };
                return fields.list("symbol").into_iter().map(answer).collect();
            }
            "ping" => {
                let ts = rfc3339(now, TIME_DECIMALS);
                let mut pong = json!({ "method": "pong", "time_in": ts, "time_out": ts });
                if let Some(req_id) = req_id {
                    pong["req_id"] = req_id.clone();
                }
                pong
            }
            method => reply(method, req_id, Err("EGeneral:Unknown method"), now),
        };
        vec![single.to_string()]
    }

    fn ticks(&self) -> BTreeMap<String, i64> {
        let tick = |symbol: &String| (symbol.clone(), self.books.get(symbol).map_or(1, TextBook::tick));
        self.symbols.iter().map(tick).collect()
    }
}

fn reply(method: &str, req_id: Option<&Value>, result: Result<Value, &str>, now: Timestamp) -> Value {
    let ts = rfc3339(now, TIME_DECIMALS);
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

/// The book as the stream has it.
fn snapshot(symbol: &str, book: &TextBook) -> String {
    let mut text = format!(r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"{symbol}","bids":["#);
    push_levels(&mut text, &mut book.bids());
    text.push_str(r#"],"asks":["#);
    push_levels(&mut text, &mut book.asks());
    // Writing to a String does not fail.
    let _ = write!(text, r#"],"checksum":{}"#, book.checksum());
    if !book.time.is_empty() {
        let _ = write!(text, r#","timestamp":"{}""#, book.time);
    }
    text.push_str("}]}");
    text
}

fn push_levels(text: &mut String, levels: &mut dyn Iterator<Item = &Level>) {
    for (at, level) in levels.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"price":{},"qty":{}}}"#,
            level.price, level.quantity
        );
    }
}

pub(super) fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/v2", get(doors::silent))
        .route("/", get(doors::silent))
        .route("/ws", get(doors::silent))
        .route("/0/public/{method}", any(public))
}

/// What REST says: pairs, assets, the time. A recording has no bars of before.
async fn public(
    State(house): State<Arc<House>>,
    Path(method): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let now = house.stage().now();
    let text = query.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
    let fields = Fields::from_form(&text).unwrap_or_default();
    let listings = house.contents.ticks.iter().filter_map(|(symbol, &tick)| {
        let free = (Decimal::ZERO, Decimal::ZERO);
        let tick = Price::from_units(tick);
        Listing::new(VenueKind::Kraken, &present(symbol), tick, free, 1).ok()
    });
    let listings: Vec<Listing> = listings.collect();
    let answer = match method.as_str() {
        "Time" => json!({ "unixtime": now.millis().div_euclid(1_000), "rfc1123": rfc1123(now) }),
        "SystemStatus" => json!({ "status": "online", "timestamp": rfc3339(now, 0) }),
        "Assets" => merged(
            listings
                .iter()
                .map(|listing| assets(listing, &Names::of(listing))),
        ),
        "AssetPairs" => {
            let asked = fields.list("pair");
            let names: Vec<Names> = listings.iter().map(Names::of).collect();
            let is_known = |pair: &String| names.iter().any(|names| names.is_pair(pair));
            if !asked.iter().all(is_known) {
                return refused("EQuery:Unknown asset pair");
            }
            let listed = listings.iter().zip(&names);
            let wanted =
                listed.filter(|(_, names)| asked.is_empty() || asked.iter().any(|pair| names.is_pair(pair)));
            merged(
                wanted
                    .map(|(listing, names)| json!({ &names.pair: asset_pair(listing, Mode::Online, names) })),
            )
        }
        "OHLC" => {
            let pair = fields.get("pair").unwrap_or_default();
            let mut names = listings.iter().map(Names::of);
            match names.find(|names| names.is_pair(pair)) {
                Some(names) => json!({ &names.pair: [], "last": 0 }),
                None => return refused("EQuery:Unknown asset pair"),
            }
        }
        _ => return refused("EGeneral:Unknown method"),
    };
    json_text(
        StatusCode::OK,
        json!({ "error": [], "result": answer }).to_string(),
    )
}

/// The present name of a symbol that an older recording may call `XBT/USD`.
fn present(symbol: &str) -> String {
    let name = |code: &str| match code {
        "XBT" => "BTC".to_owned(),
        "XDG" => "DOGE".to_owned(),
        code => code.to_owned(),
    };
    symbol.split('/').map(name).collect::<Vec<_>>().join("/")
}

fn refused(error: &str) -> Response {
    json_text(StatusCode::OK, json!({ "error": [error] }).to_string())
}

/// All members of these objects in one.
fn merged(objects: impl Iterator<Item = Value>) -> Value {
    let members = objects.filter_map(|object| match object {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(members.flatten().collect())
}
