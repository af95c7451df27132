//! `venue_server`: the only server of venue wires.
//!
//! Serves a simulated venue on one port of 127.0.0.1, in the words of [`ServerConfig::venue`]. Behind every wire stands
//! the same venue: [`simulation::Market`], accounts, an order ledger, paced by wall time, one recorded bar for each
//! [`ServerConfig::wall_span`]. It is a test of the wire, not a proof of profit.
//!
//! | wire | symbol | REST | sockets |
//! |---|---|---|---|
//! | Binance spot | `BTCUSDT` | `/api/v3`, `/sapi/v1/account/apiRestrictions` | public streams `/ws` and `/stream`, WebSocket API `/ws-api/v3` |
//! | Kraken spot | `BTC/USD` | `/0/public`, `/0/private` | public and private `/v2`; the older one `/` (or `/ws`) |
//! | Coinbase Advanced Trade | `BTC-USD` | `/api/v3/brokerage` | market and user `/` (or `/ws`) |
//!
//! **Kraken** serves, public: Time, SystemStatus, Assets, AssetPairs, Depth, OHLC (the record's interval), Ticker,
//! Trades; private: GetWebSocketsToken, AddOrder (limit and market; GTC, IOC, FOK, GTD; `post`, `viqc`; stptype,
//! deadline, cl_ord_id, userref, validate), AmendOrder, EditOrder, CancelOrder, CancelAll, CancelAllOrdersAfter,
//! QueryOrders, OpenOrders, ClosedOrders, TradesHistory, QueryTrades, Balance, BalanceEx, TradeVolume, GetApiKeyInfo. A secret is the
//! base64 text that the venue gives out; nonces must rise for each key. Version 2 of the socket has the channels book
//! (depths 10, 25, 100, 500, 1000; every message with its checksum), trade, ticker, ohlc, instrument, status, heartbeat,
//! executions, balances and the methods ping, subscribe, unsubscribe, add_order, amend_order, cancel_order, cancel_all,
//! cancel_all_orders_after; version 1 has book, trade and ticker. An order that was to rest only and would take is
//! accepted and stands as canceled ("Post only order"); an amendment goes to the back of its queue; fees are taken in
//! the quote currency. Order numbers are `OXXXXX-XXXXX-XXXXXX`, executions `TXXXXX-XXXXX-XXXXXX`, both base 36.
//!
//! **Coinbase** serves, public (and under `market/` without a token): time, products, products/{id}, product_book,
//! best_bid_ask, products/{id}/candles (the record's granularity), products/{id}/ticker; private: accounts, orders
//! (`limit_limit_gtc`, `limit_limit_gtd`, `limit_limit_fok`, `sor_limit_ioc`, `market_market_ioc`, `market_market_fok`),
//! orders/batch_cancel, orders/edit, orders/historical/{batch,fills,ID}, key_permissions, transaction_summary. Tokens are
//! ES256, for one method and path (whatever the host), at most two minutes; a secret is a P-256 key as PEM, private or
//! public. A client order id that is known brings back the order that has it. The socket has level2 (as l2_data, the
//! changes of 50 ms of venue time in one message), market_trades, ticker, heartbeats, status and user, and one count of
//! messages over all channels of a connection; a connection that subscribes to nothing for 5 s is closed.
//!
//! Venue time runs `compression` times faster than wall time, and all times on the wire are venue time. What bounds the
//! network is kept in wall time, because the network is not compressed: `recvWindow` with the second that a timestamp
//! may be ahead, deadlines, the switch that cancels everything, heartbeats, and the request limits. `@depth@100ms` keeps
//! its grid in venue time.
//!
//! Instead of a simulated venue, a recording of any of these wires can be served: [`RecordedServer`], at any speed, with
//! snapshots as of the live stream. Nothing can be traded there.
//!
//! `/admin/...` is for tests and people: state, pause, resume, advance, faults, transfers, orders of a person.

mod account;
mod admin;
mod bars_file;
mod binance;
mod clock;
mod coinbase;
mod config;
mod decimal;
mod error;
mod events;
mod faults;
mod frames;
mod history;
mod hub;
mod instant;
mod keys;
mod kraken;
mod listener;
mod listing;
mod orders;
mod rate;
mod recorded;
mod refusal;
mod rewrites;
mod server;
mod shared;
mod socket;
mod tls;
mod venue;
mod wire;

pub use bars_file::{common_tick, read_bars};
pub use config::{ServerConfig, TlsFiles};
pub use error::ServerError;
pub use keys::{ACCOUNTS_MAX, ApiKey, KEYS_VARIABLE, load_keys};
pub use recorded::{RecordedConfig, RecordedServer};
pub use server::{Server, Stopper};
pub use wire::VenueKind;
