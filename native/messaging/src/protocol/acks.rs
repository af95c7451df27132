//! Acknowledgements.

use domain::Timestamp;
use prost::Message;

use super::error::ProtocolError;
use super::instruments::Instruments;
use super::records::{
    fill_from_wire, fill_to_wire, order_from_wire, order_to_wire, pnl_from_wire, pnl_to_wire,
    position_from_wire, position_to_wire,
};
use super::status::{all, service_from_wire, service_to_wire, snapshot_from_wire, snapshot_to_wire};
use super::values::{WireEnum, command_id, key_id, people_text, required};
use crate::ack::{Ack, Origin, Outcome, Reply};
use crate::limits::ACK_BYTES_MAX;
use crate::wire::{self, ack::Reply as WireReply};

type Result<T> = std::result::Result<T, ProtocolError>;

/// An acknowledgement's bytes.
///
/// # Errors
/// [`ProtocolError`] when a record in the answer has a value that the wire cannot hold, or the whole is larger
/// than [`ACK_BYTES_MAX`].
pub fn encode_ack(names: &Instruments, ack: &Ack) -> Result<Vec<u8>> {
    let message = ack_to_wire(names, ack)?;
    let length = message.encoded_len();
    if length > ACK_BYTES_MAX {
        let allowed = "an answer is at most 8 MiB: ask for less";
        return Err(ProtocolError::invalid("ack", format!("{length} bytes"), allowed));
    }
    Ok(message.encode_to_vec())
}

/// An acknowledgement from its bytes.
///
/// # Errors
/// [`ProtocolError`] for whatever is not one.
pub fn decode_ack(names: &Instruments, bytes: &[u8]) -> Result<Ack> {
    let message = wire::Ack::decode(bytes).map_err(|error| ProtocolError::Malformed {
        message: "Ack",
        detail: error.to_string(),
    })?;
    ack_from_wire(names, message)
}

pub(super) fn ack_to_wire(names: &Instruments, ack: &Ack) -> Result<wire::Ack> {
    let mut message = wire::Ack {
        key_id: ack.origin.key.map(|(id, _)| id.0.to_vec()),
        counter: ack.origin.key.map(|(_, counter)| counter),
        command_id: ack.origin.command_id.map(|id| id.as_str().to_owned()),
        ts: ack.ts.nanos(),
        outcome: wire::Outcome::Unspecified.into(),
        refusal: None,
        text: String::new(),
        reply: None,
    };
    let outcome = match &ack.outcome {
        Outcome::Accepted => wire::Outcome::Accepted,
        Outcome::Refused { reason, text } => {
            message.refusal = Some(reason.number());
            message.text = people_text(text);
            wire::Outcome::Refused
        }
        Outcome::Applied(reply) => {
            message.reply = reply
                .as_ref()
                .map(|reply| reply_to_wire(names, reply))
                .transpose()?;
            wire::Outcome::Applied
        }
        Outcome::Failed { reason, text } => {
            message.refusal = reason.map(WireEnum::number);
            message.text = people_text(text);
            wire::Outcome::Failed
        }
    };
    message.outcome = outcome.into();
    Ok(message)
}

pub(super) fn ack_from_wire(names: &Instruments, m: wire::Ack) -> Result<Ack> {
    let key = match (m.key_id, m.counter) {
        (Some(bytes), Some(counter)) => Some((key_id("ack.key_id", &bytes)?, counter)),
        (None, None) => None,
        (None, Some(_)) => return Err(ProtocolError::Missing { field: "ack.key_id" }),
        (Some(_), None) => return Err(ProtocolError::Missing { field: "ack.counter" }),
    };
    let name = |text: &str| command_id("ack.command_id", text);
    let origin = Origin {
        key,
        command_id: m.command_id.as_deref().map(name).transpose()?,
    };
    let outcome = match wire::Outcome::try_from(m.outcome) {
        Ok(wire::Outcome::Accepted) => Outcome::Accepted,
        Ok(wire::Outcome::Refused) => Outcome::Refused {
            reason: WireEnum::from_number("ack.refusal", required("ack.refusal", m.refusal)?)?,
            text: m.text,
        },
        Ok(wire::Outcome::Applied) => {
            Outcome::Applied(m.reply.map(|reply| reply_from_wire(names, reply)).transpose()?)
        }
        Ok(wire::Outcome::Failed) => Outcome::Failed {
            reason: m
                .refusal
                .map(|number| WireEnum::from_number("ack.refusal", number))
                .transpose()?,
            text: m.text,
        },
        Ok(wire::Outcome::Unspecified) | Err(_) => {
            let field = "ack.outcome";
            let number = m.outcome;
            return Err(ProtocolError::UnknownEnum { field, number });
        }
    };
    Ok(Ack {
        origin,
        ts: Timestamp::from_nanos(m.ts),
        outcome,
    })
}

fn reply_to_wire(names: &Instruments, reply: &Reply) -> Result<WireReply> {
    Ok(match reply {
        Reply::Status(status) => WireReply::Status(service_to_wire(status)),
        Reply::Orders { orders, more } => WireReply::Orders(wire::OrderList {
            orders: all(orders, |order| order_to_wire(names, order))?,
            more: *more,
        }),
        Reply::Positions(positions) => WireReply::Positions(wire::PositionList {
            positions: all(positions, |position| position_to_wire(names, position))?,
        }),
        Reply::Fills { fills, more } => WireReply::Fills(wire::FillList {
            fills: all(fills, |fill| fill_to_wire(names, fill))?,
            more: *more,
        }),
        Reply::Pnl(pnl) => WireReply::Pnl(wire::PnlList {
            pnl: all(pnl, pnl_to_wire)?,
        }),
        Reply::Snapshot(snapshot) => WireReply::Snapshot(snapshot_to_wire(names, snapshot)?),
    })
}

fn reply_from_wire(names: &Instruments, reply: WireReply) -> Result<Reply> {
    Ok(match reply {
        WireReply::Status(m) => Reply::Status(Box::new(service_from_wire(m)?)),
        WireReply::Orders(m) => Reply::Orders {
            orders: all(m.orders, |order| order_from_wire(names, order))?,
            more: m.more,
        },
        WireReply::Positions(m) => {
            Reply::Positions(all(m.positions, |position| position_from_wire(names, position))?)
        }
        WireReply::Fills(m) => Reply::Fills {
            fills: all(m.fills, |fill| fill_from_wire(names, fill))?,
            more: m.more,
        },
        WireReply::Pnl(m) => Reply::Pnl(all(m.pnl, pnl_from_wire)?),
        WireReply::Snapshot(m) => Reply::Snapshot(Box::new(snapshot_from_wire(names, m)?)),
    })
}
