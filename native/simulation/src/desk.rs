//! The venue's counter for our requests: what is on its way in, what is open, what is on its way back.

use std::collections::VecDeque;

use domain::{
    CancelRejectReason, CancelRequest, ClientOrderId, Fill, Instrument, Nanos, OrderReport, OrderReportKind,
    OrderRequest, OrderSnapshot, OrderStatus, Price, Quantity, RejectReason, Text, Timestamp, VenueOrderId,
};

use crate::faults::OrderFault;
use crate::fees::FeeSchedule;
use crate::latency::{LatencyModel, Leg};
use crate::matching::{ORDERS_OPEN_MAX, OrderId, OrderOutcome};

/// How many ended orders the venue remembers for queries.
pub const ORDERS_ENDED_KEPT: usize = 4_096;

/// A request on its way to the venue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Request {
    New(OrderRequest, Option<OrderFault>),
    Cancel(CancelRequest),
    Query(CancelRequest),
}

#[derive(Debug, Clone, Copy)]
struct OpenOrder {
    order: OrderId,
    request: OrderRequest,
    filled: Quantity,
}

/// An order as it was when it ended; number zero: it never got one.
#[derive(Debug, Clone, Copy)]
struct EndedOrder {
    order: OrderId,
    request: OrderRequest,
    snapshot: OrderSnapshot,
}

/// An order as the venue shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeskOrder {
    /// The venue's number of it.
    pub venue_order_id: VenueOrderId,
    /// As it was sent.
    pub request: OrderRequest,
    /// Its state.
    pub snapshot: OrderSnapshot,
}

/// Requests in, reports out, and the orders in between.
#[derive(Debug)]
pub(crate) struct OrderDesk {
    instrument: Instrument,
    fees: FeeSchedule,
    entry: Leg,
    report: Leg,
    inbound: VecDeque<(Timestamp, Request)>,
    reports: VecDeque<(Timestamp, OrderReport)>,
    faults: VecDeque<OrderFault>,
    open: Vec<OpenOrder>,
    ended: VecDeque<EndedOrder>,
}

impl OrderDesk {
    pub(crate) fn new(instrument: Instrument, fees: FeeSchedule, latency: &LatencyModel) -> Self {
        Self {
            instrument,
            fees,
            entry: Leg::new(latency.entry, latency.seed, "latency.entry"),
            report: Leg::new(latency.report, latency.seed, "latency.report"),
            inbound: VecDeque::new(),
            reports: VecDeque::new(),
            faults: VecDeque::new(),
            open: Vec::new(),
            ended: VecDeque::new(),
        }
    }

    pub(crate) fn inject(&mut self, fault: OrderFault) {
        self.faults.push_back(fault);
    }

    pub(crate) fn send_order(&mut self, request: &OrderRequest, now: Timestamp) {
        let fault = self.faults.pop_front();
        self.send(Request::New(*request, fault), now);
    }

    pub(crate) fn send(&mut self, request: Request, now: Timestamp) {
        let arrival = self.entry.arrival(now);
        self.inbound.push_back((arrival, request));
    }

    /// When the next request arrives at the venue.
    pub(crate) fn next_arrival(&self) -> Option<Timestamp> {
        self.inbound.front().map(|(ts, _)| *ts)
    }

    pub(crate) fn take_arrival(&mut self) -> Option<(Timestamp, Request)> {
        self.inbound.pop_front()
    }

    /// When the next report reaches us.
    pub(crate) fn next_report(&self) -> Option<Timestamp> {
        self.reports.front().map(|(ts, _)| *ts)
    }

    pub(crate) fn take_report(&mut self) -> Option<(Timestamp, OrderReport)> {
        self.reports.pop_front()
    }

