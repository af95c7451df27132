//! Signatures of Advanced Trade: a token for each request (JSON Web Token, RFC 7519), and of Exchange: headers.
//!
//! A token names the key and the request's method and path, not its body: it can be signed before the body is known, so
//! that no signing stands between a decision and the socket (see [`super::tokens`]). From the venue's documentation
//! ("Authentication", "Generating a JWT", 2026-08); never seen live.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Signer as _;
use rustls::crypto::SecureRandom;
use serde::Serialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::settings::{Credentials, Settings};
use crate::error::VenueError;
use crate::secret::Secret;

/// Bytes of randomness that tell one token from the next.
const NONCE_BYTES: usize = 16;

/// An Ed25519 key comes as its 32 secret bytes, or with the 32 public ones behind them.
const ED25519_SECRET_BYTES: usize = 32;

/// Who issues tokens, by the venue's rule.
const ISSUER: &str = "cdp";

/// Who takes the tokens of Ed25519 keys, by the venue's rule.
const ED25519_AUDIENCE: &str = "cdp_service";

/// A signed token, and until when it counts. Whoever has it may do what it names: it is never printed.
pub(super) struct Token {
    text: Zeroizing<String>,
    /// Service time at which it was signed.
    pub(super) issued: Timestamp,
}

impl Token {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(redacted)")
    }
}

/// The private key; both kinds are wiped when they are dropped.
enum Key {
    Es256(Box<p256::ecdsa::SigningKey>),
    EdDsa(Box<ed25519_dalek::SigningKey>),
}

impl Key {
    /// Reads a key as the venue hands it out.
    fn parse(secret: &Secret) -> Option<Self> {
        if secret.is_pem() {
            let key = p256::SecretKey::from_pem(secret.expose()).ok()?;
            return Some(Self::Es256(Box::new(key.into())));
        }
        let bytes = Zeroizing::new(STANDARD.decode(secret.expose()).ok()?);
        let seed: &[u8; ED25519_SECRET_BYTES] = bytes.first_chunk()?;
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = &bytes[ED25519_SECRET_BYTES..];
        let is_whole = public.is_empty() || public == key.verifying_key().as_bytes();
        is_whole.then(|| Self::EdDsa(Box::new(key)))
    }

    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        match self {
            Self::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().into()
            }
            Self::EdDsa(key) => key.sign(message).to_bytes(),
        }
    }
}

/// The first part of a token.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    nonce: &'a str,
    typ: &'static str,
}

/// The second part of a token. Times are seconds since 1970.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'static str,
    nbf: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<[&'static str; 1]>,
    // One word for keys of the older kind, a list for those of the newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uris: Option<[&'a str; 1]>,
}

/// Signs tokens of one key.
pub(super) struct TokenSigner {
    key: Key,
    key_name: Secret,
    /// Host and port as they stand in requests.
    host: String,
    lifetime_s: i64,
    random: &'static dyn SecureRandom,
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("TokenSigner(redacted)")
    }
}

impl TokenSigner {
    /// # Errors
    /// [`VenueError::Setting`] when the private key is neither kind. Nothing of it stands in the error.
    pub(super) fn new(credentials: &Credentials, settings: &Settings) -> Result<Self, VenueError> {
        let key = Key::parse(&credentials.private_key).ok_or_else(|| VenueError::Setting {
            setting: "private_key",
            problem: "neither the PEM of an EC key on P-256 nor the base64 text of an Ed25519 key".to_owned(),
        })?;
        let rest = settings.endpoints.rest.trim_end_matches('/');
        let host = rest.split_once("://").map_or(rest, |(_, host)| host);
        Ok(Self {
            key,
            key_name: credentials.key_name.clone(),
            host: host.to_owned(),
            lifetime_s: settings.token_lifetime.0 / 1_000_000_000,
            random: rustls::crypto::ring::default_provider().secure_random,
        })
    }

    /// A token for one request over REST, its query not included.
    pub(super) fn for_request(&self, method: &str, path: &str, now: Timestamp) -> Result<Token, VenueError> {
        let uri = format!("{method} {}{path}", self.host);
        self.token(Some(&uri), now)
    }

    /// A token to subscribe with.
    pub(super) fn for_stream(&self, now: Timestamp) -> Result<Token, VenueError> {
        self.token(None, now)
    }

