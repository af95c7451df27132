//! The market data cache: what is known now of each instrument, for whoever asks, as often as it asks.
//!
//! One entry for each instrument under its own sequence lock: the best [`LEVELS`] of both sides and whether they may
//! be believed, the last trade, the venue's state, and what the instrument is. The writer replaces a part of an entry
//! (the book, the trade, the venue) and waits for nobody; a reader gets the whole entry as it stood at one moment, or
//! is told that there is no whole copy. A book that must not be believed has no levels: nothing of it can be read by
//! mistake.
//!
//! How old something is, is told on the service's own clock, which may run faster than the wall's: slot 0 holds that
//! clock beside the machine's.
//!
//! ```text
//! entry, 512 bytes                        payload word
//! byte   0  sequence; in a row: version   -
//! byte   8  book                          0   state u8, reason u8, bids u8, asks u8, zero u32
//!                                         1   ts_event, ns UTC, venue        2   ts_received, ns UTC, service
//!                                         3   update_id
//!                                         4   bids, 10 x {price, quantity}, best first; unused: zero
//!                                        24   asks, alike
//! byte 360  last trade                   44   aggressor u8, zero; 0: none yet
//!                                        45   trade_id     46  price     47  quantity
//!                                        48   ts_event     49  ts_received
//! byte 408  venue                        50   state u8, zero             51  ts_received
//! byte 424  instrument                   52   venue u8, status u8, zero  53  tick_size    54  lot_size
//!                                        55   symbol, 24 bytes           58  base, 16     60  quote, 16
//!                                        62   (zero)
//!
//! clock, in slot 0                        0   ts_service, ns UTC         1   monotonic_ns, CLOCK_MONOTONIC
//!                                         2   rate_ppb, service time in a billionth of wall time
//! ```
//!
//! [`FIELDS`] and [`CODES`] say the same to a machine: Python's types come from them.

mod codec;
mod description;
#[cfg(not(loom))]
mod shared;

pub use codec::CacheFault;
pub use description::{CLOCK_FIELDS, CODES, FIELDS};
#[cfg(not(loom))]
pub use shared::{CacheReading, MarketCacheReader, MarketCacheWriter};

use domain::{
    BookInvalidReason, Currency, Instrument, InstrumentStatus, Level, Price, Quantity, Side, Text, Timestamp,
    Trade, TradeId, Venue, VenueState,
};

/// Levels kept of each side of a book.
pub const LEVELS: usize = 10;
/// Payload words of an entry.
pub const ENTRY_WORDS: usize = 63;
/// Bytes of an entry, its sequence included.
pub const ENTRY_BYTES: usize = 8 * (1 + ENTRY_WORDS);

/// The payload of an entry.
pub type EntryWords = [u64; ENTRY_WORDS];
/// The payload of the clock.
pub type ClockWords = [u64; 3];

/// Whether the levels may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookState {
    /// Nothing has been heard of the book yet.
    Absent,
    /// The levels are right.
    Valid,
    /// There is no book yet: the best bid and ask are a quote's.
    TopOnly,
    /// The levels are wrong, and are not shown, until the next snapshot.
    Invalid(BookInvalidReason),
}

/// What stands over a book's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookHead {
    /// Whether the levels may be believed.
    pub state: BookState,
    /// Venue time of the data that were taken last, of an invalid book too.
    pub ts_event: Timestamp,
    /// When they were received, service time.
    pub ts_received: Timestamp,
    /// The venue's number of the book, 0 where it sends none.
    pub update_id: u64,
}

/// One side of a book, best first, at most [`LEVELS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    levels: [Level; LEVELS],
    count: usize,
}

impl Depth {
    /// The first [`LEVELS`] of `levels`, which come best first.
    pub fn best<'a>(levels: impl IntoIterator<Item = &'a Level>) -> Self {
        let mut depth = Self::EMPTY;
        for (place, level) in depth.levels.iter_mut().zip(levels) {
            *place = *level;
            depth.count += 1;
        }
        depth
    }

    /// No level.
    pub const EMPTY: Self = {
        let none = Level {
            price: Price::ZERO,
            quantity: Quantity::ZERO,
        };
        Self {
            levels: [none; LEVELS],
            count: 0,
        }
    };

    /// The levels, best first.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.levels[..self.count]
    }
}

