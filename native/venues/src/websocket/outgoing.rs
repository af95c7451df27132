//! Messages for a venue over a connection that runs, and what became of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::last_look::LastLook;

/// What became of a message on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Handed to the connection.
    Sent,
    /// The last look said no.
    Stopped,
    /// There was no connection to hand it to.
    NotUp,
    /// The connection broke while it took the message.
    Broken,
}

/// A message for a venue over a running connection. It leaves at once or not at all.
pub struct Outgoing {
    pub(super) text: String,
    pub(super) look: LastLook,
    taken: Arc<AtomicBool>,
    pub(super) departed: oneshot::Sender<Departure>,
}

impl fmt::Debug for Outgoing {
    /// Without its text, in which a token may stand.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Outgoing").finish_non_exhaustive()
    }
}

/// What its sender keeps of a message.
#[derive(Debug)]
pub struct Ticket {
    taken: Arc<AtomicBool>,
    departed: oneshot::Receiver<Departure>,
}

impl Outgoing {
    /// A message, and the ticket to wait with.
    #[must_use]
    pub fn new(text: String, look: LastLook) -> (Self, Ticket) {
        let taken = Arc::new(AtomicBool::new(false));
        let (departed, ticket) = oneshot::channel();
        let outgoing = Self {
            text,
            look,
            taken: Arc::clone(&taken),
            departed,
        };
        let departed = ticket;
        (outgoing, Ticket { taken, departed })
    }

    /// Takes it on; `false` when its sender has given it up.
    pub(super) fn take(&self) -> bool {
        !self.taken.swap(true, Ordering::SeqCst)
    }

    pub(super) fn refuse(self) {
        let _ = self.departed.send(Departure::NotUp);
    }
}

impl Ticket {
    /// Waits until the message has left or not, at most so long. What nobody has taken by then will not leave any more.
    pub async fn departure(self, longest: Duration) -> Departure {
        let Self { taken, departed } = self;
        match timeout(longest, departed).await {
            Ok(Ok(departure)) => departure,
            // Nobody has taken it, and nobody will.
            Ok(Err(_)) | Err(_) if !taken.swap(true, Ordering::SeqCst) => Departure::NotUp,
            Ok(Err(_)) | Err(_) => Departure::Broken,
        }
    }
}
