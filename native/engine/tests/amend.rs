//! Other terms for an order that rests: changed where it stands, or by another in its place.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use std::sync::mpsc::Sender;

use domain::{
    AmendRejectReason, AmendRequest, ClientOrderId, OrderReportKind, OrderSnapshot, OrderStatus, OrderTerms,
    Side, Venue,
};
use engine::limits::REPLACEMENT_PATIENCE;
use engine::risk::DenyReason;
use engine::strategy::Intent;
use engine::{Action, Alert, CommandKind, CommandRefusal, Scope};
use rig::{OTHER, Rig, SLOT, alerts, cancels, denial, milli, price, queries, submits, timers};

fn terms(dollars: i64, quantity: i64) -> OrderTerms {
    OrderTerms {
        price: price(dollars),
        quantity: milli(quantity),
    }
}

fn amends(actions: &[Action]) -> Vec<AmendRequest> {
    let amend = |action: &Action| match action {
        Action::Amend(approved) => Some(*approved.get()),
        _ => None,
    };
    actions.iter().filter_map(amend).collect()
}

/// A resting buy of ten thousandths at 98, at a venue, and the strategy's end.
fn resting(venue: Venue) -> (Rig, Sender<Intent>, ClientOrderId) {
    let mut config = rig::config();
    config.instruments[0].venue = venue;
    let mut rig = Rig::with(config);
    rig.deploy(rig::program(OTHER, 9, Box::new(rig::Silent)));
    let wishes = rig.script(SLOT, 2);
    wishes.send(Intent::Order(rig::wish(Side::Buy, 98, 10))).unwrap();
    let id = submits(&rig.quote(98, 101))[0].client_order_id;
    rig.accept(id);
    (rig, wishes, id)
}

fn wish(rig: &mut Rig, wishes: &Sender<Intent>, id: ClientOrderId, terms: OrderTerms) -> Vec<Action> {
    wishes
        .send(Intent::Replace {
            client_order_id: id,
            terms,
        })
        .unwrap();
    rig.wait(domain::Nanos(1));
    // A quote that is news: strategies hear of changes only.
    let bid = 97 - rig.now.nanos().rem_euclid(2);
    rig.quote(bid, 101)
}

fn found(status: OrderStatus, filled: i64) -> OrderReportKind {
    OrderReportKind::Found(OrderSnapshot {
        status,
        filled: milli(filled),
    })
}

#[test]
fn an_order_is_changed_where_it_stands_where_the_venue_does_that() {
    for venue in [Venue::Kraken, Venue::Coinbase] {
        let (mut rig, wishes, id) = resting(venue);
        rig.fill(id, Side::Buy, 98, 4);
        let actions = wish(&mut rig, &wishes, id, terms(99, 20));
        let wanted = AmendRequest {
            client_order_id: id,
            instrument: rig::BTC,
            terms: terms(99, 20),
        };
        assert_eq!(amends(&actions), [wanted]);
        assert!(cancels(&actions).is_empty() && submits(&actions).is_empty());
        // Until the answer comes, the worse of both counts.
        assert_eq!(
            rig.order_in(OTHER, Side::Sell, Some(price(99)), milli(1)),
            Err(DenyReason::SelfTrade)
        );
        assert!(
            wish(&mut rig, &wishes, id, terms(97, 20)).is_empty(),
            "one at a time"
        );
        rig.report(id, OrderReportKind::Amended(terms(99, 20)));
        let order = rig.engine.order(id).unwrap();
        assert_eq!(
            (order.request.price, order.request.quantity, order.filled),
            (Some(price(99)), milli(20), milli(4))
        );
        assert!(!rig.engine.is_amending(id));
        let actions = rig.fill(id, Side::Buy, 99, 16);
        assert!(alerts(&actions).is_empty());
        assert_eq!(rig.status(id), OrderStatus::Filled);
    }
}

#[test]
fn a_change_without_an_answer_is_unknown_until_the_venue_shows_the_order() {
    for (shown, is_changed) in [(terms(99, 20), true), (terms(98, 10), false)] {
        let (mut rig, wishes, id) = resting(Venue::Kraken);
        let actions = wish(&mut rig, &wishes, id, terms(99, 20));
        let (timer, at) = timers(&actions)[0];
        assert!(
            rig.report(id, OrderReportKind::Amended(terms(98, 10))).is_empty(),
            "seen before it arrived"
        );
        rig.now = at;
        let actions = rig.timer(timer);
        assert_eq!(alerts(&actions), [Alert::UnknownOrder(id)]);
        assert_eq!(queries(&actions), [id]);
        assert!(amends(&actions).is_empty(), "never sent again");
        rig.report(id, found(OrderStatus::Accepted, 0));
        assert!(rig.engine.is_amending(id), "which terms it has is not known yet");
        rig.report(id, OrderReportKind::Amended(shown));
        assert!(!rig.engine.is_amending(id));
        let order = rig.engine.order(id).unwrap();
        assert_eq!(order.request.quantity == milli(20), is_changed);
        assert_eq!(rig.status(id), OrderStatus::Accepted);
    }
}

