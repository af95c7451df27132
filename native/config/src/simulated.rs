//! `[simulated]`: the venue that fills orders in this process, where `[venue] gateway` says so.

use domain::{Currency, Decimal, Nanos};

use crate::document::Document;
use crate::fault::FaultKind;
use crate::schema::{Key, Kind};

const LATENCY: Kind = Kind::Integer { min: 0, max: 60_000 };
const BPS: Kind = Kind::Decimal {
    min: 0,
    above_min: false,
    max: 1_000 * domain::SCALE,
};

/// Most opening balances.
const BALANCES_MAX: usize = 32;

/// `[venue] gateway`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayChoice {
    /// Orders go to the venue.
    Venue,
    /// Orders stay in this process: they are filled by simulation against the venue's public data.
    Simulated,
}

/// `[simulated]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedConfig {
    /// From the decision to the matching engine, service time.
    pub order_latency: Nanos,
    /// From the matching engine to us, service time.
    pub report_latency: Nanos,
    /// What is added to each at most, service time.
    pub latency_jitter: Nanos,
    /// Seed of what is added.
    pub seed: u64,
    /// Fee of orders that rested, basis points.
    pub maker_bps: Decimal,
    /// Fee of orders that took, basis points.
    pub taker_bps: Decimal,
    /// What the account begins with; empty: the capital of all slots, in the portfolio currency.
    pub opening: Vec<(Currency, Decimal)>,
    /// The outcome of one order in so many stays unknown at first; 0: of none.
    pub unknown_one_in: u32,
}

pub(crate) const KEYS: [Key; 8] = [
    Key::optional(
        "simulated.order_latency_ms",
        LATENCY,
        "milliseconds",
        "From a decision until the order stands in the simulated venue, service time.",
    )
    .or("50"),
    Key::optional(
        "simulated.report_latency_ms",
        LATENCY,
        "milliseconds",
        "From the simulated venue back, service time.",
    )
    .or("50"),
    Key::optional(
        "simulated.latency_jitter_ms",
        LATENCY,
        "milliseconds",
        "Added to either at most, drawn from the seed.",
    )
    .or("0"),
    Key::optional(
        "simulated.seed",
        Kind::Integer {
            min: 0,
            max: i64::MAX,
        },
        "",
        "Seed of the jitter.",
    )
    .or("1"),
    Key::optional(
        "simulated.maker_bps",
        BPS,
        "basis points",
        "Fee of an order that rested, in the quote currency.",
    )
    .or("10.0"),
    Key::optional(
        "simulated.taker_bps",
        BPS,
        "basis points",
        "Fee of an order that took, in the quote currency.",
    )
    .or("10.0"),
    Key::optional(
        "simulated.opening",
        Kind::Texts { max: BALANCES_MAX },
        "",
        "What the account begins with, such as [\"50000 USDT\", \"0.5 BTC\"]; absent: the capital of all slots, in the \
         portfolio currency.",
    ),
    Key::optional(
        "simulated.unknown_one_in",
        Kind::Integer {
            min: 0,
            max: 1_000_000,
        },
        "orders",
        "One order in so many gets no answer, placed or not in turn; 0: every one gets its answer.",
    )
    .or("0"),
];

/// Fills of stage prod are real, and what stands in the file has an effect.
pub(crate) fn check(document: &mut Document) {
    let is_simulated = document
        .text("venue.gateway")
        .is_some_and(|gateway| gateway == "simulated");
    if is_simulated
        && document
            .text("service.stage")
            .is_some_and(|stage| stage == "prod")
    {
        let allowed = "\"venue\" in stage prod".to_owned();
        document.fault(
            "venue.gateway",
            FaultKind::Conflict,
            "text \"simulated\"".to_owned(),
            allowed,
        );
    }
    if !is_simulated {
        for key in KEYS
            .iter()
            .filter(|key| document.contains(key.path))
            .collect::<Vec<_>>()
        {
            let allowed = "nothing, unless [venue] gateway = \"simulated\"".to_owned();
            document.fault(key.path, FaultKind::Conflict, "a value".to_owned(), allowed);
        }
    }
    for text in document.texts("simulated.opening").unwrap_or_default() {
        if balance(&text).is_none() {
            let allowed = "an amount from 0 and a currency, such as \"50000 USDT\"".to_owned();
            let found = format!("text {text:?}");
            document.fault("simulated.opening", FaultKind::OutOfRange, found, allowed);
        }
    }
}

fn balance(text: &str) -> Option<(Currency, Decimal)> {
    let (amount, code) = text.split_once(' ')?;
    let amount = Decimal::parse(amount.as_bytes()).ok()?;
    let currency = Currency::new(code)?;
    (amount.units() >= 0).then_some((currency, amount))
}

/// Takes a document without faults.
pub(crate) fn taken(document: &Document) -> SimulatedConfig {
    let integer = |path| document.integer(path).unwrap_or_default();
    let decimal = |path| document.decimal(path).unwrap_or(Decimal::ZERO);
    let opening = document.texts("simulated.opening").unwrap_or_default();
    SimulatedConfig {
        order_latency: Nanos::from_millis(integer("simulated.order_latency_ms")),
        report_latency: Nanos::from_millis(integer("simulated.report_latency_ms")),
        latency_jitter: Nanos::from_millis(integer("simulated.latency_jitter_ms")),
        seed: integer("simulated.seed").unsigned_abs(),
        maker_bps: decimal("simulated.maker_bps"),
        taker_bps: decimal("simulated.taker_bps"),
        opening: opening.iter().filter_map(|text| balance(text)).collect(),
        unknown_one_in: u32::try_from(integer("simulated.unknown_one_in")).unwrap_or(u32::MAX),
    }
}
