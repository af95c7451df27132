//! Coinbase Advanced Trade: one count over all messages of a connection, so that each listener has its own.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use axum::extract::ws::Utf8Bytes;
use domain::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::Listener;
use super::levels::{Level, TextBook};
use super::script::{Played, Script};
use crate::instant::rfc3339;

/// Before the number of a message.
const NUMBER: &str = r#""sequence_num":"#;

/// Decimals of a second in times.
const TIME_DECIMALS: usize = 6;

/// Channels without products.
const OF_ALL: [&str; 1] = ["heartbeats"];

/// The wire's state.
#[derive(Debug, Default)]
pub(super) struct Advanced {
    books: BTreeMap<String, TextBook>,
    products: BTreeSet<String>,
    /// The greatest number of the recorded connection.
    last: Option<u64>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    sequence_num: u64,
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    product_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    trades: Vec<Of<'a>>,
    #[serde(borrow, default)]
    tickers: Vec<Of<'a>>,
    #[serde(borrow, default)]
    candles: Vec<Of<'a>>,
    #[serde(borrow, default)]
    products: Vec<Listed<'a>>,
}

#[derive(Deserialize)]
struct Of<'a> {
    #[serde(borrow)]
    product_id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Books<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    product_id: Cow<'a, str>,
    #[serde(borrow, default)]
    updates: Vec<Change<'a>>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow, default)]
    event_time: Cow<'a, str>,
    #[serde(borrow)]
    price_level: Cow<'a, str>,
    #[serde(borrow)]
    new_quantity: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "type")]
    kind: String,
    channel: String,
    #[serde(default)]
    product_ids: Vec<String>,
}

fn topic(channel: &str, product: &str) -> String {
    format!("{channel} {product}")
}

impl Advanced {
    /// How many messages are missing before this one; negative for one that is old. No book survives either.
    fn hole(&mut self, number: u64) -> i64 {
        let hole = self
            .last
            .map_or(0, |last| i128::from(number) - i128::from(last) - 1);
        self.last = self.last.max(Some(number));
        if hole != 0 {
            self.books.values_mut().for_each(TextBook::lose);
        }
        i64::try_from(hole).unwrap_or(0)
    }

    fn take_books(&mut self, event: &Books<'_>) {
        let book = self
            .books
            .entry(event.product_id.clone().into_owned())
            .or_default();
        if event.kind == "snapshot" {
            book.begin();
        }
        for change in &event.updates {
            let is_bid = change.side == "bid";
            book.set(
                is_bid,
                &change.price_level,
                &change.new_quantity,
                &change.event_time,
            );
        }
        if let Some(last) = event.updates.last() {
            book.time.clear();
            book.time.push_str(&last.event_time);
        }
    }

    /// Obeys; whose book is wanted from now on.
    fn subscribe(&self, listener: &mut Listener, request: &Request) -> Result<Vec<String>, String> {
        let is_on = match request.kind.as_str() {
            "subscribe" => true,
            "unsubscribe" => false,
            other => return Err(format!("unknown type {other}")),
        };
        let channel = request.channel.as_str();
        if !matches!(
            channel,
            "level2" | "market_trades" | "ticker" | "ticker_batch" | "candles" | "heartbeats" | "status"
        ) {
            return Err(format!("channel {channel} is not supported"));
        }
        if request
            .product_ids
            .iter()
            .any(|product| !self.products.contains(product))
        {
            return Err("invalid product_ids".to_owned());
        }
        let of_all = OF_ALL.contains(&channel).then(|| channel.to_owned());
        let of_all_products = self
            .products
            .iter()
            .filter(|_| of_all.is_none() && request.product_ids.is_empty());
        let products = request.product_ids.iter().filter(|_| of_all.is_none());
        let mut begun = Vec::new();
        for product in products.chain(of_all_products).chain(&of_all) {
            let topic = topic(channel, product);
            if !is_on {
                listener.topics.remove(&topic);
            } else if listener.topics.insert(topic) && channel == "level2" {
                begun.push(product.clone());
            }
        }
        Ok(begun)
    }

