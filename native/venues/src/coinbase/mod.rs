//! Coinbase: the market streams of Advanced Trade and of Exchange, two wires of one market.

pub mod advanced;
mod book;
pub mod exchange;

pub use advanced::{AdvancedMarketData, AdvancedStatistics};
pub use book::BOOK_LEVELS_MAX;
pub use exchange::{BookChannel, ExchangeMarketData, ExchangeStatistics};
