//! Stops: the ladder, its scopes, latches across a restart, and the limits that stop by themselves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use domain::{Decimal, Money, Nanos, OrderReportKind, OrderStatus, Quantity, Side, Text, VenueState};
use engine::risk::{DenyReason, RiskLimits};
use engine::strategy::Intent;
use engine::{
    Action, Alert, CommandKind, CommandRefusal, ControlLevel, EngineConfig, EventBody, JournalHealth,
    LatchCause, Scope, VenuePosition,
};
use rig::{
    BTC, OTHER, Rig, SLOT, VENUE, alerts, cancels, config, denial, dollars, limits, milli, share, submits,
};

fn rearm(scope: Scope) -> CommandKind {
    CommandKind::Rearm {
        scope,
        reason: Text::new("looked at it").unwrap(),
    }
}

fn with_limits(change: impl Fn(&mut RiskLimits)) -> Rig {
    let mut changed = limits();
    change(&mut changed);
    Rig::with(EngineConfig {
        limits: changed,
        ..config()
    })
}

#[test]
fn a_kill_cancels_everything_in_scope_and_lets_nothing_out() {
    for scope in [
        Scope::All,
        Scope::Venue(VENUE),
        Scope::Instrument(BTC),
        Scope::Slot(SLOT),
    ] {
        let mut rig = Rig::new();
        rig.hold(SLOT, 10);
        let working = rig.order(Side::Sell, 103, 5).unwrap();
        let (result, actions) = rig.command(CommandKind::Kill(scope));
        assert_eq!((result, cancels(&actions)), (Ok(()), vec![working]), "{scope:?}");
        assert_eq!(rig.engine.control(Scope::Slot(SLOT)), Some(ControlLevel::Killed));
        assert_eq!(
            rig.order(Side::Sell, 103, 5),
            Err(DenyReason::Killed),
            "not even reducing"
        );
        let flatten = CommandKind::Flatten {
            scope,
            max_slippage_bps: 100,
        };
        assert_eq!(rig.command(flatten).0, Err(CommandRefusal::Latched));
        assert_eq!(
            rig.command(CommandKind::Start(scope)).0,
            Err(CommandRefusal::Latched)
        );
        rig.command(rearm(scope)).0.unwrap();
        assert!(rig.order(Side::Buy, 98, 5).is_ok());
        // Whoever lifts nothing is told so: the stop that is meant may be at another scope.
        rig.command(CommandKind::Pause(scope)).0.unwrap();
        assert_eq!(rig.command(rearm(scope)).0, Err(CommandRefusal::NothingLatched));
        rig.command(CommandKind::Start(scope)).0.unwrap();
    }
}

#[test]
fn a_kill_of_one_slot_leaves_the_other_alone() {
    let mut rig = Rig::new();
    rig.deploy(rig::program(OTHER, 9, Box::new(rig::Silent)));
    let other = rig
        .order_in(OTHER, Side::Buy, Some(rig::price(98)), milli(1))
        .unwrap();
    let (_, actions) = rig.command(CommandKind::Kill(Scope::Slot(SLOT)));
    assert!(cancels(&actions).is_empty());
    rig.accept(other);
    assert!(
        rig.order_in(OTHER, Side::Buy, Some(rig::price(97)), milli(1))
            .is_ok()
    );
}

#[test]
fn the_kill_of_an_order_is_its_cancel() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 98, 5).unwrap();
    let (result, actions) = rig.command(CommandKind::Kill(Scope::Order(id)));
    assert_eq!((result, cancels(&actions)), (Ok(()), vec![id]));
    assert_eq!(rig.engine.control(Scope::All), Some(ControlLevel::Running));
    let gone = domain::ClientOrderId { counter: 99, ..id };
    assert_eq!(
        rig.command(CommandKind::Kill(Scope::Order(gone))).0,
        Err(CommandRefusal::UnknownTarget)
    );
    for kind in [CommandKind::Pause(Scope::Order(id)), rearm(Scope::Order(id))] {
        assert_eq!(rig.command(kind).0, Err(CommandRefusal::UnknownTarget));
    }
}

