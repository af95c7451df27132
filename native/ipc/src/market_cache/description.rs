//! Every field of an entry, and the meaning of every code, for machines.

use crate::record::{Field, field};

const PRICE: &str = "1e-8 quote per base";
const BASE: &str = "1e-8 base";
const VENUE_TIME: &str = "ns UTC, venue";
const SERVICE_TIME: &str = "ns UTC, service";
const LADDER: &str =
    "price in 1e-8 quote per base and quantity in 1e-8 base, best first; zero beyond the count";

/// The fields of an entry's row, whose first word is its version.
pub const FIELDS: [Field; 25] = [
    field("version", 0, "<u8", "grows with every change of the entry"),
    field("state", 8, "|u1", "code"),
    field("reason", 9, "|u1", "code; why the book is invalid"),
    field("bid_count", 10, "|u1", "used levels of bids"),
    field("ask_count", 11, "|u1", "used levels of asks"),
    field("ts_event", 16, "<i8", VENUE_TIME),
    field("ts_received", 24, "<i8", SERVICE_TIME),
    field(
        "update_id",
        32,
        "<u8",
        "the venue's number of the book, 0 where it sends none",
    ),
    field("bids", 40, "(10,2)<i8", LADDER),
    field("asks", 200, "(10,2)<i8", LADDER),
    field("aggressor", 360, "|u1", "code; none before the first trade"),
    field("trade_id", 368, "<u8", "the venue's number of the trade"),
    field("price", 376, "<i8", PRICE),
    field("quantity", 384, "<i8", BASE),
    field("ts_trade", 392, "<i8", VENUE_TIME),
    field("ts_trade_received", 400, "<i8", SERVICE_TIME),
    field("venue_state", 408, "|u1", "code"),
    field(
        "ts_venue",
        416,
        "<i8",
        "ns UTC, service; when the venue's state was learned",
    ),
    field("venue", 424, "|u1", "code"),
    field("status", 425, "|u1", "code; of the instrument"),
    field("tick_size", 432, "<i8", PRICE),
    field("lot_size", 440, "<i8", BASE),
    field("symbol", 448, "|S24", "the venue's own, padded with zeros"),
    field("base", 472, "|S16", "currency, padded with zeros"),
    field("quote", 488, "|S16", "currency, padded with zeros"),
];

/// The fields of slot 0.
pub const CLOCK_FIELDS: [Field; 3] = [
    field("ts_service", 8, "<i8", SERVICE_TIME),
    field("monotonic_ns", 16, "<u8", "ns, CLOCK_MONOTONIC"),
    field("rate_ppb", 24, "<i8", "service time in a billionth of wall time"),
];

/// What the codes of a field mean: the place of a name is its code.
pub const CODES: [(&str, &[&str]); 6] = [
    ("state", &["absent", "valid", "top_only", "invalid"]),
    (
        "reason",
        &[
            "none",
            "gap",
            "disconnected",
            "crossed",
            "best_level_mismatch",
            "stale",
            "malformed",
            "checksum",
        ],
    ),
    ("aggressor", &["none", "buy", "sell"]),
    ("venue_state", &["unheard", "online", "offline"]),
    (
        "venue",
        &[
            "none",
            "binance",
            "binance_usdm",
            "coinbase",
            "kraken",
            "independent_reserve",
        ],
    ),
    ("status", &["none", "trading", "cancel_only", "halted", "unknown"]),
];
