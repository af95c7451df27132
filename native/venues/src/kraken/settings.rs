//! How a session with Kraken spot is set up.

use std::net::IpAddr;
use std::time::Duration;

use domain::Nanos;
use url::{Host, Url};

use crate::connector::OrderEntry;
use crate::error::VenueError;
use crate::overhear::Overhearing;
use crate::resolution::READ_STALENESS;
use crate::secret::Secret;
use crate::tls::TrustedRoots;

/// Shortest and longest `deadline` of an order. The venue allows 500 ms to 60 s from when the order comes to it; the way
/// there, and what our clocks differ, is left to both sides.
pub const DEADLINE: (Nanos, Nanos) = (Nanos::from_millis(750), Nanos::from_secs(59));

/// Depths of a book that may be subscribed for; the venue refuses any other, in the acknowledgement only.
pub const BOOK_DEPTHS: [u16; 5] = [10, 25, 100, 500, 1_000];

/// Where the venue's doors are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// REST, without a path: `https://api.kraken.com`.
    pub rest: String,
    /// Market streams of the WebSocket API, version 2, with the path: `wss://ws.kraken.com/v2`.
    pub stream: String,
    /// The account's streams and order entry, with the path: `wss://ws-auth.kraken.com/v2`.
    pub private: String,
}

impl Endpoints {
    /// The venue itself.
    #[must_use]
    pub fn production() -> Self {
        Self {
            rest: "https://api.kraken.com".to_owned(),
            stream: "wss://ws.kraken.com/v2".to_owned(),
            private: "wss://ws-auth.kraken.com/v2".to_owned(),
        }
    }

    /// A simulated venue on this machine.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self {
            rest: format!("http://127.0.0.1:{port}"),
            stream: format!("ws://127.0.0.1:{port}/v2"),
            private: format!("ws://127.0.0.1:{port}/v2"),
        }
    }
}

/// What the venue does when two orders of our account would trade with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfTradePrevention {
    /// The arriving order is canceled: the venue's own default.
    CancelNewest,
    /// The resting order is canceled.
    CancelOldest,
    /// Both are canceled.
    CancelBoth,
}

impl SelfTradePrevention {
    /// The venue's word for it over REST.
    #[must_use]
    pub const fn rest_word(self) -> &'static str {
        match self {
            Self::CancelNewest => "cancel-newest",
            Self::CancelOldest => "cancel-oldest",
            Self::CancelBoth => "cancel-both",
        }
    }

    /// The venue's word for it on a socket.
    #[must_use]
    pub const fn socket_word(self) -> &'static str {
        match self {
            Self::CancelNewest => "cancel_newest",
            Self::CancelOldest => "cancel_oldest",
            Self::CancelBoth => "cancel_both",
        }
    }
}

/// What the account's tier allows: the venue publishes three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The least.
    Starter,
    /// More.
    Intermediate,
    /// The most.
    Pro,
}

/// Depths of a book of orders that may be subscribed for.
pub const LEVEL3_DEPTHS: [u16; 3] = [10, 100, 1_000];

/// Where the market is told order by order, and how deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level3 {
    /// The socket of single orders, with the path: `wss://ws-l3.kraken.com/v2`.
    pub url: String,
    /// Prices on each side: one of [`LEVEL3_DEPTHS`].
    pub depth: u16,
}

/// Everything about a session but its keys.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to connect.
    pub endpoints: Endpoints,
    /// How orders leave. Over REST one request waits for another, because requests of one key must arrive in the order
    /// of their nonces.
    pub order_entry: OrderEntry,
    /// How long after it was made an order may still be matched; the venue's `deadline`, wall time. A simulated venue
    /// that compresses time stretches it alike.
    pub deadline: Nanos,
    /// How far behind the venue's engine its answers to queries may lag, wall time; see [`crate::resolution`].
    pub read_staleness: Nanos,
    /// Longest wait for an answer, wall time.
    pub request_timeout: Duration,
    /// Longest wait for a connection, wall time; shorter than `request_timeout`.
    pub connect_timeout: Duration,
    /// Longest silence on a socket, wall time. Answers to pings do not count: the venue says something every second.
    pub idle_timeout: Duration,
    /// Levels of a book on each side: one of [`BOOK_DEPTHS`].
    pub book_depth: u16,
    /// Books are told order by order; `None`: by price.
    pub level3: Option<Level3>,
    /// Set on every order.
    pub self_trade_prevention: SelfTradePrevention,
    /// The account's tier, for the venue's limits.
    pub tier: Tier,
    /// Whom to believe when TLS is used.
    pub trusted_roots: TrustedRoots,
    /// Who hears the answers.
    pub overhearing: Overhearing,
}

