//! One event after the other through the engine: recorded, decided, recorded, carried out.

use domain::{Epoch, InstrumentId, MarketEvent, Nanos, OrderReportKind, RejectReason, Timestamp, Venue};
use engine::{
    Actions, BundleActivated, Command, CommandId, CommandKind, Engine, Event, EventBody, SlotProgram,
};
use tracing::error;

use crate::clock::EngineTime;
use crate::egress::Halt;
use crate::fact::CommandOutcome;
use crate::monitoring::latency::{Stage, StageClock};
use crate::outputs::Outputs;
use crate::recording::Recording;
use crate::simulated::SimulatedAccount;
use crate::timers::TIMERS_MAX;

/// The engine with everything that an event passes. Lives on the thread that decides.
#[derive(Debug)]
pub(crate) struct Driver {
    engine: Engine<StageClock>,
    actions: Actions,
    recording: Recording,
    out: Outputs,
    time: EngineTime,
    seq: u64,
    commands: u64,
    /// Hears the market with the engine, as far as it trades there.
    simulated: Option<SimulatedAccount>,
    /// The venue that is traded at: what others tell is in no count and no fill here.
    venue: Venue,
}

impl Driver {
    pub(crate) fn new(
        engine: Engine<StageClock>,
        recording: Recording,
        out: Outputs,
        (simulated, venue): (Option<SimulatedAccount>, Venue),
        start: Timestamp,
    ) -> Self {
        Self {
            engine,
            actions: Actions::new(),
            recording,
            out,
            time: EngineTime::starting_at(start),
            seq: 0,
            commands: 0,
            simulated,
            venue,
        }
    }

    /// A life begins.
    pub(crate) fn begin(&mut self, epoch: Epoch) {
        self.take_in_hand();
        self.give(self.time.now(), EventBody::Started { epoch });
    }

    /// A frame, an answer or a timer is taken in hand: what follows from it is measured from here.
    pub(crate) fn take_in_hand(&mut self) {
        self.engine.probe_mut().begin();
    }

    /// A frame became an event.
    pub(crate) fn parsed(&mut self) {
        self.engine.probe_mut().ended(Stage::Parse);
    }

    /// Gives the engine one event and carries out what follows.
    pub(crate) fn give(&mut self, received: Timestamp, body: EventBody<'_>) {
        let (seq, ts) = (self.recording.next_event(), self.time.advance(received));
        let event = Event { seq, ts, body };
        if !self.recording.event(&event) {
            self.out.egress.halt(Halt::Record);
            return;
        }
        self.seq = seq;
        self.engine.probe_mut().ended(Stage::Record);
        if let (Some(simulated), EventBody::Market(market)) = (&self.simulated, &event.body)
            && self.is_own(market)
        {
            simulated.hear(ts, market);
        }
        self.engine.on_event(&event, &mut self.actions);
        self.engine.probe_mut().skip();
        if !self.recording.actions(ts, self.actions.as_slice()) {
            self.out.egress.halt(Halt::Record);
        }
        self.engine.probe_mut().ended(Stage::Record);
        if self.actions.overflowed() {
            error!(
                seq,
                "the engine's buffer of actions overflowed: no new order leaves"
            );
            self.out.egress.halt(Halt::Defect);
        }
        self.out.rings.show_event(ts, &event.body, &self.engine);
        self.out.teller.tell_event(ts, &event.body);
        self.out.counters.events.add_one();
        match event.body {
            EventBody::Market(MarketEvent::BookInvalid(invalid))
                if self.is_own_instrument(invalid.instrument) =>
            {
                self.out.counters.books_given_up.add_one();
                self.out.counters.refusals.book(invalid.reason);
            }
            EventBody::OrderReport(report) => {
                self.out.counters.refusals.report(report.kind);
                if report.kind == OrderReportKind::Rejected(RejectReason::NotTrading) {
                    self.out.rules.wish();
                }
            }
            _ => {}
        }
        self.out
            .counters
            .actions
            .add(self.actions.as_slice().len() as u64);
        for action in self.actions.drain() {
            self.out.carry_out(action, ts, &mut self.engine);
        }
    }

