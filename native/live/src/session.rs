//! What is needed to speak to the venue, before anything is decided.

use std::sync::Arc;
use std::time::Duration;

use config::{ServiceConfig, VenueConfig};
use domain::{Bar, Nanos};
use engine::limits::BARS_KEPT;
use journal::Scale;
use venues::binance::{Credentials, Endpoints, Gateway, RestClient, Settings};
use venues::clock::{Clock, ServerClock};
use venues::{Instruments, Secret, VenueError};

use crate::clock;
use crate::error::LiveError;

/// How far the answers of a venue on this machine may lag behind its engine, wall time: it has one copy of its books.
const LOOPBACK_STALENESS: Nanos = Nanos::from_millis(250);

/// Reads the venue's keys from the environment variables that the configuration names.
///
/// # Errors
/// [`VenueError::Secret`] when one is not set, or holds no key.
pub fn credentials(venue: &VenueConfig) -> Result<Credentials, VenueError> {
    let api_key = Secret::from_env(&venue.api_key_env)?;
    let secret = Secret::from_env(&venue.api_secret_env)?;
    Ok(Credentials::new(api_key, secret))
}

/// How long a venue elsewhere may take to complete a bar that has closed, wall time.
const SETTLE: Duration = Duration::from_secs(2);

/// The clock, the client and the instruments of a life.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) clock: Arc<ServerClock>,
    pub(crate) rest: Arc<RestClient>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) instruments: Arc<Instruments>,
    /// How long after a bar's end it is asked for, wall time.
    pub(crate) settle: Duration,
    /// How fast service time runs.
    pub(crate) scale: Scale,
}

impl Session {
    /// Anchors the clock and asks for the rules of the configured instruments.
    pub(crate) async fn open(config: &ServiceConfig, credentials: Credentials) -> Result<Self, LiveError> {
        let clock = Arc::new(ServerClock::local());
        let as_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let rest = RestClient::new(settings(&config.venue), Some(credentials), as_clock)?;
        clock::anchor(&rest, &clock, config.stage, &config.clock).await?;
        let choices = config.instruments.iter();
        let symbols: Vec<&str> = choices.map(|choice| choice.symbol.as_str()).collect();
        let instruments = Arc::new(Instruments::new(rest.instruments(&symbols).await?)?);
        let rest = Arc::new(rest);
        let gateway = Arc::new(Gateway::new(Arc::clone(&rest), Arc::clone(&instruments))?);
        prove_keys(&gateway, &config.venue).await?;
        Ok(Self {
            scale: Scale::new(clock.rate_ppb()),
            clock,
            rest,
            gateway,
            instruments,
            settle: if is_loopback(&config.venue) {
                Duration::ZERO
            } else {
                SETTLE
            },
        })
    }

    /// The bars before now, as many as the engine keeps, oldest first for each instrument.
    pub(crate) async fn history(&self, span: Nanos) -> Result<Vec<Bar>, LiveError> {
        let mut history = Vec::new();
        for instrument in self.instruments.iter() {
            // A clock that is ahead of the venue's would take the running bar for a complete one.
            let error = Nanos(2 * self.clock.uncertainty().0);
            let before = self.clock.now().plus(Nanos(-error.0));
            history.extend(self.rest.bars(instrument, span, BARS_KEPT, before).await?);
        }
        Ok(history)
    }
}

/// Asks for the account once: keys that the venue refuses end the start, before anything waits for them.
async fn prove_keys(gateway: &Gateway, venue: &VenueConfig) -> Result<(), LiveError> {
    match gateway.balances().await {
        Ok(_) => Ok(()),
        Err(source @ VenueError::Refused { .. }) if source.is_fatal() => Err(LiveError::KeysRefused {
            key_env: venue.api_key_env.clone(),
            secret_env: venue.api_secret_env.clone(),
            source,
        }),
        Err(error) => Err(LiveError::Venue(error)),
    }
}

fn settings(venue: &VenueConfig) -> Settings {
    let mut settings = Settings::new(Endpoints {
        rest: venue.rest_url.clone(),
        stream: venue.ws_url.clone(),
        ws_api: venue.ws_api_url.clone(),
    });
    settings.recv_window = venue.recv_window;
    if is_loopback(venue) {
        settings.read_staleness = LOOPBACK_STALENESS;
    }
    settings
}

/// Whether the venue is simulated on this machine. Clear text goes nowhere else: the configuration and
/// `Settings::check` see to that.
fn is_loopback(venue: &VenueConfig) -> bool {
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
            rest_url: String::new(),
            ws_url: String::new(),
            ws_api_url: String::new(),
            api_key_env: "PY_RT_NO_SUCH_KEY".to_owned(),
            api_secret_env: "PY_RT_NO_SUCH_SECRET".to_owned(),
            recv_window: Nanos(0),
        };
        let error = LiveError::Credentials(credentials(&venue).unwrap_err());
        let wanted = "environment variable PY_RT_NO_SUCH_KEY is not set: export it \
                      ([venue] api_key_env and api_secret_env in the service's file name the variables)";
        assert_eq!(error.to_string(), wanted);
    }
}
