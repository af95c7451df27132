use bytes::Bytes;
use domain::{Fill, OrderReport, RejectReason, Venue};
use proptest::prelude::*;

use super::*;
use crate::sample::product;
use crate::websocket::DisconnectReason;

struct Case {
    data: AccountData,
    sequence: u64,
}

impl Case {
    fn up() -> Self {
        let table = Instruments::new(vec![product(Venue::Coinbase, 0, "BTC-USD")]).unwrap();
        let mut case = Self {
            data: AccountData::new(Arc::new(table)),
            sequence: 0,
        };
        case.connect();
        case
    }

    fn connect(&mut self) -> Vec<AccountEvent> {
        self.sequence = 0;
        let mut events = self.give(StreamMessageKind::Connected).unwrap();
        events.extend(self.channel(
            "subscriptions",
            r#"[{"subscriptions":{"heartbeats":["heartbeats"]}}]"#,
        ));
        let both = r#"[{"subscriptions":{"heartbeats":["heartbeats"],"user":["u"]}}]"#;
        events.extend(self.channel("subscriptions", both));
        events
    }

    fn give(&mut self, kind: StreamMessageKind) -> Result<Vec<AccountEvent>, VenueError> {
        let mut events = Vec::new();
        let message = StreamMessage {
            ts_received: Timestamp::from_millis(9),
            kind,
        };
        self.data
            .on_message(&message, &mut |event| events.push(event))
            .map(|()| events)
    }

    fn frame(&mut self, text: &str) -> Result<Vec<AccountEvent>, VenueError> {
        self.give(StreamMessageKind::Frame(Bytes::from(text.to_owned())))
    }

    fn channel(&mut self, name: &str, events: &str) -> Vec<AccountEvent> {
        let sequence = self.sequence;
        self.sequence += 1;
        self.frame(&format!(
            r#"{{"channel":"{name}","timestamp":"2026-04-07T14:30:06Z","sequence_num":{sequence},"events":{events}}}"#
        ))
        .unwrap()
    }

    fn order(&mut self, kind: &str, id: &str, status: &str, filled: &str) -> Vec<AccountEvent> {
        self.channel(
            "user",
            &format!(
                r#"[{{"type":"{kind}","orders":[{{"order_id":"v-{id}","client_order_id":"{id}","product_id":"BTC-USD","order_side":"BUY","status":"{status}","cumulative_quantity":"{filled}","avg_price":"61837.5","total_fees":"0.1","reject_reason":"INSUFFICIENT_FUND"}}]}}]"#
            ),
        )
    }

