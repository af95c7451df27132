//! From a wish to an order that leaves, and cancels.

use domain::{
    CancelRequest, ClientOrderId, InstrumentRules, Nanos, OrderRequest, OrderStatus, Quantity, Side,
    TimeInForce, Timestamp, Venue,
};

use super::Engine;
use super::timers::Timer;
use super::views::slot_view;
use crate::action::{Action, Actions, Alert, OrderUpdate};
use crate::execution::{Applied, Order, OrderInput, largest_order, request_of};
use crate::limits::{
    CANCEL_ATTEMPTS_MAX, DENIALS_IN_ROW_TOLD, NOTICES_MAX, ORDER_PARTS_MAX, STRATEGY_ROUNDS_MAX,
};
use crate::probe::{Probe, Stage};
use crate::risk::{Approved, DenyReason, Origin, approve, value_price};
use crate::strategy::{Intent, OrderIntent, is_tradable};

impl<P: Probe> Engine<P> {
    /// Carries out the wishes of the strategy that was asked last, in order.
    pub(super) fn carry_out(&mut self, at: usize, actions: &mut Actions) {
        if self.intents.as_slice().is_empty() {
            return;
        }
        for number in 0..self.intents.as_slice().len() {
            match self.intents.as_slice()[number] {
                Intent::Order(intent) => self.carry_out_order(at, &intent, actions),
                Intent::CancelWorking(side) => self.cancel_working(at, side, actions),
                Intent::Replace {
                    client_order_id,
                    terms,
                } => self.replace(at, client_order_id, terms, actions),
            }
        }
        self.intents.clear();
        self.probe.stage_ended(Stage::Risk);
    }

    /// Places a strategy's order: whole, or in parts where it only reduces and is larger than any order may be.
    fn carry_out_order(&mut self, at: usize, intent: &OrderIntent, actions: &mut Actions) {
        if intent.reduce_only
            && let Some(largest) = self.largest_part(at, intent)
        {
            self.place_parts(at, intent, largest, actions);
            return;
        }
        let outcome = self.place(at, intent, Origin::Strategy, actions);
        self.count_denial(at, outcome, actions);
    }

    /// Places an order in parts, or a position that has outgrown the largest order could never be left. Each
    /// part is a lot smaller than the one before: equal orders would pass for repetitions.
    #[cold]
    fn place_parts(&mut self, at: usize, intent: &OrderIntent, largest: Quantity, actions: &mut Actions) {
        let lot = self.slot_rules(at).lot_size.units().max(1);
        let (mut part, mut rest) = (largest, *intent);
        for _ in 0..ORDER_PARTS_MAX {
            let quantity = part.min(rest.quantity);
            let outcome = self.place(at, &OrderIntent { quantity, ..rest }, Origin::Strategy, actions);
            self.count_denial(at, outcome, actions);
            rest.quantity = Quantity::from_units(rest.quantity.units() - quantity.units());
            part = Quantity::from_units(part.units() - lot);
            if outcome.is_err() || part <= Quantity::ZERO || !self.is_worth_a_part(at, &rest) {
                return;
            }
        }
    }

    /// The largest part of an order that must leave in parts; `None` where it may leave whole, and where no
    /// part of it could leave.
    fn largest_part(&self, at: usize, intent: &OrderIntent) -> Option<Quantity> {
        let slot = &self.slots[at];
        let state = &self.instruments[usize::from(slot.config.instrument.0)];
        let price = value_price(intent.price, intent.side, &state.book.top()?);
        let limits = [&self.config.limits, slot.limits(&self.config.limits)];
        let largest = largest_order(&limits, &state.instrument.rules, price);
        (largest < intent.quantity && !largest.is_zero()).then_some(largest)
    }

    /// Whether what is left of an order is more than dust.
    fn is_worth_a_part(&self, at: usize, rest: &OrderIntent) -> bool {
        let state = &self.instruments[usize::from(self.slots[at].config.instrument.0)];
        let top = state.book.top();
        top.is_some_and(|top| is_tradable(rest.quantity, &state.instrument, top.bid))
    }

    /// Counts a strategy's orders that risk denied one after the other, and tells people of a run of them.
    /// What people switched off is no news to them.
    fn count_denial(&mut self, at: usize, outcome: Result<(), DenyReason>, actions: &mut Actions) {
        let slot = &mut self.slots[at];
        match outcome {
            Ok(()) => slot.denials_in_row = 0,
            Err(DenyReason::Killed | DenyReason::Paused) => {}
            Err(_) => {
                slot.denials_in_row = slot.denials_in_row.saturating_add(1);
                if slot.denials_in_row == DENIALS_IN_ROW_TOLD {
                    actions.push(Action::Alert(Alert::OrdersDenied(slot.config.slot)));
                }
            }
        }
    }

