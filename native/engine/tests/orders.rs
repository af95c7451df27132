//! The life of an order: answers, silence, lateness, repetition.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use domain::{
    CancelRejectReason, ClientOrderId, Decimal, Nanos, OrderReportKind, OrderSnapshot, OrderStatus,
    RejectReason, Side, VenueState,
};
use engine::limits::{CANCEL_ATTEMPTS_MAX, OPEN_ORDERS_MAX, ORDER_QUERIES_MAX};
use engine::risk::DenyReason;
use engine::strategy::Intent;
use engine::{Action, Alert, CommandKind, Scope, VenuePosition};
use rig::{ACK_TIMEOUT, BTC, OTHER, Rig, SLOT, alerts, cancels, denial, milli, queries, submits, timers};

fn found(status: OrderStatus, filled: i64) -> OrderReportKind {
    OrderReportKind::Found(OrderSnapshot {
        status,
        filled: milli(filled),
    })
}

/// An order whose outcome is unknown.
fn lost(rig: &mut Rig) -> ClientOrderId {
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    let actions = rig.report(id, OrderReportKind::OutcomeUnknown);
    assert_eq!(alerts(&actions), [Alert::UnknownOrder(id)]);
    assert_eq!(queries(&actions), [id]);
    id
}

#[test]
fn ids_count_up_over_the_slots_of_an_epoch() {
    let mut rig = Rig::new();
    rig.deploy(rig::program(OTHER, 9, Box::new(rig::Silent)));
    let first = rig.order(Side::Buy, 98, 1).unwrap();
    let second = rig
        .order_in(OTHER, Side::Buy, Some(rig::price(98)), milli(1))
        .unwrap();
    assert_eq!((first.epoch.0, first.slot, first.counter), (1, SLOT, 1));
    assert_eq!((second.slot, second.counter), (OTHER, 2));
}

#[test]
fn an_order_passes_from_submitted_to_filled() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    assert_eq!(rig.status(id), OrderStatus::Submitted);
    rig.accept(id);
    assert_eq!(rig.status(id), OrderStatus::Accepted);
    rig.fill(id, Side::Buy, 100, 4);
    assert_eq!(rig.status(id), OrderStatus::PartiallyFilled);
    let actions = rig.fill(id, Side::Buy, 100, 6);
    assert_eq!(rig.status(id), OrderStatus::Filled);
    assert_eq!(rig.position(SLOT), milli(10));
    assert!(alerts(&actions).is_empty());
    let slot = rig.engine.slots().next().unwrap();
    assert_eq!(slot.working_orders, 0);
}

#[test]
fn silence_makes_an_order_unknown_and_the_questions_are_bounded() {
    let mut rig = Rig::new();
    let order = rig::wish(Side::Buy, 100, 10);
    let wishes = rig.script(SLOT, 2);
    wishes.send(Intent::Order(order)).unwrap();
    let mut set = timers(&rig.quote(98, 101));
    let id = rig.engine.orders().next().unwrap().request.client_order_id;
    assert_eq!(set.len(), 1);
    assert_eq!(set[0].1, rig.now.plus(ACK_TIMEOUT));
    let mut asked = 0;
    while let Some((timer, at)) = set.pop() {
        rig.now = at;
        let actions = rig.timer(timer);
        assert!(submits(&actions).is_empty(), "never sent again");
        asked += queries(&actions).len();
        set = timers(&actions);
        assert_eq!(rig.status(id), OrderStatus::Unknown);
    }
    assert_eq!(asked, usize::from(ORDER_QUERIES_MAX));
    rig.venue(VenueState::Offline);
    assert_eq!(
        queries(&rig.venue(VenueState::Online)),
        [id],
        "a venue that is back is asked anew"
    );
}

