//! How far a reading of files is, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::check::Progress;

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Lines between two looks at the clock.
const LOOK_EVERY: u64 = 1_000;

/// Progress on a terminal, on stderr; silent elsewhere.
#[derive(Debug)]
pub struct Meter<'a> {
    files: &'a [PathBuf],
    is_shown: bool,
    looked: u64,
    told: Instant,
}

impl<'a> Meter<'a> {
    /// Of these files.
    #[must_use]
    pub fn new(files: &'a [PathBuf]) -> Self {
        Self {
            files,
            is_shown: io::stderr().is_terminal(),
            looked: 0,
            told: Instant::now(),
        }
    }

    /// So far.
    pub fn tell(&mut self, progress: Progress) {
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

    /// So many faults of so many.
    pub fn tell_faults(&mut self, injected: u64, count: u64) {
        if self.is_shown && self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            let _ = write!(io::stderr(), "\r\x1b[K{injected} of {count} faults");
            let _ = io::stderr().flush();
        }
    }

    /// Takes the line away.
    pub fn clear(&self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
