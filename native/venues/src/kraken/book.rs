//! A book that the venue proves by a checksum, without numbers that count up.
//!
//! The venue's steps, in our words (spot WebSocket documentation, "Book" and "Book checksum", v1 and v2, 2026-08),
//! cited below as K1 to K6:
//! - K1: subscribing brings a snapshot, then changes; a new subscription is the only way to a new snapshot.
//! - K2: the snapshot is the book, as deep as was subscribed for.
//! - K3: each change sets the quantity of a price; zero removes it.
//! - K4: after each message the book is cut to the subscribed depth: what falls out is not told again, until it
//!   comes back as a new level.
//! - K5: the checksum is CRC-32 over the ten best asks, low to high, then the ten best bids, high to low: of each its
//!   price and quantity as text, without the point and without leading zeros.
//! - K6: a checksum that differs means that the book is wrong: subscribe again.

use domain::{
    BookInvalid, BookInvalidReason, BookUpdate, BookUpdateKind, InstrumentId, Level, MarketEvent, Price,
    Quantity, Timestamp,
};

use super::number::{DIGITS_MAX, WireNumber};
use crate::sequencer::{Emit, SequencerStatistics};

/// The deepest book that may be subscribed for.
pub const DEPTH_MAX: usize = 1_000;

/// Levels of each side in the checksum (K5).
pub const CHECKSUM_LEVELS: usize = 10;

/// Most levels of one side of one message.
pub const MESSAGE_LEVELS_MAX: usize = 2_000;

/// A level as the venue wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireLevel {
    /// Price.
    pub price: WireNumber,
    /// Quantity; zero removes.
    pub quantity: WireNumber,
}

impl WireLevel {
    /// Its value.
    #[must_use]
    pub const fn level(&self) -> Level {
        Level {
            price: Price::from_units(self.price.units),
            quantity: Quantity::from_units(self.quantity.units),
        }
    }

    /// Appends what a checksum covers (K5).
    fn push_digits(&self, out: &mut Vec<u8>) {
        self.price.push_digits(out);
        self.quantity.push_digits(out);
    }
}

/// Bytes of digits that a level keeps: a price and a quantity of fifteen digits each.
const DIGITS_KEPT: usize = 30;

/// A level, and what it adds to a checksum.
#[derive(Debug, Clone, Copy)]
struct Proof {
    level: WireLevel,
    digits: [u8; DIGITS_KEPT],
    /// Digits kept; none when there are more than fit, which are made each time.
    len: u8,
}

impl Proof {
    #[expect(clippy::cast_possible_truncation, reason = "at most the digits kept")]
    fn of(level: WireLevel, scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        level.push_digits(scratch);
        let mut digits = [0; DIGITS_KEPT];
        let kept = digits.get_mut(..scratch.len());
        let len = kept.map_or(0, |kept| {
            kept.copy_from_slice(scratch);
            kept.len() as u8
        });
        Self { level, digits, len }
    }

    fn push_digits(&self, out: &mut Vec<u8>) {
        if self.len == 0 {
            self.level.push_digits(out);
        } else {
            out.extend_from_slice(&self.digits[..usize::from(self.len)]);
        }
    }
}

/// One side, best level last.
#[derive(Debug, Clone)]
struct Side {
    /// Bids ascend towards the best, asks descend.
    ascends: bool,
    levels: Vec<Proof>,
}

impl Side {
    fn new(ascends: bool) -> Self {
        Self {
            ascends,
            levels: Vec::with_capacity(DEPTH_MAX + 1),
        }
    }

    fn best(&self) -> Option<Level> {
        self.levels.last().map(|proof| proof.level.level())
    }

    fn position(&self, price: i64) -> Result<usize, usize> {
        self.levels.binary_search_by(|proof| {
            let order = proof.level.price.units.cmp(&price);
            if self.ascends { order } else { order.reverse() }
        })
    }

