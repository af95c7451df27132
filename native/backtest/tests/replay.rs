//! Replaying a record: identical when it is, and the first difference by name when it is not.

mod market;

use std::collections::VecDeque;

use backtest::{BACKTEST_SLOT, Divergence, Recorded, Replay, ReplayError, ReplayReport};
use domain::{
    BundleDigest, Epoch, Fill, Liquidity, MarketEvent, Nanos, OrderReport, OrderReportKind, OrderRequest,
    Price, SCALE, Timestamp, TradeId,
};
use engine::strategy::{SmaCross, SmaCrossParameters, SmaSource};
use engine::{
    Action, Actions, BundleActivated, CarriedState, Engine, EngineConfig, Event, EventBody, OnSwap,
    SlotConfig, SlotProgram,
};
use market::{BTC, SPAN, decimal, dollars, limits, quotes, settings};
use simulation::PublicEvent;

const DIGEST: BundleDigest = BundleDigest([3; 32]);
const NEVER: Timestamp = Timestamp::from_nanos(i64::MAX);

/// A record in memory, in place of the journal's: events whole, actions as bytes.
enum Line {
    Life(Box<EngineConfig>),
    Event(Event<'static>),
    Action(Vec<u8>),
}

fn encode(action: &Action, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("{action:?}").as_bytes());
}

fn config(epoch: u32) -> EngineConfig {
    EngineConfig {
        epoch: Epoch(epoch),
        portfolio_currency: market::usdt(),
        instruments: vec![settings(1).instrument],
        slots: vec![SlotConfig {
            slot: BACKTEST_SLOT,
            instrument: BTC,
            capital: dollars(100_000),
        }],
        limits: limits(),
        bar_span: SPAN,
        bar_close_grace: Nanos(0),
        order_ack_timeout: Nanos::from_secs(60),
        require_reconciliation: false,
        carried: CarriedState::default(),
    }
}

/// The bundle of the record; `slow` is what another bundle would have otherwise.
fn program(slow: u32) -> SlotProgram {
    let parameters = SmaCrossParameters {
        source: SmaSource::QuoteMid,
        fast: 5,
        slow,
        position_size_pct: decimal("0.5"),
    };
    SlotProgram {
        slot: BACKTEST_SLOT,
        digest: DIGEST,
        instrument: BTC,
        features: None,
        model: None,
        strategy: Box::new(SmaCross::new(parameters).expect("lengths in range")),
        limits: limits(),
        daily_volatility: decimal("0.03"),
        size_scale: domain::Decimal::ONE,
        expires: NEVER,
        on_swap: OnSwap::Adopt,
    }
}

/// Every order fills whole at once: the record's venue is not what is tested here.
fn fill(order: &OrderRequest, seq: u64, now: Timestamp) -> OrderReport {
    let fill = Fill {
        trade_id: TradeId(seq),
        price: Price::from_units(43_000 * SCALE),
        quantity: order.quantity,
        side: order.side,
        fee: dollars(1),
        liquidity: Liquidity::Taker,
    };
    OrderReport {
        client_order_id: order.client_order_id,
        instrument: order.instrument,
        ts_event: now,
        kind: OrderReportKind::Filled(fill),
    }
}

/// Two lives over a walk of quotes.
fn record() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut seq = 0;
    for epoch in 1..=2 {
        let mut engine = Engine::new(config(epoch)).expect("a valid configuration");
        engine.stage(program(20)).expect("a program that fits");
        let mut actions = Actions::new();
        let mut now = Timestamp::EPOCH;
        lines.push(Line::Life(Box::new(config(epoch))));
        let activation = BundleActivated {
            slot: BACKTEST_SLOT,
            digest: DIGEST,
            serial: 1,
            expires: NEVER,
        };
        let mut bodies = vec![
            EventBody::Started { epoch: Epoch(epoch) },
            EventBody::BundleActivated(activation),
        ];
        for event in quotes(u64::from(epoch), 400, domain::Quantity::ONE) {
            if let PublicEvent::Quote(quote) = event {
                bodies.push(EventBody::Market(MarketEvent::Quote(quote)));
            }
        }
        let mut bodies = VecDeque::from(bodies);
        while let Some(body) = bodies.pop_front() {
            if let EventBody::Market(MarketEvent::Quote(quote)) = body {
                now = quote.ts_event;
            }
            seq += 1;
            let event = Event { seq, ts: now, body };
            engine.on_event(&event, &mut actions);
            lines.push(Line::Event(event));
            for action in actions.drain() {
                if let Action::Submit(order) = &action {
                    bodies.push_front(EventBody::OrderReport(fill(order.get(), seq, now)));
                }
                let mut bytes = Vec::new();
                encode(&action, &mut bytes);
                lines.push(Line::Action(bytes));
            }
        }
    }
    lines
}

