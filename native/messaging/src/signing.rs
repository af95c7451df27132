//! What a signature is over, and the signing half.

use domain::Timestamp;
use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;

use crate::command::{Command, CommandId};
use crate::error::KeyError;
use crate::keys::{KeyId, TrustedKey};
use crate::protocol::{SignedParts, encode_command, encode_signed};

/// First bytes of everything that is signed, so that a signature made for anything else is never a command.
const DOMAIN: &[u8] = b"py_rt.command.v1\0";

/// The bytes under the signature; each part whose length varies says it first.
pub(crate) fn signed_bytes(parts: &SignedParts) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DOMAIN.len() + 64 + parts.instance.len() + parts.body.len());
    bytes.extend_from_slice(DOMAIN);
    put_sized(&mut bytes, &parts.key_id.0);
    bytes.extend_from_slice(&parts.counter.to_le_bytes());
    bytes.extend_from_slice(&parts.expires.to_le_bytes());
    put_sized(&mut bytes, parts.instance.as_bytes());
    put_sized(&mut bytes, &parts.body);
    bytes
}

fn put_sized(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("a command is at most 64 KiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(part);
}

/// Whether `key` made `parts.signature` over `content`.
pub(crate) fn is_signed_by(key: &TrustedKey, content: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature)
        .is_ok_and(|signature| key.verifying_key().verify(content, &signature).is_ok())
}

/// A private key that signs commands. Its bytes are wiped when it is dropped, and no text shows them.
pub struct CommandSigner {
    key: SigningKey,
    id: KeyId,
}

impl CommandSigner {
    /// From the PKCS #8 PEM of a P-256 private key.
    ///
    /// # Errors
    /// [`KeyError::NotAPrivateKey`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| KeyError::NotAPrivateKey)?;
        let id = KeyId::of(key.verifying_key()).ok_or(KeyError::NotAPrivateKey)?;
        Ok(Self { key, id })
    }

    /// The key's name.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The bytes to send.
    #[must_use]
    pub fn sign(
        &self,
        instance: &str,
        counter: u64,
        expires: Timestamp,
        id: &CommandId,
        command: &Command,
    ) -> Vec<u8> {
        let mut parts = SignedParts {
            body: encode_command(id, command),
            key_id: self.id,
            counter,
            expires: expires.nanos(),
            instance: instance.to_owned(),
            signature: Vec::new(),
        };
        let signature: Signature = self.key.sign(&signed_bytes(&parts));
        parts.signature = signature.to_bytes().to_vec();
        encode_signed(parts)
    }
}

impl std::fmt::Debug for CommandSigner {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "CommandSigner({})", self.id)
    }
}
