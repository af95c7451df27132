//! What has happened, as others are told it: orders with their names and prices, the last fills, balances, controls.

use std::collections::{BTreeMap, VecDeque};

use domain::{
    Balance, BundleDigest, ClientOrderId, Currency, OrderRequest, OrderStatus, Price, Quantity, SlotId,
    Timestamp, Venue, VenueOrderId, VenueStatus,
};
use engine::execution::OrderView;
use engine::limits::{ENDED_ORDERS_KEPT, OPEN_ORDERS_MAX};
use engine::{BookedFill, OrderUpdate};
use messaging::telemetry::{Balances, Control, ControlLevel, Fill, Order};

use crate::stops::Holds;

/// Orders remembered.
pub(crate) const ORDERS_KEPT: usize = ENDED_ORDERS_KEPT + OPEN_ORDERS_MAX;

/// Fills remembered.
pub(crate) const FILLS_KEPT: usize = 1_000;

/// What a slot has done since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Deeds {
    pub(crate) orders_sent: u64,
    pub(crate) fills: u64,
}

/// An order, and what of its fills is needed for an average.
#[derive(Debug, Clone)]
struct Known {
    order: Order,
    /// Sum of price times quantity of the fills, 1e-16.
    paid: i128,
    /// Sum of the quantities behind it.
    counted: i128,
}

impl Known {
    /// `None` before the first fill, and for an order some of whose fills an earlier life has seen.
    fn average(&self) -> Option<Price> {
        let all_seen = self.counted == i128::from(self.order.filled.units());
        let units = self.paid.checked_div(self.counted).filter(|_| all_seen)?;
        i64::try_from(units).ok().map(Price::from_units)
    }
}

/// Kept by the thread that speaks to others.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    orders: BTreeMap<ClientOrderId, Known>,
    /// In the order of their making.
    made: VecDeque<ClientOrderId>,
    fills: VecDeque<Fill>,
    balances: BTreeMap<Venue, BTreeMap<Currency, Balance>>,
    balances_ts: Timestamp,
    venues: BTreeMap<Venue, VenueStatus>,
    controls: Vec<Control>,
    pub(crate) holds: Holds,
    deeds: BTreeMap<SlotId, Deeds>,
}

impl Chronicle {
    /// An order was made: it left, or risk refused it.
    pub(crate) fn made(
        &mut self,
        ts: Timestamp,
        request: &OrderRequest,
        status: OrderStatus,
        bundle: Option<BundleDigest>,
        reason: Option<String>,
    ) -> &Order {
        let id = request.client_order_id;
        if status != OrderStatus::Denied {
            self.deeds.entry(id.slot).or_default().orders_sent += 1;
        }
        let known = Known {
            order: Order {
                request: *request,
                status,
                filled: Quantity::ZERO,
                average_price: None,
                venue_order_id: None,
                ts_created: ts,
                ts_updated: ts,
                bundle,
                reason,
            },
            paid: 0,
            counted: 0,
        };
        self.keep(id, known);
        &self.orders[&id].order
    }

    /// An order of an earlier life that this one took over.
    pub(crate) fn inherited(&mut self, view: &OrderView) {
        let id = view.request.client_order_id;
        if self.orders.contains_key(&id) {
            return;
        }
        let known = Known {
            order: Order {
                request: view.request,
                status: view.status,
                filled: view.filled,
                average_price: None,
                venue_order_id: None,
                ts_created: view.submitted_at,
                ts_updated: view.submitted_at,
                bundle: None,
                reason: None,
            },
            paid: 0,
            counted: 0,
        };
        self.keep(id, known);
    }

    fn keep(&mut self, id: ClientOrderId, known: Known) {
        if self.orders.insert(id, known).is_none() {
            self.made.push_back(id);
        }
        if self.made.len() > ORDERS_KEPT {
            self.forget_one();
        }
    }

    /// Forgets the oldest order that has ended: one that may still trade is not forgotten for any number of others.
    fn forget_one(&mut self) {
        let has_ended = |id: &ClientOrderId| {
            let known = self.orders.get(id);
            known.is_none_or(|known| known.order.status.is_terminal())
        };
        // More orders are kept than can be open.
        let at = self.made.iter().position(has_ended).unwrap_or(0);
        if let Some(oldest) = self.made.remove(at) {
            self.orders.remove(&oldest);
        }
    }

