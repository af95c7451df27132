//! Both venues in simulated time: causality, order of events, reports, faults, and the light venue's fills.

mod fixtures;

use domain::{
    CancelRejectReason, CancelRequest, ClientOrderId, Decimal, Epoch, InstrumentId, Liquidity, MarketEvent,
    Nanos, OrderReportKind, OrderRequest, OrderStatus, OrderType, Price, Quantity, Quote, RejectReason, Side,
    SlotId, TimeInForce, Timestamp, Trade, TradeId,
};
use fixtures::{bar, instrument};
use simulation::{
    FeeAsset, FeeSchedule, FeedConfig, FlowConfig, Latency, LatencyModel, OrderFault, PublicEvent,
    QuoteVenue, QuoteVenueConfig, SimulatedVenue, Venue, VenueConfig, VenueEventBody,
};

const FOREVER: Timestamp = Timestamp::from_nanos(i64::MAX);

fn id(counter: u32) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(1),
        slot: SlotId(0),
        counter,
    }
}

fn request(counter: u32, side: Side, price: Option<i64>, lots: i64) -> OrderRequest {
    OrderRequest {
        client_order_id: id(counter),
        instrument: InstrumentId(0),
        side,
        order_type: if price.is_some() {
            OrderType::Limit
        } else {
            OrderType::Market
        },
        price: price.map(|ticks| Price::from_units(ticks * fixtures::TICK)),
        quantity: Quantity::from_units(lots),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

fn named(counter: u32) -> CancelRequest {
    CancelRequest {
        client_order_id: id(counter),
        instrument: InstrumentId(0),
    }
}

fn latency(feed: i64, entry: i64, report: i64) -> LatencyModel {
    LatencyModel {
        feed: Latency::fixed(Nanos(feed)),
        entry: Latency::fixed(Nanos(entry)),
        report: Latency::fixed(Nanos(report)),
        seed: 4,
    }
}

fn simulated(latency: LatencyModel, feed: FeedConfig) -> SimulatedVenue {
    let bars = (1..6)
        .map(|n| bar(n, [10_000 + n, 10_900, 9_400, 10_100 + n], 9_000_000_000))
        .collect();
    let config = VenueConfig {
        instrument: instrument(),
        flow: FlowConfig::with_seed(8),
        latency,
        fees: FeeSchedule::FREE,
        feed,
    };
    SimulatedVenue::new(config, bars).expect("a venue")
}

/// One line an event: comparable, and free of borrows.
fn lines(venue: &mut impl Venue, until: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(event) = venue.next_event(until) {
        lines.push(format!("{event:?}"));
    }
    lines
}

fn reports(venue: &mut impl Venue) -> Vec<(Timestamp, Timestamp, OrderReportKind)> {
    let mut reports = Vec::new();
    while let Some(event) = venue.next_event(FOREVER) {
        if let VenueEventBody::Report(report) = event.body {
            reports.push((event.ts_received, report.ts_event, report.kind));
        }
    }
    reports
}

#[test]
fn events_come_in_order_of_time_with_the_feed_delay() {
    let mut venue = simulated(latency(250, 0, 0), FeedConfig::FULL);
    let (mut last, mut books, mut trades) = (Timestamp::EPOCH, 0, 0);
    while let Some(event) = venue.next_event(FOREVER) {
        assert!(event.ts_received >= last);
        last = event.ts_received;
        let ts_event = match event.body {
            VenueEventBody::Market(MarketEvent::Book(update)) => {
                books += 1;
                update.ts_event
            }
            VenueEventBody::Market(MarketEvent::Trade(trade)) => {
                trades += 1;
                trade.ts_event
            }
            VenueEventBody::Market(MarketEvent::Quote(quote)) => quote.ts_event,
            other => panic!("unexpected {other:?}"),
        };
        // A diff waits for its grid; trades and quotes do not, and nothing overtakes.
        assert!(event.ts_received >= ts_event.plus(Nanos(250)));
    }
    assert!(venue.is_finished());
    assert!(books > 100 && trades > 100, "{books} books, {trades} trades");
}

#[test]
fn the_same_calls_give_the_same_events() {
    let run = || {
        let mut venue = simulated(latency(250, 500, 750), FeedConfig::FULL);
        let mut seen = lines(&mut venue, Timestamp::from_nanos(fixtures::SPAN.0 * 2));
        venue.submit(
            &request(1, Side::Buy, None, 500),
            Timestamp::from_nanos(fixtures::SPAN.0 * 2),
        );
        venue.submit(
            &request(2, Side::Sell, Some(10_300), 500),
            Timestamp::from_nanos(fixtures::SPAN.0 * 2),
        );
        seen.extend(lines(&mut venue, FOREVER));
        seen
    };
    assert_eq!(run(), run());
}

#[test]
fn an_order_meets_the_market_of_its_arrival() {
    let feed = FeedConfig::TRADES_AND_QUOTES;
    let mut venue = simulated(latency(1_000, 2_000, 3_000), feed);
    let timer = Timestamp::from_nanos(fixtures::SPAN.0 * 2 + 5_000_000_000);
    while venue.next_event(timer).is_some() {}
    venue.submit(&request(1, Side::Buy, None, 1_000), timer);
    let expected = simulated_best_ask_at(timer.plus(Nanos(2_000)));
    let reports = reports(&mut venue);
    let arrival = timer.plus(Nanos(2_000));
    let kinds: Vec<_> = reports
        .iter()
        .map(|(received, event, _)| (*received, *event))
        .collect();
    assert_eq!(kinds, [(arrival.plus(Nanos(3_000)), arrival); 2]);
    assert!(matches!(reports[0].2, OrderReportKind::Accepted(_)));
    match reports[1].2 {
        OrderReportKind::Filled(fill) => {
            assert_eq!((fill.price, fill.liquidity), (expected, Liquidity::Taker));
            assert_eq!(fill.quantity, Quantity::from_units(1_000));
        }
        other => panic!("unexpected {other:?}"),
    }
}

/// The best ask at the venue at `ts`, seen through a venue without delays.
fn simulated_best_ask_at(ts: Timestamp) -> Price {
    let mut venue = simulated(LatencyModel::ZERO, FeedConfig::TRADES_AND_QUOTES);
    let mut ask = Price::ZERO;
    while let Some(event) = venue.next_event(ts) {
        if let VenueEventBody::Market(MarketEvent::Quote(quote)) = event.body {
            ask = quote.ask;
        }
    }
    ask
}

#[test]
fn refusals_cancels_and_queries_are_answered() {
    let mut venue = simulated(LatencyModel::ZERO, FeedConfig::TRADES_AND_QUOTES);
    let now = Timestamp::from_nanos(fixtures::SPAN.0);
    while venue.next_event(now).is_some() {}
    let far = Some(100);
    venue.submit(&request(1, Side::Buy, far, 10), now);
    venue.submit(&request(1, Side::Buy, far, 10), now);
    venue.submit(&request(2, Side::Buy, far, 0), now);
    venue.query(&named(1), now);
    venue.cancel(&named(1), now);
    venue.cancel(&named(1), now);
    venue.query(&named(1), now);
    venue.query(&named(9), now);
    let kinds: Vec<_> = reports(&mut venue).into_iter().map(|report| report.2).collect();
    let found = |status| {
        OrderReportKind::Found(domain::OrderSnapshot {
            status,
            filled: Quantity::ZERO,
        })
    };
    assert!(matches!(kinds[0], OrderReportKind::Accepted(_)));
    assert_eq!(
        kinds[1..],
        [
            OrderReportKind::Rejected(RejectReason::DuplicateId),
            OrderReportKind::Rejected(RejectReason::Filter),
            found(OrderStatus::Accepted),
            OrderReportKind::Canceled,
            OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder),
            found(OrderStatus::Canceled),
            OrderReportKind::NotFound,
        ]
    );
}

#[test]
fn faults_meet_one_order_each() {
    let mut venue = simulated(LatencyModel::ZERO, FeedConfig::TRADES_AND_QUOTES);
    let now = Timestamp::from_nanos(fixtures::SPAN.0);
    while venue.next_event(now).is_some() {}
    venue.inject(OrderFault::Reject(RejectReason::InsufficientBalance));
    venue.inject(OrderFault::LoseRequest);
    venue.inject(OrderFault::LoseAck);
    venue.inject(OrderFault::DelayReports(Nanos(77)));
    for counter in 1..=4 {
        venue.submit(&request(counter, Side::Buy, None, 10), now);
    }
    let seen = reports(&mut venue);
    let kinds: Vec<_> = seen.iter().map(|report| report.2).collect();
    assert_eq!(
        kinds[0],
        OrderReportKind::Rejected(RejectReason::InsufficientBalance)
    );
    assert_eq!(kinds[1..3], [OrderReportKind::OutcomeUnknown; 2]);
    assert!(
        matches!(kinds[3], OrderReportKind::Filled(_)),
        "placed although the answer was lost"
    );
    assert!(matches!(kinds[4], OrderReportKind::Accepted(_)));
    assert_eq!(seen[3].0, now);
    assert_eq!(seen[4].0, now.plus(Nanos(77)));
    assert_eq!(kinds.len(), 6);
}

fn quote(ms: i64, bid: (i64, i64), ask: (i64, i64)) -> PublicEvent {
    let level = |(ticks, lots)| {
        (
            Price::from_units(ticks * fixtures::TICK),
            Quantity::from_units(lots),
        )
    };
    let ((bid, bid_quantity), (ask, ask_quantity)) = (level(bid), level(ask));
    PublicEvent::Quote(Quote {
        instrument: InstrumentId(0),
        ts_event: Timestamp::from_millis(ms),
        update_id: 0,
        bid,
        bid_quantity,
        ask,
        ask_quantity,
    })
}

fn trade(ms: i64, aggressor: Side, ticks: i64, lots: i64) -> PublicEvent {
    PublicEvent::Trade(Trade {
        instrument: InstrumentId(0),
        ts_event: Timestamp::from_millis(ms),
        trade_id: TradeId(0),
        price: Price::from_units(ticks * fixtures::TICK),
        quantity: Quantity::from_units(lots),
        aggressor,
    })
}

fn quotes(events: Vec<PublicEvent>) -> QuoteVenue<impl Iterator<Item = PublicEvent>> {
    let config = QuoteVenueConfig {
        instrument: instrument(),
        latency: LatencyModel::ZERO,
        fees: FeeSchedule {
            maker_bps: Decimal::ZERO,
            taker_bps: Decimal::from_units(100_000_000),
            asset: FeeAsset::Received,
        },
    };
    QuoteVenue::new(config, events.into_iter())
}

/// Sends the orders after the event of the given millisecond; returns the fills as `(ms, order, ticks, lots)`.
fn fills_of(events: Vec<PublicEvent>, orders: &[(i64, OrderRequest)]) -> Vec<(i64, u32, i64, i64)> {
    let mut venue = quotes(events);
    let mut fills = Vec::new();
    for (ms, order) in orders {
        let now = Timestamp::from_millis(*ms);
        collect_fills(&mut venue, now, &mut fills);
        venue.submit(order, now);
    }
    collect_fills(&mut venue, FOREVER, &mut fills);
    fills
}

fn collect_fills(venue: &mut impl Venue, until: Timestamp, fills: &mut Vec<(i64, u32, i64, i64)>) {
    while let Some(event) = venue.next_event(until) {
        if let VenueEventBody::Report(report) = event.body
            && let OrderReportKind::Filled(fill) = report.kind
        {
            fills.push((
                report.ts_event.millis(),
                report.client_order_id.counter,
                fill.price.units() / fixtures::TICK,
                fill.quantity.units(),
            ));
        }
    }
}

#[test]
fn a_quote_is_consumed_once_while_its_price_stays() {
    let events = vec![
        quote(1, (100, 10), (102, 10)),
        quote(2, (100, 10), (102, 12)),
        quote(3, (100, 10), (102, 1)),
        quote(4, (100, 10), (103, 10)),
    ];
    let buy = |counter, lots| request(counter, Side::Buy, None, lots);
    let orders = [
        (1, buy(1, 6)),
        (1, buy(2, 6)),
        (2, buy(3, 6)),
        (3, buy(4, 6)),
        (4, buy(5, 6)),
    ];
    let expected = [(1, 1, 102, 6), (1, 2, 102, 4), (2, 3, 102, 2), (4, 5, 103, 6)];
    assert_eq!(fills_of(events, &orders), expected);
}

#[test]
fn a_resting_order_waits_for_its_turn() {
    let events = vec![
        quote(1, (100, 10), (102, 10)),
        trade(2, Side::Sell, 100, 6),
        // 4 left of 10, then 2 of these are canceled: 2 stay ahead of us.
        quote(3, (100, 2), (102, 10)),
        trade(4, Side::Sell, 100, 5),
        trade(5, Side::Sell, 99, 4),
    ];
    let orders = [
        (1, request(1, Side::Buy, Some(100), 4)),
        (1, request(2, Side::Buy, Some(100), 4)),
    ];
    // Of the trade of 5, 2 go ahead and 3 to the first; the one that passes fills the rest, 4 in all.
    assert_eq!(
        fills_of(events, &orders),
        [(4, 1, 100, 3), (5, 1, 100, 1), (5, 2, 100, 3)]
    );
}

#[test]
fn an_order_behind_the_best_is_queued_when_its_price_becomes_the_best() {
    let events = vec![
        quote(1, (100, 10), (102, 10)),
        trade(2, Side::Sell, 99, 50),
        quote(3, (99, 7), (102, 10)),
        trade(4, Side::Sell, 99, 8),
    ];
    let orders = [(1, request(1, Side::Buy, Some(99), 4))];
    assert_eq!(fills_of(events, &orders), [(4, 1, 99, 1)]);
}

#[test]
fn a_quote_that_reaches_a_resting_order_fills_it_as_far_as_it_shows() {
    let events = vec![
        quote(1, (100, 10), (102, 10)),
        quote(2, (98, 10), (99, 3)),
        quote(3, (98, 10), (99, 5)),
    ];
    let orders = [(1, request(1, Side::Buy, Some(100), 9))];
    assert_eq!(fills_of(events, &orders), [(2, 1, 100, 3), (3, 1, 100, 2)]);
}

#[test]
fn own_orders_do_not_meet_and_the_fee_is_in_what_was_received() {
    let mut venue = quotes(vec![quote(1, (100, 10), (102, 10))]);
    let now = Timestamp::from_millis(1);
    while venue.next_event(now).is_some() {}
    venue.submit(&request(1, Side::Sell, Some(101), 4), now);
    venue.submit(&request(2, Side::Buy, Some(102), 20_000), now);
    let kinds: Vec<_> = reports(&mut venue).into_iter().map(|report| report.2).collect();
    assert!(matches!(kinds[0], OrderReportKind::Accepted(_)));
    assert!(matches!(kinds[1], OrderReportKind::Accepted(_)));
    assert_eq!(kinds[2], OrderReportKind::Expired);
    match kinds[3] {
        OrderReportKind::Filled(fill) => assert_eq!(fill.fee.to_string(), "0.00000001 BTC"),
        other => panic!("unexpected {other:?}"),
    }
    assert_eq!(kinds.len(), 4, "the rest of the second order stands");
}

#[test]
fn a_timer_sees_nothing_of_what_comes_after_it() {
    let mut venue = quotes(vec![quote(1, (100, 10), (102, 10)), quote(9, (50, 10), (51, 10))]);
    let timer = Timestamp::from_millis(5);
    assert_eq!(lines(&mut venue, timer).len(), 1);
    venue.submit(&request(1, Side::Sell, None, 1), timer);
    let filled = reports(&mut venue);
    match filled[1].2 {
        OrderReportKind::Filled(fill) => assert_eq!(fill.price.units(), 100 * fixtures::TICK),
        other => panic!("unexpected {other:?}"),
    }
}
