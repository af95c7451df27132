//! From nothing to a standing book and closing bars, against the simulated venue.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use domain::{Bar, Level, Price, Quantity, VenueState};
use live::view::ServiceState;
use serde_json::Value;
use support::venue::{HISTORY, bars};
use support::{Bench, Seen};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connects_warms_up_and_sees_every_bar_as_the_record_has_it() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    let view = bench.commander.look().await.unwrap();
    assert_eq!(view.state, ServiceState::Waiting);
    assert!(view.tops[0].is_some());
    let mut closed = Vec::new();
    for _ in 0..3 {
        let bar = |seen: &Seen| match seen {
            Seen::Bar(bar) => Some(*bar),
            _ => None,
        };
        closed.push(bench.until("a bar", bar).await);
    }
    // The interval that was joined midway is fetched, and by now it has come.
    let asked = |seen: &Seen| matches!(seen, Seen::HistoryAsked(..));
    assert!(
        bench.seen.iter().any(asked),
        "the first interval was not watched whole"
    );
    let historical: BTreeMap<i64, Bar> = bench
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Historical(bar) => Some((bar.number(), *bar)),
            _ => None,
        })
        .collect();
    assert!(historical.len() > HISTORY);
    let recorded: BTreeMap<i64, Bar> = bars().iter().map(|bar| (bar.number(), *bar)).collect();
    for bar in closed.iter().chain(historical.values()) {
        assert_eq!(Some(bar), recorded.get(&bar.number()), "of {closed:?}");
    }
    let first = closed[0].number();
    assert!(
        historical.contains_key(&(first - 1)),
        "no hole before the first live bar"
    );
    assert_eq!(
        [1, 2].map(|at| closed[at].number() - first),
        [1, 2].map(i64::from)
    );
    let (ended, seen, _venue) = bench.drain().await;
    assert_eq!((ended.orders_left, ended.compared), (0, true));
    assert!(ended.fault.is_none());
    assert_eq!(seen.last(), Some(&Seen::Finished));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn builds_the_book_that_the_venue_has() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    // The venue's own book at an update that the stream shows as well.
    let (update, depth) = loop {
        let depth = bench.venue.get("/api/v3/depth?symbol=BTCUSDT&limit=5000").await;
        let wanted = depth["lastUpdateId"].as_u64().unwrap();
        let passed = |seen: &Seen| match seen {
            Seen::Book { update_id, .. } if *update_id >= wanted => Some(*update_id),
            _ => None,
        };
        let reached = match bench.seen.iter().find_map(passed) {
            Some(update) => update,
            None => bench.until("the book at least as far", passed).await,
        };
        if reached == wanted {
            break (wanted, depth);
        }
    };
    let (bids, asks) = built(&bench.seen, update);
    assert_eq!(bids, levels(&depth["bids"]));
    assert_eq!(asks, levels(&depth["asks"]));
    bench.venue.pause().await;
    let view = bench.commander.look().await.unwrap();
    let top = view.tops[0].unwrap();
    assert!(top.bid < top.ask);
    drop(bench.drain().await);
}

type Side = BTreeMap<Price, Quantity>;

/// The book that the engine's events make, up to an update.
fn built(seen: &[Seen], last: u64) -> (Side, Side) {
    let (mut bids, mut asks) = (Side::new(), Side::new());
    let set = |side: &mut Side, levels: &[Level]| {
        for level in levels {
            if level.quantity == Quantity::ZERO {
                side.remove(&level.price);
            } else {
                side.insert(level.price, level.quantity);
            }
        }
    };
    for one in seen {
        if let Seen::Book {
            is_snapshot,
            update_id,
            bids: new_bids,
            asks: new_asks,
            ..
        } = one
            && *update_id <= last
        {
            if *is_snapshot {
                (bids, asks) = (Side::new(), Side::new());
            }
            set(&mut bids, new_bids);
            set(&mut asks, new_asks);
        }
    }
    (bids, asks)
}

fn levels(side: &Value) -> Side {
    let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    side.as_array()
        .unwrap()
        .iter()
        .map(|level| {
            let price = Price::parse(&text(&level[0])).unwrap();
            (price, Quantity::parse(&text(&level[1])).unwrap())
        })
        .collect()
}

/// Numbers of the bars that the engine has, in order.
fn numbers(seen: &[Seen]) -> BTreeSet<i64> {
    let number = |seen: &Seen| match seen {
        Seen::Historical(bar) | Seen::Bar(bar) => Some(bar.number()),
        _ => None,
    };
    seen.iter().filter_map(number).collect()
}

fn last(seen: &[Seen]) -> i64 {
    numbers(seen).pop_last().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn survives_five_seconds_without_the_venue() {
    let mut bench = Bench::start().await;
    bench.until_ready().await;
    bench.venue.fault(r#"{"kind":"outage","ms":5000}"#).await;
    bench.until_seen(Seen::Venue(VenueState::Offline)).await;
    let view = bench.commander.look().await.unwrap();
    assert_eq!(view.state, ServiceState::Connecting);
    assert!(view.tops[0].is_none(), "no book without its venue");
    bench.until_seen(Seen::Venue(VenueState::Online)).await;
    bench.until_seen(Seen::Reconciled).await;
    let live = bench.until("a bar", |seen| match seen {
        Seen::Bar(bar) => Some(bar.number()),
        _ => None,
    });
    let live = live.await;
    // What closed meanwhile is fetched, until no hole is left.
    while !numbers(&bench.seen)
        .into_iter()
        .eq(bars()[0].number()..=live.max(last(&bench.seen)))
    {
        bench
            .until("a missing bar", |seen| {
                matches!(seen, Seen::Historical(_)).then_some(())
            })
            .await;
    }
    let (ended, ..) = bench.drain().await;
    assert_eq!((ended.orders_left, ended.compared), (0, true));
}
