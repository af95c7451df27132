//! Backtests over bars: decide on the close, act on what comes next, pay for every trade.

mod market;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use backtest::{BacktestError, BacktestReport, Program, over_bars};
use domain::{Nanos, Quantity, SCALE, Side, Text, Timestamp};
use engine::signals::program::{Input, Unit};
use engine::signals::{Beside, FLOW_INPUTS, FeatureDef, FeatureKind, FeatureSpec, SlowColumn};
use engine::strategy::{BarView, Intents, SlotView, Strategy};
use engine::{Decision, StageError};
use market::{
    CAPITAL, Coin, FIRST, SPAN, assert_books_balance, bars, dollars, market_order, program, settings,
};

const FIRST_OPEN: Timestamp = Timestamp::from_nanos(FIRST * SPAN.0);

/// Buys or sells at a coin's toss, at market, at every close.
struct CoinToss(Coin);

impl Strategy for CoinToss {
    fn on_bar(&mut self, view: &SlotView<'_>, _: &BarView<'_>, intents: &mut Intents) -> Decision {
        if self.0.next() & 1 == 0 {
            return Decision::Hold;
        }
        if view.position.is_zero() {
            intents.push(market_order(Side::Buy, Quantity::from_units(SCALE / 100)));
            Decision::Enter
        } else {
            intents.push(market_order(Side::Sell, view.position));
            Decision::Exit
        }
    }
}

fn backtest(seed: u64, count: i64) -> BacktestReport {
    let strategy = program(CoinToss(Coin(seed)));
    over_bars(
        &settings(seed),
        strategy,
        &bars(seed, count),
        &[],
        FIRST_OPEN,
        None,
    )
    .expect("a run to the end")
}

#[test]
fn a_random_signal_loses_its_costs() {
    let (mut profit, mut fees) = (0_i128, 0_i128);
    for seed in 1..=6 {
        let report = backtest(seed, 200);
        assert!(report.fills.len() > 30, "{} fills", report.fills.len());
        let holding = report.holding.expect("a finished run");
        profit += holding.equity.units() - dollars(CAPITAL).units();
        fees += holding.fees.units();
    }
    assert!(fees > 0);
    assert!(
        profit < -fees,
        "the spread costs too: profit {profit}, fees {fees}"
    );
}

#[test]
fn what_is_decided_at_a_close_trades_after_it() {
    let report = backtest(3, 120);
    assert!(report.fills.len() > 20);
    for fill in &report.fills {
        let since_close = fill.ts_event.since(fill.ts_event.floor_to(SPAN));
        // One way out is at least 20 ms; the fill is not at the close it was decided on.
        assert!(since_close >= Nanos::from_millis(20), "{since_close:?}");
    }
}

#[test]
fn the_fills_are_the_position_and_the_equity() {
    for seed in 1..=4 {
        let report = backtest(seed, 150);
        assert_books_balance(&report);
        let ended = report.ends.filled + report.ends.expired + report.ends.canceled + report.ends.rejected;
        assert_eq!(report.orders, ended, "immediate orders end");
    }
}

#[test]
fn equity_stands_at_the_start_and_at_the_end_of_every_bar() {
    let report = backtest(2, 40);
    let times: Vec<i64> = report.equity.iter().map(|point| point.ts.nanos()).collect();
    let expected: Vec<i64> = (FIRST..=FIRST + 40).map(|bar| bar * SPAN.0).collect();
    assert_eq!(times, expected);
    assert_eq!(report.equity[0].equity, dollars(CAPITAL));
}

#[test]
fn equal_seeds_give_equal_runs() {
    let (one, two) = (backtest(5, 80), backtest(5, 80));
    assert_eq!(
        (one.events, one.orders, one.ends),
        (two.events, two.orders, two.ends)
    );
    assert_eq!(one.fills, two.fills);
    assert_eq!(one.equity, two.equity);
    assert_ne!(one.fills, backtest(6, 80).fills);
}

#[test]
fn what_comes_later_changes_nothing_before_it() {
    let strategy = || program(CoinToss(Coin(8)));
    let whole = over_bars(&settings(8), strategy(), &bars(8, 90), &[], FIRST_OPEN, None).expect("a run");
    let cut = over_bars(&settings(8), strategy(), &bars(8, 60), &[], FIRST_OPEN, None).expect("a run");
    let end = FIRST_OPEN.plus(Nanos(59 * SPAN.0));
    let before = |report: &BacktestReport| {
        let fills = report.fills.iter().filter(|fill| fill.ts_event < end).copied();
        fills.collect::<Vec<_>>()
    };
    assert_eq!(before(&whole), before(&cut));
    assert_eq!(whole.equity[..60], cut.equity[..60]);
}

/// A return over one bar, and a strategy that never trades.
fn watcher(lag: u16) -> Program {
    struct Watcher;
    impl Strategy for Watcher {
        fn on_bar(&mut self, _: &SlotView<'_>, bar: &BarView<'_>, _: &mut Intents) -> Decision {
            assert!(
                !bar.features.is_empty(),
                "history warms features before trading begins"
            );
            Decision::Hold
        }
    }
    let feature = FeatureDef {
        name: "ret".into(),
        kind: FeatureKind::Return { lag },
        restart_window: 0,
    };
    Program {
        features: Some(FeatureSpec {
            bar_span: SPAN,
            events: None,
            slow: Vec::new(),
            features: vec![feature],
        }),
        ..program(Watcher)
    }
}

#[test]
fn bars_before_the_start_warm_the_features_and_are_not_traded() {
    let start = FIRST_OPEN.plus(Nanos(30 * SPAN.0));
    let report = over_bars(&settings(1), watcher(25), &bars(1, 50), &[], start, None).expect("a run");
    assert_eq!(report.equity.len(), 21);
    assert_eq!(report.equity[0].ts, start);
    // The last bar closes with the first event after it, which the data do not have.
    assert_eq!(report.signals.len(), 19);
}

