//! What proves to a venue that an account is ours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Venue;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use p256::pkcs8::LineEnding;
use sha2::{Digest, Sha256};

use crate::error::VenueError;
use crate::secret::{Secret, SecretError};

/// Bytes of a fingerprint.
const FINGERPRINT_BYTES: usize = 8;

/// The keys of one account. Never printed.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Binance: an API key and what signs for it.
    Binance {
        /// Names the account.
        api_key: Secret,
        /// The secret of HMAC-SHA256, or the private key of Ed25519 in PEM.
        secret: Secret,
    },
    /// Coinbase Advanced Trade: a key of the developer platform.
    Coinbase {
        /// `organizations/.../apiKeys/...`.
        key_name: Secret,
        /// An EC private key (P-256) in PEM, or an Ed25519 key as base64 text.
        private_key: Secret,
    },
    /// Coinbase Exchange.
    CoinbaseExchange {
        /// Names the account.
        api_key: Secret,
        /// The secret of HMAC-SHA256, base64.
        secret: Secret,
        /// Chosen when the key was made.
        passphrase: Secret,
    },
    /// Kraken spot.
    Kraken {
        /// Names the account.
        api_key: Secret,
        /// The secret of HMAC-SHA512, base64.
        secret: Secret,
    },
}

/// The environment variables that hold an account's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyNames<'a> {
    /// Holds what names the account.
    pub key: &'a str,
    /// Holds what signs for it.
    pub secret: &'a str,
    /// Holds the passphrase, which only keys of Coinbase Exchange have.
    pub passphrase: Option<&'a str>,
}

impl Credentials {
    /// Reads the keys of a venue from the environment.
    ///
    /// # Errors
    /// [`VenueError::Secret`] when a variable is not set or holds no key, [`VenueError::Setting`] for a venue at which
    /// nobody has an account.
    pub fn from_env(venue: Venue, names: KeyNames<'_>) -> Result<Self, VenueError> {
        Self::read(venue, names, Secret::from_env)
    }

    fn read(
        venue: Venue,
        names: KeyNames<'_>,
        read: impl Fn(&str) -> Result<Secret, SecretError>,
    ) -> Result<Self, VenueError> {
        let key = || read(names.key);
        let secret = || read(names.secret);
        Ok(match (venue, names.passphrase) {
            (Venue::Binance, _) => Self::Binance {
                api_key: key()?,
                secret: secret()?,
            },
            (Venue::Kraken, _) => Self::Kraken {
                api_key: key()?,
                secret: secret()?,
            },
            (Venue::Coinbase, None) => Self::Coinbase {
                key_name: key()?,
                private_key: secret()?,
            },
            (Venue::Coinbase, Some(passphrase)) => Self::CoinbaseExchange {
                api_key: key()?,
                secret: secret()?,
                passphrase: read(passphrase)?,
            },
            (Venue::BinanceUsdm | Venue::IndependentReserve, _) => {
                return Err(VenueError::Setting {
                    setting: "venue.name",
                    problem: format!("{venue}: only its market data is read"),
                });
            }
        })
    }

    /// Whose keys they are.
    #[must_use]
    pub const fn venue(&self) -> Venue {
        match self {
            Self::Binance { .. } => Venue::Binance,
            Self::Coinbase { .. } | Self::CoinbaseExchange { .. } => Venue::Coinbase,
            Self::Kraken { .. } => Venue::Kraken,
        }
    }

    /// Every text of it, to take it out of what is written down.
    #[must_use]
    pub fn exposed(&self) -> Vec<&str> {
        let (name, secret) = match self {
            Self::Binance { api_key, secret }
            | Self::Kraken { api_key, secret }
            | Self::CoinbaseExchange { api_key, secret, .. } => (api_key, secret),
            Self::Coinbase {
                key_name,
                private_key,
            } => (key_name, private_key),
        };
        let mut texts = vec![name.expose(), secret.expose()];
        if let Self::CoinbaseExchange { passphrase, .. } = self {
            texts.push(passphrase.expose());
        }
        texts
    }

