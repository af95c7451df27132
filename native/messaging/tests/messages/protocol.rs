//! Domain to wire and back: nothing is lost, and nothing else is let in.

use domain::{
    Bar, Currency, Decimal, Epoch, InstrumentId, Level, Money, Nanos, Price, Quantity, Side, SlotId,
    Timestamp, Trade, TradeId,
};
use messaging::protocol::{
    decode_ack, decode_command, decode_envelope, encode_ack, encode_command, encode_envelope,
};
use messaging::telemetry::{Book, CommandEvent, Envelope, Pnl, Telemetry, Topic};
use messaging::{
    Ack, BOOK_LEVELS_MAX, Command, CommandId, Origin, Outcome, ProtocolError, RefusalReason, Reply, Scope,
    TEXT_BYTES_MAX,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::samples::{NOW, commands, id, instruments};
use crate::strategies::{REFUSAL_REASONS, ack, command, command_id, telemetry};

fn envelope(sequence: u64, body: Telemetry) -> Envelope {
    Envelope {
        epoch: Epoch(4),
        sequence,
        ts: NOW,
        instance: "paper-1".to_owned(),
        body,
    }
}

proptest! {
    #[test]
    fn commands_come_back_as_they_went(id in command_id(), command in command()) {
        let bytes = encode_command(&id, &command);
        prop_assert_eq!(decode_command(&bytes), Ok((id, command)));
    }

    #[test]
    fn acks_come_back_as_they_went(ack in ack()) {
        let bytes = encode_ack(&instruments(), &ack).expect("in range");
        prop_assert_eq!(decode_ack(&instruments(), &bytes), Ok(ack));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_mean_what_they_say(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok((id, command)) = decode_command(&bytes) {
            prop_assert_eq!(encode_command(&id, &command), bytes.clone());
        }
        let names = instruments();
        if let Ok(ack) = decode_ack(&names, &bytes) {
            prop_assert!(encode_ack(&names, &ack).is_ok());
        }
        if let Ok(envelope) = decode_envelope(&names, &bytes) {
            prop_assert!(encode_envelope(&names, &envelope).is_ok());
        }
    }

    #[test]
    fn a_command_cut_or_changed_never_becomes_another_silently(
        id in command_id(),
        command in command(),
        bit in any::<prop::sample::Index>(),
    ) {
        let bytes = encode_command(&id, &command);
        let mut flipped = bytes.clone();
        let at = bit.index(bytes.len() * 8);
        flipped[at / 8] ^= 1 << (at % 8);
        // Without its signature a flip may give another command, but then exactly one encoding says it.
        if let Ok((id, other)) = decode_command(&flipped) {
            prop_assert_eq!(encode_command(&id, &other), flipped);
        }
    }
}

#[test]
fn every_topic_comes_back_as_it_went() {
    let mut runner = TestRunner::deterministic();
    for &topic in Topic::ALL {
        let strategy = telemetry(topic);
        for sequence in 1..=64 {
            let body = strategy.new_tree(&mut runner).expect("a value").current();
            assert_eq!(body.topic(), topic);
            let sent = envelope(sequence, body);
            let bytes = encode_envelope(&instruments(), &sent).expect("in range");
            assert_eq!(
                decode_envelope(&instruments(), &bytes),
                Ok(without_reply(sent)),
                "{topic:?}"
            );
        }
    }
}

/// The answer of a query is not published.
fn without_reply(mut envelope: Envelope) -> Envelope {
    if let Telemetry::Command(event) = &mut envelope.body
        && let Outcome::Applied(reply) = &mut event.ack.outcome
    {
        *reply = None;
    }
    envelope
}

#[test]
fn every_reason_of_refusal_has_a_number_of_its_own() {
    let origin = Origin::default();
    let encoded = REFUSAL_REASONS.map(|reason| {
        let outcome = Outcome::Refused {
            reason,
            text: String::new(),
        };
        let ack = Ack {
            origin,
            ts: NOW,
            outcome,
        };
        let bytes = encode_ack(&instruments(), &ack).expect("in range");
        assert_eq!(decode_ack(&instruments(), &bytes), Ok(ack));
        bytes
    });
    for (at, bytes) in encoded.iter().enumerate() {
        assert!(!encoded[..at].contains(bytes), "{:?}", REFUSAL_REASONS[at]);
    }
    let mut by_receiver = REFUSAL_REASONS
        .iter()
        .filter(|reason| reason.is_found_by_receiver());
    assert_eq!(by_receiver.next_back(), Some(&RefusalReason::CounterReplayed));
}

/// Bodies as other programs would write them: field numbers and values by hand.
#[test]
fn values_out_of_range_are_refused_by_name() {
    let scope_all = [0x0A, 0x02, 0x0A, 0x00];
    let flatten = |bps: &[u8]| {
        let length = u8::try_from(5 + bps.len()).expect("short");
        [
            &[0x0A, 0x01, b'c', 0x82, 0x01, length][..],
            &scope_all,
            &[0x10],
            bps,
        ]
        .concat()
    };
    assert!(decode_command(&flatten(&[0x32])).is_ok(), "50 bps");
    let cases: [(&str, Vec<u8>); 8] = [
        ("flatten.max_slippage_bps", flatten(&[0x91, 0x4E])), // 10001
        ("command_id", vec![0x62, 0x00]),                     // no id, pause
        ("scope", vec![0x0A, 0x01, b'c', 0x6A, 0x00]),        // pause without scope
        ("action", vec![0x0A, 0x01, b'c']),
        (
            "rollback.slot",
            vec![0x0A, 0x01, b'c', 0x5A, 0x04, 0x08, 0x80, 0x80, 0x04],
        ), // slot 65536
        (
            "deploy.digest",
            vec![0x0A, 0x01, b'c', 0x52, 0x03, 0x12, 0x01, 0xAA],
        ),
        ("query_orders.limit", vec![0x0A, 0x01, b'c', 0xBA, 0x01, 0x00]), // limit 0
        (
            "scope.venue",
            vec![
                0x0A, 0x01, b'c', 0x6A, 0x07, 0x0A, 0x05, 0x12, 0x03, b'n', b'y', b'x',
            ],
        ),
    ];
    for (field, bytes) in cases {
        let error = decode_command(&bytes).expect_err(field);
        assert!(error.to_string().contains(field), "{field}: {error}");
        assert!(!error.is_malformed(), "{field}: {error}");
    }
}

#[test]
fn what_a_command_type_can_hold_but_the_wire_must_not_say_is_refused() {
    let refused = [
        (
            "flatten.max_slippage_bps",
            Command::Flatten {
                scope: Scope::All,
                max_slippage_bps: 10_001,
            },
        ),
        (
            "rearm.reason",
            Command::Rearm {
                scope: Scope::All,
                reason: String::new(),
            },
        ),
        (
            "rearm.reason",
            Command::Rearm {
                scope: Scope::All,
                reason: "   ".to_owned(),
            },
        ),
        (
            "rearm.reason",
            Command::Rearm {
                scope: Scope::All,
                reason: "x".repeat(121),
            },
        ),
        (
            "rearm.reason",
            Command::Rearm {
                scope: Scope::All,
                reason: "line\nbreak".to_owned(),
            },
        ),
        (
            "scope.order",
            Command::Kill {
                scope: Scope::Order(crate::samples::order_id()),
            },
        ),
        (
            "set_parameter.name",
            Command::SetParameter {
                slot: SlotId(0),
                name: "Entry".to_owned(),
                value: Decimal::ONE,
            },
        ),
        (
            "set_parameter.name",
            Command::SetParameter {
                slot: SlotId(0),
                name: String::new(),
                value: Decimal::ONE,
            },
        ),
    ];
    for (field, command) in refused {
        let error = decode_command(&encode_command(&id("c-1"), &command)).expect_err(field);
        assert!(error.to_string().contains(field), "{field}: {error}");
    }
}

/// A body that another program wrote, with this text for the value of a parameter.
fn set_parameter(value: &str) -> Vec<u8> {
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("short");
    let mut action = vec![0x08, 0x01, 0x12, 0x01, b'x', 0x1A, length(value.as_bytes())];
    action.extend_from_slice(value.as_bytes());
    let front = [&[0x0A, 0x01, b'c', 0x9A, 0x01, length(&action)][..], &action];
    front.concat()
}

#[test]
fn a_parameter_has_one_spelling() {
    for value in ["0", "1", "-0.1", "0.62", "92233720368.54775807"] {
        let (_, command) = decode_command(&set_parameter(value)).expect(value);
        let Command::SetParameter { value: read, .. } = command else {
            panic!("{command:?}")
        };
        assert_eq!(read.to_string(), value);
    }
    let other_spellings = "-000.1 00 01 -0 0.10 1.0 0.620000000 +1 .5 1. 1e1 one";
    for value in other_spellings.split(' ') {
        let error = decode_command(&set_parameter(value)).expect_err(value);
        assert!(
            error.to_string().contains("set_parameter.value"),
            "{value:?}: {error}"
        );
    }
}

#[test]
fn manual_orders_without_a_sane_price_or_size_are_refused() {
    let (_, limit) = commands()
        .into_iter()
        .find(|(name, _)| *name == "manual_order_limit")
        .expect("a sample");
    let Command::ManualOrder(limit) = limit else {
        panic!("a manual order")
    };
    let price = |units| Some(Price::from_units(units));
    let refused = [
        messaging::ManualOrder { price: None, ..limit },
        messaging::ManualOrder {
            price: price(0),
            ..limit
        },
        messaging::ManualOrder {
            price: price(-1),
            ..limit
        },
        messaging::ManualOrder {
            order_type: domain::OrderType::Market,
            ..limit
        },
        messaging::ManualOrder {
            quantity: Quantity::ZERO,
            ..limit
        },
        messaging::ManualOrder {
            quantity: Quantity::from_units(-5),
            ..limit
        },
    ];
    for order in refused {
        let bytes = encode_command(&id("c-1"), &Command::ManualOrder(order));
        assert!(decode_command(&bytes).is_err(), "{order:?}");
    }
}

#[test]
fn command_ids_are_plain_and_short() {
    for text in ["", "with space", "under_score", "dot.", "é", &"x".repeat(37)] {
        assert_eq!(CommandId::new(text), None, "{text:?}");
    }
    assert!(CommandId::new(&"x".repeat(36)).is_some());
}

#[test]
fn instruments_that_have_no_name_here_are_refused_on_both_ways() {
    let trade = Trade {
        instrument: InstrumentId(1),
        ts_event: NOW,
        trade_id: TradeId(1),
        price: Price::from_units(1),
        quantity: Quantity::from_units(1),
        aggressor: Side::Buy,
    };
    let unnamed = encode_envelope(&instruments(), &envelope(1, Telemetry::Trade(trade)));
    assert_eq!(unnamed, Err(ProtocolError::UnknownInstrumentId(InstrumentId(1))));
    let named = Trade {
        instrument: InstrumentId(7),
        ..trade
    };
    let bytes = encode_envelope(&instruments(), &envelope(1, Telemetry::Trade(named))).expect("named");
    let nobody = messaging::Instruments::default();
    let refused = decode_envelope(&nobody, &bytes);
    assert_eq!(
        refused,
        Err(ProtocolError::UnknownInstrument("binance/ETHUSDT".to_owned()))
    );
}

#[test]
fn too_many_levels_and_too_much_money_are_refused_before_they_leave() {
    let level = Level {
        price: Price::from_units(1),
        quantity: Quantity::from_units(1),
    };
    let book = |count| {
        let book = Book {
            instrument: InstrumentId(0),
            ts_event: NOW,
            update_id: 1,
            bids: vec![level; count],
            asks: Vec::new(),
        };
        encode_envelope(&instruments(), &envelope(1, Telemetry::Book(book)))
    };
    assert!(book(BOOK_LEVELS_MAX).is_ok());
    assert!(matches!(
        book(BOOK_LEVELS_MAX + 1),
        Err(ProtocolError::Invalid {
            field: "book.bids",
            ..
        })
    ));

    let usdt = Currency::new("USDT").expect("a code");
    let pnl = Pnl {
        slot: None,
        ts: NOW,
        realized: Money::from_units(i128::MAX, usdt),
        unrealized: None,
        fees: Vec::new(),
        equity: Money::zero(usdt),
        peak_equity: Money::zero(usdt),
    };
    let refused = encode_envelope(&instruments(), &envelope(1, Telemetry::Pnl(pnl)));
    assert!(matches!(
        refused,
        Err(ProtocolError::MoneyOutOfRange {
            field: "pnl.realized",
            ..
        })
    ));
}

#[test]
fn a_bar_that_contradicts_itself_is_refused() {
    let price = Price::from_units;
    let bar = Bar {
        instrument: InstrumentId(0),
        ts_open: NOW,
        span: Nanos::from_secs(900),
        open: price(10),
        high: price(12),
        low: price(9),
        close: price(11),
        volume: Quantity::ZERO,
    };
    let judge = |bar| {
        let bytes = encode_envelope(&instruments(), &envelope(1, Telemetry::Bar(bar))).expect("fits");
        decode_envelope(&instruments(), &bytes).map(|_| ())
    };
    assert_eq!(judge(bar), Ok(()));
    for wrong in [
        Bar {
            high: price(10),
            ..bar
        },
        Bar {
            low: price(11),
            ..bar
        },
        Bar { low: price(0), ..bar },
        Bar {
            span: Nanos(0),
            ..bar
        },
        Bar {
            volume: Quantity::from_units(-1),
            ..bar
        },
    ] {
        assert!(judge(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn text_for_people_is_cut_not_refused() {
    let outcome = Outcome::Failed {
        reason: None,
        text: "x".repeat(5000),
    };
    let ack = Ack {
        origin: Origin::default(),
        ts: NOW,
        outcome,
    };
    let bytes = encode_ack(&instruments(), &ack).expect("cut");
    let Ok(Ack {
        outcome: Outcome::Failed { text, .. },
        ..
    }) = decode_ack(&instruments(), &bytes)
    else {
        panic!("a failure")
    };
    assert_eq!(text.len(), TEXT_BYTES_MAX);
}

#[test]
fn a_published_command_event_carries_no_answer() {
    let origin = Origin::default();
    let outcome = Outcome::Applied(Some(Reply::Pnl(Vec::new())));
    let event = CommandEvent {
        kind: None,
        ack: Ack {
            origin,
            ts: NOW,
            outcome,
        },
    };
    let sent = envelope(1, Telemetry::Command(Box::new(event)));
    let bytes = encode_envelope(&instruments(), &sent).expect("in range");
    assert_eq!(decode_envelope(&instruments(), &bytes), Ok(without_reply(sent)));
}

#[test]
fn the_earliest_time_and_the_latest_are_times() {
    for nanos in [i64::MIN, 0, i64::MAX] {
        let ack = Ack {
            origin: Origin::default(),
            ts: Timestamp::from_nanos(nanos),
            outcome: Outcome::Accepted,
        };
        let bytes = encode_ack(&instruments(), &ack).expect("in range");
        assert_eq!(decode_ack(&instruments(), &bytes), Ok(ack));
    }
}
