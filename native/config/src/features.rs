//! A feature file: the ordered features of a model, closed per kind.

use domain::Nanos;
use engine::limits::{BARS_KEPT, FEATURES_MAX, RESTART_WINDOW_MAX_BARS};
use engine::signals::program::{Input, TEXT_BYTES_MAX};
use engine::signals::{
    AVERAGED_MAX, EventRule, FeatureDef, FeatureKind, FeatureSpec, SlowColumn, is_fed, read_expression,
};

use crate::document::Document;
use crate::fault::{ConfigErrors, FaultKind};
use crate::schema::{Key, Kind};
use crate::slow;
use crate::strategy::{DAY_SECONDS, check_bar};

/// Longest length in bars: the bars the engine keeps, less the one that a return looks back from.
const LENGTH_MAX: i64 = 2_000;
/// Over how many it does where nothing is said.
const AVERAGED: i64 = 20;
const LENGTH: Kind = Kind::Integer {
    min: 1,
    max: LENGTH_MAX,
};

#[expect(clippy::cast_possible_wrap, reason = "a bound of a few thousand")]
pub(crate) static KEYS: &[Key] = &[
    Key::required(
        "bar_seconds",
        Kind::Integer {
            min: 1,
            max: DAY_SECONDS,
        },
        "seconds",
        "Length of a bar of the clock: the service's; divides a day.",
    ),
    Key::optional(
        "bars.rule",
        Kind::Choice(&EventRule::NAMES),
        "",
        "What closes the bars of the features instead of the clock, counted over trades as they come.",
    ),
    Key::optional(
        "bars.size",
        Kind::Decimal {
            min: 0,
            above_min: true,
            max: i64::MAX,
        },
        "",
        "Trades, quantity or money of a bar; of imbalance and runs the trades that are expected of one.",
    ),
    Key::optional(
        "bars.averaged",
        Kind::Integer {
            min: 1,
            max: AVERAGED_MAX as i64,
        },
        "bars",
        "Bars over which imbalance and runs average sides; 20 where it is not said.",
    ),
    Key::required(
        "feature",
        Kind::Tables {
            min: 1,
            max: FEATURES_MAX,
        },
        "",
        "The features, in the order of the model's input.",
    ),
    Key::required(
        "feature[].name",
        Kind::Text { max_bytes: 64 },
        "",
        "Column name: a to z, 0 to 9 and _, no two alike.",
    ),
    Key::required(
        "feature[].kind",
        Kind::Choice(&[
            "rsi",
            "macd",
            "volume_ratio",
            "bollinger_percent",
            "return",
            "sma_trend",
            "ema_gap",
            "volatility",
            "atr_percent",
            "hour_sin",
            "hour_cos",
            "expression",
        ]),
        "",
        "What is computed.",
    ),
    Key::required(
        "feature[].unit",
        Kind::Text { max_bytes: 64 },
        "",
        "Unit of its values, written out for the reader: index_0_100, ratio, fraction or cycle, fixed by the kind; of an expression number, or powers of price and quantity.",
    ),
    Key::optional(
        "feature[].restart_window",
        Kind::Integer {
            min: 0,
            max: RESTART_WINDOW_MAX_BARS as i64,
        },
        "bars",
        "Restart window of a recursive kind, above its longest period; 0 for others.",
    )
    .or("0"),
    Key::optional(
        "feature[].expression",
        Kind::Text {
            max_bytes: TEXT_BYTES_MAX,
        },
        "",
        "The formula of the kind expression; `py_rt features functions` lists what it may say.",
    ),
    Key::optional(
        "feature[].python",
        Kind::Text { max_bytes: 256 },
        "",
        "Refused here: the service has no Python. A set of research may have it (`py_rt features compute --set`).",
    ),
    Key::optional(
        "feature[].params.period",
        LENGTH,
        "bars",
        "Length: rsi, volume_ratio, bollinger_percent, ema_gap, volatility, atr_percent.",
    ),
    Key::optional(
        "feature[].params.width_hundredths",
        Kind::Integer { min: 1, max: 1_000 },
        "1/100 standard deviation",
        "Band width: bollinger_percent.",
    ),
    Key::optional("feature[].params.lag", LENGTH, "bars", "Distance: return."),
    Key::optional(
        "feature[].params.fast",
        LENGTH,
        "bars",
        "Shorter length: macd, sma_trend.",
    ),
    Key::optional(
        "feature[].params.slow",
        LENGTH,
        "bars",
        "Longer length: macd, sma_trend.",
    ),
    slow::TABLES,
    slow::NAME,
    slow::UNIT,
    slow::MAX_AGE,
];

