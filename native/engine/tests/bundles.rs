//! Bundles: staging, the swap between two events, rollback, expiry, signals.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use domain::{Bar, Nanos, OrderReportKind, Quantity, Side, Timestamp};
use engine::risk::DenyReason;
use engine::signals::FeatureSpec;
use engine::strategy::{ThresholdModel, ThresholdParameters};
use engine::{
    Action, ActivationRefusal, Alert, CommandKind, CommandRefusal, ControlLevel, Decision, EventBody, OnSwap,
    ParameterId, Scope, Signal, SlotProgram, StageError,
};
use rig::{
    BAR, BTC, Linear, OTHER, Rig, SLOT, Silent, alerts, cancels, digest, milli, one_feature, program, share,
    submits, timers,
};

fn refusal(actions: &[Action]) -> Option<ActivationRefusal> {
    actions.iter().find_map(|action| match action {
        Action::BundleRefused { reason, .. } => Some(*reason),
        _ => None,
    })
}

fn signals(actions: &[Action]) -> Vec<Signal> {
    let signal = |action: &Action| match action {
        Action::Signal(signal) => Some(*signal),
        _ => None,
    };
    actions.iter().filter_map(signal).collect()
}

fn parameters() -> ThresholdParameters {
    ThresholdParameters {
        lookback_period: 0,
        entry_threshold: share("0.6"),
        exit_threshold: share("0.4"),
        position_size_pct: share("0.1"),
        order_type: domain::OrderType::Limit,
        limit_offset_bps: 100,
        timeout_seconds: 30,
    }
}

/// The specification's strategy over a model that scores the last bar's return in percent.
fn threshold(number: u8) -> SlotProgram {
    let model = Linear {
        width: 1,
        broken: false,
    };
    let strategy = ThresholdModel::new(parameters(), &model).unwrap();
    SlotProgram {
        features: Some(one_feature()),
        model: Some(Box::new(model)),
        ..program(SLOT, number, Box::new(strategy))
    }
}

/// The one feature of these tests, as its definition says: computed in double, rounded once.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a feature is a float32 by definition"
)]
fn last_return(close: f64, before: f64) -> f32 {
    (close / before - 1.0) as f32
}

#[test]
fn only_what_is_staged_and_approved_takes_a_slot_over() {
    let mut rig = Rig::bare(rig::config());
    assert_eq!(
        refusal(&rig.activate(SLOT, digest(1), i64::MAX)),
        Some(ActivationRefusal::NotStaged)
    );
    rig.engine.stage(program(SLOT, 1, Box::new(Silent))).unwrap();
    assert_eq!(
        refusal(&rig.activate(SLOT, digest(2), i64::MAX)),
        Some(ActivationRefusal::NotStaged)
    );
    let now = rig.now.nanos();
    assert_eq!(
        refusal(&rig.activate(SLOT, digest(1), now)),
        Some(ActivationRefusal::Expired)
    );
    let actions = rig.activate(SLOT, digest(1), now + 1);
    let expected = Action::BundleActivated {
        slot: SLOT,
        digest: digest(1),
        previous: None,
    };
    assert_eq!(actions[0], expected);
    assert_eq!(timers(&actions)[0].1.nanos(), now + 1);
    let slow = FeatureSpec {
        bar_span: Nanos(BAR.0 * 2),
        events: None,
        slow: Vec::new(),
        ..one_feature()
    };
    rig.engine
        .stage(SlotProgram {
            features: Some(slow),
            ..program(SLOT, 3, Box::new(Silent))
        })
        .unwrap();
    assert_eq!(
        refusal(&rig.activate(SLOT, digest(3), i64::MAX)),
        Some(ActivationRefusal::SlotMismatch)
    );
    assert_eq!(
        rig.engine.slots().next().unwrap().active,
        Some(digest(1)),
        "the running one stays"
    );
}

