//! What a next life takes over: wishes, stops and counts that a crash must not lift.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use domain::{ClientOrderId, Epoch, Nanos, OrderReportKind, OrderStatus, Side, TimeInForce, VenueState};
use engine::risk::{DenyReason, RiskLimits};
use engine::strategy::Intent;
use engine::{
    Action, CommandKind, CommandRefusal, ControlLevel, EngineConfig, EventBody, OnSwap, Scope, SlotProgram,
};
use rig::{OTHER, Rig, SLOT, Silent, VENUE, cancels, config, limits, program, queries, submits};

/// The next life of `rig` at the same moment, and what it does when it starts.
fn next_life(rig: &Rig, change: impl FnOnce(&mut EngineConfig)) -> (Rig, Vec<Action>) {
    let epoch = Epoch(rig.engine.epoch().0 + 1);
    let mut config = EngineConfig {
        epoch,
        carried: rig.engine.carried_state(),
        ..config()
    };
    change(&mut config);
    let mut next = Rig::bare(config);
    (next.now, next.trade_id) = (rig.now, rig.trade_id);
    let actions = next.feed(EventBody::Started { epoch });
    (next, actions)
}

fn working_order(rig: &mut Rig) -> ClientOrderId {
    let id = rig.order(Side::Buy, 98, 1).unwrap();
    rig.accept(id);
    id
}

#[test]
fn a_cancel_that_was_wanted_is_still_wanted() {
    let mut rig = Rig::new();
    let (wanted, other) = (working_order(&mut rig), working_order(&mut rig));
    rig.command(CommandKind::CancelOrders(Scope::Order(wanted)))
        .0
        .unwrap();
    let (mut next, started) = next_life(&rig, |_| {});
    assert_eq!(queries(&started), [wanted, other]);
    assert_eq!(cancels(&started), [wanted]);
    // It turns out to be alive, and the cancel got lost: it is asked for again.
    assert_eq!(cancels(&next.accept(wanted)), [wanted]);
    assert!(cancels(&next.accept(other)).is_empty());
    assert_eq!(next.status(other), OrderStatus::Accepted);
}

#[test]
fn a_kill_that_stands_cancels_what_is_still_open() {
    let mut rig = Rig::new();
    let (first, second) = (working_order(&mut rig), working_order(&mut rig));
    let mut carried = rig.engine.carried_state();
    rig.command(CommandKind::Kill(Scope::Venue(VENUE))).0.unwrap();
    // The kill was recorded; that the orders were to be canceled was not known any more.
    carried.latches = rig.engine.carried_state().latches;
    let (_, started) = next_life(&rig, |config| config.carried = carried);
    assert_eq!(cancels(&started), [first, second]);
}

#[test]
fn a_pause_stands_until_a_person_starts_again() {
    let mut rig = Rig::new();
    rig.command(CommandKind::Pause(Scope::Slot(SLOT))).0.unwrap();
    let (mut next, _) = next_life(&rig, |_| {});
    next.deploy(program(SLOT, 1, Box::new(Silent)));
    next.quote(99, 101);
    assert_eq!(next.engine.control(Scope::Slot(SLOT)), Some(ControlLevel::Paused));
    next.command(CommandKind::Start(Scope::All)).0.unwrap();
    assert_eq!(
        next.engine.control(Scope::Slot(SLOT)),
        Some(ControlLevel::Running)
    );
}

#[test]
fn an_orderly_end_silences_this_life_only() {
    let mut rig = Rig::new();
    let wishes = rig.script(SLOT, 2);
    assert!(rig.feed(EventBody::Ending).is_empty());
    wishes.send(Intent::Order(rig::wish(Side::Buy, 98, 1))).unwrap();
    assert_eq!(rig::denial(&rig.quote(98, 101)), Some(DenyReason::Paused));
    let (mut next, _) = next_life(&rig, |_| {});
    let wishes = next.script(SLOT, 2);
    wishes.send(Intent::Order(rig::wish(Side::Buy, 98, 1))).unwrap();
    assert_eq!(submits(&next.quote(98, 101)).len(), 1);
}

#[test]
fn a_run_off_goes_on_until_flat() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    rig.deploy(SlotProgram {
        on_swap: OnSwap::RunOff,
        ..program(SLOT, 2, Box::new(Silent))
    });
    let (mut next, _) = next_life(&rig, |_| {});
    next.deploy(program(SLOT, 2, Box::new(Silent)));
    next.quote(99, 101);
    assert_eq!(next.order(Side::Buy, 97, 1), Err(DenyReason::ReduceOnly));
    let sell = next.order(Side::Sell, 103, 10).unwrap();
    next.fill(sell, Side::Sell, 103, 10);
    assert!(next.order(Side::Buy, 97, 1).is_ok());
}