#[test]
fn a_next_life_takes_a_change_that_was_on_its_way_at_its_worst() {
    let (mut rig, wishes, id) = resting(Venue::Kraken);
    wish(&mut rig, &wishes, id, terms(99, 5));
    let mut next = rig.restart();
    let request = next.engine.order(id).unwrap().request;
    assert_eq!((request.price, request.quantity), (Some(price(99)), milli(10)));
    // The comparison shows what it is.
    next.report(id, found(OrderStatus::Accepted, 0));
    next.report(id, OrderReportKind::Amended(terms(99, 5)));
    assert_eq!(next.engine.order(id).unwrap().request.quantity, milli(5));
}

#[test]
fn a_refused_change_leaves_the_order_and_one_that_ended_is_asked_about() {
    let (mut rig, wishes, id) = resting(Venue::Kraken);
    wish(&mut rig, &wishes, id, terms(99, 20));
    let no = |reason| OrderReportKind::AmendRejected(reason);
    rig.report(id, no(AmendRejectReason::Other));
    assert_eq!(rig.engine.order(id).unwrap().request.quantity, milli(10));
    assert_eq!(rig.status(id), OrderStatus::Accepted);
    wish(&mut rig, &wishes, id, terms(99, 20));
    let actions = rig.report(id, no(AmendRejectReason::UnknownOrder));
    assert_eq!(queries(&actions), [id]);
}

#[test]
fn an_order_that_traded_all_it_asked_for_before_the_change_ends_with_the_refusal() {
    let (mut rig, wishes, id) = resting(Venue::Kraken);
    wish(&mut rig, &wishes, id, terms(99, 20));
    rig.fill(id, Side::Buy, 98, 10);
    assert_eq!(
        rig.status(id),
        OrderStatus::PartiallyFilled,
        "it may ask for twenty by now"
    );
    let no = OrderReportKind::AmendRejected(AmendRejectReason::UnknownOrder);
    rig.report(id, no);
    assert_eq!(rig.status(id), OrderStatus::Filled);
}

/// Until the venue has said what of the canceled order traded, nothing takes its place.
fn replaced(rig: &mut Rig, id: ClientOrderId) {
    let actions = rig.report(id, OrderReportKind::Canceled);
    assert_eq!(queries(&actions), [id]);
    assert!(submits(&actions).is_empty());
    // A fill that the cancel overtook.
    rig.fill(id, Side::Buy, 98, 4);
    rig.feed(engine::EventBody::VenuePosition(engine::VenuePosition {
        instrument: rig::BTC,
        quantity: milli(4),
    }));
    assert!(submits(&rig.report(id, found(OrderStatus::Canceled, 3))).is_empty());
    let actions = rig.report(id, found(OrderStatus::Canceled, 4));
    let sent = submits(&actions);
    assert_eq!(sent.len(), 1, "{actions:?}");
    assert_eq!(
        (sent[0].price, sent[0].quantity),
        (Some(price(99)), milli(16)),
        "what of twenty had not traded"
    );
    assert_ne!(sent[0].client_order_id, id);
    assert!(
        submits(&rig.report(id, found(OrderStatus::Canceled, 4))).is_empty(),
        "once"
    );
}

#[test]
fn binance_lowers_a_quantity_where_the_order_stands_and_nothing_else() {
    for (wanted, is_in_place) in [
        (terms(98, 5), true),
        (terms(98, 20), false),
        (terms(97, 5), false),
    ] {
        let (mut rig, wishes, id) = resting(Venue::Binance);
        let actions = wish(&mut rig, &wishes, id, wanted);
        assert_eq!(amends(&actions).len(), usize::from(is_in_place), "{wanted:?}");
        assert_eq!(cancels(&actions).is_empty(), is_in_place, "{wanted:?}");
    }
}

