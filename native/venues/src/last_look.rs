//! The last look before an order's bytes go onto a connection.
//!
//! Making a connection takes as long as it takes, and what was allowed before it may be stopped after it. So the bytes
//! of an order are a body that asks once more when the connection wants them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

/// Says whether an order may leave at this moment. Asked on the socket's thread; it must not wait.
#[derive(Clone)]
pub struct LastLook(Arc<dyn Fn() -> bool + Send + Sync>);

impl LastLook {
    /// Asks this.
    #[must_use]
    pub fn new(may_leave: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(may_leave))
    }

    /// Lets everything leave.
    #[must_use]
    pub fn always() -> Self {
        Self::new(|| true)
    }

    pub(crate) fn may_leave(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for LastLook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("LastLook")
    }
}

/// The look said no.
#[derive(Debug, Clone, Copy, Error)]
#[error("stopped before it left")]
pub(crate) struct Stopped;

/// Bytes that are handed over whole, after a look, or not at all.
pub(crate) struct Guarded {
    bytes: Option<Bytes>,
    look: LastLook,
    stopped: Arc<AtomicBool>,
}

impl fmt::Debug for Guarded {
    /// Without its bytes, in which a signature may stand.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Guarded").finish_non_exhaustive()
    }
}

impl Guarded {
    /// The body, and where it says that it was stopped.
    pub(crate) fn new(bytes: Bytes, look: LastLook) -> (Self, Arc<AtomicBool>) {
        let stopped = Arc::new(AtomicBool::new(false));
        let guarded = Self {
            bytes: Some(bytes),
            look,
            stopped: Arc::clone(&stopped),
        };
        (guarded, stopped)
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        let Some(bytes) = self.bytes.take() else {
            return Poll::Ready(None);
        };
        if self.look.may_leave() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        self.stopped.store(true, Ordering::SeqCst);
        Poll::Ready(Some(Err(Stopped)))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.bytes.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
    }
}
