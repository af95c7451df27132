//! What becomes of the engine's actions.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::{
    AmendRejectReason, AmendRequest, CancelRejectReason, CancelRequest, OrderReport, OrderReportKind,
    OrderRequest, Timestamp,
};
use engine::limits::OPEN_ORDERS_MAX;
use engine::risk::{Approved, DenyReason};
use engine::{Action, Alert, CommandRefusal, Engine};
use tracing::{debug, error, info, warn};

use crate::egress::{Egress, Halt};
use crate::fact::{CommandOutcome, Refused};
use crate::monitoring::latency::StageClock;
use crate::monitoring::{Counters, Difference};
use crate::rings::Rings;
use crate::rules::RulesWish;
use crate::stop_latch::StopLatch;
use crate::timers::Timers;
use crate::told::Teller;

/// Timers that an order needs at most.
const TIMERS_PER_ORDER: usize = 2;

/// Carries actions out, in order. What did not leave comes back as a report of its own.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) egress: Egress,
    pub(crate) timers: Timers,
    pub(crate) latch: StopLatch,
    pub(crate) rings: Rings,
    pub(crate) teller: Teller,
    /// The event being carried out is an order that a person asked for.
    pub(crate) by_hand: bool,
    pub(crate) counters: Arc<Counters>,
    /// Reports about what never reached a socket; each becomes an event.
    pub(crate) returned: VecDeque<OrderReport>,
    /// Result of the command that the last event carried.
    command_result: CommandOutcome,
    /// What risk had against the last order that it denied since the last command came.
    denied: Option<DenyReason>,
    /// Result of the activation that the last event carried.
    pub(crate) activation_result: Option<Result<(), String>>,
    /// Fills booked in this life.
    pub(crate) bookings: u64,
    /// Has the venue's rules asked for again.
    pub(crate) rules: RulesWish,
}

