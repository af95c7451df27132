//! `features.json`: the canonical text of a feature set, whose SHA-256 is its identity.

use std::collections::BTreeMap;

use domain::{Decimal, Nanos};
use engine::limits::{FEATURES_MAX, SLOW_COLUMNS_MAX};
use engine::signals::{EventRule, FeatureDef, FeatureKind, FeatureSpec, SlowColumn};
use serde::{Deserialize, Serialize};

use crate::FILE_BYTES_MAX;
use crate::fault::{ConfigErrors, Fault, FaultKind};
use crate::features::{Beside, definition_fault, kind_from, kind_name, params_of, unit_of};
use crate::slow;

/// The version of the layout below.
const SCHEMA_VERSION: u32 = 1;

/// Fields in the order of their names: serde writes them as they stand, and the text is canonical.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecText {
    bar_ns: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bars: Option<BarsText>,
    features: Vec<FeatureText>,
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slow: Vec<SlowText>,
}

/// What closes the bars, where the clock does not.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BarsText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    averaged: Option<u16>,
    rule: String,
    size: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowText {
    max_age_ns: i64,
    name: String,
    unit: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeatureText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
    kind: String,
    name: String,
    params: BTreeMap<String, u16>,
    restart_window: u16,
    unit: String,
    warmup_bars: usize,
}

/// The canonical JSON of a feature set: sorted keys, no spaces, UTF-8.
#[must_use]
pub fn feature_spec_canonical_json(spec: &FeatureSpec) -> String {
    let features = spec.features.iter().map(|def| FeatureText {
        expression: match &def.kind {
            FeatureKind::Expression(text) => Some(text.clone()),
            _ => None,
        },
        kind: kind_name(&def.kind).to_owned(),
        name: def.name.clone(),
        params: params(&def.kind)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        restart_window: def.restart_window,
        unit: unit_of(&def.kind, &spec.slow),
        warmup_bars: def.warmup_bars(&spec.slow),
    });
    let text = SpecText {
        bar_ns: spec.bar_span.0,
        bars: spec.events.as_ref().map(bars_text),
        features: features.collect(),
        schema_version: SCHEMA_VERSION,
        slow: spec.slow.iter().map(slow_text).collect(),
    };
    serde_json::to_string(&text).expect("plain numbers and texts are JSON")
}

fn bars_text(rule: &EventRule) -> BarsText {
    BarsText {
        averaged: rule.averaged(),
        rule: rule.name().to_owned(),
        size: rule.size.to_string(),
    }
}

fn slow_text(column: &SlowColumn) -> SlowText {
    SlowText {
        max_age_ns: column.max_age.0,
        name: column.name.as_str().to_owned(),
        unit: column.unit.to_string(),
    }
}

fn params(kind: &FeatureKind) -> Vec<(&'static str, u16)> {
    match kind {
        FeatureKind::Rsi { period }
        | FeatureKind::VolumeRatio { period }
        | FeatureKind::EmaGap { period }
        | FeatureKind::Volatility { period }
        | FeatureKind::AtrPercent { period } => vec![("period", *period)],
        FeatureKind::BollingerPercent {
            period,
            width_hundredths,
        } => {
            vec![("period", *period), ("width_hundredths", *width_hundredths)]
        }
        FeatureKind::Return { lag } => vec![("lag", *lag)],
        FeatureKind::Macd { fast, slow } | FeatureKind::SmaTrend { fast, slow } => {
            vec![("fast", *fast), ("slow", *slow)]
        }
        FeatureKind::HourSin | FeatureKind::HourCos | FeatureKind::Expression(_) => Vec::new(),
    }
}

/// Reads what [`feature_spec_canonical_json`] wrote, and nothing else: another order of keys, a space, or a
/// derived number that does not follow from the definition is refused.
///
/// # Errors
/// Every fault of the text (JSON that cannot be read has one).
pub fn parse_feature_spec_json(file_name: &str, text: &str) -> Result<FeatureSpec, ConfigErrors> {
    let mut faults = Faults {
        file: file_name,
        list: Vec::new(),
    };
    if text.len() > FILE_BYTES_MAX {
        let found = format!("{} bytes", text.len());
        faults.note(
            "",
            FaultKind::Syntax,
            found,
            format!("at most {FILE_BYTES_MAX} bytes"),
        );
        return Err(ConfigErrors(faults.list));
    }
    let read: SpecText = match serde_json::from_str(text) {
        Ok(read) => read,
        Err(error) => {
            faults.note(
                "",
                FaultKind::Syntax,
                error.to_string(),
                "canonical JSON of a feature set".to_owned(),
            );
            let place = faults.list.last_mut().expect("just noted");
            (place.line, place.column) = (error.line().max(1), error.column().max(1));
            return Err(ConfigErrors(faults.list));
        }
    };
    let spec = faults.spec(&read);
    if faults.list.is_empty() && feature_spec_canonical_json(&spec) != text {
        let allowed = "sorted keys, no spaces, unit and warmup_bars as the kind has them".to_owned();
        faults.note(
            "",
            FaultKind::Conflict,
            "JSON that is not canonical".to_owned(),
            allowed,
        );
    }
    if faults.list.is_empty() {
        Ok(spec)
    } else {
        Err(ConfigErrors(faults.list))
    }
}

