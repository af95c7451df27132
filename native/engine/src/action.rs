//! Everything the engine can ask for or report: a closed enum, written in order.

use domain::{
    AmendRequest, Bar, BundleDigest, CancelRequest, ClientOrderId, Currency, Fill, InstrumentId, Money,
    OrderRequest, OrderStatus, Price, Quantity, SlotId, Timestamp, TradeId, VenueOrderId,
};

use crate::command::{CommandId, CommandRefusal, Scope};
use crate::event::TimerId;
use crate::limits::{ACTIONS_MAX, FEATURES_MAX};
use crate::risk::{Approved, DenyReason};

/// The features of one bar, in the order of the feature specification.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FeatureRow {
    values: [f32; FEATURES_MAX],
    len: u8,
}

impl FeatureRow {
    /// Copies `values`; `None` when there are more than [`FEATURES_MAX`].
    #[must_use]
    pub fn new(values: &[f32]) -> Option<Self> {
        if values.len() > FEATURES_MAX {
            return None;
        }
        let mut row = [0.0; FEATURES_MAX];
        row[..values.len()].copy_from_slice(values);
        Some(Self {
            values: row,
            len: u8::try_from(values.len()).ok()?,
        })
    }

    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.values[..usize::from(self.len)]
    }
}

/// What a strategy made of one bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Features are not warm, or the model gave no finite score: nothing may be decided.
    NoSignal,
    /// Stay as it is.
    Hold,
    /// Enter or add.
    Enter,
    /// Leave.
    Exit,
}

/// A model's view of one bar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// Which slot.
    pub slot: SlotId,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// The bar's close, venue time.
    pub ts_close: Timestamp,
    /// The features it saw.
    pub features: FeatureRow,
    /// The model's sum before its link function; decisions compare this one.
    pub raw_score: f32,
    /// The model's probability, for people.
    pub probability: f32,
    /// What the strategy decided.
    pub decision: Decision,
}

/// The state of one of our orders after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderUpdate {
    /// Which order.
    pub client_order_id: ClientOrderId,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// Its state now.
    pub status: OrderStatus,
    /// Quantity filled so far.
    pub filled: Quantity,
    /// Quantity asked for.
    pub quantity: Quantity,
}

/// A fill as it was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookedFill {
    /// Whose order; `None` for a fill that reconciliation found and no order of ours explains.
    pub client_order_id: Option<ClientOrderId>,
    /// The slot that owns it.
    pub slot: SlotId,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// When, venue time.
    pub ts_event: Timestamp,
    /// What traded.
    pub fill: Fill,
    /// Profit realised by it, quote currency, before fees.
    pub realized: Money,
}

/// A slot's position in one instrument after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionUpdate {
    /// Which slot.
    pub slot: SlotId,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Signed base quantity.
    pub quantity: Quantity,
    /// Exact cost of the open quantity, quote currency (signed like the quantity).
    pub cost: Money,
    /// Realised profit since the slot began, before fees.
    pub realized: Money,
    /// Unrealised profit at the mark, before fees.
    pub unrealized: Money,
    /// Fees paid in the quote currency (fees in other assets are in the ledger by asset).
    pub fees: Money,
    /// The mark used.
    pub mark: Price,
}

/// How free the engine is to trade; ordered from free to stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ControlLevel {
    /// Trading.
    Running,
    /// Strategies are silent; people may trade.
    Paused,
    /// Only reducing orders; latched.
    ReduceOnly,
    /// Nothing leaves but cancels; latched.
    Killed,
}

/// What tripped a control or needs a person's eye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// The drawdown stop was reached.
    DrawdownStop,
    /// The margin ratio fell below the margin-call threshold.
    MarginCall,
    /// Too many executions without a person's look.
    RepeatedExecution,
    /// An order's outcome is unknown.
    UnknownOrder(ClientOrderId),
    /// A fill arrived for an order that had ended.
    LateFill(ClientOrderId),
    /// A fill exceeds its order's quantity.
    Overfill(ClientOrderId),
    /// Our position and the venue's differ by this base quantity.
    PositionMismatch {
        /// Which instrument.
        instrument: InstrumentId,
        /// Venue minus ours.
        difference: Quantity,
    },
    /// A fee was taken in an asset other than base or quote.
    FeeAsset(Currency),
    /// The approval of the running bundle ended.
    BundleExpired(SlotId),
    /// The model's output was not finite.
    ModelNotFinite(SlotId),
    /// A bounded table was full, and what did not fit was refused.
    CapacityReached,
    /// A report named an order that is not in the table.
    UnknownReport(ClientOrderId),
    /// A report contradicts the order's state; the state was kept.
    IllegalTransition(ClientOrderId),
    /// The venue refused to cancel this order as often as it was asked.
    CancelFailed(ClientOrderId),
    /// A fill could not be booked: an amount does not fit, or its slot does not trade its instrument.
    BookingFailed(ClientOrderId),
    /// A flatten used up its attempts, or met a kill, and a position is left.
    FlattenIncomplete(SlotId),
    /// Risk denied one order of the slot's strategy after the other.
    OrdersDenied(SlotId),
    /// An event named an instrument that this engine does not have, or changed its symbol or currencies.
    UnknownInstrument(InstrumentId),
    /// An order with an id of ours that no record knew is now an order of its slot.
    OrphanAdopted(ClientOrderId),
    /// An order with an id of ours that no record knew is being canceled.
    OrphanCanceled(ClientOrderId),
    /// Somebody else's order rests on our account, and is left alone.
    ForeignOrder {
        /// What it trades.
        instrument: InstrumentId,
        /// The venue's number of it.
        venue_order_id: VenueOrderId,
    },
    /// Somebody traded on our account by hand; it belongs to no slot.
    ManualTrade {
        /// What traded.
        instrument: InstrumentId,
        /// The venue's number of the execution.
        trade_id: TradeId,
    },
    /// This came onto the account, and no fill explains it.
    Deposit(Money),
    /// This went from the account, and no fill explains it.
    Withdrawal(Money),
    /// A fee was taken in an asset of which no price is known: it stands in its asset, and in no equity.
    FeeUnvalued(Currency),
}

