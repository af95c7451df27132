//! Order by order: the channel `level3` of the WebSocket API, version 2. Written from documentation; its worked example is a
//! test, no recording proves it. Trades are those of the channel `trade`, which another connection brings.

mod book;
mod parser;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{BookInvalidReason, InstrumentId, Level, MarketEvent, Nanos, Side, Timestamp, Trade, TradeId};

use super::market_data::WireVersion;
use super::parser::{Message, Parser};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::order_book::OrderBook;
use crate::sequencer::{Emit, SequencerStatistics};
use crate::websocket::{StreamMessage, StreamMessageKind};
use book::Level3Book;
pub use parser::MESSAGE_ORDERS_MAX;
use parser::{Head, Told};

/// How a message of trades begins.
const TRADE: &[u8] = br#"{"channel":"trade""#;

/// Parses and proves all books of orders of one connection.
#[derive(Debug, Clone)]
pub struct Level3MarketData {
    instruments: Arc<Instruments>,
    ahead_max: Nanos,
    /// By id.
    books: Vec<Level3Book>,
    told: Vec<Told>,
    /// Reads trades.
    parser: Parser,
    /// The last trade of each instrument, by id.
    last_trades: Vec<Option<TradeId>>,
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
            last_trades: vec![None; instruments.len()],
            instruments,
            ahead_max,
            told: Vec::new(),
            parser: Parser::new(WireVersion::V2),
            kinds: BTreeMap::new(),
            statistics: WireStatistics::default(),
        }
    }

    /// The same with another depth subscribed for one instrument.
    #[must_use]
    pub fn with_depth(mut self, instrument: InstrumentId, depth: usize) -> Self {
        if let Some(book) = self.books.get_mut(usize::from(instrument.0)) {
            *book = Level3Book::new(instrument, depth);
        }
        self
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
        if frame.starts_with(TRADE) {
            return self.on_trades(latest, frame, emit);
        }
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

    /// Trades come over another connection: a message of theirs that cannot be read is no change of a book.
    fn on_trades(&mut self, latest: Timestamp, frame: &[u8], emit: &mut Emit<'_>) -> Result<(), VenueError> {
        *self.kinds.entry("trade").or_default() += 1;
        let trades = match self.parser.message(frame) {
            Ok(Message::Trades(trades)) if trades.iter().all(|trade| trade.ts_event <= latest) => trades,
            read => {
                self.statistics.malformed += 1;
                let source = read.err().unwrap_or(ParseError::Value {
                    field: "trade",
                    problem: "no trades, or of a time ahead of the venue's own clock",
                });
                let what = "message of trades";
                return Err(VenueError::Malformed { what, source });
            }
        };
        for trade in trades {
            let known = self.instruments.by_symbol(&trade.symbol).map(|known| known.id);
            let last = known.and_then(|id| self.last_trades.get_mut(usize::from(id.0)));
            let (Some(instrument), Some(last)) = (known, last) else {
                self.statistics.unknown_symbols += 1;
                continue;
            };
            let next = last.map_or(1, |last| last.0.saturating_add(1));
            let trade_id = trade.trade_id.unwrap_or(TradeId(next));
            if last.is_some_and(|last| trade_id <= last) {
                self.statistics.trade_duplicates += 1;
                continue;
            }
            self.statistics.trade_gaps += u64::from(last.is_some() && trade_id.0 > next);
            *last = Some(trade_id);
            self.statistics.trades += 1;
            emit(MarketEvent::Trade(Trade {
                instrument,
                ts_event: trade.ts_event,
                trade_id,
                price: trade.price,
                quantity: trade.quantity,
                aggressor: trade.aggressor,
            }));
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
            StreamMessageKind::Disconnected(reason) => {
                for book in &mut self.books {
                    book.invalidate(reason.of_books(), emit);
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
        let (scanned, fallbacks) = self.parser.counts();
        WireStatistics {
            scanned,
            fallbacks: self.statistics.fallbacks + fallbacks,
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
