//! The same for futures: another dialect, another rule of numbers.

use std::sync::Arc;

use domain::{InstrumentId, Level, Nanos, Side};

use super::MarketData;
use crate::binance::parser::Dialect;
use crate::error::VenueError;
use crate::instruments::Instruments;
use crate::market::{MarketProtocol, WireStatistics};
use crate::sequencer::{Emit, SequenceRule, SequencerStatistics};
use crate::staleness::StalenessBounds;
use crate::websocket::StreamMessage;

/// Parses and sequences all instruments of one connection to the USD-M futures market.
#[derive(Debug, Clone)]
pub struct FuturesMarketData(MarketData);

impl FuturesMarketData {
    /// For these instruments, nothing synchronized. `ahead_max` as for [`MarketData::new`].
    #[must_use]
    pub fn new(instruments: Arc<Instruments>, ahead_max: Nanos) -> Self {
        Self(MarketData::of(
            Dialect::Futures,
            SequenceRule::BinanceFutures,
            instruments,
            ahead_max,
        ))
    }
}

impl MarketProtocol for FuturesMarketData {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut Emit<'_>) -> Result<(), VenueError> {
        self.0.on_message(message, emit)
    }

    fn take_resync_request(&mut self) -> Option<InstrumentId> {
        self.0.take_resync_request()
    }

    fn take_reconnect_request(&mut self) -> bool {
        self.0.take_reconnect_request()
    }

    fn set_staleness(&mut self, bounds: StalenessBounds) {
        self.0.set_staleness(bounds);
    }

    fn begin_again(&mut self, emit: &mut Emit<'_>) {
        self.0.begin_again(emit);
    }

    fn is_synchronized(&self, instrument: InstrumentId) -> bool {
        self.0.is_synchronized(instrument)
    }

    fn best(&self, instrument: InstrumentId) -> (Option<Level>, Option<Level>) {
        self.0.best(instrument)
    }

    fn depth(&self, instrument: InstrumentId) -> (usize, usize) {
        self.0.depth(instrument)
    }

    fn top(&self, instrument: InstrumentId, side: Side, count: usize, out: &mut Vec<Level>) {
        MarketProtocol::top(&self.0, instrument, side, count, out);
    }

    fn duplicate(&self) -> Box<dyn MarketProtocol> {
        Box::new(self.clone())
    }

    fn wire_statistics(&self) -> WireStatistics {
        self.0.wire_statistics()
    }

    fn book_statistics(&self, instrument: InstrumentId) -> Option<SequencerStatistics> {
        self.0.book_statistics(instrument)
    }
}
