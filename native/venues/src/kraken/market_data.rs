//! From the frames of one market connection to proven events, without I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{BookInvalidReason, InstrumentId, Level, MarketEvent, Nanos, Side, Timestamp, Trade, TradeId};

use super::book::{ChecksumBook, WireLevel};
use super::parser::{BookMessage, Message, Parser, Symbol, SystemStatus, TradeMessage};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::sequencer::{Emit, SequencerStatistics};
use crate::staleness::{Overdue, Silence, Staleness, StalenessBounds};
use crate::websocket::{StreamMessage, StreamMessageKind};

/// Which wire the connection speaks. Symbols differ: `BTC/USD` in version 2, `XBT/USD` in version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireVersion {
    /// The older one: numbers as text, lists without names.
    V1,
    /// The present one: named fields, numbers as they are.
    V2,
}

/// One instrument's state.
#[derive(Debug, Clone)]
struct Market {
    instrument: InstrumentId,
    book: ChecksumBook,
    last_trade: Option<TradeId>,
    /// The newest time that the venue has said: levels that are told again bear old ones, version 2's snapshots none.
    newest: Option<Timestamp>,
}

/// Parses and proves all books of one connection.
#[derive(Debug, Clone)]
pub struct MarketData {
    instruments: Arc<Instruments>,
    ahead_max: Nanos,
    parser: Parser,
    markets: Vec<Market>,
    requests: Vec<InstrumentId>,
    staleness: Staleness,
    /// When the message at hand was received.
    received: Timestamp,
    wants_reconnect: bool,
    status: Option<SystemStatus>,
    kinds: BTreeMap<&'static str, u64>,
    statistics: WireStatistics,
}

