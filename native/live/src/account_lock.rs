//! One service for each key on this machine: two would cancel each other's orders, and take each other's for foreign.
//!
//! A lock of the kernel on a file named by the key's fingerprint, in a folder of the user's own. What it cannot see: a
//! service on another machine, of another user, or with another key of the same account; the comparison with the venue
//! names orders with ids of ours that this life did not send.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ipc::shared_memory::private_directory;
use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;

use crate::error::LiveError;

/// Longest content of the file that is read, bytes.
const CONTENT_BYTES_MAX: u64 = 4_096;

/// An account that this process holds. Dropping it lets it go.
#[derive(Debug)]
pub(crate) struct AccountLock {
    _file: File,
}

impl AccountLock {
    /// Takes hold of the account of a key.
    ///
    /// # Errors
    /// [`LiveError::AccountHeld`] when another process holds it; [`LiveError::File`] and [`LiveError::Ipc`] for what the
    /// disk refuses.
    pub(crate) fn take(fingerprint: &str, run_folder: &Path) -> Result<Self, LiveError> {
        Self::take_in(&folder(), fingerprint, run_folder)
    }

    fn take_in(folder: &Path, fingerprint: &str, run_folder: &Path) -> Result<Self, LiveError> {
        private_directory(folder)?;
        let path = folder.join(format!("account-{fingerprint}.lock"));
        let at = |action| {
            let path = path.clone();
            move |source| LiveError::File { action, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(at("open"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Without a word of the holder the refusal stands all the same.
                let _ = (&file).take(CONTENT_BYTES_MAX).read_to_string(&mut holder);
                return Err(LiveError::AccountHeld {
                    holder: holder.trim().to_owned(),
                });
            }
            Err(errno) => return Err(at("lock")(errno.into())),
        }
        let absolute = std::fs::canonicalize(run_folder).unwrap_or_else(|_| run_folder.to_owned());
        let words = format!(
            "process {}, run folder {}\n",
            std::process::id(),
            absolute.display()
        );
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(words.as_bytes()))
            .map_err(at("write"))?;
        Ok(Self { _file: file })
    }
}

/// The user's own folder for what lasts as long as processes do.
fn folder() -> PathBuf {
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match given.filter(|path| path.is_dir()) {
        Some(path) => path.join("py_rt"),
        None => std::env::temp_dir().join(format!("py_rt-{}", geteuid().as_raw())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_held_once_and_the_refusal_names_the_other() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("locks");
        let take = |key| AccountLock::take_in(&folder, key, home.path());
        let held = take("abc").unwrap();
        let other = take("abd").unwrap();
        let error = take("abc").unwrap_err();
        assert_eq!(error.exit_code(), crate::error::EXIT_HELD);
        let words = format!("process {}, run folder", std::process::id());
        assert!(error.to_string().contains(&words), "{error}");
        drop(held);
        drop(take("abc").unwrap());
        drop(other);
    }
}
