//! Reading below one folder, through descriptors: what was checked is what was read.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::error::BundleError;
use crate::limits::ENTRIES_MAX;

/// An open folder.
pub(crate) struct Folder {
    descriptor: OwnedFd,
    /// What messages put before the names in it.
    prefix: String,
}

impl Folder {
    /// Opens the root: the operator's own path, links included.
    pub(crate) fn root(path: &Path) -> Result<Self, BundleError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty());
        let descriptor = opened.map_err(|error| unreadable(path.display().to_string(), error))?;
        Ok(Self {
            descriptor,
            prefix: String::new(),
        })
    }

    /// Opens a folder in it, called `prefix` from then on; `None` when there is none of that name.
    pub(crate) fn folder(&self, name: &str, prefix: &str) -> Result<Option<Self>, BundleError> {
        let shown = self.shown(name);
        match self.kind(name)? {
            None => return Ok(None),
            Some(FileType::Directory) => {}
            Some(FileType::Symlink) => return Err(BundleError::Symlink { name: shown }),
            Some(_) => return Err(BundleError::NotAFile { name: shown }),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&self.descriptor, name, flags, Mode::empty());
        let descriptor = opened.map_err(|error| unreadable(shown, error))?;
        Ok(Some(Self {
            descriptor,
            prefix: prefix.to_owned(),
        }))
    }

    /// Reads a plain file with one name, whole and once; `None` when there is none of that name.
    pub(crate) fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, BundleError> {
        let shown = self.shown(name);
        match self.kind(name)? {
            None => return Ok(None),
            Some(FileType::RegularFile) => {}
            Some(FileType::Symlink) => return Err(BundleError::Symlink { name: shown }),
            Some(_) => return Err(BundleError::NotAFile { name: shown }),
        }
        // Not blocking: a pipe that took the file's place a moment ago must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(&self.descriptor, name, flags, Mode::empty());
        let file = File::from(opened.map_err(|error| unreadable(shown.clone(), error))?);
        let failed = |source| BundleError::Unreadable {
            name: shown.clone(),
            source,
        };
        let facts = file.metadata().map_err(failed)?;
        if !facts.is_file() {
            return Err(BundleError::NotAFile { name: shown });
        }
        if facts.nlink() != 1 {
            return Err(BundleError::HardLink {
                name: shown,
                links: facts.nlink(),
            });
        }
        let mut bytes = Vec::new();
        if facts.len() <= bytes_max {
            file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
        }
        let size = facts.len().max(bytes.len() as u64);
        if size > bytes_max {
            return Err(BundleError::TooLarge {
                name: shown,
                bytes: size,
                limit: bytes_max,
            });
        }
        Ok(Some(bytes))
    }

    /// Names in it, sorted, at most [`ENTRIES_MAX`].
    pub(crate) fn names(&self) -> Result<Vec<String>, BundleError> {
        let failed = |error| unreadable(self.shown("."), error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.descriptor).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." && names.len() < ENTRIES_MAX {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// What messages call a name in it.
    pub(crate) fn shown(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn kind(&self, name: &str) -> Result<Option<FileType>, BundleError> {
        match statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(facts) => Ok(Some(FileType::from_raw_mode(facts.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(unreadable(self.shown(name), error)),
        }
    }
}

fn unreadable(name: String, error: Errno) -> BundleError {
    BundleError::Unreadable {
        name,
        source: error.into(),
    }
}
