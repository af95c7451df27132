//! The venue's rules of our instruments, asked for again from time to time.

use std::sync::Arc;
use std::time::Duration;

use domain::Instrument;
use tracing::{info, warn};
use venues::{Instruments, Reference};

use crate::fact::{Fact, FactSender};
use crate::monitoring::Counters;

/// Wall time between two looks: rules are never older than this and one more attempt.
pub(crate) const INTERVAL: Duration = Duration::from_hours(1);

/// Tells the deciding thread of rules that changed, for ever.
pub(crate) async fn keep_up(
    reference: Arc<dyn Reference>,
    instruments: Arc<Instruments>,
    facts: FactSender,
    counters: Arc<Counters>,
) {
    let mut known: Vec<Instrument> = instruments.iter().copied().collect();
    loop {
        tokio::time::sleep(INTERVAL).await;
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
            }
            Err(error) => {
                counters.refusals.request(&error);
                warn!(%error, "the venue's rules could not be asked for");
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
