//! What stands between a frame in memory and an order's signed bytes, each step beside an anchor of its own:
//! a plain scan of the same bytes for reading, HMAC alone for signing.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use domain::{
    ClientOrderId, Currency, Epoch, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money,
    OrderRequest, OrderType, Price, Quantity, Side, SlotId, Text, TimeInForce, Timestamp, Venue,
};
use venues::binance::parser::Parser;
use venues::binance::{Endpoints, MarketData, NEW_ORDER_BYTES_MAX, OrderEncoder, Settings, Signer};
use venues::{Instruments, Secret};

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

fn reading(criterion: &mut Criterion) {
    let frame = depth(1);
    // The same message with one space: only the slow reader takes it.
    let mut spaced = frame.clone();
    spaced.insert(1, b' ');
    criterion.bench_function("anchor: scan of a depth frame's bytes", |bencher| {
        bencher.iter(|| {
            black_box(&frame)
                .iter()
                .fold(0_u32, |sum, &byte| sum + u32::from(byte == b'"'))
        });
    });
    let mut parser = Parser::new();
    criterion.bench_function("read a depth frame of 10 + 10 levels", |bencher| {
        bencher.iter(|| parser.stream_message(black_box(&frame)).is_ok());
    });
    criterion.bench_function("read the same through serde_json", |bencher| {
        bencher.iter(|| parser.stream_message(black_box(&spaced)).is_ok());
    });
    criterion.bench_function("read a best price frame", |bencher| {
        bencher.iter(|| parser.stream_message(black_box(TICKER)).is_ok());
    });
}

fn sequencing(criterion: &mut Criterion) {
    let table = Arc::new(Instruments::new(vec![instrument()]).expect("a table"));
    let snapshot = br#"{"lastUpdateId":0,"bids":[["61600.00000000","1.00000000"]],"asks":[["61900.00000000","1.00000000"]]}"#;
    let frames: Vec<_> = (1..=1_000).map(depth).collect();
    criterion.bench_function("read and sequence 1,000 depth frames", |bencher| {
        bencher.iter_batched(
            || {
                let mut data = MarketData::new(Arc::clone(&table));
                data.on_connected();
                data.on_snapshot(Timestamp::EPOCH, InstrumentId(0), snapshot, &mut |_| {})
                    .expect("a snapshot");
                data
            },
            |mut data| {
                let mut events = 0;
                for frame in &frames {
                    data.on_frame(frame, &mut |_| events += 1).expect("a frame");
                }
                assert_eq!(events, frames.len());
                data
            },
            BatchSize::SmallInput,
        );
    });
}

fn encoding(criterion: &mut Criterion) {
    let signer = Signer::new(&Secret::new("s".repeat(64)).expect("a secret"));
    let encoder = OrderEncoder::new(signer.clone(), &Settings::new(Endpoints::production()));
    let (order, instrument) = (order(), instrument());
    let mut out = Vec::with_capacity(NEW_ORDER_BYTES_MAX);
    criterion.bench_function("encode and sign a limit order", |bencher| {
        bencher.iter(|| {
            let ts = Timestamp::from_millis(1_723_161_255_208);
            encoder
                .encode_new_order(black_box(&order), &instrument, ts, &mut out)
                .expect("an order");
        });
    });
    criterion.bench_function("anchor: HMAC-SHA256 of the same bytes", |bencher| {
        bencher.iter(|| signer.hex(black_box(&out)));
    });
}

criterion_group!(benches, reading, sequencing, encoding);
criterion_main!(benches);
