//! The specification's strategy (B.2): a model's probability against two thresholds, one position at a time.

use domain::{Decimal, Instrument, Money, Nanos, OrderType, Price, Quantity, SCALE, Side, TimeInForce};
use thiserror::Error;

use super::{BarView, Intent, Intents, OrderIntent, SlotView, Strategy, TopOfBook};
use crate::action::Decision;
use crate::command::{CommandRefusal, ParameterId};
use crate::signals::Model;

/// Largest `limit_offset_bps`: ten percent.
pub const LIMIT_OFFSET_BPS_MAX: u32 = 1_000;

/// Largest `timeout_seconds`: a week.
pub const TIMEOUT_SECONDS_MAX: u32 = 604_800;

/// Largest `lookback_period`, bars.
pub const LOOKBACK_PERIOD_MAX: u32 = 10_000;

/// The keys of a strategy file, under their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThresholdParameters {
    /// `[parameters] lookback_period`: bars that must close after activation before the first entry.
    pub lookback_period: u32,
    /// `[parameters] entry_threshold`: probability at or above which to enter, 0 to 1.
    pub entry_threshold: Decimal,
    /// `[parameters] exit_threshold`: probability below which to leave, 0 to 1, not above the entry's.
    pub exit_threshold: Decimal,
    /// `[parameters] position_size_pct`: share of the slot's equity for one position, above 0 to 1.
    pub position_size_pct: Decimal,
    /// `[execution] order_type`.
    pub order_type: OrderType,
    /// `[execution] limit_offset_bps`: distance of a limit order from the mid on the passive side.
    pub limit_offset_bps: u32,
    /// `[execution] timeout_seconds`: life of an unfilled order, 1 or more.
    pub timeout_seconds: u32,
}

/// Which parameter is outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{key} is out of range: {allowed}")]
pub struct ParameterError {
    /// Its key.
    pub key: &'static str,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Both thresholds are probabilities, but a score could ask to enter and to leave.
const THRESHOLDS_CROSS: ParameterError = ParameterError {
    key: "exit_threshold",
    allowed: "at most entry_threshold",
};

impl ThresholdParameters {
    /// Checks every range.
    ///
    /// # Errors
    /// The first parameter outside its range.
    pub fn check(&self) -> Result<(), ParameterError> {
        let probability = |value: Decimal| (Decimal::ZERO..=Decimal::ONE).contains(&value);
        let rules = [
            (
                self.lookback_period <= LOOKBACK_PERIOD_MAX,
                "lookback_period",
                "0 to 10000 bars",
            ),
            (probability(self.entry_threshold), "entry_threshold", "0 to 1"),
            (probability(self.exit_threshold), "exit_threshold", "0 to 1"),
            (
                self.exit_threshold <= self.entry_threshold,
                THRESHOLDS_CROSS.key,
                THRESHOLDS_CROSS.allowed,
            ),
            (
                probability(self.position_size_pct) && self.position_size_pct > Decimal::ZERO,
                "position_size_pct",
                "above 0 to 1",
            ),
            (
                self.limit_offset_bps <= LIMIT_OFFSET_BPS_MAX,
                "limit_offset_bps",
                "0 to 1000",
            ),
            (
                (1..=TIMEOUT_SECONDS_MAX).contains(&self.timeout_seconds),
                "timeout_seconds",
                "1 to 604800",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, key, allowed)) => Err(ParameterError { key, allowed }),
            None => Ok(()),
        }
    }
}

/// Enters when the model's raw score is at least that of the entry threshold, leaves when it is below that
/// of the exit threshold; cancels opposite working orders first; never has two entries at once.
#[derive(Debug, Clone)]
pub struct ThresholdModel {
    now: Thresholds,
    /// As they were approved: an activation undoes what was changed while running.
    approved: Thresholds,
    bars_since_activation: u32,
}

/// Parameters with the raw scores of their thresholds: decisions compare these, never rounded probabilities.
#[derive(Debug, Clone, Copy)]
struct Thresholds {
    parameters: ThresholdParameters,
    raw_entry: f32,
    raw_exit: f32,
}

impl Thresholds {
    fn new(parameters: ThresholdParameters, model: &dyn Model) -> Result<Self, ParameterError> {
        parameters.check()?;
        Ok(Self {
            parameters,
            raw_entry: model.raw_threshold(parameters.entry_threshold),
            raw_exit: model.raw_threshold(parameters.exit_threshold),
        })
    }
}

impl ThresholdModel {
    /// The strategy of `parameters` for `model`.
    ///
    /// # Errors
    /// The first parameter outside its range.
    pub fn new(parameters: ThresholdParameters, model: &dyn Model) -> Result<Self, ParameterError> {
        let approved = Thresholds::new(parameters, model)?;
        Ok(Self {
            now: approved,
            approved,
            bars_since_activation: 0,
        })
    }

    /// Its parameters now.
    #[must_use]
    pub const fn parameters(&self) -> &ThresholdParameters {
        &self.now.parameters
    }

