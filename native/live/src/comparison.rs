//! Our account against the venue's: when to ask, and what to make of the answer.
//!
//! Asked on every connection, every [`INTERVAL`], and when something doubtful happened. An answer is taken whole or
//! not at all: what was asked on an older connection, or before a fill that has been booked since, is asked again.

use std::path::PathBuf;
use std::sync::Arc;

use domain::{
    Balance, CancelRequest, Currency, Nanos, OrderReport, OrderReportKind, OrderStatus, Quantity, Timestamp,
    Venue,
};
use engine::{EventBody, VenuePosition};
use tracing::{error, info, warn};
use venues::Instruments;
use venues::OrderView;

use crate::desk::Errand;
use crate::driver::Driver;
use crate::holdings::{ForeignHoldings, saturate};
use crate::reconcile::{Believed, Question, Truth};

/// Wall time between two comparisons when nothing asks for one sooner.
pub(crate) const INTERVAL: Nanos = Nanos::from_secs(30);

/// Pause before an answer that was overtaken by a fill is asked for again, wall time.
const AGAIN: Nanos = Nanos::from_millis(100);

/// Pause after a question that failed, wall time.
const AFTER_FAILURE: Nanos = Nanos::from_secs(1);

/// A question without an answer after this wall time is asked again.
const PATIENCE: Nanos = Nanos::from_secs(120);

/// A question under way.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Fills booked when it was asked.
    bookings: u64,
    /// Wall time.
    at: Nanos,
}

/// The comparison of one venue's account.
#[derive(Debug)]
pub(crate) struct Comparison {
    venue: Venue,
    instruments: Arc<Instruments>,
    folder: PathBuf,
    foreign: Option<ForeignHoldings>,
    /// Rises with every question.
    generation: u64,
    asked: Option<Asked>,
    /// When to ask next, wall time.
    next: Nanos,
    is_online: bool,
    is_reconciled: bool,
    /// Answers taken so far.
    taken: u64,
}

impl Comparison {
    pub(crate) fn new(
        venue: Venue,
        instruments: Arc<Instruments>,
        folder: PathBuf,
        foreign: Option<ForeignHoldings>,
    ) -> Self {
        Self {
            venue,
            instruments,
            folder,
            foreign,
            generation: 0,
            asked: None,
            next: Nanos(0),
            is_online: false,
            is_reconciled: false,
            taken: 0,
        }
    }

    pub(crate) const fn is_online(&self) -> bool {
        self.is_online
    }

    pub(crate) const fn is_reconciled(&self) -> bool {
        self.is_reconciled
    }

    /// Answers taken so far.
    pub(crate) const fn taken(&self) -> u64 {
        self.taken
    }

    /// The venue's streams are up, or not; `wall` is monotonic wall time.
    pub(crate) fn set_online(&mut self, online: bool, wall: Nanos) {
        self.is_online = online;
        self.is_reconciled = false;
        self.asked = None;
        self.next = wall;
    }

    /// Something happened that only the venue can clear up.
    pub(crate) fn ask_soon(&mut self, wall: Nanos) {
        self.next = self.next.min(wall);
    }

    /// Asks when it is time.
    pub(crate) fn tick(&mut self, driver: &mut Driver, wall: Nanos) {
        let waits = self.asked.is_some_and(|asked| wall.0 - asked.at.0 < PATIENCE.0);
        if !self.is_online || waits || wall < self.next {
            return;
        }
        self.generation += 1;
        let question = Question {
            generation: self.generation,
            believed: believed(driver),
        };
        match driver.out().egress.hand_over(Errand::Reconcile(question)) {
            Ok(()) => {
                let bookings = driver.out().bookings;
                self.asked = Some(Asked { bookings, at: wall });
            }
            Err(refused) => {
                warn!(%refused, "the venue was not asked about our account");
                self.next = Nanos(wall.0 + AFTER_FAILURE.0);
            }
        }
    }

    /// The venue could not be asked.
    pub(crate) fn on_no_truth(&mut self, generation: u64, driver: &Driver, wall: Nanos) {
        if generation == self.generation && self.asked.take().is_some() {
            driver.out().counters.reconciliations_failed.add_one();
            self.next = Nanos(wall.0 + AFTER_FAILURE.0);
        }
    }

    /// What the venue says.
    pub(crate) fn on_truth(&mut self, truth: &Truth, driver: &mut Driver, received: Timestamp, wall: Nanos) {
        let Some(asked) = self.asked.take_if(|_| truth.generation == self.generation) else {
            return;
        };
        // The answer's own fills are in its balances; fills booked meanwhile may not be.
        let is_fresh = asked.bookings == driver.out().bookings;
        for report in &truth.reports {
            driver.give(received, EventBody::OrderReport(*report));
        }
        for view in &truth.open {
            on_open_order(view, driver, received);
        }
        if !is_fresh {
            driver.out().counters.reconciliations_failed.add_one();
            self.next = Nanos(wall.0 + AGAIN.0);
            return;
        }
        if let Err(problem) = self.find_foreign(truth, driver) {
            error!(%problem, "the account cannot be compared: nothing is traded");
            self.next = Nanos(wall.0 + AFTER_FAILURE.0);
            return;
        }
        self.compare(truth, driver, received);
        driver.out().counters.reconciliations.add_one();
        self.taken += 1;
        self.next = Nanos(wall.0 + INTERVAL.0);
        if !self.is_reconciled {
            self.is_reconciled = true;
            driver.give(received, EventBody::Reconciled { venue: self.venue });
            info!(venue = %self.venue, open_orders = truth.open.len(), "compared with the venue's account: orders may leave; a difference stands in an alert");
        }
    }

