use domain::{Decimal, SlotId, Text, Timestamp};
use proptest::prelude::*;

use rustix::io::pwrite;

use super::{
    ANSWER_WORDS, MAX_CHANGES, MAX_VERSION, MIN_INTERVAL_NS, ParameterAnswer, ParameterChange,
    ParameterFault, ParameterInbox, ParameterPoll, ParameterRequest, ParameterStatus, REQUEST_WORDS,
};
use crate::layout::HEADER_BYTES;

fn change(name: &str, units: i64) -> ParameterChange {
    ParameterChange {
        name: Text::new(name).unwrap(),
        value: Decimal::from_units(units),
    }
}

fn request(version: u64, changes: &[ParameterChange]) -> Result<ParameterRequest, ParameterFault> {
    ParameterRequest::new(version, Timestamp::from_nanos(5), SlotId(2), changes)
}

#[test]
fn a_request_is_read_as_written() {
    let longest = "n".repeat(32);
    let all = [change("entry_threshold", 60_000_000), change(&longest, -1)];
    let request = request(7, &all).unwrap();
    let read = ParameterRequest::decode(&request.encode(), 6).unwrap();
    assert_eq!(read.changes(), all);
    assert_eq!(
        (read.version, read.slot, read.ts_requested),
        (7, SlotId(2), Timestamp::from_nanos(5))
    );
}

#[test]
fn malformed_requests_are_refused() {
    let some = change("entry_threshold", 1);
    assert_eq!(request(1, &[]), Err(ParameterFault::Count(0)));
    assert_eq!(
        request(1, &[some; MAX_CHANGES + 1]),
        Err(ParameterFault::Count(9))
    );
    assert_eq!(request(1, &[some, some]), Err(ParameterFault::Repeated(1)));
    for name in ["", "Entry", "a-b", "a b"] {
        assert_eq!(
            request(1, &[change(name, 1)]),
            Err(ParameterFault::Name(0)),
            "{name}"
        );
    }
    let good = request(7, &[some]).unwrap().encode();
    for (version, last) in [(7, 7), (0, 0), (MAX_VERSION + 1, 3)] {
        let mut words = good;
        words[0] = version;
        let fault = ParameterFault::Version { found: version, last };
        assert_eq!(ParameterRequest::decode(&words, last), Err(fault));
    }
    let damages = [
        (2, u64::MAX, ParameterFault::Word(2)),
        (2, 2, ParameterFault::Count(0)),
        (2, 2 | 2 << 16, ParameterFault::Name(1)),
        (3, 0, ParameterFault::Name(0)),
        (3, u64::MAX, ParameterFault::Name(0)),
        (REQUEST_WORDS - 1, 1, ParameterFault::Word(REQUEST_WORDS - 1)),
    ];
    for (word, value, fault) in damages {
        let mut words = good;
        words[word] = value;
        assert_eq!(ParameterRequest::decode(&words, 6), Err(fault), "word {word}");
    }
}

/// Writes a request as a hostile client would: straight to the memory.
fn forge(inbox: &ParameterInbox, sequence: u64, words: &[u64]) {
    let mut bytes = sequence.to_le_bytes().to_vec();
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    let written = pwrite(inbox.request_descriptor(), &bytes, HEADER_BYTES as u64);
    assert_eq!(written, Ok(bytes.len()));
}

#[test]
fn the_inbox_takes_requests_one_at_a_time_and_answers_what_is_malformed() {
    let mut inbox = ParameterInbox::create("params", 1).unwrap();
    let good = |version| request(version, &[change("entry_threshold", 60_000_000)]).unwrap();
    assert_eq!(inbox.poll(1), ParameterPoll::Unchanged);

    forge(&inbox, 2, &good(1).encode());
    assert_eq!(inbox.poll(1), ParameterPoll::Request(good(1)));
    assert_eq!(inbox.poll(2), ParameterPoll::Unchanged, "taken once");
    inbox.acknowledge(&good(1), Ok(()), 3);

    // Too soon after the last one: it waits, and only the newest of what waits is seen.
    forge(&inbox, 4, &good(2).encode());
    assert_eq!(inbox.poll(MIN_INTERVAL_NS), ParameterPoll::Unchanged);
    forge(&inbox, 6, &good(3).encode());
    let mut now = 1 + MIN_INTERVAL_NS;
    assert_eq!(inbox.poll(now), ParameterPoll::Request(good(3)));
    inbox.acknowledge(&good(3), Err("outside 0 to 1: \u{e4}"), now);
    assert_eq!(inbox.applied_version(), 1);

    // Half written: nothing yet. Replayed, out of range, garbage: malformed, and the version is not used up.
    forge(&inbox, 7, &good(4).encode());
    now += MIN_INTERVAL_NS;
    assert_eq!(inbox.poll(now), ParameterPoll::Unchanged);
    let mut sequence = 8;
    let mut malformed = |words: &[u64]| {
        forge(&inbox, sequence, words);
        sequence += 2;
        now += MIN_INTERVAL_NS;
        match inbox.poll(now) {
            ParameterPoll::Malformed(fault) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        malformed(&good(3).encode()),
        ParameterFault::Version { found: 3, last: 3 }
    );
    let largest = ParameterFault::Version {
        found: u64::MAX,
        last: 3,
    };
    assert_eq!(malformed(&[u64::MAX; REQUEST_WORDS]), largest);
    assert_eq!(malformed(&[4, 0, u64::MAX]), ParameterFault::Word(2));
    forge(&inbox, sequence, &good(5).encode());
    assert_eq!(inbox.poll(now + MIN_INTERVAL_NS), ParameterPoll::Request(good(5)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_words_are_refused_or_canonical(
        junk in proptest::collection::vec(any::<u64>(), REQUEST_WORDS),
        damaged in proptest::collection::vec((0..REQUEST_WORDS, any::<u64>()), 0..3),
        from_good in any::<bool>(),
    ) {
        let mut words = if from_good {
            request(7, &[change("entry_threshold", 60_000_000), change("exit_threshold", 1)]).unwrap().encode()
        } else {
            junk.try_into().unwrap()
        };
        for (word, value) in damaged {
            words[word] = value;
        }
        if let Ok(request) = ParameterRequest::decode(&words, 6) {
            prop_assert_eq!(request.encode(), words);
        }
    }

    #[test]
    fn answers_are_refused_or_canonical(
        junk in proptest::collection::vec(prop_oneof![any::<u64>(), 0u64..5], ANSWER_WORDS),
        versions in any::<[u64; 3]>(),
        reason in "[ -~]{0,64}",
    ) {
        let answer = ParameterAnswer {
            answered_version: versions[0],
            applied_version: versions[1],
            status: ParameterStatus::Refused,
            answered_ns: versions[2],
            reason: Text::new(&reason).unwrap(),
        };
        prop_assert_eq!(ParameterAnswer::decode(&answer.encode()), Ok(answer));
        let words = <[u64; ANSWER_WORDS]>::try_from(junk).unwrap();
        if let Ok(answer) = ParameterAnswer::decode(&words) {
            prop_assert_eq!(answer.encode(), words);
        }
    }
}
