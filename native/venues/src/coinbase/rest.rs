//! REST: one client per account, which owns that account's and this address's rate budgets.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{Bar, Instrument, Nanos, Timestamp};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Method};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::time::sleep;
use tracing::warn;

use super::budget::SecondBudget;
use super::ids::is_plain;
use super::rules;
use super::settings::{Credentials, Settings};
use super::sign::{Token, TokenSigner};
use super::tokens::TokenPool;
use crate::clock::{Clock, Correction, Rate, ServerClock, TimeSample};
use crate::error::{ParseError, VenueError};
use crate::http;
use crate::last_look::{Guarded, LastLook};
use crate::rate_limit::{ConnectBudget, Urgency};
use crate::retry::{Backoff, Jitter};
use crate::trading::{BARS_MAX, Pending, Reference};

/// Largest answer accepted, bytes: all products together are a twentieth of it.
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// Most bars in one answer.
const BARS_PER_ANSWER: usize = 300;

/// Answers without a bar after which no older ones are looked for: nothing trades, or nothing did before.
const EMPTY_ANSWERS_MAX: u32 = 3;

/// Most products asked for in one request.
const PRODUCTS_PER_REQUEST: usize = 50;

/// Attempts of a request that only reads.
const READ_ATTEMPTS: u32 = 3;

/// First and longest pause between them.
const READ_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Questions per time sample; the one with the shortest round trip is kept.
const TIME_QUESTIONS: u32 = 3;

/// Wall time between the two samples a rate is estimated from.
const RATE_BASELINE: Duration = Duration::from_millis(400);

/// How long a pause after a refusal for rate lasts when the venue does not say: its window is a second.
const PAUSE_DEFAULT: Nanos = Nanos::from_secs(2);

/// The venue's words in a refusal are cut here, characters.
const REFUSAL_TEXT_MAX: usize = 200;

/// The venue's whole answer where it does not accept a token.
const UNAUTHORIZED: &[u8] = b"Unauthorized";

/// One kind of request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    pub(super) urgency: Urgency,
    /// Whether it is about our account, and so bears a token.
    pub(super) is_private: bool,
}

impl<'a> Call<'a> {
    const fn public(name: &'static str, path: &'a str) -> Self {
        Self {
            name,
            method: "GET",
            path,
            urgency: Urgency::Background,
            is_private: false,
        }
    }
}

/// Requests whose tokens are signed ahead.
pub(super) const NEW_ORDER: Call<'static> = Call {
    name: "new order",
    method: "POST",
    path: "/api/v3/brokerage/orders",
    urgency: Urgency::Order,
    is_private: true,
};
/// See [`NEW_ORDER`].
pub(super) const CANCEL: Call<'static> = Call {
    name: "cancel",
    method: "POST",
    path: "/api/v3/brokerage/orders/batch_cancel",
    urgency: Urgency::Essential,
    is_private: true,
};

/// Status and body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// The venue's refusal of a request as such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The venue's word for it; empty where the answer is not the venue's own.
    pub(super) word: String,
    /// The venue's words, shortened.
    pub(super) message: String,
}

impl Answer {
    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// What it says, when it is not a success: the venue has two forms of it, and plain text for a bad token.
    pub(super) fn refusal(&self) -> Refusal {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(default)]
            error: Option<String>,
            #[serde(default)]
            message: String,
            #[serde(default)]
            errors: Vec<RawError>,
        }
        #[derive(Deserialize)]
        struct RawError {
            id: String,
            #[serde(default)]
            message: String,
        }
        let cut = |text: &str| text.chars().take(REFUSAL_TEXT_MAX).collect();
        if self.body.trim_ascii() == UNAUTHORIZED {
            return Refusal {
                word: "unauthorized".to_owned(),
                message: String::new(),
            };
        }
        let raw: Option<Raw> = serde_json::from_slice(&self.body).ok();
        let own = raw.and_then(|raw| match (raw.error, raw.errors.into_iter().next()) {
            (Some(word), _) => Some((word, raw.message)),
            (None, Some(first)) => Some((first.id, first.message)),
            (None, None) => None,
        });
        match own {
            Some((word, message)) => Refusal {
                word: cut(&word),
                message: cut(&message),
            },
            None => Refusal {
                word: String::new(),
                message: "not the venue's own answer".to_owned(),
            },
        }
    }
}

/// The client of one account. Share it: the rate budgets live here.
#[derive(Debug)]
pub struct RestClient {
    http: reqwest::Client,
    settings: Settings,
    tls: Arc<ClientConfig>,
    clock: Arc<dyn Clock>,
    signer: Option<Arc<TokenSigner>>,
    ahead: OnceLock<TokenPool>,
    private: Mutex<SecondBudget>,
    public: Mutex<SecondBudget>,
    jitter: Mutex<Jitter>,
    /// Of every socket of this session.
    connects: ConnectBudget,
}