    /// Learns what of the account is not ours, when no earlier comparison has.
    fn find_foreign(&mut self, truth: &Truth, driver: &Driver) -> Result<(), String> {
        if self.foreign.is_some() {
            return Ok(());
        }
        let engine = driver.engine();
        let is_flat = engine
            .positions()
            .all(|position| position.quantity == Quantity::ZERO);
        if !is_flat || driver.open_orders() > 0 {
            return Err(format!(
                "{} holds no {}, but the record has positions or open orders: restore the file from a copy",
                self.folder.display(),
                crate::holdings::FILE
            ));
        }
        let bases = self.instruments.iter().map(|instrument| instrument.base);
        let foreign = ForeignHoldings::beyond(bases, &truth.balances, |_| 0);
        foreign.save(&self.folder).map_err(|error| error.to_string())?;
        info!(?foreign, "what the account held before is not ours");
        self.foreign = Some(foreign);
        Ok(())
    }

    /// Tells the engine balances and positions.
    fn compare(&self, truth: &Truth, driver: &mut Driver, received: Timestamp) {
        for currency in self.assets() {
            let known = truth.balances.iter().find(|balance| balance.currency == currency);
            let balance = known.copied().unwrap_or(Balance {
                currency,
                free: Quantity::ZERO,
                locked: Quantity::ZERO,
            });
            let venue = self.venue;
            driver.give(received, EventBody::Balance { venue, balance });
        }
        let Some(foreign) = &self.foreign else { return };
        for instrument in self.instruments.iter() {
            // Instruments of one base share its balance: each is measured with the others taken as they are.
            let elsewhere: i128 = self
                .instruments
                .iter()
                .filter(|other| other.base == instrument.base && other.id != instrument.id)
                .map(|other| i128::from(driver.engine().account_position(other.id).units()))
                .sum();
            let ours = foreign.ours(instrument.base, &truth.balances) - elsewhere;
            let position = VenuePosition {
                instrument: instrument.id,
                quantity: Quantity::from_units(saturate(ours)),
            };
            driver.give(received, EventBody::VenuePosition(position));
        }
    }

    /// Every asset of the instruments, once.
    fn assets(&self) -> Vec<Currency> {
        let mut assets: Vec<_> = self
            .instruments
            .iter()
            .flat_map(|instrument| [instrument.base, instrument.quote])
            .collect();
        assets.sort_unstable();
        assets.dedup();
        assets
    }
}

/// An order that rests at the venue: is it where we believe it is?
fn on_open_order(view: &OrderView, driver: &mut Driver, received: Timestamp) {
    let Some(id) = view.client_order_id else {
        warn!(venue_order = %view.venue_order_id.0, "somebody else's order rests on our account");
        return;
    };
    match driver.engine().order(id).map(|order| order.status) {
        // We took it for refused, and it is there: the engine cancels it.
        Some(OrderStatus::Rejected | OrderStatus::Denied) => {
            driver.give(
                received,
                EventBody::OrderReport(OrderReport {
                    client_order_id: id,
                    instrument: view.instrument,
                    ts_event: view.ts_event,
                    kind: OrderReportKind::Accepted(view.venue_order_id),
                }),
            );
        }
        Some(_) => {}
        None if id.epoch < driver.engine().epoch() => {
            warn!(order = %id, "an order of an earlier life that no record knows: canceled");
            let cancel = CancelRequest {
                client_order_id: id,
                instrument: view.instrument,
            };
            if let Err(refused) = driver.out().egress.cancel(cancel, driver.now()) {
                warn!(order = %id, %refused, "not canceled yet");
            }
        }
        None => {
            error!(order = %id, "an order with an id of ours that this life did not send: another instance?");
        }
    }
}

/// Orders that the venue has said it has.
fn believed(driver: &Driver) -> Vec<Believed> {
    let orders = driver.engine().orders();
    let there = orders
        .take_while(|order| !order.status.is_terminal())
        .filter(|order| {
            matches!(
                order.status,
                OrderStatus::Accepted | OrderStatus::PartiallyFilled | OrderStatus::PendingCancel
            )
        });
    there
        .map(|order| Believed {
            order: CancelRequest {
                client_order_id: order.request.client_order_id,
                instrument: order.request.instrument,
            },
            sent: order.submitted_at,
            filled: order.filled,
        })
        .collect()
}
