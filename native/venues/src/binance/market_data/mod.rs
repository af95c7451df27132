//! From the frames of the market streams to proven market events, without I/O: owned by the hot thread.

use std::sync::Arc;

use domain::{
    BookInvalidReason, InstrumentId, Level, MarketEvent, Nanos, Quote, Side, Timestamp, Trade, TradeId,
};

mod futures;

pub use futures::FuturesMarketData;

use super::parser::{DepthMessage, Dialect, Parser, StreamMessageBody, Symbol, TickerMessage, TradeMessage};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::sequencer::{BestLevels, Diff, Emit, SequenceRule, Sequencer, SequencerStatistics};
use crate::staleness::{Silence, Staleness, StalenessBounds};
use crate::websocket::{StreamMessage, StreamMessageKind};

/// What the market streams have brought, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MarketStatistics {
    /// Frames and snapshots taken in.
    pub messages: u64,
    /// Those that could not be read.
    pub malformed: u64,
    /// Messages read by the scanner.
    pub scanned: u64,
    /// Messages that only the slow reader could read.
    pub fallbacks: u64,
    /// Messages for symbols that are not in the table.
    pub unknown_symbols: u64,
    /// Changes of books (`depthUpdate`).
    pub depth_updates: u64,
    /// Snapshots of books, over REST.
    pub snapshots: u64,
    /// Best bids and asks (`bookTicker`).
    pub tickers: u64,
    /// Trades (`trade`), those that came twice and those that are none included.
    pub trade_messages: u64,
    /// Announcements that the connection will end (`serverShutdown`).
    pub shutdowns: u64,
    /// Messages of kinds we do not use.
    pub unused: u64,
    /// Trades passed on.
    pub trades: u64,
    /// Trades that came twice.
    pub trade_duplicates: u64,
    /// Holes in the numbers of trades: bars over them are short of volume.
    pub trade_gaps: u64,
    /// Best prices passed on.
    pub quotes: u64,
    /// Best prices with an empty side, not passed on.
    pub quotes_one_sided: u64,
    /// Best prices before the first message that bears a time, not passed on.
    pub quotes_untimed: u64,
}

/// One instrument's state.
#[derive(Debug, Clone)]
struct Market {
    sequencer: Sequencer,
    last_trade: Option<TradeId>,
    /// The newest time that the venue has said. What comes without one is no older, and closes no bar before its time:
    /// our own clock may be ahead of the venue's.
    newest: Option<Timestamp>,
    /// The changes of the book have stopped: the next one begins it anew.
    has_stalled: bool,
}

/// Parses and sequences all instruments of one connection.
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
    statistics: MarketStatistics,
}

