//! How a session with Binance spot is set up.

use std::time::Duration;

use domain::Nanos;

use crate::error::VenueError;
use crate::overhear::Overhearing;
use crate::resolution::READ_STALENESS;
use crate::secret::Secret;
use crate::setting::{check_url, require};
use crate::tls::TrustedRoots;

/// Longest `recvWindow` the venue accepts.
pub const RECV_WINDOW_MAX: Nanos = Nanos::from_secs(60);

/// Where the venue's three doors are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// REST, without a path: `https://api.binance.com`.
    pub rest: String,
    /// Market streams, without a path: `wss://stream.binance.com:9443`.
    pub stream: String,
    /// WebSocket API, with its path: `wss://ws-api.binance.com:443/ws-api/v3`.
    pub ws_api: String,
}

impl Endpoints {
    /// The venue itself.
    #[must_use]
    pub fn production() -> Self {
        Self {
            rest: "https://api.binance.com".to_owned(),
            stream: "wss://stream.binance.com:9443".to_owned(),
            ws_api: "wss://ws-api.binance.com:443/ws-api/v3".to_owned(),
        }
    }

    /// A simulated venue on this machine.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self {
            rest: format!("http://127.0.0.1:{port}"),
            stream: format!("ws://127.0.0.1:{port}"),
            ws_api: format!("ws://127.0.0.1:{port}/ws-api/v3"),
        }
    }
}

/// What the venue does when two orders of our account would trade with each other. The incoming order decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfTradePrevention {
    /// The incoming order expires.
    ExpireTaker,
    /// The resting order expires.
    ExpireMaker,
    /// Both expire.
    ExpireBoth,
}

impl SelfTradePrevention {
    /// The venue's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExpireTaker => "EXPIRE_TAKER",
            Self::ExpireMaker => "EXPIRE_MAKER",
            Self::ExpireBoth => "EXPIRE_BOTH",
        }
    }
}

/// Everything about a session but its keys.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to connect.
    pub endpoints: Endpoints,
    /// How long after its timestamp a signed request may still be taken. Like everything about the network it is
    /// wall time: a simulated venue that compresses time stretches it alike.
    pub recv_window: Nanos,
    /// How far behind the venue's engine its answers to queries may lag, wall time; see [`crate::resolution`].
    pub read_staleness: Nanos,
    /// Taken off the timestamp of signed requests, in service time: room for the error of our clock where a
    /// venue lets a timestamp lie ahead by less than the usual second.
    pub timestamp_margin: Nanos,
    /// Longest wait for an answer over REST, wall time.
    pub request_timeout: Duration,
    /// Longest wait for a connection, wall time; shorter than `request_timeout`.
    pub connect_timeout: Duration,
    /// Age at which a connection of the market's streams is made anew, while it still stands, wall time. The venue ends
    /// each after 24 hours.
    pub rotate_after: Duration,
    /// Longest wait for the new one to take over, wall time: another is made after that.
    pub rotate_within: Duration,
    /// Longest silence on a socket, answers to pings included, wall time.
    pub idle_timeout: Duration,
    /// Longest wait for any message of the market's streams, wall time: the venue sends no heartbeats there, and a quiet
    /// pair says nothing for a while.
    pub data_timeout: Duration,
    /// Levels of a snapshot on each side, 5 to 5,000. Deeper levels are unknown until they change.
    pub snapshot_levels: u16,
    /// Set on every order.
    pub self_trade_prevention: SelfTradePrevention,
    /// The venue's request weight per minute and address; a fifth is kept for cancels and queries.
    pub weight_per_minute: u32,
    /// The venue's limits of new orders in ten seconds and in a day.
    pub orders_per_ten_seconds: u32,
    /// See above.
    pub orders_per_day: u32,
    /// Whom to believe when TLS is used.
    pub trusted_roots: TrustedRoots,
    /// Who hears the answers.
    pub overhearing: Overhearing,
}

