//! One instrument, its bars and quotes, and settings for them: what the tests of this crate stand on.
#![allow(dead_code, reason = "each test file uses its part")]

use backtest::{BacktestReport, Program, Settings};
use domain::{
    Bar, Currency, Decimal, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money, Nanos,
    OrderType, Price, Quantity, Quote, SCALE, Side, Text, TimeInForce, Timestamp, Venue,
};
use engine::risk::RiskLimits;
use engine::strategy::{Intent, OrderIntent, Strategy};
use simulation::{FeeAsset, FeeSchedule, FlowConfig, Latency, LatencyModel, PublicEvent};

pub(crate) const BTC: InstrumentId = InstrumentId(0);
pub(crate) const SPAN: Nanos = Nanos::from_secs(900);
/// Number of the first bar since the epoch.
pub(crate) const FIRST: i64 = 1_800_000;
pub(crate) const CAPITAL: i64 = 100_000;

pub(crate) fn usdt() -> Currency {
    Currency::new("USDT").expect("a code")
}

pub(crate) fn dollars(amount: i64) -> Money {
    Money::from_decimal_units(amount * SCALE, usdt())
}

pub(crate) fn decimal(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).expect("a number")
}

pub(crate) fn limits() -> RiskLimits {
    RiskLimits {
        max_position_usd: dollars(1_000_000),
        max_portfolio_concentration: decimal("1"),
        max_leverage: decimal("1"),
        var_limit_1d_95: dollars(1_000_000),
        max_drawdown_pct: decimal("0.9"),
        max_order_size_usd: dollars(1_000_000),
        max_order_rate_per_min: 1_000,
        margin_buffer: decimal("0"),
        margin_call_threshold: decimal("0"),
        price_collar_bps: 5_000,
        duplicate_window: Nanos(0),
        repeated_execution_limit: 4_000,
        repeated_execution_window: Nanos::from_secs(60),
        max_data_age: Nanos::from_secs(5),
    }
}

pub(crate) fn settings(seed: u64) -> Settings {
    let leg = Latency {
        base: Nanos::from_millis(20),
        jitter: Nanos::from_millis(5),
    };
    Settings {
        instrument: Instrument {
            id: BTC,
            venue: Venue::Binance,
            symbol: Text::new("BTCUSDT").expect("a symbol"),
            base: Currency::new("BTC").expect("a code"),
            quote: usdt(),
            rules: InstrumentRules {
                tick_size: Price::from_units(1_000_000),
                lot_size: Quantity::from_units(1),
                min_price: Price::ZERO,
                max_price: Price::ZERO,
                min_quantity: Quantity::ZERO,
                max_quantity: Quantity::ZERO,
                min_notional: Money::zero(usdt()),
            },
            status: InstrumentStatus::Trading,
        },
        capital: dollars(CAPITAL),
        limits: limits(),
        daily_volatility: decimal("0.03"),
        bar_span: SPAN,
        latency: LatencyModel {
            feed: leg,
            entry: leg,
            report: leg,
            seed,
        },
        fees: FeeSchedule {
            maker_bps: decimal("2"),
            taker_bps: decimal("5"),
            asset: FeeAsset::Quote,
        },
        flow: FlowConfig::with_seed(seed),
        keep_signals: true,
    }
}

pub(crate) fn program(strategy: impl Strategy + 'static) -> Program {
    Program {
        strategy: Box::new(strategy),
        features: None,
        model: None,
    }
}

/// A market order, immediate.
pub(crate) fn market_order(side: Side, quantity: Quantity) -> Intent {
    Intent::Order(OrderIntent {
        instrument: BTC,
        side,
        quantity,
        order_type: OrderType::Market,
        price: None,
        time_in_force: TimeInForce::Ioc,
        post_only: false,
        reduce_only: false,
        timeout: None,
    })
}

/// A small generator of its own (xorshift), so that the tests' randomness is plain to see.
#[derive(Clone)]
pub(crate) struct Coin(pub(crate) u64);

impl Coin {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A quiet random walk: one dollar up or down a bar.
pub(crate) fn bars(seed: u64, count: i64) -> Vec<Bar> {
    let mut coin = Coin(seed);
    let mut close = 43_000 * SCALE;
    (0..count)
        .map(|at| {
            let open = close;
            close += if coin.next() & 1 == 0 { SCALE } else { -SCALE };
            Bar {
                instrument: BTC,
                ts_open: Timestamp::from_nanos((FIRST + at) * SPAN.0),
                span: SPAN,
                open: Price::from_units(open),
                high: Price::from_units(open.max(close) + SCALE / 2),
                low: Price::from_units(open.min(close) - SCALE / 2),
                close: Price::from_units(close),
                volume: Quantity::from_units(50 * SCALE),
            }
        })
        .collect()
}

/// Quotes a second apart around a walk of whole dollars, `size` on each side.
pub(crate) fn quotes(seed: u64, count: i64, size: Quantity) -> Vec<PublicEvent> {
    let mut coin = Coin(seed);
    let mut mid = 43_000 * SCALE;
    (0..count)
        .map(|at| {
            mid += if coin.next() & 1 == 0 { SCALE } else { -SCALE };
            PublicEvent::Quote(Quote {
                instrument: BTC,
                ts_event: Timestamp::from_nanos(FIRST * SPAN.0 + at * 1_000_000_000),
                update_id: 0,
                bid: Price::from_units(mid - SCALE / 2),
                bid_quantity: size,
                ask: Price::from_units(mid + SCALE / 2),
                ask_quantity: size,
            })
        })
        .collect()
}

/// What the fills moved: base quantity, and quote currency in units of 1e-16 with fees taken off.
pub(crate) fn flows(report: &BacktestReport) -> (i128, i128) {
    report.fills.iter().fold((0, 0), |(base, quote), booked| {
        let fill = booked.fill;
        let sign = i128::from(fill.side.sign());
        let value = i128::from(fill.price.units()) * i128::from(fill.quantity.units());
        (
            base + sign * i128::from(fill.quantity.units()),
            quote - sign * value - fill.fee.units(),
        )
    })
}

/// Panics unless position and equity at the end are exactly what the fills make them.
pub(crate) fn assert_books_balance(report: &BacktestReport) {
    let holding = report.holding.expect("a finished run");
    let (base, cash) = flows(report);
    assert_eq!(base, i128::from(holding.quantity.units()));
    let worth = i128::from(holding.mark.units()) * base;
    assert_eq!(dollars(CAPITAL).units() + cash + worth, holding.equity.units());
    assert_eq!(report.equity.last().expect("points").equity, holding.equity);
}
