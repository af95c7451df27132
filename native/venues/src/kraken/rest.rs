//! REST: one client per key, which owns that key's counter and its nonces.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use domain::{Bar, ClientOrderId, Instrument, InstrumentId, Nanos, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Body, RequestBuilder, Response};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::answer::{Answer, Outcome, Refusal};
use super::limits::{Counter, EngineLimits};
use super::parser::SystemStatus;
use super::rules::{self, Names};
use super::server_time;
use super::settings::{Credentials, Settings};
use super::sign::{Nonces, Signer};
use crate::clock::{Clock, Correction, Rate, ServerClock, TimeSample};
use crate::error::{ParseError, VenueError};
use crate::last_look::{Guarded, LastLook};
use crate::rate_limit::{ConnectBudget, Urgency};
use crate::retry::{Backoff, Jitter};
use crate::secret::Secret;
use crate::trading::{Pending, Reference};

/// Largest answer accepted, bytes: `AssetPairs` of all pairs is a tenth of it.
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// Most bars the venue keeps of one length; older ones cannot be asked for.
pub const BARS_MAX: usize = 720;

/// Attempts of a public request.
const READ_ATTEMPTS: u32 = 3;

/// First and longest pause between them.
const READ_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Wall time between the two samples a rate is estimated from.
const RATE_BASELINE: Duration = Duration::from_millis(400);

/// How long an unused connection is kept.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// How long a pause lasts after the venue said that its counter is full, that we are throttled, or locked out.
const FULL_PAUSE: Nanos = Nanos::from_secs(10);
const LOCKOUT_PAUSE: Nanos = Nanos::from_secs(300);

/// Least pause between attempts to connect while the venue's last word was maintenance: so also the first after it.
const MAINTENANCE_PAUSE: Duration = Duration::from_secs(5);

/// Public calls: the venue counts them by address and says no number; this many at once and one a second.
const PUBLIC_CALLS: (i64, i64) = (20, 1_000);

/// The venue refuses an address about 150 connections in ten minutes. The streams together may attempt 105 of them: 45 at
/// once and one every ten seconds. The rest is for questions to the venue's clock.
const CONNECTS: (Nanos, u32) = (Nanos::from_secs(10), 45);

/// One kind of request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    /// Points of the key's counter; none for what the matching engine counts.
    pub(super) points: i64,
    pub(super) urgency: Urgency,
    /// Never held back by what others have used.
    pub(super) is_vital: bool,
}

const TIME: Call = public("time", "/0/public/Time");
const ASSET_PAIRS: Call = public("asset pairs", "/0/public/AssetPairs");
const OHLC: Call = public("bars", "/0/public/OHLC");
const TOKEN: Call = Call {
    name: "socket token",
    path: "/0/private/GetWebSocketsToken",
    points: 1,
    urgency: Urgency::Essential,
    is_vital: false,
};

const fn public(name: &'static str, path: &'static str) -> Call {
    Call {
        name,
        path,
        points: 1,
        urgency: Urgency::Background,
        is_vital: false,
    }
}

/// The client of one key. Share it: its counter, its nonces and its turn live here.
#[derive(Debug)]
pub struct RestClient {
    http: reqwest::Client,
    settings: Settings,
    tls: Arc<ClientConfig>,
    clock: Arc<dyn Clock>,
    keys: Option<Keys>,
    names: OnceLock<Arc<Names>>,
    /// Held from a nonce until its answer begins: nonces must arrive in their order.
    turn: tokio::sync::Mutex<()>,
    calls: Mutex<Counter>,
    public_calls: Mutex<Counter>,
    engine: Mutex<EngineLimits>,
    /// The venue's last word about itself, by whichever socket.
    status: watch::Sender<Option<SystemStatus>>,
    /// Whether somebody feeds the dead man's switch.
    is_switch_owned: AtomicBool,
    jitter: Mutex<Jitter>,
    /// Of every socket of this session.
    connects: ConnectBudget,
}

