//! The command that serves a simulated venue on one loopback port.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use domain::{Decimal, Nanos, Price, Quantity, Timestamp};
use simulation::FlowConfig;
use tracing_subscriber::EnvFilter;
use venue_server::{
    RecordedConfig, RecordedServer, Server, ServerConfig, ServerError, TlsFiles, VenueKind, load_keys,
    read_bars,
};

/// Serves a simulated venue on 127.0.0.1 from recorded bars, on the wire of Binance spot, Kraken spot or Coinbase
/// Advanced Trade.
///
/// API keys come from the environment (PY_RT_VENUE_KEYS, `api_key:secret` separated by commas) or from a file of
/// mode 0400, one `api_key:secret` a line; each is an account. A secret of Kraken's is base64, one of Coinbase's a P-256
/// key as PEM, its line ends as `\n`. When it is ready it prints one line of JSON with its addresses.
///
/// Example: py_rt_venue_server --bars bars.csv --symbol BTCUSDT --seed 7 --bar-ms 50 --port 8701
///
/// Or a recording as the wire: py_rt_venue_server --recording recordings/*.zst --speed 10
#[derive(Debug, Parser)]
#[command(name = "py_rt_venue_server", version)]
struct Options {
    /// CSV: ts_open (ns since the epoch, UTC), open, high, low, close, volume (decimal text).
    #[arg(long, required_unless_present = "recording")]
    bars: Option<PathBuf>,
    /// Serve recordings of a venue's market streams instead, one session in any number of files; whose wire it is, its
    /// messages tell. They begin with the first listener; nothing can be traded.
    #[arg(long, num_args = 1.., value_name = "FILE", conflicts_with_all = ["bars", "bar_ms", "tls_cert", "venue"])]
    recording: Vec<PathBuf>,
    /// With --recording: seconds of it in one second, such as 1 or 0.5; `max` is as fast as it is taken.
    #[arg(long, default_value = "1", requires = "recording")]
    speed: String,
    /// Whose wire.
    #[arg(long, value_enum, default_value_t = Wire::Binance)]
    venue: Wire,
    /// The venue's name of the instrument; BTCUSDT, BTC/USD or BTC-USD where none is given.
    #[arg(long)]
    symbol: Option<String>,
    /// Certificate as PEM: the server speaks TLS. Needs --tls-key.
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key as PEM.
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Seed of the order flow.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Wall milliseconds of one bar: the compression of venue time follows from it.
    #[arg(long, required_unless_present = "recording")]
    bar_ms: Option<u32>,
    /// Port on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Opening time (ns) of the first bar that is played; bars before it are history.
    #[arg(long)]
    from: Option<i64>,
    /// Most bars of history to serve before --from.
    #[arg(long)]
    warmup_bars: Option<usize>,
    /// File with API keys, mode 0400.
    #[arg(long)]
    keys_file: Option<PathBuf>,
    /// Price step; without it, the largest that fits all prices of the bars.
    #[arg(long)]
    tick_size: Option<String>,
    /// Commission of resting orders in basis points.
    #[arg(long, default_value = "10")]
    maker_bps: String,
    /// Commission of orders that take, in basis points.
    #[arg(long, default_value = "10")]
    taker_bps: String,
    /// Opening balance of every account, ASSET=AMOUNT; may be given several times.
    #[arg(long = "balance")]
    balances: Vec<String>,
    /// Fewest public trades in a bar.
    #[arg(long, default_value_t = 24)]
    trades_min: u16,
    /// Most public trades in a bar.
    #[arg(long, default_value_t = 64)]
    trades_max: u16,
    /// Smallest size of a new price level in the base asset, such as 0.01.
    #[arg(long)]
    level_min: Option<String>,
    /// Largest size of a new price level in the base asset; deeper levels are smaller.
    #[arg(long)]
    level_max: Option<String>,
    /// Request weight that one minute allows.
    #[arg(long, default_value_t = 6_000)]
    weight_per_minute: u64,
    /// Wait for POST /admin/resume before time runs.
    #[arg(long)]
    start_paused: bool,
    /// Stop when the bars are over, instead of serving the end state.
    #[arg(long)]
    exit_when_done: bool,
}

/// A wire by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wire {
    Binance,
    Kraken,
    Coinbase,
}

impl Wire {
    fn kind(self) -> VenueKind {
        match self {
            Self::Binance => VenueKind::Binance,
            Self::Kraken => VenueKind::Kraken,
            Self::Coinbase => VenueKind::Coinbase,
        }
    }
}

