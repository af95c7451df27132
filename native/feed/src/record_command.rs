//! `py_rt_feed record`: its options, and what it says while it runs.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::PossibleValuesParser;
use domain::{Nanos, Venue};
use feed::record::{Counts, News, RECORDED, RecordOptions, Recorded, record};
use recording::{Packing, WriterSettings, Written};
use tracing_subscriber::EnvFilter;

/// Between two lines of progress: on a terminal, where they replace each other, and elsewhere.
const PROGRESS_EVERY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_mins(1));

/// Problems told one by one; the rest are counted.
const PROBLEMS_TOLD_MAX: u64 = 20;

const BYTES_PER_MB: u64 = 1_000_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Whose streams.
    #[arg(long, value_parser = PossibleValuesParser::new(RECORDED.map(Venue::as_str)))]
    venue: String,
    /// The venue's own symbols.
    #[arg(long = "symbol", required = true, num_args = 1.., value_name = "SYMBOL")]
    symbols: Vec<String>,
    /// The folder for the files. It is made if it is not there; what is in it stays.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A file of so many megabytes is ended and the next begun.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rotate_mb: u64,
    /// A file is ended at each multiple of so many minutes UTC; 0 never. What divides 1440 gives no file over midnight.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=10_080))]
    rotate_minutes: u32,
    /// Longest time until what was written is on the disk, milliseconds.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    sync_ms: u64,
    /// Plain files instead of zstd ones.
    #[arg(long)]
    plain: bool,
    /// Instead of the venue's own address, such as http://127.0.0.1:8080.
    #[arg(long)]
    url: Option<String>,
    /// Levels a side that books are subscribed with: 10, 25, 100, 500 or 1000. Kraken only; a recording that is served has
    /// the depth that it was taken with.
    #[arg(long, value_name = "LEVELS")]
    depth: Option<u16>,
    /// Ends by itself after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// The summary as one JSON document.
    #[arg(long)]
    json: bool,
}

impl Options {
    fn record_options(&self) -> RecordOptions {
        RecordOptions {
            venue: Venue::from_name(&self.venue).expect("the parser allows no other"),
            symbols: self.symbols.clone(),
            url: self.url.clone(),
            depth: self.depth,
            writer: WriterSettings {
                folder: self.out.clone(),
                stem: self.venue.clone(),
                venue: self.venue.clone(),
                symbols: self.symbols.clone(),
                packing: if self.plain { Packing::Plain } else { Packing::Zstd },
                rotate_bytes: self.rotate_mb * BYTES_PER_MB,
                rotate_after: Nanos::from_secs(i64::from(self.rotate_minutes) * 60),
            },
            sync_every: Duration::from_millis(self.sync_ms),
            stop_after: self.seconds.map(Duration::from_secs),
        }
    }
}

/// Whether it ended as it was told to.
pub(crate) fn run(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    let mut teller = Teller::new();
    let stop = Arc::new(AtomicBool::new(false));
    let recorded = record(&options.record_options(), &stop, &mut |news| teller.tell(news))?;
    teller.clear();
    let text = if options.json {
        serde_json::to_string(&recorded)? + "\n"
    } else {
        summary(&recorded)
    };
    // Whoever started it may have gone.
    let _ = io::stdout().write_all(text.as_bytes());
    if let Some(error) = &recorded.error {
        writeln!(
            io::stderr(),
            "py_rt_feed: {error}; what was written before can be read"
        )?;
    }
    Ok(recorded.error.is_none())
}

fn summary(recorded: &Recorded) -> String {
    let counts = &recorded.counts;
    let seconds = (recorded.ended_ns - recorded.began_ns) / 1_000_000_000;
    let mut text = format!(
        "{} {}: {} records in {seconds} s: {} messages ({} bytes), {} snapshots, {} connects, {} disconnects\n\
         {} errors, {} gaps, {} of {} books stand\n",
        recorded.venue,
        recorded.symbols.join(" "),
        recorded.records,
        counts.messages,
        counts.message_bytes,
        counts.snapshots,
        counts.connects,
        counts.disconnects,
        counts.errors,
        counts.gaps,
        counts.books_standing,
        counts.books,
    );
    for file in &recorded.files {
        text += file;
        text.push('\n');
    }
    text
}

/// Lines on stderr: each thing that happens, and how far it is.
struct Teller {
    is_terminal: bool,
    told: Instant,
    problems: u64,
    is_open: bool,
}

impl Teller {
    fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            told: Instant::now(),
            problems: 0,
            is_open: false,
        }
    }

    fn tell(&mut self, news: &News<'_>) {
        match news {
            News::File(path) => self.line(&format!("writing {}", path.display())),
            News::Connected(url) => self.line(&format!("connected to {url}")),
            News::Disconnected(name, reason) => self.line(&format!("{name} disconnected: {reason:?}")),
            News::Problem(error) => {
                self.problems += 1;
                if self.problems <= PROBLEMS_TOLD_MAX {
                    self.line(&format!("unreadable: {error}"));
                }
            }
            News::Counts(counts, written) => self.progress(counts, written),
        }
    }

    fn progress(&mut self, counts: &Counts, written: &Written) {
        let (on_terminal, elsewhere) = PROGRESS_EVERY;
        let every = if self.is_terminal { on_terminal } else { elsewhere };
        if self.told.elapsed() < every {
            return;
        }
        self.told = Instant::now();
        let text = format!(
            "{} messages, {} bytes written, {} of {} books stand, {} gaps, {} errors, {} disconnects",
            counts.messages,
            written.bytes,
            counts.books_standing,
            counts.books,
            counts.gaps,
            counts.errors,
            counts.disconnects
        );
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
            let _ = io::stderr().flush();
            self.is_open = true;
        } else {
            self.line(&text);
        }
    }

    fn line(&mut self, text: &str) {
        self.clear();
        let _ = writeln!(io::stderr(), "{text}");
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
