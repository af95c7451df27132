//! What a server is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::{Bar, Currency, Decimal, Instrument, Nanos, Price, SCALE, Timestamp};
use simulation::FlowConfig;

use crate::bars_file::common_tick;
use crate::error::ServerError;
use crate::wire::VenueKind;

/// Units of base and quote that an account opens with where nothing else is asked for: 10 and 1,000,000.
const OPENING_BASE: i64 = 10 * SCALE;
const OPENING_QUOTE: i64 = 1_000_000 * SCALE;

/// Everything a server needs to know, keys apart.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Whose wire is served.
    pub venue: VenueKind,
    /// The record, ascending.
    pub bars: Vec<Bar>,
    /// The venue's name of the instrument, such as `BTCUSDT`, `BTC/USD` or `BTC-USD`.
    pub symbol: String,
    /// Opening time of the first bar that is played; the first of the record where `None`.
    pub from: Option<Timestamp>,
    /// How many bars before it are served as history; all of them where `None`.
    pub warmup_bars: Option<usize>,
    /// Wall time of one bar.
    pub wall_span: Nanos,
    /// How lively the market is.
    pub flow: FlowConfig,
    /// Price step; where `None`, the largest that fits all prices of the record.
    pub tick_size: Option<Price>,
    /// Commission of resting orders in ten-thousandths, taken in what the trade brings in.
    pub maker_bps: Decimal,
    /// Commission of orders that take.
    pub taker_bps: Decimal,
    /// Opening balances of every account by asset, in units of 1e-8.
    pub balances: BTreeMap<String, i64>,
    /// Request weight that one minute allows.
    pub weight_per_minute: u64,
    /// Certificate and key; plain text where `None`.
    pub tls: Option<TlsFiles>,
    /// The port on 127.0.0.1; zero takes any free one.
    pub port: u16,
    /// Wait for `/admin/resume` before time runs.
    pub start_paused: bool,
    /// Stop when the record is over, instead of serving its end state.
    pub exit_when_done: bool,
}

/// What a server with TLS shows and keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, and those that it hangs on, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

impl ServerConfig {
    /// A server over `bars` with the defaults: one bar a second, 10 basis points commission, any free port.
    #[must_use]
    pub fn new(bars: Vec<Bar>, symbol: &str) -> Self {
        Self {
            venue: VenueKind::default(),
            bars,
            symbol: symbol.to_owned(),
            from: None,
            warmup_bars: None,
            wall_span: Nanos::from_secs(1),
            flow: FlowConfig::with_seed(0),
            tick_size: None,
            maker_bps: Decimal::from_units(10 * SCALE),
            taker_bps: Decimal::from_units(10 * SCALE),
            balances: BTreeMap::new(),
            weight_per_minute: 6_000,
            tls: None,
            port: 0,
            start_paused: false,
            exit_when_done: false,
        }
    }

    pub(crate) fn tick_size(&self) -> Price {
        self.tick_size.unwrap_or_else(|| common_tick(&self.bars))
    }

    /// `(history, played)`.
    pub(crate) fn split_bars(&self) -> Result<(&[Bar], &[Bar]), ServerError> {
        let at = match self.from {
            None => 0,
            Some(from) => self
                .bars
                .iter()
                .position(|bar| bar.ts_open == from)
                .ok_or(ServerError::From(from.nanos()))?,
        };
        let (before, played) = self.bars.split_at(at);
        let kept = self.warmup_bars.unwrap_or(before.len()).min(before.len());
        Ok((&before[before.len() - kept..], played))
    }

    /// Opening balances of every account, units of 1e-8.
    pub(crate) fn opening_balances(
        &self,
        instrument: &Instrument,
    ) -> Result<Vec<(Currency, i64)>, ServerError> {
        let mut balances =
            BTreeMap::from([(instrument.base, OPENING_BASE), (instrument.quote, OPENING_QUOTE)]);
        for (asset, units) in &self.balances {
            let currency = Currency::new(asset).filter(|_| *units >= 0);
            let currency = currency.ok_or_else(|| ServerError::Option {
                option: "--balance",
                value: asset.clone(),
                allowed: "ASSET=AMOUNT with up to twelve letters and digits and an amount from zero",
            })?;
            balances.insert(currency, *units);
        }
        Ok(balances.into_iter().collect())
    }
}
