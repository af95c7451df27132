//! The command: what it prints when it is ready, how it stops, what it refuses.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod client;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use client::{Client, KEY, SECRET, bars};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const KEYS: &str = "PY_RT_VENUE_KEYS";

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
    command.env(KEYS, format!("{KEY}:{SECRET}"));
    command
}

fn refused(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    assert_eq!(status.code(), Some(2));
    String::from_utf8(stderr).unwrap()
}

/// Kills the server when a test fails before it stops it.
struct Running(Child);

/// Starts the server and reads the line that says where it serves.
fn start(command: &mut Command) -> (Running, Value) {
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (running, serde_json::from_str(&line).unwrap())
}

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
    let (mut running, ready) = start(command(&bars).args(["--seed", "7", "--start-paused"]));
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

#[tokio::test]
async fn every_wire_is_served_under_its_own_addresses() {
    let bars = bars_file(3);
    for (venue, keys, path, expected) in [
        (
            "kraken",
            format!("{KEY}:QUJDREVGR0g="),
            "/0/public/Assets",
            "XXBT",
        ),
        (
            "coinbase",
            String::new(),
            "/api/v3/brokerage/market/products",
            "BTC-USD",
        ),
    ] {
        let (running, ready) = start(
            command(&bars)
                .args(["--venue", venue, "--start-paused"])
                .env(KEYS, keys),
        );
        let address = ready["rest"].as_str().unwrap().strip_prefix("http://").unwrap();
        assert_eq!(
            ready["ws"],
            format!("ws://{address}{}", if venue == "kraken" { "/v2" } else { "" })
        );
        let client = Client {
            address: address.parse().unwrap(),
            key: KEY,
            secret: SECRET,
        };
        let answer = client.request("GET", path, "").await;
        assert!(
            answer.status == 200 && answer.text.contains(expected),
            "{venue}: {}",
            answer.text
        );
        drop(running);
    }
    let wrong = refused(command(&bars).args(["--venue", "kraken", "--symbol", "BTCUSD"]));
    assert!(
        wrong.contains("--symbol is BTCUSD: upper-case base and quote, such as BTC/USD"),
        "{wrong}"
    );
    let wrong = refused(command(&bars).args(["--venue", "coinbase"]));
    assert!(
        wrong.contains("entry 1: the secret must be a P-256 key as PEM"),
        "{wrong}"
    );
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_nothing_else() {
    let bars = bars_file(3);
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, pem("CERTIFICATE", signed.cert.der())).unwrap();
    std::fs::write(&key, pem("PRIVATE KEY", &signed.signing_key.serialize_der())).unwrap();
    let mut served = command(&bars);
    served
        .args(["--start-paused", "--tls-cert"])
        .arg(&cert)
        .arg("--tls-key")
        .arg(&key);
    let (_running, ready) = start(&mut served);
    let address = ready["rest"].as_str().unwrap().strip_prefix("https://").unwrap();
    assert_eq!(ready["ws"], format!("wss://{address}"));
    let plain = Client {
        address: address.parse().unwrap(),
        key: KEY,
        secret: SECRET,
    };
    assert!(plain.try_request("GET", "/api/v3/ping", "").await.is_none());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    stream
        .write_all(b"GET /api/v3/ping HTTP/1.1\r\nHost: venue\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    // A server that closes without a farewell ends the answer too.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("{}"),
        "{answer}"
    );
    let message = refused(
        command(&bars)
            .arg("--tls-cert")
            .arg(&key)
            .arg("--tls-key")
            .arg(&cert),
    );
    assert!(
        message.contains("cert.pem: ") || message.contains("key.pem: "),
        "{message}"
    );
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
    secret_in_bad_shape.env(KEYS, "not_a_pair_of_key_and_secret");
    let message = refused(&mut secret_in_bad_shape);
    assert!(
        message.contains("PY_RT_VENUE_KEYS, entry 1") && !message.contains("not_a_pair"),
        "{message}"
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    assert!(refused(&mut command(&empty)).contains(":1: the header is ``"));
}
