//! Changing an order that rests: where it stands, or by another in its place.
//!
//! While a change is on its way the worse of both terms counts, in exposure and against our other orders. A venue that
//! does not change orders gets a cancel; the new order leaves once the venue has said what of the old one traded, so that
//! both together never trade more than was asked for.

use domain::{
    AmendRejectReason, AmendRequest, ClientOrderId, OrderRequest, OrderStatus, OrderTerms, OrderType,
    Quantity, TimeInForce, Timestamp, Venue,
};

use super::Engine;
use super::orders_out::cancel_request;
use super::timers::Timer;
use crate::action::{Action, Actions, Alert};
use crate::execution::{Applied, Order, OrderInput, OrderView, request_of};
use crate::limits::{OPEN_ORDERS_MAX, REPLACEMENT_PATIENCE};
use crate::probe::Probe;
use crate::risk::{Origin, approve_amend};
use crate::strategy::OrderIntent;

/// An order that was canceled for another to take its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replaced {
    /// The order that was canceled.
    pub(super) request: OrderRequest,
    terms: OrderTerms,
    until: Timestamp,
}

impl<P: Probe> Engine<P> {
    /// Carries out a strategy's wish for other terms of one of its orders.
    pub(super) fn replace(&mut self, at: usize, id: ClientOrderId, terms: OrderTerms, actions: &mut Actions) {
        let Some(order) = self.orders.get(id).copied() else {
            return;
        };
        let request = order.view.request;
        let rests = matches!(
            order.view.status,
            OrderStatus::Accepted | OrderStatus::PartiallyFilled
        );
        let is_free = order.amend.is_none() && order.replacement.is_none() && !order.cancel_wanted;
        let (Some(before), true) = (order.terms(), rests && is_free) else {
            return;
        };
        if id.slot != self.slots[at].config.slot {
            return;
        }
        let wanted = request_of(&intent(&request, terms), &self.slot_rules(at), id);
        let terms = OrderTerms {
            price: wanted.price.unwrap_or(terms.price),
            quantity: wanted.quantity,
        };
        if terms == before {
            return;
        }
        let venue = self.instruments[usize::from(request.instrument.0)]
            .instrument
            .venue;
        if changes_in_place(venue, request.time_in_force, before, terms) && terms.quantity > order.view.filled
        {
            self.amend(at, &order, terms, actions);
        } else {
            self.cancel_for(&order, terms, actions);
        }
    }

    /// Changes an order where it stands. Judged like an order of its own beside the one that rests: near a limit a
    /// change may be denied that would fit.
    fn amend(&mut self, at: usize, order: &Order, terms: OrderTerms, actions: &mut Actions) {
        let request = order.view.request;
        let id = request.client_order_id;
        let rest = OrderRequest {
            price: Some(terms.price),
            quantity: Quantity::from_units(terms.quantity.units() - order.view.filled.units()),
            ..request
        };
        let amend = AmendRequest {
            client_order_id: id,
            instrument: request.instrument,
            terms,
        };
        let facts = self.facts(at, &rest, Origin::Strategy);
        match approve_amend(&facts, rest, amend) {
            Ok(approved) => {
                let watch_at = self.now.plus(self.config.order_ack_timeout);
                self.orders.begin_amend(id, terms);
                self.orders.supervise(id, |order| order.watch_at = watch_at);
                self.window.record(&rest, self.now);
                actions.push(Action::Amend(approved));
                actions.push(Action::SetTimer {
                    timer: Timer::OrderWatch(order.serial).id(),
                    at: watch_at,
                });
            }
            Err(reason) => {
                // Under an id of its own: the order that rests is as it was.
                let client_order_id = self.orders.next_id(id.slot).unwrap_or(id);
                let request = OrderRequest {
                    client_order_id,
                    ..rest
                };
                actions.push(Action::Denied { request, reason });
            }
        }
    }

    /// Cancels an order for another to take its place.
    fn cancel_for(&mut self, order: &Order, terms: OrderTerms, actions: &mut Actions) {
        let id = order.view.request.client_order_id;
        self.cancel(id, actions);
        self.orders.supervise(id, |order| order.replacement = Some(terms));
    }

    /// An order has ended: where another is to take its place, the venue is asked what of it traded.
    pub(super) fn after_replaced(&mut self, order: &Order, actions: &mut Actions) {
        let Some(terms) = order.replacement else { return };
        if order.view.status != OrderStatus::Canceled || order.view.filled >= terms.quantity {
            return;
        }
        let now = self.now;
        self.replaced.retain(|one| now <= one.until);
        if self.replaced.len() == OPEN_ORDERS_MAX {
            actions.push(Action::Alert(Alert::CapacityReached));
            return;
        }
        let request = order.view.request;
        self.replaced.push(Replaced {
            request,
            terms,
            until: now.plus(REPLACEMENT_PATIENCE),
        });
        actions.push(Action::QueryOrder(cancel_request(order)));
    }

