//! Orders whose answer is missing: asked about, never sent again, and what becomes of cancels.

use domain::{Epoch, Nanos, OrderStatus, Venue};

use super::Engine;
use super::deploy::set_expiry_timer;
use super::orders_out::cancel_request;
use super::state::VenueLink;
use super::timers::Timer;
use crate::action::{Action, Actions, Alert};
use crate::event::TimerId;
use crate::execution::{Order, OrderInput};
use crate::limits::{CANCEL_ATTEMPTS_MAX, OPEN_ORDERS_MAX, ORDER_QUERIES_MAX};
use crate::probe::Probe;

/// The pause between two questions about one order doubles this often, then stays.
const QUERY_DOUBLINGS_MAX: u8 = 6;

impl<P: Probe> Engine<P> {
    pub(super) fn on_timer(&mut self, timer: TimerId, actions: &mut Actions) {
        match Timer::of(timer) {
            Some(Timer::OrderWatch(serial)) => self.on_silence(serial, actions),
            Some(Timer::OrderTimeout(serial)) => {
                let due = |order: &&Order| order.timeout_at.is_some_and(|at| at <= self.now);
                if let Some(order) = self.orders.by_serial(serial).filter(due) {
                    let id = order.view.request.client_order_id;
                    self.cancel(id, actions);
                }
            }
            Some(Timer::Expiry(slot)) => {
                if let Some(at) = self.slot_index(slot) {
                    self.tell_expiry(at, actions);
                }
            }
            Some(Timer::Flatten(slot)) => {
                if let Some(at) = self.slot_index(slot) {
                    self.progress_flatten(at, actions);
                }
            }
            // A timer of another life or another hand: nothing waits for it.
            None => {}
        }
    }

    /// A life of the service begins: earlier orders are asked about, not assumed.
    pub(super) fn on_started(&mut self, epoch: Epoch, actions: &mut Actions) {
        self.ending = false;
        if epoch != self.orders.epoch() {
            self.orders.begin_epoch(epoch);
        }
        if self.config.require_reconciliation {
            self.venues = [VenueLink {
                online: false,
                reconciled: false,
            }; Venue::ALL.len()];
        }
        for number in 0..self.orders.open().len() {
            let order = self.orders.open()[number];
            let id = order.view.request.client_order_id;
            if order.view.status == OrderStatus::Unknown {
                self.begin_unknown(&order, actions);
                if order.cancel_wanted || self.is_killed(&order) {
                    // What an earlier life was to cancel, or could not before it ended.
                    self.cancel(id, actions);
                }
            } else if id.epoch != epoch {
                self.feed(id, OrderInput::LoseTrack, actions);
            }
        }
        self.set_timers_again(actions);
    }

    fn is_killed(&self, order: &Order) -> bool {
        let request = &order.view.request;
        let venue = self.instruments[usize::from(request.instrument.0)]
            .instrument
            .venue;
        let slot = request.client_order_id.slot;
        self.switch.effective(venue, request.instrument, slot).killed
    }

    /// A new life of the service has no timers: those of what goes on are asked for again.
    fn set_timers_again(&mut self, actions: &mut Actions) {
        for order in self.orders.open() {
            if let Some(at) = order.timeout_at {
                actions.push(Action::SetTimer {
                    timer: Timer::OrderTimeout(order.serial).id(),
                    at,
                });
            }
        }
        for at in 0..self.slots.len() {
            let slot = &self.slots[at];
            if let Some(running) = slot.active.as_ref() {
                set_expiry_timer(slot.config.slot, running.expires, actions);
            }
            if slot.flatten.is_some() {
                self.schedule_flatten(at, actions);
            }
        }
    }

    /// The venue has been silent about an order for as long as it may.
    fn on_silence(&mut self, serial: u32, actions: &mut Actions) {
        let Some(order) = self.orders.by_serial(serial).copied() else {
            return;
        };
        if self.now < order.watch_at {
            return;
        }
        let id = order.view.request.client_order_id;
        match order.view.status {
            OrderStatus::Submitted | OrderStatus::PendingCancel => {
                self.feed(id, OrderInput::LoseTrack, actions);
            }
            OrderStatus::Unknown => self.query(&order, actions),
            OrderStatus::Accepted | OrderStatus::PartiallyFilled if order.cancel_wanted => {
                self.ask_to_cancel(id, actions);
            }
            OrderStatus::Accepted | OrderStatus::PartiallyFilled if order.amend.is_some() => {
                self.orders.supervise(id, |order| order.amend_lost = true);
                self.feed(id, OrderInput::LoseTrack, actions);
            }
            _ => {}
        }
    }

    /// An order's outcome is unknown: its worst case stands, the instrument only reduces, the venue is asked.
    pub(super) fn begin_unknown(&mut self, order: &Order, actions: &mut Actions) {
        let id = order.view.request.client_order_id;
        actions.push(Action::Alert(Alert::UnknownOrder(id)));
        self.orders.supervise(id, |order| order.queries = 0);
        if let Some(order) = self.orders.get(id).copied() {
            self.query(&order, actions);
        }
    }

    /// Asks what became of an order, at most [`ORDER_QUERIES_MAX`] times with growing pauses.
    pub(super) fn query(&mut self, order: &Order, actions: &mut Actions) {
        if order.queries >= ORDER_QUERIES_MAX {
            return;
        }
        let doublings = u32::from(order.queries.min(QUERY_DOUBLINGS_MAX));
        let pause = Nanos(self.config.order_ack_timeout.0.saturating_mul(1 << doublings));
        let at = self.now.plus(pause);
        self.orders
            .supervise(order.view.request.client_order_id, |order| {
                order.queries += 1;
                order.watch_at = at;
            });
        actions.push(Action::QueryOrder(cancel_request(order)));
        actions.push(Action::SetTimer {
            timer: Timer::OrderWatch(order.serial).id(),
            at,
        });
    }

    /// The venue is back: ask again about everything that is unknown there.
    pub(super) fn ask_about_unknown(&mut self, venue: Venue, actions: &mut Actions) {
        for number in 0..self.orders.open().len().min(OPEN_ORDERS_MAX) {
            let order = self.orders.open()[number];
            let instrument = usize::from(order.view.request.instrument.0);
            let there = self.instruments[instrument].instrument.venue == venue;
            if there && order.view.status == OrderStatus::Unknown {
                let id = order.view.request.client_order_id;
                self.orders.supervise(id, |order| order.queries = 0);
                self.query(&Order { queries: 0, ..order }, actions);
            }
        }
    }

    /// The venue did not cancel an order: it is asked again after a while, a bounded number of times.
    pub(super) fn on_cancel_refused(&mut self, order: &Order, actions: &mut Actions) {
        self.tell(order, actions);
        let id = order.view.request.client_order_id;
        if order.cancel_attempts >= CANCEL_ATTEMPTS_MAX {
            self.orders.supervise(id, |order| order.cancel_wanted = false);
            actions.push(Action::Alert(Alert::CancelFailed(id)));
            return;
        }
        let at = self.now.plus(self.config.order_ack_timeout);
        self.orders.supervise(id, |order| order.watch_at = at);
        actions.push(Action::SetTimer {
            timer: Timer::OrderWatch(order.serial).id(),
            at,
        });
    }
}
