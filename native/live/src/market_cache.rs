//! The latest market of each instrument in shared memory, as the engine sees it: written between two events by the
//! thread that decides, without allocation or system call.

use domain::{Instrument, InstrumentId, Level, MarketEvent, Timestamp, VenueStatus};
use engine::market::BookState as EngineState;
use engine::probe::Probe;
use engine::{Engine, EventBody};
use ipc::IpcError;
use ipc::market_cache::{
    BookHead, BookState, CachedInstrument, CachedTrade, CachedVenue, LEVELS, MarketCacheWriter,
};
use ipc::shared_memory::SegmentRegistry;
use tracing::warn;

/// Name of the segment.
pub const MARKET_CACHE: &str = "market_cache";

/// The writing end. Entries and the engine's instruments are made of one list, so no write is out of place.
#[derive(Debug)]
pub struct MarketCache(MarketCacheWriter);

impl MarketCache {
    /// Makes the segment of a life and offers it. Instruments come in the order of their indexes.
    ///
    /// # Errors
    /// Any [`IpcError`] of making or offering a segment.
    pub fn create<'a>(
        instruments: impl IntoIterator<Item = &'a Instrument>,
        epoch: u64,
        registry: &SegmentRegistry,
    ) -> Result<Self, IpcError> {
        let instruments: Vec<_> = instruments.into_iter().map(CachedInstrument::from).collect();
        let writer = MarketCacheWriter::create(MARKET_CACHE, &instruments, epoch)?;
        writer.offer(registry)?;
        if let Err(error) = writer.lock_in_memory() {
            warn!(%error, "the market cache may be paged out: raise RLIMIT_MEMLOCK for steady latencies");
        }
        Ok(Self(writer))
    }

    /// Says that the service is at work, and what its clock says.
    pub fn heartbeat(&mut self, now: Timestamp, rate_ppb: i64) {
        self.0.heartbeat(now, rate_ppb);
    }

    /// Shows what an event that the engine has taken in has changed.
    pub fn show<P: Probe>(&mut self, now: Timestamp, body: &EventBody<'_>, engine: &Engine<P>) {
        let EventBody::Market(event) = body else { return };
        match event {
            MarketEvent::Book(update) => self.show_book(update.instrument, engine),
            MarketEvent::BookInvalid(invalid) => self.show_book(invalid.instrument, engine),
            MarketEvent::Quote(quote) => {
                // Beside a book a quote changes nothing.
                let book = engine.book(quote.instrument);
                if book.is_some_and(|book| book.state() == EngineState::Empty) {
                    self.show_book(quote.instrument, engine);
                }
            }
            MarketEvent::Trade(trade) => {
                let _ = self.0.write_trade(trade.instrument, &CachedTrade::of(now, trade));
            }
            MarketEvent::InstrumentUpdated(instrument) => {
                if let Some(known) = engine.instrument(instrument.id) {
                    let _ = self.0.write_instrument(instrument.id, &known.into());
                }
            }
            MarketEvent::VenueStatus(status) => self.show_venue(now, *status, engine),
        }
    }

    fn show_book<P: Probe>(&mut self, instrument: InstrumentId, engine: &Engine<P>) {
        let (Some(book), Some(ts_event)) = (engine.book(instrument), engine.data_ts(instrument)) else {
            return;
        };
        let mut head = BookHead {
            state: BookState::Absent,
            ts_event,
            ts_received: book.last_update(),
            update_id: book.update_id(),
        };
        match book.state() {
            EngineState::Valid => head.state = BookState::Valid,
            EngineState::Invalid(reason) => head.state = BookState::Invalid(reason),
            EngineState::Empty => {
                if let Some(top) = book.top() {
                    head.state = BookState::TopOnly;
                    let level = |price, quantity| Level { price, quantity };
                    let (bid, ask) = (level(top.bid, top.bid_quantity), level(top.ask, top.ask_quantity));
                    let _ = self.0.write_book(instrument, &head, [bid], [ask]);
                    return;
                }
            }
        }
        let (bids, asks) = (book.bids().take(LEVELS), book.asks().take(LEVELS));
        let _ = self.0.write_book(instrument, &head, bids, asks);
    }

    /// A venue that went takes its books with it.
    fn show_venue<P: Probe>(&mut self, now: Timestamp, status: VenueStatus, engine: &Engine<P>) {
        let venue = CachedVenue {
            state: Some(status.state),
            ts_received: now,
        };
        for id in (0..u16::MAX).map(InstrumentId) {
            let Some(instrument) = engine.instrument(id) else {
                return;
            };
            if instrument.venue == status.venue {
                self.show_book(id, engine);
                let _ = self.0.write_venue(id, venue);
            }
        }
    }
}
