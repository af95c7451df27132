//! What an engine is built from, and the check that it can be.

use domain::{
    ClientOrderId, Currency, Decimal, Epoch, Instrument, InstrumentId, Money, Nanos, OrderRequest, Price,
    Quantity, Side, SlotId, Timestamp, TradeId, Venue,
};
use thiserror::Error;

use crate::account::{CarriedAccount, MovementId};
use crate::action::ControlLevel;
use crate::command::Scope;
use crate::limits::{
    COUNTED_EXECUTIONS_MAX, CURRENCIES_MAX, ENDED_ORDERS_KEPT, EXECUTIONS_IN_WINDOW_MAX, FILLS_REMEMBERED,
    INSTRUMENTS_MAX, MOVEMENTS_REMEMBERED, OPEN_ORDERS_MAX, ORDERS_IN_WINDOW_MAX, SLOTS_MAX,
};
use crate::risk::RiskLimits;
use crate::slot::SlotConfig;

/// Everything the engine is built from. Recorded as the first record of a journal, so that a replay
/// builds the same engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// This life of the service.
    pub epoch: Epoch,
    /// Currency in which portfolio limits are counted; every instrument of a venue at which a slot trades is quoted in it.
    pub portfolio_currency: Currency,
    /// Instruments, in the order of their ids from 0.
    pub instruments: Vec<Instrument>,
    /// Slots, in the order of their ids.
    pub slots: Vec<SlotConfig>,
    /// The service's own limits: a bundle's may only be tighter.
    pub limits: RiskLimits,
    /// Length of a bar.
    pub bar_span: Nanos,
    /// How long after a bar's end a book update or quote (not a trade) may close it: trades of the
    /// interval may still be on their way on another stream.
    pub bar_close_grace: Nanos,
    /// How long an order may stay without an answer before its outcome is unknown.
    pub order_ack_timeout: Nanos,
    /// Whether trading waits for [`crate::EventBody::Reconciled`] and for balances: true live, false in a
    /// backtest, where venues count as online and balances as sufficient until an event says otherwise.
    pub require_reconciliation: bool,
    /// What an earlier life left: empty for a first one.
    pub carried: CarriedState,
}

/// What outlives a life of the service. [`crate::Engine::carried_state`] makes it (from an engine that
/// replayed the previous journal), the next life's [`EngineConfig`] takes it.
///
/// Not in it, because the venue tells it again: books, bars, balances.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CarriedState {
    /// Stops that need a person to lift, pauses included.
    pub latches: Vec<Latch>,
    /// Positions and results of the slots.
    pub slots: Vec<CarriedSlot>,
    /// Orders that had not ended: their outcome is unknown until the venue is asked.
    pub orders: Vec<CarriedOrder>,
    /// Fills that were booked, oldest first, so that none is booked twice; at most
    /// [`FILLS_REMEMBERED`].
    pub fills: Vec<FillKey>,
    /// Fees paid in assets that are neither base nor quote of their trade.
    pub foreign_fees: Vec<Money>,
    /// Highest equity of the account, portfolio currency.
    pub peak_equity: Option<Money>,
    /// Orders of the last minute or the duplicate window, oldest first: a life that begins anew is no way
    /// around the limits; at most [`ORDERS_IN_WINDOW_MAX`].
    pub sent: Vec<SentOrder>,
    /// Fills that the repeated-execution throttle still counts, oldest first within each scope; at most
    /// [`EXECUTIONS_IN_WINDOW_MAX`] for everything and for each slot.
    pub executions: Vec<CountedExecution>,
    /// What of the venues' accounts is accounted for beside the slots.
    pub account: CarriedAccount,
    /// Movements that were booked, oldest first, so that none is booked twice; at most [`MOVEMENTS_REMEMBERED`].
    pub movements: Vec<MovementId>,
}

/// Why a latch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LatchCause {
    /// A command.
    Operator,
    /// The drawdown stop.
    Drawdown,
    /// The repeated-execution throttle.
    RepeatedExecution,
}

/// A stop that only a person lifts: a pause by starting again, the others by re-arming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latch {
    /// What it acts on.
    pub scope: Scope,
    /// Above [`ControlLevel::Running`].
    pub level: ControlLevel,
    /// Why.
    pub cause: LatchCause,
}

/// A slot's books at the end of a life, quote currency of its instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarriedSlot {
    /// Which slot.
    pub slot: SlotId,
    /// Signed base quantity.
    pub quantity: Quantity,
    /// Exact cost of the open quantity.
    pub cost: Money,
    /// Realised profit before fees.
    pub realized: Money,
    /// Fees paid in the quote currency.
    pub fees: Money,
    /// Highest equity of the slot.
    pub peak_equity: Option<Money>,
    /// Standard deviation of daily returns of the last bundle; zero when none has run.
    pub daily_volatility: Decimal,
    /// Only reducing until flat: a swap left the position to run off.
    pub run_off: bool,
    /// The position is being closed.
    pub flatten: Option<Flatten>,
}