impl RestClient {
    /// A client that has not connected yet. Without credentials it has only the public requests.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when the settings or the private key cannot work.
    pub fn new(
        settings: Settings,
        credentials: Option<&Credentials>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, VenueError> {
        settings.check()?;
        let tls = settings.trusted_roots.client_config()?;
        let signer = credentials
            .map(|credentials| TokenSigner::new(credentials, &settings))
            .transpose()?;
        Ok(Self {
            http: http::client(&tls, settings.request_timeout, settings.connect_timeout)?,
            tls,
            clock,
            signer: signer.map(Arc::new),
            ahead: OnceLock::new(),
            private: Mutex::new(SecondBudget::new(settings.private_per_second)),
            public: Mutex::new(SecondBudget::new(settings.public_per_second)),
            jitter: Mutex::new(Jitter::seeded(u64::from(std::process::id()))),
            connects: ConnectBudget::default(),
            settings,
        })
    }

    /// The settings it was made with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) const fn tls(&self) -> &Arc<ClientConfig> {
        &self.tls
    }

    pub(super) const fn connects(&self) -> &ConnectBudget {
        &self.connects
    }

    pub(super) fn jitter(&self) -> Jitter {
        lock(&self.jitter).split()
    }

    /// Signs tokens for orders and cancels ahead from now on, in the current tokio runtime.
    ///
    /// # Errors
    /// [`VenueError::NoCredentials`].
    pub(super) fn sign_ahead(&self) -> Result<(), VenueError> {
        let signer = self.signer()?;
        self.ahead.get_or_init(|| {
            let kinds = [NEW_ORDER, CANCEL].map(|call| (call.method, call.path));
            let lifetime = self.settings.token_lifetime;
            TokenPool::spawn(Arc::clone(signer), Arc::clone(&self.clock), lifetime, &kinds)
        });
        Ok(())
    }

    /// A token to subscribe with.
    pub(super) fn stream_token(&self) -> Result<Token, VenueError> {
        self.signer()?.for_stream(self.clock.now())
    }

    /// Whether there is a key to sign with.
    pub(super) const fn has_credentials(&self) -> bool {
        self.signer.is_some()
    }

    fn signer(&self) -> Result<&Arc<TokenSigner>, VenueError> {
        self.signer.as_ref().ok_or(VenueError::NoCredentials)
    }

    fn request_token(&self, call: &Call<'_>) -> Result<Token, VenueError> {
        let ahead = [NEW_ORDER, CANCEL]
            .into_iter()
            .find(|kind| kind.method == call.method && kind.path == call.path);
        match (self.ahead.get(), ahead) {
            (Some(pool), Some(kind)) => pool.take((kind.method, kind.path)),
            _ => self
                .signer()?
                .for_request(call.method, call.path, self.clock.now()),
        }
    }

    /// Asks the venue's clock once.
    ///
    /// # Errors
    /// [`VenueError`] when there is no answer, or an unreadable one.
    pub async fn server_time(&self) -> Result<TimeSample, VenueError> {
        let call = Call::public("time", "/api/v3/brokerage/time");
        let sent = self.clock.monotonic();
        let body = self.accepted(&call, "", None).await?;
        let received = self.clock.monotonic();
        let server = rules::server_time(&body)?;
        Ok(TimeSample {
            sent,
            received,
            server,
        })
    }

    async fn best_time_sample(&self) -> Result<TimeSample, VenueError> {
        let mut best = self.timed().await?;
        for _ in 1..TIME_QUESTIONS {
            let sample = self.timed().await?;
            if sample.received.0 - sample.sent.0 < best.received.0 - best.sent.0 {
                best = sample;
            }
        }
        Ok(best)
    }

    /// [`Self::server_time`], waiting for budget: the venue lets few public requests through in a second.
    async fn timed(&self) -> Result<TimeSample, VenueError> {
        match self.server_time().await {
            Err(VenueError::RateLimited { retry_after, .. }) => {
                sleep(wall(retry_after)).await;
                self.server_time().await
            }
            other => other,
        }
    }

    async fn products(&self, symbols: &[&str]) -> Result<Vec<Instrument>, VenueError> {
        if let Some(symbol) = symbols.iter().find(|symbol| !is_symbol(symbol)) {
            return Err(VenueError::UnknownSymbol {
                symbol: (*symbol).to_owned(),
            });
        }
        let call = Call::public("products", "/api/v3/brokerage/market/products");
        let mut instruments = Vec::with_capacity(symbols.len());
        for chunk in symbols.chunks(PRODUCTS_PER_REQUEST) {
            let names: Vec<_> = chunk
                .iter()
                .map(|symbol| format!("product_ids={symbol}"))
                .collect();
            let body = self.read(&call, &names.join("&")).await?;
            rules::products(&body, chunk, &mut instruments)?;
        }
        Ok(instruments)
    }

