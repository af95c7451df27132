use domain::{
    Bar, ClientOrderId, Currency, Epoch, Fill, InstrumentId, Liquidity, Money, Nanos, Price, Quantity, Quote,
    Side, SlotId, Timestamp, Trade, TradeId,
};
use proptest::prelude::*;

use super::{
    FillRecord, KINDS, KindDescription, MAX_FEATURES, PAYLOAD_WORDS, Payload, PositionRecord, ROW_BYTES,
    Record, RecordError, RecordKind, Signal,
};

fn price(units: i64) -> Price {
    Price::from_units(units)
}

fn quantity(units: i64) -> Quantity {
    Quantity::from_units(units)
}

fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn quote() -> Record {
    let quote = Quote {
        instrument: InstrumentId(3),
        ts_event: time(101),
        update_id: 7,
        bid: price(11),
        bid_quantity: quantity(12),
        ask: price(13),
        ask_quantity: quantity(14),
    };
    Record::TopOfBook {
        ts_received: time(102),
        quote,
    }
}

fn trade() -> Record {
    let trade = Trade {
        instrument: InstrumentId(3),
        ts_event: time(-5),
        trade_id: TradeId(u64::MAX),
        price: price(21),
        quantity: quantity(22),
        aggressor: Side::Sell,
    };
    Record::Trade {
        ts_received: time(-4),
        trade,
    }
}

fn bar() -> Record {
    let bar = Bar {
        instrument: InstrumentId(3),
        ts_open: time(900),
        span: Nanos(100),
        open: price(32),
        high: price(34),
        low: price(31),
        close: price(33),
        volume: quantity(0),
    };
    Record::Bar {
        ts_received: time(1001),
        bar,
        is_empty: true,
    }
}

fn signal() -> Record {
    let mut features = [0.0; MAX_FEATURES];
    features[..3].copy_from_slice(&[1.5, -0.0, f32::MIN_POSITIVE]);
    Record::Signal(Signal {
        slot: SlotId(2),
        instrument: InstrumentId(3),
        ts_event: time(101),
        ts_received: time(102),
        score: -1.25,
        probability: 0.75,
        bundle_prefix: 0x0123_4567_89ab_cdef,
        feature_count: 3,
        features,
    })
}

fn fill() -> Record {
    let usdt = Currency::new("USDT").unwrap();
    Record::Fill(FillRecord {
        instrument: InstrumentId(3),
        ts_event: time(101),
        ts_received: time(102),
        client_order_id: ClientOrderId {
            epoch: Epoch(9),
            slot: SlotId(2),
            counter: 77,
        },
        fill: Fill {
            trade_id: TradeId(55),
            price: price(41),
            quantity: quantity(42),
            side: Side::Buy,
            fee: Money::from_units(-(1 << 70) + 5, usdt),
            liquidity: Liquidity::Maker,
        },
        leaves_quantity: quantity(43),
    })
}

fn position() -> Record {
    Record::Position(PositionRecord {
        slot: SlotId(2),
        instrument: InstrumentId(3),
        ts_event: time(101),
        ts_received: time(102),
        quantity: quantity(-51),
        average_entry_price: price(52),
        mark_price: price(53),
        realized_pnl: -(1 << 80),
        unrealized_pnl: 1 << 81,
        fees: 61,
        equity: i128::MIN,
        open_orders: 4,
    })
}

fn all() -> [Record; 6] {
    [quote(), trade(), bar(), signal(), fill(), position()]
}

fn row(payload: &Payload) -> [u8; ROW_BYTES] {
    let mut row = [0; ROW_BYTES];
    row[..8].copy_from_slice(&99u64.to_le_bytes());
    for (bytes, word) in row[8..].chunks_exact_mut(8).zip(payload) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    row
}

fn described(kind: RecordKind) -> &'static KindDescription {
    KINDS
        .iter()
        .find(|description| description.code == kind.code())
        .unwrap()
}

