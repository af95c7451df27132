//! `domain`: the vocabulary of py_rt; no I/O, and deliberately not serialisable.
//!
//! Every crate speaks in these types. Prices, quantities and money are integers
//! ([`Price`], [`Quantity`], [`Money`]); nothing here converts from a float (a [`Number`]
//! is none of them), and nothing here knows how it is written to a wire or a file: each
//! boundary crate owns its own encoding and converts.

mod bar;
mod fixed;
mod ids;
mod instrument;
mod ladder;
mod market_event;
mod money;
mod number;
mod order;
mod order_book;
mod order_report;
mod price;
mod quote;
mod text;
mod time;
mod trade;
mod venue;

pub use bar::Bar;
pub use fixed::{Decimal, FixedPointError, SCALE, SCALE_DIGITS};
pub use ids::{BundleDigest, ClientOrderId, Epoch, InstrumentId, SlotId, TradeId, VenueOrderId};
pub use instrument::{Instrument, InstrumentRules, InstrumentStatus, RuleViolation};
pub use ladder::Ladder;
pub use market_event::{
    BookInvalid, BookInvalidReason, BookUpdate, BookUpdateKind, Level, MarketEvent, VenueState, VenueStatus,
};
pub use money::{Currency, Money, MoneyError};
pub use number::Number;
pub use order::{
    AmendRequest, CancelRequest, OrderRequest, OrderStatus, OrderTerms, OrderType, Side, TimeInForce,
};
pub use order_book::{OrderBookEvent, PublicOrder, PublicOrderId};
pub use order_report::{
    AmendRejectReason, Balance, CancelRejectReason, Fill, Liquidity, OrderReport, OrderReportKind,
    OrderSnapshot, RejectReason,
};
pub use price::{Price, Quantity};
pub use quote::Quote;
pub use text::Text;
pub use time::{Nanos, Timestamp};
pub use trade::Trade;
pub use venue::Venue;
