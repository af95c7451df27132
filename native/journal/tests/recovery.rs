//! A journal that was cut, changed or robbed of a part: what a death tears off is cut, everything else is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rig;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use domain::Timestamp;
use journal::codec::encode_header;
use journal::frame::{FrameError, Kind, encode};
use journal::{
    CodecError, Fault, JournalError, Reader, RecordBody, Room, SEGMENTS_UNSYNCED_MAX, TornTail, Writer,
    WriterOptions, recover,
};
use rig::{Content, SMALL, START, append, header, read, write};
use tempfile::TempDir;

/// Events of the journal that is damaged in every way: three segments.
const EVENTS: u64 = 65;

/// One segment for all of it.
const ONE: WriterOptions = WriterOptions {
    segment_bytes_max: 1 << 20,
    reserve_bytes: 8_192,
};

/// In memory where there is such a place: these tests force every journal to disk.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "segment"))
        .collect();
    paths.sort();
    paths
}

/// A journal of three segments, and a folder for copies of it.
fn three_segments() -> (TempDir, TempDir) {
    let (original, copy) = (folder(), folder());
    write(original.path(), SMALL, EVENTS);
    assert_eq!(segments(original.path()).len(), 3);
    (original, copy)
}

/// Makes `copy` the same journal again.
fn copy_over(original: &Path, copy: &Path) {
    for path in segments(copy) {
        fs::remove_file(path).unwrap();
    }
    for path in segments(original) {
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
}

fn damage(error: JournalError) -> (u32, u64, u64, Fault) {
    match error {
        JournalError::Damaged {
            segment,
            offset,
            seq,
            fault,
            ..
        } => (segment, offset, seq, fault),
        other => panic!("not damage: {other}"),
    }
}

/// Where each record of a segment begins, and where the last one ends.
fn edges(dir: &Path, segment: u32) -> Vec<u64> {
    let mut reader = Reader::open(dir).unwrap();
    let mut edges = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        if record.segment == segment {
            edges.push(record.offset);
        }
    }
    edges.push(fs::metadata(&segments(dir)[segment as usize]).unwrap().len());
    edges
}

fn truncate(path: &Path, len: u64) {
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(len)
        .unwrap();
}

#[test]
fn what_was_written_reads_back() {
    let dir = folder();
    write(dir.path(), SMALL, EVENTS);
    let (content, torn) = read(dir.path()).unwrap();
    assert_eq!((content.events, content.headers, torn), (EVENTS, 1, None));
    assert_eq!(content.actions, 2 * (EVENTS / 3));
    assert_eq!(content.records, 1 + content.events + content.actions);
    let recovered = recover(dir.path(), SMALL).unwrap();
    assert_eq!(recovered.header(), &header(1));
    assert_eq!(
        (recovered.records(), recovered.events()),
        (content.records, EVENTS)
    );
    assert_eq!(recovered.torn(), None);
    assert_eq!(recovered.last_ts(), rig::event(EVENTS, &rig::levels(EVENTS)).ts);
}

#[test]
fn actions_wait_until_they_are_committed() {
    let dir = folder();
    let (mut writer, mut syncer) = Writer::create(dir.path(), ONE, &header(1), START).unwrap();
    for seq in 1..=6 {
        let levels = rig::levels(seq);
        let event = rig::event(seq, &levels);
        writer.append_event(&event, Room::Ordinary).unwrap();
        let records = writer.records();
        for action in rig::actions(seq) {
            writer.put_action(event.ts, &action).unwrap();
        }
        assert_eq!((writer.records(), syncer.lag().records), (records, records - 1));
        if seq == 3 {
            writer.commit(Room::Ordinary).unwrap();
            assert_eq!(writer.records(), records + 2);
        }
    }
    writer.commit(Room::Ordinary).unwrap();
    writer.commit(Room::Ordinary).unwrap();
    assert_eq!(syncer.sync().unwrap().records, 0);
    let (content, _) = read(dir.path()).unwrap();
    assert_eq!((content.events, content.actions), (6, 4));
}