/// Bytes of a numpy type as the descriptions use them.
fn width(numpy: &str) -> usize {
    match numpy {
        "<u8" | "<i8" => 8,
        "<u4" | "<f4" => 4,
        "<u2" => 2,
        "|u1" | "|b1" => 1,
        "|S16" => 16,
        "(16,)<f4" => 64,
        other => panic!("{other} is not a type the descriptions use"),
    }
}

/// Reads an integer field by its description alone, as numpy would.
fn by_description(record: &Record, name: &str) -> i128 {
    let field = described(record.kind())
        .fields
        .iter()
        .find(|field| field.name == name)
        .unwrap();
    let row = row(&record.encode());
    let mut bytes = [0; 16];
    bytes[..width(field.numpy)].copy_from_slice(&row[field.offset..][..width(field.numpy)]);
    let value = i128::from_le_bytes(bytes);
    if field.numpy == "<i8" {
        i128::from(i64::from_le_bytes(bytes[..8].try_into().unwrap()))
    } else {
        value
    }
}

fn joined(record: &Record, name: &str) -> i128 {
    let high = by_description(record, &format!("{name}_high"));
    let low = by_description(record, &format!("{name}_low"));
    (high << 64) | low
}

#[test]
fn every_kind_comes_back_as_it_was() {
    for record in all() {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
        assert_eq!(Record::decode_row(&row(&record.encode())), Ok((99, record)));
    }
}

fn assert_described(record: &Record, fields: &[(&str, i128)]) {
    for (name, value) in fields {
        assert_eq!(by_description(record, name), *value, "{:?} {name}", record.kind());
    }
}

#[test]
fn the_descriptions_find_what_every_kind_shares() {
    for record in all() {
        assert_eq!(by_description(&record, "index"), 99);
        assert_eq!(by_description(&record, "kind"), i128::from(record.kind().code()));
        assert_eq!(by_description(&record, "instrument"), 3);
    }
}

#[test]
fn the_descriptions_find_the_market_data_the_codec_wrote() {
    let times = [
        ("slot", 0),
        ("ts_event", 101),
        ("ts_received", 102),
        ("update_id", 7),
    ];
    assert_described(&quote(), &times);
    assert_described(
        &quote(),
        &[
            ("bid", 11),
            ("bid_quantity", 12),
            ("ask", 13),
            ("ask_quantity", 14),
        ],
    );
    let largest = i128::from(u64::MAX);
    assert_described(
        &trade(),
        &[("ts_event", -5), ("ts_received", -4), ("trade_id", largest)],
    );
    assert_described(&trade(), &[("price", 21), ("quantity", 22), ("aggressor", 2)]);
    assert_described(
        &bar(),
        &[
            ("ts_event", 1000),
            ("ts_received", 1001),
            ("ts_open", 900),
            ("open", 32),
        ],
    );
    assert_described(
        &bar(),
        &[
            ("high", 34),
            ("low", 31),
            ("close", 33),
            ("volume", 0),
            ("is_empty", 1),
        ],
    );
}

#[test]
fn the_descriptions_find_what_the_codec_wrote_of_a_slot() {
    let bits = |value: f32| i128::from(value.to_bits());
    assert_described(
        &signal(),
        &[("slot", 2), ("score", bits(-1.25)), ("probability", bits(0.75))],
    );
    assert_described(
        &signal(),
        &[("bundle_prefix", 0x0123_4567_89ab_cdef), ("feature_count", 3)],
    );
    let fields = &described(RecordKind::Signal).fields;
    let features = fields.iter().find(|field| field.name == "features").unwrap();
    let bytes = row(&signal().encode());
    assert_eq!(bytes[features.offset..][..4], 1.5f32.to_le_bytes());
    assert_eq!(bytes[features.offset + 8..][..4], f32::MIN_POSITIVE.to_le_bytes());

    assert_described(
        &fill(),
        &[("slot", 2), ("trade_id", 55), ("price", 41), ("quantity", 42)],
    );
    assert_described(
        &fill(),
        &[("leaves_quantity", 43), ("order_epoch", 9), ("order_counter", 77)],
    );
    assert_described(&fill(), &[("side", 1), ("liquidity", 1)]);
    assert_eq!(joined(&fill(), "fee"), -(1 << 70) + 5);
    let currency = by_description(&fill(), "fee_currency");
    assert_eq!(currency.to_le_bytes(), *b"USDT\0\0\0\0\0\0\0\0\0\0\0\0");

    assert_described(
        &position(),
        &[("slot", 2), ("quantity", -51), ("average_entry_price", 52)],
    );
    assert_described(&position(), &[("mark_price", 53), ("open_orders", 4)]);
    assert_eq!(joined(&position(), "realized_pnl"), -(1 << 80));
    assert_eq!(joined(&position(), "unrealized_pnl"), 1 << 81);
    assert_eq!(joined(&position(), "fees"), 61);
    assert_eq!(joined(&position(), "equity"), i128::MIN);
}

