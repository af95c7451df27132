//! Everything in shared memory, and the socket that will hand it out.

use config::ServiceConfig;
use domain::{Epoch, Instrument, SlotId};
use ipc::IpcError;
use ipc::shared_memory::SegmentServer;

use crate::parameters::Parameters;
use crate::rings::Rings;
use crate::run_folder::RunFolder;
use crate::segments::SegmentDoor;
use crate::stop_latch::StopLatch;

/// The segments of a life.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) latch: StopLatch,
    pub(crate) rings: Rings,
    pub(crate) parameters: Parameters,
    pub(crate) server: SegmentServer,
}

impl Memory {
    /// Makes and offers them, for all instruments of the engine; nobody is served before [`SegmentDoor::open`].
    pub(crate) fn create(
        config: &ServiceConfig,
        instruments: &[Instrument],
        folder: &RunFolder,
    ) -> Result<Self, IpcError> {
        let Epoch(life) = folder.epoch();
        let life = u64::from(life);
        let slots: Vec<SlotId> = config.slots.iter().map(|slot| slot.slot).collect();
        let server = SegmentDoor::bind(folder.path())?;
        let registry = server.registry();
        let instruments = instruments.iter();
        let rings = Rings::create(config.ring_records, slots.len(), instruments, life, registry)?;
        let parameters = Parameters::create(life, registry)?;
        let latch = StopLatch::create(slots, life)?;
        latch.offer(registry)?;
        Ok(Self {
            latch,
            rings,
            parameters,
            server,
        })
    }
}
