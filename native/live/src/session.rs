//! What is needed to speak to the venue, before anything is decided.

use std::sync::Arc;
use std::time::Duration;

use config::{GatewayChoice, ServiceConfig, VenueConfig};
use domain::{Bar, Epoch, Instrument, Nanos};
use engine::EngineConfig;
use engine::limits::BARS_KEPT;
use journal::Scale;
use tracing::{info, warn};
use venues::clock::{Clock, ServerClock};
use venues::{
    Connector, ConnectorSettings, Credentials, Endpoints, Gateway, Instruments, KeyNames, MarketWire,
    OrderEntry, Reference, VenueError,
};

use crate::clock;
use crate::error::LiveError;
use crate::simulated::{SimulatedAccount, SimulatedConnector};
use crate::watched::{self, Watched};

/// How far the answers of a venue on this machine may lag behind its engine, wall time: it has one copy of its books.
const LOOPBACK_STALENESS: Nanos = Nanos::from_millis(250);

/// Reads the venue's keys from the environment variables that the configuration names; `None` where orders stay in this
/// process, which needs no key and looks for none unless the market is told to accounts only.
///
/// # Errors
/// [`VenueError::Secret`] when one is not set, or holds no key.
pub fn credentials(venue: &VenueConfig) -> Result<Option<Credentials>, VenueError> {
    if venue.gateway == GatewayChoice::Simulated && !venue.market_data.needs_key() {
        return Ok(None);
    }
    let names = KeyNames {
        key: &venue.api_key_env,
        secret: &venue.api_secret_env,
        passphrase: venue.api_passphrase_env.as_deref(),
    };
    Credentials::from_env(venue.venue, names).map(Some)
}

/// How long a venue elsewhere may take to complete a bar that has closed, wall time.
const SETTLE: Duration = Duration::from_secs(2);

/// The clock, the ways to the venue and the instruments of a life.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) reference: Arc<dyn Reference>,
    pub(crate) gateway: Arc<dyn Gateway>,
    /// What is traded, or could be.
    pub(crate) instruments: Arc<Instruments>,
    /// Venues whose market is read beside.
    pub(crate) watched: Vec<Watched>,
    /// How long after a bar's end it is asked for, wall time.
    pub(crate) settle: Duration,
    /// How fast service time runs.
    pub(crate) scale: Scale,
    /// The account, where it is in this process.
    pub(crate) simulated: Option<SimulatedAccount>,
}

impl Session {
    /// Anchors the clock and asks for the rules of the configured instruments.
    pub(crate) async fn open(
        config: &ServiceConfig,
        credentials: Option<Credentials>,
    ) -> Result<Self, LiveError> {
        let clock = Arc::new(ServerClock::local());
        let connector = connect(&config.venue, credentials, &clock)?;
        let reference = connector.reference();
        clock::anchor(&*reference, &clock, config.stage, &config.clock).await?;
        let scale = Scale::new(clock.rate_ppb());
        let choices = config.instruments.iter();
        let symbols: Vec<&str> = choices.map(|choice| choice.symbol.as_str()).collect();
        let instruments = Arc::new(Instruments::new(reference.instruments(&symbols).await?)?);
        let (connector, simulated) = match config.venue.gateway {
            GatewayChoice::Venue => (connector, None),
            GatewayChoice::Simulated => simulate(connector, config, scale, &instruments, &clock),
        };
        let gateway = connector.gateway(&instruments)?;
        prove_keys(&*gateway, &config.venue).await?;
        let watched = watched::open(&config.watches, instruments.len(), &clock).await?;
        Ok(Self {
            scale,
            clock,
            connector,
            simulated,
            reference,
            gateway,
            instruments,
            watched,
            settle: if is_loopback(&config.venue) {
                Duration::ZERO
            } else {
                SETTLE
            },
        })
    }

    /// Every instrument that the engine knows, by id: those of the venue, then those that are watched.
    pub(crate) fn listed(&self) -> Vec<Instrument> {
        let own = self.instruments.iter().copied();
        own.chain(self.watched.iter().flat_map(Watched::instruments))
            .collect()
    }

    /// Wall time after which every list of the venue tells what it told before: one on this machine lags little.
    pub(crate) const fn second_look(&self) -> Nanos {
        if self.settle.is_zero() {
            LOOPBACK_STALENESS
        } else {
            venues::resolution::READ_STALENESS
        }
    }

    /// An account in this process goes on where the record of earlier lives ends.
    pub(crate) fn resume(&self, epoch: Epoch, config: &EngineConfig) {
        if let Some(simulated) = &self.simulated {
            simulated.resume(epoch, config);
        }
    }

    /// The bars before now, as many as the engine keeps, oldest first for each instrument.
    pub(crate) async fn history(&self, span: Nanos) -> Result<Vec<Bar>, LiveError> {
        let mut history = Vec::new();
        for instrument in self.instruments.iter() {
            // A clock that is ahead of the venue's would take the running bar for a complete one.
            let error = Nanos(2 * self.clock.uncertainty().0);
            let before = self.clock.now().plus(Nanos(-error.0));
            history.extend(self.reference.bars(instrument, span, BARS_KEPT, before).await?);
        }
        Ok(history)
    }
}

