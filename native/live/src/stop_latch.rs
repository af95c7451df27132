//! The stop that does not wait for the engine: raised by any thread, seen by the egress at once.
//!
//! A kill by the second path raises the flag here first and tells the engine after; what the engine latches then is
//! what lasts. Until the engine has heard of every kill, no order leaves, whatever else it does meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use domain::SlotId;
use engine::{ControlLevel, Scope};
use ipc::IpcError;
use ipc::atomic_flags::{FlagsWriter, StopFlags};
use ipc::shared_memory::SegmentRegistry;
use tracing::error;

/// Name of the segment.
pub const SEGMENT: &str = "stops";

/// The entry of the whole service; those of the slots follow in their order.
const ALL: usize = 0;

#[derive(Debug)]
struct Shared {
    flags: FlagsWriter,
    slots: Vec<SlotId>,
    /// Kills of which the engine has not heard yet.
    unheard: AtomicU32,
}

/// Shared between the threads of the service, and seen by other processes.
#[derive(Debug, Clone)]
pub(crate) struct StopLatch(Arc<Shared>);

impl StopLatch {
    pub(crate) fn create(slots: Vec<SlotId>, epoch: u64) -> Result<Self, IpcError> {
        let flags = FlagsWriter::create(SEGMENT, 1 + slots.len() as u64, epoch)?;
        Ok(Self(Arc::new(Shared {
            flags,
            slots,
            unheard: AtomicU32::new(0),
        })))
    }

    pub(crate) fn offer(&self, registry: &SegmentRegistry) -> Result<(), IpcError> {
        self.0.flags.offer(registry)
    }

    pub(crate) fn heartbeat(&self) {
        self.0.flags.heartbeat();
    }

    /// Stops every order at once. Then tell the engine, and afterwards call [`Self::heard`].
    pub(crate) fn kill_before_the_engine_hears(&self) {
        self.0.unheard.fetch_add(1, Ordering::SeqCst);
        self.raise(ALL, StopFlags::KILLED);
    }

    /// The engine has taken a kill in.
    pub(crate) fn heard(&self) {
        let _ = self
            .0
            .unheard
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1));
    }

    /// Whether orders of some slot may leave.
    pub(crate) fn lets_anything_out(&self) -> bool {
        self.0.slots.iter().any(|slot| self.lets_out(*slot))
    }

    /// Whether an order of the slot may leave. Unknown bits and unknown slots stop.
    pub(crate) fn lets_out(&self, slot: SlotId) -> bool {
        let entry = self.entry(slot);
        let is_free = |entry| {
            let flags = self.0.flags.get(entry);
            flags.is_ok_and(|flags| !flags.contains(StopFlags::KILLED))
        };
        self.0.unheard.load(Ordering::SeqCst) == 0 && is_free(ALL) && entry.is_some_and(is_free)
    }

    /// Shows what the engine decided.
    pub(crate) fn show(&self, scope: Scope, level: ControlLevel) {
        let entry = match scope {
            Scope::All => Some(ALL),
            Scope::Slot(slot) => self.entry(slot),
            Scope::Venue(_) | Scope::Instrument(_) | Scope::Order(_) => None,
        };
        let Some(entry) = entry else { return };
        let (raised, lowered) = match level {
            ControlLevel::Running => (StopFlags::NONE, everything()),
            ControlLevel::Paused => (StopFlags::PAUSED, StopFlags::REDUCE_ONLY | StopFlags::KILLED),
            ControlLevel::ReduceOnly => (StopFlags::REDUCE_ONLY, StopFlags::PAUSED | StopFlags::KILLED),
            ControlLevel::Killed => (StopFlags::KILLED, StopFlags::PAUSED | StopFlags::REDUCE_ONLY),
        };
        self.raise(entry, raised);
        if let Err(fault) = self.0.flags.lower(entry, lowered) {
            error!(%fault, "a stop could not be lowered");
        }
    }

    fn raise(&self, entry: usize, flags: StopFlags) {
        if let Err(fault) = self.0.flags.raise(entry, flags) {
            error!(%fault, "a stop could not be raised");
        }
    }

    fn entry(&self, slot: SlotId) -> Option<usize> {
        let place = self.0.slots.iter().position(|known| *known == slot)?;
        Some(1 + place)
    }
}

fn everything() -> StopFlags {
    StopFlags::PAUSED | StopFlags::REDUCE_ONLY | StopFlags::KILLED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latch() -> StopLatch {
        StopLatch::create(vec![SlotId(1), SlotId(7)], 1).unwrap()
    }

    #[test]
    fn a_kill_holds_until_the_engine_has_heard_it_and_a_person_rearms() {
        let latch = latch();
        assert!(latch.lets_out(SlotId(1)));
        latch.kill_before_the_engine_hears();
        // A re-arming that was on its way when the kill came.
        latch.show(Scope::All, ControlLevel::Running);
        assert!(!latch.lets_out(SlotId(1)), "the engine has not heard");
        latch.show(Scope::All, ControlLevel::Killed);
        latch.heard();
        assert!(!latch.lets_out(SlotId(7)), "now it is latched");
        latch.show(Scope::All, ControlLevel::Running);
        assert!(latch.lets_out(SlotId(7)));
        latch.heard();
        assert!(latch.lets_out(SlotId(7)), "hearing twice owes nothing");
    }

    #[test]
    fn a_slot_stops_alone_and_an_unknown_one_always() {
        let latch = latch();
        latch.show(Scope::Slot(SlotId(7)), ControlLevel::Killed);
        assert!(latch.lets_out(SlotId(1)));
        assert!(!latch.lets_out(SlotId(7)));
        assert!(!latch.lets_out(SlotId(2)));
        latch.show(Scope::Slot(SlotId(7)), ControlLevel::ReduceOnly);
        assert!(
            latch.lets_out(SlotId(7)),
            "what reduces may leave; the engine judges that"
        );
    }
}
