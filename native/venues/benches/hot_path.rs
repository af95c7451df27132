//! What stands between a frame in memory and an order's signed bytes, each step beside an anchor of its own:
//! a plain scan of the same bytes for reading, HMAC alone for signing.

#[path = "../../../benches/rows.rs"]
mod rows;

use std::hint::black_box;
use std::sync::Arc;

use domain::{
    ClientOrderId, Currency, Epoch, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money,
    Nanos, OrderRequest, OrderType, Price, Quantity, Side, SlotId, Text, TimeInForce, Timestamp, Venue,
};
use rows::{Figures, Row, Wanted, interleaved, nanos_each};
use venues::binance::parser::Parser;
use venues::binance::{Endpoints, MarketData, OrderEncoder, Settings, Signer};
use venues::kraken::WireVersion;
use venues::{EncodeOrders as _, Instruments, NEW_ORDER_BYTES_MAX, Secret};
use venues::{coinbase, kraken};

/// Things of one sample.
const FRAMES: usize = 1_000;
const ORDERS: usize = 1_000;

/// No time is later.
const LATEST: Timestamp = Timestamp::from_nanos(i64::MAX);

fn instrument() -> Instrument {
    let quote = Currency::new("USDT").expect("a code");
    Instrument {
        id: InstrumentId(0),
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").expect("a symbol"),
        base: Currency::new("BTC").expect("a code"),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1_000_000),
            lot_size: Quantity::from_units(1_000),
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: Quantity::ZERO,
            max_quantity: Quantity::ZERO,
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    }
}

/// A change of ten levels on each side, numbered `id`.
fn depth(id: u64) -> Vec<u8> {
    let side = |base: u64| {
        let levels: Vec<_> = (0..10)
            .map(|level| {
                format!(
                    r#"["{}.{:08}","{}.{:08}"]"#,
                    base + level,
                    id % 100 * 1_000_000,
                    level + 1,
                    id % 997
                )
            })
            .collect();
        levels.join(",")
    };
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":{id},"u":{id},"b":[{}],"a":[{}]}}}}"#,
        side(61_700),
        side(61_800)
    )
    .into_bytes()
}

const TICKER: &[u8] = br#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#;

fn order() -> OrderRequest {
    OrderRequest {
        client_order_id: ClientOrderId {
            epoch: Epoch(3),
            slot: SlotId(1),
            counter: 42,
        },
        instrument: InstrumentId(0),
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(6_183_763_000_000)),
        quantity: Quantity::from_units(12_345_000),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

/// Ten changes of a book on each side, as Coinbase writes them.
fn coinbase_book() -> Vec<u8> {
    let updates = |side: &'static str, base: u64| {
        (0..10).map(move |level| {
            format!(
                r#"{{"side":"{side}","event_time":"2026-08-09T21:05:48.170326Z","price_level":"{}.{:02}","new_quantity":"0.{:08}"}}"#,
                base + level,
                level * 7,
                level * 104_729
            )
        })
    };
    let updates: Vec<_> = updates("bid", 65_000).chain(updates("offer", 65_100)).collect();
    format!(
        r#"{{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.505350477Z","sequence_num":14,"events":[{{"type":"update","product_id":"BTC-USD","updates":[{}]}}]}}"#,
        updates.join(",")
    )
    .into_bytes()
}

/// The same as Kraken writes them in version 2.
fn kraken_book() -> Vec<u8> {
    let levels = |base: u64| {
        let level = |level: u64| {
            format!(
                r#"{{"price":{}.{},"qty":0.{:08}}}"#,
                base + level,
                level % 10,
                level * 104_729
            )
        };
        (0..10).map(level).collect::<Vec<_>>().join(",")
    };
    format!(
        r#"{{"channel":"book","type":"update","data":[{{"symbol":"BTC/USD","bids":[{}],"asks":[{}],"checksum":2439117997,"timestamp":"2026-08-16T23:37:04.334090Z"}}]}}"#,
        levels(62_700),
        levels(62_800)
    )
    .into_bytes()
}

/// A plain look at every byte, as a count of quotation marks. It wraps, because a checked sum is not vectorised.
fn scan(frame: &[u8]) -> u32 {
    let quote = |&byte: &u8| u32::from(byte == b'"');
    frame.iter().map(quote).fold(0, u32::wrapping_add)
}

/// Nanoseconds for one of `count` times `work`.
fn times<T>(count: usize, mut work: impl FnMut() -> T) -> f64 {
    nanos_each(count, || {
        for _ in 0..count {
            black_box(work());
        }
    })
}

fn reading(wanted: Wanted) {
    let frame = depth(1);
    // The same message with one space: only the slow reader takes it.
    let mut spaced = frame.clone();
    spaced.insert(1, b' ');
    let (mut parser, mut slow, mut ticker) = (Parser::new(), Parser::new(), Parser::new());
    let read = |parser: &mut Parser, frame: &[u8]| {
        times(FRAMES, || {
            assert!(parser.stream_message(black_box(frame)).is_ok());
        })
    };
    let [reads, slow_reads, ticker_reads, scans] = interleaved(
        wanted.rounds,
        &mut [
            &mut || read(&mut parser, &frame),
            &mut || read(&mut slow, &spaced),
            &mut || read(&mut ticker, TICKER),
            &mut || times(FRAMES, || scan(black_box(&frame))),
        ],
    );
    Row {
        name: "parse_depth",
        unit: "ns per frame",
        subject: ("binance::Parser, 10 + 10 levels", &reads),
        anchor: Some(("scan of the same bytes", &scans)),
        facts: &[
            ("bytes", frame.len().into()),
            ("through_serde_json_ns", Figures::of(&slow_reads).p50.into()),
            ("best_price_frame_ns", Figures::of(&ticker_reads).p50.into()),
        ],
    }
    .print(wanted);
}