impl MarketData {
    /// For these instruments of the spot market, nothing synchronized. `ahead_max`: how far a message's time may be ahead
    /// of our own when it came, both on the venue's axis.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>, ahead_max: Nanos) -> Self {
        Self::of(Dialect::Spot, SequenceRule::BinanceSpot, instruments, ahead_max)
    }

    /// With snapshots of so many levels a side: see [`Sequencer::set_snapshot_levels`].
    #[must_use]
    pub fn with_snapshot_levels(mut self, levels: u16) -> Self {
        for market in &mut self.markets {
            market.sequencer.set_snapshot_levels(usize::from(levels));
        }
        self
    }

    fn of(dialect: Dialect, rule: SequenceRule, instruments: Arc<Instruments>, ahead_max: Nanos) -> Self {
        let markets: Vec<_> = instruments
            .iter()
            .map(|instrument| Market {
                sequencer: Sequencer::new(instrument.id, rule),
                last_trade: None,
                newest: None,
                has_stalled: false,
            })
            .collect();
        Self {
            requests: Vec::with_capacity(instruments.len()),
            instruments,
            ahead_max,
            parser: Parser::of(dialect),
            // A quiet pair changes nothing, and the venue sends no heartbeats.
            staleness: Staleness::new(markets.len(), Silence::Normal),
            received: Timestamp::EPOCH,
            wants_reconnect: false,
            markets,
            statistics: MarketStatistics::default(),
        }
    }

    /// Takes in whatever the stream's connection delivers.
    ///
    /// # Errors
    /// [`VenueError::Malformed`] when it cannot be read. That is already dealt with (the books are invalid, a
    /// resync is asked for): count it, log it, go on.
    pub fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError> {
        self.received = message.ts_received;
        match &message.kind {
            StreamMessageKind::Connected => self.on_connected(),
            StreamMessageKind::Frame(frame) => {
                self.on_frame(message.ts_received.plus(self.ahead_max), frame, emit)?;
            }
            StreamMessageKind::Snapshot { instrument, body } => {
                self.on_snapshot(message.ts_received, *instrument, body, emit)?;
            }
            StreamMessageKind::Disconnected(reason) => self.on_disconnected(reason.of_books(), emit),
        }
        self.give_stale_books_up(emit);
        Ok(())
    }

    /// The addresses of the streams are what subscribes to them: one that has stopped begins with a new connection only.
    fn give_stale_books_up(&mut self, emit: &mut Emit<'_>) {
        while let Some((book, _)) = self.staleness.overdue(self.received) {
            let Some(market) = self.markets.get_mut(book) else {
                continue;
            };
            if market.sequencer.is_synchronized() {
                market.sequencer.on_disconnected(BookInvalidReason::Stale, emit);
                market.has_stalled = true;
                self.wants_reconnect = true;
            }
        }
    }

    /// The stream is open: snapshots are wanted.
    pub fn on_connected(&mut self) {
        for market in &mut self.markets {
            market.sequencer.on_connected();
            // What traded in between is lost to this stream, and a restarted venue counts anew.
            market.last_trade = None;
            market.newest = None;
            market.has_stalled = false;
        }
        self.staleness.begin();
        self.collect_requests();
    }

    /// The stream is gone: every book is invalid.
    pub fn on_disconnected(&mut self, reason: BookInvalidReason, emit: &mut Emit<'_>) {
        for market in &mut self.markets {
            market.sequencer.on_disconnected(reason, emit);
        }
        self.staleness.begin();
        self.requests.clear();
    }

    /// One message of the stream, as received. A message whose time is later than `latest` is taken for unreadable:
    /// bars close by the venue's time, and one that is far ahead would close all of them up to it.
    ///
    /// # Errors
    /// As [`Self::on_message`].
    pub fn on_frame(
        &mut self,
        latest: Timestamp,
        frame: &[u8],
        emit: &mut Emit<'_>,
    ) -> Result<(), VenueError> {
        self.statistics.messages += 1;
        let Self {
            instruments,
            parser,
            markets,
            requests,
            staleness,
            received,
            statistics,
            ..
        } = self;
        let (received, read) = (*received, parser.stream_message(frame));
        let body = match read.and_then(|body| not_after(latest, body)) {
            Ok(body) => body,
            Err(source) => {
                self.refuse(emit);
                return Err(VenueError::Malformed {
                    what: "market message",
                    source,
                });
            }
        };
        let Some(symbol) = counted(&body, statistics) else {
            return Ok(());
        };
        let Some((instrument, market)) = find(instruments, markets, &symbol) else {
            statistics.unknown_symbols += 1;
            return Ok(());
        };
        match body {
            StreamMessageBody::Depth(depth) => {
                if market.on_depth(&depth, emit) {
                    staleness.on_change(usize::from(instrument.0), received);
                }
            }
            StreamMessageBody::Trade(trade) => market.on_trade(instrument, &trade, statistics, emit),
            StreamMessageBody::Trades { trades, .. } => {
                for trade in trades {
                    market.on_trade(instrument, trade, statistics, emit);
                }
            }
            StreamMessageBody::EmptyTrade { trade_id, .. } => {
                market.is_next_trade(trade_id, statistics);
            }
            StreamMessageBody::Ticker(ticker) => market.on_ticker(instrument, &ticker, statistics, emit),
            StreamMessageBody::ServerShutdown | StreamMessageBody::Other => {}
        }
        market.watch(usize::from(instrument.0), &body, received, staleness);
        if market.sequencer.take_snapshot_request() {
            requests.push(instrument);
        }
        Ok(())
    }

    /// The answer of REST `depth`.
    ///
    /// # Errors
    /// As [`Self::on_message`], and [`VenueError::UnknownInstrument`].
    pub fn on_snapshot(
        &mut self,
        ts_received: Timestamp,
        instrument: InstrumentId,
        body: &[u8],
        emit: &mut Emit<'_>,
    ) -> Result<(), VenueError> {
        self.statistics.messages += 1;
        let Some(market) = self.markets.get_mut(usize::from(instrument.0)) else {
            return Err(VenueError::UnknownInstrument(instrument));
        };
        let result = match self.parser.snapshot(body) {
            Ok(snapshot) => {
                self.statistics.snapshots += 1;
                let (bids, asks) = (snapshot.bids, snapshot.asks);
                let ts_event = market.newest.unwrap_or(ts_received);
                market
                    .sequencer
                    .on_snapshot(ts_event, snapshot.last_update_id, bids, asks, emit);
                Ok(())
            }
            Err(source) => {
                self.statistics.malformed += 1;
                market.sequencer.invalidate(BookInvalidReason::Malformed, emit);
                Err(VenueError::Malformed {
                    what: "depth snapshot",
                    source,
                })
            }
        };
        if market.sequencer.take_snapshot_request() {
            self.requests.push(instrument);
        }
        result
    }

    /// The next instrument that needs a snapshot; ask until `None` after each message.
    pub fn take_snapshot_request(&mut self) -> Option<InstrumentId> {
        self.requests.pop()
    }

    /// Whether an instrument's book can be trusted.
    #[must_use]
    pub fn is_synchronized(&self, instrument: InstrumentId) -> bool {
        let market = self.markets.get(usize::from(instrument.0));
        market.is_some_and(|market| market.sequencer.is_synchronized())
    }

    /// What has come in.
    #[must_use]
    pub fn statistics(&self) -> MarketStatistics {
        let (scanned, fallbacks) = self.parser.counts();
        MarketStatistics {
            scanned,
            fallbacks,
            ..self.statistics
        }
    }

    /// Best bid and best ask of a book; `None` for a side without levels, or an instrument that is not here.
    #[must_use]
    pub fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>) {
        let market = self.markets.get(usize::from(instrument.0));
        market.map_or((None, None), |market| market.sequencer.best())
    }

    /// Levels of a book: bids, asks.
    #[must_use]
    pub fn depth(&self, instrument: InstrumentId) -> (usize, usize) {
        let market = self.markets.get(usize::from(instrument.0));
        market.map_or((0, 0), |market| market.sequencer.depth())
    }

    /// What an instrument's sequencer has seen.
    #[must_use]
    pub fn sequencer_statistics(&self, instrument: InstrumentId) -> Option<&SequencerStatistics> {
        let market = self.markets.get(usize::from(instrument.0))?;
        Some(market.sequencer.statistics())
    }

    /// An unreadable message may have been a change of any book: none can be trusted.
    fn refuse(&mut self, emit: &mut Emit<'_>) {
        self.statistics.malformed += 1;
        for market in &mut self.markets {
            market.sequencer.invalidate(BookInvalidReason::Malformed, emit);
        }
        self.collect_requests();
    }

    fn collect_requests(&mut self) {
        self.requests.clear();
        for (instrument, market) in self.instruments.iter().zip(&mut self.markets) {
            if market.sequencer.take_snapshot_request() {
                self.requests.push(instrument.id);
            }
        }
    }
}

