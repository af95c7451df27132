//! Injects faults into recorded sessions: what the shipped parsers, sequencers and books make of each of them.
//!
//! A fault happens to one message that moves one book. A copy of the protocol, as it stood before that message, hears
//! what arrives in its place; another copy hears the truth. Both go on through what was recorded behind it until the
//! book is given up, an independent proof has spoken, or none will. The proofs are those of the wire: numbers that count
//! up (Binance, Coinbase, Independent Reserve), a checksum over the ten best levels of each side (Kraken), the best level
//! by an independent stream (Binance). What none of them covers is counted as unseen.

mod fault;
mod trial;

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::{BookUpdateKind, InstrumentId, MarketEvent};
use fastrand::Rng;
use recording::ReadError;
use serde::Serialize;
use venues::{MarketProtocol, StreamMessage, StreamMessageKind};

use crate::check::sessions;
use crate::wire::Wire;
pub use fault::Fault;
pub use trial::{Breach, Fate};
use trial::{Proofs, Tape};

/// Most faults of one campaign.
pub const FAULTS_MAX: u64 = 100_000_000;

/// What to inject.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// How many faults, over all sessions, in proportion to their messages that move a book.
    pub count: u64,
    /// The same seed and files give the same faults.
    pub seed: u64,
}

/// What became of the faults of one kind on one wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// Faults injected.
    pub injected: u64,
    /// The book was given up with the message that shows the fault.
    pub at_once: u64,
    /// The book was given up later.
    pub later: u64,
    /// Nothing was given up, rightly: the book is the true one.
    pub harmless: u64,
    /// Unseen, beyond the ten best levels of a side.
    pub unseen_deep: u64,
    /// Unseen, among the ten best levels of a side.
    pub unseen_top: u64,
    /// Holes in the numbers that the next message did not show.
    pub breaches_sequence: u64,
    /// Books that stood against their checksum.
    pub breaches_checksum: u64,
    /// Books that stood against an independent best level.
    pub breaches_best: u64,
    /// Changes passed on of a book known to be invalid.
    pub breaches_events: u64,
}

impl Tally {
    /// Promises that were not kept.
    #[must_use]
    pub const fn breaches(&self) -> u64 {
        self.breaches_sequence + self.breaches_checksum + self.breaches_best + self.breaches_events
    }

    fn note(&mut self, fate: Fate, breach: Option<Breach>) {
        self.injected += 1;
        *match fate {
            Fate::AtOnce => &mut self.at_once,
            Fate::Later => &mut self.later,
            Fate::Harmless => &mut self.harmless,
            Fate::UnseenDeep => &mut self.unseen_deep,
            Fate::UnseenTop => &mut self.unseen_top,
        } += 1;
        match breach {
            Some(Breach::Sequence) => self.breaches_sequence += 1,
            Some(Breach::Checksum) => self.breaches_checksum += 1,
            Some(Breach::Best) => self.breaches_best += 1,
            Some(Breach::Event) => self.breaches_events += 1,
            None => {}
        }
    }
}

/// What a campaign found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultReport {
    /// Which faults.
    pub seed: u64,
    /// Faults injected, over all.
    pub injected: u64,
    /// Promises that were not kept, over all.
    pub breaches: u64,
    /// By wire, then by fault.
    pub wires: BTreeMap<&'static str, BTreeMap<&'static str, Tally>>,
    /// The first promises that were not kept, one line each.
    pub first_breaches: Vec<String>,
}

/// Most breaches that are kept word by word, and most characters of each.
const BREACHES_KEPT_MAX: usize = 20;
const SHOWN_MAX: usize = 600;

/// Injects faults into recordings. `tell` hears how many have been injected.
///
/// # Errors
/// [`ReadError`] when a file cannot be read, or holds no message that moves a book.
pub fn inject(
    paths: &[PathBuf],
    campaign: Campaign,
    tell: &mut dyn FnMut(u64),
) -> Result<FaultReport, ReadError> {
    let mut patients = Vec::new();
    for (wire, protocol, messages) in sessions(paths)? {
        let tape = tape(wire, protocol.as_ref(), messages);
        if tape.moved.iter().any(Option::is_some) {
            patients.push((wire, protocol, tape));
        }
    }
    let moving = |tape: &Tape| tape.moved.iter().flatten().count() as u64;
    let total: u64 = patients.iter().map(|(_, _, tape)| moving(tape)).sum();
    let mut report = FaultReport {
        seed: campaign.seed,
        injected: 0,
        breaches: 0,
        wires: BTreeMap::new(),
        first_breaches: Vec::new(),
    };
    let mut passed = 0;
    for (wire, mut protocol, tape) in patients {
        let mut rng = Rng::with_seed(campaign.seed ^ passed);
        for (at, message) in tape.messages.iter().enumerate() {
            if tape.moved[at].is_some() && protocol.is_synchronized(tape.moved[at].unwrap_or_default()) {
                // As many as this message's share, so that the sum is what was asked for.
                let share = |passed: u64| u128::from(campaign.count) * u128::from(passed) / u128::from(total);
                for _ in share(passed)..share(passed + 1) {
                    one(wire, protocol.as_ref(), &tape, at, &mut rng, &mut report);
                }
                tell(report.injected);
            }
            passed += u64::from(tape.moved[at].is_some());
            let _ = protocol.on_message(message, &mut |_| {});
        }
    }
    Ok(report)
}

