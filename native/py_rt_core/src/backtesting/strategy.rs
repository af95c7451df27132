//! A strategy written in Python, as the engine knows strategies.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use domain::{InstrumentId, Side, Timestamp};
use engine::Decision;
use engine::limits::INTENTS_MAX;
use engine::strategy::{BarView, Intent, Intents, SlotView, Strategy};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

use super::views;
use crate::error::refused;

/// Where the first exception of a strategy waits until the run has stopped.
#[derive(Clone, Default)]
pub(super) struct Failure(Arc<Raised>);

#[derive(Default)]
struct Raised {
    flag: AtomicBool,
    error: Mutex<Option<PyErr>>,
}

impl Failure {
    /// True once a strategy raised: the run ends after this event.
    pub(super) fn flag(&self) -> &AtomicBool {
        &self.0.flag
    }

    /// The exception, if there was one.
    pub(super) fn take(&self) -> Option<PyErr> {
        self.0.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: PyErr) {
        *self.0.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.0.flag.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.flag.load(Ordering::Relaxed)
    }
}

/// The object's methods, bound once. The interpreter is held only while one of them runs.
pub(super) struct PyStrategy {
    on_activated: Option<Py<PyAny>>,
    on_bar: Option<Py<PyAny>>,
    on_quote: Option<Py<PyAny>>,
    on_order: Option<Py<PyAny>>,
    failure: Failure,
}

impl PyStrategy {
    /// Looks the methods up.
    pub(super) fn new(object: &Bound<'_, PyAny>, failure: &Failure) -> PyResult<Self> {
        let method = |name: &str| -> PyResult<Option<Py<PyAny>>> {
            match object.getattr_opt(name)? {
                None => Ok(None),
                Some(found) if found.is_callable() => Ok(Some(found.unbind())),
                Some(_) => Err(refused(format!("strategy: {name} is no method"))),
            }
        };
        let strategy = Self {
            on_activated: method("on_activated")?,
            on_bar: method("on_bar")?,
            on_quote: method("on_quote")?,
            on_order: method("on_order")?,
            failure: failure.clone(),
        };
        if strategy.on_bar.is_none() && strategy.on_quote.is_none() {
            let kind = object.get_type().qualname()?;
            return Err(refused(format!(
                "strategy: {kind} has neither on_bar(view, bar) nor on_quote(view, quote); a strategy that Rust knows is \
                 a mapping with kind"
            )));
        }
        Ok(strategy)
    }

    /// Calls a method and takes its wishes in; what it raised stops the run.
    fn call<A>(
        &self,
        method: Option<&Py<PyAny>>,
        at: (Timestamp, InstrumentId),
        arguments: impl FnOnce() -> A,
        intents: &mut Intents,
    ) where
        A: for<'py> PyCallArgs<'py>,
    {
        let Some(method) = method.filter(|_| !self.failure.is_set()) else {
            return;
        };
        Python::attach(|py| {
            let wishes = method
                .bind(py)
                .call1(arguments())
                .and_then(|answer| take_in(&answer, at.1, intents));
            if let Err(error) = wishes {
                // The note only helps to find the place: failing to attach it must not hide the exception.
                let note = format!("raised by the strategy at engine time {} ns", at.0.nanos());
                let _ = error.value(py).call_method1("add_note", (note,));
                intents.clear();
                self.failure.set(error);
            }
        });
    }
}

impl Strategy for PyStrategy {
    fn on_activated(&mut self) {
        let mut nothing = Intents::new();
        let at = (Timestamp::EPOCH, InstrumentId(0));
        self.call(self.on_activated.as_ref(), at, || (), &mut nothing);
    }

    fn on_bar(&mut self, view: &SlotView<'_>, bar: &BarView<'_>, intents: &mut Intents) -> Decision {
        let arguments = || (views::SlotView::of(view), views::BarView::of(bar));
        let before = intents.as_slice().len();
        self.call(
            self.on_bar.as_ref(),
            (view.now, view.instrument.id),
            arguments,
            intents,
        );
        intents.as_slice().get(before..).map_or(Decision::Hold, decision)
    }

    fn on_quote(&mut self, view: &SlotView<'_>, quote: &domain::Quote, intents: &mut Intents) {
        let arguments = || (views::SlotView::of(view), views::QuoteView::of(quote));
        self.call(
            self.on_quote.as_ref(),
            (view.now, view.instrument.id),
            arguments,
            intents,
        );
    }

    fn on_order(&mut self, view: &SlotView<'_>, update: &engine::OrderUpdate, intents: &mut Intents) {
        let arguments = || (views::SlotView::of(view), views::OrderUpdate::of(update));
        self.call(
            self.on_order.as_ref(),
            (view.now, view.instrument.id),
            arguments,
            intents,
        );
    }

    fn wants_quotes(&self) -> bool {
        self.on_quote.is_some()
    }
}

/// What the record says of a bar: the first order's side tells entering from leaving.
fn decision(wishes: &[Intent]) -> Decision {
    let side = wishes.iter().find_map(|wish| match wish {
        Intent::Order(order) => Some(order.side),
        Intent::CancelWorking(_) | Intent::Replace { .. } => None,
    });
    match side {
        Some(Side::Buy) => Decision::Enter,
        Some(Side::Sell) => Decision::Exit,
        None => Decision::Hold,
    }
}

/// Reads a method's answer: nothing, one wish, or a sequence of them.
fn take_in(answer: &Bound<'_, PyAny>, instrument: InstrumentId, intents: &mut Intents) -> PyResult<()> {
    if answer.is_none() {
        return Ok(());
    }
    if let Some(wish) = wish(answer, instrument) {
        return push(wish, intents);
    }
    let wishes = answer.try_iter().map_err(|_| unexpected(answer))?;
    for one in wishes {
        let one = one?;
        push(wish(&one, instrument).ok_or_else(|| unexpected(&one))?, intents)?;
    }
    Ok(())
}

fn wish(answer: &Bound<'_, PyAny>, instrument: InstrumentId) -> Option<Intent> {
    if let Ok(order) = answer.cast::<views::Order>() {
        return Some(Intent::Order(order.get().intent(instrument)));
    }
    let cancel = answer.cast::<views::CancelWorking>().ok()?;
    Some(Intent::CancelWorking(cancel.get().side))
}

fn push(wish: Intent, intents: &mut Intents) -> PyResult<()> {
    if intents.push(wish) {
        return Ok(());
    }
    Err(refused(format!(
        "a strategy may ask for {INTENTS_MAX} things in one event"
    )))
}

fn unexpected(answer: &Bound<'_, PyAny>) -> PyErr {
    let kind = answer.get_type().qualname();
    let kind = kind.map_or_else(|_| "something unknown".into(), |name| name.to_string());
    refused(format!(
        "a strategy's method returned {kind}; expected None, Order, CancelWorking, or a sequence of them"
    ))
}
