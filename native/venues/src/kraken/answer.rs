//! What an answer of the venue means: done, a definite no, or nobody knows.
//!
//! The venue answers with status 200 and words of its own: `{"error":["EOrder:Insufficient funds"]}`. A word that is
//! not in the lists below says nothing: the outcome of what was asked for is then unknown.

use std::borrow::Cow;

use bytes::Bytes;
use domain::RejectReason;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::{ParseError, VenueError};

/// The venue's words are cut here, characters.
const WORDS_MAX: usize = 200;

/// Status and body of an answer over REST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// What the venue said to a request, whichever door it came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done: the result's own bytes.
    Done(Bytes),
    /// The venue's own words against it.
    Refused(Refusal),
    /// Not the venue's own answer, or an unreadable one.
    Unreadable,
}

/// The venue's words against a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    words: Vec<String>,
}

/// What one word of the venue means for what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It was not done, and will not be.
    No(RejectReason),
    /// There is no such open order.
    NoSuchOrder,
    /// It may have been done.
    Unknown,
}

impl Refusal {
    pub(super) fn new(words: Vec<String>) -> Self {
        Self { words }
    }

    /// What all its words together mean: a definite no only when each of them is one.
    pub(super) fn meaning(&self) -> Meaning {
        let mut first = None;
        for word in &self.words {
            match meaning(word) {
                Meaning::Unknown => return Meaning::Unknown,
                known => first = first.or(Some(known)),
            }
        }
        first.unwrap_or(Meaning::Unknown)
    }

    /// Whether one of its words begins so.
    pub(super) fn says(&self, beginning: &str) -> bool {
        self.words.iter().any(|word| word.starts_with(beginning))
    }

    /// The words, shortened.
    pub(super) fn text(&self) -> String {
        self.words.join(", ").chars().take(WORDS_MAX).collect()
    }
}

impl Answer {
    /// Reads the envelope. Warnings (`W...`) are no refusal.
    pub(super) fn outcome(&self) -> Outcome {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            error: Vec<Cow<'a, str>>,
            #[serde(borrow, default)]
            result: Option<&'a RawValue>,
        }
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(&self.body) else {
            return Outcome::Unreadable;
        };
        let errors = envelope.error.iter().filter(|word| !word.starts_with('W'));
        let words: Vec<String> = errors.map(|word| word.clone().into_owned()).collect();
        if !words.is_empty() {
            return Outcome::Refused(Refusal::new(words));
        }
        match envelope.result {
            Some(result) if self.status == 200 => Outcome::Done(self.body.slice_ref(result.get().as_bytes())),
            _ => Outcome::Unreadable,
        }
    }

    /// The result, or why there is none.
    pub(super) fn accepted(&self, request: &'static str) -> Result<Bytes, VenueError> {
        match self.outcome() {
            Outcome::Done(result) => Ok(result),
            Outcome::Refused(refusal) => Err(VenueError::Refused {
                request,
                status: self.status,
                code: 0,
                message: refusal.text(),
            }),
            Outcome::Unreadable if self.status == 200 => Err(VenueError::Malformed {
                what: request,
                source: ParseError::Value {
                    field: "",
                    problem: "an answer has a list of errors and a result",
                },
            }),
            Outcome::Unreadable => Err(VenueError::Refused {
                request,
                status: self.status,
                code: 0,
                message: "not the venue's own answer".to_owned(),
            }),
        }
    }
}

/// The reasons by the beginnings of the venue's words (documentation "Error messages" and "Spot Error Messages", 2026).
const NOES: [(&str, RejectReason); 36] = [
    ("EAPI:Invalid key", RejectReason::Authentication),
    ("EAPI:Invalid signature", RejectReason::Authentication),
    ("EAPI:Invalid nonce", RejectReason::Authentication),
    ("EAPI:Feature disabled", RejectReason::Authentication),
    ("EAPI:Bad request", RejectReason::Other),
    ("EAPI:Rate limit exceeded", RejectReason::RateLimit),
    ("EAccount:Invalid permissions", RejectReason::Authentication),
    ("EAuth:Account temporary disabled", RejectReason::Authentication),
    ("EAuth:Account unconfirmed", RejectReason::Authentication),
    ("EAuth:Rate limit exceeded", RejectReason::RateLimit),
    ("EAuth:Too many requests", RejectReason::RateLimit),
    ("EBM:limit exceeded", RejectReason::Other),
    ("EGeneral:Permission denied", RejectReason::Authentication),
    ("EGeneral:Temporary lockout", RejectReason::Authentication),
    ("EGeneral:Too many requests", RejectReason::RateLimit),
    // Before the shorter word: proof that the first one is open.
    (
        "EGeneral:Invalid arguments:cl_ord_id not unique",
        RejectReason::DuplicateId,
    ),
    ("EGeneral:Invalid arguments", RejectReason::Filter),
    ("EGeneral:Unknown method", RejectReason::Other),
    ("EGeneral:Unknown asset pair", RejectReason::NotTrading),
    ("EQuery:Unknown asset pair", RejectReason::NotTrading),
    ("EOrder:Insufficient funds", RejectReason::InsufficientBalance),
    ("EOrder:Insufficient margin", RejectReason::InsufficientBalance),
    (
        "EOrder:Margin allowance exceeded",
        RejectReason::InsufficientBalance,
    ),
    ("EOrder:Order minimum not met", RejectReason::Filter),
    ("EOrder:Minimum order volume not met", RejectReason::Filter),
    ("EOrder:Cost minimum not met", RejectReason::Filter),
    ("EOrder:Tick size check failed", RejectReason::Filter),
    ("EOrder:Invalid price", RejectReason::Filter),
    ("EOrder:Invalid order", RejectReason::Other),
    ("EOrder:Post only order", RejectReason::WouldTake),
    ("EOrder:Orders limit exceeded", RejectReason::RateLimit),
    ("EOrder:Rate limit exceeded", RejectReason::RateLimit),
    ("EOrder:Domain rate limit exceeded", RejectReason::RateLimit),
    ("EService:Market in cancel_only mode", RejectReason::NotTrading),
    ("EService:Market in post_only mode", RejectReason::NotTrading),
    ("EService: Throttled", RejectReason::RateLimit),
];

