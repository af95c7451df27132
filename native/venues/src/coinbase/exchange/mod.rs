//! From the frames of an Exchange connection to proven events, without I/O: owned by the hot thread.
//!
//! Written from the documentation; no recording proves it. The venue's rules, in our words (Exchange WebSocket
//! documentation, "Overview" and "Channels", 2026-08), cited below as E1 to E8:
//! - E1: a product's messages share one count (`sequence`); on `full` each is exactly one more than the one before it.
//!   Other channels show only some of them.
//! - E2: a greater number shows that messages were dropped; a lower one may be ignored.
//! - E3: `level2` begins with a `snapshot`, then every `l2update` is delivered; the sizes are what rests, not differences,
//!   and zero removes. They bear no number.
//! - E4: a book of orders: keep the messages of `full`, ask REST `book` at level 3, drop those up to its `sequence`, apply
//!   the rest.
//! - E5: `open` rests from then on; `done` rests no more, if it ever did; `match` takes from the maker's order, and `side`
//!   is the maker's; `change` is for orders that rest, or for others, which are not known.
//! - E6: `received` and what becomes of orders that never rest changes no book.
//! - E7: `heartbeat` tells the count and the last trade of a product each second.
//! - E8: `last_match` is the last trade before the subscription.

pub mod parser;

use std::sync::Arc;

use domain::{
    BookInvalidReason, InstrumentId, Level, MarketEvent, Nanos, OrderBookEvent, Price, Quote, Side,
    Timestamp, Trade, TradeId,
};

use self::parser::{LevelsMessage, Message, Parser, Symbol, TradeMessage};
use super::book::{BookChange, StreamBook};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::order_book::OrderBook;
use crate::sequencer::{Emit, NumberedEvent, OrderSequencer, SequencerStatistics, SnapshotPlace};
use crate::websocket::{StreamMessage, StreamMessageKind};

/// Which channel the books are made from. The other's messages are counted and not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookChannel {
    /// `level2`: books of prices.
    Level2,
    /// `full`: books of orders, begun with a REST snapshot.
    Full,
}

/// Kinds of messages, in the order of their names.
const KIND_NAMES: [&str; 14] = [
    "book",
    "change",
    "done",
    "error",
    "heartbeat",
    "l2update",
    "last_match",
    "match",
    "open",
    "other",
    "received",
    "snapshot",
    "subscriptions",
    "ticker",
];

/// What this wire alone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExchangeStatistics {
    /// Heartbeats that told of a later trade than any we had seen (E7).
    pub heartbeats_ahead: u64,
    /// Messages in which the venue refused what we sent.
    pub refusals: u64,
    /// Best prices passed on.
    pub quotes: u64,
}

/// One instrument's book.
#[derive(Debug, Clone)]
enum Book {
    Levels(StreamBook),
    Orders(OrderSequencer),
}

/// One instrument's state.
#[derive(Debug, Clone)]
struct Market {
    book: Book,
    /// Changes of a book of prices, which bear no number (E3).
    changes: u64,
    last_trade: Option<TradeId>,
    /// The newest time that the venue has said: what comes without one is no older.
    newest: Option<Timestamp>,
}

/// Parses and proves all books of one connection. Symbols are the venue's product ids, such as `BTC-USD`.
#[derive(Debug, Clone)]
pub struct ExchangeMarketData {
    instruments: Arc<Instruments>,
    ahead_max: Nanos,
    parser: Parser,
    markets: Vec<Market>,
    requests: Vec<InstrumentId>,
    kinds: [u64; KIND_NAMES.len()],
    wire: WireStatistics,
    statistics: ExchangeStatistics,
}

