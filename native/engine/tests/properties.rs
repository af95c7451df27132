//! Whatever happens, in whatever order: the same twice, conserved, within limits, silent when killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use std::collections::VecDeque;
use std::fmt::Write as _;

use domain::{
    CancelRejectReason, ClientOrderId, Fill, InstrumentId, Liquidity, Money, Nanos, OrderReportKind,
    OrderSnapshot, OrderStatus, OrderType, Price, Quantity, Quote, RejectReason, SCALE, Side, SlotId, Text,
    TimeInForce, TradeId, VenueOrderId, VenueState,
};
use engine::risk::RiskLimits;
use engine::strategy::{BarView, Intent, Intents, OrderIntent, SlotView, Strategy};
use engine::{
    Action, Alert, CommandKind, ControlLevel, Decision, EngineConfig, EventBody, JournalHealth, Scope,
    TimerId, VenuePosition,
};
use proptest::prelude::*;
use rig::{BTC, OTHER, Rig, SLOT, VENUE, config, dollars, limits, milli, price, program};

/// SplitMix64: numbers without a library, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) % bound).unwrap()
    }
}

/// A strategy that wants anything.
struct Erratic {
    random: Random,
}

impl Strategy for Erratic {
    fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
        Decision::Hold
    }

    fn on_quote(&mut self, _: &SlotView<'_>, _: &Quote, intents: &mut Intents) {
        let side = if self.random.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        };
        match self.random.below(6) {
            0 => drop(intents.push(Intent::CancelWorking(None))),
            1 => drop(intents.push(Intent::CancelWorking(Some(side)))),
            2 | 3 => {
                let order = rig::wish(side, 95 + self.random.below(10), self.random.below(400));
                let timeout = Some(Nanos(1 + self.random.below(20_000_000_000)));
                intents.push(Intent::Order(OrderIntent { timeout, ..order }));
            }
            4 => {
                let (order_type, time_in_force) = (OrderType::Market, TimeInForce::Ioc);
                let order = rig::wish(side, 1, self.random.below(400));
                intents.push(Intent::Order(OrderIntent {
                    order_type,
                    time_in_force,
                    price: None,
                    ..order
                }));
            }
            _ => {}
        }
    }

    fn on_order(&mut self, _: &SlotView<'_>, update: &engine::OrderUpdate, intents: &mut Intents) {
        if update.status == OrderStatus::Denied && self.random.below(2) == 0 {
            let side = if self.random.below(2) == 0 {
                Side::Buy
            } else {
                Side::Sell
            };
            intents.push(Intent::Order(rig::wish(side, 100, 1 + self.random.below(50))));
        }
    }

    fn wants_quotes(&self) -> bool {
        true
    }
}

const RATE: u32 = 4;

fn strict() -> RiskLimits {
    RiskLimits {
        max_position_usd: dollars(60),
        max_order_rate_per_min: RATE,
        ..limits()
    }
}

/// The venue, the operator and the clock, gone mad; and the books they must leave straight.
struct Chaos {
    rig: Rig,
    random: Random,
    known: Vec<(ClientOrderId, Side)>,
    timers: Vec<(TimerId, domain::Timestamp)>,
    log: String,
    /// Base units and quote units by slot, from the fills alone.
    held: [i128; 2],
    paid: [i128; 2],
    sent: VecDeque<i64>,
    last_fill: Option<(ClientOrderId, Fill)>,
    trade_id: u64,
}