    fn enter(&self, view: &SlotView<'_>, top: &TopOfBook, intents: &mut Intents) -> Decision {
        let parameters = &self.now.parameters;
        if self.bars_since_activation <= parameters.lookback_period {
            return Decision::Hold;
        }
        if !view.open_sells.is_zero() {
            intents.push(Intent::CancelWorking(Some(Side::Sell)));
        }
        if is_tradable(view.position, view.instrument, top.bid) || !view.open_buys.is_zero() {
            return Decision::Hold;
        }
        let value = match self.now.parameters.order_type {
            OrderType::Market => top.ask,
            OrderType::Limit => self.limit(Side::Buy, top).unwrap_or(top.ask),
        };
        let share = parameters.position_size_pct.scale(view.equity.units());
        let budget = share
            .and_then(|budget| view.size_scale.scale(budget))
            .unwrap_or(0);
        let quantity = budget / i128::from(value.units().max(1));
        let quantity = Quantity::from_units(i64::try_from(quantity).unwrap_or(0).max(0));
        if self.order(view, Side::Buy, quantity, top, intents) {
            Decision::Enter
        } else {
            Decision::Hold
        }
    }

    fn leave(&self, view: &SlotView<'_>, top: &TopOfBook, intents: &mut Intents) -> Decision {
        if !view.open_buys.is_zero() {
            intents.push(Intent::CancelWorking(Some(Side::Buy)));
        }
        let free = Quantity::from_units(view.position.units().saturating_sub(view.open_sells.units()));
        if !is_tradable(free, view.instrument, top.bid) {
            return Decision::Hold;
        }
        if self.order(view, Side::Sell, free, top, intents) {
            Decision::Exit
        } else {
            Decision::Hold
        }
    }

    /// Asks for an order: at the market, or with its limit on the passive side of the mid. `false` where
    /// that limit does not fit a price.
    fn order(
        &self,
        view: &SlotView<'_>,
        side: Side,
        quantity: Quantity,
        top: &TopOfBook,
        intents: &mut Intents,
    ) -> bool {
        let order_type = self.now.parameters.order_type;
        let price = match order_type {
            OrderType::Market => None,
            OrderType::Limit => match self.limit(side, top) {
                None => return false,
                some => some,
            },
        };
        intents.push(Intent::Order(OrderIntent {
            instrument: view.instrument.id,
            side,
            quantity,
            order_type,
            price,
            time_in_force: match order_type {
                OrderType::Market => TimeInForce::Ioc,
                OrderType::Limit => TimeInForce::Gtc,
            },
            post_only: false,
            reduce_only: side == Side::Sell,
            timeout: Some(Nanos::from_secs(i64::from(self.now.parameters.timeout_seconds))),
        }))
    }

    /// The limit on the passive side of the mid.
    fn limit(&self, side: Side, top: &TopOfBook) -> Option<Price> {
        top.mid()
            .offset_bps(i64::from(self.now.parameters.limit_offset_bps) * -side.sign())
    }
}

/// Whether a quantity is large enough for the venue to trade: what is smaller is dust, and counts as flat.
pub(crate) fn is_tradable(quantity: Quantity, instrument: &Instrument, price: Price) -> bool {
    let rules = &instrument.rules;
    let whole = quantity.round_down(rules.lot_size);
    let notional: Money = price.notional(whole, instrument.quote);
    whole > Quantity::ZERO && whole >= rules.min_quantity && notional.units() >= rules.min_notional.units()
}

impl Strategy for ThresholdModel {
    fn on_activated(&mut self) {
        self.now = self.approved;
        self.bars_since_activation = 0;
    }

    fn on_bar(&mut self, view: &SlotView<'_>, bar: &BarView<'_>, intents: &mut Intents) -> Decision {
        self.bars_since_activation = self.bars_since_activation.saturating_add(1);
        let Some(score) = bar.score else {
            return Decision::NoSignal;
        };
        let Some(top) = view.top else {
            return Decision::Hold;
        };
        if score.raw >= self.now.raw_entry {
            self.enter(view, &top, intents)
        } else if score.raw < self.now.raw_exit {
            self.leave(view, &top, intents)
        } else {
            Decision::Hold
        }
    }

    fn set_parameter(
        &mut self,
        parameter: ParameterId,
        value: Decimal,
        model: Option<&dyn Model>,
    ) -> Result<(), CommandRefusal> {
        let model = model.ok_or(CommandRefusal::NotAParameter)?;
        let mut changed = self.now.parameters;
        let whole = u32::try_from(value.units() / SCALE)
            .ok()
            .filter(|_| value.units() % SCALE == 0);
        match (parameter, whole) {
            (ParameterId::EntryThreshold, _) => changed.entry_threshold = value,
            (ParameterId::ExitThreshold, _) => changed.exit_threshold = value,
            (ParameterId::PositionSizePct, _) => changed.position_size_pct = value,
            (ParameterId::LimitOffsetBps, Some(whole)) => changed.limit_offset_bps = whole,
            (ParameterId::TimeoutSeconds, Some(whole)) => changed.timeout_seconds = whole,
            (ParameterId::LimitOffsetBps | ParameterId::TimeoutSeconds, None) => {
                return Err(CommandRefusal::OutOfRange);
            }
        }
        self.now = Thresholds::new(changed, model).map_err(|error| {
            if error == THRESHOLDS_CROSS {
                CommandRefusal::ThresholdsCross
            } else {
                CommandRefusal::OutOfRange
            }
        })?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "threshold_model_tests.rs"]
mod tests;
