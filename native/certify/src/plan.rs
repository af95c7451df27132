//! What is to be toured, and how much it may cost.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{ServiceConfig, VenueConfig};
use domain::{Decimal, Nanos, Venue};
use serde::Serialize;
use venues::{ConnectorSettings, Credentials, Endpoints, KeyNames, OrderEntry, Overhearing};

use crate::certificate::{Addresses, Network};
use crate::error::CertifyError;
use crate::wire::Wire;
use crate::words::Redaction;

/// How far the answers of a venue on this machine may lag behind its engine, wall time.
const LOOPBACK_STALENESS: Nanos = Nanos::from_millis(250);

/// Names of Binance's REST beside the usual one, with the same accounts behind them.
const BINANCE_ALSO: [&str; 5] = [
    "api-gcp.binance.com",
    "api1.binance.com",
    "api2.binance.com",
    "api3.binance.com",
    "api4.binance.com",
];

/// Everything that a tour needs.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) venue: VenueConfig,
    pub(crate) endpoints: Endpoints,
    pub(crate) network: Network,
    pub(crate) credentials: Credentials,
    pub(crate) redaction: Redaction,
    pub(crate) wire: Wire,
    pub(crate) symbol: String,
    pub(crate) bar_span: Nanos,
    /// Fixed rate of a simulated venue's time; `None`: measured.
    pub(crate) compression: Option<Decimal>,
    /// Largest distance to the clock of a real venue.
    pub(crate) offset_max: Nanos,
    /// Whether one order is meant to trade.
    pub(crate) trades: bool,
    /// Most that one order may cost, in the quote currency.
    pub(crate) max_notional: Decimal,
    /// Longest that one step may take, wall time.
    pub(crate) patience: Duration,
}

/// What the command line asks for beside the service's file.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) network: Option<Network>,
    pub(crate) symbol: Option<String>,
    pub(crate) trades: bool,
    pub(crate) max_notional: Decimal,
    pub(crate) patience: Duration,
}

/// What is asked for and where it goes, before keys are read.
#[derive(Debug)]
pub(crate) struct Bound<'c> {
    config: &'c ServiceConfig,
    asked: Asked,
    symbol: String,
    endpoints: Endpoints,
    network: Network,
}

/// Where a tour would go.
#[derive(Debug, Serialize)]
pub(crate) struct Place<'b> {
    venue: &'static str,
    symbol: &'b str,
    network: Network,
    rest: &'b str,
}

impl<'c> Bound<'c> {
    /// Judges what is asked for; nothing is sent.
    pub(crate) fn of(config: &'c ServiceConfig, asked: Asked) -> Result<Self, CertifyError> {
        let (endpoints, network) = doors(&config.venue, asked.network)?;
        let symbol = match (&asked.symbol, config.instruments.first()) {
            (Some(symbol), _) => symbol.clone(),
            (None, Some(first)) => first.symbol.clone(),
            (None, None) => return Err(wrong("--symbol", "the service's file has no [[instrument]]")),
        };
        Ok(Self {
            config,
            asked,
            symbol,
            endpoints,
            network,
        })
    }

    pub(crate) fn place(&self) -> Place<'_> {
        Place {
            venue: self.config.venue.venue.as_str(),
            symbol: &self.symbol,
            network: self.network,
            rest: &self.endpoints.rest,
        }
    }

    /// With the keys, and only with consent where the venue is real.
    pub(crate) fn plan(self, consent: Option<&str>) -> Result<Plan, CertifyError> {
        let is_loopback = self.network == Network::Loopback;
        // The address, too: what was agreed to may have been another file's.
        if !is_loopback && consent != Some(&self.endpoints.rest) {
            return Err(CertifyError::NoConsent {
                address: self.endpoints.rest,
            });
        }
        let venue = self.config.venue.clone();
        let (credentials, redaction) = keys(&venue)?;
        let wire = Wire::of(venue.venue, redaction.clone()).map_err(CertifyError::Defect)?;
        Ok(Plan {
            venue,
            endpoints: self.endpoints,
            network: self.network,
            credentials,
            redaction,
            wire,
            symbol: self.symbol,
            bar_span: self.config.engine.bar_span,
            compression: self.config.clock.compression.filter(|_| is_loopback),
            offset_max: self.config.clock.offset_max,
            trades: self.asked.trades,
            max_notional: self.asked.max_notional,
            patience: self.asked.patience,
        })
    }
}

impl Plan {
    pub(crate) const fn is_loopback(&self) -> bool {
        matches!(self.network, Network::Loopback)
    }

    /// A session's settings, with orders by this door.
    pub(crate) fn settings(&self, order_entry: OrderEntry) -> ConnectorSettings {
        let mut settings = ConnectorSettings::new(self.venue.venue, self.endpoints.clone());
        settings.recv_window = self.venue.recv_window;
        settings.order_entry = order_entry;
        settings.overhearing = Overhearing::by(Arc::new(self.wire.clone()));
        if self.is_loopback() {
            settings.read_staleness = LOOPBACK_STALENESS;
        }
        settings
    }

