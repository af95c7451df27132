//! The slow parameters that a feature file declares: what its expressions may read beside the columns of bars.

use domain::{Nanos, Text};
use engine::limits::SLOW_COLUMNS_MAX;
use engine::signals::program::{Input, Unit};
use engine::signals::{SLOW_NAME_BYTES_MAX, SlowColumn};

use crate::document::Document;
use crate::fault::FaultKind;
use crate::schema::{Key, Kind};
use crate::strategy::DAY_SECONDS;

/// Longest age: a yearly figure, and a year of delay.
const AGE_SECONDS_MAX: i64 = 800 * DAY_SECONDS;

pub(crate) const TABLES: Key = Key::optional(
    "slow",
    Kind::Tables {
        min: 0,
        max: SLOW_COLUMNS_MAX,
    },
    "",
    "Slow parameters that expressions read as columns; `py_rt tell` tells them to the service.",
);

pub(crate) const NAME: Key = Key::required(
    "slow[].name",
    Kind::Text {
        max_bytes: SLOW_NAME_BYTES_MAX,
    },
    "",
    "Name of the slow parameter: a to z, 0 to 9 and _, no two alike, and no column of bars or trades.",
);

pub(crate) const UNIT: Key = Key::required(
    "slow[].unit",
    Kind::Choice(&["number", "price", "quantity"]),
    "",
    "Unit of its values.",
);

pub(crate) const MAX_AGE: Key = Key::required(
    "slow[].max_age_seconds",
    Kind::Integer {
        min: 1,
        max: AGE_SECONDS_MAX,
    },
    "seconds",
    "What has been known for longer at a bar's close is unknown there.",
);

/// Whether a name is one that features and slow parameters may have.
pub(crate) fn is_plain(name: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    !name.is_empty() && name.chars().all(plain)
}

/// What a declaration breaks beyond its types: the kind of fault, what was found, what is allowed.
pub(crate) fn fault(name: &str, others: &[SlowColumn]) -> Option<(FaultKind, String, &'static str)> {
    let found = format!("text {name:?}");
    if !is_plain(name) {
        return Some((FaultKind::OutOfRange, found, "a to z, 0 to 9 and _"));
    }
    if Input::ALL.iter().any(|input| input.name() == name) {
        return Some((
            FaultKind::Conflict,
            found,
            "a name that no column of bars or trades has",
        ));
    }
    let is_there = others.iter().any(|other| other.name.as_str() == name);
    is_there.then_some((FaultKind::Duplicate, found, "each name once"))
}

/// A declaration; `None` where its types do not fit.
pub(crate) fn column(name: &str, unit: &str, max_age: Nanos) -> Option<SlowColumn> {
    Some(SlowColumn {
        name: Text::new(name)?,
        unit: Unit::of_column(unit)?,
        max_age,
    })
}

/// The declarations of a file, those left out that are refused.
pub(crate) fn columns(document: &mut Document) -> Vec<SlowColumn> {
    let mut found: Vec<SlowColumn> = Vec::new();
    for at in 0..document.length("slow").min(SLOW_COLUMNS_MAX) {
        let key = |name: &str| format!("slow[{at}].{name}");
        let Some(name) = document.text(&key("name")) else {
            continue;
        };
        if let Some((kind, found, allowed)) = fault(&name, &found) {
            document.fault(&key("name"), kind, found, allowed.to_owned());
            continue;
        }
        let unit = document.text(&key("unit"));
        let seconds = document.integer(&key("max_age_seconds"));
        let read = unit.zip(seconds);
        found.extend(read.and_then(|(unit, seconds)| column(&name, &unit, Nanos::from_secs(seconds))));
    }
    found
}
