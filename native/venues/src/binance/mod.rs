//! Binance spot.

pub mod parser;
#[cfg(test)]
mod recorded;