    /// The venue has said how an ended order ended, and every fill of it is booked.
    pub(super) fn place_replacement(&mut self, ended: &OrderView, actions: &mut Actions) {
        let id = ended.request.client_order_id;
        let waiting = self
            .replaced
            .iter()
            .position(|one| one.request.client_order_id == id);
        let Some(number) = waiting else { return };
        let Replaced {
            request,
            terms,
            until,
        } = self.replaced.remove(number);
        let is_wanted = ended.filled < terms.quantity && self.now <= until;
        let (Some(at), true) = (self.slot_index(id.slot), is_wanted) else {
            return;
        };
        let quantity = Quantity::from_units(terms.quantity.units() - ended.filled.units());
        let wish = intent(&request, OrderTerms { quantity, ..terms });
        // What risk has against it, it says itself.
        let _ = self.place(at, &wish, Origin::Strategy, actions);
    }

    /// The venue says what an order's price and quantity are.
    pub(super) fn on_amended(&mut self, id: ClientOrderId, terms: OrderTerms, actions: &mut Actions) {
        let Some(order) = self.orders.get(id).copied() else {
            // It has ended meanwhile, or is not known: then its other reports say so.
            return;
        };
        let is_before = order.terms() == Some(terms);
        match order.amend {
            Some(asked) if asked != terms && is_before && !order.amend_lost => {
                // Seen before the change arrived.
            }
            None if is_before => {}
            _ => self.settle_amend(id, terms, actions),
        }
    }

    /// The venue did not change an order.
    pub(super) fn on_amend_rejected(
        &mut self,
        id: ClientOrderId,
        reason: AmendRejectReason,
        actions: &mut Actions,
    ) {
        let Some(order) = self.orders.get(id).copied() else {
            return;
        };
        let (Some(asked), Some(before)) = (order.amend, order.terms()) else {
            return;
        };
        self.settle_amend(id, before, actions);
        let Some(order) = self.orders.get(id).copied() else {
            return;
        };
        match reason {
            // It may have ended by a fill whose report is on the way.
            AmendRejectReason::UnknownOrder => self.query(&order, actions),
            AmendRejectReason::NotOffered if !order.cancel_wanted => self.cancel_for(&order, asked, actions),
            AmendRejectReason::NotOffered | AmendRejectReason::Other => {}
        }
    }

    /// An order has these terms for certain; what it has traded may be all of it now.
    fn settle_amend(&mut self, id: ClientOrderId, terms: OrderTerms, actions: &mut Actions) {
        let Some(order) = self.orders.end_amend(id, terms) else {
            return;
        };
        if order.view.filled >= terms.quantity {
            if let Applied::Changed(order) = self.orders.apply(id, OrderInput::FillAll) {
                self.on_changed(&order, actions);
            }
        } else {
            self.tell(&order, actions);
        }
    }

    /// Whether a change of an order is on its way.
    pub fn is_amending(&self, id: ClientOrderId) -> bool {
        self.orders.get(id).is_some_and(|order| order.amend.is_some())
    }
}

/// Whether a venue changes an order where it stands: Kraken (`AmendOrder`) any that rests, Coinbase (`edit`) limit orders
/// without an end. Binance's spot market only lowers a quantity so (`order.amend.keepPriority`); another price takes a cancel
/// and a new order there, as one request (`cancelReplace`) would too, whose two halves can each end unknown.
fn changes_in_place(
    venue: Venue,
    time_in_force: TimeInForce,
    before: OrderTerms,
    wanted: OrderTerms,
) -> bool {
    match venue {
        Venue::Kraken => time_in_force.rests(),
        Venue::Coinbase => matches!(time_in_force, TimeInForce::Gtc),
        Venue::Binance => {
            time_in_force.rests() && wanted.price == before.price && wanted.quantity < before.quantity
        }
        Venue::BinanceUsdm | Venue::IndependentReserve => false,
    }
}

fn intent(request: &OrderRequest, terms: OrderTerms) -> OrderIntent {
    OrderIntent {
        instrument: request.instrument,
        side: request.side,
        quantity: terms.quantity,
        order_type: OrderType::Limit,
        price: Some(terms.price),
        time_in_force: request.time_in_force,
        post_only: request.post_only,
        reduce_only: request.reduce_only,
        timeout: None,
    }
}