#[test]
fn a_timer_that_was_replaced_does_nothing() {
    let mut rig = Rig::new();
    let wishes = rig.script(SLOT, 2);
    wishes.send(Intent::Order(rig::wish(Side::Buy, 100, 10))).unwrap();
    let set = timers(&rig.quote(98, 101));
    let id = rig.engine.orders().next().unwrap().request.client_order_id;
    rig.wait(Nanos(1));
    rig.command(CommandKind::CancelOrders(Scope::All)).0.unwrap();
    rig.now = set[0].1;
    assert!(rig.timer(set[0].0).is_empty());
    assert_eq!(rig.status(id), OrderStatus::PendingCancel);
}

#[test]
fn while_an_outcome_is_unknown_the_instrument_only_reduces() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 20);
    rig.deploy(rig::program(OTHER, 9, Box::new(rig::Silent)));
    let id = lost(&mut rig);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::UnknownOutcome));
    let other = rig.order_in(OTHER, Side::Buy, Some(rig::price(98)), milli(1));
    assert_eq!(
        other,
        Err(DenyReason::UnknownOutcome),
        "every slot of the instrument"
    );
    let sell = rig.order(Side::Sell, 102, 20).expect("reducing is allowed");
    assert_eq!(
        rig.order(Side::Sell, 103, 1),
        Err(DenyReason::UnknownOutcome),
        "all of it is being sold"
    );
    rig.report(id, OrderReportKind::NotFound);
    assert_eq!(rig.status(id), OrderStatus::Rejected);
    rig.report(sell, OrderReportKind::Rejected(RejectReason::Other));
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
}

#[test]
fn an_unknown_sell_keeps_what_it_may_have_sold() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 20);
    let sell = rig.order(Side::Sell, 102, 15).unwrap();
    rig.report(sell, OrderReportKind::OutcomeUnknown);
    assert_eq!(rig.order(Side::Sell, 103, 6), Err(DenyReason::UnknownOutcome));
    assert!(
        rig.order(Side::Sell, 103, 5).is_ok(),
        "what is left even if it traded"
    );
}

#[test]
fn what_is_found_resolves_an_unknown_order_once_its_fills_are_booked() {
    let cases = [
        (OrderStatus::Accepted, OrderStatus::Accepted),
        (OrderStatus::Canceled, OrderStatus::Canceled),
        (OrderStatus::Expired, OrderStatus::Expired),
        (OrderStatus::Rejected, OrderStatus::Rejected),
    ];
    for (venue, expected) in cases {
        let mut rig = Rig::new();
        let id = lost(&mut rig);
        rig.report(id, found(venue, 0));
        assert_eq!(rig.status(id), expected);
    }
    let mut rig = Rig::new();
    let id = lost(&mut rig);
    rig.report(id, found(OrderStatus::Canceled, 4));
    assert_eq!(
        rig.status(id),
        OrderStatus::Unknown,
        "four are not booked yet: nothing is inferred"
    );
    rig.fill(id, Side::Buy, 100, 4);
    rig.report(id, found(OrderStatus::Canceled, 4));
    assert_eq!(rig.status(id), OrderStatus::Canceled);
    assert_eq!(rig.position(SLOT), milli(4));
}

#[test]
fn a_lost_order_that_filled_is_filled() {
    let mut rig = Rig::new();
    let id = lost(&mut rig);
    let actions = rig.fill(id, Side::Buy, 100, 10);
    assert!(alerts(&actions).is_empty());
    assert_eq!(rig.status(id), OrderStatus::Filled);
}

#[test]
fn a_duplicate_id_proves_that_the_first_one_lives() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    let actions = rig.report(id, OrderReportKind::Rejected(RejectReason::DuplicateId));
    assert_eq!(queries(&actions), [id]);
    assert_eq!(rig.status(id), OrderStatus::Unknown);
}

#[test]
fn what_never_reached_the_wire_is_over_at_once() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    let actions = rig.report(id, OrderReportKind::NotSent);
    assert!(alerts(&actions).is_empty());
    assert_eq!(rig.status(id), OrderStatus::Denied);
    assert!(rig.order(Side::Buy, 100, 10).is_ok());
}

