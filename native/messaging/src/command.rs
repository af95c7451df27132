//! What an operator can ask of the service, in domain types.

use std::fmt;

use domain::{
    BundleDigest, ClientOrderId, Decimal, Number, OrderType, Price, Quantity, Side, SlotId, Text, Timestamp,
    Venue,
};

use crate::keys::KeyId;
use crate::limits::{COMMAND_ID_BYTES_MAX, PARAMETER_BYTES_MAX};

/// An instrument by name: dense ids belong to one process and never travel in a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentName {
    /// Where it trades.
    pub venue: Venue,
    /// The venue's own string.
    pub symbol: Text<24>,
}

impl fmt::Display for InstrumentName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.venue, self.symbol)
    }
}

/// What a command reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// One venue.
    Venue(Venue),
    /// One instrument.
    Instrument(InstrumentName),
    /// One slot.
    Slot(SlotId),
    /// One order; only [`Command::Cancel`] takes it.
    Order(ClientOrderId),
}

/// The sender's name for a command: letters, digits and hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(Text<COMMAND_ID_BYTES_MAX>);

impl CommandId {
    /// From its text; `None` when empty, longer than 36 bytes, or with other characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if plain && !text.is_empty() {
            Text::new(text).map(Self)
        } else {
            None
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Which command, from whom: unique for ever, because a key's counter only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandRef {
    /// The key that signed it.
    pub key_id: KeyId,
    /// The key's counter.
    pub counter: u64,
    /// The sender's name for it.
    pub command_id: CommandId,
}

/// A new order by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManualOrder {
    /// The slot whose ledger it is booked in.
    pub slot: SlotId,
    /// What to trade.
    pub instrument: InstrumentName,
    /// Direction.
    pub side: Side,
    /// Market or limit.
    pub order_type: OrderType,
    /// Limit price, positive; `None` exactly for a market order.
    pub price: Option<Price>,
    /// Base quantity, positive.
    pub quantity: Quantity,
}

/// Something became known of an instrument beside its market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowFact {
    /// Of which.
    pub instrument: InstrumentName,
    /// Which slow parameter: lower-case letters, digits and underscores.
    pub name: Text<PARAMETER_BYTES_MAX>,
    /// In the unit in which people write it; `None`: from then on it is unknown.
    pub value: Option<Number>,
    /// From when on it holds.
    pub valid_from: Timestamp,
    /// How long it holds at most, 1 or more.
    pub max_age_seconds: u32,
}

/// A question: changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query {
    /// The state of the service and its slots.
    Status,
    /// Orders, newest first.
    Orders {
        /// `None` for every slot.
        slot: Option<SlotId>,
        /// Leave out orders that can never trade again.
        open_only: bool,
        /// At most so many, 1 to [`crate::QUERY_LIMIT_MAX`].
        limit: u32,
    },
    /// Positions of slots and account.
    Positions,
    /// Fills, newest first.
    Fills {
        /// `None` for every slot.
        slot: Option<SlotId>,
        /// At most so many, 1 to [`crate::QUERY_LIMIT_MAX`].
        limit: u32,
    },
    /// Profit and loss of slots and account.
    Pnl,
    /// Everything a late subscriber needs.
    Snapshot,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Activate an approved bundle of the service's store.
    Deploy {
        /// In which slot.
        slot: SlotId,
        /// Which bundle.
        digest: BundleDigest,
    },
    /// Back to the bundle that was active before.
    Rollback {
        /// In which slot.
        slot: SlotId,
    },
    /// Let it trade (from paused).
    Start {
        /// What it reaches.
        scope: Scope,
    },
    /// No new orders from strategies; working orders stay.
    Pause {
        /// What it reaches.
        scope: Scope,
    },
    /// Cancel working orders.
    Cancel {
        /// What it reaches.
        scope: Scope,
    },
    /// Only orders that bring a position closer to zero.
    ReduceOnly {
        /// What it reaches.
        scope: Scope,
    },
    /// Cancel, then close positions.
    Flatten {
        /// What it reaches.
        scope: Scope,
        /// Worst price, basis points from the mid, 0 to [`crate::SLIPPAGE_BPS_MAX`].
        max_slippage_bps: u32,
    },
    /// Cancel everything and let nothing leave but cancels; latched.
    Kill {
        /// What it reaches.
        scope: Scope,
    },
    /// Lift a latched stop.
    Rearm {
        /// What it reaches.
        scope: Scope,
        /// Why it is safe: 1 to [`crate::REASON_BYTES_MAX`] printable ASCII characters.
        reason: String,
    },
    /// Change a parameter of a running strategy.
    SetParameter {
        /// Of which slot.
        slot: SlotId,
        /// Its key in the strategy file.
        name: String,
        /// Its new value.
        value: Decimal,
    },
    /// Send an order by hand.
    ManualOrder(ManualOrder),
    /// Something became known.
    TellSlow(SlowFact),
    /// Cancel one order by hand.
    ManualCancel {
        /// Which order.
        client_order_id: ClientOrderId,
    },
    /// Ask.
    Query(Query),
}

