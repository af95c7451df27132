//! `simulation`: the venue as a model in simulated time; no I/O.
//!
//! Two venues stand behind one trait, [`Venue`]: [`SimulatedVenue`] turns real bars into a seeded flow of
//! orders and matches own orders in it; [`QuoteVenue`] matches own orders against recorded quotes and trades.
//! Both are deterministic: the same seed and the same calls give the same events.
//!
//! [`PaperVenue`] matches own orders against a market that is told from outside, live or recorded, and decides every doubt
//! against them.
//!
//! [`Market`] is the layer below, in venue time and without latency, for a server that paces it by a clock.

mod depth_feed;
mod desk;
mod error;
mod faults;
mod fees;
mod flow;
mod latency;
mod market;
mod matching;
mod paper;
mod quote_book;
mod quote_venue;
mod random;
mod simulated_venue;
#[cfg(test)]
mod testing;
mod venue;

pub use depth_feed::{DepthDiff, DepthFeed};
pub use desk::{DeskOrder, ORDERS_ENDED_KEPT};
pub use error::SimulationError;
pub use faults::OrderFault;
pub use fees::{FeeAsset, FeeSchedule};
pub use flow::{
    BarFlow, FlowConfig, FlowEvent, FlowKind, LEVELS_MAX, OPENING_LEAD, PPM_MAX, QUIET_CHANGES_MAX,
    TRADES_PER_BAR_MAX,
};
pub use latency::{Latency, LatencyModel};
pub use market::Market;
pub use matching::{
    Best, ExpiryReason, MatchingEngine, NewOrder, OFF_TAPE_ID_BASE, ORDERS_OPEN_MAX, OrderId, OrderOutcome,
    Outbox, Output, Owner, SelfTradePrevention,
};
pub use paper::{
    PAPER_FILLS_KEPT, PAPER_LEVELS_MAX, PaperConfig, PaperEvent, PaperFill, PaperLeft, PaperVenue,
};
pub use quote_venue::{PublicEvent, QuoteVenue, QuoteVenueConfig};
pub use simulated_venue::{FeedConfig, SimulatedVenue, VenueConfig};
pub use venue::{Venue, VenueEvent, VenueEventBody};
