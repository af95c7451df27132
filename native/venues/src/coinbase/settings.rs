//! How a session with Coinbase Advanced Trade is set up.

use std::time::Duration;

use domain::{Nanos, Text};

use crate::error::VenueError;
use crate::overhear::Overhearing;
use crate::resolution::READ_STALENESS;
use crate::secret::Secret;
use crate::setting::{check_url, require};
use crate::tls::TrustedRoots;

/// Longest life of a token that the venue accepts.
pub const TOKEN_LIFETIME_MAX: Nanos = Nanos::from_secs(120);

/// Shortest life of a token: below it a slow way makes a fresh one useless.
const TOKEN_LIFETIME_MIN: Nanos = Nanos::from_secs(5);

/// The venue's limits of requests in one second: of an account, and of an address without an account.
const PRIVATE_PER_SECOND: u32 = 30;
const PUBLIC_PER_SECOND: u32 = 10;

/// Orders that bear one name never trade with each other. All of ours bear this one.
const SELF_TRADE_PREVENTION_ID: &str = "70795f72-7400-4000-8000-000000000001";

/// Where the venue's three doors are, each without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// REST: `https://api.coinbase.com`.
    pub rest: String,
    /// Market streams: `wss://advanced-trade-ws.coinbase.com`.
    pub market: String,
    /// The account's own stream: `wss://advanced-trade-ws-user.coinbase.com`.
    pub user: String,
}

impl Endpoints {
    /// The venue itself.
    #[must_use]
    pub fn production() -> Self {
        Self {
            rest: "https://api.coinbase.com".to_owned(),
            market: "wss://advanced-trade-ws.coinbase.com".to_owned(),
            user: "wss://advanced-trade-ws-user.coinbase.com".to_owned(),
        }
    }

    /// A simulated venue on this machine.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self {
            rest: format!("http://127.0.0.1:{port}"),
            market: format!("ws://127.0.0.1:{port}"),
            user: format!("ws://127.0.0.1:{port}"),
        }
    }
}

/// Everything about a session but its keys.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to connect.
    pub endpoints: Endpoints,
    /// How long a token lives, service time. The venue has no window for a request; its token's end is the only time
    /// after which it takes none, so this is how long an order without an answer may still arrive.
    pub token_lifetime: Nanos,
    /// How far behind the venue's engine its answers to queries may lag, wall time; see [`crate::resolution`].
    pub read_staleness: Nanos,
    /// Longest wait for an answer over REST, wall time.
    pub request_timeout: Duration,
    /// Longest wait for a connection, wall time; shorter than `request_timeout`.
    pub connect_timeout: Duration,
    /// Longest silence on a socket, answers to pings included, wall time.
    pub idle_timeout: Duration,
    /// Longest wait for the venue's next heartbeat, which comes each second, wall time: a socket that answers pings and
    /// brings nothing else is as good as closed. The largest message must get through in that time.
    pub heartbeat_timeout: Duration,
    /// A name for all of our orders: those that bear the same never trade with each other.
    pub self_trade_prevention_id: Option<Text<36>>,
    /// The venue's limit of requests in a second and account; a fifth is kept for cancels and queries.
    pub private_per_second: u32,
    /// The venue's limit of requests in a second and address without an account.
    pub public_per_second: u32,
    /// Whom to believe when TLS is used.
    pub trusted_roots: TrustedRoots,
    /// Who hears the answers.
    pub overhearing: Overhearing,
}

