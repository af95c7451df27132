//! What comes over a stream, and where it goes.

use bytes::Bytes;
use domain::{InstrumentId, Timestamp};
use tokio::sync::mpsc;

/// One thing that came from a venue's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamMessage {
    /// Service time at which it was read from the socket.
    pub ts_received: Timestamp,
    /// What it is.
    pub kind: StreamMessageKind,
}

impl StreamMessage {
    /// Bytes of what came; none where the stream's state is told.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match &self.kind {
            StreamMessageKind::Frame(body) | StreamMessageKind::Snapshot { body, .. } => body.len(),
            StreamMessageKind::Connected | StreamMessageKind::Disconnected(_) => 0,
        }
    }
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamMessageKind {
    /// The stream is up; for an account, the subscription is confirmed.
    Connected,
    /// One message, as received.
    Frame(Bytes),
    /// The answer of a REST snapshot, delivered through the same door.
    Snapshot {
        /// Whose book.
        instrument: InstrumentId,
        /// The answer's body.
        body: Bytes,
    },
    /// The stream is down; it reconnects by itself.
    Disconnected(DisconnectReason),
}

/// Why a stream went down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectReason {
    /// The venue closed it.
    Closed,
    /// The transport failed.
    Failed,
    /// Nothing was heard for too long, not even an answer to a ping; or no message where some come at all times.
    Idle,
    /// The socket lives, and what it is there for has stopped.
    Stalled,
    /// The consumer had no room for [`super::DELIVERY_WAIT_MAX`]: so many messages, or so many bytes, waited.
    Overrun,
    /// The venue announced its end: shutdown, or the end of a subscription.
    Ended,
    /// We were told to stop.
    Stopped,
}

impl DisconnectReason {
    /// Each of them.
    pub const ALL: [Self; 7] = [
        Self::Closed,
        Self::Failed,
        Self::Idle,
        Self::Stalled,
        Self::Overrun,
        Self::Ended,
        Self::Stopped,
    ];

    /// Its name in metrics and recordings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Failed => "failed",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Overrun => "overrun",
            Self::Ended => "ended",
            Self::Stopped => "stopped",
        }
    }

    /// What a word of a recording says; `None` for one that is none of ours.
    ///
    /// ```
    /// use venues::DisconnectReason;
    /// assert_eq!(DisconnectReason::of_word("idle"), Some(DisconnectReason::Idle));
    /// assert_eq!(DisconnectReason::of_word("capturer stopped"), None);
    /// ```
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// Where stream messages go: a bounded queue into the thread that decides.
pub trait FrameSink: Send + 'static {
    /// Takes the message, or gives it back when there is no room.
    ///
    /// # Errors
    /// The message itself.
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage>;

    /// Hears what else crosses the socket and decides nothing: for a recorder. It must not wait. Nothing is done with it
    /// unless a sink says otherwise.
    fn overhear(&mut self, _at: Timestamp, _aside: Aside<'_>) {}
}

/// What crosses a socket and is no stream message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside<'a> {
    /// The socket is open, to this address; the handshake is still to come.
    Opened(&'a str),
    /// We sent this.
    Sent(&'a str),
    /// This came and is part of the handshake, so that it is not delivered.
    Handshake(&'a [u8]),
}

impl<F> FrameSink for F
where
    F: FnMut(StreamMessage) -> Result<(), StreamMessage> + Send + 'static,
{
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        self(message)
    }
}

impl FrameSink for Box<dyn FrameSink> {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        (**self).try_deliver(message)
    }

    fn overhear(&mut self, at: Timestamp, aside: Aside<'_>) {
        (**self).overhear(at, aside);
    }
}

impl FrameSink for mpsc::Sender<StreamMessage> {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        self.try_send(message)
            .map_err(mpsc::error::TrySendError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back_from_its_word() {
        for reason in DisconnectReason::ALL {
            assert_eq!(DisconnectReason::of_word(reason.as_str()), Some(reason));
        }
    }
}
