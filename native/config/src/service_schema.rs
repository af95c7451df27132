//! The keys of the service's own file.

use domain::SCALE;
use engine::limits::{INSTRUMENTS_MAX, SLOTS_MAX};

use crate::guard::KEYS as GUARD;
use crate::schema::{Key, Kind};
use crate::simulated::KEYS as SIMULATED;
use crate::strategy::{DAY_SECONDS, TRADED_VENUES};
use crate::watch::{KEYS as WATCH, TAKER_BPS};

const HOUR_MS: i64 = 3_600_000;
const NAME: Kind = Kind::Text { max_bytes: 64 };

pub(crate) static KEYS: &[Key] = &[
    Key::optional(
        "extends",
        Kind::FilePath,
        "",
        "A file beside this one whose keys hold where this one has none.",
    ),
    Key::required(
        "service.name",
        NAME,
        "",
        "Name of this instance in records and metrics.",
    ),
    Key::required(
        "service.stage",
        Kind::Choice(&["dev", "paper", "prod"]),
        "",
        "What is at stake; prod refuses clear-text addresses and compressed time.",
    ),
    Key::required(
        "service.run_folder",
        Kind::FilePath,
        "",
        "Journal, sockets and live.json of this instance; made with mode 0700.",
    ),
    Key::required(
        "service.bundle_store",
        Kind::FilePath,
        "",
        "Where bundles, signatures and aliases stand.",
    ),
    Key::required(
        "service.trusted_keys_file",
        Kind::FilePath,
        "",
        "Public keys, each with its role and highest stage.",
    ),
    Key::required(
        "service.risk_limits_file",
        Kind::FilePath,
        "",
        "The policy: no bundle may be looser.",
    ),
    Key::required(
        "service.portfolio_currency",
        Kind::Text { max_bytes: 12 },
        "",
        "Currency of portfolio limits; that of the risk limits.",
    ),
    Key::required("venue.name", Kind::Choice(TRADED_VENUES), "", "The venue."),
    Key::optional(
        "venue.gateway",
        Kind::Choice(&["venue", "simulated"]),
        "",
        "Where orders go: to the venue, or into a simulation in this process that fills them against the venue's public \
         data and needs no key.",
    )
    .or("\"venue\""),
    Key::required("venue.rest_url", Kind::Url(&["https", "http"]), "", "REST."),
    Key::required(
        "venue.ws_url",
        Kind::Url(&["wss", "ws"]),
        "",
        "Market data streams.",
    ),
    Key::required(
        "venue.ws_api_url",
        Kind::Url(&["wss", "ws"]),
        "",
        "WebSocket of the account: its events, and its orders where order_entry says so.",
    ),
    Key::optional(
        "venue.market_data",
        Kind::Choice(&["json", "sbe", "level3"]),
        "",
        "How the market is told: as the venue usually does, in binary (binance: ws_url is then that of its SBE streams, and \
         the key one of Ed25519), or order by order (kraken). What is not json wants a key, on paper too.",
    )
    .or("\"json\""),
    Key::optional(
        "venue.level3_url",
        Kind::Url(&["wss", "ws"]),
        "",
        "WebSocket of single orders, where market_data is level3; trades still come from ws_url.",
    ),
    Key::optional(
        "venue.order_entry",
        Kind::Choice(&["rest", "websocket"]),
        "",
        "How orders leave: each as a request over REST, or all over one socket to ws_api_url (binance, kraken).",
    )
    .or("\"rest\""),
    Key::optional(
        "venue.api_key_env",
        NAME,
        "",
        "Environment variable that holds the key; absent: PY_RT_BINANCE_API_KEY, with the venue's name in it.",
    ),
    Key::optional(
        "venue.api_secret_env",
        NAME,
        "",
        "Environment variable that holds the secret, or the private key as PEM (Coinbase); absent: \
         PY_RT_BINANCE_API_SECRET, with the venue's name in it.",
    ),
    Key::optional(
        "venue.api_passphrase_env",
        NAME,
        "",
        "Environment variable that holds the passphrase of a key of Coinbase Exchange; absent: a key of Advanced Trade.",
    ),
    Key::optional(
        "venue.recv_window_ms",
        Kind::Integer { min: 1, max: 60_000 },
        "milliseconds",
        "How late a signed request may arrive.",
    )
    .or("5000"),
    Key::optional(
        "venue.taker_bps",
        TAKER_BPS,
        "basis points",
        "What the venue takes of an order that takes: for prices after fees (py_rt book --consolidated --fees). Nothing is \
         decided by it. Absent: that of [simulated] where orders stay here.",
    ),
    GUARD[0],
    GUARD[1],
    SIMULATED[0],
    SIMULATED[1],
    SIMULATED[2],
    SIMULATED[3],
    SIMULATED[4],
    SIMULATED[5],
    SIMULATED[6],
    SIMULATED[7],
    Key::optional(
        "reconciliation.orphans",
        Kind::Choice(&["cancel", "adopt"]),
        "",
        "What becomes of an order that bears an id of ours and no record knows: canceled, or an order of the slot that its \
         id names.",
    )
    .or("\"cancel\""),
    Key::required(
        "instrument",
        Kind::Tables {
            min: 1,
            max: INSTRUMENTS_MAX,
        },
        "",
        "Instruments, ids from 0 in this order.",
    ),
    Key::required(
        "instrument[].symbol",
        Kind::Text { max_bytes: 20 },
        "",
        "The venue's symbol; rules come from the venue.",
    ),
    WATCH[0],
    WATCH[1],
    WATCH[2],
    WATCH[3],
    WATCH[4],
    WATCH[5],
    Key::required(
        "slot",
        Kind::Tables {
            min: 1,
            max: SLOTS_MAX,
        },
        "",
        "Slots, ids ascending.",
    ),
    Key::required(
        "slot[].id",
        Kind::Integer {
            min: 1,
            max: u16::MAX as i64,
        },
        "",
        "Identity of the slot in order ids, records and messages.",
    ),
    Key::required(
        "slot[].symbol",
        Kind::Text { max_bytes: 20 },
        "",
        "What it trades: a symbol of [[instrument]].",
    ),
    Key::required(
        "slot[].capital",
        Kind::Decimal {
            min: 0,
            above_min: true,
            max: 10_000_000_000 * SCALE,
        },
        "portfolio currency",
        "What it may use.",
    ),
    Key::required(
        "engine.bar_seconds",
        Kind::Integer {
            min: 1,
            max: DAY_SECONDS,
        },
        "seconds",
        "Length of a bar; divides a day; that of every bundle.",
    ),
    Key::optional(
        "engine.bar_close_grace_ms",
        Kind::Integer { min: 0, max: HOUR_MS },
        "milliseconds",
        "How long after a bar's end a quote or book update may close it.",
    )
    .or("1000"),
    Key::optional(
        "engine.order_ack_timeout_ms",
        Kind::Integer { min: 1, max: HOUR_MS },
        "milliseconds",
        "How long an order may stay unanswered before its outcome is unknown.",
    )
    .or("5000"),
    Key::optional(
        "clock.compression",
        Kind::Decimal {
            min: SCALE,
            above_min: false,
            max: 1_000_000 * SCALE,
        },
        "venue seconds per second",
        "Fixed rate of simulated venue time; absent: measured from the venue's clock, which must be 1 in prod.",
    ),
    Key::optional(
        "clock.offset_max_ms",
        Kind::Integer { min: 1, max: HOUR_MS },
        "milliseconds",
        "Largest distance to the venue's clock, stage prod.",
    )
    .or("1000"),
    Key::optional(
        "journal.segment_bytes_max",
        Kind::Integer {
            min: 1 << 20,
            max: 1 << 34,
        },
        "bytes",
        "A segment is closed at this size.",
    )
    .or("268435456"),
    Key::optional(
        "journal.sync_interval_ms",
        Kind::Integer { min: 1, max: 60_000 },
        "milliseconds",
        "How often the journal is forced to disk.",
    )
    .or("5"),
    Key::optional(
        "journal.sync_lag_max_ms",
        Kind::Integer { min: 1, max: HOUR_MS },
        "milliseconds",
        "Above this lag no new order leaves; at least sync_interval_ms.",
    )
    .or("1000"),
    Key::optional(
        "telemetry.metrics_port",
        Kind::Integer { min: 0, max: 65_535 },
        "",
        "Port of /metrics on 127.0.0.1; 0 takes a free one, told in live.json.",
    )
    .or("9464"),
    Key::optional(
        "telemetry.snapshot_interval_ms",
        Kind::Integer {
            min: 10,
            max: HOUR_MS,
        },
        "milliseconds",
        "How often late subscribers get a whole picture.",
    )
    .or("1000"),
    Key::optional(
        "telemetry.ring_records",
        Kind::Integer {
            min: 64,
            max: 1 << 24,
        },
        "records",
        "Capacity of each shared-memory ring; a power of two.",
    )
    .or("65536"),
];
