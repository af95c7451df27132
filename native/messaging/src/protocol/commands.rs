//! Commands and their signed wrapping.

use domain::{Decimal, Number, OrderType, Side, Text, Timestamp};
use prost::Message;

use super::error::ProtocolError;
use super::values::{
    WireEnum, client_order_id, command_id, digest, key_id, limit_price, name_from_wire, name_to_wire,
    optional_slot, positive_quantity, required, slot_from_wire, slot_to_wire, venue,
};
use crate::command::{Command, CommandId, ManualOrder, Query, Scope, SlowFact};
use crate::keys::KeyId;
use crate::limits::{
    COMMAND_BYTES_MAX, PARAMETER_BYTES_MAX, QUERY_LIMIT_MAX, REASON_BYTES_MAX, SLIPPAGE_BPS_MAX,
};
use crate::wire::{self, command::Action, scope::Reach};

type Result<T> = std::result::Result<T, ProtocolError>;

/// A signed command, taken apart but not yet believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedParts {
    pub(crate) body: Vec<u8>,
    pub(crate) key_id: KeyId,
    pub(crate) counter: u64,
    pub(crate) expires: i64,
    pub(crate) instance: String,
    pub(crate) signature: Vec<u8>,
}

pub(crate) fn encode_signed(parts: SignedParts) -> Vec<u8> {
    wire::SignedCommand {
        body: parts.body,
        key_id: parts.key_id.0.to_vec(),
        counter: parts.counter,
        expires: parts.expires,
        instance: parts.instance,
        signature: parts.signature,
    }
    .encode_to_vec()
}

pub(crate) fn decode_signed(bytes: &[u8]) -> Result<SignedParts> {
    let message: wire::SignedCommand = decode_canonical("SignedCommand", bytes)?;
    Ok(SignedParts {
        key_id: key_id("key_id", &message.key_id)?,
        body: message.body,
        counter: message.counter,
        expires: message.expires,
        instance: message.instance,
        signature: message.signature,
    })
}

/// Decodes, and encodes again to see that nothing was skipped, repeated or padded.
fn decode_canonical<M: Message + Default>(message: &'static str, bytes: &[u8]) -> Result<M> {
    if bytes.len() > COMMAND_BYTES_MAX {
        return Err(ProtocolError::Malformed {
            message,
            detail: format!("{} bytes, at most {COMMAND_BYTES_MAX} are read", bytes.len()),
        });
    }
    let decoded = M::decode(bytes).map_err(|error| ProtocolError::Malformed {
        message,
        detail: error.to_string(),
    })?;
    if decoded.encode_to_vec() == bytes {
        Ok(decoded)
    } else {
        Err(ProtocolError::NotCanonical { message })
    }
}

/// A command's unsigned bytes.
pub fn encode_command(id: &CommandId, command: &Command) -> Vec<u8> {
    wire::Command {
        command_id: id.as_str().to_owned(),
        action: Some(action_to_wire(command)),
    }
    .encode_to_vec()
}

/// A command from its unsigned bytes.
///
/// # Errors
/// [`ProtocolError`] for whatever is not one canonically encoded command with every value in its range.
pub fn decode_command(bytes: &[u8]) -> Result<(CommandId, Command)> {
    let message: wire::Command = decode_canonical("Command", bytes)?;
    let id = command_id("command_id", &message.command_id)?;
    let action = required("action", message.action)?;
    Ok((id, action_from_wire(action)?))
}

fn action_to_wire(command: &Command) -> Action {
    let scope = |scope: &Scope| Some(scope_to_wire(scope));
    match command {
        Command::Deploy { slot, digest } => Action::Deploy(wire::Deploy {
            slot: slot_to_wire(*slot),
            digest: digest.0.to_vec(),
        }),
        Command::Rollback { slot } => Action::Rollback(wire::Rollback {
            slot: slot_to_wire(*slot),
        }),
        Command::Start { scope: reach } => Action::Start(wire::Start { scope: scope(reach) }),
        Command::Pause { scope: reach } => Action::Pause(wire::Pause { scope: scope(reach) }),
        Command::Cancel { scope: reach } => Action::Cancel(wire::Cancel { scope: scope(reach) }),
        Command::ReduceOnly { scope: reach } => Action::ReduceOnly(wire::ReduceOnly { scope: scope(reach) }),
        Command::Flatten {
            scope: reach,
            max_slippage_bps,
        } => Action::Flatten(wire::Flatten {
            scope: scope(reach),
            max_slippage_bps: *max_slippage_bps,
        }),
        Command::Kill { scope: reach } => Action::Kill(wire::Kill { scope: scope(reach) }),
        Command::Rearm { scope: reach, reason } => Action::Rearm(wire::Rearm {
            scope: scope(reach),
            reason: reason.clone(),
        }),
        Command::SetParameter { slot, name, value } => Action::SetParameter(wire::SetParameter {
            slot: slot_to_wire(*slot),
            name: name.clone(),
            value: value.to_string(),
        }),
        Command::ManualOrder(order) => Action::ManualOrder(manual_order_to_wire(order)),
        Command::ManualCancel { client_order_id } => Action::ManualCancel(wire::ManualCancel {
            client_order_id: client_order_id.to_string(),
        }),
        Command::TellSlow(fact) => Action::TellSlow(slow_fact_to_wire(fact)),
        Command::Query(query) => query_to_wire(*query),
    }
}

