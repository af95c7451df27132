//! The service's own file.

use domain::{Currency, Decimal, Money, Nanos, SlotId, Venue};
use engine::OrphanRule;

use crate::document::Document;
use crate::fault::{ConfigErrors, FaultKind};
use crate::guard::{self, Guard};
use crate::load::SourceText;
use crate::service_schema::KEYS;
use crate::simulated::{self, GatewayChoice, SimulatedConfig};
use crate::strategy::check_bar;
use crate::watch::{self, WatchConfig};

/// What is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// A developer's machine.
    Dev,
    /// Fills are simulated.
    Paper,
    /// Real money.
    Prod,
}

impl Stage {
    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Paper => "paper",
            Self::Prod => "prod",
        }
    }
}

/// `[venue] order_entry`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderEntry {
    /// Each order is a request over REST.
    Rest,
    /// Orders share one socket.
    WebSocket,
}

/// `[venue] market_data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarketData {
    /// As the venue usually tells it.
    Json,
    /// In binary: Binance's SBE streams, at the address of market data streams.
    Sbe,
    /// Order by order: Kraken's `level3`.
    Level3 {
        /// Address of the socket of single orders.
        url: String,
    },
}

impl MarketData {
    /// Whether only an account may listen.
    #[must_use]
    pub const fn needs_key(&self) -> bool {
        !matches!(self, Self::Json)
    }
}

/// `[venue]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueConfig {
    /// Which venue.
    pub venue: Venue,
    /// Where orders go.
    pub gateway: GatewayChoice,
    /// REST address.
    pub rest_url: String,
    /// Address of market data streams.
    pub ws_url: String,
    /// Address of the WebSocket API.
    pub ws_api_url: String,
    /// How the market is told.
    pub market_data: MarketData,
    /// How orders leave.
    pub order_entry: OrderEntry,
    /// Environment variable of the key.
    pub api_key_env: String,
    /// Environment variable of the secret.
    pub api_secret_env: String,
    /// Environment variable of the passphrase, where the key has one.
    pub api_passphrase_env: Option<String>,
    /// How late a signed request may arrive.
    pub recv_window: Nanos,
    /// Who cancels the service's orders when it is gone.
    pub guard: Guard,
    /// What the venue takes of an order that takes, basis points, for those who look; `None` where nothing says.
    pub taker_bps: Option<Decimal>,
}

/// One `[[instrument]]`; its id is its place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstrumentChoice {
    /// The venue's symbol.
    pub symbol: String,
}

/// One `[[slot]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotChoice {
    /// Its identity.
    pub slot: SlotId,
    /// Index of its instrument in [`ServiceConfig::instruments`].
    pub instrument: usize,
    /// What it may use, portfolio currency.
    pub capital: Money,
}

/// `[engine]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Length of a bar.
    pub bar_span: Nanos,
    /// How long after a bar's end a quote or book update may close it.
    pub bar_close_grace: Nanos,
    /// How long an order may stay unanswered.
    pub order_ack_timeout: Nanos,
}

/// `[clock]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockConfig {
    /// Fixed rate of simulated venue time; `None`: measured. Never given in stage prod.
    pub compression: Option<Decimal>,
    /// Largest distance to the venue's clock in stage prod.
    pub offset_max: Nanos,
}

/// `[journal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalConfig {
    /// Size at which a segment is closed, bytes.
    pub segment_bytes_max: u64,
    /// How often it is forced to disk.
    pub sync_interval: Nanos,
    /// Lag above which no new order leaves.
    pub sync_lag_max: Nanos,
}

/// What the service runs on. Paths stand as in the file: relative to where the service was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConfig {
    /// `[service] name`.
    pub name: String,
    /// `[service] stage`.
    pub stage: Stage,
    /// `[service] run_folder`.
    pub run_folder: String,
    /// `[service] bundle_store`.
    pub bundle_store: String,
    /// `[service] trusted_keys_file`.
    pub trusted_keys_file: String,
    /// `[service] risk_limits_file`.
    pub risk_limits_file: String,
    /// `[service] portfolio_currency`.
    pub portfolio_currency: Currency,
    /// The venue.
    pub venue: VenueConfig,
    /// The simulated gateway, used where the venue's choice says so.
    pub simulated: SimulatedConfig,
    /// `[reconciliation] orphans`: what becomes of orders of ours that no record knows.
    pub orphans: OrphanRule,
    /// Instruments, ids from 0.
    pub instruments: Vec<InstrumentChoice>,
    /// Venues whose public market is read beside; their instruments' ids follow.
    pub watches: Vec<WatchConfig>,
    /// Slots, ids ascending.
    pub slots: Vec<SlotChoice>,
    /// Engine settings.
    pub engine: EngineSettings,
    /// Clock settings.
    pub clock: ClockConfig,
    /// Journal bounds.
    pub journal: JournalConfig,
    /// Port of `/metrics` on 127.0.0.1; 0 takes a free one.
    pub metrics_port: u16,
    /// How often late subscribers get a whole picture.
    pub snapshot_interval: Nanos,
    /// Capacity of each ring, a power of two.
    pub ring_records: u32,
}

