//! In steady state an event allocates nothing: quotes, trades, bars, features, orders, fills, cancels.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use std::alloc::System;

use domain::{
    ClientOrderId, Decimal, Fill, Liquidity, MarketEvent, Money, Nanos, OrderReport, OrderReportKind, Price,
    Quantity, Quote, SCALE, Side, Text, Timestamp, Trade, TradeId, VenueOrderId,
};
use engine::signals::{EventRule, FeatureSpec};
use engine::strategy::{BarView, Intent, Intents, OrderIntent, SlotView, Strategy};
use engine::{Action, Actions, Decision, Engine, Event, EventBody, SlotProgram};
use rig::{BAR, BTC, Linear, OTHER, SLOT, Silent, config, milli, one_feature, price, program};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Buys when flat, sells when not, and every third time cancels what works: all paths of an order.
struct Restless {
    turn: u32,
}

impl Strategy for Restless {
    fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
        Decision::Hold
    }

    fn on_quote(&mut self, view: &SlotView<'_>, _: &Quote, intents: &mut Intents) {
        self.turn += 1;
        let held = view.position > Quantity::ZERO;
        if self.turn.is_multiple_of(3) {
            intents.push(Intent::CancelWorking(None));
        }
        let (side, dollars) = if held { (Side::Sell, 105) } else { (Side::Buy, 95) };
        let timeout = Some(Nanos::from_secs(30));
        intents.push(Intent::Order(OrderIntent {
            timeout,
            ..rig::wish(side, dollars, 1)
        }));
    }

    fn wants_quotes(&self) -> bool {
        true
    }
}

/// Plays the venue for one engine.
struct Desk {
    engine: Engine,
    actions: Actions,
    now: i64,
    seq: u64,
    trade_id: u64,
    waiting: Vec<(ClientOrderId, Side)>,
    counts: [u64; 4],
}

impl Desk {
    fn feed(&mut self, body: EventBody<'_>) {
        self.seq += 1;
        let event = Event {
            seq: self.seq,
            ts: Timestamp::from_nanos(self.now),
            body,
        };
        self.engine.on_event(&event, &mut self.actions);
        for action in self.actions.drain() {
            match action {
                Action::Submit(approved) => {
                    let request = approved.into_inner();
                    self.waiting.push((request.client_order_id, request.side));
                    self.counts[0] += 1;
                }
                Action::Signal(_) => self.counts[1] += 1,
                Action::Fill(_) => self.counts[2] += 1,
                Action::Cancel(_) => self.counts[3] += 1,
                _ => {}
            }
        }
    }

    fn report(&mut self, client_order_id: ClientOrderId, kind: OrderReportKind) {
        let ts_event = Timestamp::from_nanos(self.now);
        self.feed(EventBody::OrderReport(OrderReport {
            client_order_id,
            instrument: BTC,
            ts_event,
            kind,
        }));
    }

    /// Answers every order: some fill in two parts, some are canceled.
    fn answer(&mut self) {
        while let Some((id, side)) = self.waiting.pop() {
            self.report(
                id,
                OrderReportKind::Accepted(VenueOrderId(Text::new("12").unwrap())),
            );
            let live = self
                .engine
                .order(id)
                .is_some_and(|order| !order.status.is_terminal());
            if !live {
                continue;
            }
            if id.counter.is_multiple_of(4) {
                self.report(id, OrderReportKind::Canceled);
            } else {
                self.trade_id += 1;
                let fill = Fill {
                    trade_id: TradeId(self.trade_id),
                    price: price(100),
                    quantity: milli(1),
                    side,
                    fee: Money::from_units(7, rig::usd()),
                    liquidity: Liquidity::Maker,
                };
                self.report(id, OrderReportKind::Filled(fill));
                self.report(id, OrderReportKind::Filled(fill));
            }
        }
    }

    fn run(&mut self, rounds: i64) {
        for round in 0..rounds {
            self.now += BAR.0 / 20;
            let mid = 100 + round % 3;
            let (ts_event, trade_id) = (Timestamp::from_nanos(self.now), TradeId(0));
            let (bid, ask) = (price(mid - 1), price(mid + 1));
            let quantity = Quantity::ONE;
            self.feed(EventBody::Market(MarketEvent::Trade(Trade {
                instrument: BTC,
                ts_event,
                trade_id,
                price: Price::from_units(price(100).units() + round % 7),
                quantity,
                aggressor: Side::Buy,
            })));
            self.feed(EventBody::Market(MarketEvent::Quote(Quote {
                instrument: BTC,
                ts_event,
                update_id: 1,
                bid,
                bid_quantity: quantity,
                ask,
                ask_quantity: quantity,
            })));
            // Some orders still wait when the strategy cancels.
            if round % 5 != 0 {
                self.answer();
            }
        }
    }
}

#[test]
fn an_event_allocates_nothing() {
    let mut engine = Engine::new(config()).unwrap();
    let model = Linear {
        width: 1,
        broken: false,
    };
    let restless = SlotProgram {
        features: Some(one_feature()),
        model: Some(Box::new(model)),
        ..program(SLOT, 1, Box::new(Restless { turn: 0 }))
    };
    engine.stage(restless).unwrap();
    let by_trades = SlotProgram {
        features: Some(FeatureSpec {
            events: EventRule::named("ticks", Decimal::from_units(3 * SCALE), 0),
            ..one_feature()
        }),
        ..program(OTHER, 2, Box::new(Silent))
    };
    engine.stage(by_trades).unwrap();
    let mut desk = Desk {
        engine,
        actions: Actions::new(),
        now: rig::START,
        seq: 0,
        trade_id: 0,
        waiting: Vec::with_capacity(64),
        counts: [0; 4],
    };
    desk.feed(EventBody::Started {
        epoch: domain::Epoch(1),
    });
    desk.feed(EventBody::TradesComplete {
        instrument: BTC,
        since: Timestamp::from_nanos(desk.now),
    });
    let expires = Timestamp::from_nanos(i64::MAX);
    for (slot, number) in [(SLOT, 1), (OTHER, 2)] {
        desk.feed(EventBody::BundleActivated(engine::BundleActivated {
            slot,
            digest: rig::digest(number),
            serial: 1,
            expires,
        }));
    }
    // Past every ring: ended orders, remembered fills, bars of history.
    desk.run(100_000);
    let before = desk.counts;
    let region = Region::new(ALLOCATOR);
    desk.run(20_000);
    let change = region.change();
    let [submits, signals, fills, cancels] = [0, 1, 2, 3].map(|at| desk.counts[at] - before[at]);
    assert!(
        submits > 5_000 && signals > 7_500 && fills > 5_000 && cancels > 100,
        "{:?}",
        desk.counts
    );
    assert_eq!((change.allocations, change.reallocations), (0, 0));
}
