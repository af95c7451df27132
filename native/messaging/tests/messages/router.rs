//! The command socket.

use std::time::Duration;

use domain::{Currency, Money, Nanos};
use messaging::telemetry::Pnl;
use messaging::{
    Ack, COMMAND_BYTES_MAX, Command, Delivery, Incoming, MessagingError, Outcome, Query, Refusal,
    RefusalReason, Reply, Role, Scope,
};

use crate::peers::{Place, next, next_at, until_received};
use crate::samples::{INSTANCE, NOW, SOON, commands, id, pair, signed};

const KILL: Command = Command::Kill { scope: Scope::All };
const PNL: Command = Command::Query(Query::Pnl);

fn reason(incoming: &Incoming) -> RefusalReason {
    incoming.body.as_ref().expect_err("a refusal").reason
}

fn refused_with(ack: &Ack) -> RefusalReason {
    match &ack.outcome {
        Outcome::Refused { reason, .. } => *reason,
        other => panic!("refused, not {other:?}"),
    }
}

#[test]
fn every_command_passes_over_the_socket_and_is_acknowledged_twice() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    for (counter, (name, command)) in (1..).zip(commands()) {
        client.send(&signed(counter, &command));
        let incoming = next(&mut server);
        let verified = incoming.body.expect(name);
        assert_eq!(verified.command, command);
        for ack in [
            Ack::accepted(&verified.reference, NOW),
            Ack::applied(&verified.reference, NOW),
        ] {
            assert_eq!(
                server.reply(&incoming.identity, &ack).expect("sent"),
                Delivery::Sent
            );
            assert_eq!(client.ack(), ack, "{name}");
        }
    }
}

#[test]
fn garbage_is_refused_and_what_follows_is_served() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    let too_large = vec![0; COMMAND_BYTES_MAX + 1];
    let cases: [(&[u8], RefusalReason); 4] = [
        (b"", RefusalReason::Malformed),
        (b"kill everything", RefusalReason::Malformed),
        (&[0xFF; 1000], RefusalReason::Malformed),
        (&too_large, RefusalReason::TooLarge),
    ];
    for (message, expected) in cases {
        client.send(message);
        let incoming = next(&mut server);
        assert_eq!(reason(&incoming), expected);
        let refusal = incoming.body.expect_err("a refusal");
        server
            .reply(&incoming.identity, &Ack::refused(&refusal, NOW))
            .expect("sent");
        assert_eq!(refused_with(&client.ack()), expected);
    }
    client.send(&signed(1, &KILL));
    assert!(next(&mut server).body.is_ok());
}

#[test]
fn messages_of_other_than_one_frame_are_refused_whole() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    let message = signed(1, &KILL);
    for frames in [
        vec![&b""[..], &message],
        vec![&message[..], &message],
        vec![&message[..]; 9],
    ] {
        client.socket.send_multipart(frames, 0).expect("sent");
        assert_eq!(reason(&next(&mut server)), RefusalReason::Malformed);
    }
    client.send(&message);
    assert!(
        next(&mut server).body.is_ok(),
        "no frame of the others was left over"
    );
}

#[test]
fn a_frame_beyond_the_sockets_own_bound_closes_that_connection_only() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let (rude, polite) = (place.client(zmq::DEALER), place.client(zmq::DEALER));
    rude.send(&vec![0; 4 * COMMAND_BYTES_MAX]);
    polite.send(&signed(1, &KILL));
    let incoming = next(&mut server);
    assert!(incoming.body.is_ok());
    assert_eq!(server.counts().received, 1);
}

#[test]
fn a_repeat_is_answered_from_memory_and_not_obeyed_twice() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    let message = signed(1, &KILL);
    client.send(&message);
    let incoming = next(&mut server);
    let reference = incoming.body.expect("genuine").reference;
    server
        .reply(&incoming.identity, &Ack::accepted(&reference, NOW))
        .expect("sent");
    assert_eq!(client.ack().outcome, Outcome::Accepted);

    client.send(&message);
    assert!(until_received(&mut server, 2).is_empty());
    assert_eq!(client.ack().outcome, Outcome::Accepted);

    server
        .reply(&incoming.identity, &Ack::applied(&reference, NOW))
        .expect("sent");
    assert_eq!(client.ack().outcome, Outcome::Applied(None));
    // Long after its expiry the outcome can still be asked for.
    client.send(&message);
    while server.counts().received < 3 {
        let later = NOW.plus(Nanos::from_secs(7200));
        let polled = server.poll(Duration::from_millis(50), &|| later).expect("polled");
        assert!(polled.is_none(), "{polled:?}");
    }
    assert_eq!(client.ack().outcome, Outcome::Applied(None));
    assert_eq!(server.counts().repeated, 2);
}

