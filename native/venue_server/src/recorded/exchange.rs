//! Coinbase Exchange: messages of a type and a product.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use domain::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Listener;
use super::levels::{Level, TextBook};
use super::script::{Played, Script};

/// Names under which the book's changes are subscribed; what comes is the same.
const BOOKS: [&str; 3] = ["level2", "level2_batch", "level2_50"];

/// The wire's state.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    books: BTreeMap<String, TextBook>,
    products: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    product_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    bids: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow, default)]
    asks: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow, default)]
    changes: Vec<(Cow<'a, str>, Cow<'a, str>, Cow<'a, str>)>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
}

/// What stands in the place of the book's size, which other kinds of messages have as one number.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    product_id: Option<Cow<'a, str>>,
}

fn topic(channel: &str, product: &str) -> String {
    let channel = if BOOKS.contains(&channel) {
        BOOKS[0]
    } else {
        channel
    };
    format!("{channel} {product}")
}

impl Exchange {
    fn take_book(&mut self, message: &str) {
        let Ok(read) = serde_json::from_str::<Message<'_>>(message) else {
            return self.lose();
        };
        let Some(product) = read.product_id else { return };
        let book = self.books.entry(product.into_owned()).or_default();
        if read.kind == "snapshot" {
            book.begin();
        }
        for (is_bid, levels) in [(true, &read.bids), (false, &read.asks)] {
            for (price, quantity) in levels {
                book.set(is_bid, price, quantity, "");
            }
        }
        for (side, price, quantity) in &read.changes {
            book.set(side == "buy", price, quantity, "");
        }
        if let Some(time) = read.time {
            book.time = time.into_owned();
        }
    }

    fn snapshot(&self, product: &str) -> Option<String> {
        let book = self.books.get(product).filter(|book| book.stands)?;
        let side = |levels: &mut dyn Iterator<Item = &Level>| {
            let level = |level: &Level| json!([level.price, level.quantity]);
            levels.map(level).collect::<Value>()
        };
        let mut text = json!({
            "type": "snapshot",
            "product_id": product,
            "asks": side(&mut book.asks()),
            "bids": side(&mut book.bids()),
        });
        if !book.time.is_empty() {
            text["time"] = json!(book.time);
        }
        Some(text.to_string())
    }

    fn obey(&self, listener: &mut Listener, is_on: bool, request: &Value) -> Result<Vec<String>, String> {
        let all = names_in(&request["product_ids"]);
        let mut begun = Vec::new();
        for channel in request["channels"].as_array().into_iter().flatten() {
            let name = channel
                .as_str()
                .or_else(|| channel["name"].as_str())
                .unwrap_or_default();
            let own = names_in(&channel["product_ids"]);
            let products = if own.is_empty() { &all } else { &own };
            if let Some(unknown) = products.iter().find(|product| !self.products.contains(*product)) {
                return Err(format!("{unknown} is not a valid product"));
            }
            for product in products {
                let topic = topic(name, product);
                if !is_on {
                    listener.topics.remove(&topic);
                } else if listener.topics.insert(topic) && BOOKS.contains(&name) {
                    begun.extend(self.snapshot(product));
                }
            }
        }
        Ok(begun)
    }
}

fn names_in(list: &Value) -> Vec<String> {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(str::to_owned).collect()
}

impl Script for Exchange {
    fn take(&mut self, message: &str) -> Option<Played> {
        let head: Head<'_> = serde_json::from_str(message).ok()?;
        let product = head.product_id?;
        let channel = match head.kind.as_ref() {
            "snapshot" | "l2update" => {
                self.take_book(message);
                BOOKS[0]
            }
            "match" | "last_match" => "matches",
            kind @ ("ticker" | "heartbeat") => kind,
            _ => "full",
        };
        let mut topics = vec![topic(channel, &product)];
        if channel == "matches" && head.kind == "match" {
            topics.push(topic("full", &product));
        }
        self.products.insert(product.into_owned());
        Some(Played::of(topics))
    }

    fn lose(&mut self) {
        self.books.values_mut().for_each(TextBook::lose);
    }

    fn on_text(&mut self, listener: &mut Listener, text: &str, _: Timestamp) -> Vec<String> {
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        let done = match request["type"].as_str() {
            Some("subscribe") => self.obey(listener, true, &request),
            Some("unsubscribe") => self.obey(listener, false, &request),
            _ => Err("Malformed request".to_owned()),
        };
        match done {
            Err(reason) => {
                let refusal = json!({ "type": "error", "message": "Failed to subscribe", "reason": reason });
                vec![refusal.to_string()]
            }
            Ok(begun) => {
                let mut listed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for (channel, product) in listener.topics.iter().filter_map(|topic| topic.split_once(' ')) {
                    listed.entry(channel).or_default().push(product);
                }
                let channel =
                    |(name, products): (&&str, &Vec<&str>)| json!({ "name": name, "product_ids": products });
                let channels: Vec<Value> = listed.iter().map(channel).collect();
                let listed = json!({ "type": "subscriptions", "channels": channels });
                std::iter::once(listed.to_string()).chain(begun).collect()
            }
        }
    }

    fn ticks(&self) -> BTreeMap<String, i64> {
        let tick = |product: &String| {
            let tick = self.books.get(product).map_or(1, TextBook::tick);
            (product.clone(), tick)
        };
        self.products.iter().map(tick).collect()
    }
}
