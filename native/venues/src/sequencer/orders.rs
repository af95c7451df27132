//! Proves that each event of a book of orders (L3) is the next one, without I/O.
//!
//! The same art as for books of prices: events are numbered, a snapshot comes through another door, and only together are
//! they the book. Venues differ in how a snapshot says where it stands:
//! - by the number of the last event in it (Coinbase Exchange `full`): events up to it are dropped, the next must follow;
//! - by its time alone (Independent Reserve): every event kept since before that time is applied over it. That an order
//!   comes which it holds, that one goes which it does not, or that more is left of one than it holds, is then normal. A
//!   snapshot is asked for when the first event has come: only one that is younger than some event can be joined without a
//!   hole. Until the stream has come as far as the snapshot's time, an order that it saw go may stand again.
//!
//! What goes on to strategies is the book of prices that follows from the orders, a level at a time.

use domain::{
    BookInvalid, BookInvalidReason, BookUpdate, BookUpdateKind, InstrumentId, Level, MarketEvent,
    OrderBookEvent, PublicOrder, Side, Timestamp,
};

use super::{Emit, SequencerStatistics};
use crate::order_book::{LevelChange, OrderBook, OrderFault};

/// Most events kept for a snapshot: more than ten seconds of the busiest public stream.
pub const EVENTS_KEPT_MAX: usize = 65_536;

/// How far a message that tells the venue's count may lag behind the stream itself.
pub const COUNT_LAG_MAX: u64 = 10_000;

/// Where a snapshot of orders stands in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotPlace {
    /// It holds all events up to this number.
    Number(u64),
    /// It was taken at this venue time.
    Time(Timestamp),
}

/// A numbered message of the stream. Every message takes a number, also one that changes no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedEvent {
    /// The venue's number.
    pub number: u64,
    /// Venue time.
    pub ts_event: Timestamp,
    /// What happened to which order, if anything.
    pub event: Option<OrderBookEvent>,
}

/// What numbers and snapshots prove about one instrument's orders.
#[derive(Debug, Clone)]
pub struct OrderSequencer {
    instrument: InstrumentId,
    place: PlaceKind,
    is_synchronized: bool,
    wants_snapshot: bool,
    book: OrderBook,
    /// The number of the last message.
    last: Option<u64>,
    /// Venue time of the first event from which on nothing was missed.
    since: Option<Timestamp>,
    /// The first number that the kept events cover.
    kept_from: Option<u64>,
    kept: Vec<NumberedEvent>,
    /// What the last message changed, or the whole book: bids, asks.
    levels: [Vec<Level>; 2],
    statistics: SequencerStatistics,
}

/// How this venue's snapshots say where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlaceKind {
    Number,
    Time,
}

impl OrderSequencer {
    /// For a venue whose snapshots name the number of their last event. Not synchronized, and not yet asking: call
    /// [`Self::on_connected`] when the stream is open.
    #[must_use]
    pub fn numbered(instrument: InstrumentId) -> Self {
        Self::new(instrument, PlaceKind::Number)
    }

    /// For a venue whose snapshots name their time.
    #[must_use]
    pub fn timed(instrument: InstrumentId) -> Self {
        Self::new(instrument, PlaceKind::Time)
    }

    fn new(instrument: InstrumentId, place: PlaceKind) -> Self {
        Self {
            instrument,
            place,
            is_synchronized: false,
            wants_snapshot: false,
            book: OrderBook::new(),
            last: None,
            since: None,
            kept_from: None,
            kept: Vec::new(),
            levels: [Vec::new(), Vec::new()],
            statistics: SequencerStatistics::default(),
        }
    }

    /// Whether the book can be trusted.
    #[must_use]
    pub const fn is_synchronized(&self) -> bool {
        self.is_synchronized
    }

    /// The orders; empty while the book is not synchronized.
    #[must_use]
    pub const fn book(&self) -> &OrderBook {
        &self.book
    }

    /// What has been seen: events count as changes.
    #[must_use]
    pub const fn statistics(&self) -> &SequencerStatistics {
        &self.statistics
    }

