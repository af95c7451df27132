//! The folder of a run: private, held by one instance at a time, and numbered by lives.
//!
//! ```text
//! <run_folder>/          0700
//!   lock                 held with flock by the instance that runs
//!   epoch                the number of the last life, decimal text
//!   live.json            what runs and where its doors are, while it runs
//! ```
//!
//! The lock is the kernel's: it ends with the process, however that ends. The epoch rises before anything else
//! happens, so that no two lives share an order id. In a new folder it begins with the seconds since 2025: the
//! account may have seen the ids of an earlier folder, and whoever asks a venue what became of an order must never be told
//! of an old one with its id.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domain::{Epoch, Timestamp};
use ipc::shared_memory::private_directory;
use rustix::fs::{FlockOperation, flock};

use crate::clock::wall_now;
use crate::error::LiveError;
use crate::journal_record;

/// Longest content of the lock and epoch files that is read, bytes.
const NUMBER_BYTES_MAX: u64 = 32;

/// From when on the epochs of new folders count, seconds since 1970: 2025-01-01 00:00 UTC.
const EPOCHS_SINCE: i64 = 1_735_689_600;

/// The lock of the instance.
const LOCK: &str = "lock";

/// A run folder that this process holds. Dropping it lets it go.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    epoch: Epoch,
    /// Open for as long as the folder is held.
    _lock: File,
}

impl RunFolder {
    /// Makes the folder where it is absent, takes hold of it and begins a new life in it.
    ///
    /// # Errors
    /// [`LiveError::Held`] when another instance runs there; [`LiveError::Ipc`] when others may enter it;
    /// [`LiveError::File`] and [`LiveError::Content`] for what the disk refuses or holds, such as a record without the
    /// number of its last life.
    pub fn open(path: &Path) -> Result<Self, LiveError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(at("create", parent))?;
        }
        private_directory(path)?;
        let lock = hold(path, LOCK)?;
        let epoch = begin_life(path)?;
        Ok(Self {
            path: path.to_owned(),
            epoch,
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of this life, from 1.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A file of the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder's own name: the run's identity in records and messages.
    #[must_use]
    pub fn run_id(&self) -> String {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LiveError {
    move |source| LiveError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Takes a lock of the folder and leaves this process's number in it, for whoever is refused.
pub(crate) fn hold(folder: &Path, name: &str) -> Result<File, LiveError> {
    let path = folder.join(name);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at("open", &path))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let read = (&lock).take(NUMBER_BYTES_MAX).read_to_string(&mut text);
            let holder = match read {
                Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
                _ => "another process".to_owned(),
            };
            return Err(LiveError::Held {
                path: folder.to_owned(),
                holder,
            });
        }
        Err(errno) => return Err(at("lock", &path)(errno.into())),
    }
    let written = lock
        .set_len(0)
        .and_then(|()| lock.seek(SeekFrom::Start(0)))
        .and_then(|_| writeln!(lock, "{}", std::process::id()));
    written.map_err(at("write", &path))?;
    Ok(lock)
}

/// Raises the epoch, durably. Only the holder of the lock may.
fn begin_life(folder: &Path) -> Result<Epoch, LiveError> {
    let path = folder.join("epoch");
    let last = match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse::<u32>().map_err(|_| LiveError::Content {
            path: path.clone(),
            problem:
                "does not hold a decimal number below 4294967296: restore it from a copy, with at least the \
                      highest epoch in this run's order ids"
                    .to_owned(),
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            before_first_life(folder, &path, wall_now())?
        }
        Err(error) => return Err(at("read", &path)(error)),
    };
    let epoch = last.checked_add(1).ok_or_else(|| LiveError::Content {
        path: path.clone(),
        problem: "no number is left for another life: begin a new run_folder".to_owned(),
    })?;
    write_durably(folder, "epoch", format!("{epoch}\n").as_bytes())?;
    Ok(Epoch(epoch))
}

/// Nothing has lived here, if the record says so too: the number that stands for no life, above those of earlier folders.
fn before_first_life(folder: &Path, epoch: &Path, now: Timestamp) -> Result<u32, LiveError> {
    let problem = match journal_record::last_life(folder) {
        Ok(None) => {
            let seconds = now.nanos() / 1_000_000_000 - EPOCHS_SINCE;
            return Ok(u32::try_from(seconds.max(0)).unwrap_or_default());
        }
        Ok(Some(Epoch(life))) => format!(
            "is missing, but lives are recorded here, the last with number {life}: restore it from a copy, or write \
             {life} into it, or more: no order id may come twice"
        ),
        Err(error) => format!("is missing, and the record does not tell the last life: {error}"),
    };
    Err(LiveError::Content {
        path: epoch.to_owned(),
        problem,
    })
}

/// Replaces a file of the folder: after a crash it holds the old content or the new one, whole.
///
/// # Errors
/// [`LiveError::File`].
pub fn write_durably(folder: &Path, name: &str, content: &[u8]) -> Result<(), LiveError> {
    let new = folder.join(format!("{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .map_err(at("open", &new))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(at("write", &new))?;
    std::fs::rename(&new, folder.join(name)).map_err(at("rename", &new))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(at("sync", folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_life_has_a_higher_number() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("runs").join("paper");
        let first = RunFolder::open(&path).unwrap().epoch();
        for life in 1..4 {
            let folder = RunFolder::open(&path).unwrap();
            assert_eq!(folder.epoch(), Epoch(first.0 + life));
            assert_eq!(folder.run_id(), "paper");
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_new_folder_begins_above_whatever_an_earlier_one_has_sent() {
        let home = tempfile::tempdir().unwrap();
        let at = |seconds: i64| {
            let now = Timestamp::from_nanos((EPOCHS_SINCE + seconds) * 1_000_000_000);
            before_first_life(home.path(), &home.path().join("epoch"), now).unwrap()
        };
        // A clock before the beginning begins with it.
        assert_eq!([at(-1), at(0), at(1), at(60_000_000)], [0, 0, 1, 60_000_000]);
        // A century of seconds fits.
        assert_eq!(at(3_155_760_000), 3_155_760_000);
    }

    #[test]
    fn one_instance_at_a_time_and_the_refusal_names_the_other() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        let held = RunFolder::open(&path).unwrap();
        let error = RunFolder::open(&path).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::EXIT_HELD);
        let message = error.to_string();
        assert!(
            message.contains(&format!("process {}", std::process::id())),
            "{message}"
        );
        let life = held.epoch();
        drop(held);
        assert_eq!(
            RunFolder::open(&path).unwrap().epoch(),
            Epoch(life.0 + 1),
            "a refusal begins no life"
        );
    }

    #[test]
    fn a_folder_that_others_may_enter_is_refused() {
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o750)).unwrap();
        let error = RunFolder::open(home.path()).unwrap_err();
        assert!(matches!(error, LiveError::Ipc(_)), "{error}");
    }

    #[test]
    fn an_epoch_that_is_no_number_is_not_guessed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run");
        drop(RunFolder::open(&path).unwrap());
        for text in ["", "seven", "4294967295", "-1"] {
            std::fs::write(path.join("epoch"), text).unwrap();
            let error = RunFolder::open(&path).unwrap_err();
            assert!(matches!(error, LiveError::Content { .. }), "{text:?}: {error}");
        }
    }
}