    async fn candles(
        &self,
        instrument: &Instrument,
        span: Nanos,
        count: usize,
        before: Timestamp,
    ) -> Result<Vec<Bar>, VenueError> {
        let granularity = rules::granularity(span).ok_or_else(|| VenueError::Setting {
            setting: "bar_size",
            problem: format!("the venue has no bars of {} ms", span.0 / 1_000_000),
        })?;
        let path = format!("/api/v3/brokerage/market/products/{}/candles", instrument.symbol);
        let call = Call::public("candles", &path);
        let count = count.min(BARS_MAX);
        let reach = Nanos(
            span.0
                .saturating_mul(i64::try_from(BARS_PER_ANSWER).unwrap_or(1) - 1),
        );
        let mut newest_first: Vec<Bar> = Vec::with_capacity(count);
        let mut last_open = before.plus(Nanos(-span.0)).floor_to(span);
        let mut empty = 0;
        while newest_first.len() < count && empty < EMPTY_ANSWERS_MAX {
            let first_open = last_open.plus(Nanos(-reach.0));
            let query = format!(
                "start={}&end={}&granularity={granularity}&limit={BARS_PER_ANSWER}",
                first_open.millis() / 1_000,
                last_open.millis() / 1_000
            );
            let body = self.read(&call, &query).await?;
            let page = rules::bars(&body, instrument.id, span)?;
            let wanted = count - newest_first.len();
            let within = |bar: &&Bar| (first_open..=last_open).contains(&bar.ts_open);
            let before_page = newest_first.len();
            newest_first.extend(page.iter().rev().filter(within).take(wanted));
            empty = if newest_first.len() == before_page {
                empty + 1
            } else {
                0
            };
            last_open = first_open.plus(Nanos(-span.0));
        }
        newest_first.reverse();
        Ok(newest_first)
    }

    /// A request that only reads, tried again when nothing or nothing final came back, or there was no budget yet.
    async fn read(&self, call: &Call<'_>, query: &str) -> Result<Bytes, VenueError> {
        let mut backoff = Backoff::new(READ_PAUSE.0, READ_PAUSE.1, self.jitter());
        for _ in 1..READ_ATTEMPTS {
            match self.accepted(call, query, None).await {
                Err(VenueError::RateLimited { retry_after, .. }) => sleep(wall(retry_after)).await,
                Err(error) if http::may_pass(&error) => {
                    warn!(request = call.name, %error, "asking again");
                    sleep(backoff.next_pause()).await;
                }
                other => return other,
            }
        }
        self.accepted(call, query, None).await
    }

    /// Sends, and turns anything but success into an error.
    pub(super) async fn accepted(
        &self,
        call: &Call<'_>,
        query: &str,
        json: Option<Bytes>,
    ) -> Result<Bytes, VenueError> {
        let answer = self.exchange(call, query, json.map(Body::from)).await?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        let Refusal { word, message } = answer.refusal();
        Err(VenueError::Refused {
            request: call.name,
            status: answer.status,
            code: 0,
            message: if word.is_empty() {
                message
            } else {
                format!("{word}: {message}")
            },
        })
    }

    /// Sends an order that may be stopped until it goes onto the connection.
    pub(super) async fn exchange_order(
        &self,
        call: &Call<'_>,
        json: Bytes,
        look: LastLook,
    ) -> Result<Answer, VenueError> {
        let (guarded, stopped) = Guarded::new(json, look);
        let exchanged = self.exchange(call, "", Some(Body::wrap(guarded))).await;
        if stopped.load(Ordering::SeqCst) {
            return Err(VenueError::Stopped { request: call.name });
        }
        exchanged
    }

    /// One request and its answer, whatever its status. Keeps the budget.
    ///
    /// # Errors
    /// [`VenueError::RateLimited`], [`VenueError::NotConnected`] and [`VenueError::NoCredentials`] when the request did
    /// not leave; [`VenueError::NoAnswer`] and [`VenueError::TooLarge`] when it may have been acted on.
    pub(super) async fn exchange(
        &self,
        call: &Call<'_>,
        query: &str,
        json: Option<Body>,
    ) -> Result<Answer, VenueError> {
        let now = self.clock.monotonic();
        let taken = lock(self.budget(call)).try_take(call.urgency, now);
        taken.map_err(|retry_after| VenueError::RateLimited {
            request: call.name,
            retry_after,
        })?;
        let base = self.settings.endpoints.rest.trim_end_matches('/');
        let url = if query.is_empty() {
            format!("{base}{}", call.path)
        } else {
            format!("{base}{}?{query}", call.path)
        };
        let method = Method::from_bytes(call.method.as_bytes()).unwrap_or(Method::GET);
        let mut request = self.http.request(method, url);
        if call.is_private {
            request = request.header(AUTHORIZATION, bearer(&self.request_token(call)?)?);
        }
        if let Some(json) = json {
            request = request.header(CONTENT_TYPE, "application/json").body(json);
        }
        let response = request
            .send()
            .await
            .map_err(|error| http::transport(call.name, error))?;
        let status = response.status().as_u16();
        self.observe(call, status, response.headers());
        let body = http::body(call.name, response, BODY_BYTES_MAX).await?;
        self.settings.overhearing.answer(call.name, status, &body);
        Ok(Answer { status, body })
    }