#[test]
fn what_cannot_run_is_not_staged() {
    let mut rig = Rig::new();
    let stage = |rig: &mut Rig, program| rig.engine.stage(program).unwrap_err();
    let nowhere = program(domain::SlotId(9), 5, Box::new(Silent));
    assert_eq!(
        stage(&mut rig, nowhere),
        StageError::UnknownSlot(domain::SlotId(9))
    );
    let wide = SlotProgram {
        model: Some(Box::new(Linear {
            width: 3,
            broken: false,
        })),
        ..threshold(5)
    };
    assert_eq!(
        stage(&mut rig, wide),
        StageError::FeatureCount {
            model: 3,
            features: 1
        }
    );
    let empty = FeatureSpec {
        features: Vec::new(),
        ..one_feature()
    };
    let none = SlotProgram {
        features: Some(empty),
        model: None,
        ..threshold(5)
    };
    assert!(matches!(stage(&mut rig, none), StageError::Features(_)));
    let still = SlotProgram {
        daily_volatility: share("0"),
        ..threshold(5)
    };
    assert!(matches!(
        stage(&mut rig, still),
        StageError::OutOfRange {
            what: "daily_volatility",
            ..
        }
    ));
    let foreign = engine::risk::RiskLimits {
        max_position_usd: domain::Money::zero(rig::coin()),
        ..rig::limits()
    };
    let foreign = SlotProgram {
        limits: foreign,
        ..threshold(5)
    };
    assert!(matches!(stage(&mut rig, foreign), StageError::Limits(_)));
}

#[test]
fn the_previous_bundle_stays_hot_for_a_rollback() {
    let mut rig = Rig::new();
    rig.deploy(program(SLOT, 2, Box::new(Silent)));
    let slot = rig.engine.slots().next().unwrap();
    assert_eq!((slot.active, slot.previous), (Some(digest(2)), Some(digest(1))));
    let actions = rig.activate(SLOT, digest(1), i64::MAX);
    let expected = Action::BundleActivated {
        slot: SLOT,
        digest: digest(1),
        previous: Some(digest(2)),
    };
    assert_eq!(actions[0], expected);
    let slot = rig.engine.slots().next().unwrap();
    assert_eq!((slot.active, slot.previous), (Some(digest(1)), Some(digest(2))));
}

#[test]
fn a_swap_keeps_the_slots_position_peak_and_windows() {
    let mut rig = Rig::with(engine::EngineConfig {
        limits: engine::risk::RiskLimits {
            max_order_rate_per_min: 2,
            ..rig::limits()
        },
        ..rig::config()
    });
    rig.hold(SLOT, 10);
    rig.quote(149, 151);
    let before = rig.engine.slots().next().unwrap();
    rig.deploy(program(SLOT, 2, Box::new(Silent)));
    let after = rig.engine.slots().next().unwrap();
    assert_eq!(
        (after.peak_equity, after.equity),
        (before.peak_equity, before.equity)
    );
    assert_eq!(rig.position(SLOT), milli(10));
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
    assert_eq!(rig.order(Side::Buy, 97, 1), Err(DenyReason::OrderRate));
}

#[test]
fn adopting_cancels_working_orders_and_keeps_the_position() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let working = rig.order(Side::Buy, 98, 1).unwrap();
    let actions = rig.deploy(program(SLOT, 2, Box::new(Silent)));
    assert_eq!(cancels(&actions), [working]);
    assert!(submits(&actions).is_empty());
    assert_eq!(rig.engine.control(Scope::Slot(SLOT)), Some(ControlLevel::Running));
}

#[test]
fn running_off_only_reduces_until_flat() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let working = rig.order(Side::Buy, 98, 1).unwrap();
    let run_off = SlotProgram {
        on_swap: OnSwap::RunOff,
        ..program(SLOT, 2, Box::new(Silent))
    };
    assert!(cancels(&rig.deploy(run_off)).is_empty());
    assert_eq!(rig.order(Side::Buy, 97, 1), Err(DenyReason::ReduceOnly));
    let sell = rig.order(Side::Sell, 103, 10).unwrap();
    rig.fill(sell, Side::Sell, 103, 10);
    assert_eq!(
        rig.order(Side::Buy, 97, 1),
        Err(DenyReason::ReduceOnly),
        "an order still works"
    );
    rig.report(working, OrderReportKind::Canceled);
    assert!(rig.order(Side::Buy, 97, 1).is_ok());
}

