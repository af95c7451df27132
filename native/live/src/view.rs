//! A copy of the engine's state between two events, for everybody who is not the engine.

use domain::{Epoch, InstrumentId, Money, Timestamp};
use engine::execution::OrderView;
use engine::limits::OPEN_ORDERS_MAX;
use engine::probe::Probe;
use engine::strategy::TopOfBook;
use engine::{ControlLevel, Engine, Latch, PositionUpdate, Scope, SlotSnapshot, SlowSnapshot};

/// Orders in a view: all that may still trade, and the newest that ended.
pub const ORDERS_SHOWN_MAX: usize = 4 * OPEN_ORDERS_MAX;

/// What the service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// Its streams are not up.
    Connecting,
    /// The account is being compared with the venue's.
    Reconciling,
    /// Ready, and no slot has a program.
    Waiting,
    /// A slot has a program.
    Trading,
    /// Canceling and writing before it ends.
    Draining,
}

impl ServiceState {
    /// Its name in files and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Reconciling => "reconciling",
            Self::Waiting => "waiting",
            Self::Trading => "trading",
            Self::Draining => "draining",
        }
    }
}

/// The engine at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// What the service is doing.
    pub state: ServiceState,
    /// Engine time.
    pub now: Timestamp,
    /// Number of the last event.
    pub seq: u64,
    /// This life.
    pub epoch: Epoch,
    /// Every slot.
    pub slots: Vec<SlotSnapshot>,
    /// The slow parameters that running bundles declare, by slot.
    pub slow: Vec<SlowSnapshot>,
    /// Position of every slot.
    pub positions: Vec<PositionUpdate>,
    /// Live orders, then ended ones, newest first; at most [`ORDERS_SHOWN_MAX`].
    pub orders: Vec<OrderView>,
    /// Best prices, by instrument; `None` without a valid book.
    pub tops: Vec<Option<TopOfBook>>,
    /// Latches that hold.
    pub latches: Vec<Latch>,
    /// How free everything is.
    pub control: ControlLevel,
    /// The account's equity.
    pub equity: Money,
    /// Its highest so far.
    pub peak_equity: Money,
    /// Fees in assets that are neither base nor quote.
    pub foreign_fees: Vec<Money>,
}

impl View {
    pub(crate) fn of<P: Probe>(
        engine: &Engine<P>,
        seq: u64,
        instruments: usize,
        state: ServiceState,
        orders_max: usize,
    ) -> Self {
        let ids = (0..instruments).filter_map(|id| u16::try_from(id).ok());
        Self {
            state,
            now: engine.now(),
            seq,
            epoch: engine.epoch(),
            slots: engine.slots().collect(),
            slow: engine.slow_parameters().collect(),
            positions: engine.positions().collect(),
            orders: engine.orders().take(orders_max).collect(),
            tops: ids.map(|id| engine.book_top(InstrumentId(id))).collect(),
            latches: engine.latches().collect(),
            control: engine.control(Scope::All).unwrap_or(ControlLevel::Killed),
            equity: engine.equity(),
            peak_equity: engine.peak_equity(),
            foreign_fees: engine.foreign_fees().to_vec(),
        }
    }
}
