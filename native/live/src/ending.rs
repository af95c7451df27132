//! The end of a life, in order: no new orders, cancels, a last comparison, the record closed.

use domain::Nanos;
use engine::{CommandKind, EventBody, Scope};
use tracing::{info, warn};

use crate::comparison::Comparison;
use crate::driver::Driver;
use crate::egress::Halt;
use crate::error::{EXIT_DEFECT, EXIT_OK, EXIT_ORDERS_LEFT, EXIT_RECORD};
use crate::record::RecordFault;

/// Longest wait for orders to end, wall time.
pub(crate) const CANCEL_PATIENCE: Nanos = Nanos::from_secs(10);

/// Longest wait for the last comparison while the venue is away, wall time.
const AWAY_PATIENCE: Nanos = Nanos::from_secs(5);

/// Longest wait for the last comparison, wall time: at Kraken the budget of requests comes back within it.
const COMPARE_PATIENCE: Nanos = Nanos::from_secs(20);

/// How a life ended.
#[derive(Debug)]
pub struct Ended {
    /// Why it sent no new orders any more.
    pub halt: Halt,
    /// Orders that may still trade.
    pub orders_left: u64,
    /// Whether the account was compared with the venue's after the last order had ended.
    pub compared: bool,
    /// Events taken in.
    pub events: u64,
    /// Why the record is not whole, if it is not.
    pub fault: Option<RecordFault>,
}

impl Ended {
    /// The exit status that says it.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match (&self.fault, self.halt) {
            (Some(_), _) | (None, Halt::Record) => EXIT_RECORD,
            (None, Halt::Defect) => EXIT_DEFECT,
            (None, Halt::Draining) if self.orders_left > 0 => EXIT_ORDERS_LEFT,
            (None, Halt::Draining) => EXIT_OK,
        }
    }
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Running,
    Canceling { until: Nanos },
    Comparing { begun: Nanos, taken: u64 },
    Done,
}

/// The way from running to ended.
#[derive(Debug)]
pub(crate) struct Ending {
    step: Step,
    compared: bool,
}

impl Ending {
    pub(crate) const fn new() -> Self {
        Self {
            step: Step::Running,
            compared: false,
        }
    }

    pub(crate) const fn has_begun(&self) -> bool {
        !matches!(self.step, Step::Running)
    }

    pub(crate) const fn is_done(&self) -> bool {
        matches!(self.step, Step::Done)
    }

    /// Begins the end; a second time changes nothing. `wall` is monotonic wall time.
    pub(crate) fn begin(&mut self, reason: Halt, driver: &mut Driver, wall: Nanos) {
        if self.has_begun() {
            return;
        }
        info!(%reason, "draining: strategies are silent, working orders are canceled");
        driver.out_mut().egress.halt(reason);
        driver.take_in_hand();
        driver.give(driver.now(), EventBody::Ending);
        driver.take_in_hand();
        let canceled = driver.command(driver.now(), CommandKind::CancelOrders(Scope::All));
        if canceled != Some(Ok(())) {
            warn!(?canceled, "orders were not canceled while draining");
        }
        self.step = Step::Canceling {
            until: Nanos(wall.0 + CANCEL_PATIENCE.0),
        };
    }

    /// Goes on as far as possible.
    pub(crate) fn advance(&mut self, driver: &Driver, comparison: &mut Comparison, wall: Nanos) {
        if driver.recording().is_dead() {
            // The engine takes nothing in any more: others cancel what rests at the venue.
            self.step = Step::Done;
        }
        match self.step {
            Step::Canceling { until } => {
                let left = driver.open_orders();
                if left > 0 && wall < until {
                    return;
                }
                if left > 0 {
                    warn!(left, "orders did not end in time: look at the venue");
                }
                comparison.ask_last(wall);
                self.step = Step::Comparing {
                    begun: wall,
                    taken: comparison.taken(),
                };
            }
            Step::Comparing { begun, taken } => {
                self.compared = comparison.taken() > taken;
                let patience = if comparison.is_online() {
                    COMPARE_PATIENCE
                } else {
                    AWAY_PATIENCE
                };
                if self.compared || wall.0 >= begun.0 + patience.0 {
                    self.step = Step::Done;
                }
            }
            Step::Running | Step::Done => {}
        }
    }

    /// Whoever held the service has let go of it: nothing is to be done any more.
    pub(crate) fn abandon(&mut self) {
        self.step = Step::Done;
    }

    /// Closes the record and sums up.
    pub(crate) fn finish(&self, driver: &mut Driver) -> Ended {
        let fault = driver.recording_mut().finish();
        Ended {
            halt: driver.out().egress.halted().unwrap_or(Halt::Draining),
            orders_left: driver.open_orders(),
            compared: self.compared,
            events: driver.seq(),
            fault,
        }
    }
}
