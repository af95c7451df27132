//! What happens at the venue, before a wire puts it into words.

use domain::{Currency, Timestamp, Trade};
use simulation::{Best, DepthDiff};

use crate::orders::{FillRecord, OrderRecord};
use crate::venue::Mode;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// A public trade.
    Trade(&'a Trade),
    /// The best prices changed.
    Quote(Timestamp, &'a Best),
    /// Levels of the book changed: what one of the wire's grids gathered, see [`crate::wire::VenueKind::grids`].
    Book { grid: usize, diff: &'a DepthDiff<'a> },
    /// Something happened to an order.
    Order(&'a OrderNews<'a>),
    /// Balances of an account changed.
    Balances {
        account: usize,
        currencies: &'a [Currency],
        time_ms: i64,
    },
    /// What the venue takes changed.
    Mode(Mode),
    /// A second of wall time has passed.
    Heartbeat,
    /// The venue is about to go away for a while.
    Shutdown,
}

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happening {
    /// It was taken.
    Accepted,
    /// It traded.
    Filled,
    /// It was canceled.
    Canceled,
    /// The venue ended it.
    Expired,
    /// Its quantity or price changed.
    Amended,
}

/// News of an order, for its owner.
#[derive(Debug)]
pub(crate) struct OrderNews<'a> {
    pub(crate) order: &'a OrderRecord,
    pub(crate) what: Happening,
    pub(crate) fill: Option<&'a FillRecord>,
    /// The client's own name of the cancel.
    pub(crate) cancel_id: Option<&'a str>,
    pub(crate) execution_id: u64,
    pub(crate) time_ms: i64,
}
