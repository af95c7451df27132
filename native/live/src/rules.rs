//! The venue's rules of our instruments, asked for again from time to time, and soon where an order was refused because
//! its instrument is not traded, where the market's stream says so of one, or while one is not.

use std::sync::Arc;
use std::time::Duration;

use domain::{Instrument, InstrumentStatus};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};
use venues::retry::{Backoff, Jitter};
use venues::{Instruments, Reference};

use crate::fact::{Fact, FactSender};
use crate::monitoring::Counters;

/// Wall time between two looks: rules are never older than this and one more attempt.
pub(crate) const INTERVAL: Duration = Duration::from_hours(1);

/// Least wall time from an answered look to the next, whoever wishes for one; so often they are looked at while an instrument is not
/// traded.
const PAUSE: Duration = Duration::from_secs(30);

/// First pause after a look that failed; the longest is [`PAUSE`].
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The wish that the rules be looked at soon, from any thread, without blocking. Wishes that nobody has seen to yet are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct RulesWish(Arc<Notify>);

impl RulesWish {
    pub(crate) fn wish(&self) {
        self.0.notify_one();
    }

    /// Until the next look is due, `last` being the time of the one before, unless that failed.
    async fn next_look(&self, last: Option<Instant>, known: &[Instrument]) {
        tokio::select! {
            () = sleep(pause(known.iter().map(|one| one.status))) => {}
            () = self.0.notified() => {
                if let Some(last) = last {
                    sleep_until(last + PAUSE).await;
                }
            }
        }
    }
}

/// How long rules are believed while nobody wishes for new ones.
fn pause(known: impl IntoIterator<Item = InstrumentStatus>) -> Duration {
    let all_trade = known
        .into_iter()
        .all(|status| status == InstrumentStatus::Trading);
    if all_trade { INTERVAL } else { PAUSE }
}

/// Tells the deciding thread of rules that changed, for ever.
pub(crate) async fn keep_up(
    reference: Arc<dyn Reference>,
    instruments: Arc<Instruments>,
    facts: FactSender,
    counters: Arc<Counters>,
    (wish, jitter): (RulesWish, Jitter),
) {
    let mut known: Vec<Instrument> = instruments.iter().copied().collect();
    let mut backoff = Backoff::new(AFTER_FAILURE, PAUSE, jitter);
    let mut last = None;
    loop {
        wish.next_look(last, &known).await;
        let symbols: Vec<&str> = instruments.iter().map(|one| one.symbol.as_str()).collect();
        match reference.instruments(&symbols).await {
            Ok(fresh) => {
                for instrument in changed(&known, &fresh) {
                    info!(symbol = %instrument.symbol, "the venue changed its rules");
                    if facts.send(Fact::Rules(Box::new(instrument))).await.is_err() {
                        return;
                    }
                }
                known = fresh;
                last = Some(Instant::now());
                backoff.reset();
            }
            Err(error) => {
                counters.refusals.request(&error);
                warn!(%error, "the venue's rules could not be asked for");
                // Whoever wished for them, or waited for the hour, still wants them.
                sleep(backoff.next_pause()).await;
                last = None;
                wish.wish();
            }
        }
    }
}

pub(crate) fn changed(known: &[Instrument], fresh: &[Instrument]) -> Vec<Instrument> {
    let both = known.iter().zip(fresh);
    both.filter(|(before, now)| before != now)
        .map(|(_, now)| *now)
        .collect()
}

#[cfg(test)]
mod tests {
    use InstrumentStatus::{CancelOnly, Halted, Trading, Unknown};

    use super::*;

    #[test]
    fn rules_are_asked_for_soon_while_an_instrument_is_not_traded() {
        assert_eq!((pause([Trading, Trading]), pause([])), (INTERVAL, INTERVAL));
        for status in [CancelOnly, Halted, Unknown] {
            assert_eq!(pause([Trading, status]), PAUSE, "{status:?}");
        }
    }
}