    pub(super) fn slot_rules(&self, at: usize) -> InstrumentRules {
        let instrument = self.slots[at].config.instrument;
        self.instruments[usize::from(instrument.0)].instrument.rules
    }

    /// Names, rounds and judges an order; sends it, or says why not.
    pub(super) fn place(
        &mut self,
        at: usize,
        intent: &OrderIntent,
        origin: Origin,
        actions: &mut Actions,
    ) -> Result<(), DenyReason> {
        let config = self.slots[at].config;
        let id = self.orders.next_id(config.slot);
        let rules = self.slot_rules(at);
        let spent = ClientOrderId {
            epoch: self.orders.epoch(),
            slot: config.slot,
            counter: u32::MAX,
        };
        let request = request_of(intent, &rules, id.unwrap_or(spent));
        let judged = if id.is_none() {
            Err(DenyReason::Overflow)
        } else if intent.instrument == config.instrument {
            let facts = self.facts(at, &request, origin);
            approve(&facts, request)
        } else {
            Err(DenyReason::OtherInstrument)
        };
        match judged {
            Ok(approved) => {
                self.send(at, approved, intent.timeout, actions);
                Ok(())
            }
            Err(reason) => {
                actions.push(Action::Denied { request, reason });
                self.notice(denied(&request), actions);
                Err(reason)
            }
        }
    }

    /// Lets an approved order leave. The intent goes first: whatever is slow comes after it.
    fn send(
        &mut self,
        at: usize,
        approved: Approved<OrderRequest>,
        timeout: Option<Nanos>,
        actions: &mut Actions,
    ) {
        let request = *approved.get();
        let state = &self.instruments[usize::from(request.instrument.0)];
        // Approval needed a book.
        let value = state
            .book
            .top()
            .map(|top| value_price(request.price, request.side, &top))
            .unwrap_or_default();
        let mut order = Order::new(request, value, self.now);
        order.watch_at = self.now.plus(self.config.order_ack_timeout);
        let ends = self.ends_at(&request);
        order.timeout_at = timeout
            .map(|span| self.now.plus(span))
            .into_iter()
            .chain(ends)
            .min();
        // Approval needed a free place, and the id is new.
        let Some(order) = self.orders.insert(order, OrderStatus::Submitted) else {
            actions.push(Action::Alert(Alert::CapacityReached));
            return;
        };
        debug_assert_eq!(self.slots[at].config.slot, request.client_order_id.slot);
        self.window.record(&request, self.now);
        actions.push(Action::Submit(approved));
        actions.push(Action::SetTimer {
            timer: Timer::OrderWatch(order.serial).id(),
            at: order.watch_at,
        });
        if let Some(at) = order.timeout_at {
            actions.push(Action::SetTimer {
                timer: Timer::OrderTimeout(order.serial).id(),
                at,
            });
        }
        self.tell(&order, actions);
    }

    /// When an order that stays until a time is canceled from here: at that time where the venue has no word for it, and
    /// where it has one, when it should long have ended it.
    fn ends_at(&self, request: &OrderRequest) -> Option<Timestamp> {
        let TimeInForce::Gtd(until) = request.time_in_force else {
            return None;
        };
        let state = &self.instruments[usize::from(request.instrument.0)];
        let grace = if ends_orders_itself(state.instrument.venue) {
            self.config.order_ack_timeout
        } else {
            Nanos(0)
        };
        Some(until.plus(grace))
    }

    /// Cancels a slot's live orders of one side, or of both.
    pub(super) fn cancel_working(&mut self, at: usize, side: Option<Side>, actions: &mut Actions) {
        let slot = self.slots[at].config.slot;
        self.cancel_matching(actions, |request| {
            request.client_order_id.slot == slot && side.is_none_or(|side| side == request.side)
        });
    }

    /// Cancels every live order that `matches`; nothing takes the place of one that has ended.
    pub(super) fn cancel_matching(&mut self, actions: &mut Actions, matches: impl Fn(&OrderRequest) -> bool) {
        self.replaced.retain(|one| !matches(&one.request));
        // A cancel request ends no order, so the table keeps its order and length.
        for number in 0..self.orders.open().len() {
            let order = self.orders.open()[number];
            if matches(&order.view.request) {
                self.cancel(order.view.request.client_order_id, actions);
            }
        }
    }

