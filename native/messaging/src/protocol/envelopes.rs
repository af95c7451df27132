//! Published messages.

use domain::Timestamp;
use prost::Message;

use super::acks::{ack_from_wire, ack_to_wire};
use super::error::ProtocolError;
use super::instruments::Instruments;
use super::records::{
    balances_from_wire, balances_to_wire, bar_from_wire, bar_to_wire, book_from_wire, book_invalid_from_wire,
    book_invalid_to_wire, book_to_wire, bundle_from_wire, bundle_to_wire, fill_from_wire, fill_to_wire,
    order_from_wire, order_to_wire, pnl_from_wire, pnl_to_wire, position_from_wire, position_to_wire,
    quote_from_wire, quote_to_wire, signal_from_wire, signal_to_wire, trade_from_wire, trade_to_wire,
    venue_status_from_wire, venue_status_to_wire,
};
use super::status::{
    alert_from_wire, alert_to_wire, control_from_wire, control_to_wire, sequences_from_wire,
    sequences_to_wire, service_from_wire, service_to_wire,
};
use super::values::{epoch_from_wire, required};
use crate::ack::{Ack, Outcome};
use crate::command::CommandKind;
use crate::telemetry::{CommandEvent, Envelope, Telemetry};
use crate::wire::{self, envelope::Body};

type Result<T> = std::result::Result<T, ProtocolError>;

/// What stands around a published body.
pub(crate) struct Heading<'a> {
    pub(crate) epoch: u32,
    pub(crate) ts: i64,
    pub(crate) instance: &'a str,
}

/// A published message's bytes.
///
/// # Errors
/// [`ProtocolError`] when a value in it does not fit the wire.
pub fn encode_envelope(names: &Instruments, envelope: &Envelope) -> Result<Vec<u8>> {
    let heading = Heading {
        epoch: envelope.epoch.0,
        ts: envelope.ts.nanos(),
        instance: &envelope.instance,
    };
    encode_telemetry(names, &heading, envelope.sequence, &envelope.body)
}

pub(crate) fn encode_telemetry(
    names: &Instruments,
    heading: &Heading<'_>,
    sequence: u64,
    telemetry: &Telemetry,
) -> Result<Vec<u8>> {
    let message = wire::Envelope {
        epoch: heading.epoch,
        sequence,
        ts: heading.ts,
        instance: heading.instance.to_owned(),
        body: Some(body_to_wire(names, telemetry)?),
    };
    Ok(message.encode_to_vec())
}

/// A published message from its bytes.
///
/// # Errors
/// [`ProtocolError`] for whatever is not one.
pub fn decode_envelope(names: &Instruments, bytes: &[u8]) -> Result<Envelope> {
    let message = wire::Envelope::decode(bytes).map_err(|error| ProtocolError::Malformed {
        message: "Envelope",
        detail: error.to_string(),
    })?;
    Ok(Envelope {
        epoch: epoch_from_wire(message.epoch),
        sequence: message.sequence,
        ts: Timestamp::from_nanos(message.ts),
        instance: message.instance,
        body: body_from_wire(names, required("envelope.body", message.body)?)?,
    })
}

