//! What an earlier life left, found by replaying its record.

use std::collections::BTreeMap;
use std::path::Path;

use domain::{BundleDigest, SlotId};
use engine::{Action, Actions, BundleActivated, CarriedState, Engine, EngineConfig, EventBody};
use journal::codec::{RecordedAction, decode_action};
use journal::{CodecError, JournalError, Reader, RecordBody, Scale};
use thiserror::Error;

use crate::programs::{ProgramRefused, Programs};
use crate::way_back::WayBack;

/// Why the record cannot be replayed.
#[derive(Debug, Error)]
pub(crate) enum RecoveryError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("record {seq}: an action that cannot be read: {source}")]
    Action { seq: u64, source: CodecError },
    #[error("the record's header describes no engine: {0}")]
    Config(#[from] engine::ConfigError),
    #[error("event {event}: the bundle that ran in slot {} cannot be replayed: {reason}; put it back into the store", .slot.0)]
    Program {
        event: u64,
        slot: SlotId,
        reason: ProgramRefused,
    },
    #[error("event {event}: the bundle that ran in slot {} cannot be staged: {reason}", .slot.0)]
    Stage {
        event: u64,
        slot: SlotId,
        reason: engine::StageError,
    },
}

/// What the next life takes over.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) carried: CarriedState,
    /// What ran in each slot at the end.
    pub(crate) active: Vec<BundleActivated>,
    /// The highest serial that was ever active, by slot.
    pub(crate) serials: Vec<(SlotId, u64)>,
    /// Where rollbacks lead, by slot.
    pub(crate) ways_back: Vec<(SlotId, WayBack)>,
}

/// Replays the last life of a journal, and looks through all of them for the bundles that ran.
pub(crate) fn replay(dir: &Path, programs: &dyn Programs) -> Result<Left, RecoveryError> {
    let mut earlier = Earlier::read(dir)?;
    let mut reader = Reader::open_last_life(dir)?;
    let mut actions = Actions::new();
    let mut life: Option<Life> = None;
    let mut last_active: BTreeMap<SlotId, BundleActivated> = BTreeMap::new();
    while let Some(record) = reader.next_record()? {
        match record.body {
            RecordBody::Header(header) => {
                life = Some(Life {
                    scale: Scale::from_texts(&header.texts),
                    engine: Engine::new(header.config.clone())?,
                    config: header.config,
                });
            }
            RecordBody::Event(event) => {
                // A journal begins with a header; the reader sees to that.
                let Some(life) = life.as_mut() else {
                    continue;
                };
                if let EventBody::BundleActivated(activation) = event.body {
                    life.stage(&activation, event.seq, programs)?;
                    last_active.insert(activation.slot, activation);
                }
                life.engine.on_event(&event, &mut actions);
                actions.clear();
            }
            RecordBody::Action => {}
        }
    }
    let Some(Life { engine, .. }) = life else {
        return Ok(Left::default());
    };
    let runs = |activation: &BundleActivated| {
        let mut slots = engine.slots();
        slots.any(|slot| slot.slot == activation.slot && slot.active == Some(activation.digest))
    };
    let active: Vec<_> = last_active.into_values().filter(runs).collect();
    for activation in &active {
        // A death may have kept the engine's word for the last one from the record.
        earlier.ran(activation.slot, activation.digest);
    }
    Ok(Left {
        carried: engine.carried_state(),
        active,
        serials: earlier.serials.into_iter().collect(),
        ways_back: earlier.ways_back.into_iter().collect(),
    })
}

/// A life being replayed.
struct Life {
    engine: Engine,
    config: EngineConfig,
    scale: Scale,
}

impl Life {
    fn stage(
        &mut self,
        activation: &BundleActivated,
        event: u64,
        programs: &dyn Programs,
    ) -> Result<(), RecoveryError> {
        let slot = activation.slot;
        let program = programs.recorded(activation, &self.config);
        let mut program = program.map_err(|reason| RecoveryError::Program { event, slot, reason })?;
        program.limits = self.scale.limits(program.limits);
        self.engine
            .stage(program)
            .map_err(|reason| RecoveryError::Stage { event, slot, reason })
    }
}

/// What all lives say of the bundles that ran.
#[derive(Debug, Default)]
struct Earlier {
    serials: BTreeMap<SlotId, u64>,
    ways_back: BTreeMap<SlotId, WayBack>,
}

impl Earlier {
    fn read(dir: &Path) -> Result<Self, RecoveryError> {
        let mut earlier = Self::default();
        let mut reader = Reader::open(dir)?;
        loop {
            let format = reader.format();
            let Some(record) = reader.next_record()? else {
                return Ok(earlier);
            };
            match record.body {
                RecordBody::Event(event) => {
                    if let EventBody::BundleActivated(activation) = event.body {
                        let highest = earlier.serials.entry(activation.slot).or_insert(0);
                        *highest = activation.serial.max(*highest);
                    }
                }
                RecordBody::Action => {
                    let seq = record.seq;
                    let action = decode_action(format, record.payload);
                    let action = action.map_err(|source| RecoveryError::Action { seq, source })?;
                    if let RecordedAction::Other(Action::BundleActivated { slot, digest, .. }) = action {
                        earlier.ran(slot, digest);
                    }
                }
                RecordBody::Header(_) => {}
            }
        }
    }

    fn ran(&mut self, slot: SlotId, digest: BundleDigest) {
        self.ways_back.entry(slot).or_default().ran(digest);
    }
}
