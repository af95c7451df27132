//! Kraken, version 1: lists that end with a channel and a pair.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Listener;
use super::levels::{Level, TextBook};
use super::script::{Played, Script};

/// Most answers that are kept as they were recorded.
const ANSWERS_MAX: usize = 4_096;

/// The wire's state.
#[derive(Debug, Default)]
pub(super) struct KrakenV1 {
    /// By topic: a channel and a pair.
    books: BTreeMap<String, (TextBook, u64)>,
    /// Topics of each pair.
    pairs: BTreeMap<String, Vec<String>>,
    status: Option<String>,
    /// Its answers to subscriptions, by topic, as they were recorded.
    answers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    pair: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "channelName")]
    channel_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reqid: Option<&'a RawValue>,
}

/// Price, quantity, time, and perhaps that it is told again.
type Listed<'a> = Vec<Cow<'a, str>>;

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(borrow, default, rename = "as")]
    all_asks: Option<Vec<Listed<'a>>>,
    #[serde(borrow, default, rename = "bs")]
    all_bids: Option<Vec<Listed<'a>>>,
    #[serde(borrow, default, rename = "a")]
    asks: Vec<Listed<'a>>,
    #[serde(borrow, default, rename = "b")]
    bids: Vec<Listed<'a>>,
    #[serde(borrow, default, rename = "c")]
    checksum: Option<Cow<'a, str>>,
}

fn topic(channel: &str, pair: &str) -> String {
    format!("{channel} {pair}")
}

impl KrakenV1 {
    fn note(&mut self, pair: &str, topic: &str) {
        let topics = self.pairs.entry(pair.to_owned()).or_default();
        if !topics.iter().any(|known| known == topic) {
            topics.push(topic.to_owned());
        }
    }

    fn take_event(&mut self, message: &str) -> Option<Played> {
        let event: Event<'_> = serde_json::from_str(message).ok()?;
        match event.event.as_ref() {
            "heartbeat" => return Some(Played::for_all()),
            "systemStatus" if self.status.is_none() => self.status = Some(message.to_owned()),
            "systemStatus" if self.status.as_deref() != Some(message) => return Some(Played::for_all()),
            "subscriptionStatus" => {
                let (pair, channel) = (event.pair?, event.channel_name?);
                let topic = topic(&channel, &pair);
                let is_ours = event.status.as_deref() == Some("subscribed") && event.reqid.is_none();
                if is_ours && self.answers.len() < ANSWERS_MAX {
                    self.note(&pair, &topic);
                    self.answers.insert(topic, message.to_owned());
                }
            }
            _ => {}
        }
        None
    }

