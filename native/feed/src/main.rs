//! The command that plays recorded sessions and says what it found.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use feed::faults::{Campaign, FAULTS_MAX, inject};
use feed::{Progress, check};

/// Something is wrong with what was recorded.
const WRONG: u8 = 1;

/// A file cannot be read, or the command line is none.
const UNREADABLE: u8 = 2;

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Lines between two looks at the clock.
const LOOK_EVERY: u64 = 1_000;

/// Plays recorded wire sessions.
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
}

fn main() -> ExitCode {
    let done = match Options::parse().command {
        Command::Check { files, json } => run(&files, json),
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
fn run(files: &[PathBuf], json: bool) -> Result<bool, Box<dyn std::error::Error>> {
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

/// Progress on a terminal; silent elsewhere.
struct Meter<'a> {
    files: &'a [PathBuf],
    is_shown: bool,
    looked: u64,
    told: Instant,
}

impl<'a> Meter<'a> {
    fn new(files: &'a [PathBuf]) -> Self {
        Self {
            files,
            is_shown: io::stderr().is_terminal(),
            looked: 0,
            told: Instant::now(),
        }
    }

    fn tell(&mut self, progress: Progress) {
        self.looked += 1;
        if !self.is_shown || !self.looked.is_multiple_of(LOOK_EVERY) || self.told.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.told = Instant::now();
        let doing = if progress.pass == 1 {
            "looking into"
        } else {
            "playing"
        };
        let (path, line) = (self.files[progress.file].display(), progress.line);
        let _ = write!(io::stderr(), "\r\x1b[K{doing} {path}, line {line}");
        let _ = io::stderr().flush();
    }

    fn tell_faults(&mut self, injected: u64, count: u64) {
        if self.is_shown && self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            let _ = write!(io::stderr(), "\r\x1b[K{injected} of {count} faults");
            let _ = io::stderr().flush();
        }
    }

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
