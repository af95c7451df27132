//! The scanner against the slow reader, for tests and for fuzzing: whatever the first accepts, the second reads alike.

use super::{scan, slow};

/// What the scanner accepts, the oracle reads alike. Whether the scanner accepted.
pub fn agree(frame: &[u8]) -> bool {
    let mut fast = Vec::new();
    let Some(scanned) = scan::message(frame, &mut fast) else {
        return false;
    };
    let mut careful = Vec::new();
    let read = slow::message(frame, &mut careful).expect("the oracle refuses what the scanner accepts");
    assert_eq!(
        (scanned, fast),
        (read, careful),
        "{}",
        String::from_utf8_lossy(frame)
    );
    true
}

/// The same for a snapshot.
pub fn snapshots_agree(body: &[u8]) -> bool {
    let mut fast = Vec::new();
    let Some(scanned) = scan::snapshot(body, &mut fast) else {
        return false;
    };
    let mut careful = Vec::new();
    let read = slow::snapshot(body, &mut careful).expect("the oracle refuses what the scanner accepts");
    assert_eq!((scanned, fast), (read, careful));
    true
}
