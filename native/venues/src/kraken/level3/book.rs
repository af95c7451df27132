//! A book of orders that the venue proves by a checksum over each order's place in its queue.
//!
//! The venue's steps, in our words (spot WebSocket documentation, version 2, "Orders (Level 3)" and "L3 checksum",
//! 2026-11), cited below as O1 to O5:
//! - O1: subscribing brings a snapshot, then changes; all orders of a message count before its checksum does.
//! - O2: a snapshot lists the orders of each price in the order of their queue.
//! - O3: an order is added, modified or deleted; a price without orders is none.
//! - O4: after each message the book is cut to the subscribed prices; a price that comes back is told anew, with all of its
//!   orders.
//! - O5: the checksum is CRC-32 over the ten best asks, low to high, then the ten best bids, high to low: of each order at
//!   the price, the first in its queue first, price and quantity as text, without the point and without leading zeros.
//!
//! Two readings of ours, which the checksum judges: a modified order with less than before keeps its place and one with more
//! goes to the end, and a delete may name an order that was cut off.

use std::collections::BTreeMap;

use domain::{
    BookInvalid, BookInvalidReason, BookUpdate, BookUpdateKind, InstrumentId, Level, MarketEvent,
    OrderBookEvent, Price, PublicOrder, PublicOrderId, Quantity, Side, Timestamp,
};

use super::super::book::CHECKSUM_LEVELS;
use super::super::number::WireNumber;
use super::parser::{Change, Decimals, Told};
use crate::order_book::{LevelChange, OrderBook};
use crate::sequencer::{Emit, SequencerStatistics};

/// One instrument's book.
#[derive(Debug, Clone)]
pub(super) struct Level3Book {
    instrument: InstrumentId,
    depth: usize,
    is_synchronized: bool,
    wants_resync: bool,
    orders: OrderBook,
    /// How the numbers of each order were written.
    decimals: BTreeMap<PublicOrderId, Decimals>,
    /// The levels that are passed on: bids, asks.
    changed: [Vec<Level>; 2],
    digits: Vec<u8>,
    update_id: u64,
    statistics: SequencerStatistics,
}

impl Level3Book {
    /// With so many prices a side subscribed.
    pub(super) fn new(instrument: InstrumentId, depth: usize) -> Self {
        Self {
            instrument,
            depth,
            is_synchronized: false,
            wants_resync: false,
            orders: OrderBook::new(),
            decimals: BTreeMap::new(),
            changed: [Vec::new(), Vec::new()],
            digits: Vec::new(),
            update_id: 0,
            statistics: SequencerStatistics::default(),
        }
    }

    pub(super) const fn instrument(&self) -> InstrumentId {
        self.instrument
    }

    pub(super) const fn is_synchronized(&self) -> bool {
        self.is_synchronized
    }

    pub(super) const fn orders(&self) -> &OrderBook {
        &self.orders
    }

    pub(super) const fn statistics(&self) -> &SequencerStatistics {
        &self.statistics
    }