fn at(slot: SlotId) -> usize {
    usize::from(slot.0)
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::bare(EngineConfig {
            limits: strict(),
            ..config()
        });
        for (slot, number) in [(SLOT, 1), (OTHER, 2)] {
            let random = Random(seed ^ u64::from(number));
            rig.deploy(program(slot, number, Box::new(Erratic { random })));
        }
        rig.watch_trades();
        Self {
            rig,
            random: Random(seed),
            known: Vec::new(),
            timers: Vec::new(),
            log: String::new(),
            held: [0; 2],
            paid: [0; 2],
            sent: VecDeque::new(),
            last_fill: None,
            trade_id: 0,
        }
    }

    fn step(&mut self) {
        self.rig.wait(Nanos(self.random.below(3_000_000_000)));
        let killed = [SLOT, OTHER].map(|slot| self.killed(slot));
        let actions = self.event();
        self.take(&actions, killed);
        self.check();
    }

    fn killed(&self, slot: SlotId) -> bool {
        self.rig.engine.control(Scope::Slot(slot)) == Some(ControlLevel::Killed)
    }

    fn event(&mut self) -> Vec<Action> {
        let mid = 98 + self.random.below(5);
        match self.random.below(40) {
            0..12 | 38 => self.rig.quote(mid - 1, mid + 1),
            12..14 => self.rig.trade(mid),
            14..28 => self.report(),
            28..33 => self.fire(),
            33 => self.rig.snapshot(mid - 1, mid + 1),
            34 => {
                let quantity = self.rig.engine.account_position(BTC);
                let wrong = Quantity::from_units(quantity.units() + self.random.below(3));
                self.rig.feed(EventBody::VenuePosition(VenuePosition {
                    instrument: BTC,
                    quantity: wrong,
                }))
            }
            35 => {
                let state = if self.random.below(4) == 0 {
                    VenueState::Offline
                } else {
                    VenueState::Online
                };
                self.rig.venue(state)
            }
            36 => {
                let health = if self.random.below(4) == 0 {
                    JournalHealth::Lagging
                } else {
                    JournalHealth::Healthy
                };
                self.rig.feed(EventBody::JournalHealth(health))
            }
            37 => {
                let number = u8::try_from(3 + self.random.below(3)).unwrap();
                let random = Random(u64::from(number));
                let mut next = program(SLOT, number, Box::new(Erratic { random }));
                let swaps = [
                    engine::OnSwap::Adopt,
                    engine::OnSwap::Flatten,
                    engine::OnSwap::RunOff,
                ];
                next.on_swap = swaps[usize::try_from(self.random.below(3)).unwrap()];
                self.rig.deploy(next)
            }
            _ => self.operate(),
        }
    }

    fn operate(&mut self) -> Vec<Action> {
        let scopes = [
            Scope::All,
            Scope::Venue(VENUE),
            Scope::Instrument(BTC),
            Scope::Slot(SLOT),
            Scope::Slot(OTHER),
        ];
        let scope = scopes[usize::try_from(self.random.below(5)).unwrap()];
        let rearm = |scope| CommandKind::Rearm {
            scope,
            reason: Text::new("test").unwrap(),
        };
        let kind = match self.random.below(18) {
            0 => CommandKind::Kill(scope),
            1 => CommandKind::Pause(scope),
            2 => CommandKind::ReduceOnly(scope),
            3 => CommandKind::Flatten {
                scope,
                max_slippage_bps: 50,
            },
            4 => CommandKind::CancelOrders(scope),
            5 => CommandKind::Start(scope),
            // Someone comes and lifts everything.
            _ => {
                self.rig.venue(VenueState::Online);
                self.rig.snapshot(99, 101);
                self.rig.feed(EventBody::JournalHealth(JournalHealth::Healthy));
                let quantity = self.rig.engine.account_position(BTC);
                self.rig.feed(EventBody::VenuePosition(VenuePosition {
                    instrument: BTC,
                    quantity,
                }));
                return scopes
                    .into_iter()
                    .flat_map(|scope| [rearm(scope), CommandKind::Start(scope)])
                    .flat_map(|kind| self.rig.command(kind).1)
                    .collect();
            }
        };
        self.rig.command(kind).1
    }

    fn fire(&mut self) -> Vec<Action> {
        if self.timers.is_empty() {
            return Vec::new();
        }
        let which = usize::try_from(self.random.below(self.timers.len() as u64)).unwrap();
        let (timer, at) = self.timers.swap_remove(which);
        self.rig.now = self.rig.now.max(at);
        self.rig.timer(timer)
    }

    /// A report about any order there ever was, fitting or not.
    fn report(&mut self) -> Vec<Action> {
        if self.known.is_empty() {
            return Vec::new();
        }
        let recent = self.known.len().min(8) as u64;
        let back = usize::try_from(self.random.below(recent)).unwrap();
        let (id, side) = self.known[self.known.len() - 1 - back];
        let asked = self
            .rig
            .engine
            .order(id)
            .map_or(milli(1), |order| order.request.quantity);
        let kind = match self.random.below(20) {
            0..5 => OrderReportKind::Accepted(VenueOrderId(Text::new("1").unwrap())),
            5..11 => return self.fill(id, side, asked),
            11 => OrderReportKind::OutcomeUnknown,
            12 | 13 => OrderReportKind::Canceled,
            14 => OrderReportKind::Rejected(RejectReason::Other),
            15 => OrderReportKind::NotSent,
            16 => OrderReportKind::CancelRejected(CancelRejectReason::Other),
            17 => OrderReportKind::NotFound,
            18 => {
                let filled = self
                    .rig
                    .engine
                    .order(id)
                    .map_or(Quantity::ZERO, |order| order.filled);
                OrderReportKind::Found(OrderSnapshot {
                    status: OrderStatus::Canceled,
                    filled,
                })
            }
            _ => match self.last_fill {
                Some((id, fill)) => return self.rig.report(id, OrderReportKind::Filled(fill)),
                None => OrderReportKind::Expired,
            },
        };
        self.rig.report(id, kind)
    }

    /// Fills at most what is left, as a venue does.
    fn fill(&mut self, id: ClientOrderId, side: Side, asked: Quantity) -> Vec<Action> {
        let filled = self.rig.engine.order(id).map_or(0, |order| order.filled.units());
        let left = asked.units() - filled;
        if left <= 0 {
            return Vec::new();
        }
        self.trade_id += 1;
        let fill = Fill {
            trade_id: TradeId(self.trade_id),
            price: Price::from_units(price(100).units() + self.random.below(1_000)),
            quantity: Quantity::from_units(1 + self.random.below(left.unsigned_abs())),
            side,
            fee: Money::from_units(i128::from(self.random.below(1_000)), rig::usd()),
            liquidity: Liquidity::Maker,
        };
        self.last_fill = Some((id, fill));
        self.rig.report(id, OrderReportKind::Filled(fill))
    }

    fn take(&mut self, actions: &[Action], killed: [bool; 2]) {
        writeln!(self.log, "{actions:?}").unwrap();
        for action in actions {
            match action {
                Action::Submit(approved) => {
                    let request = approved.get();
                    let slot = request.client_order_id.slot;
                    assert!(
                        !killed[at(slot)] || !self.killed(slot),
                        "an order left a killed slot"
                    );
                    self.known.push((request.client_order_id, request.side));
                    self.sent.push_back(self.rig.now.nanos());
                }
                Action::SetTimer { timer, at } => {
                    self.timers.retain(|(known, _)| known != timer);
                    self.timers.push((*timer, *at));
                }
                Action::Fill(booked) => {
                    let sign = i128::from(booked.fill.side.sign());
                    let (quantity, price) = (booked.fill.quantity.units(), booked.fill.price.units());
                    self.held[at(booked.slot)] += sign * i128::from(quantity);
                    self.paid[at(booked.slot)] += sign * i128::from(quantity) * i128::from(price);
                    self.paid[at(booked.slot)] += booked.fill.fee.units();
                }
                _ => {}
            }
        }
    }

    fn check(&mut self) {
        let engine = &self.rig.engine;
        let (mut sum, mut equity) = (0, 0);
        for position in engine.positions() {
            let at = at(position.slot);
            let quantity = i128::from(position.quantity.units());
            assert_eq!(quantity, self.held[at], "position is the sum of its fills");
            let worth = quantity * i128::from(position.mark.units());
            let capital = dollars(100_000).units();
            let slot = engine.slots().nth(at).unwrap();
            if position.mark > Price::ZERO {
                assert_eq!(
                    slot.equity.units(),
                    capital + worth - self.paid[at],
                    "no money appears or is lost"
                );
            }
            sum += quantity;
            equity += slot.equity.units();
        }
        assert_eq!(
            i128::from(engine.account_position(BTC).units()),
            sum,
            "the account is the sum of its slots"
        );
        assert_eq!(engine.equity().units(), equity);
        let minute_ago = self.rig.now.nanos() - 60_000_000_000;
        while self.sent.front().is_some_and(|sent| *sent <= minute_ago) {
            self.sent.pop_front();
        }
        assert!(
            self.sent.len() <= usize::try_from(RATE).unwrap(),
            "{} orders in a minute",
            self.sent.len()
        );
        for order in engine.orders().filter(|order| !order.status.is_terminal()) {
            assert!(order.request.quantity > order.filled);
        }
    }
}

