//! The only crate with unsafe (beside py_rt_core's Arrow file): rings, parameter slots, descriptor passing.
//!
//! Fast data leaves the service, and parameters enter it, through sealed shared memory. A segment is a `memfd` that
//! can neither shrink nor grow, and that nobody but its writer can write; its descriptor travels over a Unix socket in
//! a directory that only the owner may enter, and only to the same user. What is read from a segment is copied first
//! and judged after; no length, index or size is believed because shared memory says so.
//!
//! | room | holds |
//! |---|---|
//! | [`layout`] | the map of a segment, its version and hash |
//! | [`record`] | the closed set of records, and their description for machines |
//! | [`ring_buffer`] | broadcast ring: market data, signals, fills, positions |
//! | [`seqlock`] | table of latest values |
//! | [`market_cache`] | the latest market of each instrument: book, trade, venue |
//! | [`parameters`] | Python writes, the service reads and answers |
//! | [`atomic_flags`] | the stopping ladder, visible from outside |
//! | [`shared_memory`] | segments, sockets, who may have what |
//! | [`scheduling`] | which of our threads a core runs first |
//! | [`processor`] | work on the widest registers that there are |
//!
//! # Model checking
//! The algorithms are generic over their memory, and under `--cfg loom` over the model checker's atomics. The models
//! in `tests/loom.rs` explore every interleaving and every weakly ordered outcome of small rings and tables:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p ipc --release --test loom
//! ```
//!
//! x86 hides a missing fence, so running the ordinary tests proves nothing about ordering; the models do.
//!
//! # One writer, one reader
//! ```
//! use ipc::record::{Record, ROW_BYTES};
//! use ipc::ring_buffer::{RingReader, RingWriter};
//! use ipc::shared_memory::{SegmentServer, private_directory};
//! # fn main() -> Result<(), ipc::IpcError> {
//! # use domain::{InstrumentId, Price, Quantity, Side, Timestamp, Trade, TradeId};
//! # let trade = Trade { instrument: InstrumentId(0), ts_event: Timestamp::EPOCH, trade_id: TradeId(1),
//! #     price: Price::from_units(1), quantity: Quantity::from_units(1), aggressor: Side::Buy };
//! # let home = std::env::temp_dir().join(format!("ipc-doc-{}", std::process::id()));
//! private_directory(&home)?;
//! let mut writer = RingWriter::create("market", 1024, 1)?;
//! let server = SegmentServer::bind(&home.join("segments.sock"))?;
//! writer.offer(server.registry())?;
//! let serving = std::thread::spawn(move || server.serve_once(None));
//!
//! let mut reader = RingReader::attach(&home.join("segments.sock"), "market")?;
//! writer.publish(&Record::Trade { ts_received: Timestamp::EPOCH, trade });
//! let mut rows = [0; 64 * ROW_BYTES];
//! let result = reader.poll_into(&mut rows)?;
//! assert_eq!((result.records, result.missed, result.epoch), (1, 0, 1));
//! # serving.join().expect("the server thread ends")?;
//! # std::fs::remove_dir_all(&home).ok();
//! # Ok(())
//! # }
//! ```

#[cfg(target_endian = "big")]
compile_error!(
    "segments are little-endian words that are read in place: big-endian targets are not supported"
);

pub mod atomic_flags;
pub mod atomics;
pub mod layout;
pub mod market_cache;
pub mod processor;
pub mod record;
pub mod ring_buffer;
pub mod scheduling;
pub mod seqlock;

#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
pub mod parameters;
#[cfg(not(loom))]
pub mod shared_memory;

#[cfg(not(loom))]
pub use error::IpcError;