#[test]
fn flattening_closes_the_position_before_the_new_bundle_may_open() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let flatten = SlotProgram {
        on_swap: OnSwap::Flatten,
        ..program(SLOT, 2, Box::new(Silent))
    };
    let sent = submits(&rig.deploy(flatten));
    assert_eq!((sent[0].side, sent[0].quantity), (Side::Sell, milli(10)));
    assert_eq!(rig.order(Side::Buy, 97, 1), Err(DenyReason::ReduceOnly));
    rig.fill(sent[0].client_order_id, Side::Sell, 99, 10);
    assert_eq!(rig.position(SLOT), Quantity::ZERO);
    assert!(rig.order(Side::Buy, 97, 1).is_ok());
}

#[test]
fn an_expired_approval_only_reduces_and_abandons_nothing() {
    let mut rig = Rig::new();
    rig.hold(SLOT, 10);
    let end = rig.now.plus(Nanos::from_secs(10));
    rig.engine.stage(program(SLOT, 2, Box::new(Silent))).unwrap();
    let (timer, at) = timers(&rig.activate(SLOT, digest(2), end.nanos()))[0];
    assert_eq!(at, end);
    rig.now = Timestamp::from_nanos(end.nanos() - 1);
    assert!(rig.order(Side::Buy, 98, 1).is_ok());
    rig.now = end;
    assert_eq!(
        rig.order(Side::Buy, 97, 1),
        Err(DenyReason::ReduceOnly),
        "even before the timer"
    );
    assert_eq!(alerts(&rig.timer(timer)), [Alert::BundleExpired(SLOT)]);
    assert!(alerts(&rig.timer(timer)).is_empty(), "told once");
    assert!(rig.order(Side::Sell, 103, 10).is_ok());
    rig.deploy(program(SLOT, 3, Box::new(Silent)));
    assert!(rig.order(Side::Buy, 97, 1).is_ok(), "a new approval");
}

#[test]
fn a_bars_close_becomes_features_a_score_a_decision_and_an_order() {
    let mut rig = Rig::bare(rig::config());
    rig.deploy(threshold(2));
    rig.watch_trades();
    rig.quote(99, 101);
    let first = rig.bar(100);
    assert_eq!(
        signals(&first)[0].decision,
        Decision::NoSignal,
        "one bar gives no return yet"
    );
    assert!(signals(&first)[0].features.as_slice().is_empty());
    let actions = rig.bar(101);
    let signal = signals(&actions)[0];
    assert_eq!(signal.features.as_slice(), [last_return(101.0, 100.0)]);
    assert_eq!(
        (signal.raw_score, signal.decision),
        (signal.features.as_slice()[0] * 100.0, Decision::Enter)
    );
    let order = submits(&actions)[0];
    // 1 % below the mid of 101; a tenth of 100,000 at that price, rounded down to the lot.
    let limit = domain::Price::parse(b"99.99").unwrap();
    assert_eq!((order.side, order.price), (Side::Buy, Some(limit)));
    assert_eq!(order.quantity, Quantity::parse(b"100.010").unwrap());
    assert_eq!(timers(&actions).len(), 2, "one for silence, one for its life");
    let hold = rig.bar(102);
    assert_eq!(signals(&hold)[0].decision, Decision::Hold, "one entry at a time");
    rig.fill(order.client_order_id, Side::Buy, 100, 100_010);
    let leave = rig.bar(90);
    assert_eq!(signals(&leave)[0].decision, Decision::Exit);
    let sell = submits(&leave)[0];
    assert_eq!(
        (sell.side, sell.quantity, sell.reduce_only),
        (Side::Sell, milli(100_010), true)
    );
    assert_eq!(
        sell.price,
        Some(domain::Price::parse(b"90.90").unwrap()),
        "1 % above the mid"
    );
}

