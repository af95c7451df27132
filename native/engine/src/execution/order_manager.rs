//! The life of our orders: which are live, which have ended, and what the live ones may still do.

use domain::{ClientOrderId, Epoch, OrderRequest, OrderStatus, OrderTerms, Quantity, Side, SlotId};

use super::order::{Order, OrderView};
use super::transition::{OrderInput, Step, step};
use crate::engine::CarriedOrder;
use crate::limits::{ENDED_ORDERS_KEPT, OPEN_ORDERS_MAX};

/// What a slot's live orders may still do, unknown outcomes included: the worst case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Exposure {
    /// Base units (1e-8) that may still be bought.
    pub(crate) buys: i128,
    /// Base units (1e-8) that may still be sold.
    pub(crate) sells: i128,
    /// Quote units (1e-16) that the buys may still cost.
    pub(crate) buy_notional: i128,
    /// Live orders.
    pub(crate) working: u16,
    /// Live orders of unknown outcome.
    pub(crate) unknown: u16,
}

impl Exposure {
    /// Base units of one side.
    pub(crate) const fn side(&self, side: Side) -> i128 {
        match side {
            Side::Buy => self.buys,
            Side::Sell => self.sells,
        }
    }

    fn count(&mut self, order: &Order, sign: i128) {
        let remaining = i128::from(order.remaining().units());
        match order.view.request.side {
            Side::Buy => {
                self.buys += sign * remaining;
                // A product of two 64-bit numbers; 256 of them stay within 128 bits.
                self.buy_notional += sign * remaining * i128::from(order.dearest().units());
            }
            Side::Sell => self.sells += sign * remaining,
        }
        let unknown = order.view.status == OrderStatus::Unknown;
        if sign > 0 {
            self.working += 1;
            self.unknown += u16::from(unknown);
        } else {
            self.working -= 1;
            self.unknown -= u16::from(unknown);
        }
    }
}

/// What an input did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    /// A live order is in a new state; it may have ended by it.
    Changed(Order),
    /// A repeated or overtaken report.
    Unchanged,
    /// A report that contradicts the state.
    Contradiction(OrderView),
    /// No such order.
    NotFound,
}

/// What a fill did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FillApplied {
    /// A live order traded.
    Live {
        /// The order after it.
        order: Order,
        /// More traded than was asked for.
        overfilled: bool,
    },
    /// An ended order traded.
    Late(OrderView),
    /// No such order.
    NotFound,
}

/// All orders of an engine, in tables of fixed size.
#[derive(Debug)]
pub(crate) struct OrderManager {
    epoch: Epoch,
    counter: u32,
    serial: u32,
    slots: Vec<SlotId>,
    exposures: Vec<Exposure>,
    /// Live orders by id.
    open: Vec<Order>,
    /// Ring of ended orders; `next_ended` is the oldest once it is full.
    ended: Vec<OrderView>,
    next_ended: usize,
}

impl OrderManager {
    /// An empty table for the orders of `slots` (ascending).
    pub(crate) fn new(epoch: Epoch, slots: Vec<SlotId>) -> Self {
        Self {
            epoch,
            counter: 0,
            serial: 0,
            exposures: vec![Exposure::default(); slots.len()],
            slots,
            open: Vec::with_capacity(OPEN_ORDERS_MAX),
            ended: Vec::with_capacity(ENDED_ORDERS_KEPT),
            next_ended: 0,
        }
    }

    /// A life of the service begins: ids count from 1 again under its epoch.
    pub(crate) const fn begin_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.counter = 0;
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The next order id; `None` when a life's counter is used up.
    pub(crate) fn next_id(&mut self, slot: SlotId) -> Option<ClientOrderId> {
        self.counter = self.counter.checked_add(1)?;
        Some(ClientOrderId {
            epoch: self.epoch,
            slot,
            counter: self.counter,
        })
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.open.len() == OPEN_ORDERS_MAX
    }

