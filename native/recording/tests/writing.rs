//! What is written is read again, as it was, and whatever a crash leaves is read up to its last whole line.

#![allow(clippy::unwrap_used, reason = "a test says so by panicking")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::{Nanos, Timestamp};
use proptest::prelude::*;
use recording::{Format, Packing, RecordKind, Recording, Writer, WriterSettings};
use tempfile::TempDir;

/// What happened, and when, on which connection.
type Happening = (i64, &'static str, RecordKind);

fn settings(folder: &Path, packing: Packing) -> WriterSettings {
    WriterSettings {
        folder: folder.to_owned(),
        stem: "binance".to_owned(),
        venue: "binance".to_owned(),
        symbols: vec!["BTCUSDT".to_owned(), "\"ODD\"".to_owned()],
        packing,
        rotate_bytes: u64::MAX,
        rotate_after: Nanos(0),
    }
}

fn write(settings: WriterSettings, happenings: &[Happening]) -> Vec<PathBuf> {
    let mut writer = Writer::begin(settings, Timestamp::from_nanos(1)).unwrap();
    for (at, connection, kind) in happenings {
        writer
            .write(Timestamp::from_nanos(*at), connection, kind)
            .unwrap();
    }
    let written = writer.finish().unwrap();
    assert_eq!(written.records, happenings.len() as u64);
    let on_disk: u64 = written
        .files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert_eq!(written.bytes, on_disk);
    written.files
}

/// What stands in a file, and whether its end is torn.
fn read(path: &Path) -> (Vec<(i64, String, RecordKind)>, bool) {
    let mut recording = Recording::open(path).unwrap();
    assert_eq!(recording.format(), Format::Frames);
    let records: Vec<_> = (&mut recording)
        .map(|record| record.unwrap())
        .map(|record| (record.at.nanos(), record.connection.to_string(), record.kind))
        .collect();
    (records, recording.is_torn())
}

fn owned(happenings: &[Happening]) -> Vec<(i64, String, RecordKind)> {
    let owned = |(at, connection, kind): &Happening| (*at, (*connection).to_owned(), kind.clone());
    happenings.iter().map(owned).collect()
}

fn message() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        // As venues write them.
        "\\{\"e\":\"trade\",\"p\":\"[0-9]{1,5}\\.[0-9]{8}\",\"frame\":[0-9]{1,3}\\}".prop_map(Bytes::from),
        Just(Bytes::from_static(
            br#"[336,{"a":[["0.10","1","2"]]},"book-10","XBT/USD"]"#
        )),
        // As no venue should.
        Just(Bytes::from_static(b"{\"pretty\": 1,\r\n \"printed\": 2}")),
        Just(Bytes::from_static(b" {\"apart\":1} ")),
        Just(Bytes::from_static(b"{\"cut")),
        Just(Bytes::from_static(b"")),
        Just(Bytes::from_static(b"{")),
        Just(Bytes::from_static(b"{\xff}")),
        Just(Bytes::from_static(br#"{"answer":{"frame":[]}}"#)),
        "\\PC{0,20}".prop_map(Bytes::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
    ]
}

fn happening() -> impl Strategy<Value = (&'static str, RecordKind)> {
    let url = "wss://[a-z]{1,8}(/\\PC{0,12})?";
    let kind = prop_oneof![
        url.prop_map(|url| RecordKind::Connected { url }),
        "[a-z\"]{1,8}".prop_map(|reason| RecordKind::Disconnected { reason }),
        message().prop_map(RecordKind::Received),
        message().prop_map(RecordKind::Received),
        message().prop_map(RecordKind::Sent),
        (prop::option::of(url), message()).prop_map(|(url, body)| RecordKind::Answer { url, body }),
    ];
    (prop::sample::select(vec!["", "market", "a \"b\" \\"]), kind)
}

fn session() -> impl Strategy<Value = Vec<Happening>> {
    prop::collection::vec((0i64..1_000, happening()), 1..30).prop_map(|steps| {
        let mut now = 1_700_000_000_000_000_000;
        let timed = steps.into_iter().map(|(step, (connection, kind))| {
            now += step;
            (now, connection, kind)
        });
        timed.collect()
    })
}

fn packing() -> impl Strategy<Value = Packing> {
    prop_oneof![Just(Packing::Plain), Just(Packing::Zstd)]
}

proptest! {
    // Each forces its files to the disk.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_as_it_was(session in session(), packing in packing()) {
        let folder = TempDir::new().unwrap();
        let files = write(settings(folder.path(), packing), &session);
        prop_assert_eq!(files.len(), 1);
        prop_assert_eq!(read(&files[0]), (owned(&session), false));
    }

    /// A crash may leave any part of what was written.
    #[test]
    fn a_file_cut_anywhere_is_read_up_to_its_last_whole_line(
        session in session(), packing in packing(), cut in any::<prop::sample::Index>(),
    ) {
        let folder = TempDir::new().unwrap();
        let files = write(settings(folder.path(), packing), &session);
        let bytes = std::fs::read(&files[0]).unwrap();
        let head = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
        let begin = if packing == Packing::Plain { head } else { bytes.len() / 2 };
        let cut = begin + cut.index(bytes.len() + 1 - begin);
        let path = folder.path().join("cut");
        std::fs::write(&path, &bytes[..cut]).unwrap();
        if packing == Packing::Zstd && Recording::open(&path).is_err() {
            // Nothing of it was handed over yet.
            return Ok(());
        }
        let (records, is_torn) = read(&path);
        let whole = owned(&session);
        prop_assert_eq!(&records[..], &whole[..records.len()]);
        if packing == Packing::Plain {
            let lines = bytes[head..cut].split(|&byte| byte == b'\n').count() - 1;
            // A last line may lack no more than its end, and be whole.
            let may_be_whole = bytes.get(cut) == Some(&b'\n');
            prop_assert!(records.len() == lines || may_be_whole && records.len() == lines + 1);
            prop_assert_eq!(is_torn, bytes[cut - 1] != b'\n' && records.len() == lines);
        } else {
            prop_assert_eq!(is_torn, cut < bytes.len());
        }
    }

    #[test]
    fn files_follow_each_other_without_a_loss(session in session(), packing in packing(), bytes in 0u64..600) {
        let folder = TempDir::new().unwrap();
        let rotated = WriterSettings { rotate_bytes: bytes, ..settings(folder.path(), packing) };
        let files = write(rotated, &session);
        let mut sorted = files.clone();
        sorted.sort();
        prop_assert_eq!(&sorted, &files);
        let all: Vec<_> = files.iter().flat_map(|file| read(file).0).collect();
        prop_assert_eq!(all, owned(&session));
        prop_assert!(bytes > 0 || files.len() == session.len() + 1);
    }
}

fn trade(at: i64) -> Happening {
    (
        at,
        "market",
        RecordKind::Received(Bytes::from_static(b"{\"e\":\"trade\"}")),
    )
}

#[test]
fn a_file_ends_where_a_span_of_time_does() {
    let folder = TempDir::new().unwrap();
    let day = 86_400_000_000_000;
    let rotated = WriterSettings {
        rotate_after: Nanos(day),
        ..settings(folder.path(), Packing::Plain)
    };
    // The clock of a recorder may stand still or go back a little: that begins no file.
    let session = [
        trade(5),
        trade(day - 1),
        trade(day),
        trade(day - 2),
        trade(2 * day + 7),
    ];
    let files = write(rotated, &session);
    let counts: Vec<_> = files.iter().map(|file| read(file).0.len()).collect();
    assert_eq!(counts, [2, 2, 1]);
    let heads: Vec<_> = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .map(|text| text.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(
        heads[1],
        r#"{"recording":"py_rt/1","venue":"binance","symbols":["BTCUSDT","\"ODD\""],"part":1,"began_ns":86400000000000}"#
    );
    assert!(files[2].ends_with("binance_19700103T000000.000000007Z_0002.jsonl"));
}

#[test]
fn what_is_there_is_never_written_over() {
    let folder = TempDir::new().unwrap();
    let first = write(settings(folder.path(), Packing::Plain), &[trade(7)]);
    let before = std::fs::read(&first[0]).unwrap();
    // The same stem at the same nanosecond.
    let second = write(settings(folder.path(), Packing::Plain), &[trade(8)]);
    assert_ne!(first, second);
    assert_eq!(std::fs::read(&first[0]).unwrap(), before);
    assert_eq!(read(&second[0]).0.len(), 1);
}

#[test]
fn what_was_flushed_can_be_read_while_the_file_is_written() {
    for packing in [Packing::Plain, Packing::Zstd] {
        let folder = TempDir::new().unwrap();
        let mut writer = Writer::begin(settings(folder.path(), packing), Timestamp::from_nanos(1)).unwrap();
        for at in 0..5 {
            let (at, connection, kind) = trade(at);
            writer
                .write(Timestamp::from_nanos(at), connection, &kind)
                .unwrap();
        }
        writer.sync().unwrap();
        assert_eq!(read(writer.path()).0.len(), 5);
        let (at, connection, kind) = trade(9);
        writer
            .write(Timestamp::from_nanos(at), connection, &kind)
            .unwrap();
        writer.flush().unwrap();
        let expected = if packing == Packing::Plain { 6 } else { 5 };
        assert_eq!(read(writer.path()).0.len(), expected);
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    let error = Writer::begin(settings(&file, Packing::Plain), Timestamp::from_nanos(1)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot write {}: ", file.display())),
        "{error}"
    );
}