    fn take_book(&mut self, topic: &str, depth: usize, id: u64, parts: &[&RawValue]) {
        let (book, channel) = self.books.entry(topic.to_owned()).or_default();
        (book.depth, *channel) = (Some(depth), id);
        let mut checksum = None;
        for part in parts {
            let Ok(read) = serde_json::from_str::<Book<'_>>(part.get()) else {
                return book.lose();
            };
            if read.all_asks.is_some() || read.all_bids.is_some() {
                book.begin();
            }
            let asks = read.all_asks.iter().flatten().chain(&read.asks);
            let bids = read.all_bids.iter().flatten().chain(&read.bids);
            for (is_bid, level) in asks
                .map(|level| (false, level))
                .chain(bids.map(|level| (true, level)))
            {
                if let [price, quantity, time, ..] = level.as_slice() {
                    book.set(is_bid, price, quantity, time);
                }
            }
            checksum = read.checksum.or(checksum);
        }
        book.cut();
        // Who comes later must not be told a book that the recorded checksum contradicts.
        book.stands &= checksum.is_none_or(|text| text.parse() == Ok(book.checksum()));
    }

    fn answer(&self, listener: &mut Listener, pair: &str, request: &Value) -> Vec<String> {
        let is_on = request["event"] == "subscribe";
        let name = request["subscription"]["name"].as_str().unwrap_or_default();
        let channel = match name {
            "book" => format!("book-{}", request["subscription"]["depth"].as_u64().unwrap_or(10)),
            "ohlc" => format!(
                "ohlc-{}",
                request["subscription"]["interval"].as_u64().unwrap_or(1)
            ),
            name => name.to_owned(),
        };
        let topic = topic(&channel, pair);
        let mut reply =
            json!({ "event": "subscriptionStatus", "pair": pair, "subscription": request["subscription"] });
        if let Some(reqid) = request.get("reqid") {
            reply["reqid"] = reqid.clone();
        }
        let topics = self.pairs.get(pair);
        let is_other_depth = |topics: &&Vec<String>| {
            name == "book"
                && !topics.contains(&topic)
                && topics.iter().any(|topic| topic.starts_with("book-"))
        };
        let error = match topics {
            None => Some("Currency pair not supported"),
            Some(_) if topics.as_ref().is_some_and(is_other_depth) => {
                Some("Subscription depth not supported")
            }
            Some(_) if !is_on && !listener.topics.contains(&topic) => Some("Subscription Not Found"),
            Some(_) => None,
        };
        if let Some(error) = error {
            reply["status"] = json!("error");
            reply["errorMessage"] = json!(format!("{error} {pair}"));
            return vec![reply.to_string()];
        }
        let recorded = self
            .answers
            .get(&topic)
            .filter(|_| is_on && request.get("reqid").is_none());
        let mut said = vec![recorded.cloned().unwrap_or_else(|| {
            reply["status"] = json!(if is_on { "subscribed" } else { "unsubscribed" });
            reply["channelName"] = json!(channel);
            reply["channelID"] = json!(self.books.get(&topic).map_or(0, |(_, id)| *id));
            reply.to_string()
        })];
        if !is_on {
            listener.topics.remove(&topic);
            return said;
        }
        if let Some((book, id)) = self.books.get(&topic).filter(|(book, _)| book.stands) {
            let side = |levels: &mut dyn Iterator<Item = &Level>| {
                let level = |level: &Level| json!([level.price, level.quantity, level.time]);
                levels.map(level).collect::<Value>()
            };
            let levels = json!({ "as": side(&mut book.asks()), "bs": side(&mut book.bids()) });
            said.push(json!([id, levels, channel, pair]).to_string());
        }
        listener.topics.insert(topic);
        said
    }
}

impl Script for KrakenV1 {
    fn take(&mut self, message: &str) -> Option<Played> {
        if !message.starts_with('[') {
            return self.take_event(message);
        }
        let parts: Vec<&RawValue> = serde_json::from_str(message).ok()?;
        let [id, parts @ .., channel, pair] = parts.as_slice() else {
            return None;
        };
        let channel: Cow<'_, str> = serde_json::from_str(channel.get()).ok()?;
        let pair: Cow<'_, str> = serde_json::from_str(pair.get()).ok()?;
        let topic = topic(&channel, &pair);
        self.note(&pair, &topic);
        if let Some(depth) = channel.strip_prefix("book-").and_then(|depth| depth.parse().ok()) {
            self.take_book(&topic, depth, id.get().parse().unwrap_or(0), parts);
        }
        Some(Played::of(vec![topic]))
    }

    fn lose(&mut self) {
        self.books.values_mut().for_each(|(book, _)| book.lose());
    }

    fn hello(&self, _: Timestamp) -> Option<String> {
        let online = r#"{"connectionID":0,"event":"systemStatus","status":"online","version":"1.9.6"}"#;
        Some(self.status.clone().unwrap_or_else(|| online.to_owned()))
    }

    fn on_text(&mut self, listener: &mut Listener, text: &str, _: Timestamp) -> Vec<String> {
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        match request["event"].as_str() {
            Some("ping") => {
                let mut pong = json!({ "event": "pong" });
                if let Some(reqid) = request.get("reqid") {
                    pong["reqid"] = reqid.clone();
                }
                vec![pong.to_string()]
            }
            Some("subscribe" | "unsubscribe") => {
                let pairs = request["pair"].as_array().into_iter().flatten();
                let pairs = pairs.filter_map(Value::as_str);
                pairs
                    .flat_map(|pair| self.answer(listener, pair, &request))
                    .collect()
            }
            _ => vec![json!({ "event": "error", "errorMessage": "Malformed request" }).to_string()],
        }
    }

    fn ticks(&self) -> BTreeMap<String, i64> {
        let step = |topics: &Vec<String>| {
            let books = topics.iter().filter_map(|topic| self.books.get(topic));
            books.map(|(book, _)| book.tick()).min().unwrap_or(1)
        };
        let pairs = self.pairs.iter();
        pairs.map(|(pair, topics)| (pair.clone(), step(topics))).collect()
    }
}
