//! What a model says about itself: the three `metadata_props` of the contract.

use crate::error::InferenceError;
use crate::limits::MAX_NAME_BYTES;

const KEYS: &str = "exactly feature_names, feature_spec_sha256, name";
const LIST: &str = "a JSON list of distinct, non-empty strings";

/// The metadata of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    feature_names: Vec<String>,
    feature_spec_sha256: String,
    name: String,
}

impl Metadata {
    /// Names of the features, in the order of a row.
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// Hash of the feature specification that the model was trained on: 64 lower-case hex digits.
    pub fn feature_spec_sha256(&self) -> &str {
        &self.feature_spec_sha256
    }

    /// The bundle's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn read(entries: &[(&str, &str)], feature_count: usize) -> Result<Self, InferenceError> {
        let mut keys: Vec<_> = entries.iter().map(|(key, _)| *key).collect();
        keys.sort_unstable();
        if keys != ["feature_names", "feature_spec_sha256", "name"] {
            return Err(InferenceError::not_allowed(
                "metadata_props",
                format!("{keys:?}"),
                KEYS,
            ));
        }
        let value = |wanted| {
            entries
                .iter()
                .find(|(key, _)| *key == wanted)
                .map_or("", |entry| entry.1)
        };
        let names = value("feature_names");
        let feature_names = string_list(names, feature_count)
            .ok_or_else(|| InferenceError::not_allowed("metadata feature_names", shortened(names), LIST))?;
        if feature_names.len() != feature_count {
            let found = format!("a list of {} names", feature_names.len());
            let allowed = format!("{feature_count} names, as many as the input is wide");
            return Err(InferenceError::not_allowed(
                "metadata feature_names",
                found,
                allowed,
            ));
        }
        let sha256 = value("feature_spec_sha256");
        if sha256.len() != 64
            || !sha256
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            let place = "metadata feature_spec_sha256";
            return Err(InferenceError::not_allowed(
                place,
                shortened(sha256),
                "64 lower-case hex digits",
            ));
        }
        let name = value("name");
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let allowed = format!("1 to {MAX_NAME_BYTES} bytes of text");
            return Err(InferenceError::not_allowed(
                "metadata name",
                shortened(name),
                allowed,
            ));
        }
        Ok(Self {
            feature_names,
            feature_spec_sha256: sha256.to_owned(),
            name: name.to_owned(),
        })
    }
}

fn shortened(text: &str) -> String {
    format!("{:?}", text.chars().take(80).collect::<String>())
}

/// A JSON list of at most `limit` + 1 strings; `None` when it is anything else.
fn string_list(text: &str, limit: usize) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text.trim().strip_prefix('[')?.trim_start();
    loop {
        let (name, after) = string(rest.strip_prefix('"')?)?;
        if name.is_empty() || name.len() > MAX_NAME_BYTES || names.len() > limit {
            return None;
        }
        names.push(name);
        let after = after.trim_start();
        if let Some(more) = after.strip_prefix(',') {
            rest = more.trim_start();
        } else if after == "]" {
            break;
        } else {
            return None;
        }
    }
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_unstable();
    let distinct = sorted.windows(2).all(|pair| pair[0] != pair[1]);
    distinct.then_some(names)
}

/// A JSON string behind its opening quote, and what follows its closing one.
fn string(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((name, characters.as_str())),
            '\\' => name.push(escaped(&mut characters)?),
            control if u32::from(control) < 0x20 => return None,
            character => name.push(character),
        }
    }
}

fn escaped(characters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match characters.next()? {
        same @ ('"' | '\\' | '/') => same,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let high = hex4(characters)?;
            if !(0xd800..0xdc00).contains(&high) {
                return char::from_u32(high);
            }
            if characters.next()? != '\\' || characters.next()? != 'u' {
                return None;
            }
            let low = hex4(characters)?;
            if !(0xdc00..0xe000).contains(&low) {
                return None;
            }
            char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?
        }
        _ => return None,
    })
}

fn hex4(characters: &mut std::str::Chars<'_>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        value = value * 16 + characters.next()?.to_digit(16)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_strings_is_read_as_json_says() {
        let names = string_list(r#" [ "rsi_14" , "a\"b\\", "\u00e9\ud83d\ude00" ] "#, 3).unwrap();
        assert_eq!(names, ["rsi_14", "a\"b\\", "\u{e9}\u{1f600}"]);
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "[",
            "[]",
            "{}",
            r#"["a""#,
            r#"["a",]"#,
            r#"["a" "b"]"#,
            r#"["a","a"]"#,
            r#"[""]"#,
            r#"["a"]x"#,
            r#"["\ud83d"]"#,
            r#"["\ud83d\u0041"]"#,
            r#"["\u+041"]"#,
            "[\"a\nb\"]",
            "[1]",
            r#"["a","b","c"]"#,
        ] {
            assert_eq!(string_list(text, 1), None, "{text}");
        }
    }
}
