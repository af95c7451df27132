//! Orders and queries of the account in this process.

use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use domain::{
    Balance, CancelRejectReason, CancelRequest, ClientOrderId, Instrument, InstrumentId, OrderReport,
    OrderReportKind, OrderRequest, Timestamp, VenueOrderId,
};
use simulation::{DeskOrder, PaperFill};
use venues::clock::Clock;
use venues::{
    AccountTrade, Departure, EncodeError, EncodeOrders, Gateway, KeyRights, LastLook, OrderView, Pending,
    UnknownOrder, VenueError,
};

use super::SimulatedAccount;

/// An order has left when egress hands it over, so what comes to the gateway has left already: the account's stream tells
/// what becomes of it.
#[derive(Debug)]
pub(crate) struct SimulatedGateway {
    pub(crate) account: SimulatedAccount,
    pub(crate) clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct SimulatedEncoder(SimulatedAccount);

impl EncodeOrders for SimulatedEncoder {
    fn encode_new_order(
        &mut self,
        _: &OrderRequest,
        _: &Instrument,
        _: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        // The request itself goes along.
        out.clear();
        Ok(())
    }

    fn handed_over(&self, departure: Departure<'_>, ts: Timestamp) {
        self.0.left(departure, ts);
    }
}

impl SimulatedGateway {
    fn report(&self, order: &CancelRequest, kind: OrderReportKind) -> OrderReport {
        OrderReport {
            client_order_id: order.client_order_id,
            instrument: order.instrument,
            ts_event: self.clock.now(),
            kind,
        }
    }

    /// Cancels at once: nobody decides any more, or somebody else than the engine asked.
    fn cancel_at_once(&self, cancel: &CancelRequest) -> OrderReport {
        let is_canceled = self.account.core().venue.cancel_at_once(cancel);
        let kind = if is_canceled {
            OrderReportKind::Canceled
        } else {
            OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder)
        };
        self.report(cancel, kind)
    }

    fn view(&self, order: &DeskOrder) -> OrderView {
        OrderView {
            client_order_id: Some(order.request.client_order_id),
            venue_order_id: order.venue_order_id,
            instrument: order.request.instrument,
            side: order.request.side,
            status: order.snapshot.status,
            price: order.request.price,
            quantity: order.request.quantity,
            filled: order.snapshot.filled,
            ts_event: self.clock.now(),
        }
    }

    fn find(&self, instrument: InstrumentId, is_it: impl Fn(&DeskOrder) -> bool) -> Option<OrderView> {
        let core = self.account.core();
        let mut orders = core.venue.orders();
        let found = orders.find(|order| order.request.instrument == instrument && is_it(order));
        found.map(|order| self.view(order))
    }

    /// What is known of an order: its fills, then its state. Nothing while it is on its way.
    fn known(&self, unknown: &UnknownOrder) -> Vec<OrderReport> {
        let named = unknown.named();
        let core = self.account.core();
        if core.venue.is_on_its_way(&named) {
            return Vec::new();
        }
        let is_its = |id: &ClientOrderId| *id == unknown.client_order_id;
        let fills = core.venue.fills().filter(|fill| is_its(&fill.client_order_id));
        let mut reports: Vec<OrderReport> = fills
            .map(|fill| OrderReport {
                ts_event: fill.ts_event,
                ..self.report(&named, OrderReportKind::Filled(fill.fill))
            })
            .collect();
        let order = core
            .venue
            .orders()
            .find(|order| is_its(&order.request.client_order_id));
        let state = order.map_or(OrderReportKind::NotFound, |order| {
            OrderReportKind::Found(order.snapshot)
        });
        reports.push(self.report(&named, state));
        reports
    }
}

fn at_once<'a, T: Send + 'a>(answer: T) -> Pending<'a, T> {
    Box::pin(ready(answer))
}

impl Gateway for SimulatedGateway {
    fn encoder(&self) -> Box<dyn EncodeOrders> {
        Box::new(SimulatedEncoder(self.account.clone()))
    }

    fn submit_encoded<'a>(
        &'a self,
        _: &'a OrderRequest,
        _: Bytes,
        _: LastLook,
    ) -> Pending<'a, Vec<OrderReport>> {
        at_once(Vec::new())
    }

    /// There is no key, and nothing to withdraw.
    fn key_rights(&self) -> Pending<'_, Result<Option<KeyRights>, VenueError>> {
        at_once(Ok(Some(KeyRights { may_withdraw: false })))
    }

    fn cancel<'a>(&'a self, cancel: &'a CancelRequest) -> Pending<'a, Vec<OrderReport>> {
        let was_handed_over = self.account.core().was_handed_over(cancel);
        let told = (!was_handed_over).then(|| self.cancel_at_once(cancel));
        at_once(told.into_iter().collect())
    }

    fn cancel_all(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderReport>, VenueError>> {
        let open = self.account.core().open(instrument);
        let canceled = open.into_iter().map(|client_order_id| {
            self.cancel_at_once(&CancelRequest {
                client_order_id,
                instrument,
            })
        });
        at_once(Ok(canceled.collect()))
    }

    fn query_order<'a>(
        &'a self,
        order: &'a CancelRequest,
    ) -> Pending<'a, Result<Option<OrderView>, VenueError>> {
        let id = order.client_order_id;
        let found = self.find(order.instrument, |known| known.request.client_order_id == id);
        at_once(Ok(found))
    }

    fn query_by_venue_id(
        &self,
        instrument: InstrumentId,
        venue_order_id: VenueOrderId,
    ) -> Pending<'_, Result<Option<OrderView>, VenueError>> {
        let found = self.find(instrument, |known| known.venue_order_id == venue_order_id);
        at_once(Ok(found))
    }

    fn open_orders(&self, instrument: InstrumentId) -> Pending<'_, Result<Vec<OrderView>, VenueError>> {
        let core = self.account.core();
        let open = core.venue.open_orders(instrument).map(|order| self.view(order));
        at_once(Ok(open.collect()))
    }

    fn trades(
        &self,
        instrument: InstrumentId,
        since: Timestamp,
    ) -> Pending<'_, Result<Vec<AccountTrade>, VenueError>> {
        let core = self.account.core();
        let is_wanted = |fill: &&PaperFill| fill.instrument == instrument && fill.ts_event >= since;
        let trades = core.venue.fills().filter(is_wanted).map(|fill| AccountTrade {
            client_order_id: Some(fill.client_order_id),
            venue_order_id: fill.venue_order_id,
            instrument,
            ts_event: fill.ts_event,
            fill: fill.fill,
        });
        at_once(Ok(trades.collect()))
    }

    fn balances(&self) -> Pending<'_, Result<Vec<Balance>, VenueError>> {
        at_once(Ok(self.account.core().venue.balances()))
    }

    fn resolve(&self, unknown: UnknownOrder) -> Pending<'_, Vec<OrderReport>> {
        at_once(self.known(&unknown))
    }
}
