//! The loop: one event, its actions, the next event.

use domain::{Bar, InstrumentId, Timestamp};
use engine::{Action, Actions, BundleActivated, Engine, Event, EventBody, probe::Probe};
use simulation::{Venue, VenueEvent, VenueEventBody};
use thiserror::Error;

use crate::report::{BacktestReport, EquityPoint};
use crate::timers::Timers;

/// How a backtest begins.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Bars before the first event, oldest first: features are warm when trading begins.
    pub history: &'a [Bar],
    /// What trades. The engine has its program staged.
    pub activation: BundleActivated,
    /// What is watched.
    pub instrument: InstrumentId,
    /// From here on every trade is seen: at or before the first bar's open.
    pub complete_since: Timestamp,
    /// Keep every signal in the report.
    pub keep_signals: bool,
}

/// Why a backtest stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BacktestError {
    /// One event caused more actions than the engine's buffer holds: a defect of the engine.
    #[error("event {0} caused more actions than engine::limits::ACTIONS_MAX")]
    TooManyActions(u64),
    /// The engine did not take the program.
    #[error("the staged program was not activated: {0}")]
    NotActivated(String),
}

/// Runs `engine` against `venue` until the venue has nothing more to say.
///
/// # Errors
/// [`BacktestError`] when the program was refused, or the engine lost an action.
pub fn run<P: Probe, V: Venue>(
    engine: &mut Engine<P>,
    venue: &mut V,
    start: &Start<'_>,
) -> Result<BacktestReport, BacktestError> {
    let mut driver = Driver::new(start.keep_signals, start.complete_since);
    driver.begin(engine, venue, start)?;
    loop {
        let until = driver.timers.next_at();
        let event = venue
            .next_event(until)
            .map(|event| driver.give_venue_event(engine, &event));
        if event.is_none() {
            // Timers beyond the data's end must not move time.
            let timer = if venue.is_finished() {
                None
            } else {
                driver.timers.take()
            };
            let Some((at, timer)) = timer else {
                return Ok(driver.report);
            };
            driver.give(engine, at, EventBody::Timer(timer));
        }
        driver.carry_out(engine, venue)?;
    }
}

/// What the loop keeps between events.
struct Driver {
    actions: Actions,
    timers: Timers,
    report: BacktestReport,
    now: Timestamp,
    keep_signals: bool,
}

impl Driver {
    fn new(keep_signals: bool, now: Timestamp) -> Self {
        Self {
            actions: Actions::new(),
            timers: Timers::default(),
            report: BacktestReport::default(),
            now,
            keep_signals,
        }
    }

    fn begin<P: Probe, V: Venue>(
        &mut self,
        engine: &mut Engine<P>,
        venue: &mut V,
        start: &Start<'_>,
    ) -> Result<(), BacktestError> {
        let at = start.complete_since;
        let epoch = engine.epoch();
        self.give(engine, at, EventBody::Started { epoch });
        for bar in start.history {
            self.give(engine, at, EventBody::HistoricalBar(*bar));
        }
        self.give(
            engine,
            at,
            EventBody::TradesComplete {
                instrument: start.instrument,
                since: at,
            },
        );
        self.give(engine, at, EventBody::BundleActivated(start.activation));
        let refused = self.actions.as_slice().iter().find_map(|action| match action {
            Action::BundleRefused { reason, .. } => Some(format!("{reason:?}")),
            _ => None,
        });
        if let Some(reason) = refused {
            return Err(BacktestError::NotActivated(reason));
        }
        self.carry_out(engine, venue)
    }

    fn give_venue_event<P: Probe>(&mut self, engine: &mut Engine<P>, event: &VenueEvent<'_>) {
        let body = match event.body {
            VenueEventBody::Market(market) => EventBody::Market(market),
            VenueEventBody::Report(report) => EventBody::OrderReport(report),
        };
        self.give(engine, event.ts_received, body);
    }

    fn give<P: Probe>(&mut self, engine: &mut Engine<P>, at: Timestamp, body: EventBody<'_>) {
        self.now = self.now.max(at);
        self.report.events += 1;
        engine.on_event(
            &Event {
                seq: self.report.events,
                ts: self.now,
                body,
            },
            &mut self.actions,
        );
    }

    /// Hands the venue what the engine sends; keeps the rest.
    fn carry_out<P: Probe, V: Venue>(
        &mut self,
        engine: &Engine<P>,
        venue: &mut V,
    ) -> Result<(), BacktestError> {
        if self.actions.overflowed() {
            return Err(BacktestError::TooManyActions(self.report.events));
        }
        for action in self.actions.drain() {
            match action {
                Action::Submit(order) => {
                    self.report.orders += 1;
                    venue.submit(&order.into_inner(), self.now);
                }
                Action::Cancel(request) => {
                    self.report.cancels += 1;
                    venue.cancel(&request, self.now);
                }
                Action::QueryOrder(request) => venue.query(&request, self.now),
                Action::SetTimer { timer, at } => self.timers.set(timer, at),
                Action::BarClosed(bar) => {
                    let point = EquityPoint {
                        ts_close: bar.ts_close(),
                        equity: engine.equity(),
                    };
                    self.report.equity.push(point);
                }
                other => self.report.note(&other, self.keep_signals),
            }
        }
        Ok(())
    }
}
