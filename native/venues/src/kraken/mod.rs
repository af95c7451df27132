//! Kraken spot: REST, market streams of its WebSocket API in version 2 (prices, and order by order) and version 1, and
//! orders and the account's streams in version 2.
//!
//! Market streams are proven on recorded sessions. Everything private comes from the venue's documentation as of 2026
//! and has never been seen live.

mod account;
mod account_feed;
mod answer;
mod book;
mod client_id;
mod dead_man;
mod decimal;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gateway;
mod level3;
mod limits;
mod market_data;
mod market_feed;
mod number;
mod orders;
pub mod parser;
mod requests;
mod rest;
pub mod rules;
mod server_time;
mod session;
mod settings;
mod sign;

pub use account::AccountData;
pub use account_feed::account_feed;
pub use book::{CHECKSUM_LEVELS, ChecksumBook, DEPTH_MAX, MESSAGE_LEVELS_MAX, WireLevel};
pub use dead_man::DeadMan;
pub use gateway::Gateway;
pub use level3::{Level3MarketData, MESSAGE_ORDERS_MAX};
pub use market_data::{MarketData, WireVersion};
pub use market_feed::{level3_feed, market_feed};
pub use number::{DECIMALS_MAX, WireNumber};
pub use rest::{BARS_MAX, BODY_BYTES_MAX, RestClient};
pub use session::Session;
pub use settings::{
    BOOK_DEPTHS, Credentials, DEADLINE, Endpoints, LEVEL3_DEPTHS, Level3, SelfTradePrevention, Settings, Tier,
};
pub use sign::{Nonces, OrderEncoder, Signer};
