//! API keys and their secrets: from the environment or a 0400 file, never from the command line.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::ServerError;

/// The environment variable: entries `api_key:secret`, separated by commas or line ends. `other@api_key:secret` is a second key
/// of the account of `api_key`, which stands before it.
pub const KEYS_VARIABLE: &str = "PY_RT_VENUE_KEYS";

/// Most accounts of one server.
pub const ACCOUNTS_MAX: usize = 256;

/// Longest secret that is a key as PEM, in bytes.
const PEM_BYTES_MAX: usize = 2_048;

/// One account's key. The secret never shows.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What names it on the wire: in `X-MBX-APIKEY`, `API-Key`, or as `kid` of a token.
    pub key: String,
    pub(crate) secret: String,
    /// The key whose account it shares; `None` where it opens one of its own.
    pub(crate) shares: Option<String>,
}

impl ApiKey {
    /// A key with its secret.
    #[must_use]
    pub fn new(key: &str, secret: &str) -> Self {
        Self {
            key: key.to_owned(),
            secret: secret.to_owned(),
            shares: None,
        }
    }

    /// The same for an account that another key has opened.
    #[must_use]
    pub fn shared(key: &str, secret: &str, first: &str) -> Self {
        Self {
            shares: Some(first.to_owned()),
            ..Self::new(key, secret)
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ApiKey({}, secret not shown)", self.key)
    }
}

/// The keys of the file, or else of the environment; none when neither is there.
///
/// # Errors
/// [`ServerError`] when the file is readable by others, or an entry is not `api_key:secret`.
pub fn load_keys(file: Option<&Path>) -> Result<Vec<ApiKey>, ServerError> {
    match file {
        Some(path) => {
            let problem = |source| ServerError::File {
                path: path.to_owned(),
                source,
            };
            let mode = std::fs::metadata(path).map_err(problem)?.permissions().mode() & 0o777;
            if mode != 0o400 {
                return Err(ServerError::KeyFileMode {
                    path: path.to_owned(),
                    mode,
                });
            }
            let text = std::fs::read_to_string(path).map_err(problem)?;
            parse_keys(&text, &path.display().to_string())
        }
        None => parse_keys(&std::env::var(KEYS_VARIABLE).unwrap_or_default(), KEYS_VARIABLE),
    }
}

fn parse_keys(text: &str, origin: &str) -> Result<Vec<ApiKey>, ServerError> {
    let mut keys: Vec<ApiKey> = Vec::new();
    let entries = text.split(['\n', ',']).map(str::trim);
    for (index, entry) in entries
        .filter(|entry| !entry.is_empty() && !entry.starts_with('#'))
        .enumerate()
    {
        let refused = || ServerError::Key {
            origin: origin.to_owned(),
            entry: index + 1,
        };
        let (key, secret) = entry.split_once(':').ok_or_else(refused)?;
        let (key, shares) = match key.split_once('@') {
            Some((key, first)) => (key, Some(first)),
            None => (key, None),
        };
        let opened = |first: &&str| keys.iter().any(|key| key.key == *first && key.shares.is_none());
        let known = keys.iter().any(|known| known.key == key) || shares.is_some_and(|first| !opened(&first));
        if !is_plain(key) || !is_secret(secret) || known || keys.len() >= ACCOUNTS_MAX {
            return Err(refused());
        }
        keys.push(match shares {
            Some(first) => ApiKey::shared(key, secret, first),
            None => ApiKey::new(key, secret),
        });
    }
    Ok(keys)
}

/// Names of keys hold slashes and points at some venues.
fn is_plain(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.".contains(&byte);
    (8..=128).contains(&text.len()) && text.bytes().all(allowed)
}

/// A plain text, base64, or a key as PEM in one line.
fn is_secret(text: &str) -> bool {
    let in_pem = text.starts_with("-----BEGIN ");
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"_-/.+=".contains(&byte) || (in_pem && b" \\".contains(&byte))
    };
    let longest = if in_pem { PEM_BYTES_MAX } else { 128 };
    (8..=longest).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_secrets_do_not_show() {
        let text = "# demo\nkey_alpha:secret_one\nkey_beta1:secret_two,key_gamma@key_alpha:secret_three,";
        let keys = parse_keys(text, "test").unwrap();
        assert_eq!(
            keys,
            [
                ApiKey::new("key_alpha", "secret_one"),
                ApiKey::new("key_beta1", "secret_two"),
                ApiKey::shared("key_gamma", "secret_three", "key_alpha"),
            ]
        );
        assert!(!format!("{keys:?}").contains("secret_one"));
        for wrong in [
            "key_alpha",
            "short:secret_one",
            "key_alpha:s p a c e",
            "key_alpha:secret_a,key_alpha:secret_b",
            "key_gamma@key_alpha:secret_a,key_alpha:secret_b",
            "key_alpha:secret_a,key_beta1@key_alpha:secret_b,key_gamma@key_beta1:secret_c",
        ] {
            let message = parse_keys(wrong, "test").unwrap_err().to_string();
            assert!(message.contains("test, entry"), "{message}");
            assert!(!message.contains("secret_a"), "{message}");
        }
    }

    #[test]
    fn a_key_file_is_for_its_owner_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "key_alpha:secret_one\n").unwrap();
        let set =
            |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o644);
        assert!(matches!(
            load_keys(Some(file.path())),
            Err(ServerError::KeyFileMode { mode: 0o644, .. })
        ));
        set(0o400);
        assert_eq!(load_keys(Some(file.path())).unwrap().len(), 1);
    }
}
