//! Faults on demand: what a test asks the venue to do wrong.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;

use crate::frames::{Class, FrameFault};
use crate::hub::Target;
use crate::venue::Mode;

/// Faults that may wait at a time.
const FAULTS_MAX: usize = 1_024;
/// Longest delay, silence or outage, in milliseconds of wall time.
pub(crate) const FAULT_MS_MAX: u64 = 600_000;

/// Which requests a fault meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestKind {
    /// New orders.
    Place,
    /// Cancels of one order or all.
    Cancel,
    /// Queries of orders, trades and the account.
    Query,
    /// Book snapshots.
    Depth,
    /// Anything else: time, rules, bars, tickers.
    Other,
}

/// How an unknown outcome shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnknownAnswer {
    /// HTTP 500 without a body that says more.
    Http500,
    /// HTTP 502 alike.
    Http502,
    /// HTTP 503 alike.
    Http503,
    /// HTTP 504 alike.
    Http504,
    /// The wire's own words for it: HTTP 504 with code -1007, `EService:Timeout`, HTTP 500 with `INTERNAL`.
    #[serde(alias = "timeout1007")]
    Timeout,
}

/// One fault as `POST /admin/faults` takes it: a closed list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// Drops connections without a word, once.
    DropConnections {
        #[serde(default = "all_targets")]
        target: Target,
    },
    /// Loses the next book diffs: a gap in the sequence.
    DepthGap {
        #[serde(default = "once")]
        count: u32,
    },
    /// Cuts the next book diffs in half.
    MalformedFrame {
        #[serde(default = "once")]
        count: u32,
    },
    /// Loses all public messages for a while; connections stay. Those of one class alone are never made: no number is
    /// spent on them.
    Silence {
        ms: u64,
        #[serde(default)]
        class: Option<Class>,
    },
    /// The venue is gone for a while: connections are dropped and none are taken.
    Outage { ms: u64 },
    /// The next messages of a class are lost, late (`ms`), doubled, out of order, cut in half or corrupt.
    Frames {
        class: Class,
        fault: FrameFault,
        #[serde(default)]
        ms: u64,
        /// How many later messages come before one that is out of order.
        #[serde(default = "once")]
        behind: u32,
        #[serde(default = "once")]
        count: u32,
    },
    /// Says this on connections, word by word: what the wire would never say.
    Stray {
        #[serde(default = "all_targets")]
        target: Target,
        text: String,
    },
    /// In the next answers to a path that hold `from`, it is `to`.
    RewriteAnswer {
        path: String,
        from: String,
        to: String,
        #[serde(default = "once")]
        count: u32,
    },
    /// The same in the next messages of a class.
    RewriteFrame {
        class: Class,
        from: String,
        to: String,
        #[serde(default = "once")]
        count: u32,
    },
    /// The next checksums of books are wrong, on wires that have them.
    BadChecksum {
        #[serde(default = "once")]
        count: u32,
    },
    /// Ends connections with a close frame.
    Close {
        #[serde(default = "all_targets")]
        target: Target,
        code: u16,
        #[serde(default)]
        reason: String,
    },
    /// The venue goes away for a while, as for an upgrade: it says so where its wire has words for that, closes all
    /// connections with 1012, and takes none. Orders and balances stay.
    Restart { ms: u64 },
    /// From now on the venue's clock, as clients see it and are checked against it, is off by this much.
    ClockSkew { ms: i64 },
    /// What the venue says of its keys from now on: whether they may withdraw.
    KeyRights { withdraw: bool },
    /// What the venue takes from now on.
    Mode { mode: Mode },
    /// Ends the user data subscriptions with `eventStreamTerminated`.
    TerminateAccountStream,
    /// The next requests end without a definite answer, executed or not.
    UnknownOutcome {
        request: RequestKind,
        executed: bool,
        answer: UnknownAnswer,
        #[serde(default = "once")]
        count: u32,
    },
    /// The next requests are refused, in the wire's own form with this message.
    Reject {
        request: RequestKind,
        #[serde(default)]
        code: i32,
        message: String,
        #[serde(default = "once")]
        count: u32,
    },
    /// The next requests are refused with 429 and `Retry-After`.
    RateLimited {
        request: RequestKind,
        retry_after_s: u64,
        #[serde(default = "once")]
        count: u32,
    },
    /// The next requests are refused because the address is banned: 418 where the wire has it.
    Banned {
        request: RequestKind,
        retry_after_s: u64,
        #[serde(default = "once")]
        count: u32,
    },
    /// The answers to the next requests are late; the requests are executed at once.
    Delay {
        request: RequestKind,
        ms: u64,
        #[serde(default = "once")]
        count: u32,
    },
}