    /// Whether a new order may go to the matching engine; if not, its report is on the way.
    pub(crate) fn admit(
        &mut self,
        request: &OrderRequest,
        fault: Option<OrderFault>,
        reference: Price,
        ts: Timestamp,
    ) -> bool {
        if let Some(OrderFault::DelayReports(delay)) = fault {
            // Moves the leg's clock: this report and all behind it wait.
            self.report.arrival_delayed(ts, delay);
        }
        let refused = match fault {
            Some(OrderFault::LoseRequest) => Some(OrderReportKind::OutcomeUnknown),
            Some(OrderFault::Reject(reason)) => Some(OrderReportKind::Rejected(reason)),
            _ => self.refusal(request, reference).map(OrderReportKind::Rejected),
        };
        match refused {
            Some(kind) => {
                self.tell(request.client_order_id, ts, kind);
                if let OrderReportKind::Rejected(_) = kind {
                    self.remember(OrderId(0), request, OrderStatus::Rejected, Quantity::ZERO);
                }
                false
            }
            None => true,
        }
    }

    fn refusal(&self, request: &OrderRequest, reference: Price) -> Option<RejectReason> {
        if self.find(request.client_order_id).is_some() {
            return Some(RejectReason::DuplicateId);
        }
        if self.open.len() >= ORDERS_OPEN_MAX {
            return Some(RejectReason::RateLimit);
        }
        match self.instrument.check(request, reference) {
            Ok(()) => None,
            Err(domain::RuleViolation::NotTrading(_)) => Some(RejectReason::NotTrading),
            Err(_) => Some(RejectReason::Filter),
        }
    }

    /// Opens an admitted order under the venue's number.
    pub(crate) fn open(&mut self, order: OrderId, request: &OrderRequest) {
        self.open.push(OpenOrder {
            order,
            request: *request,
            filled: Quantity::ZERO,
        });
    }

    /// The venue's number of an open order of ours.
    pub(crate) fn find(&self, client_order_id: ClientOrderId) -> Option<OrderId> {
        self.open
            .iter()
            .find(|open| open.request.client_order_id == client_order_id)
            .map(|open| open.order)
    }

