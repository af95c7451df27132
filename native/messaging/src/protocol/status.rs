//! The service as a whole: its state, its controls, its alerts, and the snapshot.

use domain::{Number, Timestamp};

use super::commands::{scope_from_wire, scope_to_wire};
use super::error::ProtocolError;
use super::instruments::Instruments;
use super::records::{
    balances_from_wire, balances_to_wire, bundle_from_wire, bundle_to_wire, fill_from_wire, fill_to_wire,
    order_from_wire, order_to_wire, pnl_from_wire, pnl_to_wire, position_from_wire, position_to_wire,
    venue_status_from_wire, venue_status_to_wire,
};
use super::values::{
    WireEnum, client_order_id, epoch_from_wire, instrument_from_wire, instrument_to_wire, optional_slot,
    people_text, required, slot_from_wire, slot_to_wire,
};
use crate::telemetry::{
    Alert, Control, JournalStatus, ServiceStatus, SlotStatus, SlowStatus, Snapshot, StageLatency, Topic,
    TopicSequence,
};
use crate::wire;

type Result<T> = std::result::Result<T, ProtocolError>;

pub(super) fn control_to_wire(control: &Control) -> wire::Control {
    wire::Control {
        scope: Some(scope_to_wire(&control.scope)),
        level: control.level.number(),
        since: control.since.nanos(),
        reason: control.reason.as_deref().map(people_text),
    }
}

pub(super) fn control_from_wire(m: wire::Control) -> Result<Control> {
    Ok(Control {
        scope: scope_from_wire(m.scope)?,
        level: WireEnum::from_number("control.level", m.level)?,
        since: Timestamp::from_nanos(m.since),
        reason: m.reason,
    })
}

fn slot_status_to_wire(slot: &SlotStatus) -> wire::SlotStatus {
    wire::SlotStatus {
        slot: slot_to_wire(slot.slot),
        level: slot.level.number(),
        active: slot.active.as_ref().map(bundle_to_wire),
        previous: slot.previous.as_ref().map(bundle_to_wire),
        warm: slot.warm,
        open_orders: slot.open_orders,
        orders_sent: slot.orders_sent,
        fills: slot.fills,
        slow: slot.slow.iter().map(slow_to_wire).collect(),
        late_quotes: slot.late_quotes,
    }
}

fn slow_to_wire(slow: &SlowStatus) -> wire::SlowStatus {
    wire::SlowStatus {
        name: people_text(&slow.name),
        value: slow.value.map(Number::get),
        valid_from: slow.valid_from.map(Timestamp::nanos),
        max_age_seconds: slow.max_age_seconds,
        known: slow.known,
    }
}

fn slow_from_wire(m: wire::SlowStatus) -> Result<SlowStatus> {
    let finite = |value: f64| {
        let number = Number::from_bits(value.to_bits());
        number.ok_or_else(|| {
            ProtocolError::invalid("slow_status.value", value, "a finite number, zero without a sign")
        })
    };
    Ok(SlowStatus {
        name: m.name,
        value: m.value.map(finite).transpose()?,
        valid_from: m.valid_from.map(Timestamp::from_nanos),
        max_age_seconds: m.max_age_seconds,
        known: m.known,
    })
}

fn slot_status_from_wire(m: wire::SlotStatus) -> Result<SlotStatus> {
    Ok(SlotStatus {
        slot: slot_from_wire("slot_status.slot", m.slot)?,
        level: WireEnum::from_number("slot_status.level", m.level)?,
        active: m.active.map(bundle_from_wire).transpose()?,
        previous: m.previous.map(bundle_from_wire).transpose()?,
        warm: m.warm,
        open_orders: m.open_orders,
        orders_sent: m.orders_sent,
        fills: m.fills,
        slow: all(m.slow, slow_from_wire)?,
        late_quotes: m.late_quotes,
    })
}

fn latency_to_wire(latency: &StageLatency) -> wire::StageLatency {
    wire::StageLatency {
        stage: people_text(&latency.stage),
        count: latency.count,
        p50_ns: latency.p50_ns,
        p99_ns: latency.p99_ns,
        max_ns: latency.max_ns,
    }
}

fn latency_from_wire(m: wire::StageLatency) -> StageLatency {
    StageLatency {
        stage: m.stage,
        count: m.count,
        p50_ns: m.p50_ns,
        p99_ns: m.p99_ns,
        max_ns: m.max_ns,
    }
}

pub(super) fn service_to_wire(status: &ServiceStatus) -> wire::ServiceStatus {
    wire::ServiceStatus {
        instance: people_text(&status.instance),
        run_id: people_text(&status.run_id),
        version: people_text(&status.version),
        epoch: status.epoch.0,
        ts: status.ts.nanos(),
        ts_started: status.ts_started.nanos(),
        state: status.state.number(),
        slots: status.slots.iter().map(slot_status_to_wire).collect(),
        venues: status.venues.iter().copied().map(venue_status_to_wire).collect(),
        controls: status.controls.iter().map(control_to_wire).collect(),
        journal: status.journal.map(|journal| wire::JournalStatus {
            records: journal.records,
            bytes: journal.bytes,
            unsynced_records: journal.unsynced_records,
        }),
        latencies: status.latencies.iter().map(latency_to_wire).collect(),
    }
}

