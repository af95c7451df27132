//! What is played is told: as lines at a pace, and as tables.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says so by panicking, and skips aloud"
)]

mod support;

use std::io::{self, Write};
use std::path::Path;

use feed::export::{BOOK_HEAD, ExportError, Exported, TRADES_HEAD, export};
use feed::replay::{ReplayError, Speed, replay};
use serde_json::Value;
use support::{Change, Folder, Market, Session, checked, only_book};

const FIRST_NS: i64 = 1_700_000_000_000_000_000;

fn session() -> Session {
    let changes: Vec<Vec<Change>> = (0..40)
        .map(|at| vec![(at % 2 == 0, at % 7, at % 5), (at % 3 == 0, at % 11, 7)])
        .collect();
    Session::new(Market::Spot, &changes)
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_replay_tells_each_update_in_its_order_and_ends_in_the_book() {
    let folder = Folder::new();
    let truth = session();
    let path = folder.file("session", truth.lines.join("\n"));
    let book = checked(std::slice::from_ref(&path));
    let book = only_book(&book);
    let mut out = Vec::new();
    // A millisecond of the recording is a microsecond here.
    let report = replay(&[path], Speed::Times(1_000.0), &mut out, &mut |_| {}).unwrap();
    assert!(report.right);
    let events: Vec<Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let updates: Vec<_> = events.iter().filter(|event| event["event"] == "book").collect();
    assert_eq!(updates.len() as u64, book.updates + book.snapshots);
    assert_eq!(updates[0]["kind"], "snapshot");
    assert_eq!(updates.last().unwrap()["update_id"], truth.last_update_id);
    assert!(
        updates
            .iter()
            .all(|update| update["symbol"] == "BTCUSDT" && update["venue"] == "binance")
    );
    let times: Vec<_> = events
        .iter()
        .map(|event| event["ts_received"].as_i64().unwrap())
        .collect();
    assert!(times.is_sorted());
}

/// Whoever listens has enough after so many lines.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_replay_that_nobody_takes_ends() {
    let folder = Folder::new();
    let path = folder.file("session", session().lines.join("\n"));
    let error = replay(&[path], Speed::Max, Full(3), &mut |_| {}).unwrap_err();
    assert!(matches!(error, ReplayError::Write(error) if error.kind() == io::ErrorKind::BrokenPipe));
}

fn exported(
    session: &Session,
    folder: &Folder,
    name: &str,
    window: std::ops::Range<i64>,
) -> (Exported, Vec<String>) {
    let path = folder.file("session", session.lines.join("\n"));
    let out = path.parent().unwrap().join(name);
    let exported = export(&[path], &out, window, &mut |_| {}).unwrap();
    let book = lines(&out.join("book.csv"));
    assert_eq!(book[0], BOOK_HEAD);
    assert_eq!(lines(&out.join("trades.csv")), [TRADES_HEAD]);
    assert_eq!(book.len() as u64, exported.book_rows + 1);
    let written: Value = serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(written["book_rows"], exported.book_rows);
    (exported, book[1..].to_vec())
}

#[test]
fn the_windows_of_an_export_are_its_parts() {
    let folder = Folder::new();
    let truth = session();
    let (whole, rows) = exported(&truth, &folder, "whole", i64::MIN..i64::MAX);
    let book = only_book(&whole.report);
    assert_eq!(whole.book_updates, book.updates + book.snapshots);
    assert_eq!(whole.skipped_updates, 0);

    let cut = FIRST_NS + 40_000_000;
    let (early, mut parts) = exported(&truth, &folder, "early", i64::MIN..cut);
    let (late, rest) = exported(&truth, &folder, "late", cut..i64::MAX);
    assert!(!parts.is_empty() && !rest.is_empty());
    parts.extend(rest);
    assert_eq!(parts, rows);
    assert_eq!(late.skipped_updates, early.book_updates);
    assert_eq!(early.book_updates + late.book_updates, whole.book_updates);
    // What comes after the window is not played.
    assert!(early.report.totals.messages < late.report.totals.messages);
    let (none, rows) = exported(&truth, &folder, "none", i64::MIN..FIRST_NS);
    assert_eq!((none.book_rows, rows.len()), (0, 0));
}

#[test]
fn tables_that_are_there_stay() {
    let folder = Folder::new();
    let path = folder.file("session", session().lines.join("\n"));
    let out = path.parent().unwrap();
    let book = folder.file("book.csv", "somebody's");
    let error = export(std::slice::from_ref(&path), out, i64::MIN..i64::MAX, &mut |_| {}).unwrap_err();
    assert!(
        matches!(&error, ExportError::Write { file, .. } if *file == book),
        "{error}"
    );
    assert_eq!(lines(&book), ["somebody's"]);
}
