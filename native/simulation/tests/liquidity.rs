//! One unit of the crowd's liquidity fills one own order, once, and only an order that it reached.

mod fixtures;

use domain::{Liquidity, OrderType, Price, Quantity, Side, TimeInForce};
use fixtures::{any_bars, instrument};
use proptest::prelude::*;
use simulation::{
    BarFlow, Best, FlowConfig, FlowKind, MatchingEngine, NewOrder, OrderOutcome, Outbox, Output, Owner,
    SelfTradePrevention,
};

/// An order that is left in the book for the market to come to: after how many events, how far from the last trade.
#[derive(Debug, Clone, Copy)]
struct Rest {
    after: usize,
    owner: u16,
    buy: bool,
    away: i64,
    lots: i64,
}

fn any_rest() -> impl Strategy<Value = Rest> {
    let size = prop_oneof![1i64..1_000, 1i64..100_000_000, 1i64..50_000_000_000];
    (0usize..600, 0u16..2, any::<bool>(), -40i64..900, size).prop_map(|(after, owner, buy, away, lots)| {
        Rest {
            after,
            owner,
            buy,
            away,
            lots,
        }
    })
}

/// What one event of the crowd did.
#[derive(Debug, Default)]
struct Done {
    /// `(side, price, quantity)` of each fill of an own order.
    fills: Vec<(Side, Price, i64)>,
    /// Quantity of the public trades.
    printed: i64,
}

impl Done {
    /// Reads what happened, and sees that no best prices that were published cross.
    fn read(out: &Outbox, side_of: impl Fn(u64) -> Side) -> Self {
        let mut done = Self::default();
        for output in &out.outputs {
            match *output {
                Output::Trade { quantity, .. } => done.printed += quantity.units(),
                Output::Quote(best) => assert!(!is_crossed(best), "{best:?}"),
                Output::Order {
                    order,
                    outcome:
                        OrderOutcome::Filled {
                            price,
                            quantity,
                            liquidity,
                            ..
                        },
                    ..
                } => {
                    assert_eq!(
                        liquidity,
                        Liquidity::Maker,
                        "the crowd's events find resting orders"
                    );
                    done.fills.push((side_of(order.0), price, quantity.units()));
                }
                _ => {}
            }
        }
        done
    }

    fn filled(&self) -> i64 {
        self.fills.iter().map(|fill| fill.2).sum()
    }
}

fn is_crossed(best: Best) -> bool {
    best.bid.zip(best.ask).is_some_and(|(bid, ask)| bid.0 >= ask.0)
}

/// Whether a resting order of `side` at `price` stands in the way of others at `at` on the other side.
fn reaches(side: Side, price: Price, at: Price) -> bool {
    match side {
        Side::Buy => at <= price,
        Side::Sell => at >= price,
    }
}

struct Desk {
    engine: MatchingEngine,
    out: Outbox,
    sides: Vec<Side>,
    last_price: Price,
    /// Whether bars are played, or a market without a record.
    recorded: bool,
    bar_volume: i64,
    bar_filled: i64,
}

impl Desk {
    fn level(&self, side: Side, price: Price) -> i64 {
        let mut levels = Vec::new();
        self.engine.depth(side, usize::MAX, &mut levels);
        let found = levels.iter().find(|level| level.0 == price);
        found.map_or(0, |level| level.1.units())
    }

    /// Whether the other side's best price stands in the way of the crowd's `side` at `price`: then it is an own order's,
    /// for the crowd does not cross itself.
    fn is_barred(&self, side: Side, price: Price) -> bool {
        let best = self.engine.best();
        let other = if side == Side::Buy { best.ask } else { best.bid };
        other.is_some_and(|other| reaches(side.opposite(), other.0, price))
    }

    fn place(&mut self, rest: &Rest) {
        let side = if rest.buy { Side::Buy } else { Side::Sell };
        let price = self.last_price.units() - side.sign() * rest.away * fixtures::TICK;
        let order = NewOrder {
            owner: Owner(rest.owner),
            side,
            order_type: OrderType::Limit,
            price: Some(Price::from_units(price.max(fixtures::TICK))),
            quantity: Quantity::from_units(rest.lots),
            time_in_force: TimeInForce::Gtc,
            post_only: true,
            self_trade: SelfTradePrevention::ExpireMaker,
        };
        self.out.outputs.clear();
        self.sides.push(side);
        self.engine.submit(&order, &mut self.out);
        assert!(!is_crossed(self.engine.best()));
    }

