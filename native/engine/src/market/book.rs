//! An L2 order book that is either right or known to be wrong.

use domain::{
    BookInvalidReason, BookUpdate, BookUpdateKind, InstrumentId, Ladder, Level, Price, Quote, Side, Timestamp,
};

use crate::limits::BOOK_LEVELS_MAX;
use crate::strategy::TopOfBook;

/// One instrument's book.
#[derive(Debug, Clone)]
pub struct Book {
    instrument: InstrumentId,
    bids: Ladder,
    asks: Ladder,
    state: BookState,
    /// What stands at the top: of the levels while they are right, of a quote where there are none.
    top: Option<TopOfBook>,
    last_update: Timestamp,
    update_id: u64,
}

/// Whether the levels may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookState {
    /// No snapshot yet, ever: quotes alone may serve.
    Empty,
    /// Levels are right.
    Valid,
    /// Levels are wrong until the next snapshot.
    Invalid(BookInvalidReason),
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new(instrument: InstrumentId) -> Self {
        Self {
            instrument,
            bids: Ladder::new(Side::Buy, BOOK_LEVELS_MAX),
            asks: Ladder::new(Side::Sell, BOOK_LEVELS_MAX),
            state: BookState::Empty,
            top: None,
            last_update: Timestamp::EPOCH,
            update_id: 0,
        }
    }

    /// Whose book this is.
    #[must_use]
    pub const fn instrument(&self) -> InstrumentId {
        self.instrument
    }

    /// Applies an update received at engine time `now`.
    ///
    /// # Errors
    /// The reason for which the book has become, or still is, invalid.
    pub fn apply(&mut self, update: &BookUpdate<'_>, now: Timestamp) -> Result<(), BookInvalidReason> {
        match (update.kind, self.state) {
            (BookUpdateKind::Snapshot, _) => {
                self.bids.replace(update.bids);
                self.asks.replace(update.asks);
            }
            (BookUpdateKind::Delta, BookState::Valid) => {
                // Removing a level that is not known is normal: it lies beyond the snapshot's depth.
                self.bids.apply(update.bids);
                self.asks.apply(update.asks);
            }
            (BookUpdateKind::Delta, BookState::Empty) => return Err(BookInvalidReason::Gap),
            (BookUpdateKind::Delta, BookState::Invalid(reason)) => return Err(reason),
        }
        self.state = BookState::Valid;
        self.last_update = now;
        self.update_id = update.update_id;
        self.top = self.best_levels();
        if self.top.is_some_and(|top| top.bid >= top.ask) {
            self.invalidate(BookInvalidReason::Crossed);
            return Err(BookInvalidReason::Crossed);
        }
        Ok(())
    }

    /// Takes a quote received at engine time `now`; it is the top of an instrument that has no book stream.
    pub fn apply_quote(&mut self, quote: &Quote, now: Timestamp) {
        let crossed = quote.bid >= quote.ask || quote.bid <= Price::ZERO;
        if self.state != BookState::Empty {
            return;
        }
        self.last_update = now;
        self.top = (!crossed).then_some(TopOfBook {
            bid: quote.bid,
            bid_quantity: quote.bid_quantity,
            ask: quote.ask,
            ask_quantity: quote.ask_quantity,
        });
    }

    /// Declares the book wrong: [`Book::top`] is `None` until the next snapshot.
    pub fn invalidate(&mut self, reason: BookInvalidReason) {
        self.state = BookState::Invalid(reason);
        self.top = None;
        self.bids.clear();
        self.asks.clear();
    }

    /// Whether the levels may be believed.
    #[must_use]
    pub const fn state(&self) -> BookState {
        self.state
    }

    /// Whether the book, or for an instrument without one its quote, may be traded on.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.top.is_some()
    }

    /// Best levels; `None` when a side is empty or the book is not valid.
    #[must_use]
    #[inline]
    pub const fn top(&self) -> Option<TopOfBook> {
        self.top
    }

    /// Bids, best first, as far as none is missing between them: see [`Self::horizon`].
    pub fn bids(&self) -> impl Iterator<Item = Level> {
        self.bids.known()
    }

    /// Asks, best first, as far as none is missing between them: see [`Self::horizon`].
    pub fn asks(&self) -> impl Iterator<Item = Level> {
        self.asks.known()
    }

    /// The price from which on levels of a side may be missing; `None` while all are known.
    #[must_use]
    pub const fn horizon(&self, side: Side) -> Option<Price> {
        match side {
            Side::Buy => self.bids.horizon(),
            Side::Sell => self.asks.horizon(),
        }
    }

    /// Engine time of the last update that was taken.
    #[must_use]
    pub const fn last_update(&self) -> Timestamp {
        self.last_update
    }

    /// The venue's number of the book as it stands.
    #[must_use]
    pub const fn update_id(&self) -> u64 {
        self.update_id
    }

    fn best_levels(&self) -> Option<TopOfBook> {
        let (bid, ask) = (self.bids.best()?, self.asks.best()?);
        Some(TopOfBook {
            bid: bid.price,
            bid_quantity: bid.quantity,
            ask: ask.price,
            ask_quantity: ask.quantity,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::Quantity;
    use proptest::prelude::*;

    use super::*;

    fn level(price: i64, quantity: i64) -> Level {
        Level {
            price: Price::from_units(price),
            quantity: Quantity::from_units(quantity),
        }
    }

    fn update<'a>(kind: BookUpdateKind, bids: &'a [Level], asks: &'a [Level]) -> BookUpdate<'a> {
        let instrument = InstrumentId(0);
        BookUpdate {
            instrument,
            ts_event: Timestamp::EPOCH,
            kind,
            update_id: 1,
            bids,
            asks,
        }
    }

    #[test]
    fn a_delta_before_any_snapshot_is_a_gap() {
        let mut book = Book::new(InstrumentId(0));
        let result = book.apply(
            &update(BookUpdateKind::Delta, &[level(9, 1)], &[]),
            Timestamp::EPOCH,
        );
        assert_eq!(result, Err(BookInvalidReason::Gap));
        assert!(!book.is_valid());
    }

    #[test]
    fn a_crossed_book_stays_invalid_until_a_snapshot() {
        let mut book = Book::new(InstrumentId(0));
        let now = Timestamp::EPOCH;
        book.apply(
            &update(BookUpdateKind::Snapshot, &[level(9, 1)], &[level(10, 1)]),
            now,
        )
        .unwrap();
        let (added, removed) = ([level(10, 1)], [level(10, 0)]);
        let crossed = update(BookUpdateKind::Delta, &added, &[]);
        assert_eq!(book.apply(&crossed, now), Err(BookInvalidReason::Crossed));
        assert_eq!(book.top(), None);
        let repair = update(BookUpdateKind::Delta, &removed, &[]);
        assert_eq!(book.apply(&repair, now), Err(BookInvalidReason::Crossed));
        book.apply(
            &update(BookUpdateKind::Snapshot, &[level(9, 1)], &[level(10, 1)]),
            now,
        )
        .unwrap();
        assert!(book.is_valid());
    }

    #[test]
    fn depth_ends_where_levels_may_be_missing() {
        let mut book = Book::new(InstrumentId(0));
        let now = Timestamp::EPOCH;
        let (bids, asks) = ([level(9, 1), level(8, 0)], [level(10, 1), level(12, 0)]);
        book.apply(&update(BookUpdateKind::Snapshot, &bids, &asks), now)
            .unwrap();
        let (bids, asks) = ([level(7, 5)], [level(11, 1), level(13, 5)]);
        book.apply(&update(BookUpdateKind::Delta, &bids, &asks), now)
            .unwrap();
        assert!(book.bids().eq([level(9, 1)]));
        assert!(book.asks().eq([level(10, 1), level(11, 1)]));
        let horizon = [Side::Buy, Side::Sell].map(|side| book.horizon(side).map(Price::units));
        assert_eq!(horizon, [Some(8), Some(12)]);
    }

    #[test]
    fn a_quote_serves_only_where_there_is_no_book() {
        let mut book = Book::new(InstrumentId(0));
        let quote = Quote {
            instrument: InstrumentId(0),
            ts_event: Timestamp::EPOCH,
            update_id: 0,
            bid: Price::from_units(5),
            bid_quantity: Quantity::ONE,
            ask: Price::from_units(6),
            ask_quantity: Quantity::ONE,
        };
        book.apply_quote(&quote, Timestamp::from_nanos(7));
        assert_eq!(book.top().map(|top| top.bid), Some(Price::from_units(5)));
        let (bids, asks) = ([level(9, 1)], [level(10, 1)]);
        let snapshot = update(BookUpdateKind::Snapshot, &bids, &asks);
        book.apply(&snapshot, Timestamp::from_nanos(8)).unwrap();
        book.invalidate(BookInvalidReason::Gap);
        book.apply_quote(&quote, Timestamp::from_nanos(9));
        assert_eq!(book.top(), None, "a quote must not stand in for a broken book");
    }

    proptest! {
        #[test]
        fn equals_a_sorted_map(changes in prop::collection::vec((1i64..60, 0i64..4, any::<bool>()), 1..400)) {
            let mut book = Book::new(InstrumentId(0));
            book.apply(&update(BookUpdateKind::Snapshot, &[], &[]), Timestamp::EPOCH).unwrap();
            let (mut bids, mut asks) = (BTreeMap::new(), BTreeMap::new());
            for (offset, quantity, is_bid) in changes {
                // Bids below 100, asks above: never crossed, so that every change is taken.
                let price = if is_bid { 100 - offset } else { 100 + offset };
                let one = [level(price, quantity)];
                let (side, empty): (&mut BTreeMap<i64, i64>, &[Level]) =
                    if is_bid { (&mut bids, &[]) } else { (&mut asks, &[]) };
                if quantity == 0 { side.remove(&price); } else { side.insert(price, quantity); }
                let change = if is_bid { update(BookUpdateKind::Delta, &one, empty) } else { update(BookUpdateKind::Delta, empty, &one) };
                book.apply(&change, Timestamp::EPOCH).unwrap();
            }
            let ours: Vec<_> = book.bids().map(|l| (l.price.units(), l.quantity.units())).collect();
            let theirs: Vec<_> = bids.into_iter().rev().collect();
            prop_assert_eq!(ours, theirs);
            let ours: Vec<_> = book.asks().map(|l| (l.price.units(), l.quantity.units())).collect();
            let theirs: Vec<_> = asks.into_iter().collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}