/// One fault of a kind that can happen here.
fn one(
    wire: Wire,
    clean: &dyn MarketProtocol,
    tape: &Tape,
    at: usize,
    rng: &mut Rng,
    report: &mut FaultReport,
) {
    let fault = Fault::ALL[rng.usize(..Fault::ALL.len())];
    let message = &tape.messages[at];
    let (end, arriving) = match fault {
        Fault::Lost => (at, Vec::new()),
        Fault::Twice => (at, vec![message.clone(), message.clone()]),
        Fault::Late => {
            let Some(next) = tape.next[at] else { return };
            let mut late = tape.messages[at + 1..=next].to_vec();
            late.push(message.clone());
            (next, late)
        }
        Fault::Digit | Fault::Side | Fault::Cut | Fault::Byte => {
            let Some(damaged) = trial::frame(message).and_then(|frame| fault.damage(frame, rng)) else {
                return;
            };
            let kind = StreamMessageKind::Frame(damaged);
            (
                at,
                vec![StreamMessage {
                    kind,
                    ..message.clone()
                }],
            )
        }
    };
    let shows_a_hole = matches!(fault, Fault::Lost | Fault::Late);
    let Some((fate, breach)) = trial::run(clean, tape, (at, end), &arriving, shows_a_hole) else {
        return;
    };
    report.injected += 1;
    let of_wire = report.wires.entry(wire.as_str()).or_default();
    of_wire.entry(fault.as_str()).or_default().note(fate, breach);
    if let Some(breach) = breach {
        report.breaches += 1;
        if report.first_breaches.len() < BREACHES_KEPT_MAX {
            let arrived = arriving.iter().filter_map(trial::frame);
            let arrived: String = arrived.flat_map(|frame| shown(frame)).take(SHOWN_MAX).collect();
            let line = format!("{wire}, message {at}, {}: {breach:?}: {arrived}", fault.as_str());
            report.first_breaches.push(line);
        }
    }
}

/// A frame on one line.
fn shown(frame: &[u8]) -> Vec<char> {
    String::from_utf8_lossy(frame)
        .escape_debug()
        .chain([' '])
        .collect()
}

/// Plays a session once, to learn which message moves which book.
fn tape(wire: Wire, protocol: &dyn MarketProtocol, messages: Vec<StreamMessage>) -> Tape {
    let mut protocol = protocol.duplicate();
    let mut moved = Vec::with_capacity(messages.len());
    for message in &messages {
        let mut books: Vec<InstrumentId> = Vec::new();
        let _ = protocol.on_message(message, &mut |event| {
            if let MarketEvent::Book(update) = event
                && update.kind == BookUpdateKind::Delta
                && !books.contains(&update.instrument)
            {
                books.push(update.instrument);
            }
        });
        let is_frame = trial::frame(message).is_some();
        moved.push(books.first().copied().filter(|_| is_frame && books.len() == 1));
    }
    let mut next = vec![None; messages.len()];
    let mut ahead: BTreeMap<InstrumentId, usize> = BTreeMap::new();
    for (at, book) in moved.iter().enumerate().rev() {
        if let Some(book) = book {
            next[at] = ahead.insert(*book, at);
        }
    }
    Tape {
        messages,
        moved,
        next,
        proofs: Proofs {
            numbered: !wire.is_checksummed() && wire != Wire::CoinbaseExchange,
            best_is_binding: wire.best_is_binding(),
        },
    }
}

/// What a session is made of: its wire, its protocol before the first message, and its messages.
pub(crate) type Playable = (Wire, Box<dyn MarketProtocol>, Vec<StreamMessage>);

impl FaultReport {
    /// As a table.
    #[must_use]
    pub fn table(&self) -> String {
        let heads = [
            "injected",
            "at once",
            "later",
            "harmless",
            "unseen, deep",
            "unseen, top",
            "breaches",
        ];
        let mut rows = vec![
            ["wire", "fault"]
                .into_iter()
                .chain(heads)
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        ];
        for (wire, faults) in &self.wires {
            for (fault, tally) in faults {
                let counts = [
                    tally.injected,
                    tally.at_once,
                    tally.later,
                    tally.harmless,
                    tally.unseen_deep,
                    tally.unseen_top,
                    tally.breaches(),
                ];
                let names = [*wire, *fault].map(str::to_owned);
                rows.push(
                    names
                        .into_iter()
                        .chain(counts.map(|count| count.to_string()))
                        .collect(),
                );
            }
        }
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| format!("| {} |", row.join(" | ")))
            .collect();
        lines.insert(1, "|---|---|---:|---:|---:|---:|---:|---:|---:|".to_owned());
        let (injected, seed, breaches) = (self.injected, self.seed, self.breaches);
        lines.push(format!("\n{injected} faults, seed {seed}, {breaches} breaches"));
        lines.extend(
            self.first_breaches
                .iter()
                .map(|breach| format!("breach: {breach}")),
        );
        lines.join("\n") + "\n"
    }
}
