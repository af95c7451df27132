//! One instrument's market in venue time: the crowd's flow through the matching engine.

use domain::{Bar, Instrument, Price, Quantity, Side, Timestamp};

use crate::error::SimulationError;
use crate::flow::{BarFlow, FlowConfig};
use crate::matching::{Best, MatchingEngine, NewOrder, OrderId, Outbox, Owner};

/// Flow and matching engine together, driven in venue time by its caller.
///
/// The caller keeps the order of time: it plays [`Market::step`] up to the arrival time of an order before
/// it submits the order.
#[derive(Debug)]
pub struct Market {
    flow: BarFlow,
    engine: MatchingEngine,
}

impl Market {
    /// A market over `bars` (ascending, on the grid of their span).
    ///
    /// # Errors
    /// [`SimulationError`] names the first parameter or bar that makes it impossible.
    pub fn new(instrument: &Instrument, config: FlowConfig, bars: Vec<Bar>) -> Result<Self, SimulationError> {
        Ok(Self {
            flow: BarFlow::new(instrument, config, bars)?,
            engine: MatchingEngine::new(instrument.rules.lot_size),
        })
    }

    /// Venue time of the crowd's next events; `None` after the record's end.
    pub fn next_ts(&mut self) -> Option<Timestamp> {
        self.flow.next_ts()
    }

    /// Plays all events of the next point in time into `out`; false after the record's end.
    pub fn step(&mut self, out: &mut Outbox) -> bool {
        let Some(ts) = self.flow.next_ts() else {
            return false;
        };
        out.begin(ts);
        while self.flow.next_ts() == Some(ts) {
            if let Some(event) = self.flow.next() {
                self.engine.apply(&event.kind, out);
            }
        }
        self.engine.publish(out);
        true
    }

    /// Submits an order at venue time `now`; what it does is in `out`, which is emptied first.
    pub fn submit(&mut self, order: &NewOrder, now: Timestamp, out: &mut Outbox) -> OrderId {
        out.begin(now);
        self.engine.submit(order, out)
    }

    /// Cancels an order of `owner` at venue time `now`; what it does is in `out`, which is emptied first.
    pub fn cancel(&mut self, order: OrderId, owner: Owner, now: Timestamp, out: &mut Outbox) {
        out.begin(now);
        self.engine.cancel(order, owner, out);
    }

    /// The best prices now.
    #[must_use]
    pub fn best(&self) -> Best {
        self.engine.best()
    }

    /// Number of the book's last change.
    #[must_use]
    pub fn update_id(&self) -> u64 {
        self.engine.update_id()
    }

    /// The best `limit` levels of a side with their totals, best first, into `out` (emptied first).
    pub fn depth(&self, side: Side, limit: usize, out: &mut Vec<(Price, Quantity)>) {
        self.engine.depth(side, limit, out);
    }

    /// All bars of the record.
    pub fn bars(&self) -> &[Bar] {
        self.flow.bars()
    }

    /// How many bars have begun.
    pub fn bars_begun(&self) -> usize {
        self.flow.bars_begun()
    }
}
