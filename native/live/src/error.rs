//! What can end the service, and the exit status that says so.

use std::path::PathBuf;

use domain::Nanos;
use thiserror::Error;

use crate::record::RecordFault;

/// Exit status after a drain, and of a check that found nothing.
pub const EXIT_OK: u8 = 0;
/// Exit status of a defect: a thread of the service ended on its own.
pub const EXIT_DEFECT: u8 = 1;
/// Exit status of a refused command line, configuration or environment.
pub const EXIT_CONFIG: u8 = 2;
/// Exit status when another instance holds the run folder.
pub const EXIT_HELD: u8 = 3;
/// Exit status when the venue could not be used at the start.
pub const EXIT_VENUE: u8 = 4;
/// Exit status when the record is damaged or cannot be written.
pub const EXIT_RECORD: u8 = 5;
/// Exit status of a drain that could not prove that no order is left at the venue.
pub const EXIT_ORDERS_LEFT: u8 = 6;
/// Exit status of a watchdog that canceled the orders of a silent service.
pub const EXIT_SILENT: u8 = 7;

/// Why the service did not start, or ended.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The service's file, or one that it extends, was refused.
    #[error("{0}")]
    Config(#[from] config::LoadError),
    /// Other files that the service's file names were refused; one fault per line.
    #[error("{}", .0.join("\n"))]
    Files(Vec<String>),
    /// A file or folder of the run could not be used.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the run does not hold what it should.
    #[error("{path}: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The run folder, a socket or a segment in it was refused.
    #[error(transparent)]
    Ipc(#[from] ipc::IpcError),
    /// The venue's keys are not there.
    #[error("{0} ([venue] api_key_env and api_secret_env in the service's file name the variables)")]
    Credentials(#[source] venues::VenueError),
    /// The watchdog does not watch.
    #[error("the watchdog does not start: {0}")]
    Watchdog(String),
    /// The venue does not accept the watchdog's key.
    #[error("the watchdog does not start: {0}")]
    WatchdogKeyRefused(String),
    /// The venue refused, or did not answer, what the start needs.
    #[error("the venue could not be used: {0}")]
    Venue(#[from] venues::VenueError),
    /// A venue of `[[watch]]` cannot be watched as the file has it.
    #[error("[[watch]] {venue}: {source}")]
    Watch {
        /// Which venue.
        venue: domain::Venue,
        /// What is wrong.
        source: venues::VenueError,
    },
    /// The venue does not accept the account's keys.
    #[error(
        "the venue refused the keys in the environment variables {key_env} and {secret_env}: {source} \
         (a key of another account or network, one that lacks a permission, or a changed secret)"
    )]
    KeysRefused {
        /// `[venue] api_key_env`.
        key_env: String,
        /// `[venue] api_secret_env`.
        secret_env: String,
        /// What the venue said.
        source: venues::VenueError,
    },
    /// The key may take funds out of the account.
    #[error(
        "the key in the environment variable {key_env} may withdraw funds: make one that may only read and trade, and \
         delete this one"
    )]
    KeyMayWithdraw {
        /// `[venue] api_key_env`.
        key_env: String,
    },
    /// This machine's clock and the venue's are too far apart.
    #[error(
        "this machine's clock is {} ms from the venue's, at most {} ms are allowed in stage prod: set the clock (NTP)",
        .offset.0 / -1_000_000, .max.0 / 1_000_000
    )]
    Clock {
        /// The venue's time minus this machine's.
        offset: Nanos,
        /// `[clock] offset_max_ms`.
        max: Nanos,
    },
    /// The record is damaged, or cannot be written.
    #[error("the record: {0}")]
    Record(#[from] RecordFault),
    /// A recording cannot be played through the engine as it is asked for.
    #[error("not replayed: {0}")]
    Replay(String),
    /// Something in the service itself is wrong.
    #[error("{0}")]
    Defect(String),
    /// The sockets for commands and telemetry were refused.
    #[error(transparent)]
    Messaging(#[from] messaging::MessagingError),
    /// Another process on this machine trades with the same key.
    #[error(
        "the venue's account of this key is held by {holder}: one service for an account, stop that one first"
    )]
    AccountHeld {
        /// Who holds it, as far as it says.
        holder: String,
    },
    /// Another process holds the run folder.
    #[error("{path} is held by {holder}: stop that instance first, or give this one a run_folder of its own")]
    Held {
        /// The run folder.
        path: PathBuf,
        /// Who holds it, as far as it says.
        holder: String,
    },
}

impl LiveError {
    /// The exit status that tells this error from others.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Files(_)
            | Self::File { .. }
            | Self::Content { .. }
            | Self::Ipc(_)
            | Self::Messaging(_)
            | Self::Credentials(_)
            | Self::Watchdog(_)
            | Self::Watch { .. }
            | Self::Replay(_) => EXIT_CONFIG,
            Self::Venue(_)
            | Self::KeysRefused { .. }
            | Self::KeyMayWithdraw { .. }
            | Self::WatchdogKeyRefused(_)
            | Self::Clock { .. } => EXIT_VENUE,
            Self::Held { .. } | Self::AccountHeld { .. } => EXIT_HELD,
            Self::Record(_) => EXIT_RECORD,
            Self::Defect(_) => EXIT_DEFECT,
        }
    }
}
