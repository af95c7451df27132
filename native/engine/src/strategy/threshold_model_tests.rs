use domain::{
    Bar, Currency, InstrumentId, InstrumentRules, InstrumentStatus, SlotId, Text, Timestamp, Venue,
};

use super::*;
use crate::signals::Score;

/// A model whose raw score is the logit's cheap cousin: probability minus one half.
struct Centered;

impl Model for Centered {
    fn feature_count(&self) -> usize {
        1
    }

    fn score(&mut self, _: &[f32]) -> Score {
        Score {
            raw: 0.0,
            probability: 0.5,
        }
    }

    fn raw_threshold(&self, probability: Decimal) -> f32 {
        probability.units() as f32 / SCALE as f32 - 0.5
    }
}

fn parameters() -> ThresholdParameters {
    ThresholdParameters {
        lookback_period: 0,
        entry_threshold: Decimal::parse(b"0.75").unwrap(),
        exit_threshold: Decimal::parse(b"0.25").unwrap(),
        position_size_pct: Decimal::parse(b"0.5").unwrap(),
        order_type: OrderType::Limit,
        limit_offset_bps: 100,
        timeout_seconds: 7,
    }
}

fn instrument() -> Instrument {
    let quote = Currency::new("USDT").unwrap();
    Instrument {
        id: InstrumentId(0),
        venue: Venue::Binance,
        symbol: Text::new("BTCUSDT").unwrap(),
        base: Currency::new("BTC").unwrap(),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(1),
            lot_size: Quantity::from_units(1),
            min_price: Price::ZERO,
            max_price: Price::ZERO,
            min_quantity: Quantity::from_units(10),
            max_quantity: Quantity::ZERO,
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    }
}

fn view(instrument: &Instrument) -> SlotView<'_> {
    let level = |price| Price::from_units(price);
    SlotView {
        slot: SlotId(0),
        now: Timestamp::EPOCH,
        instrument,
        top: Some(TopOfBook {
            bid: level(9_990),
            bid_quantity: Quantity::ONE,
            ask: level(10_010),
            ask_quantity: Quantity::ONE,
        }),
        position: Quantity::ZERO,
        open_buys: Quantity::ZERO,
        open_sells: Quantity::ZERO,
        equity: Money::from_units(1_980_000, instrument.quote),
        size_scale: Decimal::ONE,
    }
}

fn ask(strategy: &mut ThresholdModel, view: &SlotView<'_>, raw: Option<f32>) -> (Decision, Vec<Intent>) {
    let price = Price::from_units(10_000);
    let bar = Bar {
        instrument: InstrumentId(0),
        ts_open: Timestamp::EPOCH,
        span: Nanos(1),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Quantity::ONE,
    };
    let score = raw.map(|raw| Score {
        raw,
        probability: 0.5,
    });
    let mut intents = Intents::new();
    let decision = strategy.on_bar(
        view,
        &BarView {
            bar: &bar,
            features: &[],
            score,
        },
        &mut intents,
    );
    (decision, intents.drain().collect())
}

fn fresh() -> ThresholdModel {
    ThresholdModel::new(parameters(), &Centered).unwrap()
}

fn orders(intents: &[Intent]) -> Vec<OrderIntent> {
    let order = |intent: &Intent| match intent {
        Intent::Order(order) => Some(*order),
        Intent::CancelWorking(_) | Intent::Replace { .. } => None,
    };
    intents.iter().filter_map(order).collect()
}

#[test]
fn enters_at_the_entry_threshold_and_leaves_below_the_exit_threshold() {
    let instrument = instrument();
    let flat = view(&instrument);
    let held = SlotView {
        position: Quantity::from_units(50),
        ..flat
    };
    assert_eq!(
        ask(&mut fresh(), &flat, Some(0.25)).0,
        Decision::Enter,
        "at the threshold"
    );
    assert_eq!(
        ask(&mut fresh(), &flat, Some(0.25f32.next_down())).0,
        Decision::Hold
    );
    assert_eq!(
        ask(&mut fresh(), &held, Some(-0.25)).0,
        Decision::Hold,
        "at the threshold"
    );
    assert_eq!(
        ask(&mut fresh(), &held, Some((-0.25f32).next_down())).0,
        Decision::Exit
    );
    assert_eq!(ask(&mut fresh(), &flat, None).0, Decision::NoSignal);
    let blind = SlotView { top: None, ..flat };
    assert_eq!(ask(&mut fresh(), &blind, Some(1.0)).0, Decision::Hold);
}

#[test]
fn prices_on_the_passive_side_and_sizes_by_scaled_equity() {
    let instrument = instrument();
    let flat = view(&instrument);
    let entry = orders(&ask(&mut fresh(), &flat, Some(1.0)).1)[0];
    assert_eq!(
        (entry.side, entry.price),
        (Side::Buy, Some(Price::from_units(9_900)))
    );
    assert_eq!(entry.quantity.units(), 1_980_000 / 2 / 9_900);
    assert_eq!(
        (entry.timeout, entry.reduce_only),
        (Some(Nanos::from_secs(7)), false)
    );
    let scaled = SlotView {
        size_scale: Decimal::parse(b"0.1").unwrap(),
        ..flat
    };
    assert_eq!(
        orders(&ask(&mut fresh(), &scaled, Some(1.0)).1)[0]
            .quantity
            .units(),
        10
    );
    let held = SlotView {
        position: Quantity::from_units(50),
        ..flat
    };
    let exit = orders(&ask(&mut fresh(), &held, Some(-1.0)).1)[0];
    assert_eq!(
        (exit.side, exit.price),
        (Side::Sell, Some(Price::from_units(10_100)))
    );
    assert_eq!((exit.quantity.units(), exit.reduce_only), (50, true));
}

