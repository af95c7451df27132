//! Orders through risk to the venue and back, stops, and the end.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use domain::{OrderReportKind, OrderStatus, OrderType, Price, Quantity, Side};
use engine::strategy::SmaSource;
use engine::{CommandKind, CommandRefusal, ControlLevel, ManualOrder, Scope};
use live::egress::Halt;
use live::view::ServiceState;
use support::{BTC, Bench, SLOT, Seen, sma_cross};

fn fill(seen: &Seen) -> Option<engine::BookedFill> {
    match seen {
        Seen::Fill(fill) => Some(*fill),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strategy_trades_and_what_it_holds_agrees_with_the_venue() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.deploy(sma_cross(&bench.setup, SmaSource::BarClose)).await;
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
    let mut program = sma_cross(&bench.setup, SmaSource::BarClose);
    // It never decides: only what a person asks for is sent.
    program.strategy = Box::new(Silent);
    bench.deploy(program).await;
    rest_an_order(&mut bench, 1).await;
    assert_eq!(bench.commander.look().await.unwrap().slots[0].working_orders, 1);
    let (ended, seen, venue) = bench.drain().await;
    assert_eq!((ended.orders_left, ended.compared), (0, true));
    assert!(seen.contains(&Seen::Command(CommandKind::CancelOrders(Scope::All))));
    let open = venue.state().await["accounts"][0]["open_orders"].clone();
    assert_eq!(open.as_array().map(Vec::len), Some(0));
}

/// A strategy that wants nothing.
struct Silent;

impl engine::strategy::Strategy for Silent {
    fn on_bar(
        &mut self,
        _: &engine::strategy::SlotView<'_>,
        _: &engine::strategy::BarView<'_>,
        _: &mut engine::strategy::Intents,
    ) -> engine::Decision {
        engine::Decision::Hold
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_cancels_and_nothing_leaves_until_a_person_rearms() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    let mut program = sma_cross(&bench.setup, SmaSource::BarClose);
    program.strategy = Box::new(Silent);
    bench.deploy(program).await;
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
    assert_eq!(refused, Err(CommandRefusal::Denied));
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
async fn a_record_that_breaks_stops_orders_and_ends_the_service() {
    let mut bench = Bench::start_with(Some(1_500)).await;
    bench.until_ready().await;
    bench.deploy(sma_cross(&bench.setup, SmaSource::BarClose)).await;
    let service = bench.service;
    let ended = tokio::time::timeout(support::PATIENCE, service.run_until(std::future::pending()))
        .await
        .expect("it ends by itself")
        .unwrap();
    assert_eq!((ended.halt, ended.orders_left), (Halt::Record, 0));
    assert!(ended.fault.unwrap().to_string().contains("no space left"));
}
