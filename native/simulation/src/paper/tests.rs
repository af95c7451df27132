//! Every doubt is decided against us, and the same calls give the same reports.

use domain::{
    BookUpdate, BookUpdateKind, ClientOrderId, Decimal, Epoch, Level, Liquidity, Nanos, OrderStatus,
    OrderType, Side, SlotId, TimeInForce, Trade, TradeId,
};
use proptest::prelude::*;

use super::*;
use crate::fees::FeeAsset;
use crate::latency::Latency;
use crate::testing::{instrument, price, quantity};

const LATENCY: Nanos = Nanos(100);

fn at(ns: i64) -> Timestamp {
    Timestamp::from_nanos(ns)
}

fn units(text: &str) -> i128 {
    i128::from(quantity(text).units())
}

fn venue() -> PaperVenue {
    let instrument = instrument();
    PaperVenue::new(&PaperConfig {
        instruments: vec![instrument],
        latency: LatencyModel {
            entry: Latency::fixed(LATENCY),
            report: Latency::fixed(LATENCY),
            ..LatencyModel::ZERO
        },
        fees: FeeSchedule {
            maker_bps: Decimal::parse(b"2").unwrap(),
            taker_bps: Decimal::parse(b"10").unwrap(),
            asset: FeeAsset::Quote,
        },
        opening: vec![(instrument.base, units("5")), (instrument.quote, units("10000"))],
    })
}

fn levels(of: &[(&str, &str)]) -> Vec<Level> {
    let level = |&(at, much): &(&str, &str)| Level {
        price: price(at),
        quantity: quantity(much),
    };
    of.iter().map(level).collect()
}

fn book(venue: &mut PaperVenue, ts: i64, kind: BookUpdateKind, bids: &[(&str, &str)], asks: &[(&str, &str)]) {
    let (bids, asks) = (levels(bids), levels(asks));
    let update = BookUpdate {
        instrument: InstrumentId(0),
        ts_event: at(ts),
        kind,
        update_id: 1,
        bids: &bids,
        asks: &asks,
    };
    venue.hear(at(ts), &MarketEvent::Book(update));
}

/// Bids 99 x 2, 98 x 1; asks 100 x 1, 101 x 3.
fn opened() -> PaperVenue {
    let mut venue = venue();
    let (bids, asks) = ([("99", "2"), ("98", "1")], [("100", "1"), ("101", "3")]);
    book(&mut venue, 0, BookUpdateKind::Snapshot, &bids, &asks);
    venue
}

fn trade(venue: &mut PaperVenue, ts: i64, at_price: &str, much: &str, aggressor: Side) {
    let trade = Trade {
        instrument: InstrumentId(0),
        ts_event: at(ts),
        trade_id: TradeId(1),
        price: price(at_price),
        quantity: quantity(much),
        aggressor,
    };
    venue.hear(at(ts), &MarketEvent::Trade(trade));
}

fn id(counter: u32) -> ClientOrderId {
    ClientOrderId {
        epoch: Epoch(1),
        slot: SlotId(1),
        counter,
    }
}

fn order(counter: u32, side: Side, limit: Option<&str>, much: &str) -> OrderRequest {
    OrderRequest {
        client_order_id: id(counter),
        instrument: InstrumentId(0),
        side,
        order_type: if limit.is_some() {
            OrderType::Limit
        } else {
            OrderType::Market
        },
        price: limit.map(price),
        quantity: quantity(much),
        time_in_force: if limit.is_some() {
            TimeInForce::Gtc
        } else {
            TimeInForce::Ioc
        },
        post_only: false,
        reduce_only: false,
    }
}

fn told(venue: &mut PaperVenue, until: i64) -> Vec<(i64, PaperEvent)> {
    let events = std::iter::from_fn(|| venue.next_event(at(until)));
    events.map(|(ts, event)| (ts.nanos(), event)).collect()
}