impl Settings {
    /// The defaults for these endpoints.
    ///
    /// ```
    /// use venues::binance::{Endpoints, Settings};
    /// assert!(Settings::new(Endpoints::production()).check().is_ok());
    /// assert!(Settings::new(Endpoints::loopback(8_080)).check().is_ok());
    /// ```
    #[must_use]
    pub fn new(endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            recv_window: Nanos::from_secs(1),
            read_staleness: READ_STALENESS,
            timestamp_margin: Nanos(0),
            request_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(2),
            rotate_after: Duration::from_hours(23),
            rotate_within: Duration::from_mins(2),
            idle_timeout: Duration::from_mins(1),
            data_timeout: Duration::from_mins(1),
            snapshot_levels: 1_000,
            self_trade_prevention: SelfTradePrevention::ExpireTaker,
            weight_per_minute: 6_000,
            orders_per_ten_seconds: 100,
            orders_per_day: 200_000,
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
        check_url("endpoints.ws_api", &self.endpoints.ws_api, ["wss", "ws"])?;
        let window = self.recv_window;
        require(
            "recv_window",
            window >= Nanos::from_millis(1) && window <= RECV_WINDOW_MAX,
            || "allowed are 1 ms to 60 s".to_owned(),
        )?;
        require(
            "timestamp_margin",
            self.timestamp_margin >= Nanos(0) && self.timestamp_margin < window,
            || "allowed are zero and more, below recv_window".to_owned(),
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
        let day = Duration::from_hours(24);
        require(
            "rotate_after",
            !self.rotate_after.is_zero() && self.rotate_after < day,
            || "above zero and below 24 hours, when the venue ends a connection".to_owned(),
        )?;
        require("rotate_within", !self.rotate_within.is_zero(), || {
            "above zero".to_owned()
        })?;
        require(
            "idle_timeout",
            self.idle_timeout >= Duration::from_millis(100),
            || "at least 100 ms".to_owned(),
        )?;
        require(
            "data_timeout",
            self.data_timeout >= Duration::from_millis(100),
            || "at least 100 ms".to_owned(),
        )?;
        require(
            "snapshot_levels",
            (5..=5_000).contains(&self.snapshot_levels),
            || "allowed are 5 to 5000".to_owned(),
        )?;
        require("weight_per_minute", self.weight_per_minute >= 1_000, || {
            "at least 1000: a snapshot alone weighs up to 250".to_owned()
        })
    }
}

/// The key that names our account and the secret that signs for it.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub(crate) api_key: Secret,
    pub(crate) secret: Secret,
}

impl Credentials {
    /// From the API key and its secret: the secret of HMAC-SHA256, or the private key of Ed25519 in PEM.
    #[must_use]
    pub const fn new(api_key: Secret, secret: Secret) -> Self {
        Self { api_key, secret }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_in_the_clear_beyond_this_machine() {
        let refused = [
            "http://api.binance.com",
            "http://10.0.0.1:80",
            "ftp://127.0.0.1",
            "https://user:pass@api.binance.com",
            "not a url",
        ];
        for rest in refused {
            let mut settings = Settings::new(Endpoints::production());
            rest.clone_into(&mut settings.endpoints.rest);
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains("endpoints.rest"), "{error}");
        }
        for rest in [
            "https://api.binance.com",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            let mut settings = Settings::new(Endpoints::production());
            rest.clone_into(&mut settings.endpoints.rest);
            assert!(settings.check().is_ok(), "{rest}");
        }
    }

    #[test]
    fn bounds_are_inclusive() {
        let settings = |change: fn(&mut Settings)| {
            let mut settings = Settings::new(Endpoints::production());
            change(&mut settings);
            settings.check().is_ok()
        };
        assert!(settings(|s| s.recv_window = RECV_WINDOW_MAX));
        assert!(!settings(|s| s.recv_window = Nanos(RECV_WINDOW_MAX.0 + 1)));
        assert!(!settings(|s| s.timestamp_margin = s.recv_window));
        assert!(settings(|s| s.snapshot_levels = 5_000));
        assert!(!settings(|s| s.snapshot_levels = 4));
        assert!(!settings(|s| s.connect_timeout = s.request_timeout));
        assert!(!settings(|s| s.rotate_after = Duration::from_hours(24)));
        assert!(!settings(|s| s.rotate_after = Duration::ZERO));
        assert!(!settings(|s| s.rotate_within = Duration::ZERO));
        assert!(!settings(|s| s.data_timeout = Duration::from_millis(99)));
    }
}
