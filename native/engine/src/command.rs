//! What an operator can ask of the engine. Authentication happened before; the engine only obeys.

use domain::{ClientOrderId, Decimal, InstrumentId, OrderType, Price, Quantity, Side, SlotId, Text, Venue};

use crate::signals::SlowFact;

/// Names a command so that its result finds its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What a command acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// One venue.
    Venue(Venue),
    /// One instrument.
    Instrument(InstrumentId),
    /// One slot.
    Slot(SlotId),
    /// One order.
    Order(ClientOrderId),
}

/// A parameter that may be changed while running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParameterId {
    /// Probability to enter, 0 to 1.
    EntryThreshold,
    /// Probability below which to leave, 0 to 1.
    ExitThreshold,
    /// Share of the slot's equity per position, 0 to 1.
    PositionSizePct,
    /// Distance of a limit order from the mid, basis points.
    LimitOffsetBps,
    /// Life of an unfilled order, seconds.
    TimeoutSeconds,
}

impl ParameterId {
    /// Every parameter, in a fixed order.
    pub const ALL: [Self; 5] = [
        Self::EntryThreshold,
        Self::ExitThreshold,
        Self::PositionSizePct,
        Self::LimitOffsetBps,
        Self::TimeoutSeconds,
    ];

    /// Its key in the strategy file.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::EntryThreshold => "entry_threshold",
            Self::ExitThreshold => "exit_threshold",
            Self::PositionSizePct => "position_size_pct",
            Self::LimitOffsetBps => "limit_offset_bps",
            Self::TimeoutSeconds => "timeout_seconds",
        }
    }

    /// The parameter of a strategy-file key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parameter| parameter.key() == key)
    }
}

/// An order a person asks for; it passes the same risk checks as a strategy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManualOrder {
    /// The slot that owns it.
    pub slot: SlotId,
    /// What to trade.
    pub instrument: InstrumentId,
    /// Direction.
    pub side: Side,
    /// Market or limit.
    pub order_type: OrderType,
    /// Limit price.
    pub price: Option<Price>,
    /// Base quantity.
    pub quantity: Quantity,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// Let the slots of the scope trade (from paused).
    Start(Scope),
    /// No new orders from strategies; working orders stay.
    Pause(Scope),
    /// Cancel working orders.
    CancelOrders(Scope),
    /// Only orders that reduce a position; latched.
    ReduceOnly(Scope),
    /// Cancel, then close positions with marketable limits within the slippage; latched reduce-only.
    Flatten {
        /// What to close.
        scope: Scope,
        /// Worst price, basis points from the mid.
        max_slippage_bps: u32,
    },
    /// Cancel everything and let nothing new out; latched across restarts.
    Kill(Scope),
    /// Lift a latch; needs a person's reason.
    Rearm {
        /// Which latch.
        scope: Scope,
        /// Why it is safe.
        reason: Text<120>,
    },
    /// Change a running parameter of a slot, within its range.
    SetParameter {
        /// Which slot.
        slot: SlotId,
        /// Which parameter.
        parameter: ParameterId,
        /// Its new value.
        value: Decimal,
    },
    /// Send an order by hand.
    ManualOrder(ManualOrder),
    /// Something became known of an instrument beside its market.
    TellSlow(SlowFact),
}

/// A command with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// For the result.
    pub id: CommandId,
    /// What to do.
    pub kind: CommandKind,
}

/// Why a command had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandRefusal {
    /// No such slot, instrument or order.
    UnknownTarget,
    /// The value is outside the parameter's range.
    OutOfRange,
    /// Latched by a stop: re-arm first, with a reason.
    Latched,
    /// Risk refused the order.
    Denied,
    /// The slot has no program yet.
    NoProgram,
    /// The slot's strategy has no such parameter.
    NotAParameter,
    /// The exit's threshold would lie above the entry's.
    ThresholdsCross,
    /// There is nothing to lift.
    NothingLatched,
    /// The slot trades another instrument; this one is another slot's, or only watched.
    OtherInstrument,
    /// As many slow parameters as fit are known already.
    Full,
    /// No program of the instrument declares a slow parameter of that name.
    NotDeclared,
}