/// Reports in words: time told, order, what.
fn words(events: &[(i64, PaperEvent)]) -> Vec<String> {
    let word = |&(ts, event): &(i64, PaperEvent)| {
        let PaperEvent::Report(report) = event else {
            return None;
        };
        let what = match report.kind {
            OrderReportKind::Filled(fill) => {
                let liquidity = if fill.liquidity == Liquidity::Maker {
                    "maker"
                } else {
                    "taker"
                };
                format!("{liquidity} {} x {} fee {}", fill.price, fill.quantity, fill.fee)
            }
            OrderReportKind::Accepted(_) => "accepted".to_owned(),
            OrderReportKind::Rejected(reason) => format!("{reason:?}"),
            OrderReportKind::CancelRejected(reason) => format!("cancel {reason:?}"),
            other => format!("{other:?}"),
        };
        Some(format!("{ts} {} {what}", report.client_order_id.counter))
    };
    events.iter().filter_map(word).collect()
}

fn said(venue: &mut PaperVenue, until: i64) -> Vec<String> {
    let events = told(venue, until);
    words(&events)
}

#[test]
fn a_taker_pays_the_levels_as_they_are_when_it_arrives() {
    let mut venue = opened();
    venue.submit(&order(1, Side::Buy, None, "2"), at(10));
    // Before it arrives the best ask is gone.
    book(
        &mut venue,
        50,
        BookUpdateKind::Delta,
        &[],
        &[("100", "0"), ("102", "9")],
    );
    assert!(said(&mut venue, 110).is_empty());
    assert_eq!(
        said(&mut venue, 1_000),
        ["210 1 accepted", "210 1 taker 101 x 2 fee 0.202 USDT"]
    );
    // What was taken stays taken while the level is shown.
    venue.submit(&order(2, Side::Buy, None, "3"), at(1_000));
    assert_eq!(
        said(&mut venue, 2_000),
        [
            "1200 2 accepted",
            "1200 2 taker 101 x 1 fee 0.101 USDT",
            "1200 2 taker 102 x 2 fee 0.204 USDT"
        ]
    );
    let balances = venue.balances();
    let of = |code: &str| {
        balances
            .iter()
            .find(|one| one.currency.as_str() == code)
            .unwrap()
            .free
    };
    assert_eq!(of("BTC"), quantity("10"));
    assert_eq!(of("USDT"), quantity("9492.493"), "10000 - 507 - fees of 0.507");
}

#[test]
fn a_taker_takes_nothing_from_where_on_levels_may_be_missing() {
    let mut venue = venue();
    let (bids, asks) = ([("99", "2")], [("100", "1"), ("102", "0")]);
    book(&mut venue, 0, BookUpdateKind::Snapshot, &bids, &asks);
    book(
        &mut venue,
        5,
        BookUpdateKind::Delta,
        &[],
        &[("101", "1"), ("103", "9")],
    );
    venue.submit(&order(1, Side::Buy, None, "3"), at(10));
    let said = said(&mut venue, 1_000);
    assert_eq!(
        said[..3],
        [
            "210 1 accepted",
            "210 1 taker 100 x 1 fee 0.1 USDT",
            "210 1 taker 101 x 1 fee 0.101 USDT"
        ]
    );
    assert!(
        said.len() == 4 && said[3].starts_with("210 1 Expired"),
        "{said:?}"
    );
}

#[test]
fn an_event_at_the_instant_of_an_arrival_comes_before_it() {
    let mut venue = opened();
    venue.submit(&order(1, Side::Buy, Some("100"), "1"), at(10));
    book(&mut venue, 110, BookUpdateKind::Delta, &[], &[("100", "0")]);
    assert!(said(&mut venue, 110).is_empty());
    assert_eq!(
        said(&mut venue, 210),
        ["210 1 accepted"],
        "it rests: nothing was there"
    );
}

#[test]
fn a_resting_order_waits_for_the_whole_queue() {
    let mut venue = opened();
    venue.submit(&order(1, Side::Buy, Some("99"), "1"), at(0));
    assert_eq!(said(&mut venue, 200), ["200 1 accepted"]);
    // Who cancels stood behind us; a touch fills nothing.
    book(
        &mut venue,
        300,
        BookUpdateKind::Delta,
        &[("99", "0.5")],
        &[("99", "1")],
    );
    trade(&mut venue, 400, "99", "1.75", Side::Sell);
    assert!(said(&mut venue, 600).is_empty());
    trade(&mut venue, 700, "99", "0.5", Side::Buy);
    assert!(said(&mut venue, 900).is_empty(), "a buyer's trade fills no bid");
    trade(&mut venue, 1_000, "99", "0.5", Side::Sell);
    assert_eq!(
        said(&mut venue, 1_100),
        ["1100 1 maker 99 x 0.25 fee 0.00495 USDT"]
    );
    // Through its price: at its own price, as much as traded.
    trade(&mut venue, 1_200, "97", "0.5", Side::Sell);
    assert_eq!(said(&mut venue, 1_300), ["1300 1 maker 99 x 0.5 fee 0.0099 USDT"]);
    let open = venue.open_orders(InstrumentId(0)).next().unwrap();
    assert_eq!(open.snapshot.status, OrderStatus::PartiallyFilled);
    assert_eq!(open.snapshot.filled, quantity("0.75"));
}

