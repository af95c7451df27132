//! `engine`: every decision; deterministic; no I/O, clock, thread, `unsafe`, `HashMap`, platform maths, or allocation per event.
//!
//! Events go in, actions come out: [`Engine::on_event`]. Backtest, paper and live run this same code;
//! a replay of the journalled events reproduces every action byte for byte.

mod account;
mod action;
mod command;
mod engine;
mod event;
pub mod execution;
pub mod limits;
pub mod market;
pub mod position;
pub mod probe;
pub mod risk;
pub mod signals;
mod slot;
pub mod strategy;

pub use account::{
    CarriedAccount, Compared, Difference, Moved, Movement, MovementId, MovementKind, OrphanRule,
    StandingOrder, ValuedFees,
};
pub use action::{
    Action, Actions, ActivationRefusal, Alert, BookedFill, ControlLevel, Decision, FeatureRow, OrderUpdate,
    PositionUpdate, Signal,
};
pub use command::{Command, CommandId, CommandKind, CommandRefusal, ManualOrder, ParameterId, Scope};
pub use engine::{
    CarriedOrder, CarriedSlot, CarriedState, ConfigError, CountedExecution, Engine, EngineConfig, FillKey,
    Flatten, Latch, LatchCause, SentOrder, SlotSnapshot, SlowSnapshot, StageError,
};
pub use event::{BundleActivated, Event, EventBody, JournalHealth, TimerId, VenuePosition};
pub use slot::{OnSwap, SlotConfig, SlotProgram};
