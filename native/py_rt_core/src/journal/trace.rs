//! One order, from what caused it to what became of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::{ClientOrderId, SlotId};
use engine::{Action, CommandKind, EventBody, Signal};
use journal::codec::{RecordedAction, decode_action, describe};
use journal::frame::Kind;
use journal::{Reader, RecordBody};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::refused;

/// What is known so far, while the record is read.
#[derive(Default)]
struct Trace {
    run_id: String,
    binary_version: String,
    /// The bundle of each slot: digest and serial.
    running: BTreeMap<SlotId, (String, u64)>,
    /// The last signal of each slot.
    signals: BTreeMap<SlotId, Signal>,
    order: Option<Origin>,
    /// The event at hand is an order that a person asked for.
    by_hand: bool,
    /// What became of it, in words: engine time and text.
    steps: Vec<(i64, String)>,
}

/// Where an order came from.
struct Origin {
    ts: i64,
    event: u64,
    text: String,
    bundle: Option<(String, u64)>,
    signal: Option<Signal>,
}

/// Follows one of our orders through the record of a run.
///
/// `order` is our order id, such as "e1-s1-42". Returns None when the record has no such order, else {"order",
/// "ts_ns", "event", "text", "run_id", "binary_version", "bundle", "serial", "signal", "steps"}: signal is None or
/// {"ts_close", "features", "raw_score", "probability"}, steps a list of (engine time in ns, text). Raises `CoreError`
/// for a text that is no order id of ours, or a record that cannot be read.
#[pyfunction]
#[expect(
    clippy::needless_pass_by_value,
    reason = "extracted from any path-like object"
)]
pub(crate) fn trace_order<'py>(
    py: Python<'py>,
    journal: PathBuf,
    order: &str,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let wanted = ClientOrderId::parse(order).ok_or_else(|| {
        refused(format!(
            "{order:?} is no order id of ours; they read like e1-s1-42"
        ))
    })?;
    let mut reader = Reader::open(&journal).map_err(refused)?;
    let mut trace = Trace::default();
    let mut event = 0;
    loop {
        let format = reader.format();
        let Some(record) = reader.next_record().map_err(refused)? else {
            break;
        };
        let ts = record.ts.nanos();
        match record.body {
            RecordBody::Header(header) => {
                (trace.run_id, trace.binary_version) = (header.run_id, header.binary_version);
            }
            RecordBody::Event(input) => {
                event = input.seq;
                trace.input(&input.body, wanted, ts, record.payload);
            }
            RecordBody::Action => {
                let action = decode_action(format, record.payload).map_err(refused)?;
                trace.output(&action, wanted, (ts, event), record.payload);
            }
        }
    }
    trace.answer(py, order)
}

impl Trace {
    fn input(&mut self, body: &EventBody<'_>, wanted: ClientOrderId, ts: i64, payload: &[u8]) {
        self.by_hand = matches!(body, EventBody::Command(command) if matches!(command.kind, CommandKind::ManualOrder(_)));
        let concerns = matches!(body, EventBody::OrderReport(report) if report.client_order_id == wanted);
        if concerns {
            self.steps.push((ts, describe(Kind::Event, payload)));
        }
        if let EventBody::BundleActivated(activation) = body {
            self.running.insert(
                activation.slot,
                (activation.digest.to_string(), activation.serial),
            );
        }
    }

    fn output(&mut self, action: &RecordedAction, wanted: ClientOrderId, at: (i64, u64), payload: &[u8]) {
        let (ts, event) = at;
        let concerns = match action {
            RecordedAction::Submitted(request) if request.client_order_id == wanted => {
                self.order = Some(Origin {
                    ts,
                    event,
                    text: describe(Kind::Action, payload),
                    // A person's order comes from no bundle, whatever runs beside it.
                    bundle: self.running.get(&wanted.slot).filter(|_| !self.by_hand).cloned(),
                    signal: self.signals.get(&wanted.slot).filter(|_| !self.by_hand).copied(),
                });
                false
            }
            RecordedAction::Other(Action::Signal(signal)) => {
                self.signals.insert(signal.slot, *signal);
                false
            }
            RecordedAction::Other(Action::Cancel(request) | Action::QueryOrder(request)) => {
                request.client_order_id == wanted
            }
            RecordedAction::Amended(request) => request.client_order_id == wanted,
            RecordedAction::Other(Action::OrderUpdate(update)) => update.client_order_id == wanted,
            RecordedAction::Other(Action::Fill(fill)) => fill.client_order_id == Some(wanted),
            RecordedAction::Other(Action::Denied { request, .. }) => request.client_order_id == wanted,
            _ => false,
        };
        if concerns {
            self.steps.push((ts, describe(Kind::Action, payload)));
        }
    }

    fn answer<'py>(self, py: Python<'py>, order: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(origin) = self.order else { return Ok(None) };
        let answer = PyDict::new(py);
        answer.set_item("order", order)?;
        answer.set_item("ts_ns", origin.ts)?;
        answer.set_item("event", origin.event)?;
        answer.set_item("text", origin.text)?;
        answer.set_item("run_id", self.run_id)?;
        answer.set_item("binary_version", self.binary_version)?;
        let (digest, serial) = origin.bundle.unzip();
        answer.set_item("bundle", digest)?;
        answer.set_item("serial", serial)?;
        let signal = origin
            .signal
            .map(|signal| signal_words(py, &signal))
            .transpose()?;
        answer.set_item("signal", signal)?;
        answer.set_item("steps", self.steps)?;
        Ok(Some(answer))
    }
}

fn signal_words<'py>(py: Python<'py>, signal: &Signal) -> PyResult<Bound<'py, PyDict>> {
    let words = PyDict::new(py);
    words.set_item("ts_close", signal.ts_close.nanos())?;
    words.set_item("features", signal.features.as_slice().to_vec())?;
    words.set_item("raw_score", signal.raw_score)?;
    words.set_item("probability", signal.probability)?;
    Ok(words)
}
