//! Room kept back for a full disk: a file whose blocks are already ours, which becomes the next segment when no other
//! can grow.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::error::JournalError;
use crate::segment::create_file;

/// A file with room in it and nothing else.
#[derive(Debug)]
pub(crate) struct Reserve {
    file: File,
    path: PathBuf,
    held: bool,
}

impl Reserve {
    /// Makes the reserve of a journal, or makes it anew.
    pub(crate) fn make(dir: &Path, bytes: u64) -> Result<Self, JournalError> {
        let path = dir.join("reserve");
        let failed = |source| JournalError::io("making the reserve", &path, source);
        let file = create_file(&path).map_err(failed)?;
        // The size stays 0, so that the file ends where its last record does.
        let held = match fallocate(&file, FallocateFlags::KEEP_SIZE, 0, bytes) {
            Ok(()) => true,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => false,
            Err(error) => {
                // Part of the room may be taken. Whether the file goes does not matter: the next attempt empties it.
                let _ = std::fs::remove_file(&path);
                return Err(failed(error.into()));
            }
        };
        Ok(Self { file, path, held })
    }

    /// Whether the file system gave the blocks away for good. Some cannot: the reserve is then a hope.
    pub(crate) const fn is_held(&self) -> bool {
        self.held
    }

    /// Its file.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Gives it its name as a segment; what is there under that name, a segment that found no room, is replaced.
    pub(crate) fn rename(&mut self, to: PathBuf) -> Result<(), JournalError> {
        std::fs::rename(&self.path, &to)
            .map_err(|source| JournalError::io("turning the reserve into a segment", &to, source))?;
        self.path = to;
        Ok(())
    }

    /// The file, to be written as a segment.
    pub(crate) fn into_file(self) -> File {
        self.file
    }
}
