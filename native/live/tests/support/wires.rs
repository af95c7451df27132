//! The wires that a service can trade over, each as the simulated venue serves it.

use config::GatewayChoice;
use p256::pkcs8::LineEnding;
use venue_server::{ApiKey, VenueKind};
use venues::{Credentials, Secret};

use super::venue::{API_KEY, API_SECRET};

/// Base64, as the venue hands it out.
const KRAKEN_SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A venue by its wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Binance,
    Kraken,
    Coinbase,
}

impl Wire {
    pub(crate) const fn kind(self) -> VenueKind {
        match self {
            Self::Binance => VenueKind::Binance,
            Self::Kraken => VenueKind::Kraken,
            Self::Coinbase => VenueKind::Coinbase,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::Kraken => "kraken",
            Self::Coinbase => "coinbase",
        }
    }

    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Binance => "BTCUSDT",
            Self::Kraken => "BTC/USD",
            Self::Coinbase => "BTC-USD",
        }
    }

    pub(crate) const fn currency(self) -> &'static str {
        match self {
            Self::Binance => "USDT",
            Self::Kraken | Self::Coinbase => "USD",
        }
    }

    /// `[venue]`'s addresses.
    pub(crate) fn addresses(self, port: u16) -> String {
        let (market, account) = match self {
            Self::Binance => ("", "/ws-api/v3"),
            Self::Kraken => ("/v2", "/v2"),
            Self::Coinbase => ("", ""),
        };
        format!(
            "rest_url = \"http://127.0.0.1:{port}\"\nws_url = \"ws://127.0.0.1:{port}{market}\"\n\
             ws_api_url = \"ws://127.0.0.1:{port}{account}\""
        )
    }

    /// A table of `[[watch]]`.
    pub(crate) fn watched(self, port: u16, symbol: &str) -> String {
        let addresses = self.addresses(port);
        let public: Vec<_> = addresses
            .lines()
            .filter(|line| !line.starts_with("ws_api_url"))
            .collect();
        let (name, addresses) = (self.name(), public.join("\n"));
        format!("[[watch]]\nvenue = \"{name}\"\ninstruments = [\"{symbol}\"]\n{addresses}\n")
    }

    fn key_and_secret(self) -> (&'static str, String) {
        match self {
            Self::Binance => (API_KEY, API_SECRET.to_owned()),
            Self::Kraken => (API_KEY, KRAKEN_SECRET.to_owned()),
            Self::Coinbase => ("organizations/0f/apiKeys/1e", private_key(7)),
        }
    }

    /// The account's key, as the venue has it.
    pub(crate) fn key(self) -> ApiKey {
        let (key, secret) = self.key_and_secret();
        ApiKey::new(key, &secret)
    }

    /// The same as the service has it; none for orders that stay in the service, as the command does.
    pub(crate) fn credentials(self, gateway: GatewayChoice) -> Option<Credentials> {
        (gateway == GatewayChoice::Venue).then(|| self.signing_with(self.key_and_secret().1))
    }

    /// The account's key with a secret that is not its own.
    pub(crate) fn stranger(self) -> Credentials {
        self.signing_with(match self {
            Self::Binance => "another_secret".to_owned(),
            Self::Kraken => "ICECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned(),
            Self::Coinbase => private_key(9),
        })
    }

    fn signing_with(self, secret: String) -> Credentials {
        let plain = |text: &str| Secret::new(text.to_owned()).unwrap();
        let key = plain(self.key_and_secret().0);
        match self {
            Self::Binance => Credentials::Binance {
                api_key: key,
                secret: plain(&secret),
            },
            Self::Kraken => Credentials::Kraken {
                api_key: key,
                secret: plain(&secret),
            },
            Self::Coinbase => Credentials::Coinbase {
                key_name: key,
                private_key: Secret::pem(secret).unwrap(),
            },
        }
    }
}

/// A P-256 key in the venue's form.
fn private_key(seed: u8) -> String {
    let key = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
    key.to_sec1_pem(LineEnding::LF).unwrap().to_string()
}
