//! The features of `config/features/*.toml`: one implementation, fed one bar at a time. Offline the same
//! code runs over columns of bars, so that both sides have the same bits.

use domain::Bar;
use thiserror::Error;

use super::event_bars::{AVERAGED_MAX, EventRule};
use super::flow::{FLOW, FLOW_INPUTS};
use super::indicators::{
    Anchored, ExponentialAverage, Lagged, RollingMoments, RollingSum, RollingWindow, TrueRangeAverage,
    WilderRsi,
};
use super::program::{ExpressionError, Input, Program, Runner};
use super::slow::SlowColumn;
use super::spec::{FeatureDef, FeatureKind, FeatureSpec, read_expression, slow_columns};
use crate::action::FeatureRow;
use crate::limits::{BARS_KEPT, FEATURES_MAX, RESTART_WINDOW_MAX_BARS, SLOW_COLUMNS_MAX};

/// Nanoseconds of a day.
const DAY_NS: i64 = 86_400_000_000_000;
/// The first Monday after the epoch, which was a Thursday.
const MONDAY_NS: i64 = 4 * DAY_NS;

/// Why a feature set cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Too many, none, or two of one name.
    #[error(
        "a feature set has 1 to {FEATURES_MAX} features and at most {SLOW_COLUMNS_MAX} slow parameters, with different names"
    )]
    Unbounded,
    /// A bar of no length.
    #[error("bar length must be positive")]
    BarSpan,
    /// A length of zero, or slow not longer than fast.
    #[error("feature {0}: lengths must be positive (deviations need 2 bars) and slow longer than fast")]
    Length(String),
    /// A recursive feature without a usable restart window, or a window where none belongs.
    #[error(
        "feature {0}: restart_window must be from its longest period + 1 to {RESTART_WINDOW_MAX_BARS} bars \
         for a recursive feature and 0 for any other"
    )]
    RestartWindow(String),
    /// An expression that cannot be read.
    #[error("feature {0}: {1}")]
    Expression(String, ExpressionError),
    /// An expression that is warm too late for the bars that are kept for a new start.
    #[error(
        "feature {0}: is warm after {1} bars; allowed are {BARS_KEPT}, which are kept for a new start: give its recursions \
         shorter lengths or restart windows, as ema(close, 200, 1024)"
    )]
    WarmsTooLate(String, u32),
    /// An input that the service does not feed.
    #[error(
        "feature {0}: reads {1}, which is known in research only; allowed are columns of bars, of what \
         happens in them but the depths, and declared slow parameters"
    )]
    NotOnline(String, String),
    /// An input that bars of events do not have.
    #[error(
        "feature {0}: reads {1}, which is known of bars of the clock only; allowed over bars of events are their open, high, \
         low, close, volume, times of the day and week, buy_volume, sell_volume and trades"
    )]
    NotOfEvents(String, String),
    /// A rule without a size or without bars to average over, or slow parameters beside it.
    #[error(
        "bars of events: a size above 0, 1 or more where trades are counted or expected, 1 to {AVERAGED_MAX} bars to average \
         over, and no slow parameters"
    )]
    EventRule,
}

/// One primitive with its state.
#[derive(Debug, Clone)]
enum Primitive {
    Rsi(Anchored<WilderRsi>),
    Macd(Anchored<ExponentialAverage>, Anchored<ExponentialAverage>),
    VolumeRatio(RollingSum, u16),
    BollingerPercent(RollingMoments, f64),
    Return(Lagged),
    SmaTrend(RollingSum, RollingSum, u16, u16),
    EmaGap(Anchored<ExponentialAverage>),
    Volatility(Option<i64>, RollingWindow<f64>),
    AtrPercent(Anchored<TrueRangeAverage>),
    HourSin,
    HourCos,
    /// Which output of the program.
    Expression(usize),
}

impl Primitive {
    /// Cold; an expression is this output of the program.
    fn new(def: &FeatureDef, output: usize) -> Self {
        let window = def.restart_window;
        let ema = |period| Anchored::new(window, ExponentialAverage::new(period));
        match &def.kind {
            FeatureKind::Rsi { period } => Self::Rsi(Anchored::new(window, WilderRsi::new(*period))),
            FeatureKind::Macd { fast, slow } => Self::Macd(ema(*fast), ema(*slow)),
            FeatureKind::VolumeRatio { period } => {
                Self::VolumeRatio(RollingSum::new((*period).into()), *period)
            }
            FeatureKind::BollingerPercent {
                period,
                width_hundredths,
            } => Self::BollingerPercent(
                RollingMoments::new((*period).into()),
                f64::from(*width_hundredths) / 100.0,
            ),
            FeatureKind::Return { lag } => Self::Return(Lagged::new((*lag).into())),
            FeatureKind::SmaTrend { fast, slow } => Self::SmaTrend(
                RollingSum::new((*fast).into()),
                RollingSum::new((*slow).into()),
                *fast,
                *slow,
            ),
            FeatureKind::EmaGap { period } => Self::EmaGap(ema(*period)),
            FeatureKind::Volatility { period } => {
                Self::Volatility(None, RollingWindow::new((*period).into()))
            }
            FeatureKind::AtrPercent { period } => {
                Self::AtrPercent(Anchored::new(window, TrueRangeAverage::new(*period)))
            }
            FeatureKind::HourSin => Self::HourSin,
            FeatureKind::HourCos => Self::HourCos,
            FeatureKind::Expression(_) => Self::Expression(output),
        }
    }

