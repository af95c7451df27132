//! What a watched venue tells, in the words of every venue, on its way to the deciding thread.

use std::cmp::Reverse;

use domain::{
    BookInvalid, BookUpdate, BookUpdateKind, InstrumentId, Level, MarketEvent, Quote, Timestamp, Trade,
    VenueStatus,
};
use engine::EventBody;

use super::Ids;
use crate::driver::Driver;

/// Levels of one side of a snapshot in one event. What is deeper follows in events of its own, best first, so that no snapshot
/// of a watched venue, of which some have tens of thousands of levels, holds the deciding thread up for long.
const SNAPSHOT_LEVELS_MAX: usize = 500;

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
    /// Of what the venue's own reader says, by its own ids, in as many events as it takes.
    pub(super) fn each(received: Timestamp, event: MarketEvent<'_>, ids: Ids, mut put: impl FnMut(Self)) {
        match event {
            MarketEvent::Book(update) if is_deep(&update) => {
                in_parts(&update, |part| {
                    put(Self::of(received, MarketEvent::Book(part), ids));
                });
            }
            event => put(Self::of(received, event, ids)),
        }
    }

    fn of(received: Timestamp, event: MarketEvent<'_>, ids: Ids) -> Self {
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

fn is_deep(update: &BookUpdate<'_>) -> bool {
    update.kind == BookUpdateKind::Snapshot && update.bids.len().max(update.asks.len()) > SNAPSHOT_LEVELS_MAX
}

/// A snapshot of the best levels, and changes that add what lies behind them: the book is right after each, as deep as it is.
fn in_parts(snapshot: &BookUpdate<'_>, mut put: impl FnMut(BookUpdate<'_>)) {
    let (mut bids, mut asks) = (snapshot.bids.to_vec(), snapshot.asks.to_vec());
    bids.sort_by_key(|level| Reverse(level.price));
    asks.sort_by_key(|level| level.price);
    let parts = bids.len().max(asks.len()).div_ceil(SNAPSHOT_LEVELS_MAX);
    for part in 0..parts {
        let from = part * SNAPSHOT_LEVELS_MAX;
        let of = |side: &[Level]| from.min(side.len())..(from + SNAPSHOT_LEVELS_MAX).min(side.len());
        let kind = if part == 0 {
            BookUpdateKind::Snapshot
        } else {
            BookUpdateKind::Delta
        };
        put(BookUpdate {
            kind,
            bids: &bids[of(&bids)],
            asks: &asks[of(&asks)],
            ..*snapshot
        });
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
    use domain::{BookInvalidReason, Instrument, Price, Quantity, Side, Text, TradeId, Venue, VenueState};
    use engine::market::Book;

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

    fn snapshot<'a>(bids: &'a [Level], asks: &'a [Level]) -> BookUpdate<'a> {
        BookUpdate {
            instrument: OWN,
            ts_event: Timestamp::EPOCH,
            kind: BookUpdateKind::Snapshot,
            update_id: 9,
            bids,
            asks,
        }
    }

    /// A book as an engine has it, after each event.
    fn applied(events: &[WatchedEvent]) -> Vec<(Vec<Level>, Vec<Level>)> {
        let mut book = Book::new(HERE);
        let after = events.iter().map(|event| {
            let What::Book { update, levels, bids } = &event.what else {
                panic!("a book");
            };
            let (bids, asks) = levels.split_at(*bids);
            book.apply(
                &BookUpdate {
                    bids,
                    asks,
                    ..*update
                },
                event.received,
            )
            .unwrap();
            (book.bids().collect(), book.asks().collect())
        });
        after.collect()
    }

    #[test]
    fn a_deep_snapshot_comes_in_parts_that_make_the_same_book() {
        // In no order, and the sides not equally deep.
        let mut bids: Vec<_> = (1..=1_234).map(|at| level(at * 7_919 % 1_237)).collect();
        let asks: Vec<_> = (0..700).map(|at| level(2_000 + at)).rev().collect();
        let (received, ids) = (Timestamp::from_nanos(5), Ids::new(5));
        let mut parts = Vec::new();
        let whole = MarketEvent::Book(snapshot(&bids, &asks));
        WatchedEvent::each(received, whole, ids, |event| parts.push(event));
        assert_eq!(parts.len(), 3);
        let after = applied(&parts);
        let all = applied(&[WatchedEvent::of(received, whole, ids)]);
        assert_eq!(after.last(), all.first());
        // The best levels stand from the first part on.
        bids.sort_by_key(|level| Reverse(level.price));
        for (seen, _) in &after {
            assert_eq!(seen[..SNAPSHOT_LEVELS_MAX], bids[..SNAPSHOT_LEVELS_MAX]);
        }
        for part in &parts {
            assert!(
                matches!(&part.what, What::Book { levels, .. } if levels.len() <= 2 * SNAPSHOT_LEVELS_MAX)
            );
        }
    }

    #[test]
    fn a_snapshot_that_fits_and_a_change_stay_whole() {
        let bids: Vec<_> = (1..=1_000).map(level).collect();
        let count = |update: BookUpdate<'_>| {
            let mut count = 0;
            let event = MarketEvent::Book(update);
            WatchedEvent::each(Timestamp::EPOCH, event, Ids::new(5), |_| count += 1);
            count
        };
        assert_eq!(count(snapshot(&bids[..SNAPSHOT_LEVELS_MAX], &[])), 1);
        assert_eq!(count(snapshot(&bids[..=SNAPSHOT_LEVELS_MAX], &[])), 2);
        // In parts a change could cross a book that it does not cross.
        let change = BookUpdate {
            kind: BookUpdateKind::Delta,
            ..snapshot(&bids, &[])
        };
        assert_eq!(count(change), 1);
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
        let update = snapshot(&bids, &asks);
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