#[test]
fn the_last_segment_may_end_anywhere() {
    let (original, copy) = three_segments();
    let last = &segments(copy_of(&original, &copy))[2];
    let (edges, len) = (edges(copy.path(), 2), fs::metadata(last).unwrap().len());
    let (whole, _) = read(copy.path()).unwrap();
    for cut in 0..len {
        copy_over(original.path(), copy.path());
        truncate(last, cut);
        let kept = edges
            .iter()
            .filter(|edge| **edge <= cut)
            .count()
            .saturating_sub(1) as u64;
        let in_last = edges.len() as u64 - 1;
        let records = whole.records - in_last + kept;
        let recovered = recover(copy.path(), SMALL).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        assert_eq!(recovered.records(), records, "cut at {cut}");
        let torn = recovered.torn();
        assert_eq!(
            torn.is_none(),
            cut == 0 || edges.contains(&cut),
            "cut at {cut}: {torn:?}"
        );
        if let Some(torn) = torn {
            assert_eq!((torn.segment, torn.offset + torn.bytes), (2, cut));
        }
        // What recovery leaves is whole, and the writer goes on behind it.
        let events = recovered.events();
        let (mut writer, _syncer) = recovered.resume().unwrap();
        assert_eq!(writer.next_event(), events + 1);
        append(&mut writer, Room::Ordinary).unwrap();
        let mut reader = Reader::open(copy.path()).unwrap();
        let mut seen = 0;
        while let Some(record) = reader.next_record().unwrap() {
            seen = record.seq + 1;
        }
        assert_eq!((seen, reader.torn()), (writer.records(), None), "cut at {cut}");
    }
}

/// Copies, and returns where to.
fn copy_of<'a>(original: &TempDir, copy: &'a TempDir) -> &'a Path {
    copy_over(original.path(), copy.path());
    copy.path()
}

