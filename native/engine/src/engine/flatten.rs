//! Closing a slot's position: wait for its orders to end, then marketable limits within the slippage.

use domain::{OrderType, Quantity, Side, SlotId, TimeInForce, Venue};

use super::Engine;
use super::config::Flatten;
use super::timers::Timer;
use crate::action::{Action, Actions, Alert};
use crate::execution::largest_order;
use crate::limits::FLATTEN_ATTEMPTS_MAX;
use crate::probe::Probe;
use crate::risk::{Origin, venue_index};
use crate::strategy::{OrderIntent, is_tradable};

impl<P: Probe> Engine<P> {
    /// Begins to close a slot's position; its working orders are canceled first.
    pub(super) fn begin_flatten(&mut self, at: usize, max_slippage_bps: u32, actions: &mut Actions) {
        self.slots[at].flatten = Some(Flatten {
            max_slippage_bps,
            attempts: 0,
        });
        self.cancel_working(at, None, actions);
        self.progress_flatten(at, actions);
    }

    /// An order of a slot ended: a flatten may go on, a run-off may be over.
    pub(super) fn after_end(&mut self, slot: SlotId, actions: &mut Actions) {
        let Some(at) = self.slot_index(slot) else { return };
        if self.slots[at].flatten.is_some() {
            self.progress_flatten(at, actions);
        }
        self.check_run_off(at);
    }

    /// Takes the next step of a flatten.
    pub(super) fn progress_flatten(&mut self, at: usize, actions: &mut Actions) {
        let Some(flatten) = self.slots[at].flatten else {
            return;
        };
        let slot = self.slots[at].config.slot;
        if self.is_slot_killed(at) {
            // A kill lets nothing out, and no re-arming may set an old flatten going again.
            self.slots[at].flatten = None;
            if !self.is_flat(at) {
                actions.push(Action::Alert(Alert::FlattenIncomplete(slot)));
            }
            return;
        }
        let venue = self.slot_venue(at);
        let link = self.venues[venue_index(venue)];
        if !link.online || !link.reconciled {
            // No attempt: nothing would be let out.
            self.schedule_flatten(at, actions);
            return;
        }
        if self.orders.exposure(slot).working > 0 {
            // Its orders must end first: what they may still sell cannot be sold twice.
            return;
        }
        if self.is_flat(at) {
            self.slots[at].flatten = None;
            self.check_run_off(at);
            return;
        }
        if flatten.attempts >= FLATTEN_ATTEMPTS_MAX {
            self.slots[at].flatten = None;
            actions.push(Action::Alert(Alert::FlattenIncomplete(slot)));
            return;
        }
        let attempts = flatten.attempts + 1;
        self.slots[at].flatten = Some(Flatten { attempts, ..flatten });
        let sent = self
            .closing_order(at, flatten.max_slippage_bps)
            .is_some_and(|intent| self.place(at, &intent, Origin::Flatten, actions).is_ok());
        if !sent {
            self.schedule_flatten(at, actions);
        }
    }

    /// Whether a kill acts on a slot, at whatever scope.
    pub(super) fn is_slot_killed(&self, at: usize) -> bool {
        let config = &self.slots[at].config;
        let venue = self.slot_venue(at);
        self.switch
            .effective(venue, config.instrument, config.slot)
            .killed
    }

    pub(super) fn slot_venue(&self, at: usize) -> Venue {
        let instrument = self.slots[at].config.instrument;
        self.instruments[usize::from(instrument.0)].instrument.venue
    }

    /// Tries again after a while.
    pub(super) fn schedule_flatten(&self, at: usize, actions: &mut Actions) {
        let timer = Timer::Flatten(self.slots[at].config.slot).id();
        actions.push(Action::SetTimer {
            timer,
            at: self.now.plus(self.config.order_ack_timeout),
        });
    }

    /// The next order that closes: at most the largest order that limits and venue allow, priced within
    /// the slippage and the price collar. `None` without a book.
    fn closing_order(&self, at: usize, max_slippage_bps: u32) -> Option<OrderIntent> {
        let slot = &self.slots[at];
        let ledger = &self.positions.ledgers()[at];
        let state = &self.instruments[usize::from(ledger.instrument.0)];
        let position = ledger.basis.quantity;
        let side = if position > Quantity::ZERO {
            Side::Sell
        } else {
            Side::Buy
        };
        let limits = [&self.config.limits, slot.limits(&self.config.limits)];
        let collar = limits.iter().map(|limits| limits.price_collar_bps).min()?;
        let offset = i64::from(max_slippage_bps.min(collar)) * side.sign();
        let price = state.book.top()?.mid().offset_bps(offset)?;
        let largest = largest_order(&limits, &state.instrument.rules, price);
        Some(OrderIntent {
            instrument: ledger.instrument,
            side,
            quantity: position.abs().min(largest),
            order_type: OrderType::Limit,
            price: Some(price),
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            reduce_only: true,
            timeout: None,
        })
    }

    /// Ends a run-off once nothing is left that the venue would trade.
    pub(super) fn check_run_off(&mut self, at: usize) {
        let slot = self.slots[at].config.slot;
        if self.slots[at].run_off && self.orders.exposure(slot).working == 0 && self.is_flat(at) {
            self.slots[at].run_off = false;
        }
    }

    /// Whether what a slot holds is nothing, or dust that the venue does not trade.
    pub(super) fn is_flat(&self, at: usize) -> bool {
        let ledger = &self.positions.ledgers()[at];
        let instrument = &self.instruments[usize::from(ledger.instrument.0)].instrument;
        let size = ledger.basis.quantity.abs();
        // Before its first mark nothing tells what a holding is worth.
        size.is_zero()
            || ledger
                .mark
                .is_some_and(|mark| !is_tradable(size, instrument, mark))
    }
}
