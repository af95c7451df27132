//! The thread that decides: messages, facts and timers in, one after the other, run to completion.

use std::sync::Arc;
use std::time::Duration;

use domain::{Bar, Epoch, MarketEvent, Nanos, Timestamp};
use engine::{CommandKind, EventBody, Scope};
use tracing::{error, info, warn};
use venues::clock::{Clock, ServerClock};

use crate::comparison::Comparison;
use crate::driver::Driver;
use crate::egress::Halt;
use crate::ending::{Ended, Ending};
use crate::fact::{CommandOutcome, Deploy, Fact};
use crate::inputs::{Input, Inputs};
use crate::link::Link;
use crate::parameters::Parameters;
use crate::session::Session;
use crate::view::{ORDERS_SHOWN_MAX, ServiceState, View};
use crate::wake::Wake;

/// Messages taken in one turn before facts and timers are looked at.
const MESSAGES_PER_TURN: usize = 256;

/// Facts taken in one turn.
const FACTS_PER_TURN: usize = 64;

/// Wall time between two looks at what is not urgent.
const CHORES_INTERVAL: Nanos = Nanos::from_millis(10);

/// Wall time between two passings-on of latencies, and of what others have counted.
const LATENCIES_INTERVAL: Nanos = Nanos::from_millis(1_000);

/// Longest sleep.
const REST_MAX: Duration = Duration::from_millis(10);

/// Everything the thread owns.
#[derive(Debug)]
pub(crate) struct EngineLoop {
    driver: Driver,
    link: Link,
    comparison: Comparison,
    inputs: Inputs,
    parameters: Parameters,
    wake: Wake,
    clock: Arc<ServerClock>,
    instruments: usize,
    ending: Ending,
    next_chores: Nanos,
    next_latencies: Nanos,
}

impl EngineLoop {
    /// Everything, about to begin.
    pub(crate) fn new(
        (driver, link, comparison): (Driver, Link, Comparison),
        inputs: Inputs,
        parameters: Parameters,
        wake: Wake,
        session: &Session,
    ) -> Self {
        Self {
            driver,
            link,
            comparison,
            inputs,
            parameters,
            wake,
            clock: Arc::clone(&session.clock),
            instruments: session.listed().len(),
            ending: Ending::new(),
            next_chores: Nanos(0),
            next_latencies: Nanos(0),
        }
    }

    /// Begins the life and runs it to its end.
    pub(crate) fn run(mut self, epoch: Epoch, history: &[Bar]) -> Ended {
        self.driver.begin(epoch);
        self.remember(history);
        info!(epoch = epoch.0, bars = history.len(), "a life begins");
        while !self.ending.is_done() {
            let mut worked = self.take_messages();
            worked |= self.take_facts();
            worked |= self.fire_timers();
            worked |= self.driver.take_back();
            self.do_chores();
            if !worked {
                self.rest();
            }
        }
        self.ending.finish(&mut self.driver)
    }

    fn take_messages(&mut self) -> bool {
        for taken in 0..MESSAGES_PER_TURN {
            // What is due before the next message comes before it.
            if let Some(received) = self.inputs.next_received() {
                self.pass_time(received);
            }
            let Some(input) = self.inputs.take() else {
                return taken > 0;
            };
            let (driver, comparison) = (&mut self.driver, &mut self.comparison);
            match input {
                Input::Market(message) => self.link.on_market(&message, driver, comparison),
                Input::Account(message) => self.link.on_account(&message, driver, comparison),
                Input::Watched(event) => event.give(driver),
            }
            driver.take_back();
        }
        true
    }

    fn take_facts(&mut self) -> bool {
        for taken in 0..FACTS_PER_TURN {
            let Some(fact) = self.inputs.take_fact() else {
                return taken > 0;
            };
            self.driver.take_in_hand();
            self.take_fact(fact);
        }
        true
    }

    fn take_fact(&mut self, fact: Fact) {
        let (received, wall) = (self.clock.now(), self.clock.monotonic());
        // Whoever asked may have gone; what was done is done.
        match fact {
            Fact::Reports(reports) => {
                for report in reports {
                    self.driver.give(received, EventBody::OrderReport(report));
                }
            }
            Fact::History(bars) => self.remember(&bars),
            Fact::Truth(truth) => self.comparison.on_truth(&truth, &mut self.driver, received, wall),
            Fact::NoTruth { generation } => self.comparison.on_no_truth(generation, &self.driver, wall),
            Fact::Rules(instrument) => {
                let event = MarketEvent::InstrumentUpdated(*instrument);
                self.driver.give(received, EventBody::Market(event));
            }
            Fact::Command { kind, reply } => {
                if let Some(result) = self.command(received, kind) {
                    let _ = reply.send(result);
                }
            }
            Fact::Kill(answer) => {
                let result = self.driver.command(received, CommandKind::Kill(Scope::All));
                self.driver.out().latch.heard();
                answer.give(result);
            }
            Fact::Deploy(deploy) => self.deploy(received, *deploy),
            Fact::Look(reply) => {
                let _ = reply.send(Box::new(self.view(ORDERS_SHOWN_MAX)));
            }
            Fact::Picture(number) => {
                // Ended orders were told as they went; live ones matter to whoever has just come.
                let live = usize::try_from(self.driver.open_orders()).unwrap_or(ORDERS_SHOWN_MAX);
                let view = Box::new(self.view(live));
                self.driver.out_mut().teller.tell_picture(number, view);
            }
            Fact::Alarm(alarm) => {
                error!(
                    kind = alarm.kind(),
                    text = alarm.text(),
                    "alert: a person must look"
                );
                self.driver.out().counters.alerts.add_one();
                self.driver.out_mut().teller.tell_alarm(received, alarm);
            }
            Fact::Drain => self.ending.begin(Halt::Draining, &mut self.driver, wall),
        }
    }

