//! Backtests over bars: decide on the close, act on what comes next, pay for every trade.

use backtest::{BacktestError, BacktestReport, Start, run};
use domain::{
    Bar, BundleDigest, Currency, Decimal, Epoch, Instrument, InstrumentId, InstrumentRules, InstrumentStatus,
    Money, Nanos, OrderType, Price, Quantity, SCALE, Side, SlotId, Text, TimeInForce, Timestamp, Venue,
};
use engine::risk::RiskLimits;
use engine::strategy::{BarView, Intent, Intents, OrderIntent, SlotView, Strategy};
use engine::{
    BundleActivated, CarriedState, Decision, Engine, EngineConfig, OnSwap, SlotConfig, SlotProgram,
};
use simulation::{
    FeeAsset, FeeSchedule, FeedConfig, FlowConfig, Latency, LatencyModel, SimulatedVenue, VenueConfig,
};

const BTC: InstrumentId = InstrumentId(0);
const SLOT: SlotId = SlotId(0);
const SPAN: Nanos = Nanos::from_secs(900);
const FIRST: i64 = 1_800_000;
const DIGEST: BundleDigest = BundleDigest([7; 32]);
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);

fn usdt() -> Currency {
    Currency::new("USDT").expect("a code")
}

fn dollars(amount: i64) -> Money {
    Money::from_units(i128::from(amount) * i128::from(SCALE) * i128::from(SCALE), usdt())
}

fn share(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).expect("a share")
}

fn instrument() -> Instrument {
    Instrument {
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
    }
}

fn limits() -> RiskLimits {
    RiskLimits {
        max_position_usd: dollars(1_000_000),
        max_portfolio_concentration: share("1"),
        max_leverage: share("1"),
        var_limit_1d_95: dollars(1_000_000),
        max_drawdown_pct: share("0.9"),
        max_order_size_usd: dollars(1_000_000),
        max_order_rate_per_min: 1_000,
        margin_buffer: share("0"),
        margin_call_threshold: share("0"),
        price_collar_bps: 5_000,
        duplicate_window: Nanos(0),
        repeated_execution_limit: 4_000,
        repeated_execution_window: Nanos::from_secs(60),
        max_data_age: Nanos::from_secs(3_600),
    }
}

/// A small generator of its own (xorshift), so that the test's randomness is plain to see.
#[derive(Clone)]
struct Coin(u64);

impl Coin {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Buys or sells at a coin's toss, at market, at every close.
struct CoinToss(Coin);

impl Strategy for CoinToss {
    fn on_bar(&mut self, view: &SlotView<'_>, _: &BarView<'_>, intents: &mut Intents) -> Decision {
        let buy = view.position.is_zero();
        if self.0.next() & 1 == 0 {
            return Decision::Hold;
        }
        intents.push(Intent::Order(OrderIntent {
            instrument: BTC,
            side: if buy { Side::Buy } else { Side::Sell },
            quantity: if buy {
                Quantity::from_units(SCALE / 100)
            } else {
                view.position
            },
            order_type: OrderType::Market,
            price: None,
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            reduce_only: false,
            timeout: None,
        }));
        if buy { Decision::Enter } else { Decision::Exit }
    }
}

/// A quiet random walk: one dollar up or down a bar.
fn bars(seed: u64, count: i64) -> Vec<Bar> {
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

fn engine(seed: u64) -> Engine {
    let slots = vec![SlotConfig {
        slot: SLOT,
        instrument: BTC,
        capital: dollars(100_000),
    }];
    let mut engine = Engine::new(EngineConfig {
        epoch: Epoch(1),
        portfolio_currency: usdt(),
        instruments: vec![instrument()],
        slots,
        limits: limits(),
        bar_span: SPAN,
        bar_close_grace: Nanos::from_secs(2),
        order_ack_timeout: Nanos::from_secs(5),
        require_reconciliation: false,
        carried: CarriedState::default(),
    })
    .expect("a valid configuration");
    let program = SlotProgram {
        slot: SLOT,
        digest: DIGEST,
        instrument: BTC,
        features: None,
        model: None,
        strategy: Box::new(CoinToss(Coin(seed))),
        limits: limits(),
        daily_volatility: share("0.03"),
        size_scale: Decimal::ONE,
        expires: NEVER,
        on_swap: OnSwap::Adopt,
    };
    engine.stage(program).expect("a program that fits");
    engine
}

fn venue(seed: u64, count: i64) -> SimulatedVenue {
    let leg = Latency {
        base: Nanos::from_millis(20),
        jitter: Nanos::from_millis(5),
    };
    let config = VenueConfig {
        instrument: instrument(),
        flow: FlowConfig::with_seed(seed),
        latency: LatencyModel {
            feed: leg,
            entry: leg,
            report: leg,
            seed,
        },
        fees: FeeSchedule {
            maker_bps: share("2"),
            taker_bps: share("5"),
            asset: FeeAsset::Quote,
        },
        feed: FeedConfig::FULL,
    };
    SimulatedVenue::new(config, bars(seed, count)).expect("consistent bars")
}

fn start<'a>(digest: BundleDigest) -> Start<'a> {
    let activation = BundleActivated {
        slot: SLOT,
        digest,
        serial: 1,
        expires: NEVER,
    };
    let complete_since = Timestamp::from_nanos(FIRST * SPAN.0 - 10 * Nanos::from_secs(1).0);
    Start {
        history: &[],
        activation,
        instrument: BTC,
        complete_since,
        keep_signals: false,
    }
}

fn backtest(seed: u64, count: i64) -> BacktestReport {
    run(&mut engine(seed), &mut venue(seed, count), &start(DIGEST)).expect("a run to the end")
}

#[test]
fn a_random_signal_loses_its_costs() {
    let (mut profit, mut fees) = (0_i128, 0_i128);
    for seed in 1..=6 {
        let report = backtest(seed, 200);
        assert!(report.fills.len() > 30, "{} fills", report.fills.len());
        let last = report.equity.last().expect("bars closed").equity;
        profit += last.units() - dollars(100_000).units();
        fees += report
            .fills
            .iter()
            .map(|fill| fill.fill.fee.units())
            .sum::<i128>();
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
    let closes: Vec<_> = report.equity.iter().map(|point| point.ts_close).collect();
    for fill in &report.fills {
        let decided = closes
            .iter()
            .rev()
            .find(|close| **close < fill.ts_event)
            .expect("a close before it");
        // One way out is at least 20 ms; the fill is not at the close it was decided on.
        assert!(fill.ts_event.since(*decided) >= Nanos::from_millis(20));
    }
}

#[test]
fn equal_seeds_give_equal_runs() {
    let (one, two) = (backtest(5, 80), backtest(5, 80));
    assert_eq!(
        (one.events, one.orders, one.cancels),
        (two.events, two.orders, two.cancels)
    );
    assert_eq!(one.fills, two.fills);
    assert_eq!(one.equity, two.equity);
    assert_ne!(one.fills, backtest(6, 80).fills);
}

#[test]
fn a_program_that_is_not_staged_does_not_run() {
    let result = run(&mut engine(1), &mut venue(1, 10), &start(BundleDigest([9; 32])));
    assert_eq!(
        result.map(|_| ()),
        Err(BacktestError::NotActivated("NotStaged".into()))
    );
}
