//! What an earlier life left, found by replaying its record.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use domain::{BundleDigest, SlotId};
use engine::{Actions, BundleActivated, CarriedState, Engine, EventBody};
use journal::{JournalError, Reader, RecordBody};
use thiserror::Error;

use crate::programs::{ProgramRefused, Programs};
use crate::scale::Scale;

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
    /// Every bundle that was ever activated, by slot.
    pub(crate) known: Vec<(SlotId, BundleDigest)>,
}

/// Replays the last life of a journal, and looks through all of them for the bundles that ran.
pub(crate) fn replay(dir: &Path, programs: &dyn Programs) -> Result<Left, RecoveryError> {
    let (serials, known) = activations(dir)?;
    let mut reader = Reader::open_last_life(dir)?;
    let mut actions = Actions::new();
    let mut life: Option<(Engine, Scale)> = None;
    let mut last_active: BTreeMap<SlotId, BundleActivated> = BTreeMap::new();
    while let Some(record) = reader.next_record()? {
        match record.body {
            RecordBody::Header(header) => {
                let scale = Scale::from_texts(&header.texts);
                life = Some((Engine::new(header.config)?, scale));
            }
            RecordBody::Event(event) => {
                // A journal begins with a header; the reader sees to that.
                let Some((engine, scale)) = life.as_mut() else {
                    continue;
                };
                if let EventBody::BundleActivated(activation) = event.body {
                    stage(engine, *scale, &activation, event.seq, programs)?;
                    last_active.insert(activation.slot, activation);
                }
                engine.on_event(&event, &mut actions);
                actions.clear();
            }
            RecordBody::Action => {}
        }
    }
    let Some((engine, _)) = life else {
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
        known: known.into_iter().collect(),
    })
}

fn stage(
    engine: &mut Engine,
    scale: Scale,
    activation: &BundleActivated,
    event: u64,
    programs: &dyn Programs,
) -> Result<(), RecoveryError> {
    let slot = activation.slot;
    let program = programs.recorded(slot, activation.digest, activation.serial);
    let mut program = program.map_err(|reason| RecoveryError::Program { event, slot, reason })?;
    program.limits = scale.limits(program.limits);
    engine
        .stage(program)
        .map_err(|reason| RecoveryError::Stage { event, slot, reason })
}

type Activations = (BTreeMap<SlotId, u64>, BTreeSet<(SlotId, BundleDigest)>);

/// The highest serial of each slot, and every bundle that was activated, over all lives.
fn activations(dir: &Path) -> Result<Activations, JournalError> {
    let (mut serials, mut known) = Activations::default();
    let mut reader = Reader::open(dir)?;
    while let Some(record) = reader.next_record()? {
        if let RecordBody::Event(event) = record.body
            && let EventBody::BundleActivated(activation) = event.body
        {
            let highest = serials.entry(activation.slot).or_insert(0);
            *highest = activation.serial.max(*highest);
            known.insert((activation.slot, activation.digest));
        }
    }
    Ok((serials, known))
}
