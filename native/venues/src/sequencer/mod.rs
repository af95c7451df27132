//! Proves that each book update is the next one, without I/O.
//!
//! A venue sends a snapshot through one door and changes through another; only together, in the right
//! order and without a hole, are they its book. This sequencer joins them, and it distrusts: numbers that
//! follow each other prove that no message was lost, not that the book is right. So it also keeps the
//! levels themselves, refuses a crossed book, and compares the best level with the venue's independent
//! stream of best prices whenever both speak of the same update. What fails is told at once
//! ([`BookInvalidReason`]), and a new snapshot is asked for.
//!
//! How the numbers follow each other is the venue's [`SequenceRule`]; its steps are cited there and below.

mod buffer;
mod horizon;
mod orders;
mod rule;

use std::collections::VecDeque;

use domain::{
    BookInvalid, BookInvalidReason, BookUpdate, BookUpdateKind, InstrumentId, Ladder, Level, MarketEvent,
    Side, Timestamp,
};

use buffer::DiffBuffer;
pub use buffer::{BUFFERED_DIFFS_MAX, BUFFERED_LEVELS_MAX};
use horizon::Renewal;
pub use orders::{COUNT_LAG_MAX, EVENTS_KEPT_MAX, NumberedEvent, OrderSequencer, SnapshotPlace};
pub use rule::SequenceRule;
use rule::{Place, Position};

/// Most best-price messages kept until the change they speak of arrives. The oldest is dropped first,
/// which costs a comparison, never a false alarm.
pub const BEST_LEVELS_KEPT_MAX: usize = 4_096;

/// Most levels kept on one side. Beyond it the level farthest from the best is forgotten: it can only matter to a best
/// level that is so far gone that the venue has halted.
pub const LADDER_LEVELS_MAX: usize = 20_000;

/// A change of the book as a venue's parser gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diff<'a> {
    /// Venue time.
    pub ts_event: Timestamp,
    /// Number of its first update.
    pub first_update_id: u64,
    /// Number of its last update.
    pub last_update_id: u64,
    /// Number of the last update of the change before it, where the venue says it.
    pub previous_update_id: Option<u64>,
    /// New quantities of bids; zero removes.
    pub bids: &'a [Level],
    /// New quantities of asks; zero removes.
    pub asks: &'a [Level],
}

/// The best bid and ask after one update, from an independent stream. A side without orders is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BestLevels {
    /// Number of the update.
    pub update_id: u64,
    /// Best bid.
    pub bid: Option<Level>,
    /// Best ask.
    pub ask: Option<Level>,
}

/// What a sequencer has seen, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SequencerStatistics {
    /// Changes passed on.
    pub diffs_applied: u64,
    /// Changes that ended at or before the book's number: duplicates, reordered or older than the snapshot.
    pub diffs_stale: u64,
    /// Changes kept for a snapshot.
    pub diffs_buffered: u64,
    /// Snapshots that became the book.
    pub snapshots_applied: u64,
    /// Snapshots too old for the changes kept (S4) or for the book, crossed, or not needed.
    pub snapshots_refused: u64,
    /// Holes in the numbers.
    pub gaps: u64,
    /// Times the best bid was at or above the best ask.
    pub crossed: u64,
    /// Comparisons with the independent best level.
    pub best_compared: u64,
    /// Comparisons that failed.
    pub best_mismatches: u64,
    /// Times the changes kept outgrew their bound.
    pub buffer_overflows: u64,
    /// Checksums of the venue that equalled ours.
    pub checksums_right: u64,
    /// Checksums of the venue that did not.
    pub checksums_wrong: u64,
    /// Removals of a level that the book did not hold.
    pub unknown_deletes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for a snapshot; changes are kept.
    Waiting,
    /// The book stands here.
    Synchronized(Position),
}

/// The sequencer of one instrument's book.
#[derive(Debug, Clone)]
pub struct Sequencer {
    instrument: InstrumentId,
    rule: SequenceRule,
    state: State,
    wants_snapshot: bool,
    bids: Ladder,
    asks: Ladder,
    kept: DiffBuffer,
    best: VecDeque<BestLevels>,
    renewal: Renewal,
    statistics: SequencerStatistics,
}

/// Where a sequencer's events go.
pub type Emit<'e> = dyn FnMut(MarketEvent<'_>) + 'e;

impl Sequencer {
    /// Not synchronized, and not yet asking: call [`Self::on_connected`] when the stream is open.
    #[must_use]
    pub fn new(instrument: InstrumentId, rule: SequenceRule) -> Self {
        Self {
            instrument,
            rule,
            state: State::Waiting,
            wants_snapshot: false,
            bids: Ladder::new(Side::Buy, LADDER_LEVELS_MAX),
            asks: Ladder::new(Side::Sell, LADDER_LEVELS_MAX),
            kept: DiffBuffer::default(),
            best: VecDeque::with_capacity(BEST_LEVELS_KEPT_MAX),
            renewal: Renewal::default(),
            statistics: SequencerStatistics::default(),
        }
    }

