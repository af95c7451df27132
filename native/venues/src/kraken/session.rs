//! One account at Kraken spot, as any venue's.

use std::sync::Arc;

use domain::Nanos;

use super::rest::RestClient;
use super::settings::{Credentials, Endpoints, Settings};
use super::{AccountData, Gateway, MarketData, WireVersion, account_feed, market_feed};
use crate::clock::Clock;
use crate::connector::{Connector, ConnectorSettings};
use crate::error::VenueError;
use crate::feeds::{AccountFeed, MarketFeed};
use crate::instruments::Instruments;
use crate::market::MarketProtocol;
use crate::retry::Jitter;
use crate::trading::{self, AccountProtocol, Reference};
use crate::websocket::FrameSink;

/// What reaches one account at Kraken spot.
#[derive(Debug, Clone)]
pub struct Session {
    rest: Arc<RestClient>,
}

impl Session {
    /// Nothing is sent yet. Without credentials there are only the market's data and what the venue tells everybody. How long after its timestamp a request may be taken is an order's `deadline` here.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when the settings or the private key cannot work.
    pub fn new(
        settings: ConnectorSettings,
        credentials: Option<&Credentials>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, VenueError> {
        let settings = Settings {
            order_entry: settings.order_entry,
            deadline: settings.recv_window,
            read_staleness: settings.read_staleness,
            trusted_roots: settings.trusted_roots,
            overhearing: settings.overhearing,
            ..Settings::new(Endpoints {
                rest: settings.endpoints.rest,
                stream: settings.endpoints.market,
                private: settings.endpoints.account,
            })
        };
        let rest = RestClient::new(settings, credentials, clock)?;
        Ok(Self { rest: Arc::new(rest) })
    }
}

impl Connector for Session {
    fn reference(&self) -> Arc<dyn Reference> {
        Arc::clone(&self.rest) as Arc<dyn Reference>
    }

    fn gateway(&self, instruments: &Arc<Instruments>) -> Result<Arc<dyn trading::Gateway>, VenueError> {
        let gateway = Gateway::new(Arc::clone(&self.rest), Arc::clone(instruments))?;
        Ok(Arc::new(gateway))
    }

    fn market_protocol(&self, instruments: &Arc<Instruments>, ahead_max: Nanos) -> Box<dyn MarketProtocol> {
        let depth = usize::from(self.rest.settings().book_depth);
        let instruments = Arc::clone(instruments);
        Box::new(MarketData::new(instruments, WireVersion::V2, depth, ahead_max))
    }

    fn account_protocol(&self, instruments: &Arc<Instruments>) -> Box<dyn AccountProtocol> {
        Box::new(AccountData::new(Arc::clone(instruments)))
    }

    fn market_feed(
        &self,
        instruments: &Arc<Instruments>,
        jitter: Jitter,
        sink: Box<dyn FrameSink>,
    ) -> Result<MarketFeed, VenueError> {
        market_feed(&self.rest, instruments, jitter, sink)
    }

    fn account_feed(
        &self,
        _: &Arc<Instruments>,
        jitter: Jitter,
        sink: Box<dyn FrameSink>,
    ) -> Result<AccountFeed, VenueError> {
        account_feed(&self.rest, jitter, sink)
    }
}
