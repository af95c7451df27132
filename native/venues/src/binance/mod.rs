//! Binance: REST, market streams and the account's stream over the WebSocket API for spot; market streams for USD-M
//! futures.

mod account;
mod gateway;
mod market_data;
mod market_feed;
mod orders;
pub mod parser;
#[cfg(test)]
#[path = "../../tests/support/recorded.rs"]
pub(crate) mod recorded;
mod rest;
pub mod rules;
mod settings;
mod sign;

pub use account::{AccountData, AccountFeed};
pub use gateway::Gateway;
pub use market_data::{FuturesMarketData, MarketData, MarketStatistics};
pub use market_feed::{MarketFeed, SnapshotRequester};
pub use rest::{BARS_MAX, BODY_BYTES_MAX, RestClient};
pub use settings::{Credentials, Endpoints, RECV_WINDOW_MAX, SelfTradePrevention, Settings};
pub use sign::{NEW_ORDER_BYTES_MAX, OrderEncoder, Signer};
