//! Positions that have outgrown the largest order, and runs of denied orders.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use std::sync::mpsc::Sender;

use domain::{OrderType, Quantity, Side, TimeInForce};
use engine::risk::DenyReason;
use engine::strategy::{Intent, OrderIntent};
use engine::{Action, Alert, CommandKind, ControlLevel, Scope};
use rig::{Rig, SLOT, alerts, denial, milli, submits};

/// A rig that holds a position; its program's largest order is worth 1,000 dollars: 10 coins at 100.
fn limited(position: i64) -> (Rig, Sender<Intent>) {
    let mut config = rig::config();
    config.instruments[0].rules.min_notional = rig::dollars(5);
    let mut rig = Rig::with(config);
    if position > 0 {
        rig.hold(SLOT, position);
    }
    let (sender, strategy) = rig::scripted();
    let mut program = rig::program(SLOT, 2, Box::new(strategy));
    program.limits.max_order_size_usd = rig::dollars(1_000);
    rig.deploy(program);
    (rig, sender)
}

fn leave(quantity: Quantity) -> Intent {
    Intent::Order(OrderIntent {
        quantity,
        reduce_only: true,
        ..rig::wish(Side::Sell, 100, 0)
    })
}

fn quantities(actions: &[Action]) -> Vec<Quantity> {
    submits(actions).iter().map(|order| order.quantity).collect()
}

#[test]
fn a_position_that_has_outgrown_the_largest_order_is_left_in_parts() {
    let (mut rig, wishes) = limited(25_000);
    wishes.send(leave(milli(25_000))).unwrap();
    let actions = rig.quote(98, 101);
    // Whole lots, none equal to another, together the position.
    assert_eq!(quantities(&actions), [milli(10_000), milli(9_999), milli(5_001)]);
    assert_eq!(denial(&actions), None);
}

#[test]
fn a_market_order_in_parts_is_valued_at_the_bid() {
    let (mut rig, wishes) = limited(12_000);
    let order = OrderIntent {
        quantity: milli(12_000),
        reduce_only: true,
        order_type: OrderType::Market,
        price: None,
        time_in_force: TimeInForce::Ioc,
        ..rig::wish(Side::Sell, 100, 0)
    };
    wishes.send(Intent::Order(order)).unwrap();
    let actions = rig.quote(125, 127);
    assert_eq!(quantities(&actions), [milli(8_000), milli(4_000)]);
}

#[test]
fn dust_is_no_part() {
    let (mut rig, wishes) = limited(10_001);
    wishes.send(leave(milli(10_001))).unwrap();
    let actions = rig.quote(98, 101);
    assert_eq!(quantities(&actions), [milli(10_000)]);
    assert_eq!(denial(&actions), None);
}

#[test]
fn what_opens_is_never_split() {
    let (mut rig, wishes) = limited(0);
    wishes
        .send(Intent::Order(rig::wish(Side::Buy, 100, 10_001)))
        .unwrap();
    let actions = rig.quote(98, 101);
    assert_eq!(denial(&actions), Some(DenyReason::OrderSize));
    assert!(submits(&actions).is_empty());
}

#[test]
fn people_are_told_once_of_a_run_of_denied_orders() {
    let (mut rig, wishes) = limited(0);
    let mut told = Vec::new();
    let mut bid = 98;
    let mut ask = |rig: &mut Rig, quantity| {
        bid = 197 - bid;
        wishes
            .send(Intent::Order(rig::wish(Side::Buy, 98, quantity)))
            .unwrap();
        alerts(&rig.quote(bid, 101))
    };
    for _ in 0..5 {
        told.push(ask(&mut rig, 20_000).len());
    }
    assert_eq!(told, [0, 0, 1, 0, 0]);
    // One that passes ends the run.
    assert!(ask(&mut rig, 1_000).is_empty());
    assert!(ask(&mut rig, 20_000).is_empty());
    assert!(ask(&mut rig, 20_000).is_empty());
    assert_eq!(ask(&mut rig, 20_000), [Alert::OrdersDenied(SLOT)]);
}

#[test]
fn what_people_paused_is_no_news_to_them() {
    let (mut rig, wishes) = limited(0);
    rig.command(CommandKind::Pause(Scope::All)).0.unwrap();
    assert_eq!(rig.engine.slots().next().unwrap().control, ControlLevel::Paused);
    for bid in [98, 99, 98, 99] {
        wishes
            .send(Intent::Order(rig::wish(Side::Buy, 98, 1_000)))
            .unwrap();
        let actions = rig.quote(bid, 101);
        assert_eq!(denial(&actions), Some(DenyReason::Paused));
        assert!(alerts(&actions).is_empty());
    }
}