    /// Whether a snapshot is wanted now; asking clears the wish.
    pub fn take_snapshot_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_snapshot)
    }

    /// The stream is open: events may come.
    pub fn on_connected(&mut self) {
        self.start_again();
    }

    /// The book is not to be trusted, for a reason from outside: a lost connection, an unreadable message.
    pub fn invalidate(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        let was_synchronized = self.is_synchronized;
        self.start_again();
        if was_synchronized {
            emit(MarketEvent::BookInvalid(BookInvalid {
                instrument: self.instrument,
                reason,
            }));
        }
    }

    /// The stream is gone: no snapshot is wanted until it is back.
    pub fn on_disconnected(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        self.invalidate(reason, emit);
        self.wants_snapshot = false;
    }

    /// The next message of the stream.
    pub fn on_event(&mut self, event: &NumberedEvent, emit: &mut Emit<'_>) {
        if let Some(last) = self.last {
            if event.number <= last && self.place == PlaceKind::Number {
                // The venue sends a match once for each channel that has it.
                self.statistics.diffs_stale += 1;
                return;
            }
            if last.checked_add(1) != Some(event.number) {
                self.statistics.gaps += 1;
                self.invalidate(BookInvalidReason::Gap, emit);
            }
        }
        self.last = Some(event.number);
        if self.since.is_none() {
            self.since = Some(event.ts_event);
            self.wants_snapshot = true;
        }
        if !self.is_synchronized {
            self.keep(event);
            return;
        }
        self.levels.iter_mut().for_each(Vec::clear);
        let taken = self.take_in(event).and_then(|()| self.check_crossed());
        if let Err(reason) = taken {
            self.invalidate(reason, emit);
            return;
        }
        if self.levels.iter().any(|levels| !levels.is_empty()) {
            emit(self.update(BookUpdateKind::Delta, event.ts_event, event.number));
        }
    }

    /// The venue's count stood at this number, as another of its messages says. That we have not seen so much, or a little
    /// more, is normal; that we have seen far more shows that it has started anew.
    pub fn check_count(&mut self, number: u64, emit: &mut Emit<'_>) {
        if self
            .last
            .is_some_and(|last| last > number.saturating_add(COUNT_LAG_MAX))
        {
            self.statistics.gaps += 1;
            self.invalidate(BookInvalidReason::Gap, emit);
        }
    }

    /// The answer through the other door was none.
    pub fn on_unreadable_snapshot(&mut self) {
        self.statistics.snapshots_refused += 1;
        self.wants_snapshot = !self.is_synchronized;
    }

    /// A snapshot through the other door; `ts_event` is its venue time, or what stands in for it.
    pub fn on_snapshot(
        &mut self,
        place: SnapshotPlace,
        ts_event: Timestamp,
        orders: &[PublicOrder],
        emit: &mut Emit<'_>,
    ) {
        if self.is_synchronized {
            self.statistics.snapshots_refused += 1;
            return;
        }
        if !self.reaches_kept(place) || self.join(place, orders).is_err() {
            self.statistics.snapshots_refused += 1;
            self.book.clear();
            self.wants_snapshot = self.place == PlaceKind::Number || self.since.is_some();
            return;
        }
        let newest = self.kept.last().map_or(ts_event, |event| event.ts_event);
        self.kept.clear();
        self.kept_from = None;
        self.is_synchronized = true;
        self.wants_snapshot = false;
        self.statistics.snapshots_applied += 1;
        // The farthest first: whoever keeps the best level last appends.
        for (levels, side) in self.levels.iter_mut().zip([Side::Buy, Side::Sell]) {
            levels.clear();
            levels.extend(self.book.levels(side));
        }
        let number = self.last.unwrap_or_default();
        emit(self.update(BookUpdateKind::Snapshot, newest.max(ts_event), number));
    }

    /// The levels at hand as an event.
    fn update(&self, kind: BookUpdateKind, ts_event: Timestamp, update_id: u64) -> MarketEvent<'_> {
        MarketEvent::Book(BookUpdate {
            instrument: self.instrument,
            ts_event,
            kind,
            update_id,
            bids: &self.levels[0],
            asks: &self.levels[1],
        })
    }

    /// Whether the kept events go on where the snapshot ends.
    fn reaches_kept(&self, place: SnapshotPlace) -> bool {
        match place {
            SnapshotPlace::Number(number) => {
                self.kept_from.is_none_or(|from| from <= number.saturating_add(1))
            }
            SnapshotPlace::Time(time) => self.since.is_some_and(|since| since <= time),
        }
    }

    /// Makes the book from the snapshot and the events kept.
    fn join(&mut self, place: SnapshotPlace, orders: &[PublicOrder]) -> Result<(), BookInvalidReason> {
        self.book
            .replace(orders)
            .map_err(|_| BookInvalidReason::Malformed)?;
        let kept = std::mem::take(&mut self.kept);
        let result = kept.iter().try_for_each(|event| match place {
            SnapshotPlace::Number(number) if event.number <= number => {
                self.statistics.diffs_stale += 1;
                Ok(())
            }
            _ => self.take_in(event),
        });
        self.kept = kept;
        result?;
        if let SnapshotPlace::Number(number) = place {
            self.last = self.last.max(Some(number));
        }
        self.check_crossed()
    }

    /// Takes an event into the book, and what it changes into the levels at hand; an error when the book and the event
    /// cannot both be right.
    fn take_in(&mut self, numbered: &NumberedEvent) -> Result<(), BookInvalidReason> {
        let Some(event) = &numbered.event else {
            return Ok(());
        };
        if self.is_old_news(event) {
            self.statistics.diffs_stale += 1;
            return Ok(());
        }
        let [bids, asks] = &mut self.levels;
        let mut changed = |LevelChange { side, level }| match side {
            Side::Buy => bids.push(level),
            Side::Sell => asks.push(level),
        };
        match (self.book.apply(event, &mut changed), event) {
            (Ok(()), _) => {
                self.statistics.diffs_applied += 1;
                Ok(())
            }
            // Orders that never came to rest go too, and a snapshot may have seen them go.
            (
                Err(OrderFault::Unknown),
                OrderBookEvent::Cancel { .. } | OrderBookEvent::Change { .. } | OrderBookEvent::Move(_),
            ) => {
                self.statistics.unknown_deletes += 1;
                Ok(())
            }
            (Err(OrderFault::Known), OrderBookEvent::Add(_)) if self.place == PlaceKind::Time => {
                self.statistics.diffs_stale += 1;
                Ok(())
            }
            (Err(OrderFault::Full), _) => {
                self.statistics.buffer_overflows += 1;
                Err(BookInvalidReason::Gap)
            }
            (Err(OrderFault::NotPositive), _) => Err(BookInvalidReason::Malformed),
            // An order traded that does not rest here, or rests here twice: something before it is missing.
            (Err(_), _) => Err(BookInvalidReason::Gap),
        }
    }

    /// Whether a snapshot that names its time alone held more than this event tells: what is left of an order only becomes
    /// less, so that it must not grow again, and lose its place in the queue.
    fn is_old_news(&self, event: &OrderBookEvent) -> bool {
        match *event {
            OrderBookEvent::Change { id, quantity } if self.place == PlaceKind::Time => {
                self.book.get(id).is_some_and(|order| order.quantity <= quantity)
            }
            _ => false,
        }
    }

    fn keep(&mut self, event: &NumberedEvent) {
        if self.kept.len() == EVENTS_KEPT_MAX {
            self.statistics.buffer_overflows += 1;
            self.kept.clear();
            self.kept_from = None;
            self.since = Some(event.ts_event);
            self.wants_snapshot = true;
        }
        self.kept_from.get_or_insert(event.number);
        if event.event.is_some() {
            self.kept.push(*event);
            self.statistics.diffs_buffered += 1;
        }
    }

    fn start_again(&mut self) {
        self.is_synchronized = false;
        self.book.clear();
        self.kept.clear();
        self.kept_from = None;
        self.last = None;
        self.since = None;
        self.wants_snapshot = self.place == PlaceKind::Number;
    }

    fn check_crossed(&mut self) -> Result<(), BookInvalidReason> {
        match self.book.best() {
            (Some(bid), Some(ask)) if bid.price >= ask.price => {
                self.statistics.crossed += 1;
                Err(BookInvalidReason::Crossed)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