/// Every parameter name of any kind.
const PARAMS: [&str; 5] = ["period", "width_hundredths", "lag", "fast", "slow"];

/// Unit of a kind's values in a set with these slow parameters.
#[must_use]
pub fn unit_of(kind: &FeatureKind, slow: &[SlowColumn]) -> String {
    let unit = match kind {
        FeatureKind::Rsi { .. } => "index_0_100",
        FeatureKind::VolumeRatio { .. } | FeatureKind::BollingerPercent { .. } => "ratio",
        FeatureKind::HourSin | FeatureKind::HourCos => "cycle",
        FeatureKind::Expression(text) => {
            return read_expression(text, slow)
                .map_or_else(|_| String::new(), |program| program.unit(0).to_string());
        }
        _ => "fraction",
    };
    unit.to_owned()
}

/// A kind's name in files.
pub(crate) const fn kind_name(kind: &FeatureKind) -> &'static str {
    match kind {
        FeatureKind::Rsi { .. } => "rsi",
        FeatureKind::Macd { .. } => "macd",
        FeatureKind::VolumeRatio { .. } => "volume_ratio",
        FeatureKind::BollingerPercent { .. } => "bollinger_percent",
        FeatureKind::Return { .. } => "return",
        FeatureKind::SmaTrend { .. } => "sma_trend",
        FeatureKind::EmaGap { .. } => "ema_gap",
        FeatureKind::Volatility { .. } => "volatility",
        FeatureKind::AtrPercent { .. } => "atr_percent",
        FeatureKind::HourSin => "hour_sin",
        FeatureKind::HourCos => "hour_cos",
        FeatureKind::Expression(_) => "expression",
    }
}

/// The parameters a kind takes.
pub(crate) fn params_of(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "rsi" | "volume_ratio" | "ema_gap" | "volatility" | "atr_percent" => &["period"],
        "bollinger_percent" => &["period", "width_hundredths"],
        "return" => &["lag"],
        "macd" | "sma_trend" => &["fast", "slow"],
        "hour_sin" | "hour_cos" | "expression" => &[],
        _ => return None,
    })
}

/// The kind of a name, its parameters by name; `None` when the name is unknown or one is missing.
pub(crate) fn kind_from(name: &str, param: impl Fn(&str) -> Option<u16>) -> Option<FeatureKind> {
    Some(match name {
        "rsi" => FeatureKind::Rsi {
            period: param("period")?,
        },
        "macd" => FeatureKind::Macd {
            fast: param("fast")?,
            slow: param("slow")?,
        },
        "volume_ratio" => FeatureKind::VolumeRatio {
            period: param("period")?,
        },
        "bollinger_percent" => FeatureKind::BollingerPercent {
            period: param("period")?,
            width_hundredths: param("width_hundredths")?,
        },
        "return" => FeatureKind::Return { lag: param("lag")? },
        "sma_trend" => FeatureKind::SmaTrend {
            fast: param("fast")?,
            slow: param("slow")?,
        },
        "ema_gap" => FeatureKind::EmaGap {
            period: param("period")?,
        },
        "volatility" => FeatureKind::Volatility {
            period: param("period")?,
        },
        "atr_percent" => FeatureKind::AtrPercent {
            period: param("period")?,
        },
        "hour_sin" => FeatureKind::HourSin,
        "hour_cos" => FeatureKind::HourCos,
        _ => return None,
    })
}

/// What features of a set may read beside the columns of bars.
#[derive(Clone, Copy)]
pub(crate) struct Beside<'a> {
    pub(crate) slow: &'a [SlowColumn],
    /// Events close the bars.
    pub(crate) by_events: bool,
}

