//! The judge beside each protocol: it hears the protocol's events, reads the same messages by itself, and keeps the books
//! as the venue's text. Wherever a protocol's book stands, both must be the same book.
//!
//! Which updates count is the protocol's decision; what stands in them is read here. On a wire whose updates are
//! numbered, an event's number says which message it came from, however long ago that was; on the others an event comes
//! from the message at hand.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use domain::{BookUpdateKind, InstrumentId, Level, MarketEvent, Trade};
use venues::{Instruments, MarketProtocol};

use crate::exact::{Exact, decimals};
use crate::reading::{self, Answer, BookFact, Fact, OrderFact, QueuesFact, TradeFact};
use crate::text_book::{Cut, Mirror, Shown, Text, TextBook};
use crate::text_orders::TextOrders;
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
    text: Option<Text>,
    mirror: Mirror,
    cut: Cut,
    waiting: VecDeque<(u64, Bytes)>,
    waiting_bytes: usize,
    /// Number of the last event, where orders are told one by one.
    last_event: Option<u64>,
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
    /// Trades that messages told, those included that came twice or are history.
    pub(crate) told: u64,
    told_volume: Exact,
    decimals: usize,
    /// Trades that no message of the venue holds.
    pub(crate) mismatches: u64,
}

impl Tape {
    /// Their volume, exact, with as many digits as the venue writes.
    pub(crate) fn volume(&self) -> String {
        self.volume.text(self.decimals)
    }

    /// The volume of all that messages told.
    pub(crate) fn told_volume(&self) -> String {
        self.told_volume.text(self.decimals)
    }

