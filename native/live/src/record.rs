//! What the service asks of its durable record. [`crate::journal_record`] is the record; tests put themselves between.

use domain::{SlotId, Timestamp};
use engine::{Action, BundleActivated, EngineConfig, Event, JournalHealth};
use journal::{ConfigText, Room};
use thiserror::Error;

use crate::way_back::WayBack;

/// Why something was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct RecordFault {
    /// What happened and what to do.
    pub text: String,
    /// Nothing can be recorded any more. Otherwise what may use the reserve still can.
    pub is_final: bool,
}

/// What is known of a life when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// The engine's configuration, without what earlier lives left.
    pub config: EngineConfig,
    /// What else belongs into the record's header.
    pub texts: Vec<ConfigText>,
    /// Service time.
    pub now: Timestamp,
}

/// What a life begins with.
#[derive(Debug)]
pub struct Begun {
    /// The configuration given, with what earlier lives left.
    pub config: EngineConfig,
    /// Where this life is recorded.
    pub record: Box<dyn Record>,
    /// Engine time of the last event recorded before: this life goes on from there.
    pub last: Timestamp,
    /// What ran in each slot when the last life ended.
    pub active: Vec<BundleActivated>,
    /// The highest serial that was ever active, by slot.
    pub serials: Vec<(SlotId, u64)>,
    /// Where rollbacks lead, by slot.
    pub ways_back: Vec<(SlotId, WayBack)>,
}

/// A place where lives are recorded, before this one has begun.
pub trait Recorder: std::fmt::Debug + Send {
    /// Recovers what earlier lives left and begins the record of this one. May take as long as reading them does.
    ///
    /// # Errors
    /// [`RecordFault`]: the record is damaged or cannot be written. Nothing may be traded then.
    fn begin(self: Box<Self>, life: Life) -> Result<Begun, RecordFault>;
}

/// The record of this life, on the thread that decides.
pub trait Record: std::fmt::Debug + Send {
    /// The number that the next event must have.
    fn next_event(&self) -> u64;

    /// Records an input. When it returns, the end of this process does not lose it.
    ///
    /// # Errors
    /// [`RecordFault`]; the event must not reach the engine, and its number is free again.
    fn event(&mut self, event: &Event<'_>, room: Room) -> Result<(), RecordFault>;

    /// Records what the engine made of the last event, which was at `ts`, all of it or nothing.
    ///
    /// # Errors
    /// [`RecordFault`]; no order of it may leave.
    fn actions(&mut self, ts: Timestamp, actions: &[Action], room: Room) -> Result<(), RecordFault>;

    /// How far the disk is behind.
    fn health(&self) -> JournalHealth;

    /// What has been written.
    fn written(&self) -> Written;

    /// Waits until all is on disk.
    ///
    /// # Errors
    /// [`RecordFault`].
    fn finish(self: Box<Self>) -> Result<(), RecordFault>;
}

/// The record at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Records, all lives together.
    pub records: u64,
    /// Bytes, all lives together.
    pub bytes: u64,
    /// Records that are not on disk yet.
    pub unsynced: u64,
}
