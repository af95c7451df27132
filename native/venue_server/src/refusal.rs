//! Why the venue refuses, whatever the wire: each wire words it as its venue does.

use crate::venue::Mode;

/// A rule of the instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Off the tick, or outside of the allowed prices.
    Price,
    /// Too far from the last trade.
    PriceRange,
    /// Off the lot, too small or too large.
    Quantity,
    /// Too little money.
    Notional,
}

/// A definite no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A rule of the instrument.
    Filter(Filter),
    /// Too many open orders of the account.
    OpenOrders,
    /// Too many open orders of the whole venue.
    VenueOrders,
    /// An open order has this client id.
    DuplicateId,
    /// Not enough free balance.
    Balance,
    /// It was to rest only, and would take.
    WouldTake,
    /// No such open order.
    UnknownOrder,
    /// Too many requests: the limit on weight a minute, and seconds until the next window.
    RequestRate { limit: u64, retry_after_s: u64 },
    /// Too many orders: the limit in ten seconds.
    OrderRate { limit: u64 },
    /// What the venue does not take at the moment.
    Mode(Mode),
    /// Anything else.
    Disabled,
}