    /// K3; whether a level was to be removed that is not there.
    fn set(&mut self, level: WireLevel, scratch: &mut Vec<u8>) -> bool {
        match (self.position(level.price.units), level.quantity.units == 0) {
            (Ok(at), true) => {
                self.levels.remove(at);
            }
            (Ok(at), false) => self.levels[at] = Proof::of(level, scratch),
            (Err(_), true) => return true,
            (Err(at), false) => self.levels.insert(at, Proof::of(level, scratch)),
        }
        false
    }

    /// K4; what falls out is appended as removals.
    fn cut(&mut self, depth: usize, removed: &mut Vec<Level>) {
        let beyond = self.levels.len().saturating_sub(depth);
        removed.extend(self.levels.drain(..beyond).map(|proof| Level {
            quantity: Quantity::ZERO,
            ..proof.level.level()
        }));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Synchronized,
}

/// One instrument's book and the proof of it.
#[derive(Debug, Clone)]
pub struct ChecksumBook {
    instrument: InstrumentId,
    depth: usize,
    state: State,
    wants_resync: bool,
    bids: Side,
    asks: Side,
    /// Counts messages: the venue gives the book no number.
    update_id: u64,
    digits: Vec<u8>,
    changed: [Vec<Level>; 2],
    statistics: SequencerStatistics,
}

impl ChecksumBook {
    /// A book of an instrument for which `depth` levels a side are subscribed.
    #[must_use]
    pub fn new(instrument: InstrumentId, depth: usize) -> Self {
        Self {
            instrument,
            depth: depth.min(DEPTH_MAX),
            state: State::Waiting,
            wants_resync: false,
            bids: Side::new(true),
            asks: Side::new(false),
            update_id: 0,
            digits: Vec::with_capacity(4 * CHECKSUM_LEVELS * DIGITS_MAX),
            changed: [(); 2].map(|()| Vec::with_capacity(MESSAGE_LEVELS_MAX)),
            statistics: SequencerStatistics::default(),
        }
    }

    /// Whether the book can be trusted.
    #[must_use]
    pub fn is_synchronized(&self) -> bool {
        self.state == State::Synchronized
    }

    /// Best bid and best ask.
    #[must_use]
    pub fn best(&self) -> (Option<Level>, Option<Level>) {
        (self.bids.best(), self.asks.best())
    }

    /// Levels: bids, asks.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.bids.levels.len(), self.asks.levels.len())
    }

    /// The best levels of a side as the venue wrote them, best first.
    pub fn top(&self, side: domain::Side, count: usize) -> impl Iterator<Item = &WireLevel> {
        let levels = match side {
            domain::Side::Buy => &self.bids.levels,
            domain::Side::Sell => &self.asks.levels,
        };
        levels.iter().rev().take(count).map(|proof| &proof.level)
    }

    /// What has been seen.
    #[must_use]
    pub const fn statistics(&self) -> &SequencerStatistics {
        &self.statistics
    }

