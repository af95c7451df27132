//! One fault, and what the shipped protocol makes of it.

use bytes::Bytes;
use domain::{BookUpdateKind, InstrumentId, Level, MarketEvent, Side};
use venues::sequencer::SequencerStatistics;
use venues::{MarketProtocol, StreamMessage, StreamMessageKind};

/// Messages behind a fault within which the next comparison with an independent best level must come.
const HORIZON: usize = 2_000;

/// Messages of a book behind a fault that no comparison follows.
const PATIENCE: usize = 64;

/// Levels of each side under a checksum.
const CHECKSUM_LEVELS: usize = 10;

/// How a wire proves its books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proofs {
    /// Messages bear numbers that show a hole at the next one.
    pub(super) numbered: bool,
    /// An independent stream of best levels says which message of the book it speaks of.
    pub(super) best_is_binding: bool,
}

/// What became of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The book was given up with the message that shows the fault.
    AtOnce,
    /// The book was given up later, at a comparison or by what followed.
    Later,
    /// Nothing was given up, and the book is the true one.
    Harmless,
    /// Nothing was given up, and levels outside of what is compared differ.
    UnseenDeep,
    /// Nothing was given up, and the best levels differ.
    UnseenTop,
}

/// A promise that was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// A hole in the numbers was not seen at the next message.
    Sequence,
    /// A book differs from the true one in what the checksum covers, and stands.
    Checksum,
    /// A book has passed a comparison with a best level that is not its own.
    Best,
    /// A change was passed on of a book that was known to be invalid.
    Event,
}

/// A session as messages, and whose book each of them moves.
#[derive(Debug)]
pub(super) struct Tape {
    pub(super) messages: Vec<StreamMessage>,
    /// For each message the book that it moved, if it moved exactly one.
    pub(super) moved: Vec<Option<InstrumentId>>,
    /// For each message the next that moves the same book.
    pub(super) next: Vec<Option<usize>>,
    pub(super) proofs: Proofs,
}

/// A copy of the protocol to which something has happened.
struct Patient {
    protocol: Box<dyn MarketProtocol>,
    book: InstrumentId,
    /// The book was given up since the fault.
    fell: bool,
    is_invalid: bool,
    passed_on_invalid: bool,
}

impl Patient {
    fn new(protocol: &dyn MarketProtocol, book: InstrumentId) -> Self {
        let is_invalid = !protocol.is_synchronized(book);
        Self {
            protocol: protocol.duplicate(),
            book,
            fell: false,
            is_invalid,
            passed_on_invalid: false,
        }
    }

    fn play(&mut self, message: &StreamMessage) {
        let Self {
            protocol,
            book,
            is_invalid,
            passed_on_invalid,
            ..
        } = self;
        // What is wrong with a message is counted by the protocol and shows in the book's state.
        let _ = protocol.on_message(message, &mut |event| match event {
            MarketEvent::BookInvalid(invalid) if invalid.instrument == *book => *is_invalid = true,
            MarketEvent::Book(update) if update.instrument == *book => {
                if update.kind == BookUpdateKind::Snapshot {
                    *is_invalid = false;
                }
                *passed_on_invalid |= *is_invalid;
            }
            _ => {}
        });
        self.fell |= !self.protocol.is_synchronized(self.book);
    }

    fn statistics(&self) -> SequencerStatistics {
        self.protocol.book_statistics(self.book).unwrap_or_default()
    }

    /// Checksums that equalled the book's.
    fn checksums(&self) -> u64 {
        self.statistics().checksums_right
    }

    fn passed_a_checksum(&self, before: u64) -> bool {
        self.checksums() > before
    }
}

/// Lets `arriving` come in place of the messages `place..=end`, and looks at what follows.
pub(super) fn run(
    clean: &dyn MarketProtocol,
    tape: &Tape,
    (place, end): (usize, usize),
    arriving: &[StreamMessage],
    shows_a_hole: bool,
) -> Option<(Fate, Option<Breach>)> {
    let book = tape.moved[place]?;
    let mut patient = Patient::new(clean, book);
    let proven = patient.checksums();
    for message in arriving {
        patient.play(message);
    }
    if patient.fell {
        return Some((Fate::AtOnce, breach_of_events(&patient)));
    }
    let mut truth = Patient::new(clean, book);
    for message in &tape.messages[place..=end] {
        truth.play(message);
    }
    // What comes late proves the book as it was, not as it is.
    if !shows_a_hole && patient.passed_a_checksum(proven) && !same_top(&patient, &truth, CHECKSUM_LEVELS) {
        return Some((Fate::UnseenTop, Some(Breach::Checksum)));
    }
    let shown_at = tape.next[place].filter(|_| shows_a_hole && tape.proofs.numbered);
    let (fate, breach) = follow(&mut patient, &mut truth, tape, end, shown_at);
    Some((fate, breach.or_else(|| breach_of_events(&patient))))
}

fn breach_of_events(patient: &Patient) -> Option<Breach> {
    patient.passed_on_invalid.then_some(Breach::Event)
}

/// Plays on until a proof has spoken, or none will.
fn follow(
    patient: &mut Patient,
    truth: &mut Patient,
    tape: &Tape,
    end: usize,
    shown_at: Option<usize>,
) -> (Fate, Option<Breach>) {
    let (mut moves, mut compared) = (0, comparisons(truth));
    for (at, message) in tape.messages.iter().enumerate().skip(end + 1).take(HORIZON) {
        let proven = patient.checksums();
        patient.play(message);
        truth.play(message);
        let moves_it = tape.moved[at] == Some(patient.book);
        moves += usize::from(moves_it);
        if patient.fell {
            let at_once = shown_at.map_or(moves <= 1, |shown| at <= shown);
            return (if at_once { Fate::AtOnce } else { Fate::Later }, None);
        }
        if shown_at.is_some_and(|shown| at >= shown) {
            return (Fate::UnseenTop, Some(Breach::Sequence));
        }
        if patient.passed_a_checksum(proven) && !same_top(patient, truth, CHECKSUM_LEVELS) {
            return (Fate::UnseenTop, Some(Breach::Checksum));
        }
        let now = comparisons(truth);
        if now > compared && moves > 0 && tape.proofs.best_is_binding {
            // Only what the comparison was made of is proven by it.
            if !same_top(patient, truth, 1) {
                return (Fate::UnseenTop, Some(Breach::Best));
            }
            break;
        }
        compared = now;
        if moves >= PATIENCE {
            break;
        }
    }
    (verdict(patient, truth), None)
}

fn comparisons(patient: &Patient) -> u64 {
    patient.statistics().best_compared
}

fn verdict(patient: &Patient, truth: &Patient) -> Fate {
    if same_top(patient, truth, usize::MAX) {
        Fate::Harmless
    } else if same_top(patient, truth, CHECKSUM_LEVELS) {
        Fate::UnseenDeep
    } else {
        Fate::UnseenTop
    }
}

fn same_top(one: &Patient, other: &Patient, count: usize) -> bool {
    [Side::Buy, Side::Sell]
        .into_iter()
        .all(|side| top(one, side, count) == top(other, side, count))
}

fn top(patient: &Patient, side: Side, count: usize) -> Vec<Level> {
    let mut levels = Vec::new();
    patient.protocol.top(patient.book, side, count, &mut levels);
    levels
}

/// The bytes of a frame; `None` for whatever else a connection delivers.
pub(super) fn frame(message: &StreamMessage) -> Option<&Bytes> {
    match &message.kind {
        StreamMessageKind::Frame(frame) => Some(frame),
        _ => None,
    }
}
