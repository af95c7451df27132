//! One session in every format and packing that is read, and what becomes of damage.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says so by panicking, and skips aloud"
)]

mod support;

use std::path::PathBuf;

use recording::{Format, LINE_BYTES_MAX, Recording};
use serde_json::json;
use support::{Change, Folder, Market, Session, checked, gzip, only, only_book, refused, zstd};

fn session() -> Session {
    let changes: Vec<Vec<Change>> = (0..40)
        .map(|at| vec![(at % 2 == 0, at % 7, at % 5), (at % 3 == 0, at % 11, 7)])
        .collect();
    Session::new(Market::Spot, &changes)
}

/// Time in seconds and message of each line.
fn parts(lines: &[String]) -> Vec<(String, String)> {
    let part = |line: &String| {
        let (ns, message) = line.split_once(' ').unwrap();
        let (seconds, nanos) = ns.split_at(10);
        (format!("{seconds}.{nanos}"), message.to_owned())
    };
    lines.iter().map(part).collect()
}

fn is_answer(message: &str) -> bool {
    message.starts_with("{\"lastUpdateId\"")
}

fn transcript(lines: &[String]) -> String {
    const URL: &str = "https://api.test/api/v3/depth?symbol=BTCUSDT&limit=1000";
    let head = [
        "configuration: {\"l2_book\":[\"BTC-USDT\"]}",
        "wss://stream.test <-> 1699999999.5",
    ];
    let line = |(at, message): (String, String)| {
        if is_answer(&message) {
            format!("{URL} -> {at}: {message}")
        } else {
            format!("{at}: {message}")
        }
    };
    let lines: Vec<_> = head
        .into_iter()
        .map(str::to_owned)
        .chain(parts(lines).into_iter().map(line))
        .collect();
    lines.join("\n") + "\n"
}

