//! Binance: REST, market streams and the account's stream over the WebSocket API for spot; market streams for USD-M
//! futures.

mod account;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gateway;
mod market_data;
mod market_feed;
mod order_socket;
mod orders;
pub mod parser;
#[cfg(test)]
#[path = "../../tests/support/recorded.rs"]
pub(crate) mod recorded;
mod requests;
mod rest;
pub mod rules;
mod session;
mod settings;
mod sign;

pub use account::{AccountData, account_feed};
pub use gateway::Gateway;
pub use market_data::{FuturesMarketData, MarketData, MarketStatistics};
pub use market_feed::{binary_market_feed, market_feed};
pub use rest::{BODY_BYTES_MAX, RestClient};
pub use session::Session;
pub use settings::{Credentials, Endpoints, RECV_WINDOW_MAX, SelfTradePrevention, Settings};
pub use sign::{OrderEncoder, Signer};
