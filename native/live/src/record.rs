//! What the service asks of its durable record. The crate `journal` is the record; this is the door to it.

use domain::Timestamp;
use engine::{Action, EngineConfig, Event, JournalHealth};
use thiserror::Error;

/// Why the record cannot go on. There is no retry: what was written before is whole, nothing comes after.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct RecordFault(pub String);

/// What a life begins with.
#[derive(Debug)]
pub struct Begun {
    /// The configuration given, with what earlier lives left.
    pub config: EngineConfig,
    /// Where this life is recorded.
    pub record: Box<dyn Record>,
    /// Engine time of the last event recorded before: this life goes on from there. The least time when there is
    /// none.
    pub last: Timestamp,
}

/// A place where lives are recorded, before this one has begun.
pub trait Recorder: std::fmt::Debug + Send {
    /// Recovers what earlier lives left and begins the record of this one. May take as long as reading them does.
    ///
    /// # Errors
    /// [`RecordFault`]: the record is damaged or cannot be written. Nothing may be traded then.
    fn begin(self: Box<Self>, config: EngineConfig) -> Result<Begun, RecordFault>;
}

/// The record of this life, on the thread that decides.
pub trait Record: std::fmt::Debug + Send {
    /// Records an input, before it acts.
    ///
    /// # Errors
    /// [`RecordFault`]; the event must not act on anything outside.
    fn event(&mut self, event: &Event<'_>) -> Result<(), RecordFault>;

    /// Records an output of the event `seq` at `ts`, before it leaves.
    ///
    /// # Errors
    /// [`RecordFault`]; the action must not leave.
    fn action(&mut self, seq: u64, ts: Timestamp, action: &Action) -> Result<(), RecordFault>;

    /// Hands all that was recorded to the operating system: after it returns, the end of this process loses nothing.
    /// Called once per event, before any action of it leaves.
    ///
    /// # Errors
    /// [`RecordFault`]; no action of the event may leave.
    fn commit(&mut self) -> Result<(), RecordFault>;

    /// How far the disk is behind.
    fn health(&mut self) -> JournalHealth;

    /// Waits until all is on disk.
    ///
    /// # Errors
    /// [`RecordFault`].
    fn finish(&mut self) -> Result<(), RecordFault>;
}