struct Faults<'f> {
    file: &'f str,
    list: Vec<Fault>,
}

impl Faults<'_> {
    fn note(&mut self, key: &str, kind: FaultKind, found: String, allowed: String) {
        let (file, key) = (self.file.to_owned(), key.to_owned());
        self.list.push(Fault {
            file,
            line: 1,
            column: 1,
            key,
            kind,
            found,
            allowed,
            nearest: None,
        });
    }

    fn spec(&mut self, read: &SpecText) -> FeatureSpec {
        if read.schema_version != SCHEMA_VERSION {
            let found = format!("integer {}", read.schema_version);
            self.note(
                "schema_version",
                FaultKind::OutOfRange,
                found,
                SCHEMA_VERSION.to_string(),
            );
        }
        if read.bar_ns <= 0 {
            self.note(
                "bar_ns",
                FaultKind::OutOfRange,
                format!("integer {}", read.bar_ns),
                "above 0".to_owned(),
            );
        }
        if !(1..=FEATURES_MAX).contains(&read.features.len()) {
            let found = format!("{} features", read.features.len());
            self.note(
                "features",
                FaultKind::OutOfRange,
                found,
                format!("1 to {FEATURES_MAX}"),
            );
        }
        let slow = self.slow(&read.slow);
        let events = read
            .bars
            .as_ref()
            .and_then(|bars| self.events(bars, slow.is_empty()));
        let beside = Beside {
            slow: &slow,
            by_events: read.bars.is_some(),
        };
        let mut features: Vec<FeatureDef> = Vec::new();
        for (at, feature) in read.features.iter().enumerate() {
            let Some(def) = self.feature(at, feature, beside) else {
                continue;
            };
            if features.iter().any(|other| other.name == def.name) {
                let key = format!("features[{at}].name");
                self.note(
                    &key,
                    FaultKind::Duplicate,
                    format!("{:?}", def.name),
                    "each name once".to_owned(),
                );
            }
            features.push(def);
        }
        FeatureSpec {
            bar_span: Nanos(read.bar_ns),
            events,
            slow,
            features,
        }
    }

    fn events(&mut self, read: &BarsText, has_no_slow: bool) -> Option<EventRule> {
        let size = Decimal::parse(read.size.as_bytes()).ok();
        let averaged = read.averaged;
        let rule = size.and_then(|size| EventRule::named(&read.rule, size, averaged.unwrap_or(0)));
        let rule = rule.filter(|rule| rule.averaged() == averaged && rule.is_whole() && has_no_slow);
        if rule.is_none() {
            let found = format!(
                "rule {:?}, size {:?}, averaged {averaged:?}",
                read.rule, read.size
            );
            let allowed = format!(
                "one of {}, a size above 0 (1 or more where trades are counted or expected), bars to average over for \
                 imbalance and runs only, and no slow parameters",
                EventRule::NAMES.join(", ")
            );
            self.note("bars", FaultKind::OutOfRange, found, allowed);
        }
        rule
    }

    fn slow(&mut self, read: &[SlowText]) -> Vec<SlowColumn> {
        if read.len() > SLOW_COLUMNS_MAX {
            let found = format!("{} slow parameters", read.len());
            self.note(
                "slow",
                FaultKind::OutOfRange,
                found,
                format!("at most {SLOW_COLUMNS_MAX}"),
            );
        }
        let mut columns = Vec::new();
        for (at, one) in read.iter().enumerate().take(SLOW_COLUMNS_MAX) {
            let key = format!("slow[{at}]");
            if let Some((kind, found, allowed)) = slow::fault(&one.name, &columns) {
                self.note(&format!("{key}.name"), kind, found, allowed.to_owned());
                continue;
            }
            let column = slow::column(&one.name, &one.unit, Nanos(one.max_age_ns));
            if let Some(column) = column.filter(|column| column.max_age.0 > 0) {
                columns.push(column);
            } else {
                let found = format!("unit {:?}, max_age_ns {}", one.unit, one.max_age_ns);
                let allowed = "number, price or quantity, and an age above 0".to_owned();
                self.note(&key, FaultKind::OutOfRange, found, allowed);
            }
        }
        columns
    }

    fn feature(&mut self, at: usize, read: &FeatureText, beside: Beside<'_>) -> Option<FeatureDef> {
        let Some(taken) = params_of(&read.kind) else {
            let key = format!("features[{at}].kind");
            self.note(
                &key,
                FaultKind::OutOfRange,
                format!("{:?}", read.kind),
                "a known kind".to_owned(),
            );
            return None;
        };
        let kind = match (&read.expression, read.kind.as_str()) {
            (Some(text), "expression") => Some(FeatureKind::Expression(text.clone())),
            (None, kind) => kind_from(kind, |name| read.params.get(name).copied()),
            (Some(_), _) => None,
        };
        let Some(kind) = kind else {
            let key = format!("features[{at}].params");
            self.note(&key, FaultKind::MissingKey, String::new(), taken.join(", "));
            return None;
        };
        let def = FeatureDef {
            name: read.name.clone(),
            kind,
            restart_window: read.restart_window,
        };
        if let Some((key, found, allowed)) = definition_fault(&def, beside) {
            self.note(
                &format!("features[{at}].{key}"),
                FaultKind::OutOfRange,
                found,
                allowed,
            );
        }
        Some(def)
    }
}
