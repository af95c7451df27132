//! One account at Kraken spot, as any venue's.

use std::sync::Arc;

use domain::Nanos;

use super::rest::RestClient;
use super::settings::{Credentials, Endpoints, Level3, Settings, Tier};
use super::{
    AccountData, Gateway, Level3MarketData, MarketData, WireVersion, account_feed, level3_feed, market_feed,
};
use crate::clock::Clock;
use crate::connector::{Connector, ConnectorSettings, MarketWire};
use crate::error::VenueError;
use crate::feeds::{AccountFeed, MarketFeed};
use crate::instruments::Instruments;
use crate::market::MarketProtocol;
use crate::retry::Jitter;
use crate::trading::{self, AccountProtocol, Reference};
use crate::websocket::FrameSink;

/// Prices a side of a book that is told order by order.
const LEVEL3_DEPTH: u16 = 100;

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
        // A venue on this machine counts for nobody else: the account of the widest limits is as good.
        let tier = if settings.endpoints.rest.starts_with("http://") {
            Tier::Pro
        } else {
            Tier::Starter
        };
        let settings = Settings {
            tier,
            order_entry: settings.order_entry,
            deadline: settings.recv_window,
            read_staleness: settings.read_staleness,
            trusted_roots: settings.trusted_roots,
            overhearing: settings.overhearing,
            level3: match settings.market_wire {
                MarketWire::ByOrder { url } => Some(Level3 {
                    url,
                    depth: LEVEL3_DEPTH,
                }),
                MarketWire::Usual | MarketWire::Binary => None,
            },
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
        let instruments = Arc::clone(instruments);
        if let Some(level3) = &self.rest.settings().level3 {
            let depth = usize::from(level3.depth);
            return Box::new(Level3MarketData::new(instruments, depth, ahead_max));
        }
        let depth = usize::from(self.rest.settings().book_depth);
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
        if self.rest.settings().level3.is_some() {
            return level3_feed(&self.rest, instruments, jitter, sink);
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
