//! A book whose snapshot and changes come down one stream, in the order in which they happened.
//!
//! The venue numbers no change of a book. That none is missing is proven outside, by the numbers of the connection
//! (Advanced Trade) or not at all (Exchange `level2`, whose delivery the venue guarantees); here the levels are kept and
//! looked at.

use domain::{
    BookInvalid, BookInvalidReason, BookUpdate, BookUpdateKind, InstrumentId, Ladder, Level, MarketEvent,
    Price, Side, Timestamp,
};

use crate::sequencer::{Emit, SequencerStatistics};

/// Most levels of one side: more than three times the deepest ever recorded (27,236), and both sides still fit into one
/// record of the journal. The farthest are forgotten first.
pub const BOOK_LEVELS_MAX: usize = 100_000;

/// A snapshot, or changes, of one book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BookChange<'a> {
    /// Venue time.
    pub(super) ts_event: Timestamp,
    /// The venue's number of the message.
    pub(super) update_id: u64,
    /// Bids; a quantity of zero removes.
    pub(super) bids: &'a [Level],
    /// Asks, likewise.
    pub(super) asks: &'a [Level],
}

/// One instrument's book.
#[derive(Debug, Clone)]
pub(super) struct StreamBook {
    instrument: InstrumentId,
    is_synchronized: bool,
    wants_resync: bool,
    /// A snapshot was asked for and has not come: until then changes of the old subscription may.
    is_awaited: bool,
    bids: Ladder,
    asks: Ladder,
    /// The levels of a snapshot as they are passed on, for its storage.
    kept: Vec<Level>,
    statistics: SequencerStatistics,
}

impl StreamBook {
    pub(super) fn new(instrument: InstrumentId) -> Self {
        Self {
            instrument,
            is_synchronized: false,
            wants_resync: false,
            is_awaited: false,
            bids: Ladder::new(Side::Buy, BOOK_LEVELS_MAX),
            asks: Ladder::new(Side::Sell, BOOK_LEVELS_MAX),
            kept: Vec::new(),
            statistics: SequencerStatistics::default(),
        }
    }

    pub(super) const fn is_synchronized(&self) -> bool {
        self.is_synchronized
    }

    pub(super) const fn statistics(&self) -> &SequencerStatistics {
        &self.statistics
    }

    pub(super) fn best(&self) -> (Option<Level>, Option<Level>) {
        (self.bids.best(), self.asks.best())
    }

    pub(super) const fn depth(&self) -> (usize, usize) {
        (self.bids.len(), self.asks.len())
    }

    /// The levels of a side.
    pub(super) const fn side(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    /// From where on levels may be missing: bids, asks. `None` while all are known.
    pub(super) const fn horizon(&self) -> (Option<Price>, Option<Price>) {
        (self.bids.horizon(), self.asks.horizon())
    }

    /// Whether a new snapshot is wanted now; asking clears the wish.
    pub(super) fn take_resync_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_resync)
    }

    /// The connection is new: its subscription brings a snapshot by itself, before any change.
    pub(super) fn on_connected(&mut self) {
        self.clear();
        self.wants_resync = false;
        self.is_awaited = false;
    }

    /// The connection is gone: nothing is wanted until it is back.
    pub(super) fn on_disconnected(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        self.invalidate(reason, emit);
        self.wants_resync = false;
    }

    /// The book is not to be trusted, for a reason from outside.
    pub(super) fn invalidate(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        let was_synchronized = self.is_synchronized;
        self.clear();
        self.ask();
        if was_synchronized {
            emit(MarketEvent::BookInvalid(BookInvalid {
                instrument: self.instrument,
                reason,
            }));
        }
    }

    /// The book is this, whatever it was.
    pub(super) fn on_snapshot(&mut self, change: &BookChange<'_>, emit: &mut Emit<'_>) {
        self.bids.replace(change.bids);
        self.asks.replace(change.asks);
        if self.is_crossed() {
            self.statistics.snapshots_refused += 1;
            self.statistics.crossed += 1;
            self.invalidate(BookInvalidReason::Crossed, emit);
            return;
        }
        self.is_synchronized = true;
        self.is_awaited = false;
        self.wants_resync = false;
        self.statistics.snapshots_applied += 1;
        // What was kept of it, not what was told: it is bounded.
        self.kept.clear();
        self.kept.extend(self.bids.iter());
        self.kept.extend(self.asks.iter());
        let (bids, asks) = self.kept.split_at(self.bids.len());
        emit(MarketEvent::Book(BookUpdate {
            instrument: self.instrument,
            ts_event: change.ts_event,
            kind: BookUpdateKind::Snapshot,
            update_id: change.update_id,
            bids,
            asks,
        }));
    }

    /// The next changes.
    pub(super) fn on_change(&mut self, change: &BookChange<'_>, emit: &mut Emit<'_>) {
        if !self.is_synchronized {
            self.statistics.diffs_stale += 1;
            if !self.is_awaited {
                self.ask();
            }
            return;
        }
        self.statistics.unknown_deletes += self.bids.apply(change.bids) + self.asks.apply(change.asks);
        if self.is_crossed() {
            self.statistics.crossed += 1;
            self.invalidate(BookInvalidReason::Crossed, emit);
            return;
        }
        self.statistics.diffs_applied += 1;
        emit(MarketEvent::Book(BookUpdate {
            instrument: self.instrument,
            ts_event: change.ts_event,
            kind: BookUpdateKind::Delta,
            update_id: change.update_id,
            bids: change.bids,
            asks: change.asks,
        }));
    }

    /// Compares the best prices with those of a stream that runs beside the book and not in step with it: for the
    /// statistics, and for a sign that the market moved. Whether they agree; there is nothing to compare while the book is
    /// not synchronized.
    pub(super) fn compare(&mut self, bid: Price, ask: Price) -> bool {
        if !self.is_synchronized {
            return true;
        }
        self.statistics.best_compared += 1;
        let (best_bid, best_ask) = self.best();
        let is_equal = best_bid.is_some_and(|level| level.price == bid)
            && best_ask.is_some_and(|level| level.price == ask);
        self.statistics.best_mismatches += u64::from(!is_equal);
        is_equal
    }

    fn ask(&mut self) {
        self.wants_resync = true;
        self.is_awaited = true;
    }

    fn clear(&mut self) {
        self.is_synchronized = false;
        self.bids.clear();
        self.asks.clear();
    }

    fn is_crossed(&self) -> bool {
        match self.best() {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }
}
