//! The twelve features of the sample specification, bar by bar, beside the maths that none of them can do without.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads a clock"
)]

#[path = "../../../benches/rows.rs"]
mod rows;

use std::hint::black_box;

use domain::{Bar, InstrumentId, Nanos, Price, Quantity, Timestamp};
use engine::signals::{Beside, FeatureDef, FeatureEngine, FeatureKind, FeatureSpec};
use rows::{Row, Wanted, interleaved, nanos_each};

const SPAN: Nanos = Nanos(900_000_000_000);
const WINDOW: u16 = 128;
/// Bars of one sample.
const BARS: usize = 20_000;

/// `config/features/btc_15m.toml`, in its order.
const FEATURES: [(&str, FeatureKind); 12] = [
    ("rsi_14", FeatureKind::Rsi { period: 14 }),
    ("macd", FeatureKind::Macd { fast: 12, slow: 26 }),
    ("volume_ratio", FeatureKind::VolumeRatio { period: 20 }),
    (
        "bb_pct",
        FeatureKind::BollingerPercent {
            period: 20,
            width_hundredths: 200,
        },
    ),
    ("ret_1", FeatureKind::Return { lag: 1 }),
    ("ret_4", FeatureKind::Return { lag: 4 }),
    ("trend_sma_20_50", FeatureKind::SmaTrend { fast: 20, slow: 50 }),
    ("ema_gap_20", FeatureKind::EmaGap { period: 20 }),
    ("vol_20", FeatureKind::Volatility { period: 20 }),
    ("atr_pct_14", FeatureKind::AtrPercent { period: 14 }),
    ("hour_sin", FeatureKind::HourSin),
    ("hour_cos", FeatureKind::HourCos),
];

fn specification() -> FeatureSpec {
    let define = |(name, kind): (&str, FeatureKind)| FeatureDef {
        name: name.to_owned(),
        restart_window: if kind.recursive_period().is_some() {
            WINDOW
        } else {
            0
        },
        kind,
    };
    FeatureSpec {
        bar_span: SPAN,
        events: None,
        slow: Vec::new(),
        features: FEATURES.into_iter().map(define).collect(),
    }
}

/// A walk without a random source.
fn bars() -> Vec<Bar> {
    let close =
        |number: i64| 6_000_000_000_000 + number * 7_919 % 1_009 * 90_000_000 - number % 313 * 70_000_000;
    let count = i64::try_from(BARS).expect("fits");
    (1..=count)
        .map(|number| {
            let (open, close) = (close(number - 1), close(number));
            Bar {
                instrument: InstrumentId(0),
                ts_open: Timestamp::EPOCH,
                span: SPAN,
                open: Price::from_units(open),
                high: Price::from_units(open.max(close) + 500_000_000),
                low: Price::from_units(open.min(close) - 500_000_000),
                close: Price::from_units(close),
                volume: Quantity::from_units(1_000_000_000 + number * 104_729 % 900_000_000),
            }
        })
        .collect()
}

/// One logarithm (volatility), a sine and a cosine (hour), and two square roots (deviations).
fn floor(bar: &Bar, before: f64) -> f64 {
    let close = bar.close.units() as f64;
    let angle = (bar.ts_open.nanos() % 86_400_000_000_000) as f64 * 7.27e-14;
    libm::log(close / before) + libm::sin(angle) + libm::cos(angle) + close.sqrt() + before.sqrt()
}

/// What callgrind counts.
#[inline(never)]
fn bar_counted(engine: &mut FeatureEngine, bar: &Bar) -> bool {
    black_box("bar");
    black_box(engine.on_bar(bar, &Beside::UNKNOWN)).is_some()
}

fn count(bars: &[Bar]) {
    let mut engine = FeatureEngine::new(&specification()).expect("the sample specification");
    for (bar, number) in bars.iter().zip(1..) {
        let ts_open = Timestamp::from_nanos(number * SPAN.0);
        bar_counted(&mut engine, &Bar { ts_open, ..*bar });
    }
    rows::print_counted("bar_counted", bars.len(), "made");
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    let bars = bars();
    if wanted.counted {
        return count(&bars);
    }
    let mut engine = FeatureEngine::new(&specification()).expect("the sample specification");
    let mut next = 0;
    let mut warm = 0;
    let mut features = || {
        nanos_each(BARS, || {
            for bar in &bars {
                next += 1;
                let ts_open = Timestamp::from_nanos(next * SPAN.0);
                let row = engine.on_bar(black_box(&Bar { ts_open, ..*bar }), &Beside::UNKNOWN);
                warm += usize::from(black_box(row).is_some());
            }
        })
    };
    let mut number = 0;
    let mut maths = || {
        nanos_each(BARS, || {
            let mut before = 6e12;
            for bar in &bars {
                number += 1;
                let ts_open = Timestamp::from_nanos(number * SPAN.0);
                black_box(floor(black_box(&Bar { ts_open, ..*bar }), before));
                before = bar.close.units() as f64;
            }
        })
    };
    let [features, maths] = interleaved(wanted.rounds, &mut [&mut features, &mut maths]);
    assert_eq!(
        warm,
        (wanted.rounds + 1) * BARS - 2 * usize::from(WINDOW) + 1,
        "a row a bar"
    );
    Row {
        name: "features_per_bar",
        unit: "ns per bar",
        subject: ("engine::signals::FeatureEngine, 12 features", &features),
        anchor: Some(("1 log, 1 sin, 1 cos, 2 sqrt", &maths)),
        facts: &[("features", FEATURES.len().into())],
    }
    .print(wanted);
}
