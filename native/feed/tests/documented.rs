//! Wires that no recording shows: recorded sessions said in their words, as the recorder would have written them. What they
//! say is the venue's; that the venue says it so is its documentation's.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says so by panicking, and skips aloud"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::slice;

use bytes::Bytes;
use domain::{Nanos, Price, Quantity, Timestamp};
use feed::faults::{Campaign, inject};
use feed::report::BookReport;
use recording::{Packing, Record, RecordKind, Recording, Writer, WriterSettings};
use serde_json::Value;
use serde_json::value::RawValue;
use support::{checked, only, only_book, recorded};
use tempfile::TempDir;

const CONNECTION: &str = "market-0";

/// Writes what happened as the recorder does, with each message as `say` has it; those that it has no words for are left out.
fn said(
    folder: &TempDir,
    venue: &str,
    source: &Path,
    mut say: impl FnMut(&[u8]) -> Option<Vec<u8>>,
) -> PathBuf {
    let settings = WriterSettings {
        folder: folder.path().to_owned(),
        stem: venue.to_owned(),
        venue: venue.to_owned(),
        symbols: Vec::new(),
        packing: Packing::Plain,
        rotate_bytes: u64::MAX,
        rotate_after: Nanos(0),
    };
    let mut writer = Writer::begin(settings, Timestamp::EPOCH).unwrap();
    let url = "wss://documented".to_owned();
    let mut is_begun = false;
    for record in Recording::open(source).unwrap() {
        let Record { at, kind, .. } = record.unwrap();
        if !std::mem::replace(&mut is_begun, true) {
            let kind = RecordKind::Connected { url: url.clone() };
            writer.write(at, CONNECTION, &kind).unwrap();
        }
        let kind = match kind {
            RecordKind::Received(message) => match say(&message) {
                Some(said) => RecordKind::Received(Bytes::from(said)),
                None => continue,
            },
            answer @ RecordKind::Answer { .. } => answer,
            _ => continue,
        };
        writer.write(at, CONNECTION, &kind).unwrap();
    }
    writer.finish().unwrap().files.remove(0)
}

/// A message of the combined stream in Simple Binary Encoding, by the venue's schema `stream_1_0.xml`.
fn binary(message: &[u8]) -> Option<Vec<u8>> {
    let message: Value = serde_json::from_slice(message).ok()?;
    let data = message.get("data")?;
    let number = |name: &str| data[name].as_i64().unwrap();
    let price = |text: &Value| Price::parse(text.as_str().unwrap().as_bytes()).unwrap().units();
    let quantity = |text: &Value| {
        Quantity::parse(text.as_str().unwrap().as_bytes())
            .unwrap()
            .units()
    };
    let head = |block: u16, template: u16| -> Vec<u8> {
        let words = [block, template, 1, 0];
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    };
    let longs = |out: &mut Vec<u8>, numbers: &[i64]| {
        out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    };
    let powers = [(-8_i8).cast_unsigned(); 2];
    let mut out;
    match data["e"].as_str() {
        Some("depthUpdate") => {
            out = head(26, 10_003);
            longs(&mut out, &[number("E") * 1_000, number("U"), number("u")]);
            out.extend(powers);
            for side in ["b", "a"] {
                let levels = data[side].as_array().unwrap();
                let count = u16::try_from(levels.len()).unwrap();
                out.extend([16, count].iter().flat_map(|word| word.to_le_bytes()));
                for level in levels {
                    longs(&mut out, &[price(&level[0]), quantity(&level[1])]);
                }
            }
        }
        Some("trade") => {
            out = head(18, 10_000);
            longs(&mut out, &[number("E") * 1_000, number("T") * 1_000]);
            out.extend(powers);
            out.extend(25_u16.to_le_bytes());
            out.extend(1_u32.to_le_bytes());
            longs(&mut out, &[number("t"), price(&data["p"]), quantity(&data["q"])]);
            out.push(u8::from(data["m"].as_bool().unwrap()));
        }
        _ => {
            out = head(50, 10_001);
            longs(&mut out, &[0, number("u")]);
            out.extend(powers);
            let best = [
                price(&data["b"]),
                quantity(&data["B"]),
                price(&data["a"]),
                quantity(&data["A"]),
            ];
            longs(&mut out, &best);
        }
    }
    let symbol = data["s"].as_str().unwrap();
    out.push(u8::try_from(symbol.len()).unwrap());
    out.extend(symbol.as_bytes());
    Some(out)
}