impl Settings {
    /// The defaults for these endpoints.
    ///
    /// ```
    /// use venues::coinbase::{Endpoints, Settings};
    /// assert!(Settings::new(Endpoints::production()).check().is_ok());
    /// assert!(Settings::new(Endpoints::loopback(8_080)).check().is_ok());
    /// ```
    #[must_use]
    pub fn new(endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            token_lifetime: TOKEN_LIFETIME_MAX,
            read_staleness: READ_STALENESS,
            request_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_mins(1),
            heartbeat_timeout: Duration::from_secs(10),
            self_trade_prevention_id: Text::new(SELF_TRADE_PREVENTION_ID),
            private_per_second: PRIVATE_PER_SECOND,
            public_per_second: PUBLIC_PER_SECOND,
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
        check_url("endpoints.market", &self.endpoints.market, ["wss", "ws"])?;
        check_url("endpoints.user", &self.endpoints.user, ["wss", "ws"])?;
        let lifetime = TOKEN_LIFETIME_MIN..=TOKEN_LIFETIME_MAX;
        require("token_lifetime", lifetime.contains(&self.token_lifetime), || {
            "allowed are 5 s to 120 s".to_owned()
        })?;
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
        let shortest = Duration::from_millis(100);
        require("idle_timeout", self.idle_timeout >= shortest, || {
            "at least 100 ms".to_owned()
        })?;
        require("heartbeat_timeout", self.heartbeat_timeout >= shortest, || {
            "at least 100 ms".to_owned()
        })?;
        let stp = self.self_trade_prevention_id;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        require(
            "self_trade_prevention_id",
            stp.is_some_and(|id| !id.as_str().is_empty() && id.as_str().bytes().all(plain)),
            || "letters, digits and hyphens".to_owned(),
        )?;
        // A fifth of it must be at least one request.
        require("private_per_second", self.private_per_second >= 5, || {
            "at least 5".to_owned()
        })?;
        require("public_per_second", self.public_per_second >= 5, || {
            "at least 5".to_owned()
        })
    }
}

/// The name of a Coinbase developer key, and the private key that signs for it.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub(super) key_name: Secret,
    pub(super) private_key: Secret,
}

impl Credentials {
    /// From the key's name (`organizations/.../apiKeys/...`) and its private key: an EC key on P-256 in PEM (`ES256`), or
    /// the base64 text of an Ed25519 key (`EdDSA`).
    #[must_use]
    pub const fn new(key_name: Secret, private_key: Secret) -> Self {
        Self {
            key_name,
            private_key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(change: impl Fn(&mut Settings)) -> bool {
        let mut settings = Settings::new(Endpoints::production());
        change(&mut settings);
        settings.check().is_ok()
    }

    #[test]
    fn nothing_is_sent_in_the_clear_beyond_this_machine() {
        for rest in [
            "http://api.coinbase.com",
            "http://10.0.0.1:80",
            "https://user:pass@api.coinbase.com",
            "https://api.coinbase.com?key=1",
            "not a url",
        ] {
            assert!(!accepts(|s| rest.clone_into(&mut s.endpoints.rest)), "{rest}");
        }
        for market in [
            "wss://advanced-trade-ws.coinbase.com",
            "ws://[::1]:1",
            "ws://localhost:1",
        ] {
            assert!(
                accepts(|s| market.clone_into(&mut s.endpoints.market)),
                "{market}"
            );
        }
        assert!(!accepts(|s| "ws://10.0.0.1".clone_into(&mut s.endpoints.user)));
    }

    #[test]
    fn bounds_are_inclusive() {
        assert!(accepts(|s| s.token_lifetime = TOKEN_LIFETIME_MAX));
        assert!(!accepts(|s| s.token_lifetime = Nanos(TOKEN_LIFETIME_MAX.0 + 1)));
        assert!(accepts(|s| s.token_lifetime = TOKEN_LIFETIME_MIN));
        assert!(!accepts(|s| s.connect_timeout = s.request_timeout));
        assert!(!accepts(|s| s.heartbeat_timeout = Duration::from_millis(99)));
        assert!(!accepts(|s| s.private_per_second = 4));
        assert!(!accepts(|s| s.self_trade_prevention_id = Text::new("a\"b")));
        assert!(
            !accepts(|s| s.self_trade_prevention_id = None),
            "every order has it"
        );
    }
}
