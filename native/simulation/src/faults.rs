//! What can go wrong between a request and its answer: a closed list.

use domain::{Nanos, RejectReason};

/// A fault for the next new order. Wire faults (gaps, malformed frames, dropped sockets) belong to the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderFault {
    /// The venue refuses it.
    Reject(RejectReason),
    /// It is placed, but the acknowledgement is lost: `OutcomeUnknown` instead of `Accepted`; fills still come.
    LoseAck,
    /// It never arrives: `OutcomeUnknown`, and nothing was placed.
    LoseRequest,
    /// Everything reported from here on is late by at least this, once (reports never overtake).
    DelayReports(Nanos),
}