/// Why the service cannot run an expression: what was found, what is allowed.
fn expression_fault(text: &str, beside: Beside<'_>) -> Option<(String, String)> {
    let program = match read_expression(text, beside.slow) {
        Ok(program) => program,
        Err(error) => return Some((format!("text {text:?}"), error.to_string())),
    };
    let is_fed = |name: &str, slow| is_fed(name, slow, beside.by_events);
    if let Some(input) = program
        .inputs(0)
        .into_iter()
        .find(|input| !is_fed(input, beside.slow))
    {
        let names = Input::ALL.iter().map(|input| input.name());
        let fed = names
            .filter(|name| is_fed(name, &[]))
            .collect::<Vec<_>>()
            .join(", ");
        let allowed = if beside.by_events {
            format!("{fed}: of bars that events close nothing else is known")
        } else {
            format!("{fed}, and what a [[slow]] declares: others are known in research only")
        };
        return Some((format!("the column {input}"), allowed));
    }
    let warmup = program.warmup(0) as usize;
    (warmup > BARS_KEPT).then(|| {
        let allowed = format!(
            "a warm-up of at most {BARS_KEPT} bars: shorter lengths, or a restart window as written, as in \
             ema(close, 200, 1024), of which py_rt features explain --expanded tells what it leaves of the past"
        );
        (format!("a warm-up of {warmup} bars"), allowed)
    })
}

/// What a definition breaks beyond its types: the key, what was found, what is allowed.
pub(crate) fn definition_fault(
    def: &FeatureDef,
    beside: Beside<'_>,
) -> Option<(&'static str, String, String)> {
    if !slow::is_plain(&def.name) {
        return Some((
            "name",
            format!("text {:?}", def.name),
            "a to z, 0 to 9 and _".to_owned(),
        ));
    }
    if let FeatureKind::Expression(text) = &def.kind
        && let Some((found, allowed)) = expression_fault(text, beside)
    {
        return Some(("expression", found, allowed));
    }
    if !def.kind.lengths_are_valid() {
        let allowed = "positive lengths, slow above fast, a deviation over at least 2 bars".to_owned();
        return Some(("params", format!("{:?}", def.kind), allowed));
    }
    let window = usize::from(def.restart_window);
    let (fits, allowed) = match def.kind.recursive_period() {
        Some(period) => {
            let least = usize::from(period) + 1;
            let words = format!("{least} to {RESTART_WINDOW_MAX_BARS} bars: the kind is recursive");
            ((least..=RESTART_WINDOW_MAX_BARS).contains(&window), words)
        }
        None => (window == 0, "0: the kind is not recursive".to_owned()),
    };
    if fits {
        None
    } else {
        Some(("restart_window", format!("integer {window}"), allowed))
    }
}

/// Reads a feature file; `file_name` is what messages call it.
///
/// # Errors
/// Every fault of the file.
pub fn parse_feature_spec(file_name: &str, text: &str) -> Result<FeatureSpec, ConfigErrors> {
    let mut document = Document::read(KEYS, file_name, text);
    document.require_all();
    check_bar(&mut document, "bar_seconds");
    let slow = slow::columns(&mut document);
    let events = events(&mut document);
    let beside = Beside {
        slow: &slow,
        by_events: events.is_some(),
    };
    let mut features: Vec<FeatureDef> = Vec::new();
    for at in 0..document.length("feature").min(FEATURES_MAX) {
        let Some(def) = feature(&mut document, &format!("feature[{at}]"), beside) else {
            continue;
        };
        if features.iter().any(|other| other.name == def.name) {
            let path = format!("feature[{at}].name");
            document.fault(
                &path,
                FaultKind::Duplicate,
                format!("text {:?}", def.name),
                "each name once".to_owned(),
            );
        }
        features.push(def);
    }
    let document = document.finish()?;
    let bar_span = Nanos::from_secs(document.integer("bar_seconds").expect("a checked number"));
    Ok(FeatureSpec {
        bar_span,
        events,
        slow,
        features,
    })
}

