//! From the frames of the market streams to proven market events, without I/O: owned by the hot thread.

use std::sync::Arc;

use domain::{BookInvalidReason, InstrumentId, Level, MarketEvent, Nanos, Quote, Timestamp, Trade, TradeId};

use super::parser::{DepthMessage, Parser, StreamMessageBody, Symbol, TickerMessage, TradeMessage};
use crate::error::{ParseError, VenueError};
use crate::instruments::Instruments;
use crate::sequencer::{BestLevels, Diff, Emit, Sequencer, SequencerStatistics};
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
#[derive(Debug)]
struct Market {
    sequencer: Sequencer,
    last_trade: Option<TradeId>,
    /// The newest time that the venue has said. What comes without one is no older, and closes no bar before its time:
    /// our own clock may be ahead of the venue's.
    newest: Option<Timestamp>,
}

/// Parses and sequences all instruments of one connection.
#[derive(Debug)]
pub struct MarketData {
    instruments: Arc<Instruments>,
    ahead_max: Nanos,
    parser: Parser,
    markets: Vec<Market>,
    requests: Vec<InstrumentId>,
    statistics: MarketStatistics,
}

impl MarketData {
    /// For these instruments, nothing synchronized. `ahead_max`: how far a message's time may be ahead of our own when
    /// it came, both on the venue's axis.
    #[must_use]
    pub fn new(instruments: Arc<Instruments>, ahead_max: Nanos) -> Self {
        let markets = instruments
            .iter()
            .map(|instrument| Market {
                sequencer: Sequencer::new(instrument.id),
                last_trade: None,
                newest: None,
            })
            .collect();
        Self {
            requests: Vec::with_capacity(instruments.len()),
            instruments,
            ahead_max,
            parser: Parser::new(),
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
        match &message.kind {
            StreamMessageKind::Connected => self.on_connected(),
            StreamMessageKind::Frame(frame) => {
                self.on_frame(message.ts_received.plus(self.ahead_max), frame, emit)?;
            }
            StreamMessageKind::Snapshot { instrument, body } => {
                self.on_snapshot(message.ts_received, *instrument, body, emit)?;
            }
            StreamMessageKind::Disconnected(_) => self.on_disconnected(emit),
        }
        Ok(())
    }

    /// The stream is open: snapshots are wanted.
    pub fn on_connected(&mut self) {
        for market in &mut self.markets {
            market.sequencer.on_connected();
            // What traded in between is lost to this stream, and a restarted venue counts anew.
            market.last_trade = None;
            market.newest = None;
        }
        self.collect_requests();
    }

    /// The stream is gone: every book is invalid.
    pub fn on_disconnected(&mut self, emit: &mut Emit<'_>) {
        for market in &mut self.markets {
            market.sequencer.on_disconnected(emit);
        }
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
            statistics,
            ..
        } = self;
        let read = parser.stream_message(frame);
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
        let symbol = match &body {
            StreamMessageBody::Depth(depth) => depth.symbol,
            StreamMessageBody::Trade(trade) => trade.symbol,
            StreamMessageBody::Ticker(ticker) => ticker.symbol,
            StreamMessageBody::ServerShutdown | StreamMessageBody::Other => {
                statistics.unused += 1;
                return Ok(());
            }
        };
        let Some((instrument, market)) = find(instruments, markets, &symbol) else {
            statistics.unknown_symbols += 1;
            return Ok(());
        };
        match body {
            StreamMessageBody::Depth(depth) => {
                market.newest = market.newest.max(Some(depth.ts_event));
                market.sequencer.on_diff(&diff(&depth), emit);
            }
            StreamMessageBody::Trade(trade) => market.on_trade(instrument, &trade, statistics, emit),
            StreamMessageBody::Ticker(ticker) => market.on_ticker(instrument, &ticker, statistics, emit),
            StreamMessageBody::ServerShutdown | StreamMessageBody::Other => {}
        }
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

fn find<'m>(
    instruments: &Instruments,
    markets: &'m mut [Market],
    symbol: &Symbol,
) -> Option<(InstrumentId, &'m mut Market)> {
    let id = instruments.by_symbol(symbol)?.id;
    Some((id, markets.get_mut(usize::from(id.0))?))
}

fn not_after(latest: Timestamp, body: StreamMessageBody<'_>) -> Result<StreamMessageBody<'_>, ParseError> {
    let ts_event = match &body {
        StreamMessageBody::Depth(depth) => depth.ts_event,
        StreamMessageBody::Trade(trade) => trade.ts_event,
        StreamMessageBody::Ticker(_) | StreamMessageBody::ServerShutdown | StreamMessageBody::Other => {
            return Ok(body);
        }
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
        bids: depth.bids,
        asks: depth.asks,
    }
}

impl Market {
    fn on_trade(
        &mut self,
        instrument: InstrumentId,
        trade: &TradeMessage,
        statistics: &mut MarketStatistics,
        emit: &mut Emit<'_>,
    ) {
        self.newest = self.newest.max(Some(trade.ts_event));
        if let Some(last) = self.last_trade {
            if trade.trade_id <= last {
                statistics.trade_duplicates += 1;
                return;
            }
            if trade.trade_id.0 > last.0.saturating_add(1) {
                statistics.trade_gaps += 1;
            }
        }
        self.last_trade = Some(trade.trade_id);
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
        let Some(ts_event) = self.newest else {
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
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use domain::{BookUpdateKind, Price};

    use super::*;
    use crate::binance::recorded;
    use crate::sample::instrument;
    use crate::websocket::DisconnectReason;

    const BTC: InstrumentId = InstrumentId(0);

    /// No time is later.
    const LATEST: Timestamp = Timestamp::from_nanos(i64::MAX);

    fn market_data() -> MarketData {
        let table = Instruments::new(vec![instrument(0, "BTCUSDT"), instrument(1, "ETHUSDT")]).unwrap();
        MarketData::new(Arc::new(table), Nanos::from_secs(5))
    }

    /// The book and the tape as a consumer sees them.
    #[derive(Default)]
    struct Consumer {
        bids: BTreeMap<i64, i64>,
        asks: BTreeMap<i64, i64>,
        update_id: u64,
        invalid: Vec<BookInvalidReason>,
        trades: Vec<Trade>,
        quotes: Vec<Quote>,
    }

    impl Consumer {
        fn take(&mut self, event: &MarketEvent<'_>) {
            match event {
                MarketEvent::Book(update) => {
                    if update.kind == BookUpdateKind::Snapshot {
                        self.bids.clear();
                        self.asks.clear();
                    }
                    set(&mut self.bids, update.bids);
                    set(&mut self.asks, update.asks);
                    self.update_id = update.update_id;
                }
                MarketEvent::BookInvalid(invalid) => self.invalid.push(invalid.reason),
                MarketEvent::Trade(trade) => self.trades.push(*trade),
                MarketEvent::Quote(quote) => self.quotes.push(*quote),
                other => panic!("not from a market stream: {other:?}"),
            }
        }

        fn best(&self) -> [Option<(i64, i64)>; 2] {
            [self.bids.last_key_value(), self.asks.first_key_value()]
                .map(|level| level.map(|(&price, &quantity)| (price, quantity)))
        }
    }

    fn set(side: &mut BTreeMap<i64, i64>, levels: &[Level]) {
        for level in levels {
            if level.quantity.is_zero() {
                side.remove(&level.price.units());
            } else {
                side.insert(level.price.units(), level.quantity.units());
            }
        }
    }

    fn depth(first: u64, last: u64, bid: &str) -> String {
        format!(
            r#"{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{first},"u":{last},"b":[["{bid}","1.00000000"]],"a":[]}}"#
        )
    }

    const SNAPSHOT: &[u8] =
        br#"{"lastUpdateId":10,"bids":[["99.00000000","1.00000000"]],"asks":[["101.00000000","1.00000000"]]}"#;

    /// Feeds the whole recording, and compares the best level of the consumer's own book with the recorded
    /// best prices whenever both speak of the same update; how often they did.
    fn replay(session: &recorded::Session, data: &mut MarketData, seen: &mut Consumer) -> u32 {
        let (mut comparable, mut compared_at) = (0, 0);
        for (ts, body) in session.lines() {
            if body.starts_with(b"{\"lastUpdateId\"") {
                data.on_snapshot(ts, BTC, body, &mut |event| seen.take(&event))
                    .unwrap();
            } else {
                data.on_frame(LATEST, body, &mut |event| seen.take(&event))
                    .unwrap();
            }
            let at = seen
                .quotes
                .binary_search_by_key(&seen.update_id, |quote| quote.update_id);
            if let Some(quote) = at
                .ok()
                .filter(|_| seen.update_id > compared_at)
                .map(|at| seen.quotes[at])
            {
                compared_at = seen.update_id;
                comparable += 1;
                let bid = (quote.bid.units(), quote.bid_quantity.units());
                let ask = (quote.ask.units(), quote.ask_quantity.units());
                assert_eq!(seen.best(), [Some(bid), Some(ask)]);
            }
        }
        comparable
    }

    /// The expectations are those of the recording's own description.
    #[test]
    fn the_recorded_session_ends_in_the_recorded_state() {
        let Some(session) = recorded::session() else {
            return;
        };
        let mut data = market_data();
        let mut seen = Consumer::default();
        data.on_connected();
        let comparable = replay(&session, &mut data, &mut seen);
        assert_eq!(
            comparable, 1_072,
            "every moment at which both streams speak of one update"
        );

        let book = data.sequencer_statistics(BTC).unwrap();
        assert_eq!((book.gaps, book.crossed, book.best_mismatches), (0, 0, 0));
        assert_eq!(
            (book.diffs_applied, book.diffs_stale, book.snapshots_applied),
            (6_493, 2, 1)
        );
        assert_eq!(book.best_compared, 1_072);
        assert!(seen.invalid.is_empty());
        let statistics = data.statistics();
        assert_eq!(
            (statistics.trades, statistics.trade_gaps, statistics.quotes),
            (19_904, 0, 73_174)
        );
        assert_eq!(
            (statistics.messages, statistics.scanned, statistics.fallbacks),
            (99_574, 99_574, 0)
        );

        assert_eq!(seen.update_id, 50_093_696_318);
        assert_eq!((seen.bids.len(), seen.asks.len()), (1_971, 2_962));
        let (traded, notional) = seen
            .trades
            .iter()
            .fold((0_i128, 0_i128), |(sum, notional), trade| {
                let quantity = i128::from(trade.quantity.units());
                (
                    sum + quantity,
                    notional + quantity * i128::from(trade.price.units()),
                )
            });
        assert_eq!(traded, 43_791_552_000);
        let vwap = Price::from_units(i64::try_from(notional / traded).unwrap());
        assert_eq!(vwap.to_string(), "61671.55160665");
    }

    #[test]
    fn a_lost_frame_of_the_recording_is_a_gap_at_once() {
        let Some(session) = recorded::session() else {
            return;
        };
        let mut data = market_data();
        let mut seen = Consumer::default();
        data.on_connected();
        assert_eq!(data.take_snapshot_request(), Some(InstrumentId(1)));
        assert_eq!(data.take_snapshot_request(), Some(BTC));
        let mut depths = 0;
        for (ts, body) in session.lines().take(5_000) {
            if body.starts_with(b"{\"lastUpdateId\"") {
                data.on_snapshot(ts, BTC, body, &mut |event| seen.take(&event))
                    .unwrap();
                continue;
            }
            let is_depth = body.starts_with(br#"{"stream":"btcusdt@depth"#);
            depths += u32::from(is_depth);
            if is_depth && depths == 50 {
                continue;
            }
            data.on_frame(LATEST, body, &mut |event| seen.take(&event))
                .unwrap();
            if is_depth && depths == 51 {
                assert_eq!(seen.invalid, [BookInvalidReason::Gap]);
                assert_eq!(data.take_snapshot_request(), Some(BTC));
            }
        }
        assert!(depths > 51 && !data.is_synchronized(BTC));
    }

    #[test]
    fn a_malformed_frame_invalidates_every_book_and_asks_for_a_resync() {
        let mut data = market_data();
        let mut seen = Consumer::default();
        data.on_connected();
        while data.take_snapshot_request().is_some() {}
        data.on_snapshot(Timestamp::EPOCH, BTC, SNAPSHOT, &mut |event| seen.take(&event))
            .unwrap();
        assert!(data.is_synchronized(BTC));
        let frame = b"{\"e\":\"depthUpd";
        let error = data.on_frame(LATEST, frame, &mut |event| seen.take(&event));
        assert!(matches!(error, Err(VenueError::Malformed { .. })));
        assert_eq!(seen.invalid, [BookInvalidReason::Malformed]);
        assert!(!data.is_synchronized(BTC));
        assert!(data.take_snapshot_request().is_some());
        assert_eq!(data.statistics().malformed, 1);
    }

    #[test]
    fn a_time_ahead_of_the_venue_is_refused_like_any_other_nonsense() {
        let mut data = market_data();
        let mut seen = Consumer::default();
        data.on_connected();
        while data.take_snapshot_request().is_some() {}
        data.on_snapshot(Timestamp::EPOCH, BTC, SNAPSHOT, &mut |event| seen.take(&event))
            .unwrap();
        let mut trade = |data: &mut MarketData, id: u64, ms: u64| {
            let frame = format!(
                r#"{{"e":"trade","E":1,"s":"BTCUSDT","t":{id},"p":"1.00000000","q":"1.00000000","T":{ms},"m":false,"M":true}}"#
            );
            let message = StreamMessage {
                ts_received: Timestamp::from_nanos(1_000_000),
                kind: StreamMessageKind::Frame(frame.into()),
            };
            data.on_message(&message, &mut |event| seen.take(&event))
        };
        trade(&mut data, 1, 5_001).unwrap();
        let refused = trade(&mut data, 2, 5_002).unwrap_err();
        assert!(refused.to_string().contains("ahead of the venue"), "{refused}");
        assert!(!data.is_synchronized(BTC));
        assert!(data.take_snapshot_request().is_some());
        trade(&mut data, 3, 2).unwrap();
        assert_eq!(seen.trades.len(), 2);
        assert_eq!(seen.invalid, [BookInvalidReason::Malformed]);
        assert_eq!(data.statistics().malformed, 1);
    }

    #[test]
    fn a_disconnect_ends_every_book_and_a_reconnect_starts_anew() {
        let mut data = market_data();
        let mut seen = Consumer::default();
        let mut feed = |data: &mut MarketData, kind| {
            let message = StreamMessage {
                ts_received: Timestamp::EPOCH,
                kind,
            };
            data.on_message(&message, &mut |event| seen.take(&event)).unwrap();
        };
        feed(&mut data, StreamMessageKind::Connected);
        let snapshot = StreamMessageKind::Snapshot {
            instrument: BTC,
            body: Bytes::from_static(SNAPSHOT),
        };
        feed(&mut data, snapshot.clone());
        feed(
            &mut data,
            StreamMessageKind::Frame(depth(11, 12, "98.00000000").into()),
        );
        assert!(data.is_synchronized(BTC));
        feed(
            &mut data,
            StreamMessageKind::Disconnected(DisconnectReason::Closed),
        );
        assert!(!data.is_synchronized(BTC));
        assert_eq!(data.take_snapshot_request(), None, "no connection, no resync");
        feed(&mut data, StreamMessageKind::Connected);
        assert!(data.take_snapshot_request().is_some());
        feed(&mut data, snapshot);
        assert!(data.is_synchronized(BTC));
        assert_eq!(seen.invalid, [BookInvalidReason::Disconnected]);
        assert_eq!(seen.update_id, 10);
    }

    #[test]
    fn trades_are_passed_on_once_and_holes_are_counted() {
        let mut data = market_data();
        let mut seen = Consumer::default();
        for id in [5, 6, 6, 4, 9] {
            let frame = format!(
                r#"{{"e":"trade","E":1,"s":"BTCUSDT","t":{id},"p":"1.00000000","q":"1.00000000","T":1,"m":false,"M":true}}"#
            );
            data.on_frame(LATEST, frame.as_bytes(), &mut |event| seen.take(&event))
                .unwrap();
        }
        let ids: Vec<_> = seen.trades.iter().map(|trade| trade.trade_id.0).collect();
        assert_eq!(ids, [5, 6, 9]);
        let statistics = data.statistics();
        assert_eq!((statistics.trade_duplicates, statistics.trade_gaps), (2, 1));
    }

    #[test]
    fn a_quote_bears_the_newest_time_of_the_venue() {
        let mut data = market_data();
        let mut seen = Consumer::default();
        let quote = |id: u64| {
            format!(
                r#"{{"u":{id},"s":"BTCUSDT","b":"1.00000000","B":"1.00000000","a":"2.00000000","A":"1.00000000"}}"#
            )
        };
        for frame in [quote(1), depth(1, 1, "1.00000000"), quote(2)] {
            data.on_frame(LATEST, frame.as_bytes(), &mut |event| seen.take(&event))
                .unwrap();
        }
        assert_eq!((data.statistics().quotes_untimed, seen.quotes.len()), (1, 1));
        assert_eq!(seen.quotes[0].ts_event, Timestamp::from_millis(1));
    }

    #[test]
    fn other_symbols_answers_and_empty_sides_are_counted_and_left_out() {
        let mut data = market_data();
        let mut seen = Consumer::default();
        let frames = [
            depth(1, 1, "1.00000000").replace("BTCUSDT", "XRPUSDT"),
            r#"{"result":null,"id":1}"#.to_owned(),
            r#"{"u":1,"s":"BTCUSDT","b":"0.00000000","B":"0.00000000","a":"1.00000000","A":"1.00000000"}"#
                .to_owned(),
        ];
        for frame in frames {
            data.on_frame(LATEST, frame.as_bytes(), &mut |event| seen.take(&event))
                .unwrap();
        }
        let statistics = data.statistics();
        assert_eq!(
            (
                statistics.unknown_symbols,
                statistics.unused,
                statistics.quotes_one_sided
            ),
            (1, 1, 1)
        );
        assert!(seen.quotes.is_empty());
    }
}