    /// Takes the bar of a number, which the program has taken already; gives the value once enough bars were seen.
    fn push(&mut self, number: i64, bar: &Bar, expressions: &Expressions) -> Option<f64> {
        let close = bar.close.units();
        match self {
            Self::Rsi(rsi) => rsi.step(number, |state| state.push(close)),
            Self::Macd(fast, slow) => {
                let fast = fast.step(number, |state| state.push(close));
                let slow = slow.step(number, |state| state.push(close));
                Some((fast? - slow?) / close as f64)
            }
            Self::VolumeRatio(sum, period) => {
                let volume = bar.volume.units();
                let sum = sum.push(volume)?;
                // A window without any trade has no mean to compare with: the ratio is zero.
                Some(if sum == 0 {
                    0.0
                } else {
                    (i128::from(volume) * i128::from(*period)) as f64 / sum as f64
                })
            }
            Self::BollingerPercent(moments, width) => {
                let (deviation, variance) = moments.push(close)?;
                let band = 2.0 * *width * (variance as f64).sqrt();
                Some(if variance == 0 {
                    0.5
                } else {
                    0.5 + deviation as f64 / band
                })
            }
            Self::Return(lagged) => {
                let before = lagged.push(close)?;
                Some((close - before) as f64 / before as f64)
            }
            Self::SmaTrend(fast, slow, fast_bars, slow_bars) => {
                let (fast, slow) = (fast.push(close), slow.push(close));
                let scaled_fast = fast? * i128::from(*slow_bars);
                let scaled_slow = slow? * i128::from(*fast_bars);
                Some((scaled_fast - scaled_slow) as f64 / scaled_slow as f64)
            }
            Self::EmaGap(ema) => {
                let ema = ema.step(number, |state| state.push(close))?;
                Some((close as f64 - ema) / ema)
            }
            Self::Volatility(previous, returns) => {
                let before = previous.replace(close)?;
                returns.push(libm::log(close as f64 / before as f64));
                returns.is_full().then(|| deviation(returns))
            }
            Self::AtrPercent(atr) => {
                let (high, low) = (bar.high.units(), bar.low.units());
                Some(atr.step(number, |state| state.push(high, low, close))? / close as f64)
            }
            Self::HourSin => Some(libm::sin(day_angle(bar))),
            Self::HourCos => Some(libm::cos(day_angle(bar))),
            Self::Expression(output) => expressions.last(*output),
        }
    }
}

/// Sample standard deviation (n - 1), two passes in the window's order: the same bits whatever came before.
fn deviation(window: &RollingWindow<f64>) -> f64 {
    let count = window.iter().count() as f64;
    let mean = window.iter().sum::<f64>() / count;
    let squares: f64 = window.iter().map(|value| (value - mean) * (value - mean)).sum();
    (squares / (count - 1.0)).sqrt()
}

/// Angle of the bar's close on the day's circle, radians.
fn day_angle(bar: &Bar) -> f64 {
    let into_day = bar.ts_close().nanos().rem_euclid(DAY_NS);
    std::f64::consts::TAU * (into_day as f64 / DAY_NS as f64)
}

/// What is known of a bar beside its prices; what is not known is NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beside {
    /// What happened in it, in the order of [`FLOW_INPUTS`], prices and quantities in units of 1e-8.
    pub flow: [f64; FLOW],
    /// The slow parameters in the order of [`FeatureSpec::slow`], prices and quantities in units of 1e-8.
    pub slow: [f64; SLOW_COLUMNS_MAX],
}

impl Beside {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        flow: [f64::NAN; FLOW],
        slow: [f64::NAN; SLOW_COLUMNS_MAX],
    };
}

/// The expressions of a set, as one program.
#[derive(Debug, Clone)]
struct Expressions {
    runner: Runner,
    /// Bars until each is the same wherever the stream began.
    warmups: Vec<u32>,
    /// Which of [`FLOW_INPUTS`] they read.
    flow: Vec<usize>,
}

