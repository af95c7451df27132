//! The command that records venues' wires, plays what was recorded and says what it found.

mod record_command;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use feed::check;
use feed::export::{Window, export};
use feed::faults::{Campaign, FAULTS_MAX, inject};
use feed::meter::Meter;
use feed::replay::{ReplayError, Speed, replay};

/// Something is wrong with what was recorded.
const WRONG: u8 = 1;

/// A file cannot be read, or the command line is none.
const UNREADABLE: u8 = 2;

/// Records venues' wires, and plays what was recorded.
#[derive(Debug, Parser)]
#[command(name = "py_rt_feed", version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays recordings through the parsers, sequencers and books of their venues and says what was found.
    ///
    /// Formats: `<ns> <message>` lines, cryptofeed recordings (JSON lines or text), JSON lines with a "frame"; plain, gzip
    /// or zstd. Format and wire are found by content. Files of one wire continue each other in order of time.
    ///
    /// Exit status: 0 nothing wrong; 1 something wrong was found; 2 a file cannot be read, or the command line is wrong.
    ///
    /// Example: py_rt_feed check btcusdt_20240808.gz btcusdt_20240809.gz --json
    Check {
        /// Recordings.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// One JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Injects seeded faults into recordings and says which of them the parsers, sequencers and books noticed.
    ///
    /// Messages are lost, come twice or late; digits, sides and bytes change; messages are cut. Each fault meets a copy of
    /// the books as they stood before it. A breach is a promise that was not kept: a hole in the numbers that the next
    /// message did not show, a book that stands against its checksum or against an independent best level, a change
    /// passed on of a book known to be invalid. What no proof covers is counted as unseen.
    ///
    /// Exit status: 0 no breach; 1 breaches; 2 a file cannot be read, or the command line is wrong.
    ///
    /// Example: py_rt_feed faults --count 100000 --seed 7 btcusdt_20240808.gz
    Faults {
        /// Recordings.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Faults over all files, in proportion to their messages that move a book.
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=FAULTS_MAX))]
        count: u64,
        /// The same seed and files give the same faults.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// One JSON document instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Records a venue's market streams as they come, until it is told to stop (SIGINT, SIGTERM).
    ///
    /// Each message stands in the files byte for byte, with the time of its receipt, beside connections made and lost and
    /// REST snapshots. A file is ended by size and by time and never gone back to; what a crash leaves is read up to its
    /// last whole line. `check` reads the files.
    ///
    /// Exit status: 0 ended as told; 1 the disk takes no more: what was written before can be read; 2 it cannot begin.
    ///
    /// Example: py_rt_feed record --venue binance --symbol BTCUSDT ETHUSDT --out recordings
    Record(record_command::Options),
    /// Plays recordings as normalised events, one JSON document a line.
    ///
    /// Events: book (snapshot or delta), book_invalid, trade, quote. Prices and quantities are decimal text, times
    /// UTC nanoseconds.
    ///
    /// Exit status: 0 nothing wrong; 1 something wrong was found, as `check` would; 2 a file cannot be read, or the command
    /// line is wrong.
    ///
    /// Example: py_rt_feed replay recordings/*.zst --speed 10
    Replay {
        /// Recordings.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Seconds of the recording in one second, such as 1 or 0.5; `max` is as fast as it is taken.
        #[arg(long, default_value = "max", value_parser = speed)]
        speed: Speed,
    },
    /// Writes recordings as tables of integers: book.csv, trades.csv, and report.json, which says what they are worth.
    ///
    /// Prices and quantities are units of 1e-8, times UTC nanoseconds.
    ///
    /// Exit status: 0 nothing wrong; 1 something wrong was found, as `check` would, and the tables stand; 2 a file cannot
    /// be read or written, or the command line is wrong.
    ///
    /// Example: py_rt_feed export recordings/*.zst --out tables
    Export {
        /// Recordings.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The folder for the tables, which must not hold them yet.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only what was received from this time on, UTC nanoseconds; what comes before is played, so that books stand.
        #[arg(long, default_value_t = i64::MIN, hide_default_value = true, allow_negative_numbers = true)]
        from_ns: i64,
        /// Only what was received before this time.
        #[arg(long, default_value_t = i64::MAX, hide_default_value = true, allow_negative_numbers = true)]
        to_ns: i64,
    },
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    let times = text
        .parse()
        .ok()
        .filter(|times: &f64| times.is_finite() && *times > 0.0);
    times
        .map(Speed::Times)
        .ok_or_else(|| "a positive number, or max".to_owned())
}

fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Check { files, json } => checked(&files, json),
        Command::Replay { files, speed } => replayed(&files, speed),
        Command::Export {
            files,
            out,
            from_ns,
            to_ns,
        } => exported(&files, &out, from_ns..to_ns),
        Command::Record(options) => record_command::run(&options),
        Command::Faults {
            files,
            count,
            seed,
            json,
        } => run_faults(&files, Campaign { count, seed }, json),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(WRONG),
        Err(error) => {
            let _ = writeln!(io::stderr(), "py_rt_feed: {error}");
            ExitCode::from(UNREADABLE)
        }
    }
}

/// Whether nothing is wrong.
fn checked(files: &[PathBuf], json: bool) -> Result<bool, Box<dyn std::error::Error>> {
    let mut meter = Meter::new(files);
    let report = check(files, &mut |progress| meter.tell(progress));
    meter.clear();
    let report = report?;
    let text = if json {
        serde_json::to_string(&report)? + "\n"
    } else {
        report.table()
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(report.right)
}

/// Whether every promise was kept.
fn run_faults(files: &[PathBuf], campaign: Campaign, json: bool) -> Result<bool, Box<dyn std::error::Error>> {
    let mut meter = Meter::new(files);
    let report = inject(files, campaign, &mut |injected| {
        meter.tell_faults(injected, campaign.count);
    });
    meter.clear();
    let report = report?;
    let text = if json {
        serde_json::to_string(&report)? + "\n"
    } else {
        report.table()
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(report.breaches == 0)
}

/// Likewise.
fn replayed(files: &[PathBuf], speed: Speed) -> Result<bool, Box<dyn std::error::Error>> {
    match replay(files, speed, BufWriter::new(io::stdout().lock()), &mut |_| {}) {
        // Whoever listened has heard enough.
        Err(ReplayError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        report => told(&report?),
    }
}

/// Likewise.
fn exported(files: &[PathBuf], out: &Path, window: Window) -> Result<bool, Box<dyn std::error::Error>> {
    let mut meter = Meter::new(files);
    let exported = export(files, out, window, &mut |progress| meter.tell(progress));
    meter.clear();
    told(&exported?.report)
}

/// Says on stderr what is wrong, if anything is.
fn told(report: &feed::Report) -> Result<bool, Box<dyn std::error::Error>> {
    for problem in &report.problems {
        writeln!(io::stderr(), "{problem}")?;
    }
    Ok(report.right)
}
