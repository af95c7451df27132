//! Events a second through the light venue: a million quotes a millisecond apart, an order every 43 of them.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use domain::{
    ClientOrderId, Currency, Epoch, Instrument, InstrumentId, InstrumentRules, InstrumentStatus, Money,
    Nanos, OrderRequest, OrderType, Price, Quantity, Quote, Side, SlotId, Text, TimeInForce, Timestamp,
    Venue as Name,
};
use simulation::{
    FeeSchedule, Latency, LatencyModel, PublicEvent, QuoteVenue, QuoteVenueConfig, Venue, VenueEventBody,
};

const QUOTES: i64 = 1_000_000;
const QUOTES_PER_ORDER: u32 = 43;
const TICK: i64 = 1_000_000;

fn instrument() -> Instrument {
    let quote = Currency::new("USDT").expect("a code");
    Instrument {
        id: InstrumentId(0),
        venue: Name::Binance,
        symbol: Text::new("BTCUSDT").expect("a symbol"),
        base: Currency::new("BTC").expect("a code"),
        quote,
        rules: InstrumentRules {
            tick_size: Price::from_units(TICK),
            lot_size: Quantity::from_units(1_000),
            min_price: Price::from_units(TICK),
            max_price: Price::from_units(100_000_000_000_000),
            min_quantity: Quantity::from_units(1_000),
            max_quantity: Quantity::from_units(900_000_000_000),
            min_notional: Money::zero(quote),
        },
        status: InstrumentStatus::Trading,
    }
}

fn quotes() -> Vec<PublicEvent> {
    (1..=QUOTES)
        .map(|number| {
            // A walk without a random source: steps of -1, 0 and 1 ticks, a spread of 1 to 3.
            let mid = 6_000_000 + (number * 7_919 % 1_009) - (number * 104_729 % 1_013);
            PublicEvent::Quote(Quote {
                instrument: InstrumentId(0),
                ts_event: Timestamp::from_millis(number),
                update_id: 0,
                bid: Price::from_units(mid * TICK),
                bid_quantity: Quantity::from_units(500_000_000),
                ask: Price::from_units((mid + 1 + number % 3) * TICK),
                ask_quantity: Quantity::from_units(500_000_000),
            })
        })
        .collect()
}

fn order(counter: u32) -> OrderRequest {
    OrderRequest {
        client_order_id: ClientOrderId {
            epoch: Epoch(1),
            slot: SlotId(0),
            counter,
        },
        instrument: InstrumentId(0),
        side: if counter.is_multiple_of(2) {
            Side::Buy
        } else {
            Side::Sell
        },
        order_type: OrderType::Market,
        price: None,
        quantity: Quantity::from_units(100_000_000),
        time_in_force: TimeInForce::Ioc,
        post_only: false,
        reduce_only: false,
    }
}

fn run(venue: &mut impl Venue) -> u32 {
    let (mut seen, mut orders) = (0, 0);
    while let Some(event) = venue.next_event(Timestamp::from_nanos(i64::MAX)) {
        if let VenueEventBody::Market(_) = event.body {
            seen += 1;
            if seen % QUOTES_PER_ORDER == 0 {
                orders += 1;
                let now = event.ts_received;
                venue.submit(&order(orders), now);
            }
        }
    }
    seen
}

fn quote_venue(criterion: &mut Criterion) {
    let events = quotes();
    let mut group = criterion.benchmark_group("quote_venue");
    group
        .throughput(Throughput::Elements(QUOTES.unsigned_abs()))
        .sample_size(10);
    for (name, delay) in [("no_latency", 0), ("one_millisecond", 1_000_000)] {
        let leg = Latency::fixed(Nanos(delay));
        let config = QuoteVenueConfig {
            instrument: instrument(),
            latency: LatencyModel {
                feed: leg,
                entry: leg,
                report: leg,
                seed: 1,
            },
            fees: FeeSchedule::FREE,
        };
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || QuoteVenue::new(config, events.iter().copied()),
                |venue| black_box(run(venue)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, quote_venue);
criterion_main!(benches);