#[test]
fn a_repeated_fill_is_booked_once() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    let fill = rig.next_fill(Side::Buy, 100, 4);
    rig.report(id, OrderReportKind::Filled(fill));
    assert!(rig.report(id, OrderReportKind::Filled(fill)).is_empty());
    assert_eq!(rig.position(SLOT), milli(4));
}

#[test]
fn a_late_fill_is_booked_and_doubted_until_the_venue_agrees() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    rig.accept(id);
    rig.report(id, OrderReportKind::Canceled);
    let actions = rig.fill(id, Side::Buy, 100, 3);
    assert_eq!(alerts(&actions), [Alert::LateFill(id)]);
    assert_eq!(rig.position(SLOT), milli(3));
    assert_eq!(rig.status(id), OrderStatus::Canceled);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::ReduceOnly));
    rig.feed(engine::EventBody::VenuePosition(VenuePosition {
        instrument: BTC,
        quantity: milli(3),
    }));
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
}

#[test]
fn an_overfill_is_booked_and_told() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    let actions = rig.fill(id, Side::Buy, 100, 11);
    assert_eq!(alerts(&actions), [Alert::Overfill(id)]);
    assert_eq!(rig.position(SLOT), milli(11));
    assert_eq!(rig.status(id), OrderStatus::Filled);
    assert_eq!(
        rig.order(Side::Buy, 98, 1),
        Err(DenyReason::ReduceOnly),
        "and doubted"
    );
}

#[test]
fn a_fill_of_no_order_of_ours_is_booked_to_the_slot_it_names() {
    let mut rig = Rig::new();
    let stranger = ClientOrderId {
        counter: 77,
        ..rig.order(Side::Buy, 100, 1).unwrap()
    };
    let actions = rig.fill(stranger, Side::Buy, 100, 2);
    assert_eq!(alerts(&actions), [Alert::UnknownReport(stranger)]);
    let booked = actions.iter().find_map(|action| match action {
        Action::Fill(fill) => Some(*fill),
        _ => None,
    });
    assert_eq!(
        booked.map(|fill| (fill.client_order_id, fill.slot)),
        Some((None, SLOT))
    );
    assert_eq!(rig.position(SLOT), milli(2));
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::ReduceOnly));
}

#[test]
fn a_fill_that_cannot_be_booked_is_told_and_not_remembered() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    let good = rig.next_fill(Side::Buy, 100, 4);
    let broken = domain::Fill {
        quantity: domain::Quantity::ZERO,
        ..good
    };
    assert_eq!(
        alerts(&rig.report(id, OrderReportKind::Filled(broken))),
        [Alert::BookingFailed(id)]
    );
    rig.report(id, OrderReportKind::Filled(good));
    assert_eq!(
        rig.position(SLOT),
        milli(4),
        "the real fill of that number still counts"
    );
}

#[test]
fn contradictions_are_told_and_change_nothing() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    rig.accept(id);
    for kind in [
        OrderReportKind::Rejected(RejectReason::Other),
        OrderReportKind::NotFound,
        OrderReportKind::NotSent,
    ] {
        let actions = rig.report(id, kind);
        assert_eq!(alerts(&actions), [Alert::IllegalTransition(id)], "{kind:?}");
        assert_eq!(rig.status(id), OrderStatus::Accepted);
    }
}

#[test]
fn a_refused_order_that_turns_out_alive_is_canceled() {
    let mut rig = Rig::new();
    let id = lost(&mut rig);
    rig.report(id, OrderReportKind::NotFound);
    let actions = rig.accept(id);
    assert_eq!(alerts(&actions), [Alert::IllegalTransition(id)]);
    assert_eq!(cancels(&actions), [id]);
}