impl ExchangeMarketData {
    /// For these instruments, nothing synchronized. `ahead_max`: how far a message's time may be ahead of our own when
    /// it came, both on the venue's axis.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>, channel: BookChannel, ahead_max: Nanos) -> Self {
        let markets = instruments.iter().map(|instrument| Market {
            book: match channel {
                BookChannel::Level2 => Book::Levels(StreamBook::new(instrument.id)),
                BookChannel::Full => Book::Orders(OrderSequencer::numbered(instrument.id)),
            },
            changes: 0,
            last_trade: None,
            newest: None,
        });
        Self {
            markets: markets.collect(),
            requests: Vec::with_capacity(instruments.len()),
            instruments,
            ahead_max,
            parser: Parser::new(),
            kinds: [0; KIND_NAMES.len()],
            wire: WireStatistics::default(),
            statistics: ExchangeStatistics::default(),
        }
    }

    /// What this wire alone counts.
    #[must_use]
    pub const fn statistics(&self) -> &ExchangeStatistics {
        &self.statistics
    }

    /// The orders of an instrument, each in its queue; `None` where the book is of prices.
    #[must_use]
    pub fn orders(&self, instrument: InstrumentId) -> Option<&OrderBook> {
        match self.book(instrument)? {
            Book::Levels(_) => None,
            Book::Orders(orders) => Some(orders.book()),
        }
    }

    fn book(&self, instrument: InstrumentId) -> Option<&Book> {
        let market = self.markets.get(usize::from(instrument.0))?;
        Some(&market.book)
    }

    fn on_connected(&mut self) {
        for market in &mut self.markets {
            market.book.on_connected();
        }
        self.collect_requests();
    }

    fn on_disconnected(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        for market in &mut self.markets {
            market.book.on_disconnected(reason, emit);
        }
        self.requests.clear();
    }

    fn on_frame(&mut self, received: Timestamp, frame: &[u8], emit: &mut Emit<'_>) -> Result<(), VenueError> {
        let latest = received.plus(self.ahead_max);
        // The lists that a message borrows lie in the parser.
        let mut parser = std::mem::take(&mut self.parser);
        let read = parser
            .message(frame)
            .and_then(|message| not_after(latest, message));
        let result = match read {
            Ok(message) => {
                self.count(kind(&message));
                self.on_read(received, &message, emit);
                Ok(())
            }
            Err(source) => {
                self.refuse(emit);
                let what = "market message";
                Err(VenueError::Malformed { what, source })
            }
        };
        self.parser = parser;
        result
    }

    fn on_read(&mut self, received: Timestamp, message: &Message<'_>, emit: &mut Emit<'_>) {
        let symbol = match message {
            Message::Levels(levels) => levels.symbol,
            Message::Match(trade) | Message::LastMatch(trade) => trade.symbol,
            Message::Order(_, order) => order.symbol,
            Message::Heartbeat { symbol, .. } | Message::Ticker { symbol, .. } => *symbol,
            Message::Refused => {
                self.statistics.refusals += 1;
                return;
            }
            Message::Subscriptions | Message::Other => return,
        };
        let Some((instrument, market)) = find(&self.instruments, &mut self.markets, &symbol) else {
            self.wire.unknown_symbols += 1;
            return;
        };
        market.newest = market.newest.max(time(message));
        match message {
            Message::Levels(levels) => market.on_levels(received, levels, emit),
            Message::Match(trade) => {
                market.on_event(trade.sequence, trade.ts_event, Some(execution(trade)), emit);
                market.on_trade(instrument, trade, &mut self.wire, emit);
            }
            // E8: what traded while we were away.
            Message::LastMatch(trade) if market.last_trade.is_some_and(|last| last < trade.trade_id) => {
                market.on_trade(instrument, trade, &mut self.wire, emit);
            }
            Message::LastMatch(trade) => market.last_trade = market.last_trade.max(Some(trade.trade_id)),
            Message::Order(_, order) => market.on_event(order.sequence, order.ts_event, order.event, emit),
            Message::Heartbeat {
                sequence,
                last_trade_id,
                ..
            } => {
                let is_ahead = market.last_trade.is_some_and(|last| last < *last_trade_id);
                self.statistics.heartbeats_ahead += u64::from(is_ahead);
                if let Book::Orders(orders) = &mut market.book {
                    orders.check_count(*sequence, emit);
                }
            }
            Message::Ticker {
                ts_event,
                sequence,
                bid,
                ask,
                ..
            } => {
                if let Some(quote) = quote(instrument, *ts_event, *sequence, *bid, *ask) {
                    market.book.compare(quote.bid, quote.ask);
                    self.statistics.quotes += 1;
                    emit(MarketEvent::Quote(quote));
                }
            }
            Message::Refused | Message::Subscriptions | Message::Other => {}
        }
        if market.book.take_resync_request() {
            self.requests.push(instrument);
        }
    }

    /// E4.
    fn on_snapshot(
        &mut self,
        received: Timestamp,
        instrument: InstrumentId,
        body: &[u8],
        emit: &mut Emit<'_>,
    ) -> Result<(), VenueError> {
        self.kinds[0] += 1;
        let Some(market) = self.markets.get_mut(usize::from(instrument.0)) else {
            return Err(VenueError::UnknownInstrument(instrument));
        };
        let Book::Orders(orders) = &mut market.book else {
            return Ok(());
        };
        let latest = received.plus(self.ahead_max);
        let read = self.parser.snapshot(body).and_then(|snapshot| {
            if snapshot.ts_event.is_none_or(|time| time <= latest) {
                Ok(snapshot)
            } else {
                Err(AHEAD)
            }
        });
        let result = match read {
            Ok(snapshot) => {
                let ts_event = snapshot.ts_event.or(market.newest).unwrap_or(received);
                orders.on_snapshot(
                    SnapshotPlace::Number(snapshot.sequence),
                    ts_event,
                    snapshot.orders,
                    emit,
                );
                Ok(())
            }
            Err(source) => {
                self.wire.malformed += 1;
                orders.invalidate(BookInvalidReason::Malformed, emit);
                let what = "snapshot of orders";
                Err(VenueError::Malformed { what, source })
            }
        };
        if orders.take_snapshot_request() {
            self.requests.push(instrument);
        }
        result
    }

    /// An unreadable message may have been a change of any book: none can be trusted.
    fn refuse(&mut self, emit: &mut Emit<'_>) {
        self.wire.malformed += 1;
        for market in &mut self.markets {
            market.book.invalidate(BookInvalidReason::Malformed, emit);
        }
        self.collect_requests();
    }

    fn collect_requests(&mut self) {
        self.requests.clear();
        for (instrument, market) in self.instruments.iter().zip(&mut self.markets) {
            if market.book.take_resync_request() {
                self.requests.push(instrument.id);
            }
        }
    }

    fn count(&mut self, kind: &str) {
        if let Ok(at) = KIND_NAMES.binary_search(&kind) {
            self.kinds[at] += 1;
        }
    }
}