/// A position being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flatten {
    /// How far from the middle of the book a closing order may be priced, basis points.
    pub max_slippage_bps: u32,
    /// Closing orders that were tried.
    pub attempts: u8,
}

/// An order that left, as the rate limit and the duplicate check remember it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentOrder {
    /// When, engine time.
    pub at: Timestamp,
    /// Whose.
    pub slot: SlotId,
    /// In which instrument.
    pub instrument: InstrumentId,
    /// Which side.
    pub side: Side,
    /// Its limit; `None` for a market order.
    pub price: Option<Price>,
    /// Base quantity.
    pub quantity: Quantity,
}

/// A fill that the repeated-execution throttle counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountedExecution {
    /// [`Scope::All`] or a slot: each counts by itself.
    pub scope: Scope,
    /// When, engine time.
    pub at: Timestamp,
}

/// An order that had not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarriedOrder {
    /// What was asked for.
    pub request: OrderRequest,
    /// Quantity booked as filled.
    pub filled: Quantity,
    /// When it was sent, engine time.
    pub submitted_at: Timestamp,
    /// When its unfilled rest is to be canceled.
    pub timeout_at: Option<Timestamp>,
    /// Someone wanted it canceled.
    pub cancel_wanted: bool,
}

/// What makes a fill unique: a self-trade has one number for both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FillKey {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// The venue's number.
    pub trade_id: TradeId,
    /// Our side.
    pub side: Side,
}

/// Why no engine can be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A table is longer than its bound.
    #[error("{what}: {count} given, at most {max} fit")]
    TooMany {
        /// Which table or limit.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many fit.
        max: usize,
    },
    /// No instrument, or ids that are not 0, 1, 2, ...
    #[error("instrument number {0} must have id {0}: ids count up from 0 in the order of the list")]
    InstrumentOrder(usize),
    /// Slot ids must ascend, without two alike.
    #[error("slot {0:?} is not above the one before it: slots stand in ascending order of their ids")]
    SlotOrder(SlotId),
    /// A slot, carried position or order names what is not there.
    #[error("{what} names {id}, which is not configured")]
    Unknown {
        /// What names it.
        what: &'static str,
        /// The number it names.
        id: u16,
    },
    /// Amounts are in different currencies.
    #[error("{what} is in {found}, but must be in {expected}: no rate converts it")]
    CurrencyMismatch {
        /// Which amount.
        what: &'static str,
        /// Its currency.
        found: Currency,
        /// The portfolio's.
        expected: Currency,
    },
    /// A number is outside its range.
    #[error("{what} is out of range: {allowed}")]
    OutOfRange {
        /// Which number.
        what: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Two carried orders have one id.
    #[error("order {0} is carried over twice")]
    DuplicateOrder(ClientOrderId),
}

