use proptest::prelude::*;

use super::oracle::{agree, snapshots_agree};
use super::*;
use crate::entries::{Entry, entries};

const NEW: &str = r#"{"Channel":"orderbook-eth","Nonce":18987,"Data":{"OrderType":"LimitOffer","OrderGuid":"4896b70e-2ee5-4adc-9182-2194cc3659e8","Price":{"aud":4731.7,"usd":3562.5,"nzd":5154.36,"sgd":4825.32},"Volume":15.0},"Time":1649023809287,"Event":"NewOrder"}"#;
const CHANGED: &str = r#"{"Channel":"orderbook-eth","Nonce":30,"Data":{"OrderType":"LimitBid","OrderGuid":"e64fb6e2-a9f8-4f52-95e7-5a3c7a9f8f53","ClientId":"113473233130758061","Volume":0.09646808},"Time":1689718320138,"Event":"OrderChanged"}"#;
const CANCELED: &str = r#"{"Channel":"orderbook-dot","Nonce":4909,"Data":{"OrderType":"LimitOffer","OrderGuid":"932878ac-3794-4163-8753-363fb433dbd3"},"Time":1649023809209,"Event":"OrderCanceled"}"#;
const TRADE: &str = r#"{"Event":"Trade","Channel":"ticker-xbt","Nonce":1,"Time":1689718320138,"Data":{"TradeGuid":"c5bde544-d8ae-4e38-9e90-405a3f93b6d6","TradeDate":"2009-01-03T18:15:05.9321664+00:00","Volume":50.0,"Price":{"Aud":3313.59,"Sgd":4798.92},"BidGuid":"ebbeca4b-7148-4230-ad8f-833a3ccf35c2","OfferGuid":"ad5ece89-083b-49fc-8bc1-bdb7482a9b9a","Side":"Buy"}}"#;
const OLD_TRADE: &str = r#"{"Channel":"ticker-eth-aud","Nonce":78,"Data":{"TradeGuid":"6d1c2e90-592a-409c-a8d8-58b2d25e0b0b","Pair":"eth-aud","TradeDate":"2022-01-31T08:28:26.552573+11:00","Price":3650.81,"Volume":0.543,"BidGuid":"0430e003-c35e-410e-85f5-f0bb5c40193b","OfferGuid":"559c1dd2-e681-4efc-b49b-14a07c069de4","Side":"Sell"},"Time":1643578106584,"Event":"Trade"}"#;
const SUBSCRIPTIONS: &str =
    r#"{"Data":["orderbook-etc","ticker-etc-sgd"],"Time":1649023809221,"Event":"Subscriptions"}"#;
const HEARTBEAT: &str = r#"{"Time":1649023809081,"Event":"Heartbeat"}"#;
const SNAPSHOT: &str = r#"{"BuyOrders":[{"Guid":"199276f3-9316-42b6-a754-e77b05877ebe","Price":33.6331,"Volume":28.21327000}],"SellOrders":[{"Guid":"90c9d311-98c7-45e5-b8f9-15638baebef4","Price":10881.3726,"Volume":0.50000000}],"PrimaryCurrencyCode":"Dot","SecondaryCurrencyCode":"Nzd","CreatedTimestampUtc":"2022-04-03T22:10:10.212029Z"}"#;

fn code(text: &str) -> Code {
    Code::new(text).unwrap()
}

fn price(text: &str) -> Price {
    Price::parse(text.as_bytes()).unwrap()
}

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text.as_bytes()).unwrap()
}

