//! The scanner against the slow reader, for tests and for fuzzing: whatever the first accepts, the second reads alike.

use super::{AccountMessage, Head, Level, ParseError, account, scan, slow};

pub(super) fn scanned(frame: &[u8]) -> Option<(Head, Vec<Level>, Vec<Level>)> {
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    let head = scan::stream_message(frame, &mut bids, &mut asks)?;
    Some((head, bids, asks))
}

fn oracle(frame: &[u8]) -> Result<(Head, Vec<Level>, Vec<Level>), ParseError> {
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    let head = slow::stream_message(frame, &mut bids, &mut asks)?;
    // Levels count only where there are any; the buffers may hold an older message's.
    Ok((head, bids, asks))
}

/// What the scanner accepts, the oracle reads alike. Whether the scanner accepted.
pub fn agree(frame: &[u8]) -> bool {
    let Some(fast) = scanned(frame) else { return false };
    let slow = oracle(frame).expect("the oracle refuses what the scanner accepts");
    assert_eq!(fast, slow, "{}", String::from_utf8_lossy(frame));
    true
}

/// The same for a snapshot.
pub fn snapshots_agree(body: &[u8]) -> bool {
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    let Some(id) = scan::snapshot(body, &mut bids, &mut asks) else {
        return false;
    };
    let (mut slow_bids, mut slow_asks) = (Vec::new(), Vec::new());
    let slow_id = slow::snapshot(body, &mut slow_bids, &mut slow_asks).expect("the oracle agrees");
    assert_eq!((id, bids, asks), (slow_id, slow_bids, slow_asks));
    true
}

/// The same for an execution.
pub fn executions_agree(frame: &[u8]) -> bool {
    let Some(fast) = account::scan_execution(frame) else {
        return false;
    };
    let slow = account::read_slowly(frame).expect("the oracle agrees");
    assert_eq!(AccountMessage::Execution(fast), slow);
    true
}