impl MarketProtocol for MarketData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError> {
        self.on_message(message, emit)
    }

    fn take_resync_request(&mut self) -> Option<InstrumentId> {
        self.take_snapshot_request()
    }

    fn take_reconnect_request(&mut self) -> bool {
        std::mem::take(&mut self.wants_reconnect)
    }

    fn set_staleness(&mut self, bounds: StalenessBounds) {
        self.staleness.set_bounds(bounds);
    }

    fn begin_again(&mut self, emit: &mut Emit<'_>) {
        self.on_disconnected(BookInvalidReason::Disconnected, emit);
        self.on_connected();
    }

    fn is_synchronized(&self, instrument: InstrumentId) -> bool {
        self.is_synchronized(instrument)
    }

    fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>) {
        self.best(instrument)
    }

    fn depth(&self, instrument: InstrumentId) -> (usize, usize) {
        self.depth(instrument)
    }

    fn top(&self, instrument: InstrumentId, side: Side, count: usize, out: &mut Vec<Level>) {
        if let Some(market) = self.markets.get(usize::from(instrument.0)) {
            out.extend(market.sequencer.side(side).iter().take(count));
        }
    }

    fn duplicate(&self) -> Box<dyn MarketProtocol> {
        Box::new(self.clone())
    }

    fn wire_statistics(&self) -> WireStatistics {
        let statistics = self.statistics();
        let mut kinds = vec![
            ("bookTicker", statistics.tickers),
            ("depthUpdate", statistics.depth_updates),
            ("other", statistics.unused),
            ("serverShutdown", statistics.shutdowns),
            ("snapshot", statistics.snapshots),
            ("trade", statistics.trade_messages),
        ];
        kinds.retain(|&(_, count)| count > 0);
        WireStatistics {
            kinds,
            malformed: statistics.malformed,
            scanned: statistics.scanned,
            fallbacks: statistics.fallbacks,
            unknown_symbols: statistics.unknown_symbols,
            connection_gaps: 0,
            connection_repeats: 0,
            trades: statistics.trades,
            trade_duplicates: statistics.trade_duplicates,
            trade_gaps: statistics.trade_gaps,
        }
    }

    fn book_statistics(&self, instrument: InstrumentId) -> Option<SequencerStatistics> {
        self.sequencer_statistics(instrument).copied()
    }
}