/// Words of one order that the venue does not know.
const NO_SUCH_ORDER: [&str; 2] = ["EOrder:Unknown order", "EOrder:Order not found"];

/// What a word means. Left out on purpose: `EService:Deadline elapsed` ("the order may have been placed despite the
/// timeout"), `EService:Unavailable`, `EService:Busy` and `EGeneral:Internal error` say that something went wrong on the
/// way, and `EOrder:Reduce only:...` may come after a part has traded.
fn meaning(word: &str) -> Meaning {
    if NO_SUCH_ORDER.iter().any(|known| word.starts_with(known)) {
        return Meaning::NoSuchOrder;
    }
    let known = NOES.iter().find(|(beginning, _)| word.starts_with(beginning));
    known.map_or(Meaning::Unknown, |(_, reason)| Meaning::No(*reason))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(status: u16, body: &str) -> Outcome {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status, body }.outcome()
    }

    fn meaning_of(words: &[&str]) -> Meaning {
        Refusal::new(words.iter().map(|word| (*word).to_owned()).collect()).meaning()
    }

    #[test]
    fn only_the_venues_own_envelope_is_an_answer() {
        assert_eq!(
            outcome(200, r#"{"error":[],"result":{"a":1}}"#),
            Outcome::Done(Bytes::from_static(br#"{"a":1}"#))
        );
        assert_eq!(
            outcome(200, r#"{"error":["WGeneral:Danger"],"result":{}}"#),
            Outcome::Done(Bytes::from_static(b"{}"))
        );
        for (status, body) in [
            (200, "<html>"),
            (200, r#"{"error":[]}"#),
            (200, r#"{"result":{}}"#),
            (200, r#"{"error":"EOrder:Insufficient funds"}"#),
            (520, r#"{"error":[],"result":{}}"#),
            (429, ""),
        ] {
            assert_eq!(outcome(status, body), Outcome::Unreadable, "{status} {body}");
        }
        let refused = outcome(503, r#"{"error":["EService:Unavailable"]}"#);
        assert!(matches!(refused, Outcome::Refused(refusal) if refusal.meaning() == Meaning::Unknown));
    }

    #[test]
    fn a_no_is_definite_only_in_words_that_say_so() {
        let no = |word| match meaning_of(&[word]) {
            Meaning::No(reason) => Some(reason),
            _ => None,
        };
        assert_eq!(
            no("EOrder:Insufficient funds"),
            Some(RejectReason::InsufficientBalance)
        );
        assert_eq!(no("EOrder:Post only order"), Some(RejectReason::WouldTake));
        assert_eq!(
            no("EGeneral:Invalid arguments:volume"),
            Some(RejectReason::Filter)
        );
        assert_eq!(
            no("EGeneral:Invalid arguments:cl_ord_id not unique"),
            Some(RejectReason::DuplicateId)
        );
        assert_eq!(
            no("EService: Throttled: 1788471234"),
            Some(RejectReason::RateLimit)
        );
        for word in [
            "EService:Deadline elapsed",
            "EService:Unavailable",
            "EService:Busy",
            "EService:Timeout",
            "EGeneral:Internal error[:abc]",
            "EOrder:Reduce only:Position is closed",
            "EOrder:A new word",
            "",
        ] {
            assert_eq!(no(word), None, "{word}");
        }
        assert_eq!(meaning_of(&["EOrder:Unknown order"]), Meaning::NoSuchOrder);
        assert_eq!(meaning_of(&[]), Meaning::Unknown);
        assert_eq!(
            meaning_of(&["EOrder:Insufficient funds", "EService:Unavailable"]),
            Meaning::Unknown,
            "one word in doubt leaves all in doubt"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_meaning(status: u16, body: Vec<u8>) {
            let answer = Answer { status, body: body.into() };
            let _ = answer.outcome();
            let _ = answer.accepted("anything");
        }
    }
}
