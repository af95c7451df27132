//! Parameters from shared memory: looked at between events, judged by the engine, recorded as commands.

use domain::{Decimal, SlotId, Timestamp};
use engine::{CommandKind, ParameterId};
use ipc::IpcError;
use ipc::parameters::{ParameterInbox, ParameterPoll, ParameterRequest};
use ipc::shared_memory::{SegmentRegistry, monotonic_ns};
use tracing::{info, warn};

use crate::driver::Driver;
use crate::wishes::words;

/// Name under which the segments are offered.
pub const NAME: &str = "parameters";

/// A parameter of a slot and the value it has now.
type Known = (SlotId, ParameterId, Decimal);

/// The service's end, and what the running strategies' parameters are.
#[derive(Debug)]
pub(crate) struct Parameters {
    inbox: ParameterInbox,
    known: Vec<Known>,
}

impl Parameters {
    pub(crate) fn create(epoch: u64, registry: &SegmentRegistry) -> Result<Self, IpcError> {
        let inbox = ParameterInbox::create(NAME, epoch)?;
        inbox.offer(registry)?;
        Ok(Self {
            inbox,
            known: Vec::new(),
        })
    }

    /// A program took a slot over: its parameters are those of its file.
    pub(crate) fn begin(&mut self, slot: SlotId, values: &[(ParameterId, Decimal)]) {
        self.known.retain(|(known, ..)| *known != slot);
        self.known
            .extend(values.iter().map(|(parameter, value)| (slot, *parameter, *value)));
    }

    /// A command changed a parameter.
    pub(crate) fn changed(&mut self, slot: SlotId, parameter: ParameterId, value: Decimal) {
        let same = |known: &&mut Known| (known.0, known.1) == (slot, parameter);
        if let Some(known) = self.known.iter_mut().find(same) {
            known.2 = value;
        }
    }

    /// Carries a waiting request out, all of it or nothing.
    pub(crate) fn poll(&mut self, driver: &mut Driver, received: Timestamp) {
        match self.inbox.poll(monotonic_ns()) {
            ParameterPoll::Unchanged => {}
            ParameterPoll::Malformed(fault) => warn!(%fault, "a request for parameters"),
            ParameterPoll::Request(request) => {
                let outcome = self.apply(&request, driver, received);
                match &outcome {
                    Ok(()) => info!(
                        slot = request.slot.0,
                        version = request.version,
                        "parameters changed"
                    ),
                    Err(reason) => warn!(slot = request.slot.0, reason, "parameters refused"),
                }
                let outcome = outcome.as_ref().map_err(String::as_str).copied();
                self.inbox.acknowledge(&request, outcome, monotonic_ns());
            }
        }
    }

    pub(crate) fn heartbeat(&self) {
        self.inbox.heartbeat();
    }

    fn apply(
        &mut self,
        request: &ParameterRequest,
        driver: &mut Driver,
        received: Timestamp,
    ) -> Result<(), String> {
        let slot = request.slot;
        let mut changes = Vec::with_capacity(request.changes().len());
        for change in request.changes() {
            let parameter = ParameterId::from_key(change.name.as_str())
                .ok_or_else(|| format!("{} is no parameter", change.name))?;
            let before = self.value(slot, parameter);
            let before = before.ok_or_else(|| format!("slot {} does not have {}", slot.0, change.name))?;
            changes.push((parameter, before, change.value));
        }
        for at in 0..changes.len() {
            let (parameter, _, value) = changes[at];
            if let Err(refusal) = set(driver, received, slot, parameter, value) {
                // No event comes in between: to everybody else it is as if nothing had been changed.
                for (parameter, before, _) in changes[..at].iter().rev() {
                    if let Err(refusal) = set(driver, received, slot, *parameter, *before) {
                        warn!(?parameter, ?refusal, "a parameter could not be set back");
                    }
                }
                return Err(format!("{}: {refusal}", parameter.key()));
            }
        }
        for (parameter, _, value) in changes {
            self.changed(slot, parameter, value);
        }
        Ok(())
    }

    fn value(&self, slot: SlotId, parameter: ParameterId) -> Option<Decimal> {
        let found = self
            .known
            .iter()
            .find(|known| (known.0, known.1) == (slot, parameter));
        found.map(|known| known.2)
    }
}

fn set(
    driver: &mut Driver,
    received: Timestamp,
    slot: SlotId,
    parameter: ParameterId,
    value: Decimal,
) -> Result<(), String> {
    let kind = CommandKind::SetParameter {
        slot,
        parameter,
        value,
    };
    match driver.command(received, kind) {
        Some(Ok(())) => Ok(()),
        Some(Err(refused)) => Err(words(refused)),
        None => Err("it could not be recorded".to_owned()),
    }
}
