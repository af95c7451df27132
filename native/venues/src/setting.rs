//! What the settings of every venue have in common.

use std::net::IpAddr;

use url::{Host, Url};

use crate::error::VenueError;

/// A fault of `setting` unless it `holds`.
pub(crate) fn require(
    setting: &'static str,
    holds: bool,
    problem: impl Fn() -> String,
) -> Result<(), VenueError> {
    if holds {
        return Ok(());
    }
    Err(VenueError::Setting {
        setting,
        problem: problem(),
    })
}

/// A URL is encrypted, or it stays on this machine.
pub(crate) fn check_url(
    setting: &'static str,
    text: &str,
    [secure, plain]: [&str; 2],
) -> Result<(), VenueError> {
    let url = Url::parse(text).map_err(|error| VenueError::Setting {
        setting,
        problem: format!("{text:?}: {error}"),
    })?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    let scheme = url.scheme();
    require(setting, scheme == secure || (scheme == plain && loopback), || {
        format!("{text:?}: allowed are {secure}:// anywhere and {plain}:// on this machine")
    })?;
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    require(setting, bare, || {
        format!("{text:?}: no user, password or query belongs here")
    })
}