    fn token(&self, uri: Option<&str>, now: Timestamp) -> Result<Token, VenueError> {
        let is_newer = matches!(self.key, Key::EdDsa(_));
        let nonce = self.nonce()?;
        let nbf = now.millis().div_euclid(1_000);
        let header = Header {
            alg: self.key.algorithm(),
            kid: self.key_name.expose(),
            nonce: &nonce,
            typ: "JWT",
        };
        let claims = Claims {
            sub: self.key_name.expose(),
            iss: ISSUER,
            nbf,
            exp: nbf.saturating_add(self.lifetime_s),
            aud: is_newer.then_some([ED25519_AUDIENCE]),
            uri: uri.filter(|_| !is_newer),
            uris: uri.filter(|_| is_newer).map(|uri| [uri]),
        };
        let mut text = Zeroizing::new(String::with_capacity(1_024));
        push_part(&header, &mut text)?;
        text.push('.');
        push_part(&claims, &mut text)?;
        let signature = self.key.sign(text.as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(Token { text, issued: now })
    }

    /// Hexadecimal digits that no other token bears.
    fn nonce(&self) -> Result<String, VenueError> {
        let mut bytes = [0; NONCE_BYTES];
        self.random.fill(&mut bytes).map_err(|_| VenueError::Setting {
            setting: "private_key",
            problem: "the system has no randomness to sign with".to_owned(),
        })?;
        Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
    }
}

fn push_part(part: &impl Serialize, text: &mut String) -> Result<(), VenueError> {
    let json = serde_json::to_vec(part).map_err(|error| VenueError::Malformed {
        what: "token",
        source: error.into(),
    })?;
    URL_SAFE_NO_PAD.encode_string(json, text);
    Ok(())
}

/// Key, secret and passphrase of Coinbase Exchange.
#[derive(Debug, Clone)]
pub struct ExchangeCredentials {
    key: Secret,
    secret: Secret,
    passphrase: Secret,
}

impl ExchangeCredentials {
    /// From the three texts the venue has for each key; the secret is base64.
    #[must_use]
    pub const fn new(key: Secret, secret: Secret, passphrase: Secret) -> Self {
        Self {
            key,
            secret,
            passphrase,
        }
    }
}

/// Signs requests of Coinbase Exchange (its documentation, "REST API Authentication", 2026-08; never seen live).
#[derive(Clone)]
pub struct ExchangeSigner {
    prepared: Hmac<Sha256>,
    credentials: ExchangeCredentials,
}

impl fmt::Debug for ExchangeSigner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ExchangeSigner(redacted)")
    }
}

impl ExchangeSigner {
    /// # Errors
    /// [`VenueError::Setting`] when the secret is not base64.
    pub fn new(credentials: &ExchangeCredentials) -> Result<Self, VenueError> {
        let fault = || VenueError::Setting {
            setting: "secret",
            problem: "not base64 text".to_owned(),
        };
        let secret = Zeroizing::new(
            STANDARD
                .decode(credentials.secret.expose())
                .map_err(|_| fault())?,
        );
        let prepared = Hmac::<Sha256>::new_from_slice(&secret).map_err(|_| fault())?;
        Ok(Self {
            prepared,
            credentials: credentials.clone(),
        })
    }

    /// The four headers of a request: name and value. `path` holds the query, `body` is empty where there is none.
    #[must_use]
    pub fn headers(
        &self,
        ts: Timestamp,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> [(&'static str, String); 4] {
        let seconds = ts.millis().div_euclid(1_000).to_string();
        let mut mac = self.prepared.clone();
        for part in [seconds.as_bytes(), method.as_bytes(), path.as_bytes(), body] {
            mac.update(part);
        }
        [
            ("CB-ACCESS-KEY", self.credentials.key.expose().to_owned()),
            ("CB-ACCESS-SIGN", STANDARD.encode(mac.finalize().into_bytes())),
            ("CB-ACCESS-TIMESTAMP", seconds),
            (
                "CB-ACCESS-PASSPHRASE",
                self.credentials.passphrase.expose().to_owned(),
            ),
        ]
    }
}

#[cfg(test)]
pub(super) mod tests;