    fn snapshot(&self, product: &str, now: &str) -> Option<String> {
        let book = self.books.get(product).filter(|book| book.stands)?;
        let mut text = format!(r#"{{"type":"snapshot","product_id":"{product}","updates":["#);
        let bids = book.bids().map(|level| ("bid", level));
        let asks = book.asks().map(|level| ("offer", level));
        for (
            at,
            (
                side,
                Level {
                    price,
                    quantity,
                    time,
                },
            ),
        ) in bids.chain(asks).enumerate()
        {
            let comma = if at == 0 { "" } else { "," };
            let time = if time.is_empty() { now } else { time };
            // Writing to a String does not fail.
            let _ = write!(
                text,
                r#"{comma}{{"side":"{side}","event_time":"{time}","price_level":"{price}","new_quantity":"{quantity}"}}"#
            );
        }
        text.push_str("]}");
        Some(text)
    }
}

/// A message of our own, with the listener's next number.
fn envelope(listener: &mut Listener, channel: &str, now: &str, event: &str) -> String {
    let number = listener.next;
    listener.next += 1;
    format!(
        r#"{{"channel":"{channel}","client_id":"","timestamp":"{now}","sequence_num":{number},"events":[{event}]}}"#
    )
}

fn subscriptions(listener: &Listener) -> String {
    let mut listed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (channel, product) in listener.topics.iter().filter_map(|topic| topic.split_once(' ')) {
        listed.entry(channel).or_default().push(product);
    }
    json!({ "subscriptions": listed }).to_string()
}

impl Script for Advanced {
    fn take(&mut self, message: &str) -> Option<Played> {
        let read: Message<'_> = serde_json::from_str(message).ok()?;
        let hole = self.hole(read.sequence_num);
        let channel = match read.channel.as_ref() {
            // Each listener has its own.
            "subscriptions" => return None,
            "l2_data" => "level2",
            channel => channel,
        };
        let mut topics = BTreeSet::new();
        if OF_ALL.contains(&channel) {
            topics.insert(topic(channel, channel));
        }
        for event in &read.events {
            if channel == "level2" {
                match serde_json::from_str::<Books<'_>>(event.get()) {
                    Ok(books) => self.take_books(&books),
                    Err(_) => self.books.values_mut().for_each(TextBook::lose),
                }
            }
            let Ok(named) = serde_json::from_str::<Event<'_>>(event.get()) else {
                continue;
            };
            let lists = [named.trades, named.tickers, named.candles];
            let listed = lists.into_iter().flatten().map(|of| of.product_id);
            let listed = listed.chain(named.products.into_iter().map(|listed| listed.id));
            for product in listed.chain(named.product_id) {
                topics.insert(topic(channel, &product));
                if channel != "status" && !self.products.contains(product.as_ref()) {
                    self.products.insert(product.into_owned());
                }
            }
        }
        Some(Played {
            topics: topics.into_iter().collect(),
            hole,
            ..Played::default()
        })
    }

    fn lose(&mut self) {
        self.last = None;
        self.books.values_mut().for_each(TextBook::lose);
    }

    fn on_text(&mut self, listener: &mut Listener, text: &str, now: Timestamp) -> Vec<String> {
        let now = rfc3339(now, TIME_DECIMALS);
        let done = match serde_json::from_str::<Request>(text) {
            Ok(request) => self.subscribe(listener, &request),
            Err(error) => Err(format!("malformed message: {error}")),
        };
        let begun = match done {
            Ok(begun) => begun,
            Err(message) => return vec![json!({ "type": "error", "message": message }).to_string()],
        };
        let mut said = Vec::new();
        for product in begun {
            if let Some(snapshot) = self.snapshot(&product, &now) {
                said.push(envelope(listener, "l2_data", &now, &snapshot));
            }
        }
        let listed = subscriptions(listener);
        said.push(envelope(listener, "subscriptions", &now, &listed));
        said
    }

    /// Byte for byte but for its number, which is the listener's own. A recorded hole is one for everybody.
    fn worded(&self, listener: &mut Listener, message: &Utf8Bytes, hole: i64) -> Utf8Bytes {
        let number = if hole < 0 {
            listener.next.saturating_sub(hole.unsigned_abs())
        } else {
            listener.next += 1;
            listener.next - 1
        };
        renumbered(message, number)
    }

    fn ticks(&self) -> BTreeMap<String, i64> {
        let tick = |product: &String| {
            let tick = self.books.get(product).map_or(1, TextBook::tick);
            (product.clone(), tick)
        };
        self.products.iter().map(tick).collect()
    }
}

fn renumbered(message: &Utf8Bytes, number: u64) -> Utf8Bytes {
    let text = message.as_str();
    let Some(place) = text.find(NUMBER).map(|place| place + NUMBER.len()) else {
        return message.clone();
    };
    let digits = text[place..].bytes().take_while(u8::is_ascii_digit).count();
    let number = number.to_string();
    if text[place..place + digits] == number {
        return message.clone();
    }
    let changed = [&text[..place], &number, &text[place + digits..]].concat();
    Utf8Bytes::from(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_number_is_another() {
        let message =
            Utf8Bytes::from_static(r#"{"channel":"x", "sequence_num":41,"events":[{"sequence_num":7}]}"#);
        assert_eq!(renumbered(&message, 41), message);
        assert_eq!(
            renumbered(&message, 0).as_str(),
            r#"{"channel":"x", "sequence_num":0,"events":[{"sequence_num":7}]}"#
        );
    }
}
