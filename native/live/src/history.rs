//! Bars of the past from the venue.

use std::time::Duration;

use domain::{Bar, Instrument, Nanos, Timestamp};
use tracing::{error, warn};
use venues::retry::{Backoff, Jitter};
use venues::{BARS_MAX, Reference, VenueError};

use crate::monitoring::refusals::RefusalBoard;

/// Attempts to fetch one range: a venue may need a moment to show a bar that has just closed.
const ATTEMPTS_MAX: u32 = 12;

/// First and longest pause between them, wall time.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(5));

/// Fetches every bar of `[from, to)`, oldest first. What the venue does not have after [`ATTEMPTS_MAX`] attempts is
/// left out.
pub(crate) async fn fetch(
    reference: &dyn Reference,
    instrument: &Instrument,
    span: Nanos,
    (from, to): (Timestamp, Timestamp),
    jitter: Jitter,
    refusals: &RefusalBoard,
) -> Vec<Bar> {
    let wanted = usize::try_from(to.since(from).0 / span.0.max(1)).unwrap_or(0);
    let wanted = wanted.min(BARS_MAX);
    let mut backoff = Backoff::new(PAUSE.0, PAUSE.1, jitter);
    let mut best = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        match range(reference, instrument, span, (from, to), wanted).await {
            Ok(bars) if bars.len() >= wanted => return bars,
            Ok(bars) => {
                if bars.len() >= best.len() {
                    best = bars;
                }
            }
            Err(error) if error.is_fatal() => {
                refusals.request(&error);
                error!(symbol = %instrument.symbol, %error, "no history");
                return best;
            }
            Err(error) => {
                refusals.request(&error);
                warn!(symbol = %instrument.symbol, %error, "history: asking again");
            }
        }
        tokio::time::sleep(backoff.next_pause()).await;
    }
    error!(
        symbol = %instrument.symbol, %from, %to, wanted, found = best.len(),
        "the venue's history has a hole: features that reach over it start over"
    );
    best
}

async fn range(
    reference: &dyn Reference,
    instrument: &Instrument,
    span: Nanos,
    (from, to): (Timestamp, Timestamp),
    wanted: usize,
) -> Result<Vec<Bar>, VenueError> {
    let mut bars = reference.bars(instrument, span, wanted, to).await?;
    bars.retain(|bar| bar.ts_open >= from && bar.ts_close() <= to);
    Ok(bars)
}
