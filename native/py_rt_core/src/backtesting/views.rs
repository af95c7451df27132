//! What a strategy in Python sees, and what it asks for. Times are ns UTC, prices and quantities units of 1e-8.

use domain::{InstrumentId, Nanos, OrderType, Price, Quantity, Quote, SCALE, Side, TimeInForce};
use engine::strategy::{self, OrderIntent};
use pyo3::prelude::*;

use crate::error::refused;

/// What a strategy may know of its slot.
#[pyclass(frozen, get_all, module = "py_rt_core")]
pub(crate) struct SlotView {
    now: i64,
    position: i64,
    open_buys: i64,
    open_sells: i64,
    equity: i64,
    bid: Option<i64>,
    bid_quantity: Option<i64>,
    ask: Option<i64>,
    ask_quantity: Option<i64>,
    tick_size: i64,
    lot_size: i64,
}

impl SlotView {
    pub(super) fn of(view: &strategy::SlotView<'_>) -> Self {
        let rules = &view.instrument.rules;
        Self {
            now: view.now.nanos(),
            position: view.position.units(),
            open_buys: view.open_buys.units(),
            open_sells: view.open_sells.units(),
            equity: view.equity.decimal_units().unwrap_or(i64::MAX),
            bid: view.top.map(|top| top.bid.units()),
            bid_quantity: view.top.map(|top| top.bid_quantity.units()),
            ask: view.top.map(|top| top.ask.units()),
            ask_quantity: view.top.map(|top| top.ask_quantity.units()),
            tick_size: rules.tick_size.units(),
            lot_size: rules.lot_size.units(),
        }
    }
}

#[pymethods]
impl SlotView {
    /// Base quantity that `value` (units of 1e-8 quote) buys at the ask, in whole lots; 0 without a book.
    fn quantity_for(&self, value: i64) -> i64 {
        let ask = i128::from(self.ask.unwrap_or(0));
        if ask <= 0 || value <= 0 {
            return 0;
        }
        let quantity = i128::from(value) * i128::from(SCALE) / ask;
        let quantity = Quantity::from_units(i64::try_from(quantity).unwrap_or(i64::MAX));
        quantity.round_down(Quantity::from_units(self.lot_size)).units()
    }
}

/// A bar that closed, with its features and the model's answer where there are any.
#[pyclass(frozen, get_all, module = "py_rt_core")]
pub(crate) struct BarView {
    ts_open: i64,
    ts_close: i64,
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    volume: i64,
    features: Vec<f32>,
    raw_score: Option<f32>,
    probability: Option<f32>,
}

impl BarView {
    pub(super) fn of(view: &strategy::BarView<'_>) -> Self {
        let bar = view.bar;
        Self {
            ts_open: bar.ts_open.nanos(),
            ts_close: bar.ts_close().nanos(),
            open: bar.open.units(),
            high: bar.high.units(),
            low: bar.low.units(),
            close: bar.close.units(),
            volume: bar.volume.units(),
            features: view.features.to_vec(),
            raw_score: view.score.map(|score| score.raw),
            probability: view.score.map(|score| score.probability),
        }
    }
}

/// The best bid and ask after a change.
#[pyclass(frozen, get_all, module = "py_rt_core")]
pub(crate) struct QuoteView {
    ts_event: i64,
    bid: i64,
    bid_quantity: i64,
    ask: i64,
    ask_quantity: i64,
}

impl QuoteView {
    pub(super) const fn of(quote: &Quote) -> Self {
        Self {
            ts_event: quote.ts_event.nanos(),
            bid: quote.bid.units(),
            bid_quantity: quote.bid_quantity.units(),
            ask: quote.ask.units(),
            ask_quantity: quote.ask_quantity.units(),
        }
    }
}

/// One of the slot's orders after a change; `status` is a word such as "Accepted", "PartiallyFilled", "Canceled".
#[pyclass(frozen, get_all, module = "py_rt_core")]
pub(crate) struct OrderUpdate {
    client_order_id: String,
    status: String,
    filled: i64,
    quantity: i64,
}

