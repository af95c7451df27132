//! `trusted_keys.toml`: whose word counts, for what, and up to which stage.

use std::fmt;

use p256::ecdsa::VerifyingKey;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::BundleError;
use crate::limits::{KEYS_MAX, TRUSTED_KEYS_BYTES_MAX};

/// How much is at stake, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApprovalStage {
    /// Fills are simulated.
    Paper,
    /// Real money, at most 10 % of the target size.
    Live10,
    /// At most 25 %.
    Live25,
    /// At most 50 %.
    Live50,
    /// The target size.
    Live100,
}

impl ApprovalStage {
    /// Every stage, ascending.
    pub const ALL: [Self; 5] = [
        Self::Paper,
        Self::Live10,
        Self::Live25,
        Self::Live50,
        Self::Live100,
    ];

    /// Its name in statements and files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Live10 => "live_10",
            Self::Live25 => "live_25",
            Self::Live50 => "live_50",
            Self::Live100 => "live_100",
        }
    }

    /// The stage of a name as in [`ApprovalStage::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// Largest size scale, in percent.
    pub(crate) const fn percent_max(self) -> i64 {
        match self {
            Self::Live10 => 10,
            Self::Live25 => 25,
            Self::Live50 => 50,
            Self::Paper | Self::Live100 => 100,
        }
    }
}

impl fmt::Display for ApprovalStage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a key is trusted for. One key has one role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRole {
    /// Signs what the pipeline built.
    Builder,
    /// Signs what a person approved.
    Approver,
    /// Commands: runs the service by hand.
    Operator,
    /// Commands: looks.
    Viewer,
    /// Commands: deploys approved bundles.
    Deployer,
    /// Commands: stops.
    Killer,
}

impl KeyRole {
    /// Every role, in a fixed order.
    pub const ALL: [Self; 6] = [
        Self::Builder,
        Self::Approver,
        Self::Operator,
        Self::Viewer,
        Self::Deployer,
        Self::Killer,
    ];

    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Builder => "builder",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Killer => "killer",
        }
    }

    /// The role of a name as in [`KeyRole::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// SHA-256 of a public key's SubjectPublicKeyInfo in DER: the name of the key everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

impl KeyId {
    /// From 64 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        domain::BundleDigest::from_hex(hex).map(|digest| Self(digest.0))
    }

    fn of(key: &VerifyingKey) -> Option<Self> {
        let der = key.to_public_key_der().ok()?;
        Some(Self(Sha256::digest(der.as_bytes()).into()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "key {self}")
    }
}

/// A public key and what it is trusted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    id: KeyId,
    role: KeyRole,
    highest_stage: ApprovalStage,
    public_key_pem: String,
    key: VerifyingKey,
}

impl TrustedKey {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// What it is trusted for.
    #[must_use]
    pub const fn role(&self) -> KeyRole {
        self.role
    }

    /// Up to which stage.
    #[must_use]
    pub const fn highest_stage(&self) -> ApprovalStage {
        self.highest_stage
    }

    /// The key, as the file has it.
    #[must_use]
    pub fn public_key_pem(&self) -> &str {
        &self.public_key_pem
    }

    pub(crate) const fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(default)]
    key: Vec<KeyText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    id: String,
    role: String,
    highest_stage: String,
    public_key_pem: String,
}

/// All trusted keys of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKeys(Vec<TrustedKey>);

impl TrustedKeys {
    /// Reads `trusted_keys.toml`; `file_name` is what messages call it.
    ///
    /// ```
    /// let error = bundle::TrustedKeys::parse("trusted_keys.toml", "[[keys]]\n").unwrap_err();
    /// assert!(error.to_string().contains("unknown field `keys`"));
    /// ```
    ///
    /// # Errors
    /// [`BundleError::TrustedKeys`]: no such TOML, an unknown key, role or stage, no P-256 public key, an id that is
    /// not that of the key, one key twice (it would have two roles), no key at all, or too many.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, BundleError> {
        let refused = |fault: String| BundleError::TrustedKeys {
            name: file_name.to_owned(),
            fault,
        };
        if text.len() > TRUSTED_KEYS_BYTES_MAX {
            let fault = format!(
                "{} bytes; at most {TRUSTED_KEYS_BYTES_MAX} are allowed",
                text.len()
            );
            return Err(refused(fault));
        }
        let file: FileText = toml::from_str(text).map_err(|error| refused(error.to_string()))?;
        if file.key.is_empty() || file.key.len() > KEYS_MAX {
            let fault = format!("{} keys; allowed: 1 to {KEYS_MAX} [[key]] tables", file.key.len());
            return Err(refused(fault));
        }
        let mut keys: Vec<TrustedKey> = Vec::new();
        for (at, entry) in file.key.into_iter().enumerate() {
            let key = trusted(entry).map_err(|fault| refused(format!("key[{at}]: {fault}")))?;
            if let Some(other) = keys.iter().find(|other| other.id == key.id) {
                let fault = format!(
                    "key[{at}]: {} stands here as {} and as {}; one key has one role",
                    key.id, other.role, key.role
                );
                return Err(refused(fault));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// The keys, as the file lists them.
    pub fn iter(&self) -> impl Iterator<Item = &TrustedKey> {
        self.0.iter()
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<&TrustedKey> {
        self.0.iter().find(|key| key.id == id)
    }
}

fn trusted(entry: KeyText) -> Result<TrustedKey, String> {
    let role = KeyRole::from_name(&entry.role).ok_or_else(|| {
        let known = KeyRole::ALL.map(KeyRole::as_str).join(", ");
        format!("role is {:?}; allowed: {known}", entry.role)
    })?;
    let highest_stage = ApprovalStage::from_name(&entry.highest_stage).ok_or_else(|| {
        let known = ApprovalStage::ALL.map(ApprovalStage::as_str).join(", ");
        format!("highest_stage is {:?}; allowed: {known}", entry.highest_stage)
    })?;
    let key = VerifyingKey::from_public_key_pem(&entry.public_key_pem)
        .map_err(|_| "public_key_pem is no P-256 public key in PEM (SubjectPublicKeyInfo)".to_owned())?;
    let id = KeyId::of(&key).ok_or_else(|| "the key has no DER form".to_owned())?;
    if KeyId::from_hex(&entry.id) != Some(id) {
        return Err(format!("id is {:?}; that of the key is {id}", entry.id));
    }
    Ok(TrustedKey {
        id,
        role,
        highest_stage,
        public_key_pem: entry.public_key_pem,
        key,
    })
}
