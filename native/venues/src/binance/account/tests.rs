use bytes::Bytes;

use domain::{Epoch, SCALE, SlotId, Timestamp};

use super::*;
use crate::binance::settings::{Credentials, Endpoints, Settings};
use crate::clock::ServerClock;
use crate::sample::instrument;
use crate::secret::Secret;
use crate::websocket::DisconnectReason;

const EXECUTION: &str = r#"{"subscriptionId":0,"event":{"e":"executionReport","E":1499405658658,"s":"BTCUSDT","c":"e3-s1-42","S":"BUY","o":"LIMIT","f":"GTC","q":"1.00000000","p":"100.00000000","P":"0.00000000","F":"0.00000000","g":-1,"C":"","x":"NEW","X":"NEW","r":"NONE","i":77,"l":"0.00000000","z":"0.00000000","L":"0.00000000","n":"0","N":null,"T":1499405658657,"t":-1,"v":3,"I":8641984,"w":true,"m":false,"M":false,"O":1499405658657,"Z":"0.00000000","Y":"0.00000000","Q":"0.00000000","W":1499405658657,"V":"NONE"}}"#;

struct Case {
    data: AccountData,
    events: Vec<AccountEvent>,
}

impl Case {
    fn new() -> Self {
        let table = Instruments::new(vec![instrument(0, "BTCUSDT")]).unwrap();
        Self {
            data: AccountData::new(Arc::new(table)),
            events: Vec::new(),
        }
    }

    fn take(&mut self, kind: StreamMessageKind) -> Result<(), VenueError> {
        let message = StreamMessage {
            ts_received: Timestamp::EPOCH,
            kind,
        };
        self.data
            .on_message(&message, &mut |event| self.events.push(event))
    }

