//! The telemetry socket.

use std::time::{Duration, Instant};

use domain::{InstrumentId, Nanos, Price, Quantity, Side, Trade, TradeId};
use messaging::TelemetryPublisher;
use messaging::protocol::decode_envelope;
use messaging::telemetry::{Envelope, Telemetry, Topic, TopicSequence};

use crate::peers::{PATIENCE, Place};
use crate::samples::{INSTANCE, NOW, instruments};

fn trade(number: u64) -> Telemetry {
    Telemetry::Trade(Trade {
        instrument: InstrumentId(0),
        ts_event: NOW,
        trade_id: TradeId(number),
        price: Price::from_units(4_000_000_000_000),
        quantity: Quantity::from_units(1_000_000),
        aggressor: Side::Buy,
    })
}

/// A subscriber with room for `room` messages.
fn subscriber(place: &Place, topics: &[Topic], room: i32) -> zmq::Socket {
    let socket = zmq::Context::new().socket(zmq::SUB).expect("a socket");
    socket.set_rcvhwm(room).expect("an option");
    socket.set_linger(0).expect("an option");
    socket.set_rcvtimeo(20_000).expect("an option");
    for topic in topics {
        socket
            .set_subscribe(topic.as_str().as_bytes())
            .expect("subscribed");
    }
    socket
        .connect(place.endpoint("telemetry.sock").as_str())
        .expect("connected");
    socket
}

fn receive(socket: &zmq::Socket) -> Envelope {
    let frames = socket.recv_multipart(0).expect("a message in time");
    assert_eq!(frames.len(), 2);
    let envelope = decode_envelope(&instruments(), &frames[1]).expect("an envelope");
    assert_eq!(
        frames[0],
        envelope.body.topic().as_str().as_bytes(),
        "the topic is the body's own"
    );
    envelope
}

/// Tends until so many subscriptions have arrived.
fn until_subscribed(publisher: &mut TelemetryPublisher, count: u64) {
    let started = Instant::now();
    while publisher.counts().subscriptions < count {
        assert!(started.elapsed() < PATIENCE, "{:?}", publisher.counts());
        publisher.tend(NOW).expect("tended");
        std::thread::yield_now();
    }
}

fn sequence_of(sequences: &[TopicSequence], topic: Topic) -> u64 {
    let entry = sequences.iter().find(|entry| entry.topic == topic);
    entry.expect("every topic is there").sequence
}

#[test]
fn numbers_rise_by_one_within_a_topic() {
    let place = Place::new();
    let mut publisher = place.publisher(3);
    let socket = subscriber(&place, &[Topic::Trade, Topic::VenueStatus], 1000);
    until_subscribed(&mut publisher, 2);
    let status = Telemetry::VenueStatus(domain::VenueStatus {
        venue: domain::Venue::Binance,
        state: domain::VenueState::Offline,
    });
    for number in 1..=3 {
        publisher.publish(NOW, &trade(number)).expect("published");
    }
    publisher.publish(NOW, &status).expect("published");
    for number in 1..=3 {
        let envelope = receive(&socket);
        assert_eq!(
            (envelope.epoch.0, envelope.sequence, envelope.ts),
            (3, number, NOW)
        );
        assert_eq!(envelope.instance, INSTANCE);
        assert_eq!(envelope.body, trade(number));
    }
    assert_eq!(receive(&socket).sequence, 1, "another topic counts for itself");
}

#[test]
fn a_late_subscriber_is_told_at_once_how_far_every_topic_has_come() {
    let place = Place::new();
    let mut publisher = place.publisher(1);
    publisher.tend(NOW).expect("tended");
    for number in 1..=5 {
        publisher
            .publish(NOW, &trade(number))
            .expect("published to nobody");
    }
    let socket = subscriber(&place, &[Topic::Trade, Topic::Heartbeat], 1000);
    until_subscribed(&mut publisher, 2);
    let Telemetry::Heartbeat(sequences) = receive(&socket).body else {
        panic!("a heartbeat before anything else")
    };
    assert_eq!(sequence_of(&sequences, Topic::Trade), 5);
    assert_eq!(sequence_of(&sequences, Topic::Fill), 0);
    publisher.publish(NOW, &trade(6)).expect("published");
    let next =
        std::iter::repeat_with(|| receive(&socket)).find(|envelope| envelope.body.topic() == Topic::Trade);
    assert_eq!(next.expect("a trade").sequence, 6);
}

