//! The record as the driver uses it: what could not be recorded does not happen.

use domain::{MarketEvent, Timestamp};
use engine::{Action, Event, EventBody, JournalHealth};
use journal::Room;
use tracing::error;

use crate::record::{Record, RecordFault, Written};

/// A record that may have refused something.
#[derive(Debug)]
pub(crate) struct Recording {
    /// `None` once it is closed.
    record: Option<Box<dyn Record>>,
    /// The first refusal; a final one takes its place.
    fault: Option<RecordFault>,
    health: JournalHealth,
}

impl Recording {
    pub(crate) fn new(record: Box<dyn Record>) -> Self {
        Self {
            record: Some(record),
            fault: None,
            health: JournalHealth::Healthy,
        }
    }

    /// Whether nothing can be recorded any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.is_final)
    }

    /// The number of the next event.
    pub(crate) fn next_event(&self) -> u64 {
        self.record.as_ref().map_or(0, |record| record.next_event())
    }

    /// Records an input; `false`: it must not reach the engine.
    pub(crate) fn event(&mut self, event: &Event<'_>) -> bool {
        let room = room(&event.body);
        self.attempt(|record| record.event(event, room))
    }

    /// Records what the last event, at `ts`, led to; `false`: no order of it may leave. The event is recorded, so a
    /// replay will ask for its actions: they may use the reserve.
    pub(crate) fn actions(&mut self, ts: Timestamp, actions: &[Action]) -> bool {
        actions.is_empty() || self.attempt(|record| record.actions(ts, actions, Room::Reserve))
    }

    /// The health, when it changed since the last call.
    pub(crate) fn changed_health(&mut self) -> Option<JournalHealth> {
        let health = match (&self.fault, &self.record) {
            (None, Some(record)) => record.health(),
            _ => JournalHealth::Lagging,
        };
        let changed = health != self.health;
        self.health = health;
        changed.then_some(health)
    }

    pub(crate) fn written(&self) -> Written {
        self.record
            .as_ref()
            .map_or_else(Written::default, |record| record.written())
    }

    /// Forces everything to disk and closes; the first fault of the life, if there was one.
    pub(crate) fn finish(&mut self) -> Option<RecordFault> {
        let closed = match self.record.take() {
            Some(record) if !self.is_dead() => record.finish().err(),
            _ => None,
        };
        self.fault.take().or(closed)
    }

    fn attempt(&mut self, write: impl FnOnce(&mut dyn Record) -> Result<(), RecordFault>) -> bool {
        let dead = self.is_dead();
        let Some(record) = self.record.as_mut().filter(|_| !dead) else {
            return false;
        };
        match write(&mut **record) {
            Ok(()) => true,
            Err(fault) => {
                if self.fault.is_none() || fault.is_final {
                    error!(%fault, "not recorded: no new order leaves, and the service ends");
                    self.fault = Some(fault);
                }
                false
            }
        }
    }
}

/// What may use the reserve when the disk is full: stops, and what the venue says of orders that are there.
fn room(body: &EventBody<'_>) -> Room {
    match body {
        EventBody::OrderReport(_)
        | EventBody::Timer(_)
        | EventBody::Command(_)
        | EventBody::JournalHealth(_)
        | EventBody::Balance { .. }
        | EventBody::VenuePosition(_)
        | EventBody::Reconciled { .. }
        | EventBody::Difference(_)
        | EventBody::Compared(_)
        | EventBody::Ending
        | EventBody::Market(MarketEvent::VenueStatus(_)) => Room::Reserve,
        EventBody::Started { .. }
        | EventBody::Market(_)
        | EventBody::HistoricalBar(_)
        | EventBody::TradesComplete { .. }
        | EventBody::BundleActivated(_)
        | EventBody::SlotCapital { .. } => Room::Ordinary,
    }
}
