//! The judge beside each protocol: it hears the protocol's events, reads the same messages by itself, and keeps the books
//! as the venue's text. Wherever a protocol's book stands, both must be the same book.
//!
//! Which updates count is the protocol's decision; what stands in them is read here. On a wire whose updates are
//! numbered, an event's number says which message it came from, however long ago that was; on the others an event comes
//! from the message at hand.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use domain::{BookUpdateKind, InstrumentId, Level, MarketEvent, Text, Trade};
use venues::{Instruments, MarketProtocol};

use crate::exact::{Exact, decimals};
use crate::reading::{self, BookFact, Fact, TradeFact};
use crate::text_book::{Cut, Mirror, Shown, TextBook};
use crate::wire::Wire;

/// Most bytes of messages kept for one book while it waits for its snapshot; beyond it the oldest go.
const WAITING_BYTES_MAX: usize = 32 << 20;

/// Every so many updates, and at the end, all levels are compared; in between, best levels and depths.
const WHOLE_EVERY: u64 = 256;

/// What a protocol did to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Snapshot(u64),
    Delta(u64),
    Invalid,
}

/// One book, twice.
#[derive(Debug)]
pub(crate) struct BookOracle {
    text: Option<TextBook>,
    mirror: Mirror,
    cut: Cut,
    waiting: VecDeque<(u64, Bytes)>,
    waiting_bytes: usize,
    updates: u64,
    whole_due: u64,
    /// Whether any message spoke of this book.
    pub(crate) is_named: bool,
    pub(crate) last_update_id: u64,
    pub(crate) comparisons: u64,
    pub(crate) whole_comparisons: u64,
    pub(crate) mismatches: u64,
    pub(crate) first_mismatch: Option<String>,
    pub(crate) tape: Tape,
}

/// The public trades of one instrument that the protocol passed on.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(crate) count: u64,
    volume: Exact,
    decimals: usize,
    /// Trades that no message of the venue holds.
    pub(crate) mismatches: u64,
}

impl Tape {
    /// Their volume, exact, with as many digits as the venue writes.
    pub(crate) fn volume(&self) -> String {
        self.volume.text(self.decimals)
    }
}

/// All books of one connection.
#[derive(Debug)]
pub(crate) struct Oracle {
    wire: Wire,
    instruments: Arc<Instruments>,
    books: Vec<BookOracle>,
    steps: Vec<(InstrumentId, Step)>,
    trades: Vec<Trade>,
}

impl Oracle {
    pub(crate) fn new(wire: Wire, instruments: Arc<Instruments>, cut: Cut) -> Self {
        let books = instruments.iter().map(|_| BookOracle::new(cut)).collect();
        Self {
            wire,
            instruments,
            books,
            steps: Vec::new(),
            trades: Vec::new(),
        }
    }

    pub(crate) fn books(&self) -> &[BookOracle] {
        &self.books
    }

    /// Hears one event of the protocol.
    pub(crate) fn hear(&mut self, event: &MarketEvent<'_>) {
        match event {
            MarketEvent::Book(update) => {
                if let Some(book) = self.books.get_mut(usize::from(update.instrument.0)) {
                    book.mirror.apply(update);
                    book.last_update_id = update.update_id;
                }
                let step = match update.kind {
                    BookUpdateKind::Snapshot => Step::Snapshot(update.update_id),
                    BookUpdateKind::Delta => Step::Delta(update.update_id),
                };
                self.steps.push((update.instrument, step));
            }
            MarketEvent::BookInvalid(invalid) => self.steps.push((invalid.instrument, Step::Invalid)),
            MarketEvent::Trade(trade) => self.trades.push(*trade),
            _ => {}
        }
    }

    /// Reads the message that the events came from, and compares.
    pub(crate) fn settle_frame(&mut self, frame: &Bytes, protocol: &dyn MarketProtocol) {
        let facts = reading::facts(self.wire, frame);
        for fact in &facts {
            if let Fact::Book(fact) = fact {
                self.note(fact, frame);
            }
        }
        self.settle_trades(&facts);
        let wire = self.wire;
        self.settle(protocol, |instruments, book, id, step| match step {
            Step::Delta(number) if wire.numbers_updates() => book.take_waiting(wire, number),
            Step::Snapshot(_) | Step::Delta(_) => {
                let own = |fact: &&BookFact<'_>| instrument(instruments, fact) == Some(id);
                book.take_all(books_of(&facts).filter(own));
            }
            Step::Invalid => book.text = None,
        });
    }

