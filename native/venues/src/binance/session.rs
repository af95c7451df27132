//! One account at Binance spot, as any venue's.

use std::sync::Arc;

use domain::Nanos;

use super::rest::RestClient;
use super::settings::{Credentials, Endpoints, Settings};
use super::{AccountData, Gateway, MarketData, account_feed, binary_market_feed, market_feed};
use crate::clock::Clock;
use crate::connector::{Connector, ConnectorSettings, MarketWire, OrderEntry};
use crate::error::VenueError;
use crate::feeds::{AccountFeed, MarketFeed};
use crate::instruments::Instruments;
use crate::market::MarketProtocol;
use crate::retry::Jitter;
use crate::trading::{self, AccountProtocol, Reference};
use crate::websocket::FrameSink;

/// What reaches one account at Binance spot.
#[derive(Debug, Clone)]
pub struct Session {
    rest: Arc<RestClient>,
    order_entry: OrderEntry,
    /// Whether the market's streams are binary.
    is_binary: bool,
}

impl Session {
    /// Nothing is sent yet. Without credentials there are only the market's data and what the venue tells everybody.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when the settings cannot work.
    pub fn new(
        settings: ConnectorSettings,
        credentials: Option<Credentials>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, VenueError> {
        let order_entry = settings.order_entry;
        let is_binary = settings.market_wire == MarketWire::Binary;
        let settings = Settings {
            recv_window: settings.recv_window,
            read_staleness: settings.read_staleness,
            trusted_roots: settings.trusted_roots,
            overhearing: settings.overhearing,
            ..Settings::new(Endpoints {
                rest: settings.endpoints.rest,
                stream: settings.endpoints.market,
                ws_api: settings.endpoints.account,
            })
        };
        let rest = RestClient::new(settings, credentials, clock)?;
        Ok(Self {
            rest: Arc::new(rest),
            order_entry,
            is_binary,
        })
    }
}

impl Connector for Session {
    fn reference(&self) -> Arc<dyn Reference> {
        Arc::clone(&self.rest) as Arc<dyn Reference>
    }

    fn gateway(&self, instruments: &Arc<Instruments>) -> Result<Arc<dyn trading::Gateway>, VenueError> {
        let (rest, instruments) = (Arc::clone(&self.rest), Arc::clone(instruments));
        Ok(Arc::new(match self.order_entry {
            OrderEntry::Rest => Gateway::new(rest, instruments)?,
            OrderEntry::WebSocket => Gateway::over_websocket(rest, instruments)?,
        }))
    }

    fn market_protocol(&self, instruments: &Arc<Instruments>, ahead_max: Nanos) -> Box<dyn MarketProtocol> {
        let data = MarketData::new(Arc::clone(instruments), ahead_max);
        Box::new(data.with_snapshot_levels(self.rest.settings().snapshot_levels))
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
        if self.is_binary {
            return binary_market_feed(&self.rest, instruments, jitter, sink);
        }
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
