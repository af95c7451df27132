//! Three venues as one market: a venue's book changes, and the best bid and ask after fees are asked for. Beside two
//! `BTreeMap`s of every venue's levels, as anybody would write it first; both must give the same prices.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench reads a clock"
)]

#[path = "../../../benches/rows.rs"]
mod rows;

use std::collections::BTreeMap;
use std::hint::black_box;

use domain::{Currency, Decimal, InstrumentId, Level, Nanos, Price, Quantity, SCALE, Timestamp, Venue};
use engine::market::{Consolidated, Member, Pricing, Stamps};
use rows::{Row, Wanted, interleaved, nanos_each};

const VENUES: [(Venue, i64); 3] = [(Venue::Binance, 10), (Venue::Coinbase, 60), (Venue::Kraken, 26)];
const LEVELS: i64 = 10;
const UPDATES: usize = 3_000;

/// A venue's book after a change.
struct Change {
    at: usize,
    bids: Vec<Level>,
    asks: Vec<Level>,
}

/// Books that wander, each around the same price.
fn changes() -> Vec<Change> {
    let mut state = 1_u64;
    let mut chance = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let change = |_| {
        let middle = 6_000_000_000_000 + 1_000_000 * chance(2_000).cast_signed();
        let mut side = |sign: i64| {
            let level = |far: i64, quantity: u64| Level {
                price: Price::from_units(middle + sign * far * 1_000_000),
                quantity: Quantity::from_units(1 + quantity.cast_signed()),
            };
            (1..=LEVELS).map(|far| level(far, chance(1 << 20))).collect()
        };
        let (bids, asks) = (side(-1), side(1));
        let at = usize::try_from(chance(3)).expect("a small number");
        Change { at, bids, asks }
    };
    (0..UPDATES).map(change).collect()
}

fn id(at: usize) -> InstrumentId {
    InstrumentId(u16::try_from(at).expect("a small number"))
}

fn run_ours(changes: &[Change], told: &mut Vec<[Price; 2]>) -> f64 {
    let code = |text| Currency::new(text).expect("a code");
    let members = [0, 1, 2].map(|at| Member {
        instrument: id(at),
        venue: VENUES[at].0,
        base: code("BTC"),
        quote: code("USD"),
        taker_bps: Decimal::from_units(VENUES[at].1 * SCALE),
    });
    let mut market = Consolidated::new(&members, Nanos(1)).expect("a market");
    let stamps = Stamps {
        ts_event: Timestamp::EPOCH,
        ts_received: Timestamp::EPOCH,
    };
    told.clear();
    nanos_each(changes.len(), || {
        for change in changes {
            market.on_book(id(change.at), stamps, &change.bids, &change.asks);
            let bid = market.best_bid(Timestamp::EPOCH, Pricing::AfterFees);
            let ask = market.best_ask(Timestamp::EPOCH, Pricing::AfterFees);
            let price =
                |offer: Option<engine::market::Offer>| offer.map_or(Price::ZERO, |offer| offer.net_price);
            told.push(black_box([price(bid), price(ask)]));
        }
    })
}

fn run_maps(changes: &[Change], told: &mut Vec<[Price; 2]>) -> f64 {
    let mut sides: [BTreeMap<(i64, usize, usize), Level>; 2] = Default::default();
    let mut shown: [[Vec<(i64, usize, usize)>; 2]; 3] = Default::default();
    told.clear();
    nanos_each(changes.len(), || {
        for change in changes {
            let fee = i128::from(VENUES[change.at].1);
            for (side, levels) in [&change.bids, &change.asks].into_iter().enumerate() {
                for key in shown[change.at][side].drain(..) {
                    sides[side].remove(&key);
                }
                for (depth, level) in levels.iter().enumerate() {
                    let units = i128::from(level.price.units());
                    let net = match side {
                        0 => -(units * (10_000 - fee)).div_euclid(10_000),
                        _ => -(-units * (10_000 + fee)).div_euclid(10_000),
                    };
                    let key = (i64::try_from(net).expect("a price"), change.at, depth);
                    sides[side].insert(key, *level);
                    shown[change.at][side].push(key);
                }
            }
            let best = |side: usize| sides[side].first_key_value().map_or(0, |(key, _)| key.0);
            told.push(black_box([
                Price::from_units(-best(0)),
                Price::from_units(best(1)),
            ]));
        }
    })
}

fn main() {
    let Some(wanted) = Wanted::read() else { return };
    let changes = changes();
    let (mut ours, mut theirs) = (Vec::with_capacity(UPDATES), Vec::with_capacity(UPDATES));
    run_ours(&changes, &mut ours);
    run_maps(&changes, &mut theirs);
    assert!(ours == theirs, "the markets differ");
    let [market, maps] = interleaved(
        wanted.rounds,
        &mut [&mut || run_ours(&changes, &mut ours), &mut || {
            run_maps(&changes, &mut theirs)
        }],
    );
    Row {
        name: "consolidated_update",
        unit: "ns per book",
        subject: ("engine::market::Consolidated, 3 venues, best after fees", &market),
        anchor: Some(("two std BTreeMaps of all venues' levels", &maps)),
        facts: &[("levels_of_a_side", usize::try_from(LEVELS).unwrap_or(0).into())],
    }
    .print(wanted);
}
