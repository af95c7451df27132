//! Coinbase: the market streams of Advanced Trade and of Exchange, two wires of one market; orders and the account's own
//! stream on Advanced Trade.

pub mod advanced;
mod book;
mod budget;
mod decimal;
pub mod exchange;
mod ids;
mod rest;
pub mod rules;
mod settings;
mod sign;
mod tokens;

pub use advanced::{AdvancedMarketData, AdvancedStatistics};
pub use book::BOOK_LEVELS_MAX;
pub use exchange::{BookChannel, ExchangeMarketData, ExchangeStatistics};
pub use rest::{BARS_MAX, BODY_BYTES_MAX, RestClient};
pub use settings::{Credentials, Endpoints, Settings, TOKEN_LIFETIME_MAX};
pub use sign::{ExchangeCredentials, ExchangeSigner};