#[test]
fn a_pause_silences_the_strategy_until_it_is_started() {
    let mut rig = Rig::new();
    let wishes = rig.script(SLOT, 2);
    rig.command(CommandKind::Pause(Scope::Slot(SLOT))).0.unwrap();
    wishes.send(Intent::Order(rig::wish(Side::Buy, 98, 1))).unwrap();
    assert_eq!(denial(&rig.quote(98, 101)), Some(DenyReason::Paused));
    assert!(rig.order(Side::Buy, 97, 1).is_ok(), "a person may trade");
    rig.command(CommandKind::Start(Scope::All)).0.unwrap();
    assert_eq!(rig.engine.control(Scope::Slot(SLOT)), Some(ControlLevel::Running));
    wishes.send(Intent::Order(rig::wish(Side::Buy, 98, 1))).unwrap();
    assert_eq!(submits(&rig.quote(98, 102)).len(), 1);
}

#[test]
fn every_stop_survives_a_restart() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    rig.command(CommandKind::Kill(Scope::Slot(OTHER))).0.unwrap();
    rig.command(CommandKind::ReduceOnly(Scope::Instrument(BTC)))
        .0
        .unwrap();
    rig.command(CommandKind::Pause(Scope::All)).0.unwrap();
    let next = rig.restart();
    let scopes: Vec<_> = next
        .engine
        .latches()
        .map(|latch| (latch.scope, latch.level, latch.cause))
        .collect();
    let operator = LatchCause::Operator;
    assert_eq!(
        scopes,
        [
            (Scope::All, ControlLevel::Paused, operator),
            (Scope::Instrument(BTC), ControlLevel::ReduceOnly, operator),
            (Scope::Slot(OTHER), ControlLevel::Killed, operator),
        ]
    );
    assert_eq!(next.engine.control(Scope::All), Some(ControlLevel::Paused));
    assert_eq!(next.position(SLOT), milli(10));
    assert_eq!(
        next.engine.equity(),
        dollars(200_000),
        "at cost until the first mark"
    );
}

#[test]
fn a_restart_carries_orders_fills_peaks_and_books() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    rig.quote(149, 151);
    let sell = rig.order(Side::Sell, 151, 4).unwrap();
    rig.accept(sell);
    let part = rig.next_fill(Side::Sell, 151, 1);
    rig.report(sell, OrderReportKind::Filled(part));
    rig.quote(98, 102);
    let mut next = rig.restart();
    assert_eq!(
        next.engine.carried_state().peak_equity,
        rig.engine.carried_state().peak_equity
    );
    assert_eq!(next.status(sell), OrderStatus::Unknown, "reconciled, not assumed");
    assert!(
        next.report(sell, OrderReportKind::Filled(part)).is_empty(),
        "booked in the life before"
    );
    next.quote(98, 102);
    let before: Vec<_> = rig.engine.positions().collect();
    let after: Vec<_> = next.engine.positions().collect();
    assert_eq!(before, after);
    next.fill(sell, Side::Sell, 151, 3);
    assert_eq!(
        (next.status(sell), next.position(SLOT)),
        (OrderStatus::Filled, milli(6))
    );
    next.deploy(rig::program(SLOT, 1, Box::new(rig::Silent)));
    let id = next.order(Side::Buy, 98, 1).unwrap();
    assert_eq!((id.epoch.0, id.counter), (2, 1));
}

#[test]
fn a_life_that_begins_within_a_record_reconciles_before_it_trades() {
    let mut rig = Rig::with(EngineConfig {
        require_reconciliation: true,
        ..config()
    });
    reconcile(&mut rig);
    rig.quote(99, 101);
    let id = rig.order(Side::Buy, 98, 1).unwrap();
    rig.accept(id);
    let actions = rig.feed(EventBody::Started {
        epoch: domain::Epoch(2),
    });
    assert_eq!(alerts(&actions), [Alert::UnknownOrder(id)]);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::VenueOffline));
    rig.venue(VenueState::Online);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::NotReconciled));
    reconcile(&mut rig);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::UnknownOutcome));
    rig.report(id, OrderReportKind::Canceled);
    assert_eq!(
        rig.order(Side::Buy, 98, 1).map(|id| (id.epoch.0, id.counter)),
        Ok((2, 4))
    );
}

