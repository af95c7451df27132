//! Independent Reserve: its public order-by-order (L3) market data.
//!
//! Read-only, and recorded: no orders go to this venue.

mod market_data;
pub mod parser;

pub use market_data::MarketData;