    /// Whether a new subscription is wanted now (K6); asking clears the wish.
    pub fn take_resync_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_resync)
    }

    /// The connection is new: its subscription brings a snapshot by itself (K1).
    pub fn on_connected(&mut self) {
        self.clear();
        self.wants_resync = false;
    }

    /// The book is not to be trusted, for a reason from outside.
    pub fn invalidate(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        let was_synchronized = self.is_synchronized();
        self.clear();
        self.wants_resync = reason != BookInvalidReason::Disconnected;
        if was_synchronized {
            emit(MarketEvent::BookInvalid(BookInvalid {
                instrument: self.instrument,
                reason,
            }));
        }
    }

    /// K2.
    pub fn on_snapshot(
        &mut self,
        ts_event: Timestamp,
        bids: &[WireLevel],
        asks: &[WireLevel],
        checksum: Option<u32>,
        emit: &mut Emit<'_>,
    ) {
        if self.is_synchronized() {
            // The venue began again: what stood before is history.
            self.clear();
        }
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels {
                side.set(*level, &mut self.digits);
            }
        }
        let kind = BookUpdateKind::Snapshot;
        let proven = self.prove(kind, checksum);
        if let Err(reason) = proven {
            self.statistics.snapshots_refused += 1;
            self.state = State::Synchronized;
            self.invalidate(reason, emit);
            return;
        }
        self.state = State::Synchronized;
        self.statistics.snapshots_applied += 1;
        for (out, side) in self.changed.iter_mut().zip([&self.bids, &self.asks]) {
            out.clear();
            out.extend(side.levels.iter().rev().map(|proof| proof.level.level()));
        }
        self.tell(ts_event, kind, emit);
    }

    /// K3 to K6.
    pub fn on_update(
        &mut self,
        ts_event: Timestamp,
        bids: &[WireLevel],
        asks: &[WireLevel],
        checksum: Option<u32>,
        emit: &mut Emit<'_>,
    ) {
        if !self.is_synchronized() {
            self.statistics.diffs_stale += 1;
            return;
        }
        let sides = [(&mut self.bids, bids), (&mut self.asks, asks)];
        for (out, (side, levels)) in self.changed.iter_mut().zip(sides) {
            out.clear();
            for level in levels {
                self.statistics.unknown_deletes += u64::from(side.set(*level, &mut self.digits));
                out.push(level.level());
            }
        }
        if let Err(reason) = self.prove(BookUpdateKind::Delta, checksum) {
            self.invalidate(reason, emit);
            return;
        }
        self.statistics.diffs_applied += 1;
        self.tell(ts_event, BookUpdateKind::Delta, emit);
    }

    /// K4 and K5: the book after a message must be sound.
    fn prove(&mut self, kind: BookUpdateKind, checksum: Option<u32>) -> Result<(), BookInvalidReason> {
        let depth = self.depth;
        for (out, side) in self.changed.iter_mut().zip([&mut self.bids, &mut self.asks]) {
            if kind == BookUpdateKind::Snapshot {
                out.clear();
            }
            side.cut(depth, out);
        }
        if let (Some(bid), Some(ask)) = self.best()
            && bid.price >= ask.price
        {
            self.statistics.crossed += 1;
            return Err(BookInvalidReason::Crossed);
        }
        let Some(theirs) = checksum else { return Ok(()) };
        if theirs == self.checksum() {
            self.statistics.checksums_right += 1;
            return Ok(());
        }
        self.statistics.checksums_wrong += 1;
        Err(BookInvalidReason::Checksum)
    }

    /// K5.
    fn checksum(&mut self) -> u32 {
        self.digits.clear();
        for side in [&self.asks, &self.bids] {
            for level in side.levels.iter().rev().take(CHECKSUM_LEVELS) {
                level.push_digits(&mut self.digits);
            }
        }
        crc32fast::hash(&self.digits)
    }

    fn tell(&mut self, ts_event: Timestamp, kind: BookUpdateKind, emit: &mut Emit<'_>) {
        self.update_id += 1;
        let [bids, asks] = &self.changed;
        emit(MarketEvent::Book(BookUpdate {
            instrument: self.instrument,
            ts_event,
            kind,
            update_id: self.update_id,
            bids,
            asks,
        }));
    }

    fn clear(&mut self) {
        self.state = State::Waiting;
        self.bids.levels.clear();
        self.asks.levels.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_adds_to_a_checksum_what_its_text_says_whether_it_is_kept_or_not() {
        let level = |price: &[u8], quantity: &[u8]| WireLevel {
            price: WireNumber::parse(price).unwrap(),
            quantity: WireNumber::parse(quantity).unwrap(),
        };
        let cases = [
            (level(b"62808.0", b"0.00104729"), "628080104729", true),
            (level(b"0.00005100", b"7"), "51007", true),
            (
                level(b"123456789.00000001", b"1234567890.1234567"),
                "1234567890000000112345678901234567",
                false,
            ),
        ];
        for (level, digits, is_kept) in cases {
            let proof = Proof::of(level, &mut b"what was there".to_vec());
            assert_eq!(proof.len > 0, is_kept, "{digits}");
            let mut out = b"before ".to_vec();
            proof.push_digits(&mut out);
            assert_eq!(out, format!("before {digits}").into_bytes());
        }
    }
}
