//! The desk beside the socket side: takes errands from the thread that decides, brings answers back as facts.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{
    AmendRejectReason, AmendRequest, CancelRejectReason, CancelRequest, ClientOrderId, InstrumentId, Nanos,
    OrderReport, OrderReportKind, OrderRequest, Timestamp,
};
use engine::limits::OPEN_ORDERS_MAX;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, warn};
use venues::retry::Jitter;
use venues::{Gateway, Instruments, LastLook, Reference, UnknownOrder};

use crate::fact::{Fact, FactSender};
use crate::history;
use crate::monitoring::Counters;
use crate::reconcile::{self, Question};
use crate::stop_latch::StopLatch;

/// Errands that may wait for the desk.
pub(crate) const ERRANDS_MAX: usize = 2 * OPEN_ORDERS_MAX;

/// Errands under way at a time; an order beyond it does not leave.
const UNDER_WAY_MAX: usize = 2 * OPEN_ORDERS_MAX;

/// What to bring to the venue.
pub(crate) enum Errand {
    /// A new order, encoded and signed.
    Submit {
        /// As approved.
        request: OrderRequest,
        /// What goes on the wire.
        body: Bytes,
    },
    /// A change of an order, approved.
    Amend(AmendRequest),
    /// A cancel.
    Cancel(CancelRequest),
    /// What became of this order?
    Resolve(UnknownOrder),
    /// Bars `[from, to)`.
    History {
        /// Whose.
        instrument: InstrumentId,
        /// Start of the first.
        from: Timestamp,
        /// End of the last.
        to: Timestamp,
    },
    /// What does the venue say of our account?
    Reconcile(Question),
}

impl fmt::Debug for Errand {
    /// Without the bytes of an order: the key and a signature that still counts may stand in them.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Submit { request, body: _ } => out
                .debug_struct("Submit")
                .field("request", request)
                .finish_non_exhaustive(),
            Self::Amend(amend) => out.debug_tuple("Amend").field(amend).finish(),
            Self::Cancel(cancel) => out.debug_tuple("Cancel").field(cancel).finish(),
            Self::Resolve(unknown) => out.debug_tuple("Resolve").field(unknown).finish(),
            Self::History { instrument, from, to } => out
                .debug_struct("History")
                .field("instrument", instrument)
                .field("from", from)
                .field("to", to)
                .finish(),
            Self::Reconcile(question) => out.debug_tuple("Reconcile").field(question).finish(),
        }
    }
}

/// Runs errands, each as a task of its own.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) reference: Arc<dyn Reference>,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) bar_span: Nanos,
    /// How long after a bar's end it is asked for, wall time.
    pub(crate) settle: Duration,
    pub(crate) facts: FactSender,
    pub(crate) latch: StopLatch,
    pub(crate) counters: Arc<Counters>,
    /// Orders that are being asked about: one at a time for each.
    pub(crate) resolving: Arc<Mutex<BTreeSet<ClientOrderId>>>,
}

