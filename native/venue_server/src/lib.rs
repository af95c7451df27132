//! `venue_server`: the only server of venue wires.
//!
//! Serves a simulated Binance spot venue on one port of 127.0.0.1: REST under `/api/v3`, public streams under
//! `/ws` and `/stream`, the WebSocket API under `/ws-api/v3`. Behind it stands [`simulation::Market`], paced by
//! wall time: one recorded bar for each [`ServerConfig::wall_span`]. It is a test of the wire, not a proof of
//! profit.
//!
//! Venue time runs `compression` times faster than wall time, and all times on the wire are venue time. Two
//! bounds are kept in wall time, because the network they bound is not compressed: `recvWindow` with the second
//! that a timestamp may be ahead, and the request limits. `@depth@100ms` keeps its grid in venue time.
//!
//! `/admin/...` is for tests and people: state, pause, resume, advance, faults.

mod account;
mod admin;
mod bars_file;
mod binance;
mod clock;
mod config;
mod decimal;
mod error;
mod events;
mod faults;
mod frames;
mod history;
mod hub;
mod keys;
mod listener;
mod listing;
mod orders;
mod rate;
mod refusal;
mod server;
mod shared;
mod socket;
mod venue;
mod wire;

pub use bars_file::{common_tick, read_bars};
pub use config::ServerConfig;
pub use error::ServerError;
pub use keys::{ACCOUNTS_MAX, ApiKey, KEYS_VARIABLE, load_keys};
pub use server::{Server, Stopper};
pub use wire::VenueKind;
