//! Cancels what rests at the venue and carries an id of a silent life.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use config::{GatewayChoice, ServiceConfig};
use domain::{CancelRequest, ClientOrderId, Epoch, InstrumentId, SlotId};
use tokio::task::JoinSet;
use tracing::{error, info, warn};
use venues::clock::{Clock, ServerClock};
use venues::{Credentials, Gateway, Instruments, OrderView, VenueError};

use crate::clock;
use crate::error::LiveError;
use crate::session;

/// Pause after a question that the venue did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Pause after a round of cancels, before it is looked again.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(200);

/// Beyond the receive window, how late an order that was on its way may come to rest.
const LATE: Duration = Duration::from_millis(500);

/// The watchdog's own way to the venue.
#[derive(Debug)]
pub(super) struct Sweeper {
    gateway: Arc<dyn Gateway>,
    instruments: Arc<Instruments>,
    slots: BTreeSet<SlotId>,
    /// How long what was on its way may still come.
    settle: Duration,
    /// What keeps the clock true.
    _tasks: JoinSet<()>,
}

impl Sweeper {
    /// Connects, and asks for open orders once: a key that may not is refused at the start.
    pub(super) async fn open(config: &ServiceConfig, credentials: Credentials) -> Result<Self, LiveError> {
        let venue = config::VenueConfig {
            // Cancels and questions go over REST: no socket has to stand for them.
            order_entry: config::OrderEntry::Rest,
            gateway: GatewayChoice::Venue,
            ..config.venue.clone()
        };
        let clock = Arc::new(ServerClock::local());
        let as_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let connector = venues::connect(session::settings(&venue), credentials, as_clock)?;
        let reference = connector.reference();
        clock::anchor(&*reference, &clock, config.stage, &config.clock).await?;
        let symbols: Vec<&str> = config.instruments.iter().map(|one| one.symbol.as_str()).collect();
        let instruments = Arc::new(Instruments::new(reference.instruments(&symbols).await?)?);
        let gateway = connector.gateway(&instruments)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(clock::keep_in_step(reference, clock, Arc::default()));
        let settle = if session::is_loopback(&venue) {
            LATE
        } else {
            LATE + Duration::from_nanos(venue.recv_window.0.unsigned_abs())
        };
        let sweeper = Self {
            gateway,
            instruments,
            slots: config.slots.iter().map(|slot| slot.slot).collect(),
            settle,
            _tasks: tasks,
        };
        match sweeper.ours(Epoch(0)).await.1 {
            None => Ok(sweeper),
            Some(source @ VenueError::Refused { .. }) if source.is_fatal() => {
                let problem = format!("the venue refused its key: {source}");
                Err(LiveError::WatchdogKeyRefused(problem))
            }
            Some(error) => Err(LiveError::Venue(error)),
        }
    }

    /// Cancels until nothing of the lives up to `epoch` rests, however long that takes; how many were canceled.
    pub(super) async fn sweep(&self, epoch: Epoch) -> usize {
        let mut canceled = BTreeSet::new();
        let mut is_empty = false;
        loop {
            let (open, error) = self.ours(epoch).await;
            // What could be listed is canceled, whatever could not.
            for order in &open {
                let reports = self.gateway.cancel(order).await;
                warn!(order = %order.client_order_id, ?reports, "canceled for a silent service");
                canceled.insert(order.client_order_id);
            }
            let was_empty = std::mem::replace(&mut is_empty, open.is_empty() && error.is_none());
            if let Some(error) = error {
                error!(%error, "orders of a silent service may rest, and the venue does not answer: trying again");
                tokio::time::sleep(RETRY).await;
            } else if !is_empty {
                tokio::time::sleep(BETWEEN_ROUNDS).await;
            } else if was_empty {
                return canceled.len();
            } else {
                tokio::time::sleep(self.settle).await;
            }
        }
    }

    /// What rests and was sent by a life up to `epoch`, of each instrument that the venue answers for; and the last error
    /// where it does not.
    async fn ours(&self, epoch: Epoch) -> (Vec<CancelRequest>, Option<VenueError>) {
        let mut answers = Vec::new();
        for instrument in self.instruments.iter() {
            answers.push((instrument.id, self.gateway.open_orders(instrument.id).await));
        }
        found(answers, |id| self.is_ours(id, epoch))
    }

    fn is_ours(&self, id: ClientOrderId, epoch: Epoch) -> bool {
        id.epoch <= epoch && self.slots.contains(&id.slot)
    }
}

/// Of what the venue answered, the orders that are ours, and the last error: one that is not answered hides no other.
fn found(
    answers: Vec<(InstrumentId, Result<Vec<OrderView>, VenueError>)>,
    is_ours: impl Fn(ClientOrderId) -> bool,
) -> (Vec<CancelRequest>, Option<VenueError>) {
    let (mut found, mut failed) = (Vec::new(), None);
    for (instrument, answer) in answers {
        let open = match answer {
            Ok(open) => open,
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        for client_order_id in open.iter().filter_map(|view| view.client_order_id) {
            if is_ours(client_order_id) {
                found.push(CancelRequest {
                    client_order_id,
                    instrument,
                });
            } else {
                info!(order = %client_order_id, "rests, and is not of the silent life: it stays");
            }
        }
    }
    (found, failed)
}

#[cfg(test)]
mod tests {
    use domain::{OrderStatus, Price, Quantity, Side, Text, Timestamp, VenueOrderId};

    use super::*;

    fn id(epoch: u32) -> ClientOrderId {
        ClientOrderId {
            epoch: Epoch(epoch),
            slot: SlotId(1),
            counter: 1,
        }
    }

    fn open(client_order_id: Option<ClientOrderId>, instrument: InstrumentId) -> OrderView {
        OrderView {
            client_order_id,
            venue_order_id: VenueOrderId(Text::new("7").unwrap()),
            instrument,
            side: Side::Buy,
            status: OrderStatus::Accepted,
            price: Some(Price::from_units(1)),
            quantity: Quantity::from_units(1),
            filled: Quantity::ZERO,
            ts_event: Timestamp::EPOCH,
        }
    }

    #[test]
    fn an_instrument_that_is_not_answered_for_hides_no_order_of_another() {
        let (silent, other) = (InstrumentId(0), InstrumentId(1));
        let no_answer = VenueError::NoAnswer {
            request: "open orders",
            detail: "timed out".to_owned(),
        };
        let resting = vec![
            open(Some(id(3)), other),
            open(Some(id(4)), other),
            open(None, other),
        ];
        let answers = vec![(silent, Err(no_answer)), (other, Ok(resting))];
        let (found, failed) = found(answers, |id| id.epoch <= Epoch(3));
        let ours = CancelRequest {
            client_order_id: id(3),
            instrument: other,
        };
        assert_eq!(found, [ours]);
        assert!(failed.is_some(), "it is looked at again");
    }
}