    /// Takes an order into the table as `status` and gives it its serial; `None` when the table is full,
    /// its slot is not configured or its id is there already.
    pub(crate) fn insert(&mut self, order: Order, status: OrderStatus) -> Option<Order> {
        let id = order.view.request.client_order_id;
        let slot = self.slot_index(id.slot)?;
        let Err(at) = self.position(id) else { return None };
        // The id that was given out last cannot have ended: no need to search for it.
        let fresh = id.epoch == self.epoch && id.counter == self.counter;
        if self.is_full() || (!fresh && self.ended_view(id).is_some()) {
            return None;
        }
        if id.epoch == self.epoch {
            // An id that somebody else gave out in this life's name is not given out again.
            self.counter = self.counter.max(id.counter);
        }
        self.serial = self.serial.wrapping_add(1);
        let mut order = Order {
            serial: self.serial,
            ..order
        };
        order.view.status = status;
        self.exposures[slot].count(&order, 1);
        self.open.insert(at, order);
        Some(order)
    }

    /// Live orders by id.
    pub(crate) fn open(&self) -> &[Order] {
        &self.open
    }

    /// Ended orders, newest first.
    pub(crate) fn ended(&self) -> impl Iterator<Item = &OrderView> {
        let (newer, older) = self.ended.split_at(self.next_ended.min(self.ended.len()));
        newer.iter().rev().chain(older.iter().rev())
    }

    pub(crate) fn get(&self, id: ClientOrderId) -> Option<&Order> {
        self.position(id).ok().map(|at| &self.open[at])
    }

    /// The live order that a timer names.
    pub(crate) fn by_serial(&self, serial: u32) -> Option<&Order> {
        self.open.iter().find(|order| order.serial == serial)
    }

    /// What a slot's live orders may still do.
    pub(crate) fn exposure(&self, slot: SlotId) -> Exposure {
        self.slot_index(slot)
            .map_or_else(Exposure::default, |at| self.exposures[at])
    }

    /// Whether an order of unknown outcome is live in the instrument.
    pub(crate) fn has_unknown(&self, instrument: domain::InstrumentId) -> bool {
        let any = self.exposures.iter().any(|exposure| exposure.unknown > 0);
        any && self.open.iter().any(|order| {
            order.view.status == OrderStatus::Unknown && order.view.request.instrument == instrument
        })
    }

    /// Whether a new order could trade with a live one of ours, whichever slot owns it.
    pub(crate) fn crosses_own(&self, request: &OrderRequest) -> bool {
        self.open.iter().any(|order| order.crosses(request))
    }

    /// Feeds one input into an order's state machine.
    pub(crate) fn apply(&mut self, id: ClientOrderId, input: OrderInput) -> Applied {
        let Ok(at) = self.position(id) else {
            return match self.ended_view(id) {
                None => Applied::NotFound,
                Some(view) => match step(view.status, super::OrderFacts::default(), input) {
                    Step::Stay | Step::To(_) => Applied::Unchanged,
                    Step::Illegal => Applied::Contradiction(*view),
                },
            };
        };
        let order = self.open[at];
        match step(order.view.status, order.facts, input) {
            Step::Illegal => Applied::Contradiction(order.view),
            Step::Stay => {
                if input == OrderInput::Accept {
                    self.open[at].facts.acknowledged = true;
                }
                Applied::Unchanged
            }
            Step::To(next) => Applied::Changed(self.change(at, |order| {
                order.view.status = next;
                order.facts.acknowledged |= input == OrderInput::Accept;
            })),
        }
    }

