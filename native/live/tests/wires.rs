//! The service over the wires of Kraken and Coinbase: it trades, takes over what an earlier life left, cancels at the
//! end, and refuses keys that the venue refuses.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::{
    InstrumentStatus, OrderReportKind, OrderStatus, OrderType, Price, Quantity, RejectReason, RuleViolation,
    Side, VenueState,
};
use engine::risk::DenyReason;
use engine::{CommandKind, CommandRefusal, ManualOrder, Scope};
use live::egress::Halt;
use live::error::EXIT_VENUE;
use live::view::View;
use live::{Refused, Setup};
use support::programs::{CROSS, SILENT};
use support::venue::SimulatedVenue;
use support::wires::Wire;
use support::{BTC, Bench, SLOT, Seen};

/// Every way on which orders leave.
const WAYS: [(Wire, &str); 3] = [
    (Wire::Kraken, "rest"),
    (Wire::Kraken, "websocket"),
    (Wire::Coinbase, "rest"),
];

fn fill(seen: &Seen) -> Option<engine::BookedFill> {
    match seen {
        Seen::Fill(fill) => Some(*fill),
        _ => None,
    }
}

fn order(view: &View, price: Option<Price>, hundredths: i64) -> CommandKind {
    assert!(view.tops[0].is_some(), "a book");
    CommandKind::ManualOrder(ManualOrder {
        slot: SLOT,
        instrument: BTC,
        side: Side::Buy,
        order_type: price.map_or(OrderType::Market, |_| OrderType::Limit),
        price,
        quantity: Quantity::from_units(hundredths * 1_000_000),
    })
}

/// Far below the market, within the collar.
fn resting(view: &View, whole: i64) -> CommandKind {
    let bid = view.tops[0].unwrap().bid.units();
    let cent = 1_000_000;
    order(
        view,
        Some(Price::from_units(bid * 985 / 1_000 / cent * cent)),
        whole * 100,
    )
}

async fn rest_an_order(bench: &mut Bench, whole: i64) {
    let view = bench.commander.look().await.unwrap();
    let answer = bench.commander.command(resting(&view, whole)).await.unwrap();
    if answer.is_err() {
        bench.catch_up();
        panic!("{answer:?}: {:#?}", bench.last(4));
    }
    bench
        .until("it rests", |seen| match seen {
            Seen::Update(update) if update.status == OrderStatus::Accepted => Some(()),
            _ => None,
        })
        .await;
}

