//! Bars that close by events, online: the bits that research has of the same trades, whatever the service does beside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use domain::{Bar, Decimal, MarketEvent, Nanos, Price, Quantity, SCALE, Side, Trade, TradeId, VenueState};
use engine::signals::{
    AVERAGED_MAX, Closing, EventBar, EventBars, EventRule, FeatureDef, FeatureEngine, FeatureKind,
    FeatureSpec, Measure, SpecError,
};
use engine::{Action, EventBody, Signal, SlotProgram};
use proptest::prelude::*;
use rig::{BAR, BTC, OTHER, Rig, SLOT, Silent, alerts, config, digest, program};

/// A trade: what passes before it (ns), price, quantity (units), and whether the buyer took.
type Step = (i64, i64, i64, bool);

fn rule(measure: Measure, closing: Closing, size: i64) -> EventRule {
    let size = Decimal::from_units(size);
    EventRule {
        measure,
        closing,
        size,
    }
}

fn every(trades: i64) -> EventRule {
    rule(Measure::Ticks, Closing::Size, trades * SCALE)
}

fn def(name: &str, kind: FeatureKind, restart_window: u16) -> FeatureDef {
    FeatureDef {
        name: name.to_owned(),
        kind,
        restart_window,
    }
}

fn expression(name: &str, text: &str) -> FeatureDef {
    def(name, FeatureKind::Expression(text.to_owned()), 0)
}

fn spec(events: Option<EventRule>) -> FeatureSpec {
    FeatureSpec {
        bar_span: BAR,
        events,
        slow: Vec::new(),
        features: vec![
            def("change", FeatureKind::Return { lag: 1 }, 0),
            def("strength", FeatureKind::Rsi { period: 3 }, 8),
            def("hour", FeatureKind::HourSin, 0),
            expression("smooth", "ema(close, 3, 8) / close"),
            expression(
                "bought",
                "mean((buy_volume - sell_volume) / (buy_volume + sell_volume), 2) + trades",
            ),
            expression("range", "(high - low) / mean(close, 4) + volume / sum(volume, 3)"),
        ],
    }
}

fn with(events: Option<EventRule>, number: u8) -> SlotProgram {
    SlotProgram {
        features: Some(spec(events)),
        ..program(SLOT, number, Box::new(Silent))
    }
}

fn trade(rig: &mut Rig, (passed, price, quantity, is_buy): Step) -> (Trade, Vec<Signal>) {
    rig.wait(Nanos(passed));
    let trade = Trade {
        instrument: BTC,
        ts_event: rig.now,
        trade_id: TradeId(0),
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
        aggressor: if is_buy { Side::Buy } else { Side::Sell },
    };
    let actions = rig.feed(EventBody::Market(MarketEvent::Trade(trade)));
    let signal = |action: &Action| match action {
        Action::Signal(signal) => Some(*signal),
        _ => None,
    };
    (trade, actions.iter().filter_map(signal).collect())
}

/// What research makes of trades: the bars, and the row of each.
fn researched(rule: EventRule, trades: &[Trade]) -> Vec<(Bar, Option<Vec<u32>>)> {
    let mut builder = EventBars::new(rule.bar_rule());
    let mut features = FeatureEngine::new(&spec(Some(rule))).unwrap();
    let bars = trades.iter().filter_map(|trade| builder.on_trade(trade));
    let row = |(number, bar): (i64, EventBar)| {
        let (bar, beside) = (bar.as_bar(BTC), bar.beside());
        let row = features.on_numbered(number, &bar, &beside);
        (bar, row.map(|row| bits(row.as_slice())))
    };
    (0..).zip(bars).map(row).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn told(signals: &[Signal]) -> Vec<(i64, Option<Vec<u32>>)> {
    let row = |signal: &Signal| Some(bits(signal.features.as_slice())).filter(|row| !row.is_empty());
    signals
        .iter()
        .map(|signal| (signal.ts_close.nanos(), row(signal)))
        .collect()
}

fn rows(researched: &[(Bar, Option<Vec<u32>>)]) -> Vec<(i64, Option<Vec<u32>>)> {
    let rows = researched.iter();
    rows.map(|(bar, row)| (bar.ts_close().nanos(), row.clone()))
        .collect()
}

fn is_warm(rig: &Rig) -> bool {
    rig.engine.slots().next().unwrap().warm
}

fn steady(count: i64) -> Vec<Step> {
    let step = |at: i64| {
        (
            1_000_000 + at % 7,
            (100 + at % 11) * SCALE,
            SCALE / (1 + at % 3),
            at % 2 == 0,
        )
    };
    (0..count).map(step).collect()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..2_000_000_000_i64, SCALE..3 * SCALE, 1..SCALE, any::<bool>());
    prop::collection::vec(step, 1..400)
}

