//! The engine: one event in, actions out; nothing else.

mod account;
mod amend;
mod commands;
mod config;
mod decide;
mod deploy;
mod event_series;
mod facts;
mod flatten;
mod market_flow;
mod orders_out;
mod reports;
mod state;
mod supervision;
mod timers;
mod views;
mod watch;

use domain::{InstrumentId, Money, SlotId, Timestamp, Venue};

use crate::action::{Action, Actions, Alert, OrderUpdate};
use crate::event::{Event, EventBody, JournalHealth};
use crate::execution::{FillMemory, OrderManager, carried};
use crate::limits::{EMPTY_BARS_MAX, NOTICES_MAX, OPEN_ORDERS_MAX};
use crate::market::BarOutcome;
use crate::position::{Ledger, Outside, PositionTracker, Reconciliation};
use crate::probe::{NoProbe, Probe};
use crate::risk::{Drawdown, ExecutionThrottle, KillSwitch, MarginWatch, OrderWindow, venue_index};
use crate::signals::SlowParameters;
use crate::strategy::Intents;
use amend::Replaced;
use state::{Balances, InstrumentState, SlotState, VenueLink};

pub use config::{
    CarriedOrder, CarriedSlot, CarriedState, ConfigError, CountedExecution, EngineConfig, FillKey, Flatten,
    Latch, LatchCause, SentOrder,
};
pub use deploy::StageError;
pub use views::{SlotSnapshot, SlowSnapshot};

/// Decides. Equal configurations fed equal events emit equal actions, on any machine.
///
/// After [`Engine::new`] nothing allocates but [`Engine::stage`], the activation of a program over bars of events, features
/// that start over after a hole in the bars, a slow parameter that is told, and a book that grows beyond its first depth.
pub struct Engine<P: Probe = NoProbe> {
    config: EngineConfig,
    now: Timestamp,
    instruments: Vec<InstrumentState>,
    slots: Vec<SlotState>,
    venues: [VenueLink; Venue::ALL.len()],
    positions: PositionTracker,
    orders: OrderManager,
    fills: FillMemory,
    switch: KillSwitch,
    window: OrderWindow,
    throttle: ExecutionThrottle,
    reconciliation: Reconciliation,
    outside: Outside,
    /// Orders that were canceled for others to take their places.
    replaced: Vec<Replaced>,
    balances: Balances,
    /// What was told of instruments beside their markets.
    slow: SlowParameters,
    drawdown: Drawdown,
    margin: MarginWatch,
    journal_lagging: bool,
    /// This life ends in order.
    ending: bool,
    /// Bars that the current event closed.
    closed: Vec<BarOutcome>,
    /// Wishes of the strategy that was asked last.
    intents: Intents,
    /// Order changes of which strategies have not been told.
    notices: Vec<OrderUpdate>,
    probe: P,
}

impl<P: Probe> std::fmt::Debug for Engine<P> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Engine")
            .field("epoch", &self.orders.epoch())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl Engine<NoProbe> {
    /// An engine that measures nothing.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: EngineConfig) -> Result<Self, ConfigError> {
        Self::with_probe(config, NoProbe)
    }
}

