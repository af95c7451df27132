//! Books under their checksums, on both sockets.

use std::collections::BTreeMap;

use domain::{Price, Quantity};
use serde_json::{Value, json};

use super::{Client, LIMIT, Socket, call, paused, public, start};

/// A book by the venue's rules, its numbers as they were sent.
#[derive(Debug, Default)]
struct TextBook {
    bids: BTreeMap<Price, (String, String)>,
    asks: BTreeMap<Price, (String, String)>,
}

impl TextBook {
    fn put(&mut self, is_bid: bool, price: &str, quantity: &str) {
        let side = if is_bid { &mut self.bids } else { &mut self.asks };
        let at = Price::parse(price.as_bytes()).unwrap();
        if Quantity::parse(quantity.as_bytes()).unwrap().is_zero() {
            side.remove(&at);
        } else {
            side.insert(at, (price.to_owned(), quantity.to_owned()));
        }
    }

    fn cut(&mut self, depth: usize) {
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
    }

    fn checksum(&self) -> u32 {
        let levels = self
            .asks
            .values()
            .take(10)
            .chain(self.bids.values().rev().take(10));
        let bare = |text: &String| text.replace('.', "").trim_start_matches('0').to_owned();
        let digits: String = levels
            .flat_map(|(price, quantity)| [bare(price), bare(quantity)])
            .collect();
        crc32fast::hash(digits.as_bytes())
    }

    fn crossed(&self) -> bool {
        let (bid, ask) = (self.bids.keys().next_back(), self.asks.keys().next());
        matches!((bid, ask), (Some(bid), Some(ask)) if bid >= ask)
    }