    /// The list of executions of an order, the newest first.
    fn fills(&mut self, id: &str, trades: &[(u64, &str)]) -> Result<Vec<AccountEvent>, VenueError> {
        let fill = |(number, size): &(u64, &str)| {
            format!(
                r#"{{"trade_id":"{number}","order_id":"v-{id}","trade_time":"2026-04-07T14:30:05Z","trade_type":"FILL","price":"61837","size":"{size}","commission":"0.01","product_id":"BTC-USD","liquidity_indicator":"TAKER","size_in_quote":false,"side":"BUY"}}"#
            )
        };
        let fills: Vec<_> = trades.iter().map(fill).collect();
        self.answer(&format!(r#"{{"fills":[{}],"cursor":""}}"#, fills.join(",")))
    }

    fn answer(&mut self, body: &str) -> Result<Vec<AccountEvent>, VenueError> {
        self.give(StreamMessageKind::Snapshot {
            instrument: InstrumentId(0),
            body: Bytes::from(body.to_owned()),
        })
    }
}

const OURS: &str = "e3-s1-42";

fn kinds(events: Vec<AccountEvent>) -> Vec<OrderReportKind> {
    let kind = |event| match event {
        AccountEvent::Order(OrderReport {
            kind,
            client_order_id,
            ..
        }) => {
            assert_eq!(client_order_id.to_string(), OURS);
            kind
        }
        other => panic!("{other:?}"),
    };
    events.into_iter().map(kind).collect()
}

fn trades(events: Vec<AccountEvent>) -> Vec<u64> {
    let number = |kind| match kind {
        OrderReportKind::Filled(Fill { trade_id, .. }) => trade_id.0,
        other => panic!("{other:?}"),
    };
    kinds(events).into_iter().map(number).collect()
}

#[test]
fn up_is_when_the_accounts_channel_is_confirmed() {
    let mut case = Case::up();
    let down = case
        .give(StreamMessageKind::Disconnected(DisconnectReason::Closed))
        .unwrap();
    assert_eq!(down, [AccountEvent::Down]);
    assert_eq!(case.give(StreamMessageKind::Connected).unwrap(), []);
    assert_eq!(case.connect(), [AccountEvent::Up]);
}

#[test]
fn a_growing_quantity_is_no_fill_until_the_list_names_it_and_each_comes_once() {
    let mut case = Case::up();
    let accepted = kinds(case.order("update", OURS, "OPEN", "0"));
    assert!(matches!(accepted[..], [OrderReportKind::Accepted(id)] if id.0.as_str() == "v-e3-s1-42"));
    assert_eq!(case.order("update", OURS, "OPEN", "0.3"), []);
    assert_eq!(
        trades(case.fills(OURS, &[(2, "0.2"), (1, "0.1")]).unwrap()),
        [1, 2]
    );
    assert_eq!(case.fills(OURS, &[(2, "0.2"), (1, "0.1")]).unwrap(), []);
    assert_eq!(case.order("update", OURS, "FILLED", "0.5"), []);
    assert_eq!(
        trades(case.fills(OURS, &[(3, "0.2"), (2, "0.2"), (1, "0.1")]).unwrap()),
        [3]
    );
    assert_eq!(case.order("update", OURS, "FILLED", "0.5"), [], "a repetition");
}

#[test]
fn the_end_waits_for_the_fills() {
    let mut case = Case::up();
    case.order("update", OURS, "OPEN", "0");
    assert_eq!(case.order("update", OURS, "CANCELLED", "0.3"), []);
    assert_eq!(
        trades(case.fills(OURS, &[(1, "0.1")]).unwrap()),
        [1],
        "the list lags"
    );
    let last = kinds(case.fills(OURS, &[(2, "0.2"), (1, "0.1")]).unwrap());
    assert!(
        matches!(last[..], [OrderReportKind::Filled(_), OrderReportKind::Canceled]),
        "{last:?}"
    );
    assert_eq!(case.order("update", OURS, "OPEN", "0.1"), [], "late news");
}

#[test]
fn an_order_that_traded_nothing_ends_at_once() {
    for (word, expected) in [
        ("CANCELLED", OrderReportKind::Canceled),
        ("EXPIRED", OrderReportKind::Expired),
        (
            "FAILED",
            OrderReportKind::Rejected(RejectReason::InsufficientBalance),
        ),
    ] {
        let mut case = Case::up();
        case.order("update", OURS, "OPEN", "0");
        assert_eq!(case.order("update", OURS, "CANCEL_QUEUED", "0"), []);
        assert_eq!(kinds(case.order("update", OURS, word, "0")), [expected]);
        assert_eq!(case.order("update", OURS, word, "0"), []);
    }
    let mut case = Case::up();
    let strange = kinds(case.order("update", OURS, "A_NEW_WORD", "0"));
    assert_eq!(strange, [OrderReportKind::OutcomeUnknown]);
}

#[test]
fn fills_that_cannot_be_had_leave_the_outcome_unknown_once() {
    let mut case = Case::up();
    case.order("update", OURS, "OPEN", "0");
    case.order("update", OURS, "FILLED", "0.5");
    assert_eq!(kinds(case.answer("").unwrap()), [OrderReportKind::OutcomeUnknown]);
    assert_eq!(case.answer("").unwrap(), []);
}

#[test]
fn what_an_open_order_had_executed_before_is_left_to_reconciliation() {
    let mut case = Case::up();
    assert_eq!(case.order("snapshot", OURS, "OPEN", "0.3"), []);
    // Nothing is owed: the end does not wait.
    assert_eq!(
        kinds(case.order("update", OURS, "CANCELLED", "0.3")),
        [OrderReportKind::Canceled]
    );
}

#[test]
fn somebody_elses_order_is_told_with_what_it_traded() {
    let mut case = Case::up();
    let foreign = |events: Vec<AccountEvent>| match events[..] {
        [
            AccountEvent::ForeignOrder {
                fill, venue_order_id, ..
            },
        ] => (venue_order_id.0.to_string(), fill),
        _ => panic!("{events:?}"),
    };
    let (name, none) = foreign(case.order("update", "web", "OPEN", "0.5"));
    assert_eq!((name.as_str(), none), ("v-web", None));
    let (_, some) = foreign(case.fills("web", &[(7, "0.5")]).unwrap());
    assert_eq!(some.unwrap().trade_id.0, 7);
}

#[test]
fn a_hole_in_the_count_is_down_until_the_connection_is_new() {
    let mut case = Case::up();
    case.sequence += 1;
    assert_eq!(case.order("update", OURS, "OPEN", "0"), [AccountEvent::Down]);
    assert_eq!(case.order("update", OURS, "OPEN", "0"), []);
    let both = r#"[{"subscriptions":{"user":["u"]}}]"#;
    assert_eq!(case.channel("subscriptions", both), [], "not on this connection");
    assert_eq!(case.connect(), [AccountEvent::Up]);
}

#[test]
fn what_cannot_be_read_is_an_error_and_counted() {
    let mut case = Case::up();
    assert!(case.frame("{\"channel\":\"user\"").is_err());
    assert!(case.answer("{}").is_err());
    assert!(case.fills("never-seen", &[(1, "0.1")]).is_err());
    assert_eq!(case.data.statistics().malformed, 3);
    // The number of the unreadable one is not known: the next may be any.
    case.sequence += 5;
    assert_eq!(kinds(case.order("update", OURS, "OPEN", "0")).len(), 1);
    let other = case.channel(
        "user",
        r#"[{"type":"update","orders":[{"order_id":"x","client_order_id":"","product_id":"ETH-USD","order_side":"BUY","status":"OPEN","cumulative_quantity":"0"}]}]"#,
    );
    assert_eq!((other.len(), case.data.statistics().unknown_symbols), (0, 1));
}

#[test]
fn the_oldest_orders_are_forgotten() {
    let mut case = Case::up();
    for number in 0..=ORDERS_TRACKED_MAX {
        case.order("update", &format!("e1-s0-{number}"), "OPEN", "0");
    }
    assert_eq!(case.data.orders.len(), ORDERS_TRACKED_MAX);
    assert_eq!(case.data.oldest_first.len(), ORDERS_TRACKED_MAX);
}

proptest! {
    /// However news and lists are cut and repeated: each execution once, the end once and last.
    #[test]
    fn each_execution_is_told_once_and_the_end_last(
        sizes in prop::collection::vec(1u32..50, 1..12),
        steps in prop::collection::vec((any::<bool>(), 0usize..12), 1..40),
    ) {
        let mut case = Case::up();
        let executed = |count: usize| {
            let units: u32 = sizes[..count].iter().sum();
            Quantity::from_units(i64::from(units)).to_string()
        };
        let list = |count: usize| -> Vec<(u64, String)> {
            let of = |(at, &size): (usize, &u32)| (at as u64, Quantity::from_units(i64::from(size)).to_string());
            sizes[..count].iter().enumerate().map(of).rev().collect()
        };
        let mut told = kinds(case.order("update", OURS, "OPEN", "0"));
        let mut give = |case: &mut Case, count: usize| {
            let list = list(count);
            let list: Vec<_> = list.iter().map(|(number, size)| (*number, size.as_str())).collect();
            told.extend(kinds(case.fills(OURS, &list).unwrap()));
        };
        for (is_list, count) in steps {
            let count = count.min(sizes.len());
            if is_list {
                give(&mut case, count);
            } else {
                prop_assert_eq!(case.order("update", OURS, "OPEN", &executed(count)), []);
            }
        }
        let end = kinds(case.order("update", OURS, "CANCELLED", &executed(sizes.len())));
        give(&mut case, sizes.len());
        told.extend(end);
        let fills = told.iter().filter(|kind| matches!(kind, OrderReportKind::Filled(_))).count();
        prop_assert_eq!(fills, sizes.len());
        let ends = told.iter().filter(|kind| **kind == OrderReportKind::Canceled).count();
        prop_assert_eq!(ends, 1);
        prop_assert_eq!(told.last(), Some(&OrderReportKind::Canceled));
    }

    #[test]
    fn nothing_panics(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..8)) {
        let mut case = Case::up();
        for frame in frames {
            let _ = case.give(StreamMessageKind::Frame(frame.clone().into()));
            let _ = case.give(StreamMessageKind::Snapshot { instrument: InstrumentId(0), body: frame.into() });
        }
    }
}
