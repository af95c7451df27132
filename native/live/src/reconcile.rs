//! What the venue says of our account, against what we believe.

use std::time::Duration;

use domain::{Balance, CancelRequest, Instrument, OrderReport, Quantity, Timestamp};
use venues::{Gateway, Instruments, OrderView, Pending, UnknownOrder, VenueError};

/// Most waits for budget in one question.
const WAITS_MAX: usize = 8;

/// Longest of them, wall time.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// An order that the engine believes the venue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Believed {
    pub(crate) order: CancelRequest,
    /// When it was sent.
    pub(crate) sent: Timestamp,
    /// What of it is booked as filled.
    pub(crate) filled: Quantity,
}

/// One question to the venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Which connection and attempt it belongs to: an answer to an older one is worth nothing.
    pub(crate) generation: u64,
    /// Orders to compare.
    pub(crate) believed: Vec<Believed>,
}

/// What the venue said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    /// Of the question.
    pub(crate) generation: u64,
    /// What became of orders that the venue shows otherwise than believed; fills before states.
    pub(crate) reports: Vec<OrderReport>,
    /// Every open order, also those that are not ours.
    pub(crate) open: Vec<OrderView>,
    /// Balances that are not zero; asked last, so that they hold what the reports tell.
    pub(crate) balances: Vec<Balance>,
}

/// Asks for open orders, for what became of orders that are not among them or have traded, then for balances.
///
/// # Errors
/// [`VenueError`]: nothing is known then.
pub(crate) async fn ask(
    gateway: &dyn Gateway,
    instruments: &Instruments,
    question: &Question,
) -> Result<Truth, VenueError> {
    let mut open = Vec::new();
    for Instrument { id, .. } in instruments {
        open.extend(patiently(|| gateway.open_orders(*id)).await?);
    }
    let mut reports = Vec::new();
    for believed in disputed(&question.believed, &open) {
        let CancelRequest {
            client_order_id,
            instrument,
        } = believed.order;
        let unknown = UnknownOrder {
            client_order_id,
            instrument,
            sent: believed.sent,
        };
        reports.extend(gateway.resolve(unknown).await);
    }
    Ok(Truth {
        generation: question.generation,
        reports,
        open,
        balances: patiently(|| gateway.balances()).await?,
    })
}

/// Waits for our own budget of requests where it is used up: a comparison that began anew would use up again what has
/// come back meanwhile, and never end.
pub(crate) async fn patiently<'g, T>(
    ask: impl Fn() -> Pending<'g, Result<T, VenueError>>,
) -> Result<T, VenueError> {
    for _ in 0..WAITS_MAX {
        match ask().await {
            Err(VenueError::RateLimited { retry_after, .. }) => {
                let wait = Duration::from_nanos(retry_after.0.unsigned_abs());
                tokio::time::sleep(wait.min(WAIT_MAX)).await;
            }
            answered => return answered,
        }
    }
    ask().await
}

/// Orders that the venue does not show open, or shows with other fills.
fn disputed<'a>(believed: &'a [Believed], open: &'a [OrderView]) -> impl Iterator<Item = &'a Believed> {
    believed.iter().filter(|one| {
        let view = open
            .iter()
            .find(|view| view.client_order_id == Some(one.order.client_order_id));
        view.is_none_or(|view| view.filled != one.filled)
    })
}

#[cfg(test)]
mod tests {
    use domain::{ClientOrderId, Epoch, InstrumentId, OrderStatus, Side, SlotId, Text, VenueOrderId};

    use super::*;

    fn id(counter: u32) -> ClientOrderId {
        ClientOrderId {
            epoch: Epoch(1),
            slot: SlotId(1),
            counter,
        }
    }

    fn believed(counter: u32, filled: i64) -> Believed {
        Believed {
            order: CancelRequest {
                client_order_id: id(counter),
                instrument: InstrumentId(0),
            },
            sent: Timestamp::EPOCH,
            filled: Quantity::from_units(filled),
        }
    }

    fn view(counter: u32, filled: i64) -> OrderView {
        OrderView {
            client_order_id: Some(id(counter)),
            venue_order_id: VenueOrderId(Text::new("1").unwrap()),
            instrument: InstrumentId(0),
            side: Side::Buy,
            status: OrderStatus::Accepted,
            quantity: Quantity::from_units(10),
            filled: Quantity::from_units(filled),
            ts_event: Timestamp::EPOCH,
        }
    }

    #[test]
    fn only_what_differs_is_asked_about() {
        let ours = [believed(1, 0), believed(2, 3), believed(3, 0)];
        let open = [view(1, 0), view(2, 4)];
        let asked: Vec<_> = disputed(&ours, &open)
            .map(|one| one.order.client_order_id.counter)
            .collect();
        assert_eq!(asked, [2, 3]);
    }
}