#[test]
fn an_earlier_segment_may_not_be_shorter() {
    let (original, copy) = three_segments();
    for number in [0, 1] {
        let path = &segments(copy_of(&original, &copy))[number];
        let len = fs::metadata(path).unwrap().len();
        for cut in 0..len {
            copy_over(original.path(), copy.path());
            truncate(path, cut);
            let (segment, offset, ..) = damage(recover(copy.path(), SMALL).unwrap_err());
            // A cut at the edge of a record is seen at the head of the next segment.
            let at_edge = segment == u32::try_from(number).unwrap() + 1 && offset == 0;
            assert!(
                at_edge || segment == u32::try_from(number).unwrap(),
                "cut at {cut}"
            );
            assert_eq!(fs::metadata(path).unwrap().len(), cut, "nothing was changed");
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let (original, copy) = three_segments();
    let (whole, _) = read(original.path()).unwrap();
    copy_over(original.path(), copy.path());
    for (number, path) in segments(copy.path()).iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        let file = OpenOptions::new().write(true).open(path).unwrap();
        for bit in 0..bytes.len() * 8 {
            let (at, flipped) = (bit / 8, bytes[bit / 8] ^ (1 << (bit % 8)));
            file.write_all_at(&[flipped], at as u64).unwrap();
            let error = read(copy.path()).expect_err("a flipped bit");
            let (segment, offset, seq, fault) = damage(error);
            assert_eq!(segment as usize, number, "bit {bit}: {fault}");
            assert!(offset <= at as u64 && seq <= whole.records, "bit {bit}: {fault}");
            file.write_all_at(&bytes[at..=at], at as u64).unwrap();
        }
    }
    assert_eq!(read(copy.path()).unwrap().0, whole);
}

#[test]
fn damage_names_its_place() {
    let dir = folder();
    write(dir.path(), ONE, 20);
    let path = &segments(dir.path())[0];
    let edges = edges(dir.path(), 0);
    let bytes = fs::read(path).unwrap();
    let seq = 7;
    let (offset, next) = (edges[seq], edges[seq + 1]);
    let checksum = FrameError::Checksum;
    let short = FrameError::Short;
    let at = |place: u64| usize::try_from(offset + place).unwrap();
    // A byte of the payload; the length, to less and to more than there is.
    for (place, byte, error) in [(24, 0xff, checksum), (0, 0, checksum), (2, 0x30, short)] {
        let mut bad = bytes.clone();
        bad[at(place)] = byte;
        fs::write(path, &bad).unwrap();
        let fault = Fault::BeforeRecords { error, later: next };
        let expected = (0, offset, seq as u64, fault);
        assert_eq!(damage(recover(dir.path(), ONE).unwrap_err()), expected);
        assert_eq!(fs::read(path).unwrap(), bad, "nothing was changed");
    }
    let said = recover(dir.path(), ONE).unwrap_err().to_string();
    for part in [
        format!("byte {offset}"),
        format!("record {seq}"),
        "segment 0".to_owned(),
        "00000000.segment".to_owned(),
    ] {
        assert!(said.contains(&part), "{said}");
    }
}

#[test]
fn the_last_record_is_not_given_up_for_one_bad_byte() {
    let dir = folder();
    write(dir.path(), ONE, 20);
    let path = &segments(dir.path())[0];
    let edges = edges(dir.path(), 0);
    let bytes = fs::read(path).unwrap();
    let offset = edges[edges.len() - 2];
    let at = |place: u64| usize::try_from(offset + place).unwrap();
    let checksum = Fault::Frame(FrameError::Checksum);
    // It says that it is longer than the file: without another length it would pass as torn.
    for (place, byte, fault) in [
        (0, 0xff, Fault::Length),
        (1, 2, Fault::Length),
        (30, 0xff, checksum),
    ] {
        let mut bad = bytes.clone();
        bad[at(place)] = byte;
        fs::write(path, &bad).unwrap();
        let found = damage(recover(dir.path(), ONE).unwrap_err());
        assert_eq!((found.1, found.3), (offset, fault), "byte {place}");
    }
}

#[test]
fn a_record_of_another_time_or_place_is_refused() {
    let dir = folder();
    write(dir.path(), ONE, 20);
    let path = &segments(dir.path())[0];
    let edges = edges(dir.path(), 0);
    let bytes = fs::read(path).unwrap();
    let part = |from: usize, to: usize| {
        &bytes[usize::try_from(edges[from]).unwrap()..usize::try_from(edges[to]).unwrap()]
    };
    let head = &bytes[..usize::try_from(edges[0]).unwrap()];
    let last = edges.len() - 1;
    let chain = Fault::Frame(FrameError::Chain);
    // One lost, one twice, two in the wrong order.
    let lost = [head, part(0, 7), part(8, last)].concat();
    let twice = [head, part(0, 8), part(7, last)].concat();
    let swapped = [head, part(0, 7), part(8, 9), part(7, 8), part(9, last)].concat();
    for (bad, seq) in [(lost, 7), (twice, 8), (swapped, 7)] {
        fs::write(path, &bad).unwrap();
        let found = damage(recover(dir.path(), ONE).unwrap_err());
        assert_eq!((found.2, found.3), (seq, chain));
    }
}

#[test]
fn a_missing_segment_is_named() {
    let (original, copy) = three_segments();
    for missing in [0, 1] {
        copy_over(original.path(), copy.path());
        fs::remove_file(&segments(copy.path())[missing]).unwrap();
        let error = recover(copy.path(), SMALL).unwrap_err();
        let JournalError::MissingSegment { path, segment } = error else {
            panic!("{error}")
        };
        assert_eq!(segment as usize, missing);
        assert!(path.ends_with(format!("0000000{missing}.segment")));
    }
}

#[test]
fn a_segment_of_another_journal_is_refused() {
    let (original, copy) = three_segments();
    copy_over(original.path(), copy.path());
    let other = folder();
    let (mut writer, _syncer) = Writer::create(other.path(), SMALL, &header(2), START).unwrap();
    for _ in 0..EVENTS {
        append(&mut writer, Room::Ordinary).unwrap();
    }
    fs::copy(&segments(other.path())[1], &segments(copy.path())[1]).unwrap();
    let found = damage(recover(copy.path(), SMALL).unwrap_err());
    assert_eq!((found.0, found.1, found.3), (1, 0, Fault::SegmentHead));
}

#[test]
fn a_format_of_another_build_is_refused_as_such() {
    let dir = folder();
    write(dir.path(), ONE, 3);
    let path = &segments(dir.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 9;
    let crc = crc32c::crc32c(&bytes[..48]);
    bytes[48..52].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
    let error = recover(dir.path(), ONE).unwrap_err();
    let JournalError::Format { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(source, CodecError::Format(9));
}

/// The front of a journal that was written by hand: records as they should not be, with all checksums right.
fn forge(dir: &Path, records: &[(Kind, u64)]) {
    let path = dir.join("00000000.segment");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(52);
    let mut chain = [0; 16];
    let mut payload = Vec::new();
    encode_header(&header(1), &mut payload);
    for (kind, seq) in records {
        let put = |out: &mut Vec<u8>| match kind {
            Kind::Header => out.extend_from_slice(&payload),
            _ => out.extend_from_slice(&[1, 0, 0, 0, 0]),
        };
        chain = encode(&mut bytes, &chain, (*kind, *seq, 1), put).unwrap();
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn right_checksums_do_not_make_a_record_right() {
    let dir = folder();
    write(dir.path(), ONE, 1);
    forge(dir.path(), &[(Kind::Header, 0), (Kind::Event, 1)]);
    assert_eq!(recover(dir.path(), ONE).unwrap().events(), 1);
    forge(dir.path(), &[(Kind::Event, 0)]);
    assert_eq!(damage(recover(dir.path(), ONE).unwrap_err()).3, Fault::NoHeader);
    forge(dir.path(), &[(Kind::Header, 0), (Kind::Event, 2)]);
    let found = damage(recover(dir.path(), ONE).unwrap_err());
    assert_eq!((found.2, found.3), (1, Fault::Sequence(2)));
    forge(dir.path(), &[(Kind::Header, 0), (Kind::Action, 1)]);
    let mut reader = Reader::open(dir.path()).unwrap();
    reader.next_record().unwrap();
    // An action's payload is compared, not read.
    assert_eq!(reader.next_record().unwrap().unwrap().payload, [1, 0, 0, 0, 0]);
    // A head that says another number.
    let path = dir.path().join("00000000.segment");
    let mut bytes = fs::read(&path).unwrap();
    bytes[12] = 1;
    let crc = crc32c::crc32c(&bytes[..48]);
    bytes[48..52].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, bytes).unwrap();
    assert_eq!(
        damage(recover(dir.path(), ONE).unwrap_err()).3,
        Fault::SegmentHead
    );
}

#[test]
fn what_exceeds_a_segment_gets_one_of_its_own() {
    let dir = folder();
    let (mut writer, _syncer) = Writer::create(dir.path(), SMALL, &header(1), START).unwrap();
    let levels = rig::levels(98);
    for seq in 1..=2 {
        let mut deep = rig::event(98, &levels);
        deep.seq = seq;
        writer.append_event(&deep, Room::Ordinary).unwrap();
    }
    let sizes: Vec<u64> = segments(dir.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .collect();
    assert!(sizes.len() == 3 && sizes[0] <= 4_096, "{sizes:?}");
    assert!(sizes[1] == sizes[2] && sizes[1] > 4_096, "{sizes:?}");
    drop(writer);
    assert_eq!(recover(dir.path(), SMALL).unwrap().events(), 2);
}

#[test]
fn a_writer_whose_disk_does_not_follow_is_stopped() {
    let dir = folder();
    let (mut writer, mut syncer) = Writer::create(dir.path(), SMALL, &header(1), START).unwrap();
    let stalled = loop {
        if let Err(error) = append(&mut writer, Room::Reserve) {
            break error;
        }
    };
    let most = SEGMENTS_UNSYNCED_MAX;
    let JournalError::SyncStalled { segments: found, .. } = stalled else {
        panic!("{stalled}")
    };
    assert_eq!(
        (found, segments(dir.path()).len()),
        (most, most),
        "none is half begun"
    );
    let stopped_at = writer.next_event();
    syncer.sync().unwrap();
    // The event may have been recorded, and only its actions refused.
    append(&mut writer, Room::Ordinary).unwrap();
    let sizes = segments(dir.path())
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum::<u64>();
    assert_eq!(writer.bytes(), sizes);
    assert_eq!(read(dir.path()).unwrap().0.events, stopped_at);
    drop(writer);
    let (writer, _syncer) = recover(dir.path(), SMALL).unwrap().resume().unwrap();
    assert_eq!((writer.bytes(), writer.next_event()), (sizes, stopped_at + 1));
}

#[test]
fn blocks_that_were_never_written_are_torn() {
    let dir = folder();
    write(dir.path(), ONE, 60);
    let path = &segments(dir.path())[0];
    let edges = edges(dir.path(), 0);
    let bytes = fs::read(path).unwrap();
    // A power cut: the size is on disk, the blocks from here on are not.
    for block in [2_048, 4_096] {
        let mut bad = bytes.clone();
        bad[block..].fill(0);
        fs::write(path, &bad).unwrap();
        let whole = edges.iter().filter(|edge| **edge <= block as u64).count() - 1;
        let (content, torn) = read(dir.path()).unwrap();
        assert_eq!(content.records, whole as u64);
        let expected = TornTail {
            segment: 0,
            offset: edges[whole],
            bytes: bad.len() as u64 - edges[whole],
        };
        assert_eq!(torn, Some(expected));
    }
    // Zeros after whole records, and a segment that was begun in name only.
    let longer = [&bytes[..], &[0; 100]].concat();
    fs::write(path, longer).unwrap();
    assert_eq!(read(dir.path()).unwrap().1.map(|torn| torn.bytes), Some(100));
    fs::write(path, &bytes).unwrap();
    fs::write(dir.path().join("00000001.segment"), [0; 300]).unwrap();
    let torn = read(dir.path()).unwrap().1;
    let unbegun = TornTail {
        segment: 1,
        offset: 0,
        bytes: 300,
    };
    assert_eq!(torn, Some(unbegun));
    drop(recover(dir.path(), ONE).unwrap());
    assert_eq!(segments(dir.path()).len(), 1, "recovery removes it");
    // Zeros in the middle are no torn tail.
    let mut bad = bytes.clone();
    bad[2_048..4_096].fill(0);
    fs::write(path, &bad).unwrap();
    let fault = damage(recover(dir.path(), ONE).unwrap_err()).3;
    assert!(matches!(fault, Fault::BeforeRecords { .. }), "{fault}");
}

#[test]
fn a_journal_without_its_first_record_is_damaged() {
    let dir = folder();
    write(dir.path(), ONE, 0);
    let path = &segments(dir.path())[0];
    let bytes = fs::read(path).unwrap();
    for cut in 0..bytes.len() {
        fs::write(path, &bytes[..cut]).unwrap();
        let (_, offset, _, fault) = damage(recover(dir.path(), ONE).unwrap_err());
        if cut >= 52 {
            assert_eq!((offset, fault), (52, Fault::NoHeader), "cut at {cut}");
        }
        assert!(read(dir.path()).is_err(), "cut at {cut}");
    }
}

#[test]
fn one_process_writes() {
    let dir = folder();
    let home = dir.path().join("a/journal");
    assert!(matches!(recover(&home, ONE), Err(JournalError::Absent { .. })));
    let first = Writer::create(&home, ONE, &header(1), START).unwrap();
    let in_use = |error| matches!(error, JournalError::InUse { .. });
    assert!(in_use(recover(&home, ONE).unwrap_err()));
    assert!(in_use(
        Writer::create(&home, ONE, &header(1), START)
            .map(drop)
            .unwrap_err()
    ));
    drop(first);
    let exists = Writer::create(&home, ONE, &header(1), START).map(drop);
    assert!(matches!(exists, Err(JournalError::Exists { .. })));
    drop(recover(&home, ONE).unwrap());
}

#[test]
fn a_later_life_begins_with_its_header() {
    let dir = folder();
    write(dir.path(), SMALL, EVENTS);
    let later = Timestamp::from_nanos(9_000_000);
    let recovered = recover(dir.path(), SMALL).unwrap();
    let before = recovered.records();
    let (mut writer, mut syncer) = recovered.begin_life(&header(2), later).unwrap();
    assert_eq!(writer.next_event(), EVENTS + 1, "events count on");
    assert_eq!(syncer.lag().records, 0, "the header is on disk");
    for _ in 0..3 {
        append(&mut writer, Room::Ordinary).unwrap();
    }
    syncer.sync().unwrap();
    drop(writer);
    let (content, _) = read(dir.path()).unwrap();
    assert_eq!((content.headers, content.events), (2, EVENTS + 3));
    assert_eq!(recover(dir.path(), SMALL).unwrap().header(), &header(2));
    // The last life by itself.
    let mut reader = Reader::open_last_life(dir.path()).unwrap();
    let first = reader.next_record().unwrap().unwrap();
    assert_eq!((first.seq, first.ts), (before, later));
    let RecordBody::Header(found) = first.body else {
        panic!("{first:?}")
    };
    assert_eq!(*found, header(2));
    let mut rest = Content {
        records: before + 1,
        events: EVENTS,
        ..Content::default()
    };
    rest = rig::read_on(&mut reader, rest).unwrap();
    assert_eq!(rest.records, content.records);
}

#[test]
fn a_reader_sees_what_was_written_when_it_came() {
    let dir = folder();
    let (mut writer, _syncer) = Writer::create(dir.path(), ONE, &header(1), START).unwrap();
    append(&mut writer, Room::Ordinary).unwrap();
    let mut early = Reader::open(dir.path()).unwrap();
    for _ in 0..50 {
        append(&mut writer, Room::Ordinary).unwrap();
    }
    let seen = rig::read_on(&mut early, Content::default()).unwrap();
    assert_eq!((seen.events, early.torn()), (1, None));
    assert_eq!(read(dir.path()).unwrap().0.events, 51);
}

#[test]
fn what_is_out_of_order_or_out_of_bounds_is_refused() {
    let dir = folder();
    let tiny = WriterOptions {
        segment_bytes_max: 100,
        ..ONE
    };
    let refused = Writer::create(dir.path(), tiny, &header(1), START).map(drop);
    assert!(matches!(
        refused,
        Err(JournalError::Options {
            what: "segment_bytes_max",
            ..
        })
    ));
    let mut long = header(1);
    long.run_id = "x".repeat(256);
    let refused = Writer::create(dir.path(), ONE, &long, START).map(drop);
    assert!(matches!(
        refused,
        Err(JournalError::Header(CodecError::TooMany { .. }))
    ));
    let (mut writer, _syncer) = Writer::create(dir.path(), ONE, &header(1), START).unwrap();
    let levels = rig::levels(1);
    let refused = writer.append_event(&rig::event(2, &levels), Room::Ordinary);
    assert!(matches!(
        refused,
        Err(JournalError::EventOrder {
            expected: 1,
            found: 2
        })
    ));
    let many = vec![levels[0]; 300_000];
    let mut deep = rig::event(2, &levels);
    deep.seq = 1;
    let engine::EventBody::Market(domain::MarketEvent::Book(book)) = &mut deep.body else {
        panic!("{deep:?}")
    };
    book.bids = &many;
    let refused = writer.append_event(&deep, Room::Ordinary);
    assert!(matches!(refused, Err(JournalError::TooLong)));
    assert_eq!(
        append(&mut writer, Room::Ordinary).unwrap(),
        1,
        "nothing was kept"
    );
    assert_eq!(read(dir.path()).unwrap().0.events, 1);
}
