//! What the service tells: records of domain types, one topic per kind.

use domain::{
    Balance, Bar, BookInvalid, BundleDigest, ClientOrderId, Epoch, InstrumentId, Level, Money, Number,
    OrderRequest, OrderStatus, Price, Quantity, Quote, SlotId, Timestamp, Trade, Venue, VenueOrderId,
    VenueStatus,
};

use crate::ack::Ack;
use crate::command::{CommandKind, Scope};

/// The best levels of a book, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Venue time.
    pub ts_event: Timestamp,
    /// The venue's number of the book.
    pub update_id: u64,
    /// Best first, at most [`crate::BOOK_LEVELS_MAX`].
    pub bids: Vec<Level>,
    /// Best first, at most [`crate::BOOK_LEVELS_MAX`].
    pub asks: Vec<Level>,
}

/// One of our orders as it stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// As it was asked for.
    pub request: OrderRequest,
    /// Its state.
    pub status: OrderStatus,
    /// Base quantity traded so far.
    pub filled: Quantity,
    /// Volume-weighted, rounded toward zero; `None` before the first fill.
    pub average_price: Option<Price>,
    /// `None` until the venue took it.
    pub venue_order_id: Option<VenueOrderId>,
    /// When it was made.
    pub ts_created: Timestamp,
    /// When it last changed.
    pub ts_updated: Timestamp,
    /// The bundle that decided it; `None` for a manual order.
    pub bundle: Option<BundleDigest>,
    /// Why it was denied, rejected or is unknown.
    pub reason: Option<String>,
}

/// An execution of one of our orders, as it was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// `None` for a fill that reconciliation found and no order of ours explains.
    pub client_order_id: Option<ClientOrderId>,
    /// The slot it is booked to.
    pub slot: SlotId,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Venue time.
    pub ts_event: Timestamp,
    /// What traded.
    pub fill: domain::Fill,
    /// Profit it realized, quote currency, before fees.
    pub realized: Money,
}

/// What a slot, or the account, holds of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// `None`: the account, the sum of the slots.
    pub slot: Option<SlotId>,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// As of when.
    pub ts: Timestamp,
    /// Signed base quantity.
    pub quantity: Quantity,
    /// Cost of the open quantity, quote currency, signed like the quantity.
    pub cost: Money,
    /// Realized profit since the slot began, before fees.
    pub realized: Money,
    /// Fees taken in the quote currency.
    pub fees: Money,
    /// The price it is marked at and the unrealized profit there; `None` without a price.
    pub mark: Option<(Price, Money)>,
}

/// Profit and loss of a slot, or of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pnl {
    /// `None`: the account.
    pub slot: Option<SlotId>,
    /// As of when.
    pub ts: Timestamp,
    /// Realized profit, before fees.
    pub realized: Money,
    /// `None` while an open position has no price to mark at.
    pub unrealized: Option<Money>,
    /// One amount per asset that fees were taken in.
    pub fees: Vec<Money>,
    /// Capital plus profit less fees.
    pub equity: Money,
    /// The highest equity so far.
    pub peak_equity: Money,
}

/// Balances of the account at a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balances {
    /// Where.
    pub venue: Venue,
    /// As of when.
    pub ts: Timestamp,
    /// One per asset.
    pub balances: Vec<Balance>,
}

/// What a strategy decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Features are not warm, or the model gave no finite score.
    NoSignal,
    /// Stay as it is.
    Hold,
    /// Enter or add.
    Enter,
    /// Leave.
    Exit,
}

/// A model's output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The sum before the link function: what thresholds are compared on.
    pub raw: f32,
    /// The probability, for people.
    pub probability: f32,
}

/// What a strategy made of one bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Which slot.
    pub slot: SlotId,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// The bar's close, venue time.
    pub ts_close: Timestamp,
    /// The bundle that decided.
    pub bundle: BundleDigest,
    /// What it decided.
    pub decision: Decision,
    /// `None` without a signal.
    pub score: Option<Score>,
    /// What the model saw, in the order of the feature specification; at most [`crate::FEATURES_MAX`].
    pub features: Vec<f32>,
}

/// How far a bundle is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Simulated money.
    Paper,
    /// A tenth of the full size.
    Live10,
    /// A quarter.
    Live25,
    /// Half.
    Live50,
    /// The full size.
    Live100,
}

