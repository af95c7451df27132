//! What a watched venue tells, in the words of every venue, on its way to the deciding thread.

use domain::{
    BookInvalid, BookUpdate, InstrumentId, Level, MarketEvent, Quote, Timestamp, Trade, VenueStatus,
};
use engine::EventBody;

use super::Ids;
use crate::driver::Driver;

/// One event, whole by itself, with the ids of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WatchedEvent {
    /// When the message that it came in was received.
    pub(crate) received: Timestamp,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// A change of a book: its levels, bids first.
    Book {
        update: BookUpdate<'static>,
        levels: Box<[Level]>,
        bids: usize,
    },
    /// Whatever borrows nothing.
    Market(MarketEvent<'static>),
    /// Every trade from here on is seen, venue time.
    TradesComplete {
        instrument: InstrumentId,
        since: Timestamp,
    },
}

impl WatchedEvent {
    /// Of what the venue's own reader says, by its own ids.
    pub(super) fn of(received: Timestamp, event: MarketEvent<'_>, ids: Ids) -> Self {
        let what = match event {
            MarketEvent::Book(update) => book(update, ids),
            MarketEvent::BookInvalid(invalid) => What::Market(MarketEvent::BookInvalid(BookInvalid {
                instrument: ids.here(invalid.instrument),
                ..invalid
            })),
            MarketEvent::Trade(trade) => What::Market(MarketEvent::Trade(Trade {
                instrument: ids.here(trade.instrument),
                ..trade
            })),
            MarketEvent::Quote(quote) => What::Market(MarketEvent::Quote(Quote {
                instrument: ids.here(quote.instrument),
                ..quote
            })),
            MarketEvent::InstrumentUpdated(own) => {
                What::Market(MarketEvent::InstrumentUpdated(ids.instrument(&own)))
            }
            MarketEvent::VenueStatus(status) => What::Market(MarketEvent::VenueStatus(status)),
        };
        Self { received, what }
    }

    /// The venue's market streams went up or down.
    pub(super) const fn status(received: Timestamp, status: VenueStatus) -> Self {
        let what = What::Market(MarketEvent::VenueStatus(status));
        Self { received, what }
    }

    /// Every trade of an instrument, by its id here, is seen from then on.
    pub(crate) const fn complete(received: Timestamp, instrument: InstrumentId, since: Timestamp) -> Self {
        let what = What::TradesComplete { instrument, since };
        Self { received, what }
    }

    /// Gives it to the engine, like the own venue's.
    pub(crate) fn give(&self, driver: &mut Driver) {
        driver.take_in_hand();
        let body = match &self.what {
            What::Book { update, levels, bids } => {
                let (bids, asks) = levels.split_at(*bids);
                EventBody::Market(MarketEvent::Book(BookUpdate {
                    bids,
                    asks,
                    ..*update
                }))
            }
            What::Market(event) => EventBody::Market(*event),
            What::TradesComplete { instrument, since } => EventBody::TradesComplete {
                instrument: *instrument,
                since: *since,
            },
        };
        driver.give(self.received, body);
    }
}

fn book(update: BookUpdate<'_>, ids: Ids) -> What {
    let levels = [update.bids, update.asks].concat();
    What::Book {
        bids: update.bids.len(),
        levels: levels.into_boxed_slice(),
        update: BookUpdate {
            instrument: ids.here(update.instrument),
            ts_event: update.ts_event,
            kind: update.kind,
            update_id: update.update_id,
            bids: &[],
            asks: &[],
        },
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        BookInvalidReason, BookUpdateKind, Instrument, Price, Quantity, Side, Text, TradeId, Venue,
        VenueState,
    };

    use super::*;

    const OWN: InstrumentId = InstrumentId(2);
    const HERE: InstrumentId = InstrumentId(7);

    fn level(units: i64) -> Level {
        Level {
            price: Price::from_units(units),
            quantity: Quantity::from_units(1),
        }
    }

    /// The instrument that an event names.
    const fn instrument_of(event: &MarketEvent<'_>) -> Option<InstrumentId> {
        match event {
            MarketEvent::Book(update) => Some(update.instrument),
            MarketEvent::BookInvalid(invalid) => Some(invalid.instrument),
            MarketEvent::Trade(trade) => Some(trade.instrument),
            MarketEvent::Quote(quote) => Some(quote.instrument),
            MarketEvent::InstrumentUpdated(instrument) => Some(instrument.id),
            MarketEvent::VenueStatus(_) => None,
        }
    }

    #[test]
    fn every_event_names_its_instrument_by_the_id_here() {
        let (price, quantity) = (Price::from_units(1), Quantity::from_units(1));
        let (bids, asks) = ([level(3), level(2)], [level(4)]);
        let trade = Trade {
            instrument: OWN,
            ts_event: Timestamp::EPOCH,
            trade_id: TradeId(1),
            price,
            quantity,
            aggressor: Side::Buy,
        };
        let quote = Quote {
            instrument: OWN,
            ts_event: Timestamp::EPOCH,
            update_id: 7,
            bid: price,
            bid_quantity: quantity,
            ask: price,
            ask_quantity: quantity,
        };
        let invalid = BookInvalid {
            instrument: OWN,
            reason: BookInvalidReason::Gap,
        };
        let listed = Instrument::untold(OWN, Venue::Kraken, Text::new("BTC/USD").unwrap());
        let (received, ids) = (Timestamp::from_nanos(5), Ids::new(5));
        for event in [
            MarketEvent::Trade(trade),
            MarketEvent::Quote(quote),
            MarketEvent::BookInvalid(invalid),
            MarketEvent::InstrumentUpdated(listed),
        ] {
            let What::Market(moved) = WatchedEvent::of(received, event, ids).what else {
                panic!("{event:?}");
            };
            assert_eq!(instrument_of(&moved), Some(HERE));
            // Nothing else of it changes.
            let again = WatchedEvent::of(received, event, Ids::new(0));
            assert_eq!(again.what, What::Market(event));
        }
        let status = VenueStatus {
            venue: Venue::Kraken,
            state: VenueState::Online,
        };
        let event = MarketEvent::VenueStatus(status);
        assert_eq!(
            WatchedEvent::of(received, event, ids),
            WatchedEvent::status(received, status)
        );
        let update = BookUpdate {
            instrument: OWN,
            ts_event: Timestamp::EPOCH,
            kind: BookUpdateKind::Snapshot,
            update_id: 9,
            bids: &bids,
            asks: &asks,
        };
        let owned = WatchedEvent::of(received, MarketEvent::Book(update), ids);
        let What::Book {
            update,
            levels,
            bids: count,
        } = owned.what
        else {
            panic!("a book");
        };
        assert_eq!((update.instrument, update.update_id), (HERE, 9));
        assert_eq!((&levels[..count], &levels[count..]), (&bids[..], &asks[..]));
    }
}
