//! Tours every call and stream of a venue with one account, and writes down what differs from the wire that is expected.
//!
//! Orders are as small as the venue's rules allow, rest far from the market and are taken back; nothing is placed at a
//! venue that is not on this machine unless the command line says so. What this build expects of each answer stands in
//! [`tour`]; the certificate is one JSON document.

mod certificate;
mod error;
mod plan;
mod shape;
mod streams;
mod tour;
mod wire;
mod words;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use domain::Decimal;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::certificate::{Binary, Certificate, Difference, Network, Outcome, SCHEMA_VERSION, Step, verdict};
use crate::error::CertifyError;
use crate::plan::{Asked, Bound, Plan};
use crate::tour::{Tour, wall_now};
use crate::words::Words;

/// Threads that serve sockets.
const WORKERS: usize = 2;

/// Bytes of a file that are read at once.
const CHUNK_BYTES: usize = 1 << 16;

/// Exit status of a tour that saw a difference, or could not try everything.
const EXIT_DIFFERS: u8 = 1;

const AFTER_HELP: &str = "\
Exit status: 0 as expected; 1 something differs or could not be tried (the certificate is written all the same); \
2 command line, configuration or environment refused; 3 no consent, or a key that may withdraw; 4 the venue could not \
be used.

Example: py_rt_certify --config config/paper.toml";

/// Tours every call and stream of a venue, and writes a certificate to standard output.
#[derive(Debug, Parser)]
#[command(name = "py_rt_certify", version, after_help = AFTER_HELP)]
struct Options {
    /// The service's file (TOML): venue, addresses, names of the keys.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Which venue the file must be of.
    #[arg(long)]
    venue: Option<String>,
    /// Only say where the tour would go, as JSON; nothing is sent.
    #[arg(long)]
    r#where: bool,
    /// The venue's own symbol; default: the first instrument of the file.
    #[arg(long)]
    symbol: Option<String>,
    /// The venue's test network instead of the file's addresses.
    #[arg(long, conflicts_with = "production")]
    testnet: bool,
    /// The venue itself instead of the file's addresses.
    #[arg(long)]
    production: bool,
    /// A person agreed to orders at this address, as `--where` tells it; needed where it is not on this machine.
    #[arg(long, value_name = "ADDRESS")]
    consent: Option<String>,
    /// Most that one order may cost, in the quote currency.
    #[arg(long, default_value = "25", value_parser = money)]
    max_notional: Decimal,
    /// Longest that one step may take, seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    patience_s: u64,
    /// Let one order trade: its fills, their fees and the balances after them are seen.
    #[arg(long)]
    trade: bool,
}

fn money(text: &str) -> Result<Decimal, String> {
    let parsed = Decimal::parse(text.as_bytes()).ok();
    let allowed = parsed.filter(|amount| *amount > Decimal::ZERO);
    allowed.ok_or_else(|| "a positive decimal, at most 8 decimals".to_owned())
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(options) {
        Ok(Outcome::AsExpected) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(EXIT_DIFFERS),
        Err(error) => {
            // The exit status says it even when nobody reads.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(options: Options) -> Result<Outcome, CertifyError> {
    // The memory of this process holds the venue's secret: a crash must not write it to disk.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)
        .map_err(|error| CertifyError::Defect(format!("core dumps could not be switched off: {error}")))?;
    let service = config::load_service(&options.config)?;
    let network = match (options.testnet, options.production) {
        (true, _) => Some(Network::Testnet),
        (_, true) => Some(Network::Production),
        _ => None,
    };
    let is_named = |venue: &String| venue == service.config.venue.venue.as_str();
    if let Some(venue) = options.venue.as_ref().filter(|venue| !is_named(venue)) {
        return Err(CertifyError::Option {
            option: "--venue",
            problem: format!(
                "{} is a file of {}, not of {venue}: name another with --config, such as config/{venue}.toml",
                options.config.display(),
                service.config.venue.venue
            ),
        });
    }
    let asked = Asked {
        network,
        symbol: options.symbol,
        trades: options.trade,
        max_notional: options.max_notional,
        patience: Duration::from_secs(options.patience_s),
    };
    let bound = Bound::of(&service.config, asked)?;
    if options.r#where {
        print(&bound.place())?;
        return Ok(Outcome::AsExpected);
    }
    let plan = bound.plan(options.consent.as_deref())?;
    let words = Words::new(plan.redaction.clone());
    tracing_subscriber::registry()
        .with(words.clone().with_filter(LevelFilter::WARN))
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| CertifyError::Defect(format!("no threads for sockets: {error}")))?;
    let certificate = runtime.block_on(certify(plan, words))?;
    print(&certificate)?;
    Ok(certificate.verdict)
}

/// One line of JSON to standard output.
fn print(what: &impl Serialize) -> Result<(), CertifyError> {
    let text = serde_json::to_string(what)
        .map_err(|error| CertifyError::Defect(format!("what was found cannot be written: {error}")))?;
    writeln!(io::stdout(), "{text}")
        .map_err(|error| CertifyError::Defect(format!("standard output: {error}")))
}

async fn certify(plan: Plan, words: Words) -> Result<Certificate, CertifyError> {
    let began_at_ns = wall_now().nanos();
    let mut certificate = Certificate {
        schema_version: SCHEMA_VERSION,
        venue: plan.venue.venue.as_str(),
        symbol: plan.symbol.clone(),
        network: plan.network,
        addresses: plan.addresses(),
        began_at_ns,
        ended_at_ns: began_at_ns,
        binary: this_binary()?,
        traded: plan.trades,
        max_notional: plan.max_notional.to_string(),
        verdict: Outcome::NotTried,
        steps: Vec::new(),
        differences: Vec::new(),
    };
    (certificate.steps, certificate.differences) = toured(plan, words).await?;
    certificate.verdict = verdict(&certificate.steps, &certificate.differences);
    certificate.ended_at_ns = wall_now().nanos();
    Ok(certificate)
}

/// Tours, and takes back what was placed: also when a person stops it halfway.
async fn toured(plan: Plan, words: Words) -> Result<(Vec<Step>, Vec<Difference>), CertifyError> {
    let tour = Tour::open(plan, words).await?;
    let mut stop =
        Stop::new().map_err(|error| CertifyError::Defect(format!("signals cannot be heard: {error}")))?;
    let is_stopped = tokio::select! {
        () = tour.run() => false,
        () = stop.told() => true,
    };
    tour.clean().await;
    let (mut steps, differences) = tour.close().await;
    if is_stopped {
        steps.push(Step {
            name: "whole tour",
            outcome: Outcome::NotTried,
            seen: vec!["stopped by a person".to_owned()],
            words: Vec::new(),
            wall_ms: 0,
        });
    }
    Ok((steps, differences))
}

/// SIGINT, SIGTERM or SIGHUP: also a terminal that is closed leaves no order behind.
#[derive(Debug)]
struct Stop([Signal; 3]);

impl Stop {
    /// From here on none of them ends the process.
    fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn told(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

fn this_binary() -> Result<Binary, CertifyError> {
    let unread = |error: io::Error| CertifyError::Defect(format!("this program's own file: {error}"));
    let mut digest = Sha256::new();
    let mut file = File::open("/proc/self/exe").map_err(unread)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk).map_err(unread)? {
            0 => break,
            count => digest.update(&chunk[..count]),
        }
    }
    Ok(Binary {
        name: env!("CARGO_BIN_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        sha256: hex::encode(digest.finalize()),
    })
}
