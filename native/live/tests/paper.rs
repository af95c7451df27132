//! Orders that stay in the service: filled by simulation against the venue's public data, recorded like any venue's word.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::Path;

use domain::{
    Decimal, Nanos, OrderReport, OrderReportKind, OrderStatus, OrderType, Price, Quantity, Side, Timestamp,
};
use engine::{Action, BookedFill, CommandKind, EngineConfig, EventBody, ManualOrder};
use journal::codec::{RecordedAction, decode_action};
use journal::{Reader, RecordBody};
use live::egress::Halt;
use simulation::{
    FeeAsset, FeeSchedule, Latency, LatencyModel, PaperConfig, PaperEvent, PaperLeft, PaperVenue,
};
use support::programs::{CROSS, SILENT};
use support::venue::COMPRESSION;
use support::{BTC, Bench, SLOT, Seen};

fn fill(seen: &Seen) -> Option<BookedFill> {
    match seen {
        Seen::Fill(fill) => Some(*fill),
        _ => None,
    }
}

fn sold(seen: &Seen) -> Option<BookedFill> {
    fill(seen).filter(|fill| fill.fill.side == Side::Sell)
}

/// What the record of a first life says that the simulated venue told.
fn recorded_reports(journal: &Path) -> Vec<OrderReport> {
    let mut reader = Reader::open(journal).unwrap();
    let mut reports = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        if let RecordBody::Event(event) = record.body
            && let EventBody::OrderReport(report) = event.body
        {
            reports.push(report);
        }
    }
    reports
}

/// What a venue of its own makes of the recorded market and the recorded requests, and nothing else.
fn simulated_again(journal: &Path) -> Vec<OrderReport> {
    let mut reader = Reader::open(journal).unwrap();
    let mut venue = None;
    let mut last = Timestamp::EPOCH;
    loop {
        let format = reader.format();
        let Some(record) = reader.next_record().unwrap() else {
            break;
        };
        match record.body {
            RecordBody::Header(header) => venue = Some(venue_of(&header.config)),
            RecordBody::Event(event) => {
                last = event.ts;
                if let (Some(venue), EventBody::Market(market)) = (&mut venue, event.body) {
                    venue.hear(event.ts, &market);
                }
            }
            RecordBody::Action => {
                let venue = venue.as_mut().unwrap();
                match decode_action(format, record.payload).unwrap() {
                    RecordedAction::Submitted(order) => venue.submit(&order, last),
                    RecordedAction::Other(Action::Cancel(cancel)) => venue.cancel(&cancel, last),
                    RecordedAction::Amended(_) | RecordedAction::Other(_) => {}
                }
            }
        }
    }
    let mut venue = venue.unwrap();
    let told = std::iter::from_fn(|| venue.next_event(last));
    let reports = told.filter_map(|(_, event)| match event {
        PaperEvent::Report(report) => Some(report),
        PaperEvent::Balance(_) => None,
    });
    reports.collect()
}

fn venue_of(config: &EngineConfig) -> PaperVenue {
    // The network's time in the venue's.
    let leg = Latency {
        base: Nanos::from_millis(50 * COMPRESSION),
        jitter: Nanos::from_millis(20 * COMPRESSION),
    };
    let quote = config.instruments[0].quote;
    let ten = Decimal::parse(b"10").unwrap();
    let mut venue = PaperVenue::new(&PaperConfig {
        instruments: config.instruments.clone(),
        latency: LatencyModel {
            entry: leg,
            report: leg,
            seed: 1,
            ..LatencyModel::ZERO
        },
        fees: FeeSchedule {
            maker_bps: ten,
            taker_bps: ten,
            asset: FeeAsset::Quote,
        },
        opening: vec![(quote, 100_000 * 100_000_000)],
    });
    venue.carry(&PaperLeft {
        numbers_from: u64::from(config.epoch.0) << 32,
        ..PaperLeft::default()
    });
    venue
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strategy_trades_without_a_key_and_its_fills_follow_from_the_record_alone() {
    let mut bench = Bench::start_simulated("latency_jitter_ms = 20").await;
    bench.until_ready().await;
    bench.deploy(CROSS).await;
    for _ in 0..2 {
        bench.until("the way there and back", sold).await;
    }
    let journal = bench.home.path().join("run/journal");
    // The record outlives the bench.
    let home = std::mem::replace(&mut bench.home, tempfile::tempdir().unwrap());
    let (ended, seen, venue) = bench.drain().await;
    assert_eq!(
        (ended.halt, ended.orders_left, ended.compared),
        (Halt::Draining, 0, true)
    );
    let alerts: Vec<_> = seen.iter().filter(|one| matches!(one, Seen::Alert(_))).collect();
    assert!(alerts.is_empty(), "{alerts:?}");
    let account = &venue.state().await["accounts"][0];
    assert_eq!(
        account["fills"].as_u64(),
        Some(0),
        "nothing came to the venue: {account}"
    );
    let recorded = recorded_reports(&journal);
    let is_fill = |report: &&OrderReport| matches!(report.kind, OrderReportKind::Filled(_));
    assert!(recorded.iter().filter(is_fill).count() >= 4);
    assert_eq!(simulated_again(&journal), recorded);
    drop(home);
}

/// An order of a person, so far from the best bid.
fn by_hand(view: &live::view::View, permille: i64, whole: i64) -> CommandKind {
    let bid = view.tops[0].unwrap().bid.units();
    let cent = 1_000_000;
    CommandKind::ManualOrder(ManualOrder {
        slot: SLOT,
        instrument: BTC,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(bid * permille / 1_000 / cent * cent)),
        quantity: Quantity::from_units(whole * 100_000_000),
    })
}