    /// Plays one event and holds what it did against what came with it.
    fn play(&mut self, kind: &FlowKind) {
        let added = match *kind {
            FlowKind::Add { side, price, .. } => self.level(side, price),
            _ => 0,
        };
        self.out.outputs.clear();
        self.engine.apply(kind, &mut self.out);
        self.engine.publish(&mut self.out);
        assert!(!is_crossed(self.engine.best()), "{kind:?}");
        let sides = &self.sides;
        let at = |order: u64| sides[usize::try_from(order).expect("an order's number") - 1];
        let done = Done::read(&self.out, at);
        match *kind {
            FlowKind::Add {
                side,
                price,
                quantity,
            } => self.check_display(side, price, quantity.units(), added, &done),
            FlowKind::Trade {
                price,
                quantity,
                aggressor,
            } => self.check_trade(price, quantity.units(), aggressor, &done),
            _ => assert_eq!((done.filled(), done.printed), (0, 0), "{kind:?}"),
        }
        self.bar_filled += done.filled();
    }

    fn check_display(&self, side: Side, price: Price, quantity: i64, before: i64, done: &Done) {
        assert!(done.filled() <= quantity, "{quantity} came: {done:?}");
        for &(own, at, _) in &done.fills {
            assert!(own != side && reaches(own, at, price), "at {price:?}: {done:?}");
        }
        let kept = if self.is_barred(side, price) {
            0
        } else {
            quantity - done.filled()
        };
        assert_eq!(
            self.level(side, price),
            before + kept,
            "what was taken is not shown"
        );
    }

    fn check_trade(&mut self, price: Price, quantity: i64, aggressor: Side, done: &Done) {
        assert!(done.filled() <= quantity, "{quantity} traded: {done:?}");
        for &(own, at, _) in &done.fills {
            assert!(reaches(own, at, price), "{aggressor:?} at {price:?}: {done:?}");
        }
        // Own trades before it may stand in for a part of a record's trade, not for all of it.
        if self.recorded {
            assert!(done.printed > 0);
        } else {
            assert_eq!(done.printed, quantity, "once");
        }
        self.last_price = price;
    }
}

/// Plays the flow of `bars` event by event, with orders resting in it; without its bars where it is no record.
fn play(bars: &[domain::Bar], seed: u64, mut orders: Vec<Rest>, recorded: bool) {
    let config = FlowConfig {
        trades_min: 2,
        trades_max: 12,
        levels: 5,
        ..FlowConfig::with_seed(seed)
    };
    let flow = BarFlow::new(&instrument(), config, bars.to_vec()).expect("a flow");
    let mut desk = Desk {
        engine: MatchingEngine::new(instrument().rules.lot_size),
        out: Outbox::default(),
        sides: Vec::new(),
        last_price: bars[0].open,
        recorded,
        bar_volume: 0,
        bar_filled: 0,
    };
    orders.sort_by_key(|order| order.after);
    let mut orders = orders.iter().peekable();
    for (index, event) in flow.enumerate() {
        while let Some(order) = orders.next_if(|order| order.after <= index) {
            desk.place(order);
        }
        if let FlowKind::BarOpened { .. } | FlowKind::RecordEnded = event.kind {
            assert!(!recorded || desk.bar_filled <= desk.bar_volume, "of one bar");
            let opened = bars.iter().find(|bar| bar.ts_open == event.ts);
            desk.bar_volume = opened.map_or(0, |bar| bar.volume.units());
            desk.bar_filled = 0;
            if !recorded {
                continue;
            }
        }
        desk.play(&event.kind);
    }
}

proptest! {
    #[test]
    fn what_comes_fills_once_what_it_reaches(
        bars in any_bars(),
        seed in any::<u64>(),
        orders in prop::collection::vec(any_rest(), 1..30),
        recorded in any::<bool>(),
    ) {
        play(&bars, seed, orders, recorded);
    }
}
