//! The only client of HTTP and WebSocket; yields domain events, takes domain orders; never sees the engine.
//!
//! Two halves. The **sockets** ([`websocket`], [`MarketFeed`], [`AccountFeed`], [`Reference`], [`Gateway`]) run in tokio
//! and decide nothing: they deliver raw frames with receive times into a [`FrameSink`], and answers to orders as reports.
//! The **protocol** ([`MarketProtocol`], [`AccountProtocol`], [`EncodeOrders`], [`sequencer`], [`resolution`]) does no
//! I/O and reads no clock, so that one thread can parse, sequence, decide, encode and sign without waiting, and so that
//! tests need no socket.
//!
//! [`connect`] gives both halves of a venue by its name; a room for each venue ([`binance`], [`coinbase`], [`kraken`],
//! [`independent_reserve`]) says what is its own.

pub mod backlog;
pub mod binance;
pub mod clock;
pub mod coinbase;
mod connector;
mod credentials;
mod encode;
#[cfg(test)]
#[path = "../tests/support/entries.rs"]
mod entries;
mod error;
pub mod feeds;
mod health;
mod http;
pub mod independent_reserve;
mod instruments;
pub mod iso8601;
pub mod kraken;
mod last_look;
mod market;
pub mod order_book;
mod overhear;
pub mod rate_limit;
pub mod resolution;
pub mod retry;
pub mod rotation;
#[cfg(any(test, feature = "fuzzing"))]
pub mod sample;
mod secret;
pub mod sequencer;
mod setting;
mod staleness;
pub mod switch;
mod tls;
mod trading;
mod unknown;
pub mod websocket;

pub use connector::{
    Connector, ConnectorSettings, Endpoints, MarketWire, OrderEntry, connect, connect_public,
};
pub use credentials::{Credentials, KeyNames};
pub use error::{EncodeError, FailureClass, ParseError, VenueError};
pub use feeds::{AccountFeed, MarketFeed, ResyncRequester};
pub use health::VenueHealth;
pub use instruments::{INSTRUMENTS_MAX, Instruments};
pub use last_look::LastLook;
pub use market::{MarketProtocol, WireStatistics};
pub use overhear::{Overhear, Overhearing};
pub use secret::{Secret, SecretError};
pub use staleness::StalenessBounds;
pub use tls::TrustedRoots;
pub use trading::{
    AccountEvent, AccountProtocol, AccountStatistics, AccountTrade, BARS_MAX, Departure, EmitAccount,
    EncodeOrders, Gateway, KeyRights, NEW_ORDER_BYTES_MAX, OrderView, Pending, Reference, UnknownOrder,
};
pub use unknown::UNKNOWN_WORD;
pub use websocket::{Aside, DisconnectReason, FrameSink, StreamMessage, StreamMessageKind};