/// What `[bars]` says; `None` where it says nothing, or what is refused.
fn events(document: &mut Document) -> Option<EventRule> {
    let said = |key: &str| document.contains(&format!("bars.{key}"));
    let (rule, size) = (said("rule"), said("size"));
    if !rule && !size && !said("averaged") {
        return None;
    }
    for (there, key) in [(rule, "bars.rule"), (size, "bars.size")] {
        if !there {
            let allowed = "a rule and its size: what closes bars is said by both".to_owned();
            document.fault(key, FaultKind::MissingKey, String::new(), allowed);
        }
    }
    let name = document.text("bars.rule")?;
    let averaged = document.integer("bars.averaged");
    let averages = name.contains('_');
    if let Some(bars) = averaged.filter(|_| !averages) {
        let allowed = "no key averaged beside ticks, volume and dollars: their bars have one size".to_owned();
        document.fault(
            "bars.averaged",
            FaultKind::Conflict,
            format!("integer {bars}"),
            allowed,
        );
    }
    if document.length("slow") > 0 {
        let allowed =
            "no [[slow]] beside [bars]: what becomes known beside the market is known of bars of the clock"
                .to_owned();
        document.fault(
            "bars.rule",
            FaultKind::Conflict,
            format!("text {name:?}"),
            allowed,
        );
    }
    let averaged = u16::try_from(averaged.unwrap_or(AVERAGED)).ok()?;
    let rule = EventRule::named(&name, document.decimal("bars.size")?, averaged)?;
    if !rule.is_whole() {
        let (found, allowed) = (
            format!("number {}", rule.size),
            format!("1 or more trades for {name}"),
        );
        document.fault("bars.size", FaultKind::OutOfRange, found, allowed);
    }
    Some(rule)
}

/// What a kind's name, parameters and expression say together; `None` when one is missing or does not belong.
fn kind(document: &mut Document, path: &str, word: &str) -> Option<FeatureKind> {
    let key = format!("{path}.expression");
    match (word == "expression", document.text(&key)) {
        (true, Some(text)) => Some(FeatureKind::Expression(text)),
        (false, None) => kind_from(word, |name| whole(document, &format!("{path}.params.{name}"))),
        (true, None) => {
            let allowed = "a formula over columns of bars".to_owned();
            document.fault(&key, FaultKind::MissingKey, String::new(), allowed);
            None
        }
        (false, Some(_)) => {
            let found = format!("an expression of kind {word}");
            let allowed = "kind = \"expression\" beside it".to_owned();
            document.fault(&key, FaultKind::Conflict, found, allowed);
            None
        }
    }
}

fn whole(document: &Document, key: &str) -> Option<u16> {
    document.integer(key).and_then(|value| u16::try_from(value).ok())
}

/// One feature; `None` when a key of it is missing or refused.
fn feature(document: &mut Document, path: &str, beside: Beside<'_>) -> Option<FeatureDef> {
    let python = format!("{path}.python");
    if let Some(text) = document.text(&python) {
        let allowed = "kind = \"expression\" and its formula (`py_rt features functions` lists what it may say): the \
                       service has no Python, so a feature of a model cannot be arbitrary Python";
        document.fault(
            &python,
            FaultKind::Conflict,
            format!("text {text:?}"),
            allowed.to_owned(),
        );
        return None;
    }
    let word = document.text(&format!("{path}.kind"))?;
    let taken = params_of(&word)?;
    for name in PARAMS {
        let key = format!("{path}.params.{name}");
        let there = document.contains(&key);
        if there && !taken.contains(&name) {
            let allowed = if taken.is_empty() {
                "no parameter".to_owned()
            } else {
                taken.join(", ")
            };
            document.fault(
                &key,
                FaultKind::UnknownKey,
                format!("a parameter that {word} does not take"),
                allowed,
            );
        } else if !there && taken.contains(&name) {
            document.fault(
                &key,
                FaultKind::MissingKey,
                String::new(),
                format!("{word} takes {}", taken.join(", ")),
            );
        }
    }
    let kind = kind(document, path, &word)?;
    let restart_window = whole(document, &format!("{path}.restart_window"))?;
    let def = FeatureDef {
        name: document.text(&format!("{path}.name"))?,
        kind,
        restart_window,
    };
    if let Some((key, found, allowed)) = definition_fault(&def, beside) {
        document.fault(&format!("{path}.{key}"), FaultKind::OutOfRange, found, allowed);
    }
    // What cannot be read has no unit to compare with.
    let own = unit_of(&def.kind, beside.slow);
    if let Some(unit) = document.text(&format!("{path}.unit"))
        && unit != own
        && !own.is_empty()
    {
        let allowed = format!("{own:?}, the unit of {word}");
        document.fault(
            &format!("{path}.unit"),
            FaultKind::Conflict,
            format!("text {unit:?}"),
            allowed,
        );
    }
    Some(def)
}