    fn frame(&mut self, text: &str) -> Result<(), VenueError> {
        self.take(StreamMessageKind::Frame(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// The kinds of report that an execution report with these changes makes.
    fn reports(changes: &[(&str, &str)]) -> Vec<OrderReportKind> {
        let text = changes.iter().fold(EXECUTION.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        let mut case = Self::new();
        case.frame(&text).unwrap();
        let kinds = case.events.iter().map(|event| match event {
            AccountEvent::Order(report) => {
                assert_eq!(
                    report.client_order_id,
                    ClientOrderId {
                        epoch: Epoch(3),
                        slot: SlotId(1),
                        counter: 42
                    }
                );
                report.kind
            }
            other => panic!("{other:?}"),
        });
        kinds.collect()
    }
}

const TRADED: [(&str, &str); 6] = [
    (r#""x":"NEW""#, r#""x":"TRADE""#),
    (r#""l":"0.00000000""#, r#""l":"0.40000000""#),
    (r#""L":"0.00000000""#, r#""L":"99.50000000""#),
    (r#""n":"0","N":null"#, r#""n":"0.00040000","N":"BNB""#),
    (r#""t":-1"#, r#""t":9"#),
    (r#""m":false"#, r#""m":true"#),
];

#[test]
fn each_kind_of_execution_is_a_report() {
    assert_eq!(
        Case::reports(&[]),
        [OrderReportKind::Accepted(venue_order_id(77))]
    );
    let [OrderReportKind::Filled(fill)] = Case::reports(&TRADED)[..] else {
        panic!("a fill")
    };
    assert_eq!(
        (fill.trade_id.0, fill.liquidity, fill.price.to_string()),
        (9, Liquidity::Maker, "99.5".into())
    );
    assert_eq!(fill.fee.to_string(), "0.0004 BNB");

    let canceled = [
        (r#""x":"NEW""#, r#""x":"CANCELED""#),
        (r#""c":"e3-s1-42""#, r#""c":"gA81""#),
        (r#""C":"""#, r#""C":"e3-s1-42""#),
    ];
    assert_eq!(Case::reports(&canceled), [OrderReportKind::Canceled]);
    let kinds = [
        ("EXPIRED", OrderReportKind::Expired),
        ("REJECTED", OrderReportKind::Rejected(RejectReason::Other)),
        (
            "REPLACED",
            OrderReportKind::Amended(OrderTerms {
                price: Price::from_units(100 * SCALE),
                quantity: Quantity::from_units(SCALE),
            }),
        ),
        ("A_NEW_KIND", OrderReportKind::OutcomeUnknown),
    ];
    for (word, kind) in kinds {
        assert_eq!(
            Case::reports(&[(r#""x":"NEW""#, &format!(r#""x":"{word}""#))]),
            [kind]
        );
    }
    let prevented = (r#""x":"NEW""#, r#""x":"TRADE_PREVENTION""#);
    assert_eq!(Case::reports(&[prevented]), []);
    let ended = (r#""X":"NEW""#, r#""X":"EXPIRED_IN_MATCH""#);
    assert_eq!(Case::reports(&[prevented, ended]), [OrderReportKind::Expired]);
}

#[test]
fn a_fill_without_a_fee_costs_nothing_of_the_quote() {
    let mut free = TRADED;
    free[3] = (r#""n":"0""#, r#""n":"0""#);
    let [OrderReportKind::Filled(fill)] = Case::reports(&free)[..] else {
        panic!("a fill")
    };
    assert_eq!(fill.fee.to_string(), "0 USDT");
}

#[test]
fn a_trade_without_a_number_or_a_quantity_is_malformed() {
    for broken in [4, 1] {
        let mut changes = TRADED.to_vec();
        changes.remove(broken);
        let text = changes
            .iter()
            .fold(EXECUTION.to_owned(), |text, (from, to)| text.replace(from, to));
        let mut case = Case::new();
        assert!(matches!(case.frame(&text), Err(VenueError::Malformed { .. })));
        assert!(case.events.is_empty());
        assert_eq!(case.data.statistics().malformed, 1);
    }
}

#[test]
fn orders_that_are_not_ours_still_move_our_position() {
    let text = TRADED
        .iter()
        .fold(EXECUTION.replace("e3-s1-42", "web_12"), |text, (from, to)| {
            text.replace(from, to)
        });
    let mut case = Case::new();
    case.frame(&text).unwrap();
    let [AccountEvent::ForeignOrder { fill: Some(fill), .. }] = case.events[..] else {
        panic!("{:?}", case.events)
    };
    assert_eq!(fill.quantity.to_string(), "0.4");

    case.events.clear();
    case.frame(&text.replace("BTCUSDT", "ETHUSDT")).unwrap();
    assert!(case.events.is_empty());
    assert_eq!(case.data.statistics().unknown_symbols, 1);
}

#[test]
fn balances_are_told_one_by_one() {
    let mut case = Case::new();
    case.frame(r#"{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":1,"u":5,"B":[{"a":"BTC","f":"1","l":"0"},{"a":"USDT","f":"2","l":"3"}]}}"#).unwrap();
    let [
        AccountEvent::Balance { .. },
        AccountEvent::Balance { ts_event, balance },
    ] = case.events[..]
    else {
        panic!("{:?}", case.events)
    };
    assert_eq!(
        (ts_event, balance.locked.to_string()),
        (Timestamp::from_millis(5), "3".into())
    );
}

#[test]
fn the_end_of_the_subscription_is_a_disconnect_and_told_once() {
    let mut case = Case::new();
    case.take(StreamMessageKind::Connected).unwrap();
    case.frame(r#"{"subscriptionId":0,"event":{"e":"eventStreamTerminated","E":1}}"#)
        .unwrap();
    case.take(StreamMessageKind::Disconnected(DisconnectReason::Ended))
        .unwrap();
    case.take(StreamMessageKind::Connected).unwrap();
    assert_eq!(
        case.events,
        [AccountEvent::Up, AccountEvent::Down, AccountEvent::Up]
    );
}

fn stream() -> AccountStream {
    let key = |text: &str| Secret::new(text.to_owned()).unwrap();
    let credentials = Credentials::new(key("the-key"), key("the-secret"));
    let settings = Settings::new(Endpoints::loopback(1));
    let rest = RestClient::new(settings, Some(credentials), Arc::new(ServerClock::local())).unwrap();
    AccountStream {
        url: rest.settings().endpoints.ws_api.clone(),
        rest: Arc::new(rest),
    }
}

#[test]
fn the_subscription_is_signed_over_its_sorted_parameters() {
    let mut stream = stream();
    let [text] = &stream.hello().unwrap()[..] else {
        panic!("one request")
    };
    let request: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(request["method"], "userDataStream.subscribe.signature");
    let params = &request["params"];
    let payload = format!("apiKey=the-key&recvWindow=1000&timestamp={}", params["timestamp"]);
    let expected = stream
        .rest
        .encoder()
        .unwrap()
        .signer()
        .signature(payload.as_bytes());
    assert_eq!(params["signature"].as_str().unwrap(), expected.as_str());
}

#[test]
fn the_handshake_ends_with_the_venues_answer() {
    let mut stream = stream();
    let ready = br#"{"id":"py-rt-subscribe","status":200,"result":{"subscriptionId":0},"rateLimits":[]}"#;
    assert_eq!(stream.judge(ready), Judgement::Ready);
    let refused = br#"{"id":"py-rt-subscribe","status":401,"error":{"code":-2015,"msg":"Invalid API-key."}}"#;
    assert_eq!(
        stream.judge(refused),
        Judgement::Refused("status 401, code -2015: Invalid API-key.".to_owned())
    );
    // JSON has no order of keys.
    let refused = br#"{"error":{"code":-2015,"msg":"Invalid API-key."},"id":"py-rt-subscribe","status":401}"#;
    assert!(matches!(stream.judge(refused), Judgement::Refused(_)));
    assert_eq!(stream.judge(EXECUTION.as_bytes()), Judgement::Deliver);
}