#[test]
fn a_second_subscriber_to_the_same_topics_gets_its_heartbeat_too() {
    let place = Place::new();
    let mut publisher = place.publisher(1);
    let first = subscriber(&place, &[Topic::Heartbeat], 10);
    until_subscribed(&mut publisher, 1);
    receive(&first);
    let second = subscriber(&place, &[Topic::Heartbeat], 10);
    until_subscribed(&mut publisher, 2);
    receive(&second);
}

#[test]
fn a_heartbeat_comes_each_second_and_not_sooner() {
    let place = Place::new();
    let mut publisher = place.publisher(1);
    publisher.tend(NOW).expect("tended");
    let after = |nanos| NOW.plus(Nanos(nanos));
    let published = |publisher: &TelemetryPublisher| publisher.counts().published;
    assert_eq!(published(&publisher), 1);
    publisher.tend(after(999_999_999)).expect("tended");
    assert_eq!(published(&publisher), 1);
    publisher.tend(after(1_000_000_000)).expect("tended");
    assert_eq!(published(&publisher), 2);
    // The clock may stand or step back: no burst follows.
    publisher.tend(after(0)).expect("tended");
    assert_eq!(published(&publisher), 2);
}

#[test]
fn a_slow_subscriber_loses_messages_and_can_see_it_and_delays_nobody() {
    const BURST: u64 = 60_000;
    let place = Place::new();
    let mut publisher = place.publisher(1);
    let slow = subscriber(&place, &[Topic::Trade, Topic::Heartbeat], 10);
    until_subscribed(&mut publisher, 2);
    let started = Instant::now();
    for number in 1..=BURST {
        publisher.publish(NOW, &trade(number)).expect("published");
    }
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "publishing waited for the subscriber"
    );
    let mut expected = 1;
    let mut missed = 0;
    // It catches up while trades go on, one at a time, and sees a gap in their numbers before the last.
    let mut number = BURST;
    while missed == 0 {
        assert!(
            started.elapsed() < PATIENCE + Duration::from_secs(30),
            "no gap was seen"
        );
        number += 1;
        publisher.publish(NOW, &trade(number)).expect("published");
        let envelope = receive(&slow);
        if envelope.body.topic() == Topic::Trade {
            missed += envelope.sequence - expected;
            expected = envelope.sequence + 1;
        }
    }
    assert_eq!(
        publisher.sequences().iter().map(|entry| entry.sequence).max(),
        Some(number)
    );
}

#[test]
fn what_the_wire_cannot_hold_uses_no_number() {
    let place = Place::new();
    let mut publisher = place.publisher(1);
    let Telemetry::Trade(good) = trade(1) else {
        unreachable!("made above")
    };
    let nameless = Telemetry::Trade(Trade {
        instrument: InstrumentId(99),
        ..good
    });
    assert!(publisher.publish(NOW, &nameless).is_err());
    assert_eq!(sequence_of(&publisher.sequences(), Topic::Trade), 0);
    assert_eq!(publisher.counts().unencodable, 1);
    publisher.publish(NOW, &trade(1)).expect("published");
    assert_eq!(sequence_of(&publisher.sequences(), Topic::Trade), 1);
}

#[test]
fn messages_to_the_publisher_are_ignored() {
    let place = Place::new();
    let mut publisher = place.publisher(1);
    let rude = zmq::Context::new().socket(zmq::XSUB).expect("a socket");
    rude.set_linger(0).expect("an option");
    rude.connect(place.endpoint("telemetry.sock").as_str())
        .expect("connected");
    for message in [&b""[..], b"kill", &[2, 3, 4]] {
        rude.send(message, 0).expect("sent");
    }
    rude.send(&b"\x01heartbeat"[..], 0).expect("sent");
    until_subscribed(&mut publisher, 1);
}
