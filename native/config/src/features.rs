//! A feature file: the ordered features of a model, closed per kind.

use domain::Nanos;
use engine::limits::{FEATURES_MAX, RESTART_WINDOW_MAX_BARS};
use engine::signals::{FeatureDef, FeatureKind, FeatureSpec};

use crate::document::Document;
use crate::fault::{ConfigErrors, FaultKind};
use crate::schema::{Key, Kind};
use crate::strategy::{DAY_SECONDS, check_bar};

/// Longest length in bars: the bars the engine keeps, less the one that a return looks back from.
const LENGTH_MAX: i64 = 2_000;
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
        "Length of a bar; divides a day.",
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
        ]),
        "",
        "What is computed.",
    ),
    Key::required(
        "feature[].unit",
        Kind::Choice(&["index_0_100", "ratio", "fraction", "cycle"]),
        "",
        "Unit of its values; fixed by the kind, written out for the reader.",
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
];

/// Every parameter name of any kind.
const PARAMS: [&str; 5] = ["period", "width_hundredths", "lag", "fast", "slow"];

/// Unit of a kind's values.
#[must_use]
pub const fn unit_of(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::Rsi { .. } => "index_0_100",
        FeatureKind::VolumeRatio { .. } | FeatureKind::BollingerPercent { .. } => "ratio",
        FeatureKind::HourSin | FeatureKind::HourCos => "cycle",
        _ => "fraction",
    }
}

/// A kind's name in files.
pub(crate) const fn kind_name(kind: FeatureKind) -> &'static str {
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
    }
}

/// The parameters a kind takes.
pub(crate) fn params_of(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "rsi" | "volume_ratio" | "ema_gap" | "volatility" | "atr_percent" => &["period"],
        "bollinger_percent" => &["period", "width_hundredths"],
        "return" => &["lag"],
        "macd" | "sma_trend" => &["fast", "slow"],
        "hour_sin" | "hour_cos" => &[],
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

/// What a definition breaks beyond its types: the key, what was found, what is allowed.
pub(crate) fn definition_fault(def: &FeatureDef) -> Option<(&'static str, String, String)> {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    if def.name.is_empty() || !def.name.chars().all(plain) {
        return Some((
            "name",
            format!("text {:?}", def.name),
            "a to z, 0 to 9 and _".to_owned(),
        ));
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
    let mut features: Vec<FeatureDef> = Vec::new();
    for at in 0..document.length("feature").min(FEATURES_MAX) {
        let Some(def) = feature(&mut document, &format!("feature[{at}]")) else {
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
    Ok(FeatureSpec { bar_span, features })
}

/// One feature; `None` when a key of it is missing or refused.
fn feature(document: &mut Document, path: &str) -> Option<FeatureDef> {
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
    let value = |key: &str| {
        document
            .integer(&format!("{path}.{key}"))
            .and_then(|value| u16::try_from(value).ok())
    };
    let kind = kind_from(&word, |name| value(&format!("params.{name}")))?;
    let restart_window = value("restart_window")?;
    let def = FeatureDef {
        name: document.text(&format!("{path}.name"))?,
        kind,
        restart_window,
    };
    if let Some((key, found, allowed)) = definition_fault(&def) {
        document.fault(&format!("{path}.{key}"), FaultKind::OutOfRange, found, allowed);
    }
    if let Some(unit) = document.text(&format!("{path}.unit"))
        && unit != unit_of(kind)
    {
        let allowed = format!("{:?}, the unit of {word}", unit_of(kind));
        document.fault(
            &format!("{path}.unit"),
            FaultKind::Conflict,
            format!("text {unit:?}"),
            allowed,
        );
    }
    Some(def)
}
