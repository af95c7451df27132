//! What the network can do to a session is reported as exactly that, and a book that stands is the true book.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says so by panicking, and skips aloud"
)]

mod support;

use feed::Report;
use feed::faults::{Campaign, inject};
use feed::report::Totals;
use proptest::prelude::*;
use support::{Change, Folder, Market, Session, checked, checked_lines, only_book, recorded};

fn batches() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let change = (any::<bool>(), 0u64..15, 0u64..6);
    prop::collection::vec(prop::collection::vec(change, 1..6), 12..40)
}

fn market() -> impl Strategy<Value = Market> {
    prop_oneof![Just(Market::Spot), Just(Market::Futures)]
}

fn is_right(report: &Report, session: &Session) {
    assert!(report.right, "{:?}", report.problems);
    let book = only_book(report);
    assert_eq!(book.top.as_ref().unwrap().text(), session.top());
    assert_eq!(book.last_update_id, session.last_update_id);
    assert_eq!(
        (book.levels.bids, book.levels.asks),
        (session.bids.len(), session.asks.len())
    );
}

/// Errors, gaps, wrong best levels, crossed moments, resyncs, differences from the text.
fn faults(report: &Report) -> [u64; 6] {
    let Totals {
        errors,
        gaps,
        best_compared,
        best_equal,
        crossed,
        resyncs,
        mismatches,
        ..
    } = report.totals;
    [
        errors,
        gaps,
        best_compared - best_equal,
        crossed,
        resyncs,
        mismatches,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_whole_session_is_right(market in market(), batches in batches()) {
        let session = Session::new(market, &batches);
        let report = checked_lines(&session.lines);
        is_right(&report, &session);
        let book = only_book(&report);
        prop_assert_eq!(book.text_book.mismatches, 0);
        let count = batches.len() as u64;
        prop_assert!(book.text_book.compared >= count);
        prop_assert_eq!(book.best.compared, count);
    }

    #[test]
    fn a_lost_change_is_a_gap_and_nothing_else(
        market in market(), batches in batches(), which in any::<prop::sample::Index>(),
    ) {
        let mut session = Session::new(market, &batches);
        // Not the first, which the snapshot replaces, and not the last, behind which nothing shows the hole.
        let at = session.changes[1 + which.index(session.changes.len() - 2)];
        session.lines.remove(at);
        let report = checked_lines(&session.lines);
        prop_assert_eq!(faults(&report), [0, 1, 0, 0, 1, 0], "{:?}", report.problems);
        prop_assert!(!only_book(&report).synchronized && only_book(&report).top.is_none());

        // A later snapshot heals it.
        session.snapshot();
        let end = [(true, 3, 4)];
        session.change(&end);
        let healed = checked_lines(&session.lines);
        prop_assert_eq!(faults(&healed), [0, 1, 0, 0, 1, 0]);
        let book = only_book(&healed);
        prop_assert!(book.synchronized);
        prop_assert_eq!(book.top.as_ref().unwrap().text(), session.top());
    }

    #[test]
    fn a_change_that_comes_twice_is_stale_and_changes_nothing(
        market in market(), batches in batches(), which in any::<prop::sample::Index>(), later in 0usize..6,
    ) {
        let mut session = Session::new(market, &batches);
        let at = session.changes[1 + which.index(session.changes.len() - 1)];
        let again = session.lines[at].clone();
        let stale = only_book(&checked_lines(&session.lines)).stale;
        let place = (at + 1 + later).min(session.lines.len());
        session.lines.insert(place, again);
        let report = checked_lines(&session.lines);
        is_right(&report, &session);
        prop_assert_eq!(only_book(&report).stale, stale + 1);
    }

    #[test]
    fn changes_that_change_places_are_a_gap(
        market in market(), batches in batches(), which in any::<prop::sample::Index>(),
    ) {
        let mut session = Session::new(market, &batches);
        let place = 1 + which.index(session.changes.len() - 2);
        let (one, two) = (session.changes[place], session.changes[place + 1]);
        session.lines.swap(one, two);
        let report = checked_lines(&session.lines);
        prop_assert_eq!(faults(&report), [0, 1, 0, 0, 1, 0], "{:?}", report.problems);
    }

    #[test]
    fn a_line_that_is_no_message_is_an_error_at_its_place(
        market in market(), batches in batches(), which in any::<prop::sample::Index>(),
    ) {
        let mut session = Session::new(market, &batches);
        // After the snapshot, so that a book stands which must fall.
        let at = 3 + which.index(session.lines.len() - 3);
        let cut = session.lines[at].len() - 2;
        session.lines[at].truncate(cut);
        let report = checked_lines(&session.lines);
        let [errors, gaps, others @ ..] = faults(&report);
        prop_assert_eq!((errors, others), (1, [0, 0, 1, 0]), "{:?}", report.problems);
        // A change that was lost with it leaves a hole among those that wait for the next snapshot.
        prop_assert!(gaps <= 1);
        prop_assert!(!only_book(&report).synchronized);
        let place = format!(":{}: ", at + 1);
        prop_assert!(report.connections[0].first_errors[0].contains(&place));
    }

    #[test]
    fn a_wrong_quantity_at_the_best_price_is_a_wrong_best_level(
        market in market(), batches in batches(), which in any::<prop::sample::Index>(),
    ) {
        let mut session = Session::new(market, &batches);
        let at = session.changes[1 + which.index(session.changes.len() - 1)];
        // The best price afterwards tells the truth.
        let (&best, _) = session.bids.last_key_value().unwrap();
        prop_assume!(best == 9_999);
        let line = &session.lines[at];
        let lie = "[\"99.99\",\"77.000\"],";
        let place = line.find("\"b\":[").unwrap() + "\"b\":[".len();
        // What stands last counts, so the lie must be the last word on that price.
        let end = line[place..].find("],\"a\"").unwrap() + place;
        let mut lied = line.clone();
        let lie = if end == place { lie.trim_end_matches(',').to_owned() } else { format!(",{}", lie.trim_end_matches(',')) };
        lied.insert_str(end, &lie);
        session.lines[at] = lied;
        let report = checked_lines(&session.lines);
        let [errors, _, wrong, crossed, resyncs, mismatches] = faults(&report);
        prop_assert_eq!([errors, wrong, crossed, resyncs, mismatches], [0, 1, 0, 1, 0], "{:?}", report.problems);
    }

    /// Whatever is done to the bytes: a verdict or an error, no panic, and never a difference between the two readings.
    #[test]
    fn damage_is_survived_and_never_divides_the_readings(
        market in market(),
        batches in batches(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..4), 1..8),
    ) {
        let session = Session::new(market, &batches);
        let mut bytes = session.lines.join("\n").into_bytes();
        for (at, byte, how) in damages {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes[at] = b"0123456789.,:\"[]{} \n"[usize::from(byte) % 20],
                2 => { bytes.remove(at); }
                _ => bytes.insert(at, byte),
            }
        }
        let folder = Folder::new();
        if let Ok(report) = feed::check(&[folder.file("damaged", bytes)], &mut |_| {}) {
            prop_assert_eq!(report.totals.mismatches, 0, "{:?}", report.connections);
        }
    }
}