impl MarketProtocol for ExchangeMarketData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError> {
        match &message.kind {
            StreamMessageKind::Connected => self.on_connected(),
            StreamMessageKind::Frame(frame) => return self.on_frame(message.ts_received, frame, emit),
            StreamMessageKind::Snapshot { instrument, body } => {
                return self.on_snapshot(message.ts_received, *instrument, body, emit);
            }
            StreamMessageKind::Disconnected(reason) => self.on_disconnected(reason.of_books(), emit),
        }
        Ok(())
    }

    fn take_resync_request(&mut self) -> Option<InstrumentId> {
        self.requests.pop()
    }

    fn begin_again(&mut self, emit: &mut Emit<'_>) {
        for market in &mut self.markets {
            market.book.invalidate(BookInvalidReason::Disconnected, emit);
        }
        self.collect_requests();
    }

    fn is_synchronized(&self, instrument: InstrumentId) -> bool {
        match self.book(instrument) {
            Some(Book::Levels(book)) => book.is_synchronized(),
            Some(Book::Orders(orders)) => orders.is_synchronized(),
            None => false,
        }
    }

    fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>) {
        match self.book(instrument) {
            Some(Book::Levels(book)) => book.best(),
            Some(Book::Orders(orders)) => orders.book().best(),
            None => (None, None),
        }
    }

    fn depth(&self, instrument: InstrumentId) -> (usize, usize) {
        match self.book(instrument) {
            Some(Book::Levels(book)) => book.depth(),
            Some(Book::Orders(orders)) => orders.book().depth(),
            None => (0, 0),
        }
    }

    fn top(&self, instrument: InstrumentId, side: Side, count: usize, out: &mut Vec<Level>) {
        match self.book(instrument) {
            Some(Book::Levels(book)) => out.extend(book.side(side).iter().take(count)),
            Some(Book::Orders(orders)) => out.extend(orders.book().levels(side).rev().take(count)),
            None => {}
        }
    }

    fn duplicate(&self) -> Box<dyn MarketProtocol> {
        Box::new(self.clone())
    }

    fn wire_statistics(&self) -> WireStatistics {
        let (scanned, fallbacks) = self.parser.counts();
        let kinds = KIND_NAMES.into_iter().zip(self.kinds);
        WireStatistics {
            kinds: kinds.filter(|&(_, count)| count > 0).collect(),
            scanned,
            fallbacks,
            ..self.wire.clone()
        }
    }

    fn book_statistics(&self, instrument: InstrumentId) -> Option<SequencerStatistics> {
        Some(match self.book(instrument)? {
            Book::Levels(book) => *book.statistics(),
            Book::Orders(orders) => *orders.statistics(),
        })
    }
}

impl Book {
    fn on_connected(&mut self) {
        match self {
            Self::Levels(book) => book.on_connected(),
            Self::Orders(orders) => orders.on_connected(),
        }
    }

    fn on_disconnected(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        match self {
            Self::Levels(book) => book.on_disconnected(reason, emit),
            Self::Orders(orders) => orders.on_disconnected(reason, emit),
        }
    }

    fn invalidate(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        match self {
            Self::Levels(book) => book.invalidate(reason, emit),
            Self::Orders(orders) => orders.invalidate(reason, emit),
        }
    }

