//! What the comparison with the venue's account found: each difference named, and what follows from it.

use domain::{
    CancelRequest, ClientOrderId, Currency, Money, OrderRequest, OrderStatus, OrderType, Quantity, SCALE,
    TimeInForce, Timestamp, Venue,
};

use super::Engine;
use super::config::FillKey;
use crate::account::{Difference, Movement, MovementKind, OrphanRule, StandingOrder};
use crate::action::{Action, Actions, Alert};
use crate::execution::Order;
use crate::position::pnl::flows;
use crate::probe::Probe;

impl<P: Probe> Engine<P> {
    pub(super) fn on_difference(&mut self, difference: &Difference, actions: &mut Actions) {
        match difference {
            Difference::Orphan {
                client_order_id,
                order,
                rule,
            } => self.on_orphan(*client_order_id, order, *rule, actions),
            Difference::ForeignOrder(order) => actions.push(Action::Alert(Alert::ForeignOrder {
                instrument: order.instrument,
                venue_order_id: order.venue_order_id,
            })),
            Difference::Movement(movement) => self.on_movement(movement, actions),
        }
    }

    /// An order with an id of ours that no record knows. Where its slot is there it enters the table whatever the rule
    /// says: a cancel is then watched like any other, and what trades before it is booked to the slot. One that has ended
    /// for us and rests all the same is canceled, whatever the rule says.
    fn on_orphan(
        &mut self,
        id: ClientOrderId,
        standing: &StandingOrder,
        rule: OrphanRule,
        actions: &mut Actions,
    ) {
        let known = self.order(id);
        if known.is_some_and(|order| !order.status.is_terminal()) {
            // It has become known meanwhile.
            return;
        }
        let taken = if known.is_none() {
            self.take_in(id, standing)
        } else {
            None
        };
        match (taken, rule) {
            (Some(order), OrphanRule::Adopt) => {
                actions.push(Action::Alert(Alert::OrphanAdopted(id)));
                self.tell(&order, actions);
            }
            (Some(_), OrphanRule::Cancel) => {
                actions.push(Action::Alert(Alert::OrphanCanceled(id)));
                self.cancel(id, actions);
            }
            (None, _) => {
                actions.push(Action::Alert(Alert::OrphanCanceled(id)));
                actions.push(Action::Cancel(CancelRequest {
                    client_order_id: id,
                    instrument: standing.instrument,
                }));
            }
        }
    }

    /// Makes an order of the slot that its id names of it; `None` where that slot does not trade its instrument, or
    /// what it may still do is not known.
    fn take_in(&mut self, id: ClientOrderId, standing: &StandingOrder) -> Option<Order> {
        let at = self.slot_index(id.slot)?;
        let price = standing.price?;
        let fits = self.slots[at].config.instrument == standing.instrument
            && standing.filled >= Quantity::ZERO
            && standing.quantity > standing.filled;
        let request = fits.then_some(OrderRequest {
            client_order_id: id,
            instrument: standing.instrument,
            side: standing.side,
            order_type: OrderType::Limit,
            price: Some(price),
            quantity: standing.quantity,
            time_in_force: TimeInForce::Gtc,
            post_only: false,
            reduce_only: false,
        })?;
        let mut order = Order::new(request, price, self.now);
        let partly_filled = standing.filled > Quantity::ZERO;
        order.view.filled = standing.filled;
        order.facts.acknowledged = true;
        order.facts.partly_filled = partly_filled;
        let status = if partly_filled {
            OrderStatus::PartiallyFilled
        } else {
            OrderStatus::Accepted
        };
        self.orders.insert(order, status)
    }

