//! What each connection to the venue has brought, and how it fared.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use venues::websocket::ConnectionStatistics;

/// One number of every connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamFamily {
    /// Its name in `/metrics`.
    pub(super) name: &'static str,
    /// What it says.
    pub(super) help: &'static str,
    pub(super) read: fn(&ConnectionStatistics) -> u64,
}

const fn family(
    name: &'static str,
    help: &'static str,
    read: fn(&ConnectionStatistics) -> u64,
) -> StreamFamily {
    StreamFamily { name, help, read }
}

/// What is told of each connection, beside why it was lost.
pub(super) const FAMILIES: [StreamFamily; 11] = [
    family(
        "stream_messages",
        "Messages read from the socket, handshakes included.",
        ConnectionStatistics::messages,
    ),
    family(
        "stream_bytes",
        "Bytes of those messages.",
        ConnectionStatistics::bytes,
    ),
    family(
        "stream_pings_sent",
        "Pings sent to the venue.",
        ConnectionStatistics::pings_sent,
    ),
    family(
        "stream_pings_heard",
        "Pings of the venue.",
        ConnectionStatistics::pings_heard,
    ),
    family(
        "stream_connections",
        "Times a connection came up: the first, each after a loss, each made before a change.",
        ConnectionStatistics::connected,
    ),
    family(
        "stream_reconnects",
        "Times a connection came up after one was lost.",
        ConnectionStatistics::reconnected,
    ),
    family(
        "stream_rotations",
        "Times a new connection took over from one that stood.",
        ConnectionStatistics::rotations,
    ),
    family(
        "stream_connect_failures",
        "Attempts to connect, handshakes among them, that failed.",
        ConnectionStatistics::failed,
    ),
    family(
        "stream_early_overruns",
        "Attempts given up because too much came before the handshake was done.",
        ConnectionStatistics::early_overruns,
    ),
    family(
        "stream_duplicates",
        "Messages not passed on because another connection of the stream delivers them.",
        ConnectionStatistics::duplicates,
    ),
    family(
        "stream_stalls",
        "Messages that had to wait for room in the queue.",
        ConnectionStatistics::stalls,
    ),
];

/// The connections there are.
#[derive(Debug, Default)]
pub struct StreamBoard(Mutex<Vec<Arc<ConnectionStatistics>>>);

impl StreamBoard {
    /// Tells of these from now on.
    pub fn watch(&self, connections: impl IntoIterator<Item = Arc<ConnectionStatistics>>) {
        self.lock().extend(connections);
    }

    /// All that are watched.
    #[must_use]
    pub fn connections(&self) -> Vec<Arc<ConnectionStatistics>> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<ConnectionStatistics>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
