//! The wires: what each one is called, which streams it gathers, and where it hears what happens.

use axum::Router;
use domain::{Nanos, SCALE};
use simulation::{FeeAsset, Market};
use std::sync::Arc;

use crate::account::Account;
use crate::binance;
use crate::coinbase;
use crate::events::Event;
use crate::history::History;
use crate::hub::Hub;
use crate::kraken;
use crate::listing::Listing;
use crate::orders::OrderLedger;
use crate::shared::Shared;
use crate::venue::Mode;

/// Whose wire is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VenueKind {
    /// Binance spot.
    #[default]
    Binance,
    /// Kraken spot.
    Kraken,
    /// Coinbase Advanced Trade.
    Coinbase,
}

const BINANCE_GRIDS: [Nanos; 2] = [Nanos::from_millis(100), Nanos::from_secs(1)];
const KRAKEN_GRIDS: [Nanos; 1] = [Nanos(0)];
const COINBASE_GRIDS: [Nanos; 1] = [Nanos::from_millis(50)];

/// What a wire may look at while it words an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) listing: &'a Listing,
    pub(crate) market: &'a Market,
    pub(crate) accounts: &'a [Account],
    pub(crate) orders: &'a OrderLedger,
    pub(crate) history: &'a History,
    pub(crate) mode: Mode,
    pub(crate) now: domain::Timestamp,
}

/// What a connection subscribed to, in its wire's terms.
#[derive(Debug)]
pub(crate) enum Session {
    Binance(binance::Session),
    Kraken(Box<kraken::Session>),
    Coinbase(Box<coinbase::Session>),
}

impl Session {
    /// Whether it carries an account's data rather than the market's.
    pub(crate) fn is_account(&self) -> bool {
        match self {
            Self::Binance(session) => session.is_account(),
            Self::Kraken(session) => session.is_account(),
            Self::Coinbase(session) => session.is_account(),
        }
    }
}

impl VenueKind {
    /// How it writes a symbol.
    pub(crate) fn symbol_rule(self) -> &'static str {
        match self {
            Self::Binance => {
                "upper-case base and quote, the quote one of FDUSD, USDT, USDC, BUSD, EUR, USD, BTC, ETH"
            }
            Self::Kraken => "upper-case base and quote, such as BTC/USD",
            Self::Coinbase => "upper-case base and quote, such as BTC-USD",
        }
    }

    /// The symbol that is served where none is named.
    #[must_use]
    pub fn default_symbol(self) -> &'static str {
        match self {
            Self::Binance => "BTCUSDT",
            Self::Kraken => "BTC/USD",
            Self::Coinbase => "BTC-USD",
        }
    }

    /// The least money of an order, in units of 1e-8 of the quote currency.
    pub(crate) fn smallest_notional(self) -> i64 {
        match self {
            Self::Binance => 5 * SCALE,
            Self::Kraken => SCALE / 2,
            Self::Coinbase => SCALE,
        }
    }

    /// What it takes its fee in.
    pub(crate) fn fee_asset(self) -> FeeAsset {
        match self {
            Self::Binance => FeeAsset::Received,
            Self::Kraken | Self::Coinbase => FeeAsset::Quote,
        }
    }

    /// Intervals at which it publishes changes of the book; zero is at once.
    pub(crate) fn grids(self) -> &'static [Nanos] {
        match self {
            Self::Binance => &BINANCE_GRIDS,
            Self::Kraken => &KRAKEN_GRIDS,
            Self::Coinbase => &COINBASE_GRIDS,
        }
    }

    /// Tells everyone who listens.
    pub(crate) fn publish(self, hub: &mut Hub, scene: &Scene<'_>, event: &Event<'_>) {
        match self {
            Self::Binance => binance::publish(hub, scene, event),
            Self::Kraken => kraken::publish(hub, scene, event),
            Self::Coinbase => coinbase::publish(hub, scene, event),
        }
    }

    /// Its addresses.
    pub(crate) fn routes(self) -> Router<Arc<Shared>> {
        match self {
            Self::Binance => binance::routes(),
            Self::Kraken => kraken::routes(),
            Self::Coinbase => coinbase::routes(),
        }
    }
}
