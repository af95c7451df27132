//! What an earlier life left, found by replaying its record.

use std::collections::BTreeMap;
use std::path::Path;

use domain::SlotId;
use engine::{Actions, BundleActivated, CarriedState, Engine, EngineConfig, EventBody};
use journal::{JournalError, Reader, RecordBody, Scale};
use thiserror::Error;

use crate::programs::{ProgramRefused, Programs};

/// Why the record cannot be replayed.
#[derive(Debug, Error)]
pub(crate) enum RecoveryError {
    #[error(transparent)]
    Journal(#[from] JournalError),
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
}

/// Replays the last life of a journal, and looks through all of them for the bundles that ran.
pub(crate) fn replay(dir: &Path, programs: &dyn Programs) -> Result<Left, RecoveryError> {
    let serials = serials(dir)?;
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
    Ok(Left {
        carried: engine.carried_state(),
        active: last_active.into_values().filter(runs).collect(),
        serials: serials.into_iter().collect(),
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

/// The highest serial of each slot over all lives.
fn serials(dir: &Path) -> Result<BTreeMap<SlotId, u64>, JournalError> {
    let mut serials = BTreeMap::new();
    let mut reader = Reader::open(dir)?;
    while let Some(record) = reader.next_record()? {
        if let RecordBody::Event(event) = record.body
            && let EventBody::BundleActivated(activation) = event.body
        {
            let highest = serials.entry(activation.slot).or_insert(0);
            *highest = activation.serial.max(*highest);
        }
    }
    Ok(serials)
}
