//! What a tour leaves behind.

use serde::Serialize;

/// Version of the certificate's form.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Longest text that is kept of one message, characters.
const TEXT_CHARS_MAX: usize = 2_000;

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// What was seen is what this build expects.
    AsExpected,
    /// It is not.
    Differs,
    /// Something that it needs was missing: nothing is known.
    NotTried,
    /// The venue has nothing of the kind, or this build does not ask for it.
    NotOffered,
}

/// One step of the tour.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    /// What was seen, or why nothing was.
    pub(crate) seen: Vec<String>,
    /// What the client logged meanwhile: the venue's own words of its refusals.
    pub(crate) words: Vec<String>,
    /// Wall time it took.
    pub(crate) wall_ms: u64,
}

/// A message, or a word in one, that is not what this build expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// On which stream, or in the answer to which request.
    pub(crate) place: String,
    /// What is wrong with it.
    pub(crate) what: String,
    /// Word by word, shortened; without secrets.
    pub(crate) text: String,
    /// Whether it is only something more, which a reader may pass over.
    pub(crate) is_addition: bool,
}

impl Difference {
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>, text: &str) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
            text: text.chars().take(TEXT_CHARS_MAX).collect(),
            is_addition: false,
        }
    }
}

/// Which network was toured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Network {
    /// A server on this machine: it says nothing of the venue.
    Loopback,
    /// The venue's test network.
    Testnet,
    /// The venue itself.
    Production,
    /// Somebody else's server: it says nothing of the venue, and may place orders there all the same.
    Elsewhere,
}

/// The doors that were used.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Addresses {
    pub(crate) rest: String,
    pub(crate) market: String,
    pub(crate) account: String,
}

/// What toured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Binary {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: String,
}

/// The whole of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Certificate {
    pub(crate) schema_version: u32,
    pub(crate) venue: &'static str,
    pub(crate) symbol: String,
    pub(crate) network: Network,
    pub(crate) addresses: Addresses,
    /// Wall time, ns UTC.
    pub(crate) began_at_ns: i64,
    pub(crate) ended_at_ns: i64,
    pub(crate) binary: Binary,
    /// Whether an order was meant to trade.
    pub(crate) traded: bool,
    /// Most that one order could cost, in the quote currency.
    pub(crate) max_notional: String,
    pub(crate) verdict: Outcome,
    pub(crate) steps: Vec<Step>,
    pub(crate) differences: Vec<Difference>,
}

/// A difference anywhere makes it differ; else a step that could not be tried leaves it open.
pub(crate) fn verdict(steps: &[Step], differences: &[Difference]) -> Outcome {
    let has = |outcome| steps.iter().any(|step| step.outcome == outcome);
    if has(Outcome::Differs) || !differences.is_empty() {
        Outcome::Differs
    } else if has(Outcome::NotTried) || steps.is_empty() {
        Outcome::NotTried
    } else {
        Outcome::AsExpected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_difference_is_enough_and_what_was_not_tried_proves_nothing() {
        let step = |outcome| Step {
            name: "a step",
            outcome,
            seen: Vec::new(),
            words: Vec::new(),
            wall_ms: 0,
        };
        let (good, open) = (step(Outcome::AsExpected), step(Outcome::NotTried));
        let offered = step(Outcome::NotOffered);
        assert_eq!(verdict(&[], &[]), Outcome::NotTried);
        assert_eq!(verdict(&[good.clone(), offered], &[]), Outcome::AsExpected);
        assert_eq!(verdict(&[good.clone(), open.clone()], &[]), Outcome::NotTried);
        let bad = step(Outcome::Differs);
        assert_eq!(verdict(&[good.clone(), open, bad], &[]), Outcome::Differs);
        let text = Difference::new("market", "unknown kind", &"x".repeat(TEXT_CHARS_MAX + 1));
        assert_eq!(text.text.len(), TEXT_CHARS_MAX);
        assert_eq!(verdict(&[good], &[text]), Outcome::Differs);
    }
}
