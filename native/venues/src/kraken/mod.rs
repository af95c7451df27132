//! Kraken spot: the market streams of its WebSocket API, version 2 and version 1.

mod book;
mod market_data;
mod number;
pub mod parser;

pub use book::{CHECKSUM_LEVELS, ChecksumBook, DEPTH_MAX, MESSAGE_LEVELS_MAX, WireLevel};
pub use market_data::{MarketData, WireVersion};
pub use number::{DECIMALS_MAX, WireNumber};