#[test]
fn elsewhere_it_is_canceled_and_placed_anew_with_what_had_not_traded() {
    let (mut rig, wishes, id) = resting(Venue::Binance);
    let actions = wish(&mut rig, &wishes, id, terms(99, 20));
    assert_eq!(cancels(&actions), [id]);
    assert!(amends(&actions).is_empty());
    replaced(&mut rig, id);
    // A venue that says it does not change this one.
    let (mut rig, wishes, id) = resting(Venue::Coinbase);
    wish(&mut rig, &wishes, id, terms(99, 20));
    let no = OrderReportKind::AmendRejected(AmendRejectReason::NotOffered);
    assert_eq!(cancels(&rig.report(id, no)), [id]);
    replaced(&mut rig, id);
}

#[test]
fn a_cancel_by_anybody_else_lets_nothing_take_the_place() {
    let (mut rig, wishes, id) = resting(Venue::Binance);
    wish(&mut rig, &wishes, id, terms(99, 20));
    rig.command(CommandKind::CancelOrders(Scope::All)).0.unwrap();
    let actions = rig.report(id, OrderReportKind::Canceled);
    assert!(queries(&actions).is_empty() && submits(&actions).is_empty());
}

#[test]
fn nor_does_one_that_comes_while_the_venue_is_asked_what_traded() {
    for scope in [Scope::All, Scope::Slot(SLOT), Scope::Instrument(rig::BTC)] {
        let (mut rig, wishes, id) = resting(Venue::Binance);
        wish(&mut rig, &wishes, id, terms(99, 20));
        assert_eq!(queries(&rig.report(id, OrderReportKind::Canceled)), [id]);
        rig.command(CommandKind::CancelOrders(scope)).0.unwrap();
        assert!(
            submits(&rig.report(id, found(OrderStatus::Canceled, 0))).is_empty(),
            "{scope:?}"
        );
    }
    let (mut rig, wishes, id) = resting(Venue::Binance);
    wish(&mut rig, &wishes, id, terms(99, 20));
    rig.report(id, OrderReportKind::Canceled);
    rig.command(CommandKind::CancelOrders(Scope::Order(id)))
        .0
        .unwrap();
    assert!(submits(&rig.report(id, found(OrderStatus::Canceled, 0))).is_empty());
    let again = rig.command(CommandKind::CancelOrders(Scope::Order(id))).0;
    assert_eq!(again, Err(CommandRefusal::UnknownTarget), "it has ended");
    // Nor by the strategy itself, nor by the bundle that follows.
    let (mut rig, wishes, id) = resting(Venue::Binance);
    wish(&mut rig, &wishes, id, terms(99, 20));
    rig.report(id, OrderReportKind::Canceled);
    wishes.send(Intent::CancelWorking(Some(Side::Buy))).unwrap();
    rig.quote(95, 101);
    assert!(submits(&rig.report(id, found(OrderStatus::Canceled, 0))).is_empty());
    let (mut rig, wishes, id) = resting(Venue::Binance);
    wish(&mut rig, &wishes, id, terms(99, 20));
    rig.report(id, OrderReportKind::Canceled);
    let _next = rig.script(SLOT, 3);
    assert!(submits(&rig.report(id, found(OrderStatus::Canceled, 0))).is_empty());
}

#[test]
fn a_wish_that_has_waited_too_long_for_the_venue_is_given_up() {
    for (late, sent) in [(0, 1), (1, 0)] {
        let (mut rig, wishes, id) = resting(Venue::Binance);
        wish(&mut rig, &wishes, id, terms(99, 20));
        rig.report(id, OrderReportKind::Canceled);
        rig.now = rig.now.plus(REPLACEMENT_PATIENCE).plus(domain::Nanos(late));
        rig.quote(95, 101);
        let actions = rig.report(id, found(OrderStatus::Canceled, 0));
        assert_eq!(submits(&actions).len(), sent, "{actions:?}");
    }
}

#[test]
fn risk_judges_a_change_like_an_order() {
    let (mut rig, wishes, id) = resting(Venue::Kraken);
    rig.hold(OTHER, 5);
    rig.order_in(OTHER, Side::Sell, Some(price(100)), milli(1))
        .unwrap();
    let actions = wish(&mut rig, &wishes, id, terms(100, 10));
    assert_eq!(denial(&actions), Some(DenyReason::SelfTrade));
    assert!(amends(&actions).is_empty() && !rig.engine.is_amending(id));
    rig.command(CommandKind::Kill(Scope::All)).0.unwrap();
    assert!(amends(&wish(&mut rig, &wishes, id, terms(97, 10))).is_empty());
}
