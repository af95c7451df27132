//! Lines of a file that may be packed, one at a time and none longer than a bound.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::error::ReadError;

/// Longest line accepted, bytes: the largest message of any venue (16 MiB) as escaped JSON text, with room.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// Bytes read from a file at once.
const CHUNK_BYTES: usize = 256 << 10;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// One line, without its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) bytes: &'a [u8],
    /// From 1.
    pub(crate) number: u64,
    /// Whether a line end stood behind it: only the last line of a file can lack it.
    pub(crate) is_ended: bool,
}

/// The lines of one file: plain, gzip or zstd, by its first bytes.
pub(crate) struct Lines {
    path: PathBuf,
    source: Box<dyn BufRead>,
    /// The last line, and whether it ended.
    buffer: Vec<u8>,
    is_ended: bool,
    number: u64,
    is_cut: bool,
    is_repeated: bool,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Lines({}:{})", self.path.display(), self.number)
    }
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| failed(path, source))?;
        Self::read(path, BufReader::with_capacity(CHUNK_BYTES, file))
    }

    /// Of bytes that are called by a path.
    pub(crate) fn read(path: &Path, mut bytes: impl BufRead + 'static) -> Result<Self, ReadError> {
        let head = bytes.fill_buf().map_err(|source| failed(path, source))?;
        let source: Box<dyn BufRead> = if head.starts_with(GZIP_MAGIC) {
            Box::new(BufReader::with_capacity(CHUNK_BYTES, MultiGzDecoder::new(bytes)))
        } else if head.starts_with(ZSTD_MAGIC) {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes);
            let decoder = decoder.map_err(|source| failed(path, source))?;
            Box::new(BufReader::with_capacity(CHUNK_BYTES, decoder))
        } else {
            Box::new(bytes)
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            buffer: Vec::new(),
            is_ended: false,
            number: 0,
            is_cut: false,
            is_repeated: false,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the packed bytes ended before their format says that they may.
    pub(crate) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Gives the last line once more.
    pub(crate) const fn repeat(&mut self) {
        self.is_repeated = true;
    }

    /// The next line that is not empty; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<Line<'_>>, ReadError> {
        while !std::mem::take(&mut self.is_repeated) {
            self.buffer.clear();
            self.is_ended = self.fill()?;
            if self.buffer.is_empty() && !self.is_ended {
                return Ok(None);
            }
            self.number += 1;
            self.is_repeated = !self.buffer.iter().all(u8::is_ascii_whitespace);
        }
        Ok(Some(Line {
            bytes: self.buffer.trim_ascii_end(),
            number: self.number,
            is_ended: self.is_ended,
        }))
    }

    /// Reads up to the next line end; whether there was one.
    fn fill(&mut self) -> Result<bool, ReadError> {
        loop {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.is_cut = true;
                    // What a torn file ends with is an end.
                    self.source = Box::new(io::empty());
                    return Ok(false);
                }
                Err(error) => return Err(self.damaged(&error)),
            };
            if chunk.is_empty() {
                return Ok(false);
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(chunk.len());
            if self.buffer.len() + taken > LINE_BYTES_MAX {
                return Err(self.fault(
                    self.number + 1,
                    format!("the line is longer than {LINE_BYTES_MAX} bytes"),
                ));
            }
            self.buffer.extend_from_slice(&chunk[..taken]);
            let used = end.map_or(taken, |end| end + 1);
            self.source.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    fn damaged(&self, error: &io::Error) -> ReadError {
        self.fault(
            self.number + 1,
            format!("the packed bytes are damaged here: {error}"),
        )
    }

    pub(crate) fn fault(&self, line: u64, problem: impl Into<String>) -> ReadError {
        ReadError::Line {
            file: self.path.clone(),
            line,
            problem: problem.into(),
        }
    }
}

fn failed(path: &Path, source: io::Error) -> ReadError {
    ReadError::File {
        file: path.to_owned(),
        source,
    }
}
