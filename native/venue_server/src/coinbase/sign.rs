//! Who sends a request: a token signed with ES256, new for each request, good for two minutes.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use domain::Nanos;
use p256::SecretKey;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey, DecodePublicKey};
use serde::Deserialize;

use crate::clock::VenueClock;
use crate::keys::ApiKey;

/// Longest life of a token.
const LIFE_MAX_S: i64 = 120;
/// How far ahead of the venue's clock a token may begin, wall time.
const LEEWAY: Nanos = Nanos::from_secs(5);

/// The keys that tokens are checked with, by their names.
#[derive(Debug, Default)]
pub(crate) struct Desk(BTreeMap<String, VerifyingKey>);

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: String,
}

#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    nbf: i64,
    exp: i64,
    uri: Option<String>,
}

impl Desk {
    /// The public keys of accounts whose secrets are private keys (`EC PRIVATE KEY` or `PRIVATE KEY`) or public ones, as
    /// PEM, its line ends as `\n` where it was given in one line; the index of the first that is none otherwise.
    pub(crate) fn new(keys: &[ApiKey]) -> Result<Self, usize> {
        let read = |(index, key): (usize, &ApiKey)| {
            let verifying = verifying_key(&key.secret).ok_or(index)?;
            Ok((key.key.clone(), verifying))
        };
        keys.iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The account of a token for `request` (`GET /api/v3/...`; `None` on a socket) at venue time `now`.
    pub(super) fn account_of(
        &self,
        accounts: &[crate::account::Account],
        token: &str,
        request: Option<(&str, &str)>,
        now: domain::Timestamp,
        clock: &VenueClock,
    ) -> Option<usize> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        let claims: Claims = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
        let (account, key) = crate::account::Account::find(accounts, &header.kid)?;
        let signature = Signature::from_slice(&BASE64.decode(signature).ok()?).ok()?;
        self.0.get(&key.key)?.verify(signed.as_bytes(), &signature).ok()?;
        let life = claims.exp.checked_sub(claims.nbf)?;
        let named = header.alg == "ES256" && claims.sub == header.kid && (1..=LIFE_MAX_S).contains(&life);
        // Clients are pointed here with other hosts than the venue's: the method and the path count.
        let meant = match (request, &claims.uri) {
            (None, _) => true,
            (Some((method, path)), Some(uri)) => {
                uri.strip_prefix(method).is_some_and(|rest| rest.starts_with(' ')) && uri.ends_with(path)
            }
            (Some(_), None) => false,
        };
        (named && meant && is_current(claims.nbf, life, now, clock)).then_some(account)
    }
}

/// Whether a token is good at `now`: its life bounds a way through the network, which runs in wall time.
fn is_current(begins_s: i64, life_s: i64, now: domain::Timestamp, clock: &VenueClock) -> bool {
    let to_venue = |wall: Nanos| clock.to_venue(std::time::Duration::from_nanos(wall.0.unsigned_abs()));
    let Some(begins) = begins_s
        .checked_mul(1_000_000_000)
        .map(domain::Timestamp::from_nanos)
    else {
        return false;
    };
    begins <= now.plus(to_venue(LEEWAY)) && now <= begins.plus(to_venue(Nanos::from_secs(life_s)))
}

fn verifying_key(secret: &str) -> Option<VerifyingKey> {
    let pem = secret.replace("\\n", "\n");
    let private = SecretKey::from_sec1_pem(&pem)
        .or_else(|_| SecretKey::from_pkcs8_pem(&pem).map_err(|_| p256::elliptic_curve::Error));
    match private {
        Ok(private) => Some(VerifyingKey::from(private.public_key())),
        Err(_) => VerifyingKey::from_public_key_pem(&pem).ok(),
    }
}
