//! What the sockets bring, on its way to the one thread that writes: bounded by number and by bytes.
//!
//! A full queue is no loss that nobody hears of: the socket waits, and beyond
//! [`venues::websocket::DELIVERY_WAIT_MAX`] the connection is given up, which stands in the recording.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use venues::backlog::{Backlog, WAITING_BYTES_MAX};
use venues::{Aside, FrameSink, StreamMessage, StreamMessageKind};

/// Most things waiting to be written.
pub const QUEUED_MAX: usize = 1 << 16;

/// Most bytes waiting to be written, unless a single message has more.
pub const QUEUED_BYTES_MAX: usize = WAITING_BYTES_MAX;

/// Most bytes of handshakes that wait for room in a full queue. Beyond it they are left out and counted.
pub const ASIDE_BYTES_MAX: usize = 32 << 20;

/// What crossed a socket.
#[derive(Debug)]
pub(crate) enum Crossing {
    Opened(String),
    Sent(Bytes),
    Handshake(Bytes),
    Message(StreamMessageKind),
}

#[derive(Debug)]
pub(crate) struct Item {
    /// Index of the stream.
    pub(crate) stream: usize,
    pub(crate) at: Timestamp,
    pub(crate) crossing: Crossing,
}

/// The writing thread's end.
#[derive(Debug)]
pub(crate) struct Outlet {
    items: Receiver<Item>,
    shared: Arc<Shared>,
}

/// The end that sinks are made of. The queue is closed when it and all sinks are gone.
#[derive(Debug, Clone)]
pub(crate) struct Inlet {
    items: SyncSender<Item>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    backlog: Backlog,
    left_out: AtomicU64,
}

/// What there was to take.
#[derive(Debug)]
pub(crate) enum Next {
    Item(Item),
    Nothing,
    Closed,
}

pub(crate) fn bounded() -> (Inlet, Outlet) {
    let (sender, items) = sync_channel(QUEUED_MAX);
    let shared = Arc::new(Shared::default());
    let inlet = Inlet {
        items: sender,
        shared: Arc::clone(&shared),
    };
    (inlet, Outlet { items, shared })
}

impl Outlet {
    /// What waits, without waiting for it.
    pub(crate) fn try_next(&self) -> Next {
        match self.items.try_recv() {
            Ok(item) => self.taken(item),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) => Next::Closed,
        }
    }

    pub(crate) fn next_within(&self, wait: Duration) -> Next {
        match self.items.recv_timeout(wait) {
            Ok(item) => self.taken(item),
            Err(RecvTimeoutError::Timeout) => Next::Nothing,
            Err(RecvTimeoutError::Disconnected) => Next::Closed,
        }
    }

    /// Parts of handshakes that were left out because the queue was full.
    pub(crate) fn left_out(&self) -> u64 {
        self.shared.left_out.load(Ordering::Relaxed)
    }

    fn taken(&self, item: Item) -> Next {
        self.shared.backlog.give_back(item.bytes());
        Next::Item(item)
    }
}

impl Inlet {
    /// Where the stream of this index delivers.
    pub(crate) fn sink(&self, stream: usize) -> Sink {
        Sink {
            stream,
            inlet: self.clone(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        }
    }

    fn try_put(&self, item: Item) -> Result<(), Item> {
        let bytes = item.bytes();
        if !self.shared.backlog.take_room(bytes) {
            return Err(item);
        }
        self.items.try_send(item).map_err(|error| {
            self.shared.backlog.give_back(bytes);
            match error {
                std::sync::mpsc::TrySendError::Full(item)
                | std::sync::mpsc::TrySendError::Disconnected(item) => item,
            }
        })
    }
}

impl Item {
    fn bytes(&self) -> usize {
        match &self.crossing {
            Crossing::Opened(url) => url.len(),
            Crossing::Sent(text) | Crossing::Handshake(text) => text.len(),
            Crossing::Message(StreamMessageKind::Frame(body) | StreamMessageKind::Snapshot { body, .. }) => {
                body.len()
            }
            Crossing::Message(StreamMessageKind::Connected | StreamMessageKind::Disconnected(_)) => 0,
        }
    }
}

/// One stream's way into the queue.
#[derive(Debug)]
pub(crate) struct Sink {
    stream: usize,
    inlet: Inlet,
    /// What was overheard and found no room: it goes first.
    waiting: VecDeque<Item>,
    waiting_bytes: usize,
}

impl Sink {
    /// Whether nothing waits any more.
    fn put_waiting(&mut self) -> bool {
        while let Some(item) = self.waiting.pop_front() {
            let bytes = item.bytes();
            if let Err(item) = self.inlet.try_put(item) {
                self.waiting.push_front(item);
                return false;
            }
            self.waiting_bytes -= bytes;
        }
        true
    }
}

impl FrameSink for Sink {
    fn try_deliver(&mut self, message: StreamMessage) -> Result<(), StreamMessage> {
        if !self.put_waiting() {
            return Err(message);
        }
        let item = Item {
            stream: self.stream,
            at: message.ts_received,
            crossing: Crossing::Message(message.kind),
        };
        self.inlet.try_put(item).map_err(|item| match item.crossing {
            Crossing::Message(kind) => StreamMessage {
                ts_received: item.at,
                kind,
            },
            _ => unreachable!("what comes back is what was put"),
        })
    }

