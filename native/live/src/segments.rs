//! Hands shared memory out: one thread on one socket in the run folder.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ipc::IpcError;
use ipc::shared_memory::{SegmentServer, Served};
use tracing::{debug, error, warn};

/// The socket in the run folder.
pub const SOCKET: &str = "segments.sock";

/// How often the thread looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The serving thread; ends when this is dropped.
#[derive(Debug)]
pub(crate) struct SegmentDoor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SegmentDoor {
    /// Listens in the run folder. Offer segments to [`SegmentServer::registry`] before [`Self::open`].
    pub(crate) fn bind(folder: &Path) -> Result<SegmentServer, IpcError> {
        SegmentServer::bind(&folder.join(SOCKET))
    }

    /// Serves until dropped.
    pub(crate) fn open(server: SegmentServer) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("segments".to_owned())
            .spawn(move || {
                while !asked.load(Ordering::Acquire) {
                    match server.serve_once(Some(LOOK_EVERY)) {
                        Ok(Served::Idle) => {}
                        Ok(Served::Granted { name, pid }) => debug!(name, pid, "segment granted"),
                        Ok(Served::Refused { reason }) => warn!(reason, "segment refused"),
                        Err(error) => {
                            error!(%error, "no segments are handed out any more");
                            return;
                        }
                    }
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for SegmentDoor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}