#[test]
fn own_orders_at_one_price_share_what_trades_and_behind_the_book_only_a_trade_through_fills() {
    let mut venue = opened();
    venue.submit(&order(1, Side::Buy, Some("98"), "1"), at(0));
    venue.submit(&order(2, Side::Buy, Some("98"), "1"), at(0));
    venue.submit(&order(3, Side::Buy, Some("90"), "1"), at(0));
    said(&mut venue, 200);
    trade(&mut venue, 300, "98", "2.5", Side::Sell);
    trade(&mut venue, 300, "90", "50", Side::Sell);
    let fills: Vec<String> = said(&mut venue, 400);
    let short: Vec<&str> = fills
        .iter()
        .map(|fill| &fill[..fill.find(" fee").unwrap()])
        .collect();
    assert_eq!(
        short,
        [
            "400 1 maker 98 x 1",
            "400 2 maker 98 x 0.5",
            "400 2 maker 98 x 0.5"
        ],
        "nothing is known of what stands at 90"
    );
    trade(&mut venue, 500, "89", "0.25", Side::Sell);
    assert_eq!(said(&mut venue, 600), ["600 3 maker 90 x 0.25 fee 0.0045 USDT"]);
}

#[test]
fn each_kind_of_order_ends_as_it_says() {
    let mut venue = opened();
    let post = |counter, limit| OrderRequest {
        post_only: true,
        ..order(counter, Side::Buy, Some(limit), "1")
    };
    let at_once = |counter, time_in_force, much| OrderRequest {
        time_in_force,
        ..order(counter, Side::Buy, Some("100"), much)
    };
    venue.submit(&post(1, "100"), at(0));
    venue.submit(&post(2, "99.5"), at(0));
    venue.submit(&at_once(3, TimeInForce::Fok, "1.5"), at(0));
    venue.submit(&at_once(4, TimeInForce::Ioc, "1.5"), at(0));
    venue.submit(&order(5, Side::Sell, Some("99.5"), "1"), at(0));
    venue.cancel(
        &CancelRequest {
            client_order_id: id(5),
            instrument: InstrumentId(0),
        },
        at(1),
    );
    venue.cancel(
        &CancelRequest {
            client_order_id: id(9),
            instrument: InstrumentId(0),
        },
        at(2),
    );
    assert_eq!(
        said(&mut venue, 1_000),
        [
            "200 1 WouldTake",
            "200 2 accepted",
            "200 3 accepted",
            "200 3 Expired",
            "200 4 accepted",
            "200 4 taker 100 x 1 fee 0.1 USDT",
            "200 4 Expired",
            "200 5 accepted",
            "200 2 Expired",
            "201 5 Canceled",
            "202 9 cancel UnknownOrder",
        ]
    );
}

#[test]
fn what_the_balance_does_not_cover_or_no_book_is_known_for_is_refused() {
    let mut venue = opened();
    venue.submit(&order(1, Side::Sell, Some("200"), "4"), at(0));
    venue.submit(&order(2, Side::Sell, None, "2"), at(0));
    venue.submit(&order(3, Side::Buy, Some("90"), "200"), at(0));
    let refused = [
        "200 1 accepted",
        "200 2 InsufficientBalance",
        "200 3 InsufficientBalance",
    ];
    assert_eq!(said(&mut venue, 200), refused);
    let invalid = domain::BookInvalid {
        instrument: InstrumentId(0),
        reason: domain::BookInvalidReason::Gap,
    };
    venue.hear(at(300), &MarketEvent::BookInvalid(invalid));
    venue.submit(&order(4, Side::Buy, None, "1"), at(300));
    assert_eq!(said(&mut venue, 600), ["500 4 NotTrading"]);
}