/// What became of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BundleState {
    /// Being read and verified.
    Verifying,
    /// Verified; its features are being computed from history.
    Warming,
    /// It decides.
    Active,
    /// Kept hot for a rollback.
    Previous,
    /// Not activated.
    Refused,
    /// Its approval ran out.
    Expired,
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleContent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How far it is trusted.
    pub stage: Stage,
    /// Its approval's serial number.
    pub serial: u64,
    /// When its approval ends.
    pub expires: Timestamp,
}

/// A bundle in a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleStatus {
    /// Which slot.
    pub slot: SlotId,
    /// Which bundle.
    pub digest: BundleDigest,
    /// What became of it.
    pub state: BundleState,
    /// Since when.
    pub ts: Timestamp,
    /// `None` when it could not be read.
    pub content: Option<BundleContent>,
    /// Why it was refused.
    pub reason: Option<String>,
}

/// How free a scope is to trade; ordered from free to stopped.
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

/// A control and its level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// What it reaches.
    pub scope: Scope,
    /// Its level now.
    pub level: ControlLevel,
    /// Since when.
    pub since: Timestamp,
    /// The reason given, or what tripped it.
    pub reason: Option<String>,
}

/// Something needs a person's eye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// A short name in lower case: `drawdown_stop`.
    pub kind: String,
    /// Which slot, where it concerns one.
    pub slot: Option<SlotId>,
    /// Which instrument, where it concerns one.
    pub instrument: Option<InstrumentId>,
    /// Which order, where it concerns one.
    pub client_order_id: Option<ClientOrderId>,
    /// What happened and what to do.
    pub text: String,
}

/// What became of a command, for everybody who watches.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandEvent {
    /// Which command; `None` when the request could not be read.
    pub kind: Option<CommandKind>,
    /// How it went. A reply in it is not published.
    pub ack: Ack,
}

/// What the service as a whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceState {
    /// Reading its journal, connecting.
    Starting,
    /// Comparing the journal with the venue.
    Reconciling,
    /// Ready, without a bundle.
    Waiting,
    /// Trading.
    Trading,
    /// Canceling and syncing before it exits.
    Draining,
}

/// A slot at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotStatus {
    /// Which slot.
    pub slot: SlotId,
    /// The highest level of the controls that reach it.
    pub level: ControlLevel,
    /// The bundle that decides.
    pub active: Option<BundleStatus>,
    /// The bundle a rollback would bring back.
    pub previous: Option<BundleStatus>,
    /// Its features have the history they need.
    pub warm: bool,
    /// Orders that may still trade.
    pub open_orders: u32,
    /// Orders sent since the start.
    pub orders_sent: u64,
    /// Fills since the start.
    pub fills: u64,
    /// The slow parameters that its bundle declares.
    pub slow: Vec<SlowStatus>,
    /// Quotes heard after a trade had closed their bar: features of quotes may differ from a recording's there.
    pub late_quotes: u64,
}

/// A slow parameter that a bundle declares, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowStatus {
    /// Its name.
    pub name: String,
    /// In the unit in which people write it; `None`: none was told, or that it is unknown.
    pub value: Option<Number>,
    /// From when on the newest fact holds; `None`: none was told.
    pub valid_from: Option<Timestamp>,
    /// How long a value holds at most: as told or as declared, whichever is shorter.
    pub max_age_seconds: u32,
    /// A bar that closed now would be given the value.
    pub known: bool,
}

/// Latency of one stage since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageLatency {
    /// Which stage.
    pub stage: String,
    /// Measurements.
    pub count: u64,
    /// Median, nanoseconds.
    pub p50_ns: u64,
    /// 99th percentile, nanoseconds.
    pub p99_ns: u64,
    /// Maximum, nanoseconds.
    pub max_ns: u64,
}

/// The durable record at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalStatus {
    /// Records written.
    pub records: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Records written but not yet on disk.
    pub unsynced_records: u64,
}

