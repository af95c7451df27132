//! Orders through risk to the venue and back, stops, and the end.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use domain::{BundleDigest, OrderReportKind, OrderStatus, OrderType, Price, Quantity, Side};
use engine::risk::DenyReason;
use engine::{CommandKind, CommandRefusal, ControlLevel, ManualOrder, Scope};
use live::Refused;
use live::deploy::DeployError;
use live::egress::Halt;
use live::view::ServiceState;
use support::programs::{CROSS, OLDER, SILENT};
use support::{BTC, Bench, SLOT, Seen};

fn fill(seen: &Seen) -> Option<engine::BookedFill> {
    match seen {
        Seen::Fill(fill) => Some(*fill),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strategy_trades_and_what_it_holds_agrees_with_the_venue() {
    for order_entry in ["rest", "websocket"] {
        trade_by(order_entry).await;
    }
}

async fn trade_by(order_entry: &str) {
    let mut bench = Bench::start_by(order_entry, None).await;
    bench.until_ready().await;
    bench.deploy(CROSS).await;
    assert_eq!(bench.commander.look().await.unwrap().state, ServiceState::Trading);
    let sent = bench
        .until("an order", |seen| match seen {
            Seen::Sent(request) => Some(*request),
            _ => None,
        })
        .await;
    assert_eq!((sent.side, sent.order_type), (Side::Buy, OrderType::Market));
    let first = bench.until("its fill", fill).await;
    assert_eq!(first.client_order_id, Some(sent.client_order_id));
    let sold = bench
        .until("the way back", |seen| {
            fill(seen).filter(|fill| fill.fill.side == Side::Sell)
        })
        .await;
    assert_eq!(sold.slot, SLOT);
    // The account is compared now, not in half a minute: the difference would be told.
    let (ended, seen, venue) = bench.drain().await;
    assert_eq!(
        (ended.halt, ended.orders_left, ended.compared),
        (Halt::Draining, 0, true)
    );
    let alerts: Vec<_> = seen.iter().filter(|one| matches!(one, Seen::Alert(_))).collect();
    assert!(alerts.is_empty(), "{alerts:?}");
    let state = venue.state().await;
    let fills = seen.iter().filter(|one| fill(one).is_some()).count();
    assert_eq!(
        state["accounts"][0]["fills"].as_u64(),
        Some(fills as u64),
        "each booked once"
    );
}

/// A limit order that rests: far below the market, within the collar.
fn resting(view: &live::view::View, whole: i64) -> CommandKind {
    let bid = view.tops[0].unwrap().bid.units();
    let cent = 1_000_000;
    CommandKind::ManualOrder(ManualOrder {
        slot: SLOT,
        instrument: BTC,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(bid * 985 / 1_000 / cent * cent)),
        quantity: Quantity::from_units(whole * 100_000_000),
    })
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_cancels_what_rests_and_leaves_nothing() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    rest_an_order(&mut bench, 1).await;
    assert_eq!(bench.commander.look().await.unwrap().slots[0].working_orders, 1);
    let (ended, seen, venue) = bench.drain().await;
    assert_eq!((ended.orders_left, ended.compared), (0, true));
    assert!(seen.contains(&Seen::Command(CommandKind::CancelOrders(Scope::All))));
    let open = venue.state().await["accounts"][0]["open_orders"].clone();
    assert_eq!(open.as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_cancels_and_nothing_leaves_until_a_person_rearms() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    rest_an_order(&mut bench, 1).await;
    assert_eq!(bench.commander.kill().await.unwrap(), Ok(()));
    bench
        .until_seen(Seen::Control(Scope::All, ControlLevel::Killed))
        .await;
    bench
        .until("the resting order is gone", |seen| match seen {
            Seen::Report(report) => (report.kind == OrderReportKind::Canceled).then_some(()),
            _ => None,
        })
        .await;
    let view = bench.commander.look().await.unwrap();
    assert_eq!(view.control, ControlLevel::Killed);
    let refused = bench.commander.command(resting(&view, 3)).await.unwrap();
    let denied = Refused {
        refusal: CommandRefusal::Denied,
        denied: Some(DenyReason::Killed),
    };
    assert_eq!(refused, Err(denied));
    let reason = domain::Text::new("looked at it").unwrap();
    let rearm = CommandKind::Rearm {
        scope: Scope::All,
        reason,
    };
    assert_eq!(bench.commander.command(rearm).await.unwrap(), Ok(()));
    rest_an_order(&mut bench, 2).await;
    drop(bench.drain().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_orders_cancels_what_rests_and_ends_the_service() {
    let mut bench = Bench::start_with(Some(2_500)).await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    rest_an_order(&mut bench, 1).await;
    let Bench { service, venue, .. } = bench;
    let ended = tokio::time::timeout(support::PATIENCE, service.run_until(std::future::pending()));
    let ended = ended.await.expect("it ends by itself").unwrap();
    assert_eq!((ended.halt, ended.orders_left), (Halt::Record, 0));
    assert!(ended.fault.unwrap().to_string().contains("no space left"));
    let open = venue.state().await["accounts"][0]["open_orders"].clone();
    assert_eq!(
        open.as_array().map(Vec::len),
        Some(0),
        "the cancel fitted into the reserve"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bundles_only_move_forward_but_for_a_rollback() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    let deployer = bench.commander.deployer();
    let nothing = deployer.roll_back(SLOT).await;
    assert_eq!(nothing, Err(DeployError::NothingBefore(SLOT)));
    deployer.deploy(SLOT, CROSS).await.unwrap();
    deployer.deploy(SLOT, CROSS).await.unwrap();
    assert_eq!(deployer.before(SLOT), None);
    let older = deployer.deploy(SLOT, OLDER).await;
    assert!(
        matches!(
            older,
            Err(DeployError::Serial {
                serial: 1,
                highest: 2,
                ..
            })
        ),
        "{older:?}"
    );
    let unknown = deployer.deploy(SLOT, BundleDigest([0; 32])).await;
    assert!(matches!(unknown, Err(DeployError::Refused(_))), "{unknown:?}");
    deployer.deploy(SLOT, SILENT).await.unwrap();
    let slot = bench.commander.look().await.unwrap().slots[0];
    assert_eq!((slot.active, slot.previous), (Some(SILENT), Some(CROSS)));
    bench.commander.deployer().roll_back(SLOT).await.unwrap();
    let slot = bench.commander.look().await.unwrap().slots[0];
    assert_eq!(slot.active, Some(CROSS));
    let again = bench.commander.deployer().roll_back(SLOT).await;
    assert_eq!(
        again,
        Err(DeployError::NothingBefore(SLOT)),
        "never forward to the one that was left"
    );
    drop(bench.drain().await);
}

/// Until a bundle runs again that ran in the life before.
async fn until_restored(bench: &Bench, digest: BundleDigest) -> live::view::View {
    let restored = async {
        loop {
            let view = bench.commander.look().await.unwrap();
            if view.slots[0].active == Some(digest) {
                break *view;
            }
        }
    };
    tokio::time::timeout(support::PATIENCE, restored).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rollbacks_lead_further_back_in_every_life() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    for digest in [OLDER, CROSS, SILENT] {
        bench.deploy(digest).await;
    }
    let mut bench = bench.restart().await;
    bench.until_ready().await;
    until_restored(&bench, SILENT).await;
    let deployer = bench.commander.deployer();
    assert_eq!(deployer.before(SLOT), Some(CROSS));
    deployer.roll_back(SLOT).await.unwrap();
    assert_eq!(bench.commander.look().await.unwrap().slots[0].active, Some(CROSS));

    let mut bench = bench.restart().await;
    bench.until_ready().await;
    until_restored(&bench, CROSS).await;
    let deployer = bench.commander.deployer();
    deployer.roll_back(SLOT).await.unwrap();
    assert_eq!(bench.commander.look().await.unwrap().slots[0].active, Some(OLDER));
    let nothing = deployer.roll_back(SLOT).await;
    assert_eq!(nothing, Err(DeployError::NothingBefore(SLOT)));
    // What was left counts as used.
    let left = deployer.deploy(SLOT, SILENT).await;
    assert!(matches!(left, Err(DeployError::Serial { .. })), "{left:?}");
    drop(bench.drain().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_life_takes_over_position_latches_and_bundle() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    let buy = CommandKind::ManualOrder(ManualOrder {
        slot: SLOT,
        instrument: BTC,
        side: Side::Buy,
        order_type: OrderType::Market,
        price: None,
        quantity: Quantity::from_units(70_000_000),
    });
    assert_eq!(bench.commander.command(buy).await.unwrap(), Ok(()));
    bench
        .until("it holds some", |seen| match seen {
            // A market may be thin: then the rest of the order expires.
            Seen::Update(update) => {
                (update.status.is_terminal() && update.filled > Quantity::ZERO).then_some(())
            }
            _ => None,
        })
        .await;
    let reduce = CommandKind::ReduceOnly(Scope::Slot(SLOT));
    assert_eq!(bench.commander.command(reduce).await.unwrap(), Ok(()));
    let before = bench.commander.look().await.unwrap();

    let mut bench = bench.restart().await;
    bench.until_ready().await;
    // Its bundle is verified beside the deciding thread, and comes when that is done.
    let after = until_restored(&bench, SILENT).await;
    assert_eq!(after.epoch.0, before.epoch.0 + 1);
    assert_eq!(after.seq.min(before.seq), before.seq, "events go on counting");
    let held = |view: &live::view::View| (view.positions[0].quantity, view.positions[0].cost);
    assert_eq!(
        (held(&after).0, held(&after).1),
        (held(&before).0, held(&before).1)
    );
    assert_eq!(after.latches, before.latches);
    assert_eq!(after.slots[0].control, ControlLevel::ReduceOnly);
    // Ten that were there before are still not ours: no difference is told.
    let (ended, seen, _) = bench.drain().await;
    assert!(ended.compared);
    let alerts: Vec<_> = seen.iter().filter(|one| matches!(one, Seen::Alert(_))).collect();
    assert!(alerts.is_empty(), "{alerts:?}");
    let truth: Vec<_> = seen
        .iter()
        .filter_map(|one| match one {
            Seen::Position(position) => Some(position.quantity),
            _ => None,
        })
        .collect();
    assert!(
        truth.iter().all(|quantity| *quantity == held(&before).0),
        "{truth:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_never_repeat_is_not_begun_anew_beside_a_record() {
    let Bench {
        service,
        setup,
        home: _home,
        venue: _venue,
        ..
    } = Bench::start().await;
    let life = service.folder().epoch().0;
    service.drain().await.unwrap();
    let epoch = setup.run_folder().join("epoch");
    let counters = setup.run_folder().join("command_counters");
    let refused = async || support::try_start(&setup, None).await.unwrap_err().to_string();

    std::fs::remove_file(&epoch).unwrap();
    let missing = refused().await;
    assert!(missing.contains("epoch: is missing"), "{missing}");
    let number = format!("write {life} into it, or more");
    assert!(missing.contains(&number), "{missing}");
    assert!(!epoch.exists(), "a refusal begins no life");
    std::fs::write(&epoch, format!("{}\n", life - 1)).unwrap();
    let older = refused().await;
    assert!(older.contains(&format!("cannot be life {life}")), "{older}");

    std::fs::remove_file(&counters).unwrap();
    let unknown = refused().await;
    assert!(unknown.contains("command_counters: is missing"), "{unknown}");
    assert!(!counters.exists());
    std::fs::write(&counters, "").unwrap();
    let (service, _tape) = support::try_start(&setup, None).await.unwrap();
    assert_eq!(
        service.folder().epoch().0,
        life + 2,
        "each start that came so far took a number"
    );
    service.drain().await.unwrap();
}