/// What a signed request needs.
#[derive(Debug)]
struct Keys {
    api_key: HeaderValue,
    signer: Signer,
    nonces: Nonces,
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
        let keys = credentials.map(Keys::new).transpose()?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(&tls))
            .timeout(settings.request_timeout)
            .connect_timeout(settings.connect_timeout)
            .tcp_nodelay(true)
            // The venue asks for a name.
            .user_agent(concat!("py_rt/", env!("CARGO_PKG_VERSION")))
            // Sooner than the venue would close it: a request on a dying connection has an unknown outcome.
            .pool_idle_timeout(POOL_IDLE)
            // A signed request goes where it was meant to, directly, once.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| VenueError::Setting {
                setting: "endpoints.rest",
                problem: error.to_string(),
            })?;
        Ok(Self {
            http,
            tls,
            clock,
            keys,
            names: OnceLock::new(),
            turn: tokio::sync::Mutex::new(()),
            calls: Mutex::new(Counter::calls(settings.tier)),
            public_calls: Mutex::new(Counter::new(PUBLIC_CALLS.0, PUBLIC_CALLS.1)),
            engine: Mutex::new(EngineLimits::new(settings.tier)),
            status: watch::Sender::new(None),
            is_switch_owned: AtomicBool::new(false),
            jitter: Mutex::new(Jitter::seeded(u64::from(std::process::id()))),
            connects: ConnectBudget::new(CONNECTS.0, CONNECTS.1),
            settings,
        })
    }

    /// The clock that orders are stamped with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
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

    /// The venue's last word about itself on any socket of this session, and its changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Option<SystemStatus>> {
        self.status.subscribe()
    }

    pub(super) fn set_status(&self, status: SystemStatus) {
        self.status
            .send_if_modified(|known| known.replace(status) != Some(status));
    }

    /// Least pause between attempts to connect.
    pub(super) fn least_pause(&self) -> Duration {
        match *self.status.borrow() {
            Some(SystemStatus::Maintenance) => MAINTENANCE_PAUSE,
            _ => Duration::ZERO,
        }
    }

    /// Takes the dead man's switch, or gives it back; whether it is the caller's now.
    pub(super) fn own_switch(&self, own: bool) -> bool {
        !self.is_switch_owned.swap(own, Ordering::SeqCst) && own
    }

    /// The names of the session's instruments, which [`Self::instruments`] learned.
    ///
    /// # Errors
    /// [`VenueError::Setting`] before that.
    pub fn names(&self) -> Result<Arc<Names>, VenueError> {
        self.names.get().cloned().ok_or_else(|| VenueError::Setting {
            setting: "instruments",
            problem: "the venue has not been asked for its names of them yet".to_owned(),
        })
    }

    /// The venue's clock, best of a few questions over a socket of its own: over REST the venue tells whole seconds.
    async fn sample(&self) -> Result<TimeSample, VenueError> {
        match server_time::sample(&self.settings, &self.tls, &self.clock).await {
            Ok(sample) => Ok(sample),
            Err(error) => {
                warn!(%error, "no time over a socket: asking for whole seconds");
                self.coarse_sample().await
            }
        }
    }

    async fn coarse_sample(&self) -> Result<TimeSample, VenueError> {
        let sent = self.clock.monotonic();
        let result = self.read(&TIME, "").await?;
        Ok(TimeSample {
            sent,
            received: self.clock.monotonic(),
            server: rules::server_time(&result)?,
        })
    }

    /// Anchors `clock`, which is this client's own, to the venue's.
    ///
    /// # Errors
    /// [`VenueError`] when the venue does not answer, or its clock runs at a rate that is not accepted.
    pub async fn anchor_clock(&self, clock: &ServerClock, rate: Rate) -> Result<(), VenueError> {
        let first = self.sample().await?;
        if rate == Rate::Estimated {
            sleep(RATE_BASELINE).await;
        }
        clock.anchor(first, self.sample().await?, rate)?;
        Ok(())
    }

    /// Corrects `clock` by a fresh sample, unless it is too far off to be believed. Nothing is corrected by whole seconds.
    ///
    /// # Errors
    /// [`VenueError`] when the venue does not answer.
    pub async fn resync_clock(&self, clock: &ServerClock) -> Result<Correction, VenueError> {
        let sample = server_time::sample(&self.settings, &self.tls, &self.clock).await?;
        Ok(clock.resync(sample))
    }

    /// The rules of these symbols; ids count from zero in their order. Learns their names, once: further calls must ask
    /// for the same symbols.
    ///
    /// # Errors
    /// [`VenueError`], in particular [`VenueError::UnknownSymbol`].
    pub async fn instruments(&self, symbols: &[&str]) -> Result<Vec<Instrument>, VenueError> {
        let result = self.read(&ASSET_PAIRS, "").await?;
        let listing = rules::asset_pairs(&result, symbols)?;
        let names = self.names.get_or_init(|| Arc::new(listing.names.clone()));
        let same =
            |instrument: &Instrument| names.altname(instrument.id) == listing.names.altname(instrument.id);
        if !listing.instruments.iter().all(same) {
            return Err(VenueError::Setting {
                setting: "instruments",
                problem: "a session has one table of them: ask for the same symbols in the same order"
                    .to_owned(),
            });
        }
        Ok(listing.instruments)
    }

    /// The last `count` complete bars that closed at or before `before`, oldest first; fewer where the venue has fewer:
    /// it keeps [`BARS_MAX`] of each length.
    ///
    /// # Errors
    /// [`VenueError`], in particular [`VenueError::Setting`] for a span that the venue has no bars of.
    pub async fn bars(
        &self,
        instrument: &Instrument,
        span: Nanos,
        count: usize,
        before: Timestamp,
    ) -> Result<Vec<Bar>, VenueError> {
        let interval = rules::interval(span).ok_or_else(|| VenueError::Setting {
            setting: "bar_size",
            problem: format!("the venue has no bars of {} ms", span.0 / 1_000_000),
        })?;
        let names = self.names()?;
        let name = names
            .altname(instrument.id)
            .ok_or(VenueError::UnknownInstrument(instrument.id))?;
        let result = self
            .read(&OHLC, &format!("pair={name}&interval={interval}"))
            .await?;
        let mut bars = rules::bars(&result, instrument.id, span)?;
        // The last is still running, whatever our clock says.
        bars.pop();
        bars.retain(|bar| bar.ts_close() <= before);
        let surplus = bars.len().saturating_sub(count);
        bars.drain(..surplus);
        Ok(bars)
    }

    /// A public request, tried again when nothing or nothing final came back.
    async fn read(&self, call: &Call, query: &str) -> Result<Bytes, VenueError> {
        let mut backoff = Backoff::new(READ_PAUSE.0, READ_PAUSE.1, self.jitter());
        for _ in 1..READ_ATTEMPTS {
            match self.public(call, query).await {
                Err(error) if may_pass(&error) => {
                    warn!(request = call.name, %error, "asking again");
                    sleep(backoff.next_pause()).await;
                }
                other => return other,
            }
        }
        self.public(call, query).await
    }

    async fn public(&self, call: &Call, query: &str) -> Result<Bytes, VenueError> {
        self.take(&self.public_calls, call)?;
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{}{mark}{query}", self.url(call));
        let answer = self.exchange(call, self.http.get(url), None).await?;
        if let Outcome::Refused(refusal) = answer.outcome() {
            self.observe(call.name, &refusal, None);
        }
        answer.accepted(call.name)
    }

    /// A signed question and its result. `params` is a form without the nonce.
    pub(super) async fn signed(&self, call: &Call, params: &str) -> Result<Bytes, VenueError> {
        let answer = self.exchange_signed(call, params.as_bytes(), None, None).await?;
        answer.accepted(call.name)
    }

    /// One signed request and its answer, whatever it says. Keeps the counter. With a `look`, the bytes are handed to
    /// the connection after it, or not at all.
    ///
    /// # Errors
    /// [`VenueError::RateLimited`], [`VenueError::NotConnected`] and [`VenueError::Stopped`] when the request did not
    /// leave; [`VenueError::NoAnswer`] and [`VenueError::TooLarge`] when it may have been acted on.
    pub(super) async fn exchange_signed(
        &self,
        call: &Call,
        params: &[u8],
        look: Option<LastLook>,
        instrument: Option<InstrumentId>,
    ) -> Result<Answer, VenueError> {
        let keys = self.keys.as_ref().ok_or(VenueError::NoCredentials)?;
        self.take(&self.calls, call)?;
        let turn = self.turn.lock().await;
        let nonce = keys.nonces.next(micros());
        let mut body = format!("nonce={nonce}").into_bytes();
        if !params.is_empty() {
            body.push(b'&');
            body.extend_from_slice(params);
        }
        let mut signature = HeaderValue::from_str(&keys.signer.sign(call.path, nonce, &body))
            .expect("base64 is printable ASCII");
        signature.set_sensitive(true);
        let request = self
            .http
            .post(self.url(call))
            .header("API-Key", keys.api_key.clone())
            .header("API-Sign", signature)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (guarded, stopped) = Guarded::new(body.into(), look.unwrap_or_else(LastLook::always));
        let exchanged = self
            .exchange(call, request.body(Body::wrap(guarded)), Some(turn))
            .await;
        if stopped.load(Ordering::SeqCst) {
            return Err(VenueError::Stopped { request: call.name });
        }
        let answer = exchanged?;
        if let Outcome::Refused(refusal) = answer.outcome() {
            self.observe(call.name, &refusal, instrument);
        }
        Ok(answer)
    }

    /// Sends and reads. `turn` is given on when the answer begins: by then the venue has taken the nonce.
    async fn exchange(
        &self,
        call: &Call,
        request: RequestBuilder,
        turn: Option<tokio::sync::MutexGuard<'_, ()>>,
    ) -> Result<Answer, VenueError> {
        let response = request
            .send()
            .await
            .map_err(|error| transport(call.name, error))?;
        drop(turn);
        let status = response.status().as_u16();
        if status == 429 {
            self.pause(told_pause(response.headers()));
        }
        let body = body(call.name, response).await?;
        self.settings.overhearing.answer(call.name, status, &body);
        Ok(Answer { status, body })
    }

    fn url(&self, call: &Call) -> String {
        format!(
            "{}{}",
            self.settings.endpoints.rest.trim_end_matches('/'),
            call.path
        )
    }

    fn take(&self, counter: &Mutex<Counter>, call: &Call) -> Result<(), VenueError> {
        let now = self.clock.monotonic();
        let taken = if call.is_vital {
            lock(counter).take_vital(call.points, now)
        } else {
            lock(counter).try_take(call.points, call.urgency, now)
        };
        taken.map_err(|retry_after| VenueError::RateLimited {
            request: call.name,
            retry_after,
        })
    }

    /// Takes one order from the matching engine's limits.
    pub(super) fn take_order(
        &self,
        order: ClientOrderId,
        instrument: InstrumentId,
    ) -> Result<(), VenueError> {
        let taken = lock(&self.engine).try_place(order, instrument, self.clock.monotonic());
        taken.map_err(|retry_after| VenueError::RateLimited {
            request: "new order",
            retry_after,
        })
    }

    /// Counts one cancel in them.
    pub(super) fn count_cancel(&self, order: Option<ClientOrderId>, instrument: InstrumentId) {
        lock(&self.engine).cancel(order, instrument, self.clock.monotonic());
    }

    /// Learns from the venue's words that a limit is reached.
    pub(super) fn observe(&self, request: &'static str, refusal: &Refusal, instrument: Option<InstrumentId>) {
        let now = self.clock.monotonic();
        if let (true, Some(instrument)) = (refusal.says("EOrder:Rate limit exceeded"), instrument) {
            lock(&self.engine).fill(instrument, now);
        }
        if refusal.says("EAPI:Rate limit exceeded") {
            lock(&self.calls).fill(now);
        }
        if refusal.says("EAPI:Rate limit exceeded")
            || refusal.says("EService: Throttled")
            || refusal.says("EGeneral:Too many requests")
        {
            warn!(request, "the venue asks to slow down");
            self.pause(FULL_PAUSE);
        }
        if refusal.says("EGeneral:Temporary lockout") {
            warn!(request, "the venue has locked the key out for a while");
            self.pause(LOCKOUT_PAUSE);
        }
    }

    fn pause(&self, wait: Nanos) {
        let now = self.clock.monotonic();
        lock(&self.calls).pause(wait, now);
        lock(&self.public_calls).pause(wait, now);
    }

    /// A token for the private socket: to be used within a quarter of an hour, good as long as a subscription lives.
    pub(super) async fn socket_token(&self) -> Result<Secret, VenueError> {
        token(&self.signed(&TOKEN, "").await?)
    }

    pub(super) const fn has_keys(&self) -> bool {
        self.keys.is_some()
    }
}

