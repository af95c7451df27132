//! Where the knowledge of a book ends, and how it is moved along with the market.
//!
//! A snapshot brings so many levels of a side and says nothing of those behind them; what changes there is told, what rests
//! there is not. So the side says where it ends, and before the best level comes near, a new snapshot is asked for. The book
//! stands meanwhile: changes are kept, and applied to the new snapshot before it is shown.

use std::cmp::Reverse;

use domain::{
    BookInvalidReason, BookUpdate, BookUpdateKind, Level, MarketEvent, Price, Quantity, Side, Timestamp,
};

use super::{Diff, Emit, Place, Position, Sequencer, State};

/// The book is taken anew when one part in so many of the levels that a snapshot brought lies behind the best level.
const PARTS: usize = 4;

/// What is known of where the last snapshot ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Renewal {
    /// Levels of a side that are asked for; `None` where a snapshot is the whole book.
    asked: Option<usize>,
    is_under_way: bool,
    /// The best bid and the best ask at which the book is taken anew.
    at: (Option<Price>, Option<Price>),
    /// A snapshot's sides with their ends; kept for their storage.
    pub(super) bids: Vec<Level>,
    pub(super) asks: Vec<Level>,
}

impl Renewal {
    pub(super) const fn set_asked(&mut self, levels: usize) {
        self.asked = Some(levels);
    }

    /// Whether a new snapshot was asked for while the book stands.
    pub(super) const fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// The book is given up, or was taken anew.
    pub(super) const fn end(&mut self) {
        self.is_under_way = false;
        self.at = (None, None);
    }

    /// A snapshot becomes the book: takes its sides, each with its end where there may be more behind it.
    pub(super) fn begin(&mut self, bids: &[Level], asks: &[Level]) {
        self.is_under_way = false;
        let asked = self.asked.unwrap_or(usize::MAX);
        self.at = (
            bounded(Side::Buy, asked, bids, &mut self.bids),
            bounded(Side::Sell, asked, asks, &mut self.asks),
        );
    }

    fn is_near(&self, (bid, ask): (Option<Level>, Option<Level>)) -> bool {
        let is_low = |at: Price| bid.is_none_or(|bid| bid.price <= at);
        let is_high = |at: Price| ask.is_none_or(|ask| ask.price >= at);
        self.at.0.is_some_and(is_low) || self.at.1.is_some_and(is_high)
    }
}

/// Copies a side, and its end where it is as long as was asked for; the price at which it is taken anew.
fn bounded(side: Side, asked: usize, levels: &[Level], out: &mut Vec<Level>) -> Option<Price> {
    out.clear();
    out.extend_from_slice(levels);
    if levels.is_empty() || levels.len() < asked {
        return None;
    }
    // Venues send the best level first.
    let away = match side {
        Side::Buy => {
            out.sort_by_key(|level| Reverse(level.price));
            -1
        }
        Side::Sell => {
            out.sort_by_key(|level| level.price);
            1
        }
    };
    let (last, near) = (levels.len() - 1, levels.len() - 1 - levels.len() / PARTS);
    let (last, near) = (out[last].price, out[near].price);
    out.push(end_at(Price::from_units(last.units().saturating_add(away))));
    Some(near)
}

/// Says that from a price on nothing is known.
const fn end_at(price: Price) -> Level {
    Level {
        price,
        quantity: Quantity::ZERO,
    }
}

impl Sequencer {
    /// Keeps changes while the book is taken anew, and asks for that when it is time.
    pub(super) fn renew_when_near_the_horizon(&mut self, diff: &Diff<'_>) {
        if self.renewal.is_under_way {
            if !self.kept.push(diff) {
                // Asked for again with the next change.
                self.statistics.buffer_overflows += 1;
                self.kept.clear();
                self.renewal.is_under_way = false;
            }
        } else if self.renewal.is_near(self.best()) {
            self.renewal.is_under_way = true;
            self.kept.clear();
            self.wants_snapshot = true;
        }
    }

    /// A snapshot for a book that stands: its levels, and the changes since, become the book in one.
    pub(super) fn renew(
        &mut self,
        position: Position,
        (ts_event, last_update_id): (Timestamp, u64),
        (bids, asks): (&[Level], &[Level]),
        emit: &mut Emit<'_>,
    ) {
        let (rule, snapshot) = (self.rule, Position::snapshot(last_update_id));
        let first = self
            .kept
            .iter()
            .find(|diff| rule.place(diff, snapshot) != Place::Stale);
        let is_too_old = match first {
            Some(first) => rule.place(&first, snapshot) == Place::BehindGap,
            None => last_update_id < position.number,
        };
        if is_too_old {
            self.statistics.snapshots_refused += 1;
            self.wants_snapshot = true;
            return;
        }
        self.renewal.begin(bids, asks);
        self.bids.replace(&self.renewal.bids);
        self.asks.replace(&self.renewal.asks);
        self.state = State::Synchronized(snapshot);
        if let Err(reason) = self.catch_up(last_update_id) {
            self.invalidate(reason, emit);
            return;
        }
        self.statistics.snapshots_applied += 1;
        let side = |side: Side| {
            let levels = self.side(side);
            levels
                .iter()
                .chain(levels.horizon().map(end_at))
                .collect::<Vec<_>>()
        };
        emit(MarketEvent::Book(BookUpdate {
            instrument: self.instrument,
            ts_event,
            kind: BookUpdateKind::Snapshot,
            update_id: self.number().unwrap_or(last_update_id),
            bids: &side(Side::Buy),
            asks: &side(Side::Sell),
        }));
    }

    /// Applies the changes that were kept to a snapshot that nobody was shown.
    fn catch_up(&mut self, last_update_id: u64) -> Result<(), BookInvalidReason> {
        if self.is_crossed() {
            self.statistics.crossed += 1;
            return Err(BookInvalidReason::Crossed);
        }
        self.check_best_until(last_update_id)?;
        let mut kept = std::mem::take(&mut self.kept);
        for diff in kept.iter() {
            let State::Synchronized(position) = self.state else {
                break;
            };
            if self.rule.place(&diff, position) == Place::Next {
                self.set(&diff)?;
            }
        }
        kept.clear();
        self.kept = kept;
        Ok(())
    }
}
