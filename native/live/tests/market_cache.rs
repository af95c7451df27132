//! What the engine has taken in stands in the market cache when its event ends, and showing it allocates nothing.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../engine/tests/rig/mod.rs"]
mod rig;

use std::alloc::System;

use domain::{
    BookInvalid, BookInvalidReason, BookUpdate, BookUpdateKind, Instrument, InstrumentId, InstrumentStatus,
    Level, MarketEvent, Quantity, Quote, Side, Text, Timestamp, Trade, TradeId, VenueState, VenueStatus,
};
use engine::EventBody;
use ipc::market_cache::{BookState, CachedMarket, LEVELS, MarketCacheReader};
use ipc::shared_memory::{SegmentServer, private_directory};
use live::market_cache::{MARKET_CACHE, MarketCache};
use rig::{BTC, Rig, VENUE, config, instrument, price};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const OTHER: InstrumentId = InstrumentId(1);
const DEEP: i64 = 12;

/// An engine, the cache that shows it, and a reader of that.
struct Shown {
    rig: Rig,
    cache: MarketCache,
    reader: MarketCacheReader,
    allocations: usize,
    _home: tempfile::TempDir,
}

fn other_instrument() -> Instrument {
    Instrument {
        id: OTHER,
        symbol: Text::new("BTCUSDT_OTHER").unwrap(),
        ..instrument()
    }
}

impl Shown {
    fn new() -> Self {
        let mut config = config();
        config.instruments.push(other_instrument());
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run");
        private_directory(&run).unwrap();
        let server = SegmentServer::bind(&run.join("segments.sock")).unwrap();
        let cache = MarketCache::create(&config.instruments, 7, server.registry()).unwrap();
        let reader = std::thread::scope(|scope| {
            let attached = scope.spawn(|| MarketCacheReader::attach(server.path(), MARKET_CACHE).unwrap());
            server.serve_once(None).unwrap();
            attached.join().unwrap()
        });
        Self {
            rig: Rig::bare(config),
            cache,
            reader,
            allocations: 0,
            _home: home,
        }
    }

    fn market(&mut self, event: MarketEvent<'_>) {
        let body = EventBody::Market(event);
        self.rig.feed(body);
        let region = Region::new(ALLOCATOR);
        self.cache.show(self.rig.now, &body, &self.rig.engine);
        let change = region.change();
        self.allocations += change.allocations + change.reallocations;
    }

    fn book(&mut self, kind: BookUpdateKind, bids: &[Level], asks: &[Level]) {
        let (ts_event, update_id) = (self.rig.now, 5);
        self.market(MarketEvent::Book(BookUpdate {
            instrument: BTC,
            ts_event,
            kind,
            update_id,
            bids,
            asks,
        }));
    }

    /// A valid book around 100 dollars.
    fn snapshot(&mut self) {
        let side =
            |first: i64, step: i64| -> Vec<_> { (0..DEEP).map(|far| level(first + step * far)).collect() };
        self.book(BookUpdateKind::Snapshot, &side(99, -1), &side(101, 1));
    }

    fn quote(&mut self, instrument: InstrumentId, bid: i64) {
        self.market(MarketEvent::Quote(Quote {
            instrument,
            ts_event: self.rig.now,
            update_id: 1,
            bid: price(bid),
            bid_quantity: Quantity::ONE,
            ask: price(bid + 1),
            ask_quantity: Quantity::ONE,
        }));
    }

    fn venue(&mut self, state: VenueState) {
        self.market(MarketEvent::VenueStatus(VenueStatus { venue: VENUE, state }));
    }

    fn read(&self, instrument: InstrumentId) -> CachedMarket {
        self.reader.read(instrument).unwrap().market
    }

    fn states(&self) -> [BookState; 2] {
        [BTC, OTHER].map(|instrument| self.read(instrument).book.head.state)
    }
}

fn level(dollars: i64) -> Level {
    Level {
        price: price(dollars),
        quantity: Quantity::ONE,
    }
}

fn nothing_is_known_before_the_first_event(shown: &Shown) {
    assert_eq!((shown.reader.instruments(), shown.reader.epoch()), (2, 7));
    let silent = shown.read(OTHER);
    assert_eq!(silent, CachedMarket::silent((&other_instrument()).into()));
    assert_eq!(shown.reader.now().unwrap(), None);
}

