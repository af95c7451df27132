//! Two slots with opposite orders never trade with each other, however late and however out of order the venue hears.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use std::collections::{BTreeMap, VecDeque};

use domain::{
    CancelRejectReason, CancelRequest, ClientOrderId, Fill, Liquidity, Money, OrderReportKind, OrderRequest,
    OrderSnapshot, OrderStatus, OrderType, Price, Quantity, Quote, Side, Text, TimeInForce, TradeId,
    VenueOrderId,
};
use engine::risk::DenyReason;
use engine::strategy::{BarView, Intent, Intents, OrderIntent, SlotView, Strategy};
use engine::{Action, Decision};
use proptest::prelude::*;
use rig::{OTHER, Rig, SLOT, program, usd};

/// SplitMix64: numbers without a library, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn side(&mut self) -> Side {
        if self.below(2) == 0 { Side::Buy } else { Side::Sell }
    }
}

/// A strategy that buys and sells around the middle, and changes its mind.
struct Restless(Random);

impl Strategy for Restless {
    fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
        Decision::Hold
    }

    fn on_quote(&mut self, _: &SlotView<'_>, _: &Quote, intents: &mut Intents) {
        let random = &mut self.0;
        let side = random.side();
        // Both sides reach across the middle, and not all the way.
        let lowest = if side == Side::Buy { 93 } else { 98 };
        let dollars = lowest + i64::try_from(random.below(9)).unwrap();
        let order = rig::wish(side, dollars, 1 + i64::try_from(random.below(9)).unwrap());
        let wish = match random.below(8) {
            0 => Intent::CancelWorking(None),
            1 => Intent::CancelWorking(Some(side)),
            2 => Intent::Order(OrderIntent {
                order_type: OrderType::Market,
                price: None,
                time_in_force: TimeInForce::Ioc,
                ..order
            }),
            3 => Intent::Order(OrderIntent {
                time_in_force: TimeInForce::Ioc,
                ..order
            }),
            _ => Intent::Order(order),
        };
        intents.push(wish);
    }

    fn wants_quotes(&self) -> bool {
        true
    }
}

/// What is on its way to the venue.
enum Message {
    New(OrderRequest),
    Cancel(CancelRequest),
}

/// A venue that hears in any order, answers late, loses answers, and would let our orders trade with each other.
struct Venue {
    rig: Rig,
    random: Random,
    inbound: Vec<Message>,
    resting: Vec<(OrderRequest, i64)>,
    /// What of every order that arrived has traded.
    filled: BTreeMap<ClientOrderId, i64>,
    outbound: VecDeque<(ClientOrderId, OrderReportKind)>,
    trades: u64,
    /// Orders that arrived, by side, and those that risk kept from meeting one of ours.
    arrived: [u32; 2],
    denied: u32,
}

