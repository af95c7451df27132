//! A record in words, complete: two records that differ read differently.

use std::fmt::Write;

use domain::{AmendRequest, CancelRequest, Fill, MarketEvent, OrderReportKind, OrderRequest};
use engine::{
    Action, BookedFill, CommandRefusal, EventBody, FeatureRow, OrderUpdate, PositionUpdate, Scope, Signal,
};

use super::{Format, LevelScratch, RecordedAction, decode_action, decode_event, decode_header};
use crate::frame::Kind;

/// One line for people: what a payload of [`Format::CURRENT`] says.
///
/// A payload that cannot be read is described by why not and by its bytes.
///
/// ```
/// use journal::codec::describe;
/// use journal::frame::Kind;
/// let cancel = [2, 3, 0, 0, 0, 1, 0, 42, 0, 0, 0, 0, 0];
/// assert_eq!(describe(Kind::Action, &cancel), "cancel e3-s1-42 of instrument 0");
/// assert_eq!(
///     describe(Kind::Action, &[99]),
///     "unreadable action (tag 99 is no action that this build knows): 63",
/// );
/// ```
#[must_use]
pub fn describe(kind: Kind, payload: &[u8]) -> String {
    let (what, said) = match kind {
        Kind::Header => ("header", decode_header(payload).map(|header| say_header(&header))),
        Kind::Event => {
            let mut scratch = LevelScratch::default();
            let body = decode_event(Format::CURRENT, payload, &mut scratch);
            ("event", body.map(|body| say_event(&body)))
        }
        Kind::Action => {
            let action = decode_action(Format::CURRENT, payload);
            ("action", action.map(|action| say_recorded(&action)))
        }
    };
    said.unwrap_or_else(|error| {
        let mut text = format!("unreadable {what} ({error}): ");
        for byte in payload {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    })
}

fn say_header(header: &super::RunHeader) -> String {
    let mut text = format!(
        "life {} of run {} by {}: {} instruments, {} slots, {} configuration files",
        header.epoch().0,
        header.run_id,
        header.binary_version,
        header.config.instruments.len(),
        header.config.slots.len(),
        header.texts.len(),
    );
    for moved in &header.config.carried.account.moved {
        let _ = write!(
            text,
            ", {} at {} that belong to no slot",
            moved.amount, moved.venue
        );
    }
    let movements = header.config.carried.movements.len();
    if movements > 0 {
        let _ = write!(text, ", {movements} movements remembered");
    }
    text
}

fn say_event(body: &EventBody<'_>) -> String {
    match body {
        EventBody::Market(MarketEvent::Book(book)) => {
            let mut text = format!(
                "book {:?} {} of instrument {} at {}:",
                book.kind, book.update_id, book.instrument.0, book.ts_event
            );
            for (side, levels) in [("bids", book.bids), ("asks", book.asks)] {
                let _ = write!(text, " {side}");
                for level in levels {
                    let _ = write!(text, " {} @ {}", level.quantity, level.price);
                }
            }
            text
        }
        EventBody::Market(market) => format!("market {market:?}"),
        EventBody::OrderReport(report) => format!(
            "report on {} of instrument {} at {}: {}",
            report.client_order_id,
            report.instrument.0,
            report.ts_event,
            say_report(&report.kind)
        ),
        EventBody::Command(command) => format!("command {}: {:?}", command.id.0, command.kind),
        other => format!("{other:?}"),
    }
}

fn say_report(kind: &OrderReportKind) -> String {
    match kind {
        OrderReportKind::Accepted(venue_order) => format!("accepted by the venue as {}", venue_order.0),
        OrderReportKind::Rejected(reason) => format!("rejected by the venue, {reason:?}"),
        OrderReportKind::NotSent => "not sent".to_owned(),
        OrderReportKind::OutcomeUnknown => "its outcome is unknown".to_owned(),
        OrderReportKind::Filled(fill) => format!("fill {}", say_execution(fill)),
        OrderReportKind::Canceled => "canceled".to_owned(),
        OrderReportKind::CancelRejected(reason) => format!("the cancel had no effect, {reason:?}"),
        OrderReportKind::Expired => "expired".to_owned(),
        OrderReportKind::Found(order) => format!("found, {:?}, {} filled", order.status, order.filled),
        OrderReportKind::NotFound => "not found: it was not placed".to_owned(),
        OrderReportKind::Amended(terms) => format!("changed: {} at {}", terms.quantity, terms.price),
        OrderReportKind::AmendRejected(reason) => format!("not changed, {reason:?}"),
    }
}

fn say_execution(fill: &Fill) -> String {
    format!(
        "{}: {} {} at {} as {:?}, fee {}",
        fill.trade_id.0, fill.side, fill.quantity, fill.price, fill.liquidity, fill.fee
    )
}

fn say_recorded(action: &RecordedAction) -> String {
    match action {
        RecordedAction::Submitted(request) => format!("submit {}", say_order(request)),
        RecordedAction::Amended(request) => say_amend(request),
        RecordedAction::Other(action) => say_action(action),
    }
}

fn say_action(action: &Action) -> String {
    match action {
        Action::Submit(approved) => format!("submit {}", say_order(approved.get())),
        Action::Amend(approved) => say_amend(approved.get()),
        Action::Cancel(cancel) => format!("cancel {}", say_name(cancel)),
        Action::QueryOrder(query) => format!("query {}", say_name(query)),
        Action::SetTimer { timer, at } => format!("set timer {} to {at}", timer.0),
        Action::RequestHistory { instrument, from, to } => {
            format!(
                "request history of instrument {} from {from} to {to}",
                instrument.0
            )
        }
        Action::BarClosed(bar) => format!(
            "bar of instrument {} at {} over {} ns: open {} high {} low {} close {} volume {}",
            bar.instrument.0, bar.ts_open, bar.span.0, bar.open, bar.high, bar.low, bar.close, bar.volume
        ),
        Action::Signal(signal) => say_signal(signal),
        Action::Denied { request, reason } => format!("deny {}: {reason:?}", say_order(request)),
        Action::OrderUpdate(update) => say_update(update),
        Action::Fill(fill) => say_fill(fill),
        Action::Position(position) => say_position(position),
        Action::Control { scope, level } => format!("control {}: {level:?}", say_scope(*scope)),
        Action::CommandResult { id, result } => say_result(id.0, *result),
        Action::BundleActivated {
            slot,
            digest,
            previous,
        } => match previous {
            Some(previous) => format!("slot {} runs bundle {digest} after {previous}", slot.0),
            None => format!("slot {} runs bundle {digest}, its first", slot.0),
        },
        Action::BundleRefused { slot, digest, reason } => {
            format!("slot {} refuses bundle {digest}: {reason:?}", slot.0)
        }
        Action::Alert(alert) => format!("alert {alert:?}"),
    }
}

fn say_amend(amend: &AmendRequest) -> String {
    format!(
        "change {} of instrument {} to {} at {}",
        amend.client_order_id, amend.instrument.0, amend.terms.quantity, amend.terms.price
    )
}

fn say_order(order: &OrderRequest) -> String {
    let mut text = format!(
        "{} {} {} of instrument {} {:?}",
        order.client_order_id, order.side, order.quantity, order.instrument.0, order.order_type
    );
    if let Some(price) = order.price {
        let _ = write!(text, " at {price}");
    }
    let _ = write!(text, " {:?}", order.time_in_force);
    if order.post_only {
        text.push_str(" post-only");
    }
    if order.reduce_only {
        text.push_str(" reduce-only");
    }
    text
}

fn say_name(order: &CancelRequest) -> String {
    format!("{} of instrument {}", order.client_order_id, order.instrument.0)
}

/// The bits of scores and features stand beside their decimals: two NaNs may differ.
fn say_signal(signal: &Signal) -> String {
    let mut text = format!(
        "signal of slot {} on instrument {} at {}: {:?}, score {}, probability {}, features",
        signal.slot.0,
        signal.instrument.0,
        signal.ts_close,
        signal.decision,
        say_float(signal.raw_score),
        say_float(signal.probability),
    );
    for value in FeatureRow::as_slice(&signal.features) {
        let _ = write!(text, " {}", say_float(*value));
    }
    text
}

fn say_float(value: f32) -> String {
    format!("{value} [{:08x}]", value.to_bits())
}

fn say_update(update: &OrderUpdate) -> String {
    format!(
        "order {} of instrument {} is {:?}: {} of {} filled",
        update.client_order_id, update.instrument.0, update.status, update.filled, update.quantity
    )
}

fn say_fill(booked: &BookedFill) -> String {
    let fill = &booked.fill;
    let order = booked
        .client_order_id
        .map_or_else(|| "no order".to_owned(), |id| id.to_string());
    format!(
        "fill {} of {order}, slot {}, instrument {} at {}: {} {} at {} as {:?}, fee {}, realized {}",
        fill.trade_id.0,
        booked.slot.0,
        booked.instrument.0,
        booked.ts_event,
        fill.side,
        fill.quantity,
        fill.price,
        fill.liquidity,
        fill.fee,
        booked.realized,
    )
}

fn say_position(position: &PositionUpdate) -> String {
    format!(
        "position of slot {} in instrument {}: {} at cost {}, mark {}, realized {}, unrealized {}, fees {}",
        position.slot.0,
        position.instrument.0,
        position.quantity,
        position.cost,
        position.mark,
        position.realized,
        position.unrealized,
        position.fees,
    )
}

fn say_scope(scope: Scope) -> String {
    match scope {
        Scope::All => "of all".to_owned(),
        Scope::Venue(venue) => format!("of venue {venue}"),
        Scope::Instrument(instrument) => format!("of instrument {}", instrument.0),
        Scope::Slot(slot) => format!("of slot {}", slot.0),
        Scope::Order(order) => format!("of order {order}"),
    }
}

fn say_result(id: u64, result: Result<(), CommandRefusal>) -> String {
    match result {
        Ok(()) => format!("command {id} obeyed"),
        Err(refusal) => format!("command {id} refused: {refusal:?}"),
    }
}