#[test]
fn the_descriptions_are_in_order_inside_the_row_and_do_not_overlap() {
    for (code, kind) in (1..).zip(&KINDS) {
        assert_eq!(kind.code, code);
        let mut end = 0;
        for field in kind.fields {
            assert!(field.offset >= end, "{}.{} overlaps", kind.name, field.name);
            end = field.offset + width(field.numpy);
        }
        assert!(end <= ROW_BYTES);
    }
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let cases: [(Record, usize, u64, &str); 10] = [
        (quote(), 4, u64::MAX, "bid"),
        (trade(), 6, 3, "aggressor"),
        (trade(), 0, 2 | 1 << 32, "slot"),
        (bar(), 3, 1000, "ts_open"),
        (bar(), 6, 40, "low"),
        (bar(), 9, 2, "is_empty"),
        (signal(), 5, 17, "feature_count"),
        (
            signal(),
            3,
            u64::from(f32::NAN.to_bits()) | u64::from(0.5f32.to_bits()) << 32,
            "score",
        ),
        (signal(), 8, 1, "features"),
        (fill(), 9, u64::from_le_bytes(*b"US\0T\0\0\0\0"), "fee_currency"),
    ];
    for (record, word, value, name) in cases {
        let mut words = record.encode();
        words[word] = value;
        match Record::decode(&words) {
            Err(RecordError::Field { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(Record::decode(&[0; PAYLOAD_WORDS]), Err(RecordError::Kind(0)));
    let mut words = quote().encode();
    words[14] = 1;
    assert_eq!(
        Record::decode(&words),
        Err(RecordError::Spare {
            kind: RecordKind::TopOfBook,
            word: 14
        })
    );
}

fn payloads() -> impl Strategy<Value = Payload> {
    let junk = proptest::array::uniform15(prop_oneof![any::<u64>(), 0u64..4, Just(0)]);
    (junk, 0u64..8, any::<bool>()).prop_map(|(mut words, kind, plain)| {
        if plain {
            words[0] = kind;
        }
        words
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Total, and with one reading only: what is accepted encodes to the very same words.
    #[test]
    fn any_words_are_refused_or_canonical(words in payloads()) {
        if let Ok(record) = Record::decode(&words) {
            prop_assert_eq!(record.encode(), words);
        }
    }

    /// One flipped word of a good record: refused, or another record that is itself canonical.
    #[test]
    fn a_damaged_record_has_one_reading(kind in 0usize..6, word in 0..PAYLOAD_WORDS, value in any::<u64>()) {
        let mut words = all()[kind].encode();
        words[word] = value;
        if let Ok(record) = Record::decode(&words) {
            prop_assert_eq!(record.encode(), words);
        }
    }

    #[test]
    fn positions_round_trip(amounts in any::<[i128; 4]>(), units in any::<[i64; 3]>(), open_orders in any::<u32>()) {
        let record = Record::Position(PositionRecord {
            slot: SlotId(1),
            instrument: InstrumentId(0),
            ts_event: time(units[0]),
            ts_received: time(units[1]),
            quantity: quantity(units[2]),
            average_entry_price: price(units[0] & i64::MAX),
            mark_price: price(units[1] & i64::MAX),
            realized_pnl: amounts[0],
            unrealized_pnl: amounts[1],
            fees: amounts[2],
            equity: amounts[3],
            open_orders,
        });
        prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}
