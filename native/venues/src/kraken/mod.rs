//! Kraken spot: the market streams of its WebSocket API, version 2 (prices, and order by order) and version 1.

mod book;
mod level3;
mod market_data;
mod number;
pub mod parser;

pub use book::{CHECKSUM_LEVELS, ChecksumBook, DEPTH_MAX, MESSAGE_LEVELS_MAX, WireLevel};
pub use level3::{Level3MarketData, MESSAGE_ORDERS_MAX};
pub use market_data::{MarketData, WireVersion};
pub use number::{DECIMALS_MAX, WireNumber};
