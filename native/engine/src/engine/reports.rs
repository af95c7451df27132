//! What the venue says about our orders and our account.

use domain::{
    CancelRejectReason, ClientOrderId, Fill, InstrumentId, Money, OrderReport, OrderReportKind,
    OrderSnapshot, OrderStatus, RejectReason, SCALE, SlotId,
};

use super::Engine;
use super::config::FillKey;
use super::orders_out::cancel_request;
use crate::action::{Action, Actions, Alert, BookedFill};
use crate::event::VenuePosition;
use crate::execution::{Applied, FillApplied, Order, OrderInput, OrderView};
use crate::limits::CANCEL_ATTEMPTS_MAX;
use crate::position::{Booked, ForeignFee};
use crate::probe::Probe;

impl<P: Probe> Engine<P> {
    pub(super) fn on_report(&mut self, report: &OrderReport, actions: &mut Actions) {
        let id = report.client_order_id;
        if usize::from(report.instrument.0) >= self.instruments.len() {
            actions.push(Action::Alert(Alert::UnknownInstrument(report.instrument)));
            return;
        }
        match report.kind {
            OrderReportKind::Filled(fill) => self.on_fill(report, &fill, actions),
            OrderReportKind::Accepted(_) => self.feed(id, OrderInput::Accept, actions),
            // The id is in use by a live order: ours did arrive, whatever this answer says.
            OrderReportKind::Rejected(RejectReason::DuplicateId) | OrderReportKind::OutcomeUnknown => {
                self.orders
                    .supervise(id, |order| order.amend_lost = order.amend.is_some());
                self.feed(id, OrderInput::LoseTrack, actions);
            }
            OrderReportKind::Rejected(_) => self.feed(id, OrderInput::Reject, actions),
            OrderReportKind::NotSent => self.feed(id, OrderInput::NotSent, actions),
            OrderReportKind::Canceled => self.feed(id, OrderInput::Cancel, actions),
            OrderReportKind::Expired => self.feed(id, OrderInput::Expire, actions),
            OrderReportKind::NotFound => self.feed(id, OrderInput::NotPlaced, actions),
            OrderReportKind::Found(snapshot) => self.on_found(id, snapshot, actions),
            OrderReportKind::CancelRejected(reason) => self.on_cancel_rejected(id, reason, actions),
            OrderReportKind::Amended(terms) => self.on_amended(id, terms, actions),
            OrderReportKind::AmendRejected(reason) => self.on_amend_rejected(id, reason, actions),
        }
    }

    /// Feeds an input that the state machine decides on.
    pub(super) fn feed(&mut self, id: ClientOrderId, input: OrderInput, actions: &mut Actions) {
        match self.orders.apply(id, input) {
            Applied::Changed(order) => self.on_changed(&order, actions),
            Applied::Unchanged => {}
            Applied::Contradiction(view) => self.on_contradiction(&view, input, actions),
            Applied::NotFound => actions.push(Action::Alert(Alert::UnknownReport(id))),
        }
    }

    /// An order is in a new state: tell of it, and do what the state asks for.
    pub(super) fn on_changed(&mut self, order: &Order, actions: &mut Actions) {
        self.tell(order, actions);
        let id = order.view.request.client_order_id;
        match order.view.status {
            OrderStatus::Unknown => self.begin_unknown(order, actions),
            status if status.is_terminal() => {
                self.after_replaced(order, actions);
                self.after_end(id.slot, actions);
            }
            // It turned out to be alive after all: what was wanted of it is still wanted.
            OrderStatus::Accepted | OrderStatus::PartiallyFilled if order.cancel_wanted => {
                if order.cancel_attempts < CANCEL_ATTEMPTS_MAX {
                    self.ask_to_cancel(id, actions);
                } else {
                    self.orders.supervise(id, |order| order.cancel_wanted = false);
                    actions.push(Action::Alert(Alert::CancelFailed(id)));
                }
            }
            _ => {}
        }
    }

    fn on_contradiction(&mut self, view: &OrderView, input: OrderInput, actions: &mut Actions) {
        let request = &view.request;
        actions.push(Action::Alert(Alert::IllegalTransition(request.client_order_id)));
        self.reconciliation.doubt(request.instrument);
        if view.status.is_terminal() && input == OrderInput::Accept {
            // An order that we took for refused is alive at the venue: it must go.
            let cancel = cancel_request(&Order::new(*request, request.price.unwrap_or_default(), self.now));
            actions.push(Action::Cancel(cancel));
        }
    }