#[test]
fn a_bundle_is_warm_from_bars_it_never_ran_on() {
    let mut rig = Rig::bare(rig::config());
    rig.watch_trades();
    rig.quote(99, 101);
    rig.bar(100);
    rig.deploy(threshold(2));
    assert_eq!(signals(&rig.bar(101))[0].decision, Decision::Enter);
    let mut rig = Rig::bare(rig::config());
    rig.engine.stage(threshold(2)).unwrap();
    let bar = Bar {
        instrument: BTC,
        ts_open: Timestamp::from_nanos(rig::START - BAR.0),
        span: BAR,
        open: rig::price(100),
        high: rig::price(100),
        low: rig::price(100),
        close: rig::price(100),
        volume: Quantity::ONE,
    };
    rig.feed(EventBody::HistoricalBar(bar));
    rig.activate(SLOT, digest(2), i64::MAX);
    rig.watch_trades();
    rig.quote(99, 101);
    assert_eq!(signals(&rig.bar(101))[0].decision, Decision::Enter);
}

#[test]
fn a_hole_in_the_bars_is_fetched_and_gives_no_signal_until_it_is_filled() {
    let mut rig = Rig::bare(rig::config());
    rig.deploy(threshold(2));
    rig.watch_trades();
    rig.quote(99, 101);
    rig.bar(100);
    // The stream is lost and comes back in the middle of the next bar but one.
    rig.venue(domain::VenueState::Offline);
    rig.venue(domain::VenueState::Online);
    let hole = rig.now;
    rig.wait(Nanos(BAR.0 + BAR.0 / 2));
    rig.watch_trades();
    let mut actions = rig.snapshot(99, 101);
    rig.wait(Nanos(BAR.0 / 2));
    actions.extend(rig.snapshot(99, 101));
    let requests: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::RequestHistory { from, to, .. } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(
        requests,
        [(hole, hole.plus(BAR)), (hole.plus(BAR), hole.plus(BAR).plus(BAR))]
    );
    let actions = rig.bar(103);
    assert_eq!(signals(&actions)[0].decision, Decision::NoSignal);
    for (ts_open, close) in [(hole, 100), (hole.plus(BAR), 102)] {
        let at = rig::price(close);
        let bar = Bar {
            instrument: BTC,
            ts_open,
            span: BAR,
            open: at,
            high: at,
            low: at,
            close: at,
            volume: milli(1),
        };
        assert!(
            rig.feed(EventBody::HistoricalBar(bar)).is_empty(),
            "no decision on the past"
        );
    }
    let actions = rig.bar(104);
    assert_eq!(
        signals(&actions)[0].features.as_slice(),
        [last_return(104.0, 103.0)]
    );
}

#[test]
fn after_a_silence_only_the_newest_bar_is_decided_on() {
    let mut rig = Rig::bare(rig::config());
    rig.deploy(threshold(2));
    rig.watch_trades();
    rig.quote(99, 101);
    rig.bar(100);
    rig.trade(110);
    rig.wait(Nanos(3 * BAR.0));
    let actions = rig.quote(109, 111);
    let closed = actions
        .iter()
        .filter(|action| matches!(action, Action::BarClosed(_)))
        .count();
    assert_eq!((closed, signals(&actions).len()), (3, 1));
    assert_eq!(
        signals(&actions)[0].features.as_slice(),
        [0.0],
        "the newest bar is empty"
    );
    assert!(submits(&actions).is_empty(), "the jump is long past");
}

#[test]
fn a_score_that_is_not_finite_is_no_signal() {
    let mut rig = Rig::bare(rig::config());
    let broken = Linear {
        width: 1,
        broken: true,
    };
    rig.deploy(SlotProgram {
        model: Some(Box::new(broken)),
        ..threshold(2)
    });
    rig.watch_trades();
    rig.quote(99, 101);
    rig.bar(100);
    let actions = rig.bar(150);
    assert_eq!(signals(&actions)[0].decision, Decision::NoSignal);
    assert_eq!(alerts(&actions), [Alert::ModelNotFinite(SLOT)]);
    assert!(submits(&actions).is_empty());
}

