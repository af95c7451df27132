//! Recordings of wires that bring their snapshots themselves: the very bytes, and a book as of the stream for who comes later.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod recorded_support;

use futures_util::SinkExt;
use recorded_support::{Socket, Venue, heard, serve, stamped};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use venue_server::VenueKind;

async fn say(socket: &mut Socket, text: &Value) {
    socket.send(Message::text(text.to_string())).await.unwrap();
}

async fn hear(socket: &mut Socket) -> Value {
    serde_json::from_str(&heard(socket).await.unwrap()).unwrap()
}

/// Until it comes; what comes before it is counted.
async fn hear_until(socket: &mut Socket, is_it: impl Fn(&Value) -> bool) -> (Value, usize) {
    let mut before = 0;
    loop {
        let said = hear(socket).await;
        if is_it(&said) {
            return (said, before);
        }
        before += 1;
    }
}

async fn done(venue: &Venue) {
    while venue.state().await["is_done"] != true {}
}

/// As no encoder would write it: the bytes must come through.
fn kraken(kind: &str, bids: &str, asks: &str, checksum: u32) -> String {
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"BTC/USD", "bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"2026-08-16T23:37:05.376419Z"}}]}}"#
    )
}

fn level(price: &str, quantity: &str) -> String {
    format!(r#"{{"price":{price},"qty":{quantity}}}"#)
}

fn crc(digits: &str) -> u32 {
    crc32fast::hash(digits.as_bytes())
}

const STATUS: &str = r#"{"channel":"status","type":"update","data":[{"version":"9","system":"online","api_version":"v2","connection_id":13834774380200032777}]}"#;
const ANSWER: &str = r#"{"method":"subscribe","result":{"channel":"book","depth":10,"snapshot":true,"symbol":"BTC/USD"},"success":true,"time_in":"x"}"#;
const HEARTBEAT: &str = r#"{"channel":"heartbeat"}"#;

fn kraken_session() -> [String; 6] {
    [
        STATUS.to_owned(),
        ANSWER.to_owned(),
        kraken(
            "snapshot",
            &level("9.5", "1.00"),
            &level("10.0", "0.50"),
            crc("1005095100"),
        ),
        kraken("update", &level("9.5", "0.00"), "", crc("10050")),
        HEARTBEAT.to_owned(),
        kraken("update", &level("9.0", "2.00"), "", crc("1005090200")),
    ]
}

fn subscription(channel: &str, depth: u32) -> Value {
    json!({ "method": "subscribe", "params": { "channel": channel, "symbol": ["BTC/USD"], "depth": depth } })
}

#[tokio::test(flavor = "multi_thread")]
async fn krakens_messages_come_byte_for_byte_and_a_later_book_is_as_of_the_stream() {
    let messages = kraken_session();
    let venue = serve(&[stamped(&messages)]).await;
    assert_eq!(venue.server.venue(), VenueKind::Kraken);
    let mut socket = venue.listen("/v2").await;
    // The state and the answer are the recorded ones.
    assert_eq!(heard(&mut socket).await.unwrap(), STATUS);
    say(&mut socket, &subscription("book", 25)).await;
    let refused = hear(&mut socket).await;
    assert!(
        refused["error"]
            .as_str()
            .unwrap()
            .contains("the recording has 10"),
        "{refused}"
    );
    say(&mut socket, &subscription("book", 10)).await;
    assert_eq!(heard(&mut socket).await.unwrap(), ANSWER);
    for message in &messages[2..] {
        assert_eq!(&heard(&mut socket).await.unwrap(), message);
    }
    // Who comes now has the book as it stands, under its checksum.
    say(
        &mut socket,
        &json!({ "method": "unsubscribe", "params": { "channel": "book", "symbol": ["BTC/USD"] } }),
    )
    .await;
    assert_eq!(hear(&mut socket).await["success"], true);
    say(&mut socket, &subscription("book", 10)).await;
    assert_eq!(heard(&mut socket).await.unwrap(), ANSWER);
    let snapshot = hear(&mut socket).await;
    let book = &snapshot["data"][0];
    assert_eq!(snapshot["type"], "snapshot");
    assert_eq!(book["bids"].to_string(), r#"[{"price":9.0,"qty":2.0}]"#);
    assert_eq!(book["checksum"], crc("1005090200"));
    done(&venue).await;
    let pairs: Value = serde_json::from_str(&venue.get("/0/public/AssetPairs").await.1).unwrap();
    assert_eq!(pairs["result"]["XXBTZUSD"]["tick_size"], "0.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_that_its_checksum_contradicts_is_told_to_nobody() {
    let mut messages = kraken_session().to_vec();
    messages[3] = kraken("update", &level("9.5", "0.00"), "", 1);
    let venue = serve(&[stamped(&messages)]).await;
    let mut socket = venue.listen("/v2").await;
    say(&mut socket, &subscription("book", 10)).await;
    hear_until(&mut socket, |said| said["data"][0]["bids"][0]["qty"] == 2.0).await;
    let mut later = venue.listen("/v2").await;
    say(&mut later, &subscription("book", 10)).await;
    say(&mut later, &json!({ "method": "ping" })).await;
    let (_, before) = hear_until(&mut later, |said| said["method"] == "pong").await;
    assert_eq!(before, 2, "the state and the answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn krakens_older_wire_is_served_from_connections_beside_each_other() {
    let status = r#"{"connectionID":7,"event":"systemStatus","status":"online","version":"1.8.3"}"#;
    let book = r#"[320,{"as":[["10.0","0.50","1.5"]],"bs":[["9.5","1.00","1.25"]]},"book-10","XBT/USD"]"#;
    let update = format!(
        r#"[320,{{"b":[["9.5","0.00","2.5"]],"c":"{}"}},"book-10","XBT/USD"]"#,
        crc("10050")
    );
    let trade = r#"[321,[["9.6","1","1.5","b","l",""]],"trade","XBT/USD"]"#;
    let at = |at: u64, message: &str| format!("{}.5: {message}\n", 1_617_666_423 + at);
    let books = [at(0, status), at(1, book), at(3, &update)].concat();
    let trades = [at(0, status), at(2, trade)].concat();
    let venue = serve(&[trades, books]).await;
    let mut socket = venue.listen("/").await;
    assert_eq!(heard(&mut socket).await.unwrap(), status);
    for subscription in [json!({ "name": "book", "depth": 10 }), json!({ "name": "trade" })] {
        let request = json!({ "event": "subscribe", "pair": ["XBT/USD"], "subscription": subscription });
        say(&mut socket, &request).await;
        assert_eq!(hear(&mut socket).await["status"], "subscribed");
    }
    for message in [book, trade, &update] {
        assert_eq!(heard(&mut socket).await.unwrap(), message);
    }
    let mut later = venue.listen("/ws").await;
    let request =
        json!({ "event": "subscribe", "pair": ["XBT/USD"], "subscription": { "name": "book", "depth": 10 } });
    say(&mut later, &request).await;
    let (said, _) = hear_until(&mut later, Value::is_array).await;
    assert_eq!(
        said,
        json!([320, { "as": [["10.0", "0.50", "1.5"]], "bs": [] }, "book-10", "XBT/USD"])
    );
}

fn advanced(number: u64, channel: &str, events: &str) -> String {
    format!(
        r#"{{"channel":"{channel}","timestamp":"2026-08-09T21:05:48.2Z", "sequence_num":{number},"events":[{events}]}}"#
    )
}

fn l2(kind: &str, side: &str, price: &str, quantity: &str) -> String {
    format!(
        r#"{{"type":"{kind}","product_id":"BTC-USD","updates":[{{"side":"{side}","event_time":"2026-08-09T21:05:48.1Z","price_level":"{price}","new_quantity":"{quantity}"}}]}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_of_advanced_trade_has_its_own_count_with_the_recorded_holes() {
    let trades = r#"{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"1"}]}"#;
    let messages = [
        advanced(0, "subscriptions", r#"{"subscriptions":{}}"#),
        advanced(1, "l2_data", &l2("snapshot", "bid", "9.5", "1")),
        advanced(2, "market_trades", trades),
        advanced(3, "l2_data", &l2("update", "bid", "9.5", "2")),
        // Three are missing.
        advanced(7, "l2_data", &l2("update", "offer", "10.25", "1")),
        advanced(8, "l2_data", &l2("snapshot", "bid", "9", "4")),
    ];
    let venue = serve(&[stamped(&messages)]).await;
    assert_eq!(venue.server.venue(), VenueKind::Coinbase);
    let mut socket = venue.listen("/").await;
    let request =
        |channel: &str| json!({ "type": "subscribe", "channel": channel, "product_ids": ["BTC-USD"] });
    say(
        &mut socket,
        &json!({ "type": "subscribe", "channel": "level2", "product_ids": ["X-Y"] }),
    )
    .await;
    assert_eq!(hear(&mut socket).await["type"], "error");
    say(&mut socket, &request("level2")).await;
    let mut heard_of = Vec::new();
    for _ in 0..5 {
        heard_of.push(heard(&mut socket).await.unwrap());
    }
    let number = |text: &String| {
        serde_json::from_str::<Value>(text).unwrap()["sequence_num"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(heard_of.iter().map(number).collect::<Vec<_>>(), [0, 1, 2, 6, 7]);
    assert_eq!(heard_of[1], messages[1], "where the number is the same, all is");
    assert_eq!(
        heard_of[2],
        messages[3].replace("\"sequence_num\":3", "\"sequence_num\":2")
    );
    let mut later = venue.listen("/").await;
    say(&mut later, &request("level2")).await;
    let snapshot = hear(&mut later).await;
    assert_eq!(
        (&snapshot["channel"], &snapshot["sequence_num"]),
        (&json!("l2_data"), &json!(0))
    );
    let updates = snapshot["events"][0]["updates"].as_array().unwrap();
    assert_eq!((updates.len(), &updates[0]["price_level"]), (1, &json!("9")));
    assert_eq!(hear(&mut later).await["channel"], "subscriptions");
    let (status, product) = venue.get("/api/v3/brokerage/market/products/BTC-USD").await;
    let product: Value = serde_json::from_str(&product).unwrap();
    assert_eq!((status, &product["price_increment"]), (200, &json!("0.01")));
}

#[tokio::test(flavor = "multi_thread")]
async fn coinbase_exchange_is_served() {
    let messages = [
        r#"{"type":"subscriptions","channels":[]}"#,
        r#"{"type":"snapshot","product_id":"BTC-USD","asks":[["10.10","3"]],"bids":[["10.0","2.5"]]}"#,
        r#"{"type":"l2update","product_id":"BTC-USD","time":"t","changes":[["buy","10.0","0"],["buy","9.9","1"]]}"#,
        r#"{"type":"match","product_id":"BTC-USD","trade_id":7,"size":"1","price":"9.9","side":"buy","sequence":5}"#,
    ]
    .map(str::to_owned);
    let venue = serve(&[stamped(&messages)]).await;
    let mut socket = venue.listen("/").await;
    let request =
        json!({ "type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2_batch", "matches"] });
    say(&mut socket, &request).await;
    assert_eq!(hear(&mut socket).await["type"], "subscriptions");
    for message in &messages[1..] {
        assert_eq!(&heard(&mut socket).await.unwrap(), message);
    }
    let mut later = venue.listen("/").await;
    say(&mut later, &request).await;
    let (snapshot, _) = hear_until(&mut later, |said| said["type"] == "snapshot").await;
    assert_eq!(
        (&snapshot["bids"], &snapshot["asks"]),
        (&json!([["9.9", "1"]]), &json!([["10.10", "3"]]))
    );
}