    fn on_cancel_rejected(&mut self, id: ClientOrderId, reason: CancelRejectReason, actions: &mut Actions) {
        match reason {
            // It may have ended by a fill whose report is on the way: ask, and wait as for any cancel.
            CancelRejectReason::UnknownOrder => {
                if let Some(order) = self.orders.get(id).copied() {
                    self.query(&order, actions);
                }
            }
            CancelRejectReason::Other => match self.orders.apply(id, OrderInput::RefuseCancel) {
                Applied::Changed(order) => self.on_cancel_refused(&order, actions),
                Applied::Unchanged => {}
                Applied::Contradiction(view) => {
                    self.on_contradiction(&view, OrderInput::RefuseCancel, actions);
                }
                Applied::NotFound => actions.push(Action::Alert(Alert::UnknownReport(id))),
            },
        }
    }

    /// The answer to a query. It resolves an order only when its fills are all booked: fills are never
    /// inferred, because the real ones may be on their way.
    fn on_found(&mut self, id: ClientOrderId, snapshot: OrderSnapshot, actions: &mut Actions) {
        let known = self
            .orders
            .get(id)
            .map(|order| order.view)
            .or_else(|| self.order(id));
        let Some(known) = known else {
            actions.push(Action::Alert(Alert::UnknownReport(id)));
            return;
        };
        if known.filled != snapshot.filled {
            if known.status.is_terminal() && snapshot.filled > known.filled {
                self.reconciliation.doubt(known.request.instrument);
            }
            return;
        }
        if known.status.is_terminal() {
            self.place_replacement(&known, actions);
        }
        match snapshot.status {
            OrderStatus::Accepted | OrderStatus::PartiallyFilled | OrderStatus::PendingCancel => {
                self.feed(id, OrderInput::Accept, actions);
            }
            OrderStatus::Canceled => self.feed(id, OrderInput::Cancel, actions),
            OrderStatus::Expired => self.feed(id, OrderInput::Expire, actions),
            OrderStatus::Rejected => self.feed(id, OrderInput::Reject, actions),
            // Filled with every fill booked: the fills themselves have ended it.
            OrderStatus::Filled
            | OrderStatus::Initialized
            | OrderStatus::Submitted
            | OrderStatus::Denied
            | OrderStatus::Unknown => {}
        }
    }

    /// A fill: booked once, to the slot that its order id names, whatever state the order is in.
    fn on_fill(&mut self, report: &OrderReport, fill: &Fill, actions: &mut Actions) {
        let (id, instrument) = (report.client_order_id, report.instrument);
        let key = FillKey {
            instrument,
            trade_id: fill.trade_id,
            side: fill.side,
        };
        if self.fills.contains(&key) {
            return;
        }
        let listed = &self.instruments[usize::from(instrument.0)].instrument;
        let (venue, base) = (listed.venue, listed.base);
        let sane = fill.quantity.units() > 0 && fill.price.units() > 0;
        let in_third = ![base, self.config.portfolio_currency].contains(&fill.fee.currency());
        let fee_value = if in_third {
            self.fee_value(venue, fill.fee)
        } else {
            None
        };
        let booked = sane
            .then(|| self.positions.book(id.slot, instrument, fill, base, fee_value))
            .flatten();
        let Some(booked) = booked else {
            actions.push(Action::Alert(Alert::BookingFailed(id)));
            self.reconciliation.doubt(instrument);
            return;
        };
        // Only now: a mark set before the booking would suppress a real fill if the booking failed.
        self.fills.insert(key);
        let applied = self.orders.fill(id, fill.quantity);
        self.report_fill(report, fill, &booked, &applied, actions);
        self.after_fill(id, instrument, fill, &booked, actions);
        match applied {
            FillApplied::Live { order, overfilled } => {
                if overfilled {
                    self.reconciliation.doubt(instrument);
                }
                self.on_changed(&order, actions);
            }
            FillApplied::Late(_) | FillApplied::NotFound => self.reconciliation.doubt(instrument),
        }
    }

