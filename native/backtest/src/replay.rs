//! A record, run again: the recorded inputs through a fresh engine, and what it does held against what was recorded.
//!
//! Recorded actions are never an input: they are compared, byte for byte, with what the engine decides anew. The first
//! difference ends the replay, because everything behind it follows from it.

use std::collections::VecDeque;

use domain::BundleDigest;
use engine::{Action, Actions, BundleActivated, Engine, EngineConfig, Event, EventBody, SlotProgram};
use thiserror::Error;

/// One record, in the order of the journal.
#[derive(Debug)]
pub enum Recorded<'a> {
    /// A life begins with this configuration.
    Life(Box<EngineConfig>),
    /// An input.
    Event(Event<'a>),
    /// An output, as canonical bytes.
    Action(&'a [u8]),
}

/// Turns an action into its canonical bytes: the journal's own codec.
pub type Encode = fn(&Action, &mut Vec<u8>);

/// What was replayed and found identical.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayReport {
    /// Lives of the service.
    pub lives: u64,
    /// Inputs.
    pub events: u64,
    /// Outputs, each equal to the last byte.
    pub actions: u64,
    /// Outputs of the last input of a life that ended before it could record them.
    pub unrecorded: u64,
}

/// The first place where the replay is not what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Sequence number of the input.
    pub event: u64,
    /// Which of its outputs, from 0.
    pub action: u64,
    /// The recorded bytes; `None` when the record has no such output.
    pub recorded: Option<Vec<u8>>,
    /// The replayed bytes; `None` when the replay has no such output.
    pub replayed: Option<Vec<u8>>,
}

/// Why a replay ended before the end of the record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The replay decided otherwise.
    #[error("event {}: action {} differs", .0.event, .0.action)]
    Diverged(Box<Divergence>),
    /// The record does not begin with a life.
    #[error("the record has an event or action before its header")]
    NoLife,
    /// A recorded configuration is refused.
    #[error("the recorded configuration is refused: {0}")]
    Config(String),
    /// A bundle that ran cannot be had.
    #[error("bundle {digest} that ran in slot {slot} cannot be loaded: {reason}")]
    Bundle {
        /// Which bundle.
        digest: BundleDigest,
        /// In which slot.
        slot: u16,
        /// Why not.
        reason: String,
    },
}

/// Replays one record after the other.
pub struct Replay {
    engine: Option<Engine>,
    encode: Encode,
    actions: Actions,
    /// Outputs of the last input that the record has not shown yet.
    pending: VecDeque<Vec<u8>>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
    event: u64,
    compared: u64,
    report: ReplayReport,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Replay")
            .field("event", &self.event)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// Nothing replayed yet; `encode` is the codec of the record.
    #[must_use]
    pub fn new(encode: Encode) -> Self {
        Self {
            engine: None,
            encode,
            actions: Actions::new(),
            pending: VecDeque::new(),
            spare: Vec::new(),
            event: 0,
            compared: 0,
            report: ReplayReport::default(),
        }
    }

    /// Takes the next record. `load` makes the program of a bundle that the record says took a slot over.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing more can be replayed then.
    pub fn take(
        &mut self,
        recorded: Recorded<'_>,
        load: &mut dyn FnMut(&BundleActivated) -> Result<SlotProgram, String>,
    ) -> Result<(), ReplayError> {
        match recorded {
            Recorded::Life(config) => self.begin(*config),
            Recorded::Event(event) => self.event(&event, load),
            Recorded::Action(bytes) => self.compare(bytes),
        }
    }

    /// The end of the record.
    #[must_use]
    pub fn finish(mut self) -> ReplayReport {
        self.end_life();
        self.report
    }

    /// The engine as the record left it: positions and profit at its end.
    #[must_use]
    pub const fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    fn begin(&mut self, config: EngineConfig) -> Result<(), ReplayError> {
        self.end_life();
        let engine = Engine::new(config).map_err(|error| ReplayError::Config(error.to_string()))?;
        self.engine = Some(engine);
        self.report.lives += 1;
        Ok(())
    }

    /// A life may end between an input and its outputs: what it had not recorded it had not done.
    fn end_life(&mut self) {
        self.report.unrecorded += self.pending.len() as u64;
        self.spare.extend(self.pending.drain(..));
    }

    fn event(
        &mut self,
        event: &Event<'_>,
        load: &mut dyn FnMut(&BundleActivated) -> Result<SlotProgram, String>,
    ) -> Result<(), ReplayError> {
        if let Some(replayed) = self.pending.pop_front() {
            return Err(self.divergence(None, Some(replayed)));
        }
        let engine = self.engine.as_mut().ok_or(ReplayError::NoLife)?;
        if let EventBody::BundleActivated(activation) = event.body {
            stage(engine, &activation, load)?;
        }
        engine.on_event(event, &mut self.actions);
        for action in self.actions.drain() {
            let mut bytes = self.spare.pop().unwrap_or_default();
            bytes.clear();
            (self.encode)(&action, &mut bytes);
            self.pending.push_back(bytes);
        }
        (self.event, self.compared) = (event.seq, 0);
        self.report.events += 1;
        Ok(())
    }

    fn compare(&mut self, recorded: &[u8]) -> Result<(), ReplayError> {
        if self.engine.is_none() {
            return Err(ReplayError::NoLife);
        }
        match self.pending.pop_front() {
            Some(replayed) if replayed == recorded => {
                self.spare.push(replayed);
                self.compared += 1;
                self.report.actions += 1;
                Ok(())
            }
            replayed => Err(self.divergence(Some(recorded.to_vec()), replayed)),
        }
    }

    fn divergence(&self, recorded: Option<Vec<u8>>, replayed: Option<Vec<u8>>) -> ReplayError {
        let (event, action) = (self.event, self.compared);
        ReplayError::Diverged(Box::new(Divergence {
            event,
            action,
            recorded,
            replayed,
        }))
    }
}

fn stage(
    engine: &mut Engine,
    activation: &BundleActivated,
    load: &mut dyn FnMut(&BundleActivated) -> Result<SlotProgram, String>,
) -> Result<(), ReplayError> {
    let fault = |reason| ReplayError::Bundle {
        digest: activation.digest,
        slot: activation.slot.0,
        reason,
    };
    let program = load(activation).map_err(fault)?;
    engine.stage(program).map_err(|error| fault(error.to_string()))
}
