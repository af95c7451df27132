//! Every field of every kind, for machines.

use super::RecordKind;

/// One field of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name; a unit that is not obvious stands last in it.
    pub name: &'static str,
    /// Byte offset in the row of [`ROW_BYTES`](super::ROW_BYTES).
    pub offset: usize,
    /// numpy's name of its type, such as `<i8` or `(16,)<f4`.
    pub numpy: &'static str,
    /// Its unit or its codes.
    pub unit: &'static str,
}

/// One kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindDescription {
    /// The code in the row's `kind` field.
    pub code: u16,
    /// Its name, in snake case.
    pub name: &'static str,
    /// Its fields, in order of offset. The first ones are the same in every kind.
    pub fields: &'static [Field],
}

pub(crate) const fn field(
    name: &'static str,
    offset: usize,
    numpy: &'static str,
    unit: &'static str,
) -> Field {
    Field {
        name,
        offset,
        numpy,
        unit,
    }
}

const INDEX: Field = field(
    "index",
    0,
    "<u8",
    "number of the record in its ring, or version of the table entry",
);
const KIND: Field = field("kind", 8, "<u2", "code of the kind");
const INSTRUMENT: Field = field("instrument", 10, "<u2", "dense index of the instrument");
const SLOT: Field = field("slot", 12, "<u2", "slot id; 0 in records that belong to no slot");
const TS_EVENT: Field = field("ts_event", 16, "<i8", "ns UTC, venue");
const TS_RECEIVED: Field = field("ts_received", 24, "<i8", "ns UTC, engine");

const PRICE: &str = "1e-8 quote per base";
const BASE: &str = "1e-8 base";
const WIDE_LOW: &str = "1e-16 quote, low 64 bits of a signed 128-bit integer";
const WIDE_HIGH: &str = "1e-16 quote, high 64 bits of a signed 128-bit integer";
const SIDE: &str = "1 buy, 2 sell";

/// The closed set, by code. Python's dtypes, `layout_hash` and the codec's test come from this table.
pub const KINDS: [KindDescription; 6] = [
    KindDescription {
        code: RecordKind::TopOfBook.code(),
        name: "top_of_book",
        fields: &[
            INDEX,
            KIND,
            INSTRUMENT,
            SLOT,
            TS_EVENT,
            TS_RECEIVED,
            field(
                "update_id",
                32,
                "<u8",
                "the venue's number of the update, 0 where it sends none",
            ),
            field("bid", 40, "<i8", PRICE),
            field("bid_quantity", 48, "<i8", BASE),
            field("ask", 56, "<i8", PRICE),
            field("ask_quantity", 64, "<i8", BASE),
        ],
    },
    KindDescription {
        code: RecordKind::Trade.code(),
        name: "trade",
        fields: &[
            INDEX,
            KIND,
            INSTRUMENT,
            SLOT,
            TS_EVENT,
            TS_RECEIVED,
            field("trade_id", 32, "<u8", "the venue's number of the trade"),
            field("price", 40, "<i8", PRICE),
            field("quantity", 48, "<i8", BASE),
            field("aggressor", 56, "|u1", SIDE),
        ],
    },
    KindDescription {
        code: RecordKind::Bar.code(),
        name: "bar",
        fields: &[
            INDEX,
            KIND,
            INSTRUMENT,
            SLOT,
            TS_EVENT,
            TS_RECEIVED,
            field("ts_open", 32, "<i8", "ns UTC, venue; ts_event is the close"),
            field("open", 40, "<i8", PRICE),
            field("high", 48, "<i8", PRICE),
            field("low", 56, "<i8", PRICE),
            field("close", 64, "<i8", PRICE),
            field("volume", 72, "<i8", BASE),
            field("is_empty", 80, "|b1", "whether no trade fell into it"),
        ],
    },
    KindDescription {
        code: RecordKind::Signal.code(),
        name: "signal",
        fields: &[
            INDEX,
            KIND,
            INSTRUMENT,
            SLOT,
            TS_EVENT,
            TS_RECEIVED,
            field("score", 32, "<f4", "raw score, before the sigmoid"),
            field("probability", 36, "<f4", "0 to 1"),
            field(
                "bundle_prefix",
                40,
                "<u8",
                "first 8 bytes of the bundle digest, big-endian",
            ),
            field("feature_count", 48, "|u1", "used entries of features"),
            field("features", 56, "(16,)<f4", "in the order of the feature spec"),
        ],
    },
    KindDescription {
        code: RecordKind::Fill.code(),
        name: "fill",
        fields: &[
            INDEX,
            KIND,
            INSTRUMENT,
            SLOT,
            TS_EVENT,
            TS_RECEIVED,
            field("trade_id", 32, "<u8", "the venue's number of the execution"),
            field("price", 40, "<i8", PRICE),
            field("quantity", 48, "<i8", BASE),
            field("leaves_quantity", 56, "<i8", BASE),
            field(
                "fee_low",
                64,
                "<u8",
                "1e-16 of fee_currency, low 64 bits of a signed 128-bit integer",
            ),
            field(
                "fee_high",
                72,
                "<i8",
                "1e-16 of fee_currency, high 64 bits of a signed 128-bit integer",
            ),
            field("fee_currency", 80, "|S16", "code, padded with zeros"),
            field("order_epoch", 96, "<u4", "epoch of the client order id"),
            field("order_counter", 100, "<u4", "counter of the client order id"),
            field("side", 104, "|u1", SIDE),
            field("liquidity", 105, "|u1", "1 maker, 2 taker"),
        ],
    },
    KindDescription {
        code: RecordKind::Position.code(),
        name: "position",
        fields: &[
            INDEX,
            KIND,
            INSTRUMENT,
            SLOT,
            TS_EVENT,
            TS_RECEIVED,
            field("quantity", 32, "<i8", "1e-8 base, negative when short"),
            field("average_entry_price", 40, "<i8", PRICE),
            field("mark_price", 48, "<i8", PRICE),
            field("realized_pnl_low", 56, "<u8", WIDE_LOW),
            field("realized_pnl_high", 64, "<i8", WIDE_HIGH),
            field("unrealized_pnl_low", 72, "<u8", WIDE_LOW),
            field("unrealized_pnl_high", 80, "<i8", WIDE_HIGH),
            field("fees_low", 88, "<u8", WIDE_LOW),
            field("fees_high", 96, "<i8", WIDE_HIGH),
            field("equity_low", 104, "<u8", WIDE_LOW),
            field("equity_high", 112, "<i8", WIDE_HIGH),
            field("open_orders", 120, "<u4", "number of working orders"),
        ],
    },
];
