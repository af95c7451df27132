//! The only client of HTTP and WebSocket; yields domain events, takes domain orders; never sees the engine.
//!
//! Two halves. The **sockets** ([`websocket`], [`binance::RestClient`], [`binance::MarketFeed`],
//! [`binance::AccountFeed`], [`binance::Gateway`]) run in tokio and decide nothing: they deliver raw frames
//! with receive times into a [`FrameSink`], and answers to orders as reports. The **protocol**
//! ([`binance::MarketData`], [`binance::AccountData`], [`binance::OrderEncoder`], [`sequencer`],
//! [`resolution`]) does no I/O and reads no clock, so that one thread can parse, sequence, decide, encode and
//! sign without waiting, and so that tests need no socket.

pub mod binance;
pub mod clock;
pub mod coinbase;
#[cfg(test)]
#[path = "../tests/support/entries.rs"]
mod entries;
mod error;
mod health;
pub mod independent_reserve;
mod instruments;
pub mod iso8601;
pub mod kraken;
mod last_look;
mod market;
pub mod order_book;
pub mod rate_limit;
pub mod resolution;
pub mod retry;
#[cfg(any(test, feature = "fuzzing"))]
pub mod sample;
mod secret;
pub mod sequencer;
mod tls;
mod trading;
pub mod websocket;

pub use error::{EncodeError, ParseError, VenueError};
pub use health::VenueHealth;
pub use instruments::{INSTRUMENTS_MAX, Instruments};
pub use last_look::LastLook;
pub use market::{MarketProtocol, WireStatistics};
pub use secret::{Secret, SecretError};
pub use tls::TrustedRoots;
pub use trading::{
    AccountEvent, AccountProtocol, AccountStatistics, AccountTrade, EmitAccount, EncodeOrders, Gateway,
    NEW_ORDER_BYTES_MAX, OrderView, Pending, Reference, UnknownOrder,
};
pub use websocket::{Aside, DisconnectReason, FrameSink, StreamMessage, StreamMessageKind};
