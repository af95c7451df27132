//! What the account has been told: what it is answered when it asks. No answer overtakes a report on its way.

use std::collections::VecDeque;

use domain::{
    Balance, ClientOrderId, Currency, Fill, Instrument, InstrumentId, OrderReportKind, OrderStatus,
    Timestamp, VenueOrderId,
};

use super::account::{Account, Reserved};
use crate::desk::{DeskOrder, ORDERS_ENDED_KEPT};

/// Executions that are remembered for queries.
pub const PAPER_FILLS_KEPT: usize = 65_536;

/// An execution of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaperFill {
    /// Of which order.
    pub client_order_id: ClientOrderId,
    /// The venue's number of that order.
    pub venue_order_id: VenueOrderId,
    /// What traded.
    pub instrument: InstrumentId,
    /// When.
    pub ts_event: Timestamp,
    /// The execution.
    pub fill: Fill,
}

#[derive(Debug)]
pub(super) struct Told {
    open: Vec<DeskOrder>,
    ended: VecDeque<DeskOrder>,
    fills: VecDeque<PaperFill>,
    account: Account,
}

impl Told {
    pub(super) const fn new(account: Account) -> Self {
        Self {
            open: Vec::new(),
            ended: VecDeque::new(),
            fills: VecDeque::new(),
            account,
        }
    }

    pub(super) const fn account_mut(&mut self) -> &mut Account {
        &mut self.account
    }

    /// A report was told; `order`: as the venue has it, where it does.
    pub(super) fn take(
        &mut self,
        instrument: &Instrument,
        ts_event: Timestamp,
        kind: &OrderReportKind,
        order: Option<&DeskOrder>,
    ) {
        let Some(order) = order else { return };
        let id = order.request.client_order_id;
        let end = match kind {
            OrderReportKind::Accepted(_) | OrderReportKind::OutcomeUnknown => {
                self.begin(order);
                None
            }
            OrderReportKind::Filled(fill) => {
                self.fill(instrument, ts_event, order, fill);
                None
            }
            OrderReportKind::Canceled => Some(OrderStatus::Canceled),
            OrderReportKind::Expired => Some(OrderStatus::Expired),
            OrderReportKind::Rejected(_) => {
                self.remember(*order);
                None
            }
            _ => None,
        };
        if let Some(status) = end {
            self.end(id, status);
        }
    }

    fn begin(&mut self, order: &DeskOrder) {
        let mut begun = *order;
        begun.snapshot.status = OrderStatus::Accepted;
        begun.snapshot.filled = domain::Quantity::ZERO;
        self.open.push(begun);
    }

    fn fill(&mut self, instrument: &Instrument, ts_event: Timestamp, order: &DeskOrder, fill: &Fill) {
        let id = order.request.client_order_id;
        self.account.book(instrument, fill);
        if self.fills.len() == PAPER_FILLS_KEPT {
            self.fills.pop_front();
        }
        self.fills.push_back(PaperFill {
            client_order_id: id,
            venue_order_id: order.venue_order_id,
            instrument: instrument.id,
            ts_event,
            fill: *fill,
        });
        let open = self.open.iter_mut();
        let Some(known) = open.into_iter().find(|known| known.request.client_order_id == id) else {
            return;
        };
        let filled = &mut known.snapshot.filled;
        *filled = filled.checked_add(fill.quantity).unwrap_or(*filled);
        known.snapshot.status = OrderStatus::PartiallyFilled;
        if *filled >= known.request.quantity {
            self.end(id, OrderStatus::Filled);
        }
    }

    /// An order has ended.
    pub(super) fn end(&mut self, id: ClientOrderId, status: OrderStatus) {
        let at = self
            .open
            .iter()
            .position(|known| known.request.client_order_id == id);
        if let Some(at) = at {
            let mut gone = self.open.remove(at);
            gone.snapshot.status = status;
            self.remember(gone);
        }
    }

    /// An order that has ended.
    pub(super) fn remember(&mut self, order: DeskOrder) {
        if self.ended.len() == ORDERS_ENDED_KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back(order);
    }

    pub(super) fn open(&self) -> &[DeskOrder] {
        &self.open
    }

    /// Open orders, then ended ones, the last first.
    pub(super) fn orders(&self) -> impl Iterator<Item = &DeskOrder> {
        self.open.iter().chain(self.ended.iter().rev())
    }

    pub(super) const fn fills(&self) -> &VecDeque<PaperFill> {
        &self.fills
    }

    pub(super) fn balances(&self, instruments: &[Instrument]) -> Vec<Balance> {
        self.account.balances(&self.reserved(instruments))
    }

    pub(super) fn balance(&self, currency: Currency, instruments: &[Instrument]) -> Balance {
        self.account.balance(currency, &self.reserved(instruments))
    }

    fn reserved(&self, instruments: &[Instrument]) -> Reserved {
        Reserved::of_orders(instruments, self.open.iter())
    }
}
