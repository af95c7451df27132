//! Orders and what venues report about them.

use domain::{
    AmendRejectReason, AmendRequest, Balance, CancelRejectReason, CancelRequest, Fill, Liquidity,
    OrderReport, OrderReportKind, OrderRequest, OrderSnapshot, OrderStatus, OrderTerms, OrderType,
    RejectReason, TimeInForce,
};

use super::CodecError;
use super::bytes::{Codec, Input, fields, variants};

variants!(OrderType, "order type" { 1 => Market, 2 => Limit });
variants!(TimeInForce, "time in force" { 1 => Gtc, 2 => Ioc, 3 => Fok, 4 => Gtd(until) });
variants!(Liquidity, "liquidity" { 1 => Maker, 2 => Taker });
variants!(OrderStatus, "order status" {
    1 => Initialized,
    2 => Submitted,
    3 => Accepted,
    4 => PartiallyFilled,
    5 => Filled,
    6 => PendingCancel,
    7 => Canceled,
    8 => Rejected,
    9 => Denied,
    10 => Expired,
    11 => Unknown,
});
variants!(RejectReason, "reason of a rejection" {
    1 => Filter,
    2 => InsufficientBalance,
    3 => WouldTake,
    4 => RateLimit,
    5 => DuplicateId,
    6 => Authentication,
    7 => NotTrading,
    8 => Other,
});
variants!(CancelRejectReason, "reason why a cancel was rejected" { 1 => UnknownOrder, 2 => Other });

fields!(OrderRequest {
    client_order_id,
    instrument,
    side,
    order_type,
    price,
    quantity,
    time_in_force,
    post_only,
    reduce_only,
});
fields!(CancelRequest {
    client_order_id,
    instrument
});
fields!(Fill {
    trade_id,
    price,
    quantity,
    side,
    fee,
    liquidity,
});
fields!(OrderSnapshot { status, filled });
fields!(OrderTerms { price, quantity });
fields!(AmendRequest {
    client_order_id,
    instrument,
    terms,
});
variants!(AmendRejectReason, "reason why an order was not changed" {
    1 => UnknownOrder,
    2 => NotOffered,
    3 => Other,
});
fields!(Balance {
    currency,
    free,
    locked
});

variants!(OrderReportKind, "order report" {
    1 => Accepted(venue_order_id),
    2 => Rejected(reason),
    3 => NotSent,
    4 => OutcomeUnknown,
    5 => Filled(fill),
    6 => Canceled,
    7 => CancelRejected(reason),
    8 => Expired,
    9 => Found(snapshot),
    10 => NotFound,
    11 => Amended(terms),
    12 => AmendRejected(reason),
});
fields!(OrderReport {
    client_order_id,
    instrument,
    ts_event,
    kind,
});