impl MarketData {
    /// For these instruments, each with `depth` levels a side subscribed; nothing synchronized. `ahead_max`: how far a
    /// message's time may be ahead of our own when it came, both on the venue's axis.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>, version: WireVersion, depth: usize, ahead_max: Nanos) -> Self {
        let markets = instruments.iter().map(|instrument| Market {
            instrument: instrument.id,
            book: ChecksumBook::new(instrument.id, depth),
            last_trade: None,
            newest: None,
        });
        Self {
            markets: markets.collect(),
            requests: Vec::with_capacity(instruments.len()),
            // Heartbeats come each second, whatever the market does.
            staleness: Staleness::new(instruments.len(), Silence::Fault),
            received: Timestamp::EPOCH,
            wants_reconnect: false,
            instruments,
            ahead_max,
            parser: Parser::new(version),
            status: None,
            kinds: BTreeMap::new(),
            statistics: WireStatistics::default(),
        }
    }

    /// The same with another depth subscribed for one instrument.
    #[must_use]
    pub fn with_depth(mut self, instrument: InstrumentId, depth: usize) -> Self {
        if let Some(market) = self.markets.get_mut(usize::from(instrument.0)) {
            market.book = ChecksumBook::new(instrument, depth);
        }
        self
    }

    /// The venue's last word about itself: it holds until another, over lost connections too.
    #[must_use]
    pub const fn status(&self) -> Option<SystemStatus> {
        self.status
    }

    /// An instrument's book.
    #[must_use]
    pub fn book(&self, instrument: InstrumentId) -> Option<&ChecksumBook> {
        self.markets
            .get(usize::from(instrument.0))
            .map(|market| &market.book)
    }

    fn on_frame(&mut self, frame: &[u8], emit: &mut Emit<'_>) -> Result<(), VenueError> {
        let received = self.received;
        let latest = received.plus(self.ahead_max);
        let Self {
            instruments,
            parser,
            markets,
            requests,
            staleness,
            status,
            kinds,
            statistics,
            ..
        } = self;
        let read = parser
            .message(frame)
            .and_then(|message| not_after(latest, message));
        let message = match read {
            Ok(message) => message,
            Err(source) => {
                self.refuse(emit);
                let what = "market message";
                return Err(VenueError::Malformed { what, source });
            }
        };
        *kinds.entry(kind(&message)).or_default() += 1;
        match message {
            Message::Book(book) => {
                if let Some((id, market)) = find(instruments, markets, &book.symbol, statistics) {
                    market.on_book(&book, received, emit);
                    let at = usize::from(id.0);
                    if book.is_snapshot {
                        staleness.on_snapshot(at, received);
                    } else {
                        staleness.on_change(at, received);
                    }
                    if market.book.take_resync_request() {
                        requests.push(id);
                        staleness.want_snapshot(at, received);
                    }
                }
            }
            Message::Trades(trades) => {
                for trade in trades {
                    if let Some((id, market)) = find(instruments, markets, &trade.symbol, statistics) {
                        let is_new = market.on_trade(trade, statistics, emit);
                        if is_new && market.book.is_synchronized() {
                            staleness.on_move(usize::from(id.0), received);
                        }
                    }
                }
            }
            Message::Status(new) => *status = Some(new),
            Message::Refused | Message::Other(_) => {}
        }
        Ok(())
    }

    /// An unreadable message may have been a change of any book: none can be trusted.
    fn refuse(&mut self, emit: &mut Emit<'_>) {
        self.statistics.malformed += 1;
        self.requests.clear();
        for at in 0..self.markets.len() {
            self.give_up(at, BookInvalidReason::Malformed, emit);
        }
    }

    /// The stream is open: subscribing brings snapshots.
    fn on_connected(&mut self) {
        self.requests.clear();
        self.staleness.begin();
        for (at, market) in self.markets.iter_mut().enumerate() {
            market.book.on_connected();
            market.last_trade = None;
            market.newest = None;
            self.staleness.want_snapshot(at, self.received);
        }
    }

    fn give_up(&mut self, at: usize, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        let Some(market) = self.markets.get_mut(at) else {
            return;
        };
        market.book.invalidate(reason, emit);
        if market.book.take_resync_request() {
            self.requests.push(market.instrument);
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

impl MarketProtocol for MarketData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError> {
        self.received = message.ts_received;
        match &message.kind {
            StreamMessageKind::Connected => self.on_connected(),
            StreamMessageKind::Frame(frame) => self.on_frame(frame, emit)?,
            // Snapshots come over the stream itself.
            StreamMessageKind::Snapshot { .. } => {}
            StreamMessageKind::Disconnected(reason) => {
                for market in &mut self.markets {
                    market.book.invalidate(reason.of_books(), emit);
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
        for (at, market) in self.markets.iter_mut().enumerate() {
            market.book.invalidate(BookInvalidReason::Disconnected, emit);
            market.last_trade = None;
            market.newest = None;
            // The subscription stands, so no snapshot comes by itself.
            self.requests.push(market.instrument);
            self.staleness.want_snapshot(at, self.received);
        }
    }

    fn takes_orders(&self) -> bool {
        self.status.is_none_or(SystemStatus::takes_orders)
    }

    fn is_synchronized(&self, instrument: InstrumentId) -> bool {
        self.book(instrument).is_some_and(ChecksumBook::is_synchronized)
    }

    fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>) {
        self.book(instrument).map_or((None, None), ChecksumBook::best)
    }

    fn depth(&self, instrument: InstrumentId) -> (usize, usize) {
        self.book(instrument).map_or((0, 0), ChecksumBook::depth)
    }

    fn top(&self, instrument: InstrumentId, side: Side, count: usize, out: &mut Vec<Level>) {
        if let Some(book) = self.book(instrument) {
            out.extend(book.top(side, count).map(WireLevel::level));
        }
    }

    fn duplicate(&self) -> Box<dyn MarketProtocol> {
        Box::new(self.clone())
    }

    fn wire_statistics(&self) -> WireStatistics {
        let (scanned, fallbacks) = self.parser.counts();
        WireStatistics {
            kinds: self.kinds.iter().map(|(kind, count)| (*kind, *count)).collect(),
            scanned,
            fallbacks,
            ..self.statistics.clone()
        }
    }

    fn book_statistics(&self, instrument: InstrumentId) -> Option<SequencerStatistics> {
        self.book(instrument).map(|book| *book.statistics())
    }
}

impl Market {
    fn on_book(&mut self, message: &BookMessage<'_>, received: Timestamp, emit: &mut Emit<'_>) {
        self.newest = self.newest.max(message.ts_event);
        let ts_event = self.newest.unwrap_or(received);
        let BookMessage {
            bids, asks, checksum, ..
        } = *message;
        if message.is_snapshot {
            self.book.on_snapshot(ts_event, bids, asks, checksum, emit);
        } else {
            self.book.on_update(ts_event, bids, asks, checksum, emit);
        }
    }

    /// Whether the trade is passed on: it is none that came before.
    fn on_trade(
        &mut self,
        trade: &TradeMessage,
        statistics: &mut WireStatistics,
        emit: &mut Emit<'_>,
    ) -> bool {
        // Version 1 numbers no trades: they are counted from the connection's beginning.
        let next = self.last_trade.map_or(1, |last| last.0.saturating_add(1));
        let trade_id = trade.trade_id.unwrap_or(TradeId(next));
        if let Some(last) = self.last_trade {
            if trade_id <= last {
                statistics.trade_duplicates += 1;
                return false;
            }
            statistics.trade_gaps += u64::from(trade_id.0 > next);
        }
        self.last_trade = Some(trade_id);
        self.newest = self.newest.max(Some(trade.ts_event));
        statistics.trades += 1;
        emit(MarketEvent::Trade(Trade {
            instrument: self.instrument,
            ts_event: trade.ts_event,
            trade_id,
            price: trade.price,
            quantity: trade.quantity,
            aggressor: trade.aggressor,
        }));
        true
    }
}

fn find<'m>(
    instruments: &Instruments,
    markets: &'m mut [Market],
    symbol: &Symbol,
    statistics: &mut WireStatistics,
) -> Option<(InstrumentId, &'m mut Market)> {
    let known = instruments.by_symbol(symbol).map(|instrument| instrument.id);
    statistics.unknown_symbols += u64::from(known.is_none());
    let id = known?;
    Some((id, markets.get_mut(usize::from(id.0))?))
}

const fn kind(message: &Message<'_>) -> &'static str {
    match message {
        Message::Book(_) => "book",
        Message::Trades(_) => "trade",
        Message::Status(_) => "status",
        Message::Refused => "refusal",
        Message::Other(kind) => kind,
    }
}

fn not_after(latest: Timestamp, message: Message<'_>) -> Result<Message<'_>, ParseError> {
    let newest = match &message {
        Message::Book(book) => book.ts_event,
        Message::Trades(trades) => trades.iter().map(|trade| trade.ts_event).max(),
        _ => None,
    };
    if newest.is_none_or(|newest| newest <= latest) {
        return Ok(message);
    }
    Err(ParseError::Value {
        field: "time of the event",
        problem: "it is ahead of the venue's own clock, as it was last asked",
    })
}

#[cfg(test)]
#[path = "market_data_tests.rs"]
mod tests;
