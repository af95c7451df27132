//! Why there was no tour.

use thiserror::Error;
use venues::VenueError;

/// Exit status of a command line, configuration or environment that was refused.
pub(crate) const EXIT_WRONG: u8 = 2;
/// Exit status of a tour that was refused: a key with too many rights, or no consent.
pub(crate) const EXIT_REFUSED: u8 = 3;
/// Exit status when the venue could not be used at all.
pub(crate) const EXIT_VENUE: u8 = 4;

/// Why there was no tour.
#[derive(Debug, Error)]
pub(crate) enum CertifyError {
    /// The service's file was refused.
    #[error("{0}")]
    Config(#[from] config::LoadError),
    /// An option that cannot work.
    #[error("{option}: {problem}")]
    Option {
        /// Which one.
        option: &'static str,
        /// What is wrong and what is allowed.
        problem: String,
    },
    /// The keys are not there.
    #[error("{0} ([venue] api_key_env and api_secret_env in the service's file name the variables)")]
    Credentials(#[source] VenueError),
    /// The address is not on this machine, and nobody agreed.
    #[error(
        "{address} is not on this machine: nothing was sent; say --consent {address} when orders may be placed there"
    )]
    NoConsent {
        /// Where the tour would have gone.
        address: String,
    },
    /// The key may take funds out of the account.
    #[error(
        "the key in the environment variable {key_env} may withdraw funds: nothing was placed; make a key that may only \
         read and trade, and delete this one"
    )]
    KeyMayWithdraw {
        /// The variable.
        key_env: String,
    },
    /// Nobody said whether the key may take funds out of the account.
    #[error(
        "the venue did not tell of the rights of the key in the environment variable {key_env}: nothing was placed, \
         for it may withdraw funds"
    )]
    RightsUntold {
        /// The variable.
        key_env: String,
    },
    /// Without these there is nothing to tour.
    #[error("the venue could not be used: {0}")]
    Venue(#[source] VenueError),
    /// Not even its time could be had.
    #[error("the venue could not be used: {0}")]
    Unusable(String),
    /// A thread or a file of our own.
    #[error("{0}")]
    Defect(String),
}

impl CertifyError {
    /// The exit status that says so.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Option { .. } | Self::Credentials(_) => EXIT_WRONG,
            Self::NoConsent { .. } | Self::KeyMayWithdraw { .. } | Self::RightsUntold { .. } => EXIT_REFUSED,
            Self::Venue(_) | Self::Unusable(_) => EXIT_VENUE,
            Self::Defect(_) => 1,
        }
    }
}