pub(super) fn service_from_wire(m: wire::ServiceStatus) -> Result<ServiceStatus> {
    Ok(ServiceStatus {
        instance: m.instance,
        run_id: m.run_id,
        version: m.version,
        epoch: epoch_from_wire(m.epoch),
        ts: Timestamp::from_nanos(m.ts),
        ts_started: Timestamp::from_nanos(m.ts_started),
        state: WireEnum::from_number("service_status.state", m.state)?,
        slots: all(m.slots, slot_status_from_wire)?,
        venues: all(m.venues, |venue| venue_status_from_wire(&venue))?,
        controls: all(m.controls, control_from_wire)?,
        journal: m.journal.map(|journal| JournalStatus {
            records: journal.records,
            bytes: journal.bytes,
            unsynced_records: journal.unsynced_records,
        }),
        latencies: m.latencies.into_iter().map(latency_from_wire).collect(),
    })
}

pub(super) fn alert_to_wire(names: &Instruments, alert: &Alert) -> Result<wire::Alert> {
    let instrument = alert.instrument.map(|id| instrument_to_wire(names, id));
    Ok(wire::Alert {
        kind: people_text(&alert.kind),
        slot: alert.slot.map(slot_to_wire),
        instrument: instrument.transpose()?.flatten(),
        client_order_id: alert.client_order_id.map(|id| id.to_string()),
        text: people_text(&alert.text),
    })
}

pub(super) fn alert_from_wire(names: &Instruments, m: wire::Alert) -> Result<Alert> {
    let instrument = |name| instrument_from_wire(names, "alert.instrument", Some(name));
    let order = |text: &str| client_order_id("alert.client_order_id", text);
    Ok(Alert {
        kind: m.kind,
        slot: optional_slot("alert.slot", m.slot)?,
        instrument: m.instrument.map(instrument).transpose()?,
        client_order_id: m.client_order_id.as_deref().map(order).transpose()?,
        text: m.text,
    })
}

pub(super) fn sequences_to_wire(sequences: &[TopicSequence]) -> Vec<wire::TopicSequence> {
    sequences
        .iter()
        .map(|entry| wire::TopicSequence {
            topic: entry.topic.as_str().to_owned(),
            sequence: entry.sequence,
        })
        .collect()
}

pub(super) fn sequences_from_wire(sequences: Vec<wire::TopicSequence>) -> Result<Vec<TopicSequence>> {
    all(sequences, |entry| {
        let unknown = || ProtocolError::invalid("topic", &entry.topic, "not a topic this build knows");
        Ok(TopicSequence {
            topic: Topic::from_name(&entry.topic).ok_or_else(unknown)?,
            sequence: entry.sequence,
        })
    })
}

pub(super) fn snapshot_to_wire(names: &Instruments, snapshot: &Snapshot) -> Result<wire::Snapshot> {
    Ok(wire::Snapshot {
        epoch: snapshot.epoch.0,
        ts: snapshot.ts.nanos(),
        status: Some(service_to_wire(&snapshot.status)),
        orders: all(&snapshot.orders, |order| order_to_wire(names, order))?,
        recent_fills: all(&snapshot.recent_fills, |fill| fill_to_wire(names, fill))?,
        positions: all(&snapshot.positions, |position| position_to_wire(names, position))?,
        pnl: all(&snapshot.pnl, pnl_to_wire)?,
        balances: snapshot.balances.iter().map(balances_to_wire).collect(),
        as_of: sequences_to_wire(&snapshot.as_of),
    })
}

pub(super) fn snapshot_from_wire(names: &Instruments, m: wire::Snapshot) -> Result<Snapshot> {
    Ok(Snapshot {
        epoch: epoch_from_wire(m.epoch),
        ts: Timestamp::from_nanos(m.ts),
        status: service_from_wire(required("snapshot.status", m.status)?)?,
        orders: all(m.orders, |order| order_from_wire(names, order))?,
        recent_fills: all(m.recent_fills, |fill| fill_from_wire(names, fill))?,
        positions: all(m.positions, |position| position_from_wire(names, position))?,
        pnl: all(m.pnl, pnl_from_wire)?,
        balances: all(m.balances, |balances| balances_from_wire(&balances))?,
        as_of: sequences_from_wire(m.as_of)?,
    })
}

/// Every item converted, or the first error.
pub(super) fn all<T, U>(
    items: impl IntoIterator<Item = T>,
    convert: impl Fn(T) -> Result<U>,
) -> Result<Vec<U>> {
    items.into_iter().map(convert).collect()
}