impl Outputs {
    pub(crate) fn new(
        egress: Egress,
        latch: StopLatch,
        rings: Rings,
        teller: Teller,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            egress,
            timers: Timers::new(),
            latch,
            rings,
            teller,
            by_hand: false,
            counters,
            returned: VecDeque::with_capacity(OPEN_ORDERS_MAX),
            command_result: None,
            denied: None,
            activation_result: None,
            bookings: 0,
            rules: RulesWish::default(),
        }
    }

    /// Forgets what became of earlier commands: the next event carries one.
    pub(crate) fn expect_command(&mut self) {
        self.command_result = None;
        self.denied = None;
    }

    /// What became of the command that the last event carried.
    pub(crate) fn command_outcome(&mut self) -> CommandOutcome {
        self.command_result.take()
    }

    /// The denial that belongs to a refusal was told just before it.
    fn outcome(&self, result: Result<(), CommandRefusal>) -> Result<(), Refused> {
        result.map_err(|refusal| Refused {
            refusal,
            denied: self.denied.filter(|_| refusal == CommandRefusal::Denied),
        })
    }

    /// Carries one action of the event at `now` out.
    pub(crate) fn carry_out(&mut self, action: Action, now: Timestamp, engine: &mut Engine<StageClock>) {
        self.teller.tell_action(now, &action, engine, self.by_hand);
        match action {
            Action::Submit(order) => self.submit(order, now, engine),
            Action::Amend(amend) => self.amend(amend, now),
            Action::Cancel(cancel) => self.cancel(cancel, now),
            Action::QueryOrder(order) => self.query(order, engine),
            Action::SetTimer { timer, at } => {
                if !self.timers.set(timer, at) {
                    error!(?timer, "no room for a timer: no new order leaves");
                    self.egress.halt(Halt::Defect);
                }
            }
            Action::RequestHistory { instrument, from, to } => {
                debug!(?instrument, %from, %to, "bars were not watched whole");
                if let Err(refused) = self.egress.fetch_history(instrument, from, to) {
                    error!(?instrument, %from, %to, %refused, "history was not asked for");
                }
            }
            other => {
                self.note(&other);
                self.rings.show_action(now, &other, engine);
            }
        }
    }

    fn submit(&mut self, order: Approved<OrderRequest>, now: Timestamp, engine: &mut Engine<StageClock>) {
        if self.timers.room() < TIMERS_PER_ORDER {
            // Without its timers nobody would miss an answer that never comes.
            self.egress.halt(Halt::Defect);
        }
        engine.probe_mut().skip();
        match self.egress.submit(order, now) {
            Ok(()) => {
                engine.probe_mut().decided();
                self.counters.orders_sent.add_one();
            }
            Err((request, refused)) => {
                warn!(order = %request.client_order_id, %refused, "order not sent");
                self.counters.orders_refused.add_one();
                self.returned.push_back(OrderReport {
                    client_order_id: request.client_order_id,
                    instrument: request.instrument,
                    ts_event: now,
                    kind: OrderReportKind::NotSent,
                });
            }
        }
    }

    fn amend(&mut self, amend: Approved<AmendRequest>, now: Timestamp) {
        match self.egress.amend(amend) {
            Ok(()) => self.counters.amends_sent.add_one(),
            Err((amend, refused)) => {
                warn!(order = %amend.client_order_id, %refused, "change of an order not sent");
                self.returned.push_back(OrderReport {
                    client_order_id: amend.client_order_id,
                    instrument: amend.instrument,
                    ts_event: now,
                    kind: OrderReportKind::AmendRejected(AmendRejectReason::Other),
                });
            }
        }
    }

    fn cancel(&mut self, cancel: CancelRequest, now: Timestamp) {
        match self.egress.cancel(cancel, now) {
            Ok(()) => self.counters.cancels_sent.add_one(),
            Err(refused) => {
                warn!(order = %cancel.client_order_id, %refused, "cancel not sent");
                self.returned.push_back(OrderReport {
                    client_order_id: cancel.client_order_id,
                    instrument: cancel.instrument,
                    ts_event: now,
                    kind: OrderReportKind::CancelRejected(CancelRejectReason::Other),
                });
            }
        }
    }

    fn query(&self, order: CancelRequest, engine: &Engine<StageClock>) {
        let Some(view) = engine.order(order.client_order_id) else {
            return;
        };
        if let Err(refused) = self.egress.resolve(order, view.submitted_at) {
            // The engine asks again by its own timer.
            warn!(order = %order.client_order_id, %refused, "order not asked about");
        }
    }

    /// What only tells.
    fn note(&mut self, action: &Action) {
        let counters = &self.counters;
        match action {
            Action::BarClosed(_) => counters.bars.add_one(),
            Action::Signal(_) => counters.signals.add_one(),
            Action::Denied { request, reason } => {
                counters.orders_denied.add_one();
                self.denied = Some(*reason);
                info!(order = %request.client_order_id, ?reason, "order denied");
            }
            Action::Fill(fill) => {
                counters.fills.add_one();
                self.bookings += 1;
                info!(slot = fill.slot.0, price = %fill.fill.price, quantity = %fill.fill.quantity,
                    side = %fill.fill.side, "fill");
            }
            Action::Control { scope, level } => {
                self.latch.show(*scope, *level);
                warn!(?scope, ?level, "control");
            }
            Action::CommandResult { result, .. } => self.command_result = Some(self.outcome(*result)),
            Action::BundleActivated {
                slot,
                digest,
                previous,
            } => {
                info!(slot = slot.0, ?digest, ?previous, "bundle active");
                self.activation_result = Some(Ok(()));
            }
            Action::BundleRefused { slot, digest, reason } => {
                warn!(slot = slot.0, ?digest, ?reason, "bundle refused");
                self.activation_result = Some(Err(format!("{reason:?}")));
            }
            Action::Alert(alert) => {
                counters.alerts.add_one();
                if let Some(difference) = Difference::of(*alert) {
                    counters.differences.add_one(difference);
                }
                tell(*alert);
            }
            _ => {}
        }
    }
}

fn tell(alert: Alert) {
    match alert {
        // It happens, and it is being dealt with.
        Alert::UnknownOrder(_) | Alert::FeeAsset(_) | Alert::CapacityReached => warn!(?alert, "alert"),
        // Named, and accounted for.
        Alert::OrphanAdopted(_)
        | Alert::OrphanCanceled(_)
        | Alert::ForeignOrder { .. }
        | Alert::ManualTrade { .. }
        | Alert::Deposit(_)
        | Alert::Withdrawal(_)
        | Alert::FeeUnvalued(_) => {
            let difference = Difference::of(alert).map_or("", Difference::as_str);
            warn!(
                difference,
                ?alert,
                "the account differs from the record: accounted for"
            );
        }
        _ => error!(?alert, "alert: a person must look"),
    }
}