fn reconcile(rig: &mut Rig) {
    rig.venue(VenueState::Online);
    rig.balance(rig::usd(), Quantity::from_units(200_000 * domain::SCALE));
    rig.balance(rig::coin(), Quantity::ZERO);
    rig.feed(EventBody::Reconciled { venue: VENUE });
}

#[test]
fn nothing_trades_before_reconciliation_nor_while_the_venue_is_gone() {
    let mut rig = Rig::with(EngineConfig {
        require_reconciliation: true,
        ..config()
    });
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::VenueOffline));
    rig.venue(VenueState::Online);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::NotReconciled));
    rig.feed(EventBody::Reconciled { venue: VENUE });
    assert_eq!(
        rig.order(Side::Buy, 98, 1),
        Err(DenyReason::Balance),
        "no balance has been told"
    );
    reconcile(&mut rig);
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
    rig.venue(VenueState::Offline);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::VenueOffline));
    rig.venue(VenueState::Online);
    assert_eq!(
        rig.order(Side::Buy, 98, 1),
        Err(DenyReason::NotReconciled),
        "it was gone"
    );
}

#[test]
fn balances_follow_our_fills_until_the_venue_speaks_again() {
    let mut rig = Rig::with(EngineConfig {
        require_reconciliation: true,
        ..config()
    });
    reconcile(&mut rig);
    rig.quote(99, 101);
    rig.balance(rig::usd(), Quantity::from_units(1_000 * domain::SCALE));
    let id = rig.order(Side::Buy, 100, 10_000).unwrap();
    assert_eq!(
        rig.order(Side::Buy, 98, 1),
        Err(DenyReason::Balance),
        "all is committed"
    );
    rig.fill(id, Side::Buy, 100, 10_000);
    assert_eq!(
        rig.order(Side::Buy, 98, 1),
        Err(DenyReason::Balance),
        "all is spent"
    );
    assert!(
        rig.order(Side::Sell, 102, 10_000).is_ok(),
        "and the coins are there"
    );
}

#[test]
fn coins_that_were_bought_may_be_sold_before_the_venue_tells_of_them() {
    let mut rig = Rig::with(EngineConfig {
        require_reconciliation: true,
        ..config()
    });
    rig.venue(VenueState::Online);
    rig.balance(rig::usd(), Quantity::from_units(1_000 * domain::SCALE));
    rig.feed(EventBody::Reconciled { venue: VENUE });
    rig.snapshot(99, 101);
    let id = rig.order(Side::Buy, 100, 5).unwrap();
    rig.fill(id, Side::Buy, 100, 5);
    assert!(rig.order(Side::Sell, 102, 5).is_ok());
}

#[test]
fn a_lagging_record_stops_new_orders_and_not_cancels() {
    let mut rig = Rig::new();
    let id = rig.order(Side::Buy, 98, 1).unwrap();
    rig.feed(EventBody::JournalHealth(JournalHealth::Lagging));
    assert_eq!(rig.order(Side::Buy, 97, 1), Err(DenyReason::JournalLagging));
    assert_eq!(
        cancels(&rig.command(CommandKind::CancelOrders(Scope::All)).1),
        [id]
    );
    rig.feed(EventBody::JournalHealth(JournalHealth::Healthy));
    assert!(rig.order(Side::Buy, 97, 1).is_ok());
}

#[test]
fn a_broken_or_old_book_trades_nothing() {
    let mut rig = with_limits(|limits| limits.max_data_age = Nanos::from_secs(10));
    rig.wait(Nanos::from_secs(10));
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
    rig.wait(Nanos(1));
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::StaleData));
    rig.quote(99, 101);
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
    rig.invalidate();
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::NoBook));
    let mut rig = Rig::new();
    rig.quote(101, 99);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::NoBook), "crossed");
}

