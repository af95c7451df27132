//! Strategies: what to want, given what is known. They never see the venue and never place orders themselves.

mod sma_cross;
mod threshold_model;

use domain::{
    Bar, ClientOrderId, Decimal, Instrument, InstrumentId, Money, Nanos, OrderTerms, OrderType, Price,
    Quantity, Quote, Side, SlotId, TimeInForce, Timestamp,
};

use crate::action::{Decision, OrderUpdate};
use crate::command::{CommandRefusal, ParameterId};
use crate::limits::INTENTS_MAX;
use crate::signals::{Model, Score};

pub use sma_cross::{SmaCross, SmaCrossParameters, SmaSource};
pub(crate) use threshold_model::is_tradable;
pub use threshold_model::{
    LIMIT_OFFSET_BPS_MAX, LOOKBACK_PERIOD_MAX, ParameterError, TIMEOUT_SECONDS_MAX, ThresholdModel,
    ThresholdParameters,
};

/// The best levels of a valid book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopOfBook {
    /// Best bid.
    pub bid: Price,
    /// Quantity there.
    pub bid_quantity: Quantity,
    /// Best ask.
    pub ask: Price,
    /// Quantity there.
    pub ask_quantity: Quantity,
}

impl TopOfBook {
    /// The midpoint, rounded toward zero to 1e-8.
    #[must_use]
    pub const fn mid(&self) -> Price {
        self.bid.midpoint(self.ask)
    }
}

/// What a strategy may know of its slot.
#[derive(Debug, Clone, Copy)]
pub struct SlotView<'a> {
    /// Which slot.
    pub slot: SlotId,
    /// Engine time.
    pub now: Timestamp,
    /// What it trades.
    pub instrument: &'a Instrument,
    /// Best levels; `None` while there is no valid book.
    pub top: Option<TopOfBook>,
    /// Signed base quantity the slot holds.
    pub position: Quantity,
    /// Base quantity of its working buys.
    pub open_buys: Quantity,
    /// Base quantity of its working sells.
    pub open_sells: Quantity,
    /// Capital plus realised and unrealised profit minus fees, quote currency.
    pub equity: Money,
    /// Share of the full size that the bundle's approval allows, 0 to 1; sizes are multiplied by it.
    pub size_scale: Decimal,
}

/// An order a strategy wants. Execution names it, rounds it to the venue's steps, and risk judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderIntent {
    /// What to trade.
    pub instrument: InstrumentId,
    /// Direction.
    pub side: Side,
    /// Base quantity, rounded down to the lot size.
    pub quantity: Quantity,
    /// Market or limit.
    pub order_type: OrderType,
    /// Limit price, rounded away from the market to the tick size.
    pub price: Option<Price>,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Refuse to take liquidity.
    pub post_only: bool,
    /// Only reduces.
    pub reduce_only: bool,
    /// Cancel what is unfilled after this.
    pub timeout: Option<Nanos>,
}

/// What a strategy wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A new order.
    Order(OrderIntent),
    /// Cancel the slot's working orders of one side, or of both.
    CancelWorking(Option<Side>),
    /// Another price and quantity for one of the slot's resting limit orders. Changed where it stands if the venue does
    /// that; elsewhere canceled, and placed anew under another id once it is known what of it had traded. A wish for an
    /// order that does not rest, or is being changed or canceled already, is dropped: its next update says how it stands.
    Replace {
        /// Which order.
        client_order_id: ClientOrderId,
        /// Rounded as for a new order; the quantity in all, what has traded counted.
        terms: OrderTerms,
    },
}

/// A strategy's wishes for one event, in order, in a buffer made once.
#[derive(Debug)]
pub struct Intents {
    items: Vec<Intent>,
}

impl Default for Intents {
    fn default() -> Self {
        Self::new()
    }
}

impl Intents {
    /// An empty buffer for [`INTENTS_MAX`] wishes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            items: Vec::with_capacity(INTENTS_MAX),
        }
    }

    /// Appends a wish; past the bound it is dropped and the result is `false`.
    pub fn push(&mut self, intent: Intent) -> bool {
        let fits = self.items.len() < INTENTS_MAX;
        if fits {
            self.items.push(intent);
        }
        fits
    }

    /// Takes the wishes out in order.
    pub fn drain(&mut self) -> impl Iterator<Item = Intent> + '_ {
        self.items.drain(..)
    }

    /// The wishes so far.
    #[must_use]
    pub fn as_slice(&self) -> &[Intent] {
        &self.items
    }

    /// Forgets the wishes, keeping the memory.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}

/// A closed bar as a strategy sees it.
#[derive(Debug, Clone, Copy)]
pub struct BarView<'a> {
    /// The bar.
    pub bar: &'a Bar,
    /// Its features; empty while they are not warm or when the slot has none.
    pub features: &'a [f32],
    /// The model's score; `None` while features are not warm, or when the slot has no model.
    pub score: Option<Score>,
}

/// A strategy. Deterministic: equal calls, equal wishes. It keeps no clock and does no I/O.
pub trait Strategy: Send {
    /// The strategy takes its slot over, for the first time or again after a rollback.
    fn on_activated(&mut self) {}

    /// A bar of the slot's instrument closed.
    ///
    /// After a silence several bars close in one event: the strategy sees all of them, but only the wishes
    /// for the newest are carried out, because the others are the past.
    fn on_bar(&mut self, view: &SlotView<'_>, bar: &BarView<'_>, intents: &mut Intents) -> Decision;

    /// The best bid or ask changed. Called only when [`Strategy::wants_quotes`].
    fn on_quote(&mut self, view: &SlotView<'_>, quote: &Quote, intents: &mut Intents) {
        let _ = (view, quote, intents);
    }

    /// One of the slot's orders changed.
    fn on_order(&mut self, view: &SlotView<'_>, update: &OrderUpdate, intents: &mut Intents) {
        let _ = (view, update, intents);
    }

    /// Whether quotes are delivered: they are by far the most frequent event.
    fn wants_quotes(&self) -> bool {
        false
    }

    /// Changes a running parameter.
    ///
    /// `model` is the slot's model, which turns a probability into the raw score to compare with.
    ///
    /// # Errors
    /// [`CommandRefusal::NotAParameter`] without such a parameter, and why the value is not allowed.
    fn set_parameter(
        &mut self,
        parameter: ParameterId,
        value: Decimal,
        model: Option<&dyn Model>,
    ) -> Result<(), CommandRefusal> {
        let _ = (parameter, value, model);
        Err(CommandRefusal::NotAParameter)
    }
}
