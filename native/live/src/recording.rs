//! The record as the driver uses it: once it breaks, it stays broken, and nothing is recorded that has a hole before it.

use domain::Timestamp;
use engine::{Action, Event, JournalHealth};
use tracing::error;

use crate::record::{Record, RecordFault};

/// A record that may have broken.
#[derive(Debug)]
pub(crate) struct Recording {
    record: Box<dyn Record>,
    fault: Option<RecordFault>,
    health: JournalHealth,
}

impl Recording {
    pub(crate) fn new(record: Box<dyn Record>) -> Self {
        Self {
            record,
            fault: None,
            health: JournalHealth::Healthy,
        }
    }

    /// Why it broke, if it did.
    pub(crate) const fn fault(&self) -> Option<&RecordFault> {
        self.fault.as_ref()
    }

    pub(crate) fn event(&mut self, event: &Event<'_>) {
        self.attempt(|record| record.event(event));
    }

    /// Records the actions of one event, and everything up to them is safe from the end of this process.
    pub(crate) fn actions(&mut self, seq: u64, ts: Timestamp, actions: &[Action]) {
        self.attempt(|record| {
            actions
                .iter()
                .try_for_each(|action| record.action(seq, ts, action))?;
            record.commit()
        });
    }

    /// The health, when it changed since the last call.
    pub(crate) fn changed_health(&mut self) -> Option<JournalHealth> {
        let health = if self.fault.is_some() {
            JournalHealth::Lagging
        } else {
            self.record.health()
        };
        let changed = health != self.health;
        self.health = health;
        changed.then_some(health)
    }

    pub(crate) fn finish(&mut self) -> Result<(), RecordFault> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.record.finish(),
        }
    }

    fn attempt(&mut self, write: impl FnOnce(&mut dyn Record) -> Result<(), RecordFault>) {
        if self.fault.is_some() {
            return;
        }
        if let Err(fault) = write(&mut *self.record) {
            error!(%fault, "the record cannot be written: no new order leaves, the service ends");
            self.fault = Some(fault);
        }
    }
}
