//! Order by order: the channel `level3` of the WebSocket API, version 2. Written from documentation; its worked example is a
//! test, no recording proves it.

mod book;
mod parser;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{BookInvalidReason, InstrumentId, Level, Nanos, Side, Timestamp};

use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::order_book::OrderBook;
use crate::sequencer::{Emit, SequencerStatistics};
use crate::websocket::{StreamMessage, StreamMessageKind};
use book::Level3Book;
pub use parser::MESSAGE_ORDERS_MAX;
use parser::{Head, Told};

/// Parses and proves all books of orders of one connection.
#[derive(Debug, Clone)]
pub struct Level3MarketData {
    instruments: Arc<Instruments>,
    ahead_max: Nanos,
    /// By id.
    books: Vec<Level3Book>,
    told: Vec<Told>,
    requests: Vec<InstrumentId>,
    kinds: BTreeMap<&'static str, u64>,
    statistics: WireStatistics,
}

impl Level3MarketData {
    /// For these instruments, each with `depth` prices a side subscribed; nothing synchronized. `ahead_max`: how far a
    /// message's time may be ahead of our own when it came, both on the venue's axis.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>, depth: usize, ahead_max: Nanos) -> Self {
        let books = instruments.iter().map(|one| Level3Book::new(one.id, depth));
        Self {
            books: books.collect(),
            requests: Vec::with_capacity(instruments.len()),
            instruments,
            ahead_max,
            told: Vec::new(),
            kinds: BTreeMap::new(),
            statistics: WireStatistics::default(),
        }
    }

    /// The orders of an instrument, each at its place in the queue; empty while the book is not synchronized.
    #[must_use]
    pub fn orders(&self, instrument: InstrumentId) -> Option<&OrderBook> {
        self.book(instrument).map(Level3Book::orders)
    }

    fn book(&self, instrument: InstrumentId) -> Option<&Level3Book> {
        self.books.get(usize::from(instrument.0))
    }

    fn on_frame(&mut self, received: Timestamp, frame: &[u8], emit: &mut Emit<'_>) -> Result<(), VenueError> {
        let latest = received.plus(self.ahead_max);
        let read = parser::message(frame, &mut self.told).and_then(|head| not_after(latest, head));
        let head = match read {
            Ok(head) => head,
            Err(source) => {
                self.refuse(emit);
                let what = "message of orders";
                return Err(VenueError::Malformed { what, source });
            }
        };
        self.statistics.fallbacks += 1;
        let kind = match head {
            Head::Orders { .. } => "level3",
            Head::Refused => "refusal",
            Head::Other(kind) => kind,
        };
        *self.kinds.entry(kind).or_default() += 1;
        let Head::Orders {
            symbol,
            is_snapshot,
            checksum,
            ts_event,
        } = head
        else {
            return Ok(());
        };
        let Some(id) = self
            .instruments
            .by_symbol(&symbol)
            .map(|instrument| instrument.id)
        else {
            self.statistics.unknown_symbols += 1;
            return Ok(());
        };
        let Some(book) = self.books.get_mut(usize::from(id.0)) else {
            return Ok(());
        };
        let ts_event = ts_event.unwrap_or(received);
        if is_snapshot {
            book.on_snapshot(ts_event, &self.told, checksum, emit);
        } else {
            book.on_update(ts_event, &self.told, checksum, emit);
        }
        if book.take_resync_request() {
            self.requests.push(id);
        }
        Ok(())
    }

    /// An unreadable message may have been a change of any book: none can be trusted.
    fn refuse(&mut self, emit: &mut Emit<'_>) {
        self.statistics.malformed += 1;
        self.requests.clear();
        for (instrument, book) in self.instruments.iter().zip(&mut self.books) {
            book.invalidate(BookInvalidReason::Malformed, emit);
            if book.take_resync_request() {
                self.requests.push(instrument.id);
            }
        }
    }
}

fn not_after(latest: Timestamp, head: Head) -> Result<Head, ParseError> {
    match head {
        Head::Orders {
            ts_event: Some(ts_event),
            ..
        } if ts_event > latest => Err(ParseError::Value {
            field: "time of the event",
            problem: "it is ahead of the venue's own clock, as it was last asked",
        }),
        _ => Ok(head),
    }
}

impl MarketProtocol for Level3MarketData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError> {
        match &message.kind {
            StreamMessageKind::Connected => {
                self.requests.clear();
                self.books.iter_mut().for_each(Level3Book::on_connected);
            }
            StreamMessageKind::Frame(frame) => self.on_frame(message.ts_received, frame, emit)?,
            // Snapshots come over the stream itself.
            StreamMessageKind::Snapshot { .. } => {}
            StreamMessageKind::Disconnected(_) => {
                for book in &mut self.books {
                    book.invalidate(BookInvalidReason::Disconnected, emit);
                }
                self.requests.clear();
            }
        }
        Ok(())
    }

    fn take_resync_request(&mut self) -> Option<InstrumentId> {
        self.requests.pop()
    }

    fn begin_again(&mut self, emit: &mut Emit<'_>) {
        self.requests.clear();
        for (instrument, book) in self.instruments.iter().zip(&mut self.books) {
            book.invalidate(BookInvalidReason::Disconnected, emit);
            // The subscription stands, so no snapshot comes by itself.
            self.requests.push(instrument.id);
        }
    }

    fn is_synchronized(&self, instrument: InstrumentId) -> bool {
        self.book(instrument).is_some_and(Level3Book::is_synchronized)
    }

    fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>) {
        self.orders(instrument).map_or((None, None), OrderBook::best)
    }

    fn depth(&self, instrument: InstrumentId) -> (usize, usize) {
        self.orders(instrument).map_or((0, 0), OrderBook::depth)
    }

    fn top(&self, instrument: InstrumentId, side: Side, count: usize, out: &mut Vec<Level>) {
        if let Some(orders) = self.orders(instrument) {
            out.extend(orders.levels(side).rev().take(count));
        }
    }

    fn duplicate(&self) -> Box<dyn MarketProtocol> {
        Box::new(self.clone())
    }

    fn wire_statistics(&self) -> WireStatistics {
        WireStatistics {
            kinds: self.kinds.iter().map(|(kind, count)| (*kind, *count)).collect(),
            ..self.statistics.clone()
        }
    }

    fn book_statistics(&self, instrument: InstrumentId) -> Option<SequencerStatistics> {
        self.book(instrument).map(|book| *book.statistics())
    }
}

#[cfg(test)]
mod tests;
