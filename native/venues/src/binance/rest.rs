//! REST: one client per address, which owns that address's rate budget.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::{Bar, Instrument, Nanos, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Method};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::time::sleep;
use tracing::warn;

use super::rules;
use super::settings::{Credentials, Settings};
use super::sign::{OrderEncoder, Signer};
use crate::clock::{Clock, Correction, Rate, ServerClock, TimeSample};
use crate::error::{ParseError, VenueError};
use crate::http;
use crate::last_look::{Guarded, LastLook};
use crate::rate_limit::{ConnectBudget, OrderCount, PAUSE_DEFAULT, Urgency, WeightBudget};
use crate::retry::{Backoff, Jitter};
use crate::secret::Secret;
use crate::trading::{BARS_MAX, Pending, Reference};

/// Largest answer accepted, bytes: `exchangeInfo` of all symbols is a tenth of it.
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// Most bars in one answer.
const BARS_PER_ANSWER: usize = 1_000;

/// Attempts of a request that only reads.
const READ_ATTEMPTS: u32 = 3;

/// First and longest pause between them.
const READ_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Questions per time sample; the one with the shortest round trip is kept.
const TIME_QUESTIONS: u32 = 3;

/// Wall time between the two samples a rate is estimated from.
const RATE_BASELINE: Duration = Duration::from_millis(400);

/// The venue's words in a refusal are cut here, characters.
const REFUSAL_TEXT_MAX: usize = 200;

/// One kind of request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) weight: u32,
    pub(super) urgency: Urgency,
}

impl Call {
    const fn public(name: &'static str, path: &'static str, weight: u32) -> Self {
        Self {
            name,
            method: "GET",
            path,
            weight,
            urgency: Urgency::Background,
        }
    }
}

/// Status and body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// The venue's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The venue's code, zero where the answer is not the venue's own.
    pub(super) code: i64,
    /// The venue's words, shortened.
    pub(super) message: String,
}

impl Answer {
    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    pub(super) fn refusal(&self) -> Refusal {
        #[derive(Deserialize)]
        struct Raw {
            code: i64,
            #[serde(default)]
            msg: String,
        }
        let raw: Result<Raw, _> = serde_json::from_slice(&self.body);
        let (code, message) = raw.map_or((0, "not the venue's own answer".to_owned()), |raw| {
            (raw.code, raw.msg)
        });
        Refusal {
            code,
            message: message.chars().take(REFUSAL_TEXT_MAX).collect(),
        }
    }
}

/// The client of one address. Share it: the rate budget is per address, and it lives here.
#[derive(Debug)]
pub struct RestClient {
    http: reqwest::Client,
    settings: Settings,
    tls: Arc<ClientConfig>,
    clock: Arc<dyn Clock>,
    keys: Option<Keys>,
    budget: Mutex<WeightBudget>,
    orders: Mutex<OrderCount>,
    jitter: Mutex<Jitter>,
    /// Of every socket of this session.
    connects: ConnectBudget,
}

/// What a signed request needs.
#[derive(Debug)]
struct Keys {
    api_key: HeaderValue,
    credentials: Credentials,
    encoder: OrderEncoder,
}

