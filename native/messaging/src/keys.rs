//! Keys whose commands are obeyed.

use std::collections::BTreeMap;
use std::fmt;

use p256::ecdsa::VerifyingKey;
use p256::pkcs8::{DecodePublicKey, EncodePublicKey};
use sha2::{Digest, Sha256};

use crate::error::KeyError;
use crate::limits::KEYS_MAX;
use crate::role::Role;

/// SHA-256 of a public key's SubjectPublicKeyInfo in DER: the name of the key everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

impl KeyId {
    /// From 64 lower-case hexadecimal digits; `None` for anything else.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        domain::BundleDigest::from_hex(hex).map(|digest| Self(digest.0))
    }

    pub(crate) fn of(key: &VerifyingKey) -> Option<Self> {
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

/// A public key and what its holder may ask for.
#[derive(Debug, Clone)]
pub struct TrustedKey {
    id: KeyId,
    role: Role,
    key: VerifyingKey,
}

impl TrustedKey {
    /// From the PEM of a P-256 public key.
    ///
    /// # Errors
    /// [`KeyError::NotAPublicKey`] for anything else.
    pub fn from_pem(role: Role, pem: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|_| KeyError::NotAPublicKey)?;
        let id = KeyId::of(&key).ok_or(KeyError::NotAPublicKey)?;
        Ok(Self { id, role, key })
    }

    /// Its name, computed from the key itself: compare it with the one a configuration claims.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// What its holder may ask for.
    pub const fn role(&self) -> Role {
        self.role
    }

    pub(crate) const fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// All trusted keys. One key has one role.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<KeyId, TrustedKey>,
}

impl Keyring {
    /// A ring of these keys.
    ///
    /// # Errors
    /// [`KeyError::Duplicate`] when one key is listed twice, with whatever roles; [`KeyError::TooMany`] above
    /// [`KEYS_MAX`].
    pub fn new(trusted: Vec<TrustedKey>) -> Result<Self, KeyError> {
        if trusted.len() > KEYS_MAX {
            return Err(KeyError::TooMany(trusted.len()));
        }
        let mut keys = BTreeMap::new();
        for key in trusted {
            let id = key.id;
            if keys.insert(id, key).is_some() {
                return Err(KeyError::Duplicate(id));
            }
        }
        Ok(Self { keys })
    }

    pub(crate) fn get(&self, id: KeyId) -> Option<&TrustedKey> {
        self.keys.get(&id)
    }
}
