//! Coinbase: the market streams of Advanced Trade and of Exchange, two wires of one market; orders and the account's own
//! stream on Advanced Trade.

mod account;
mod account_feed;
pub mod advanced;
mod book;
mod budget;
mod decimal;
mod encoder;
pub mod exchange;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gateway;
mod ids;
mod known;
mod market_feed;
mod orders;
mod rest;
pub mod rules;
mod session;
mod settings;
mod sign;
mod tokens;
pub mod user;

pub use account::AccountData;
pub use account_feed::account_feed;
pub use advanced::{AdvancedMarketData, AdvancedStatistics};
pub use book::BOOK_LEVELS_MAX;
pub use encoder::OrderEncoder;
pub use exchange::{BookChannel, ExchangeMarketData, ExchangeStatistics};
pub use gateway::Gateway;
pub use market_feed::market_feed;
pub use orders::Amended;
pub use rest::{BODY_BYTES_MAX, RestClient};
pub use session::Session;
pub use settings::{Credentials, Endpoints, Settings, TOKEN_LIFETIME_MAX};
pub use sign::{ExchangeCredentials, ExchangeSigner};
