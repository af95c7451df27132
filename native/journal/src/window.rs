//! A segment read front to back through one buffer that holds at least the record at hand.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::frame::{HEADER_BYTES, TRAILER_BYTES, plausible};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 18;

/// The part of a segment that is being read. It ends where the file ended when it was opened, so that what a writer
/// adds meanwhile is not seen in half.
#[derive(Debug)]
pub(crate) struct Window {
    file: File,
    len: u64,
    buffer: Vec<u8>,
    /// Where unread bytes begin in the buffer.
    start: usize,
    /// Where they begin in the file.
    offset: u64,
}

impl Window {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self {
            file,
            len,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
        })
    }

    /// Opens the next file, keeping the buffer's memory.
    pub(crate) fn reopen(&mut self, path: &Path) -> io::Result<()> {
        let next = Self::open(path)?;
        let mut buffer = std::mem::replace(self, next).buffer;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Bytes of the file.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Where in the file the next unread byte stands.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that are left to read.
    pub(crate) const fn left(&self) -> u64 {
        self.len - self.offset
    }

    /// The unread bytes, at least `need` of them unless the file ends before.
    pub(crate) fn fill(&mut self, need: usize) -> io::Result<&[u8]> {
        let have = self.buffer.len() - self.start;
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        if have < need && have < left {
            self.buffer.drain(..self.start);
            self.start = 0;
            let want = need.max(READ_BYTES).min(left);
            self.buffer.resize(want, 0);
            let at = self.offset + have as u64;
            let read = read_at_most(&self.file, &mut self.buffer[have..], at)?;
            self.buffer.truncate(have + read);
            if read < want - have {
                // The file became shorter than it was.
                self.len = at + read as u64;
            }
        }
        Ok(&self.buffer[self.start..])
    }

    /// The unread bytes, the whole of the next record among them unless the file ends before.
    pub(crate) fn record(&mut self) -> io::Result<&[u8]> {
        let bytes = self.fill(HEADER_BYTES + TRAILER_BYTES)?;
        let head = bytes.first_chunk::<HEADER_BYTES>();
        let need = head.and_then(plausible).map_or(0, |(size, _)| size);
        self.fill(need)
    }

    /// Counts `count` bytes as read. They stay where they are until the next [`Window::fill`]; the start of them in
    /// the buffer is returned.
    pub(crate) fn consume(&mut self, count: usize) -> usize {
        let start = self.start;
        self.start += count;
        self.offset += count as u64;
        start
    }

    /// Bytes of the buffer, by the position that [`Window::consume`] returned.
    pub(crate) fn consumed(&self, start: usize, len: usize) -> &[u8] {
        &self.buffer[start..start + len]
    }
}

/// Reads until the buffer is full or the file ends; returns how much it read.
pub(crate) fn read_at_most(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], at + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_to_where_the_file_ended_when_it_was_opened() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        let bytes: Vec<u8> = (0..=250).cycle().take(READ_BYTES + 1_000).collect();
        std::fs::write(&path, &bytes).expect("written");
        let mut window = Window::open(&path).expect("opened");
        std::fs::write(&path, [&bytes[..], &[9; 100]].concat()).expect("longer");
        let mut read = Vec::new();
        while window.left() > 0 {
            let some = window.fill(700).expect("read").len().min(700);
            let start = window.consume(some);
            read.extend_from_slice(window.consumed(start, some));
        }
        assert_eq!(read, bytes);
        assert_eq!(window.fill(1).expect("read"), &[] as &[u8]);
    }

    #[test]
    fn a_file_that_became_shorter_ends_earlier() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        std::fs::write(&path, [1; 100]).expect("written");
        let mut window = Window::open(&path).expect("opened");
        std::fs::write(&path, [1; 40]).expect("shorter");
        assert_eq!(window.fill(60).expect("read"), [1; 40]);
        window.consume(40);
        assert_eq!((window.left(), window.len()), (0, 40));
    }
}