fn replay(lines: &[Line], slow: u32) -> Result<ReplayReport, ReplayError> {
    let mut replay = Replay::new(encode);
    let mut load = |_: &BundleActivated| Ok(program(slow));
    for line in lines {
        let recorded = match line {
            Line::Life(config) => Recorded::Life(config.clone()),
            Line::Event(event) => Recorded::Event(*event),
            Line::Action(bytes) => Recorded::Action(bytes),
        };
        replay.take(recorded, &mut load)?;
    }
    Ok(replay.finish())
}

fn diverged(result: Result<ReplayReport, ReplayError>) -> Divergence {
    match result {
        Err(ReplayError::Diverged(divergence)) => *divergence,
        other => panic!("expected a divergence, found {other:?}"),
    }
}

fn submits(lines: &[Line]) -> Vec<usize> {
    let is_submit = |line: &Line| matches!(line, Line::Action(bytes) if bytes.starts_with(b"Submit"));
    (0..lines.len()).filter(|at| is_submit(&lines[*at])).collect()
}

#[test]
fn a_record_replays_to_the_same_bytes() {
    let lines = record();
    assert!(submits(&lines).len() > 4, "{} orders", submits(&lines).len());
    let events = lines.iter().filter(|line| matches!(line, Line::Event(_))).count() as u64;
    let actions = lines
        .iter()
        .filter(|line| matches!(line, Line::Action(_)))
        .count() as u64;
    assert_eq!(
        replay(&lines, 20),
        Ok(ReplayReport {
            lives: 2,
            events,
            actions,
            unrecorded: 0
        })
    );
}

#[test]
fn a_changed_byte_is_named_with_both_sides() {
    let mut lines = record();
    let at = submits(&lines)[2];
    let Line::Action(bytes) = &mut lines[at] else {
        unreachable!("a submit is an action")
    };
    let replayed = bytes.clone();
    bytes[10] ^= 1;
    let changed = bytes.clone();
    let divergence = diverged(replay(&lines, 20));
    assert_eq!(
        (divergence.recorded, divergence.replayed),
        (Some(changed), Some(replayed))
    );
}

#[test]
fn another_program_is_found_out() {
    let divergence = diverged(replay(&record(), 21));
    assert_ne!(divergence.recorded, divergence.replayed);
}

#[test]
fn an_output_too_many_and_one_too_few() {
    let mut lines = record();
    let at = submits(&lines)[1];
    let Line::Action(bytes) = &lines[at] else {
        unreachable!("a submit is an action")
    };
    let copy = bytes.clone();
    lines.insert(at, Line::Action(copy));
    assert!(diverged(replay(&lines, 20)).recorded.is_some());
    let mut lines = record();
    lines.remove(at);
    let divergence = diverged(replay(&lines, 20));
    assert!(divergence.replayed.is_some());
}

#[test]
fn a_life_cut_between_input_and_output_is_no_difference() {
    let mut lines = record();
    let last = submits(&lines).pop().expect("an order");
    lines.truncate(last);
    let report = replay(&lines, 20).expect("what was recorded is identical");
    assert!(report.unrecorded >= 1);
}

#[test]
fn a_record_without_a_header_and_a_lost_bundle_are_refused() {
    let lines = record();
    assert_eq!(replay(&lines[1..], 20), Err(ReplayError::NoLife));
    let mut replay = Replay::new(encode);
    let mut load = |_: &BundleActivated| Err("no such folder".to_owned());
    let mut result = Ok(());
    for line in lines {
        let recorded = match line {
            Line::Life(config) => Recorded::Life(config),
            Line::Event(event) => Recorded::Event(event),
            Line::Action(_) => continue,
        };
        result = replay.take(recorded, &mut load);
        if result.is_err() {
            break;
        }
    }
    assert!(
        matches!(result, Err(ReplayError::Diverged(_) | ReplayError::Bundle { .. })),
        "{result:?}"
    );
}
