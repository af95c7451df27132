//! What happens on the account without us: orders nobody knows, trades by hand, deposits; each named, none a profit.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use domain::{ClientOrderId, Currency, Money, OrderStatus, OrderType, Price, Quantity, Side};
use engine::{Alert, CommandKind, Difference, ManualOrder, MovementKind, Scope};
use support::programs::SILENT;
use support::{BTC, Bench, SLOT, Seen};

fn money(text: &str, asset: &str) -> Money {
    let units = Quantity::parse(text.as_bytes()).unwrap().units();
    Money::from_decimal_units(units, Currency::new(asset).unwrap())
}

fn alerts(seen: &[Seen]) -> Vec<Alert> {
    let alert = |one: &Seen| match one {
        Seen::Alert(alert) => Some(*alert),
        _ => None,
    };
    seen.iter().filter_map(alert).collect()
}

/// Until an alert that fits; how often each kind was counted then.
async fn until_alert(bench: &mut Bench, what: &str, fits: impl Fn(Alert) -> bool) {
    bench
        .until(what, |seen| match seen {
            Seen::Alert(alert) if fits(*alert) => Some(()),
            _ => None,
        })
        .await;
}

/// Until an account was compared that had settled, and what the engine holds agrees with it.
async fn until_settled(bench: &mut Bench) {
    let position = bench.commander.look().await.unwrap().positions[0].quantity;
    bench
        .until("the position agrees", |seen| match seen {
            Seen::Position(there) if there.quantity == position => Some(()),
            _ => None,
        })
        .await;
    bench
        .until("the comparison is over", |seen| match seen {
            Seen::Compared(_) => Some(()),
            _ => None,
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposit_and_a_withdrawal_are_recognised_and_nobodys_profit() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    let before = bench.commander.look().await.unwrap();
    bench.venue.transfer("USDT", "2500.5").await;
    bench.venue.transfer("BTC", "3").await;
    let wanted = [
        Alert::Deposit(money("3", "BTC")),
        Alert::Deposit(money("2500.5", "USDT")),
    ];
    for deposit in wanted {
        if !alerts(&bench.seen).contains(&deposit) {
            until_alert(&mut bench, "a deposit", |alert| alert == deposit).await;
        }
    }
    until_settled(&mut bench).await;
    let after = bench.commander.look().await.unwrap();
    assert_eq!(
        (after.equity, after.peak_equity),
        (before.equity, before.peak_equity)
    );
    assert_eq!(
        after.slots[0].control, before.slots[0].control,
        "nothing is held up"
    );

    // While the service is away, and found when it comes back.
    let mut bench = bench
        .restart_after(async |venue| venue.transfer("USDT", "-1000").await)
        .await;
    let withdrawal = Alert::Withdrawal(money("1000", "USDT"));
    until_alert(&mut bench, "a withdrawal", |alert| alert == withdrawal).await;
    let (ended, seen, _) = bench.drain().await;
    assert!(ended.compared);
    assert_eq!(
        alerts(&seen),
        [withdrawal],
        "what was named before is not named again"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_elses_orders_and_trades_are_named_and_left_alone() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    let resting = bench.venue.place("web_1", "buy", Some("50"), "1").await;
    bench.venue.place("web_2", "buy", None, "0.5").await;
    let is_foreign = |alert| match alert {
        Alert::ForeignOrder { venue_order_id, .. } => {
            venue_order_id.0.as_str().parse::<u64>().unwrap() == resting
        }
        _ => false,
    };
    until_alert(&mut bench, "somebody else's order", is_foreign).await;
    if !alerts(&bench.seen)
        .iter()
        .any(|alert| matches!(alert, Alert::ManualTrade { .. }))
    {
        until_alert(&mut bench, "a manual trade", |alert| {
            matches!(alert, Alert::ManualTrade { instrument: BTC, .. })
        })
        .await;
    }
    until_settled(&mut bench).await;
    let view = bench.commander.look().await.unwrap();
    assert_eq!(view.positions[0].quantity, Quantity::ZERO, "no slot's");
    // A second life knows the trade, and names the order anew: it still rests.
    let mut bench = bench.restart().await;
    until_alert(&mut bench, "the order again", is_foreign).await;
    let (ended, seen, venue) = bench.drain().await;
    assert!(ended.compared);
    assert_eq!(alerts(&seen).len(), 1, "{:?}", alerts(&seen));
    assert_eq!(venue.resting().await, ["web_1"]);
}

/// An order with an id of ours that no life of this run gave out.
const ORPHAN: &str = "e1-s1-900";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_ours_that_no_record_knows_is_canceled() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    let id = ClientOrderId::parse(ORPHAN).unwrap();
    let mut bench = bench
        .restart_after(async |venue| {
            venue.place(ORPHAN, "buy", Some("50"), "1").await;
        })
        .await;
    until_alert(&mut bench, "the orphan", |alert| {
        alert == Alert::OrphanCanceled(id)
    })
    .await;
    bench
        .until("it is gone", |seen| match seen {
            Seen::Update(update) if update.status == OrderStatus::Canceled => Some(()),
            _ => None,
        })
        .await;
    assert!(bench.venue.resting().await.is_empty());
    let (_, seen, _) = bench.drain().await;
    assert_eq!(alerts(&seen), [Alert::OrphanCanceled(id)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_has_ended_for_us_and_rests_all_the_same_is_canceled() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.deploy(SILENT).await;
    let view = bench.commander.look().await.unwrap();
    let bid = view.tops[0].unwrap().bid.units();
    let cent = 1_000_000;
    let buy = CommandKind::ManualOrder(ManualOrder {
        slot: SLOT,
        instrument: BTC,
        side: Side::Buy,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(bid * 985 / 1_000 / cent * cent)),
        quantity: Quantity::ONE,
    });
    bench.commander.command(buy).await.unwrap().unwrap();
    let id = bench
        .until("it rests", |seen| match seen {
            Seen::Update(update) if update.status == OrderStatus::Accepted => Some(update.client_order_id),
            _ => None,
        })
        .await;
    let cancel = CommandKind::CancelOrders(Scope::Order(id));
    bench.commander.command(cancel).await.unwrap().unwrap();
    bench
        .until("it is gone", |seen| match seen {
            Seen::Update(update) if update.status == OrderStatus::Canceled => Some(()),
            _ => None,
        })
        .await;
    let name = id.to_string();
    bench.venue.place(&name, "buy", Some("50"), "1").await;
    // The account is looked at again.
    bench.venue.transfer("USDT", "1").await;
    until_alert(&mut bench, "the order", |alert| {
        alert == Alert::OrphanCanceled(id)
    })
    .await;
    let (ended, seen, venue) = bench.drain().await;
    assert!(venue.resting().await.is_empty());
    assert!(ended.compared);
    let deposit = Alert::Deposit(money("1", "USDT"));
    let others = alerts(&seen).into_iter().filter(|alert| *alert != deposit);
    assert_eq!(others.collect::<Vec<_>>(), [Alert::OrphanCanceled(id)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_ours_that_no_record_knows_is_adopted_where_the_rule_says_so() {
    let mut bench = Bench::start_with_orphans("adopt").await;
    bench.until_ready().await;
    let id = ClientOrderId::parse(ORPHAN).unwrap();
    let mut bench = bench
        .restart_after(async |venue| {
            venue.place(ORPHAN, "buy", Some("50"), "1").await;
        })
        .await;
    until_alert(&mut bench, "the orphan", |alert| {
        alert == Alert::OrphanAdopted(id)
    })
    .await;
    let view = bench.commander.look().await.unwrap();
    assert_eq!(view.slots[0].working_orders, 1);
    assert_eq!(bench.venue.resting().await, [ORPHAN]);
    let (ended, _, venue) = bench.drain().await;
    assert_eq!(ended.orders_left, 0, "it ends like every other order of ours");
    assert!(venue.resting().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_movement_has_the_same_name_in_the_record() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.venue.place("web_2", "buy", None, "0.5").await;
    let movement = bench
        .until("a manual trade", |seen| match seen {
            Seen::Difference(Difference::Movement(movement)) => Some(*movement),
            _ => None,
        })
        .await;
    let MovementKind::Trade { instrument, fill } = movement.kind else {
        panic!("{movement:?}");
    };
    let listed = (instrument, "BTCUSDT");
    let again = engine::Movement::trade(movement.venue, listed, domain::Timestamp::EPOCH, fill);
    assert_eq!(again.id, movement.id, "whenever it is told");
    drop(bench.drain().await);
}