impl OrderUpdate {
    pub(super) fn of(update: &engine::OrderUpdate) -> Self {
        Self {
            client_order_id: update.client_order_id.to_string(),
            status: format!("{:?}", update.status),
            filled: update.filled.units(),
            quantity: update.quantity.units(),
        }
    }
}

/// An order that a strategy wants: at the market without a price, else at its limit or better.
#[pyclass(frozen, module = "py_rt_core")]
pub(crate) struct Order {
    side: Side,
    quantity: Quantity,
    price: Option<Price>,
    time_in_force: TimeInForce,
    post_only: bool,
    reduce_only: bool,
    timeout: Option<Nanos>,
}

#[pymethods]
impl Order {
    /// `side`: "Buy" or "Sell"; `quantity` and `price` in units of 1e-8; `time_in_force`: "gtc" (the default of limit
    /// orders), "ioc" (that of market orders) or "fok"; `timeout_ms`: cancel what is unfilled after this.
    #[new]
    #[pyo3(signature = (side, quantity, price = None, *, time_in_force = None, post_only = false, reduce_only = false, timeout_ms = None))]
    fn new(
        side: &str,
        quantity: i64,
        price: Option<i64>,
        time_in_force: Option<&str>,
        post_only: bool,
        reduce_only: bool,
        timeout_ms: Option<i64>,
    ) -> PyResult<Self> {
        if quantity <= 0 || price.is_some_and(|price| price <= 0) || timeout_ms.is_some_and(|ms| ms <= 0) {
            return Err(refused(format!(
                "an order needs quantity, price and timeout_ms above 0; found {quantity}, {price:?}, {timeout_ms:?}"
            )));
        }
        let time_in_force = match (time_in_force, price) {
            (Some("gtc"), _) | (None, Some(_)) => TimeInForce::Gtc,
            (Some("ioc"), _) | (None, None) => TimeInForce::Ioc,
            (Some("fok"), _) => TimeInForce::Fok,
            (Some(other), _) => {
                return Err(refused(format!(
                    "time_in_force is {other:?}; expected \"gtc\", \"ioc\" or \"fok\""
                )));
            }
        };
        Ok(Self {
            side: side_of(side)?,
            quantity: Quantity::from_units(quantity),
            price: price.map(Price::from_units),
            time_in_force,
            post_only,
            reduce_only,
            timeout: timeout_ms.map(Nanos::from_millis),
        })
    }
}

impl Order {
    /// The wish, for an instrument.
    pub(super) const fn intent(&self, instrument: InstrumentId) -> OrderIntent {
        OrderIntent {
            instrument,
            side: self.side,
            quantity: self.quantity,
            order_type: if self.price.is_some() {
                OrderType::Limit
            } else {
                OrderType::Market
            },
            price: self.price,
            time_in_force: self.time_in_force,
            post_only: self.post_only,
            reduce_only: self.reduce_only,
            timeout: self.timeout,
        }
    }
}

/// A wish to cancel the slot's working orders of one side, or of both.
#[pyclass(frozen, module = "py_rt_core")]
pub(crate) struct CancelWorking {
    /// Which side; `None` for both.
    pub(super) side: Option<Side>,
}

#[pymethods]
impl CancelWorking {
    /// `side`: "Buy", "Sell", or `None` for both.
    #[new]
    #[pyo3(signature = (side = None))]
    fn new(side: Option<&str>) -> PyResult<Self> {
        Ok(Self {
            side: side.map(side_of).transpose()?,
        })
    }
}

fn side_of(word: &str) -> PyResult<Side> {
    match word {
        "Buy" | "buy" => Ok(Side::Buy),
        "Sell" | "sell" => Ok(Side::Sell),
        other => Err(refused(format!(
            "side is {other:?}; expected \"Buy\" or \"Sell\""
        ))),
    }
}