    /// Whether it is told by the venue that is traded at.
    fn is_own(&self, market: &MarketEvent<'_>) -> bool {
        match market {
            MarketEvent::Book(update) => self.is_own_instrument(update.instrument),
            MarketEvent::BookInvalid(invalid) => self.is_own_instrument(invalid.instrument),
            MarketEvent::Trade(trade) => self.is_own_instrument(trade.instrument),
            MarketEvent::Quote(quote) => self.is_own_instrument(quote.instrument),
            MarketEvent::InstrumentUpdated(instrument) => instrument.venue == self.venue,
            MarketEvent::VenueStatus(status) => status.venue == self.venue,
        }
    }

    fn is_own_instrument(&self, id: InstrumentId) -> bool {
        let known = self.engine.instrument(id);
        known.is_some_and(|known| known.venue == self.venue)
    }

    /// Gives the engine a command and returns how it went; `None` when it could not be recorded.
    pub(crate) fn command(&mut self, received: Timestamp, kind: CommandKind) -> CommandOutcome {
        self.commands += 1;
        let id = CommandId(self.commands);
        self.out.expect_command();
        self.out.by_hand = matches!(kind, CommandKind::ManualOrder(_));
        self.give(received, EventBody::Command(Command { id, kind }));
        self.out.by_hand = false;
        // The engine answers every command in the same event.
        self.out.command_outcome()
    }

    /// Makes a program ready and activates it.
    pub(crate) fn deploy(
        &mut self,
        received: Timestamp,
        program: SlotProgram,
        activation: BundleActivated,
    ) -> Result<(), String> {
        self.engine.stage(program).map_err(|error| error.to_string())?;
        self.activate(received, activation)
    }

    /// Activates what is staged, or what ran before.
    pub(crate) fn activate(
        &mut self,
        received: Timestamp,
        activation: BundleActivated,
    ) -> Result<(), String> {
        self.out.activation_result = None;
        self.give(received, EventBody::BundleActivated(activation));
        let silent = || Err("it could not be recorded".to_owned());
        self.out.activation_result.take().unwrap_or_else(silent)
    }

    /// Fires the timers that are due at `until`, each at its time; at most [`TIMERS_MAX`].
    pub(crate) fn fire_timers(&mut self, until: Timestamp) -> bool {
        for fired in 0..TIMERS_MAX {
            let Some((at, timer)) = self.out.timers.take_due(until) else {
                return fired > 0;
            };
            self.take_in_hand();
            self.give(at, EventBody::Timer(timer));
        }
        true
    }

    /// Tells the engine what never reached a socket. One round: what follows from it waits for the next.
    pub(crate) fn take_back(&mut self) -> bool {
        let count = self.out.returned.len();
        for _ in 0..count {
            if let Some(report) = self.out.returned.pop_front() {
                self.take_in_hand();
                self.give(self.time.now(), EventBody::OrderReport(report));
            }
        }
        count > 0
    }

    /// Tells the engine when the record falls behind or catches up.
    pub(crate) fn watch_record(&mut self, now: Timestamp) {
        if let Some(health) = self.recording.changed_health() {
            let lagging = health == engine::JournalHealth::Lagging;
            self.out.counters.record_lagging.set(u64::from(lagging));
            self.take_in_hand();
            self.give(now, EventBody::JournalHealth(health));
        }
    }

    /// Orders that may still trade.
    pub(crate) fn open_orders(&self) -> u64 {
        let working = |slot: engine::SlotSnapshot| u64::from(slot.working_orders);
        self.engine.slots().map(working).sum()
    }

    pub(crate) const fn engine(&self) -> &Engine<StageClock> {
        &self.engine
    }

    pub(crate) const fn out(&self) -> &Outputs {
        &self.out
    }

    pub(crate) const fn out_mut(&mut self) -> &mut Outputs {
        &mut self.out
    }

    pub(crate) const fn recording(&self) -> &Recording {
        &self.recording
    }

    pub(crate) const fn recording_mut(&mut self) -> &mut Recording {
        &mut self.recording
    }

    /// No later event is at or before `ts`: something has happened by itself then.
    pub(crate) fn leave_behind(&mut self, ts: Timestamp) {
        self.time.advance(ts.plus(Nanos(1)));
    }

    /// Engine time.
    pub(crate) const fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// Number of the last event that the engine took in.
    pub(crate) const fn seq(&self) -> u64 {
        self.seq
    }

    /// Lets the latencies so far be read by others.
    pub(crate) fn pass_latencies_on(&mut self) {
        self.engine.probe_mut().pass_on();
    }
}