    fn take_resync_request(&mut self) -> bool {
        match self {
            Self::Levels(book) => book.take_resync_request(),
            Self::Orders(orders) => orders.take_snapshot_request(),
        }
    }

    /// The ticker is sent beside the book: for the statistics only.
    fn compare(&mut self, bid: Price, ask: Price) {
        if let Self::Levels(book) = self {
            let _ = book.compare(bid, ask);
        }
    }
}

impl Market {
    /// E3.
    fn on_levels(&mut self, received: Timestamp, levels: &LevelsMessage<'_>, emit: &mut Emit<'_>) {
        let Book::Levels(book) = &mut self.book else {
            return;
        };
        self.changes += 1;
        let change = BookChange {
            ts_event: levels.ts_event.or(self.newest).unwrap_or(received),
            update_id: self.changes,
            bids: levels.bids,
            asks: levels.asks,
        };
        if levels.is_snapshot {
            book.on_snapshot(&change, emit);
        } else {
            book.on_change(&change, emit);
        }
    }

    /// E1, E5, E6.
    fn on_event(
        &mut self,
        number: u64,
        ts_event: Timestamp,
        event: Option<OrderBookEvent>,
        emit: &mut Emit<'_>,
    ) {
        if let Book::Orders(orders) = &mut self.book {
            let numbered = NumberedEvent {
                number,
                ts_event,
                event,
            };
            orders.on_event(&numbered, emit);
        }
    }

    fn on_trade(
        &mut self,
        instrument: InstrumentId,
        trade: &TradeMessage,
        wire: &mut WireStatistics,
        emit: &mut Emit<'_>,
    ) {
        if let Some(last) = self.last_trade {
            if trade.trade_id <= last {
                wire.trade_duplicates += 1;
                return;
            }
            wire.trade_gaps += u64::from(trade.trade_id.0 > last.0.saturating_add(1));
        }
        self.last_trade = Some(trade.trade_id);
        wire.trades += 1;
        emit(MarketEvent::Trade(Trade {
            instrument,
            ts_event: trade.ts_event,
            trade_id: trade.trade_id,
            price: trade.price,
            quantity: trade.quantity,
            aggressor: trade.aggressor,
        }));
    }
}

/// E5: a trade takes from the order that rested.
const fn execution(trade: &TradeMessage) -> OrderBookEvent {
    OrderBookEvent::Execute {
        id: trade.maker,
        quantity: trade.quantity,
    }
}

/// Best prices as an event; `None` where a side is empty.
fn quote(
    instrument: InstrumentId,
    ts_event: Timestamp,
    sequence: u64,
    bid: Level,
    ask: Level,
) -> Option<Quote> {
    (bid.price > Price::ZERO && ask.price > Price::ZERO).then_some(Quote {
        instrument,
        ts_event,
        update_id: sequence,
        bid: bid.price,
        bid_quantity: bid.quantity,
        ask: ask.price,
        ask_quantity: ask.quantity,
    })
}

fn find<'m>(
    instruments: &Instruments,
    markets: &'m mut [Market],
    symbol: &Symbol,
) -> Option<(InstrumentId, &'m mut Market)> {
    let id = instruments.by_symbol(symbol)?.id;
    Some((id, markets.get_mut(usize::from(id.0))?))
}

const fn kind(message: &Message<'_>) -> &'static str {
    match message {
        Message::Levels(LevelsMessage {
            is_snapshot: true, ..
        }) => "snapshot",
        Message::Levels(_) => "l2update",
        Message::Match(_) => "match",
        Message::LastMatch(_) => "last_match",
        Message::Order(name, _) => name,
        Message::Heartbeat { .. } => "heartbeat",
        Message::Ticker { .. } => "ticker",
        Message::Refused => "error",
        Message::Subscriptions => "subscriptions",
        Message::Other => "other",
    }
}

const fn time(message: &Message<'_>) -> Option<Timestamp> {
    match message {
        Message::Levels(levels) => levels.ts_event,
        Message::Match(trade) | Message::LastMatch(trade) => Some(trade.ts_event),
        Message::Order(_, order) => Some(order.ts_event),
        Message::Ticker { ts_event, .. } => Some(*ts_event),
        _ => None,
    }
}

const AHEAD: ParseError = ParseError::Value {
    field: "time of the event",
    problem: "it is ahead of the venue's own clock, as it was last asked",
};

/// Refuses a message whose time is later than `latest`: bars close by the venue's time, and one that is far ahead would
/// close all of them up to it.
fn not_after(latest: Timestamp, message: Message<'_>) -> Result<Message<'_>, ParseError> {
    if time(&message).is_none_or(|time| time <= latest) {
        Ok(message)
    } else {
        Err(AHEAD)
    }
}

#[cfg(test)]
mod tests;
