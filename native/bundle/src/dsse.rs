//! Signed statements: DSSE envelopes (<https://github.com/secure-systems-lab/dsse>) with one ECDSA P-256 signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Verifier;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::error::BundleError;
use crate::keys::{KeyId, KeyRole, TrustedKey, TrustedKeys};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeText {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<SignatureText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureText {
    keyid: String,
    sig: String,
}

/// An envelope whose signature is not checked yet: nothing of the payload may be used before [`Envelope::verified`].
pub(crate) struct Envelope {
    name: String,
    role: KeyRole,
    payload_type: &'static str,
    payload: Vec<u8>,
    key: KeyId,
    signature: Signature,
}

impl Envelope {
    /// Reads the statement of a role.
    pub(crate) fn read(
        name: &str,
        bytes: &[u8],
        role: KeyRole,
        payload_type: &'static str,
    ) -> Result<Self, BundleError> {
        let refused = |fault: String| BundleError::Envelope {
            name: name.to_owned(),
            fault,
        };
        let text: EnvelopeText = canonical::read(name, bytes)?;
        if text.payload_type != payload_type {
            let fault = format!("payloadType is {:?}; allowed: {payload_type}", text.payload_type);
            return Err(refused(fault));
        }
        let [signature] = text.signatures.as_slice() else {
            return Err(refused(format!(
                "{} signatures; allowed: one",
                text.signatures.len()
            )));
        };
        let decoded = |field: &str, text: &str| {
            STANDARD
                .decode(text)
                .map_err(|error| refused(format!("{field} is not base64: {error}")))
        };
        let der = decoded("sig", &signature.sig)?;
        Ok(Self {
            name: name.to_owned(),
            role,
            payload_type,
            payload: decoded("payload", &text.payload)?,
            key: KeyId::from_hex(&signature.keyid)
                .ok_or_else(|| refused("keyid is not 64 lower-case hexadecimal digits".to_owned()))?,
            signature: Signature::from_der(&der)
                .map_err(|_| refused("sig is not an ECDSA signature in DER".to_owned()))?,
        })
    }

    /// The key that the envelope names; a claim until [`Envelope::verified`].
    pub(crate) const fn key(&self) -> KeyId {
        self.key
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The payload and the key that signed it, if that key is trusted for the role.
    pub(crate) fn verified<'k>(&self, keys: &'k TrustedKeys) -> Result<(&[u8], &'k TrustedKey), BundleError> {
        let (role, key) = (self.role, self.key);
        let trusted = keys.get(key).ok_or(BundleError::UnknownKey { role, key })?;
        if trusted.role() != role {
            let found = trusted.role();
            return Err(BundleError::WrongRole { role, key, found });
        }
        trusted
            .verifying_key()
            .verify(&signed_bytes(self.payload_type, &self.payload), &self.signature)
            .map_err(|_| BundleError::BadSignature { role, key })?;
        Ok((&self.payload, trusted))
    }
}

/// DSSE's pre-authentication encoding: type and payload with their lengths, so that neither can pass for the other.
fn signed_bytes(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_bytes_are_those_of_the_protocol() {
        // The example of the protocol's own text.
        assert_eq!(
            signed_bytes("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