    fn overhear(&mut self, at: Timestamp, aside: Aside<'_>) {
        let crossing = match aside {
            Aside::Opened(url) => Crossing::Opened(url.to_owned()),
            Aside::Sent(text) => Crossing::Sent(Bytes::copy_from_slice(text.as_bytes())),
            Aside::Handshake(message) => Crossing::Handshake(Bytes::copy_from_slice(message)),
        };
        let item = Item {
            stream: self.stream,
            at,
            crossing,
        };
        let bytes = item.bytes();
        if self.waiting_bytes + bytes > ASIDE_BYTES_MAX {
            self.inlet.shared.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(item);
        let _ = self.put_waiting();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> StreamMessage {
        StreamMessage {
            ts_received: Timestamp::EPOCH,
            kind: StreamMessageKind::Frame(Bytes::from(vec![0; bytes])),
        }
    }

    fn drained(outlet: &Outlet) -> usize {
        let mut count = 0;
        while let Next::Item(_) = outlet.try_next() {
            count += 1;
        }
        count
    }

    #[test]
    fn is_bounded_by_number_and_gives_back_what_finds_no_room() {
        let (inlet, outlet) = bounded();
        let mut sink = inlet.sink(3);
        for _ in 0..QUEUED_MAX {
            sink.try_deliver(frame(1)).unwrap();
        }
        assert_eq!(sink.try_deliver(frame(7)), Err(frame(7)));
        let Next::Item(first) = outlet.try_next() else {
            panic!("full and empty")
        };
        assert_eq!(first.stream, 3);
        sink.try_deliver(frame(1)).unwrap();
        assert_eq!(drained(&outlet), QUEUED_MAX);
    }

    #[test]
    fn is_bounded_by_bytes_over_all_streams_but_lets_any_single_message_pass() {
        let (inlet, outlet) = bounded();
        let (mut one, mut two) = (inlet.sink(0), inlet.sink(1));
        one.try_deliver(frame(QUEUED_BYTES_MAX + 1)).unwrap();
        assert!(two.try_deliver(frame(1)).is_err());
        assert_eq!(drained(&outlet), 1);
        two.try_deliver(frame(QUEUED_BYTES_MAX)).unwrap();
        assert!(one.try_deliver(frame(1)).is_err());
        assert_eq!(drained(&outlet), 1);
        one.try_deliver(frame(1)).unwrap();
    }

    #[test]
    fn what_is_overheard_while_it_is_full_comes_first_afterwards() {
        let (inlet, outlet) = bounded();
        let mut sink = inlet.sink(0);
        sink.try_deliver(frame(QUEUED_BYTES_MAX)).unwrap();
        sink.overhear(Timestamp::EPOCH, Aside::Opened("wss://venue"));
        sink.overhear(Timestamp::EPOCH, Aside::Handshake(&vec![0; ASIDE_BYTES_MAX]));
        assert_eq!(outlet.left_out(), 1);
        assert!(sink.try_deliver(frame(1)).is_err());
        assert_eq!(drained(&outlet), 1);
        sink.try_deliver(frame(1)).unwrap();
        assert!(matches!(
            outlet.try_next(),
            Next::Item(Item {
                crossing: Crossing::Opened(_),
                ..
            })
        ));
        assert!(matches!(
            outlet.try_next(),
            Next::Item(Item {
                crossing: Crossing::Message(_),
                ..
            })
        ));
        drop((inlet, sink));
        assert!(matches!(outlet.try_next(), Next::Closed));
    }
}
