//! What the client logs while it works: the venue's own words of its refusals, and words that nobody knows.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use venues::UNKNOWN_WORD;

/// Lines kept of one step, and their longest, characters.
const LINES_MAX: usize = 100;
const LINE_CHARS_MAX: usize = 500;

/// Shortest text that is taken out as a secret: shorter ones would be found everywhere.
const SECRET_CHARS_MIN: usize = 6;

/// What stands for a secret.
const REDACTED: &str = "[redacted]";

/// Takes secrets out of texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Redaction(Arc<[String]>);

impl Redaction {
    /// Of these texts, and of what stands in each of their lines.
    pub(crate) fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut texts: Vec<String> = secrets
            .into_iter()
            .flat_map(|secret| [vec![secret], secret.lines().collect()].concat())
            .filter(|text| text.len() >= SECRET_CHARS_MIN)
            .map(str::to_owned)
            .collect();
        // The longest first: a part of one must not hide the rest.
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts.into())
    }

    pub(crate) fn text(&self, text: &str) -> String {
        let plain = text.to_owned();
        self.0
            .iter()
            .fold(plain, |text, secret| text.replace(secret, REDACTED))
    }
}

#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    /// Words that this build does not know, since the start.
    unknown: u64,
}

/// Hears what the client warns of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    heard: Arc<Mutex<Heard>>,
    redaction: Redaction,
}

impl Words {
    pub(crate) fn new(redaction: Redaction) -> Self {
        Self {
            heard: Arc::default(),
            redaction,
        }
    }

    /// What was said since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().lines)
    }

    /// The same, and leaves it.
    pub(crate) fn said(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// How many words were unknown, since the start.
    pub(crate) fn unknown(&self) -> u64 {
        self.lock().unknown
    }

    pub(crate) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Words {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || !metadata.target().starts_with("venues") {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let text: String = self
            .redaction
            .text(&line.text)
            .chars()
            .take(LINE_CHARS_MAX)
            .collect();
        let mut heard = self.lock();
        heard.unknown += u64::from(line.is_unknown);
        if heard.lines.len() < LINES_MAX {
            heard.lines.push(text);
        }
    }
}

/// An event as one line.
#[derive(Debug, Default)]
struct Line {
    text: String,
    is_unknown: bool,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.is_unknown |= field.name() == UNKNOWN_WORD;
        let gap = if self.text.is_empty() { "" } else { ", " };
        // Writing to a text does not fail.
        let _ = if field.name() == "message" {
            write!(self.text, "{gap}{value:?}")
        } else {
            write!(self.text, "{gap}{}: {value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn what_a_venue_says_is_heard_without_secrets_and_unknown_words_are_counted() {
        let words = Words::new(Redaction::of(["the-secret", "-----\nSECRETLINE\n-----", "ab"]));
        let subscriber = tracing_subscriber::registry().with(words.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "venues::binance", code = -1022, "refused: the-secret SECRETLINE cab");
            tracing::warn!(target: "venues::binance", unknown_word = "PENDING_X", "a word");
            tracing::info!(target: "venues::binance", "not a warning");
            tracing::warn!(target: "hyper", "not of a venue");
        });
        let lines = words.take();
        assert_eq!(lines.len(), 2, "{lines:?}");
        for part in ["-1022", "refused: [redacted] [redacted] cab"] {
            assert!(lines[0].contains(part), "{lines:?}");
        }
        assert!(lines[1].contains("PENDING_X"), "{lines:?}");
        assert_eq!(words.unknown(), 1);
        assert!(words.take().is_empty());
    }
}