    /// So many levels of a side are asked for: one that a snapshot brings as many of goes on behind them, where nothing is
    /// known ([`BookUpdateKind::Snapshot`]). The book is then taken anew before the best level comes there. Without it every
    /// snapshot is the whole book.
    pub const fn set_snapshot_levels(&mut self, levels: usize) {
        self.renewal.set_asked(levels);
    }

    /// Whether the book can be trusted.
    #[must_use]
    pub const fn is_synchronized(&self) -> bool {
        matches!(self.state, State::Synchronized(_))
    }

    /// The number of the last update in the synchronized book.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        match self.state {
            State::Waiting => None,
            State::Synchronized(position) => Some(position.number),
        }
    }

    /// What has been seen.
    #[must_use]
    pub const fn statistics(&self) -> &SequencerStatistics {
        &self.statistics
    }

    /// Best bid and ask of the synchronized book; `None` for a side without levels.
    #[must_use]
    pub fn best(&self) -> (Option<Level>, Option<Level>) {
        (self.bids.best(), self.asks.best())
    }

    /// Levels of the book: bids, asks.
    #[must_use]
    pub fn depth(&self) -> (usize, usize) {
        (self.bids.len(), self.asks.len())
    }

    /// The levels of a side.
    #[must_use]
    pub const fn side(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    /// Whether a snapshot is wanted now; asking clears the wish.
    pub fn take_snapshot_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_snapshot)
    }

    /// The stream is open (S1, F1): changes may come, a snapshot is wanted (S3, F3).
    pub fn on_connected(&mut self) {
        self.renewal.end();
        self.kept.clear();
        self.best.clear();
        self.wants_snapshot = true;
    }

    /// The book is not to be trusted, for a reason from outside: a lost connection, an unreadable message.
    pub fn invalidate(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        let was_synchronized = self.is_synchronized();
        self.start_again();
        if was_synchronized {
            emit(MarketEvent::BookInvalid(BookInvalid {
                instrument: self.instrument,
                reason,
            }));
        }
    }

    /// The stream is gone, or has stopped: the book is invalid, and no snapshot is wanted until it is back.
    pub fn on_disconnected(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        self.invalidate(reason, emit);
        self.wants_snapshot = false;
    }

    /// A change of the book.
    pub fn on_diff(&mut self, diff: &Diff<'_>, emit: &mut Emit<'_>) {
        let State::Synchronized(position) = self.state else {
            self.keep(diff);
            return;
        };
        match self.rule.place(diff, position) {
            Place::Next => {}
            // S7, F4: old news.
            Place::Stale => {
                self.statistics.diffs_stale += 1;
                return;
            }
            // S7, F6: a hole.
            Place::BehindGap => {
                self.statistics.gaps += 1;
                self.invalidate(BookInvalidReason::Gap, emit);
                self.keep(diff);
                return;
            }
        }
        if let Err(reason) = self.apply(diff) {
            self.invalidate(reason, emit);
            self.keep(diff);
            return;
        }
        emit(delta(self.instrument, diff));
        self.renew_when_near_the_horizon(diff);
    }

    /// A snapshot over REST; `ts_received` stands in for the venue time that it does not carry.
    pub fn on_snapshot(
        &mut self,
        ts_received: Timestamp,
        last_update_id: u64,
        bids: &[Level],
        asks: &[Level],
        emit: &mut Emit<'_>,
    ) {
        if let State::Synchronized(position) = self.state {
            if self.renewal.is_under_way() {
                self.renew(position, (ts_received, last_update_id), (bids, asks), emit);
            } else {
                self.statistics.snapshots_refused += 1;
            }
            return;
        }
        let rule = self.rule;
        let position = Position::snapshot(last_update_id);
        // S5, F4: what the snapshot already holds.
        self.statistics.diffs_stale += self
            .kept
            .drop_while(|diff| rule.place(diff, position) == Place::Stale);
        // S4, F5: too old for the first change kept.
        let too_old = self
            .kept
            .iter()
            .next()
            .is_some_and(|diff| rule.place(&diff, position) == Place::BehindGap);
        self.renewal.begin(bids, asks);
        self.bids.replace(&self.renewal.bids);
        self.asks.replace(&self.renewal.asks);
        if too_old || self.is_crossed() || self.check_best_until(last_update_id).is_err() {
            self.statistics.snapshots_refused += 1;
            self.renewal.end();
            self.bids.clear();
            self.asks.clear();
            self.wants_snapshot = true;
            return;
        }
        // S6.
        self.state = State::Synchronized(position);
        self.wants_snapshot = false;
        self.statistics.snapshots_applied += 1;
        emit(MarketEvent::Book(BookUpdate {
            instrument: self.instrument,
            ts_event: ts_received,
            kind: BookUpdateKind::Snapshot,
            update_id: last_update_id,
            bids: &self.renewal.bids,
            asks: &self.renewal.asks,
        }));
        self.replay(emit);
    }

    /// The best level after one update, from the independent stream.
    pub fn on_best(&mut self, best: BestLevels, emit: &mut Emit<'_>) {
        if let State::Synchronized(position) = self.state {
            if best.update_id == position.number {
                if let Err(reason) = self.compare(&best) {
                    self.invalidate(reason, emit);
                }
                return;
            }
            if best.update_id < position.number {
                return;
            }
        }
        // Only a rising stream can be looked up later; anything else is not comparable.
        if self
            .best
            .back()
            .is_some_and(|last| last.update_id >= best.update_id)
        {
            return;
        }
        if self.best.len() == BEST_LEVELS_KEPT_MAX {
            self.best.pop_front();
        }
        self.best.push_back(best);
    }

    /// Applies the changes kept since before the snapshot.
    fn replay(&mut self, emit: &mut Emit<'_>) {
        let kept = std::mem::take(&mut self.kept);
        for diff in kept.iter() {
            // A failure on the way starts again, and what is left is kept for the next snapshot.
            self.on_diff(&diff, emit);
        }
        if self.kept.is_empty() {
            // Keeps the storage.
            self.kept = kept;
            self.kept.clear();
        }
    }

    /// S7, F7 to F9: sets the levels, then checks what numbers cannot prove.
    fn apply(&mut self, diff: &Diff<'_>) -> Result<(), BookInvalidReason> {
        self.set(diff)?;
        self.statistics.diffs_applied += 1;
        Ok(())
    }

    fn set(&mut self, diff: &Diff<'_>) -> Result<(), BookInvalidReason> {
        self.statistics.unknown_deletes += self.bids.apply(diff.bids) + self.asks.apply(diff.asks);
        self.state = State::Synchronized(Position::change(diff.first_update_id, diff.last_update_id));
        if self.is_crossed() {
            self.statistics.crossed += 1;
            return Err(BookInvalidReason::Crossed);
        }
        self.check_best_until(diff.last_update_id)
    }

    /// Compares the book after `update_id` with the best level told for it, and forgets older ones.
    fn check_best_until(&mut self, update_id: u64) -> Result<(), BookInvalidReason> {
        while let Some(best) = self.best.front().copied() {
            if best.update_id > update_id {
                break;
            }
            self.best.pop_front();
            if best.update_id == update_id {
                self.compare(&best)?;
            }
        }
        Ok(())
    }

    fn compare(&mut self, best: &BestLevels) -> Result<(), BookInvalidReason> {
        self.statistics.best_compared += 1;
        if (best.bid, best.ask) == self.best() {
            return Ok(());
        }
        self.statistics.best_mismatches += 1;
        Err(BookInvalidReason::BestLevelMismatch)
    }

    fn is_crossed(&self) -> bool {
        match self.best() {
            (Some(bid), Some(ask)) => bid.price >= ask.price,
            _ => false,
        }
    }

    /// S2, F2: keeps a change for the snapshot to come.
    fn keep(&mut self, diff: &Diff<'_>) {
        if let Some((first, last)) = self.kept.last_numbers() {
            match self.rule.place(diff, Position::change(first, last)) {
                Place::Next => {}
                Place::Stale => {
                    self.statistics.diffs_stale += 1;
                    return;
                }
                // A hole among the kept changes: only those after it can continue a snapshot.
                Place::BehindGap => {
                    self.statistics.gaps += 1;
                    self.kept.clear();
                    self.wants_snapshot = true;
                }
            }
        }
        if !self.kept.push(diff) {
            self.statistics.buffer_overflows += 1;
            self.kept.clear();
            self.wants_snapshot = true;
            return;
        }
        self.statistics.diffs_buffered += 1;
    }

    fn start_again(&mut self) {
        self.renewal.end();
        self.state = State::Waiting;
        self.wants_snapshot = true;
        self.bids.clear();
        self.asks.clear();
        self.kept.clear();
    }
}

fn delta<'a>(instrument: InstrumentId, diff: &Diff<'a>) -> MarketEvent<'a> {
    MarketEvent::Book(BookUpdate {
        instrument,
        ts_event: diff.ts_event,
        kind: BookUpdateKind::Delta,
        update_id: diff.last_update_id,
        bids: diff.bids,
        asks: diff.asks,
    })
}

#[cfg(test)]
mod tests;
