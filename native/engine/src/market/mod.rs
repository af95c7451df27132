//! Market: what the engine believes about each instrument's book and bars, and what several venues offer together.

mod bars;
mod book;
mod consolidated;
mod history;

pub use bars::{BarBuilder, BarOutcome};
pub use book::{Book, BookState};
pub use consolidated::{Consolidated, ConsolidatedError, Member, Offer, Offers, Pricing, Stamps, Standing};
pub use history::BarHistory;
