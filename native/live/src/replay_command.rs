//! The command `py_rt_live replay`.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use domain::BundleDigest;
use feed::meter::Meter;
use live::bundles::StoredBundles;
use live::error::EXIT_OK;
use live::replay::{ReplayRequest, replay};
use live::{LiveError, Setup};

/// Exit status when the replay is not the run that it was held against.
const EXIT_DIFFERS: u8 = 1;

/// Plays a recording through the engine that trades, in the recording's own time, with fills from the simulated gateway.
///
/// Limits, capital and the simulated gateway are the configuration's. With --run it begins as that run of the service did
/// (rules, history, the place at which the bundle was activated) and is held against what the run decided; without, rules
/// are the steps that the recording shows, and the bundle's approval must hold now.
///
/// Exit status: 0 played, and the same as the run where there is one; 1 not the same; 2 refused; 5 the run's record cannot
/// be read.
///
/// Example: py_rt_live replay recordings/*.zst --bundle DIGEST --config config/paper.toml
///
/// Against a run: py_rt_live replay recordings/*.zst --bundle DIGEST --config config/paper.toml --run runs/paper
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Recordings of one venue.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What trades: 64 hexadecimal digits.
    #[arg(long, value_parser = digest)]
    bundle: BundleDigest,
    /// The service's file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder of a run to begin as, and to compare with.
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// One JSON document (docs/guides/paper_trading.md).
    #[arg(long)]
    json: bool,
}

fn digest(text: &str) -> Result<BundleDigest, String> {
    let hex = text.strip_prefix("sha256-").unwrap_or(text);
    BundleDigest::from_hex(hex).ok_or_else(|| "64 hexadecimal digits".to_owned())
}

pub(crate) fn run(options: &Options) -> Result<u8, LiveError> {
    let setup = Setup::load(&options.config)?;
    let programs = StoredBundles::of(&setup);
    let request = ReplayRequest {
        setup: &setup,
        files: &options.files,
        bundle: options.bundle,
        run: options.run.as_deref(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| LiveError::Defect(format!("no runtime: {error}")))?;
    let mut meter = Meter::new(&options.files);
    let report = runtime.block_on(replay(&request, &programs, &mut |progress| meter.tell(progress)));
    meter.clear();
    let report = report?;
    let text = if options.json {
        format!("{}\n", report.json())
    } else {
        report.text()
    };
    // The exit status says it even when nobody reads.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(if report.is_same() { EXIT_OK } else { EXIT_DIFFERS })
}
