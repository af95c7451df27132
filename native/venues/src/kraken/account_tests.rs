//! The account's streams in the documentation's words, whole and broken, and what each makes of our orders.

use domain::{Epoch, Price, SlotId, Venue};
use proptest::prelude::*;

use super::*;
use crate::sample;
use crate::websocket::DisconnectReason;

const ID: ClientOrderId = ClientOrderId {
    epoch: Epoch(3),
    slot: SlotId(1),
    counter: 42,
};

const BTC: InstrumentId = InstrumentId(0);

fn account() -> AccountData {
    let btc = Instrument {
        symbol: Text::new("BTC/USD").unwrap(),
        ..sample::product(Venue::Kraken, 0, "BTC-USD")
    };
    AccountData::new(Arc::new(Instruments::new(vec![btc]).unwrap()))
}

/// An account whose stream is up.
fn up() -> AccountData {
    let mut account = account();
    assert_eq!(
        told(&mut account, StreamMessageKind::Connected),
        [AccountEvent::Up]
    );
    account
}

fn give(account: &mut AccountData, kind: StreamMessageKind) -> (Vec<AccountEvent>, Result<(), VenueError>) {
    let message = StreamMessage {
        ts_received: Timestamp::from_millis(7),
        kind,
    };
    let mut events = Vec::new();
    let read = account.on_message(&message, &mut |event| events.push(event));
    (events, read)
}

fn told(account: &mut AccountData, kind: StreamMessageKind) -> Vec<AccountEvent> {
    let (events, read) = give(account, kind);
    read.unwrap();
    events
}

fn frame(text: &str) -> StreamMessageKind {
    StreamMessageKind::Frame(text.as_bytes().to_vec().into())
}

fn executions(kind: &str, sequence: u64, rows: &[&str]) -> StreamMessageKind {
    let rows = rows.join(",");
    frame(&format!(
        r#"{{"channel":"executions","type":"{kind}","data":[{rows}],"sequence":{sequence}}}"#
    ))
}

/// The documentation's order, with our id.
const PENDING: &str = r#"{"order_id":"OK4GJX-KSTLS-7DZZO5","cl_ord_id":"00000003-0001-8707-9727-40000000002a","symbol":"BTC/USD",
    "order_qty":0.005,"cum_cost":0.0,"time_in_force":"GTC","exec_type":"pending_new","side":"sell","order_type":"limit",
    "limit_price":26500.0,"order_status":"pending_new","timestamp":"2023-09-22T10:33:05.709950Z"}"#;

const NEW: &str = r#"{"timestamp":"2023-09-22T10:33:05.709982Z","order_status":"new","exec_type":"new","order_userref":3,"order_id":"OK4GJX-KSTLS-7DZZO5"}"#;

const TRADE: &str = r#"{"order_id":"OK4GJX-KSTLS-7DZZO5","exec_id":"TGBB7L-HT5LX-J3BZ4A","exec_type":"trade","trade_id":62887576,
    "symbol":"BTC/USD","side":"sell","last_qty":0.005,"last_price":26599.9,"liquidity_ind":"t","cost":132.9995,"order_type":"limit",
    "timestamp":"2023-09-22T10:33:05.709993Z","order_status":"partially_filled","cum_qty":0.005,"fees":[{"asset":"USD","qty":0.3458}]}"#;