    /// The same account's name with another secret of the same form: what it signs is refused. For a test of that.
    ///
    /// # Errors
    /// [`VenueError::Secret`] when no such secret can be made.
    pub fn with_another_secret(&self) -> Result<Self, VenueError> {
        let mut other = self.clone();
        let (Self::Binance { secret, .. }
        | Self::Kraken { secret, .. }
        | Self::CoinbaseExchange { secret, .. }
        | Self::Coinbase {
            private_key: secret, ..
        }) = &mut other;
        *secret = another(self.venue(), secret)?;
        Ok(other)
    }

    /// A name for the key that does not tell it: the same for the same key at the same address, whoever asks.
    #[must_use]
    pub fn fingerprint(&self, address: &str) -> String {
        let key = match self {
            Self::Binance { api_key, .. }
            | Self::CoinbaseExchange { api_key, .. }
            | Self::Kraken { api_key, .. } => api_key,
            Self::Coinbase { key_name, .. } => key_name,
        };
        let mut hash = Sha256::new();
        for part in [self.venue().as_str(), address, key.expose()] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let bytes = hash.finalize();
        bytes
            .iter()
            .take(FINGERPRINT_BYTES)
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    pub(crate) fn are_of_another_venue(&self, venue: Venue) -> VenueError {
        VenueError::Setting {
            setting: "venue.name",
            problem: format!("{venue}: the keys given are those of {}", self.venue()),
        }
    }
}

/// The scalar of a key that signs for nobody.
const NOBODYS_KEY: [u8; 32] = [7; 32];

fn another(venue: Venue, secret: &Secret) -> Result<Secret, VenueError> {
    let text = match (venue, secret.is_pem()) {
        (Venue::Coinbase, true) => {
            let key = p256::SecretKey::from_slice(&NOBODYS_KEY).ok();
            key.and_then(|key| key.to_sec1_pem(LineEnding::LF).ok())
                .map(|pem| pem.to_string())
        }
        (_, true) => {
            let key = ed25519_dalek::SigningKey::from_bytes(&NOBODYS_KEY);
            key.to_pkcs8_pem(LineEnding::LF).ok().map(|pem| pem.to_string())
        }
        (Venue::Coinbase, false) => Some(STANDARD.encode(NOBODYS_KEY)),
        (_, false) => {
            // Still base64 where it was: the first letter is another.
            let mut letters = secret.expose().chars();
            let first = if letters.next() == Some('A') { 'B' } else { 'A' };
            Some(format!("{first}{}", letters.as_str()))
        }
    };
    Ok(Secret::new(text.unwrap_or_default())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(venue: Venue, passphrase: Option<&str>) -> Result<Credentials, VenueError> {
        let names = KeyNames {
            key: "the-key",
            secret: "the-secret",
            passphrase,
        };
        Credentials::read(venue, names, |name| Secret::new(name.to_owned()))
    }

    #[test]
    fn another_secret_has_the_same_form() {
        let secret = |text: &str| Secret::new(text.to_owned()).unwrap();
        for (venue, text) in [(Venue::Binance, "the-secret"), (Venue::Kraken, "QUJDRA==")] {
            let other = another(venue, &secret(text)).unwrap();
            assert_ne!(other.expose(), text);
            assert_eq!(other.expose().get(1..), text.get(1..));
        }
        for venue in [Venue::Binance, Venue::Coinbase] {
            let pem = secret("-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----");
            assert!(another(venue, &pem).unwrap().is_pem());
        }
    }

    #[test]
    fn each_venue_has_keys_of_its_own_and_none_is_printed() {
        for (venue, passphrase) in [
            (Venue::Binance, None),
            (Venue::Kraken, None),
            (Venue::Coinbase, None),
            (Venue::Coinbase, Some("the-passphrase")),
        ] {
            let keys = keys(venue, passphrase).unwrap();
            assert_eq!(keys.venue(), venue);
            let text = format!("{keys:?} {}", keys.are_of_another_venue(Venue::Binance));
            assert!(!text.contains("the-"), "{text}");
        }
        assert!(matches!(
            keys(Venue::Coinbase, Some("the-passphrase")),
            Ok(Credentials::CoinbaseExchange { .. })
        ));
        assert!(keys(Venue::IndependentReserve, None).is_err());
    }
}
