//! The one door through which orders leave.
//!
//! Only this module takes an [`Approved`] apart. Between the engine's approval and the socket it looks once more: at
//! the stop latch, which other threads may have raised meanwhile, at the epoch, and at whether the service still
//! trades at all. What it refuses never reached a socket, and the engine is told so (`Refused`).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use domain::{AmendRequest, CancelRequest, Epoch, InstrumentId, OrderRequest, Timestamp};
use engine::risk::Approved;
use thiserror::Error;
use tokio::sync::mpsc;
use venues::clock::{Clock, ServerClock};
use venues::{Departure, EncodeOrders, Instruments, NEW_ORDER_BYTES_MAX, UnknownOrder};

use crate::desk::Errand;
use crate::stop_latch::StopLatch;

/// Why an order did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    #[error("a kill is in force")]
    Stopped,
    #[error("the service sends no new orders any more: {0}")]
    Halted(Halt),
    #[error("the order belongs to another life of the service")]
    Epoch,
    #[error("the venue has no words for it")]
    Encoding,
    #[error("too many errands wait")]
    Busy,
}

/// Why the service has stopped sending orders for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Halt {
    /// It was asked to end.
    #[error("it is draining")]
    Draining,
    /// The record can no longer be written.
    #[error("the record cannot be written")]
    Record,
    /// A defect showed.
    #[error("a bounded table of the service overflowed")]
    Defect,
}

/// Encodes, signs and hands over. Owned by the thread that decides.
pub(crate) struct Egress {
    epoch: Epoch,
    latch: StopLatch,
    encoder: Box<dyn EncodeOrders>,
    instruments: Arc<Instruments>,
    clock: Arc<ServerClock>,
    errands: mpsc::Sender<Errand>,
    body: Vec<u8>,
    halted: Option<Halt>,
}

impl fmt::Debug for Egress {
    /// Without the last order's bytes: the key and a signature that still counts may stand in them.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut egress = out.debug_struct("Egress");
        let egress = egress.field("epoch", &self.epoch).field("halted", &self.halted);
        egress.finish_non_exhaustive()
    }
}

impl Egress {
    pub(crate) fn new(
        epoch: Epoch,
        latch: StopLatch,
        encoder: Box<dyn EncodeOrders>,
        instruments: Arc<Instruments>,
        clock: Arc<ServerClock>,
        errands: mpsc::Sender<Errand>,
    ) -> Self {
        Self {
            epoch,
            latch,
            encoder,
            instruments,
            clock,
            errands,
            body: Vec::with_capacity(NEW_ORDER_BYTES_MAX),
            halted: None,
        }
    }

    /// Sends no new order any more; cancels and questions still leave. The first reason stays.
    pub(crate) fn halt(&mut self, reason: Halt) {
        self.halted.get_or_insert(reason);
    }

    pub(crate) const fn halted(&self) -> Option<Halt> {
        self.halted
    }

    /// Lets an order that was decided at `now`, engine time, leave, once.
    ///
    /// # Errors
    /// The order, which did not leave, and why not.
    pub(crate) fn submit(
        &mut self,
        order: Approved<OrderRequest>,
        now: Timestamp,
    ) -> Result<(), (OrderRequest, Refused)> {
        let request = order.into_inner();
        self.send(request, now).map_err(|refused| (request, refused))
    }

    fn send(&mut self, request: OrderRequest, now: Timestamp) -> Result<(), Refused> {
        if let Some(reason) = self.halted {
            return Err(Refused::Halted(reason));
        }
        if request.client_order_id.epoch != self.epoch {
            return Err(Refused::Epoch);
        }
        let instrument = self
            .instruments
            .get(request.instrument)
            .ok_or(Refused::Encoding)?;
        self.encoder
            .encode_new_order(&request, instrument, self.clock.now(), &mut self.body)
            .map_err(|_| Refused::Encoding)?;
        // The last look, as near to the socket as this thread comes.
        if !self.latch.lets_out(request.client_order_id.slot) {
            return Err(Refused::Stopped);
        }
        let body = Bytes::copy_from_slice(&self.body);
        // The desk must not be faster than the encoder hears of it.
        let place = self.errands.try_reserve().map_err(|_| Refused::Busy)?;
        self.encoder.handed_over(Departure::Order(&request), now);
        place.send(Errand::Submit { request, body });
        Ok(())
    }

    /// Lets a change of an order leave, once, by the same looks as an order.
    ///
    /// # Errors
    /// The change, which did not leave, and why not.
    pub(crate) fn amend(&self, amend: Approved<AmendRequest>) -> Result<(), (AmendRequest, Refused)> {
        let amend = amend.into_inner();
        let id = amend.client_order_id;
        let refused = if let Some(reason) = self.halted {
            Some(Refused::Halted(reason))
        } else if !self.latch.lets_out(id.slot) {
            Some(Refused::Stopped)
        } else {
            self.hand_over(Errand::Amend(amend)).err()
        };
        refused.map_or(Ok(()), |refused| Err((amend, refused)))
    }

    /// Lets a cancel that was decided at `now`, engine time, leave: nothing stops it.
    ///
    /// # Errors
    /// [`Refused::Busy`].
    pub(crate) fn cancel(&self, cancel: CancelRequest, now: Timestamp) -> Result<(), Refused> {
        let place = self.errands.try_reserve().map_err(|_| Refused::Busy)?;
        self.encoder.handed_over(Departure::Cancel(&cancel), now);
        place.send(Errand::Cancel(cancel));
        Ok(())
    }

    /// Asks what became of an order that was sent at `sent`.
    ///
    /// # Errors
    /// [`Refused::Busy`].
    pub(crate) fn resolve(&self, order: CancelRequest, sent: Timestamp) -> Result<(), Refused> {
        self.hand_over(Errand::Resolve(UnknownOrder {
            client_order_id: order.client_order_id,
            instrument: order.instrument,
            sent,
        }))
    }

    /// Asks for bars of the past.
    ///
    /// # Errors
    /// [`Refused::Busy`].
    pub(crate) fn fetch_history(
        &self,
        instrument: InstrumentId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(), Refused> {
        self.hand_over(Errand::History { instrument, from, to })
    }

    /// Hands any other errand over.
    ///
    /// # Errors
    /// [`Refused::Busy`].
    pub(crate) fn hand_over(&self, errand: Errand) -> Result<(), Refused> {
        self.errands.try_send(errand).map_err(|_| Refused::Busy)
    }
}
