//! What others may read of the engine between two events.

use domain::{
    BundleDigest, ClientOrderId, Decimal, Epoch, Instrument, InstrumentId, Money, Nanos, Quantity, SlotId,
    Timestamp,
};

use super::Engine;
use super::config::{CarriedOrder, CarriedSlot, CarriedState, Latch};
use super::state::InstrumentState;
use crate::account::CarriedAccount;
use crate::action::{ControlLevel, PositionUpdate};
use crate::command::Scope;
use crate::execution::{OrderManager, OrderView};
use crate::market::Book;
use crate::position::Ledger;
use crate::probe::Probe;
use crate::risk::{RATE_WINDOW, value_at_risk};
use crate::signals::{BarFlow, SlowColumn, SlowFact};
use crate::strategy::{SlotView, TopOfBook};

/// A slot at a glance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotSnapshot {
    /// Which slot.
    pub slot: SlotId,
    /// What it trades.
    pub instrument: InstrumentId,
    /// Capital assigned to it.
    pub capital: Money,
    /// Capital plus profit minus fees.
    pub equity: Money,
    /// Highest equity so far.
    pub peak_equity: Money,
    /// The running bundle.
    pub active: Option<BundleDigest>,
    /// The bundle staged for it.
    pub staged: Option<BundleDigest>,
    /// The bundle before, hot for a rollback.
    pub previous: Option<BundleDigest>,
    /// When the running approval ends.
    pub expires: Option<Timestamp>,
    /// How free it is, all scopes and conditions together.
    pub control: ControlLevel,
    /// Live orders.
    pub working_orders: u16,
    /// Live orders of unknown outcome.
    pub unknown_orders: u16,
    /// The features of the running bundle had values at its last bar, and nothing has begun them anew since.
    pub warm: bool,
    /// Quotes that were heard after their bar had closed: features of quotes may differ from a recording's there.
    pub late_quotes: u64,
}

/// A slow parameter that a running bundle declares, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowSnapshot {
    /// Whose bundle.
    pub slot: SlotId,
    /// What it declares.
    pub column: SlowColumn,
    /// The newest fact that holds from now or before, its longest age the shorter of told and declared; `None`: none was
    /// told.
    pub newest: Option<SlowFact>,
}

impl SlowSnapshot {
    /// Whether a bar that closes at a time would be given a value.
    #[must_use]
    pub fn is_known(&self, at: Timestamp) -> bool {
        self.newest
            .is_some_and(|fact| fact.value.is_some() && at.since(fact.valid_from) <= fact.max_age)
    }
}

/// What a strategy may see; `None` without a ledger. The pair is engine time and size scale.
pub(super) fn slot_view<'a>(
    (now, size_scale): (Timestamp, Decimal),
    state: &'a InstrumentState,
    ledger: Option<&Ledger>,
    orders: &OrderManager,
) -> Option<SlotView<'a>> {
    let ledger = ledger?;
    let exposure = orders.exposure(ledger.slot);
    let quantity = |units: i128| Quantity::from_units(i64::try_from(units).unwrap_or(i64::MAX));
    Some(SlotView {
        slot: ledger.slot,
        now,
        instrument: &state.instrument,
        top: state.book.top(),
        position: ledger.basis.quantity,
        open_buys: quantity(exposure.buys),
        open_sells: quantity(exposure.sells),
        equity: Money::from_units(ledger.equity(), state.instrument.quote),
        size_scale,
    })
}

impl<P: Probe> Engine<P> {
    /// Engine time: that of the last event.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The life that new order ids belong to.
    pub const fn epoch(&self) -> Epoch {
        self.orders.epoch()
    }

    /// The probe.
    pub const fn probe(&self) -> &P {
        &self.probe
    }

    /// The probe, to read and clear it.
    pub const fn probe_mut(&mut self) -> &mut P {
        &mut self.probe
    }