#[test]
fn data_that_were_old_when_they_came_are_old() {
    let mut rig = with_limits(|limits| limits.max_data_age = Nanos::from_secs(10));
    rig.quote_of(rig.now, 98, 101);
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
    rig.quote_of(rig.now.plus(Nanos(-10_000_000_001)), 99, 101);
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::StaleData));
}

#[test]
fn the_rate_and_the_duplicate_window_hold_an_engine_to_its_limits() {
    let mut rig = with_limits(|limits| {
        limits.max_order_rate_per_min = 2;
        limits.duplicate_window = Nanos::from_secs(1);
    });
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::Duplicate));
    assert!(rig.order(Side::Buy, 98, 2).is_ok());
    assert_eq!(
        rig.order(Side::Buy, 98, 3),
        Err(DenyReason::OrderRate),
        "what was denied does not count"
    );
    rig.wait(Nanos(59_999_999_999));
    assert_eq!(rig.order(Side::Buy, 98, 3), Err(DenyReason::OrderRate));
    rig.wait(Nanos(1));
    assert!(rig.order(Side::Buy, 98, 3).is_ok());
}

#[test]
fn a_drawdown_latches_reduce_only_until_a_person_looks() {
    // 1 % of 200,000 is 2,000: 100 coins falling by 20.
    let mut rig = with_limits(|limits| limits.max_drawdown_pct = share("0.01"));
    rig.hold(SLOT, 100_000);
    let at = |rig: &mut Rig, mid: i64| {
        rig.wait(Nanos(1));
        alerts(&rig.quote(mid - 1, mid + 1))
    };
    assert!(at(&mut rig, 101).is_empty());
    assert_eq!(
        at(&mut rig, 80),
        [Alert::DrawdownStop],
        "the slot's own limit is 90 %, the account's 1 %"
    );
    assert!(at(&mut rig, 79).is_empty(), "told once");
    assert_eq!(rig.order(Side::Buy, 78, 1), Err(DenyReason::Drawdown));
    assert!(rig.order(Side::Sell, 82, 1).is_ok());
    let latches: Vec<_> = rig.restart().engine.latches().collect();
    assert_eq!(latches.len(), 1);
    assert_eq!(
        (latches[0].scope, latches[0].cause),
        (Scope::All, LatchCause::Drawdown)
    );
    rig.command(rearm(Scope::All)).0.unwrap();
    assert!(
        at(&mut rig, 78).is_empty(),
        "the fall is counted from where the person looked"
    );
    assert!(rig.order(Side::Buy, 78, 1).is_ok());
}

#[test]
fn the_drawdown_limit_itself_is_still_allowed() {
    let mut rig = with_limits(|limits| limits.max_drawdown_pct = share("0.01"));
    rig.hold(SLOT, 100_000);
    // Bought 100 at 101, marked there: a fall of exactly 20 loses 2,000 of 200,000.
    rig.quote(100, 102);
    assert!(alerts(&rig.quote(80, 82)).is_empty());
    let one_unit_below = domain::Price::from_units(rig::price(80).units() - 2);
    assert_eq!(
        alerts(&rig.quote_units(one_unit_below, rig::price(82))),
        [Alert::DrawdownStop]
    );
}

#[test]
fn a_restart_stops_nothing_before_the_position_has_its_mark() {
    let mut rig = with_limits(|limits| limits.max_drawdown_pct = share("0.01"));
    rig.hold(SLOT, 100_000);
    rig.quote(999, 1_001);
    let carried = rig.engine.carried_state();
    let limits = RiskLimits {
        max_drawdown_pct: share("0.01"),
        ..limits()
    };
    let mut next = Rig::bare(EngineConfig {
        carried,
        limits,
        ..config()
    });
    // At its cost the position is far below the peak; nothing says yet that it fell.
    let same = EventBody::SlotCapital {
        slot: SLOT,
        capital: dollars(100_000),
    };
    assert!(alerts(&next.feed(same)).is_empty());
    assert!(alerts(&next.quote(999, 1_001)).is_empty());
    assert_eq!(alerts(&next.quote(899, 901)), [Alert::DrawdownStop]);
}