    /// Whether the account's budget has room for a question that can wait; takes nothing.
    pub(super) fn check_leisure(&self) -> Result<(), VenueError> {
        let checked = lock(&self.private).check(Urgency::Leisure, self.clock.monotonic());
        checked.map_err(|retry_after| VenueError::RateLimited {
            request: "question",
            retry_after,
        })
    }

    const fn budget(&self, call: &Call<'_>) -> &Mutex<SecondBudget> {
        if call.is_private {
            &self.private
        } else {
            &self.public
        }
    }

    /// Stops when the venue says that there were too many.
    fn observe(&self, call: &Call<'_>, status: u16, headers: &HeaderMap) {
        if status != 429 {
            return;
        }
        let told = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        let wait = told.map_or(PAUSE_DEFAULT, |seconds| Nanos::from_secs(i64::from(seconds)));
        let wait_ms = wait.0 / 1_000_000;
        warn!(wait_ms, "the venue asks to slow down: nothing is sent until then");
        lock(self.budget(call)).pause(wait, self.clock.monotonic());
    }
}

impl Reference for RestClient {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn anchor_clock<'a>(&'a self, clock: &'a ServerClock, rate: Rate) -> Pending<'a, Result<(), VenueError>> {
        Box::pin(async move {
            // The first answer pays for the connection.
            self.timed().await?;
            let first = self.best_time_sample().await?;
            if rate == Rate::Estimated {
                sleep(RATE_BASELINE).await;
            }
            let second = self.best_time_sample().await?;
            clock.anchor(first, second, rate)?;
            Ok(())
        })
    }

    fn resync_clock<'a>(&'a self, clock: &'a ServerClock) -> Pending<'a, Result<Correction, VenueError>> {
        Box::pin(async move { Ok(clock.resync(self.best_time_sample().await?)) })
    }

    fn instruments<'a>(&'a self, symbols: &'a [&'a str]) -> Pending<'a, Result<Vec<Instrument>, VenueError>> {
        Box::pin(self.products(symbols))
    }

    /// The venue has no bar of a span in which nothing traded.
    fn bars<'a>(
        &'a self,
        instrument: &'a Instrument,
        span: Nanos,
        count: usize,
        before: Timestamp,
    ) -> Pending<'a, Result<Vec<Bar>, VenueError>> {
        Box::pin(self.candles(instrument, span, count, before))
    }
}

fn bearer(token: &Token) -> Result<HeaderValue, VenueError> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.as_str()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| VenueError::Setting {
        setting: "key_name",
        problem: "not printable ASCII".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// A symbol that may stand in a path, a query and a JSON text as it is.
pub(super) fn is_symbol(text: &str) -> bool {
    !text.is_empty() && text.len() <= 24 && text.bytes().all(is_plain)
}

pub(super) fn malformed(what: &'static str, source: ParseError) -> VenueError {
    VenueError::Malformed { what, source }
}

/// A wait that was named in wall time.
pub(super) fn wall(wait: Nanos) -> Duration {
    Duration::from_nanos(wait.0.max(0).unsigned_abs())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        Answer {
            status,
            body: Bytes::from(body.to_owned()),
        }
        .refusal()
    }

    #[test]
    fn reads_both_forms_of_a_refusal_and_the_plain_one() {
        let one = refusal(
            400,
            r#"{"error":"INVALID_ARGUMENT","error_details":"x","message":"bad size"}"#,
        );
        assert_eq!(
            (one.word.as_str(), one.message.as_str()),
            ("INVALID_ARGUMENT", "bad size")
        );
        let two = refusal(
            429,
            r#"{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}"#,
        );
        assert_eq!(two.word, "rate_limit_exceeded");
        assert_eq!(refusal(401, "Unauthorized\n").word, "unauthorized");
        for foreign in ["", "<html>", "{}", r#"{"errors":[]}"#, "[1]"] {
            assert_eq!(refusal(502, foreign).word, "", "{foreign}");
        }
        assert_eq!(
            refusal(400, &format!(r#"{{"error":"{}"}}"#, "x".repeat(999)))
                .word
                .len(),
            REFUSAL_TEXT_MAX
        );
    }
}