impl Settings {
    /// The defaults for these endpoints.
    ///
    /// ```
    /// use venues::kraken::{Endpoints, Settings};
    /// assert!(Settings::new(Endpoints::production()).check().is_ok());
    /// assert!(Settings::new(Endpoints::loopback(8_080)).check().is_ok());
    /// ```
    #[must_use]
    pub fn new(endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            order_entry: OrderEntry::WebSocket,
            deadline: Nanos::from_secs(5),
            read_staleness: READ_STALENESS,
            request_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(10),
            book_depth: 100,
            level3: None,
            self_trade_prevention: SelfTradePrevention::CancelNewest,
            tier: Tier::Starter,
            trusted_roots: TrustedRoots::Public,
            overhearing: Overhearing::default(),
        }
    }

    /// Checks what types cannot say.
    ///
    /// # Errors
    /// [`VenueError::Setting`], the first fault found.
    pub fn check(&self) -> Result<(), VenueError> {
        check_url("endpoints.rest", &self.endpoints.rest, ["https", "http"])?;
        check_url("endpoints.stream", &self.endpoints.stream, ["wss", "ws"])?;
        check_url("endpoints.private", &self.endpoints.private, ["wss", "ws"])?;
        if let Some(level3) = &self.level3 {
            check_url("level3.url", &level3.url, ["wss", "ws"])?;
            require("level3.depth", LEVEL3_DEPTHS.contains(&level3.depth), || {
                format!("allowed are {LEVEL3_DEPTHS:?}")
            })?;
        }
        require(
            "deadline",
            self.deadline >= DEADLINE.0 && self.deadline <= DEADLINE.1,
            || "allowed are 750 ms to 59 s".to_owned(),
        )?;
        require("read_staleness", self.read_staleness >= Nanos(0), || {
            "allowed are zero and more".to_owned()
        })?;
        require(
            "connect_timeout",
            self.connect_timeout < self.request_timeout,
            || {
                "must be shorter than request_timeout, else a lost answer cannot be told from a lost connection"
                .to_owned()
            },
        )?;
        require(
            "idle_timeout",
            self.idle_timeout >= Duration::from_millis(100),
            || "at least 100 ms".to_owned(),
        )?;
        require("book_depth", BOOK_DEPTHS.contains(&self.book_depth), || {
            format!("allowed are {BOOK_DEPTHS:?}")
        })
    }
}

fn require(setting: &'static str, holds: bool, problem: impl Fn() -> String) -> Result<(), VenueError> {
    if holds {
        return Ok(());
    }
    Err(VenueError::Setting {
        setting,
        problem: problem(),
    })
}

/// A URL is encrypted, or it stays on this machine.
fn check_url(setting: &'static str, text: &str, [secure, plain]: [&str; 2]) -> Result<(), VenueError> {
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

/// The key that names our account and the secret that signs for it.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub(crate) api_key: Secret,
    pub(crate) secret: Secret,
}

impl Credentials {
    /// From the API key and its private key, base64 as the venue hands it out.
    #[must_use]
    pub const fn new(api_key: Secret, secret: Secret) -> Self {
        Self { api_key, secret }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_stays_on_this_machine() {
        for rest in [
            "http://api.kraken.com",
            "https://user:pw@api.kraken.com",
            "ftp://x",
            "nonsense",
        ] {
            let mut settings = Settings::new(Endpoints::production());
            rest.clone_into(&mut settings.endpoints.rest);
            assert!(settings.check().is_err(), "{rest}");
        }
        let mut settings = Settings::new(Endpoints::production());
        settings.endpoints.private = "ws://ws-auth.kraken.com/v2".to_owned();
        assert!(settings.check().is_err());
    }

    #[test]
    fn bounds_are_inclusive() {
        let settings = |change: fn(&mut Settings)| {
            let mut settings = Settings::new(Endpoints::production());
            change(&mut settings);
            settings.check().is_ok()
        };
        assert!(settings(|s| s.deadline = Nanos::from_millis(750)));
        assert!(!settings(|s| s.deadline = Nanos::from_millis(749)));
        assert!(settings(|s| s.deadline = Nanos::from_secs(59)));
        assert!(!settings(|s| s.deadline = Nanos(DEADLINE.1.0 + 1)));
        assert!(BOOK_DEPTHS.into_iter().all(|depth| {
            let mut settings = Settings::new(Endpoints::production());
            settings.book_depth = depth;
            settings.check().is_ok()
        }));
        assert!(!settings(|s| s.book_depth = 50));
        assert!(!settings(|s| s.connect_timeout = s.request_timeout));
    }

    #[test]
    fn keys_are_never_printed() {
        let secret = |text: &str| Secret::new(text.to_owned()).unwrap();
        let text = format!(
            "{:?}",
            Credentials::new(secret("key-text"), secret("private-text"))
        );
        assert!(
            !text.contains("key-text") && !text.contains("private-text"),
            "{text}"
        );
    }
}
