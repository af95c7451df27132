//! Faults on demand: what a test asks the venue to do wrong.

use std::collections::VecDeque;

use serde::Deserialize;

use crate::api_error::ApiError;
use crate::hub::Target;

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
    /// HTTP 503 without a body that says more.
    Http503,
    /// HTTP 504 with code -1007.
    Timeout1007,
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
    /// Loses all public messages for a while; connections stay.
    Silence { ms: u64 },
    /// The venue is gone for a while: connections are dropped and none are taken.
    Outage { ms: u64 },
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
    /// The next requests are refused.
    Reject {
        request: RequestKind,
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

/// What a fault does to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Unknown { executed: bool, answer: UnknownAnswer },
    Refuse(ApiError),
    Delay { ms: u64 },
}

/// Faults that wait for their requests, first come first served.
#[derive(Debug, Default)]
pub(crate) struct RequestFaults(VecDeque<(RequestKind, Effect)>);

impl RequestFaults {
    /// Queues `count` times the effect; false when too many wait.
    pub(crate) fn add(&mut self, request: RequestKind, effect: &Effect, count: u32) -> bool {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if self.0.len().saturating_add(count) > FAULTS_MAX {
            return false;
        }
        self.0
            .extend(std::iter::repeat_n((request, effect.clone()), count));
        true
    }

    /// The fault that meets a request of this kind now.
    pub(crate) fn take(&mut self, request: RequestKind) -> Option<Effect> {
        let at = self.0.iter().position(|(kind, _)| *kind == request)?;
        self.0.remove(at).map(|(_, effect)| effect)
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
        let delay = Effect::Delay { ms: 5 };
        assert!(faults.add(RequestKind::Place, &delay, 2));
        assert!(!faults.add(RequestKind::Place, &delay, 1_023));
        assert_eq!(faults.take(RequestKind::Cancel), None);
        assert_eq!(faults.take(RequestKind::Place), Some(delay.clone()));
        assert_eq!(faults.take(RequestKind::Place), Some(delay));
        assert_eq!(faults.take(RequestKind::Place), None);
    }
}
