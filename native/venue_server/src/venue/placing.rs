//! New orders, amendments and cancels, after the venue's own checks.

use domain::{Currency, OrderType, Price, Quantity, RejectReason, Side, Timestamp};
use simulation::{FeeAsset, NewOrder, OrderId, OrderOutcome, Outbox, Output, Owner};

use super::booking::value;
use super::{Cause, MONEY_PER_UNIT, Mode, Venue};
use crate::events::Happening;
use crate::listing::OPEN_ORDERS_MAX;
use crate::orders::{Ending, OrderRecord, Status, Ticket};
use crate::refusal::{Filter, Refusal};

/// Locked beside a fee, for each execution's fee is rounded up: a thousand executions' worth.
const FEE_ROUNDING: i128 = 1_000 * MONEY_PER_UNIT;

/// What an open order is to become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amendment {
    pub(crate) price: Option<Price>,
    /// In all, what was filled included.
    pub(crate) quantity: Option<Quantity>,
    /// Refused if it would take.
    pub(crate) post_only: bool,
}

impl Venue {
    /// Places an order of `account`, after the venue's own checks.
    pub(crate) fn place(&mut self, account: usize, ticket: Ticket) -> Result<OrderId, Refusal> {
        let now = self.catch_up();
        self.limits.order(account)?;
        self.check_new(account, &ticket)?;
        let reserved = self.cost(&ticket);
        let given = self.given(ticket.side);
        if self.accounts[account].holding(given).free < reserved {
            return Err(Refusal::Balance);
        }
        let order = new_order(account, &ticket);
        let mut outbox = std::mem::take(&mut self.outbox);
        let id = self.market.submit(&order, now, &mut outbox);
        let keeps_refused = ticket.keeps_refused;
        self.orders.insert(OrderRecord {
            id,
            engine: id,
            account,
            ticket,
            status: Status::New,
            ending: None,
            filled: Quantity::ZERO,
            filled_value: 0,
            reserved,
            fills: Vec::new(),
            created_ms: now.millis(),
            updated_ms: now.millis(),
        });
        self.accounts[account].lock(given, reserved);
        let refused = outbox.outputs.iter().find_map(|output| refusal_of(output, id));
        match refused {
            None => self.read_outbox(&outbox, Cause::MARKET),
            Some(Refusal::WouldTake) if keeps_refused => self.keep_refused(id, now),
            Some(_) => {
                self.accounts[account].release(given, reserved);
                self.orders.remove(id);
            }
        }
        self.outbox = outbox;
        match refused {
            Some(refused) if refused != Refusal::WouldTake || !keeps_refused => Err(refused),
            _ => Ok(id),
        }
    }

    /// What is checked of a new order before money is.
    fn check_new(&self, account: usize, ticket: &Ticket) -> Result<(), Refusal> {
        match self.mode {
            Mode::Online => {}
            Mode::PostOnly if ticket.post_only => {}
            closed => return Err(Refusal::Mode(closed)),
        }
        let last = self.history.last_price();
        self.listing.check(ticket.price, ticket.quantity, last)?;
        if self.orders.open_of(account).count() >= OPEN_ORDERS_MAX {
            return Err(Refusal::OpenOrders);
        }
        let twin = self.orders.by_client_id(account, &ticket.client_order_id);
        if twin.is_some_and(|order| order.status.is_open()) {
            return Err(Refusal::DuplicateId);
        }
        Ok(())
    }

    /// An order that was to rest only and would have taken ends as canceled.
    fn keep_refused(&mut self, id: OrderId, now: Timestamp) {
        if let Some(order) = self.orders.get_mut(id) {
            order.status = Status::Canceled;
            order.ending = Some(Ending::PostOnly);
        }
        self.release_rest(id);
        self.tell_order(id, Happening::Canceled, None, None, now.millis());
    }

