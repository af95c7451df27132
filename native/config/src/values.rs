//! Single values against their kind.

use domain::Decimal;
use toml::Spanned;
use toml::de::DeValue;

use crate::fault::FaultKind;
use crate::number;
use crate::schema::{Key, Kind};

/// Longest text or path, bytes.
const PATH_BYTES_MAX: usize = 4_096;

/// A checked value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(i64),
    Decimal(Decimal),
    Text(String),
    Texts(Vec<String>),
}

/// The value of a default, read like one in a file.
pub(crate) fn default_value(key: &Key, text: &str) -> Option<Value> {
    let parsed = DeValue::parse(text).ok()?;
    check(key.kind, parsed.get_ref(), text).ok()
}

/// What a reader sees of a value that is refused; long texts are cut.
pub(crate) fn describe(value: &DeValue<'_>, source: &str) -> String {
    const SHOWN_MAX: usize = 60;
    match value {
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
        _ if source.chars().count() > SHOWN_MAX => {
            let shown: String = source.chars().take(SHOWN_MAX).collect();
            format!("{} {}...", value.type_str(), shown.escape_debug())
        }
        DeValue::String(_) => format!("text {}", source.replace('\n', "\\n")),
        _ => format!("{} {source}", value.type_str()),
    }
}

type Refusal = (FaultKind, String);

/// Checks a value against its kind; `source` is its text in the file.
///
/// # Errors
/// The class of the fault and what is allowed.
pub(crate) fn check(kind: Kind, value: &DeValue<'_>, source: &str) -> Result<Value, Refusal> {
    let wrong = || (FaultKind::WrongType, kind.to_string());
    match (kind, value) {
        (Kind::Integer { min, max }, DeValue::Integer(number)) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
            let inside = parsed.filter(|value| (min..=max).contains(value));
            inside
                .map(Value::Integer)
                .ok_or((FaultKind::OutOfRange, kind.to_string()))
        }
        (Kind::Decimal { min, above_min, max }, DeValue::Integer(_) | DeValue::Float(_)) => {
            let parsed = number::decimal(source)?;
            let units = parsed.units();
            let inside = (min..=max).contains(&units) && !(above_min && units == min);
            if inside {
                Ok(Value::Decimal(parsed))
            } else {
                Err((FaultKind::OutOfRange, kind.to_string()))
            }
        }
        (Kind::Texts { max }, DeValue::Array(list)) => texts(list.iter().map(Spanned::get_ref), max, kind),
        (Kind::Integer { .. } | Kind::Decimal { .. } | Kind::Texts { .. } | Kind::Tables { .. }, _) => {
            Err(wrong())
        }
        (_, DeValue::String(text)) if text_is_allowed(kind, text) => {
            Ok(Value::Text(text.clone().into_owned()))
        }
        (_, DeValue::String(_)) => Err((FaultKind::OutOfRange, kind.to_string())),
        _ => Err(wrong()),
    }
}

fn texts<'v>(list: impl Iterator<Item = &'v DeValue<'v>>, max: usize, kind: Kind) -> Result<Value, Refusal> {
    let mut out: Vec<String> = Vec::new();
    for value in list {
        let DeValue::String(text) = value else {
            return Err((FaultKind::WrongType, kind.to_string()));
        };
        if out.iter().any(|known| known == text) {
            return Err((FaultKind::Duplicate, format!("{kind}; {text:?} stands twice")));
        }
        if out.len() == max || !text_is_allowed(Kind::Text { max_bytes: 64 }, text) {
            return Err((FaultKind::OutOfRange, kind.to_string()));
        }
        out.push(text.clone().into_owned());
    }
    if out.is_empty() {
        Err((FaultKind::OutOfRange, kind.to_string()))
    } else {
        Ok(Value::Texts(out))
    }
}

fn text_is_allowed(kind: Kind, text: &str) -> bool {
    let plain = !text.is_empty() && text.len() <= PATH_BYTES_MAX && !text.chars().any(char::is_control);
    plain
        && match kind {
            Kind::Text { max_bytes } => text.len() <= max_bytes,
            Kind::Choice(words) => words.contains(&text),
            Kind::FilePath => true,
            Kind::BundlePath => {
                !text.contains('\\') && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
            }
            Kind::Url(schemes) => url_is_allowed(text, schemes),
            _ => false,
        }
}

fn url_is_allowed(text: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or("");
    let clean = !text.contains(['@', '?', '#', ' ', '\\']);
    let port_is_number = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => !host.is_empty() && port.parse::<u16>().is_ok(),
        _ => !authority.is_empty(),
    };
    schemes.contains(&scheme) && clean && port_is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let schemes = ["https", "http"];
        for good in [
            "http://127.0.0.1:18080",
            "https://api.binance.com",
            "http://[::1]:80/ws",
        ] {
            assert!(url_is_allowed(good, &schemes), "{good}");
        }
        for bad in [
            "ftp://x",
            "https://",
            "https://u:p@host",
            "https://host:99999",
            "host",
            "http://a b",
        ] {
            assert!(!url_is_allowed(bad, &schemes), "{bad}");
        }
    }
}
