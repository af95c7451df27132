//! `risk_limits.toml`: the specification's B.1 keys, and ours with defaults.

use domain::{Currency, Decimal, Money, Nanos, SCALE};
use engine::limits::{EXECUTIONS_IN_WINDOW_MAX, ORDERS_IN_WINDOW_MAX};
use engine::risk::RiskLimits;

use crate::document::Document;
use crate::fault::{ConfigErrors, FaultKind};
use crate::schema::{Key, Kind};

/// Largest amount of a limit: ten billion.
const AMOUNT: Kind = Kind::Decimal {
    min: 0,
    above_min: true,
    max: 10_000_000_000 * SCALE,
};
const SHARE: Kind = Kind::Decimal {
    min: 0,
    above_min: false,
    max: SCALE,
};
const SHARE_ABOVE_ZERO: Kind = Kind::Decimal {
    min: 0,
    above_min: true,
    max: SCALE,
};
/// Longest window or age, one day.
const DAY_MS: i64 = 86_400_000;

#[expect(clippy::cast_possible_wrap, reason = "bounds of a few thousand")]
pub(crate) static KEYS: &[Key] = &[
    Key::optional(
        "currency",
        Kind::Text { max_bytes: 12 },
        "",
        "Currency of every amount here: the service's portfolio currency.",
    )
    .or("\"USDT\""),
    Key::required(
        "position_limits.max_position_usd",
        AMOUNT,
        "currency",
        "Largest position in one instrument, open orders included at worst case.",
    ),
    Key::required(
        "position_limits.max_portfolio_concentration",
        SHARE_ABOVE_ZERO,
        "share",
        "Largest share of the portfolio in one asset.",
    ),
    Key::required(
        "position_limits.max_leverage",
        Kind::Decimal {
            min: 0,
            above_min: true,
            max: 20 * SCALE,
        },
        "ratio",
        "Largest gross exposure over equity.",
    ),
    Key::required(
        "risk_metrics.var_limit_1d_95",
        AMOUNT,
        "currency",
        "Largest one-day value at risk at 95 %, parametric.",
    ),
    Key::required(
        "risk_metrics.max_drawdown_pct",
        SHARE_ABOVE_ZERO,
        "share",
        "Fall from peak equity at which trading stops.",
    ),
    Key::optional(
        "risk_metrics.max_data_age_ms",
        Kind::Integer { min: 1, max: DAY_MS },
        "milliseconds",
        "Market data older than this trade nothing.",
    )
    .or("5000"),
    Key::required(
        "order_limits.max_order_size_usd",
        AMOUNT,
        "currency",
        "Largest single order.",
    ),
    Key::required(
        "order_limits.max_order_rate_per_min",
        Kind::Integer {
            min: 1,
            max: ORDERS_IN_WINDOW_MAX as i64,
        },
        "orders",
        "Most orders in any 60 seconds.",
    ),
    Key::optional(
        "order_limits.price_collar_bps",
        Kind::Integer { min: 1, max: 10_000 },
        "basis points",
        "Farthest a limit price may be from the mid.",
    )
    .or("200"),
    Key::optional(
        "order_limits.duplicate_window_ms",
        Kind::Integer { min: 0, max: DAY_MS },
        "milliseconds",
        "A second order of equal side, price and quantity within this is denied.",
    )
    .or("1000"),
    Key::optional(
        "order_limits.repeated_execution_limit",
        Kind::Integer {
            min: 1,
            max: EXECUTIONS_IN_WINDOW_MAX as i64,
        },
        "fills",
        "Fills within repeated_execution_window_ms after which a person must re-arm.",
    )
    .or("200"),
    Key::optional(
        "order_limits.repeated_execution_window_ms",
        Kind::Integer { min: 1, max: DAY_MS },
        "milliseconds",
        "Window of repeated_execution_limit.",
    )
    .or("60000"),
    Key::required(
        "margin.margin_buffer",
        SHARE,
        "share",
        "Share of equity that new exposure must leave free.",
    ),
    Key::required(
        "margin.margin_call_threshold",
        SHARE,
        "share",
        "Free share of equity below which only reducing orders pass; at most margin_buffer.",
    ),
];

/// Reads `risk_limits.toml`; `file_name` is what messages call it.
///
/// ```
/// let text = "[position_limits]\nmax_position_usd = 1e5\n";
/// let errors = config::parse_risk_limits("risk_limits.toml", text).expect_err("an exponent, missing keys");
/// assert!(errors.to_string().contains("risk_limits.toml:2:20: position_limits.max_position_usd: not allowed"));
/// ```
///
/// # Errors
/// Every fault of the file.
pub fn parse_risk_limits(file_name: &str, text: &str) -> Result<RiskLimits, ConfigErrors> {
    let mut document = Document::read(KEYS, file_name, text);
    document.require_all();
    let currency = document.text("currency").map(|code| (Currency::new(&code), code));
    if let Some((None, code)) = &currency {
        let allowed = "a currency code of letters and digits, such as USDT".to_owned();
        document.fault("currency", FaultKind::OutOfRange, format!("{code:?}"), allowed);
    }
    let (buffer, call) = (
        document.decimal("margin.margin_buffer"),
        document.decimal("margin.margin_call_threshold"),
    );
    if let (Some(buffer), Some(call)) = (buffer, call)
        && call > buffer
    {
        let allowed = format!("at most margin_buffer, which is {buffer}");
        document.fault(
            "margin.margin_call_threshold",
            FaultKind::Conflict,
            call.to_string(),
            allowed,
        );
    }
    let document = document.finish()?;
    let currency = currency.and_then(|(code, _)| code).expect("a checked currency");
    Ok(Taken { document, currency }.limits())
}

/// A document without faults.
struct Taken {
    document: Document,
    currency: Currency,
}

impl Taken {
    fn limits(&self) -> RiskLimits {
        RiskLimits {
            max_position_usd: self.money("position_limits.max_position_usd"),
            max_portfolio_concentration: self.decimal("position_limits.max_portfolio_concentration"),
            max_leverage: self.decimal("position_limits.max_leverage"),
            var_limit_1d_95: self.money("risk_metrics.var_limit_1d_95"),
            max_drawdown_pct: self.decimal("risk_metrics.max_drawdown_pct"),
            max_order_size_usd: self.money("order_limits.max_order_size_usd"),
            max_order_rate_per_min: self.count("order_limits.max_order_rate_per_min"),
            margin_buffer: self.decimal("margin.margin_buffer"),
            margin_call_threshold: self.decimal("margin.margin_call_threshold"),
            price_collar_bps: self.count("order_limits.price_collar_bps"),
            duplicate_window: self.span("order_limits.duplicate_window_ms"),
            repeated_execution_limit: self.count("order_limits.repeated_execution_limit"),
            repeated_execution_window: self.span("order_limits.repeated_execution_window_ms"),
            max_data_age: self.span("risk_metrics.max_data_age_ms"),
        }
    }

    fn decimal(&self, path: &str) -> Decimal {
        self.document.decimal(path).expect("a checked decimal")
    }

    fn money(&self, path: &str) -> Money {
        Money::from_decimal_units(self.decimal(path).units(), self.currency)
    }

    fn count(&self, path: &str) -> u32 {
        let value = self.document.integer(path).expect("a checked number");
        u32::try_from(value).expect("within its range")
    }

    fn span(&self, path: &str) -> Nanos {
        Nanos::from_millis(self.document.integer(path).expect("a checked number"))
    }
}