fn books_and_trades_are_shown_as_the_engine_sees_them(shown: &mut Shown) {
    shown.snapshot();
    let book = shown.read(BTC).book;
    assert_eq!(book.head.state, BookState::Valid);
    assert_eq!(
        (book.head.ts_event, book.head.ts_received),
        (shown.rig.now, shown.rig.now)
    );
    assert_eq!(
        (book.bids.levels().len(), book.asks.levels().len()),
        (LEVELS, LEVELS)
    );
    assert_eq!(
        (book.bids.levels()[0], book.asks.levels()[LEVELS - 1]),
        (level(99), level(110))
    );
    // Beside a book a quote says nothing; where there is none, it is all there is.
    let version = shown.reader.read(BTC).unwrap().version;
    shown.quote(BTC, 50);
    assert_eq!(shown.reader.read(BTC).unwrap().version, version);
    shown.quote(OTHER, 200);
    assert_eq!(shown.states(), [BookState::Valid, BookState::TopOnly]);
    assert_eq!(shown.read(OTHER).book.asks.levels(), [level(201)]);
    let trade = Trade {
        instrument: BTC,
        ts_event: shown.rig.now,
        trade_id: TradeId(11),
        price: price(100),
        quantity: Quantity::ONE,
        aggressor: Side::Sell,
    };
    shown.market(MarketEvent::Trade(trade));
    let last = shown.read(BTC).trade.unwrap();
    assert_eq!(
        (last.trade_id, last.price, last.aggressor),
        (TradeId(11), price(100), Side::Sell)
    );
    assert_eq!(shown.read(BTC).book, book);
}

fn a_book_that_is_wrong_is_shown_so_at_once(shown: &mut Shown) {
    shown.book(BookUpdateKind::Delta, &[level(101)], &[]);
    let crossed = shown.read(BTC).book;
    assert_eq!(crossed.head.state, BookState::Invalid(BookInvalidReason::Crossed));
    assert_eq!((crossed.bids.levels(), crossed.asks.levels()), (&[][..], &[][..]));
    shown.snapshot();
    assert_eq!(shown.states()[0], BookState::Valid);
    shown.market(MarketEvent::BookInvalid(BookInvalid {
        instrument: BTC,
        reason: BookInvalidReason::Gap,
    }));
    assert_eq!(shown.states()[0], BookState::Invalid(BookInvalidReason::Gap));
    shown.snapshot();
    shown.venue(VenueState::Offline);
    assert_eq!(
        shown.states(),
        [BookState::Invalid(BookInvalidReason::Disconnected); 2]
    );
    assert_eq!(shown.read(OTHER).venue.state, Some(VenueState::Offline));
    shown.venue(VenueState::Online);
    assert_eq!(shown.read(BTC).venue.state, Some(VenueState::Online));
    assert_eq!(
        shown.states()[0],
        BookState::Invalid(BookInvalidReason::Disconnected)
    );
}

#[test]
fn the_cache_shows_what_the_engine_sees() {
    let mut shown = Shown::new();
    nothing_is_known_before_the_first_event(&shown);
    books_and_trades_are_shown_as_the_engine_sees_them(&mut shown);
    a_book_that_is_wrong_is_shown_so_at_once(&mut shown);
    let halted = Instrument {
        status: InstrumentStatus::Halted,
        ..instrument()
    };
    shown.market(MarketEvent::InstrumentUpdated(halted));
    assert_eq!(shown.read(BTC).instrument, (&halted).into());
    assert_eq!(shown.allocations, 0);

    let now = Timestamp::from_nanos(5_000_000_000);
    shown.cache.heartbeat(now, 2_000_000_000);
    assert!(shown.reader.now().unwrap().unwrap() >= now && shown.reader.writer_alive());
    drop(shown.cache);
    assert!(!shown.reader.writer_alive());
    let last = shown.reader.read(BTC).unwrap().market;
    assert_eq!(
        last.trade.map(|trade| trade.trade_id),
        Some(TradeId(11)),
        "the last state stays"
    );
}
