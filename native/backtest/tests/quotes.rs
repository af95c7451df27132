//! Backtests over quotes: what is displayed is taken once, and the books balance to the last unit.

mod market;

use backtest::{BacktestError, BacktestReport, over_quotes};
use domain::{Nanos, OrderStatus, Price, Quantity, Quote, SCALE, Side, Timestamp};
use engine::strategy::{BarView, Intents, SlotView, SmaCross, SmaCrossParameters, SmaSource, Strategy};
use engine::{Decision, OrderUpdate};
use market::{BTC, FIRST, SPAN, assert_books_balance, decimal, market_order, program, quotes, settings};
use simulation::PublicEvent;

fn cross() -> SmaCross {
    SmaCross::new(SmaCrossParameters {
        source: SmaSource::QuoteMid,
        fast: 5,
        slow: 20,
        position_size_pct: decimal("0.5"),
    })
    .expect("lengths in range")
}

fn run(size: Quantity) -> BacktestReport {
    let events = quotes(4, 5_000, size);
    over_quotes(&settings(1), program(cross()), events.into_iter(), None).expect("a run to the end")
}

#[test]
fn a_cross_trades_and_its_books_balance() {
    let report = run(Quantity::from_units(5 * SCALE));
    assert!(report.fills.len() > 50, "{} fills", report.fills.len());
    assert_books_balance(&report);
    assert_eq!(report.denied(), 0, "{:?}", report.denials);
    assert!(report.signals.is_empty(), "no model, no signals");
}

#[test]
fn orders_larger_than_the_level_are_filled_in_part() {
    let report = run(Quantity::from_units(SCALE / 10));
    assert!(report.ends.expired > 0, "{:?}", report.ends);
    assert_books_balance(&report);
    let largest = report.fills.iter().map(|fill| fill.fill.quantity).max();
    assert_eq!(largest, Some(Quantity::from_units(SCALE / 10)));
}

#[test]
fn one_unit_of_liquidity_fills_one_order() {
    /// Asks twice for all that is offered.
    struct Greedy(bool);
    impl Strategy for Greedy {
        fn on_bar(&mut self, _: &SlotView<'_>, _: &BarView<'_>, _: &mut Intents) -> Decision {
            Decision::Hold
        }
        fn on_quote(&mut self, _: &SlotView<'_>, quote: &Quote, intents: &mut Intents) {
            if !std::mem::replace(&mut self.0, true) {
                intents.push(market_order(Side::Buy, quote.ask_quantity));
                intents.push(market_order(Side::Buy, quote.ask_quantity));
            }
        }
        fn on_order(&mut self, _: &SlotView<'_>, update: &OrderUpdate, _: &mut Intents) {
            assert_ne!(update.status, OrderStatus::Denied);
        }
        fn wants_quotes(&self) -> bool {
            true
        }
    }
    let displayed = Quantity::from_units(SCALE / 2);
    let quote = |seconds: i64| {
        PublicEvent::Quote(Quote {
            instrument: BTC,
            ts_event: Timestamp::from_nanos(FIRST * SPAN.0).plus(Nanos::from_secs(seconds)),
            update_id: 0,
            bid: Price::from_units(42_999 * SCALE),
            bid_quantity: displayed,
            ask: Price::from_units(43_000 * SCALE),
            ask_quantity: displayed,
        })
    };
    let events = (0..5).map(quote);
    let report = over_quotes(&settings(1), program(Greedy(false)), events, None).expect("a run to the end");
    assert_eq!(report.orders, 2);
    assert_eq!(report.holding.expect("a finished run").quantity, displayed);
    assert_eq!((report.ends.filled, report.ends.expired), (1, 1));
}

#[test]
fn the_points_of_equity_stand_on_the_grid() {
    let report = run(Quantity::from_units(SCALE));
    let times: Vec<i64> = report
        .equity
        .iter()
        .map(|point| point.ts.nanos() / SPAN.0 - FIRST)
        .collect();
    assert_eq!(
        times,
        [0, 1, 2, 3, 4, 5, 6],
        "5000 s are five and a half quarters of an hour"
    );
}

#[test]
fn stale_quotes_deny_orders() {
    let mut slow = settings(1);
    slow.latency.feed.base = Nanos::from_secs(6);
    let report = over_quotes(
        &slow,
        program(cross()),
        quotes(4, 500, Quantity::ONE).into_iter(),
        None,
    )
    .expect("a run to the end");
    assert_eq!(report.fills.len(), 0);
    assert!(report.denied() > 0);
    assert_eq!(format!("{:?}", report.denials[0].0), "StaleData");
}

#[test]
fn no_quotes_are_no_backtest() {
    let result = over_quotes(&settings(1), program(cross()), std::iter::empty(), None);
    assert_eq!(result.err(), Some(BacktestError::NoData));
}