    /// Every slot, by id.
    pub fn slots(&self) -> impl Iterator<Item = SlotSnapshot> + '_ {
        self.slots
            .iter()
            .zip(self.positions.ledgers())
            .map(|(slot, ledger)| {
                let exposure = self.orders.exposure(ledger.slot);
                SlotSnapshot {
                    slot: ledger.slot,
                    instrument: ledger.instrument,
                    capital: self.money(ledger.capital),
                    equity: self.money(ledger.equity()),
                    peak_equity: self.money(slot.drawdown.peak),
                    active: slot.active.as_ref().map(super::state::Running::digest),
                    staged: slot.staged.as_ref().map(super::state::Running::digest),
                    previous: slot.previous.as_ref().map(super::state::Running::digest),
                    expires: slot.active.as_ref().map(|running| running.expires),
                    control: self
                        .control(Scope::Slot(ledger.slot))
                        .unwrap_or(ControlLevel::Killed),
                    working_orders: exposure.working,
                    unknown_orders: exposure.unknown,
                    warm: self.is_warm(slot),
                    late_quotes: self.late_quotes(ledger.instrument),
                }
            })
    }

    fn is_warm(&self, slot: &super::state::SlotState) -> bool {
        let features = slot.active.as_ref().and_then(|running| running.features.as_ref());
        let state = self.instruments.get(usize::from(slot.config.instrument.0));
        features
            .zip(state)
            .is_some_and(|(features, state)| features.is_warm(state))
    }

    /// Quotes that were heard after their bar had closed, of all instruments that a slot trades.
    pub fn late_quotes_in_all(&self) -> u64 {
        let flows = self.instruments.iter().filter_map(|state| state.flow.as_ref());
        flows.map(BarFlow::late_quotes).sum()
    }

    fn late_quotes(&self, instrument: InstrumentId) -> u64 {
        let state = self.instruments.get(usize::from(instrument.0));
        state
            .and_then(|state| state.flow.as_ref())
            .map_or(0, BarFlow::late_quotes)
    }

    /// The slow parameters that the running bundles declare, by slot.
    pub fn slow_parameters(&self) -> impl Iterator<Item = SlowSnapshot> + '_ {
        self.slots.iter().flat_map(|slot| {
            let columns = slot.active.iter().flat_map(super::state::Running::slow);
            columns.map(|column| SlowSnapshot {
                slot: slot.config.slot,
                column: *column,
                newest: self.slow.newest(slot.config.instrument, column, self.now),
            })
        })
    }

    /// The position of every slot, by slot id.
    pub fn positions(&self) -> impl Iterator<Item = PositionUpdate> + '_ {
        self.positions
            .ledgers()
            .iter()
            .map(|ledger| self.positions.update(ledger))
    }

    /// The account's position in an instrument: the sum of the slots'.
    pub fn account_position(&self, instrument: InstrumentId) -> Quantity {
        let units = self.positions.account_quantity(instrument);
        Quantity::from_units(i64::try_from(units).unwrap_or(i64::MAX))
    }

    /// Live orders by id, then ended ones, newest first.
    pub fn orders(&self) -> impl Iterator<Item = OrderView> + '_ {
        self.orders
            .open()
            .iter()
            .map(|order| order.view)
            .chain(self.orders.ended().copied())
    }

    /// One order, live or ended.
    pub fn order(&self, id: ClientOrderId) -> Option<OrderView> {
        self.orders().find(|order| order.request.client_order_id == id)
    }

    /// How free a scope is: the highest level over the scopes around it and the conditions that hold it
    /// (doubtful position, unknown order, expired approval, run-off). `None` for an unknown target.
    pub fn control(&self, scope: Scope) -> Option<ControlLevel> {
        let all = self.switch.own_level(Scope::All)?;
        match scope {
            Scope::All => Some(all),
            Scope::Venue(_) => Some(all.max(self.switch.own_level(scope)?)),
            Scope::Instrument(instrument) => {
                let state = self.instruments.get(usize::from(instrument.0))?;
                let venue = self.switch.own_level(Scope::Venue(state.instrument.venue))?;
                let own = self.switch.own_level(scope)?;
                Some(all.max(venue).max(own).max(self.doubt_level(instrument)))
            }
            Scope::Slot(slot) => {
                let at = self.slot_index(slot)?;
                let instrument = self.slots[at].config.instrument;
                let venue = self.instruments[usize::from(instrument.0)].instrument.venue;
                let level = self.switch.effective(venue, instrument, slot).level();
                let held = if self.is_held(at) {
                    ControlLevel::ReduceOnly
                } else {
                    ControlLevel::Running
                };
                Some(level.max(held).max(self.doubt_level(instrument)))
            }
            Scope::Order(id) => {
                self.order(id)?;
                self.control(Scope::Slot(id.slot))
            }
        }
    }

    /// Every latch that holds.
    pub fn latches(&self) -> impl Iterator<Item = Latch> + '_ {
        self.switch.latches()
    }

    /// The account's equity: the sum of the slots', portfolio currency.
    pub fn equity(&self) -> Money {
        self.money(self.positions.equity())
    }

    /// The account's highest equity so far.
    pub fn peak_equity(&self) -> Money {
        self.money(self.drawdown.peak)
    }

    /// One-day 95 % value at risk of what is held and working, portfolio currency; `None` when it does not
    /// fit.
    pub fn value_at_risk(&self) -> Option<Money> {
        let [account, _] = self.measures_now()?;
        value_at_risk(account.volatile).map(|units| self.money(units))
    }

    /// Fees paid in assets that were neither base nor quote.
    pub fn foreign_fees(&self) -> &[Money] {
        self.positions.foreign_fees()
    }

    /// An instrument's book, valid or not.
    pub fn book(&self, instrument: InstrumentId) -> Option<&Book> {
        Some(&self.instruments.get(usize::from(instrument.0))?.book)
    }

    /// Venue time of the data that the top of an instrument's book comes from.
    pub fn data_ts(&self, instrument: InstrumentId) -> Option<Timestamp> {
        Some(self.instruments.get(usize::from(instrument.0))?.data_ts)
    }

    /// Best levels of a valid book.
    pub fn book_top(&self, instrument: InstrumentId) -> Option<TopOfBook> {
        self.instruments.get(usize::from(instrument.0))?.book.top()
    }

    /// An instrument with its present rules.
    pub fn instrument(&self, instrument: InstrumentId) -> Option<&Instrument> {
        self.instruments
            .get(usize::from(instrument.0))
            .map(|state| &state.instrument)
    }

    /// What a next life needs of this one. Allocates.
    pub fn carried_state(&self) -> CarriedState {
        let slots = self.slots.iter().zip(self.positions.ledgers());
        let (moved, compared) = self.outside.carried();
        CarriedState {
            latches: self.latches().collect(),
            slots: slots
                .map(|(slot, ledger)| CarriedSlot {
                    slot: ledger.slot,
                    quantity: ledger.basis.quantity,
                    cost: self.money(ledger.basis.cost),
                    realized: self.money(ledger.basis.realized),
                    fees: self.money(ledger.fees),
                    peak_equity: Some(self.money(slot.drawdown.peak)),
                    daily_volatility: slot.daily_volatility,
                    run_off: slot.run_off,
                    flatten: slot.flatten,
                })
                .collect(),
            orders: self
                .orders
                .open()
                .iter()
                .map(|order| CarriedOrder {
                    request: order.worst(),
                    filled: order.view.filled,
                    submitted_at: order.view.submitted_at,
                    timeout_at: order.timeout_at,
                    cancel_wanted: order.cancel_wanted,
                })
                .collect(),
            fills: self.fills.iter().copied().collect(),
            foreign_fees: self.positions.foreign_fees().to_vec(),
            peak_equity: Some(self.peak_equity()),
            sent: self.window.since(self.now, self.remembered_window()).collect(),
            executions: self.throttle.counted().collect(),
            account: CarriedAccount {
                moved,
                compared,
                valued_fees: self.positions.valued_fees().collect(),
                unvalued_fees: self.positions.unvalued_fees().to_vec(),
            },
            movements: self.outside.named().collect(),
        }
    }

    /// How long the rate limit and the duplicate checks of all limits look back.
    fn remembered_window(&self) -> Nanos {
        let slots = self.slots.iter().map(|slot| slot.limits(&self.config.limits));
        let all = slots.chain([&self.config.limits]);
        all.map(|limits| limits.duplicate_window)
            .fold(RATE_WINDOW, Nanos::max)
    }

    pub(super) const fn money(&self, units: i128) -> Money {
        Money::from_units(units, self.config.portfolio_currency)
    }

    fn doubt_level(&self, instrument: InstrumentId) -> ControlLevel {
        if self.reconciliation.agrees(instrument) && !self.orders.has_unknown(instrument) {
            ControlLevel::Running
        } else {
            ControlLevel::ReduceOnly
        }
    }
}