/// What two wires must agree on.
fn same(one: &BookReport, other: &BookReport) {
    assert_eq!(
        one.top.as_ref().unwrap().text(),
        other.top.as_ref().unwrap().text()
    );
    assert_eq!(
        one.top.as_ref().unwrap().sha256,
        other.top.as_ref().unwrap().sha256
    );
    let counts = |book: &BookReport| {
        (
            [
                book.updates,
                book.snapshots,
                book.gaps,
                book.crossed,
                book.resyncs,
            ],
            [book.levels.bids, book.levels.asks],
            [book.best.compared, book.best.equal],
            [book.checksums.right, book.checksums.wrong],
            (book.trades.count, book.trades.volume.clone()),
        )
    };
    assert_eq!(counts(one), counts(other));
    assert_eq!(
        other.text_book.mismatches, 0,
        "{:?}",
        other.text_book.first_mismatch
    );
}

#[test]
fn a_session_in_binary_is_the_session() {
    let Some(source) = recorded("ws_binance_spot_btcusdt_20240808", "btcusdt_20240808.gz") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let path = said(&folder, "binance", &source, binary);
    let (original, copy) = (checked(&[source]), checked(slice::from_ref(&path)));
    assert!(copy.right, "{:?}", copy.problems);
    let connection = only(&copy);
    assert_eq!((connection.wire, connection.venue), ("binance_sbe", "binance"));
    assert_eq!(
        (copy.totals.errors, copy.totals.gaps, copy.totals.trade_gaps),
        (0, 0, 0)
    );
    same(only_book(&original), only_book(&copy));
    assert!(only_book(&copy).best.compared > 0);

    let campaign = Campaign { count: 300, seed: 5 };
    let faults = inject(&[path], campaign, &mut |_| {}).unwrap();
    assert_eq!(faults.breaches, 0, "{:?}", faults.first_breaches);
    assert!(faults.wires["binance_sbe"]["cut"].at_once > 0);
}

#[test]
fn a_hole_in_a_binary_session_is_a_gap() {
    let Some(source) = recorded("ws_binance_spot_btcusdt_20240808", "btcusdt_20240808.gz") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut changes = 0;
    let path = said(&folder, "binance", &source, |message| {
        let is_change = message.windows(13).any(|part| part == b"\"depthUpdate\"");
        changes += u32::from(is_change);
        binary(message).filter(|_| !(is_change && changes == 100))
    });
    let report = checked(&[path]);
    assert_eq!(only_book(&report).gaps, 1);
    assert!(!report.right);
}

/// The levels of a book of version 2, each as the one order that rests there.
#[derive(Default)]
struct Queues {
    sides: [BTreeMap<i64, String>; 2],
}

impl Queues {
    const DEPTH: usize = 10;