    /// Adds an executed quantity to an order.
    pub(crate) fn fill(&mut self, id: ClientOrderId, quantity: Quantity) -> FillApplied {
        let Ok(at) = self.position(id) else {
            return match self
                .ended
                .iter_mut()
                .rev()
                .find(|view| view.request.client_order_id == id)
            {
                None => FillApplied::NotFound,
                Some(view) => {
                    view.filled = add(view.filled, quantity);
                    FillApplied::Late(*view)
                }
            };
        };
        let asked = self.open[at].most();
        let filled = add(self.open[at].view.filled, quantity);
        let input = if filled >= asked {
            OrderInput::FillAll
        } else {
            OrderInput::FillPart
        };
        let next = match step(self.open[at].view.status, self.open[at].facts, input) {
            Step::To(next) => next,
            Step::Stay | Step::Illegal => self.open[at].view.status,
        };
        let order = self.change(at, |order| {
            order.view.filled = filled;
            order.view.status = next;
            order.facts.partly_filled = true;
            order.facts.acknowledged = true;
        });
        FillApplied::Live {
            order,
            overfilled: filled > asked,
        }
    }

    /// A change of a live order is on its way: until it is known, the worse of both counts.
    pub(crate) fn begin_amend(&mut self, id: ClientOrderId, terms: OrderTerms) -> Option<Order> {
        let at = self.position(id).ok()?;
        Some(self.change(at, |order| {
            order.amend = Some(terms);
            order.amend_lost = false;
        }))
    }

    /// A live order is certain to have these terms, and no change of it is on its way.
    pub(crate) fn end_amend(&mut self, id: ClientOrderId, terms: OrderTerms) -> Option<Order> {
        let at = self.position(id).ok()?;
        Some(self.change(at, |order| {
            order.amend = None;
            order.amend_lost = false;
            order.view.request.price = Some(terms.price);
            order.view.request.quantity = terms.quantity;
            order.value_price = terms.price;
        }))
    }

    /// Changes how a live order is supervised, not its state.
    pub(crate) fn supervise(&mut self, id: ClientOrderId, change: impl FnOnce(&mut Order)) {
        if let Ok(at) = self.position(id) {
            change(&mut self.open[at]);
        }
    }

    /// Changes a live order, keeps the exposure right, and moves it to the ended ones when it ended.
    fn change(&mut self, at: usize, change: impl FnOnce(&mut Order)) -> Order {
        let before = self.open[at];
        let mut after = before;
        change(&mut after);
        if let Some(slot) = self.slot_index(after.view.request.client_order_id.slot) {
            self.exposures[slot].count(&before, -1);
            if !after.view.status.is_terminal() {
                self.exposures[slot].count(&after, 1);
            }
        }
        if after.view.status.is_terminal() {
            self.open.remove(at);
            self.remember(after.view);
        } else {
            self.open[at] = after;
        }
        after
    }

    fn remember(&mut self, view: OrderView) {
        if self.ended.len() < ENDED_ORDERS_KEPT {
            self.ended.push(view);
        } else {
            self.ended[self.next_ended] = view;
        }
        self.next_ended = (self.next_ended + 1) % ENDED_ORDERS_KEPT;
    }

    fn ended_view(&self, id: ClientOrderId) -> Option<&OrderView> {
        self.ended().find(|view| view.request.client_order_id == id)
    }

    fn position(&self, id: ClientOrderId) -> Result<usize, usize> {
        self.open
            .binary_search_by_key(&id, |order| order.view.request.client_order_id)
    }

    fn slot_index(&self, slot: SlotId) -> Option<usize> {
        self.slots.binary_search(&slot).ok()
    }
}

fn add(left: Quantity, right: Quantity) -> Quantity {
    left.checked_add(right).unwrap_or(Quantity::MAX)
}

/// An order of an earlier life, for the table: what was sent before may be live.
pub(crate) fn carried(before: &CarriedOrder) -> Order {
    let request = before.request;
    let mut order = Order::new(request, request.price.unwrap_or_default(), before.submitted_at);
    order.view.filled = before.filled;
    order.facts.partly_filled = before.filled > Quantity::ZERO;
    order.facts.acknowledged = order.facts.partly_filled;
    order.timeout_at = before.timeout_at;
    order.cancel_wanted = before.cancel_wanted;
    order
}

#[cfg(test)]
#[path = "order_manager_tests.rs"]
mod tests;
