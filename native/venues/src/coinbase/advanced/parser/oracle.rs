//! The scanner against the slow reader, for tests and for fuzzing: whatever the first accepts, the second reads alike.

use super::{Buffers, scan, slow};

/// What the scanner accepts, the oracle reads alike. Whether the scanner accepted.
pub fn agree(frame: &[u8]) -> bool {
    let mut fast = Buffers::default();
    let Some(scanned) = scan::message(frame, &mut fast) else {
        return false;
    };
    let mut careful = Buffers::default();
    let read = slow::message(frame, &mut careful).expect("the oracle refuses what the scanner accepts");
    assert_eq!(
        (scanned, fast),
        (read, careful),
        "{}",
        String::from_utf8_lossy(frame)
    );
    true
}
