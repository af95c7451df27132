//! Backtests over bars, and over quotes.

use std::sync::atomic::AtomicBool;

use domain::{Bar, InstrumentId, Nanos, Price, Timestamp};
use engine::risk::RiskLimits;
use engine::signals::Beside;
use simulation::{
    FeedConfig, OPENING_LEAD, PublicEvent, QuoteVenue, QuoteVenueConfig, SimulatedVenue, VenueConfig,
};

use crate::error::BacktestError;
use crate::report::BacktestReport;
use crate::run::{Start, run};
use crate::settings::{Program, Settings};

/// Runs a program over bars: those before `start` warm the features, the others are played as a seeded market whose
/// trades reproduce each bar's open, high, low, close and volume exactly.
///
/// Bars ascend on the grid of their span and are consistent. `max_data_age` is taken no shorter than two bars: how
/// often quotes came between two prices is not in the bars, the market made from them is sparser than a real one, and
/// its silences are not those of a broken feed.
///
/// `beside` is what is known of each bar beside its prices, in the order of the bars; empty where nothing is. The quotes
/// and trades that are made from bars say nothing of what happened in them, and no feature sees them.
///
/// # Errors
/// [`BacktestError`]: settings or bars are impossible, the program does not fit, or `stop` was raised.
pub fn over_bars(
    settings: &Settings,
    program: Program,
    bars: &[Bar],
    beside: &[Beside],
    start: Timestamp,
    stop: Option<&AtomicBool>,
) -> Result<BacktestReport, BacktestError> {
    let split = bars.partition_point(|bar| bar.ts_open < start);
    let (history, played) = bars.split_at(split);
    let (Some(first), Some(last)) = (played.first(), played.last()) else {
        return Err(BacktestError::NoData);
    };
    let limits = RiskLimits {
        max_data_age: settings
            .limits
            .max_data_age
            .max(Nanos(settings.bar_span.0.saturating_mul(2))),
        ..settings.limits
    };
    let mut engine = settings.engine(program, limits)?;
    let known = bars.iter().map(Bar::number).zip(beside.iter().copied());
    engine.know_bars(settings.instrument.id, known.collect())?;
    let config = VenueConfig {
        instrument: settings.instrument,
        flow: settings.flow,
        latency: settings.latency,
        fees: settings.fees,
        feed: FeedConfig::TRADES_AND_QUOTES,
    };
    let mut venue = SimulatedVenue::new(config, played.to_vec())?;
    let start = Start {
        history,
        activation: Settings::activation(),
        instrument: settings.instrument.id,
        complete_since: first.ts_open.plus(Nanos(-OPENING_LEAD.0)),
        equity_from: first.ts_open,
        equity_until: Some(last.ts_close()),
        equity_every: settings.bar_span,
        keep_signals: settings.keep_signals,
        stop,
    };
    run(&mut engine, &mut venue, &start)
}

/// Runs a program over recorded quotes (and trades, where there are any), which ascend in venue time.
///
/// Bars close only where there are trades.
///
/// # Errors
/// [`BacktestError`]: settings are impossible, there is no event, the program does not fit, or `stop` was raised.
pub fn over_quotes<I: Iterator<Item = PublicEvent>>(
    settings: &Settings,
    program: Program,
    events: I,
    stop: Option<&AtomicBool>,
) -> Result<BacktestReport, BacktestError> {
    let mut events = events.peekable();
    let first = events.peek().ok_or(BacktestError::NoData)?.ts_event();
    let mut engine = settings.engine(program, settings.limits)?;
    let config = QuoteVenueConfig {
        instrument: settings.instrument,
        latency: settings.latency,
        fees: settings.fees,
    };
    let mut venue = QuoteVenue::new(config, events);
    let start = Start {
        history: &[],
        activation: Settings::activation(),
        instrument: InstrumentId(0),
        complete_since: first,
        equity_from: first.floor_to(settings.bar_span),
        equity_until: None,
        equity_every: settings.bar_span,
        keep_signals: settings.keep_signals,
        stop,
    };
    run(&mut engine, &mut venue, &start)
}

/// The coarsest tick size that all prices are multiples of; 1e-8 where there is none.
///
/// ```
/// use domain::Price;
/// let prices = ["43443.0625", "43443.5", "43450"].map(|text| Price::parse(text.as_bytes()).unwrap());
/// assert_eq!(backtest::tick_of(prices).to_string(), "0.0625");
/// ```
#[must_use]
pub fn tick_of(prices: impl IntoIterator<Item = Price>) -> Price {
    let mut step = 0_i64;
    for price in prices {
        let mut rest = price.units();
        while rest != 0 {
            (step, rest) = (rest, step % rest);
        }
        if step.abs() == 1 {
            break;
        }
    }
    Price::from_units(step.abs().max(1))
}