    pub(super) fn take_resync_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_resync)
    }

    /// The connection is new: its subscription brings a snapshot by itself (O1).
    pub(super) fn on_connected(&mut self) {
        self.clear();
        self.wants_resync = false;
    }

    /// The book is not to be trusted, for a reason from outside.
    pub(super) fn invalidate(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        let was_synchronized = self.is_synchronized;
        self.clear();
        self.wants_resync = reason != BookInvalidReason::Disconnected;
        if was_synchronized {
            emit(MarketEvent::BookInvalid(BookInvalid {
                instrument: self.instrument,
                reason,
            }));
        }
    }

    /// O2.
    pub(super) fn on_snapshot(
        &mut self,
        ts_event: Timestamp,
        told: &[Told],
        checksum: u32,
        emit: &mut Emit<'_>,
    ) {
        let stood = self.is_synchronized;
        self.clear();
        let orders: Vec<PublicOrder> = told.iter().map(|told| told.order).collect();
        let filled = self
            .orders
            .replace(&orders)
            .map_err(|_| BookInvalidReason::Malformed);
        self.decimals
            .extend(told.iter().map(|told| (told.order.id, told.decimals)));
        if let Err(reason) = filled.and_then(|()| self.prove(checksum)) {
            self.statistics.snapshots_refused += 1;
            self.is_synchronized = stood;
            self.invalidate(reason, emit);
            return;
        }
        self.is_synchronized = true;
        self.statistics.snapshots_applied += 1;
        for (out, side) in self.changed.iter_mut().zip([Side::Buy, Side::Sell]) {
            out.clear();
            out.extend(self.orders.levels(side).rev());
        }
        self.tell(ts_event, BookUpdateKind::Snapshot, emit);
    }

    /// O1, O3.
    pub(super) fn on_update(
        &mut self,
        ts_event: Timestamp,
        told: &[Told],
        checksum: u32,
        emit: &mut Emit<'_>,
    ) {
        if !self.is_synchronized {
            self.statistics.diffs_stale += 1;
            return;
        }
        self.changed.iter_mut().for_each(Vec::clear);
        let applied = told.iter().try_for_each(|told| self.apply(told));
        if let Err(reason) = applied.and_then(|()| self.prove(checksum)) {
            self.invalidate(reason, emit);
            return;
        }
        self.statistics.diffs_applied += 1;
        self.tell(ts_event, BookUpdateKind::Delta, emit);
    }

    fn apply(&mut self, told: &Told) -> Result<(), BookInvalidReason> {
        let order = told.order;
        let event = match told.change {
            Change::Add => OrderBookEvent::Add(order),
            Change::Delete => {
                if self.orders.get(order.id).is_none() {
                    self.statistics.unknown_deletes += 1;
                    return Ok(());
                }
                OrderBookEvent::Cancel { id: order.id }
            }
            Change::Modify => {
                let known = self.orders.get(order.id).ok_or(BookInvalidReason::Gap)?;
                if (known.side, known.price) == (order.side, order.price) {
                    OrderBookEvent::Change {
                        id: order.id,
                        quantity: order.quantity,
                    }
                } else {
                    OrderBookEvent::Move(order)
                }
            }
        };
        let Self { orders, changed, .. } = self;
        let applied = orders.apply(&event, &mut |change| note(changed, change));
        applied.map_err(|_| BookInvalidReason::Gap)?;
        if self.orders.get(order.id).is_some() {
            self.decimals.insert(order.id, told.decimals);
        } else {
            self.decimals.remove(&order.id);
        }
        Ok(())
    }

    /// O4 and O5: the book after a message must be sound.
    fn prove(&mut self, checksum: u32) -> Result<(), BookInvalidReason> {
        self.cut();
        if let (Some(bid), Some(ask)) = self.orders.best()
            && bid.price >= ask.price
        {
            self.statistics.crossed += 1;
            return Err(BookInvalidReason::Crossed);
        }
        if self.checksum() == checksum {
            self.statistics.checksums_right += 1;
            return Ok(());
        }
        self.statistics.checksums_wrong += 1;
        Err(BookInvalidReason::Checksum)
    }

    /// O4.
    fn cut(&mut self) {
        for side in [Side::Buy, Side::Sell] {
            let beyond = self.orders.levels(side).count().saturating_sub(self.depth);
            let prices: Vec<Price> = self
                .orders
                .levels(side)
                .take(beyond)
                .map(|level| level.price)
                .collect();
            for price in prices {
                let ids: Vec<PublicOrderId> = self.orders.orders(side, price).map(|order| order.id).collect();
                for id in ids {
                    // Each stands: it was just listed.
                    let _ = self.orders.cancel(id);
                    self.decimals.remove(&id);
                }
                let quantity = Quantity::ZERO;
                note(
                    &mut self.changed,
                    LevelChange {
                        side,
                        level: Level { price, quantity },
                    },
                );
            }
        }
    }

    /// O5.
    fn checksum(&mut self) -> u32 {
        self.digits.clear();
        for side in [Side::Sell, Side::Buy] {
            for level in self.orders.levels(side).rev().take(CHECKSUM_LEVELS) {
                for order in self.orders.orders(side, level.price) {
                    let decimals = self.decimals.get(&order.id);
                    let number = |units, decimals| WireNumber { units, decimals };
                    let (price, quantity) = decimals.map_or((0, 0), |told| (told.price, told.quantity));
                    number(order.price.units(), price).push_digits(&mut self.digits);
                    number(order.quantity.units(), quantity).push_digits(&mut self.digits);
                }
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
        self.is_synchronized = false;
        self.orders.clear();
        self.decimals.clear();
        self.changed.iter_mut().for_each(Vec::clear);
    }
}

fn note(changed: &mut [Vec<Level>; 2], change: LevelChange) {
    let at = usize::from(change.side == Side::Sell);
    changed[at].push(change.level);
}

#[cfg(test)]
impl Level3Book {
    /// What the checksum is after these changes.
    pub(super) fn checksum_after(&mut self, told: &[Told]) -> u32 {
        for one in told {
            self.apply(one).expect("a change that fits");
        }
        self.cut();
        self.checksum()
    }
}