/// Reads a service file that stands alone: what `extends` names is not read (see
/// [`crate::load_service`] and [`parse_service_layers`]).
///
/// # Errors
/// Every fault of the file.
pub fn parse_service(file_name: &str, text: &str) -> Result<ServiceConfig, ConfigErrors> {
    parse_service_layers(&[SourceText {
        name: file_name.to_owned(),
        text: text.to_owned(),
    }])
}

/// Reads a service file over the ones it extends, lowest first: a key of a later layer wins, and its
/// `[[instrument]]` or `[[slot]]` lists replace the ones below.
///
/// # Errors
/// Every fault of every layer.
pub fn parse_service_layers(layers: &[SourceText]) -> Result<ServiceConfig, ConfigErrors> {
    let mut read = layers
        .iter()
        .map(|layer| Document::read(KEYS, &layer.name, &layer.text));
    let first = read.next().unwrap_or_else(|| Document::read(KEYS, "", ""));
    let mut document = read.fold(first, Document::overlay);
    document.require_all();
    check_bar(&mut document, "engine.bar_seconds");
    check_stage(&mut document);
    check_venue(&mut document);
    simulated::check(&mut document);
    guard::check(&mut document);
    watch::check(&mut document);
    check_bounds(&mut document);
    let currency = check_currency(&mut document);
    let places = check_lists(&mut document);
    let document = document.finish()?;
    let currency = currency.expect("a checked currency");
    Ok(Taken { document }.config(currency, &places))
}

fn check_currency(document: &mut Document) -> Option<Currency> {
    let code = document.text("service.portfolio_currency")?;
    let currency = Currency::new(&code);
    if currency.is_none() {
        let allowed = "a currency code of letters and digits, such as USDT".to_owned();
        document.fault(
            "service.portfolio_currency",
            FaultKind::OutOfRange,
            format!("text {code:?}"),
            allowed,
        );
    }
    currency
}

/// Clear text goes to this machine only, and never in prod; time is compressed only outside prod.
fn check_stage(document: &mut Document) {
    let Some(stage) = document.text("service.stage") else {
        return;
    };
    let is_prod = stage == "prod";
    let own = [
        "venue.rest_url",
        "venue.ws_url",
        "venue.ws_api_url",
        "venue.level3_url",
    ];
    let paths = own.map(str::to_owned).into_iter();
    for path in paths.chain(watch::addresses(document)) {
        let Some(url) = document.text(&path) else {
            continue;
        };
        if url.starts_with("https://") || url.starts_with("wss://") {
            continue;
        }
        if is_prod {
            let allowed = "https:// or wss:// in stage prod".to_owned();
            document.fault(&path, FaultKind::Conflict, format!("text {url:?}"), allowed);
        } else if !is_loopback(&url) {
            let allowed = "https:// or wss://; clear text to 127.0.0.1, [::1] or localhost only".to_owned();
            document.fault(&path, FaultKind::OutOfRange, format!("text {url:?}"), allowed);
        }
    }
    if is_prod && let Some(rate) = document.decimal("clock.compression") {
        let allowed = "no compression in stage prod".to_owned();
        document.fault(
            "clock.compression",
            FaultKind::Conflict,
            rate.to_string(),
            allowed,
        );
    }
}

/// What only some venues have: keys with a passphrase, and orders over a socket.
fn check_venue(document: &mut Document) {
    let Some(name) = document.text("venue.name") else {
        return;
    };
    let is_coinbase = name == Venue::Coinbase.as_str();
    if let Some(passphrase) = document.text("venue.api_passphrase_env").filter(|_| !is_coinbase) {
        let allowed = format!("no passphrase at venue {name:?}: only keys of coinbase have one");
        let found = format!("text {passphrase:?}");
        document.fault("venue.api_passphrase_env", FaultKind::Conflict, found, allowed);
    }
    let entry = document.text("venue.order_entry");
    if let Some(entry) = entry.filter(|entry| is_coinbase && entry == "websocket") {
        let allowed = "\"rest\": coinbase takes no orders over a WebSocket".to_owned();
        let found = format!("text {entry:?}");
        document.fault("venue.order_entry", FaultKind::Conflict, found, allowed);
    }
    check_market_data(document, &name);
}

