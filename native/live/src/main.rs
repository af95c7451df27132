//! The command `py_rt_live`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use live::{LiveError, RunFolder, Setup};
use tracing_subscriber::EnvFilter;

const AFTER_HELP: &str = "\
Exit status: 0 drained, or nothing wrong found with --check; 1 a defect; 2 command line, configuration or environment \
refused; 3 another instance holds the run folder; 4 the venue could not be used at the start; 5 the record is damaged \
or cannot be written; 6 stopped, but orders may be left at the venue.

Stop it with SIGTERM or Ctrl-C: it cancels, reconciles, writes and exits. RUST_LOG sets what it logs (default: info).

Example: py_rt_live --config config/paper.toml";

/// Trades approved bundles at a venue, until told to stop.
#[derive(Debug, Parser)]
#[command(name = "py_rt_live", version, after_help = AFTER_HELP)]
struct Options {
    /// The service's file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only check the configuration and every file it names; touch nothing.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The exit status says it even when nobody reads.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(options: &Options) -> Result<(), LiveError> {
    let setup = Setup::load(&options.config)?;
    if options.check {
        let _ = writeln!(io::stdout(), "{}: nothing wrong found", options.config.display());
        return Ok(());
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    let folder = RunFolder::open(&setup.run_folder())?;
    Err(LiveError::Content {
        path: folder.path().to_owned(),
        problem: "this build has no durable record yet, and without one nothing is traded: only --check and --version \
                  do something"
            .to_owned(),
    })
}