#[test]
fn a_drawdown_stop_of_one_slot_leaves_the_account_free() {
    let mut rig = Rig::new();
    let strict = RiskLimits {
        max_drawdown_pct: share("0.01"),
        ..limits()
    };
    rig.deploy(engine::SlotProgram {
        limits: strict,
        ..rig::program(SLOT, 7, Box::new(rig::Silent))
    });
    rig.deploy(rig::program(OTHER, 9, Box::new(rig::Silent)));
    rig.hold(SLOT, 100_000);
    let actions = rig.quote(80, 82);
    let control = actions.iter().find_map(|action| match action {
        Action::Control { scope, level } => Some((*scope, *level)),
        _ => None,
    });
    assert_eq!(control, Some((Scope::Slot(SLOT), ControlLevel::ReduceOnly)));
    assert_eq!(rig.order(Side::Buy, 79, 1), Err(DenyReason::Drawdown));
    assert!(
        rig.order_in(OTHER, Side::Buy, Some(rig::price(79)), milli(1))
            .is_ok()
    );
    rig.command(rearm(Scope::All)).0.unwrap();
    assert!(
        rig.order(Side::Buy, 79, 1).is_ok(),
        "re-arming everything lifts what a limit latched on a slot"
    );
}

#[test]
fn a_margin_call_alerts_and_only_reduces() {
    let mut rig = with_limits(|limits| limits.margin_call_threshold = share("0.9"));
    rig.hold(SLOT, 190_000);
    let actions = rig.quote(120, 122);
    assert_eq!(alerts(&actions), [Alert::MarginCall]);
    assert!(alerts(&rig.quote(121, 123)).is_empty(), "told once");
    assert_eq!(rig.order(Side::Buy, 120, 1), Err(DenyReason::MarginCall));
    assert!(rig.order(Side::Sell, 124, 1).is_ok());
}

#[test]
fn too_many_executions_latch_until_a_person_looks() {
    let mut rig = with_limits(|limits| limits.repeated_execution_limit = 3);
    let id = rig.order(Side::Buy, 100, 10).unwrap();
    for _ in 0..3 {
        assert!(alerts(&rig.fill(id, Side::Buy, 100, 1)).is_empty());
    }
    assert!(rig.order(Side::Buy, 98, 1).is_ok(), "at the limit");
    assert_eq!(
        alerts(&rig.fill(id, Side::Buy, 100, 1)),
        [Alert::RepeatedExecution]
    );
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::RepeatedExecution));
    rig.wait(Nanos::from_secs(3_600));
    rig.quote(99, 101);
    assert_eq!(
        rig.order(Side::Buy, 98, 1),
        Err(DenyReason::RepeatedExecution),
        "time does not lift it"
    );
    rig.command(rearm(Scope::All)).0.unwrap();
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
}

#[test]
fn a_flatten_cancels_waits_and_closes_within_the_slippage() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let working = rig.order(Side::Sell, 110, 4).unwrap();
    rig.accept(working);
    let (result, actions) = rig.command(CommandKind::Flatten {
        scope: Scope::All,
        max_slippage_bps: 200,
    });
    assert_eq!((result, cancels(&actions)), (Ok(()), vec![working]));
    assert!(submits(&actions).is_empty(), "the working order could still sell");
    assert_eq!(denial(&actions), None, "nor is anything tried");
    let sent = submits(&rig.report(working, OrderReportKind::Canceled));
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].side, sent[0].quantity, sent[0].reduce_only),
        (Side::Sell, milli(10), true)
    );
    assert_eq!(sent[0].price, Some(rig::price(98)), "2 % below the mid of 100");
    let first = sent[0].client_order_id;
    rig.fill(first, Side::Sell, 99, 6);
    let sent = submits(&rig.report(first, OrderReportKind::Expired));
    assert_eq!(sent[0].quantity, milli(4), "what is left");
    let actions = rig.fill(sent[0].client_order_id, Side::Sell, 99, 4);
    assert!(submits(&actions).is_empty());
    assert_eq!(rig.position(SLOT), Quantity::ZERO);
    assert_eq!(
        rig.order(Side::Buy, 98, 1),
        Err(DenyReason::ReduceOnly),
        "latched"
    );
}