impl Desk {
    /// Until the thread that decides lets go of the queue; what is under way then is given up.
    pub(crate) async fn run(self, mut errands: mpsc::Receiver<Errand>, mut jitter: Jitter) {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(ended) = under_way.join_next() => {
                    if let Err(fault) = ended {
                        error!(%fault, "an errand failed");
                    }
                }
                errand = errands.recv() => match errand {
                    Some(errand) if under_way.len() < UNDER_WAY_MAX => {
                        under_way.spawn(self.clone().carry_out(errand, jitter.split()));
                    }
                    Some(errand) => self.turn_away(errand).await,
                    None => return,
                }
            }
        }
    }

    async fn carry_out(self, errand: Errand, jitter: Jitter) {
        let fact = match errand {
            Errand::Submit { request, body } => {
                // A stop may come while the connection is made.
                let (latch, slot) = (self.latch.clone(), request.client_order_id.slot);
                let look = LastLook::new(move || latch.lets_out(slot));
                Some(Fact::Reports(
                    self.gateway.submit_encoded(&request, body, look).await,
                ))
            }
            Errand::Amend(amend) => {
                let (latch, slot) = (self.latch.clone(), amend.client_order_id.slot);
                let look = LastLook::new(move || latch.lets_out(slot));
                Some(Fact::Reports(self.gateway.amend_order(&amend, look).await))
            }
            Errand::Cancel(cancel) => Some(Fact::Reports(self.gateway.cancel(&cancel).await)),
            Errand::Resolve(unknown) => self.resolve(unknown).await,
            Errand::History { instrument, from, to } => self.history(instrument, (from, to), jitter).await,
            Errand::Reconcile(question) => Some(self.reconcile(&question).await),
        };
        if let Some(fact) = fact {
            // When nobody decides any more, nobody needs to know.
            let _ = self.facts.send(fact).await;
        }
    }

    async fn resolve(&self, unknown: UnknownOrder) -> Option<Fact> {
        let id = unknown.client_order_id;
        let is_new = self
            .resolving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id);
        if !is_new {
            return None;
        }
        let reports = self.gateway.resolve(unknown).await;
        self.resolving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
        Some(Fact::Reports(reports))
    }

    async fn history(
        &self,
        instrument: InstrumentId,
        range: (Timestamp, Timestamp),
        jitter: Jitter,
    ) -> Option<Fact> {
        let listed = self.instruments.get(instrument)?;
        tokio::time::sleep(self.settle).await;
        let (reference, refusals) = (&*self.reference, &self.counters.refusals);
        let bars = history::fetch(reference, listed, self.bar_span, range, jitter, refusals).await;
        (!bars.is_empty()).then_some(Fact::History(bars))
    }

    async fn reconcile(&self, question: &Question) -> Fact {
        match reconcile::ask(&*self.gateway, &self.instruments, question).await {
            Ok(truth) => Fact::Truth(Box::new(truth)),
            Err(error) => {
                self.counters.refusals.request(&error);
                warn!(%error, "the account could not be compared with the venue's");
                Fact::NoTruth {
                    generation: question.generation,
                }
            }
        }
    }

    /// Too much is under way: says what did not leave.
    async fn turn_away(&self, errand: Errand) {
        error!(?errand, "too many errands are under way: turned away");
        let report = |order: CancelRequest, kind| {
            Fact::Reports(vec![OrderReport {
                client_order_id: order.client_order_id,
                instrument: order.instrument,
                ts_event: self.reference.clock().now(),
                kind,
            }])
        };
        let fact = match errand {
            Errand::Submit { request, .. } => {
                let order = CancelRequest {
                    client_order_id: request.client_order_id,
                    instrument: request.instrument,
                };
                report(order, OrderReportKind::NotSent)
            }
            Errand::Amend(amend) => {
                let order = CancelRequest {
                    client_order_id: amend.client_order_id,
                    instrument: amend.instrument,
                };
                report(order, OrderReportKind::AmendRejected(AmendRejectReason::Other))
            }
            Errand::Cancel(cancel) => {
                report(cancel, OrderReportKind::CancelRejected(CancelRejectReason::Other))
            }
            Errand::Reconcile(question) => Fact::NoTruth {
                generation: question.generation,
            },
            // The engine asks again by its own timer; a hole in the history stays until the next one.
            Errand::Resolve(_) | Errand::History { .. } => return,
        };
        let _ = self.facts.send(fact).await;
    }
}

#[cfg(test)]
mod tests {
    use domain::{Epoch, OrderType, Price, Quantity, Side, SlotId, TimeInForce};

    use super::*;

    #[test]
    fn an_errand_is_told_without_its_key_and_signature() {
        let errand = Errand::Submit {
            request: OrderRequest {
                client_order_id: ClientOrderId {
                    epoch: Epoch(1),
                    slot: SlotId(1),
                    counter: 7,
                },
                instrument: InstrumentId(0),
                side: Side::Buy,
                order_type: OrderType::Limit,
                price: Some(Price::from_units(5)),
                quantity: Quantity::from_units(1),
                time_in_force: TimeInForce::Gtc,
                post_only: false,
                reduce_only: false,
            },
            body: Bytes::from_static(br#"{"apiKey":"THE-KEY","signature":"SIGNED"}"#),
        };
        let told = format!("{errand:?} {errand:#?}");
        assert!(told.contains("counter: 7"), "{told}");
        assert!(!told.contains("THE-KEY") && !told.contains("SIGNED"), "{told}");
    }
}
