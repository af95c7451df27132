//! Features: equal bits wherever the stream began, and equal values to the textbook formulas.

use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Timestamp};
use engine::signals::{Beside, FeatureDef, FeatureEngine, FeatureKind, FeatureSpec, SpecError};
use proptest::prelude::*;

const SPAN: Nanos = Nanos(900_000_000_000);
const WINDOW: u16 = 64;

fn expression(text: &str) -> FeatureKind {
    FeatureKind::Expression(text.into())
}

fn spec() -> FeatureSpec {
    let recursive = [
        ("rsi_14", FeatureKind::Rsi { period: 14 }),
        ("macd", FeatureKind::Macd { fast: 12, slow: 26 }),
        ("ema_gap_20", FeatureKind::EmaGap { period: 20 }),
        ("atr_pct_14", FeatureKind::AtrPercent { period: 14 }),
    ];
    let windowed = [
        ("volume_ratio", FeatureKind::VolumeRatio { period: 20 }),
        (
            "bb_pct",
            FeatureKind::BollingerPercent {
                period: 20,
                width_hundredths: 200,
            },
        ),
        ("ret_4", FeatureKind::Return { lag: 4 }),
        ("trend_sma_5_20", FeatureKind::SmaTrend { fast: 5, slow: 20 }),
        ("vol_20", FeatureKind::Volatility { period: 20 }),
        ("hour_sin", FeatureKind::HourSin),
        ("hour_cos", FeatureKind::HourCos),
        (
            "spread_of_averages",
            expression("(ema(close, 5, 32) - ema(close, 20, 64)) / std(close, 20)"),
        ),
        (
            "late_in_the_week",
            expression("if(week_fraction > 0.5 and volume > mean(volume, 10), 1, 0)"),
        ),
    ];
    let def = |(name, kind): (&str, FeatureKind), restart_window| FeatureDef {
        name: name.into(),
        kind,
        restart_window,
    };
    let mut features: Vec<_> = recursive.into_iter().map(|one| def(one, WINDOW)).collect();
    features.extend(windowed.into_iter().map(|one| def(one, 0)));
    FeatureSpec {
        bar_span: SPAN,
        events: None,
        slow: Vec::new(),
        features,
    }
}

/// Bars from steps of the close; `first` is the number of the first interval.
fn bars(first: i64, steps: &[(i64, u16, i64)]) -> Vec<Bar> {
    let mut close = 4_300_000_000_000_i64;
    steps
        .iter()
        .zip(first..)
        .map(|(&(step, wick, volume), number)| {
            let open = close;
            close = (close + step).max(1_000_000);
            Bar {
                instrument: InstrumentId(0),
                ts_open: Timestamp::from_nanos(number * SPAN.0),
                span: SPAN,
                open: Price::from_units(open),
                high: Price::from_units(open.max(close) + i64::from(wick)),
                low: Price::from_units((open.min(close) - i64::from(wick)).max(1)),
                close: Price::from_units(close),
                volume: Quantity::from_units(volume),
            }
        })
        .collect()
}

fn steps(count: usize) -> impl Strategy<Value = Vec<(i64, u16, i64)>> {
    let step = prop_oneof![Just(0), -9_000_000_000_i64..9_000_000_000];
    prop::collection::vec(
        (step, any::<u16>(), prop_oneof![Just(0), 0_i64..50_000_000_000]),
        count,
    )
}

