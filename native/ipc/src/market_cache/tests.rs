use domain::{
    BookInvalidReason, Currency, InstrumentStatus, Level, Price, Quantity, Side, Text, Timestamp, TradeId,
    Venue, VenueState,
};
use proptest::prelude::*;

use super::{
    BookHead, BookState, CODES, CacheFault, CachedBook, CachedInstrument, CachedMarket, CachedTrade,
    CachedVenue, Depth, ENTRY_BYTES, ENTRY_WORDS, EntryWords, FIELDS, LEVELS, ServiceClock,
};

fn instrument() -> CachedInstrument {
    CachedInstrument {
        venue: Venue::IndependentReserve,
        symbol: Text::new("BTC-USDT-OF-24-CHARACTER").unwrap(),
        base: Currency::new("ABCDEFGHIJKL").unwrap(),
        quote: Currency::new("USDT").unwrap(),
        status: InstrumentStatus::CancelOnly,
        tick_size: Price::from_units(1_000_000),
        lot_size: Quantity::from_units(10),
    }
}

fn level(price: i64, quantity: i64) -> Level {
    Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    }
}

/// A market with `bids` and `asks` levels around 1,000.
fn market(state: BookState, bids: usize, asks: usize) -> CachedMarket {
    let at = |far: i64| 1_000 + 5 * far;
    let bids: Vec<_> = (1..).take(bids).map(|far| level(at(-far), far)).collect();
    let asks: Vec<_> = (1..).take(asks).map(|far| level(at(far), 9 * far)).collect();
    let mut market = CachedMarket::silent(instrument());
    market.book = CachedBook {
        head: BookHead {
            state,
            ts_event: Timestamp::from_nanos(-1),
            ts_received: Timestamp::from_nanos(i64::MAX),
            update_id: u64::MAX,
        },
        bids: Depth::best(&bids),
        asks: Depth::best(&asks),
    };
    market.trade = Some(CachedTrade {
        ts_received: Timestamp::from_nanos(2),
        ts_event: Timestamp::from_nanos(1),
        trade_id: TradeId(u64::MAX),
        price: Price::from_units(3),
        quantity: Quantity::from_units(4),
        aggressor: Side::Sell,
    });
    market.venue = CachedVenue {
        state: Some(VenueState::Offline),
        ts_received: Timestamp::from_nanos(5),
    };
    market
}

/// A field's bytes in the row of a market.
fn field<'a>(words: &'a [u8], name: &str, len: usize) -> &'a [u8] {
    let field = FIELDS.iter().find(|field| field.name == name).unwrap();
    &words[field.offset..][..len]
}

