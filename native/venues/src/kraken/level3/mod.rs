//! Order by order: the channel `level3` of the WebSocket API, version 2. Written from documentation; its worked example is a
//! test, no recording proves it. Trades are those of the channel `trade`, which another connection brings.

mod book;
mod parser;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{BookInvalidReason, InstrumentId, Level, MarketEvent, Nanos, Side, Timestamp, Trade, TradeId};

use super::market_data::WireVersion;
use super::market_feed::system_status;
use super::parser::{Message, Parser, SystemStatus};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::order_book::OrderBook;
use crate::sequencer::{Emit, SequencerStatistics};
use crate::staleness::{Overdue, Silence, Staleness, StalenessBounds};
use crate::websocket::{StreamMessage, StreamMessageKind};
use book::Level3Book;
pub use parser::MESSAGE_ORDERS_MAX;
use parser::{Head, Told};

/// The kind of a message in which the venue speaks of itself.
const STATUS: &str = "status";

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
    /// The venue's last word about itself, on either connection.
    status: Option<SystemStatus>,
    staleness: Staleness,
    /// When the message at hand was received.
    received: Timestamp,
    wants_reconnect: bool,
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
            status: None,
            // Heartbeats come each second, whatever the market does.
            staleness: Staleness::new(instruments.len(), Silence::Fault),
            received: Timestamp::EPOCH,
            wants_reconnect: false,
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

    fn on_frame(&mut self, frame: &[u8], emit: &mut Emit<'_>) -> Result<(), VenueError> {
        let received = self.received;
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
        if kind == STATUS {
            // One that cannot be read is a word that is not known.
            self.status = Some(system_status(frame).unwrap_or(SystemStatus::Unknown));
        }
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
        let at = usize::from(id.0);
        if is_snapshot {
            book.on_snapshot(ts_event, &self.told, checksum, emit);
            self.staleness.on_snapshot(at, received);
        } else {
            book.on_update(ts_event, &self.told, checksum, emit);
            self.staleness.on_change(at, received);
        }
        if book.take_resync_request() {
            self.requests.push(id);
            self.staleness.want_snapshot(at, received);
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
            let at = usize::from(instrument.0);
            // Where the orders' own connection is down, nothing is waited for.
            if self.books.get(at).is_some_and(Level3Book::is_synchronized) {
                self.staleness.on_move(at, self.received);
            }
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
        for at in 0..self.books.len() {
            self.give_up(at, BookInvalidReason::Malformed, emit);
        }
    }

    /// The stream is open: subscribing brings snapshots.
    fn on_connected(&mut self) {
        self.requests.clear();
        self.staleness.begin();
        for (at, book) in self.books.iter_mut().enumerate() {
            book.on_connected();
            self.staleness.want_snapshot(at, self.received);
        }
    }

    fn give_up(&mut self, at: usize, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        let Some(book) = self.books.get_mut(at) else {
            return;
        };
        book.invalidate(reason, emit);
        if book.take_resync_request() {
            self.requests.push(book.instrument());
            self.staleness.want_snapshot(at, self.received);
        }
    }

    /// A book whose changes have stopped is subscribed for anew; where its snapshot does not come, the connection is.
    fn give_stale_books_up(&mut self, emit: &mut Emit<'_>) {
        while let Some((at, what)) = self.staleness.overdue(self.received) {
            match what {
                Overdue::Changes => self.give_up(at, BookInvalidReason::Stale, emit),
                Overdue::Snapshot => self.wants_reconnect = true,
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
        self.received = message.ts_received;
        match &message.kind {
            StreamMessageKind::Connected => self.on_connected(),
            StreamMessageKind::Frame(frame) => self.on_frame(frame, emit)?,
            // Snapshots come over the stream itself.
            StreamMessageKind::Snapshot { .. } => {}
            StreamMessageKind::Disconnected(reason) => {
                for book in &mut self.books {
                    book.invalidate(reason.of_books(), emit);
                }
                self.staleness.begin();
                self.requests.clear();
            }
        }
        self.give_stale_books_up(emit);
        Ok(())
    }

    fn take_resync_request(&mut self) -> Option<InstrumentId> {
        self.requests.pop()
    }

    fn take_reconnect_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_reconnect)
    }

    fn set_staleness(&mut self, bounds: StalenessBounds) {
        self.staleness.set_bounds(bounds);
    }

    fn begin_again(&mut self, emit: &mut Emit<'_>) {
        self.requests.clear();
        for (at, book) in self.books.iter_mut().enumerate() {
            book.invalidate(BookInvalidReason::Disconnected, emit);
            // The subscription stands, so no snapshot comes by itself.
            self.requests.push(book.instrument());
            self.staleness.want_snapshot(at, self.received);
        }
    }

    fn takes_orders(&self) -> bool {
        self.status.is_none_or(SystemStatus::takes_orders)
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