#[test]
fn faults_leave_the_outcome_unknown_and_the_venue_knows_it_all_the_same() {
    let mut venue = opened();
    venue.inject(InstrumentId(0), OrderFault::LoseAck);
    venue.inject(InstrumentId(0), OrderFault::LoseRequest);
    venue.submit(&order(1, Side::Buy, Some("99"), "1"), at(0));
    venue.submit(&order(2, Side::Buy, Some("99"), "1"), at(0));
    assert_eq!(
        said(&mut venue, 200),
        ["200 1 OutcomeUnknown", "200 2 OutcomeUnknown"]
    );
    let found = *venue.orders().next().unwrap();
    assert_eq!(found.request.client_order_id, id(1));
    assert_eq!(found.snapshot.status, OrderStatus::Accepted);
    assert_eq!(found.venue_order_id.0.as_str(), "1");
    assert_eq!(venue.orders().count(), 1, "the other was never placed");
    let cancel = CancelRequest {
        client_order_id: id(1),
        instrument: InstrumentId(0),
    };
    assert!(venue.cancel_at_once(&cancel));
    assert!(!venue.cancel_at_once(&cancel));
    assert!(venue.open_orders(InstrumentId(0)).next().is_none());
    assert_eq!(
        venue.orders().next().unwrap().snapshot.status,
        OrderStatus::Canceled
    );
}

#[test]
fn no_answer_overtakes_a_report() {
    let mut venue = opened();
    let bought = order(1, Side::Buy, None, "1");
    let named = CancelRequest {
        client_order_id: id(1),
        instrument: InstrumentId(0),
    };
    venue.submit(&bought, at(0));
    for until in [50, 150, 199] {
        assert!(told(&mut venue, until).is_empty());
        assert!(venue.is_on_its_way(&named));
        assert_eq!((venue.orders().count(), venue.fills().count()), (0, 0));
        assert_eq!(venue.balances().last().unwrap().free, quantity("10000"));
    }
    assert_eq!(told(&mut venue, 200).len(), 4, "accepted, filled, two balances");
    assert!(!venue.is_on_its_way(&named));
    assert_eq!(
        venue.orders().next().unwrap().snapshot.status,
        OrderStatus::Filled
    );
    assert_eq!(venue.fills().next().unwrap().fill.quantity, quantity("1"));
    assert_eq!(venue.balances().last().unwrap().free, quantity("9899.9"));
}

#[test]
fn what_earlier_lives_left_is_in_the_balances() {
    let mut venue = opened();
    let of = |code: &str| domain::Currency::new(code).unwrap();
    venue.carry(&PaperLeft {
        changes: vec![(of("BTC"), units("1")), (of("USDT"), -units("100"))],
        orders: vec![(order(7, Side::Buy, Some("99"), "1"), quantity("0.5"))],
        numbers_from: 1 << 32,
    });
    let ended = venue.orders().next().unwrap().snapshot;
    assert_eq!(
        (ended.status, ended.filled),
        (OrderStatus::Canceled, quantity("0.5"))
    );
    let balances: Vec<_> = venue.balances().iter().map(|balance| balance.free).collect();
    assert_eq!(balances, [quantity("6"), quantity("9900")]);
    venue.submit(&order(1, Side::Sell, None, "6"), at(0));
    said(&mut venue, 1_000);
    let (order, fill) = (venue.orders().next().unwrap(), venue.fills().next().unwrap());
    assert_eq!(order.venue_order_id.0.as_str(), "4294967297");
    assert_eq!(fill.fill.trade_id, TradeId((1 << 32) + 1));
}

/// One step of a made-up market and of us in it.
#[derive(Debug, Clone)]
enum Step {
    Levels(bool, i64, i64),
    Trade(bool, i64, i64),
    Order(bool, Option<i64>, i64, bool),
    Cancel(u32),
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let step = prop_oneof![
        (any::<bool>(), 0i64..10, 0i64..5).prop_map(|(side, at, much)| Step::Levels(side, at, much)),
        (any::<bool>(), 0i64..20, 1i64..5).prop_map(|(side, at, much)| Step::Trade(side, at, much)),
        (any::<bool>(), prop::option::of(0i64..20), 1i64..4, any::<bool>())
            .prop_map(|(side, at, much, post)| Step::Order(side, at, much, post)),
        (0u32..40).prop_map(Step::Cancel),
    ];
    prop::collection::vec((0i64..120, step), 1..120)
}