    /// A message of the channel `book` as one of the channel `level3`. With one order at each price the checksums cover the
    /// same digits.
    fn say(&mut self, message: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(message).unwrap();
        if !text.starts_with(r#"{"channel":"book""#) {
            // State, heartbeats; an answer names another channel.
            return text
                .replace(r#""channel":"book""#, r#""channel":"level3""#)
                .into_bytes();
        }
        let whole: Value = serde_json::from_str(text).unwrap();
        let is_snapshot = whole["type"] == "snapshot";
        let book = &whole["data"][0];
        let mut lists = [String::new(), String::new()];
        for (at, name) in ["bids", "asks"].into_iter().enumerate() {
            let list = raw_list(text, name);
            let said: Vec<String> = list
                .iter()
                .map(|(price, quantity)| self.order(at, price, quantity, is_snapshot))
                .collect();
            lists[at] = said.join(",");
            let side = &mut self.sides[at];
            while side.len() > Self::DEPTH {
                let _ = if at == 0 {
                    side.pop_first()
                } else {
                    side.pop_last()
                };
            }
        }
        let [bids, asks] = lists;
        let (symbol, checksum) = (&book["symbol"], &book["checksum"]);
        let (kind, time) = (&whole["type"], &book["timestamp"]);
        format!(
                r#"{{"channel":"level3","type":{kind},"data":[{{"symbol":{symbol},"bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":{time}}}]}}"#
            )
            .into_bytes()
    }

    fn order(&mut self, at: usize, price: &str, quantity: &str, is_snapshot: bool) -> String {
        let side = &mut self.sides[at];
        let units = Price::parse(price.as_bytes()).unwrap().units();
        let id = format!("O{at}-{units}");
        let is_gone = Quantity::parse(quantity.as_bytes()).unwrap().is_zero();
        let event = match (side.contains_key(&units), is_gone) {
            _ if is_snapshot => "",
            (_, true) => r#""event":"delete","#,
            (true, false) => r#""event":"modify","#,
            (false, false) => r#""event":"add","#,
        };
        if is_gone {
            side.remove(&units);
        } else {
            side.insert(units, quantity.to_owned());
        }
        format!(r#"{{{event}"order_id":"{id}","limit_price":{price},"order_qty":{quantity}}}"#)
    }
}

/// Prices and quantities of a side as they stand in the text.
fn raw_list(text: &str, name: &str) -> Vec<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        data: [BTreeMap<String, &'a RawValue>; 1],
    }
    #[derive(serde::Deserialize)]
    struct Level<'a> {
        #[serde(borrow)]
        price: &'a RawValue,
        #[serde(borrow)]
        qty: &'a RawValue,
    }
    let message: Message<'_> = serde_json::from_str(text).unwrap();
    let levels: Vec<Level<'_>> = serde_json::from_str(message.data[0][name].get()).unwrap();
    let texts = |level: Level<'_>| (level.price.get().to_owned(), level.qty.get().to_owned());
    levels.into_iter().map(texts).collect()
}

#[test]
fn a_session_said_order_by_order_is_the_session() {
    let folder_name = "ws_kraken_v2_btcusd_d10_20260816";
    let Some(source) = recorded(folder_name, "kraken_v2_btcusd_d10_20260816_first6s.ndjson") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut queues = Queues::default();
    let path = said(&folder, "kraken", &source, |message| Some(queues.say(message)));
    let (original, copy) = (checked(slice::from_ref(&source)), checked(slice::from_ref(&path)));
    assert!(copy.right, "{:?}", copy.problems);
    assert_eq!(only(&copy).wire, "kraken_level3");
    same(only_book(&original), only_book(&copy));
    assert_eq!(copy.totals.checksums_right, 54);
    let orders = only_book(&copy).orders.as_ref().unwrap();
    assert_eq!((orders.bids, orders.asks), (10, 10));

    let campaign = Campaign { count: 300, seed: 5 };
    let faults = inject(&[path], campaign, &mut |_| {}).unwrap();
    assert_eq!(faults.breaches, 0, "{:?}", faults.first_breaches);

    // A wrong checksum is one in the report.
    let folder = TempDir::new().unwrap();
    let mut queues = Queues::default();
    let path = said(&folder, "kraken", &source, |message| {
        let said = queues.say(message);
        let text = String::from_utf8(said).unwrap();
        Some(
            text.replace(r#""checksum":265834348"#, r#""checksum":265834349"#)
                .into_bytes(),
        )
    });
    let report = checked(&[path]);
    assert_eq!(report.totals.checksums_wrong, 1);
    assert!(!report.right);
}
