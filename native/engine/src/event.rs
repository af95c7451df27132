//! Everything that can happen to the engine: a closed enum.

use domain::{
    Balance, Bar, BundleDigest, Epoch, InstrumentId, MarketEvent, Money, OrderReport, Quantity, SlotId,
    Timestamp, Venue,
};

use crate::account::{Compared, Difference};
use crate::command::Command;

/// Names a timer that the engine asked for with [`crate::Action::SetTimer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u64);

/// How far the durable record lags behind what has been decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalHealth {
    /// Synchronised within its bound.
    Healthy,
    /// The lag exceeds its bound, or the disk refuses writes: no new orders.
    Lagging,
}

/// A bundle takes a slot over, between two events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleActivated {
    /// Which slot.
    pub slot: SlotId,
    /// Which bundle; it must have been staged with [`crate::Engine::stage`].
    pub digest: BundleDigest,
    /// The approval's serial number.
    pub serial: u64,
    /// When the approval ends; an open position is then only reduced.
    pub expires: Timestamp,
}

/// The venue's truth about one instrument at one moment, for reconciliation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenuePosition {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Base quantity held at the venue.
    pub quantity: Quantity,
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EventBody<'a> {
    /// A life of the service begins. Every order of an earlier epoch is now reconciled, not assumed.
    Started {
        /// The life's number.
        epoch: Epoch,
    },
    /// The life ends in order: its strategies send nothing any more. Unlike a pause, the next life does not
    /// take it over.
    Ending,
    /// A market moved.
    Market(MarketEvent<'a>),
    /// A bar from the venue's history: before live data, oldest first, or later to fill a hole.
    HistoricalBar(Bar),
    /// Every trade of the instrument from `since` (venue time) on will be seen: its trade stream is up.
    TradesComplete {
        /// Which instrument.
        instrument: InstrumentId,
        /// From when on.
        since: Timestamp,
    },
    /// Something happened to one of our orders.
    OrderReport(OrderReport),
    /// A balance of the account.
    Balance {
        /// Where.
        venue: Venue,
        /// Which asset, how much.
        balance: Balance,
    },
    /// What the venue says we hold.
    VenuePosition(VenuePosition),
    /// Orders, fills and balances of this venue agree with ours from here on: trading may begin.
    Reconciled {
        /// Which venue.
        venue: Venue,
    },
    /// A timer that the engine asked for is due.
    Timer(TimerId),
    /// An authenticated command.
    Command(Command),
    /// A staged bundle becomes the slot's program.
    BundleActivated(BundleActivated),
    /// The durable record fell behind or caught up.
    JournalHealth(JournalHealth),
    /// Capital assigned to a slot changed.
    SlotCapital {
        /// Which slot.
        slot: SlotId,
        /// Quote currency the slot may use.
        capital: Money,
    },
    /// The venue's account and our record differ in this.
    Difference(Difference),
    /// The venue's account was compared, and every difference up to here was told.
    Compared(Compared),
}

/// One input of the engine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event<'a> {
    /// Position in the journal, from 1, without gaps.
    pub seq: u64,
    /// Engine time: the journalled receive time; never decreases.
    pub ts: Timestamp,
    /// What happened.
    pub body: EventBody<'a>,
}