/// What live orders could still do stays within the limits, as long as nothing contradictory was reported.
fn assert_within_limits(chaos: &Chaos) {
    let engine = &chaos.rig.engine;
    let mut long = i128::from(engine.account_position(BTC).units());
    for order in engine.orders().filter(|order| !order.status.is_terminal()) {
        if order.request.side == Side::Buy {
            long += i128::from(order.request.quantity.units() - order.filled.units());
        }
    }
    // The mid moves by five dollars between an approval and this look.
    let worth = long * i128::from(96 * SCALE);
    assert!(worth <= dollars(60).units(), "{worth}");
}

fn run(seed: u64, steps: usize) -> Chaos {
    let mut chaos = Chaos::new(seed);
    for _ in 0..steps {
        chaos.step();
    }
    chaos
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_events_give_the_same_actions_and_straight_books(seed in any::<u64>()) {
        prop_assert_eq!(run(seed, 600).log, run(seed, 600).log);
    }
}

#[test]
fn the_chaos_of_these_tests_reaches_what_it_is_for() {
    let logs: Vec<String> = (0..40).map(|seed| run(seed, 600).log).collect();
    let all = logs.concat();
    for word in [
        "Submit(",
        "Cancel(",
        "QueryOrder(",
        "Fill(",
        "LateFill",
        "IllegalTransition",
        "UnknownOrder",
        "Unknown,",
        "PendingCancel",
        "Expired",
        "Rejected",
        "Killed",
        "PositionMismatch",
        "BundleActivated",
        "OrderRate",
        "PositionLimit",
        "SelfTrade",
        "UnknownOutcome",
        "ReduceOnly",
        "VenueOffline",
        "JournalLagging",
    ] {
        assert!(all.contains(word), "no {word} in 40 runs");
    }
    let submits = all.matches("Submit(").count();
    assert!(submits > 200, "{submits} orders in 40 runs");
}

