//! Writes a recording as it happens: lines are appended, files are begun and never gone back to.
//!
//! A file is named by its stem, the time it was begun and its number: two writers never meet in one file, and what stands
//! in a folder is never written over. What is lost with the process is what was not handed to the system yet
//! ([`Writer::flush`]); with the machine, what was not forced to the disk yet ([`Writer::sync`]). Either way the file
//! ends within a line at worst, which [`crate::Recording`] leaves out and tells.
//!
//! Memory is bounded by one line and a buffer.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use domain::{Nanos, Timestamp};
use thiserror::Error;
use zstd::stream::write::Encoder;

use crate::frames;
use crate::record::RecordKind;

/// Bytes collected before the system is given them.
const BUFFER_BYTES: usize = 256 << 10;

/// How hard zstd tries: as hard as costs a few percent of a core at a venue's busiest.
const ZSTD_LEVEL: i32 = 3;

/// Files begun at one nanosecond under one stem; more are a fault of the clock.
const NAMES_TRIED_MAX: u64 = 1_000;

/// How a recording's files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// Not at all: a line can be read as soon as it is written.
    Plain,
    /// By zstd: about a tenth of the size. A line can be read after the next [`Writer::sync`].
    #[default]
    Zstd,
}

impl Packing {
    const fn ending(self) -> &'static str {
        match self {
            Self::Plain => "jsonl",
            Self::Zstd => "jsonl.zst",
        }
    }
}

/// What is written where, and when a file is ended and the next begun.
#[derive(Debug, Clone)]
pub struct WriterSettings {
    /// Where the files go. It is made if it is not there.
    pub folder: PathBuf,
    /// How their names begin.
    pub stem: String,
    /// Whose wire it is, for the first line of each file.
    pub venue: String,
    /// What was subscribed, for the same line.
    pub symbols: Vec<String>,
    /// How they are packed.
    pub packing: Packing,
    /// A file of so many bytes, as packed, is ended.
    pub rotate_bytes: u64,
    /// A file is ended when the time of a record is in another span of this length since the epoch: a length that divides
    /// a day gives no file over midnight UTC. None where it is not positive.
    pub rotate_after: Nanos,
}

/// A file that cannot be written. What stands before stays, and is read up to its last whole line.
#[derive(Debug, Error)]
#[error("cannot write {}: {source}", file.display())]
pub struct WriteError {
    /// Which file or folder.
    pub file: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// What has been written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// Lines that tell what happened.
    pub records: u64,
    /// Bytes of the files as packed, those in a buffer not counted.
    pub bytes: u64,
}

/// The writer of one recording.
#[derive(Debug)]
pub struct Writer {
    settings: WriterSettings,
    open: Option<Open>,
    line: Vec<u8>,
    written: Written,
    /// Bytes of the files that are ended.
    bytes_before: u64,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    began: Timestamp,
    out: Packed,
}

impl Writer {
    /// Makes the folder if it is not there, and begins the first file.
    ///
    /// # Errors
    /// [`WriteError`] when either cannot be done.
    pub fn begin(settings: WriterSettings, now: Timestamp) -> Result<Self, WriteError> {
        std::fs::create_dir_all(&settings.folder).map_err(|source| failed(&settings.folder, source))?;
        let mut writer = Self {
            settings,
            open: None,
            line: Vec::new(),
            written: Written::default(),
            bytes_before: 0,
        };
        writer.open = Some(writer.begin_file(now)?);
        Ok(writer)
    }

    /// The file that is written now.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.open
            .as_ref()
            .map_or(&self.settings.folder, |open| &open.path)
    }

    /// What has been written so far.
    #[must_use]
    pub const fn written(&self) -> &Written {
        &self.written
    }

    /// Appends what happened. `true` when it is the first of a new file.
    ///
    /// # Errors
    /// [`WriteError`]; nothing can be written any more then.
    pub fn write(&mut self, at: Timestamp, connection: &str, kind: &RecordKind) -> Result<bool, WriteError> {
        let Some(open) = &self.open else {
            return Err(failed(self.path(), io::Error::other("an earlier write failed")));
        };
        let is_due = self.settings.is_due(open, at);
        if is_due {
            self.end_file()?;
            self.open = Some(self.begin_file(at)?);
        }
        self.line.clear();
        frames::write(&mut self.line, at, connection, kind);
        self.put_line()?;
        self.written.records += 1;
        Ok(is_due)
    }

    /// Hands all that can be read without unpacking to the system; a packed file waits for [`Self::sync`].
    ///
    /// # Errors
    /// [`WriteError`]; nothing can be written any more then.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.on_file(Packed::flush)
    }

    /// Forces all that was written to the disk.
    ///
    /// # Errors
    /// [`WriteError`]; nothing can be written any more then.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.on_file(Packed::sync)
    }

    /// Ends the last file.
    ///
    /// # Errors
    /// [`WriteError`] when its end cannot be written.
    pub fn finish(mut self) -> Result<Written, WriteError> {
        self.end_file()?;
        Ok(self.written)
    }

    fn put_line(&mut self) -> Result<(), WriteError> {
        let line = std::mem::take(&mut self.line);
        let result = self.on_file(|out| out.write_all(&line));
        self.line = line;
        result
    }

    fn on_file(&mut self, act: impl FnOnce(&mut Packed) -> io::Result<()>) -> Result<(), WriteError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let result = act(&mut open.out).map_err(|source| failed(&open.path, source));
        self.written.bytes = self.bytes_before + open.out.bytes();
        if result.is_err() {
            // Its buffer could only repeat what failed.
            self.open = None;
        }
        result
    }

    fn end_file(&mut self) -> Result<(), WriteError> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let bytes = open.out.finish().map_err(|source| failed(&open.path, source))?;
        self.bytes_before += bytes;
        self.written.bytes = self.bytes_before;
        sync_folder(&self.settings.folder)
    }

    fn begin_file(&mut self, now: Timestamp) -> Result<Open, WriteError> {
        let part = self.written.files.len() as u64;
        let settings = &self.settings;
        let mut head = Vec::new();
        frames::write_head(&mut head, &settings.venue, &settings.symbols, part, now);
        let (path, file) = settings.create(now, part)?;
        let begun = Packed::new(settings.packing, file).and_then(|mut out| {
            out.write_all(&head)?;
            out.sync()?;
            Ok(out)
        });
        let out = match begun {
            Ok(out) => out,
            Err(source) => {
                // It holds nothing yet, and an empty file is no recording.
                let _ = std::fs::remove_file(&path);
                return Err(failed(&path, source));
            }
        };
        sync_folder(&settings.folder)?;
        self.written.files.push(path.clone());
        Ok(Open {
            path,
            began: now,
            out,
        })
    }
}