fn short(exec_type: &str) -> String {
    NEW.replace(r#""exec_type":"new""#, &format!(r#""exec_type":"{exec_type}""#))
}

fn kinds(events: &[AccountEvent]) -> Vec<OrderReportKind> {
    events
        .iter()
        .map(|event| match event {
            AccountEvent::Order(report) => {
                assert_eq!((report.client_order_id, report.instrument), (ID, BTC));
                report.kind
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_life_is_told_once_though_its_events_say_little() {
    let mut account = up();
    assert!(told(&mut account, executions("update", 8, &[PENDING])).is_empty());
    let accepted = kinds(&told(&mut account, executions("update", 9, &[NEW])));
    assert!(
        matches!(accepted[..], [OrderReportKind::Accepted(id)] if id.0.as_str() == "OK4GJX-KSTLS-7DZZO5")
    );
    let [OrderReportKind::Filled(fill)] = kinds(&told(&mut account, executions("update", 10, &[TRADE])))[..]
    else {
        panic!("one fill")
    };
    assert_eq!(
        (fill.trade_id, fill.side, fill.liquidity),
        (TradeId(62_887_576), Side::Sell, Liquidity::Taker)
    );
    assert_eq!(
        (fill.price.to_string(), fill.quantity.to_string()),
        ("26599.9".into(), "0.005".into())
    );
    assert_eq!(fill.fee.to_string(), "0.3458 USD");
    // The trade said `partially_filled`; that the order is filled is told apart, and is no second fill.
    assert!(told(&mut account, executions("update", 11, &[&short("filled")])).is_empty());
    assert_eq!(account.statistics().unused, 2);
}

#[test]
fn each_end_and_each_word_that_is_not_known() {
    let mut account = up();
    told(&mut account, executions("update", 1, &[PENDING]));
    let mut sequence = 1;
    let mut kind_of = |word: &str| {
        sequence += 1;
        kinds(&told(
            &mut account,
            executions("update", sequence, &[&short(word)]),
        ))
    };
    assert_eq!(kind_of("canceled"), [OrderReportKind::Canceled]);
    assert_eq!(kind_of("expired"), [OrderReportKind::Expired]);
    for word in ["amended", "restated", "a_new_word"] {
        assert_eq!(kind_of(word), [OrderReportKind::OutcomeUnknown], "{word}");
    }
    for word in ["status", "iceberg_refill", "filled"] {
        assert_eq!(kind_of(word), [], "{word}");
    }
}

#[test]
fn a_changed_order_says_what_it_asks_for_now() {
    let mut account = up();
    told(&mut account, executions("update", 1, &[PENDING]));
    let amended = PENDING
        .replace(r#""exec_type":"pending_new""#, r#""exec_type":"amended""#)
        .replace(r#""order_qty":0.005"#, r#""order_qty":0.004"#);
    let terms = domain::OrderTerms {
        price: Price::parse(b"26500").unwrap(),
        quantity: Quantity::parse(b"0.004").unwrap(),
    };
    assert_eq!(
        kinds(&told(&mut account, executions("update", 2, &[&amended]))),
        [OrderReportKind::Amended(terms)]
    );
}

#[test]
fn an_order_that_is_not_ours_is_told_as_foreign_with_its_fill() {
    let mut account = up();
    let foreign = TRADE.replace(
        r#""order_id":"OK4GJX-KSTLS-7DZZO5""#,
        r#""order_id":"OF","cl_ord_id":"web-1""#,
    );
    let events = told(&mut account, executions("update", 1, &[&foreign]));
    assert!(
        matches!(
            events[..],
            [AccountEvent::ForeignOrder {
                instrument: BTC,
                fill: Some(_),
                ..
            }]
        ),
        "{events:?}"
    );
    let elsewhere = PENDING.replace("BTC/USD", "ETH/USD");
    assert!(told(&mut account, executions("update", 2, &[&elsewhere])).is_empty());
    assert_eq!(account.statistics().unknown_symbols, 1);
}

#[test]
fn a_fee_may_be_in_any_asset() {
    let mut account = up();
    told(&mut account, executions("update", 1, &[PENDING]));
    let fees = |fees: &str| TRADE.replace(r#"[{"asset":"USD","qty":0.3458}]"#, fees);
    let other = fees(r#"[{"asset":"KFEE","qty":0.014460799}]"#);
    let [OrderReportKind::Filled(fill)] = kinds(&told(&mut account, executions("update", 2, &[&other])))[..]
    else {
        panic!("one fill")
    };
    assert_eq!(fill.fee.to_string(), "0.014460799 KFEE");
    let two = fees(r#"[{"asset":"USD","qty":1},{"asset":"BTC","qty":1}]"#);
    assert!(give(&mut account, executions("update", 3, &[&two])).1.is_err());
}

#[test]
fn a_number_that_does_not_follow_is_a_lost_message() {
    let mut account = up();
    told(&mut account, executions("update", 5, &[PENDING]));
    assert_eq!(
        told(
            &mut account,
            frame(r#"{"channel":"balances","type":"update","data":[],"sequence":1}"#)
        ),
        [],
        "each channel has its own numbers"
    );
    let events = told(&mut account, executions("update", 7, &[NEW]));
    assert_eq!(events[0], AccountEvent::Down);
    assert!(
        matches!(events[1..], [AccountEvent::Order(_)]),
        "what did come is told"
    );
    let down = StreamMessageKind::Disconnected(DisconnectReason::Ended);
    assert_eq!(told(&mut account, down), []);
    assert_eq!(
        told(&mut account, StreamMessageKind::Connected),
        [AccountEvent::Up]
    );
    assert_eq!(
        told(&mut account, executions("snapshot", 1, &[PENDING])),
        [],
        "a new connection counts anew"
    );
}

#[test]
fn a_connection_may_count_instead_of_its_channels() {
    let balances = |sequence| {
        frame(&format!(
            r#"{{"channel":"balances","type":"update","data":[],"sequence":{sequence}}}"#
        ))
    };
    let mut account = up();
    told(&mut account, executions("snapshot", 1, &[PENDING]));
    assert_eq!(told(&mut account, balances(2)), []);
    assert_eq!(
        kinds(&told(&mut account, executions("update", 3, &[NEW]))).len(),
        1
    );
    assert_eq!(told(&mut account, balances(4)), []);
    assert_eq!(told(&mut account, balances(6)), [AccountEvent::Down]);
}

#[test]
fn of_a_snapshot_only_what_came_while_down_is_told() {
    let mut account = up();
    let resting = PENDING.replace("pending_new", "new");
    assert_eq!(
        told(&mut account, executions("snapshot", 1, &[&resting, TRADE])),
        [],
        "the first snapshot is history, whatever it holds"
    );
    // The order is known by it.
    assert_eq!(
        kinds(&told(&mut account, executions("update", 2, &[NEW]))).len(),
        1
    );
    told(
        &mut account,
        StreamMessageKind::Disconnected(DisconnectReason::Failed),
    );
    told(&mut account, StreamMessageKind::Connected);
    let old = TRADE.replace("709993Z", "709900Z");
    let missed = TRADE
        .replace("62887576", "62887577")
        .replace("10:33:05", "10:34:05");
    let events = told(
        &mut account,
        executions("snapshot", 1, &[&old, &missed, &resting]),
    );
    let [OrderReportKind::Filled(fill)] = kinds(&events)[..] else {
        panic!("{events:?}")
    };
    assert_eq!(fill.trade_id, TradeId(62_887_577));
}

#[test]
fn what_cannot_be_read_is_an_error_and_the_rest_is_told() {
    let mut account = up();
    told(&mut account, executions("update", 1, &[PENDING]));
    let broken = TRADE.replace(r#""trade_id":62887576,"#, "");
    let (events, read) = give(&mut account, executions("update", 2, &[&broken, NEW]));
    assert_eq!(kinds(&events).len(), 1);
    assert!(matches!(read, Err(VenueError::Malformed { .. })));
    assert_eq!(account.statistics().malformed, 1);
    let strange = NEW.replace("OK4GJX-KSTLS-7DZZO5", "OUNKNOWN");
    for text in [
        executions("update", 3, &[&strange]),
        executions("replay", 4, &[NEW]),
        frame(r#"{"channel":"executions","type":"update","data":[]}"#),
        frame(r#"{"channel":"executions","type":"update","sequence":5}"#),
        frame("{"),
    ] {
        assert!(give(&mut account, text.clone()).1.is_err(), "{text:?}");
    }
    assert_eq!(told(&mut account, frame(r#"{"channel":"heartbeat"}"#)), []);
}

#[test]
fn balances_are_totals_of_what_can_be_traded() {
    let mut account = up();
    let snapshot = r#"{"channel":"balances","data":[{"asset":"BTC","asset_class":"currency","balance":1.2,"wallets":[{"type":"spot","id":"main","balance":1.2}]},
        {"asset":"MATIC","asset_class":"currency","balance":500,"wallets":[{"type":"spot","id":"main","balance":300},{"type":"earn","id":"flex","balance":200}]},
        {"asset":"ETH.F","balance":1}],"type":"snapshot","sequence":1}"#;
    let update = r#"{"channel":"balances","type":"update","data":[{"ledger_id":"A","ref_id":"B","timestamp":"2023-09-22T10:33:05.710082Z","type":"trade",
        "asset":"USD","wallet_type":"spot","wallet_id":"main","amount":132.9995,"fee":0.3458,"balance":500.12345678999},
        {"asset":"DOT","wallet_type":"earn","balance":5,"timestamp":"2023-09-22T10:33:05.710082Z"}],"sequence":2}"#;
    let mut texts = Vec::new();
    for text in [snapshot, update] {
        for event in told(&mut account, frame(text)) {
            let AccountEvent::Balance { ts_event, balance } = event else {
                panic!("{event:?}")
            };
            assert!(balance.locked.is_zero());
            texts.push(format!(
                "{} {} {}",
                balance.currency,
                balance.free,
                ts_event.nanos() / 1_000_000
            ));
        }
    }
    assert_eq!(
        texts,
        ["BTC 1.2 7", "MATIC 300 7", "USD 500.12345678 1695378785710"]
    );
}

#[test]
fn orders_are_remembered_up_to_a_bound() {
    let mut account = up();
    for number in 0..ORDERS_MAX as u64 + 10 {
        let one = PENDING.replace("OK4GJX-KSTLS-7DZZO5", &format!("O{number}"));
        told(&mut account, executions("update", number + 1, &[&one]));
    }
    assert_eq!(account.orders.known.len(), ORDERS_MAX);
    assert_eq!(account.orders.oldest.len(), ORDERS_MAX);
}

proptest! {
    #[test]
    fn bytes_of_any_kind_never_panic(frames in prop::collection::vec(any::<Vec<u8>>(), 1..4)) {
        let mut account = up();
        for bytes in frames {
            let _ = place(&bytes);
            let _ = give(&mut account, StreamMessageKind::Frame(bytes.into()));
        }
    }

    #[test]
    fn broken_messages_never_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let StreamMessageKind::Frame(whole) = executions("snapshot", 1, &[PENDING, NEW, TRADE]) else {
            return Ok(());
        };
        let mut bytes = whole.to_vec();
        let place = at.index(bytes.len());
        bytes[place] = byte;
        let _ = give(&mut up(), StreamMessageKind::Frame(bytes.clone().into()));
        bytes.truncate(cut.index(bytes.len()));
        let _ = give(&mut up(), StreamMessageKind::Frame(bytes.into()));
    }
}