/// A wire's own parts of the ready line: where orders and private streams go.
fn addresses(kind: VenueKind, ws: &str) -> String {
    match kind {
        VenueKind::Binance => format!(r#""ws":"{ws}","ws_sbe":"{ws}/sbe","ws_api":"{ws}/ws-api/v3""#),
        VenueKind::Kraken => format!(r#""ws":"{ws}/v2","ws_v1":"{ws}""#),
        VenueKind::Coinbase => format!(r#""ws":"{ws}""#),
    }
}

impl Options {
    fn flow(&self) -> Result<FlowConfig, ServerError> {
        let default = FlowConfig::with_seed(self.seed);
        let size = |option, text: &Option<String>, default| match text {
            None => Ok(default),
            Some(text) => Quantity::parse(text.as_bytes())
                .ok()
                .filter(|size| *size > Quantity::ZERO)
                .ok_or_else(|| refused(option, text, "a positive decimal, at most 8 decimals")),
        };
        Ok(FlowConfig {
            trades_min: self.trades_min,
            trades_max: self.trades_max,
            quantity_min: size("--level-min", &self.level_min, default.quantity_min)?,
            quantity_max: size("--level-max", &self.level_max, default.quantity_max)?,
            ..default
        })
    }

    fn config(&self) -> Result<ServerConfig, ServerError> {
        let kind = self.venue.kind();
        let symbol = self.symbol.as_deref().unwrap_or(kind.default_symbol());
        let bars = self.bars.as_deref().unwrap_or_else(|| Path::new(""));
        let mut config = ServerConfig::new(read_bars(bars)?, symbol);
        config.venue = kind;
        config.tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            }),
            _ => None,
        };
        let bar_ms = self.bar_ms.unwrap_or_default();
        if bar_ms == 0 {
            return Err(refused("--bar-ms", "0", "1 or more milliseconds"));
        }
        config.from = self.from.map(Timestamp::from_nanos);
        config.warmup_bars = self.warmup_bars;
        config.wall_span = Nanos::from_millis(bar_ms.into());
        config.flow = self.flow()?;
        if let Some(text) = &self.tick_size {
            let tick = Price::parse(text.as_bytes())
                .ok()
                .filter(|tick| *tick > Price::ZERO);
            let tick =
                tick.ok_or_else(|| refused("--tick-size", text, "a positive decimal, at most 8 decimals"))?;
            config.tick_size = Some(tick);
        }
        config.maker_bps = basis_points("--maker-bps", &self.maker_bps)?;
        config.taker_bps = basis_points("--taker-bps", &self.taker_bps)?;
        for entry in &self.balances {
            let malformed = || refused("--balance", entry, "ASSET=AMOUNT, such as USDT=1000000");
            let (asset, amount) = entry.split_once('=').ok_or_else(malformed)?;
            let amount = Decimal::parse(amount.as_bytes()).map_err(|_| malformed())?;
            config.balances.insert(asset.to_owned(), amount.units());
        }
        config.weight_per_minute = self.weight_per_minute;
        config.port = self.port;
        config.start_paused = self.start_paused;
        config.exit_when_done = self.exit_when_done;
        Ok(config)
    }

    fn recorded_config(&self) -> Result<RecordedConfig, ServerError> {
        let speed = match self.speed.as_str() {
            "max" => None,
            text => {
                let times = text
                    .parse()
                    .ok()
                    .filter(|times: &f64| times.is_finite() && *times > 0.0);
                Some(times.ok_or_else(|| refused("--speed", text, "a positive number, or max"))?)
            }
        };
        Ok(RecordedConfig {
            files: self.recording.clone(),
            speed,
            port: self.port,
            exit_when_done: self.exit_when_done,
        })
    }
}

fn basis_points(option: &'static str, text: &str) -> Result<Decimal, ServerError> {
    let parsed = Decimal::parse(text.as_bytes()).ok();
    let limit = Decimal::from_units(1_000 * domain::SCALE);
    let allowed = parsed.filter(|bps| (Decimal::ZERO..=limit).contains(bps));
    allowed.ok_or_else(|| refused(option, text, "basis points from 0 to 1000, at most 8 decimals"))
}

fn refused(option: &'static str, value: &str, allowed: &'static str) -> ServerError {
    ServerError::Option {
        option,
        value: value.to_owned(),
        allowed,
    }
}

async fn serve(options: &Options) -> Result<(), ServerError> {
    if !options.recording.is_empty() {
        let server = RecordedServer::start(options.recorded_config()?).await?;
        tell_ready(options, server.venue(), server.address().port());
        let stop = server.stopper();
        tokio::spawn(async move {
            stop_signal().await;
            stop();
        });
        return server.wait().await;
    }
    let keys = load_keys(options.keys_file.as_deref())?;
    let server = Server::start(options.config()?, keys).await?;
    tell_ready(options, options.venue.kind(), server.address().port());
    let stopper = server.stopper();
    tokio::spawn(async move {
        stop_signal().await;
        stopper.stop();
    });
    server.wait().await
}

/// One line of JSON with the addresses.
fn tell_ready(options: &Options, kind: VenueKind, port: u16) {
    let secure = if options.tls_cert.is_some() { "s" } else { "" };
    let addresses = addresses(kind, &format!("ws{secure}://127.0.0.1:{port}"));
    let ready = format!(r#"{{"rest":"http{secure}://127.0.0.1:{port}",{addresses}}}"#);
    // Whoever started it may have gone; the server is of use all the same.
    let _ = writeln!(io::stdout(), "{ready}");
    let _ = io::stdout().flush();
}

/// Waits for SIGTERM or Ctrl-C.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(serve(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "py_rt_venue_server: {error}");
    ExitCode::from(2)
}