#[test]
fn an_honest_venue_never_takes_us_past_the_position_limit() {
    for seed in 0..40 {
        let mut chaos = Chaos::new(seed);
        for _ in 0..400 {
            chaos.rig.wait(Nanos(chaos.random.below(3_000_000_000)));
            let mid = 98 + chaos.random.below(5);
            let actions = match chaos.random.below(4) {
                0 | 1 => chaos.rig.quote(mid - 1, mid + 1),
                2 => chaos.fire(),
                _ => match chaos.known.last().copied() {
                    Some((id, side)) if !chaos.rig.status(id).is_terminal() => {
                        let asked = chaos.rig.engine.order(id).unwrap().request.quantity;
                        chaos.fill(id, side, asked)
                    }
                    _ => Vec::new(),
                },
            };
            chaos.take(&actions, [false; 2]);
            chaos.check();
            assert_within_limits(&chaos);
            assert!(
                !rig::alerts(&actions)
                    .iter()
                    .any(|alert| matches!(alert, Alert::Overfill(_)))
            );
        }
    }
}

#[test]
fn an_event_about_nothing_known_changes_nothing() {
    let mut rig = Rig::new();
    let nowhere = InstrumentId(7);
    let before = rig.engine.carried_state();
    let actions = rig.feed(EventBody::TradesComplete {
        instrument: nowhere,
        since: rig.now,
    });
    assert_eq!(rig::alerts(&actions), [Alert::UnknownInstrument(nowhere)]);
    let actions = rig.feed(EventBody::VenuePosition(VenuePosition {
        instrument: nowhere,
        quantity: milli(1),
    }));
    assert_eq!(rig::alerts(&actions), [Alert::UnknownInstrument(nowhere)]);
    assert!(rig.timer(TimerId(u64::MAX)).is_empty());
    assert_eq!(rig.engine.carried_state(), before);
}
