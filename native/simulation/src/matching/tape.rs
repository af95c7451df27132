//! What the record allows: own trades stand in the place of recorded ones, never beside them.

use domain::{Price, Quantity, TradeId};

/// Executions that the record does not cover get numbers from here up, so that those of public trades stay
/// consecutive. Below 2^53: such numbers survive readers that keep integers in floats.
pub const OFF_TAPE_ID_BASE: u64 = 1 << 48;

/// The bar that is being played, or the absence of one.
#[derive(Debug, Clone, Copy)]
enum Record {
    /// Nothing to reproduce: every trade is printed.
    None,
    /// A bar whose prices and volume must come out exactly.
    Bar {
        low: Price,
        high: Price,
        /// Volume that own trades may still stand in for.
        spare: i64,
        /// Volume that own trades took and crowd trades still have to give up.
        owed: i64,
        /// Volume that passed own orders took beside the tape: printed by crowd trades all the same, and good
        /// for no other own order.
        beside: i64,
        opened: bool,
    },
}

/// Numbers trades and keeps every bar of the record exact.
#[derive(Debug)]
pub(super) struct Tape {
    record: Record,
    next_trade: u64,
    unprinted: u64,
}

impl Tape {
    pub(super) fn new() -> Self {
        Self {
            record: Record::None,
            next_trade: 1,
            unprinted: OFF_TAPE_ID_BASE,
        }
    }

    pub(super) fn open_bar(&mut self, low: Price, high: Price, spare: Quantity) {
        self.record = Record::Bar {
            low,
            high,
            spare: spare.units(),
            owed: 0,
            beside: 0,
            opened: false,
        };
    }

    pub(super) fn end_record(&mut self) {
        self.record = Record::None;
    }

    /// How much of `wanted` at `price` an own trade may print now.
    ///
    /// Within the bar's range, after its opening trade, and up to the volume that later trades can give up.
    pub(super) fn cover(&self, price: Price, wanted: i64) -> i64 {
        let printable = match self.record {
            Record::None => true,
            Record::Bar {
                low, high, opened, ..
            } => opened && low <= price && price <= high,
        };
        if printable { wanted.min(self.room()) } else { 0 }
    }

    /// The record's volume that no own trade stands for yet.
    pub(super) fn room(&self) -> i64 {
        match self.record {
            Record::None => i64::MAX,
            Record::Bar { spare, beside, .. } => (spare - beside).max(0),
        }
    }

    /// How much of a crowd trade of `planned` no own trade stands for yet.
    pub(super) fn open_part(&self, planned: i64, lot: i64) -> i64 {
        match self.record {
            Record::None => planned,
            Record::Bar { owed, beside, .. } => {
                let can_give = planned - lot;
                let given = owed.min(can_give);
                planned - given - beside.min(can_give - given)
            }
        }
    }

    /// Books an own trade that [`Tape::cover`] allowed.
    pub(super) fn spend(&mut self, quantity: i64) {
        if let Record::Bar { spare, owed, .. } = &mut self.record {
            *spare -= quantity;
            *owed += quantity;
        }
    }

    /// Books what a passed own order took without a print.
    pub(super) fn spend_beside(&mut self, quantity: i64) {
        if let Record::Bar { beside, .. } = &mut self.record {
            *beside += quantity;
        }
    }

    /// The size that a trade of `planned` has left to print, of a record at least one `lot`: own trades before it took
    /// the rest. Own orders that it passed took `passed`.
    pub(super) fn crowd_trade(&mut self, planned: i64, passed: i64, lot: i64) -> i64 {
        match &mut self.record {
            Record::None => planned - passed,
            Record::Bar {
                spare,
                owed,
                beside,
                opened,
                ..
            } => {
                *opened = true;
                let can_give = planned - lot;
                let given = can_give.min(*owed);
                *owed -= given;
                // What this trade did not give up is no longer there for later own trades.
                *spare -= can_give - given;
                *beside -= (can_give - given).min(*beside);
                planned - given
            }
        }
    }

    pub(super) fn next_trade_id(&mut self) -> TradeId {
        let id = TradeId(self.next_trade);
        self.next_trade += 1;
        id
    }

    pub(super) fn next_off_tape_id(&mut self) -> TradeId {
        let id = TradeId(self.unprinted);
        self.unprinted += 1;
        id
    }
}