fn body_to_wire(names: &Instruments, telemetry: &Telemetry) -> Result<Body> {
    Ok(match telemetry {
        Telemetry::Trade(m) => Body::Trade(trade_to_wire(names, m)?),
        Telemetry::Quote(m) => Body::Quote(quote_to_wire(names, m)?),
        Telemetry::Book(m) => Body::Book(book_to_wire(names, m)?),
        Telemetry::BookInvalid(m) => Body::BookInvalid(book_invalid_to_wire(names, *m)?),
        Telemetry::Bar(m) => Body::Bar(bar_to_wire(names, m)?),
        Telemetry::VenueStatus(m) => Body::VenueStatus(venue_status_to_wire(*m)),
        Telemetry::Order(m) => Body::Order(order_to_wire(names, m)?),
        Telemetry::Fill(m) => Body::Fill(fill_to_wire(names, m)?),
        Telemetry::Position(m) => Body::Position(position_to_wire(names, m)?),
        Telemetry::Pnl(m) => Body::Pnl(pnl_to_wire(m)?),
        Telemetry::Balances(m) => Body::Balances(balances_to_wire(m)),
        Telemetry::Signal(m) => Body::Signal(signal_to_wire(names, m)?),
        Telemetry::Bundle(m) => Body::BundleStatus(bundle_to_wire(m)),
        Telemetry::Service(m) => Body::ServiceStatus(service_to_wire(m)),
        Telemetry::Command(m) => Body::Command(command_event_to_wire(names, m)?),
        Telemetry::Control(m) => Body::Control(control_to_wire(m)),
        Telemetry::Alert(m) => Body::Alert(alert_to_wire(names, m)?),
        Telemetry::Heartbeat(m) => Body::Heartbeat(wire::Heartbeat {
            sequences: sequences_to_wire(m),
        }),
    })
}

fn body_from_wire(names: &Instruments, body: Body) -> Result<Telemetry> {
    Ok(match body {
        Body::Trade(m) => Telemetry::Trade(trade_from_wire(names, m)?),
        Body::Quote(m) => Telemetry::Quote(quote_from_wire(names, m)?),
        Body::Book(m) => Telemetry::Book(book_from_wire(names, m)?),
        Body::BookInvalid(m) => Telemetry::BookInvalid(book_invalid_from_wire(names, m)?),
        Body::Bar(m) => Telemetry::Bar(bar_from_wire(names, m)?),
        Body::VenueStatus(m) => Telemetry::VenueStatus(venue_status_from_wire(&m)?),
        Body::Order(m) => Telemetry::Order(order_from_wire(names, m)?),
        Body::Fill(m) => Telemetry::Fill(fill_from_wire(names, m)?),
        Body::Position(m) => Telemetry::Position(position_from_wire(names, m)?),
        Body::Pnl(m) => Telemetry::Pnl(pnl_from_wire(m)?),
        Body::Balances(m) => Telemetry::Balances(balances_from_wire(&m)?),
        Body::Signal(m) => Telemetry::Signal(signal_from_wire(names, m)?),
        Body::BundleStatus(m) => Telemetry::Bundle(bundle_from_wire(m)?),
        Body::ServiceStatus(m) => Telemetry::Service(Box::new(service_from_wire(m)?)),
        Body::Command(m) => Telemetry::Command(Box::new(command_event_from_wire(names, m)?)),
        Body::Control(m) => Telemetry::Control(control_from_wire(m)?),
        Body::Alert(m) => Telemetry::Alert(alert_from_wire(names, m)?),
        Body::Heartbeat(m) => Telemetry::Heartbeat(sequences_from_wire(m.sequences)?),
    })
}

fn command_event_to_wire(names: &Instruments, event: &CommandEvent) -> Result<wire::CommandEvent> {
    // The answer of a query is for who asked, not for everybody who watches.
    let outcome = match &event.ack.outcome {
        Outcome::Applied(_) => Outcome::Applied(None),
        outcome => outcome.clone(),
    };
    let ack = Ack { outcome, ..event.ack };
    Ok(wire::CommandEvent {
        command: event
            .kind
            .map_or_else(String::new, |kind| kind.as_str().to_owned()),
        ack: Some(ack_to_wire(names, &ack)?),
    })
}

fn command_event_from_wire(names: &Instruments, m: wire::CommandEvent) -> Result<CommandEvent> {
    let kind = if m.command.is_empty() {
        None
    } else {
        let unknown = || {
            ProtocolError::invalid(
                "command_event.command",
                &m.command,
                "not a command this build knows",
            )
        };
        Some(CommandKind::from_name(&m.command).ok_or_else(unknown)?)
    };
    Ok(CommandEvent {
        kind,
        ack: ack_from_wire(names, required("command_event.ack", m.ack)?)?,
    })
}
