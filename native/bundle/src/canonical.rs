//! Canonical JSON: sorted keys, no spaces, UTF-8. One meaning has one spelling, so that a hash names the meaning.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::BundleError;

/// Reads a closed structure and refuses any other spelling of it. The fields of `T` stand in the order of their names:
/// serde writes them as they stand.
pub(crate) fn read<T: Serialize + DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, BundleError> {
    let value: T = serde_json::from_slice(bytes).map_err(|error| BundleError::Malformed {
        name: name.to_owned(),
        fault: error.to_string(),
    })?;
    let canonical = serde_json::to_vec(&value).expect("numbers, texts and lists of them are JSON");
    if canonical == bytes {
        Ok(value)
    } else {
        Err(BundleError::NotCanonical {
            name: name.to_owned(),
        })
    }
}

/// Whether a text is 64 lower-case hexadecimal digits.
pub(crate) fn is_sha256_hex(text: &str) -> bool {
    domain::BundleDigest::from_hex(text).is_some()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        a: u64,
        b: String,
    }

    #[test]
    fn one_spelling_is_read_and_no_other() {
        let read = |text: &str| super::read::<Pair>("x.json", text.as_bytes());
        assert_eq!(
            read("{\"a\":1,\"b\":\"\u{e9}\\n\\u0001\"}").unwrap(),
            Pair {
                a: 1,
                b: "\u{e9}\n\u{1}".to_owned()
            }
        );
        for (text, code) in [
            (r#"{"a":1, "b":""}"#, "not_canonical"),
            ("{\"a\":1,\"b\":\"\"}\n", "not_canonical"),
            (r#"{"b":"","a":1}"#, "not_canonical"),
            (r#"[1,""]"#, "not_canonical"),
            (r#"{"a":1,"b":"\u0041"}"#, "not_canonical"),
            (r#"{"a":1,"b":"\/"}"#, "not_canonical"),
            (r#"{"a":1,"a":1,"b":""}"#, "malformed"),
            (r#"{"a":1,"b":"","c":0}"#, "malformed"),
            (r#"{"a":1}"#, "malformed"),
            (r#"{"a":1.0,"b":""}"#, "malformed"),
            (r#"{"a":-1,"b":""}"#, "malformed"),
            (r#"{"a":18446744073709551616,"b":""}"#, "malformed"),
            (r#"{"a":1,"b":""}{}"#, "malformed"),
            ("", "malformed"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code(), code, "{text}: {error}");
        }
    }
}
