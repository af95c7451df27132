//! Binance spot.

mod market_data;
pub mod parser;
#[cfg(test)]
mod recorded;
pub mod rules;
mod settings;
mod sign;

pub use market_data::{MarketData, MarketStatistics};
pub use settings::{Credentials, Endpoints, RECV_WINDOW_MAX, SelfTradePrevention, Settings};
pub use sign::{NEW_ORDER_BYTES_MAX, OrderEncoder, Signer};
