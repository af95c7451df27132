//! The only service: clock, environment, threads, sockets.

pub mod clock;
mod comparison;
mod desk;
mod driver;
pub mod egress;
pub mod ending;
mod engine_loop;
pub mod error;
mod fact;
mod history;
mod holdings;
mod inputs;
mod link;
pub mod monitoring;
mod outputs;
mod reconcile;
pub mod record;
mod recording;
mod rules;
pub mod run_folder;
pub mod service;
pub mod session;
pub mod setup;
pub mod stop_latch;
mod timers;
pub mod view;
mod wake;
pub mod wiring;

pub use ending::Ended;
pub use error::LiveError;
pub use run_folder::RunFolder;
pub use service::{Commander, Service};
pub use session::credentials;
pub use setup::Setup;
pub use wiring::{Ports, start};