    /// Likewise of a REST snapshot.
    pub(crate) fn settle_snapshot(&mut self, id: InstrumentId, body: &Bytes, protocol: &dyn MarketProtocol) {
        if let Some(book) = self.books.get_mut(usize::from(id.0)) {
            book.is_named = true;
        }
        let wire = self.wire;
        self.settle(protocol, |_, book, _, step| match step {
            Step::Snapshot(_) => book.take_all(reading::answer(wire, body).iter()),
            Step::Delta(number) => book.take_waiting(wire, number),
            Step::Invalid => book.text = None,
        });
    }

    /// Likewise of what comes without a text.
    pub(crate) fn settle_silence(&mut self, protocol: &dyn MarketProtocol) {
        for book in &mut self.books {
            book.forget_waiting();
        }
        self.settle(protocol, |_, book, _, step| match step {
            Step::Snapshot(_) | Step::Delta(_) => book.miss("an update without a message"),
            Step::Invalid => book.text = None,
        });
    }

    /// Compares all levels of all books.
    pub(crate) fn compare_whole(&mut self, protocol: &dyn MarketProtocol) {
        for (instrument, book) in self.instruments.iter().zip(&mut self.books) {
            book.compare(instrument.id, protocol);
            book.compare_whole();
        }
    }

    fn note(&mut self, fact: &BookFact<'_>, frame: &Bytes) {
        let id = instrument(&self.instruments, fact);
        let Some(book) = id.and_then(|id| self.books.get_mut(usize::from(id.0))) else {
            return;
        };
        book.is_named = true;
        if let Some((_, last)) = fact.numbers {
            book.wait(last, frame);
        }
    }

    fn settle(
        &mut self,
        protocol: &dyn MarketProtocol,
        mut take: impl FnMut(&Instruments, &mut BookOracle, InstrumentId, Step),
    ) {
        let steps = std::mem::take(&mut self.steps);
        for (at, &(id, step)) in steps.iter().enumerate() {
            let Some(book) = self.books.get_mut(usize::from(id.0)) else {
                continue;
            };
            take(&self.instruments, book, id, step);
            let is_last = !steps[at + 1..].iter().any(|(other, _)| *other == id);
            if is_last {
                book.compare(id, protocol);
            }
        }
        self.steps = steps;
        self.steps.clear();
        for (instrument, book) in self.instruments.iter().zip(&mut self.books) {
            // A book that stands waits for nothing: what it did not take is old.
            if !book.waiting.is_empty() && protocol.is_synchronized(instrument.id) {
                book.forget_waiting();
            }
        }
    }

    /// Each trade that was passed on is one of the message's.
    fn settle_trades(&mut self, facts: &[Fact<'_>]) {
        if self.trades.is_empty() {
            return;
        }
        let mut written: Vec<Option<&TradeFact<'_>>> = facts
            .iter()
            .map(|fact| match fact {
                Fact::Trade(trade) => Some(trade),
                _ => None,
            })
            .collect();
        for trade in self.trades.drain(..) {
            let Some(book) = self.books.get_mut(usize::from(trade.instrument.0)) else {
                continue;
            };
            let symbol = self.instruments.get(trade.instrument).map(|found| found.symbol);
            let is_it = |fact: &TradeFact<'_>| {
                symbol.is_some_and(|symbol| symbol.as_str() == fact.symbol)
                    && Exact::parse(&fact.price) == Some(Exact::of_units(trade.price.units()))
                    && Exact::parse(&fact.quantity) == Some(Exact::of_units(trade.quantity.units()))
            };
            let found = written.iter_mut().find(|fact| fact.is_some_and(is_it));
            let found = found.and_then(Option::take);
            book.tape.count += 1;
            book.tape.volume = book.tape.volume.plus(Exact::of_units(trade.quantity.units()));
            match found {
                Some(fact) => book.tape.decimals = book.tape.decimals.max(decimals(&fact.quantity)),
                None => book.tape.mismatches += 1,
            }
        }
    }
}

