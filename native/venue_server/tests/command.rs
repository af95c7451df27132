//! The command: what it prints when it is ready, how it stops, what it refuses.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod client;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use client::{Client, KEY, SECRET, bars};
use serde_json::Value;

fn bars_file(count: i64) -> tempfile::NamedTempFile {
    let mut text = "ts_open,open,high,low,close,volume\n".to_owned();
    for bar in bars(count) {
        let ts_open = bar.ts_open.nanos();
        writeln!(
            text,
            "{ts_open},{},{},{},{},{}",
            bar.open, bar.high, bar.low, bar.close, bar.volume
        )
        .unwrap();
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn command(bars: &tempfile::NamedTempFile) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_py_rt_venue_server"));
    command
        .arg("--bars")
        .arg(bars.path())
        .args(["--bar-ms", "900000"]);
    command.env("PY_RT_VENUE_KEYS", format!("{KEY}:{SECRET}"));
    command
}

fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(2));
    String::from_utf8(stderr).unwrap()
}

/// Kills the server when a test fails before it stops it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have stopped already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn it_says_where_it_serves_and_stops_on_sigterm() {
    let bars = bars_file(3);
    let child = command(&bars)
        .args(["--seed", "7", "--start-paused"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let rest = ready["rest"].as_str().unwrap();
    let address = rest.strip_prefix("http://").unwrap();
    assert!(address.starts_with("127.0.0.1:"));
    assert_eq!(ready["ws"], format!("ws://{address}"));
    assert_eq!(ready["ws_api"], format!("ws://{address}/ws-api/v3"));
    let client = Client {
        address: address.parse().unwrap(),
        key: KEY,
        secret: SECRET,
    };
    assert_eq!(client.signed("GET", "account", "").await.status, 200);
    let killed = Command::new("kill")
        .arg(running.0.id().to_string())
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn it_ends_with_the_record_when_asked_to() {
    let bars = bars_file(2);
    let mut command = command(&bars);
    let output = command
        .args(["--bar-ms", "5", "--exit-when-done"])
        .output()
        .unwrap();
    // The later --bar-ms would be a second one: clap refuses it.
    assert_eq!(output.status.code(), Some(2));
    let mut command = Command::new(env!("CARGO_BIN_EXE_py_rt_venue_server"));
    let output = command
        .arg("--bars")
        .arg(bars.path())
        .args(["--bar-ms", "5", "--exit-when-done"])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(0));
}

#[test]
fn it_names_what_it_refuses() {
    let good = bars_file(2);
    let refuse = |args: &[&str]| refused(command(&good).args(args));
    assert!(refuse(&["--from", "17"]).contains("--from 17: no bar opens at this time"));
    assert!(refuse(&["--symbol", "btcusdt"]).contains("--symbol is btcusdt"));
    assert!(refuse(&["--maker-bps=-1"]).contains("--maker-bps is -1: basis points from 0 to 1000"));
    assert!(refuse(&["--balance", "USDT"]).contains("ASSET=AMOUNT"));
    assert!(refuse(&["--tick-size", "1"]).contains("not a multiple of the tick size 1"));
    assert!(refuse(&["--keys-file", "/nonexistent"]).contains("/nonexistent: "));
    let mut secret_in_bad_shape = command(&good);
    secret_in_bad_shape.env("PY_RT_VENUE_KEYS", "not_a_pair_of_key_and_secret");
    let message = refused(&mut secret_in_bad_shape);
    assert!(
        message.contains("PY_RT_VENUE_KEYS, entry 1") && !message.contains("not_a_pair"),
        "{message}"
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    assert!(refused(&mut command(&empty)).contains(":1: the header is ``"));
}