/// How each venue can tell its market.
fn check_market_data(document: &mut Document, venue: &str) {
    let Some(form) = document.text("venue.market_data") else {
        return;
    };
    let of = match form.as_str() {
        "sbe" => Venue::Binance,
        "level3" => Venue::Kraken,
        _ => return,
    };
    let found = format!("text {form:?}");
    if venue != of.as_str() {
        let allowed = format!("\"json\": only {of} tells its market as {form:?}");
        document.fault("venue.market_data", FaultKind::Conflict, found, allowed);
    } else if form == "level3" && document.text("venue.level3_url").is_none() {
        let allowed = "\"json\", or \"level3\" with venue.level3_url, such as \"wss://ws-l3.kraken.com/v2\"";
        document.fault(
            "venue.market_data",
            FaultKind::Conflict,
            found,
            allowed.to_owned(),
        );
    }
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or("");
    let host = match authority.rsplit_once(':') {
        Some((host, _)) if !authority.ends_with(']') => host,
        _ => authority,
    };
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

fn check_bounds(document: &mut Document) {
    let (interval, lag) = (
        document.integer("journal.sync_interval_ms"),
        document.integer("journal.sync_lag_max_ms"),
    );
    if let (Some(interval), Some(lag)) = (interval, lag)
        && lag < interval
    {
        let allowed = format!("at least sync_interval_ms, which is {interval}");
        document.fault(
            "journal.sync_lag_max_ms",
            FaultKind::Conflict,
            format!("integer {lag}"),
            allowed,
        );
    }
    if let Some(records) = document.integer("telemetry.ring_records")
        && records & (records - 1) != 0
    {
        let found = format!("integer {records}");
        document.fault(
            "telemetry.ring_records",
            FaultKind::OutOfRange,
            found,
            "a power of two".to_owned(),
        );
    }
}

/// Checks that symbols and slot ids are unique and that slots name what is there; returns for each slot the
/// place of its instrument.
fn check_lists(document: &mut Document) -> Vec<usize> {
    let mut symbols: Vec<String> = Vec::new();
    for at in 0..document.length("instrument") {
        let path = format!("instrument[{at}].symbol");
        let Some(symbol) = document.text(&path) else {
            continue;
        };
        check_symbol(document, &path, &symbol);
        if symbols.contains(&symbol) {
            document.fault(
                &path,
                FaultKind::Duplicate,
                format!("text {symbol:?}"),
                "each symbol once".to_owned(),
            );
        }
        symbols.push(symbol);
    }
    let mut places = Vec::new();
    let mut highest = 0;
    for at in 0..document.length("slot") {
        let path = format!("slot[{at}].id");
        if let Some(id) = document.integer(&path) {
            if id <= highest {
                let allowed = format!("above {highest}, the id before it");
                document.fault(&path, FaultKind::Duplicate, format!("integer {id}"), allowed);
            }
            highest = highest.max(id);
        }
        let path = format!("slot[{at}].symbol");
        let Some(symbol) = document.text(&path) else {
            continue;
        };
        if let Some(place) = symbols.iter().position(|known| *known == symbol) {
            places.push(place);
        } else {
            let watched = watch::watching(document, &symbol).map_or_else(String::new, |venue| {
                format!("; what [[watch]] has at {venue} is read, not traded")
            });
            let allowed = format!("a symbol of [[instrument]]: {}{watched}", symbols.join(", "));
            document.fault(&path, FaultKind::Conflict, format!("text {symbol:?}"), allowed);
        }
    }
    places
}

/// A symbol as some venue may write it.
pub(crate) fn check_symbol(document: &mut Document, path: &str, symbol: &str) {
    if !symbol.bytes().all(is_of_a_symbol) {
        let allowed =
            "upper-case letters and digits, such as BTCUSDT, BTC-USD (coinbase) or BTC/USD (kraken)"
                .to_owned();
        document.fault(path, FaultKind::OutOfRange, format!("text {symbol:?}"), allowed);
    }
}

fn is_of_a_symbol(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'/')
}

/// A document without faults.
struct Taken {
    document: Document,
}