    /// Cancels an open order; `cancel_id` names the request in the report.
    pub(crate) fn cancel(&mut self, id: OrderId, cancel_id: &str) -> Result<(), Refusal> {
        let now = self.catch_up();
        if self.mode == Mode::Maintenance {
            return Err(Refusal::Mode(self.mode));
        }
        if !self.orders.get(id).is_some_and(|order| order.status.is_open()) {
            return Err(Refusal::UnknownOrder);
        }
        let cause = Cause {
            cancel_id: Some(cancel_id),
            ending: Ending::Asked,
        };
        self.withdraw(id, now, cause);
        Ok(())
    }

    /// Ends an open order by itself.
    pub(super) fn end(&mut self, id: OrderId, now: Timestamp, ending: Ending) {
        let cause = Cause {
            cancel_id: None,
            ending,
        };
        self.withdraw(id, now, cause);
    }

    fn withdraw(&mut self, id: OrderId, now: Timestamp, cause: Cause<'_>) {
        let Some(order) = self.orders.get(id) else {
            return;
        };
        let (engine, owner) = (order.engine, owner_of(order.account));
        let mut outbox = std::mem::take(&mut self.outbox);
        self.market.cancel(engine, owner, now, &mut outbox);
        self.read_outbox(&outbox, cause);
        self.outbox = outbox;
    }

    /// Changes an open order under its own number. It always goes to the back of its queue, which errs against its owner.
    pub(crate) fn amend(&mut self, id: OrderId, amendment: Amendment) -> Result<(), Refusal> {
        let now = self.catch_up();
        let open = self.orders.get(id).filter(|order| order.status.is_open());
        let order = open.ok_or(Refusal::UnknownOrder)?;
        if matches!(self.mode, Mode::CancelOnly | Mode::Maintenance) {
            return Err(Refusal::Mode(self.mode));
        }
        let (account, side) = (order.account, order.ticket.side);
        let mut ticket = order.ticket.clone();
        ticket.price = amendment.price.or(ticket.price);
        ticket.quantity = amendment.quantity.unwrap_or(ticket.quantity);
        self.listing
            .check(ticket.price, ticket.quantity, self.history.last_price())?;
        let left = ticket.quantity.checked_sub(order.filled);
        let left = left.filter(|left| *left > Quantity::ZERO);
        let left = left.ok_or(Refusal::Filter(Filter::Quantity))?;
        let engine = order.engine;
        let reserved_before = order.reserved;
        if (ticket.post_only || amendment.post_only) && self.would_take(side, ticket.price) {
            return Err(Refusal::WouldTake);
        }
        let rest = Ticket {
            quantity: left,
            ..ticket.clone()
        };
        let reserved = self.cost(&rest);
        let given = self.given(side);
        if self.accounts[account].holding(given).free + reserved_before < reserved {
            return Err(Refusal::Balance);
        }
        self.accounts[account].lock(given, reserved - reserved_before);
        let mut outbox = std::mem::take(&mut self.outbox);
        self.market.cancel(engine, owner_of(account), now, &mut outbox);
        self.read_outbox(&without_orders(&outbox), Cause::MARKET);
        let next = self.market.submit(&new_order(account, &rest), now, &mut outbox);
        self.orders.renumber(id, next);
        if let Some(order) = self.orders.get_mut(id) {
            order.ticket = ticket;
            order.reserved = reserved;
            order.updated_ms = now.millis();
        }
        self.tell_order(id, Happening::Amended, None, None, now.millis());
        let is_acceptance = |output: &Output| matches!(output, Output::Order { order, outcome: OrderOutcome::Accepted, .. } if *order == next);
        outbox.outputs.retain(|output| !is_acceptance(output));
        self.read_outbox(&outbox, Cause::MARKET);
        self.report_balances(account, now.millis());
        self.outbox = outbox;
        Ok(())
    }

    /// Whether an order at this price would meet the other side.
    fn would_take(&self, side: Side, price: Option<Price>) -> bool {
        let best = self.market.best();
        match (side, price) {
            (Side::Buy, Some(price)) => best.ask.is_some_and(|(ask, _)| price >= ask),
            (Side::Sell, Some(price)) => best.bid.is_some_and(|(bid, _)| price <= bid),
            (_, None) => true,
        }
    }