/// A book as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedBook {
    /// State, times and number.
    pub head: BookHead,
    /// Bids; none unless the state is valid or top only.
    pub bids: Depth,
    /// Asks, alike.
    pub asks: Depth,
}

/// The last public trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedTrade {
    /// When we received it, service time.
    pub ts_received: Timestamp,
    /// Venue time.
    pub ts_event: Timestamp,
    /// The venue's number of it.
    pub trade_id: TradeId,
    /// Price.
    pub price: Price,
    /// Base quantity.
    pub quantity: Quantity,
    /// Side of the order that took liquidity.
    pub aggressor: Side,
}

impl CachedTrade {
    /// A trade that was received at `ts_received`.
    #[must_use]
    pub const fn of(ts_received: Timestamp, trade: &Trade) -> Self {
        Self {
            ts_received,
            ts_event: trade.ts_event,
            trade_id: trade.trade_id,
            price: trade.price,
            quantity: trade.quantity,
            aggressor: trade.aggressor,
        }
    }
}

/// The venue of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedVenue {
    /// Its state; `None` before the first word of it.
    pub state: Option<VenueState>,
    /// When that was learned, service time.
    pub ts_received: Timestamp,
}

/// What an instrument is, and how its numbers step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedInstrument {
    /// Where it trades.
    pub venue: Venue,
    /// The venue's own string.
    pub symbol: Text<24>,
    /// What is bought.
    pub base: Currency,
    /// What is paid.
    pub quote: Currency,
    /// Whether it trades now.
    pub status: InstrumentStatus,
    /// Smallest price step, zero where the venue has none.
    pub tick_size: Price,
    /// Smallest quantity step, alike.
    pub lot_size: Quantity,
}

impl From<&Instrument> for CachedInstrument {
    fn from(instrument: &Instrument) -> Self {
        Self {
            venue: instrument.venue,
            symbol: instrument.symbol,
            base: instrument.base,
            quote: instrument.quote,
            status: instrument.status,
            tick_size: instrument.rules.tick_size,
            lot_size: instrument.rules.lot_size,
        }
    }
}

/// Everything an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedMarket {
    /// What it is about.
    pub instrument: CachedInstrument,
    /// Its book.
    pub book: CachedBook,
    /// Its last trade; `None` before the first.
    pub trade: Option<CachedTrade>,
    /// Its venue.
    pub venue: CachedVenue,
}

impl CachedMarket {
    /// An instrument of which nothing has been heard.
    #[must_use]
    pub const fn silent(instrument: CachedInstrument) -> Self {
        Self {
            instrument,
            book: CachedBook {
                head: BookHead {
                    state: BookState::Absent,
                    ts_event: Timestamp::EPOCH,
                    ts_received: Timestamp::EPOCH,
                    update_id: 0,
                },
                bids: Depth::EMPTY,
                asks: Depth::EMPTY,
            },
            trade: None,
            venue: CachedVenue {
                state: None,
                ts_received: Timestamp::EPOCH,
            },
        }
    }
}

/// The service's clock beside the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceClock {
    /// Service time, UTC.
    pub ts_service: Timestamp,
    /// `CLOCK_MONOTONIC` at that moment.
    pub monotonic_ns: u64,
    /// Service time that passes in wall time, parts per billion; 1,000,000,000 unless time is compressed.
    pub rate_ppb: i64,
}

impl ServiceClock {
    /// Service time at `monotonic_ns`, saturating.
    #[must_use]
    pub fn at(&self, monotonic_ns: u64) -> Timestamp {
        let elapsed = i128::from(monotonic_ns) - i128::from(self.monotonic_ns);
        let passed = elapsed * i128::from(self.rate_ppb) / 1_000_000_000;
        let now = i128::from(self.ts_service.nanos()) + passed;
        let end = if now < 0 { i64::MIN } else { i64::MAX };
        Timestamp::from_nanos(i64::try_from(now).unwrap_or(end))
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