#[test]
fn an_order_that_outlives_its_time_is_canceled() {
    let mut rig = Rig::new();
    let wishes = rig.script(SLOT, 2);
    let life = Nanos::from_secs(30);
    wishes
        .send(Intent::Order(engine::strategy::OrderIntent {
            timeout: Some(life),
            ..rig::wish(Side::Buy, 100, 10)
        }))
        .unwrap();
    let sent = rig.now;
    let set = timers(&rig.quote(98, 101));
    let id = rig.engine.orders().next().unwrap().request.client_order_id;
    rig.accept(id);
    let (timer, at) = *set.iter().find(|(_, at)| *at == sent.plus(life)).unwrap();
    rig.now = at;
    assert_eq!(cancels(&rig.timer(timer)), [id]);
    rig.report(id, OrderReportKind::Canceled);
    assert_eq!(rig.status(id), OrderStatus::Canceled);
    assert!(rig.timer(timer).is_empty(), "an ended order has no life to end");
}

#[test]
fn a_refused_cancel_is_tried_again_and_then_told() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    rig.accept(id);
    let (_, first) = rig.command(CommandKind::CancelOrders(Scope::Order(id)));
    let mut sent = cancels(&first).len();
    loop {
        let actions = rig.report(id, OrderReportKind::CancelRejected(CancelRejectReason::Other));
        assert_eq!(rig.status(id), OrderStatus::Accepted);
        let Some((timer, at)) = timers(&actions).pop() else {
            assert_eq!(alerts(&actions), [Alert::CancelFailed(id)]);
            break;
        };
        rig.now = at;
        sent += cancels(&rig.timer(timer)).len();
    }
    assert_eq!(sent, usize::from(CANCEL_ATTEMPTS_MAX));
}

#[test]
fn a_cancel_that_missed_its_order_asks_and_waits_for_the_fill() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    rig.accept(id);
    rig.command(CommandKind::CancelOrders(Scope::All)).0.unwrap();
    let unknown = OrderReportKind::CancelRejected(CancelRejectReason::UnknownOrder);
    let actions = rig.report(id, unknown);
    assert_eq!(queries(&actions), [id]);
    assert_eq!(rig.status(id), OrderStatus::PendingCancel);
    let actions = rig.fill(id, Side::Buy, 100, 10);
    assert!(alerts(&actions).is_empty());
    assert_eq!(rig.status(id), OrderStatus::Filled);
    assert!(
        rig.report(id, unknown).is_empty(),
        "a late answer to the cancel is no news"
    );
}

#[test]
fn a_cancel_without_an_answer_is_asked_about_and_repeated_when_the_order_lives() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    rig.accept(id);
    let (_, actions) = rig.command(CommandKind::CancelOrders(Scope::All));
    let (timer, at) = timers(&actions)[0];
    rig.now = at;
    let actions = rig.timer(timer);
    assert_eq!(
        (queries(&actions), rig.status(id)),
        (vec![id], OrderStatus::Unknown)
    );
    let actions = rig.report(id, found(OrderStatus::Accepted, 0));
    assert_eq!(cancels(&actions), [id], "what was wanted of it is still wanted");
}

#[test]
fn an_unknown_order_may_be_canceled_blindly() {
    let mut rig = Rig::new();
    let id = lost(&mut rig);
    let (_, actions) = rig.command(CommandKind::CancelOrders(Scope::All));
    assert_eq!(cancels(&actions), [id]);
    assert_eq!(rig.status(id), OrderStatus::Unknown);
}

#[test]
fn the_order_table_is_bounded() {
    let mut rig = Rig::new();
    for _ in 0..OPEN_ORDERS_MAX {
        rig.order(Side::Buy, 90, 1).unwrap();
    }
    assert_eq!(rig.order(Side::Buy, 90, 1), Err(DenyReason::TooManyOrders));
    let (_, actions) = rig.command(CommandKind::Kill(Scope::All));
    assert_eq!(cancels(&actions).len(), OPEN_ORDERS_MAX);
}

