//! `manifest.json`: the closed list of a bundle's files. Its hash is the bundle's identity.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::error::BundleError;
use crate::limits::{BUNDLE_BYTES_MAX, FILE_BYTES_MAX, NAME_BYTES_MAX};

/// The manifest's own name.
pub(crate) const MANIFEST: &str = "manifest.json";

pub(crate) const FEATURES: &str = "features.json";
pub(crate) const GOLDEN: &str = "golden.bin";
pub(crate) const MODEL: &str = "model.onnx";
pub(crate) const PROVENANCE: &str = "provenance.json";
pub(crate) const GATES: &str = "reports/gates.json";
pub(crate) const RISK_LIMITS: &str = "risk_limits.toml";
pub(crate) const STRATEGY: &str = "strategy.toml";

/// Every file of a bundle, sorted: all of them, and no other.
pub(crate) const LAYOUT: [&str; 10] = [
    FEATURES,
    GOLDEN,
    MODEL,
    PROVENANCE,
    "reports/backtest.json",
    GATES,
    "reports/model_card.md",
    "reports/parity.json",
    RISK_LIMITS,
    STRATEGY,
];

/// The version of the layout.
const SCHEMA_VERSION: u32 = 1;

/// Fields in the order of their names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestText {
    files: Vec<FileText>,
    instrument: String,
    min_engine_version: String,
    name: String,
    schema_version: u32,
    version: String,
}

/// Fields in the order of their names.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    path: String,
    sha256: String,
    size: u64,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Its path in the bundle.
    pub path: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, lower-case hex.
    pub sha256: String,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the bundle; its model bears the same.
    pub name: String,
    /// Version of the bundle; its strategy bears the same.
    pub version: Version,
    /// What it trades: the venue's symbol, such as `BTCUSDT`.
    pub instrument: String,
    /// The oldest build that can run it.
    pub min_engine_version: Version,
    /// Its files, sorted by path.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// Reads canonical bytes.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let text: ManifestText = canonical::read(MANIFEST, bytes)?;
        let refused = |key, found: &str, allowed: &str| {
            BundleError::not_allowed(MANIFEST, key, format!("{found:?}"), allowed)
        };
        if text.schema_version != SCHEMA_VERSION {
            let found = text.schema_version.to_string();
            let allowed = SCHEMA_VERSION.to_string();
            return Err(BundleError::not_allowed(
                MANIFEST,
                "schema_version",
                found,
                allowed,
            ));
        }
        if !is_name(&text.name, |byte| byte.is_ascii_lowercase()) {
            let allowed = format!("1 to {NAME_BYTES_MAX} of a-z, 0-9, _ and -");
            return Err(refused("name", &text.name, &allowed));
        }
        // Venues put a slash or a dash between the two currencies, or nothing.
        if !is_name(&text.instrument, |byte| {
            byte.is_ascii_alphabetic() || byte == b'/'
        }) {
            let allowed = format!("1 to {NAME_BYTES_MAX} letters, digits, _, - and /");
            return Err(refused("instrument", &text.instrument, &allowed));
        }
        let version = |key, text: &str| {
            Version::parse(text).map_err(|_| refused(key, text, "major.minor.patch, such as 1.2.0"))
        };
        let manifest = Self {
            version: version("version", &text.version)?,
            min_engine_version: version("min_engine_version", &text.min_engine_version)?,
            files: entries(text.files)?,
            name: text.name,
            instrument: text.instrument,
        };
        manifest.check_engine()?;
        Ok(manifest)
    }

    fn check_engine(&self) -> Result<(), BundleError> {
        let own = Version::parse(env!("CARGO_PKG_VERSION")).expect("cargo's own version");
        if self.min_engine_version > own {
            let needed = self.min_engine_version.clone();
            return Err(BundleError::EngineTooOld { needed, own });
        }
        Ok(())
    }
}

fn is_name(text: &str, letter: impl Fn(u8) -> bool) -> bool {
    let plain = |byte: u8| letter(byte) || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// Holds the list against the layout: the same paths in the same order.
fn entries(listed: Vec<FileText>) -> Result<Vec<FileEntry>, BundleError> {
    if let Some(file) = listed.iter().find(|file| leads_out(&file.path)) {
        return Err(BundleError::PathTraversal {
            path: file.path.clone(),
        });
    }
    let refused = |fault: String| Err(BundleError::FileList { fault });
    if let Some(file) = listed.iter().find(|file| !LAYOUT.contains(&file.path.as_str())) {
        return refused(format!(
            "lists {:?}, which no bundle has; allowed: {}",
            file.path,
            LAYOUT.join(", ")
        ));
    }
    if let Some(path) = LAYOUT
        .iter()
        .find(|path| !listed.iter().any(|file| file.path == **path))
    {
        return refused(format!("does not list {path}"));
    }
    if listed.len() != LAYOUT.len() || listed.iter().zip(LAYOUT).any(|(file, path)| file.path != path) {
        return refused("files are not each listed once, sorted by path".to_owned());
    }
    let total: u64 = listed.iter().map(|file| file.size.min(BUNDLE_BYTES_MAX)).sum();
    if total > BUNDLE_BYTES_MAX {
        return Err(BundleError::TooLarge {
            name: "the bundle".to_owned(),
            bytes: total,
            limit: BUNDLE_BYTES_MAX,
        });
    }
    listed.into_iter().zip(LAYOUT).map(entry).collect()
}

fn entry((file, path): (FileText, &'static str)) -> Result<FileEntry, BundleError> {
    if file.size > FILE_BYTES_MAX {
        return Err(BundleError::TooLarge {
            name: file.path,
            bytes: file.size,
            limit: FILE_BYTES_MAX,
        });
    }
    if !canonical::is_sha256_hex(&file.sha256) {
        let found = format!("{:?} for {path}", file.sha256);
        let allowed = "64 lower-case hexadecimal digits";
        return Err(BundleError::not_allowed(MANIFEST, "sha256", found, allowed));
    }
    Ok(FileEntry {
        path,
        size: file.size,
        sha256: file.sha256,
    })
}

fn leads_out(path: &str) -> bool {
    path.starts_with('/')
        || path.contains(['\\', '\0'])
        || path.split('/').any(|part| matches!(part, "" | "." | ".."))
}