fn open_orders(state: &serde_json::Value) -> usize {
    state["accounts"][0]["open_orders"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strategy_trades_and_what_it_holds_agrees_with_the_venue() {
    for (wire, way) in WAYS {
        let mut bench = Bench::start_over(wire, way).await;
        bench.until_ready().await;
        bench.deploy(CROSS).await;
        let bought = bench.until("a fill", fill).await;
        assert_eq!(bought.fill.side, Side::Buy, "{wire:?} {way}");
        bench
            .until("the way back", |seen| {
                fill(seen).filter(|fill| fill.fill.side == Side::Sell)
            })
            .await;
        let (ended, seen, venue) = bench.drain().await;
        assert_eq!(
            (ended.halt, ended.orders_left, ended.compared),
            (Halt::Draining, 0, true),
            "{wire:?} {way}"
        );
        let alerts: Vec<_> = seen.iter().filter(|one| matches!(one, Seen::Alert(_))).collect();
        assert!(alerts.is_empty(), "{wire:?} {way}: {alerts:?}");
        let booked: Vec<_> = seen.iter().filter_map(fill).collect();
        let distinct: BTreeSet<_> = booked.iter().map(|fill| fill.fill.trade_id.0).collect();
        let state = venue.state().await;
        assert_eq!(
            (Some(booked.len() as u64), distinct.len()),
            (state["accounts"][0]["fills"].as_u64(), booked.len()),
            "{wire:?} {way}: each booked once"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_cancels_what_rests_and_leaves_nothing() {
    for (wire, way) in WAYS {
        let mut bench = Bench::start_over(wire, way).await;
        bench.until_ready().await;
        bench.deploy(SILENT).await;
        rest_an_order(&mut bench, 1).await;
        rest_an_order(&mut bench, 2).await;
        assert_eq!(open_orders(&bench.venue.state().await), 2, "{wire:?} {way}");
        let (ended, _, venue) = bench.drain().await;
        assert_eq!((ended.orders_left, ended.compared), (0, true), "{wire:?} {way}");
        assert_eq!(open_orders(&venue.state().await), 0, "{wire:?} {way}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_life_takes_over_the_position() {
    for (wire, way) in WAYS {
        let mut bench = Bench::start_over(wire, way).await;
        bench.until_ready().await;
        bench.deploy(SILENT).await;
        let view = bench.commander.look().await.unwrap();
        let bought = bench.commander.command(order(&view, None, 70)).await.unwrap();
        assert_eq!(bought, Ok(()), "{wire:?} {way}");
        bench
            .until("it holds some", |seen| match seen {
                Seen::Update(update) => {
                    (update.status.is_terminal() && update.filled > Quantity::ZERO).then_some(())
                }
                _ => None,
            })
            .await;
        let before = bench.commander.look().await.unwrap();
        let mut bench = bench.restart().await;
        bench.until_ready().await;
        let after = bench.commander.look().await.unwrap();
        assert_eq!(after.epoch.0, before.epoch.0 + 1);
        assert_eq!(
            after.positions[0].quantity, before.positions[0].quantity,
            "{wire:?} {way}"
        );
        let (ended, seen, _) = bench.drain().await;
        assert!(ended.compared, "{wire:?} {way}");
        let alerts: Vec<_> = seen.iter().filter(|one| matches!(one, Seen::Alert(_))).collect();
        assert!(alerts.is_empty(), "{wire:?} {way}: {alerts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_never_came_is_found_out_and_nothing_is_sent_twice() {
    for (wire, way) in WAYS {
        let mut bench = Bench::start_over(wire, way).await;
        bench.until_ready().await;
        bench.deploy(SILENT).await;
        bench
            .venue
            .fault(r#"{"kind":"unknown_outcome","request":"place","executed":true,"answer":"timeout","count":1}"#)
            .await;
        rest_an_order(&mut bench, 1).await;
        assert_eq!(open_orders(&bench.venue.state().await), 1, "{wire:?} {way}");
        let sent = bench
            .seen
            .iter()
            .filter(|seen| matches!(seen, Seen::Sent(_)))
            .count();
        assert_eq!(sent, 1, "{wire:?} {way}");
        let (ended, seen, venue) = bench.drain().await;
        assert_eq!((ended.orders_left, ended.compared), (0, true), "{wire:?} {way}");
        assert_eq!(open_orders(&venue.state().await), 0, "{wire:?} {way}");
        let refused = seen.iter().any(
            |seen| matches!(seen, Seen::Report(report) if matches!(report.kind, OrderReportKind::Rejected(_))),
        );
        assert!(!refused, "{wire:?} {way}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_are_made_again_and_the_account_compared() {
    for (wire, way) in WAYS {
        let mut bench = Bench::start_over(wire, way).await;
        bench.until_ready().await;
        bench.deploy(SILENT).await;
        rest_an_order(&mut bench, 1).await;
        bench
            .venue
            .fault(r#"{"kind":"drop_connections","target":"all"}"#)
            .await;
        bench
            .until("it is offline", |seen| match seen {
                Seen::Venue(state) => (*state != domain::VenueState::Online).then_some(()),
                _ => None,
            })
            .await;
        bench.until_seen(Seen::Reconciled).await;
        let (ended, seen, venue) = bench.drain().await;
        assert_eq!((ended.orders_left, ended.compared), (0, true), "{wire:?} {way}");
        assert_eq!(open_orders(&venue.state().await), 0, "{wire:?} {way}");
        let alerts: Vec<_> = seen.iter().filter(|one| matches!(one, Seen::Alert(_))).collect();
        assert!(alerts.is_empty(), "{wire:?} {way}: {alerts:?}");
    }
}

/// Asks until the venue shows so many open orders.
async fn until_open(bench: &Bench, orders: usize) {
    let shown = async {
        while open_orders(&bench.venue.state().await) != orders {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(support::PATIENCE, shown).await;
    assert!(waited.is_ok(), "{orders} orders");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_venue_cancels_the_orders_of_a_service_that_decides_nothing_any_more() {
    let venue = SimulatedVenue::start_over(Wire::Kraken).await;
    let lines = "order_entry = \"rest\"\ndead_mans_switch_s = 15";
    let mut bench = Bench::start_beside(Wire::Kraken, venue, lines, None).await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    rest_an_order(&mut bench, 1).await;
    let put_off = |bench: &Bench| {
        let counters = bench.service.counters();
        let (put_off, set) = (&counters.dead_mans_switch_put_off, &counters.dead_mans_switch_set);
        (put_off.get(), set.get())
    };
    // A service that has nothing to do makes its rounds all the same.
    let before = put_off(&bench).0;
    until(&bench, "put off", |bench| put_off(bench) >= (before + 2, 1)).await;
    until_open(&bench, 1).await;
    let disk = Arc::clone(&bench.disk).lock_owned().await;
    until_open(&bench, 0).await;
    assert_eq!(put_off(&bench).1, 0, "and it is said");
    drop(disk);
    until(&bench, "put off again", |bench| put_off(bench).1 == 1).await;
    let (ended, _, _) = bench.drain().await;
    assert_eq!(ended.orders_left, 0);
}

async fn until(bench: &Bench, what: &str, condition: impl Fn(&Bench) -> bool) {
    let holds = async {
        while !condition(bench) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(support::PATIENCE, holds).await;
    assert!(waited.is_ok(), "never: {what}");
}

fn denied(reason: DenyReason) -> Result<(), Refused> {
    Err(Refused {
        refusal: CommandRefusal::Denied,
        denied: Some(reason),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_venue_that_says_it_takes_no_orders_gets_none_and_cancels_still_leave() {
    for mode in ["cancel_only", "post_only"] {
        let mut bench = Bench::start_over(Wire::Kraken, "websocket").await;
        bench.until_ready().await;
        bench.deploy(SILENT).await;
        rest_an_order(&mut bench, 1).await;
        let view = bench.commander.look().await.unwrap();
        let fault = format!(r#"{{"kind":"mode","mode":"{mode}"}}"#);
        bench.venue.fault(&fault).await;
        bench.until_seen(Seen::Venue(VenueState::Offline)).await;
        let answer = bench.commander.command(resting(&view, 2)).await.unwrap();
        assert_eq!(answer, denied(DenyReason::VenueOffline), "{mode}");
        let cancel = CommandKind::CancelOrders(Scope::All);
        assert_eq!(bench.commander.command(cancel).await.unwrap(), Ok(()), "{mode}");
        bench
            .until("the resting order is gone", |seen| match seen {
                Seen::Report(report) => (report.kind == OrderReportKind::Canceled).then_some(()),
                _ => None,
            })
            .await;
        assert_eq!(open_orders(&bench.venue.state().await), 0, "{mode}");
        bench.venue.fault(r#"{"kind":"mode","mode":"online"}"#).await;
        bench.until_seen(Seen::Venue(VenueState::Online)).await;
        bench.until_seen(Seen::Reconciled).await;
        until_a_book_stands(&bench).await;
        rest_an_order(&mut bench, 1).await;
        let (ended, _, venue) = bench.drain().await;
        assert_eq!((ended.orders_left, ended.compared), (0, true), "{mode}");
        assert_eq!(open_orders(&venue.state().await), 0, "{mode}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_asked_for_at_once_where_an_order_is_refused_because_nothing_trades() {
    let mut bench = Bench::start_over(Wire::Binance, "rest").await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    let view = bench.commander.look().await.unwrap();
    bench.venue.fault(CANCEL_ONLY).await;
    let answer = bench.commander.command(resting(&view, 1)).await.unwrap();
    assert_eq!(answer, Ok(()), "nobody has said it yet");
    bench
        .until("the venue refuses it", |seen| match seen {
            Seen::Report(report) => {
                (report.kind == OrderReportKind::Rejected(RejectReason::NotTrading)).then_some(())
            }
            _ => None,
        })
        .await;
    nothing_new_is_taken(bench).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_are_asked_for_at_once_where_the_stream_says_that_a_product_is_not_traded() {
    let mut bench = Bench::start_over(Wire::Coinbase, "rest").await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    bench.venue.fault(CANCEL_ONLY).await;
    nothing_new_is_taken(bench).await;
}

const CANCEL_ONLY: &str = r#"{"kind":"mode","mode":"cancel_only"}"#;

/// From the moment the rules say so.
async fn nothing_new_is_taken(mut bench: Bench) {
    bench.until_seen(Seen::Rules(InstrumentStatus::CancelOnly)).await;
    let view = bench.commander.look().await.unwrap();
    let answer = bench.commander.command(resting(&view, 1)).await.unwrap();
    let rule = RuleViolation::NotTrading(InstrumentStatus::CancelOnly);
    assert_eq!(answer, denied(DenyReason::Rule(rule)));
    drop(bench.drain().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_the_venue_refuses_end_the_start() {
    for wire in [Wire::Kraken, Wire::Coinbase] {
        let Bench {
            service,
            setup,
            home: _home,
            venue: _venue,
            ..
        } = Bench::start_over(wire, "rest").await;
        service.drain().await.unwrap();
        let refused: &Setup = &setup;
        let error = support::try_start_with(refused, None, Some(wire.stranger())).await;
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), EXIT_VENUE, "{wire:?}: {error}");
        assert!(
            error.to_string().contains("refused the keys"),
            "{wire:?}: {error}"
        );
    }
}

/// A fault of the venue, and the name under which what follows is counted: family, value.
type Case = (&'static str, &'static str, &'static str);

const EVERYWHERE: [Case; 3] = [
    (
        r#"{"kind":"frames","class":"book","fault":"truncate","count":1}"#,
        "market_refused",
        "not_json",
    ),
    (
        r#"{"kind":"frames","class":"book","fault":"truncate","count":1}"#,
        "books_invalid",
        "malformed",
    ),
    (
        r#"{"kind":"drop_connections","target":"market"}"#,
        "books_invalid",
        "disconnected",
    ),
];

/// What only this wire can show.
const fn cases_of(wire: Wire) -> [Case; 3] {
    const DROP: &str = r#"{"kind":"frames","class":"book","fault":"drop","count":1}"#;
    const TWICE: &str = r#"{"kind":"frames","class":"book","fault":"duplicate","count":1}"#;
    // A change that is lost may lie behind the levels that the checksum is of.
    const CHECKSUM: &str = r#"{"kind":"bad_checksum","count":1}"#;
    const TRADE: &str = r#"{"kind":"frames","class":"trade","fault":"duplicate","count":1}"#;
    match wire {
        Wire::Binance => [
            (DROP, "market_refused", "book_gap"),
            (TWICE, "market_refused", "stale_change"),
            (TRADE, "market_refused", "trade_duplicate"),
        ],
        Wire::Kraken => [
            (CHECKSUM, "market_refused", "wrong_checksum"),
            (CHECKSUM, "books_invalid", "checksum"),
            (TRADE, "market_refused", "trade_duplicate"),
        ],
        Wire::Coinbase => [
            (DROP, "market_refused", "connection_gap"),
            (DROP, "books_invalid", "gap"),
            (TRADE, "market_refused", "connection_repeat"),
        ],
    }
}

fn count(bench: &Bench, family: &str, value: &str) -> u64 {
    let families = bench.service.counters().refusals.families();
    let found = families.into_iter().find(|one| one.name == family).unwrap();
    let (_, count) = found.read().find(|(known, _)| *known == value).unwrap();
    count
}

async fn until_counted(bench: &mut Bench, family: &str, value: &str, before: u64, why: &str) {
    let counted = async {
        while count(bench, family, value) <= before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(support::PATIENCE, counted).await;
    assert!(waited.is_ok(), "{:?} {family} {value} after {why}", bench.wire);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_counts_under_its_own_name() {
    for wire in [Wire::Binance, Wire::Kraken, Wire::Coinbase] {
        let mut bench = Bench::start_over(wire, "rest").await;
        bench.until_ready().await;
        for (fault, family, value) in EVERYWHERE.into_iter().chain(cases_of(wire)) {
            // A book that is given up already is not given up again.
            until_a_book_stands(&bench).await;
            let before = count(&bench, family, value);
            bench.venue.fault(fault).await;
            until_counted(&mut bench, family, value, before, fault).await;
        }
        bench.deploy(SILENT).await;
        account_and_questions_are_refused(&mut bench).await;
        orders_are_refused(&mut bench).await;
        drop(bench.drain().await);
    }
}

async fn until_a_book_stands(bench: &Bench) {
    let stands = async {
        while bench.commander.look().await.unwrap().tops[0].is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(support::PATIENCE, stands).await;
    assert!(waited.is_ok(), "{:?}: no book", bench.wire);
}

/// Sends an order that would rest, as soon as one may leave.
async fn send(bench: &Bench, whole: i64) {
    let sent = async {
        loop {
            let view = bench.commander.look().await.unwrap();
            let stands = view.tops[0].is_some();
            if stands && bench.commander.command(resting(&view, whole)).await.unwrap() == Ok(()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(support::PATIENCE, sent).await;
    assert!(waited.is_ok(), "{:?}: no order leaves", bench.wire);
}

/// The venue's words for "not enough", and an answer that never comes.
async fn orders_are_refused(bench: &mut Bench) {
    let (code, words) = match bench.wire {
        Wire::Binance => (-2010, "Account has insufficient balance for requested action."),
        Wire::Kraken => (0, "EOrder:Insufficient funds"),
        Wire::Coinbase => (0, "INSUFFICIENT_FUND"),
    };
    let reject =
        format!(r#"{{"kind":"reject","request":"place","code":{code},"message":"{words}","count":1}}"#);
    let unknown =
        r#"{"kind":"unknown_outcome","request":"place","executed":false,"answer":"timeout","count":1}"#;
    for (fault, value) in [
        (reject.as_str(), "insufficient_balance"),
        (unknown, "outcome_unknown"),
    ] {
        bench.venue.fault(fault).await;
        send(bench, 1).await;
        until_counted(bench, "orders_rejected", value, 0, fault).await;
    }
}

/// A message of the account that is cut in half, and a comparison that the venue turns away.
async fn account_and_questions_are_refused(bench: &mut Bench) {
    let cut = r#"{"kind":"frames","class":"account","fault":"truncate","count":1}"#;
    bench.venue.fault(cut).await;
    send(bench, 2).await;
    until_counted(bench, "account_refused", "not_json", 0, cut).await;
    let limited = r#"{"kind":"rate_limited","request":"query","retry_after_s":0,"count":1}"#;
    bench.venue.fault(limited).await;
    bench
        .venue
        .fault(r#"{"kind":"drop_connections","target":"account"}"#)
        .await;
    until_counted(bench, "requests_refused", "rate_limit", 0, limited).await;
}
