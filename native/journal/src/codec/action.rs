//! The engine's outputs: recorded to be compared, never to be obeyed.

use domain::{AmendRequest, OrderRequest};
use engine::risk::DenyReason;
use engine::{
    Action, ActivationRefusal, Alert, BookedFill, CommandRefusal, ControlLevel, Decision, FeatureRow,
    OrderUpdate, PositionUpdate, Signal,
};

use super::bytes::{Codec, Input, fields, get_list, put_list, variants, whole};
use super::{CodecError, Format};

variants!(Decision, "decision" { 1 => NoSignal, 2 => Hold, 3 => Enter, 4 => Exit });
variants!(ControlLevel, "control level" { 1 => Running, 2 => Paused, 3 => ReduceOnly, 4 => Killed });
variants!(ActivationRefusal, "reason why a bundle was refused" { 1 => NotStaged, 2 => Expired, 3 => SlotMismatch });
variants!(DenyReason, "reason of a denial" {
    1 => Killed,
    2 => Paused,
    3 => ReduceOnly,
    4 => NotReconciled,
    5 => VenueOffline,
    6 => JournalLagging,
    7 => NoBook,
    8 => StaleData,
    9 => Rule(violation),
    10 => PriceCollar,
    11 => OrderSize,
    12 => OrderRate,
    13 => Duplicate,
    14 => RepeatedExecution,
    15 => UnknownOutcome,
    16 => SelfTrade,
    17 => PositionLimit,
    18 => Concentration,
    19 => Leverage,
    20 => ValueAtRisk,
    21 => Drawdown,
    22 => MarginBuffer,
    23 => MarginCall,
    24 => SlotCapital,
    25 => Balance,
    26 => TooManyOrders,
    27 => Overflow,
    28 => OtherInstrument,
});
variants!(Alert, "alert" {
    1 => DrawdownStop,
    2 => MarginCall,
    3 => RepeatedExecution,
    4 => UnknownOrder(order),
    5 => LateFill(order),
    6 => Overfill(order),
    7 => PositionMismatch { instrument, difference },
    8 => FeeAsset(currency),
    9 => BundleExpired(slot),
    10 => ModelNotFinite(slot),
    11 => CapacityReached,
    12 => UnknownReport(order),
    13 => IllegalTransition(order),
    14 => CancelFailed(order),
    15 => BookingFailed(order),
    16 => FlattenIncomplete(slot),
    17 => UnknownInstrument(instrument),
    18 => OrdersDenied(slot),
    19 => OrphanAdopted(order),
    20 => OrphanCanceled(order),
    21 => ForeignOrder { instrument, venue_order_id },
    22 => ManualTrade { instrument, trade_id },
    23 => Deposit(amount),
    24 => Withdrawal(amount),
    25 => FeeUnvalued(currency),
});

impl Codec for FeatureRow {
    fn put(&self, out: &mut Vec<u8>) {
        put_list(self.as_slice(), out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        let max = engine::limits::FEATURES_MAX;
        let values: Vec<f32> = get_list(input, "features", max)?;
        let count = values.len();
        Self::new(&values).ok_or(CodecError::TooMany {
            what: "features",
            count,
            max,
        })
    }
}

fields!(Signal {
    slot,
    instrument,
    ts_close,
    features,
    raw_score,
    probability,
    decision,
});
fields!(OrderUpdate {
    client_order_id,
    instrument,
    status,
    filled,
    quantity,
});
fields!(BookedFill {
    client_order_id,
    slot,
    instrument,
    ts_event,
    fill,
    realized,
});
fields!(PositionUpdate {
    slot,
    instrument,
    quantity,
    cost,
    realized,
    unrealized,
    fees,
    mark,
});

impl Codec for Result<(), CommandRefusal> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Ok(()) => out.push(1),
            Err(refusal) => {
                out.push(2);
                refusal.put(out);
            }
        }
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        match u8::get(input)? {
            1 => Ok(Ok(())),
            2 => CommandRefusal::get(input).map(Err),
            tag => Err(CodecError::Tag {
                what: "result of a command",
                tag,
            }),
        }
    }
}

/// An action as it is read back. An order that was sent is only an [`OrderRequest`] here: reading a record approves
/// nothing, so what comes out of a journal cannot leave for a venue.
#[derive(Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, read and dropped: a box would allocate for every action"
)]
pub enum RecordedAction {
    /// What [`Action::Submit`] carried.
    Submitted(OrderRequest),
    /// What [`Action::Amend`] carried.
    Amended(AmendRequest),
    /// Any other action.
    Other(Action),
}

const SUBMIT: u8 = 1;
const CANCEL: u8 = 2;
const QUERY_ORDER: u8 = 3;
const SET_TIMER: u8 = 4;
const REQUEST_HISTORY: u8 = 5;
const BAR_CLOSED: u8 = 6;
const SIGNAL: u8 = 7;
const DENIED: u8 = 8;
const ORDER_UPDATE: u8 = 9;
const FILL: u8 = 10;
const POSITION: u8 = 11;
const CONTROL: u8 = 12;
const COMMAND_RESULT: u8 = 13;
const BUNDLE_ACTIVATED: u8 = 14;
const BUNDLE_REFUSED: u8 = 15;
const ALERT: u8 = 16;
const AMEND: u8 = 17;