    pub(crate) fn addresses(&self) -> Addresses {
        Addresses {
            rest: self.endpoints.rest.clone(),
            market: self.endpoints.market.clone(),
            account: self.endpoints.account.clone(),
        }
    }
}

fn wrong(option: &'static str, problem: impl Into<String>) -> CertifyError {
    CertifyError::Option {
        option,
        problem: problem.into(),
    }
}

/// The doors, and whose they are.
fn doors(venue: &VenueConfig, asked: Option<Network>) -> Result<(Endpoints, Network), CertifyError> {
    let none = |option, what: &str| wrong(option, format!("{} has no {what} that takes orders", venue.venue));
    match asked {
        Some(Network::Production) => {
            let doors = Endpoints::production(venue.venue).ok_or_else(|| none("--production", "address"))?;
            Ok((doors, Network::Production))
        }
        Some(Network::Testnet) => {
            let doors = Endpoints::testnet(venue.venue).ok_or_else(|| none("--testnet", "test network"))?;
            Ok((doors, Network::Testnet))
        }
        Some(Network::Loopback | Network::Elsewhere) | None => {
            let doors = Endpoints {
                rest: venue.rest_url.clone(),
                market: venue.ws_url.clone(),
                account: venue.ws_api_url.clone(),
            };
            let network = network_of(venue.venue, &doors);
            Ok((doors, network))
        }
    }
}

/// Whose doors these are. The venue itself is known by its name and by TLS, which proves the name.
fn network_of(venue: Venue, doors: &Endpoints) -> Network {
    let all = [&doors.rest, &doors.market, &doors.account];
    if all.into_iter().all(|url| is_loopback(url)) {
        Network::Loopback
    } else if Endpoints::testnet(venue).as_ref() == Some(doors) {
        Network::Testnet
    } else if all.into_iter().all(|url| is_of(venue, url)) {
        Network::Production
    } else {
        Network::Elsewhere
    }
}

/// Whether real money stands behind it for sure: one of the venue's known doors, over TLS. Play money and canned answers
/// have names below the venue's own as well.
fn is_of(venue: Venue, url: &str) -> bool {
    let Some(doors) = Endpoints::production(venue) else {
        return false;
    };
    let also: &[&str] = match venue {
        Venue::Binance => &BINANCE_ALSO,
        _ => &[],
    };
    let is_tls = url.starts_with("https://") || url.starts_with("wss://");
    let name = host(url);
    let mut known = [&doors.rest, &doors.market, &doors.account].into_iter();
    is_tls && (known.any(|door| host(door) == name) || also.contains(&name))
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    match place.rsplit_once(':') {
        Some((host, _)) if !place.ends_with(']') => host,
        _ => place,
    }
}

fn is_loopback(url: &str) -> bool {
    let host = host(url);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

fn keys(venue: &VenueConfig) -> Result<(Credentials, Redaction), CertifyError> {
    let names = KeyNames {
        key: &venue.api_key_env,
        secret: &venue.api_secret_env,
        passphrase: venue.api_passphrase_env.as_deref(),
    };
    let credentials = Credentials::from_env(venue.venue, names).map_err(CertifyError::Credentials)?;
    let redaction = Redaction::of(credentials.exposed());
    Ok((credentials, redaction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_this_machine_is_a_real_venue() {
        for url in [
            "http://127.0.0.1:8701",
            "ws://[::1]:1/x",
            "http://localhost",
            "wss://127.1.2.3/ws",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "https://api.binance.com",
            "https://127.0.0.1.example.com",
            "http://localhost.example.com:80",
            "http://127.0.0.1@example.com",
            "",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn a_venue_is_known_by_its_name_over_tls() {
        for venue in [Venue::Binance, Venue::Kraken, Venue::Coinbase] {
            let doors = Endpoints::production(venue).unwrap();
            assert_eq!(network_of(venue, &doors), Network::Production, "{venue}");
            for (from, to) in [
                ("https://", "http://"),
                (".com", ".com.example.org"),
                ("api.", "api-"),
            ] {
                let other = Endpoints {
                    rest: doors.rest.replacen(from, to, 1),
                    ..doors.clone()
                };
                assert_eq!(network_of(venue, &other), Network::Elsewhere, "{}", other.rest);
            }
        }
        for (venue, rest, network) in [
            (Venue::Binance, "https://api3.binance.com", Network::Production),
            (Venue::Binance, "https://demo-api.binance.com", Network::Elsewhere),
            (
                Venue::Coinbase,
                "https://api-sandbox.coinbase.com",
                Network::Elsewhere,
            ),
            (Venue::Kraken, "https://api.beta.kraken.com", Network::Elsewhere),
            (Venue::Kraken, "https://kraken.com", Network::Elsewhere),
        ] {
            let doors = Endpoints {
                rest: rest.to_owned(),
                ..Endpoints::production(venue).unwrap()
            };
            assert_eq!(network_of(venue, &doors), network, "{rest}");
        }
        let doors = Endpoints::testnet(Venue::Binance).unwrap();
        assert_eq!(network_of(Venue::Binance, &doors), Network::Testnet);
        assert_eq!(network_of(Venue::Kraken, &doors), Network::Elsewhere);
    }
}
