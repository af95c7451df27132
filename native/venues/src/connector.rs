//! One account at one venue, whatever its wires: every part that speaks to it.

use std::fmt;
use std::sync::Arc;

use domain::{Nanos, Venue};

use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::error::VenueError;
use crate::feeds::{AccountFeed, MarketFeed};
use crate::instruments::Instruments;
use crate::market::MarketProtocol;
use crate::overhear::Overhearing;
use crate::retry::Jitter;
use crate::tls::TrustedRoots;
use crate::trading::{AccountProtocol, Gateway, Reference};
use crate::websocket::FrameSink;
use crate::{binance, coinbase, kraken, resolution};

/// Where the venue's doors are. Clear text (`http`, `ws`) is for this machine only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// REST, without a path.
    pub rest: String,
    /// Market data streams.
    pub market: String,
    /// The account's stream, and order entry where it is over a socket.
    pub account: String,
}

impl Endpoints {
    /// The venue itself; `None` where no orders can be sent.
    #[must_use]
    pub fn production(venue: Venue) -> Option<Self> {
        let (rest, market, account) = match venue {
            Venue::Binance => {
                let doors = binance::Endpoints::production();
                (doors.rest, doors.stream, doors.ws_api)
            }
            Venue::Kraken => {
                let doors = kraken::Endpoints::production();
                (doors.rest, doors.stream, doors.private)
            }
            Venue::Coinbase => {
                let doors = coinbase::Endpoints::production();
                (doors.rest, doors.market, doors.user)
            }
            Venue::BinanceUsdm | Venue::IndependentReserve => return None,
        };
        Some(Self {
            rest,
            market,
            account,
        })
    }

    /// The venue's test network, with play money; `None` where it has none that takes orders (Kraken spot, Coinbase
    /// Advanced Trade).
    #[must_use]
    pub fn testnet(venue: Venue) -> Option<Self> {
        (venue == Venue::Binance).then(|| Self {
            rest: "https://testnet.binance.vision".to_owned(),
            market: "wss://stream.testnet.binance.vision".to_owned(),
            account: "wss://ws-api.testnet.binance.vision/ws-api/v3".to_owned(),
        })
    }
}

/// How new orders and cancels leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderEntry {
    /// Each as a request over REST.
    Rest,
    /// Over one socket, where the venue takes orders there. While it is down no new order leaves; cancels leave over REST.
    WebSocket,
}

/// How the market's streams tell it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum MarketWire {
    /// As the venue usually does.
    #[default]
    Usual,
    /// In binary, from [`Endpoints::market`]: Binance's SBE streams, which want an Ed25519 key.
    Binary,
    /// Order by order: Kraken's `level3`, which wants a key. Trades come from [`Endpoints::market`] as usual.
    ByOrder {
        /// Where its orders are told.
        url: String,
    },
}

impl MarketWire {
    /// Refuses what a venue does not have.
    fn check(&self, venue: Venue) -> Result<(), VenueError> {
        let problem = match (self, venue) {
            (Self::Usual, _) | (Self::Binary, Venue::Binance) | (Self::ByOrder { .. }, Venue::Kraken) => {
                return Ok(());
            }
            (Self::Binary, _) => format!("{venue} has no binary streams"),
            (Self::ByOrder { .. }, _) => format!("{venue} tells no single orders"),
        };
        let setting = "market_data";
        Err(VenueError::Setting { setting, problem })
    }
}

/// Everything about a session but its keys.
#[derive(Debug, Clone)]
pub struct ConnectorSettings {
    /// Which venue.
    pub venue: Venue,
    /// Where to connect.
    pub endpoints: Endpoints,
    /// How long after its timestamp the venue may still take a signed request, wall time.
    pub recv_window: Nanos,
    /// How far behind the venue's engine its answers to queries may lag, wall time; see [`resolution`].
    pub read_staleness: Nanos,
    /// How new orders leave.
    pub order_entry: OrderEntry,
    /// How the market's streams tell it.
    pub market_wire: MarketWire,
    /// Whom to believe when TLS is used.
    pub trusted_roots: TrustedRoots,
    /// Who hears the answers.
    pub overhearing: Overhearing,
}

impl ConnectorSettings {
    /// The defaults for a venue at these doors.
    #[must_use]
    pub fn new(venue: Venue, endpoints: Endpoints) -> Self {
        Self {
            venue,
            endpoints,
            recv_window: Nanos::from_secs(1),
            read_staleness: resolution::READ_STALENESS,
            order_entry: OrderEntry::Rest,
            market_wire: MarketWire::Usual,
            trusted_roots: TrustedRoots::Public,
            overhearing: Overhearing::default(),
        }
    }
}

