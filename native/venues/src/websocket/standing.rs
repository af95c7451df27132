//! What was asked of a stream while it stood is not answered after it was lost.
//!
//! A book's snapshot that was asked for on one connection knows nothing of what changed until the next one stood, and no
//! number would show that before the next change of the book. So each question bears which standing of the stream it was
//! asked in, and its answer is let go where that is over. Whoever hears the stream asks anew when it is told of the next
//! beginning; a change of connections that it is not told of ([`crate::rotation`]) is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::Timestamp;

use super::{Aside, FrameSink, Injected, StreamMessage, StreamMessageKind};

/// Counts the beginnings and the ends of a stream as its consumer is told of them: odd while it stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing(Arc<AtomicU64>);

impl Standing {
    /// A question that is asked now.
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            number: self.number(),
            standing: self.clone(),
        }
    }

    /// The count; [`Self::asked_in`] takes it back.
    pub(crate) fn number(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// A question that was asked when the count was this.
    pub(crate) fn asked_in(&self, number: u64) -> Asked {
        Asked {
            number,
            standing: self.clone(),
        }
    }
}

/// When something was asked of a stream.
#[derive(Debug, Clone)]
pub struct Asked {
    number: u64,
    standing: Standing,
}

impl Asked {
    /// Whether the stream stood then and has stood ever since, as far as its consumer was told.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.number % 2 == 1 && self.standing.number() == self.number
    }
}

/// What comes to a connection from beside its socket, and until when it means something.
#[derive(Debug, Clone)]
pub struct Injection {
    injected: Injected,
    asked: Option<Asked>,
}

impl Injection {
    /// For the standing in which it was asked for, and no other.
    #[must_use]
    pub const fn asked(injected: Injected, asked: Asked) -> Self {
        Self {
            injected,
            asked: Some(asked),
        }
    }

    /// What it is; `None` when what it was asked for is over.
    pub(super) fn due(self) -> Option<Injected> {
        let is_over = self.asked.is_some_and(|asked| !asked.stands());
        (!is_over).then_some(self.injected)
    }
}

/// Means the same on every connection.
impl From<Injected> for Injection {
    fn from(injected: Injected) -> Self {
        Self {
            injected,
            asked: None,
        }
    }
}

/// A sink that counts what it tells of the stream's standing. It must be told by one thread at a time.
#[derive(Debug)]
pub(crate) struct Told<S> {
    sink: S,
    standing: Standing,
}

impl<S: FrameSink> Told<S> {
    pub(crate) fn new(sink: S, standing: &Standing) -> Self {
        Self {
            sink,
            standing: standing.clone(),
        }
    }

    /// Delivers what was asked for, or lets it go when its standing is over.
    pub(crate) fn answer(&mut self, asked: &Asked, message: StreamMessage) -> Result<(), StreamMessage> {
        if asked.stands() {
            self.sink.try_deliver(message)
        } else {
            Ok(())
        }
    }
}

impl<S: FrameSink> FrameSink for Told<S> {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        let before = self.standing.number();
        let after = match message.kind {
            StreamMessageKind::Connected => before.wrapping_add(1) | 1,
            StreamMessageKind::Disconnected(_) => (before | 1).wrapping_add(1),
            StreamMessageKind::Frame(_) | StreamMessageKind::Snapshot { .. } => {
                return self.sink.try_deliver(message);
            }
        };
        // Counted first: whoever is told of a beginning may ask at once.
        self.standing.0.store(after, Ordering::SeqCst);
        let told = self.sink.try_deliver(message);
        if told.is_err() {
            self.standing.0.store(before, Ordering::SeqCst);
        }
        told
    }

    fn overhear(&mut self, at: Timestamp, aside: Aside<'_>) {
        self.sink.overhear(at, aside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::DisconnectReason;

    fn message(kind: StreamMessageKind) -> StreamMessage {
        let ts_received = Timestamp::EPOCH;
        StreamMessage { ts_received, kind }
    }

    #[test]
    fn a_question_means_something_in_the_standing_it_was_asked_in_only() {
        const END: StreamMessageKind = StreamMessageKind::Disconnected(DisconnectReason::Closed);
        let standing = Standing::default();
        let mut told = Told::new(|_: StreamMessage| Ok(()), &standing);
        let before = standing.asked();
        assert!(!before.stands(), "it never stood");
        told.try_deliver(message(StreamMessageKind::Connected)).unwrap();
        let first = standing.asked();
        assert!(first.stands() && !before.stands());
        told.try_deliver(message(END)).unwrap();
        let between = standing.asked();
        assert!(!first.stands() && !between.stands());
        told.try_deliver(message(StreamMessageKind::Connected)).unwrap();
        assert!(!first.stands() && !between.stands());
        assert!(standing.asked().stands());
    }

    #[test]
    fn what_finds_no_room_is_not_told() {
        let standing = Standing::default();
        let mut told = Told::new(Err, &standing);
        assert!(told.try_deliver(message(StreamMessageKind::Connected)).is_err());
        assert!(!standing.asked().stands());
    }
}