    fn command(&mut self, received: Timestamp, kind: CommandKind) -> CommandOutcome {
        let result = self.driver.command(received, kind);
        if let CommandKind::SetParameter {
            slot,
            parameter,
            value,
        } = kind
            && result == Some(Ok(()))
        {
            self.parameters.changed(slot, parameter, value);
        }
        result
    }

    fn deploy(&mut self, received: Timestamp, deploy: Deploy) {
        let Deploy {
            program,
            activation,
            parameters,
            reply,
        } = deploy;
        let done = self.driver.deploy(received, program, activation);
        if done.is_ok() {
            self.parameters.begin(activation.slot, &parameters);
        }
        let _ = reply.send(done);
    }

    fn remember(&mut self, bars: &[Bar]) {
        let received = self.clock.now();
        for bar in bars {
            self.driver.give(received, EventBody::HistoricalBar(*bar));
        }
    }

    /// While messages of the own venue wait, their receive times are the time; only then is the clock's.
    fn fire_timers(&mut self) -> bool {
        let now: Timestamp = self.clock.now();
        !self.inputs.own_waits() && self.pass_time(now)
    }

    fn pass_time(&mut self, until: Timestamp) -> bool {
        self.link.pass_time(until, &mut self.driver, &mut self.comparison)
    }

    fn do_chores(&mut self) {
        let wall = self.clock.monotonic();
        if wall < self.next_chores && !self.ending.has_begun() {
            return;
        }
        self.next_chores = Nanos(wall.0 + CHORES_INTERVAL.0);
        self.driver.watch_record(self.clock.now());
        self.parameters.poll(&mut self.driver, self.clock.now());
        self.comparison.tick(&mut self.driver, wall);
        if let Some(reason) = self.driver.out().egress.halted() {
            self.ending.begin(reason, &mut self.driver, wall);
        }
        if self.inputs.is_abandoned() {
            self.ending.abandon();
        }
        self.ending.advance(&self.driver, &mut self.comparison, wall);
        self.count();
        if wall >= self.next_latencies {
            self.next_latencies = Nanos(wall.0 + LATENCIES_INTERVAL.0);
            self.driver.pass_latencies_on();
            self.link.pass_counts_on(&self.driver.out().counters.refusals);
        }
    }

    fn count(&mut self) {
        let out = self.driver.out();
        let (market, account) = self.inputs.waiting();
        out.counters.rounds.add_one();
        self.link.pass_books_on(market.messages, &out.counters.venues);
        out.counters.market_queue.set(market.messages as u64);
        out.counters.market_queue_bytes.set(market.bytes as u64);
        out.counters.account_queue.set(account.messages as u64);
        out.counters.account_queue_bytes.set(account.bytes as u64);
        out.counters.orders_open.set(self.driver.open_orders());
        out.counters.timers.set(out.timers.waiting() as u64);
        let written = self.driver.recording().written();
        out.counters.record_records.set(written.records);
        out.counters.record_bytes.set(written.bytes);
        out.counters.record_unsynced.set(written.unsynced);
        let reconciled = self.comparison.is_reconciled();
        out.counters.reconciled.set(u64::from(reconciled));
        out.latch.heartbeat();
        self.count_unknown();
        let (now, rate_ppb) = (self.clock.now(), self.clock.rate_ppb());
        self.driver.out_mut().rings.heartbeat(now, rate_ppb);
        self.parameters.heartbeat();
    }

    /// What running bundles declare and nobody knows: nothing is decided on it, which is worth a word.
    fn count_unknown(&self) {
        let (engine, now) = (self.driver.engine(), self.clock.now());
        let declared = engine.slow_parameters();
        let unknown = declared.filter(|one| !one.is_known(now)).count() as u64;
        let counters = &self.driver.out().counters;
        if unknown > counters.slow_parameters_unknown.get() {
            warn!(
                unknown,
                "slow parameters that running bundles declare are stale or were not told: `py_rt status` names them"
            );
        }
        counters.slow_parameters_unknown.set(unknown);
        counters.late_quotes.set(engine.late_quotes_in_all());
    }

    fn view(&self, orders_max: usize) -> View {
        View::of(
            self.driver.engine(),
            self.driver.seq(),
            self.instruments,
            self.state(),
            orders_max,
        )
    }

    fn state(&self) -> ServiceState {
        if self.ending.has_begun() {
            ServiceState::Draining
        } else if !self.comparison.is_online() {
            ServiceState::Connecting
        } else if !self.comparison.is_reconciled() {
            ServiceState::Reconciling
        } else if self.driver.engine().slots().any(|slot| slot.active.is_some()) {
            ServiceState::Trading
        } else {
            ServiceState::Waiting
        }
    }

    fn rest(&self) {
        let next = self.driver.out().timers.next_at().min(self.link.next_due());
        let longest = REST_MAX.min(self.clock.wall_until(next));
        self.wake.rest(longest, || self.inputs.has_work());
    }
}