#[test]
fn who_repeats_from_a_new_connection_hears_the_outcome_too() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let message = signed(1, &KILL);
    let first = place.client(zmq::DEALER);
    first.send(&message);
    let incoming = next(&mut server);
    let reference = incoming.body.expect("genuine").reference;
    // The sender loses its connection before the first answer, comes back and sends the same again.
    drop(first);
    let second = place.client(zmq::DEALER);
    second.send(&message);
    assert!(until_received(&mut server, 2).is_empty());
    assert!(!second.has_answer(), "there is no outcome yet");
    let delivery = server
        .reply(&incoming.identity, &Ack::applied(&reference, NOW))
        .expect("sent");
    assert_eq!(delivery, Delivery::Sent);
    assert_eq!(second.ack(), Ack::applied(&reference, NOW));
}

#[test]
fn the_same_counter_with_other_content_is_a_replay_and_leaves_the_first_answer_alone() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    let message = signed(1, &KILL);
    client.send(&message);
    let incoming = next(&mut server);
    let reference = incoming.body.expect("genuine").reference;
    server
        .reply(&incoming.identity, &Ack::applied(&reference, NOW))
        .expect("sent");
    client.ack();

    // The same key, counter and name, for one slot instead of all.
    client.send(&signed(
        1,
        &Command::Kill {
            scope: Scope::Slot(domain::SlotId(1)),
        },
    ));
    let replayed = next(&mut server);
    assert_eq!(reason(&replayed), RefusalReason::CounterReplayed);
    let refusal = replayed.body.expect_err("a replay");
    server
        .reply(&replayed.identity, &Ack::refused(&refusal, NOW))
        .expect("sent");
    assert_eq!(refused_with(&client.ack()), RefusalReason::CounterReplayed);

    client.send(&message);
    assert!(until_received(&mut server, 3).is_empty());
    assert_eq!(client.ack(), Ack::applied(&reference, NOW));
}

#[test]
fn a_refusal_by_the_service_is_an_answer_like_any_other() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    let message = signed(1, &KILL);
    client.send(&message);
    let incoming = next(&mut server);
    let reference = incoming.body.expect("genuine").reference;
    let refusal = Refusal::of(&reference, RefusalReason::WrongState, "it reconciles; try again");
    server
        .reply(&incoming.identity, &Ack::refused(&refusal, NOW))
        .expect("sent");
    assert_eq!(refused_with(&client.ack()), RefusalReason::WrongState);
    client.send(&message);
    assert!(until_received(&mut server, 2).is_empty());
    assert_eq!(refused_with(&client.ack()), RefusalReason::WrongState);
}

#[test]
fn a_repeated_query_is_run_again_while_it_is_valid() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    let message = signed(1, &PNL);
    for _ in 0..2 {
        client.send(&message);
        let incoming = next(&mut server);
        let reference = incoming.body.expect("a query").reference;
        let answer = Ack::answer(&reference, NOW, Reply::Pnl(Vec::new()));
        server.reply(&incoming.identity, &answer).expect("sent");
        assert_eq!(client.ack(), answer);
    }
    client.send(&message);
    assert_eq!(reason(&next_at(&mut server, SOON)), RefusalReason::Expired);
}

#[test]
fn after_a_restart_the_floors_refuse_what_was_obeyed() {
    let place = Place::new();
    let message = signed(8, &KILL);
    let client = place.client(zmq::DEALER);
    let mut server = place.server(Vec::new());
    client.send(&message);
    let reference = next(&mut server).body.expect("genuine").reference;
    drop(server);

    let mut server = place.server(vec![(reference.key_id, reference.counter)]);
    // A connection to the life before may swallow what is sent before ZeroMQ notices its end.
    let client = place.client(zmq::DEALER);
    client.send(&message);
    assert_eq!(reason(&next(&mut server)), RefusalReason::CounterReplayed);
    client.send(&signed(9, &KILL));
    assert!(next(&mut server).body.is_ok());
}