impl BookOracle {
    fn new(cut: Cut) -> Self {
        Self {
            text: None,
            mirror: Mirror::new(cut),
            cut,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            updates: 0,
            whole_due: 0,
            is_named: false,
            last_update_id: 0,
            comparisons: 0,
            whole_comparisons: 0,
            mismatches: 0,
            first_mismatch: None,
            tape: Tape::default(),
        }
    }

    /// The best levels of each side as text, of a book that stands.
    pub(crate) fn top(&self, count: usize) -> Option<[Vec<Shown>; 2]> {
        self.text.as_ref().map(|text| text.top(count))
    }

    fn wait(&mut self, number: u64, frame: &Bytes) {
        self.waiting_bytes += frame.len();
        self.waiting.push_back((number, frame.clone()));
        while self.waiting_bytes > WAITING_BYTES_MAX {
            let Some((_, oldest)) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes -= oldest.len();
        }
    }

    fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    fn take_all<'f, 'a: 'f>(&mut self, facts: impl Iterator<Item = &'f BookFact<'a>>) {
        let mut found = false;
        for fact in facts {
            found = true;
            self.take_fact(fact);
        }
        if !found {
            self.miss("an update that the message does not hold");
        }
    }

    fn take_waiting(&mut self, wire: Wire, number: u64) {
        let Some(at) = self.waiting.iter().position(|(waiting, _)| *waiting == number) else {
            self.miss(&format!("update {number}, of which no message was seen"));
            return;
        };
        let taken: Vec<_> = self.waiting.drain(..=at).collect();
        self.waiting_bytes -= taken.iter().map(|(_, frame)| frame.len()).sum::<usize>();
        let Some((_, frame)) = taken.last() else { return };
        let facts = reading::facts(wire, frame);
        let is_it = |fact: &&BookFact<'_>| fact.numbers.is_some_and(|(_, last)| last == number);
        self.take_all(books_of(&facts).filter(is_it));
    }

    fn take_fact(&mut self, fact: &BookFact<'_>) {
        if fact.is_snapshot {
            self.text = Some(TextBook::new(self.cut));
        }
        let Some(text) = &mut self.text else {
            self.miss("a change of a book that was never told");
            return;
        };
        if !text.apply(fact) {
            self.miss("a number that is none");
        }
        self.updates += 1;
    }

    fn compare(&mut self, id: InstrumentId, protocol: &dyn MarketProtocol) {
        let stands = protocol.is_synchronized(id);
        let Some(text) = self.text.as_ref().filter(|_| stands) else {
            if stands != self.text.is_some() {
                self.miss("one of the two stands, the other does not");
            }
            return;
        };
        self.comparisons += 1;
        let (bid, ask) = protocol.best(id);
        let exact = |level: Option<Level>| {
            level.map(|level| {
                let units = (level.price.units(), level.quantity.units());
                (Exact::of_units(units.0), Exact::of_units(units.1))
            })
        };
        if text.best() != [exact(bid), exact(ask)] {
            self.miss("the best levels differ");
        } else if text.depth() != protocol.depth(id) {
            self.miss("the numbers of levels differ");
        }
        if self.updates >= self.whole_due {
            self.compare_whole();
        }
    }

    fn compare_whole(&mut self) {
        let Some(text) = &self.text else { return };
        self.whole_comparisons += 1;
        self.whole_due = self.updates + WHOLE_EVERY;
        if !text.equals(&self.mirror) {
            self.miss("the books differ");
        }
    }

    fn miss(&mut self, what: &str) {
        self.mismatches += 1;
        if self.first_mismatch.is_none() {
            self.first_mismatch = Some(format!("at update {}: {what}", self.last_update_id));
        }
    }
}

fn books_of<'f, 'a>(facts: &'f [Fact<'a>]) -> impl Iterator<Item = &'f BookFact<'a>> {
    facts.iter().filter_map(|fact| match fact {
        Fact::Book(book) => Some(book),
        _ => None,
    })
}

fn instrument(instruments: &Instruments, fact: &BookFact<'_>) -> Option<InstrumentId> {
    let symbol = Text::new(fact.symbol.as_deref()?)?;
    instruments.by_symbol(&symbol).map(|found| found.id)
}