    /// The venue named an order.
    pub(crate) fn named(&mut self, id: ClientOrderId, venue_order_id: VenueOrderId) {
        if let Some(known) = self.orders.get_mut(&id) {
            known.order.venue_order_id = Some(venue_order_id);
        }
    }

    /// An order changed; `None` for one that is not remembered any more.
    pub(crate) fn updated(&mut self, ts: Timestamp, update: &OrderUpdate) -> Option<&Order> {
        let known = self.orders.get_mut(&update.client_order_id)?;
        known.order.status = update.status;
        known.order.filled = update.filled;
        known.order.ts_updated = ts;
        known.order.average_price = known.average();
        Some(&known.order)
    }

    /// A fill was booked.
    pub(crate) fn filled(&mut self, fill: &BookedFill) -> Fill {
        self.deeds.entry(fill.slot).or_default().fills += 1;
        let known = fill.client_order_id.and_then(|id| self.orders.get_mut(&id));
        if let Some(known) = known {
            let quantity = i128::from(fill.fill.quantity.units());
            known.paid += i128::from(fill.fill.price.units()) * quantity;
            known.counted += quantity;
        }
        let told = Fill {
            client_order_id: fill.client_order_id,
            slot: fill.slot,
            instrument: fill.instrument,
            ts_event: fill.ts_event,
            fill: fill.fill,
            realized: fill.realized,
        };
        if self.fills.len() == FILLS_KEPT {
            self.fills.pop_back();
        }
        self.fills.push_front(told);
        told
    }

    pub(crate) fn balance(&mut self, ts: Timestamp, venue: Venue, balance: Balance) {
        self.balances_ts = ts;
        self.balances
            .entry(venue)
            .or_default()
            .insert(balance.currency, balance);
    }

    pub(crate) fn venue(&mut self, status: VenueStatus) {
        self.venues.insert(status.venue, status);
    }

    /// A control changed; one that runs free again is forgotten.
    pub(crate) fn control(&mut self, control: Control) {
        self.controls.retain(|known| known.scope != control.scope);
        if control.level != ControlLevel::Running {
            self.controls.push(control);
        }
    }

    /// Newest first, and whether there are more than `limit`.
    pub(crate) fn orders(&self, slot: Option<SlotId>, open_only: bool, limit: usize) -> (Vec<Order>, bool) {
        let wanted = |order: &&Order| {
            let id = order.request.client_order_id;
            slot.is_none_or(|slot| slot == id.slot) && !(open_only && order.status.is_terminal())
        };
        let newest_first = self.made.iter().rev().filter_map(|id| self.orders.get(id));
        let mut orders: Vec<_> = newest_first
            .map(|known| &known.order)
            .filter(wanted)
            .take(limit + 1)
            .cloned()
            .collect();
        let more = orders.len() > limit;
        orders.truncate(limit);
        (orders, more)
    }

    /// Newest first, and whether there are more than `limit`.
    pub(crate) fn fills(&self, slot: Option<SlotId>, limit: usize) -> (Vec<Fill>, bool) {
        let wanted = |fill: &&Fill| slot.is_none_or(|slot| slot == fill.slot);
        let mut fills: Vec<_> = self
            .fills
            .iter()
            .filter(wanted)
            .take(limit + 1)
            .copied()
            .collect();
        let more = fills.len() > limit;
        fills.truncate(limit);
        (fills, more)
    }

    pub(crate) fn balances(&self) -> Vec<Balances> {
        let of_venue = |(venue, by_asset): (&Venue, &BTreeMap<Currency, Balance>)| Balances {
            venue: *venue,
            ts: self.balances_ts,
            balances: by_asset.values().copied().collect(),
        };
        self.balances.iter().map(of_venue).collect()
    }

    pub(crate) fn venues(&self) -> Vec<VenueStatus> {
        self.venues.values().copied().collect()
    }

    pub(crate) fn controls(&self) -> Vec<Control> {
        self.controls.clone()
    }

    pub(crate) fn deeds(&self, slot: SlotId) -> Deeds {
        self.deeds.get(&slot).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        Epoch, Fill as DomainFill, InstrumentId, Liquidity, Money, OrderType, SCALE, Side, TimeInForce,
        TradeId,
    };

    use super::*;