impl RestClient {
    /// A client that has not connected yet. Without credentials it has only the public requests.
    ///
    /// # Errors
    /// [`VenueError::Setting`] when the settings cannot work.
    pub fn new(
        settings: Settings,
        credentials: Option<Credentials>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, VenueError> {
        settings.check()?;
        let tls = settings.trusted_roots.client_config()?;
        let keys = credentials
            .map(|credentials| Keys::new(credentials, &settings))
            .transpose()?;
        let http = http::client(&tls, settings.request_timeout, settings.connect_timeout)?;
        Ok(Self {
            http,
            tls,
            clock,
            keys,
            budget: Mutex::new(WeightBudget::new(settings.weight_per_minute)),
            orders: Mutex::new(OrderCount::new(
                settings.orders_per_ten_seconds,
                settings.orders_per_day,
            )),
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

    /// What names the account, whose key is one of Ed25519: no other is let into the binary streams.
    pub(super) fn ed25519_key(&self) -> Result<&Secret, VenueError> {
        let keys = self.keys.as_ref().ok_or(VenueError::NoCredentials)?;
        if Signer::new(&keys.credentials.secret)?.is_ed25519() {
            return Ok(&keys.credentials.api_key);
        }
        Err(VenueError::Setting {
            setting: "market_data",
            problem: "binary streams are for Ed25519 keys only: make one, and give its private key in PEM"
                .to_owned(),
        })
    }

    /// Asks the venue's clock once.
    ///
    /// # Errors
    /// [`VenueError`] when there is no answer, or an unreadable one.
    pub async fn server_time(&self) -> Result<TimeSample, VenueError> {
        let call = Call::public("time", "/api/v3/time", 1);
        let sent = self.clock.monotonic();
        let body = self.accepted(&call, "").await?;
        let received = self.clock.monotonic();
        Ok(TimeSample {
            sent,
            received,
            server: rules::server_time(&body)?,
        })
    }

    async fn best_time_sample(&self) -> Result<TimeSample, VenueError> {
        let mut best = self.server_time().await?;
        for _ in 1..TIME_QUESTIONS {
            let sample = self.server_time().await?;
            if sample.received.0 - sample.sent.0 < best.received.0 - best.sent.0 {
                best = sample;
            }
        }
        Ok(best)
    }

    /// A snapshot of the book, as received: the hot thread reads it.
    ///
    /// # Errors
    /// [`VenueError`] when there is none.
    pub async fn depth(&self, instrument: &Instrument) -> Result<Bytes, VenueError> {
        let levels = self.settings.snapshot_levels;
        // The venue's price list.
        let weight = match levels {
            0..=100 => 5,
            101..=500 => 25,
            501..=1_000 => 50,
            _ => 250,
        };
        let call = Call::public("depth", "/api/v3/depth", weight);
        self.accepted(&call, &format!("symbol={}&limit={levels}", instrument.symbol))
            .await
    }

    /// A request that only reads, tried again when nothing or nothing final came back.
    async fn read(&self, call: &Call, query: &str) -> Result<Bytes, VenueError> {
        let mut backoff = Backoff::new(READ_PAUSE.0, READ_PAUSE.1, self.jitter());
        for _ in 1..READ_ATTEMPTS {
            match self.accepted(call, query).await {
                Err(error) if http::may_pass(&error) => {
                    warn!(request = call.name, %error, "asking again");
                    sleep(backoff.next_pause()).await;
                }
                other => return other,
            }
        }
        self.accepted(call, query).await
    }

    /// Signs, sends, and turns anything but success into an error.
    pub(super) async fn signed(&self, call: &Call, params: &str) -> Result<Bytes, VenueError> {
        let encoder = self.encoder()?;
        let mut query = params.as_bytes().to_vec();
        encoder.stamp_and_sign(self.clock.now(), &mut query);
        let query = String::from_utf8(query).unwrap_or_default();
        self.accepted(call, &query).await
    }

    async fn accepted(&self, call: &Call, query: &str) -> Result<Bytes, VenueError> {
        let answer = self.exchange(call, query, None).await?;
        if answer.is_success() {
            return Ok(answer.body);
        }
        let Refusal { code, message } = answer.refusal();
        Err(VenueError::Refused {
            request: call.name,
            status: answer.status,
            code,
            message,
        })
    }

    /// One request and its answer, whatever its status. Keeps the budget.
    ///
    /// # Errors
    /// [`VenueError::RateLimited`] and [`VenueError::NotConnected`] when the request did not leave;
    /// [`VenueError::NoAnswer`] and [`VenueError::TooLarge`] when it may have been acted on.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        query: &str,
        form: Option<Bytes>,
    ) -> Result<Answer, VenueError> {
        self.exchange_body(call, query, form.map(Body::from)).await
    }

    /// Sends a form that may be stopped until it goes onto the connection.
    pub(super) async fn exchange_order(
        &self,
        call: &Call,
        form: Bytes,
        look: LastLook,
    ) -> Result<Answer, VenueError> {
        let (guarded, stopped) = Guarded::new(form, look);
        let exchanged = self.exchange_body(call, "", Some(Body::wrap(guarded))).await;
        if stopped.load(Ordering::SeqCst) {
            return Err(VenueError::Stopped { request: call.name });
        }
        exchanged
    }

    async fn exchange_body(
        &self,
        call: &Call,
        query: &str,
        form: Option<Body>,
    ) -> Result<Answer, VenueError> {
        self.take_weight(call)?;
        let base = self.settings.endpoints.rest.trim_end_matches('/');
        let url = if query.is_empty() {
            format!("{base}{}", call.path)
        } else {
            format!("{base}{}?{query}", call.path)
        };
        let method = Method::from_bytes(call.method.as_bytes()).unwrap_or(Method::GET);
        let mut request = self.http.request(method, url);
        if let Some(keys) = &self.keys {
            request = request.header("X-MBX-APIKEY", keys.api_key.clone());
        }
        if let Some(form) = form {
            request = request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form);
        }
        let response = request
            .send()
            .await
            .map_err(|error| http::transport(call.name, error))?;
        self.observe(response.status().as_u16(), response.headers());
        let status = response.status().as_u16();
        let body = http::body(call.name, response, BODY_BYTES_MAX).await?;
        self.settings.overhearing.answer(call.name, status, &body);
        Ok(Answer { status, body })
    }

    /// Takes a request from the address's budget.
    pub(super) fn take_weight(&self, call: &Call) -> Result<(), VenueError> {
        let taken = lock(&self.budget).try_take(call.weight, call.urgency, self.clock.monotonic());
        taken.map_err(|retry_after| VenueError::RateLimited {
            request: call.name,
            retry_after,
        })
    }

    /// Whether the budget has room for a call that can wait; takes nothing.
    pub(super) fn check_leisure(&self, call: &Call) -> Result<(), VenueError> {
        let checked = lock(&self.budget).check(call.weight, Urgency::Leisure, self.clock.monotonic());
        checked.map_err(|retry_after| VenueError::RateLimited {
            request: call.name,
            retry_after,
        })
    }

    /// Takes one order from the account's own limits.
    pub(super) fn take_order(&self) -> Result<(), VenueError> {
        let taken = lock(&self.orders).try_take(self.clock.monotonic());
        taken.map_err(|retry_after| VenueError::RateLimited {
            request: "new order",
            retry_after,
        })
    }

    pub(super) fn jitter(&self) -> Jitter {
        lock(&self.jitter).split()
    }

    pub(super) fn encoder(&self) -> Result<&OrderEncoder, VenueError> {
        self.keys
            .as_ref()
            .map(|keys| &keys.encoder)
            .ok_or(VenueError::NoCredentials)
    }

    pub(super) fn api_key(&self) -> Result<&Secret, VenueError> {
        let keys = self.keys.as_ref().ok_or(VenueError::NoCredentials)?;
        Ok(&keys.credentials.api_key)
    }

    /// Learns from each answer what the venue has counted, and stops when it says so.
    fn observe(&self, status: u16, headers: &HeaderMap) {
        let now = self.clock.monotonic();
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u32>().ok();
        let mut budget = lock(&self.budget);
        if let Some(used) = number("x-mbx-used-weight-1m") {
            budget.observe(used, now);
        }
        let told = number(RETRY_AFTER.as_str()).map(|seconds| Nanos::from_secs(i64::from(seconds)));
        slow_down(&mut budget, status, told, now);
    }

    /// The same from an answer of the WebSocket API, which tells until when to wait.
    pub(super) fn observe_socket(&self, status: u16, used_weight: Option<u32>, until: Option<Timestamp>) {
        let now = self.clock.monotonic();
        let mut budget = lock(&self.budget);
        if let Some(used) = used_weight {
            budget.observe(used, now);
        }
        let told = until.map(|until| Nanos(until.since(self.clock.now()).0.max(0)));
        slow_down(&mut budget, status, told, now);
    }
}

impl Reference for RestClient {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// By two samples, each the best of a few.
    fn anchor_clock<'a>(&'a self, clock: &'a ServerClock, rate: Rate) -> Pending<'a, Result<(), VenueError>> {
        Box::pin(async move {
            // The first answer pays for the connection.
            self.server_time().await?;
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

    /// Lowers the rate budget to the venue's own limit where that is lower.
    fn instruments<'a>(&'a self, symbols: &'a [&'a str]) -> Pending<'a, Result<Vec<Instrument>, VenueError>> {
        Box::pin(async move {
            let odd = symbols.iter().find(|symbol| !is_symbol(symbol));
            if let Some(symbol) = odd {
                return Err(VenueError::UnknownSymbol {
                    symbol: (*symbol).to_owned(),
                });
            }
            let names: Vec<_> = symbols.iter().map(|symbol| format!("%22{symbol}%22")).collect();
            let call = Call::public("exchangeInfo", "/api/v3/exchangeInfo", 20);
            let query = format!("symbols=%5B{}%5D", names.join(","));
            let info = rules::exchange_info(&self.read(&call, &query).await?, symbols)?;
            if let Some(told) = info.weight_per_minute {
                lock(&self.budget).lower_to(told);
            }
            Ok(info.instruments)
        })
    }

    fn bars<'a>(
        &'a self,
        instrument: &'a Instrument,
        span: Nanos,
        count: usize,
        before: Timestamp,
    ) -> Pending<'a, Result<Vec<Bar>, VenueError>> {
        Box::pin(async move {
            let interval = rules::interval(span).ok_or_else(|| VenueError::Setting {
                setting: "bar_size",
                problem: format!("the venue has no bars of {} ms", span.0 / 1_000_000),
            })?;
            let count = count.min(BARS_MAX);
            let call = Call::public("klines", "/api/v3/klines", 2);
            let mut newest_first: Vec<Bar> = Vec::with_capacity(count);
            let mut last_open = before.plus(Nanos(-span.0)).floor_to(span);
            for _ in 0..=count / BARS_PER_ANSWER + 1 {
                let wanted = (count - newest_first.len()).min(BARS_PER_ANSWER);
                if wanted == 0 {
                    break;
                }
                let query = format!(
                    "symbol={}&interval={interval}&endTime={}&limit={wanted}",
                    instrument.symbol,
                    last_open.millis()
                );
                let page = rules::bars(&self.read(&call, &query).await?, instrument.id, span)?;
                let Some(first) = page.first().map(|bar| bar.ts_open) else {
                    break;
                };
                let complete = page.iter().rev().filter(|bar| bar.ts_open <= last_open);
                newest_first.extend(complete.take(wanted));
                last_open = first.plus(Nanos(-span.0));
            }
            newest_first.reverse();
            Ok(newest_first)
        })
    }
}

impl Keys {
    fn new(credentials: Credentials, settings: &Settings) -> Result<Self, VenueError> {
        let mut api_key =
            HeaderValue::from_str(credentials.api_key.expose()).map_err(|_| VenueError::Setting {
                setting: "api_key",
                problem: "not printable ASCII".to_owned(),
            })?;
        api_key.set_sensitive(true);
        Ok(Self {
            api_key,
            encoder: OrderEncoder::new(Signer::new(&credentials.secret)?, settings),
            credentials,
        })
    }
}

/// Stops everything for as long as the venue says, where the status of its answer says so.
fn slow_down(budget: &mut WeightBudget, status: u16, told: Option<Nanos>, now: Nanos) {
    if status != 429 && status != 418 {
        return;
    }
    let wait = told.unwrap_or(PAUSE_DEFAULT);
    let wait_ms = wait.0 / 1_000_000;
    warn!(
        status,
        wait_ms, "the venue asks to slow down: nothing is sent until then"
    );
    budget.pause(wait, now);
}

/// A symbol that may stand in a query as it is.
fn is_symbol(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 24 && text.bytes().all(plain)
}

pub(super) fn malformed(what: &'static str, source: ParseError) -> VenueError {
    VenueError::Malformed { what, source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
