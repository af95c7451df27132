//! The loop: one event, its actions, the next event.

use std::sync::atomic::{AtomicBool, Ordering};

use domain::{AmendRejectReason, Bar, InstrumentId, Nanos, OrderReport, OrderReportKind, Timestamp};
use engine::{Action, Actions, BundleActivated, Engine, Event, EventBody, probe::Probe};
use simulation::{Venue, VenueEvent, VenueEventBody};

use crate::error::BacktestError;
use crate::report::{BacktestReport, EquityPoint, Holding};
use crate::timers::Timers;

/// Most points of equity in one report.
pub const EQUITY_POINTS_MAX: usize = 10_000_000;

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
    /// The first point of equity.
    pub equity_from: Timestamp,
    /// The last one: the data's end, where it is known; else the end of the interval in which the data end.
    pub equity_until: Option<Timestamp>,
    /// Distance between points of equity; above zero.
    pub equity_every: Nanos,
    /// Keep every signal in the report.
    pub keep_signals: bool,
    /// Looked at after every event: once it is true, the run ends with [`BacktestError::Stopped`].
    pub stop: Option<&'a AtomicBool>,
}

/// Runs `engine` against `venue` until the venue has nothing more to say.
///
/// # Errors
/// [`BacktestError`] when the program was refused, the run was stopped, or the engine lost an action.
pub fn run<P: Probe, V: Venue>(
    engine: &mut Engine<P>,
    venue: &mut V,
    start: &Start<'_>,
) -> Result<BacktestReport, BacktestError> {
    let mut driver = Driver::new(start);
    driver.begin(engine, venue, start)?;
    loop {
        let until = driver.timers.next_at();
        let given = match venue.next_event(until) {
            Some(event) => Some(driver.give_venue_event(engine, &event)?),
            None => None,
        };
        if given.is_none() {
            // Timers beyond the data's end must not move time.
            let timer = if venue.is_finished() {
                None
            } else {
                driver.timers.take()
            };
            let Some((at, timer)) = timer else {
                return driver.end(engine);
            };
            driver.give(engine, at, EventBody::Timer(timer))?;
        }
        driver.carry_out(venue)?;
        while let Some(report) = driver.unchanged.pop() {
            driver.give(engine, report.ts_event, EventBody::OrderReport(report))?;
            driver.carry_out(venue)?;
        }
        if start.stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(BacktestError::Stopped(driver.report.events));
        }
    }
}

/// What the loop keeps between events.
struct Driver {
    actions: Actions,
    timers: Timers,
    report: BacktestReport,
    now: Timestamp,
    next_point: Timestamp,
    /// From here on the equity at the end of the run counts.
    last_point: Option<Timestamp>,
    equity_every: Nanos,
    keep_signals: bool,
    /// Changes of orders, which no venue of a backtest makes: the engine cancels and places anew.
    unchanged: Vec<OrderReport>,
}

impl Driver {
    fn new(start: &Start<'_>) -> Self {
        Self {
            actions: Actions::new(),
            timers: Timers::default(),
            report: BacktestReport::default(),
            now: start.complete_since,
            next_point: start.equity_from,
            last_point: start.equity_until,
            equity_every: Nanos(start.equity_every.0.max(1)),
            keep_signals: start.keep_signals,
            unchanged: Vec::new(),
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
        self.give(engine, at, EventBody::Started { epoch })?;
        for bar in start.history {
            self.give(engine, at, EventBody::HistoricalBar(*bar))?;
        }
        let complete = EventBody::TradesComplete {
            instrument: start.instrument,
            since: at,
        };
        self.give(engine, at, complete)?;
        self.give(engine, at, EventBody::BundleActivated(start.activation))?;
        let refused = self.actions.as_slice().iter().find_map(|action| match action {
            Action::BundleRefused { reason, .. } => Some(format!("{reason:?}")),
            _ => None,
        });
        if let Some(reason) = refused {
            return Err(BacktestError::NotActivated(reason));
        }
        self.carry_out(venue)
    }

    /// Closes the books: equity up to the last point, and what stands.
    fn end<P: Probe>(mut self, engine: &Engine<P>) -> Result<BacktestReport, BacktestError> {
        let last = self.last_point.take().unwrap_or(self.next_point);
        self.sample(engine, last)?;
        self.report.holding = engine.positions().next().map(|position| Holding {
            quantity: position.quantity,
            cost: position.cost,
            realized: position.realized,
            unrealized: position.unrealized,
            fees: position.fees,
            mark: position.mark,
            equity: engine.equity(),
        });
        self.report.foreign_fees = engine.foreign_fees().to_vec();
        Ok(self.report)
    }

    fn give_venue_event<P: Probe>(
        &mut self,
        engine: &mut Engine<P>,
        event: &VenueEvent<'_>,
    ) -> Result<(), BacktestError> {
        let body = match event.body {
            VenueEventBody::Market(market) => EventBody::Market(market),
            VenueEventBody::Report(report) => EventBody::OrderReport(report),
        };
        self.give(engine, event.ts_received, body)
    }

    #[inline]
    fn give<P: Probe>(
        &mut self,
        engine: &mut Engine<P>,
        at: Timestamp,
        body: EventBody<'_>,
    ) -> Result<(), BacktestError> {
        self.now = self.now.max(at);
        if self.next_point <= self.now {
            self.sample(engine, self.now)?;
        }
        self.report.events += 1;
        engine.on_event(
            &Event {
                seq: self.report.events,
                ts: self.now,
                body,
            },
            &mut self.actions,
        );
        Ok(())
    }

    /// Notes the equity at every point up to `until`.
    fn sample<P: Probe>(&mut self, engine: &Engine<P>, until: Timestamp) -> Result<(), BacktestError> {
        let equity = engine.equity();
        while self.next_point <= until && self.last_point.is_none_or(|last| self.next_point < last) {
            if self.report.equity.len() == EQUITY_POINTS_MAX {
                return Err(BacktestError::TooManyPoints);
            }
            let ts = self.next_point;
            self.report.equity.push(EquityPoint { ts, equity });
            self.next_point = ts.plus(self.equity_every);
        }
        Ok(())
    }

    /// Hands the venue what the engine sends; keeps the rest.
    #[inline]
    fn carry_out<V: Venue>(&mut self, venue: &mut V) -> Result<(), BacktestError> {
        if self.actions.overflowed() {
            return Err(BacktestError::TooManyActions(self.report.events));
        }
        for action in self.actions.drain() {
            match action {
                Action::Submit(order) => {
                    self.report.orders += 1;
                    venue.submit(&order.into_inner(), self.now);
                }
                Action::Amend(amend) => {
                    let amend = amend.into_inner();
                    self.unchanged.push(OrderReport {
                        client_order_id: amend.client_order_id,
                        instrument: amend.instrument,
                        ts_event: self.now,
                        kind: OrderReportKind::AmendRejected(AmendRejectReason::NotOffered),
                    });
                }
                Action::Cancel(request) => {
                    self.report.cancels += 1;
                    venue.cancel(&request, self.now);
                }
                Action::QueryOrder(request) => venue.query(&request, self.now),
                Action::SetTimer { timer, at } => self.timers.set(timer, at),
                other => self.report.note(&other, self.keep_signals),
            }
        }
        Ok(())
    }
}
