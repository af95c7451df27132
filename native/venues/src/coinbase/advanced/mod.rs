//! From the frames of an Advanced Trade connection to proven events, without I/O: owned by the hot thread.
//!
//! The venue's rules, in our words (Advanced Trade WebSocket documentation, "Overview" and "Channels", 2026-08), cited
//! below as A1 to A7:
//! - A1: all channels of a connection share one count (`sequence_num`); each message is exactly one more than the one
//!   before it.
//! - A2: a greater number shows that messages are missing. A lower one came out of order; on one connection that is a
//!   fault too, and no book may be trusted that counts on it.
//! - A3: subscribing to `level2` brings a snapshot (`l2_data`), then updates; a new subscription is the only way to a new
//!   snapshot.
//! - A4: `new_quantity` is the quantity at a price, not a difference; zero removes the level, also one that is not there.
//! - A5: `market_trades` begins with a snapshot of the last hundred trades; `side` is the maker's.
//! - A6: `ticker` is sent beside the book and lags it: it proves nothing about the book.
//! - A7: `status` tells the states of products again and again, perhaps of all there are. Any word but `online` is a halt;
//!   what the rules say in flags beside `online` (cancels only, limits only) it does not tell.

pub mod parser;

use std::sync::Arc;

use domain::{
    BookInvalidReason, InstrumentId, Level, MarketEvent, Nanos, Price, Quote, Side, Timestamp, Trade, TradeId,
};

use self::parser::{
    Body, BookMessages, EventKind, Message, Parser, StatusMessage, Symbol, TickerMessage, TradeMessage,
};
use super::book::{BookChange, StreamBook};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::sequencer::{Emit, SequencerStatistics};
use crate::staleness::{Overdue, Silence, Staleness, StalenessBounds};
use crate::websocket::{StreamMessage, StreamMessageKind};

/// Kinds of messages, in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Candles,
    Error,
    Heartbeats,
    Books,
    Trades,
    Other,
    Statuses,
    Subscriptions,
    Tickers,
    Unnumbered,
}

/// The venue's word for each kind.
const KIND_NAMES: [&str; 10] = [
    "candles",
    "error",
    "heartbeats",
    "l2_data",
    "market_trades",
    "other",
    "status",
    "subscriptions",
    "ticker",
    "unnumbered",
];

/// What this wire alone counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdvancedStatistics {
    /// Messages whose number was not the next one: too great, too small, or the same again (A2).
    pub out_of_sequence: u64,
    /// Heartbeats whose count was not the next one.
    pub heartbeat_gaps: u64,
    /// Messages in which the venue refused what we sent.
    pub refusals: u64,
    /// Best prices passed on.
    pub quotes: u64,
    /// Trades from before the first subscription, not passed on: they belong to bars that others have closed (A5).
    pub history_trades: u64,
}

/// One instrument's state.
#[derive(Debug, Clone)]
struct Market {
    book: StreamBook,
    last_trade: Option<TradeId>,
    /// Whether a message with trades has come: from then on every trade is wanted, over lost connections too.
    is_trading: bool,
    /// Whether the venue takes everything of it, by its own last word.
    is_online: bool,
}

/// Parses and proves all books of one connection. Symbols are the venue's product ids, such as `BTC-USD`.
#[derive(Debug, Clone)]
pub struct AdvancedMarketData {
    instruments: Arc<Instruments>,
    ahead_max: Nanos,
    parser: Parser,
    markets: Vec<Market>,
    requests: Vec<InstrumentId>,
    staleness: Staleness,
    /// When the message at hand was received.
    received: Timestamp,
    wants_reconnect: bool,
    wants_rules: bool,
    /// When the stream first came up.
    since: Option<Timestamp>,
    /// The number that the next message must have; `None` while any may come.
    next_sequence: Option<u64>,
    heartbeat: Option<u64>,
    kinds: [u64; KIND_NAMES.len()],
    wire: WireStatistics,
    statistics: AdvancedStatistics,
}