/// The service at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceStatus {
    /// Its name.
    pub instance: String,
    /// The run folder's name.
    pub run_id: String,
    /// The binary's version.
    pub version: String,
    /// Its life.
    pub epoch: Epoch,
    /// As of when.
    pub ts: Timestamp,
    /// When this life began.
    pub ts_started: Timestamp,
    /// What it is doing.
    pub state: ServiceState,
    /// Its slots.
    pub slots: Vec<SlotStatus>,
    /// Its venues.
    pub venues: Vec<VenueStatus>,
    /// Controls that are not running.
    pub controls: Vec<Control>,
    /// Its durable record; `None` before it is open.
    pub journal: Option<JournalStatus>,
    /// Latency per stage.
    pub latencies: Vec<StageLatency>,
}

/// How far a topic has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicSequence {
    /// Which topic.
    pub topic: Topic,
    /// The last number published in this epoch; zero for none.
    pub sequence: u64,
}

/// Everything a late subscriber needs.
///
/// Telemetry numbered at or below `as_of` is already in it. That holds when the state travels to the publisher's
/// thread through the same queue as the telemetry and `as_of` is [`crate::TelemetryPublisher::sequences`] at the
/// moment it comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The life it belongs to.
    pub epoch: Epoch,
    /// As of when.
    pub ts: Timestamp,
    /// The service.
    pub status: ServiceStatus,
    /// Orders that may still trade, and recent ones that ended.
    pub orders: Vec<Order>,
    /// Newest first.
    pub recent_fills: Vec<Fill>,
    /// Of slots and account.
    pub positions: Vec<Position>,
    /// Of slots and account.
    pub pnl: Vec<Pnl>,
    /// Per venue.
    pub balances: Vec<Balances>,
    /// What of the telemetry it contains.
    pub as_of: Vec<TopicSequence>,
}

macro_rules! telemetry {
    ($($(#[$doc:meta])* $name:ident($body:ty) = $text:literal,)+) => {
        /// One message.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Telemetry {
            $($(#[$doc])* $name($body),)+
        }

        /// The kinds of message, by which subscribers choose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Topic {
            $($(#[$doc])* $name,)+
        }

        impl Topic {
            /// Every topic, in a fixed order.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name: the first frame of the message. No name is the beginning of another.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }

        impl Telemetry {
            /// The topic it is published on.
            #[must_use]
            pub const fn topic(&self) -> Topic {
                match self {
                    $(Self::$name(_) => Topic::$name,)+
                }
            }
        }
    };
}

telemetry! {
    /// A public trade.
    Trade(Trade) = "trade",
    /// Best bid and ask.
    Quote(Quote) = "quote",
    /// The best levels of a book.
    Book(Book) = "book.levels",
    /// A book must not be traded on.
    BookInvalid(BookInvalid) = "book.invalid",
    /// A bar closed.
    Bar(Bar) = "bar",
    /// A venue went up or down.
    VenueStatus(VenueStatus) = "venue",
    /// One of our orders changed.
    Order(Order) = "order",
    /// One of our orders traded.
    Fill(Fill) = "fill",
    /// A position changed.
    Position(Position) = "position",
    /// Profit and loss changed.
    Pnl(Pnl) = "pnl",
    /// Balances changed.
    Balances(Balances) = "balances",
    /// A strategy decided.
    Signal(Signal) = "signal",
    /// A bundle changed state.
    Bundle(BundleStatus) = "bundle",
    /// The service changed state.
    Service(Box<ServiceStatus>) = "service",
    /// A command was answered.
    Command(Box<CommandEvent>) = "command",
    /// A control changed.
    Control(Control) = "control",
    /// Something needs a person's eye.
    Alert(Alert) = "alert",
    /// How far every topic has come; published by [`crate::TelemetryPublisher`] itself.
    Heartbeat(Vec<TopicSequence>) = "heartbeat",
}

impl Topic {
    /// The topic of a name as in [`Topic::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|topic| topic.as_str() == name)
    }
}

/// A message as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The life of the service.
    pub epoch: Epoch,
    /// Counts up from 1 within topic and epoch.
    pub sequence: u64,
    /// When it was published.
    pub ts: Timestamp,
    /// Which service.
    pub instance: String,
    /// What it says.
    pub body: Telemetry,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ZeroMQ subscribes by prefix.
    #[test]
    fn no_topic_is_the_beginning_of_another() {
        for a in Topic::ALL {
            for b in Topic::ALL {
                assert!(a == b || !b.as_str().starts_with(a.as_str()), "{a:?} {b:?}");
            }
            assert_eq!(Topic::from_name(a.as_str()), Some(*a));
        }
    }
}