async fn ask_for(bench: &mut Bench, permille: i64, whole: i64) {
    let view = bench.commander.look().await.unwrap();
    let command = by_hand(&view, permille, whole);
    assert_eq!(bench.commander.command(command).await.unwrap(), Ok(()));
}

async fn until_report(bench: &mut Bench, what: &str, fits: impl Fn(&OrderReportKind) -> bool) -> OrderReport {
    bench
        .until(what, |seen| match seen {
            Seen::Report(report) if fits(&report.kind) => Some(*report),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_life_goes_on_with_what_the_account_holds() {
    let mut bench = Bench::start_simulated("opening = [\"20000 USDT\", \"3 BTC\"]").await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    ask_for(&mut bench, 1_005, 2).await;
    until_report(&mut bench, "a fill", |kind| {
        matches!(kind, OrderReportKind::Filled(_))
    })
    .await;
    // One that rests, and ends with the life.
    ask_for(&mut bench, 985, 1).await;
    let rests = until_report(&mut bench, "it rests", |kind| {
        matches!(kind, OrderReportKind::Accepted(_))
    })
    .await;
    let mut bench = bench.restart().await;
    bench.until_ready().await;
    let view = bench.commander.look().await.unwrap();
    assert_eq!(view.positions[0].quantity, Quantity::from_units(200_000_000));
    assert_eq!(view.slots[0].working_orders, 0);
    ask_for(&mut bench, 1_005, 1).await;
    let bought = until_report(&mut bench, "a fill", |kind| {
        matches!(kind, OrderReportKind::Filled(_))
    })
    .await;
    assert_ne!(bought.client_order_id.epoch, rests.client_order_id.epoch);
    let OrderReportKind::Filled(again) = bought.kind else {
        unreachable!()
    };
    assert!(again.trade_id.0 > 2 << 32, "no two lives share a number");
    let (ended, seen, _venue) = bench.drain().await;
    assert_eq!((ended.orders_left, ended.compared), (0, true));
    let alerts: Vec<_> = seen.iter().filter(|one| matches!(one, Seen::Alert(_))).collect();
    assert!(alerts.is_empty(), "the account agrees in every life: {alerts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_stays_unknown_is_found_out_and_never_sent_again() {
    let mut bench = Bench::start_simulated("unknown_one_in = 1").await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    // The first was placed and its answer lost, the second never arrived.
    for ends in [OrderStatus::Accepted, OrderStatus::Rejected] {
        ask_for(&mut bench, 985, 1).await;
        until_report(&mut bench, "no answer", |kind| {
            *kind == OrderReportKind::OutcomeUnknown
        })
        .await;
        bench
            .until("it is found out", |seen| match seen {
                Seen::Update(update) => (update.status == ends).then_some(()),
                _ => None,
            })
            .await;
    }
    assert_eq!(bench.commander.look().await.unwrap().slots[0].working_orders, 1);
    let (ended, seen, _venue) = bench.drain().await;
    assert_eq!((ended.orders_left, ended.compared), (0, true));
    let sent = seen.iter().filter(|one| matches!(one, Seen::Sent(_))).count();
    assert_eq!(sent, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_cancels_what_rests_here_too() {
    let mut bench = Bench::start_simulated("").await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    ask_for(&mut bench, 985, 1).await;
    until_report(&mut bench, "it rests", |kind| {
        matches!(kind, OrderReportKind::Accepted(_))
    })
    .await;
    assert_eq!(bench.commander.kill().await.unwrap(), Ok(()));
    until_report(&mut bench, "it is gone", |kind| {
        *kind == OrderReportKind::Canceled
    })
    .await;
    drop(bench.drain().await);
}