#[test]
fn a_peer_that_has_gone_is_an_outcome() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    client.send(&signed(1, &KILL));
    let incoming = next(&mut server);
    let reference = incoming.body.expect("genuine").reference;
    drop(client);
    let started = std::time::Instant::now();
    loop {
        // ZeroMQ notices the end of the connection in its own time.
        let delivery = server
            .reply(&incoming.identity, &Ack::applied(&reference, NOW))
            .expect("an outcome");
        if delivery == Delivery::PeerGone {
            break;
        }
        assert!(started.elapsed() < crate::peers::PATIENCE, "{delivery:?}");
        assert!(
            server
                .poll(Duration::from_millis(10), &|| NOW)
                .expect("polled")
                .is_none()
        );
    }
    assert_eq!(server.counts().undelivered, 1);
}

#[test]
fn a_peer_that_does_not_read_its_answers_blocks_nobody() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let deaf = place.client(zmq::DEALER);
    deaf.socket.set_rcvhwm(1).expect("an option");
    deaf.send(&signed(1, &PNL));
    let incoming = next(&mut server);
    let reference = incoming.body.expect("a query").reference;
    let reply = Reply::Pnl(vec![pnl(0); 1000]);
    let answer = Ack::answer(&reference, NOW, reply);
    let full = (0..100_000)
        .any(|_| server.reply(&incoming.identity, &answer).expect("an outcome") == Delivery::PeerFull);
    assert!(full);
    let other = place.client(zmq::DEALER);
    other.send(&signed(2, &PNL));
    assert!(next(&mut server).body.is_ok());
}

fn pnl(units: i128) -> Pnl {
    let usdt = Currency::new("USDT").expect("a code");
    Pnl {
        slot: None,
        ts: NOW,
        realized: Money::from_units(units, usdt),
        unrealized: None,
        fees: Vec::new(),
        equity: Money::zero(usdt),
        peak_equity: Money::zero(usdt),
    }
}

#[test]
fn an_answer_that_the_wire_cannot_hold_fails_on_both_sides() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let client = place.client(zmq::DEALER);
    client.send(&signed(1, &PNL));
    let incoming = next(&mut server);
    let reference = incoming.body.expect("a query").reference;
    let answer = Ack::answer(&reference, NOW, Reply::Pnl(vec![pnl(i128::MAX)]));
    let failed = server.reply(&incoming.identity, &answer);
    assert!(matches!(failed, Err(MessagingError::Unencodable(_))));
    let Outcome::Failed { reason: None, text } = client.ack().outcome else {
        panic!("the client hears that it failed")
    };
    assert!(text.contains("pnl.realized"), "{text}");
}

#[test]
fn a_directory_that_was_opened_to_others_is_refused_at_the_bind() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let endpoint = place.endpoint("command.sock");
    let opened = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.folder.path(), opened).expect("ours");
    let config = messaging::ServerConfig {
        endpoint,
        instance: INSTANCE.to_owned(),
        keyring: crate::samples::keyring(),
        floors: Vec::new(),
        instruments: crate::samples::instruments(),
    };
    let refused = messaging::CommandServer::bind(&place.context, config);
    assert!(matches!(refused, Err(MessagingError::NotPrivate { .. })));
}

#[test]
fn a_wait_without_a_message_ends_in_time() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let started = std::time::Instant::now();
    let nothing = server.poll(Duration::from_millis(30), &|| NOW).expect("polled");
    assert!(nothing.is_none());
    assert!(started.elapsed() >= Duration::from_millis(29));
    let now = server.poll(Duration::ZERO, &|| NOW).expect("polled");
    assert!(now.is_none());
}

#[test]
fn commands_of_many_senders_are_told_apart() {
    let place = Place::new();
    let mut server = place.server(Vec::new());
    let clients: Vec<_> = Role::ALL.iter().map(|_| place.client(zmq::DEALER)).collect();
    for (client, role) in clients.iter().zip(Role::ALL) {
        let status = Command::Query(Query::Status);
        let message = pair(role)
            .signer()
            .sign(INSTANCE, 1, SOON, &id(role.as_str()), &status);
        client.send(&message);
    }
    for _ in &clients {
        let incoming = next(&mut server);
        let verified = incoming.body.expect("genuine");
        assert_eq!(verified.reference.command_id, id(verified.role.as_str()));
        server
            .reply(&incoming.identity, &Ack::applied(&verified.reference, NOW))
            .expect("sent");
    }
    for (client, role) in clients.iter().zip(Role::ALL) {
        assert_eq!(client.ack().origin.command_id, Some(id(role.as_str())));
    }
}

#[test]
fn both_sockets_may_be_handed_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<messaging::CommandServer>();
    is_send::<messaging::TelemetryPublisher>();
}