impl Expressions {
    fn new(spec: &FeatureSpec) -> Result<Self, SpecError> {
        let mut texts = Vec::new();
        for def in &spec.features {
            let FeatureKind::Expression(text) = &def.kind else {
                continue;
            };
            let refused = |error| SpecError::Expression(def.name.clone(), error);
            let program = read_expression(text, &spec.slow).map_err(refused)?;
            if let Some(input) = program.inputs(0).into_iter().find(|input| !spec.feeds(input)) {
                let (name, input) = (def.name.clone(), input.to_owned());
                return Err(if spec.events.is_some() {
                    SpecError::NotOfEvents(name, input)
                } else {
                    SpecError::NotOnline(name, input)
                });
            }
            let warmup = program.warmup(0);
            if warmup as usize > BARS_KEPT {
                return Err(SpecError::WarmsTooLate(def.name.clone(), warmup));
            }
            texts.push(text.as_str());
        }
        let program = Program::with_columns(&texts, &|_| None, &slow_columns(&spec.slow))
            .map_err(|refused| SpecError::Expression(texts[refused.number].to_owned(), refused.error))?;
        Ok(Self {
            runner: Runner::new(&program, 1),
            warmups: (0..program.len()).map(|output| program.warmup(output)).collect(),
            flow: flow_read(&program),
        })
    }

    fn push(&mut self, number: i64, bar: &Bar, beside: &Beside) {
        if self.warmups.is_empty() {
            return;
        }
        let into =
            |cycle: i64, from: i64| (bar.ts_close().nanos() - from).rem_euclid(cycle) as f64 / cycle as f64;
        let prices = [bar.open, bar.high, bar.low, bar.close].map(|price| price.units() as f64);
        let [open, high, low, close] = prices;
        let mut values = [f64::NAN; Input::ALL.len() + SLOW_COLUMNS_MAX];
        let of_bar = [
            open,
            high,
            low,
            close,
            bar.volume.units() as f64,
            into(DAY_NS, 0),
            into(7 * DAY_NS, MONDAY_NS),
        ];
        values[..of_bar.len()].copy_from_slice(&of_bar);
        values[of_bar.len()..of_bar.len() + FLOW].copy_from_slice(&beside.flow);
        values[Input::ALL.len()..].copy_from_slice(&beside.slow);
        self.runner
            .run(number, 1, &values.each_ref().map(std::slice::from_ref));
    }

    /// The value at the last bar, once warm.
    fn last(&self, output: usize) -> Option<f64> {
        let is_warm = self.runner.seen() >= u64::from(self.warmups[output]);
        is_warm.then(|| self.runner.last(output))
    }
}

/// Which of [`FLOW_INPUTS`] a program reads.
fn flow_read(program: &Program) -> Vec<usize> {
    let is_read =
        |input: &Input| (0..program.len()).any(|output| program.inputs(output).contains(&input.name()));
    let places = FLOW_INPUTS.iter().enumerate();
    places
        .filter(|(_, input)| is_read(input))
        .map(|(at, _)| at)
        .collect()
}

/// Computes a feature set, one bar at a time.
#[derive(Debug, Clone)]
pub struct FeatureEngine {
    primitives: Vec<Primitive>,
    expressions: Expressions,
    spec: FeatureSpec,
    /// Number of the last bar taken: the next one must follow it without a hole.
    last_number: Option<i64>,
    /// That bar had a row.
    is_warm: bool,
}

impl FeatureEngine {
    /// A cold engine for `spec`.
    ///
    /// # Errors
    /// [`SpecError`] naming the feature and what is allowed.
    pub fn new(spec: &FeatureSpec) -> Result<Self, SpecError> {
        check(spec)?;
        let mut engine = Self {
            primitives: Vec::with_capacity(spec.features.len()),
            expressions: Expressions::new(spec)?,
            spec: spec.clone(),
            last_number: None,
            is_warm: false,
        };
        engine.restart();
        Ok(engine)
    }

    /// Takes a bar; gives the row of all features, or `None` while one of them is not warm.
    ///
    /// A bar that does not follow the last one starts over: a hole would make every window a lie.
    /// A bar that was taken already changes nothing.
    pub fn on_bar(&mut self, bar: &Bar, beside: &Beside) -> Option<FeatureRow> {
        self.on_numbered(bar.number(), bar, beside)
    }