impl AdvancedMarketData {
    /// For these instruments, nothing synchronized. `ahead_max`: how far a message's time may be ahead of our own when
    /// it came, both on the venue's axis.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>, ahead_max: Nanos) -> Self {
        let markets = instruments.iter().map(|instrument| Market {
            book: StreamBook::new(instrument.id),
            last_trade: None,
            is_trading: false,
            is_online: true,
        });
        Self {
            markets: markets.collect(),
            requests: Vec::with_capacity(instruments.len()),
            // Heartbeats come each second, whatever the market does.
            staleness: Staleness::new(instruments.len(), Silence::Fault),
            received: Timestamp::EPOCH,
            wants_reconnect: false,
            wants_rules: false,
            instruments,
            ahead_max,
            parser: Parser::new(),
            since: None,
            next_sequence: None,
            heartbeat: None,
            kinds: [0; KIND_NAMES.len()],
            wire: WireStatistics::default(),
            statistics: AdvancedStatistics::default(),
        }
    }

    /// What this wire alone counts.
    #[must_use]
    pub const fn statistics(&self) -> &AdvancedStatistics {
        &self.statistics
    }

    /// From where on levels of a book may be missing: bids, asks. `None` while all are known.
    #[must_use]
    pub fn horizon(&self, instrument: InstrumentId) -> (Option<Price>, Option<Price>) {
        self.book(instrument).map_or((None, None), StreamBook::horizon)
    }

    fn book(&self, instrument: InstrumentId) -> Option<&StreamBook> {
        let market = self.markets.get(usize::from(instrument.0))?;
        Some(&market.book)
    }

    /// The stream is open: its first message may have any number, and subscribing brings snapshots (A3).
    fn on_connected(&mut self, ts_received: Timestamp) {
        self.since = self.since.or(Some(ts_received));
        self.next_sequence = None;
        self.heartbeat = None;
        self.requests.clear();
        self.staleness.begin();
        for (book, market) in self.markets.iter_mut().enumerate() {
            market.book.on_connected();
            self.staleness.want_snapshot(book, ts_received);
        }
    }

    fn on_disconnected(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        for market in &mut self.markets {
            market.book.on_disconnected(reason, emit);
        }
        self.staleness.begin();
        self.requests.clear();
    }

    fn on_frame(&mut self, latest: Timestamp, frame: &[u8], emit: &mut Emit<'_>) -> Result<(), VenueError> {
        // The lists that a message borrows lie in the parser.
        let mut parser = std::mem::take(&mut self.parser);
        let read = parser
            .message(frame)
            .and_then(|message| not_after(latest, message));
        let result = match read {
            Ok(message) => {
                self.on_read(&message, emit);
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

    fn on_read(&mut self, message: &Message<'_>, emit: &mut Emit<'_>) {
        let (sequence, ts_sent, body) = match *message {
            Message::Numbered {
                sequence,
                ts_sent,
                body,
            } => (sequence, ts_sent, body),
            Message::Refused => {
                self.statistics.refusals += 1;
                return self.count(Kind::Error);
            }
            Message::Unnumbered => return self.count(Kind::Unnumbered),
        };
        self.count(kind(&body));
        if self.is_old(sequence, emit) {
            return;
        }
        match body {
            Body::Books(books) => self.on_books(sequence, &books, emit),
            Body::Trades(trades) => self.on_trades(trades, emit),
            Body::Tickers(tickers) => self.on_tickers(sequence, ts_sent, tickers, emit),
            Body::Statuses(statuses) => self.on_statuses(statuses),
            Body::Heartbeat { counter } => {
                let is_next = self
                    .heartbeat
                    .replace(counter)
                    .is_none_or(|last| last.checked_add(1) == Some(counter));
                self.statistics.heartbeat_gaps += u64::from(!is_next);
            }
            Body::Subscriptions | Body::Candles | Body::Other => {}
        }
    }

    /// A1, A2: no book survives a number that is not the next. What follows a hole may still be a snapshot; what is old
    /// is not looked at. The count is followed wherever it goes, so that one that starts anew is a fault once.
    fn is_old(&mut self, sequence: u64, emit: &mut Emit<'_>) -> bool {
        let next = self.next_sequence.replace(sequence.saturating_add(1));
        let Some(next) = next.filter(|&next| next != sequence) else {
            return false;
        };
        self.statistics.out_of_sequence += 1;
        self.wire.connection_gaps += u64::from(sequence > next);
        self.wire.connection_repeats += u64::from(sequence < next);
        self.invalidate_all(BookInvalidReason::Gap, emit);
        sequence < next
    }

    fn on_books(&mut self, sequence: u64, books: &BookMessages<'_>, emit: &mut Emit<'_>) {
        for message in books.iter() {
            let Some((id, market)) = self.find(&message.symbol) else {
                continue;
            };
            let change = BookChange {
                ts_event: message.ts_event,
                update_id: sequence,
                bids: message.bids,
                asks: message.asks,
            };
            match message.kind {
                EventKind::Snapshot => market.book.on_snapshot(&change, emit),
                EventKind::Update => market.book.on_change(&change, emit),
            }
            let is_wanted = market.book.take_resync_request();
            let (book, at) = (usize::from(id.0), self.received);
            match message.kind {
                EventKind::Snapshot => self.staleness.on_snapshot(book, at),
                EventKind::Update => self.staleness.on_change(book, at),
            }
            if is_wanted {
                self.ask(id);
            }
        }
    }

    /// Wants a book told anew.
    fn ask(&mut self, instrument: InstrumentId) {
        self.requests.push(instrument);
        self.staleness
            .want_snapshot(usize::from(instrument.0), self.received);
    }

    /// A3: a book whose changes have stopped is subscribed for anew; where its snapshot does not come, the connection is.
    fn give_stale_books_up(&mut self, emit: &mut Emit<'_>) {
        while let Some((book, what)) = self.staleness.overdue(self.received) {
            self.wants_reconnect |= what == Overdue::Snapshot;
            let Some(market) = self.markets.get_mut(book).filter(|_| what == Overdue::Changes) else {
                continue;
            };
            market.book.invalidate(BookInvalidReason::Stale, emit);
            if market.book.take_resync_request()
                && let Some(instrument) = self.instruments.iter().nth(book)
            {
                let instrument = instrument.id;
                self.ask(instrument);
            }
        }
    }

    /// A5. After a lost connection the snapshot closes the hole as far as it reaches.
    fn on_trades(&mut self, trades: &[TradeMessage], emit: &mut Emit<'_>) {
        let since = self.since;
        for trade in trades {
            let Some((instrument, market)) = self.find(&trade.symbol) else {
                continue;
            };
            let last = market.last_trade;
            // What traded between the connection and the subscription belongs to bars that are open.
            let is_before = since.is_none_or(|since| trade.ts_event < since);
            let is_history = trade.kind == EventKind::Snapshot && !market.is_trading && is_before;
            if last.is_some_and(|last| trade.trade_id <= last) {
                self.wire.trade_duplicates += u64::from(trade.kind == EventKind::Update);
                continue;
            }
            market.last_trade = Some(trade.trade_id);
            if trade.kind == EventKind::Update {
                self.staleness.on_move(usize::from(instrument.0), self.received);
            }
            if is_history {
                self.statistics.history_trades += 1;
                continue;
            }
            let is_hole = last.is_some_and(|last| trade.trade_id.0 > last.0.saturating_add(1));
            self.wire.trade_gaps += u64::from(is_hole);
            self.wire.trades += 1;
            emit(MarketEvent::Trade(Trade {
                instrument,
                ts_event: trade.ts_event,
                trade_id: trade.trade_id,
                price: trade.price,
                quantity: trade.quantity,
                aggressor: trade.aggressor,
            }));
        }
        for trade in trades {
            if let Some(instrument) = self.instruments.by_symbol(&trade.symbol) {
                self.markets[usize::from(instrument.id.0)].is_trading = true;
            }
        }
    }

    /// A6.
    fn on_tickers(
        &mut self,
        sequence: u64,
        ts_event: Timestamp,
        tickers: &[TickerMessage],
        emit: &mut Emit<'_>,
    ) {
        for ticker in tickers {
            let Some((instrument, market)) = self.find(&ticker.symbol) else {
                continue;
            };
            if !market.book.compare(ticker.bid.price, ticker.ask.price) {
                self.staleness.on_move(usize::from(instrument.0), self.received);
            }
            self.statistics.quotes += 1;
            emit(MarketEvent::Quote(Quote {
                instrument,
                ts_event,
                update_id: sequence,
                bid: ticker.bid.price,
                bid_quantity: ticker.bid.quantity,
                ask: ticker.ask.price,
                ask_quantity: ticker.ask.quantity,
            }));
        }
    }

    /// A7. The rules say more exactly what is taken.
    fn on_statuses(&mut self, statuses: &[StatusMessage]) {
        for status in statuses {
            let Some(instrument) = self.instruments.by_symbol(&status.symbol) else {
                continue;
            };
            let market = &mut self.markets[usize::from(instrument.id.0)];
            let before = std::mem::replace(&mut market.is_online, status.is_online);
            // As long as it is said: the first answer about the rules may be older than the word.
            self.wants_rules |= !status.is_online || before != status.is_online;
        }
    }

    fn find(&mut self, symbol: &Symbol) -> Option<(InstrumentId, &mut Market)> {
        let Some(instrument) = self.instruments.by_symbol(symbol) else {
            self.wire.unknown_symbols += 1;
            return None;
        };
        let market = self.markets.get_mut(usize::from(instrument.id.0))?;
        Some((instrument.id, market))
    }

    /// An unreadable message may have been a change of any book, and its number is not known.
    fn refuse(&mut self, emit: &mut Emit<'_>) {
        self.wire.malformed += 1;
        self.next_sequence = None;
        self.invalidate_all(BookInvalidReason::Malformed, emit);
    }

    fn invalidate_all(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        self.requests.clear();
        for (instrument, market) in self.instruments.iter().zip(&mut self.markets) {
            market.book.invalidate(reason, emit);
            if market.book.take_resync_request() {
                self.requests.push(instrument.id);
                self.staleness
                    .want_snapshot(usize::from(instrument.id.0), self.received);
            }
        }
    }

    fn count(&mut self, kind: Kind) {
        self.kinds[kind as usize] += 1;
    }
}

impl MarketProtocol for AdvancedMarketData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError> {
        self.received = message.ts_received;
        match &message.kind {
            StreamMessageKind::Connected => self.on_connected(message.ts_received),
            StreamMessageKind::Frame(frame) => {
                self.on_frame(message.ts_received.plus(self.ahead_max), frame, emit)?;
            }
            // A3: this wire brings its snapshots itself.
            StreamMessageKind::Snapshot { .. } => {}
            StreamMessageKind::Disconnected(reason) => self.on_disconnected(reason.of_books(), emit),
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

    fn take_rules_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_rules)
    }

    fn set_staleness(&mut self, bounds: StalenessBounds) {
        self.staleness.set_bounds(bounds);
    }

    /// The count over the connection goes on.
    fn begin_again(&mut self, emit: &mut Emit<'_>) {
        self.invalidate_all(BookInvalidReason::Disconnected, emit);
    }

    fn is_synchronized(&self, instrument: InstrumentId) -> bool {
        self.book(instrument).is_some_and(StreamBook::is_synchronized)
    }

    fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>) {
        self.book(instrument).map_or((None, None), StreamBook::best)
    }

    fn depth(&self, instrument: InstrumentId) -> (usize, usize) {
        self.book(instrument).map_or((0, 0), StreamBook::depth)
    }

    fn top(&self, instrument: InstrumentId, side: Side, count: usize, out: &mut Vec<Level>) {
        if let Some(book) = self.book(instrument) {
            out.extend(book.side(side).iter().take(count));
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
        self.book(instrument).map(|book| *book.statistics())
    }
}

const fn kind(body: &Body<'_>) -> Kind {
    match body {
        Body::Books(_) => Kind::Books,
        Body::Trades(_) => Kind::Trades,
        Body::Tickers(_) => Kind::Tickers,
        Body::Statuses(_) => Kind::Statuses,
        Body::Heartbeat { .. } => Kind::Heartbeats,
        Body::Subscriptions => Kind::Subscriptions,
        Body::Candles => Kind::Candles,
        Body::Other => Kind::Other,
    }
}

/// Refuses a message whose times are later than `latest`: bars close by the venue's time, and one that is far ahead would
/// close all of them up to it.
fn not_after(latest: Timestamp, message: Message<'_>) -> Result<Message<'_>, ParseError> {
    let Message::Numbered { ts_sent, body, .. } = &message else {
        return Ok(message);
    };
    let is_late = match body {
        Body::Books(books) => books.iter().any(|book| book.ts_event > latest),
        Body::Trades(trades) => trades.iter().any(|trade| trade.ts_event > latest),
        _ => false,
    };
    if *ts_sent <= latest && !is_late {
        return Ok(message);
    }
    Err(ParseError::Value {
        field: "time of the event",
        problem: "it is ahead of the venue's own clock, as it was last asked",
    })
}

#[cfg(test)]
mod tests;