impl EngineConfig {
    /// Checks that an engine can be built.
    ///
    /// # Errors
    /// The first fault, as a [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_counts()?;
        self.check_instruments()?;
        self.check_slots()?;
        check_limits(&self.limits, self.portfolio_currency)?;
        for (what, span) in [
            ("bar_span", self.bar_span),
            ("order_ack_timeout", self.order_ack_timeout),
        ] {
            if span.0 <= 0 {
                return Err(ConfigError::OutOfRange {
                    what,
                    allowed: "more than 0",
                });
            }
        }
        if self.bar_close_grace.0 < 0 {
            return Err(ConfigError::OutOfRange {
                what: "bar_close_grace",
                allowed: "0 or more",
            });
        }
        self.check_carried()
    }

    fn check_counts(&self) -> Result<(), ConfigError> {
        let carried = &self.carried;
        let counts = [
            ("instruments", self.instruments.len(), INSTRUMENTS_MAX),
            ("slots", self.slots.len(), SLOTS_MAX),
            ("carried orders", carried.orders.len(), OPEN_ORDERS_MAX),
            ("carried fills", carried.fills.len(), FILLS_REMEMBERED),
            ("carried foreign fees", carried.foreign_fees.len(), CURRENCIES_MAX),
            ("carried latches", carried.latches.len(), ENDED_ORDERS_KEPT),
            ("carried sent orders", carried.sent.len(), ORDERS_IN_WINDOW_MAX),
            (
                "carried executions",
                carried.executions.len(),
                COUNTED_EXECUTIONS_MAX,
            ),
            ("carried movements", carried.account.moved.len(), CURRENCIES_MAX),
            (
                "carried comparisons",
                carried.account.compared.len(),
                Venue::ALL.len(),
            ),
            (
                "carried valued fees",
                carried.account.valued_fees.len(),
                SLOTS_MAX,
            ),
            (
                "carried fees without a value",
                carried.account.unvalued_fees.len(),
                CURRENCIES_MAX,
            ),
            (
                "carried names of movements",
                carried.movements.len(),
                MOVEMENTS_REMEMBERED,
            ),
        ];
        match counts.into_iter().find(|(_, count, max)| count > max) {
            Some((what, count, max)) => Err(ConfigError::TooMany { what, count, max }),
            None => Ok(()),
        }
    }

    fn check_instruments(&self) -> Result<(), ConfigError> {
        if self.instruments.is_empty() {
            return Err(ConfigError::InstrumentOrder(0));
        }
        for (at, instrument) in self.instruments.iter().enumerate() {
            if usize::from(instrument.id.0) != at {
                return Err(ConfigError::InstrumentOrder(at));
            }
            // What is only watched is in no sum.
            if self.is_traded_at(instrument.venue) {
                same_currency("an instrument's quote", instrument.quote, self.portfolio_currency)?;
            }
        }
        Ok(())
    }

    fn is_traded_at(&self, venue: Venue) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| {
            let traded = self.instruments.get(usize::from(slot.instrument.0));
            traded.is_some_and(|traded| traded.venue == venue)
        })
    }

    fn check_slots(&self) -> Result<(), ConfigError> {
        let mut previous = None;
        for slot in &self.slots {
            if previous.is_some_and(|before| before >= slot.slot) {
                return Err(ConfigError::SlotOrder(slot.slot));
            }
            previous = Some(slot.slot);
            if usize::from(slot.instrument.0) >= self.instruments.len() {
                return Err(ConfigError::Unknown {
                    what: "a slot",
                    id: slot.instrument.0,
                });
            }
            same_currency(
                "a slot's capital",
                slot.capital.currency(),
                self.portfolio_currency,
            )?;
            if slot.capital.units() < 0 {
                return Err(ConfigError::OutOfRange {
                    what: "a slot's capital",
                    allowed: "0 or more",
                });
            }
        }
        Ok(())
    }

    fn check_carried(&self) -> Result<(), ConfigError> {
        let known = |slot: SlotId| self.slots.iter().any(|config| config.slot == slot);
        let expected = self.portfolio_currency;
        for slot in &self.carried.slots {
            if !known(slot.slot) {
                return Err(ConfigError::Unknown {
                    what: "a carried position",
                    id: slot.slot.0,
                });
            }
            for money in [slot.cost, slot.realized, slot.fees]
                .into_iter()
                .chain(slot.peak_equity)
            {
                same_currency("a carried position", money.currency(), expected)?;
            }
        }
        for fees in &self.carried.account.valued_fees {
            if !known(fees.slot) {
                return Err(ConfigError::Unknown {
                    what: "carried fees",
                    id: fees.slot.0,
                });
            }
            same_currency("carried fees", fees.amount.currency(), expected)?;
        }
        for (at, order) in self.carried.orders.iter().enumerate() {
            let id = order.request.client_order_id;
            if !known(id.slot) {
                return Err(ConfigError::Unknown {
                    what: "a carried order",
                    id: id.slot.0,
                });
            }
            if usize::from(order.request.instrument.0) >= self.instruments.len() {
                return Err(ConfigError::Unknown {
                    what: "a carried order",
                    id: order.request.instrument.0,
                });
            }
            if self.carried.orders[..at]
                .iter()
                .any(|other| other.request.client_order_id == id)
            {
                return Err(ConfigError::DuplicateOrder(id));
            }
        }
        match self.carried.peak_equity {
            Some(peak) => same_currency("the carried peak equity", peak.currency(), expected),
            None => Ok(()),
        }
    }
}

/// Checks limits before an engine works by them: their currency and the bounds of its tables.
///
/// # Errors
/// The first fault, as a [`ConfigError`].
pub(super) fn check_limits(limits: &RiskLimits, currency: Currency) -> Result<(), ConfigError> {
    same_currency("max_position_usd", limits.max_position_usd.currency(), currency)?;
    same_currency("var_limit_1d_95", limits.var_limit_1d_95.currency(), currency)?;
    same_currency(
        "max_order_size_usd",
        limits.max_order_size_usd.currency(),
        currency,
    )?;
    let tables = [
        (
            "max_order_rate_per_min",
            limits.max_order_rate_per_min,
            ORDERS_IN_WINDOW_MAX,
        ),
        (
            "repeated_execution_limit",
            limits.repeated_execution_limit,
            EXECUTIONS_IN_WINDOW_MAX - 1,
        ),
    ];
    for (what, limit, max) in tables {
        let count = usize::try_from(limit).unwrap_or(usize::MAX);
        if count > max {
            return Err(ConfigError::TooMany { what, count, max });
        }
    }
    Ok(())
}

fn same_currency(what: &'static str, found: Currency, expected: Currency) -> Result<(), ConfigError> {
    if found == expected {
        Ok(())
    } else {
        Err(ConfigError::CurrencyMismatch {
            what,
            found,
            expected,
        })
    }
}
