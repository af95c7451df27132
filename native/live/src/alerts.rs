//! The engine's alerts for people: whom they concern, what happened, what to do.

use domain::{ClientOrderId, InstrumentId, SlotId};
use engine::Alert;
use messaging::telemetry;

use crate::dead_man::Alarm;

/// The alert as it is published.
pub(crate) fn told(alert: Alert) -> telemetry::Alert {
    telemetry::Alert {
        kind: kind(alert).to_owned(),
        slot: slot(alert),
        instrument: instrument(alert),
        client_order_id: order(alert),
        text: text(alert),
    }
}

/// The same of what the service itself has to tell.
pub(crate) fn alarm(alarm: Alarm) -> telemetry::Alert {
    telemetry::Alert {
        kind: alarm.kind().to_owned(),
        slot: None,
        instrument: None,
        client_order_id: None,
        text: alarm.text().to_owned(),
    }
}

const fn kind(alert: Alert) -> &'static str {
    match alert {
        Alert::DrawdownStop => "drawdown_stop",
        Alert::MarginCall => "margin_call",
        Alert::RepeatedExecution => "repeated_execution",
        Alert::UnknownOrder(_) => "unknown_order",
        Alert::LateFill(_) => "late_fill",
        Alert::Overfill(_) => "overfill",
        Alert::PositionMismatch { .. } => "position_mismatch",
        Alert::FeeAsset(_) => "fee_asset",
        Alert::BundleExpired(_) => "bundle_expired",
        Alert::ModelNotFinite(_) => "model_not_finite",
        Alert::CapacityReached => "capacity_reached",
        Alert::UnknownReport(_) => "unknown_report",
        Alert::IllegalTransition(_) => "illegal_transition",
        Alert::CancelFailed(_) => "cancel_failed",
        Alert::BookingFailed(_) => "booking_failed",
        Alert::FlattenIncomplete(_) => "flatten_incomplete",
        Alert::UnknownInstrument(_) => "unknown_instrument",
        Alert::OrdersDenied(_) => "orders_denied",
        Alert::OrphanAdopted(_) => "orphan_adopted",
        Alert::OrphanCanceled(_) => "orphan_canceled",
        Alert::ForeignOrder { .. } => "foreign_order",
        Alert::ManualTrade { .. } => "manual_trade",
        Alert::Deposit(_) => "deposit",
        Alert::Withdrawal(_) => "withdrawal",
        Alert::FeeUnvalued(_) => "fee_unvalued",
    }
}

/// What happened and what to do.
pub(crate) fn text(alert: Alert) -> String {
    match alert {
        Alert::PositionMismatch { difference, .. } => {
            format!(
                "the venue holds {difference} more than the slots: only reducing orders pass until it agrees"
            )
        }
        Alert::FeeAsset(asset) => format!("a fee was taken in {asset}"),
        Alert::UnknownInstrument(instrument) => format!("an event named instrument {}", instrument.0),
        Alert::DrawdownStop => "the drawdown stop was reached: look, then re-arm with a reason".to_owned(),
        Alert::MarginCall => "free margin is below its threshold: only reducing orders pass".to_owned(),
        Alert::RepeatedExecution => "too many executions: look, then re-arm with a reason".to_owned(),
        Alert::UnknownOrder(_) => "the order's outcome is unknown: the venue is being asked".to_owned(),
        Alert::LateFill(_) => "a fill came for an order that had ended".to_owned(),
        Alert::Overfill(_) => "a fill exceeds its order's quantity".to_owned(),
        Alert::BundleExpired(_) => "the approval has ended: the slot only reduces; deploy another".to_owned(),
        Alert::ModelNotFinite(_) => "the model's output was not finite: nothing was decided".to_owned(),
        Alert::CapacityReached => "a bounded table was full, and what did not fit was refused".to_owned(),
        Alert::UnknownReport(_) => "a report names an order that is not in the table".to_owned(),
        Alert::IllegalTransition(_) => "a report contradicts the order's state, which was kept".to_owned(),
        Alert::CancelFailed(_) => "the venue refused the cancel as often as it was asked".to_owned(),
        Alert::BookingFailed(_) => "a fill could not be booked: look at the venue".to_owned(),
        Alert::OrdersDenied(_) => {
            "risk denies one order of the strategy after the other: look at py_rt orders".to_owned()
        }
        Alert::OrphanAdopted(_) => "an order that no record knew is now its slot's".to_owned(),
        Alert::OrphanCanceled(_) => {
            "an order that no record knew, or knew as ended, is being canceled".to_owned()
        }
        Alert::ForeignOrder { venue_order_id, .. } => format!(
            "order {} on our account is somebody else's: it is left alone",
            venue_order_id.0
        ),
        Alert::ManualTrade { trade_id, .. } => format!(
            "somebody traded on our account (execution {}): it belongs to no slot",
            trade_id.0
        ),
        Alert::Deposit(amount) => format!("{amount} came onto the account: no profit, and no slot's"),
        Alert::Withdrawal(amount) => format!("{amount} went from the account: no loss, and no slot's"),
        Alert::FeeUnvalued(asset) => {
            format!("a fee was taken in {asset}, of which no price is known: it is in no equity")
        }
        Alert::FlattenIncomplete(_) => "a flatten used its attempts up and a position is left".to_owned(),
    }
}

const fn slot(alert: Alert) -> Option<SlotId> {
    match alert {
        Alert::BundleExpired(slot)
        | Alert::ModelNotFinite(slot)
        | Alert::FlattenIncomplete(slot)
        | Alert::OrdersDenied(slot) => Some(slot),
        _ => match order(alert) {
            Some(order) => Some(order.slot),
            None => None,
        },
    }
}

const fn instrument(alert: Alert) -> Option<InstrumentId> {
    match alert {
        Alert::PositionMismatch { instrument, .. }
        | Alert::ForeignOrder { instrument, .. }
        | Alert::ManualTrade { instrument, .. } => Some(instrument),
        _ => None,
    }
}

const fn order(alert: Alert) -> Option<ClientOrderId> {
    match alert {
        Alert::UnknownOrder(order)
        | Alert::LateFill(order)
        | Alert::Overfill(order)
        | Alert::UnknownReport(order)
        | Alert::IllegalTransition(order)
        | Alert::CancelFailed(order)
        | Alert::BookingFailed(order)
        | Alert::OrphanAdopted(order)
        | Alert::OrphanCanceled(order) => Some(order),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use domain::Epoch;

    use super::*;

    #[test]
    fn an_alert_about_an_order_names_its_slot() {
        let id = ClientOrderId {
            epoch: Epoch(1),
            slot: SlotId(3),
            counter: 9,
        };
        let told = told(Alert::LateFill(id));
        assert_eq!((told.kind.as_str(), told.slot), ("late_fill", Some(SlotId(3))));
        assert_eq!(told.client_order_id, Some(id));
    }
}