/// What another venue's reader takes for its message, beside a look at the same bytes.
fn other_reading(wanted: Wanted, row: (&str, &str), frame: &[u8], mut read: impl FnMut(&[u8]) -> bool) {
    let (name, subject) = row;
    let [reads, scans] = interleaved(
        wanted.rounds,
        &mut [
            &mut || times(FRAMES, || assert!(read(black_box(frame)))),
            &mut || times(FRAMES, || scan(black_box(frame))),
        ],
    );
    Row {
        name,
        unit: "ns per frame",
        subject: (subject, &reads),
        anchor: Some(("scan of the same bytes", &scans)),
        facts: &[("bytes", frame.len().into())],
    }
    .print(wanted);
}

fn coinbase_reading(wanted: Wanted) {
    let mut parser = coinbase::advanced::parser::Parser::new();
    let row = ("parse_coinbase", "coinbase::advanced::Parser, 10 + 10 levels");
    other_reading(wanted, row, &coinbase_book(), |frame| {
        parser.message(frame).is_ok()
    });
    assert_eq!(parser.counts().1, 0, "the slow reader had to help");
}

fn kraken_reading(wanted: Wanted) {
    let mut parser = kraken::parser::Parser::new(WireVersion::V2);
    let row = ("parse_kraken", "kraken::Parser, version 2, 10 + 10 levels");
    other_reading(wanted, row, &kraken_book(), |frame| parser.message(frame).is_ok());
    assert_eq!(parser.counts().1, 0, "the slow reader had to help");
}

fn sequenced(table: &Arc<Instruments>, frames: &[Vec<u8>]) -> f64 {
    let snapshot = br#"{"lastUpdateId":0,"bids":[["61600.00000000","1.00000000"]],"asks":[["61900.00000000","1.00000000"]]}"#;
    let mut data = MarketData::new(Arc::clone(table), Nanos(0));
    data.on_connected();
    data.on_snapshot(Timestamp::EPOCH, InstrumentId(0), snapshot, &mut |_| {})
        .expect("a snapshot");
    let mut events = 0;
    let nanos = nanos_each(frames.len(), || {
        for frame in frames {
            data.on_frame(LATEST, frame, &mut |_| events += 1)
                .expect("a frame");
        }
    });
    assert_eq!(events, frames.len());
    nanos
}

fn sequencing(wanted: Wanted) {
    let table = Arc::new(Instruments::new(vec![instrument()]).expect("a table"));
    let frames: Vec<_> = (1..=FRAMES as u64).map(depth).collect();
    let scanned = || {
        nanos_each(frames.len(), || {
            for frame in &frames {
                black_box(scan(black_box(frame)));
            }
        })
    };
    let [sequences, scans] = interleaved(
        wanted.rounds,
        &mut [&mut || sequenced(&table, &frames), &mut || scanned()],
    );
    Row {
        name: "parse_and_sequence",
        unit: "ns per frame",
        subject: ("binance::MarketData, 10 + 10 levels", &sequences),
        anchor: Some(("scan of the same bytes", &scans)),
        facts: &[],
    }
    .print(wanted);
}

fn encoding(wanted: Wanted) {
    let signer = Signer::new(&Secret::new("s".repeat(64)).expect("a secret")).expect("a key");
    let mut encoder = OrderEncoder::new(signer.clone(), &Settings::new(Endpoints::production()));
    let (order, instrument) = (order(), instrument());
    let mut out = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
    let ts = Timestamp::from_millis(1_723_161_255_208);
    let mut encode = |out: &mut Vec<u8>| {
        encoder
            .encode_new_order(black_box(&order), &instrument, ts, out)
            .expect("an order");
    };
    encode(&mut out);
    let body = out.clone();
    let [encodes, signatures] = interleaved(
        wanted.rounds,
        &mut [&mut || times(ORDERS, || encode(&mut out)), &mut || {
            times(ORDERS, || signer.signature(black_box(&body)))
        }],
    );
    Row {
        name: "encode_and_sign",
        unit: "ns per order",
        subject: ("binance::OrderEncoder, a limit order", &encodes),
        anchor: Some(("HMAC-SHA256 of the same bytes", &signatures)),
        facts: &[("bytes", body.len().into())],
    }
    .print(wanted);
}

/// What callgrind counts.
#[inline(never)]
fn binance_counted(parser: &mut Parser, frame: &[u8]) {
    assert!(black_box(parser.stream_message(black_box(frame))).is_ok());
}

/// What callgrind counts.
#[inline(never)]
fn coinbase_counted(parser: &mut coinbase::advanced::parser::Parser, frame: &[u8]) {
    assert!(black_box(parser.message(black_box(frame))).is_ok());
}

/// What callgrind counts.
#[inline(never)]
fn kraken_counted(parser: &mut kraken::parser::Parser, frame: &[u8]) {
    assert!(black_box(parser.message(black_box(frame))).is_ok());
}

fn count() {
    let (depth, book, update) = (depth(1), coinbase_book(), kraken_book());
    let mut binance = Parser::new();
    let mut coinbase = coinbase::advanced::parser::Parser::new();
    let mut kraken = kraken::parser::Parser::new(WireVersion::V2);
    for _ in 0..FRAMES {
        binance_counted(&mut binance, &depth);
        coinbase_counted(&mut coinbase, &book);
        kraken_counted(&mut kraken, &update);
    }
    for function in ["binance_counted", "coinbase_counted", "kraken_counted"] {
        rows::print_counted(function, FRAMES, "made");
    }
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    if wanted.counted {
        return count();
    }
    reading(wanted);
    coinbase_reading(wanted);
    kraken_reading(wanted);
    sequencing(wanted);
    encoding(wanted);
}
