//! The command that plays recorded sessions and says what it found.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
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
}

fn main() -> ExitCode {
    let Command::Check { files, json } = Options::parse().command;
    match run(&files, json) {
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

    fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
