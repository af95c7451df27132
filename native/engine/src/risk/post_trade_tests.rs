use domain::{Currency, Decimal, Money};

use super::*;

fn limits() -> RiskLimits {
    let money = Money::from_units(1_000, Currency::new("USDT").unwrap());
    RiskLimits {
        max_position_usd: money,
        max_portfolio_concentration: Decimal::ONE,
        max_leverage: Decimal::ONE,
        var_limit_1d_95: money,
        max_drawdown_pct: Decimal::parse(b"0.15").unwrap(),
        max_order_size_usd: money,
        max_order_rate_per_min: 60,
        margin_buffer: Decimal::ZERO,
        margin_call_threshold: Decimal::parse(b"0.05").unwrap(),
        price_collar_bps: 100,
        duplicate_window: Nanos(0),
        repeated_execution_limit: 3,
        repeated_execution_window: Nanos(100),
        max_data_age: Nanos(1),
    }
}

#[test]
fn the_drawdown_stop_is_beyond_its_limit_from_the_peak() {
    let mut drawdown = Drawdown { peak: 1_000 };
    assert!(!drawdown.observe(2_000, &limits()), "a new peak");
    assert!(!drawdown.observe(1_700, &limits()), "at the limit");
    assert!(drawdown.observe(1_699, &limits()));
    drawdown.shift(-1_000);
    assert!(!drawdown.observe(850, &limits()), "capital that left is no loss");
    assert!(drawdown.observe(849, &limits()));
    drawdown.reset(849);
    assert!(!drawdown.observe(849, &limits()));
    assert!(
        Drawdown { peak: i128::MAX }.observe(0, &limits()),
        "what does not fit counts as exceeded"
    );
}

#[test]
fn a_margin_call_is_told_when_it_begins() {
    let mut watch = MarginWatch::default();
    assert!(!watch.observe(1_000, 950, &limits()), "5 % free");
    assert!(watch.observe(1_000, 951, &limits()));
    assert!(!watch.observe(1_000, 960, &limits()), "told before");
    assert!(!watch.observe(1_000, 950, &limits()));
    assert!(watch.observe(1_000, 951, &limits()), "begins again");
    assert!(
        !MarginWatch::default().observe(0, 0, &limits()),
        "nothing held, nothing called"
    );
}

#[test]
fn executions_count_within_their_window() {
    let limits = limits();
    let slot = SlotId(2);
    let mut throttle = ExecutionThrottle::new([SlotId(1), slot].into_iter());
    let mut count = |at: i64| throttle.count(slot, Timestamp::from_nanos(at), [&limits, &limits]);
    assert_eq!([count(0), count(1), count(2)], [[false; 2]; 3], "at the limit");
    assert_eq!(count(100), [false; 2], "the first has left the window");
    assert_eq!(count(100), [true; 2], "4 within the window");
    throttle.reset_account();
    let after = throttle.count(slot, Timestamp::from_nanos(100), [&limits, &limits]);
    assert_eq!(after, [false, true]);
    throttle.reset_slot(slot);
    let after = throttle.count(slot, Timestamp::from_nanos(100), [&limits, &limits]);
    assert_eq!(after, [false, false]);
}