impl Command {
    /// Which command it is, without its values.
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Deploy { .. } => CommandKind::Deploy,
            Self::Rollback { .. } => CommandKind::Rollback,
            Self::Start { .. } => CommandKind::Start,
            Self::Pause { .. } => CommandKind::Pause,
            Self::Cancel { .. } => CommandKind::Cancel,
            Self::ReduceOnly { .. } => CommandKind::ReduceOnly,
            Self::Flatten { .. } => CommandKind::Flatten,
            Self::Kill { .. } => CommandKind::Kill,
            Self::Rearm { .. } => CommandKind::Rearm,
            Self::SetParameter { .. } => CommandKind::SetParameter,
            Self::ManualOrder(_) => CommandKind::ManualOrder,
            Self::ManualCancel { .. } => CommandKind::ManualCancel,
            Self::TellSlow(_) => CommandKind::TellSlow,
            Self::Query(Query::Status) => CommandKind::QueryStatus,
            Self::Query(Query::Orders { .. }) => CommandKind::QueryOrders,
            Self::Query(Query::Positions) => CommandKind::QueryPositions,
            Self::Query(Query::Fills { .. }) => CommandKind::QueryFills,
            Self::Query(Query::Pnl) => CommandKind::QueryPnl,
            Self::Query(Query::Snapshot) => CommandKind::Snapshot,
        }
    }

    /// Whether it changes nothing.
    pub const fn is_query(&self) -> bool {
        matches!(self, Self::Query(_))
    }
}

/// The name of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the variants are those of `Command` and `Query`")]
pub enum CommandKind {
    Deploy,
    Rollback,
    Start,
    Pause,
    Cancel,
    ReduceOnly,
    Flatten,
    Kill,
    Rearm,
    SetParameter,
    ManualOrder,
    ManualCancel,
    QueryStatus,
    QueryOrders,
    QueryPositions,
    QueryFills,
    QueryPnl,
    Snapshot,
    TellSlow,
}

impl CommandKind {
    /// Every command, in the order of the schema.
    pub const ALL: [Self; 19] = [
        Self::Deploy,
        Self::Rollback,
        Self::Start,
        Self::Pause,
        Self::Cancel,
        Self::ReduceOnly,
        Self::Flatten,
        Self::Kill,
        Self::Rearm,
        Self::SetParameter,
        Self::ManualOrder,
        Self::ManualCancel,
        Self::QueryStatus,
        Self::QueryOrders,
        Self::QueryPositions,
        Self::QueryFills,
        Self::QueryPnl,
        Self::Snapshot,
        Self::TellSlow,
    ];

    /// Its name in the schema, logs and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Cancel => "cancel",
            Self::ReduceOnly => "reduce_only",
            Self::Flatten => "flatten",
            Self::Kill => "kill",
            Self::Rearm => "rearm",
            Self::SetParameter => "set_parameter",
            Self::ManualOrder => "manual_order",
            Self::ManualCancel => "manual_cancel",
            Self::QueryStatus => "query_status",
            Self::QueryOrders => "query_orders",
            Self::QueryPositions => "query_positions",
            Self::QueryFills => "query_fills",
            Self::QueryPnl => "query_pnl",
            Self::Snapshot => "snapshot",
            Self::TellSlow => "tell_slow",
        }
    }

    /// The command of a name as in [`CommandKind::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for CommandKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