    /// Takes a message of the newer socket by its text: no number passes through a float.
    fn apply_v2(&mut self, text: &str, depth: usize) {
        if text.contains(r#""type":"snapshot""#) {
            *self = Self::default();
        }
        let (bids, asks) = text.split_once(r#""asks":"#).unwrap();
        for (is_bid, side) in [(true, bids), (false, asks)] {
            for level in side.split(r#"{"price":"#).skip(1) {
                let (price, rest) = level.split_once(r#","qty":"#).unwrap();
                self.put(is_bid, price, rest.split_once('}').unwrap().0);
            }
        }
        self.cut(depth);
    }

    /// Takes a message of the older socket.
    fn apply_v1(&mut self, message: &Value, depth: usize) {
        for part in message.as_array().unwrap().iter().filter(|part| part.is_object()) {
            for (name, is_bid) in [("as", false), ("bs", true), ("a", false), ("b", true)] {
                for level in part[name].as_array().into_iter().flatten() {
                    self.put(is_bid, level[0].as_str().unwrap(), level[1].as_str().unwrap());
                }
            }
        }
        self.cut(depth);
    }
}

fn said_checksum(text: &str) -> u32 {
    let (_, rest) = text.split_once(r#""checksum":"#).unwrap();
    rest.split_once(',').unwrap().0.parse().unwrap()
}

pub(super) async fn subscribed_book(client: &Client, depth: usize) -> Socket {
    let mut socket = client.socket("/v2").await;
    let params = json!({ "channel": "book", "symbol": ["BTC/USD"], "depth": depth });
    socket
        .send(&json!({ "method": "subscribe", "params": params, "req_id": 1 }))
        .await;
    assert_eq!(socket.next().await.unwrap()["channel"], "status");
    let ack = socket.next().await.unwrap();
    assert_eq!(
        (&ack["success"], &ack["result"]["depth"]),
        (&json!(true), &json!(depth)),
        "{ack}"
    );
    socket
}

/// Book messages that came before the answer to a ping.
async fn book_texts(socket: &mut Socket) -> Vec<String> {
    socket.send(&json!({ "method": "ping", "req_id": 7 })).await;
    let mut texts = Vec::new();
    loop {
        let text = socket.next_text().await.unwrap();
        if text.contains(r#""method":"pong""#) {
            return texts;
        }
        if text.contains(r#""channel":"book""#) {
            texts.push(text);
        }
    }
}

#[tokio::test]
async fn every_book_message_has_the_checksum_of_the_readers_book() {
    let mut config = paused(4);
    config.weight_per_minute = 1_000_000;
    let (_server, client) = start(config).await;
    client.advance(1_000).await;
    for depth in [10, 25, 100] {
        let mut socket = subscribed_book(&client, depth).await;
        let mut book = TextBook::default();
        let mut checked = 0;
        for step in 0..60 {
            client.advance(10_000).await;
            if step % 7 == 0 {
                let price = ["39990", "39999.5", "40000", "40030"][step % 4];
                let side = if step % 2 == 0 { "buy" } else { "sell" };
                call(
                    &client,
                    "AddOrder",
                    &format!("{LIMIT}&type={side}&volume=0.011&price={price}"),
                )
                .await;
            }
            for text in book_texts(&mut socket).await {
                book.apply_v2(&text, depth);
                assert_eq!(
                    book.checksum(),
                    said_checksum(&text),
                    "depth {depth}, step {step}: {text}"
                );
                assert!(!book.crossed());
                checked += 1;
            }
            let own =
                public(&client, &format!("Depth?pair=XBTUSD&count={depth}")).await["result"]["XXBTZUSD"]
                    .clone();
            let level = |level: &Value| {
                (
                    level[0].as_str().unwrap().to_owned(),
                    level[1].as_str().unwrap().to_owned(),
                )
            };
            let asks: Vec<_> = own["asks"].as_array().unwrap().iter().map(level).collect();
            let bids: Vec<_> = own["bids"].as_array().unwrap().iter().map(level).collect();
            assert_eq!(book.asks.values().cloned().collect::<Vec<_>>(), asks);
            assert_eq!(book.bids.values().rev().cloned().collect::<Vec<_>>(), bids);
        }
        assert!(checked >= 40, "{checked} messages of depth {depth}");
    }
}

#[tokio::test]
async fn another_depth_is_refused_in_the_answer_only() {
    let (_server, client) = start(paused(2)).await;
    let mut socket = client.socket("/v2").await;
    for (params, error) in [
        (
            json!({ "channel": "book", "symbol": ["BTC/USD"], "depth": 20 }),
            "Subscription depth not supported",
        ),
        (
            json!({ "channel": "book", "symbol": ["DOGE/USD"] }),
            "Currency pair not supported DOGE/USD",
        ),
        (
            json!({ "channel": "executions", "token": "none" }),
            "EAuth:Invalid token",
        ),
    ] {
        socket
            .send(&json!({ "method": "subscribe", "params": params }))
            .await;
        let (_, ack) = socket.until(|message| message["method"] == "subscribe").await;
        assert_eq!((&ack["success"], &ack["error"]), (&json!(false), &json!(error)));
    }
    client.advance(60_000).await;
    assert!(book_texts(&mut socket).await.is_empty());
    assert_eq!(
        client.state().await["connections"],
        json!({ "market": 1, "account": 0 })
    );
}

#[tokio::test]
async fn the_older_socket_checks_too() {
    let (_server, client) = start(paused(3)).await;
    client.advance(1_000).await;
    let mut socket = client.socket("/").await;
    let subscription = json!({ "name": "book", "depth": 10 });
    socket
        .send(&json!({ "event": "subscribe", "pair": ["XBT/USD"], "subscription": subscription, "reqid": 3 }))
        .await;
    let (hello, status) = socket
        .until(|message| message["event"] == "subscriptionStatus")
        .await;
    assert_eq!(hello[0]["event"], "systemStatus");
    assert_eq!(
        (&status["status"], &status["channelName"], &status["reqid"]),
        (&json!("subscribed"), &json!("book-10"), &json!(3))
    );
    let mut book = TextBook::default();
    client.advance(300_000).await;
    socket.send(&json!({ "event": "ping", "reqid": 5 })).await;
    let (messages, pong) = socket.until(|message| message["event"] == "pong").await;
    assert_eq!(pong["reqid"], 5);
    let (mut checked, mut doubles) = (0, 0);
    for message in messages.iter().filter(|message| message.is_array()) {
        book.apply_v1(message, 10);
        let parts: Vec<&Value> = message
            .as_array()
            .unwrap()
            .iter()
            .filter(|part| part.is_object())
            .collect();
        doubles += usize::from(parts.len() == 2);
        if let Some(said) = parts.last().unwrap()["c"].as_str() {
            assert_eq!(book.checksum().to_string(), said, "{message}");
            checked += 1;
        }
    }
    assert!(
        checked > 30 && doubles > 0,
        "{checked} checked, {doubles} of two objects"
    );
}

#[tokio::test]
async fn a_wrong_checksum_and_a_lost_message_are_seen_by_the_next_message() {
    let (_server, client) = start(paused(9)).await;
    client.advance(1_000).await;
    for fault in [
        json!({ "kind": "bad_checksum" }),
        json!({ "kind": "frames", "class": "book", "fault": "drop" }),
        json!({ "kind": "frames", "class": "book", "fault": "corrupt" }),
        json!({ "kind": "frames", "class": "book", "fault": "reorder" }),
    ] {
        let mut socket = subscribed_book(&client, 10).await;
        let mut book = TextBook::default();
        client.advance(20_000).await;
        for text in book_texts(&mut socket).await {
            book.apply_v2(&text, 10);
            assert_eq!(book.checksum(), said_checksum(&text));
        }
        client.fault(fault.clone()).await;
        let mut texts = Vec::new();
        while texts.is_empty() {
            client.advance(20_000).await;
            texts = book_texts(&mut socket).await;
        }
        book.apply_v2(&texts[0], 10);
        assert_ne!(book.checksum(), said_checksum(&texts[0]), "{fault}");
        drop(socket);
    }
}
