use proptest::prelude::*;

use super::*;

const VENUES: [Venue; 3] = [Venue::Binance, Venue::Coinbase, Venue::Kraken];
const MAX_AGE: Nanos = Nanos(100);

fn code(text: &str) -> Currency {
    Currency::new(text).unwrap()
}

fn member(instrument: u16, venue: Venue, taker_bps: i64) -> Member {
    Member {
        instrument: InstrumentId(instrument),
        venue,
        base: code("BTC"),
        quote: code("USD"),
        taker_bps: Decimal::from_units(taker_bps),
    }
}

fn level(price: i64, quantity: i64) -> Level {
    Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    }
}

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn stamps(ts_event: i64, ts_received: i64) -> Stamps {
    Stamps {
        ts_event: at(ts_event),
        ts_received: at(ts_received),
    }
}

/// Three venues with a bid and an ask each, at a fee of `bps` at the second.
fn three(bps: i64) -> Consolidated {
    let members = [
        member(4, Venue::Kraken, 0),
        member(1, Venue::Binance, 0),
        member(2, Venue::Coinbase, bps * SCALE),
    ];
    let mut market = Consolidated::new(&members, MAX_AGE).unwrap();
    for (instrument, bid, ask) in [(1, 990, 1_010), (2, 995, 1_005), (4, 990, 1_020)] {
        assert!(market.on_book(
            InstrumentId(instrument),
            stamps(0, 0),
            &[level(bid, 1)],
            &[level(ask, 2)]
        ));
    }
    market
}

fn venues(offers: Offers<'_>) -> Vec<(Venue, i64)> {
    offers
        .map(|offer| (offer.venue, offer.net_price.units()))
        .collect()
}

#[test]
fn the_best_price_of_all_venues_comes_first_and_equal_ones_by_instrument() {
    let market = three(0);
    let bids = venues(market.bids(at(0), Pricing::AtVenue));
    let wanted = [
        (Venue::Coinbase, 995),
        (Venue::Binance, 990),
        (Venue::Kraken, 990),
    ];
    assert_eq!(bids, wanted);
    let asks = venues(market.asks(at(0), Pricing::AfterFees));
    let wanted = [
        (Venue::Coinbase, 1_005),
        (Venue::Binance, 1_010),
        (Venue::Kraken, 1_020),
    ];
    assert_eq!(asks, wanted);
}

#[test]
fn a_fee_moves_the_price_against_us_and_with_it_the_order() {
    // 60 ten-thousandths of 995 are 5.97, of 1,005 they are 6.03.
    let market = three(60);
    let best = market.best_bid(at(0), Pricing::AfterFees).unwrap();
    assert_eq!((best.venue, best.net_price.units()), (Venue::Binance, 990));
    let bids = venues(market.bids(at(0), Pricing::AfterFees));
    assert_eq!(bids[2], (Venue::Coinbase, 989));
    let asks = venues(market.asks(at(0), Pricing::AfterFees));
    assert_eq!(asks[..2], [(Venue::Binance, 1_010), (Venue::Coinbase, 1_012)]);
    let at_venue = market.best_bid(at(0), Pricing::AtVenue).unwrap();
    assert_eq!(
        (at_venue.venue, at_venue.price),
        (Venue::Coinbase, at_venue.net_price)
    );
    assert_eq!(after_fees(Price::MAX, BookSide::Asks, Decimal::ONE), Price::MAX);
}

#[test]
fn what_is_old_or_invalid_does_not_count_until_it_is_told_again() {
    let mut market = three(0);
    assert!(market.on_invalid(InstrumentId(2)));
    assert!(!market.on_invalid(InstrumentId(3)));
    assert!(!market.on_book(InstrumentId(3), stamps(0, 0), &[], &[]));
    // Received late, or late already when it was received: either is old.
    market.on_book(InstrumentId(1), stamps(50, 10), &[level(990, 1)], &[]);
    market.on_book(InstrumentId(4), stamps(11, 50), &[level(980, 1)], &[]);
    assert_eq!(venues(market.bids(at(110), Pricing::AtVenue)).len(), 2);
    let standings: Vec<_> = market.standings(at(111)).map(|(_, standing)| standing).collect();
    let wanted = [
        Standing::Stale(Nanos(101)),
        Standing::Invalid,
        Standing::Taken(Nanos(100)),
    ];
    assert_eq!(standings, wanted);
    assert_eq!(
        venues(market.bids(at(111), Pricing::AtVenue)),
        [(Venue::Kraken, 980)]
    );
    assert_eq!(market.best_ask(at(111), Pricing::AtVenue), None);
    market.on_book(InstrumentId(2), stamps(111, 111), &[level(1, 1)], &[]);
    assert_eq!(venues(market.bids(at(111), Pricing::AtVenue)).len(), 2);
}

