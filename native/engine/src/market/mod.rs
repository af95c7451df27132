//! Market: what the engine believes about each instrument's book and bars.

mod bars;
mod book;
mod history;

pub use bars::{BarBuilder, BarOutcome};
pub use book::Book;
pub use history::BarHistory;