/// Appends an action's canonical bytes to `out`, in [`Format::CURRENT`]: equal bytes, equal actions.
pub fn encode_action(action: &Action, out: &mut Vec<u8>) {
    match action {
        Action::Submit(approved) => put(out, SUBMIT, approved.get()),
        Action::Amend(approved) => put(out, AMEND, approved.get()),
        Action::Cancel(cancel) => put(out, CANCEL, cancel),
        Action::QueryOrder(query) => put(out, QUERY_ORDER, query),
        Action::SetTimer { timer, at } => {
            put(out, SET_TIMER, timer);
            at.put(out);
        }
        Action::RequestHistory { instrument, from, to } => {
            put(out, REQUEST_HISTORY, instrument);
            from.put(out);
            to.put(out);
        }
        Action::BarClosed(bar) => put(out, BAR_CLOSED, bar),
        Action::Signal(signal) => put(out, SIGNAL, signal),
        Action::Denied { request, reason } => {
            put(out, DENIED, request);
            reason.put(out);
        }
        Action::OrderUpdate(update) => put(out, ORDER_UPDATE, update),
        Action::Fill(fill) => put(out, FILL, fill),
        Action::Position(position) => put(out, POSITION, position),
        Action::Control { scope, level } => {
            put(out, CONTROL, scope);
            level.put(out);
        }
        Action::CommandResult { id, result } => {
            put(out, COMMAND_RESULT, id);
            result.put(out);
        }
        Action::BundleActivated {
            slot,
            digest,
            previous,
        } => {
            put(out, BUNDLE_ACTIVATED, slot);
            digest.put(out);
            previous.put(out);
        }
        Action::BundleRefused { slot, digest, reason } => {
            put(out, BUNDLE_REFUSED, slot);
            digest.put(out);
            reason.put(out);
        }
        Action::Alert(alert) => put(out, ALERT, alert),
    }
}

fn put(out: &mut Vec<u8>, tag: u8, value: &impl Codec) {
    out.push(tag);
    value.put(out);
}

impl RecordedAction {
    /// Appends the bytes that [`encode_action`] wrote for it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Submitted(request) => put(out, SUBMIT, request),
            Self::Amended(request) => put(out, AMEND, request),
            Self::Other(action) => encode_action(action, out),
        }
    }
}

/// Reads what [`encode_action`] wrote.
///
/// # Errors
/// Every [`CodecError`] but [`CodecError::Format`].
pub fn decode_action(format: Format, payload: &[u8]) -> Result<RecordedAction, CodecError> {
    let Format::V1 = format;
    whole(payload)
}

impl Codec for RecordedAction {
    fn put(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }

    fn get(input: &mut Input<'_>) -> Result<Self, CodecError> {
        let tag = u8::get(input)?;
        if tag == SUBMIT {
            return Codec::get(input).map(Self::Submitted);
        }
        if tag == AMEND {
            return Codec::get(input).map(Self::Amended);
        }
        get_other(tag, input).map(Self::Other)
    }
}

fn get_other(tag: u8, input: &mut Input<'_>) -> Result<Action, CodecError> {
    Ok(match tag {
        CANCEL => Action::Cancel(Codec::get(input)?),
        QUERY_ORDER => Action::QueryOrder(Codec::get(input)?),
        SET_TIMER => Action::SetTimer {
            timer: Codec::get(input)?,
            at: Codec::get(input)?,
        },
        REQUEST_HISTORY => Action::RequestHistory {
            instrument: Codec::get(input)?,
            from: Codec::get(input)?,
            to: Codec::get(input)?,
        },
        BAR_CLOSED => Action::BarClosed(Codec::get(input)?),
        SIGNAL => Action::Signal(Codec::get(input)?),
        DENIED => Action::Denied {
            request: Codec::get(input)?,
            reason: Codec::get(input)?,
        },
        ORDER_UPDATE => Action::OrderUpdate(Codec::get(input)?),
        FILL => Action::Fill(Codec::get(input)?),
        POSITION => Action::Position(Codec::get(input)?),
        CONTROL => Action::Control {
            scope: Codec::get(input)?,
            level: Codec::get(input)?,
        },
        COMMAND_RESULT => Action::CommandResult {
            id: Codec::get(input)?,
            result: Codec::get(input)?,
        },
        BUNDLE_ACTIVATED => Action::BundleActivated {
            slot: Codec::get(input)?,
            digest: Codec::get(input)?,
            previous: Codec::get(input)?,
        },
        BUNDLE_REFUSED => Action::BundleRefused {
            slot: Codec::get(input)?,
            digest: Codec::get(input)?,
            reason: Codec::get(input)?,
        },
        ALERT => Action::Alert(Codec::get(input)?),
        tag => return Err(CodecError::Tag { what: "action", tag }),
    })
}