/// What reaches the venue; without its account where orders stay here.
fn connect(
    venue: &VenueConfig,
    credentials: Option<Credentials>,
    clock: &Arc<ServerClock>,
) -> Result<Arc<dyn Connector>, LiveError> {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    let connected = match (venue.gateway, credentials) {
        (GatewayChoice::Simulated, None) => venues::connect_public(settings(venue), clock),
        // On paper they open the market's streams; what takes orders is another gateway.
        (_, Some(credentials)) => venues::connect(settings(venue), credentials, clock),
        (GatewayChoice::Venue, None) => return Err(LiveError::Credentials(VenueError::NoCredentials)),
    };
    Ok(connected?.into())
}

/// The same with an account in this process.
fn simulate(
    public: Arc<dyn Connector>,
    config: &ServiceConfig,
    scale: Scale,
    instruments: &Instruments,
    clock: &Arc<ServerClock>,
) -> (Arc<dyn Connector>, Option<SimulatedAccount>) {
    let account = SimulatedAccount::new(config, scale, instruments.iter().copied());
    info!(?config.simulated, "orders stay in this process: fills are simulated, and no key of the venue is used");
    let connector = SimulatedConnector {
        public,
        account: account.clone(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
    };
    (Arc::new(connector), Some(account))
}

/// Asks for the account once: keys that the venue refuses end the start, before anything waits for them.
async fn prove_keys(gateway: &dyn Gateway, venue: &VenueConfig) -> Result<(), LiveError> {
    match gateway.balances().await {
        Ok(_) => may_not_withdraw(gateway, venue).await,
        Err(source @ VenueError::Refused { .. }) if source.is_fatal() => Err(LiveError::KeysRefused {
            key_env: venue.api_key_env.clone(),
            secret_env: venue.api_secret_env.clone(),
            source,
        }),
        Err(error) => Err(LiveError::Venue(error)),
    }
}

/// A key that may take funds out of the account is refused: what leaks could empty it, and nothing here needs that.
async fn may_not_withdraw(gateway: &dyn Gateway, venue: &VenueConfig) -> Result<(), LiveError> {
    match gateway.key_rights().await? {
        Some(rights) if rights.may_withdraw => Err(LiveError::KeyMayWithdraw {
            key_env: venue.api_key_env.clone(),
        }),
        Some(_) => Ok(()),
        None => {
            warn!("the venue does not say here whether the key may withdraw: see to it that it may not");
            Ok(())
        }
    }
}

pub(crate) fn settings(venue: &VenueConfig) -> ConnectorSettings {
    let endpoints = Endpoints {
        rest: venue.rest_url.clone(),
        market: venue.ws_url.clone(),
        account: venue.ws_api_url.clone(),
    };
    let mut settings = ConnectorSettings::new(venue.venue, endpoints);
    settings.recv_window = venue.recv_window;
    settings.market_wire = match &venue.market_data {
        config::MarketData::Json => MarketWire::Usual,
        config::MarketData::Sbe => MarketWire::Binary,
        config::MarketData::Level3 { url } => MarketWire::ByOrder { url: url.clone() },
    };
    settings.order_entry = match venue.order_entry {
        config::OrderEntry::Rest => OrderEntry::Rest,
        config::OrderEntry::WebSocket => OrderEntry::WebSocket,
    };
    if is_loopback(venue) {
        settings.read_staleness = LOOPBACK_STALENESS;
    }
    settings
}

/// Whether the venue is simulated on this machine. Clear text goes nowhere else: the configuration and
/// the venue's settings see to that.
pub(crate) fn is_loopback(venue: &VenueConfig) -> bool {
    venue.rest_url.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use domain::Venue;

    use super::*;

    #[test]
    fn a_key_that_is_not_there_is_named_with_what_names_it() {
        let venue = VenueConfig {
            venue: Venue::Binance,
            gateway: GatewayChoice::Venue,
            rest_url: String::new(),
            ws_url: String::new(),
            ws_api_url: String::new(),
            market_data: config::MarketData::Json,
            order_entry: config::OrderEntry::Rest,
            api_key_env: "PY_RT_NO_SUCH_KEY".to_owned(),
            api_secret_env: "PY_RT_NO_SUCH_SECRET".to_owned(),
            api_passphrase_env: None,
            recv_window: Nanos(0),
            guard: config::Guard::Nobody,
            taker_bps: None,
        };
        let error = LiveError::Credentials(credentials(&venue).unwrap_err());
        let wanted = "environment variable PY_RT_NO_SUCH_KEY is not set: export it \
                      ([venue] api_key_env and api_secret_env in the service's file name the variables)";
        assert_eq!(error.to_string(), wanted);
        let simulated = VenueConfig {
            gateway: GatewayChoice::Simulated,
            ..venue
        };
        assert!(credentials(&simulated).unwrap().is_none(), "no key is looked for");
        let binary = VenueConfig {
            market_data: config::MarketData::Sbe,
            ..simulated
        };
        assert!(credentials(&binary).is_err(), "these streams are for accounts");
    }
}
