//! Forcing the record to disk, in groups, on another thread than the one that writes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::error::JournalError;

/// Segments that may wait to be forced to disk before the writer refuses to begin another.
pub const SEGMENTS_UNSYNCED_MAX: usize = 64;

/// How far the disk is behind the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncLag {
    /// Records written and not yet forced to disk.
    pub records: u64,
    /// An upper bound of the age of the oldest of them, nanoseconds: the time since the last successful sync, or since
    /// the last one that found nothing to do, began. Zero when there is none.
    pub nanos: u64,
}

/// What writer and syncer share.
#[derive(Debug)]
pub(crate) struct Shared {
    dir: PathBuf,
    origin: Instant,
    /// Records written.
    written: AtomicU64,
    /// Records forced to disk.
    synced: AtomicU64,
    /// Everything written before this moment is on disk; nanoseconds since `origin`.
    covered_ns: AtomicU64,
    failed: AtomicBool,
    /// Segments begun since the syncer last looked, oldest first. Locked when a segment begins and once a sync, never
    /// while the disk works.
    begun: Mutex<Vec<File>>,
}

impl Shared {
    /// `records` are on disk already.
    pub(crate) fn new(dir: &Path, records: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            origin: Instant::now(),
            written: AtomicU64::new(records),
            synced: AtomicU64::new(records),
            covered_ns: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            begun: Mutex::new(Vec::with_capacity(SEGMENTS_UNSYNCED_MAX)),
        }
    }

    fn begun(&self) -> MutexGuard<'_, Vec<File>> {
        // A list of files is whole at every moment, whoever panicked.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more segment may begin.
    pub(crate) fn check_room(&self) -> Result<(), JournalError> {
        let segments = self.begun().len();
        if segments >= SEGMENTS_UNSYNCED_MAX {
            return Err(JournalError::SyncStalled {
                dir: self.dir.clone(),
                segments,
            });
        }
        Ok(())
    }

    /// Leaves a segment to the syncer, before anything of it counts as written. Only the writer adds any, so the room
    /// that [`Shared::check_room`] found is still there.
    pub(crate) fn begin_segment(&self, file: File) {
        self.begun().push(file);
    }

    /// Says that `records` are written.
    pub(crate) fn set_written(&self, records: u64) {
        self.written.store(records, Ordering::Release);
    }

    pub(crate) fn check(&self) -> Result<(), JournalError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(self.failure(io::Error::other("an earlier sync failed")));
        }
        Ok(())
    }

    fn failure(&self, source: io::Error) -> JournalError {
        JournalError::SyncFailed {
            dir: self.dir.clone(),
            source,
        }
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn lag(&self) -> SyncLag {
        // `synced` first: what is written in between counts as lag, never as negative.
        let synced = self.synced.load(Ordering::Acquire);
        let covered_ns = self.covered_ns.load(Ordering::Acquire);
        let records = self.written.load(Ordering::Acquire).saturating_sub(synced);
        let nanos = match records {
            0 => 0,
            _ => self.now_ns().saturating_sub(covered_ns),
        };
        SyncLag { records, nanos }
    }
}

/// Forces to disk what a [`crate::Writer`] wrote. It belongs to a thread of its own, which calls [`Syncer::sync`] every
/// few milliseconds; a sync takes as long as the disk does, the writer never waits for it.
#[derive(Debug)]
pub struct Syncer {
    shared: Arc<Shared>,
    /// The segment being written, and older ones that are not yet on disk.
    files: Vec<File>,
}

impl Syncer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            files: Vec::with_capacity(SEGMENTS_UNSYNCED_MAX),
        }
    }

    /// Forces everything written so far to disk, and says what came since.
    ///
    /// # Errors
    /// [`JournalError::SyncFailed`], and from then on always: the kernel may have dropped what it could not write and
    /// call it clean, so a second try proves nothing.
    pub fn sync(&mut self) -> Result<SyncLag, JournalError> {
        self.shared.check()?;
        let covered_ns = self.shared.now_ns();
        let written = self.shared.written.load(Ordering::Acquire);
        // Read after `written`: every segment that holds one of those records is in the list.
        let news = {
            let mut begun = self.shared.begun();
            self.files.append(&mut begun);
            self.files.len() > 1 || written != self.shared.synced.load(Ordering::Relaxed)
        };
        if news && let Err(source) = self.force() {
            self.shared.failed.store(true, Ordering::Release);
            return Err(self.shared.failure(source));
        }
        self.shared.synced.store(written, Ordering::Release);
        self.shared.covered_ns.store(covered_ns, Ordering::Release);
        Ok(self.shared.lag())
    }

    fn force(&mut self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        if self.files.len() > 1 {
            crate::segment::sync_dir(&self.shared.dir)?;
            // Nothing is written to a segment once the next one has begun.
            self.files.drain(..self.files.len() - 1);
        }
        Ok(())
    }

    /// How far the disk is behind now.
    #[must_use]
    pub fn lag(&self) -> SyncLag {
        self.shared.lag()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_is_final() {
        let dir = tempfile::tempdir().expect("a folder");
        let shared = Arc::new(Shared::new(dir.path(), 1));
        let mut syncer = Syncer::new(Arc::clone(&shared));
        assert_eq!(syncer.sync().expect("nothing to do"), SyncLag::default());
        // A device that cannot be forced to disk.
        let device = File::open("/dev/null").expect("a device");
        shared.begin_segment(device);
        shared.set_written(2);
        assert_eq!(shared.lag().records, 1);
        let failed = |result: Result<(), _>| matches!(result, Err(JournalError::SyncFailed { .. }));
        assert!(failed(syncer.sync().map(drop)));
        // Even when nothing stands in the way any more: what was lost stays lost.
        syncer.files.clear();
        assert!(failed(syncer.sync().map(drop)), "a second try proves nothing");
        assert!(failed(shared.check()), "the writer sees it");
        assert_eq!(shared.lag().records, 1, "nothing counts as on disk");
    }

    #[test]
    fn waiting_segments_are_bounded() {
        let dir = tempfile::tempdir().expect("a folder");
        let shared = Shared::new(dir.path(), 0);
        let file = || tempfile::tempfile().expect("a file");
        for _ in 0..SEGMENTS_UNSYNCED_MAX {
            shared.check_room().expect("room");
            shared.begin_segment(file());
        }
        let refused = shared.check_room();
        assert!(matches!(
            refused,
            Err(JournalError::SyncStalled {
                segments: SEGMENTS_UNSYNCED_MAX,
                ..
            })
        ));
        let mut syncer = Syncer::new(Arc::new(shared));
        syncer.sync().expect("synced");
        assert_eq!(syncer.files.len(), 1, "only the last is still written");
        syncer.shared.check_room().expect("room again");
    }

    #[test]
    fn the_lag_counts_what_was_written_since() {
        let dir = tempfile::tempdir().expect("a folder");
        let shared = Arc::new(Shared::new(dir.path(), 5));
        let mut syncer = Syncer::new(Arc::clone(&shared));
        shared.begin_segment(tempfile::tempfile().expect("a file"));
        assert_eq!(shared.lag(), SyncLag::default());
        shared.set_written(8);
        let first = shared.lag();
        assert_eq!(first.records, 3);
        assert!(shared.lag().nanos >= first.nanos && first.nanos > 0);
        assert_eq!(syncer.sync().expect("synced"), SyncLag::default());
        assert_eq!(syncer.lag(), SyncLag::default());
    }
}
