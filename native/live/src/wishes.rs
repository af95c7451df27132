//! Signed commands in the engine's words.

use domain::{InstrumentId, Nanos, SlotId, Text};
use engine::signals::SlowFact;
use engine::{CommandKind, CommandRefusal, ManualOrder, ParameterId, Scope};
use messaging::{Command, Instruments, Refusal, RefusalReason};
use messaging::{CommandRef, InstrumentName};

use crate::fact::Refused;

/// What a command asks the service to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The engine obeys.
    Engine(CommandKind),
    /// Everything stops at once, before the engine hears.
    KillAll,
    /// A bundle takes a slot over.
    Deploy(SlotId, domain::BundleDigest),
    /// The bundle before takes its slot over again.
    Rollback(SlotId),
}

/// Translates a command that is not a question.
pub(crate) fn wish(
    command: &Command,
    reference: &CommandRef,
    instruments: &Instruments,
    slots: &[SlotId],
) -> Result<Wish, Refusal> {
    let refuse = |reason, text: String| Refusal::of(reference, reason, text);
    let instrument = |name: &InstrumentName| {
        let text = format!("{name} is not among the service's instruments");
        instruments
            .id(name)
            .ok_or_else(|| refuse(RefusalReason::UnknownInstrument, text))
    };
    let known = |slot: SlotId| {
        let text = format!("slot {} is not configured", slot.0);
        let found = slots.contains(&slot);
        found
            .then_some(slot)
            .ok_or_else(|| refuse(RefusalReason::UnknownSlot, text))
    };
    let scope = |scope: &messaging::Scope| match *scope {
        messaging::Scope::All => Ok(Scope::All),
        messaging::Scope::Venue(venue) => Ok(Scope::Venue(venue)),
        messaging::Scope::Instrument(name) => instrument(&name).map(Scope::Instrument),
        messaging::Scope::Slot(slot) => known(slot).map(Scope::Slot),
        messaging::Scope::Order(id) => Ok(Scope::Order(id)),
    };
    Ok(Wish::Engine(match command {
        Command::Deploy { slot, digest } => return Ok(Wish::Deploy(known(*slot)?, *digest)),
        Command::Rollback { slot } => return Ok(Wish::Rollback(known(*slot)?)),
        Command::Kill {
            scope: messaging::Scope::All,
        } => return Ok(Wish::KillAll),
        Command::Start { scope: wanted } => CommandKind::Start(scope(wanted)?),
        Command::Pause { scope: wanted } => CommandKind::Pause(scope(wanted)?),
        Command::Cancel { scope: wanted } => CommandKind::CancelOrders(scope(wanted)?),
        Command::ReduceOnly { scope: wanted } => CommandKind::ReduceOnly(scope(wanted)?),
        Command::Kill { scope: wanted } => CommandKind::Kill(scope(wanted)?),
        Command::Flatten {
            scope: wanted,
            max_slippage_bps,
        } => CommandKind::Flatten {
            scope: scope(wanted)?,
            max_slippage_bps: *max_slippage_bps,
        },
        Command::Rearm {
            scope: wanted,
            reason,
        } => CommandKind::Rearm {
            scope: scope(wanted)?,
            reason: Text::new(reason)
                .ok_or_else(|| refuse(RefusalReason::InvalidValue, "reason".to_owned()))?,
        },
        Command::SetParameter { slot, name, value } => CommandKind::SetParameter {
            slot: known(*slot)?,
            parameter: ParameterId::from_key(name)
                .ok_or_else(|| refuse(RefusalReason::UnknownParameter, parameters(name)))?,
            value: *value,
        },
        Command::ManualOrder(order) => manual(order, known(order.slot)?, instrument(&order.instrument)?),
        Command::TellSlow(fact) => told(fact, instrument(&fact.instrument)?),
        Command::ManualCancel { client_order_id } => {
            CommandKind::CancelOrders(Scope::Order(*client_order_id))
        }
        Command::Query(_) => {
            let text = "a question is answered, not obeyed".to_owned();
            return Err(refuse(RefusalReason::Unsupported, text));
        }
    }))
}

const fn manual(order: &messaging::ManualOrder, slot: SlotId, instrument: InstrumentId) -> CommandKind {
    CommandKind::ManualOrder(ManualOrder {
        slot,
        instrument,
        side: order.side,
        order_type: order.order_type,
        price: order.price,
        quantity: order.quantity,
    })
}

fn told(fact: &messaging::SlowFact, instrument: InstrumentId) -> CommandKind {
    CommandKind::TellSlow(SlowFact {
        instrument,
        name: fact.name,
        value: fact.value,
        valid_from: fact.valid_from,
        max_age: Nanos::from_secs(fact.max_age_seconds.into()),
    })
}

fn parameters(name: &str) -> String {
    let known: Vec<_> = ParameterId::ALL.iter().map(|parameter| parameter.key()).collect();
    format!("{name} is no parameter; allowed: {}", known.join(", "))
}

/// The engine's refusal for programs.
pub(crate) const fn code(refusal: CommandRefusal) -> RefusalReason {
    match refusal {
        // Slots and instruments are known before the engine hears.
        CommandRefusal::UnknownTarget => RefusalReason::UnknownOrder,
        CommandRefusal::OutOfRange | CommandRefusal::ThresholdsCross => RefusalReason::ParameterOutOfRange,
        CommandRefusal::NotAParameter | CommandRefusal::NotDeclared => RefusalReason::UnknownParameter,
        CommandRefusal::Latched => RefusalReason::Stopped,
        CommandRefusal::Denied => RefusalReason::RiskDenied,
        CommandRefusal::NoProgram | CommandRefusal::NothingLatched | CommandRefusal::Full => {
            RefusalReason::WrongState
        }
        CommandRefusal::OtherInstrument => RefusalReason::UnknownInstrument,
    }
}

/// The engine's refusal in words, with what risk has against an order.
pub(crate) fn words(refused: Refused) -> String {
    let words = refusal_words(refused.refusal);
    refused.denied.map_or_else(
        || words.to_owned(),
        |reason| format!("{words}: {reason} ({reason:?})"),
    )
}

const fn refusal_words(refusal: CommandRefusal) -> &'static str {
    match refusal {
        CommandRefusal::UnknownTarget => "no such slot, instrument or order",
        CommandRefusal::OutOfRange => {
            "the value is out of the parameter's range, or older than all that is kept of it"
        }
        CommandRefusal::ThresholdsCross => {
            "exit_threshold is at most entry_threshold: change the other of the two first"
        }
        CommandRefusal::NotAParameter => "the strategy that runs there has no such parameter",
        CommandRefusal::NothingLatched => "no stop is latched at exactly this scope: status shows what is",
        CommandRefusal::Latched => "a stop is latched there: re-arm first, with a reason",
        CommandRefusal::Denied => "risk denied the order",
        CommandRefusal::NoProgram => "the slot runs no bundle yet",
        CommandRefusal::Full => "as many slow parameters as fit are known already",
        CommandRefusal::NotDeclared => {
            "no bundle that runs or is staged on the instrument declares a slow parameter of that name: deploy it first, \
             or correct the name (`py_rt status` lists what is declared)"
        }
        CommandRefusal::OtherInstrument => {
            "the slot trades another instrument: this one is another slot's, or only watched"
        }
    }
}