fn side(is_buy: bool) -> Side {
    if is_buy { Side::Buy } else { Side::Sell }
}

fn whole(units: i64) -> String {
    units.to_string()
}

/// Plays the steps; `every` how much time passes at most until the account is asked.
fn play(steps: &[(i64, Step)], every: i64) -> Vec<(i64, PaperEvent)> {
    let mut venue = opened();
    let (mut now, mut sent, mut events) = (0, 0, Vec::new());
    for (gap, step) in steps {
        for tick in (now..now + gap).step_by(usize::try_from(every).unwrap()) {
            events.extend(told(&mut venue, tick));
        }
        now += gap;
        match step {
            Step::Levels(is_bid, level, much) => {
                let at_price = if *is_bid { 99 - level } else { 100 + level };
                let (at_price, much) = (whole(at_price), whole(*much));
                let changed = [(at_price.as_str(), much.as_str())];
                let (bids, asks): (&[_], &[_]) = if *is_bid { (&changed, &[]) } else { (&[], &changed) };
                book(&mut venue, now, BookUpdateKind::Delta, bids, asks);
            }
            Step::Trade(is_buy, level, much) => {
                trade(&mut venue, now, &whole(90 + level), &whole(*much), side(*is_buy));
            }
            Step::Order(is_buy, level, much, post_only) => {
                sent += 1;
                let limit = level.map(|level| whole(90 + level));
                let request = OrderRequest {
                    post_only: *post_only && limit.is_some(),
                    ..order(sent, side(*is_buy), limit.as_deref(), &whole(*much))
                };
                venue.submit(&request, at(now));
            }
            Step::Cancel(counter) => {
                let cancel = CancelRequest {
                    client_order_id: id(*counter),
                    instrument: InstrumentId(0),
                };
                venue.cancel(&cancel, at(now));
            }
        }
    }
    events.extend(told(&mut venue, now + 10_000));
    events
}

proptest! {
    #[test]
    fn reports_do_not_depend_on_how_often_the_account_is_asked(steps in steps()) {
        let reports = |every| {
            let events = play(&steps, every);
            let reports = events.into_iter().filter(|(_, event)| matches!(event, PaperEvent::Report(_)));
            reports.collect::<Vec<_>>()
        };
        let once = reports(1_000);
        prop_assert_eq!(&once, &reports(1));
        prop_assert!(once.is_sorted_by_key(|(ts, _)| *ts));
    }

    #[test]
    fn nothing_fills_beyond_its_size_and_money_is_conserved(steps in steps()) {
        let mut filled = std::collections::BTreeMap::<u32, i64>::new();
        let (mut base, mut quote) = (units("5"), i128::from(quantity("10000").units()) * i128::from(domain::SCALE));
        let events = play(&steps, 50);
        for (_, event) in &events {
            match event {
                PaperEvent::Report(report) => if let OrderReportKind::Filled(fill) = report.kind {
                    *filled.entry(report.client_order_id.counter).or_default() += fill.quantity.units();
                    let quantity = i128::from(fill.quantity.units());
                    let value = i128::from(fill.price.units()) * quantity;
                    let sign = if fill.side == Side::Buy { 1 } else { -1 };
                    base += sign * quantity;
                    quote -= sign * value + fill.fee.units();
                },
                PaperEvent::Balance(_) => {}
            }
        }
        prop_assert!(filled.values().all(|&units| units <= quantity("4").units()));
        // The last balances told are those that the fills add up to: prices here are whole, so nothing is rounded but fees.
        let last = |code: &str| events.iter().rev().find_map(|(_, event)| match event {
            PaperEvent::Balance(balance) if balance.currency.as_str() == code => {
                Some(i128::from(balance.free.units()) + i128::from(balance.locked.units()))
            }
            _ => None,
        });
        if let (Some(btc), Some(usdt)) = (last("BTC"), last("USDT")) {
            prop_assert_eq!(btc, base);
            prop_assert_eq!(usdt * i128::from(domain::SCALE), quote);
        }
    }
}