#[test]
fn has_one_entry_at_a_time_and_cancels_opposite_orders_first() {
    let instrument = instrument();
    let flat = view(&instrument);
    let some = Quantity::from_units(50);
    let buying = SlotView {
        open_buys: some,
        ..flat
    };
    assert_eq!(ask(&mut fresh(), &buying, Some(1.0)), (Decision::Hold, vec![]));
    let held = SlotView {
        position: some,
        ..flat
    };
    assert_eq!(ask(&mut fresh(), &held, Some(1.0)), (Decision::Hold, vec![]));
    let leaving = SlotView {
        position: some,
        open_sells: some,
        ..flat
    };
    let expected = vec![Intent::CancelWorking(Some(Side::Sell))];
    assert_eq!(ask(&mut fresh(), &leaving, Some(1.0)), (Decision::Hold, expected));
    let filling = SlotView {
        position: some,
        open_buys: some,
        ..flat
    };
    let (decision, intents) = ask(&mut fresh(), &filling, Some(-1.0));
    assert_eq!(
        (decision, intents[0]),
        (Decision::Exit, Intent::CancelWorking(Some(Side::Buy)))
    );
    assert_eq!(
        ask(&mut fresh(), &leaving, Some(-1.0)),
        (Decision::Hold, vec![]),
        "all of it is on sale"
    );
    let dust = SlotView {
        position: Quantity::from_units(9),
        ..flat
    };
    assert_eq!(
        ask(&mut fresh(), &dust, Some(1.0)).0,
        Decision::Enter,
        "dust counts as flat"
    );
    assert_eq!(
        ask(&mut fresh(), &dust, Some(-1.0)).0,
        Decision::Hold,
        "and cannot be sold"
    );
}

#[test]
fn waits_out_its_lookback_after_every_activation() {
    let instrument = instrument();
    let flat = view(&instrument);
    let patient = ThresholdParameters {
        lookback_period: 2,
        ..parameters()
    };
    let mut strategy = ThresholdModel::new(patient, &Centered).unwrap();
    let held = SlotView {
        position: Quantity::from_units(50),
        ..flat
    };
    for _ in 0..2 {
        let decisions: Vec<_> = (0..3).map(|_| ask(&mut strategy, &flat, Some(1.0)).0).collect();
        assert_eq!(decisions, [Decision::Hold, Decision::Hold, Decision::Enter]);
        strategy.on_activated();
        assert_eq!(
            ask(&mut strategy, &held, Some(-1.0)).0,
            Decision::Exit,
            "leaving never waits"
        );
        strategy.on_activated();
    }
}

#[test]
fn a_market_order_has_no_price_and_does_not_stay() {
    let instrument = instrument();
    let market = ThresholdParameters {
        order_type: OrderType::Market,
        ..parameters()
    };
    let mut strategy = ThresholdModel::new(market, &Centered).unwrap();
    let order = orders(&ask(&mut strategy, &view(&instrument), Some(1.0)).1)[0];
    assert_eq!((order.price, order.time_in_force), (None, TimeInForce::Ioc));
    assert_eq!(
        order.quantity.units(),
        1_980_000 / 2 / 10_010,
        "valued at the ask"
    );
}

#[test]
fn a_parameter_out_of_range_is_named() {
    let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
    let cases = [
        (
            ThresholdParameters {
                lookback_period: 10_001,
                ..parameters()
            },
            "lookback_period",
        ),
        (
            ThresholdParameters {
                entry_threshold: decimal("1.00000001"),
                ..parameters()
            },
            "entry_threshold",
        ),
        (
            ThresholdParameters {
                exit_threshold: decimal("-0.1"),
                ..parameters()
            },
            "exit_threshold",
        ),
        (
            ThresholdParameters {
                exit_threshold: decimal("0.76"),
                ..parameters()
            },
            "exit_threshold",
        ),
        (
            ThresholdParameters {
                position_size_pct: Decimal::ZERO,
                ..parameters()
            },
            "position_size_pct",
        ),
        (
            ThresholdParameters {
                limit_offset_bps: 1_001,
                ..parameters()
            },
            "limit_offset_bps",
        ),
        (
            ThresholdParameters {
                timeout_seconds: 0,
                ..parameters()
            },
            "timeout_seconds",
        ),
    ];
    for (parameters, key) in cases {
        assert_eq!(parameters.check().map_err(|error| error.key), Err(key));
    }
}

#[test]
fn a_running_parameter_says_why_it_does_not_change() {
    let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
    let mut strategy = fresh();
    let mut set = |parameter, value| strategy.set_parameter(parameter, decimal(value), Some(&Centered));
    assert_eq!(set(ParameterId::EntryThreshold, "0.8"), Ok(()));
    let refusals = [
        (ParameterId::EntryThreshold, "1.7", CommandRefusal::OutOfRange),
        (
            ParameterId::ExitThreshold,
            "0.81",
            CommandRefusal::ThresholdsCross,
        ),
        (
            ParameterId::EntryThreshold,
            "0.24",
            CommandRefusal::ThresholdsCross,
        ),
        (ParameterId::PositionSizePct, "0", CommandRefusal::OutOfRange),
        (ParameterId::TimeoutSeconds, "1.5", CommandRefusal::OutOfRange),
    ];
    for (parameter, value, refusal) in refusals {
        assert_eq!(set(parameter, value), Err(refusal), "{parameter:?} {value}");
    }
    let without_a_model = strategy.set_parameter(ParameterId::EntryThreshold, Decimal::ONE, None);
    assert_eq!(without_a_model, Err(CommandRefusal::NotAParameter));
    assert_eq!(strategy.parameters().entry_threshold, decimal("0.8"));
}