/// Why a staged bundle was not activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivationRefusal {
    /// Nothing, or another digest, is staged for the slot.
    NotStaged,
    /// The approval has ended.
    Expired,
    /// Its bar size or instrument does not fit the slot.
    SlotMismatch,
}

/// One output of the engine.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Send an order. Not `Clone`: it leaves once.
    Submit(Approved<OrderRequest>),
    /// Change an order where it stands. Not `Clone`: it leaves once.
    Amend(Approved<AmendRequest>),
    /// Cancel an order. Needs no approval: it only ever lowers exposure.
    Cancel(CancelRequest),
    /// Ask the venue what became of an order.
    QueryOrder(CancelRequest),
    /// Wake the engine with [`crate::EventBody::Timer`] at this engine time.
    SetTimer {
        /// Which timer; setting it again replaces it.
        timer: TimerId,
        /// When.
        at: Timestamp,
    },
    /// Fetch bars `[from, to)` from the venue's history: they were not watched whole.
    RequestHistory {
        /// Which instrument.
        instrument: InstrumentId,
        /// Start of the first bar.
        from: Timestamp,
        /// End of the last bar.
        to: Timestamp,
    },
    /// A bar closed.
    BarClosed(Bar),
    /// A model saw a bar.
    Signal(Signal),
    /// Risk refused an order.
    Denied {
        /// What was asked.
        request: OrderRequest,
        /// Why not.
        reason: DenyReason,
    },
    /// One of our orders changed.
    OrderUpdate(OrderUpdate),
    /// A fill was booked.
    Fill(BookedFill),
    /// A position changed.
    Position(PositionUpdate),
    /// A control changed.
    Control {
        /// What it acts on.
        scope: Scope,
        /// Its level now.
        level: ControlLevel,
    },
    /// A command was obeyed or refused.
    CommandResult {
        /// Which command.
        id: CommandId,
        /// How it went.
        result: Result<(), CommandRefusal>,
    },
    /// A bundle took a slot over.
    BundleActivated {
        /// Which slot.
        slot: SlotId,
        /// The bundle that runs now.
        digest: BundleDigest,
        /// The one before.
        previous: Option<BundleDigest>,
    },
    /// A bundle was not activated.
    BundleRefused {
        /// Which slot.
        slot: SlotId,
        /// Which bundle.
        digest: BundleDigest,
        /// Why.
        reason: ActivationRefusal,
    },
    /// Something needs attention.
    Alert(Alert),
}

/// The engine's outputs for one event, in order, in a buffer made once.
#[derive(Debug)]
pub struct Actions {
    items: Vec<Action>,
    overflowed: bool,
}

impl Default for Actions {
    fn default() -> Self {
        Self::new()
    }
}

impl Actions {
    /// An empty buffer for at most [`ACTIONS_MAX`] actions per event.
    #[must_use]
    pub fn new() -> Self {
        Self {
            items: Vec::with_capacity(ACTIONS_MAX),
            overflowed: false,
        }
    }

    /// Appends an action; past the bound it is dropped and [`Actions::overflowed`] says so.
    pub fn push(&mut self, action: Action) {
        if self.items.len() == ACTIONS_MAX {
            self.overflowed = true;
        } else {
            self.items.push(action);
        }
    }

    /// Whether an action was lost: a defect that must stop trading.
    #[must_use]
    pub const fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// The actions so far.
    #[must_use]
    pub fn as_slice(&self) -> &[Action] {
        &self.items
    }

    /// Takes the actions out in order, leaving the buffer empty and its memory in place.
    pub fn drain(&mut self) -> impl Iterator<Item = Action> + '_ {
        self.overflowed = false;
        self.items.drain(..)
    }

    /// Forgets the actions, keeping the memory.
    pub fn clear(&mut self) {
        self.overflowed = false;
        self.items.clear();
    }
}