#[test]
fn reads_each_event_of_an_order() {
    let mut parser = Parser::new();
    let Ok(Message::Order(order)) = parser.message(NEW.as_bytes()) else {
        panic!("a new order")
    };
    assert_eq!(
        (order.primary, order.nonce, order.side),
        (code("eth"), 18_987, Side::Sell)
    );
    assert_eq!(order.id, PublicOrderId(0x4896_b70e_2ee5_4adc_9182_2194_cc36_59e8));
    assert_eq!(order.action, OrderAction::New(quantity("15")));
    assert_eq!(order.ts_event, Timestamp::from_millis(1_649_023_809_287));
    assert_eq!(order.prices.len(), 4);
    assert_eq!(order.prices[2], (code("nzd"), price("5154.36")));
    let mut action = |text: &str| match parser.message(text.as_bytes()) {
        Ok(Message::Order(order)) => (order.side, order.action, order.prices.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        action(CHANGED),
        (Side::Buy, OrderAction::Changed(quantity("0.09646808")), 0)
    );
    assert_eq!(
        action(&CHANGED.replace("0.09646808", "0")),
        (Side::Buy, OrderAction::Changed(Quantity::ZERO), 0)
    );
    assert_eq!(action(CANCELED), (Side::Sell, OrderAction::Canceled, 0));
    assert_eq!(parser.counts(), (4, 0));
}

#[test]
fn reads_trades_of_both_forms_and_what_else_comes() {
    let mut parser = Parser::new();
    let Ok(Message::Trade(trade)) = parser.message(TRADE.as_bytes()) else {
        panic!("a trade")
    };
    assert_eq!(
        (trade.primary, trade.nonce, trade.aggressor),
        (code("xbt"), 1, Side::Buy)
    );
    assert_eq!(
        (trade.quantity, trade.prices),
        (
            quantity("50"),
            [(code("aud"), price("3313.59")), (code("sgd"), price("4798.92"))].as_slice()
        )
    );
    let Ok(Message::Trade(trade)) = parser.message(OLD_TRADE.as_bytes()) else {
        panic!("a trade")
    };
    assert_eq!((trade.primary, trade.aggressor), (code("eth"), Side::Sell));
    assert_eq!(trade.prices, [(code("aud"), price("3650.81"))]);
    let others = [
        (SUBSCRIPTIONS, Message::Subscriptions),
        (HEARTBEAT, Message::Heartbeat),
        (
            r#"{"Event":"Error","Data":"no such channel","Time":1}"#,
            Message::Refused,
        ),
        (r#"{"Event":"SomethingNew"}"#, Message::Other),
    ];
    for (text, expected) in others {
        assert_eq!(parser.message(text.as_bytes()).unwrap(), expected);
    }
}

#[test]
fn reads_a_snapshot() {
    let mut parser = Parser::new();
    let snapshot = parser.snapshot(SNAPSHOT.as_bytes()).unwrap();
    assert_eq!((snapshot.primary, snapshot.secondary), (code("dot"), code("nzd")));
    assert_eq!(snapshot.ts_event.nanos(), 1_649_023_810_212_029_000);
    let orders: Vec<_> = snapshot
        .orders
        .iter()
        .map(|order| (order.side, order.price, order.quantity))
        .collect();
    assert_eq!(
        orders,
        [
            (Side::Buy, price("33.6331"), quantity("28.21327")),
            (Side::Sell, price("10881.3726"), quantity("0.5")),
        ]
    );
    assert_eq!(parser.counts(), (1, 0));
    let worthless = SNAPSHOT.replace("33.6331", "0.0");
    assert!(snapshots_agree(worthless.as_bytes()));
    assert_eq!(parser.snapshot(worthless.as_bytes()).unwrap().orders.len(), 1);
}

#[test]
fn another_field_order_space_or_a_new_field_falls_back_and_reads_the_same() {
    let mut expected = Parser::new();
    for text in [NEW, CHANGED, CANCELED] {
        let variants = [
            text.replace(':', ": "),
            text.replace(r#""OrderGuid""#, r#""new":[1,{}],"OrderGuid""#),
            text.replace("Limit", "\\u004cimit"),
        ];
        for variant in &variants {
            assert!(!agree(variant.as_bytes()), "{variant}");
            let mut parser = Parser::new();
            let read = parser.message(variant.as_bytes()).unwrap();
            assert_eq!(read, expected.message(text.as_bytes()).unwrap());
            assert_eq!(parser.counts(), (0, 1));
        }
    }
    let spaced = SNAPSHOT.replace(':', ": ").replace("22: 10: ", "22:10:");
    assert!(!snapshots_agree(spaced.as_bytes()));
    assert_eq!(
        Parser::new().snapshot(spaced.as_bytes()).unwrap(),
        expected.snapshot(SNAPSHOT.as_bytes()).unwrap()
    );
}

#[test]
fn what_is_not_a_message_is_an_error_and_says_where() {
    let mut parser = Parser::new();
    let cases = [
        (String::new(), "object"),
        ("{}".to_owned(), "JSON"),
        (NEW[..NEW.len() - 1].to_owned(), "JSON"),
        (NEW.replace("4731.7", "-4731.7"), "\"Price\""),
        (NEW.replace("4731.7", "4.7317e3"), "\"Price\""),
        (NEW.replace("4731.7", "\"4731.7\""), "\"Price\""),
        (NEW.replace("15.0", "0"), "\"Volume\""),
        (NEW.replace(",\"Volume\":15.0", ""), "\"Volume\""),
        (
            NEW.replace(r#""aud":4731.7,"usd":3562.5,"nzd":5154.36,"sgd":4825.32"#, ""),
            "\"Volume\"",
        ),
        (NEW.replace("LimitOffer", "MarketOffer"), "\"OrderType\""),
        (NEW.replace("4896b70e-", "4896b70e"), "\"OrderGuid\""),
        (NEW.replace("orderbook-eth", "orderbook-"), "\"Channel\""),
        (NEW.replace("orderbook-eth", "ticker-eth"), "\"Channel\""),
        (NEW.replace("\"Nonce\":18987,", ""), "\"Nonce\""),
        (NEW.replace("\"aud\"", "\"a-currency-too-long\""), "\"Price\""),
        (CHANGED.replace("0.09646808", "-1"), "\"Volume\""),
        (CHANGED.replace("0.09646808", "0.096468081"), "\"Volume\""),
        (TRADE.replace("50.0", "0"), "\"Volume\""),
        (TRADE.replace("\"Buy\"", "\"Bid\""), "\"Side\""),
    ];
    for (frame, place) in cases {
        let error = parser.message(frame.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(place), "{frame}: {error}");
    }
    let snapshots = [
        (SNAPSHOT.replace("33.6331", "-1"), "\"BuyOrders\""),
        (
            SNAPSHOT.replace("2022-04-03T", "2022-04-03 "),
            "\"CreatedTimestampUtc\"",
        ),
        (SNAPSHOT.replace("Nzd", ""), "\"SecondaryCurrencyCode\""),
        ("[1]".to_owned(), "JSON"),
    ];
    for (body, place) in snapshots {
        let error = parser.snapshot(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(place), "{body}: {error}");
    }
}

#[test]
fn prices_of_one_order_and_orders_of_one_snapshot_are_bounded() {
    let many = |count: usize| {
        let prices: Vec<_> = (0..count).map(|number| format!(r#""c{number}":1"#)).collect();
        NEW.replace(
            r#""aud":4731.7,"usd":3562.5,"nzd":5154.36,"sgd":4825.32"#,
            &prices.join(","),
        )
    };
    let mut parser = Parser::new();
    assert!(parser.message(many(PRICES_MAX).as_bytes()).is_ok());
    let error = parser.message(many(PRICES_MAX + 1).as_bytes()).unwrap_err();
    assert!(matches!(error, ParseError::TooMany { max: PRICES_MAX, .. }));
    let order = r#"{"Guid":"199276f3-9316-42b6-a754-e77b05877ebe","Price":1,"Volume":1}"#;
    let deep = |count| {
        let orders = vec![order; count].join(",");
        format!(
            r#"{{"BuyOrders":[{orders}],"SellOrders":[],"PrimaryCurrencyCode":"Dot","SecondaryCurrencyCode":"Nzd","CreatedTimestampUtc":"2022-04-03T22:10:10Z"}}"#
        )
    };
    assert!(parser.snapshot(deep(SNAPSHOT_ORDERS_MAX).as_bytes()).is_ok());
    let error = parser
        .snapshot(deep(SNAPSHOT_ORDERS_MAX + 1).as_bytes())
        .unwrap_err();
    assert!(matches!(
        error,
        ParseError::TooMany {
            max: SNAPSHOT_ORDERS_MAX,
            ..
        }
    ));
}

#[test]
fn both_readers_agree_on_every_recorded_message() {
    let folder = "ws_independent_reserve_l3_20220403";
    let Some(entries) = entries(folder, "INDEPENDENT_RESERVE.jsonl.zst") else {
        return;
    };
    let (mut messages, mut snapshots) = (0, 0);
    for entry in &entries {
        match entry {
            Entry::Received(_, frame) => {
                assert!(
                    agree(frame),
                    "the scanner falls back: {}",
                    String::from_utf8_lossy(frame)
                );
                messages += 1;
            }
            Entry::Answer { url, body, .. } if url.contains("GetAllOrders") => {
                assert!(snapshots_agree(body), "{url}");
                snapshots += 1;
            }
            _ => {}
        }
    }
    assert_eq!((messages, snapshots), (1_665, 5));
}

fn decimal() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0u64..1_000_000, 0u64..10_000).prop_map(|(w, f)| format!("{w}.{f}")),
        1 => any::<u64>().prop_map(|w| w.to_string()),
        1 => "[0-9.eE+-]{0,24}",
    ]
}

fn message() -> impl Strategy<Value = String> {
    let number = || prop_oneof![8 => any::<u32>().prop_map(|n| n.to_string()), 1 => "[0-9]{0,22}"];
    let guid = prop_oneof![
        9 => "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-fA-F]{12}",
        1 => "[0-9a-f-]{30,40}",
    ];
    let code = prop_oneof![9 => "[a-zA-Z]{3}", 1 => "[a-z \"é]{0,10}"];
    let prices = prop::option::of(prop::collection::vec((code, decimal()), 0..5));
    let event = prop_oneof![
        3 => Just("NewOrder"), 3 => Just("OrderChanged"), 3 => Just("OrderCanceled"), 1 => Just("Trade")
    ];
    let kind = prop_oneof![5 => Just("LimitBid"), 5 => Just("LimitOffer"), 1 => Just("MarketBid")];
    let channel = prop_oneof![9 => "orderbook-[a-z]{1,5}", 1 => "[a-z-]{0,12}"];
    (channel, number(), kind, guid, prices, prop::option::of(decimal()), number(), event).prop_map(
        |(channel, nonce, kind, guid, prices, volume, time, event)| {
            let prices = prices.map_or(String::new(), |prices| {
                let members: Vec<_> = prices.iter().map(|(code, price)| format!(r#""{code}":{price}"#)).collect();
                format!(r#","Price":{{{}}}"#, members.join(","))
            });
            let volume = volume.map_or(String::new(), |volume| format!(r#","Volume":{volume}"#));
            format!(
                r#"{{"Channel":"{channel}","Nonce":{nonce},"Data":{{"OrderType":"{kind}","OrderGuid":"{guid}"{prices}{volume}}},"Time":{time},"Event":"{event}"}}"#
            )
        },
    )
}

/// One change of the bytes: replaced, removed, doubled or cut off.
fn damaged(text: &str, at: prop::sample::Index, byte: u8, how: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let at = at.index(bytes.len());
    match how % 4 {
        0 => bytes[at] = byte,
        1 => {
            bytes.remove(at);
        }
        2 => bytes.insert(at, byte),
        _ => bytes.truncate(at),
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_readers_agree_on_made_up_messages(text in message()) {
        agree(text.as_bytes());
    }

    #[test]
    fn damage_never_panics_and_never_divides_the_readers(
        text in prop_oneof![
            message(),
            prop::sample::select(vec![NEW, CHANGED, CANCELED, TRADE, OLD_TRADE, SUBSCRIPTIONS, HEARTBEAT, SNAPSHOT])
                .prop_map(str::to_owned),
        ],
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(br#"{}[]",:.-0123456789eE\tfn "#.to_vec())],
        how in any::<u8>(),
    ) {
        let bytes = damaged(&text, at, byte, how);
        agree(&bytes);
        snapshots_agree(&bytes);
        let _ = Parser::new().message(&bytes);
        let _ = Parser::new().snapshot(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Parser::new().message(&bytes);
        let _ = Parser::new().snapshot(&bytes);
    }
}

#[test]
fn messages_reach_the_scanner() {
    // The properties above would hold for a scanner that accepts nothing.
    for text in [NEW, CHANGED, CANCELED, SUBSCRIPTIONS, HEARTBEAT] {
        assert!(agree(text.as_bytes()), "{text}");
    }
    assert!(snapshots_agree(SNAPSHOT.as_bytes()));
}
