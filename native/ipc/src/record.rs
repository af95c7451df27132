//! The closed set of records that rings and tables carry, as 15 words each.
//!
//! A record is [`domain`] vocabulary plus what a reader needs beside it. [`Record::encode`] writes it to words;
//! [`Record::decode`] takes *any* words and either refuses them or returns a record that encodes to the same words
//! again, so that nothing in shared memory has two readings. [`KINDS`] describes every field to a machine (name,
//! offset, numpy type, unit): Python builds its structured dtypes from it and from nothing else.
//!
//! ```text
//! row as a reader receives it, 128 bytes       payload word
//! byte   0  index (of the record, or version)  -
//! byte   8  kind u16, instrument u16,          0
//!           slot u16, zero u16
//! byte  16  ts_event, ns UTC                   1
//! byte  24  ts_received, ns UTC                2
//! byte  32  fields of the kind                 3 to 14
//! ```

mod codec;
mod description;

pub use codec::RecordError;
pub(crate) use description::field;
pub use description::{Field, KINDS, KindDescription};

use domain::{Bar, ClientOrderId, Fill, InstrumentId, Price, Quantity, Quote, SlotId, Timestamp, Trade};

/// Payload words of a record.
pub const PAYLOAD_WORDS: usize = 15;
/// Bytes of a row: one word of index, then the payload.
pub const ROW_BYTES: usize = 8 * (1 + PAYLOAD_WORDS);
/// Most features a [`Signal`] carries.
pub const MAX_FEATURES: usize = 16;

/// The payload of a slot.
pub type Payload = [u64; PAYLOAD_WORDS];

/// The kinds and their codes. Codes are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RecordKind {
    /// Best bid and ask.
    TopOfBook = 1,
    /// A public trade.
    Trade = 2,
    /// A closed bar.
    Bar = 3,
    /// What a model said, and from which features.
    Signal = 4,
    /// An execution of one of our orders.
    Fill = 5,
    /// A position with its profit and loss.
    Position = 6,
}

impl RecordKind {
    /// The code that stands in a record's first word.
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// One record. `ts_received` is the engine's time, UTC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Record {
    /// Best bid and ask of an instrument.
    TopOfBook {
        /// When we received the update.
        ts_received: Timestamp,
        /// The prices and quantities.
        quote: Quote,
    },
    /// A public trade.
    Trade {
        /// When we received it.
        ts_received: Timestamp,
        /// The trade.
        trade: Trade,
    },
    /// A closed bar; `ts_event` of its row is the bar's close.
    Bar {
        /// When the watermark closed it.
        ts_received: Timestamp,
        /// The bar.
        bar: Bar,
        /// Whether no trade fell into it.
        is_empty: bool,
    },
    /// What a slot's model said.
    Signal(Signal),
    /// An execution.
    Fill(FillRecord),
    /// A slot's position.
    Position(PositionRecord),
}

/// A model's answer with the features it was given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// Whose model.
    pub slot: SlotId,
    /// About what.
    pub instrument: InstrumentId,
    /// Close of the bar it belongs to.
    pub ts_event: Timestamp,
    /// When it was computed.
    pub ts_received: Timestamp,
    /// The model's raw score, before the sigmoid; finite.
    pub score: f32,
    /// The probability made of it, 0 to 1.
    pub probability: f32,
    /// First eight bytes of the bundle's digest, big-endian: enough to tell bundles apart.
    pub bundle_prefix: u64,
    /// How many of `features` are used, at most [`MAX_FEATURES`].
    pub feature_count: u8,
    /// The features in the order of the feature spec, finite; unused ones are `0.0`.
    pub features: [f32; MAX_FEATURES],
}

/// An execution of one of our orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillRecord {
    /// What was traded.
    pub instrument: InstrumentId,
    /// Venue time.
    pub ts_event: Timestamp,
    /// When we received it.
    pub ts_received: Timestamp,
    /// Our order, which names the slot.
    pub client_order_id: ClientOrderId,
    /// The execution.
    pub fill: Fill,
    /// What is left of the order after it, not negative.
    pub leaves_quantity: Quantity,
}

/// A slot's position in one instrument, with its profit and loss.
///
/// Amounts are exact, in units of 1e-16 of the instrument's quote currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionRecord {
    /// Whose position.
    pub slot: SlotId,
    /// In what.
    pub instrument: InstrumentId,
    /// Venue time of the event that changed it.
    pub ts_event: Timestamp,
    /// When we received that event.
    pub ts_received: Timestamp,
    /// Base quantity, negative when short.
    pub quantity: Quantity,
    /// Average entry price, zero when flat.
    pub average_entry_price: Price,
    /// The price it is valued at.
    pub mark_price: Price,
    /// Realized profit and loss, fees not included.
    pub realized_pnl: i128,
    /// Unrealized profit and loss at `mark_price`.
    pub unrealized_pnl: i128,
    /// Fees paid, valued in the quote currency.
    pub fees: i128,
    /// The slot's equity.
    pub equity: i128,
    /// How many of its orders are working.
    pub open_orders: u32,
}

impl Record {
    /// Which kind it is.
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::TopOfBook { .. } => RecordKind::TopOfBook,
            Self::Trade { .. } => RecordKind::Trade,
            Self::Bar { .. } => RecordKind::Bar,
            Self::Signal(_) => RecordKind::Signal,
            Self::Fill(_) => RecordKind::Fill,
            Self::Position(_) => RecordKind::Position,
        }
    }
}

/// Writes a row as readers receive it.
#[cfg(not(loom))]
pub(crate) fn write_row(row: &mut [u8; ROW_BYTES], index: u64, payload: &Payload) {
    let (cells, _) = row.as_chunks_mut::<8>();
    cells[0] = index.to_le_bytes();
    for (cell, word) in cells[1..].iter_mut().zip(payload) {
        *cell = word.to_le_bytes();
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