    /// Asks the venue to cancel a live order, in whose place nothing comes then.
    pub(super) fn cancel(&mut self, id: ClientOrderId, actions: &mut Actions) {
        self.orders.supervise(id, |order| order.replacement = None);
        self.ask_to_cancel(id, actions);
    }

    /// The same, whatever is to take its place; an order that is being canceled is not asked twice.
    pub(super) fn ask_to_cancel(&mut self, id: ClientOrderId, actions: &mut Actions) {
        let now = self.now;
        match self.orders.apply(id, OrderInput::RequestCancel) {
            Applied::Changed(order) => {
                let watch_at = now.plus(self.config.order_ack_timeout);
                self.orders.supervise(id, |order| {
                    order.cancel_wanted = true;
                    order.cancel_attempts = order.cancel_attempts.saturating_add(1);
                    order.watch_at = watch_at;
                });
                actions.push(Action::Cancel(cancel_request(&order)));
                let timer = Timer::OrderWatch(order.serial).id();
                actions.push(Action::SetTimer { timer, at: watch_at });
                self.tell(&order, actions);
            }
            Applied::Unchanged => {
                // An order of unknown outcome may be live: asking to cancel it only lowers exposure.
                let Some(order) = self.orders.get(id).copied() else {
                    return;
                };
                let again = order.cancel_attempts < CANCEL_ATTEMPTS_MAX;
                if order.view.status == OrderStatus::Unknown && again {
                    actions.push(Action::Cancel(cancel_request(&order)));
                    self.orders.supervise(id, |order| order.cancel_attempts += 1);
                }
                self.orders.supervise(id, |order| order.cancel_wanted = true);
            }
            Applied::Contradiction(_) | Applied::NotFound => {}
        }
    }

    /// Reports an order's state and remembers to tell its strategy.
    pub(super) fn tell(&mut self, order: &Order, actions: &mut Actions) {
        let update = order.view.update();
        actions.push(Action::OrderUpdate(update));
        self.notice(update, actions);
    }

    fn notice(&mut self, update: OrderUpdate, actions: &mut Actions) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(update);
        } else {
            actions.push(Action::Alert(Alert::CapacityReached));
        }
    }

    /// Tells strategies what became of their orders, and carries out what they then want. Bounded: a
    /// strategy that answers every refusal with a new order is heard so often and no more.
    pub(super) fn tell_strategies(&mut self, actions: &mut Actions) {
        for _ in 0..STRATEGY_ROUNDS_MAX {
            let count = self.notices.len();
            if count == 0 {
                return;
            }
            for number in 0..count {
                let update = self.notices[number];
                self.tell_strategy(&update, actions);
            }
            self.notices.drain(..count);
        }
        self.notices.clear();
    }

    fn tell_strategy(&mut self, update: &OrderUpdate, actions: &mut Actions) {
        let Some(at) = self.slot_index(update.client_order_id.slot) else {
            return;
        };
        let slot = &mut self.slots[at];
        let size_scale = slot.size_scale();
        let instrument = slot.config.instrument;
        let Some(running) = slot.active.as_mut() else {
            return;
        };
        let state = &self.instruments[usize::from(instrument.0)];
        let ledger = self.positions.ledgers().get(at);
        if let Some(view) = slot_view((self.now, size_scale), state, ledger, &self.orders) {
            running
                .program
                .strategy
                .on_order(&view, update, &mut self.intents);
            self.carry_out(at, actions);
        }
    }
}

/// Whether a venue ends an order at a time of its own: Kraken (`expiretm`, `expire_time`) and Coinbase
/// (`limit_limit_gtd`) do, Binance's spot market has no such order.
const fn ends_orders_itself(venue: Venue) -> bool {
    match venue {
        Venue::Kraken | Venue::Coinbase => true,
        Venue::Binance | Venue::BinanceUsdm | Venue::IndependentReserve => false,
    }
}

pub(super) fn cancel_request(order: &Order) -> CancelRequest {
    CancelRequest {
        client_order_id: order.view.request.client_order_id,
        instrument: order.view.request.instrument,
    }
}

fn denied(request: &OrderRequest) -> OrderUpdate {
    OrderUpdate {
        client_order_id: request.client_order_id,
        instrument: request.instrument,
        status: OrderStatus::Denied,
        filled: Quantity::ZERO,
        quantity: request.quantity,
    }
}
