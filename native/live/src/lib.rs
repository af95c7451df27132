//! The only service: clock, environment, threads, sockets.

pub mod error;
pub mod run_folder;
pub mod setup;

pub use error::LiveError;
pub use run_folder::RunFolder;
pub use setup::Setup;
