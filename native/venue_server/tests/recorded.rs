//! A recording as the wire: the very bytes, and snapshots as of the stream.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod recorded_support;

use futures_util::SinkExt;
use recorded_support::{heard, serve, stamped};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;
use venue_server::{RecordedConfig, RecordedServer};

const SNAPSHOT: &str =
    r#"{"lastUpdateId":10,"bids":[["99.50","1.0"],["99.0","7"]],"asks":[["100.00","2.000"]]}"#;

fn depth(first: u64, last: u64, bid: &str) -> String {
    // As no encoder would write it: the bytes must come through.
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1, "s":"BTCUSDT","U":{first},"u":{last},"b":[["{bid}","3.0"]],"a":[]}}}}"#
    )
}

fn trade(id: u64) -> String {
    format!(
        r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","s":"BTCUSDT","t":{id},"p":"99.50","q":"1"}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_byte_for_byte_and_a_snapshot_is_as_of_the_stream() {
    let messages = [
        depth(8, 9, "98"),
        depth(10, 12, "99.25"),
        SNAPSHOT.to_owned(),
        trade(1),
        depth(13, 14, "99.75"),
    ];
    let venue = serve(&[stamped(&messages)]).await;
    assert_eq!(venue.state().await["played"], 0);
    let mut socket = venue
        .listen("/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@nosuch")
        .await;
    // Time stands still at the recorded snapshot until somebody asks for it, and then it is that very answer.
    let early = venue.get("/api/v3/depth?symbol=BTCUSDT&limit=1000").await;
    assert_eq!(early, (200, SNAPSHOT.to_owned()));
    for message in [&messages[0], &messages[1], &messages[3], &messages[4]] {
        assert_eq!(&heard(&mut socket).await.unwrap(), message);
    }
    // What came before it and was newer, and what came after it, stands in a later one.
    let late = venue.get("/api/v3/depth?symbol=BTCUSDT&limit=3").await;
    let bids = r#"[["99.75000000","3.00000000"],["99.50000000","1.00000000"],["99.25000000","3.00000000"]]"#;
    let asks = r#"[["100.00000000","2.00000000"]]"#;
    assert_eq!(
        late,
        (
            200,
            format!(r#"{{"lastUpdateId":14,"bids":{bids},"asks":{asks}}}"#)
        )
    );
    let over =
        json!({ "position_ns": 1_700_000_000_000_000_004_i64, "played": 4, "listeners": 1, "is_done": true });
    while venue.state().await != over {}
    assert_eq!(
        venue.get("/api/v3/time").await.1,
        r#"{"serverTime":1700000000000}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_can_be_raw_and_subscribed_later() {
    let messages = [trade(1), depth(1, 2, "98"), trade(2)];
    let venue = serve(&[stamped(&messages)]).await;
    let mut socket = venue.listen("/ws").await;
    let ask = |text: &str| Message::text(text.to_owned());
    socket
        .send(ask(
            r#"{"method":"SUBSCRIBE","params":["btcusdt@nosuch"],"id":1}"#,
        ))
        .await
        .unwrap();
    assert!(
        heard(&mut socket)
            .await
            .unwrap()
            .contains("no stream `btcusdt@nosuch`")
    );
    socket
        .send(ask(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":2}"#))
        .await
        .unwrap();
    let mut texts = Vec::new();
    while texts.len() < 3 {
        texts.push(heard(&mut socket).await.unwrap());
    }
    texts.sort();
    let data = |id: u64| format!(r#"{{"e":"trade","s":"BTCUSDT","t":{id},"p":"99.50","q":"1"}}"#);
    assert_eq!(texts, [data(1), data(2), r#"{"id":2,"result":null}"#.to_owned()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_lost_for_everyone() {
    let line = |at: u64, rest: &str| format!("{{\"rx_ns\":{at},\"conn\":\"market-0\",{rest}}}\n");
    let url = r#""url":"wss://venue""#;
    let first = [
        line(1, url),
        line(2, &format!(r#""frame":{}"#, trade(1))),
        line(3, r#""closed":"failed""#),
    ];
    let second = [line(4, url), line(5, &format!(r#""frame":{}"#, trade(2)))];
    // Files may be given in any order.
    let venue = serve(&[second.concat(), first.concat()]).await;
    let mut socket = venue.listen("/stream?streams=btcusdt@trade").await;
    assert_eq!(heard(&mut socket).await, Some(trade(1)));
    assert_eq!(heard(&mut socket).await, None);
    let mut again = venue.listen("/stream?streams=btcusdt@trade").await;
    assert_eq!(heard(&mut again).await, Some(trade(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_lists_what_is_recorded_and_refuses_the_rest() {
    let messages = [depth(8, 9, "98"), SNAPSHOT.to_owned()];
    let venue = serve(&[stamped(&messages)]).await;
    let info: Value = serde_json::from_str(&venue.get("/api/v3/exchangeInfo").await.1).unwrap();
    assert_eq!(info["symbols"][0]["symbol"], "BTCUSDT");
    assert_eq!(info["symbols"][0]["filters"][0]["tickSize"], "0.10000000");
    let unknown = r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned();
    for path in ["exchangeInfo?symbols=%5B%22NOSUCH%22%5D", "depth?symbol=NOSUCH"] {
        let (status, body) = venue.get(&format!("/api/v3/{path}")).await;
        assert_eq!(
            (status, body.contains("-1121"), body.len()),
            (400, true, unknown.len())
        );
    }
    assert_eq!(venue.get("/api/v3/depth?symbol=BTCUSDT&limit=x").await.0, 400);
    assert_eq!(venue.get("/api/v3/order").await.0, 404);
}

#[tokio::test]
async fn what_is_of_no_wire_that_is_served_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("raw");
    std::fs::write(&path, "1700000000000000000 {\"e\":\"trade\",\"s\":\"BTCUSDT\"}\n").unwrap();
    let config = RecordedConfig {
        files: vec![path],
        speed: Some(1.0),
        port: 0,
        exit_when_done: false,
    };
    let error = RecordedServer::start(config).await.unwrap_err().to_string();
    assert!(error.contains("no message of a wire that is served"), "{error}");
}
