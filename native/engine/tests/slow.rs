//! Slow parameters: the same bits over columns and bar by bar, and nothing decided on what is not known.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use domain::{Bar, InstrumentId, Nanos, Number, Price, Quantity, Text, Timestamp};
use engine::limits::SLOW_COLUMNS_MAX;
use engine::signals::program::{Input, Program, Runner, Unit};
use engine::signals::{
    Beside, FeatureDef, FeatureEngine, FeatureKind, FeatureSpec, SlowColumn, SlowFact, SlowParameters,
    SpecError,
};
use engine::{Action, CommandKind, CommandRefusal, Decision, Signal, SlotProgram};
use proptest::prelude::*;
use rig::{BAR, BTC, Linear, Rig, SLOT, Silent, program};

const DAY: i64 = 86_400_000_000_000;

fn column(name: &str, unit: Unit, max_age: Nanos) -> SlowColumn {
    SlowColumn {
        name: Text::new(name).unwrap(),
        unit,
        max_age,
    }
}

fn spec(texts: &[(&str, &str)], slow: Vec<SlowColumn>) -> FeatureSpec {
    let def = |(name, text): &(&str, &str)| FeatureDef {
        name: (*name).to_owned(),
        kind: FeatureKind::Expression((*text).to_owned()),
        restart_window: 0,
    };
    FeatureSpec {
        bar_span: BAR,
        events: None,
        slow,
        features: texts.iter().map(def).collect(),
    }
}

fn fact(name: &str, value: Option<f64>, valid_from: Timestamp, max_age: Nanos) -> SlowFact {
    SlowFact {
        instrument: BTC,
        name: Text::new(name).unwrap(),
        value: value.and_then(|value| Number::from_bits(value.to_bits())),
        valid_from,
        max_age,
    }
}

fn bar(number: i64, close: i64) -> Bar {
    let price = Price::from_units(close);
    Bar {
        instrument: BTC,
        ts_open: Timestamp::from_nanos(number * BAR.0),
        span: BAR,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Quantity::ONE,
    }
}

