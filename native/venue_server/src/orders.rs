//! The venue's record of orders and executions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{Liquidity, Money, OrderType, Price, Quantity, Side, TimeInForce, Timestamp, TradeId};
use simulation::{ExpiryReason, OrderId, SelfTradePrevention};

/// Orders kept; the oldest that have ended go first.
pub(crate) const ORDERS_KEPT: usize = 200_000;

/// The state of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Expired,
    ExpiredInMatch,
}

impl Status {
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::New | Self::PartiallyFilled)
    }

    pub(crate) fn of_expiry(reason: ExpiryReason) -> Self {
        match reason {
            ExpiryReason::NothingToTake => Self::Expired,
            ExpiryReason::SelfTrade => Self::ExpiredInMatch,
        }
    }
}

/// Why an order ended before it was filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its owner canceled it.
    Asked,
    /// The owner's own switch canceled it: time ran out without a sign of life.
    Switch,
    /// It was to rest only, and would have taken.
    PostOnly,
    /// Nothing was left to take, or fill-or-kill could not fill.
    NothingToTake,
    /// It would have met an order of its owner.
    SelfTrade,
    /// Its own end time came.
    TimeUp,
}

/// An order as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    /// The owner's name of it; empty where it has none.
    pub(crate) client_order_id: String,
    /// The owner's number of it, on wires that know one.
    pub(crate) reference: Option<i64>,
    pub(crate) side: Side,
    pub(crate) order_type: OrderType,
    pub(crate) price: Option<Price>,
    pub(crate) quantity: Quantity,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) post_only: bool,
    /// Whether an order that was to rest only and would have taken is kept as canceled, instead of refused.
    pub(crate) keeps_refused: bool,
    pub(crate) self_trade: SelfTradePrevention,
    /// When it ends by itself, venue time.
    pub(crate) expires: Option<Timestamp>,
}

/// One execution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FillRecord {
    pub(crate) trade_id: TradeId,
    pub(crate) order: OrderId,
    pub(crate) price: Price,
    pub(crate) quantity: Quantity,
    pub(crate) side: Side,
    pub(crate) fee: Money,
    pub(crate) liquidity: Liquidity,
    pub(crate) time_ms: i64,
}

impl FillRecord {
    /// Price times quantity in units of 1e-16.
    pub(crate) fn value(&self) -> i128 {
        i128::from(self.price.units()) * i128::from(self.quantity.units())
    }
}

/// An order with what became of it.
#[derive(Debug, Clone)]
pub(crate) struct OrderRecord {
    pub(crate) id: OrderId,
    /// The matching engine's number of it: another one after each amendment.
    pub(crate) engine: OrderId,
    pub(crate) account: usize,
    pub(crate) ticket: Ticket,
    pub(crate) status: Status,
    pub(crate) ending: Option<Ending>,
    pub(crate) filled: Quantity,
    /// Quote currency paid or received, units of 1e-16.
    pub(crate) filled_value: i128,
    /// What is still locked for it, units of 1e-16 of the asset it gives.
    pub(crate) reserved: i128,
    pub(crate) fills: Vec<FillRecord>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

impl OrderRecord {
    /// What is still to be filled.
    pub(crate) fn remaining(&self) -> Quantity {
        self.ticket
            .quantity
            .checked_sub(self.filled)
            .unwrap_or(Quantity::ZERO)
    }

    /// Average price of what was filled; zero before the first execution.
    pub(crate) fn average_price(&self) -> Price {
        let filled = i128::from(self.filled.units()).max(1);
        Price::from_units(i64::try_from(self.filled_value / filled).unwrap_or(i64::MAX))
    }

    /// Fees so far, units of 1e-16 of the asset they were taken in.
    pub(crate) fn fees(&self) -> i128 {
        self.fills.iter().map(|fill| fill.fee.units()).sum()
    }
}

/// All orders of all accounts.
#[derive(Debug, Default)]
pub(crate) struct OrderLedger {
    orders: BTreeMap<u64, OrderRecord>,
    open: BTreeSet<u64>,
    /// The latest order of each account and client id: ids may be used again once the order has ended.
    latest: HashMap<(usize, String), u64>,
    /// Orders whose number in the matching engine is another than their own.
    renumbered: HashMap<u64, u64>,
    /// End times of open orders.
    ends: BTreeSet<(Timestamp, u64)>,
}

impl OrderLedger {
    pub(crate) fn insert(&mut self, record: OrderRecord) {
        if self.orders.len() >= ORDERS_KEPT {
            let ended = self.orders.values().find(|order| !order.status.is_open());
            if let Some(id) = ended.map(|order| order.id.0) {
                self.remove(OrderId(id));
            }
        }
        if !record.ticket.client_order_id.is_empty() {
            let key = (record.account, record.ticket.client_order_id.clone());
            self.latest.insert(key, record.id.0);
        }
        if let Some(end) = record.ticket.expires {
            self.ends.insert((end, record.id.0));
        }
        self.open.insert(record.id.0);
        self.orders.insert(record.id.0, record);
    }

    /// Forgets an order that was refused.
    pub(crate) fn remove(&mut self, id: OrderId) {
        self.settle(id);
        if let Some(gone) = self.orders.remove(&id.0) {
            let key = (gone.account, gone.ticket.client_order_id);
            if self.latest.get(&key) == Some(&id.0) {
                self.latest.remove(&key);
            }
        }
    }

    /// Notes that an order has ended.
    pub(crate) fn settle(&mut self, id: OrderId) {
        self.open.remove(&id.0);
        if let Some(order) = self.orders.get(&id.0) {
            self.renumbered.remove(&order.engine.0);
            if let Some(end) = order.ticket.expires {
                self.ends.remove(&(end, id.0));
            }
        }
    }

    /// Notes that the matching engine knows an order by another number now.
    pub(crate) fn renumber(&mut self, id: OrderId, engine: OrderId) {
        if let Some(order) = self.orders.get_mut(&id.0) {
            self.renumbered.remove(&order.engine.0);
            order.engine = engine;
            self.renumbered.insert(engine.0, id.0);
        }
    }

    /// The order that the matching engine calls `engine`.
    pub(crate) fn of_engine(&self, engine: OrderId) -> OrderId {
        OrderId(self.renumbered.get(&engine.0).copied().unwrap_or(engine.0))
    }

    /// The next end time of an open order, with the order.
    pub(crate) fn next_end(&self) -> Option<(Timestamp, OrderId)> {
        self.ends.first().map(|&(end, id)| (end, OrderId(id)))
    }

    pub(crate) fn get(&self, id: OrderId) -> Option<&OrderRecord> {
        self.orders.get(&id.0)
    }

    pub(crate) fn get_mut(&mut self, id: OrderId) -> Option<&mut OrderRecord> {
        self.orders.get_mut(&id.0)
    }

    /// The latest order of an account with this client id.
    pub(crate) fn by_client_id(&self, account: usize, client_order_id: &str) -> Option<&OrderRecord> {
        let id = self.latest.get(&(account, client_order_id.to_owned()))?;
        self.orders.get(id)
    }

    pub(crate) fn of_account(&self, account: usize) -> impl Iterator<Item = &OrderRecord> {
        self.orders.values().filter(move |order| order.account == account)
    }

    pub(crate) fn open_of(&self, account: usize) -> impl Iterator<Item = &OrderRecord> {
        self.open
            .iter()
            .filter_map(|id| self.orders.get(id))
            .filter(move |order| order.account == account)
    }
}