fn bits(row: Option<&engine::FeatureRow>) -> Option<Vec<u32>> {
    row.map(|row| row.as_slice().iter().map(|value| value.to_bits()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn values_do_not_depend_on_where_the_stream_began(steps in steps(260), first in 0i64..1_000, skip in 1usize..120) {
        let bars = bars(first, &steps);
        let spec = spec();
        let (mut whole, mut late) = (FeatureEngine::new(&spec).unwrap(), FeatureEngine::new(&spec).unwrap());
        let warmup = whole.warmup_bars();
        for (at, bar) in bars.iter().enumerate() {
            let from_start = bits(whole.on_bar(bar, &Beside::UNKNOWN).as_ref());
            if at < skip {
                continue;
            }
            let from_later = bits(late.on_bar(bar, &Beside::UNKNOWN).as_ref());
            if at >= skip + warmup {
                prop_assert!(from_later.is_some(), "warm after {warmup} bars");
            }
            if from_later.is_some() {
                prop_assert_eq!(from_start, from_later, "bar {}", at);
            }
        }
    }

    #[test]
    fn values_equal_the_textbook_formulas(steps in steps(150)) {
        let bars = bars(640, &steps); // a multiple of the window: the recursion starts at the first bar
        let mut engine = FeatureEngine::new(&spec()).unwrap();
        let rows: Vec<_> = bars.iter().map(|bar| engine.on_bar(bar, &Beside::UNKNOWN)).collect();
        // Bar 127 is the last whose recursions start at bar 0.
        let row = rows[127].expect("warm");
        let closes: Vec<f64> = bars[..=127].iter().map(|bar| bar.close.units() as f64).collect();
        let expected = [
            rsi(&closes, 14),
            (ema(&closes, 12) - ema(&closes, 26)) / closes[127],
            closes[127] / ema(&closes, 20) - 1.0,
        ];
        for (name, (&ours, theirs)) in ["rsi", "macd", "ema_gap"].iter().zip(row.as_slice().iter().zip(expected)) {
            let tolerance = 1e-6 * theirs.abs().max(1e-4);
            prop_assert!((f64::from(ours) - theirs).abs() <= tolerance, "{}: {} and {}", name, ours, theirs);
        }
    }
}

/// Exponential average seeded by the mean of the first values.
fn ema(values: &[f64], period: usize) -> f64 {
    let seed = values[..period].iter().sum::<f64>() / period as f64;
    let weight = 2.0 / (period as f64 + 1.0);
    values[period..]
        .iter()
        .fold(seed, |average, value| average * (1.0 - weight) + value * weight)
}

/// Wilder's RSI: 100 - 100 / (1 + average gain / average loss).
fn rsi(values: &[f64], period: usize) -> f64 {
    let changes: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let wilder = |side: fn(f64) -> f64| {
        let seed = changes[..period].iter().map(|&change| side(change)).sum::<f64>() / period as f64;
        let rest = changes[period..].iter().map(|&change| side(change));
        rest.fold(seed, |average, value| {
            (average * (period as f64 - 1.0) + value) / period as f64
        })
    };
    let (gain, loss) = (
        wilder(|change| change.max(0.0)),
        wilder(|change| (-change).max(0.0)),
    );
    if gain + loss == 0.0 {
        50.0
    } else {
        100.0 * gain / (gain + loss)
    }
}

#[test]
fn a_hole_starts_over_and_a_repeated_bar_changes_nothing() {
    let steady: Vec<_> = (0..300)
        .map(|at| (if at % 2 == 0 { 5_000_000 } else { -4_000_000 }, 7, 1_000))
        .collect();
    let bars = bars(0, &steady);
    let mut engine = FeatureEngine::new(&spec()).unwrap();
    let warm = bars[..200]
        .iter()
        .filter_map(|bar| engine.on_bar(bar, &Beside::UNKNOWN))
        .count();
    assert!(warm > 0);
    assert_eq!(engine.on_bar(&bars[199], &Beside::UNKNOWN), None, "taken already");
    assert!(engine.on_bar(&bars[200], &Beside::UNKNOWN).is_some());
    assert_eq!(
        engine.on_bar(&bars[202], &Beside::UNKNOWN),
        None,
        "bar 201 is missing"
    );
    engine.warm(bars[..203].iter().map(|bar| (bar, Beside::UNKNOWN)));
    assert!(engine.on_bar(&bars[203], &Beside::UNKNOWN).is_some());
}

#[test]
fn a_wrong_specification_is_refused_by_name() {
    let wrong = |kind, restart_window| {
        let features = vec![FeatureDef {
            name: "x".into(),
            kind,
            restart_window,
        }];
        FeatureEngine::new(&FeatureSpec {
            bar_span: SPAN,
            events: None,
            slow: Vec::new(),
            features,
        })
        .map(|_| ())
        .unwrap_err()
    };
    assert_eq!(
        wrong(FeatureKind::Rsi { period: 14 }, 0),
        SpecError::RestartWindow("x".into())
    );
    assert_eq!(
        wrong(FeatureKind::Rsi { period: 14 }, 14),
        SpecError::RestartWindow("x".into())
    );
    assert_eq!(
        wrong(FeatureKind::HourSin, 8),
        SpecError::RestartWindow("x".into())
    );
    assert_eq!(
        wrong(FeatureKind::Volatility { period: 1 }, 0),
        SpecError::Length("x".into())
    );
    assert_eq!(
        wrong(FeatureKind::Macd { fast: 26, slow: 12 }, 128),
        SpecError::Length("x".into())
    );
    let empty = FeatureSpec {
        bar_span: SPAN,
        events: None,
        slow: Vec::new(),
        features: Vec::new(),
    };
    assert_eq!(FeatureEngine::new(&empty).map(|_| ()), Err(SpecError::Unbounded));
}