fn rules() -> impl Strategy<Value = EventRule> {
    let closing = prop_oneof![
        Just(Closing::Size),
        (1_u16..30).prop_map(Closing::Imbalance),
        (1_u16..30).prop_map(Closing::Run)
    ];
    let measure = prop::sample::select(Measure::ALL.to_vec());
    (measure, closing, SCALE..8 * SCALE).prop_map(|(measure, closing, size)| rule(measure, closing, size))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bars of the clock close beside them, and the book moves.
    #[test]
    fn the_service_has_the_rows_of_research(steps in steps(), rule in rules()) {
        let mut rig = Rig::bare(config());
        rig.watch_trades();
        rig.deploy(with(Some(rule), 1));
        let (mut trades, mut signals) = (Vec::new(), Vec::new());
        for step in steps {
            let (trade, told) = trade(&mut rig, step);
            trades.push(trade);
            signals.extend(told);
            prop_assert!(alerts(&rig.quote(1, 2)).is_empty());
        }
        prop_assert_eq!(told(&signals), rows(&researched(rule, &trades)));
    }
}

#[test]
fn bars_count_from_the_activation_whenever_the_program_was_made_ready() {
    let run = |ready: usize| {
        let mut rig = Rig::bare(config());
        rig.watch_trades();
        let mut signals = Vec::new();
        for (at, step) in steady(90).into_iter().enumerate() {
            if at == ready {
                rig.engine.stage(with(Some(every(3)), 1)).unwrap();
            }
            if at == 20 {
                rig.activate(SLOT, digest(1), i64::MAX);
            }
            signals.extend(trade(&mut rig, step).1);
        }
        told(&signals)
    };
    assert_eq!(run(20).len(), 70 / 3);
    assert!(run(20).last().unwrap().1.is_some());
    assert_eq!(run(3), run(20));
}

#[test]
fn a_program_of_the_same_rule_goes_on_with_the_bars_that_are_there() {
    let mut rig = Rig::bare(config());
    rig.watch_trades();
    rig.deploy(with(Some(every(3)), 1));
    let (mut trades, mut signals) = (Vec::new(), Vec::new());
    for (at, step) in steady(120).into_iter().enumerate() {
        if at == 61 {
            rig.deploy(with(Some(every(3)), 2));
        }
        if at == 80 {
            // The bars of what ran before are built on, for the way back.
            rig.deploy(with(None, 3));
        }
        if at == 100 {
            rig.activate(SLOT, digest(2), i64::MAX);
        }
        let (trade, told) = trade(&mut rig, step);
        trades.push(trade);
        signals.extend(told);
    }
    let expected = rows(&researched(every(3), &trades));
    let told = told(&signals);
    assert_eq!(told[..26], expected[..26]);
    assert_eq!(told[26..], expected[33..], "a program of the clock ran between");
    assert!(told[20..].iter().all(|(_, row)| row.is_some()));
}

#[test]
fn where_trades_were_missed_everything_begins_anew() {
    let lose: [fn(&mut Rig); 2] = [
        |rig| rig.watch_trades(),
        |rig| {
            rig.venue(VenueState::Offline);
            // Nobody knows what is missing here.
            assert_eq!(trade(rig, (1, SCALE, SCALE, true)).1, []);
            rig.venue(VenueState::Online);
            rig.watch_trades();
        },
    ];
    for lose in lose {
        let mut rig = Rig::bare(config());
        rig.deploy(with(Some(every(3)), 1));
        assert_eq!(trade(&mut rig, (1, SCALE, SCALE, true)).1, [], "no stream is up");
        rig.wait(Nanos(1));
        rig.watch_trades();
        for step in steady(61) {
            trade(&mut rig, step);
        }
        rig.wait(Nanos(1));
        assert!(is_warm(&rig));
        lose(&mut rig);
        assert!(!is_warm(&rig), "nothing of before counts");
        let (mut trades, mut signals) = (Vec::new(), Vec::new());
        for step in steady(61) {
            let (trade, told) = trade(&mut rig, step);
            trades.push(trade);
            signals.extend(told);
        }
        let expected = researched(every(3), &trades);
        // Numbers go on, so that recursions begin elsewhere on their grid; what looks at a window has its bits.
        let cold =
            |rows: &[(i64, Option<Vec<u32>>)]| rows.iter().take_while(|(_, row)| row.is_none()).count();
        let (told, expected) = (told(&signals), rows(&expected));
        assert_eq!(told.len(), expected.len());
        assert!((2..=16).contains(&cold(&told)), "{}", cold(&told));
        assert!(is_warm(&rig));
        let [own, theirs] = [&told, &expected].map(|rows| rows.last().unwrap().1.clone().unwrap());
        assert_eq!(
            (own[0], own[2], own[4], own[5]),
            (theirs[0], theirs[2], theirs[4], theirs[5])
        );
    }
}