#[test]
fn a_flatten_silences_the_strategy_whose_position_it_closes() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let wishes = rig.script(SLOT, 2);
    let working = rig.order(Side::Sell, 110, 4).unwrap();
    let kind = CommandKind::Flatten {
        scope: Scope::Slot(SLOT),
        max_slippage_bps: 100,
    };
    rig.command(kind).0.unwrap();
    wishes.send(Intent::Order(rig::wish(Side::Sell, 105, 1))).unwrap();
    assert_eq!(denial(&rig.quote(98, 102)), Some(DenyReason::Paused));
    let closing = submits(&rig.report(working, OrderReportKind::Canceled))[0];
    rig.fill(closing.client_order_id, Side::Sell, 99, 10);
    wishes.send(Intent::Order(rig::wish(Side::Sell, 105, 1))).unwrap();
    assert_eq!(
        denial(&rig.quote(99, 102)),
        Some(DenyReason::ReduceOnly),
        "closed: the latch is what is left"
    );
}

#[test]
fn a_flatten_cuts_its_orders_to_the_largest_allowed() {
    let mut rig = with_limits(|limits| limits.max_order_size_usd = dollars(1_000));
    for _ in 0..3 {
        let id = rig.order(Side::Buy, 100, 8_000).unwrap();
        rig.fill(id, Side::Buy, 100, 8_000);
    }
    let kind = CommandKind::Flatten {
        scope: Scope::Slot(SLOT),
        max_slippage_bps: 0,
    };
    let mut sent = submits(&rig.command(kind).1);
    let mut closed = 0;
    while let Some(order) = sent.pop() {
        let worth = order.price.unwrap().notional(order.quantity, rig::usd());
        assert!(worth.units() <= dollars(1_000).units());
        closed += 1;
        let fill = domain::Fill {
            quantity: order.quantity,
            ..rig.next_fill(Side::Sell, 100, 1)
        };
        sent = submits(&rig.report(order.client_order_id, OrderReportKind::Filled(fill)));
    }
    assert_eq!((closed, rig.position(SLOT)), (3, Quantity::ZERO));
}

#[test]
fn a_flatten_that_cannot_trade_tries_again_and_gives_up_in_the_end() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    rig.invalidate();
    let (_, actions) = rig.command(CommandKind::Flatten {
        scope: Scope::All,
        max_slippage_bps: 100,
    });
    let mut set = rig::timers(&actions);
    let mut last = Vec::new();
    while let Some((timer, at)) = set.pop() {
        rig.now = at;
        last = rig.timer(timer);
        set = rig::timers(&last);
    }
    assert_eq!(alerts(&last), [Alert::FlattenIncomplete(SLOT)]);
    rig.snapshot(99, 101);
    let (_, actions) = rig.command(CommandKind::Flatten {
        scope: Scope::All,
        max_slippage_bps: 100,
    });
    assert_eq!(submits(&actions).len(), 1, "asked again, it begins again");
}

#[test]
fn a_position_that_the_venue_does_not_confirm_only_shrinks() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let venue = |rig: &mut Rig, quantity| {
        rig.feed(EventBody::VenuePosition(VenuePosition {
            instrument: BTC,
            quantity: milli(quantity),
        }))
    };
    let difference = milli(-2);
    let actions = venue(&mut rig, 8);
    assert_eq!(
        alerts(&actions),
        [Alert::PositionMismatch {
            instrument: BTC,
            difference
        }]
    );
    assert_eq!(
        rig.engine.control(Scope::Instrument(BTC)),
        Some(ControlLevel::ReduceOnly)
    );
    assert_eq!(rig.order(Side::Buy, 98, 1), Err(DenyReason::ReduceOnly));
    assert!(alerts(&venue(&mut rig, 8)).is_empty(), "told once");
    venue(&mut rig, 10);
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
}

