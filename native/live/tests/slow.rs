//! Slow parameters told to a running service: recorded before they act, read by the features of what runs, and replayed
//! to the same bytes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use domain::{Nanos, Number, Text, Timestamp};
use engine::signals::SlowFact;
use engine::{Actions, CommandKind, CommandRefusal, Engine, EventBody, Signal};
use journal::codec::encode_action;
use journal::{Reader, RecordBody};
use live::programs::Programs;
use live::{Commander, Refused};
use support::programs::{OF_RATE, TestPrograms};
use support::{BTC, Bench, Seen};

async fn tell(
    commander: &Commander,
    value: Option<f64>,
    valid_from: Timestamp,
    max_age: Nanos,
) -> Result<(), Refused> {
    let fact = SlowFact {
        instrument: BTC,
        name: Text::new("rate").unwrap(),
        value: value.and_then(|value| Number::from_bits(value.to_bits())),
        valid_from,
        max_age,
    };
    commander.command(CommandKind::TellSlow(fact)).await.unwrap()
}

async fn signal(bench: &mut Bench, what: &str, fits: impl Fn(&Signal) -> bool) -> Signal {
    let signal = |seen: &Seen| match seen {
        Seen::Signal(signal) if fits(signal) => Some(**signal),
        _ => None,
    };
    bench.until(what, signal).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_is_a_feature_from_its_time_on_and_replays_to_the_same_bytes() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    let early = tell(&bench.commander, Some(0.5), Timestamp::EPOCH, Nanos(1)).await;
    assert_eq!(early.unwrap_err().refusal, CommandRefusal::NotDeclared);
    bench.deploy(OF_RATE).await;
    let is_empty = |signal: &Signal| signal.features.as_slice().is_empty();
    let first = signal(&mut bench, "a bar of which nothing is known", is_empty).await;
    let minute = Nanos::from_secs(60);
    let commander = bench.commander.clone();
    let since = first.ts_close.plus(Nanos(-10 * minute.0));
    assert_eq!(
        tell(&commander, Some(0.5), since, Nanos::from_secs(86_400)).await,
        Ok(())
    );
    let known = signal(&mut bench, "a bar that knows it", |signal| !is_empty(signal)).await;
    assert_eq!(known.features.as_slice(), [0.5]);
    let later = known.ts_close.plus(Nanos(10 * minute.0));
    assert_eq!(tell(&commander, Some(2.0), later, minute).await, Ok(()));
    let changed = signal(&mut bench, "the next value", |signal| signal.ts_close >= later).await;
    assert_eq!(changed.features.as_slice(), [2.0 + 1.5]);
    let old = signal(&mut bench, "a bar at which it is too old", is_empty).await;
    assert!(old.ts_close > later.plus(minute), "{:?} {later:?}", old.ts_close);
    let refused = tell(&commander, Some(1.0), later, Nanos(0)).await;
    assert!(refused.is_err(), "an age of nothing");
    let run = bench.home.path().join("run");
    let (setup, _home, ended) = bench.end().await;
    assert!(ended.fault.is_none(), "{ended:?}");
    let programs = TestPrograms { limits: setup.limits };
    assert_eq!(replayed(&run.join("journal"), &programs), (4, true));
}

/// How often it was told, and whether a fresh engine does to the byte what was recorded.
fn replayed(journal: &std::path::Path, programs: &TestPrograms) -> (u64, bool) {
    let mut reader = Reader::open(journal).unwrap();
    let (mut config, mut engine): (_, Option<Engine>) = (None, None);
    let (mut actions, mut due) = (Actions::new(), std::collections::VecDeque::new());
    let (mut told, mut same) = (0, true);
    while let Some(record) = reader.next_record().unwrap() {
        match record.body {
            RecordBody::Header(header) => {
                engine = Some(Engine::new(header.config.clone()).unwrap());
                config = Some(header.config);
            }
            RecordBody::Event(event) => {
                let engine = engine.as_mut().unwrap();
                same &= due.is_empty();
                if let EventBody::BundleActivated(activation) = &event.body {
                    let program = programs.recorded(activation, config.as_ref().unwrap());
                    engine.stage(program.unwrap()).unwrap();
                }
                if let EventBody::Command(command) = &event.body {
                    told += u64::from(matches!(command.kind, CommandKind::TellSlow(_)));
                }
                engine.on_event(&event, &mut actions);
                for action in actions.drain() {
                    let mut bytes = Vec::new();
                    encode_action(&action, &mut bytes);
                    due.push_back(bytes);
                }
            }
            RecordBody::Action => same &= due.pop_front().as_deref() == Some(record.payload),
        }
    }
    (told, same && due.is_empty())
}