fn query_to_wire(query: Query) -> Action {
    match query {
        Query::Status => Action::QueryStatus(wire::QueryStatus {}),
        Query::Orders {
            slot,
            open_only,
            limit,
        } => Action::QueryOrders(wire::QueryOrders {
            slot: slot.map(slot_to_wire),
            open_only,
            limit,
        }),
        Query::Positions => Action::QueryPositions(wire::QueryPositions {}),
        Query::Fills { slot, limit } => Action::QueryFills(wire::QueryFills {
            slot: slot.map(slot_to_wire),
            limit,
        }),
        Query::Pnl => Action::QueryPnl(wire::QueryPnl {}),
        Query::Snapshot => Action::Snapshot(wire::SnapshotRequest {}),
    }
}

fn manual_order_to_wire(order: &ManualOrder) -> wire::ManualOrder {
    wire::ManualOrder {
        slot: slot_to_wire(order.slot),
        instrument: Some(name_to_wire(order.instrument)),
        side: order.side.number(),
        order_type: order.order_type.number(),
        price: order.price.map(domain::Price::units),
        quantity: order.quantity.units(),
    }
}

fn action_from_wire(action: Action) -> Result<Command> {
    Ok(match action {
        Action::Deploy(m) => Command::Deploy {
            slot: slot_from_wire("deploy.slot", m.slot)?,
            digest: digest("deploy.digest", &m.digest)?,
        },
        Action::Rollback(m) => Command::Rollback {
            slot: slot_from_wire("rollback.slot", m.slot)?,
        },
        Action::Start(m) => Command::Start {
            scope: wide_scope(m.scope)?,
        },
        Action::Pause(m) => Command::Pause {
            scope: wide_scope(m.scope)?,
        },
        Action::Cancel(m) => Command::Cancel {
            scope: scope_from_wire(m.scope)?,
        },
        Action::ReduceOnly(m) => Command::ReduceOnly {
            scope: wide_scope(m.scope)?,
        },
        Action::Flatten(m) => flatten_from_wire(m)?,
        Action::Kill(m) => Command::Kill {
            scope: wide_scope(m.scope)?,
        },
        Action::Rearm(m) => rearm_from_wire(m)?,
        Action::SetParameter(m) => set_parameter_from_wire(&m)?,
        Action::ManualOrder(m) => Command::ManualOrder(manual_order_from_wire(m)?),
        Action::ManualCancel(m) => Command::ManualCancel {
            client_order_id: client_order_id("manual_cancel.client_order_id", &m.client_order_id)?,
        },
        Action::TellSlow(m) => Command::TellSlow(slow_fact_from_wire(m)?),
        Action::QueryStatus(_) => Command::Query(Query::Status),
        Action::QueryOrders(m) => Command::Query(Query::Orders {
            slot: optional_slot("query_orders.slot", m.slot)?,
            open_only: m.open_only,
            limit: query_limit("query_orders.limit", m.limit)?,
        }),
        Action::QueryPositions(_) => Command::Query(Query::Positions),
        Action::QueryFills(m) => Command::Query(Query::Fills {
            slot: optional_slot("query_fills.slot", m.slot)?,
            limit: query_limit("query_fills.limit", m.limit)?,
        }),
        Action::QueryPnl(_) => Command::Query(Query::Pnl),
        Action::Snapshot(_) => Command::Query(Query::Snapshot),
    })
}

fn query_limit(field: &'static str, limit: u32) -> Result<u32> {
    if (1..=QUERY_LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(ProtocolError::invalid(field, limit, "1 to 1000"))
    }
}

fn flatten_from_wire(message: wire::Flatten) -> Result<Command> {
    if message.max_slippage_bps > SLIPPAGE_BPS_MAX {
        let field = "flatten.max_slippage_bps";
        return Err(ProtocolError::invalid(
            field,
            message.max_slippage_bps,
            "0 to 10000",
        ));
    }
    Ok(Command::Flatten {
        scope: wide_scope(message.scope)?,
        max_slippage_bps: message.max_slippage_bps,
    })
}

fn rearm_from_wire(message: wire::Rearm) -> Result<Command> {
    let reason = message.reason;
    let printable = reason.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if !printable || reason.trim().is_empty() || reason.len() > REASON_BYTES_MAX {
        let allowed = "a reason in 1 to 120 printable ASCII characters";
        return Err(ProtocolError::invalid(
            "rearm.reason",
            format!("{reason:?}"),
            allowed,
        ));
    }
    Ok(Command::Rearm {
        scope: wide_scope(message.scope)?,
        reason,
    })
}

