//! What a driver sees of a venue in simulated time.

use domain::{CancelRequest, MarketEvent, OrderReport, OrderRequest, Timestamp};

use crate::faults::OrderFault;

/// What reaches us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VenueEventBody<'a> {
    /// Public data.
    Market(MarketEvent<'a>),
    /// A report about one of our orders.
    Report(OrderReport),
}

/// One thing that reaches us from the venue, at the local time at which it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VenueEvent<'a> {
    /// Local time.
    pub ts_received: Timestamp,
    /// What it is.
    pub body: VenueEventBody<'a>,
}

/// A venue in simulated time.
///
/// A driver asks for the next event up to its next timer, acts, and asks again:
///
/// ```
/// # use domain::Timestamp;
/// # use simulation::Venue;
/// fn drive(venue: &mut impl Venue) -> usize {
///     let mut events = 0;
///     while venue.next_event(Timestamp::from_nanos(i64::MAX)).is_some() {
///         events += 1; // ... and submit orders at the event's `ts_received`
///     }
///     events
/// }
/// ```
pub trait Venue {
    /// Sends an order at local time `now`. It reaches the matching engine after the entry latency and never
    /// overtakes an earlier request. A `now` before the last event handed out counts as that event's time.
    fn submit(&mut self, request: &OrderRequest, now: Timestamp);

    /// Sends a cancel at local time `now`, as [`Venue::submit`].
    fn cancel(&mut self, request: &CancelRequest, now: Timestamp);

    /// Asks at local time `now` what became of an order: the answer is `Found` or `NotFound`. The venue forgets
    /// orders that ended more than [`crate::ORDERS_ENDED_KEPT`] orders ago.
    fn query(&mut self, request: &CancelRequest, now: Timestamp);

    /// The next event with `ts_received <= until`, in order of (time, market data before reports, sequence);
    /// `None` when there is none up to then.
    ///
    /// The venue side never runs past `until`, so an order sent at a timer's time is matched causally.
    fn next_event(&mut self, until: Timestamp) -> Option<VenueEvent<'_>>;

    /// Whether nothing will ever come again unless something is sent.
    fn is_finished(&mut self) -> bool;

    /// The next order that is submitted meets `fault`. Several wait in line, one for each order.
    fn inject(&mut self, fault: OrderFault);
}