impl<P: Probe> Engine<P> {
    /// An engine that tells `probe` when each stage ends.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn with_probe(mut config: EngineConfig, probe: P) -> Result<Self, ConfigError> {
        config.check()?;
        let carried_state = std::mem::take(&mut config.carried);
        let slot_ids: Vec<SlotId> = config.slots.iter().map(|slot| slot.slot).collect();
        let ready = !config.require_reconciliation;
        let link = VenueLink {
            online: ready,
            reconciled: ready,
        };
        let instruments = config.instruments.iter();
        let mut engine = Self {
            now: Timestamp::EPOCH,
            instruments: instruments
                .map(|one| InstrumentState::new(*one, &config))
                .collect(),
            slots: config.slots.iter().map(|slot| SlotState::new(*slot)).collect(),
            venues: [link; Venue::ALL.len()],
            positions: PositionTracker::new(config.portfolio_currency, &config.slots),
            orders: OrderManager::new(config.epoch, slot_ids.clone()),
            fills: FillMemory::new(),
            switch: KillSwitch::new(config.instruments.len(), slot_ids.iter().copied()),
            window: OrderWindow::new(),
            throttle: ExecutionThrottle::new(slot_ids.iter().copied()),
            reconciliation: Reconciliation::new(config.instruments.len()),
            outside: Outside::new(),
            replaced: Vec::with_capacity(OPEN_ORDERS_MAX),
            balances: Balances::new(config.require_reconciliation),
            slow: SlowParameters::new(config.bar_span),
            drawdown: Drawdown { peak: 0 },
            margin: MarginWatch::default(),
            journal_lagging: false,
            ending: false,
            closed: Vec::with_capacity(2 * EMPTY_BARS_MAX + 2),
            intents: Intents::new(),
            notices: Vec::with_capacity(NOTICES_MAX),
            config,
            probe,
        };
        engine.restore(&carried_state);
        Ok(engine)
    }

    /// Takes over what an earlier life left.
    fn restore(&mut self, state: &CarriedState) {
        self.positions.restore(state);
        self.outside.restore(&state.account, &state.movements);
        for carried_slot in &state.slots {
            let equity = self.positions.ledger(carried_slot.slot).map_or(0, Ledger::equity);
            if let Some(slot) = self
                .slots
                .iter_mut()
                .find(|slot| slot.config.slot == carried_slot.slot)
            {
                let peak = carried_slot.peak_equity.map_or(equity, Money::units);
                slot.drawdown = Drawdown { peak };
                slot.daily_volatility = carried_slot.daily_volatility;
                slot.run_off = carried_slot.run_off;
                slot.flatten = carried_slot.flatten;
            }
        }
        let peak = state.peak_equity.map_or(self.positions.equity(), Money::units);
        self.drawdown = Drawdown { peak };
        state.latches.iter().for_each(|latch| self.switch.restore(latch));
        state.fills.iter().for_each(|key| self.fills.insert(*key));
        state.sent.iter().for_each(|sent| self.window.restore(*sent));
        let executions = state.executions.iter();
        executions.for_each(|execution| self.throttle.restore(execution));
        for order in &state.orders {
            let order = carried(order);
            // The configuration was checked: every carried order fits and has its slot.
            self.orders.insert(order, domain::OrderStatus::Unknown);
        }
    }

    /// Takes one event in and appends what follows from it to `actions`, in order.
    pub fn on_event(&mut self, event: &Event<'_>, actions: &mut Actions) {
        self.now = self.now.max(event.ts);
        match &event.body {
            EventBody::Market(market) => self.on_market(market, actions),
            EventBody::OrderReport(report) => self.on_report(report, actions),
            EventBody::Timer(timer) => self.on_timer(*timer, actions),
            EventBody::HistoricalBar(bar) => self.on_historical_bar(bar, actions),
            EventBody::TradesComplete { instrument, since } => {
                if let Some(state) = self.state_mut(*instrument, actions) {
                    state.bars.set_complete_since(*since);
                    state.series.begin(Some(*since));
                }
            }
            EventBody::Command(command) => self.on_command(command, actions),
            EventBody::BundleActivated(activation) => self.on_activation(activation, actions),
            EventBody::Balance { venue, balance } => {
                if !self.balances.set(*venue, balance) {
                    actions.push(Action::Alert(Alert::CapacityReached));
                }
            }
            EventBody::VenuePosition(position) => self.on_venue_position(position, actions),
            EventBody::Reconciled { venue } => self.venues[venue_index(*venue)].reconciled = true,
            EventBody::JournalHealth(health) => self.journal_lagging = *health == JournalHealth::Lagging,
            EventBody::SlotCapital { slot, capital } => self.on_slot_capital(*slot, capital, actions),
            EventBody::Started { epoch } => self.on_started(*epoch, actions),
            EventBody::Ending => self.ending = true,
            EventBody::Difference(difference) => self.on_difference(difference, actions),
            EventBody::Compared(compared) => self.outside.compare(compared.venue, compared.through),
        }
        self.tell_strategies(actions);
    }

    /// An instrument's tables; an alert when there is no such instrument.
    fn state_mut(&mut self, instrument: InstrumentId, actions: &mut Actions) -> Option<&mut InstrumentState> {
        let state = self.instruments.get_mut(usize::from(instrument.0));
        if state.is_none() {
            actions.push(Action::Alert(Alert::UnknownInstrument(instrument)));
        }
        state
    }

    fn slot_index(&self, slot: SlotId) -> Option<usize> {
        self.slots
            .binary_search_by_key(&slot, |state| state.config.slot)
            .ok()
    }
}
