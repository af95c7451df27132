//! What each format's reader makes of a line.

#![allow(clippy::unwrap_used, reason = "a test says so by panicking")]

use std::path::PathBuf;

use recording::{RecordKind, Recording};
use tempfile::TempDir;

fn file(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("recording");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_frame_is_text_and_keeps_its_digits() {
    let folder = TempDir::new().unwrap();
    let frame = r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":1.0,"qty":0.00005100}],"asks":[]}]}"#;
    let lines = [
        r#"{"captured_at": "2026-08-16T23:37:02", "url": "wss://ws.test/v2", "depth": 10}"#.to_owned(),
        r#"{"rx_ns": 5, "dir": "tx", "frame": {"method":"subscribe"}}"#.to_owned(),
        format!(r#"{{"rx_ns": 6, "frame": {frame}}}"#),
        // The frame is not the last member: it is still cut out as text.
        format!(r#"{{"frame": {frame}, "rx_ns": 7}}"#),
        // A frame that is no JSON is the protocol's to refuse.
        r#"{"rx_ns": 8, "frame": {"channel":"bo}"#.to_owned(),
    ];
    let path = file(&folder, &(lines.join("\n") + "\n"));
    let kinds: Vec<_> = Recording::open(&path)
        .unwrap()
        .map(|record| record.unwrap())
        .map(|record| (record.at.nanos(), record.kind))
        .collect();
    let received = |text: &str| RecordKind::Received(text.to_owned().into());
    assert_eq!(
        kinds,
        [
            (
                0,
                RecordKind::Connected {
                    url: "wss://ws.test/v2".to_owned()
                }
            ),
            (5, RecordKind::Sent(r#"{"method":"subscribe"}"#.into())),
            (6, received(frame)),
            (7, received(frame)),
            (8, received(r#"{"channel":"bo"#)),
        ]
    );
}

#[test]
fn answers_come_at_their_time_however_many_stand_before_the_socket() {
    let folder = TempDir::new().unwrap();
    let line = |kind: &str, at: u8, data: &str| {
        format!(r#"{{"t":"{kind}","conn":"B.{kind}","ts":{at},"url":"https://api.test","data":"{data}"}}"#)
    };
    let lines = [
        r#"{"t":"header","format":2,"exchange":"BINANCE"}"#.to_owned(),
        line("http", 5, "third"),
        line("http", 8, "fifth"),
        line("http", 3, "first"),
        line("recv", 4, "second"),
        line("recv", 6, "fourth"),
    ];
    let path = file(&folder, &(lines.join("\n") + "\n"));
    let texts: Vec<_> = Recording::open(&path)
        .unwrap()
        .map(|record| match record.unwrap().kind {
            RecordKind::Received(text) | RecordKind::Answer { body: text, .. } => {
                String::from_utf8(text.to_vec()).unwrap()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["first", "second", "third", "fourth", "fifth"]);
}