fn row(words: &EntryWords) -> Vec<u8> {
    let words = [&[0][..], words].concat();
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn every_part_is_read_as_written() {
    let states = [
        (BookState::Absent, 0, 0),
        (BookState::Valid, 0, 3),
        (BookState::Valid, LEVELS, LEVELS),
        (BookState::TopOnly, 1, 1),
        (BookState::Invalid(BookInvalidReason::Checksum), 0, 0),
    ];
    for (state, bids, asks) in states {
        let market = market(state, bids, asks);
        assert_eq!(CachedMarket::decode(&market.encode()), Ok(market));
    }
    let silent = CachedMarket::silent(instrument());
    assert_eq!(CachedMarket::decode(&silent.encode()), Ok(silent));
}

#[test]
fn a_book_shows_its_best_levels_and_an_invalid_one_none() {
    let deep = market(BookState::Valid, 3 * LEVELS, 1);
    assert_eq!(deep.book.bids.levels().len(), LEVELS);
    assert_eq!(deep.book.bids.levels()[LEVELS - 1], level(950, 10));
    let mut wrong = deep;
    wrong.book.head.state = BookState::Invalid(BookInvalidReason::Gap);
    let read = CachedMarket::decode(&wrong.encode()).unwrap();
    assert_eq!((read.book.bids, read.book.asks), (Depth::EMPTY, Depth::EMPTY));
}

#[test]
fn fields_lie_where_the_description_says() {
    let bytes = row(&market(BookState::Invalid(BookInvalidReason::Stale), 0, 0).encode());
    assert_eq!(bytes.len(), ENTRY_BYTES);
    let code = |field_name: &str| {
        let (_, names) = CODES.iter().find(|(name, _)| *name == field_name).unwrap();
        names[usize::from(field(&bytes, field_name, 1)[0])]
    };
    let found = ["state", "reason", "aggressor", "venue_state", "venue", "status"].map(code);
    let wanted = [
        "invalid",
        "stale",
        "sell",
        "offline",
        "independent_reserve",
        "cancel_only",
    ];
    assert_eq!(found, wanted);
    for (name, value) in [
        ("ts_event", -1),
        ("ts_received", i64::MAX),
        ("update_id", -1),
        ("trade_id", -1),
        ("price", 3),
        ("quantity", 4),
        ("ts_trade", 1),
        ("ts_trade_received", 2),
        ("ts_venue", 5),
        ("tick_size", 1_000_000),
        ("lot_size", 10),
    ] {
        assert_eq!(field(&bytes, name, 8), value.to_le_bytes(), "{name}");
    }
    assert_eq!(field(&bytes, "symbol", 24), b"BTC-USDT-OF-24-CHARACTER");
    assert_eq!(field(&bytes, "base", 16), b"ABCDEFGHIJKL\0\0\0\0");
    assert_eq!(field(&bytes, "quote", 16), b"USDT\0\0\0\0\0\0\0\0\0\0\0\0");
    let bytes = row(&market(BookState::Valid, 2, 3).encode());
    assert_eq!(
        (field(&bytes, "bid_count", 1), field(&bytes, "ask_count", 1)),
        (&[2][..], &[3][..])
    );
    assert_eq!(field(&bytes, "bids", 8), 995_i64.to_le_bytes());
    assert_eq!(field(&bytes, "asks", 8), 1_005_i64.to_le_bytes());
}

#[test]
fn every_name_of_a_venue_is_the_domains() {
    let (_, names) = CODES.iter().find(|(name, _)| *name == "venue").unwrap();
    for venue in Venue::ALL {
        let mut market = market(BookState::Absent, 0, 0);
        market.instrument.venue = venue;
        let code = field(&row(&market.encode()), "venue", 1)[0];
        assert_eq!(names[usize::from(code)], venue.as_str());
    }
    assert_eq!(names.len(), 1 + Venue::ALL.len());
}

#[test]
fn words_that_no_service_leaves_are_refused() {
    let good = market(BookState::Valid, 2, 2).encode();
    let refused = |at: usize, word: u64| {
        let mut words = good;
        words[at] = word;
        CachedMarket::decode(&words).unwrap_err()
    };
    let head = good[0];
    assert!(matches!(
        refused(0, head + 8),
        CacheFault::Field { field: "state", .. }
    ));
    assert!(matches!(
        refused(0, head | 1 << 8),
        CacheFault::Field { field: "reason", .. }
    ));
    assert_eq!(refused(0, head + (1 << 16)), CacheFault::Levels("bids"));
    assert_eq!(refused(0, head - (1 << 24)), CacheFault::Levels("asks"));
    assert_eq!(refused(0, head | 11 << 16), CacheFault::Levels("bids"));
    assert_eq!(refused(0, head | 1 << 32), CacheFault::Spare(0));
    assert_eq!(refused(4, 900), CacheFault::Levels("bids"));
    assert_eq!(refused(4, 2_000), CacheFault::Levels("bids and asks"));
    assert!(matches!(
        refused(24, u64::MAX),
        CacheFault::Field { field: "asks", .. }
    ));
    assert!(matches!(
        refused(44, 3),
        CacheFault::Field {
            field: "aggressor",
            ..
        }
    ));
    assert!(matches!(
        refused(44, 0),
        CacheFault::Field {
            field: "aggressor",
            ..
        }
    ));
    assert!(matches!(
        refused(50, 3),
        CacheFault::Field {
            field: "venue_state",
            ..
        }
    ));
    assert!(matches!(refused(52, 0), CacheFault::Field { field: "venue", .. }));
    assert!(matches!(
        refused(52, 1),
        CacheFault::Field { field: "status", .. }
    ));
    assert!(matches!(
        refused(55, 7),
        CacheFault::Field { field: "symbol", .. }
    ));
    assert!(matches!(refused(60, 0), CacheFault::Field { field: "quote", .. }));
    assert_eq!(refused(62, 1), CacheFault::Spare(62));
    assert!(CachedMarket::decode(&[0; ENTRY_WORDS]).is_err());
}

#[test]
fn the_services_clock_goes_on_at_its_rate() {
    let clock = ServiceClock {
        ts_service: Timestamp::from_nanos(1_000),
        monotonic_ns: 50,
        rate_ppb: 300_000_000_000,
    };
    assert_eq!(clock.at(50), Timestamp::from_nanos(1_000));
    assert_eq!(clock.at(52), Timestamp::from_nanos(1_600));
    assert_eq!(clock.at(u64::MAX), Timestamp::from_nanos(i64::MAX));
}

proptest! {
    #[test]
    fn what_is_read_is_written_again_alike(changes in prop::collection::vec((0..ENTRY_WORDS, 0..8usize, any::<u8>()), 0..4)) {
        let mut words = market(BookState::Valid, 3, LEVELS).encode();
        for (at, byte, value) in changes {
            let mut bytes = words[at].to_le_bytes();
            bytes[byte] = value;
            words[at] = u64::from_le_bytes(bytes);
        }
        if let Ok(read) = CachedMarket::decode(&words) {
            prop_assert_eq!(read.encode(), words);
        }
    }
}