/// What a bar is given, by the words of the rule: of the facts that held by its close the newest, unless it is too old.
fn known(facts: &[SlowFact], column: &SlowColumn, close: Timestamp) -> f64 {
    let of = facts
        .iter()
        .filter(|fact| fact.name == column.name && fact.valid_from <= close);
    // Of those of one time the last counts, as `max_by_key` has it.
    let newest = of.max_by_key(|fact| fact.valid_from);
    let young = newest.filter(|fact| close.since(fact.valid_from) <= fact.max_age.min(column.max_age));
    let value = young.and_then(|fact| fact.value);
    value.map_or(f64::NAN, |value| column.unit.inside(value.get()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_by_one_has_the_bits_of_columns(
        closes in prop::collection::vec(1_000_000_i64..9_000_000_000_000, 60),
        told in prop::collection::vec((0_usize..2, prop::option::of(-1e6_f64..1e6), 0_i64..3_600, 1_i64..1_200), 0..40),
    ) {
        let columns = vec![
            column("rate", Unit::NONE, Nanos::from_secs(600)),
            column("earnings", Unit::PRICE, Nanos(i64::MAX)),
        ];
        let texts = [("change", "delta(rate, 2)"), ("yield", "earnings / close"), ("mean", "mean(rate * close, 3) / close")];
        let spec = spec(&texts, columns.clone());
        let second = |second: i64| Timestamp::from_nanos(second * 1_000_000_000);
        let facts: Vec<_> = told.iter().map(|&(which, value, from, age)| {
            fact(columns[which].name.as_str(), value, second(from), Nanos::from_secs(age))
        }).collect();
        let mut slow = SlowParameters::new(BAR);
        for one in &facts {
            slow.tell(one).unwrap();
        }
        let bars: Vec<_> = (0..).zip(&closes).map(|(number, close)| bar(number, *close)).collect();

        let units: Vec<_> = columns.iter().map(|one| (one.name.as_str().to_owned(), one.unit)).collect();
        let expressions = texts.map(|(_, text)| text);
        let program = Program::with_columns(&expressions, &|_| None, &units).unwrap();
        let close: Vec<f64> = closes.iter().map(|close| *close as f64).collect();
        let of = |one| bars.iter().map(|bar| known(&facts, one, bar.ts_close())).collect::<Vec<_>>();
        let (rate, earnings) = (of(&columns[0]), of(&columns[1]));
        let mut inputs = vec![&close[..]; Input::ALL.len()];
        inputs.extend([&rate[..], &earnings[..]]);
        let mut runner = Runner::new(&program, bars.len());
        runner.run(0, bars.len(), &inputs);
        let table = [0, 1, 2].map(|output| runner.output(output));
        let warmup = (0..3).map(|output| program.warmup(output)).max().unwrap() as usize;

        let mut engine = FeatureEngine::new(&spec).unwrap();
        for (at, bar) in bars.iter().enumerate() {
            let mut beside = Beside::UNKNOWN;
            for (value, column) in beside.slow.iter_mut().zip(engine.slow()) {
                let outside = slow.at(BTC, column, bar.ts_close());
                *value = outside.map_or(f64::NAN, |outside| column.unit.inside(outside));
            }
            let row = engine.on_bar(bar, &beside);
            let expected = table.each_ref().map(|values| values[at]);
            let is_known = at + 1 >= warmup && expected.iter().all(|value| value.is_finite());
            prop_assert_eq!(row.is_some(), is_known, "bar {}", at);
            if let Some(row) = row {
                #[expect(clippy::cast_possible_truncation, reason = "the one rounding of a feature")]
                let expected = expected.map(|value| (value as f32).to_bits());
                let found: Vec<_> = row.as_slice().iter().map(|value| value.to_bits()).collect();
                prop_assert_eq!(&found[..], &expected[..], "bar {}", at);
            }
        }
    }
}

fn signals(actions: &[Action]) -> Vec<Signal> {
    let signal = |action: &Action| match action {
        Action::Signal(signal) => Some(*signal),
        _ => None,
    };
    actions.iter().filter_map(signal).collect()
}

/// A program whose model scores the change of a slow parameter over two bars.
fn program_of_rate(number: u8) -> SlotProgram {
    let model = Linear {
        width: 1,
        broken: false,
    };
    let columns = vec![column("rate", Unit::NONE, Nanos(DAY))];
    SlotProgram {
        features: Some(spec(&[("change", "delta(rate, 2)")], columns)),
        model: Some(Box::new(model)),
        ..program(SLOT, number, Box::new(Silent))
    }
}

fn rig_of_rate() -> Rig {
    let mut rig = Rig::new();
    rig.watch_trades();
    rig.deploy(program_of_rate(2));
    rig
}

fn tell(rig: &mut Rig, value: Option<f64>, valid_from: Timestamp, max_age: Nanos) {
    let kind = CommandKind::TellSlow(fact("rate", value, valid_from, max_age));
    assert_eq!(rig.command(kind).0, Ok(()));
}

/// The feature of the newest bar; `None` where nothing may be decided on it.
fn feature(actions: &[Action]) -> Option<f32> {
    let signal = signals(actions)[0];
    let value = signal.features.as_slice().first().copied();
    if value.is_none() {
        assert_eq!(signal.decision, Decision::NoSignal);
    }
    value
}

#[test]
fn a_feature_is_unknown_before_a_fact_holds_and_when_it_is_too_old() {
    let mut rig = rig_of_rate();
    assert_eq!(feature(&rig.bar(100)), None, "nothing was told");
    let (from, later) = (rig.now, rig.now.plus(Nanos(3 * BAR.0)));
    tell(&mut rig, Some(1.0), from, Nanos(4 * BAR.0));
    tell(&mut rig, Some(3.0), later, Nanos(4 * BAR.0));
    let features: Vec<_> = (0..9).map(|_| feature(&rig.bar(100))).collect();
    let (none, same, rise) = (None, Some(0.0), Some(2.0));
    // What held at the end of the bar before counts from there on; the last fact is too old after four bars.
    assert_eq!(
        features,
        [none, same, rise, rise, same, same, same, none, none],
        "{features:?}"
    );
}

#[test]
fn what_is_told_late_counts_for_the_bars_that_it_held_at() {
    let (mut early, mut late) = (rig_of_rate(), rig_of_rate());
    let from = early.now;
    tell(&mut early, Some(1.0), from, Nanos(DAY));
    tell(&mut early, Some(4.0), from.plus(Nanos(3 * BAR.0)), Nanos(DAY));
    for _ in 0..4 {
        early.bar(100);
        assert_eq!(feature(&late.bar(100)), None);
    }
    tell(&mut late, Some(4.0), from.plus(Nanos(3 * BAR.0)), Nanos(DAY));
    tell(&mut late, Some(1.0), from, Nanos(DAY));
    for _ in 0..3 {
        let (early, late) = (early.bar(100), late.bar(100));
        assert!(feature(&late).is_some());
        assert_eq!(early, late);
    }
    let known = |rig: &Rig| {
        rig.engine
            .slow_parameters()
            .map(|one| one.is_known(rig.now))
            .collect::<Vec<_>>()
    };
    assert_eq!(known(&late), [true]);
    // That it is unknown is a fact as well.
    let now = late.now;
    tell(&mut late, None, now, Nanos(DAY));
    assert_eq!(feature(&late.bar(100)), None);
    assert_eq!(known(&late), [false]);
    let told = late
        .engine
        .slow_parameters()
        .next()
        .and_then(|one| one.newest)
        .unwrap();
    assert_eq!((told.valid_from, told.value), (now, None));
}

#[test]
fn a_program_that_is_staged_later_knows_what_was_told_before() {
    let mut rig = rig_of_rate();
    let from = rig.now;
    tell(&mut rig, Some(2.0), from, Nanos(DAY));
    for _ in 0..3 {
        rig.bar(100);
    }
    rig.deploy(program_of_rate(3));
    assert_eq!(feature(&rig.bar(100)), Some(0.0));
}

#[test]
fn what_is_told_wrongly_changes_nothing() {
    let mut rig = rig_of_rate();
    let now = rig.now;
    let right = fact("rate", Some(1.0), now, Nanos(1));
    let wrong = [
        (
            SlowFact {
                instrument: InstrumentId(9),
                ..right
            },
            CommandRefusal::UnknownTarget,
        ),
        (
            SlowFact {
                max_age: Nanos(0),
                ..right
            },
            CommandRefusal::OutOfRange,
        ),
        (
            SlowFact {
                name: Text::new("rat").unwrap(),
                ..right
            },
            CommandRefusal::NotDeclared,
        ),
    ];
    for (fact, refusal) in wrong {
        assert_eq!(rig.command(CommandKind::TellSlow(fact)).0, Err(refusal));
    }
}

#[test]
fn columns_that_nobody_declared_and_too_many_are_refused() {
    let undeclared = spec(&[("x", "rate * 2")], Vec::new());
    assert!(matches!(
        FeatureEngine::new(&undeclared),
        Err(SpecError::Expression(name, _)) if name == "x"
    ));
    let columns = (0..=SLOW_COLUMNS_MAX)
        .map(|number| column(&format!("p{number}"), Unit::NONE, Nanos(1)))
        .collect();
    let many = spec(&[("x", "p0 * 2")], columns);
    assert!(matches!(FeatureEngine::new(&many), Err(SpecError::Unbounded)));
}