/// Reads a token for the private socket.
pub(super) fn token(result: &[u8]) -> Result<Secret, VenueError> {
    #[derive(Deserialize)]
    struct Raw {
        token: String,
    }
    let raw: Raw = serde_json::from_slice(result).map_err(|error| malformed(TOKEN.name, error.into()))?;
    // It stands in JSON as it is.
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if !raw.token.bytes().all(plain) {
        let (field, problem) = ("token", "a token is plain printable text");
        return Err(malformed(TOKEN.name, ParseError::Value { field, problem }));
    }
    Ok(Secret::new(raw.token)?)
}

impl Keys {
    fn new(credentials: &Credentials) -> Result<Self, VenueError> {
        let mut api_key =
            HeaderValue::from_str(credentials.api_key.expose()).map_err(|_| VenueError::Setting {
                setting: "api_key",
                problem: "not printable ASCII".to_owned(),
            })?;
        api_key.set_sensitive(true);
        Ok(Self {
            api_key,
            signer: Signer::new(&credentials.secret)?,
            nonces: Nonces::new(),
        })
    }
}

impl Reference for RestClient {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.clock()
    }

    fn anchor_clock<'a>(&'a self, clock: &'a ServerClock, rate: Rate) -> Pending<'a, Result<(), VenueError>> {
        Box::pin(self.anchor_clock(clock, rate))
    }

    fn resync_clock<'a>(&'a self, clock: &'a ServerClock) -> Pending<'a, Result<Correction, VenueError>> {
        Box::pin(self.resync_clock(clock))
    }

    fn instruments<'a>(&'a self, symbols: &'a [&'a str]) -> Pending<'a, Result<Vec<Instrument>, VenueError>> {
        Box::pin(self.instruments(symbols))
    }

    fn bars<'a>(
        &'a self,
        instrument: &'a Instrument,
        span: Nanos,
        count: usize,
        before: Timestamp,
    ) -> Pending<'a, Result<Vec<Bar>, VenueError>> {
        Box::pin(self.bars(instrument, span, count, before))
    }
}

/// The system's clock, microseconds since 1970.
fn micros() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

fn told_pause(headers: &HeaderMap) -> Nanos {
    let told = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    told.map_or(FULL_PAUSE, |seconds| Nanos::from_secs(i64::from(seconds)))
}

/// Whether a request that only reads may get through when asked again.
fn may_pass(error: &VenueError) -> bool {
    match error {
        VenueError::NotConnected { .. } | VenueError::NoAnswer { .. } => true,
        VenueError::Refused { status, message, .. } => *status >= 500 || message.starts_with("EService:"),
        _ => false,
    }
}

pub(super) fn malformed(what: &'static str, source: ParseError) -> VenueError {
    VenueError::Malformed { what, source }
}

fn transport(request: &'static str, error: reqwest::Error) -> VenueError {
    let error = error.without_url();
    let detail = chain(&error);
    if error.is_connect() || error.is_builder() {
        VenueError::NotConnected { request, detail }
    } else {
        VenueError::NoAnswer { request, detail }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

async fn body(request: &'static str, mut response: Response) -> Result<Bytes, VenueError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| VenueError::NoAnswer {
        request,
        detail: chain(&error.without_url()),
    })? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(VenueError::TooLarge {
                request,
                max: BODY_BYTES_MAX,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