/// Makes the parts that speak to one account at one venue. They share its keys, its clock and its rate budget.
pub trait Connector: fmt::Debug + Send + Sync {
    /// What the venue tells everybody.
    fn reference(&self) -> Arc<dyn Reference>;

    /// Orders and queries, in the current tokio runtime.
    ///
    /// # Errors
    /// [`VenueError`] when the settings cannot work; [`VenueError::NoCredentials`] on what [`connect_public`] made.
    fn gateway(&self, instruments: &Arc<Instruments>) -> Result<Arc<dyn Gateway>, VenueError>;

    /// What reads the market's streams. `ahead_max`: how far a message's time may be ahead of our own when it came, both
    /// on the venue's axis.
    fn market_protocol(&self, instruments: &Arc<Instruments>, ahead_max: Nanos) -> Box<dyn MarketProtocol>;

    /// What reads the account's stream.
    fn account_protocol(&self, instruments: &Arc<Instruments>) -> Box<dyn AccountProtocol>;

    /// Starts the market's streams in the current tokio runtime; everything they tell goes into `sink`.
    ///
    /// # Errors
    /// [`VenueError`] when they cannot be asked for.
    fn market_feed(
        &self,
        instruments: &Arc<Instruments>,
        jitter: Jitter,
        sink: Box<dyn FrameSink>,
    ) -> Result<MarketFeed, VenueError>;

    /// Starts the account's stream in the current tokio runtime; everything it tells goes into `sink`.
    ///
    /// # Errors
    /// [`VenueError`] when it cannot be asked for.
    fn account_feed(
        &self,
        instruments: &Arc<Instruments>,
        jitter: Jitter,
        sink: Box<dyn FrameSink>,
    ) -> Result<AccountFeed, VenueError>;
}

/// What reaches this account. Nothing is sent yet.
///
/// # Errors
/// [`VenueError::Setting`] when the settings cannot work, the credentials are another venue's, or no orders can be sent
/// to this venue; [`VenueError::Secret`] when a key is not one.
pub fn connect(
    settings: ConnectorSettings,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Connector>, VenueError> {
    let venue = settings.venue;
    settings.market_wire.check(venue)?;
    match (venue, credentials) {
        (Venue::Binance, Credentials::Binance { api_key, secret }) => {
            let keys = binance::Credentials::new(api_key, secret);
            Ok(Box::new(binance::Session::new(settings, Some(keys), clock)?))
        }
        (Venue::Kraken, Credentials::Kraken { api_key, secret }) => {
            let keys = kraken::Credentials::new(api_key, secret);
            Ok(Box::new(kraken::Session::new(settings, Some(&keys), clock)?))
        }
        (
            Venue::Coinbase,
            Credentials::Coinbase {
                key_name,
                private_key,
            },
        ) => {
            let keys = coinbase::Credentials::new(key_name, private_key);
            Ok(Box::new(coinbase::Session::new(settings, Some(&keys), clock)?))
        }
        (Venue::Coinbase, Credentials::CoinbaseExchange { .. }) => Err(VenueError::Setting {
            setting: "venue.name",
            problem: format!(
                "{venue}: orders are sent to Advanced Trade, not to Exchange, whose keys have a passphrase"
            ),
        }),
        (Venue::BinanceUsdm | Venue::IndependentReserve, _) => Err(VenueError::Setting {
            setting: "venue.name",
            problem: format!("{venue}: only its market data is read"),
        }),
        (Venue::Binance | Venue::Kraken | Venue::Coinbase, other) => Err(other.are_of_another_venue(venue)),
    }
}

/// What a venue tells everybody, without an account: reference and market data. No key is needed, and none is used.
///
/// # Errors
/// [`VenueError::Setting`] when the settings cannot work, or the venue's rules cannot be asked for.
pub fn connect_public(
    settings: ConnectorSettings,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn Connector>, VenueError> {
    let venue = settings.venue;
    settings.market_wire.check(venue)?;
    Ok(match venue {
        Venue::Binance => Box::new(binance::Session::new(settings, None, clock)?),
        Venue::Kraken => Box::new(kraken::Session::new(settings, None, clock)?),
        Venue::Coinbase => Box::new(coinbase::Session::new(settings, None, clock)?),
        Venue::BinanceUsdm | Venue::IndependentReserve => {
            return Err(VenueError::Setting {
                setting: "venue.name",
                problem: format!("{venue}: only its streams are read, not its rules"),
            });
        }
    })
}