#[test]
fn own_orders_never_meet_whichever_slot_they_are_of() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 20);
    rig.deploy(rig::program(OTHER, 9, Box::new(rig::Silent)));
    rig.order(Side::Sell, 103, 10).unwrap();
    let other = |rig: &mut Rig, dollars| rig.order_in(OTHER, Side::Buy, dollars, milli(1));
    assert_eq!(other(&mut rig, Some(rig::price(103))), Err(DenyReason::SelfTrade));
    assert_eq!(
        other(&mut rig, None),
        Err(DenyReason::SelfTrade),
        "a market order meets everything"
    );
    let below =
        domain::Price::from_units(rig::price(103).units() - rig::instrument().rules.tick_size.units());
    assert!(other(&mut rig, Some(below)).is_ok());
    assert_eq!(
        rig.order(Side::Sell, 102, 1),
        Err(DenyReason::SelfTrade),
        "below the other slot's buy"
    );
}

#[test]
fn a_denied_order_is_told_with_its_reason_and_leaves_nothing_behind() {
    let mut rig = Rig::new();
    let wishes = rig.script(SLOT, 2);
    wishes.send(Intent::Order(rig::wish(Side::Sell, 102, 5))).unwrap();
    let actions = rig.quote(98, 101);
    assert_eq!(denial(&actions), Some(DenyReason::Balance));
    assert!(submits(&actions).is_empty());
    assert_eq!(rig.engine.orders().count(), 0);
}

#[test]
fn a_strategys_order_is_rounded_to_the_venues_steps() {
    let mut rig = Rig::new();
    let wishes = rig.script(SLOT, 2);
    let order = engine::strategy::OrderIntent {
        quantity: domain::Quantity::from_units(milli(5).units() + 7),
        price: Some(domain::Price::from_units(rig::price(98).units() + 7)),
        ..rig::wish(Side::Buy, 0, 0)
    };
    wishes.send(Intent::Order(order)).unwrap();
    let sent = submits(&rig.quote(98, 101));
    assert_eq!(
        (sent[0].quantity, sent[0].price),
        (milli(5), Some(rig::price(98)))
    );
}

#[test]
fn a_size_scale_caps_what_a_slot_may_hold() {
    let mut rig = Rig::new();
    let scaled = engine::SlotProgram {
        size_scale: Decimal::from_units(domain::SCALE / 100),
        ..rig::program(SLOT, 5, Box::new(rig::Silent))
    };
    rig.deploy(scaled);
    // 1 % of 100,000 is 1,000: ten coins at 100.
    assert_eq!(rig.order(Side::Buy, 100, 10_001), Err(DenyReason::SlotCapital));
    assert!(rig.order(Side::Buy, 100, 10_000).is_ok());
}

/// The time of the timer that cancels an order which stays until `until`, at a venue.
fn end_of(venue: domain::Venue, until: domain::Timestamp) -> Vec<domain::Timestamp> {
    let mut config = rig::config();
    config.instruments[0].venue = venue;
    let mut rig = Rig::with(config);
    let wishes = rig.script(SLOT, 2);
    let order = engine::strategy::OrderIntent {
        time_in_force: domain::TimeInForce::Gtd(until),
        ..rig::wish(Side::Buy, 98, 10)
    };
    wishes.send(Intent::Order(order)).unwrap();
    let actions = rig.quote(98, 101);
    let id = submits(&actions)[0].client_order_id;
    let mut ends = Vec::new();
    for (timer, at) in timers(&actions) {
        rig.accept(id);
        rig.now = at;
        if cancels(&rig.timer(timer)) == [id] {
            ends.push(at);
        }
    }
    ends
}

#[test]
fn an_order_that_stays_until_a_time_is_canceled_then_where_the_venue_does_not_end_it() {
    let until = domain::Timestamp::from_nanos(rig::START).plus(Nanos::from_secs(600));
    assert_eq!(end_of(domain::Venue::Binance, until), [until]);
    let backstop = until.plus(ACK_TIMEOUT);
    for venue in [domain::Venue::Kraken, domain::Venue::Coinbase] {
        assert_eq!(
            end_of(venue, until),
            [backstop],
            "it ended it itself, or is made to"
        );
    }
}