impl WriterSettings {
    fn is_due(&self, open: &Open, at: Timestamp) -> bool {
        let span = |at: Timestamp| at.nanos().div_euclid(self.rotate_after.0);
        open.out.bytes() >= self.rotate_bytes || self.rotate_after.0 > 0 && span(at) > span(open.began)
    }

    /// A file that was not there.
    fn create(&self, now: Timestamp, part: u64) -> Result<(PathBuf, File), WriteError> {
        let (stem, began, ending) = (&self.stem, utc(now), self.packing.ending());
        let mut tried = 0;
        loop {
            let name = format!("{stem}_{began}_{:04}.{ending}", part + tried);
            let path = self.folder.join(name);
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < NAMES_TRIED_MAX => {
                    tried += 1;
                }
                Err(source) => return Err(failed(&path, source)),
            }
        }
    }
}

/// A file as it is packed.
#[derive(Debug)]
enum Packed {
    Plain(BufWriter<Counted>),
    Zstd(ZstdFile),
}

/// Its packer has no words of its own for `Debug`.
struct ZstdFile(Encoder<'static, BufWriter<Counted>>);

impl std::fmt::Debug for ZstdFile {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("ZstdFile").field(self.0.get_ref()).finish()
    }
}

impl Packed {
    fn new(packing: Packing, file: File) -> io::Result<Self> {
        let out = BufWriter::with_capacity(BUFFER_BYTES, Counted { file, bytes: 0 });
        Ok(match packing {
            Packing::Plain => Self::Plain(out),
            Packing::Zstd => {
                let mut encoder = Encoder::new(out, ZSTD_LEVEL)?;
                // What reads a file that a fault of the disk changed shall say so.
                encoder.include_checksum(true)?;
                Self::Zstd(ZstdFile(encoder))
            }
        })
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.write_all(bytes),
            Self::Zstd(out) => out.0.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            // Each flush ends a block: too often, and nothing is saved.
            Self::Zstd(_) => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = match self {
            Self::Plain(out) => {
                out.flush()?;
                &out.get_ref().file
            }
            Self::Zstd(out) => {
                out.0.flush()?;
                &out.0.get_ref().get_ref().file
            }
        };
        file.sync_data()
    }

    /// What reached the file.
    fn bytes(&self) -> u64 {
        match self {
            Self::Plain(out) => out.get_ref().bytes,
            Self::Zstd(out) => out.0.get_ref().get_ref().bytes,
        }
    }

    /// Ends it on the disk; its bytes.
    fn finish(self) -> io::Result<u64> {
        let out = match self {
            Self::Plain(out) => out,
            Self::Zstd(out) => out.0.finish()?,
        };
        let counted = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        counted.file.sync_all()?;
        Ok(counted.bytes)
    }
}

/// A file that knows how much was written to it.
#[derive(Debug)]
struct Counted {
    file: File,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A time as it stands in a name, `20240808T235405.000000001Z`: names in order are in order of time.
fn utc(at: Timestamp) -> String {
    const NANOS_PER_S: i64 = 1_000_000_000;
    const SECONDS_PER_DAY: i64 = 86_400;
    let (second, nanos) = (
        at.nanos().div_euclid(NANOS_PER_S),
        at.nanos().rem_euclid(NANOS_PER_S),
    );
    let (day, second) = (
        second.div_euclid(SECONDS_PER_DAY),
        second.rem_euclid(SECONDS_PER_DAY),
    );
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days: years that begin in March, in eras
    // of 400 of them.
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day_of_month:02}T{hour:02}{minute:02}{second:02}.{nanos:09}Z")
}

/// The name of a new file is on the disk, too.
fn sync_folder(folder: &Path) -> Result<(), WriteError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| failed(folder, source))
}

fn failed(path: &Path, source: io::Error) -> WriteError {
    WriteError {
        file: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_time_in_utc() {
        let cases = [
            (0, "19700101T000000.000000000Z"),
            (951_782_400_000_000_000, "20000229T000000.000000000Z"),
            (951_868_799_999_999_999, "20000229T235959.999999999Z"),
            (1_723_161_245_000_000_001, "20240808T235405.000000001Z"),
            (4_107_542_399_000_000_000, "21000228T235959.000000000Z"),
            (4_107_542_400_000_000_000, "21000301T000000.000000000Z"),
            (-1, "19691231T235959.999999999Z"),
        ];
        for (nanos, text) in cases {
            assert_eq!(utc(Timestamp::from_nanos(nanos)), text);
        }
    }
}