impl Venue {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::bare(rig::config());
        rig.quote(99, 101);
        for (slot, number) in [(SLOT, 1), (OTHER, 2)] {
            // There is something to sell.
            rig.deploy(program(slot, number + 2, Box::new(rig::Silent)));
            rig.hold(slot, 400);
            let strategy = Restless(Random(seed ^ (u64::from(number) << 40)));
            rig.deploy(program(slot, number, Box::new(strategy)));
        }
        Self {
            rig,
            random: Random(seed),
            inbound: Vec::new(),
            resting: Vec::new(),
            filled: BTreeMap::new(),
            outbound: VecDeque::new(),
            trades: 0,
            arrived: [0; 2],
            denied: 0,
        }
    }

    fn step(&mut self) {
        self.rig.wait(domain::Nanos(1_000_000));
        let actions = match self.random.below(6) {
            0 | 1 => {
                // Strategies hear of changes only.
                let bid = 97 + i64::try_from(self.random.below(3)).unwrap();
                self.rig.quote(bid, bid + 2)
            }
            2 | 3 => {
                self.hear();
                return;
            }
            4 => {
                self.trade_with_others();
                return;
            }
            _ => match self.outbound.pop_front() {
                Some((id, kind)) => self.rig.report(id, kind),
                None => return,
            },
        };
        for action in actions {
            match action {
                Action::Submit(order) => self.inbound.push(Message::New(*order.get())),
                Action::Cancel(cancel) => self.inbound.push(Message::Cancel(cancel)),
                Action::QueryOrder(query) => self.tell_of(query.client_order_id),
                Action::Denied { reason, .. } => self.denied += u32::from(reason == DenyReason::SelfTrade),
                _ => {}
            }
        }
    }

    /// What is known of an order; nothing while it is on its way.
    fn tell_of(&mut self, id: ClientOrderId) {
        let Some(filled) = self.filled.get(&id) else {
            return;
        };
        let rests = self.resting.iter().any(|(order, _)| order.client_order_id == id);
        let status = if rests {
            OrderStatus::Accepted
        } else {
            OrderStatus::Canceled
        };
        let filled = Quantity::from_units(*filled);
        let found = OrderReportKind::Found(OrderSnapshot { status, filled });
        self.outbound.push_back((id, found));
    }

    /// One message arrives, not always the oldest.
    fn hear(&mut self) {
        if self.inbound.is_empty() {
            return;
        }
        let at = self.random.below(self.inbound.len());
        match self.inbound.remove(at) {
            Message::New(request) => self.place(&request),
            Message::Cancel(cancel) => {
                let id = cancel.client_order_id;
                let at = self
                    .resting
                    .iter()
                    .position(|(order, _)| order.client_order_id == id);
                let kind = match at {
                    Some(at) => {
                        self.resting.remove(at);
                        OrderReportKind::Canceled
                    }
                    // It has ended, or is behind this cancel on the way.
                    None => OrderReportKind::CancelRejected(CancelRejectReason::Other),
                };
                self.outbound.push_back((id, kind));
            }
        }
    }

    fn place(&mut self, request: &OrderRequest) {
        let meets = |resting: &OrderRequest| {
            resting.side != request.side
                && match (request.price, resting.price.unwrap()) {
                    (None, _) => true,
                    (Some(price), there) if request.side == Side::Buy => price >= there,
                    (Some(price), there) => price <= there,
                }
        };
        let met = self.resting.iter().find(|(resting, _)| meets(resting));
        assert!(met.is_none(), "{request:?} would trade with {met:?}");
        self.arrived[usize::from(request.side == Side::Sell)] += 1;
        let id = request.client_order_id;
        self.filled.insert(id, 0);
        if request.time_in_force == TimeInForce::Ioc {
            self.outbound.push_back((id, OrderReportKind::Expired));
            return;
        }
        self.resting.push((*request, request.quantity.units()));
        // The answer may be lost: the order is there all the same.
        let name = VenueOrderId(Text::new("1").unwrap());
        self.outbound.push_back(match self.random.below(8) {
            0 => (id, OrderReportKind::OutcomeUnknown),
            _ => (id, OrderReportKind::Accepted(name)),
        });
    }

    /// Somebody else takes one of ours.
    fn trade_with_others(&mut self) {
        if self.resting.is_empty() {
            return;
        }
        let at = self.random.below(self.resting.len());
        let (request, left) = &mut self.resting[at];
        let quantity = (*left / 2).max(1).min(*left);
        *left -= quantity;
        let is_over = *left == 0;
        self.trades += 1;
        *self.filled.entry(request.client_order_id).or_default() += quantity;
        let fill = Fill {
            trade_id: TradeId(1_000 + self.trades),
            price: request.price.unwrap_or(Price::ZERO),
            quantity: Quantity::from_units(quantity),
            side: request.side,
            fee: Money::zero(usd()),
            liquidity: Liquidity::Maker,
        };
        let id = request.client_order_id;
        self.outbound.push_back((id, OrderReportKind::Filled(fill)));
        if is_over {
            self.resting.remove(at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn orders_of_two_slots_never_meet_at_the_venue(seed: u64) {
        let mut venue = Venue::new(seed);
        for _ in 0..2_000 {
            venue.step();
        }
    }
}

#[test]
fn both_slots_send_both_sides_and_are_kept_apart() {
    let mut venue = Venue::new(7);
    for _ in 0..20_000 {
        venue.step();
    }
    assert!(
        venue.arrived.iter().all(|count| *count > 50),
        "{:?}",
        venue.arrived
    );
    assert!(venue.denied > 50, "{}", venue.denied);
}
