//! `provenance.json`: what the bundle was made from. Run ids and times are no content and stand beside the bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::error::BundleError;
use crate::limits::PROVENANCE_ENTRIES_MAX;
use crate::manifest::PROVENANCE;

/// What a bundle was made from. Fields in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// SHA-256 of the training set's content, hex.
    pub dataset_id: String,
    /// SHA-256 of `features.json`, hex.
    pub feature_spec_sha256: String,
    /// Commit of the code; `-dirty` behind it when files had changed since; `None` outside a checkout.
    pub git_commit: Option<String>,
    /// SHA-256 of the lock file of the Python environment, hex; `None` where there is none.
    pub lock_sha256: Option<String>,
    /// SHA-256 of every raw file, hex, sorted.
    pub raw_files: Vec<String>,
    /// 1.
    pub schema_version: u32,
    /// Seeds by name.
    pub seeds: BTreeMap<String, u64>,
    /// The tables that were read, sorted by name.
    pub tables: Vec<TableVersion>,
}

/// A table at one of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableVersion {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
}

impl Provenance {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let read: Self = canonical::read(PROVENANCE, bytes)?;
        let refused =
            |key, found: String, allowed: &str| BundleError::not_allowed(PROVENANCE, key, found, allowed);
        if read.schema_version != 1 {
            return Err(refused("schema_version", read.schema_version.to_string(), "1"));
        }
        for (key, count) in [
            ("raw_files", read.raw_files.len()),
            ("seeds", read.seeds.len()),
            ("tables", read.tables.len()),
        ] {
            if count > PROVENANCE_ENTRIES_MAX {
                let allowed = format!("at most {PROVENANCE_ENTRIES_MAX}");
                return Err(refused(key, format!("{count} entries"), &allowed));
            }
        }
        if read.raw_files.is_empty() || read.tables.is_empty() {
            let allowed = "at least one raw file and one table: nothing is made from nothing";
            return Err(refused("raw_files or tables", "empty".to_owned(), allowed));
        }
        for (key, text) in [
            ("dataset_id", Some(&read.dataset_id)),
            ("feature_spec_sha256", Some(&read.feature_spec_sha256)),
            ("lock_sha256", read.lock_sha256.as_ref()),
        ] {
            if text.is_some_and(|text| !canonical::is_sha256_hex(text)) {
                let allowed = "64 lower-case hexadecimal digits";
                return Err(refused(key, format!("{text:?}"), allowed));
            }
        }
        if let Some(text) = read.raw_files.iter().find(|text| !canonical::is_sha256_hex(text)) {
            let allowed = "64 lower-case hexadecimal digits each";
            return Err(refused("raw_files", format!("{text:?}"), allowed));
        }
        Ok(read)
    }
}