fn find<'m>(
    instruments: &Instruments,
    markets: &'m mut [Market],
    symbol: &Symbol,
) -> Option<(InstrumentId, &'m mut Market)> {
    let id = instruments.by_symbol(symbol)?.id;
    Some((id, markets.get_mut(usize::from(id.0))?))
}

/// Counts a message by its kind; whose it is, where it is of one that we use.
fn counted(body: &StreamMessageBody<'_>, statistics: &mut MarketStatistics) -> Option<Symbol> {
    let (count, symbol) = match body {
        StreamMessageBody::Depth(depth) => (&mut statistics.depth_updates, Some(depth.symbol)),
        StreamMessageBody::Trade(trade) => (&mut statistics.trade_messages, Some(trade.symbol)),
        StreamMessageBody::Trades { symbol, .. } | StreamMessageBody::EmptyTrade { symbol, .. } => {
            (&mut statistics.trade_messages, Some(*symbol))
        }
        StreamMessageBody::Ticker(ticker) => (&mut statistics.tickers, Some(ticker.symbol)),
        StreamMessageBody::ServerShutdown => (&mut statistics.shutdowns, None),
        StreamMessageBody::Other => (&mut statistics.unused, None),
    };
    *count += 1;
    symbol
}

fn not_after(latest: Timestamp, body: StreamMessageBody<'_>) -> Result<StreamMessageBody<'_>, ParseError> {
    let ts_event = match &body {
        StreamMessageBody::Depth(depth) => depth.ts_event,
        StreamMessageBody::Trade(trade) => trade.ts_event,
        StreamMessageBody::Trades {
            trades: [.., last], ..
        } => last.ts_event,
        StreamMessageBody::Ticker(TickerMessage {
            ts_event: Some(ts_event),
            ..
        }) => *ts_event,
        StreamMessageBody::Ticker(_)
        | StreamMessageBody::Trades { .. }
        | StreamMessageBody::EmptyTrade { .. }
        | StreamMessageBody::ServerShutdown
        | StreamMessageBody::Other => return Ok(body),
    };
    if ts_event <= latest {
        return Ok(body);
    }
    Err(ParseError::Value {
        field: "time of the event",
        problem: "it is ahead of the venue's own clock, as it was last asked",
    })
}

fn diff<'a>(depth: &DepthMessage<'a>) -> Diff<'a> {
    Diff {
        ts_event: depth.ts_event,
        first_update_id: depth.first_update_id,
        last_update_id: depth.last_update_id,
        previous_update_id: depth.previous_update_id,
        bids: depth.bids,
        asks: depth.asks,
    }
}

