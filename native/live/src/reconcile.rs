//! What the venue says of our account, against what we believe.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{
    Balance, CancelRequest, ClientOrderId, Currency, Instrument, OrderReport, Quantity, Timestamp,
    VenueOrderId,
};
use engine::FillKey;
use futures_util::{StreamExt, stream};
use venues::{AccountTrade, Gateway, Instruments, OrderView, Pending, UnknownOrder, VenueError};

/// Most waits for budget in one question.
const WAITS_MAX: usize = 8;

/// Longest of them, wall time.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Most orders whose end is asked for at once.
const RESOLVES_AT_ONCE: usize = 32;

/// Most orders that are looked up because they traded and the list of trades does not say whose they are.
const LOOKUPS_MAX: usize = 1_000;

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
    /// When it was asked, engine time.
    pub(crate) asked: Timestamp,
    /// Trades from this venue time on.
    pub(crate) since: Timestamp,
    /// Fills that are booked: of them nothing need be told.
    pub(crate) booked: BTreeSet<FillKey>,
    /// A balance is to be learned: only one that did not move meanwhile counts.
    pub(crate) learns: bool,
    /// Orders and cancels may leave meanwhile: what they may need of the budget of requests is left to them.
    pub(crate) yields: bool,
}

impl Question {
    /// Asks one thing, patiently. A question that yields waits for the share of the budget that is left to questions.
    async fn put<'g, T: Send + 'g>(
        &self,
        gateway: &'g dyn Gateway,
        ask: impl Fn() -> Pending<'g, Result<T, VenueError>>,
    ) -> Result<T, VenueError> {
        patiently(|| match gateway.spare_room() {
            Err(wait) if self.yields => Box::pin(std::future::ready(Err(wait))),
            _ => ask(),
        })
        .await
    }
}

/// What the venue said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    /// Of the question.
    pub(crate) generation: u64,
    /// Of the question.
    pub(crate) asked: Timestamp,
    /// What became of orders that the venue shows otherwise than believed; fills before states.
    pub(crate) reports: Vec<OrderReport>,
    /// Every open order, also those that are not ours.
    pub(crate) open: Vec<OrderView>,
    /// Executions that are not booked. Here no id of ours means that the order is somebody else's.
    pub(crate) trades: Vec<AccountTrade>,
    /// Balances that are not zero; asked last, so that they hold what the reports and trades tell.
    pub(crate) balances: Vec<Balance>,
    /// No balance moved while the rest was asked; known only where a balance is to be learned.
    pub(crate) is_still: bool,
}

/// Asks for open orders, for what became of orders that are not among them or have traded, for executions, then for
/// balances.
///
/// # Errors
/// [`VenueError`]: nothing is known then.
pub(crate) async fn ask(
    gateway: &dyn Gateway,
    instruments: &Instruments,
    question: &Question,
) -> Result<Truth, VenueError> {
    let before = if question.learns {
        Some(question.put(gateway, || gateway.balances()).await?)
    } else {
        None
    };
    let mut open = Vec::new();
    for Instrument { id, .. } in instruments {
        open.extend(question.put(gateway, || gateway.open_orders(*id)).await?);
    }
    let asked: Vec<_> = disputed(&question.believed, &open)
        .map(|believed| {
            gateway.resolve(UnknownOrder {
                client_order_id: believed.order.client_order_id,
                instrument: believed.order.instrument,
                sent: believed.sent,
            })
        })
        .collect();
    let reports = resolved(asked).await;
    let trades = new_trades(gateway, instruments, question, &open).await?;
    let balances = question.put(gateway, || gateway.balances()).await?;
    Ok(Truth {
        generation: question.generation,
        asked: question.asked,
        reports,
        open,
        trades,
        is_still: before.is_none_or(|before| totals(&before) == totals(&balances)),
        balances,
    })
}

/// What became of orders, in their order. Each may wait for the venue's lists to settle, so they are asked for together: one
/// after the other, a dozen that ended while nobody listened would take longer than the answer is waited for.
async fn resolved(asked: Vec<Pending<'_, Vec<OrderReport>>>) -> Vec<OrderReport> {
    let reports: Vec<_> = stream::iter(asked).buffered(RESOLVES_AT_ONCE).collect().await;
    reports.concat()
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

/// Executions that are not booked, each with its owner.
async fn new_trades(
    gateway: &dyn Gateway,
    instruments: &Instruments,
    question: &Question,
    open: &[OrderView],
) -> Result<Vec<AccountTrade>, VenueError> {
    let mut owners: BTreeMap<VenueOrderId, Option<ClientOrderId>> = open
        .iter()
        .map(|view| (view.venue_order_id, view.client_order_id))
        .collect();
    let mut lookups = 0;
    let mut new = Vec::new();
    for Instrument { id, .. } in instruments {
        for mut trade in question
            .put(gateway, || gateway.trades(*id, question.since))
            .await?
        {
            if question.booked.contains(&key_of(&trade)) {
                continue;
            }
            let order = trade.venue_order_id;
            if trade.client_order_id.is_none() && !owners.contains_key(&order) {
                if lookups == LOOKUPS_MAX {
                    let request = "orders behind trades";
                    let max = LOOKUPS_MAX;
                    return Err(VenueError::TooLarge { request, max });
                }
                lookups += 1;
                let view = question
                    .put(gateway, || gateway.query_by_venue_id(*id, order))
                    .await?;
                // An order that traded exists: a venue that does not know it cannot be relied on yet.
                let view = view.ok_or_else(|| VenueError::NoAnswer {
                    request: "order behind a trade",
                    detail: "an order that traded is not known".to_owned(),
                })?;
                owners.insert(order, view.client_order_id);
            }
            let owner = owners.get(&order).copied().flatten();
            trade.client_order_id = trade.client_order_id.or(owner);
            new.push(trade);
        }
    }
    Ok(new)
}

/// What makes an execution unique.
pub(crate) const fn key_of(trade: &AccountTrade) -> FillKey {
    FillKey {
        instrument: trade.instrument,
        trade_id: trade.fill.trade_id,
        side: trade.fill.side,
    }
}

/// Free and locked together, by asset.
fn totals(balances: &[Balance]) -> BTreeMap<Currency, Option<Quantity>> {
    let total = |one: &Balance| (one.currency, one.free.checked_add(one.locked));
    balances.iter().map(total).collect()
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
    use domain::{Epoch, InstrumentId, OrderReportKind, OrderStatus, Side, SlotId, Text};

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
            price: None,
            quantity: Quantity::from_units(10),
            filled: Quantity::from_units(filled),
            ts_event: Timestamp::EPOCH,
        }
    }

    #[tokio::test]
    async fn orders_that_ended_meanwhile_are_asked_for_together() {
        // Nobody is answered before all have asked.
        let all = tokio::sync::Barrier::new(RESOLVES_AT_ONCE);
        let answer = |counter| -> Pending<'_, Vec<OrderReport>> {
            let all = &all;
            Box::pin(async move {
                all.wait().await;
                vec![OrderReport {
                    client_order_id: id(counter),
                    instrument: InstrumentId(0),
                    ts_event: Timestamp::EPOCH,
                    kind: OrderReportKind::Canceled,
                }]
            })
        };
        let answers = resolved((1..).take(RESOLVES_AT_ONCE).map(answer).collect());
        let reports = tokio::time::timeout(Duration::from_secs(30), answers)
            .await
            .unwrap();
        let counters: Vec<_> = reports
            .iter()
            .map(|report| report.client_order_id.counter)
            .collect();
        assert_eq!(counters, (1..).take(RESOLVES_AT_ONCE).collect::<Vec<u32>>());
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