    /// As [`Self::on_bar`], of the bar of a number: bars that close by events stand on no grid, and are counted.
    pub fn on_numbered(&mut self, number: i64, bar: &Bar, beside: &Beside) -> Option<FeatureRow> {
        match self.last_number {
            Some(last) if number <= last => return None,
            Some(last) if number != last + 1 => self.restart(),
            _ => {}
        }
        self.last_number = Some(number);
        self.expressions.push(number, bar, beside);
        let mut values = [0.0_f32; FEATURES_MAX];
        let mut warm = true;
        for (value, primitive) in values.iter_mut().zip(&mut self.primitives) {
            match primitive.push(number, bar, &self.expressions) {
                // What is beyond the narrower numbers is unknown, too.
                Some(exact) if to_f32(exact).is_finite() => *value = to_f32(exact),
                _ => warm = false,
            }
        }
        self.is_warm = warm;
        if warm {
            FeatureRow::new(&values[..self.primitives.len()])
        } else {
            None
        }
    }

    /// Starts over from `bars` (oldest first), each with what is known beside it.
    pub fn warm<'a>(&mut self, bars: impl IntoIterator<Item = (&'a Bar, Beside)>) {
        let bars = bars.into_iter();
        self.warm_numbered(bars.map(|(bar, beside)| (bar.number(), *bar, beside)));
    }

    /// As [`Self::warm`], from numbered bars that close by events.
    pub fn warm_numbered(&mut self, bars: impl IntoIterator<Item = (i64, Bar, Beside)>) {
        self.restart();
        for (number, bar, beside) in bars {
            self.on_numbered(number, &bar, &beside);
        }
    }

    /// The rule by which its bars close; `None` where the clock closes them.
    #[must_use]
    pub const fn events(&self) -> Option<EventRule> {
        self.spec.events
    }

    /// The slow parameters that it reads.
    #[must_use]
    pub fn slow(&self) -> &[SlowColumn] {
        &self.spec.slow
    }

    /// Whether the last bar taken had a row.
    #[must_use]
    pub const fn is_warm(&self) -> bool {
        self.is_warm
    }

    /// Number of the last bar taken.
    #[must_use]
    pub const fn last_number(&self) -> Option<i64> {
        self.last_number
    }

    /// Names of the columns that it reads beside those of bars: what happens in them, then the slow parameters.
    #[must_use]
    pub fn columns_beside(&self) -> Vec<&str> {
        let flow = self.expressions.flow.iter().map(|at| FLOW_INPUTS[*at].name());
        let slow = self.spec.slow.iter().map(|column| column.name.as_str());
        flow.chain(slow).collect()
    }

    /// What is known of a bar, from values in the order of [`Self::columns_beside`].
    #[must_use]
    pub fn beside(&self, mut values: impl Iterator<Item = f64>) -> Beside {
        let mut beside = Beside::UNKNOWN;
        for (at, value) in self.expressions.flow.iter().zip(&mut values) {
            beside.flow[*at] = value;
        }
        for (place, value) in beside.slow.iter_mut().zip(values) {
            *place = value;
        }
        beside
    }

    /// Bars after which every feature has a value, wherever the stream begins.
    #[must_use]
    pub fn warmup_bars(&self) -> usize {
        self.spec
            .features
            .iter()
            .map(|def| def.warmup_bars(&self.spec.slow))
            .max()
            .unwrap_or(0)
    }

    /// Everything but the expressions, which start over by themselves where a bar does not follow the last one.
    fn restart(&mut self) {
        self.primitives.clear();
        let mut output = 0;
        for def in &self.spec.features {
            self.primitives.push(Primitive::new(def, output));
            output += usize::from(matches!(def.kind, FeatureKind::Expression(_)));
        }
        self.expressions.runner.restart();
        self.last_number = None;
        self.is_warm = false;
    }
}

/// The one rounding of a feature: to the nearest float32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the model's input is float32 by definition"
)]
const fn to_f32(exact: f64) -> f32 {
    exact as f32
}

fn check(spec: &FeatureSpec) -> Result<(), SpecError> {
    if !spec.is_bounded() {
        return Err(SpecError::Unbounded);
    }
    if spec.bar_span.0 <= 0 {
        return Err(SpecError::BarSpan);
    }
    if spec
        .events
        .is_some_and(|rule| !rule.is_whole() || !spec.slow.is_empty())
    {
        return Err(SpecError::EventRule);
    }
    for def in &spec.features {
        if !def.kind.lengths_are_valid() {
            return Err(SpecError::Length(def.name.clone()));
        }
        let window = usize::from(def.restart_window);
        let fits = match def.kind.recursive_period() {
            Some(period) => (usize::from(period) + 1..=RESTART_WINDOW_MAX_BARS).contains(&window),
            None => window == 0,
        };
        if !fits {
            return Err(SpecError::RestartWindow(def.name.clone()));
        }
    }
    Ok(())
}