#[test]
fn commands_at_nothing_are_refused() {
    let mut rig = Rig::new();
    let nowhere = [
        Scope::Slot(domain::SlotId(7)),
        Scope::Instrument(domain::InstrumentId(7)),
    ];
    for scope in nowhere {
        for kind in [
            CommandKind::Kill(scope),
            CommandKind::Pause(scope),
            CommandKind::Start(scope),
            CommandKind::ReduceOnly(scope),
            CommandKind::CancelOrders(scope),
            CommandKind::Flatten {
                scope,
                max_slippage_bps: 1,
            },
            rearm(scope),
        ] {
            assert_eq!(
                rig.command(kind).0,
                Err(CommandRefusal::UnknownTarget),
                "{kind:?}"
            );
        }
    }
    let set = |slot| CommandKind::SetParameter {
        slot,
        parameter: engine::ParameterId::EntryThreshold,
        value: Decimal::ONE,
    };
    assert_eq!(
        rig.command(set(domain::SlotId(7))).0,
        Err(CommandRefusal::UnknownTarget)
    );
    assert_eq!(rig.command(set(OTHER)).0, Err(CommandRefusal::NoProgram));
    assert_eq!(
        rig.command(set(SLOT)).0,
        Err(CommandRefusal::NotAParameter),
        "a silent strategy has none"
    );
}

#[test]
fn capital_that_comes_and_goes_is_neither_profit_nor_loss() {
    let mut rig = with_limits(|limits| limits.max_drawdown_pct = share("0.01"));
    let less = EventBody::SlotCapital {
        slot: SLOT,
        capital: dollars(10_000),
    };
    assert!(alerts(&rig.feed(less)).is_empty());
    assert_eq!(rig.engine.equity(), dollars(110_000));
    assert_eq!(rig.engine.peak_equity(), dollars(110_000));
    let foreign = Money::zero(rig::coin());
    rig.feed(EventBody::SlotCapital {
        slot: SLOT,
        capital: foreign,
    });
    assert_eq!(
        rig.engine.equity(),
        dollars(110_000),
        "another currency is no capital"
    );
}

#[test]
fn a_kill_ends_a_flatten_for_good() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let working = rig.order(Side::Sell, 110, 4).unwrap();
    rig.command(CommandKind::Flatten {
        scope: Scope::All,
        max_slippage_bps: 200,
    })
    .0
    .unwrap();
    rig.command(CommandKind::Kill(Scope::All)).0.unwrap();
    assert!(submits(&rig.report(working, OrderReportKind::Canceled)).is_empty());
    rig.command(rearm(Scope::All)).0.unwrap();
    assert!(submits(&rig.quote(98, 102)).is_empty());
    assert_eq!(rig.engine.control(Scope::Slot(SLOT)), Some(ControlLevel::Running));
}

#[test]
fn a_next_life_cancels_what_outlived_its_time() {
    let mut rig = Rig::new();
    let wishes = rig.script(SLOT, 2);
    let timeout = Some(Nanos::from_secs(30));
    let order = engine::strategy::OrderIntent {
        timeout,
        ..rig::wish(Side::Buy, 98, 1)
    };
    wishes.send(Intent::Order(order)).unwrap();
    let id = submits(&rig.quote(98, 101))[0].client_order_id;
    let end = rig.now.plus(Nanos::from_secs(30));
    let carried = rig.engine.carried_state();
    let mut next = Rig::bare(EngineConfig {
        epoch: domain::Epoch(2),
        carried,
        ..config()
    });
    next.now = rig.now;
    let again = next.feed(EventBody::Started {
        epoch: domain::Epoch(2),
    });
    let (timer, _) = *rig::timers(&again).iter().find(|(_, at)| *at == end).unwrap();
    next.accept(id);
    assert_eq!(next.status(id), OrderStatus::Accepted);
    next.now = end;
    assert_eq!(cancels(&next.timer(timer)), [id]);
}
