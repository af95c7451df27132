//! Keys: read from the environment or a file only its owner can read, never printed, overwritten on drop.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

/// Longest key accepted, bytes.
const SECRET_BYTES_MAX: u64 = 8_192;

/// The one file mode accepted: readable by its owner and nobody else.
const SECRET_FILE_MODE: u32 = 0o400;

/// How a key in PEM begins.
const PEM_BEGIN: &str = "-----BEGIN ";

/// Why a key could not be read. Never holds the key.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The environment variable is not set, or not text.
    #[error("environment variable {0} is not set: export it")]
    Environment(String),
    /// The file cannot be read.
    #[error("secret file {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others could read or change the file.
    #[error("secret file {path} has mode {mode:04o}: run `chmod 0400` on it")]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Empty, too long, or with bytes that no key has.
    #[error("{0}: a key is 1 to {SECRET_BYTES_MAX} printable ASCII bytes")]
    Content(String),
    /// Not a key in PEM.
    #[error(
        "{0}: a private key in PEM begins with -----BEGIN and ends with -----, at most {SECRET_BYTES_MAX} bytes"
    )]
    Pem(String),
}

/// A key or a password.
///
/// ```
/// let secret = venues::Secret::new("s3cret".to_owned()).unwrap();
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Holds `text`, with whitespace at its ends removed; a private key in PEM as [`Self::pem`] takes it.
    ///
    /// # Errors
    /// [`SecretError`] when it is empty, too long or not printable ASCII.
    pub fn new(text: String) -> Result<Self, SecretError> {
        Self::checked(&Zeroizing::new(text), || "secret".to_owned())
    }

    /// Reads an environment variable.
    ///
    /// # Errors
    /// [`SecretError`] when it is not set or does not hold a key.
    pub fn from_env(name: &str) -> Result<Self, SecretError> {
        let text = std::env::var(name).map_err(|_| SecretError::Environment(name.to_owned()))?;
        Self::checked(&Zeroizing::new(text), || format!("environment variable {name}"))
    }

    /// Holds a private key in PEM. Where a variable cannot hold line ends, `\n` stands for each.
    ///
    /// # Errors
    /// [`SecretError::Pem`] when it is not one by its frame.
    pub fn pem(text: String) -> Result<Self, SecretError> {
        Self::checked_pem(&Zeroizing::new(text), || "secret".to_owned())
    }

    /// Whether it is a key in PEM, and not a plain one.
    pub(crate) fn is_pem(&self) -> bool {
        self.0.starts_with(PEM_BEGIN)
    }

    /// Reads a file with mode 0400.
    ///
    /// # Errors
    /// [`SecretError`] when it cannot be read, has another mode, or does not hold a key.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let file = |source| SecretError::File {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::metadata(path).map_err(file)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode != SECRET_FILE_MODE {
            return Err(SecretError::Mode {
                path: path.to_owned(),
                mode,
            });
        }
        let origin = || format!("secret file {}", path.display());
        if metadata.len() > SECRET_BYTES_MAX {
            return Err(SecretError::Content(origin()));
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(file)?);
        Self::checked(&text, origin)
    }

    fn checked(text: &Zeroizing<String>, origin: impl Fn() -> String) -> Result<Self, SecretError> {
        let trimmed = text.trim();
        if trimmed.starts_with(PEM_BEGIN) {
            return Self::checked_pem(text, origin);
        }
        let fits = !trimmed.is_empty() && trimmed.len() as u64 <= SECRET_BYTES_MAX;
        if !fits || !trimmed.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SecretError::Content(origin()));
        }
        Ok(Self(Zeroizing::new(trimmed.to_owned())))
    }

    fn checked_pem(text: &Zeroizing<String>, origin: impl Fn() -> String) -> Result<Self, SecretError> {
        let lines = Zeroizing::new(text.replace("\\n", "\n"));
        let trimmed = lines.trim();
        let is_framed = trimmed.starts_with(PEM_BEGIN) && trimmed.ends_with("-----");
        let is_text = trimmed
            .bytes()
            .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
        if !is_framed || !is_text || trimmed.len() as u64 > SECRET_BYTES_MAX {
            return Err(SecretError::Pem(origin()));
        }
        Ok(Self(Zeroizing::new(trimmed.to_owned())))
    }

    /// The key itself. Keep it out of logs, errors and `Debug`.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(mode: u32, content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    #[test]
    fn reads_a_file_that_only_its_owner_reads() {
        let (_folder, path) = file_with(0o400, "abc123\n");
        assert_eq!(Secret::from_file(&path).unwrap().expose(), "abc123");
    }

    #[test]
    fn refuses_a_file_that_others_could_read() {
        for mode in [0o600, 0o440, 0o644] {
            let (_folder, path) = file_with(mode, "abc123");
            let error = Secret::from_file(&path).unwrap_err();
            assert!(matches!(error, SecretError::Mode { mode: found, .. } if found == mode));
            assert!(!error.to_string().contains("abc123"));
        }
    }

    #[test]
    fn refuses_what_is_not_a_key() {
        for text in ["", "  \n", "two words"] {
            assert!(matches!(
                Secret::new(text.to_owned()),
                Err(SecretError::Content(_))
            ));
        }
        assert!(matches!(
            Secret::from_env("PY_RT_NO_SUCH_SECRET"),
            Err(SecretError::Environment(_))
        ));
    }

    #[test]
    fn a_key_in_pem_keeps_its_lines_also_where_they_are_written_as_escapes() {
        let text = "-----BEGIN EC PRIVATE KEY-----\nQUJD\n-----END EC PRIVATE KEY-----";
        for written in [text.to_owned(), format!("{text}\n"), text.replace('\n', "\\n")] {
            assert_eq!(Secret::pem(written.clone()).unwrap().expose(), text);
            assert!(Secret::new(written).unwrap().is_pem());
        }
        for refused in [
            "QUJD",
            "-----BEGIN EC PRIVATE KEY-----\nQUJD",
            "-----BEGIN \u{e9}-----",
        ] {
            let error = Secret::pem(refused.to_owned()).unwrap_err();
            assert!(matches!(error, SecretError::Pem(_)));
            assert!(!error.to_string().contains("QUJD"));
        }
    }

    #[test]
    fn is_never_printed() {
        let secret = Secret::new("abc123".to_owned()).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
    }
}