/// A series that nothing reads is not built: it begins anew when it is read again.
#[test]
fn what_no_program_reads_is_dropped() {
    let mut rig = Rig::bare(config());
    rig.watch_trades();
    let (mut trades, mut signals) = (Vec::new(), Vec::new());
    rig.deploy(with(Some(every(3)), 1));
    for (at, step) in steady(200).into_iter().enumerate() {
        if at == 60 || at == 90 {
            rig.deploy(with(None, if at == 60 { 2 } else { 3 }));
        }
        if at == 121 {
            rig.deploy(with(Some(every(3)), 4));
        }
        let (trade, told) = trade(&mut rig, step);
        if at >= 121 {
            trades.push(trade);
            signals.extend(told);
        }
    }
    assert_eq!(told(&signals), rows(&researched(every(3), &trades)));
}

/// Two slots on one rule see the same bars, and one that leaves takes nothing from the other.
#[test]
fn a_rule_is_built_once_for_all_that_read_it() {
    let mut rig = Rig::bare(config());
    rig.watch_trades();
    let other = |number| SlotProgram {
        slot: OTHER,
        ..with(Some(every(3)), number)
    };
    rig.deploy(with(Some(every(3)), 1));
    let mut seen = [Vec::new(), Vec::new()];
    for (at, step) in steady(150).into_iter().enumerate() {
        match at {
            // The second time the approval of what runs is renewed.
            60 | 120 => drop(rig.deploy(other(2))),
            90 => drop(rig.deploy(with(None, 3))),
            100 => drop(rig.deploy(with(None, 4))),
            _ => {}
        }
        for signal in trade(&mut rig, step).1 {
            seen[usize::from(signal.slot.0)].extend(told(&[signal]));
        }
    }
    let [first, second] = seen;
    assert_eq!((first.len(), second.len()), (30, 30));
    assert_eq!(first[20..], second[..10]);
    assert!(second.iter().all(|(_, row)| row.is_some()));
}

#[test]
fn slots_have_bars_of_their_own() {
    let mut rig = Rig::bare(config());
    rig.watch_trades();
    rig.deploy(with(Some(every(3)), 1));
    rig.deploy(SlotProgram {
        slot: OTHER,
        ..with(Some(every(2)), 2)
    });
    let mut counts = [0, 0];
    for step in steady(60) {
        for signal in trade(&mut rig, step).1 {
            counts[usize::from(signal.slot.0)] += 1;
        }
    }
    assert_eq!(counts, [20, 30]);
}

#[test]
fn what_bars_of_events_do_not_have_is_refused_by_name() {
    for column in ["spread", "largest_trade", "order_flow"] {
        let refused = FeatureEngine::new(&FeatureSpec {
            features: vec![expression("own", &format!("mean({column}, 3)"))],
            ..spec(Some(every(3)))
        });
        let expected = SpecError::NotOfEvents("own".to_owned(), column.to_owned());
        assert_eq!(refused.map(|_| ()), Err(expected));
    }
    let half = SCALE / 2;
    for wrong in [
        every(0),
        rule(Measure::Ticks, Closing::Size, half),
        rule(Measure::Volume, Closing::Imbalance(20), half),
        rule(Measure::Volume, Closing::Run(0), SCALE),
        rule(Measure::Dollars, Closing::Run(AVERAGED_MAX + 1), SCALE),
    ] {
        let refused = FeatureEngine::new(&spec(Some(wrong)));
        assert_eq!(refused.map(|_| ()), Err(SpecError::EventRule));
    }
}