#[test]
fn a_parameter_changes_within_its_range() {
    let mut rig = Rig::bare(rig::config());
    rig.deploy(threshold(2));
    let set = |parameter, text| CommandKind::SetParameter {
        slot: SLOT,
        parameter,
        value: share(text),
    };
    for (parameter, text) in [
        (ParameterId::EntryThreshold, "1.1"),
        (ParameterId::PositionSizePct, "0"),
        (ParameterId::LimitOffsetBps, "1001"),
        (ParameterId::LimitOffsetBps, "0.5"),
        (ParameterId::TimeoutSeconds, "0"),
    ] {
        let result = rig.command(set(parameter, text)).0;
        assert_eq!(result, Err(CommandRefusal::OutOfRange), "{parameter:?} {text}");
    }
    let crossed = rig.command(set(ParameterId::ExitThreshold, "0.61")).0;
    assert_eq!(crossed, Err(CommandRefusal::ThresholdsCross));
    rig.command(set(ParameterId::LimitOffsetBps, "0")).0.unwrap();
    rig.watch_trades();
    rig.quote(99, 101);
    rig.bar(100);
    assert_eq!(submits(&rig.bar(101))[0].price, Some(rig::price(101)));
}

#[test]
fn swapping_one_slot_leaves_the_other_as_it_is() {
    let run = |swap: bool| {
        let mut rig = Rig::bare(rig::config());
        rig.deploy(SlotProgram {
            slot: OTHER,
            ..threshold(2)
        });
        rig.deploy(program(SLOT, 3, Box::new(Silent)));
        rig.watch_trades();
        rig.quote(99, 101);
        rig.bar(100);
        if swap {
            rig.deploy(program(SLOT, 4, Box::new(Silent)));
        }
        format!("{:?}", rig.bar(101))
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_rollback_runs_the_hot_bundle_as_approved_whether_or_not_it_is_staged_again() {
    let run = |staged: bool| {
        let mut rig = Rig::bare(rig::config());
        rig.deploy(threshold(2));
        let changed = CommandKind::SetParameter {
            slot: SLOT,
            parameter: ParameterId::LimitOffsetBps,
            value: share("0"),
        };
        rig.command(changed).0.unwrap();
        rig.deploy(threshold(3));
        rig.watch_trades();
        rig.quote(99, 101);
        rig.bar(100);
        if staged {
            rig.engine.stage(threshold(2)).unwrap();
        }
        let activation = format!("{:?}", rig.activate(SLOT, digest(2), i64::MAX));
        let actions = rig.bar(101);
        let limit = domain::Price::parse(b"99.99").unwrap();
        assert_eq!(
            submits(&actions)[0].price,
            Some(limit),
            "what was set while running is undone"
        );
        format!("{activation}{actions:?}")
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_renewed_approval_of_the_previous_bundle_counts() {
    let mut rig = Rig::new();
    let end = rig.now.plus(Nanos::from_secs(10));
    rig.deploy(SlotProgram {
        expires: end,
        ..program(SLOT, 2, Box::new(Silent))
    });
    rig.deploy(program(SLOT, 3, Box::new(Silent)));
    rig.now = end;
    assert_eq!(
        refusal(&rig.activate(SLOT, digest(2), i64::MAX)),
        Some(ActivationRefusal::Expired)
    );
    rig.deploy(program(SLOT, 2, Box::new(Silent)));
    let slot = rig.engine.slots().next().unwrap();
    assert_eq!((slot.active, slot.staged), (Some(digest(2)), None));
    assert_eq!(slot.expires, Some(Timestamp::from_nanos(i64::MAX)));
    rig.deploy(program(SLOT, 2, Box::new(Silent)));
    let slot = rig.engine.slots().next().unwrap();
    assert_eq!(
        slot.previous,
        Some(digest(3)),
        "renewing the running one keeps the one before"
    );
}