    /// Reports an outcome; `ack_lost` hides the acknowledgement. What traded, if anything did.
    pub(crate) fn report(
        &mut self,
        order: OrderId,
        outcome: &OrderOutcome,
        ack_lost: bool,
        ts: Timestamp,
    ) -> Option<Fill> {
        let at = self.open.iter().rposition(|open| open.order == order)?;
        let request = self.open[at].request;
        let (kind, ends) = match *outcome {
            OrderOutcome::Accepted if ack_lost => (OrderReportKind::OutcomeUnknown, None),
            OrderOutcome::Accepted => (OrderReportKind::Accepted(venue_order_id(order)), None),
            OrderOutcome::Rejected(reason) => {
                (OrderReportKind::Rejected(reason), Some(OrderStatus::Rejected))
            }
            OrderOutcome::Filled {
                trade_id,
                price,
                quantity,
                liquidity,
                remaining,
            } => {
                let fee = self
                    .fees
                    .fee(&self.instrument, request.side, price, quantity, liquidity);
                let filled = &mut self.open[at].filled;
                *filled = filled.checked_add(quantity).unwrap_or(*filled);
                let fill = Fill {
                    trade_id,
                    price,
                    quantity,
                    side: request.side,
                    fee,
                    liquidity,
                };
                (
                    OrderReportKind::Filled(fill),
                    remaining.is_zero().then_some(OrderStatus::Filled),
                )
            }
            OrderOutcome::Canceled { .. } => (OrderReportKind::Canceled, Some(OrderStatus::Canceled)),
            OrderOutcome::Expired { .. } => (OrderReportKind::Expired, Some(OrderStatus::Expired)),
            OrderOutcome::CancelRejected => (
                OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder),
                None,
            ),
        };
        self.tell(request.client_order_id, ts, kind);
        if let Some(status) = ends {
            let gone = self.open.swap_remove(at);
            self.remember(gone.order, &gone.request, status, gone.filled);
        }
        match kind {
            OrderReportKind::Filled(fill) => Some(fill),
            _ => None,
        }
    }

    /// Ends an order without a word: whoever asked knows already.
    pub(crate) fn end_silently(&mut self, order: OrderId) {
        if let Some(at) = self.open.iter().position(|open| open.order == order) {
            let gone = self.open.swap_remove(at);
            self.remember(gone.order, &gone.request, OrderStatus::Canceled, gone.filled);
        }
    }

    /// The venue changed the instrument's rules.
    pub(crate) fn renew_rules(&mut self, instrument: &Instrument) {
        self.instrument = *instrument;
    }

    /// Reports that a cancel named no open order.
    pub(crate) fn refuse_cancel(&mut self, request: &CancelRequest, ts: Timestamp) {
        let kind = OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder);
        self.tell(request.client_order_id, ts, kind);
    }

    /// Answers a query.
    pub(crate) fn answer(&mut self, request: &CancelRequest, ts: Timestamp) {
        let id = request.client_order_id;
        let found = self.order(id).map(|order| order.snapshot);
        self.tell(
            id,
            ts,
            found.map_or(OrderReportKind::NotFound, OrderReportKind::Found),
        );
    }

    /// Orders that may still trade.
    pub(crate) fn open_orders(&self) -> impl Iterator<Item = DeskOrder> + '_ {
        self.open.iter().map(|open| DeskOrder {
            venue_order_id: venue_order_id(open.order),
            request: open.request,
            snapshot: OrderSnapshot {
                status: if open.filled.is_zero() {
                    OrderStatus::Accepted
                } else {
                    OrderStatus::PartiallyFilled
                },
                filled: open.filled,
            },
        })
    }

    /// One of our orders: open, or ended as far as it is remembered.
    pub(crate) fn order(&self, id: ClientOrderId) -> Option<DeskOrder> {
        let is_it = |request: &OrderRequest| request.client_order_id == id;
        let open = self.open_orders().find(|order| is_it(&order.request));
        open.or_else(|| {
            let ended = self.ended.iter().rev().find(|ended| is_it(&ended.request))?;
            Some(DeskOrder {
                venue_order_id: venue_order_id(ended.order),
                request: ended.request,
                snapshot: ended.snapshot,
            })
        })
    }

    /// Whether an order is on its way to the venue, or the first report of it on its way back.
    pub(crate) fn is_on_its_way(&self, id: ClientOrderId) -> bool {
        let mut requests = self.inbound.iter();
        let leaves =
            requests.any(|(_, request)| matches!(request, Request::New(new, _) if new.client_order_id == id));
        let first = |report: &OrderReport| {
            matches!(
                report.kind,
                OrderReportKind::Accepted(_) | OrderReportKind::Rejected(_) | OrderReportKind::OutcomeUnknown
            )
        };
        let mut reports = self.reports.iter();
        leaves || reports.any(|(_, report)| report.client_order_id == id && first(report))
    }

    fn tell(&mut self, client_order_id: ClientOrderId, ts: Timestamp, kind: OrderReportKind) {
        let arrival = self.report.arrival_delayed(ts, Nanos(0));
        let report = OrderReport {
            client_order_id,
            instrument: self.instrument.id,
            ts_event: ts,
            kind,
        };
        self.reports.push_back((arrival, report));
    }

    fn remember(&mut self, order: OrderId, request: &OrderRequest, status: OrderStatus, filled: Quantity) {
        if self.ended.len() >= ORDERS_ENDED_KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back(EndedOrder {
            order,
            request: *request,
            snapshot: OrderSnapshot { status, filled },
        });
    }
}

/// The venue's number as text, without allocating.
fn venue_order_id(order: OrderId) -> VenueOrderId {
    let mut digits = [b'0'; 20];
    let mut value = order.0;
    let mut at = digits.len();
    while at > 0 {
        at -= 1;
        // A remainder of ten always fits.
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    let text = std::str::from_utf8(&digits[at..]).unwrap_or("0");
    VenueOrderId(Text::new(text).expect("twenty digits fit in forty bytes"))
}
