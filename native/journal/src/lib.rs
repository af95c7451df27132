//! The only writer and reader of the durable record; owns its codecs.
//!
//! A journal is a folder of segments; a segment is a head and records; a record is a frame ([`frame`]) around a payload
//! ([`codec`]). Record 0 is a [`RunHeader`]; then come events, each before it acts, and the actions that the engine made
//! of it, each before it leaves. Actions are there to be compared by a replay, never to be obeyed.
//!
//! - [`Writer`]: a record is in the kernel's hands when `append` returns, so that killing the process loses nothing that
//!   was acknowledged. [`Syncer`] forces it to disk in groups, on another thread. When the disk is full, a reserve still
//!   takes what stops trading ([`Room`]).
//! - [`recover`]: what a death tore off at the end is cut; anything else that is not as it was written is refused with
//!   its place, for every record is checked on its own (CRC32C) and as the next one (numbers, a BLAKE3 chain over all).
//! - [`Reader`]: the same proof, record by record, for replay and for people; needs no lock.
//!
//! What it cannot see: that whole records are missing at the very end, or that someone rewrote everything from some
//! record on. Who needs to know keeps [`Writer::chain`] elsewhere.
//!
//! ```
//! use domain::Timestamp;
//! use engine::{Event, EventBody, TimerId};
//! use journal::{Reader, RecordBody, Room, RunHeader, Writer, WriterOptions};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let home = tempfile::tempdir()?;
//! # let dir = home.path().join("journal");
//! # let header = header();
//! let start = Timestamp::from_nanos(1_000);
//! let (mut writer, mut syncer) = Writer::create(&dir, WriterOptions::default(), &header, start)?;
//! let event = Event {
//!     seq: writer.next_event(),
//!     ts: start,
//!     body: EventBody::Timer(TimerId(7)),
//! };
//! writer.append_event(&event, Room::Ordinary)?;
//! // ... the engine decides; `append_actions` records what; only then does anything leave.
//! assert_eq!(syncer.sync()?.records, 0); // on disk
//!
//! let mut reader = Reader::open(&dir)?;
//! reader.next_record()?; // the header
//! let record = reader.next_record()?.expect("an event");
//! assert!(matches!(record.body, RecordBody::Event(read) if read == event));
//! # Ok(())
//! # }
//! # fn header() -> RunHeader {
//! #     use domain::{Currency, Decimal, Epoch, Money, Nanos};
//! #     let usdt = Currency::new("USDT").expect("a code");
//! #     let money = Money::zero(usdt);
//! #     RunHeader {
//! #         binary_version: "0.1.0".to_owned(),
//! #         run_id: "example".to_owned(),
//! #         config: engine::EngineConfig {
//! #             epoch: Epoch(1),
//! #             portfolio_currency: usdt,
//! #             instruments: Vec::new(),
//! #             slots: Vec::new(),
//! #             limits: engine::risk::RiskLimits {
//! #                 max_position_usd: money,
//! #                 max_portfolio_concentration: Decimal::ONE,
//! #                 max_leverage: Decimal::ONE,
//! #                 var_limit_1d_95: money,
//! #                 max_drawdown_pct: Decimal::ONE,
//! #                 max_order_size_usd: money,
//! #                 max_order_rate_per_min: 1,
//! #                 margin_buffer: Decimal::ZERO,
//! #                 margin_call_threshold: Decimal::ZERO,
//! #                 price_collar_bps: 1,
//! #                 duplicate_window: Nanos(0),
//! #                 repeated_execution_limit: 1,
//! #                 repeated_execution_window: Nanos(1),
//! #                 max_data_age: Nanos(1),
//! #             },
//! #             bar_span: Nanos(1),
//! #             bar_close_grace: Nanos(0),
//! #             order_ack_timeout: Nanos(1),
//! #             require_reconciliation: false,
//! #             carried: engine::CarriedState::default(),
//! #         },
//! #         texts: Vec::new(),
//! #     }
//! # }
//! ```

pub mod codec;
mod error;
pub mod frame;
mod position;
mod reader;
mod recovery;
mod reserve;
pub mod scale;
mod segment;
mod sync;
mod tail;
mod window;
mod writer;

pub use codec::{CodecError, ConfigText, Format, RunHeader};
pub use error::{Fault, JournalError};
pub use reader::{Reader, Record, RecordBody, TornTail};
pub use recovery::{Recovered, recover};
pub use scale::Scale;
pub use sync::{SEGMENTS_UNSYNCED_MAX, SyncLag, Syncer};
pub use writer::{Room, SEGMENT_BYTES_MIN, Writer, WriterOptions};