#[test]
fn a_raised_flag_stops_the_run() {
    struct StopsAt(u32, Arc<AtomicBool>);
    impl Strategy for StopsAt {
        fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
            self.0 -= 1;
            if self.0 == 0 {
                self.1.store(true, Ordering::Relaxed);
            }
            Decision::Hold
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let strategy = program(StopsAt(3, Arc::clone(&stop)));
    let result = over_bars(&settings(1), strategy, &bars(1, 50), &[], FIRST_OPEN, Some(&stop));
    assert!(matches!(result, Err(BacktestError::Stopped(_))));
}

#[test]
fn what_cannot_be_run_says_why() {
    let strategy = || program(CoinToss(Coin(1)));
    let after = FIRST_OPEN.plus(Nanos(50 * SPAN.0));
    let result = over_bars(&settings(1), strategy(), &bars(1, 50), &[], after, None);
    assert_eq!(result.err(), Some(BacktestError::NoData));
    let mut coarse = settings(1);
    coarse.instrument.rules.tick_size = domain::Price::from_units(7);
    let result = over_bars(&coarse, strategy(), &bars(1, 50), &[], FIRST_OPEN, None);
    assert!(matches!(result, Err(BacktestError::Simulation(_))));
    let mut other = watcher(5);
    other.features.as_mut().expect("features").bar_span = Nanos::from_secs(60);
    let result = over_bars(&settings(1), other, &bars(1, 50), &[], FIRST_OPEN, None);
    assert_eq!(
        result.err(),
        Some(BacktestError::NotActivated("SlotMismatch".into()))
    );
    let mut huge = settings(1);
    huge.daily_volatility = market::decimal("-1");
    let result = over_bars(&huge, strategy(), &bars(1, 50), &[], FIRST_OPEN, None);
    assert!(matches!(
        result,
        Err(BacktestError::Stage(StageError::OutOfRange { .. }))
    ));
}

#[test]
fn a_bar_closes_in_time_before_an_interval_without_trades() {
    struct OnTime;
    impl Strategy for OnTime {
        fn on_bar(&mut self, view: &SlotView<'_>, bar: &BarView<'_>, _: &mut Intents) -> Decision {
            let late = view.now.since(bar.bar.ts_close());
            assert!(late < Nanos::from_secs(60), "decided {late:?} after the close");
            Decision::Hold
        }
    }
    let mut bars = bars(3, 60);
    for at in (5..55).step_by(7) {
        let before = bars[at - 1].close;
        let empty = &mut bars[at];
        (empty.open, empty.high, empty.low, empty.close) = (before, before, before, before);
        empty.volume = Quantity::ZERO;
        bars[at + 1].open = before;
        bars[at + 1].high = bars[at + 1].high.max(before);
        bars[at + 1].low = bars[at + 1].low.min(before);
    }
    let report =
        over_bars(&settings(3), program(OnTime), &bars, &[], FIRST_OPEN, None).expect("a run to the end");
    assert_eq!(report.equity.len(), 61);
}

/// Remembers the row of features at each bar.
struct Noting(Arc<Mutex<Vec<Option<Vec<f32>>>>>);

impl Strategy for Noting {
    fn on_bar(&mut self, _: &SlotView<'_>, bar: &BarView<'_>, _: &mut Intents) -> Decision {
        let row = (!bar.features.is_empty()).then(|| bar.features.to_vec());
        self.0.lock().expect("one thread").push(row);
        Decision::Hold
    }
}

/// What a program sees of a slow parameter and of the trades in bars, which a record gives from the 20th bar on.
fn seen(beside: &[Beside]) -> Vec<Option<Vec<f32>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let expression = |name: &str| FeatureDef {
        name: format!("of_{name}"),
        kind: FeatureKind::Expression(name.to_owned()),
        restart_window: 0,
    };
    let rate = SlowColumn {
        name: Text::new("rate").expect("a short name"),
        unit: Unit::NONE,
        max_age: SPAN,
    };
    let program = Program {
        features: Some(FeatureSpec {
            bar_span: SPAN,
            events: None,
            slow: vec![rate],
            features: vec![expression("rate"), expression("trades")],
        }),
        ..program(Noting(Arc::clone(&seen)))
    };
    let start = Timestamp::from_nanos((FIRST + 10) * SPAN.0);
    over_bars(&settings(1), program, &bars(1, 50), beside, start, None).expect("a run to the end");
    Arc::try_unwrap(seen)
        .expect("the run is over")
        .into_inner()
        .expect("one thread")
}

#[test]
fn features_read_what_a_record_knows_beside_the_bars_and_nothing_of_the_market_that_is_made() {
    let trades = FLOW_INPUTS
        .iter()
        .position(|input| *input == Input::Trades)
        .expect("an input");
    let known = |number: u8| {
        let mut beside = Beside::UNKNOWN;
        if number >= 20 {
            beside.slow[0] = f64::from(number) / 4.0;
            beside.flow[trades] = f64::from(number) + 100.0;
        }
        beside
    };
    let rows = seen(&(0..50).map(known).collect::<Vec<_>>());
    assert_eq!(rows.len(), 39, "the last one is not seen to close");
    for (number, row) in (10_u8..).zip(rows) {
        let expected = (number >= 20).then(|| vec![f32::from(number) / 4.0, f32::from(number) + 100.0]);
        assert_eq!(row, expected, "bar {number}");
    }
    assert!(seen(&[]).iter().all(Option::is_none));
}
