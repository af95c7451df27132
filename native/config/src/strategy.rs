//! A strategy file: the specification's B.2 keys, and ours with defaults.

use domain::{Currency, Decimal, Nanos, OrderType, SCALE, Venue};
use engine::OnSwap;
use engine::limits::FEATURES_MAX;
use engine::strategy::{LIMIT_OFFSET_BPS_MAX, LOOKBACK_PERIOD_MAX, TIMEOUT_SECONDS_MAX, ThresholdParameters};

use crate::document::Document;
use crate::fault::{ConfigErrors, FaultKind};
use crate::schema::{Key, Kind};

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
/// The venues to which orders can go, by their names in [`Venue`].
pub(crate) const TRADED_VENUES: &[&str] = &["binance", "coinbase", "kraken"];

/// Seconds of a day: a bar divides it.
pub(crate) const DAY_SECONDS: i64 = 86_400;

pub(crate) static KEYS: &[Key] = &[
    Key::required(
        "strategy.name",
        Kind::Text { max_bytes: 64 },
        "",
        "Name for people.",
    ),
    Key::required(
        "strategy.version",
        Kind::Text { max_bytes: 32 },
        "",
        "Version as major.minor.patch (https://semver.org).",
    ),
    Key::required(
        "strategy.asset",
        Kind::Text { max_bytes: 25 },
        "",
        "What it trades, as BASE/QUOTE.",
    ),
    Key::required("strategy.exchange", Kind::Choice(TRADED_VENUES), "", "The venue."),
    Key::required(
        "parameters.lookback_period",
        Kind::Integer {
            min: 0,
            max: LOOKBACK_PERIOD_MAX as i64,
        },
        "bars",
        "Bars that must close after activation before the first entry.",
    ),
    Key::required(
        "parameters.entry_threshold",
        SHARE,
        "probability",
        "Probability of the model at or above which to enter.",
    ),
    Key::required(
        "parameters.exit_threshold",
        SHARE,
        "probability",
        "Probability below which to leave; at most entry_threshold.",
    ),
    Key::required(
        "parameters.position_size_pct",
        SHARE_ABOVE_ZERO,
        "share",
        "Share of the slot's equity for one position.",
    ),
    Key::optional(
        "parameters.bar_seconds",
        Kind::Integer {
            min: 1,
            max: DAY_SECONDS,
        },
        "seconds",
        "Length of a bar; divides a day.",
    )
    .or("900"),
    Key::required(
        "ml_model.path",
        Kind::BundlePath,
        "",
        "File of the model inside the bundle.",
    ),
    Key::required(
        "ml_model.features",
        Kind::Texts { max: FEATURES_MAX },
        "",
        "Features in the model's order.",
    ),
    Key::optional(
        "ml_model.daily_volatility",
        Kind::Decimal {
            min: 0,
            above_min: true,
            max: 10 * SCALE,
        },
        "share",
        "Standard deviation of daily returns in the training data, for the value at risk; written by the bundle's build.",
    ),
    Key::required(
        "execution.order_type",
        Kind::Choice(&["limit", "market"]),
        "",
        "Type of its orders.",
    ),
    Key::required(
        "execution.limit_offset_bps",
        Kind::Integer {
            min: 0,
            max: LIMIT_OFFSET_BPS_MAX as i64,
        },
        "basis points",
        "Distance of a limit order from the mid, on the passive side.",
    ),
    Key::required(
        "execution.timeout_seconds",
        Kind::Integer {
            min: 1,
            max: TIMEOUT_SECONDS_MAX as i64,
        },
        "seconds",
        "Life of an unfilled order.",
    ),
    Key::optional(
        "execution.on_swap",
        Kind::Choice(&["adopt", "flatten", "run_off"]),
        "",
        "What becomes of the position when a bundle takes the slot over.",
    )
    .or("\"adopt\""),
];

/// What a strategy file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyConfig {
    /// `[strategy] name`.
    pub name: String,
    /// `[strategy] version`, major.minor.patch.
    pub version: String,
    /// Base of `[strategy] asset`.
    pub base: Currency,
    /// Quote of `[strategy] asset`, as the file names it (`USD` stands for the venue's dollar currency).
    pub quote: Currency,
    /// `[strategy] exchange`.
    pub venue: Venue,
    /// The keys of `[parameters]` and `[execution]` that the strategy runs on.
    pub parameters: ThresholdParameters,
    /// `[parameters] bar_seconds`.
    pub bar_span: Nanos,
    /// `[ml_model] path`, relative to the bundle.
    pub model_path: String,
    /// `[ml_model] features`, in the model's order, no two alike.
    pub features: Vec<String>,
    /// `[ml_model] daily_volatility`; `None` in a file that no bundle holds yet.
    pub daily_volatility: Option<Decimal>,
    /// `[execution] on_swap`.
    pub on_swap: OnSwap,
}

