//! The command `py_rt_live`.

mod replay_command;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use config::ServiceConfig;
use live::bundles::StoredBundles;
use live::error::EXIT_OK;
use live::journal_record::{FOLDER, JournalRecorder};
use live::programs::Programs;
use live::watchdog;
use live::{Ended, LiveError, Ports, RunFolder, Setup};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use venues::Credentials;

/// Threads that serve sockets; the deciding thread is beside them.
const WORKERS: usize = 2;

const AFTER_HELP: &str = "\
Exit status: 0 drained, or nothing wrong found with --check; 1 a defect; 2 command line, configuration or environment \
refused; 3 another instance holds the run folder; 4 the venue could not be used at the start; 5 the record is damaged \
or cannot be written; 6 stopped, but orders may be left at the venue; 7 the watchdog canceled the orders of a silent service.

Stop it with SIGTERM or Ctrl-C: it cancels, reconciles, writes and exits. RUST_LOG sets what it logs (default: info).

Example: py_rt_live --config config/paper.toml";

/// Trades approved bundles at a venue, until told to stop.
#[derive(Debug, Parser)]
#[command(name = "py_rt_live", version, after_help = AFTER_HELP)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// The service's file (TOML).
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    /// Watch the service of this file instead, and cancel its orders when it is silent for [venue] watchdog_silence_s. The
    /// keys are those of the variables of the service with _WATCHDOG behind their names.
    #[arg(long, conflicts_with = "check")]
    watchdog: bool,
    /// Only check the configuration and every file it names; touch nothing.
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    // What it does stands with its options.
    Replay(replay_command::Options),
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // The exit status says it even when nobody reads.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The memory of this process holds the venue's secret: a crash must not write it to disk.
fn write_no_core() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        // The exit status says it even when nobody reads.
        let _ = writeln!(io::stderr(), "core dumps could not be switched off: {error}");
    }
}

fn run(options: &Options) -> Result<u8, LiveError> {
    write_no_core();
    if let Some(Command::Replay(options)) = &options.command {
        return replay_command::run(options);
    }
    // Without a command it must be there.
    let config = options.config.clone().unwrap_or_default();
    let setup = Setup::load(&config)?;
    if options.check {
        let _ = writeln!(io::stdout(), "{}: nothing wrong found", config.display());
        if let Err(error) = live::credentials(&setup.service.config.venue).map_err(LiveError::Credentials) {
            let _ = writeln!(io::stderr(), "to start, it also needs the venue's keys: {error}");
        }
        return Ok(EXIT_OK);
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // Colours are for people; in a file they are noise.
        .with_ansi(io::stderr().is_terminal())
        .init();
    if options.watchdog {
        return watch(&setup.service.config);
    }
    let credentials = live::credentials(&setup.service.config.venue).map_err(LiveError::Credentials)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .on_thread_start(|| {
            // The deciding thread wakes these with each order, and must not wait for them.
            if let Err(error) = ipc::scheduling::wait_for_the_waker() {
                tracing::warn!(%error, "orders are handed over more slowly: the threads for sockets run as usual");
            }
        })
        .enable_all()
        .build()
        .map_err(|error| LiveError::Defect(format!("no threads for sockets: {error}")))?;
    let ended = runtime.block_on(serve(&setup, credentials))?;
    Ok(ended.exit_code())
}

/// Watches a service until told to stop, or until its orders were canceled.
fn watch(config: &ServiceConfig) -> Result<u8, LiveError> {
    let credentials = watchdog::credentials(&config.venue)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LiveError::Defect(format!("no runtime: {error}")))?;
    let watched = runtime.block_on(async {
        let stop = StopSignal::listen()?;
        watchdog::watch(config, credentials, stop.received()).await
    })?;
    Ok(watched.exit_code())
}

/// Runs the service until it is told to stop, or ends by itself.
async fn serve(setup: &Setup, credentials: Option<Credentials>) -> Result<Ended, LiveError> {
    // Before anything else: a signal that comes while the service starts must not kill it halfway.
    let stop = StopSignal::listen()?;
    let folder = RunFolder::open(&setup.run_folder())?;
    let programs: Arc<dyn Programs> = Arc::new(StoredBundles::of(setup));
    let recorder = JournalRecorder {
        dir: folder.file(FOLDER),
        settings: setup.service.config.journal,
        run_id: folder.run_id(),
        programs: Arc::clone(&programs),
    };
    let ports = Ports {
        credentials,
        recorder: Box::new(recorder),
        programs,
    };
    let service = live::start(setup, folder, ports).await?;
    service.run_until(stop.received()).await
}

/// SIGTERM and SIGINT.
struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    fn listen() -> Result<Self, LiveError> {
        let listen = |kind| signal(kind).map_err(|error| LiveError::Defect(format!("no signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