    fn report_fill(
        &self,
        report: &OrderReport,
        fill: &Fill,
        booked: &Booked,
        applied: &FillApplied,
        actions: &mut Actions,
    ) {
        let id = report.client_order_id;
        let (owner, alert) = match applied {
            FillApplied::Live {
                overfilled: false,
                order,
            } => {
                let other_side = order.view.request.side != fill.side;
                (Some(id), other_side.then_some(Alert::IllegalTransition(id)))
            }
            FillApplied::Live { overfilled: true, .. } => (Some(id), Some(Alert::Overfill(id))),
            FillApplied::Late(_) => (Some(id), Some(Alert::LateFill(id))),
            FillApplied::NotFound => (None, Some(Alert::UnknownReport(id))),
        };
        actions.push(Action::Fill(BookedFill {
            client_order_id: owner,
            slot: id.slot,
            instrument: report.instrument,
            ts_event: report.ts_event,
            fill: *fill,
            realized: self.money(booked.realized),
        }));
        if let Some(alert) = alert {
            actions.push(Action::Alert(alert));
        }
        match booked.foreign_fee {
            ForeignFee::First(asset) => actions.push(Action::Alert(Alert::FeeAsset(asset))),
            ForeignFee::Unvalued(asset) => actions.push(Action::Alert(Alert::FeeUnvalued(asset))),
            ForeignFee::Lost => actions.push(Action::Alert(Alert::CapacityReached)),
            ForeignFee::None | ForeignFee::Added => {}
        }
    }

    /// What follows from a changed position: balances, reconciliation, throttle, drawdown.
    fn after_fill(
        &mut self,
        id: ClientOrderId,
        instrument: InstrumentId,
        fill: &Fill,
        booked: &Booked,
        actions: &mut Actions,
    ) {
        let rules = self.instruments[usize::from(instrument.0)].instrument;
        self.balances.add(rules.venue, rules.quote, booked.quote);
        self.balances.add(
            rules.venue,
            rules.base,
            i128::from(booked.base.units()) * i128::from(SCALE),
        );
        if fill.fee.currency() != rules.base && fill.fee.currency() != rules.quote {
            self.balances
                .add(rules.venue, fill.fee.currency(), -fill.fee.units());
        }
        let ours = self.positions.account_quantity(instrument);
        self.reconciliation.on_booked(instrument, ours);
        self.report_position(id.slot, actions);
        self.watch_executions(id.slot, actions);
        self.watch_equity(actions);
    }

    pub(super) fn report_position(&self, slot: SlotId, actions: &mut Actions) {
        if let Some(ledger) = self.positions.ledger(slot) {
            actions.push(Action::Position(self.positions.update(ledger)));
        }
    }

    /// What the venue holds, against the sum of our slots.
    pub(super) fn on_venue_position(&mut self, position: &VenuePosition, actions: &mut Actions) {
        let instrument = position.instrument;
        if self.state_mut(instrument, actions).is_none() {
            return;
        }
        let ours = self.positions.account_quantity(instrument);
        let (mut may_buy, mut may_sell) = (0, 0);
        for ledger in self
            .positions
            .ledgers()
            .iter()
            .filter(|ledger| ledger.instrument == instrument)
        {
            let exposure = self.orders.exposure(ledger.slot);
            may_buy += exposure.buys;
            may_sell += exposure.sells;
        }
        let news =
            self.reconciliation
                .on_venue_position(instrument, position.quantity, ours, may_buy, may_sell);
        if let Some(difference) = news {
            actions.push(Action::Alert(Alert::PositionMismatch {
                instrument,
                difference,
            }));
        }
    }

    /// Capital came or went: no profit, so the peaks move with it.
    pub(super) fn on_slot_capital(&mut self, slot: SlotId, capital: &Money, actions: &mut Actions) {
        if capital.currency() != self.config.portfolio_currency || capital.units() < 0 {
            return;
        }
        if let Some(change) = self.positions.set_capital(slot, capital.units()) {
            self.drawdown.shift(change);
            if let Some(at) = self.slot_index(slot) {
                self.slots[at].drawdown.shift(change);
            }
            self.watch_equity(actions);
        }
    }
}