/// Coinbase counts over all channels of a connection: what comes twice is neither a hole nor right.
#[test]
fn a_message_of_coinbase_that_comes_twice_is_told_as_that() {
    let line = |sequence: u64, channel: &str, event: &str| {
        format!(
            r#"{} {{"channel":"{channel}","client_id":"","timestamp":"2026-08-09T21:05:4{sequence}.5Z","sequence_num":{sequence},"events":[{event}]}}"#,
            1_786_309_540_000_000_000 + sequence * 1_000_000_000
        )
    };
    let level = |side: &str, price: &str| {
        format!(
            r#"{{"side":"{side}","event_time":"2026-08-09T21:05:40Z","price_level":"{price}","new_quantity":"1"}}"#
        )
    };
    let book = |kind: &str, levels: &str| {
        format!(r#"{{"type":"{kind}","product_id":"BTC-USD","updates":[{levels}]}}"#)
    };
    let (bid, ask) = (level("bid", "99.5"), level("offer", "100.5"));
    let mut lines = vec![
        line(0, "l2_data", &book("snapshot", &format!("{bid},{ask}"))),
        line(1, "l2_data", &book("update", &bid)),
        line(2, "l2_data", &book("update", &ask)),
    ];
    let whole = checked_lines(&lines);
    assert!(whole.right, "{:?}", whole.problems);
    lines.insert(2, lines[1].clone());
    let report = checked_lines(&lines);
    let [connection] = report.connections.as_slice() else {
        panic!("one connection")
    };
    assert_eq!(
        (connection.connection_gaps, connection.connection_repeats),
        (0, 1)
    );
    assert!(!report.right);
    let told = "numbers of the connection that had come already, or came late";
    assert!(
        report.problems.iter().any(|problem| problem.contains(told)),
        "{:?}",
        report.problems
    );
}

/// Kraken's wire with one digit of one quantity among the best ten levels changed.
#[test]
fn a_changed_digit_under_a_checksum_is_a_wrong_checksum() {
    let name = "kraken_v2_btcusd_d10_20260816_first6s.ndjson";
    let Some(path) = recorded("ws_kraken_v2_btcusd_d10_20260816", name) else {
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let wrong = text.replacen("\"qty\":0.98074394", "\"qty\":0.98074395", 1);
    assert_ne!(text, wrong);
    let folder = Folder::new();
    let report = checked(&[folder.file("digit", wrong)]);
    let book = only_book(&report);
    assert_eq!((book.checksums.wrong, book.resyncs), (1, 1));
    assert!(!report.right && !book.synchronized && book.top.is_none());
    assert_eq!(report.totals.mismatches, 0);
}

/// Every recording that is here, with so many faults each: no promise is broken, and what the wires prove is seen at once.
#[test]
fn recorded_sessions_keep_their_promises_under_faults() {
    const COUNT: u64 = 3_000;
    let recordings = [
        ("ws_binance_spot_btcusdt_20240808", "btcusdt_20240808.gz"),
        ("ws_binance_usdm_btcusdt_20240808", "btcusdt_20240808.gz"),
        ("ws_kraken_v1_20210405", "KRAKEN-book-c197c0.0.gz"),
        (
            "ws_kraken_v2_btcusd_d10_20260816",
            "kraken_v2_btcusd_d10_20260816_first6s.ndjson",
        ),
        ("ws_coinbase_advanced_20260809", "COINBASE_first12s.jsonl.zst"),
        (
            "ws_independent_reserve_l3_20220403",
            "INDEPENDENT_RESERVE.jsonl.zst",
        ),
    ];
    let paths: Vec<_> = recordings
        .into_iter()
        .filter_map(|(folder, file)| recorded(folder, file))
        .collect();
    if paths.is_empty() {
        return;
    }
    let campaign = Campaign {
        count: COUNT,
        seed: 20_260_816,
    };
    let report = inject(&paths, campaign, &mut |_| {}).unwrap();
    assert_eq!(report.breaches, 0, "{:#?}", report.first_breaches);
    assert!(report.injected > COUNT * 9 / 10, "{}", report.table());
    for (wire, faults) in &report.wires {
        for (fault, tally) in faults {
            let fates = [
                tally.at_once,
                tally.later,
                tally.harmless,
                tally.unseen_deep,
                tally.unseen_top,
            ];
            assert_eq!(fates.iter().sum::<u64>(), tally.injected);
            let is_numbered = !wire.starts_with("kraken");
            if *fault == "cut" || (is_numbered && ["lost", "late"].contains(fault)) {
                assert_eq!(tally.at_once, tally.injected, "{wire} {fault}");
            }
            if *fault == "twice" {
                assert_eq!(tally.at_once + tally.harmless, tally.injected, "{wire} {fault}");
            }
            if !is_numbered {
                assert_eq!(tally.unseen_top, 0, "{wire} {fault}: a checksum covers it");
            }
        }
    }
    assert_eq!(
        inject(&paths, campaign, &mut |_| {}).unwrap(),
        report,
        "the same seed, the same faults"
    );
}

#[test]
fn nothing_is_injected_where_no_book_stands() {
    let folder = Folder::new();
    let path = folder.file("trade", "1700000000000000000 {\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":7,\"p\":\"99.50\",\"q\":\"0.250\",\"T\":1,\"m\":true,\"M\":true}\n");
    let report = inject(&[path], Campaign { count: 100, seed: 1 }, &mut |_| {}).unwrap();
    assert_eq!((report.injected, report.breaches, report.wires.len()), (0, 0, 0));
}