    fn tell(&mut self, trade: &TradeFact<'_>) {
        self.told += 1;
        self.told_volume = self
            .told_volume
            .plus(Exact::parse(&trade.quantity).unwrap_or_default());
        self.decimals = self.decimals.max(decimals(&trade.quantity));
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
    /// `cuts`: how each instrument's book is bounded.
    pub(crate) fn new(wire: Wire, instruments: Arc<Instruments>, cuts: impl Iterator<Item = Cut>) -> Self {
        let books = cuts.map(BookOracle::new).collect();
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

    /// Best bid and ask that follow from the events heard.
    pub(crate) fn best(&self, instrument: InstrumentId) -> [Option<Level>; 2] {
        self.books
            .get(usize::from(instrument.0))
            .map_or([None; 2], |book| book.mirror.best())
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

    /// Reads the message that the events came from, and compares. `is_refused`: the protocol could not read it, and trusts
    /// nothing that waited.
    pub(crate) fn settle_frame(&mut self, frame: &Bytes, is_refused: bool, protocol: &dyn MarketProtocol) {
        if is_refused {
            self.forget_waiting();
        }
        let facts = reading::facts(self.wire, frame);
        self.settle_trades(&facts);
        if self.wire.is_by_order() {
            self.settle_orders(&facts, frame, protocol);
            return;
        }
        if self.wire == Wire::KrakenLevel3 {
            self.settle_queues(&facts, protocol);
            return;
        }
        for fact in books_of(&facts) {
            self.note(fact, frame);
        }
        let wire = self.wire;
        self.settle(protocol, |instruments, book, id, step| match step {
            Step::Delta(number) if wire.numbers_updates() => book.take_waiting(wire, number),
            Step::Snapshot(_) | Step::Delta(_) => {
                let own = |fact: &&BookFact<'_>| instrument(instruments, fact) == Some(id);
                let own: Vec<_> = books_of(&facts).filter(own).collect();
                // What stands before a snapshot is history.
                let from = own.iter().rposition(|fact| fact.is_snapshot).unwrap_or_default();
                book.take_all(own[from..].iter().copied());
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
        self.settle(protocol, |instruments, book, _, step| match step {
            Step::Snapshot(_) => match reading::answer(wire, body) {
                Some(Answer::Book(fact)) => book.take_fact(&fact),
                Some(Answer::Orders(fact)) => {
                    book.text = TextOrders::of(&fact).map(Text::Orders);
                    book.take_waiting_orders(wire, pair(instruments, id));
                }
                None => book.miss("a snapshot that the answer does not hold"),
            },
            Step::Delta(number) => book.take_waiting(wire, number),
            Step::Invalid => book.text = None,
        });
    }

    /// Likewise of what comes without a text.
    pub(crate) fn settle_silence(&mut self, protocol: &dyn MarketProtocol) {
        self.forget_waiting();
        self.settle(protocol, |_, book, _, step| match step {
            Step::Snapshot(_) | Step::Delta(_) => book.miss("an update without a message"),
            Step::Invalid => book.text = None,
        });
    }

    fn forget_waiting(&mut self) {
        for book in &mut self.books {
            book.forget_waiting();
            book.last_event = None;
        }
    }

    /// Events of single orders: whatever a standing book's protocol makes of one, its text does likewise.
    fn settle_orders(&mut self, facts: &[Fact<'_>], frame: &Bytes, protocol: &dyn MarketProtocol) {
        let steps = std::mem::take(&mut self.steps);
        for (id, step) in &steps {
            if let (Step::Invalid, Some(book)) = (step, self.books.get_mut(usize::from(id.0))) {
                book.text = None;
            }
        }
        for fact in facts {
            let Fact::Order(fact) = fact else { continue };
            for (known, book) in self.instruments.iter().zip(&mut self.books) {
                let pair = known.symbol.as_str().split_once('-');
                let Some((_, currency)) = pair.filter(|(traded, _)| *traded == fact.traded) else {
                    continue;
                };
                book.take_order(fact, currency, frame);
                book.compare(known.id, protocol);
            }
        }
        self.steps = steps;
        self.steps.clear();
    }

    /// Orders in their queues: what a message did to a book is one thing.
    fn settle_queues(&mut self, facts: &[Fact<'_>], protocol: &dyn MarketProtocol) {
        let queues: Vec<(InstrumentId, &QueuesFact<'_>)> = facts
            .iter()
            .filter_map(|fact| match fact {
                Fact::Queues(fact) => Some((named(&self.instruments, &fact.symbol)?, fact)),
                _ => None,
            })
            .collect();
        for (id, _) in &queues {
            if let Some(book) = self.books.get_mut(usize::from(id.0)) {
                book.is_named = true;
            }
        }
        self.settle(protocol, |_, book, id, step| match step {
            Step::Invalid => book.text = None,
            Step::Snapshot(_) | Step::Delta(_) => {
                let own = queues.iter().filter(|(whose, _)| *whose == id);
                own.for_each(|(_, fact)| book.take_queues(fact));
            }
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

    /// Lets each book take what was done to it. Where updates are numbered, each by itself; elsewhere what a message did to
    /// a book is one thing.
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
            let is_last = !steps[at + 1..].iter().any(|(other, _)| *other == id);
            if is_last || self.wire.numbers_updates() {
                take(&self.instruments, book, id, step);
            }
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
        let mut written: Vec<Option<(InstrumentId, &TradeFact<'_>)>> = Vec::new();
        for fact in facts {
            let Fact::Trade(trade) = fact else { continue };
            let Some(id) = named(&self.instruments, &trade.symbol) else {
                continue;
            };
            self.books[usize::from(id.0)].tape.tell(trade);
            written.push(Some((id, trade)));
        }
        for trade in self.trades.drain(..) {
            let Some(book) = self.books.get_mut(usize::from(trade.instrument.0)) else {
                continue;
            };
            let is_it = |(id, fact): (InstrumentId, &TradeFact<'_>)| {
                id == trade.instrument
                    && Exact::parse(&fact.price) == Some(Exact::of_units(trade.price.units()))
                    && Exact::parse(&fact.quantity) == Some(Exact::of_units(trade.quantity.units()))
            };
            let found = written.iter_mut().find(|fact| fact.is_some_and(is_it));
            book.tape.count += 1;
            book.tape.volume = book.tape.volume.plus(Exact::of_units(trade.quantity.units()));
            if found.and_then(Option::take).is_none() {
                book.tape.mismatches += 1;
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
            last_event: None,
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

    /// Orders that rest in a book of orders: bids, asks.
    pub(crate) fn orders(&self) -> Option<(usize, usize)> {
        match &self.text {
            Some(Text::Orders(book)) => Some(book.orders()),
            _ => None,
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
            self.text = Some(Text::Levels(TextBook::new(self.cut)));
        }
        let Some(Text::Levels(text)) = &mut self.text else {
            self.miss("a change of a book that was never told");
            return;
        };
        if !text.apply(fact) {
            self.miss("a number that is none");
        }
        self.updates += 1;
    }

    /// What happened to orders in their queues, into a book that is cut as it was subscribed.
    fn take_queues(&mut self, fact: &QueuesFact<'_>) {
        if fact.is_snapshot {
            self.text = Some(Text::Orders(TextOrders::default()));
        }
        let Some(Text::Orders(text)) = &mut self.text else {
            self.miss("a change of a book that was never told");
            return;
        };
        self.updates += 1;
        let placed = fact
            .changes
            .iter()
            .try_for_each(|(what, order)| text.queue(*what, order));
        if let Cut::EachMessage(depth) = self.cut {
            text.cut(depth);
        }
        if placed.is_none() {
            self.miss("an order that cannot be placed");
        }
    }

    /// An event of an order: into the book that stands, or to those that wait, of which a hole leaves nothing.
    fn take_order(&mut self, fact: &OrderFact<'_>, currency: &str, frame: &Bytes) {
        self.is_named = true;
        let follows = self
            .last_event
            .is_none_or(|last| last.checked_add(1) == Some(fact.number));
        self.last_event = Some(fact.number);
        let Some(Text::Orders(text)) = &mut self.text else {
            if !follows {
                self.forget_waiting();
            }
            self.wait(fact.number, frame);
            return;
        };
        self.updates += 1;
        if text.apply(fact, currency).is_none() {
            self.miss("an order that cannot be placed");
        }
    }

    /// Applies the events that waited for the snapshot over it.
    fn take_waiting_orders(&mut self, wire: Wire, currency: Option<&str>) {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        for (_, frame) in &waiting {
            for fact in reading::facts(wire, frame) {
                let (Fact::Order(fact), Some(Text::Orders(text)), Some(currency)) =
                    (fact, &mut self.text, currency)
                else {
                    continue;
                };
                if text.apply(&fact, currency).is_none() {
                    self.miss("an order that cannot be placed");
                }
            }
        }
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
    named(instruments, fact.symbol.as_deref()?)
}

fn named(instruments: &Instruments, symbol: &str) -> Option<InstrumentId> {
    let symbol = domain::Text::new(symbol)?;
    instruments.by_symbol(&symbol).map(|found| found.id)
}

/// The currency in which an instrument's orders are priced.
fn pair(instruments: &Instruments, id: InstrumentId) -> Option<&str> {
    let symbol = &instruments.get(id)?.symbol;
    symbol.as_str().split_once('-').map(|(_, currency)| currency)
}
