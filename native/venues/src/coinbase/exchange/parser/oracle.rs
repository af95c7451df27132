//! The scanner against the slow reader, for tests and for fuzzing: whatever the first accepts, the second reads alike.

use super::{Buffers, head, scan, slow};

/// What the scanner accepts, the oracle reads alike, or refuses alike. Whether the scanner accepted.
pub fn agree(frame: &[u8]) -> bool {
    let mut fast = Buffers::default();
    let Some(fields) = scan::message(frame, &mut fast) else {
        return false;
    };
    let scanned = head::of(&fields).map_err(|error| error.to_string());
    let mut careful = Buffers::default();
    let read = slow::message(frame, &mut careful).map_err(|error| error.to_string());
    assert_eq!(
        (scanned, fast),
        (read, careful),
        "{}",
        String::from_utf8_lossy(frame)
    );
    true
}
