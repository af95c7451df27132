//! Two moving averages: long while the fast one is above the slow one. For benchmarks, tests and as the
//! smallest complete strategy.

use domain::{Decimal, OrderType, Price, Quantity, Quote, Side, TimeInForce};

use super::threshold_model::{ParameterError, is_tradable};
use super::{BarView, Intent, Intents, OrderIntent, SlotView, Strategy};
use crate::action::Decision;
use crate::limits::SMA_LENGTH_MAX;

/// What is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmaSource {
    /// The mid of every change of the best bid or ask.
    QuoteMid,
    /// The close of every bar.
    BarClose,
}

/// The parameters of the cross.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmaCrossParameters {
    /// What is averaged.
    pub source: SmaSource,
    /// Length of the fast average, values; at least 1.
    pub fast: u32,
    /// Length of the slow average, values; above `fast`, at most [`SMA_LENGTH_MAX`].
    pub slow: u32,
    /// Share of the slot's equity for one position, above 0 to 1.
    pub position_size_pct: Decimal,
}

/// The sum of the last values, exact.
#[derive(Debug, Clone)]
struct Window {
    values: Box<[i64]>,
    next: usize,
    filled: bool,
    sum: i128,
}

impl Window {
    fn new(length: usize) -> Self {
        Self {
            values: vec![0; length].into_boxed_slice(),
            next: 0,
            filled: false,
            sum: 0,
        }
    }

    fn push(&mut self, value: i64) {
        let oldest = std::mem::replace(&mut self.values[self.next], value);
        self.sum += i128::from(value) - i128::from(oldest);
        self.next += 1;
        if self.next == self.values.len() {
            self.next = 0;
            self.filled = true;
        }
    }
}

/// The strategy: market orders on a cross, one position at a time.
#[derive(Debug, Clone)]
pub struct SmaCross {
    parameters: SmaCrossParameters,
    fast: Window,
    slow: Window,
    /// Whether the fast average was above the slow one; `None` before both were full.
    above: Option<bool>,
}

impl SmaCross {
    /// The strategy of `parameters`.
    ///
    /// # Errors
    /// The first parameter outside its range.
    pub fn new(parameters: SmaCrossParameters) -> Result<Self, ParameterError> {
        let length = |bars: u32| usize::try_from(bars).unwrap_or(usize::MAX);
        let (fast, slow) = (length(parameters.fast), length(parameters.slow));
        let share = parameters.position_size_pct;
        let rules = [
            (fast >= 1, "fast", "1 or more"),
            (
                fast < slow && slow <= SMA_LENGTH_MAX,
                "slow",
                "above fast, at most 4096",
            ),
            (
                share > Decimal::ZERO && share <= Decimal::ONE,
                "position_size_pct",
                "above 0 to 1",
            ),
        ];
        if let Some((_, key, allowed)) = rules.into_iter().find(|(holds, ..)| !holds) {
            return Err(ParameterError { key, allowed });
        }
        Ok(Self {
            parameters,
            fast: Window::new(fast),
            slow: Window::new(slow),
            above: None,
        })
    }

    /// Takes a price in; the side to trade when the averages crossed.
    fn cross(&mut self, price: Price) -> Option<Side> {
        self.fast.push(price.units());
        self.slow.push(price.units());
        if !self.slow.filled {
            return None;
        }
        // Averages compared without dividing: lengths are 12 bits, sums about 76.
        let above = self.fast.sum * i128::from(self.parameters.slow)
            > self.slow.sum * i128::from(self.parameters.fast);
        let before = self.above.replace(above);
        match (before, above) {
            (Some(false), true) => Some(Side::Buy),
            (Some(true), false) => Some(Side::Sell),
            _ => None,
        }
    }

    fn trade(&self, view: &SlotView<'_>, side: Side, intents: &mut Intents) -> Decision {
        let Some(top) = view.top else {
            return Decision::Hold;
        };
        let quantity = match side {
            Side::Buy => {
                let free = view.open_buys.is_zero() && !is_tradable(view.position, view.instrument, top.bid);
                let share = self.parameters.position_size_pct.scale(view.equity.units());
                let budget = share
                    .and_then(|budget| view.size_scale.scale(budget))
                    .unwrap_or(0);
                let quantity = budget / i128::from(top.ask.units().max(1));
                if free {
                    i64::try_from(quantity).unwrap_or(0).max(0)
                } else {
                    0
                }
            }
            Side::Sell => view.position.units().saturating_sub(view.open_sells.units()),
        };
        if !is_tradable(Quantity::from_units(quantity), view.instrument, top.bid) {
            return Decision::Hold;
        }
        intents.push(Intent::Order(OrderIntent {
            instrument: view.instrument.id,
            side,
            quantity: Quantity::from_units(quantity),
            order_type: OrderType::Market,
            price: None,
            time_in_force: TimeInForce::Ioc,
            post_only: false,
            reduce_only: side == Side::Sell,
            timeout: None,
        }));
        match side {
            Side::Buy => Decision::Enter,
            Side::Sell => Decision::Exit,
        }
    }
}

impl Strategy for SmaCross {
    fn on_bar(&mut self, view: &SlotView<'_>, bar: &BarView<'_>, intents: &mut Intents) -> Decision {
        if self.parameters.source != SmaSource::BarClose {
            return Decision::Hold;
        }
        match self.cross(bar.bar.close) {
            Some(side) => self.trade(view, side, intents),
            None => Decision::Hold,
        }
    }

    fn on_quote(&mut self, view: &SlotView<'_>, quote: &Quote, intents: &mut Intents) {
        if let Some(side) = self.cross(quote.bid.midpoint(quote.ask)) {
            self.trade(view, side, intents);
        }
    }

    fn wants_quotes(&self) -> bool {
        self.parameters.source == SmaSource::QuoteMid
    }
}