    fn on_movement(&mut self, movement: &Movement, actions: &mut Actions) {
        if !self.outside.remember(movement.id) {
            // Told again, after a reconnect say.
            return;
        }
        let venue = movement.venue;
        let is_taken = match movement.kind {
            MovementKind::Trade { instrument, fill } => {
                let Some(state) = self.state_mut(instrument, actions) else {
                    return;
                };
                let (base, quote) = (state.instrument.base, state.instrument.quote);
                let key = FillKey {
                    instrument,
                    trade_id: fill.trade_id,
                    side: fill.side,
                };
                if self.fills.contains(&key) {
                    return;
                }
                self.fills.insert(key);
                actions.push(Action::Alert(Alert::ManualTrade {
                    instrument,
                    trade_id: fill.trade_id,
                }));
                let (delta, paid) = flows(&fill);
                let moved = [
                    Money::from_decimal_units(delta.units(), base),
                    Money::from_units(-paid, quote),
                    Money::from_units(-fill.fee.units(), fill.fee.currency()),
                ];
                moved.into_iter().all(|amount| self.outside.add(venue, amount))
            }
            MovementKind::Transfer(amount) => {
                actions.push(Action::Alert(if amount.units() < 0 {
                    Alert::Withdrawal(Money::from_units(-amount.units(), amount.currency()))
                } else {
                    Alert::Deposit(amount)
                }));
                self.outside.add(venue, amount)
            }
            MovementKind::Rounding(amount) => self.outside.add(venue, amount),
        };
        if !is_taken {
            // The account cannot agree then: the instrument only reduces until a person has looked.
            actions.push(Action::Alert(Alert::CapacityReached));
        }
    }

    /// What a fee in an asset that is neither base nor quote was worth, quote units of 1e-16: at the ask of an instrument
    /// of the venue that prices the asset, for so much it costs to have it again. `None` where no price is known.
    pub(super) fn fee_value(&self, venue: Venue, fee: Money) -> Option<i128> {
        let mut prices = self.instruments.iter().filter(|state| {
            let listed = &state.instrument;
            (listed.venue, listed.base, listed.quote)
                == (venue, fee.currency(), self.config.portfolio_currency)
        });
        let ask = prices.find_map(|state| state.book.top())?.ask;
        let value = fee.units().checked_mul(i128::from(ask.units()))?;
        Some(value.div_euclid(i128::from(SCALE)))
    }

    /// What orders of ours have added to the account of a venue, units of 1e-16 of the asset: positions, what was paid and
    /// received, fees.
    pub fn booked(&self, venue: Venue, currency: Currency) -> i128 {
        let of_slots = self.positions.ledgers().iter().map(|ledger| {
            let listed = &self.instruments[usize::from(ledger.instrument.0)].instrument;
            if listed.venue != venue {
                return 0;
            }
            let base = i128::from(ledger.basis.quantity.units()) * i128::from(SCALE);
            let base = if listed.base == currency { base } else { 0 };
            let quote = ledger.basis.realized - ledger.fees - ledger.basis.cost;
            base + if listed.quote == currency { quote } else { 0 }
        });
        let fees = self.positions.foreign_fees().iter();
        let paid = fees
            .filter(|fee| fee.currency() == currency)
            .map(|fee| fee.units());
        of_slots.sum::<i128>() - paid.sum::<i128>()
    }

    /// The sum of movements that belong to no slot, units of 1e-16 of the asset.
    pub fn moved_outside(&self, venue: Venue, currency: Currency) -> i128 {
        self.outside.sum(venue, currency)
    }

    /// Up to when a venue's account is accounted for; `None` before the first comparison of the first life.
    pub fn compared_through(&self, venue: Venue) -> Option<Timestamp> {
        self.outside.compared(venue)
    }

    /// The fills that were booked last, newest first, at most `count`.
    pub fn booked_fills(&self, count: usize) -> impl Iterator<Item = FillKey> + '_ {
        self.fills.newest().copied().take(count)
    }

    /// Whether a fill was booked, to a slot or as somebody's own.
    pub fn has_booked(&self, key: &FillKey) -> bool {
        self.fills.contains(key)
    }

    /// What an asset of a venue amounts to as far as the engine knows, units of 1e-16; `None` before the venue has told.
    pub fn known_balance(&self, venue: Venue, currency: Currency) -> Option<i128> {
        self.balances.heard(venue, currency)
    }
}