    /// A name for a request that has none.
    pub(crate) fn next_client_id(&mut self) -> String {
        self.client_id += 1;
        format!("venue-{}", self.client_id)
    }

    /// What an order may cost, units of 1e-16 of the asset it gives.
    fn cost(&self, ticket: &Ticket) -> i128 {
        match (ticket.side, ticket.price) {
            (Side::Sell, _) => i128::from(ticket.quantity.units()) * MONEY_PER_UNIT,
            (Side::Buy, Some(price)) => self.with_fee(value(price, ticket.quantity)),
            (Side::Buy, None) => self.with_fee(self.market_cost(ticket.quantity)),
        }
    }

    /// Money for a buy with its highest fee, where the venue takes that in the quote currency.
    pub(super) fn with_fee(&self, money: i128) -> i128 {
        if self.fees.asset != FeeAsset::Quote || money == 0 {
            return money;
        }
        let bps = self.fees.taker_bps.max(self.fees.maker_bps).units();
        let fee = money / 10_000 * i128::from(bps) / MONEY_PER_UNIT;
        money + fee + FEE_ROUNDING
    }

    /// What buying `quantity` through the standing book costs; beyond it, at its last price.
    fn market_cost(&self, quantity: Quantity) -> i128 {
        let mut levels = Vec::new();
        self.market.depth(Side::Sell, usize::MAX, &mut levels);
        let (mut left, mut cost) = (quantity.units(), 0);
        let mut price = self.history.last_price();
        for (level, there) in levels {
            let taken = left.min(there.units());
            price = level;
            cost += value(level, Quantity::from_units(taken));
            left -= taken;
        }
        cost + value(price, Quantity::from_units(left))
    }

    /// The asset that an order of `side` gives.
    pub(super) fn given(&self, side: Side) -> Currency {
        match side {
            Side::Buy => self.listing.instrument.quote,
            Side::Sell => self.listing.instrument.base,
        }
    }

    /// How much base the standing asks give for `money` (units of 1e-16 of quote), commission apart.
    pub(crate) fn affordable(&self, money: i128) -> Quantity {
        let mut levels = Vec::new();
        self.market.depth(Side::Sell, usize::MAX, &mut levels);
        let (mut left, mut base) = (money, 0i64);
        for (price, there) in levels {
            let all = value(price, there);
            let taken = if all <= left {
                there.units()
            } else {
                i64::try_from(left / i128::from(price.units().max(1))).unwrap_or(0)
            };
            base = base.saturating_add(taken);
            left -= value(price, Quantity::from_units(taken));
            if taken < there.units() {
                break;
            }
        }
        Quantity::from_units(base)
    }
}

/// What happened to the market, without what happened to orders.
fn without_orders(outbox: &Outbox) -> Outbox {
    let kept = outbox.outputs.iter().copied();
    Outbox {
        ts: outbox.ts,
        outputs: kept
            .filter(|output| !matches!(output, Output::Order { .. }))
            .collect(),
    }
}

/// The matching engine's refusal of an order.
fn refusal_of(output: &Output, id: OrderId) -> Option<Refusal> {
    let Output::Order {
        order,
        outcome: OrderOutcome::Rejected(reason),
        ..
    } = output
    else {
        return None;
    };
    (*order == id).then_some(match reason {
        RejectReason::WouldTake => Refusal::WouldTake,
        RejectReason::RateLimit => Refusal::VenueOrders,
        _ => Refusal::Disabled,
    })
}

fn owner_of(account: usize) -> Owner {
    // At most 256 accounts: the index always fits.
    Owner(u16::try_from(account).unwrap_or(u16::MAX))
}

fn new_order(account: usize, ticket: &Ticket) -> NewOrder {
    NewOrder {
        owner: owner_of(account),
        side: ticket.side,
        order_type: ticket.order_type,
        price: ticket.price.filter(|_| ticket.order_type == OrderType::Limit),
        quantity: ticket.quantity,
        time_in_force: ticket.time_in_force,
        post_only: ticket.post_only,
        self_trade: ticket.self_trade,
    }
}