impl Taken {
    fn config(&self, currency: Currency, places: &[usize]) -> ServiceConfig {
        ServiceConfig {
            name: self.text("service.name"),
            stage: match self.text("service.stage").as_str() {
                "prod" => Stage::Prod,
                "paper" => Stage::Paper,
                _ => Stage::Dev,
            },
            run_folder: self.text("service.run_folder"),
            bundle_store: self.text("service.bundle_store"),
            trusted_keys_file: self.text("service.trusted_keys_file"),
            risk_limits_file: self.text("service.risk_limits_file"),
            portfolio_currency: currency,
            venue: self.venue(),
            simulated: simulated::taken(&self.document),
            orphans: match self.text("reconciliation.orphans").as_str() {
                "adopt" => OrphanRule::Adopt,
                _ => OrphanRule::Cancel,
            },
            instruments: (0..self.document.length("instrument"))
                .map(|at| InstrumentChoice {
                    symbol: self.text(&format!("instrument[{at}].symbol")),
                })
                .collect(),
            watches: watch::taken(&self.document),
            slots: places
                .iter()
                .enumerate()
                .map(|(at, place)| self.slot(at, *place, currency))
                .collect(),
            engine: EngineSettings {
                bar_span: Nanos::from_secs(self.integer("engine.bar_seconds")),
                bar_close_grace: self.millis("engine.bar_close_grace_ms"),
                order_ack_timeout: self.millis("engine.order_ack_timeout_ms"),
            },
            clock: ClockConfig {
                compression: self.document.decimal("clock.compression"),
                offset_max: self.millis("clock.offset_max_ms"),
            },
            journal: JournalConfig {
                segment_bytes_max: self.number("journal.segment_bytes_max"),
                sync_interval: self.millis("journal.sync_interval_ms"),
                sync_lag_max: self.millis("journal.sync_lag_max_ms"),
            },
            metrics_port: self.number("telemetry.metrics_port"),
            snapshot_interval: self.millis("telemetry.snapshot_interval_ms"),
            ring_records: self.number("telemetry.ring_records"),
        }
    }

    fn venue(&self) -> VenueConfig {
        let venue = Venue::from_name(&self.text("venue.name")).expect("a checked venue");
        let variable = |path, what: &str| {
            let usual = || format!("PY_RT_{}_{what}", venue.as_str().to_ascii_uppercase());
            self.document.text(path).unwrap_or_else(usual)
        };
        VenueConfig {
            venue,
            gateway: match self.text("venue.gateway").as_str() {
                "simulated" => GatewayChoice::Simulated,
                _ => GatewayChoice::Venue,
            },
            rest_url: self.text("venue.rest_url"),
            ws_url: self.text("venue.ws_url"),
            ws_api_url: self.text("venue.ws_api_url"),
            market_data: match self.text("venue.market_data").as_str() {
                "sbe" => MarketData::Sbe,
                "level3" => MarketData::Level3 {
                    url: self.text("venue.level3_url"),
                },
                _ => MarketData::Json,
            },
            order_entry: match self.text("venue.order_entry").as_str() {
                "websocket" => OrderEntry::WebSocket,
                _ => OrderEntry::Rest,
            },
            api_key_env: variable("venue.api_key_env", "API_KEY"),
            api_secret_env: variable("venue.api_secret_env", "API_SECRET"),
            api_passphrase_env: self.document.text("venue.api_passphrase_env"),
            recv_window: self.millis("venue.recv_window_ms"),
            guard: guard::taken(&self.document, venue),
            taker_bps: self.taker_bps(),
        }
    }

    /// The venue's, or what the simulated gateway takes in its name.
    fn taker_bps(&self) -> Option<Decimal> {
        let is_simulated = self.document.text("venue.gateway").as_deref() == Some("simulated");
        let simulated = || {
            self.document
                .decimal("simulated.taker_bps")
                .filter(|_| is_simulated)
        };
        self.document.decimal("venue.taker_bps").or_else(simulated)
    }

    fn slot(&self, at: usize, instrument: usize, currency: Currency) -> SlotChoice {
        let capital = self
            .document
            .decimal(&format!("slot[{at}].capital"))
            .expect("a checked decimal");
        SlotChoice {
            slot: SlotId(self.number(&format!("slot[{at}].id"))),
            instrument,
            capital: Money::from_decimal_units(capital.units(), currency),
        }
    }

    fn text(&self, path: &str) -> String {
        self.document.text(path).expect("a checked text")
    }

    fn integer(&self, path: &str) -> i64 {
        self.document.integer(path).expect("a checked number")
    }

    fn millis(&self, path: &str) -> Nanos {
        Nanos::from_millis(self.integer(path))
    }

    fn number<N: TryFrom<i64>>(&self, path: &str) -> N {
        let Ok(number) = N::try_from(self.integer(path)) else {
            unreachable!("{path} is within its range");
        };
        number
    }
}