fn set_parameter_from_wire(message: &wire::SetParameter) -> Result<Command> {
    let name = parameter_name("set_parameter.name", &message.name)?;
    let parsed = Decimal::parse(message.value.as_bytes()).ok();
    // Signed text has one spelling: `-000.1` would be another command of the same meaning.
    let canonical = parsed.filter(|value| value.to_string() == message.value);
    let value = canonical.ok_or_else(|| {
        let allowed = "decimal text with at most 8 decimals and no needless zeros, such as 0.62";
        ProtocolError::invalid("set_parameter.value", format!("{:?}", message.value), allowed)
    })?;
    Ok(Command::SetParameter {
        slot: slot_from_wire("set_parameter.slot", message.slot)?,
        name: name.as_str().to_owned(),
        value,
    })
}

fn parameter_name(field: &'static str, name: &str) -> Result<Text<PARAMETER_BYTES_MAX>> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let is_name = !name.is_empty() && name.bytes().all(plain);
    let text = Text::new(name).filter(|_| is_name);
    text.ok_or_else(|| {
        let allowed = "1 to 64 lower-case letters, digits and underscores";
        ProtocolError::invalid(field, format!("{name:?}"), allowed)
    })
}

fn slow_fact_from_wire(message: wire::TellSlow) -> Result<SlowFact> {
    let finite = |value: f64| {
        let number = Number::from_bits(value.to_bits());
        number.ok_or_else(|| {
            ProtocolError::invalid("tell_slow.value", value, "a finite number, zero without a sign")
        })
    };
    if message.max_age_seconds == 0 {
        return Err(ProtocolError::invalid(
            "tell_slow.max_age_seconds",
            0,
            "1 second or more",
        ));
    }
    Ok(SlowFact {
        instrument: name_from_wire("tell_slow.instrument", message.instrument)?,
        name: parameter_name("tell_slow.name", &message.name)?,
        value: message.value.map(finite).transpose()?,
        valid_from: Timestamp::from_nanos(message.valid_from),
        max_age_seconds: message.max_age_seconds,
    })
}

fn slow_fact_to_wire(fact: &SlowFact) -> wire::TellSlow {
    wire::TellSlow {
        instrument: Some(name_to_wire(fact.instrument)),
        name: fact.name.as_str().to_owned(),
        value: fact.value.map(Number::get),
        valid_from: fact.valid_from.nanos(),
        max_age_seconds: fact.max_age_seconds,
    }
}

fn manual_order_from_wire(message: wire::ManualOrder) -> Result<ManualOrder> {
    let order_type = OrderType::from_number("manual_order.order_type", message.order_type)?;
    Ok(ManualOrder {
        slot: slot_from_wire("manual_order.slot", message.slot)?,
        instrument: name_from_wire("manual_order.instrument", message.instrument)?,
        side: Side::from_number("manual_order.side", message.side)?,
        order_type,
        price: limit_price("manual_order.price", order_type, message.price)?,
        quantity: positive_quantity("manual_order.quantity", message.quantity)?,
    })
}

pub(super) fn scope_to_wire(scope: &Scope) -> wire::Scope {
    let reach = match scope {
        Scope::All => Reach::All(wire::Everything {}),
        Scope::Venue(venue) => Reach::Venue(venue.as_str().to_owned()),
        Scope::Instrument(name) => Reach::Instrument(name_to_wire(*name)),
        Scope::Slot(slot) => Reach::Slot(slot_to_wire(*slot)),
        Scope::Order(id) => Reach::Order(id.to_string()),
    };
    wire::Scope { reach: Some(reach) }
}

pub(super) fn scope_from_wire(scope: Option<wire::Scope>) -> Result<Scope> {
    // A scope without a reach is refused: "all" is never what a truncated message means.
    let reach = required("scope", scope.and_then(|scope| scope.reach))?;
    Ok(match reach {
        Reach::All(_) => Scope::All,
        Reach::Venue(name) => Scope::Venue(venue("scope.venue", &name)?),
        Reach::Instrument(name) => Scope::Instrument(name_from_wire("scope.instrument", Some(name))?),
        Reach::Slot(slot) => Scope::Slot(slot_from_wire("scope.slot", slot)?),
        Reach::Order(id) => Scope::Order(client_order_id("scope.order", &id)?),
    })
}

/// A scope of a command that does not act on a single order.
fn wide_scope(scope: Option<wire::Scope>) -> Result<Scope> {
    match scope_from_wire(scope)? {
        Scope::Order(id) => Err(ProtocolError::invalid(
            "scope.order",
            id,
            "only cancel acts on a single order; use all, venue, instrument or slot",
        )),
        scope => Ok(scope),
    }
}