    fn id(counter: u32) -> ClientOrderId {
        ClientOrderId {
            epoch: Epoch(1),
            slot: SlotId(1),
            counter,
        }
    }

    fn request(counter: u32) -> OrderRequest {
        OrderRequest {
            client_order_id: id(counter),
            instrument: InstrumentId(0),
            side: Side::Buy,
            order_type: OrderType::Market,
            price: None,
            quantity: Quantity::from_units(4 * SCALE),
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            reduce_only: false,
        }
    }

    fn fill(counter: u32, trade: u64, price: i64, quantity: i64) -> BookedFill {
        let usdt = Currency::new("USDT").unwrap();
        BookedFill {
            client_order_id: Some(id(counter)),
            slot: SlotId(1),
            instrument: InstrumentId(0),
            ts_event: Timestamp::EPOCH,
            fill: DomainFill {
                trade_id: TradeId(trade),
                price: Price::from_units(price * SCALE),
                quantity: Quantity::from_units(quantity * SCALE),
                side: Side::Buy,
                fee: Money::zero(usdt),
                liquidity: Liquidity::Taker,
            },
            realized: Money::zero(usdt),
        }
    }

    #[test]
    fn an_order_knows_its_average_and_its_name() {
        let mut chronicle = Chronicle::default();
        let at = Timestamp::from_nanos;
        chronicle.made(at(1), &request(1), OrderStatus::Submitted, None, None);
        chronicle.named(id(1), VenueOrderId(domain::Text::new("77").unwrap()));
        chronicle.filled(&fill(1, 1, 100, 1));
        chronicle.filled(&fill(1, 2, 104, 3));
        let update = OrderUpdate {
            client_order_id: id(1),
            instrument: InstrumentId(0),
            status: OrderStatus::Filled,
            filled: Quantity::from_units(4 * SCALE),
            quantity: Quantity::from_units(4 * SCALE),
        };
        let order = chronicle.updated(at(2), &update).unwrap();
        assert_eq!(order.average_price, Some(Price::from_units(103 * SCALE)));
        assert_eq!((order.ts_created, order.ts_updated), (at(1), at(2)));
        assert!(order.venue_order_id.is_some());
        assert_eq!(chronicle.deeds(SlotId(1)).fills, 2);
        assert_eq!(chronicle.orders(None, true, 10).0.len(), 0);
    }

    #[test]
    fn an_open_order_is_remembered_however_many_were_denied_since() {
        let mut chronicle = Chronicle::default();
        let many = u32::try_from(ORDERS_KEPT).unwrap() + 10;
        chronicle.made(Timestamp::EPOCH, &request(0), OrderStatus::Submitted, None, None);
        for counter in 1..many {
            chronicle.made(
                Timestamp::EPOCH,
                &request(counter),
                OrderStatus::Denied,
                None,
                None,
            );
        }
        let (open, more) = chronicle.orders(None, true, 10);
        let ids: Vec<_> = open.iter().map(|order| order.request.client_order_id).collect();
        assert_eq!((ids, more), (vec![id(0)], false));
        let (all, _) = chronicle.orders(None, false, usize::MAX - 1);
        assert_eq!(all.len(), ORDERS_KEPT);
    }

    #[test]
    fn memory_is_bounded_and_answers_say_when_there_is_more() {
        let mut chronicle = Chronicle::default();
        let many = u32::try_from(ORDERS_KEPT).unwrap() + 10;
        for counter in 0..many {
            chronicle.made(
                Timestamp::EPOCH,
                &request(counter),
                OrderStatus::Submitted,
                None,
                None,
            );
            chronicle.filled(&fill(counter, u64::from(counter), 100, 1));
        }
        let (orders, more) = chronicle.orders(Some(SlotId(1)), false, 3);
        let newest: Vec<_> = orders
            .iter()
            .map(|order| order.request.client_order_id.counter)
            .collect();
        assert_eq!((newest, more), (vec![many - 1, many - 2, many - 3], true));
        let (all, more) = chronicle.orders(None, false, usize::MAX - 1);
        assert_eq!((all.len(), more), (ORDERS_KEPT, false));
        assert_eq!(chronicle.fills(None, 2_000).0.len(), FILLS_KEPT);
        assert_eq!(chronicle.fills(Some(SlotId(2)), 5), (vec![], false));
    }
}
