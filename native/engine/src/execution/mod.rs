//! Execution: from a wish to an order, and what becomes of it.

mod fill_memory;
mod order;
mod order_manager;
mod sizing;
mod transition;

pub(crate) use fill_memory::FillMemory;
pub(crate) use order::Order;
pub use order::OrderView;
pub(crate) use order_manager::{Applied, FillApplied, OrderManager, carried};
pub(crate) use sizing::{largest_order, request_of};
pub use transition::{OrderFacts, OrderInput, Step, step};