#[test]
fn a_flatten_goes_on_once_the_venue_is_known_again() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    rig.invalidate();
    let flatten = CommandKind::Flatten {
        scope: Scope::Slot(SLOT),
        max_slippage_bps: 100,
    };
    assert!(submits(&rig.command(flatten).1).is_empty(), "no book, no price");
    let (mut next, started) = next_life(&rig, |config| config.require_reconciliation = true);
    let flatten = Nanos(rig::ACK_TIMEOUT.0);
    let (timer, at) = rig::timers(&started)[0];
    assert_eq!(at, next.now.plus(flatten));
    // However long the venue is away, no attempt is used up.
    for _ in 0..=engine::limits::FLATTEN_ATTEMPTS_MAX {
        next.wait(flatten);
        let waiting = next.timer(timer);
        assert!(submits(&waiting).is_empty() && rig::alerts(&waiting).is_empty());
    }
    next.venue(VenueState::Online);
    next.feed(EventBody::Reconciled { venue: VENUE });
    next.balance(rig::coin(), rig::milli(10));
    next.balance(rig::usd(), rig::milli(1_000_000));
    next.quote(99, 101);
    let sent = submits(&next.timer(timer));
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].side, sent[0].quantity), (Side::Sell, rig::milli(10)));
    assert_eq!(sent[0].time_in_force, TimeInForce::Ioc);
    next.fill(sent[0].client_order_id, Side::Sell, 99, 10);
    assert_eq!(next.position(SLOT), rig::milli(0));
}

#[test]
fn rate_duplicates_and_repeated_executions_go_on_counting() {
    let strict = |config: &mut EngineConfig| {
        config.limits = RiskLimits {
            max_order_rate_per_min: 4,
            duplicate_window: Nanos::from_secs(2),
            repeated_execution_limit: 2,
            ..limits()
        };
    };
    let mut first = config();
    strict(&mut first);
    let mut rig = Rig::with(first);
    for bought in [1, 2] {
        let id = rig.order(Side::Buy, 101, bought).unwrap();
        rig.fill(id, Side::Buy, 101, bought);
    }
    let canceled = rig.order(Side::Buy, 98, 3).unwrap();
    rig.report(canceled, OrderReportKind::Canceled);
    let (mut next, _) = next_life(&rig, strict);
    next.deploy(program(SLOT, 1, Box::new(Silent)));
    next.quote(99, 101);
    let again = next.order(Side::Buy, 98, 3);
    assert_eq!(again, Err(DenyReason::Duplicate));
    let third = next.order(Side::Buy, 101, 4).unwrap();
    let fast = next.order(Side::Buy, 97, 5);
    assert_eq!(fast, Err(DenyReason::OrderRate));
    let fill = next.fill(third, Side::Buy, 101, 4);
    assert_eq!(rig::alerts(&fill), [engine::Alert::RepeatedExecution]);
    // A minute later none of it counts.
    let mut later = next_life(&rig, strict).0;
    later.deploy(program(SLOT, 1, Box::new(Silent)));
    later.wait(Nanos::from_secs(60));
    later.quote(99, 101);
    assert!(later.order(Side::Buy, 98, 3).is_ok());
}

#[test]
fn what_is_carried_twice_is_carried_alike() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let wanted = working_order(&mut rig);
    rig.command(CommandKind::CancelOrders(Scope::Order(wanted)))
        .0
        .unwrap();
    rig.command(CommandKind::Pause(Scope::Slot(OTHER))).0.unwrap();
    let (next, _) = next_life(&rig, |_| {});
    assert_eq!(next.engine.carried_state(), rig.engine.carried_state());
}

#[test]
fn a_flatten_under_a_kill_is_refused_and_never_silently_dropped() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let flatten = |scope| CommandKind::Flatten {
        scope,
        max_slippage_bps: 100,
    };
    rig.command(CommandKind::Kill(Scope::Slot(SLOT))).0.unwrap();
    let (result, actions) = rig.command(flatten(Scope::All));
    assert_eq!(result, Ok(()), "the other slot is free");
    assert_eq!(rig::alerts(&actions), [engine::Alert::FlattenIncomplete(SLOT)]);
    rig.command(CommandKind::Kill(Scope::All)).0.unwrap();
    for scope in [
        Scope::Slot(OTHER),
        Scope::Venue(VENUE),
        Scope::Instrument(rig::BTC),
    ] {
        let (result, actions) = rig.command(flatten(scope));
        assert_eq!(result, Err(CommandRefusal::Latched), "{scope:?}");
        assert_eq!(actions.len(), 1);
    }
}