#[test]
fn what_makes_no_market_is_refused() {
    let refused = |members: &[Member]| Consolidated::new(members, MAX_AGE).map(drop).unwrap_err();
    let first = member(0, Venue::Kraken, 0);
    assert_eq!(refused(&[]), ConsolidatedError::Count(0));
    assert_eq!(refused(&[first; 9]), ConsolidatedError::Count(9));
    assert_eq!(refused(&[first; 2]), ConsolidatedError::Repeated(InstrumentId(0)));
    let mut other = member(1, Venue::Binance, 0);
    other.quote = code("EUR");
    let text = refused(&[first, other]).to_string();
    assert_eq!(text, "BTC/EUR at binance is another pair than BTC/USD");
    let contract = member(1, Venue::BinanceUsdm, 0);
    assert_eq!(
        refused(&[first, contract]),
        ConsolidatedError::Kind(Venue::Kraken, Venue::BinanceUsdm)
    );
    let everything = member(1, Venue::Binance, 10_000 * SCALE);
    assert!(matches!(
        refused(&[first, everything]),
        ConsolidatedError::Fee(Venue::Binance, _)
    ));
    assert!(Consolidated::new(&[first], Nanos(-1)).is_err());
}

/// What a member of the oracle offers.
#[derive(Debug, Clone, Default)]
struct Plain {
    stamps: Option<(i64, i64)>,
    bids: Vec<(i64, i64)>,
    asks: Vec<(i64, i64)>,
}

/// Everything in one list, sorted: price, then member, then depth.
fn oracle(members: &[(Plain, i64)], is_bids: bool, now: i64, with_fees: bool) -> Vec<(i64, usize, i64, i64)> {
    let mut all = Vec::new();
    for (at, (plain, bps)) in members.iter().enumerate() {
        let fresh = |&(made, received): &(i64, i64)| now - made <= MAX_AGE.0 && now - received <= MAX_AGE.0;
        if plain.stamps.as_ref().is_none_or(|stamps| !fresh(stamps)) {
            continue;
        }
        let levels = if is_bids { &plain.bids } else { &plain.asks };
        for (price, quantity) in levels.iter().take(CONSOLIDATED_LEVELS_MAX) {
            let exact = i128::from(*price) * 10_000;
            let fee = i128::from(*price) * i128::from(*bps);
            let (net, rest) = if is_bids {
                ((exact - fee) / 10_000, 0)
            } else {
                ((exact + fee) / 10_000, i128::from((exact + fee) % 10_000 != 0))
            };
            let net = if with_fees {
                i64::try_from(net + rest).unwrap()
            } else {
                *price
            };
            all.push((net, at, *price, *quantity));
        }
    }
    all.sort_by_key(|(net, at, ..)| (if is_bids { -net } else { *net }, *at));
    all
}

#[derive(Debug, Clone)]
enum Change {
    Book(usize, (i64, i64), Vec<(i64, i64)>, Vec<(i64, i64)>),
    Invalid(usize),
}

fn side() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::btree_map(1_000..2_000i64, 1..9i64, 0..14).prop_map(|side| side.into_iter().collect())
}

fn change() -> impl Strategy<Value = Change> {
    let book = (0..3usize, (0..400i64, 0..400i64), side(), side());
    prop_oneof![
        4 => book.prop_map(|(at, stamps, mut bids, asks)| {
            bids.reverse();
            Change::Book(at, stamps, bids, asks)
        }),
        1 => (0..3usize).prop_map(Change::Invalid),
    ]
}

proptest! {
    #[test]
    fn equals_one_sorted_list(fees in prop::array::uniform3(-500..500i64), changes in prop::collection::vec((change(), 0..500i64), 1..30)) {
        let seats: Vec<_> = (0..).zip(VENUES).zip(fees).map(|((at, venue), bps)| member(at, venue, bps * SCALE)).collect();
        let mut market = Consolidated::new(&seats, MAX_AGE).unwrap();
        let mut plain: Vec<_> = fees.iter().map(|bps| (Plain::default(), *bps)).collect();
        for (change, now) in changes {
            match change {
                Change::Book(at, times, bids, asks) => {
                    let levels = |side: &[(i64, i64)]| side.iter().map(|(price, quantity)| level(*price, *quantity)).collect::<Vec<_>>();
                    let id = InstrumentId(u16::try_from(at).unwrap());
                    market.on_book(id, stamps(times.0, times.1), &levels(&bids), &levels(&asks));
                    plain[at].0 = Plain { stamps: Some(times), bids, asks };
                }
                Change::Invalid(at) => {
                    market.on_invalid(InstrumentId(u16::try_from(at).unwrap()));
                    plain[at].0.stamps = None;
                }
            }
            for (is_bids, pricing) in [(true, Pricing::AtVenue), (true, Pricing::AfterFees), (false, Pricing::AtVenue), (false, Pricing::AfterFees)] {
                let offers = if is_bids { market.bids(at(now), pricing) } else { market.asks(at(now), pricing) };
                let found: Vec<_> = offers.map(|offer| (offer.net_price.units(), usize::from(offer.instrument.0), offer.price.units(), offer.quantity.units())).collect();
                prop_assert_eq!(found, oracle(&plain, is_bids, now, pricing == Pricing::AfterFees));
            }
        }
    }
}