impl Market {
    /// Whether it was news: one that the book holds already is no sign that changes go on.
    fn on_depth(&mut self, depth: &DepthMessage<'_>, emit: &mut Emit<'_>) -> bool {
        self.newest = self.newest.max(Some(depth.ts_event));
        if std::mem::take(&mut self.has_stalled) {
            self.sequencer.on_connected();
        }
        let before = self.sequencer.number();
        self.sequencer.on_diff(&diff(depth), emit);
        before.is_none() || self.sequencer.number() != before
    }

    /// Signs that the market moved: best prices after an update that the book has not had, and trades, which all take from
    /// the book.
    fn watch(&self, book: usize, body: &StreamMessageBody<'_>, at: Timestamp, staleness: &mut Staleness) {
        let Some(number) = self.sequencer.number() else {
            return;
        };
        match body {
            StreamMessageBody::Ticker(ticker) if ticker.update_id > number => staleness.on_lead(book, at),
            StreamMessageBody::Trade(_) | StreamMessageBody::Trades { .. } => staleness.on_move(book, at),
            _ => {}
        }
    }

    /// Whether a trade's number is new; a hole before it is counted.
    fn is_next_trade(&mut self, trade_id: TradeId, statistics: &mut MarketStatistics) -> bool {
        if let Some(last) = self.last_trade {
            if trade_id <= last {
                statistics.trade_duplicates += 1;
                return false;
            }
            if trade_id.0 > last.0.saturating_add(1) {
                statistics.trade_gaps += 1;
            }
        }
        self.last_trade = Some(trade_id);
        true
    }

    fn on_trade(
        &mut self,
        instrument: InstrumentId,
        trade: &TradeMessage,
        statistics: &mut MarketStatistics,
        emit: &mut Emit<'_>,
    ) {
        self.newest = self.newest.max(Some(trade.ts_event));
        if !self.is_next_trade(trade.trade_id, statistics) {
            return;
        }
        statistics.trades += 1;
        emit(MarketEvent::Trade(Trade {
            instrument,
            ts_event: trade.ts_event,
            trade_id: trade.trade_id,
            price: trade.price,
            quantity: trade.quantity,
            aggressor: trade.aggressor,
        }));
    }

    fn on_ticker(
        &mut self,
        instrument: InstrumentId,
        ticker: &TickerMessage,
        statistics: &mut MarketStatistics,
        emit: &mut Emit<'_>,
    ) {
        let there = |level: Level| (!level.quantity.is_zero()).then_some(level);
        let best = BestLevels {
            update_id: ticker.update_id,
            bid: there(ticker.bid),
            ask: there(ticker.ask),
        };
        self.sequencer.on_best(best, emit);
        if best.bid.is_none() || best.ask.is_none() {
            statistics.quotes_one_sided += 1;
            return;
        }
        self.newest = self.newest.max(ticker.ts_event);
        let Some(ts_event) = ticker.ts_event.or(self.newest) else {
            statistics.quotes_untimed += 1;
            return;
        };
        statistics.quotes += 1;
        emit(MarketEvent::Quote(Quote {
            instrument,
            ts_event,
            update_id: ticker.update_id,
            bid: ticker.bid.price,
            bid_quantity: ticker.bid.quantity,
            ask: ticker.ask.price,
            ask_quantity: ticker.ask.quantity,
        }));
    }
}

#[cfg(test)]
mod tests;
