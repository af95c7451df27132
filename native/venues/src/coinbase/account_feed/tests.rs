use domain::Venue;

use super::super::settings::{Endpoints, Settings};
use super::super::sign::tests::{credentials, ec_pem};
use super::*;
use crate::clock::ServerClock;
use crate::sample::product;

fn stream() -> UserStream {
    let settings = Settings::new(Endpoints::production());
    let clock = Arc::new(ServerClock::local());
    let rest = RestClient::new(settings, Some(&credentials(&ec_pem())), clock).unwrap();
    let table = Instruments::new(vec![product(Venue::Coinbase, 0, "BTC-USD")]).unwrap();
    UserStream::new(&Arc::new(rest), &Arc::new(table), Arc::default())
}

fn frame(sequence: u64, channel: &str, events: &str) -> Vec<u8> {
    format!(
        r#"{{"channel":"{channel}","timestamp":"2026-04-07T14:30:06Z","sequence_num":{sequence},"events":{events}}}"#
    )
    .into_bytes()
}

fn order(kind: &str, id: &str, filled: &str) -> String {
    format!(
        r#"[{{"type":"{kind}","orders":[{{"order_id":"{id}","client_order_id":"e1-s0-1","product_id":"BTC-USD","order_side":"BUY","status":"OPEN","cumulative_quantity":"{filled}"}}]}}]"#
    )
}

fn owed(stream: &UserStream) -> Vec<(String, String)> {
    let orders = stream.owing.orders();
    let text = |(id, owed): (&VenueOrderId, &Owed)| (id.0.to_string(), owed.filled.to_string());
    orders.iter().map(text).collect()
}

#[test]
fn subscribes_with_a_token_and_reconnects_at_a_hole() {
    let mut stream = stream();
    let said = stream.hello().unwrap();
    assert_eq!(said.len(), 2);
    assert!(
        said[1].contains(r#""channel":"user""#) && said[1].contains("\"jwt\":\""),
        "{}",
        said[1]
    );
    let confirmed = r#"[{"subscriptions":{"heartbeats":["heartbeats"]}}]"#;
    assert_eq!(
        stream.judge(&frame(0, "subscriptions", confirmed)),
        Judgement::Ready
    );
    assert_eq!(
        stream.judge(&frame(1, "subscriptions", confirmed)),
        Judgement::Deliver
    );
    assert_eq!(stream.judge(b"not json"), Judgement::Deliver);
    assert_eq!(
        stream.judge(&frame(9, "user", "[]")),
        Judgement::Deliver,
        "after an unreadable one"
    );
    assert_eq!(stream.judge(&frame(11, "user", "[]")), Judgement::Ended);
    let refused = br#"{"type":"error","message":"authentication failure"}"#;
    assert_eq!(
        stream.judge(refused),
        Judgement::Refused("authentication failure".to_owned())
    );
    stream.hello().unwrap();
    assert_eq!(
        stream.judge(&frame(0, "user", "[]")),
        Judgement::Deliver,
        "a new count"
    );
    stream.heartbeats = Heartbeats::new(Duration::ZERO);
    assert_eq!(stream.judge(&frame(1, "user", "[]")), Judgement::Ended);
}

#[test]
fn only_a_quantity_that_grew_is_owed_fills() {
    let mut stream = stream();
    stream.hello().unwrap();
    let mut next = 0;
    let mut tell = |stream: &mut UserStream, kind: &str, id: &str, filled: &str| {
        let judged = stream.judge(&frame(next, "user", &order(kind, id, filled)));
        next += 1;
        assert_eq!(judged, Judgement::Deliver);
    };
    tell(&mut stream, "snapshot", "old", "0.3");
    tell(&mut stream, "update", "new", "0");
    assert_eq!(owed(&stream), []);
    tell(&mut stream, "update", "new", "0.2");
    tell(&mut stream, "update", "old", "0.4");
    tell(&mut stream, "update", "old", "0.1");
    let expected = [("new", "0.2"), ("old", "0.4")].map(|(id, filled)| (id.to_owned(), filled.to_owned()));
    assert_eq!(owed(&stream), expected);
}

#[test]
fn an_order_is_asked_for_until_the_list_shows_what_it_executed_or_time_is_up() {
    let owing = Owing::default();
    let id = VenueOrderId(domain::Text::new("a").unwrap());
    let UserMessage::Numbered { body, .. } =
        user::message(&frame(0, "user", &order("update", "a", "0.5"))).unwrap()
    else {
        panic!("an order")
    };
    let UserBody::Orders(orders) = body else {
        panic!("an order")
    };
    let some = |text: &str| Some(Quantity::parse(text.as_bytes()).unwrap());
    assert!(owing.want(&orders[0], InstrumentId(0)));
    assert_eq!(owing.asked(id, None), Asked::Again);
    assert_eq!(owing.asked(id, some("0.3")), Asked::Again);
    assert_eq!(owing.next().unwrap().1.passed_on, some("0.3").unwrap());
    assert_eq!(owing.asked(id, some("0.5")), Asked::Settled);
    assert!(owing.next().is_none());
    assert!(owing.want(&orders[0], InstrumentId(0)));
    let answers: Vec<_> = (0..ATTEMPTS_MAX).map(|_| owing.asked(id, None)).collect();
    assert_eq!(answers.last(), Some(&Asked::GaveUp));
    assert!(owing.next().is_none());
}