fn once() -> u32 {
    1
}

fn all_targets() -> Target {
    Target::All
}

/// An answer that a fault forces, before a wire words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Forced {
    /// A definite error.
    Error { code: i32, message: String },
    /// Too many requests.
    RateLimited { retry_after_s: u64 },
    /// Too many requests for too long.
    Banned { retry_after_s: u64 },
    /// The wire's own words for an unknown outcome.
    Timeout,
    /// An HTTP status and nothing more.
    Status(u16),
}

impl From<UnknownAnswer> for Forced {
    fn from(answer: UnknownAnswer) -> Self {
        match answer {
            UnknownAnswer::Http500 => Self::Status(500),
            UnknownAnswer::Http502 => Self::Status(502),
            UnknownAnswer::Http503 => Self::Status(503),
            UnknownAnswer::Http504 => Self::Status(504),
            UnknownAnswer::Timeout => Self::Timeout,
        }
    }
}

/// What a request meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Met {
    Nothing,
    /// It is executed, and its answer comes late.
    Late(Duration),
    /// It is refused.
    Refused(Forced),
    /// It is executed or not, and its sender does not learn which.
    Unknown {
        executed: bool,
        answer: Forced,
    },
}

impl Met {
    /// How late the answer is.
    pub(crate) fn delay(&self) -> Duration {
        match self {
            Self::Late(by) => *by,
            _ => Duration::ZERO,
        }
    }
}

/// Faults that wait for their requests, first come first served.
#[derive(Debug, Default)]
pub(crate) struct RequestFaults(VecDeque<(RequestKind, Met)>);

impl RequestFaults {
    /// Queues `count` times the same; false when too many wait.
    pub(crate) fn add(&mut self, request: RequestKind, met: &Met, count: u32) -> bool {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if self.0.len().saturating_add(count) > FAULTS_MAX {
            return false;
        }
        self.0.extend(std::iter::repeat_n((request, met.clone()), count));
        true
    }

    /// The fault that meets a request of this kind now.
    pub(crate) fn meet(&mut self, request: RequestKind) -> Met {
        let at = self.0.iter().position(|(kind, _)| *kind == request);
        let met = at.and_then(|at| self.0.remove(at)).map(|(_, met)| met);
        met.unwrap_or(Met::Nothing)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_closed() {
        let parse = serde_json::from_str::<Fault>;
        assert_eq!(
            parse(r#"{"kind":"depth_gap"}"#).unwrap(),
            Fault::DepthGap { count: 1 }
        );
        let all = Fault::DropConnections { target: Target::All };
        assert_eq!(parse(r#"{"kind":"drop_connections"}"#).unwrap(), all);
        assert!(parse(r#"{"kind":"depth_gap","counts":2}"#).is_err());
        assert!(parse(r#"{"kind":"melt"}"#).is_err());
    }

    #[test]
    fn a_fault_meets_its_kind_of_request_as_often_as_asked() {
        let mut faults = RequestFaults::default();
        let delay = Met::Late(Duration::from_millis(5));
        assert!(faults.add(RequestKind::Place, &delay, 2));
        assert!(!faults.add(RequestKind::Place, &delay, 1_023));
        assert_eq!(faults.meet(RequestKind::Cancel), Met::Nothing);
        assert_eq!(faults.meet(RequestKind::Place), delay);
        assert_eq!(faults.meet(RequestKind::Place), delay);
        assert_eq!(faults.meet(RequestKind::Place), Met::Nothing);
    }
}
