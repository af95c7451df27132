//! Our account against the venue's: when to ask, and what to make of the answer.
//!
//! Asked on every connection, every [`INTERVAL`], and when something doubtful happened. An answer is taken whole or
//! not at all: what was asked on an older connection, or before a fill that has been booked since, is asked again.

use domain::{CancelRequest, Nanos, OrderStatus, Timestamp, Venue};
use engine::EventBody;
use tracing::{error, info, warn};

use crate::account_watch::AccountWatch;
use crate::desk::Errand;
use crate::driver::Driver;
use crate::reconcile::{Believed, Question, Truth};

/// Wall time between two comparisons when nothing asks for one sooner.
pub(crate) const INTERVAL: Nanos = Nanos::from_secs(30);

/// First and longest pause before an answer that was overtaken by a fill is asked for again, wall time. Each is twice the
/// one before: an account that trades all the time overtakes every answer.
const AGAIN: (Nanos, Nanos) = (Nanos::from_millis(100), Nanos::from_secs(30));

/// Pause after a question that failed, wall time.
const AFTER_FAILURE: Nanos = Nanos::from_secs(1);

/// Least pause between two questions that balances ask for, wall time.
const BETWEEN: Nanos = Nanos::from_secs(5);

/// A question without an answer after this wall time is asked again. The account of as many instruments as one connection
/// of Binance carries is asked for three minutes in half of the budget.
const PATIENCE: Nanos = Nanos::from_secs(300);

/// A question under way.
#[derive(Debug, Clone, Copy)]
struct Asked {
    /// Fills booked when it was asked.
    bookings: u64,
    /// Wall time.
    at: Nanos,
}

/// How long it takes until the next answer is asked for that a fill overtakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Overtaken(Nanos);

impl Default for Overtaken {
    fn default() -> Self {
        Self(AGAIN.0)
    }
}

impl Overtaken {
    fn next_pause(&mut self) -> Nanos {
        let pause = self.0;
        self.0 = Nanos((2 * pause.0).min(AGAIN.1.0));
        pause
    }
}

/// The comparison of one venue's account.
#[derive(Debug)]
pub(crate) struct Comparison {
    venue: Venue,
    account: AccountWatch,
    /// Pause until a difference that nothing explains is looked at again, wall time.
    second_look: Nanos,
    /// When the last answer was taken, wall time.
    last: Nanos,
    /// Rises with every question.
    generation: u64,
    asked: Option<Asked>,
    /// When to ask next, wall time.
    next: Nanos,
    is_online: bool,
    is_reconciled: bool,
    /// Answers taken so far.
    taken: u64,
    overtaken: Overtaken,
    /// Orders have ended, and nothing but the comparison is waited for.
    is_last: bool,
}

impl Comparison {
    pub(crate) fn new(venue: Venue, account: AccountWatch, second_look: Nanos) -> Self {
        Self {
            venue,
            account,
            second_look,
            last: Nanos(0),
            generation: 0,
            asked: None,
            next: Nanos(0),
            is_online: false,
            is_reconciled: false,
            taken: 0,
            overtaken: Overtaken::default(),
            is_last: false,
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
        self.overtaken = Overtaken::default();
        self.account.forget_suspects();
    }

    /// Something happened that only the venue can clear up.
    pub(crate) fn ask_soon(&mut self, wall: Nanos) {
        self.next = self.next.min(wall);
    }

    /// The service ends: asked at once, and from now on without regard for what else may need the budget.
    pub(crate) const fn ask_last(&mut self, wall: Nanos) {
        self.is_last = true;
        self.next = wall;
    }

    /// A balance is not what the engine makes of it: looked at soon, but not with every message, and not before an answer
    /// that was overtaken is asked for again.
    pub(crate) fn on_odd_balance(&mut self, wall: Nanos) {
        if self.overtaken != Overtaken::default() {
            return;
        }
        self.next = self.next.min(wall.max(Nanos(self.last.0 + BETWEEN.0)));
    }

    /// The first answer of a life is wanted before anything may leave, and the last one when nothing leaves any more.
    fn yields(&self) -> bool {
        let is_first = self.taken == 0 && self.overtaken == Overtaken::default();
        !is_first && !self.is_last
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
            asked: driver.now(),
            since: self.account.since(driver),
            booked: AccountWatch::booked(driver),
            learns: self.account.learns(driver),
            yields: self.yields(),
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
        let asked = self.asked.take_if(|_| truth.generation == self.generation);
        // The answer's own fills are in its balances; fills booked meanwhile may not be.
        let is_fresh = asked
            .as_ref()
            .is_some_and(|asked| asked.bookings == driver.out().bookings);
        // What became of an order stays true however late it is told, and is booked once.
        for report in &truth.reports {
            driver.give(received, EventBody::OrderReport(*report));
        }
        if asked.is_none() {
            driver.out().counters.reconciliations_failed.add_one();
            return;
        }
        self.account.on_orders_and_trades(truth, driver, received);
        if !is_fresh {
            driver.out().counters.reconciliations_failed.add_one();
            self.next = Nanos(wall.0 + self.overtaken.next_pause().0);
            return;
        }
        let waits = match self.account.settle(truth, driver, received, wall) {
            Ok(waits) => waits,
            Err(problem) => {
                error!(%problem, "the account cannot be compared: nothing is traded");
                self.next = Nanos(wall.0 + AFTER_FAILURE.0);
                return;
            }
        };
        driver.out().counters.reconciliations.add_one();
        self.taken += 1;
        self.overtaken = Overtaken::default();
        self.last = wall;
        self.next = Nanos(wall.0 + if waits { self.second_look.0 } else { INTERVAL.0 });
        if !self.is_reconciled {
            self.is_reconciled = true;
            driver.give(received, EventBody::Reconciled { venue: self.venue });
            info!(venue = %self.venue, open_orders = truth.open.len(), "compared with the venue's account: orders may leave; a difference stands in an alert");
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

#[cfg(test)]
mod tests;
