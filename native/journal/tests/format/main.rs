//! The payloads' format: every variant, pinned to the byte, and nothing else accepted.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "modules of one test, and a test that cannot go on may panic"
)]

mod approved;
mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use domain::{BookUpdate, BookUpdateKind, InstrumentId, Level, MarketEvent, Price, Quantity, Timestamp};
use engine::{Action, EventBody};
use journal::codec::{
    LevelScratch, RecordedAction, decode_action, decode_event, decode_header, describe, encode_action,
    encode_event, encode_header,
};
use journal::frame::Kind;
use journal::{CodecError, Format, RunHeader};
use proptest::prelude::*;
use proptest::sample::Index;

/// The bytes of format 1. A change here is a change of what old journals hold: once a release has
/// written them, it needs a new format.
const GOLDEN: &str = include_str!("golden_v1.txt");

/// A header as it was first, and with what came later behind it.
fn headers() -> [RunHeader; 3] {
    [
        samples::header(),
        samples::header_with_account(),
        samples::header_with_movements(),
    ]
}

/// Every sample: its line's name, its kind, its payload.
fn payloads() -> Vec<(String, Kind, Vec<u8>)> {
    let mut counts = BTreeMap::new();
    let mut line = |kind: &str, name: &str| {
        let count = counts.entry(format!("{kind}.{name}")).or_insert(0);
        *count += 1;
        format!("{kind}.{name}.{count}")
    };
    let mut all = Vec::new();
    for body in samples::events() {
        let mut payload = Vec::new();
        encode_event(&body, &mut payload);
        all.push((line("event", samples::event_name(&body)), Kind::Event, payload));
    }
    for action in samples::actions() {
        let mut payload = Vec::new();
        action.encode(&mut payload);
        let name = line("action", samples::action_name(&action));
        all.push((name, Kind::Action, payload));
    }
    for (name, header) in ["header.1", "header.2", "header.3"].into_iter().zip(headers()) {
        let mut payload = Vec::new();
        encode_header(&header, &mut payload);
        all.push((name.to_owned(), Kind::Header, payload));
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Decodes and encodes again.
fn rewritten(kind: Kind, payload: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut again = Vec::new();
    match kind {
        Kind::Event => {
            let mut scratch = LevelScratch::default();
            encode_event(&decode_event(Format::V1, payload, &mut scratch)?, &mut again);
        }
        Kind::Action => decode_action(Format::V1, payload)?.encode(&mut again),
        Kind::Header => encode_header(&decode_header(payload)?, &mut again),
    }
    Ok(again)
}

#[test]
fn the_bytes_of_every_variant_are_pinned() {
    let golden: Vec<&str> = GOLDEN.lines().filter(|line| !line.starts_with('#')).collect();
    let written: Vec<String> = payloads()
        .iter()
        .map(|(name, _, payload)| format!("{name} {}", hex(payload)))
        .collect();
    for (golden, written) in golden.iter().zip(&written) {
        assert_eq!(golden, written);
    }
    assert_eq!(golden.len(), written.len(), "every sample has its line");
}

#[test]
fn every_variant_has_a_sample() {
    let events: BTreeSet<_> = samples::events().iter().map(samples::event_name).collect();
    let actions: BTreeSet<_> = samples::actions().iter().map(samples::action_name).collect();
    assert_eq!(events.len(), samples::EVENT_NAMES, "{events:?}");
    assert_eq!(actions.len(), samples::ACTION_NAMES, "{actions:?}");
}

#[test]
fn every_sample_reads_back_as_it_was() {
    let mut scratch = LevelScratch::default();
    for body in samples::events() {
        let mut payload = Vec::new();
        encode_event(&body, &mut payload);
        assert_eq!(decode_event(Format::V1, &payload, &mut scratch), Ok(body));
    }
    for (name, kind, payload) in payloads() {
        assert_eq!(rewritten(kind, &payload), Ok(payload), "{name}");
    }
    for header in headers() {
        let mut payload = Vec::new();
        encode_header(&header, &mut payload);
        assert_eq!(decode_header(&payload), Ok(header));
    }
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    // Up to what was added behind it, a header is one of a life that carried none of that.
    let whole_headers = headers().map(|header| {
        let mut payload = Vec::new();
        encode_header(&header, &mut payload);
        payload.len()
    });
    for (name, kind, payload) in payloads() {
        let whole = payload.len();
        let is_header = name.starts_with("header.");
        for cut in (0..whole).filter(|cut| !(is_header && whole_headers.contains(cut))) {
            let read = rewritten(kind, &payload[..cut]);
            assert!(read.is_err(), "{name} cut at {cut} reads as {read:?}");
        }
        let longer = [&payload[..], &[0]].concat();
        assert_eq!(rewritten(kind, &longer), Err(CodecError::Trailing(1)), "{name}");
    }
}

#[test]
fn tags_that_stand_for_nothing_are_refused() {
    let mut scratch = LevelScratch::default();
    for tag in [0, 17, 255] {
        let error = CodecError::Tag { what: "event", tag };
        assert_eq!(
            decode_event(Format::V1, &[tag, 0, 0, 0, 0], &mut scratch),
            Err(error)
        );
    }
    for tag in [0, 18, 255] {
        let error = CodecError::Tag { what: "action", tag };
        assert_eq!(decode_action(Format::V1, &[tag, 0]), Err(error));
    }
    assert_eq!(Format::from_number(2), Err(CodecError::Format(2)));
    assert_eq!(decode_header(&[2, 0]), Err(CodecError::Format(2)));
}

#[test]
fn bits_of_what_is_no_number_are_refused() {
    let events = samples::events();
    let mut payloads = events.iter().map(|body| {
        let mut payload = Vec::new();
        encode_event(body, &mut payload);
        payload
    });
    let written = 0.0001_f64.to_le_bytes();
    let holds = |payload: &Vec<u8>| payload.windows(8).position(|bytes| bytes == written);
    let (payload, at) = payloads
        .find_map(|payload| holds(&payload).map(|at| (payload, at)))
        .unwrap();
    for wrong in [f64::NAN, f64::INFINITY, -0.0] {
        let mut payload = payload.clone();
        payload[at..at + 8].copy_from_slice(&wrong.to_le_bytes());
        let mut scratch = LevelScratch::default();
        assert_eq!(
            decode_event(Format::V1, &payload, &mut scratch),
            Err(CodecError::Number(wrong.to_bits()))
        );
    }
}

#[test]
fn a_forged_count_reserves_nothing() {
    let mut payload = Vec::new();
    let is_book = |body: &&EventBody<'_>| matches!(body, EventBody::Market(MarketEvent::Book(_)));
    let events = samples::events();
    encode_event(events.iter().find(is_book).unwrap(), &mut payload);
    let count = payload.len() - (4 + 2 * 16) - (4 + 16);
    payload[count..count + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let refused = decode_event(Format::V1, &payload, &mut LevelScratch::default()).map(|_| ());
    let room = CodecError::TooMany {
        what: "levels",
        count: usize::try_from(u32::MAX).unwrap(),
        max: (payload.len() - count - 4) / 16,
    };
    assert_eq!(refused, Err(room));
}

#[test]
fn an_approved_order_is_recorded_as_its_request() {
    let actions = approved::decide();
    let submit = actions
        .as_slice()
        .iter()
        .find(|action| matches!(action, Action::Submit(_)))
        .unwrap_or_else(|| panic!("the order passes: {actions:?}"));
    let Action::Submit(order) = submit else {
        unreachable!("found above")
    };
    let (mut written, mut expected) = (Vec::new(), Vec::new());
    encode_action(submit, &mut written);
    RecordedAction::Submitted(*order.get()).encode(&mut expected);
    assert_eq!(written, expected);
    assert_eq!(
        decode_action(Format::V1, &written),
        Ok(RecordedAction::Submitted(*order.get()))
    );
}

#[test]
fn descriptions_differ_where_payloads_do() {
    let mut seen = BTreeMap::new();
    for (name, kind, payload) in payloads() {
        let text = describe(kind, &payload);
        assert!(!text.contains("unreadable") && !text.contains('\n'), "{text}");
        if let Some(other) = seen.insert((kind as u8, text.clone()), name.clone()) {
            panic!("{name} and {other} both read {text}");
        }
    }
}

#[test]
fn reports_on_orders_read_as_sentences() {
    for (name, kind, payload) in payloads() {
        let text = describe(kind, &payload);
        let shows_its_types = text.contains(['{', '}', '(', ')']);
        assert!(
            !text.starts_with("report on ") || !shows_its_types,
            "{name}: {text}"
        );
    }
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    let level = (any::<i64>(), any::<i64>()).prop_map(|(price, quantity)| Level {
        price: Price::from_units(price),
        quantity: Quantity::from_units(quantity),
    });
    prop::collection::vec(level, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any bytes that are accepted are the encoding of what they are read as: canonical both ways.
    #[test]
    fn what_is_accepted_is_canonical(
        which in any::<Index>(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..24),
    ) {
        let all = payloads();
        let (_, kind, payload) = which.get(&all);
        let mut changed = payload.clone();
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        if let Ok(again) = rewritten(*kind, &changed) {
            prop_assert_eq!(again, changed);
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..400), tag in 0u8..18) {
        let bytes = [&[tag], &bytes[..]].concat();
        for kind in [Kind::Header, Kind::Event, Kind::Action] {
            if let Ok(again) = rewritten(kind, &bytes) {
                prop_assert_eq!(again, bytes.clone());
            }
        }
    }

    #[test]
    fn any_book_reads_back(bids in levels(), asks in levels(), update_id in any::<u64>(), ts in any::<i64>()) {
        let body = EventBody::Market(MarketEvent::Book(BookUpdate {
            instrument: InstrumentId(1),
            ts_event: Timestamp::from_nanos(ts),
            kind: BookUpdateKind::Delta,
            update_id,
            bids: &bids,
            asks: &asks,
        }));
        let mut payload = Vec::new();
        encode_event(&body, &mut payload);
        // What an earlier event left in the scratch does not show.
        let mut scratch = LevelScratch::with_capacity(4);
        let mut other = Vec::new();
        encode_event(&samples::events()[11], &mut other);
        decode_event(Format::V1, &other, &mut scratch).unwrap();
        prop_assert_eq!(decode_event(Format::V1, &payload, &mut scratch), Ok(body));
    }

    /// Values, not bytes: the integers of a payload may be any.
    #[test]
    fn any_order_reads_back(
        numbers in any::<(u32, u16, u32, u16)>(),
        price in any::<Option<i64>>(),
        quantity in any::<i64>(),
        flags in any::<(bool, bool, bool, bool)>(),
    ) {
        let (epoch, slot, counter, instrument) = numbers;
        let (buy, limit, post_only, reduce_only) = flags;
        let order = RecordedAction::Submitted(domain::OrderRequest {
            client_order_id: domain::ClientOrderId {
                epoch: domain::Epoch(epoch),
                slot: domain::SlotId(slot),
                counter,
            },
            instrument: InstrumentId(instrument),
            side: if buy { domain::Side::Buy } else { domain::Side::Sell },
            order_type: if limit { domain::OrderType::Limit } else { domain::OrderType::Market },
            price: price.map(Price::from_units),
            quantity: Quantity::from_units(quantity),
            time_in_force: domain::TimeInForce::Fok,
            post_only,
            reduce_only,
        });
        let mut payload = Vec::new();
        order.encode(&mut payload);
        prop_assert_eq!(decode_action(Format::V1, &payload), Ok(order));
    }
}