/// Reads a strategy file; `file_name` is what messages call it.
///
/// # Errors
/// Every fault of the file.
pub fn parse_strategy(file_name: &str, text: &str) -> Result<StrategyConfig, ConfigErrors> {
    let mut document = Document::read(KEYS, file_name, text);
    document.require_all();
    let asset = check_rules(&mut document);
    let document = document.finish()?;
    let (base, quote) = asset.expect("a checked asset");
    let word = |path: &str| document.text(path).expect("a checked text");
    Ok(StrategyConfig {
        name: word("strategy.name"),
        version: word("strategy.version"),
        base,
        quote,
        venue: Venue::from_name(&word("strategy.exchange")).expect("a checked venue"),
        parameters: parameters(&document),
        bar_span: Nanos::from_secs(
            document
                .integer("parameters.bar_seconds")
                .expect("a checked number"),
        ),
        model_path: word("ml_model.path"),
        features: document.texts("ml_model.features").expect("a checked list"),
        daily_volatility: document.decimal("ml_model.daily_volatility"),
        on_swap: match word("execution.on_swap").as_str() {
            "flatten" => OnSwap::Flatten,
            "run_off" => OnSwap::RunOff,
            _ => OnSwap::Adopt,
        },
    })
}

fn parameters(document: &Document) -> ThresholdParameters {
    let decimal = |path: &str| document.decimal(path).expect("a checked decimal");
    let count = |path: &str| {
        let value = document.integer(path).expect("a checked number");
        u32::try_from(value).expect("within its range")
    };
    ThresholdParameters {
        lookback_period: count("parameters.lookback_period"),
        entry_threshold: decimal("parameters.entry_threshold"),
        exit_threshold: decimal("parameters.exit_threshold"),
        position_size_pct: decimal("parameters.position_size_pct"),
        order_type: match document.text("execution.order_type").as_deref() {
            Some("market") => OrderType::Market,
            _ => OrderType::Limit,
        },
        limit_offset_bps: count("execution.limit_offset_bps"),
        timeout_seconds: count("execution.timeout_seconds"),
    }
}

/// The rules that a table of keys cannot say; returns base and quote of the asset.
fn check_rules(document: &mut Document) -> Option<(Currency, Currency)> {
    if let Some(version) = document.text("strategy.version")
        && !is_version(&version)
    {
        let allowed = "major.minor.patch, such as 1.2.0".to_owned();
        document.fault(
            "strategy.version",
            FaultKind::OutOfRange,
            format!("text {version:?}"),
            allowed,
        );
    }
    let limits = (
        document.decimal("parameters.entry_threshold"),
        document.decimal("parameters.exit_threshold"),
    );
    if let (Some(entry), Some(exit)) = limits
        && exit > entry
    {
        let allowed = format!("at most entry_threshold, which is {entry}");
        document.fault(
            "parameters.exit_threshold",
            FaultKind::Conflict,
            exit.to_string(),
            allowed,
        );
    }
    check_bar(document, "parameters.bar_seconds");
    let asset = document.text("strategy.asset")?;
    let pair = asset
        .split_once('/')
        .and_then(|(base, quote)| Some((Currency::new(base)?, Currency::new(quote)?)))
        .filter(|(base, quote)| base != quote);
    if pair.is_none() {
        let allowed = "BASE/QUOTE, two different currency codes, such as BTC/USD".to_owned();
        document.fault(
            "strategy.asset",
            FaultKind::OutOfRange,
            format!("text {asset:?}"),
            allowed,
        );
    }
    pair
}

/// A bar divides a day, so that every day begins with one.
pub(crate) fn check_bar(document: &mut Document, path: &str) {
    if let Some(seconds) = document.integer(path)
        && DAY_SECONDS % seconds != 0
    {
        let allowed = format!("a divisor of {DAY_SECONDS}, the seconds of a day");
        document.fault(path, FaultKind::OutOfRange, format!("integer {seconds}"), allowed);
    }
}

/// Three numbers without leading zeros.
fn is_version(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            part.parse::<u32>()
                .is_ok_and(|number| number.to_string() == **part)
        })
}