/// REST stands before the socket, as it does where entries are grouped by connection.
fn entries(lines: &[String]) -> String {
    let mut out = vec![
        json!({"t": "header", "format": 2, "exchange": "BINANCE"}).to_string(),
        json!({"t": "connect", "conn": "B.ws.2", "ts": 1_699_999_999, "addr": "wss://stream.test"})
            .to_string(),
        json!({"t": "note", "text": "nothing of the wire"}).to_string(),
    ];
    let url = "https://api.test/api/v3/depth?symbol=BTCUSDT";
    for (at, message) in parts(lines) {
        let data = json!(message);
        if is_answer(&message) {
            out.insert(
                1,
                format!(r#"{{"t":"http","conn":"B.http.1","ts":{at},"url":"{url}","data":{data}}}"#),
            );
        } else {
            out.push(format!(
                r#"{{"t":"recv","conn":"B.ws.2","ts":{at},"data":{data}}}"#
            ));
        }
    }
    out.join("\n") + "\n"
}

/// The whole session in each format, and the connections that it says were made.
fn everywhere() -> Vec<(Format, String)> {
    let lines = session().lines;
    vec![
        (Format::Stamped, lines.join("\n") + "\n"),
        (Format::Transcript, transcript(&lines)),
        (Format::Entries, entries(&lines)),
    ]
}

#[test]
fn every_format_and_packing_tells_the_same_session() {
    let folder = Folder::new();
    let truth = session();
    for (format, text) in everywhere() {
        let halves = text.as_bytes().split_at(text.len() / 2);
        let packings = [
            text.clone().into_bytes(),
            gzip(text.as_bytes()),
            zstd(text.as_bytes()),
            // Members that stand behind each other are one file.
            [gzip(halves.0), gzip(halves.1)].concat(),
            [zstd(halves.0), zstd(halves.1)].concat(),
        ];
        for (packing, bytes) in packings.into_iter().enumerate() {
            let path = folder.file("session.dat", bytes);
            assert_eq!(Recording::open(&path).unwrap().format(), format);
            let report = checked(&[path]);
            assert!(report.right, "{format:?} {packing}: {:?}", report.problems);
            let book = only_book(&report);
            assert_eq!(book.last_update_id, truth.last_update_id);
            assert_eq!(book.top.as_ref().unwrap().text(), truth.top());
            assert_eq!(book.best.compared, book.best.equal);
            assert!(book.best.compared > 30 && !report.files[0].torn);
        }
    }
}

#[test]
fn a_torn_end_is_told_and_what_stands_before_it_is_used() {
    let folder = Folder::new();
    for (format, text) in everywhere() {
        let whole = checked(&[folder.file("whole", &text)]);
        let cut = &text[..text.len() - 20];
        let report = checked(&[folder.file("plain", cut)]);
        assert!(report.files[0].torn && report.right, "{format:?}");
        assert_eq!(report.totals.messages, whole.totals.messages - 1);

        let (half, rest) = text.as_bytes().split_at(text.len() / 2);
        let (packed, squeezed) = (gzip(text.as_bytes()), zstd(rest));
        let files = [
            folder.file("packed", &packed[..packed.len() - 30]),
            folder.file(
                "squeezed",
                [&zstd(half), &squeezed[..squeezed.len() - 30]].concat(),
            ),
        ];
        for path in files {
            let report = checked(&[path]);
            assert!(report.files[0].torn && report.totals.errors == 0);
            assert!(report.totals.messages > 0 && report.totals.messages < whole.totals.messages);
        }
        // A last line that is whole needs no end.
        let report = checked(&[folder.file("unended", text.trim_end())]);
        assert!(!report.files[0].torn && report.right);
        assert_eq!(report.totals.messages, whole.totals.messages);
    }
}

#[test]
fn damage_is_named_by_its_place() {
    let folder = Folder::new();
    let cases = [
        (Format::Stamped, "not `<receive time, ns> <message>`"),
        (Format::Transcript, "not `<seconds>: <message>`"),
        (Format::Entries, "not an entry"),
    ];
    for ((format, text), (of, problem)) in everywhere().into_iter().zip(cases) {
        assert_eq!(format, of);
        let mut lines: Vec<_> = text.lines().collect();
        lines.insert(9, "{damaged");
        let path = folder.file("damaged", lines.join("\n"));
        let error = refused(&[path]);
        assert!(
            error.contains("damaged:10: ") && error.contains(problem),
            "{error}"
        );
    }
    let frames = "{\"rx_ns\": 1, \"frame\": {}}\n{\"frame\": {}}\n";
    let error = refused(&[folder.file("frames", frames)]);
    assert!(error.contains("frames:2: a frame without \"rx_ns\""), "{error}");

    let mut packed = gzip(session().lines.join("\n").as_bytes());
    let middle = packed.len() / 2;
    packed[middle] ^= 0xff;
    let error = refused(&[folder.file("flipped", packed)]);
    assert!(error.contains("flipped:"), "{error}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = Folder::new();
    let cases: [(&[u8], &str); 6] = [
        (b"", "holds no line"),
        (b"\n\n", "holds no line"),
        (b"hello\n", "of no known recording"),
        (b"{\"a\":1}\n", "of no known recording"),
        (b"17 {\"no\":\"venue\"}\n", "of no wire that is known"),
        (b"configuration: {}\n", "no message was received"),
    ];
    for (bytes, problem) in cases {
        let error = refused(&[folder.file("file", bytes)]);
        assert!(error.contains(problem), "{error}");
    }
    let error = refused(&[PathBuf::from("no/such/file")]);
    assert!(error.starts_with("no/such/file: "), "{error}");
}

#[test]
fn a_line_is_bounded() {
    let folder = Folder::new();
    let mut bytes = b"1700000000000000000 {\"e\":\"trade\",\"M\":true,\"s\":\"".to_vec();
    bytes.resize(LINE_BYTES_MAX + 1, b'A');
    let error = refused(&[folder.file("long", &bytes)]);
    assert!(error.contains("long:1: the line is longer than"), "{error}");
}

#[test]
fn files_are_played_in_order_of_time_and_connections_by_themselves() {
    let folder = Folder::new();
    let truth = session();
    let (first, rest) = truth.lines.split_at(20);
    // Given in any order, and overlapping: the second file begins within the first.
    let [mut early, mut late] = [first.to_vec(), rest.to_vec()];
    let moved = early.pop().unwrap();
    late.insert(0, moved);
    early.push(late.remove(1));
    let paths = [
        folder.file("late", late.join("\n")),
        folder.file("early", early.join("\n")),
    ];
    let report = checked(&paths);
    assert!(report.right, "{:?}", report.problems);
    assert_eq!(only_book(&report).top.as_ref().unwrap().text(), truth.top());
    assert_eq!(only(&report).files, [1, 0]);

    // What makes a connection of its own is a session by itself.
    let text = transcript(&truth.lines);
    let report = checked(&[folder.file("one", &text), folder.file("two", &text)]);
    assert_eq!(report.connections.len(), 2);
    assert!(report.right);
}

#[test]
fn a_connection_that_is_made_again_starts_its_books_anew() {
    let folder = Folder::new();
    let truth = session();
    let again = transcript(&truth.lines).replace("configuration: ", "configuration: again ");
    let text = [transcript(&truth.lines), again].concat();
    let report = checked(&[folder.file("twice", text)]);
    assert!(report.right, "{:?}", report.problems);
    let connection = only(&report);
    assert_eq!((connection.connects, connection.books[0].snapshots), (2, 2));
    assert_eq!(connection.books[0].resyncs, 1);
    assert_eq!(connection.books[0].top.as_ref().unwrap().text(), truth.top());
}

#[test]
fn an_answer_without_a_name_goes_to_the_book_that_it_numbers() {
    let folder = Folder::new();
    let bitcoin = session();
    // Another symbol, whose numbers are far away.
    let other: Vec<_> = session()
        .lines
        .iter()
        .map(|line| line.replace("BTCUSDT", "ETHUSDT"))
        .map(|line| renumbered(&line))
        .collect();
    let mut lines = Vec::new();
    for (one, two) in bitcoin.lines.iter().zip(&other) {
        lines.extend([one.clone(), two.clone()]);
    }
    let report = checked(&[folder.file("two", lines.join("\n"))]);
    assert!(report.right, "{:?}", report.problems);
    for book in &only(&report).books {
        assert_eq!(book.top.as_ref().unwrap().text(), bitcoin.top());
    }
}

/// Adds a million to each update number of a line.
fn renumbered(line: &str) -> String {
    let mut out = line.to_owned();
    for key in ["\"lastUpdateId\":", "\"U\":", "\"u\":"] {
        if let Some(at) = out.find(key).map(|at| at + key.len()) {
            let end = at + out[at..].find(|byte: char| !byte.is_ascii_digit()).unwrap();
            let number: u64 = out[at..end].parse().unwrap();
            out.replace_range(at..end, &(number + 1_000_000).to_string());
        }
    }
    out
}

#[test]
fn the_document_has_the_members_that_its_description_names() {
    let report = support::checked_lines(&session().lines);
    let document = serde_json::to_value(&report).unwrap();
    let described = include_str!("../../../docs/reference/feed_check.md");
    let mut names = Vec::new();
    members(&document, &mut names);
    for name in names {
        assert!(
            described.contains(&format!("`{name}`")),
            "{name} is not described"
        );
    }
    assert_eq!(document["schema"], json!("py_rt.feed_check/1"));
}

fn members(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                // The venue's own words are its own.
                if name != "kinds" {
                    members(value, out);
                }
                out.push(name.clone());
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| members(value, out)),
        _ => {}
    }
}
