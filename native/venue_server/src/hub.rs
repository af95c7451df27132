//! Who listens, and what they are sent.

use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::frames::{Class, Frame, FrameFault, FrameFaults, FrameTerms, Queued};
use crate::rewrites::Rewrites;
use crate::wire::Session;

/// Messages that may wait for a slow reader; with one more the connection is dropped.
pub(crate) const QUEUE_MAX: usize = 65_536;
/// Most connections at a time, market and account together.
pub(crate) const CONNECTIONS_MAX: usize = 300;

/// Names a connection in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionId(u64);

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    session: Session,
    sender: Sender<Queued>,
    /// Messages that come behind later ones of their class, and behind how many of them.
    held: Vec<(Class, Frame, u32)>,
}

impl Connection {
    /// Queues a message with what happens to it; false when the reader is too slow, or gone.
    fn deliver(&mut self, class: Class, frame: Frame, terms: Option<FrameTerms>) -> bool {
        let queue = |frame: Frame| self.sender.try_send(Queued::now(frame)).is_ok();
        let taken = match terms.map(|terms| (terms.fault, terms)) {
            None => queue(frame),
            Some((FrameFault::Drop, _)) => return true,
            Some((FrameFault::Reorder, terms)) => {
                self.held.push((class, frame, terms.behind));
                return true;
            }
            Some((FrameFault::Delay, terms)) => {
                let late = Queued {
                    frame,
                    not_before: Some(Instant::now() + terms.delay),
                };
                self.sender.try_send(late).is_ok()
            }
            Some((FrameFault::Duplicate, _)) => queue(frame.clone()) && queue(frame),
            Some((FrameFault::Truncate, _)) => queue(frame.truncated()),
            Some((FrameFault::Corrupt, _)) => queue(frame.corrupted()),
        };
        taken && self.release(class)
    }

    /// Queues the messages that were behind no more than the one of `class` that was queued just now.
    fn release(&mut self, class: Class) -> bool {
        let mut taken = true;
        let sender = &self.sender;
        self.held.retain_mut(|(of, frame, behind)| {
            if *of != class {
                return true;
            }
            *behind = behind.saturating_sub(1);
            if *behind == 0 {
                taken &= sender.try_send(Queued::now(frame.clone())).is_ok();
            }
            *behind > 0
        });
        taken
    }
}

/// All connections, and the faults that their messages meet.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    connections: Vec<Connection>,
    next_id: u64,
    silent_until: Option<Instant>,
    /// Until when no message of a class is made.
    stalled_until: [Option<Instant>; Class::COUNT],
    pub(crate) faults: FrameFaults,
    pub(crate) rewrites: Rewrites<Class>,
    /// How many of the next checksums are wrong, on wires that have them.
    wrong_checksums: u32,
}

/// Which connections a fault drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Market,
    Account,
    All,
}

impl Target {
    fn holds(self, session: &Session) -> bool {
        match self {
            Self::All => true,
            Self::Market => !session.is_account(),
            Self::Account => session.is_account(),
        }
    }
}

impl Hub {
    /// A new connection; `None` when there are too many.
    pub(crate) fn connect(&mut self, session: Session) -> Option<(ConnectionId, Receiver<Queued>)> {
        if self.connections.len() >= CONNECTIONS_MAX {
            return None;
        }
        let (sender, receiver) = channel(QUEUE_MAX);
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        self.connections.push(Connection {
            id,
            session,
            sender,
            held: Vec::new(),
        });
        Some((id, receiver))
    }

    pub(crate) fn disconnect(&mut self, id: ConnectionId) {
        self.connections.retain(|connection| connection.id != id);
    }

    /// The session of a connection, to change its subscriptions; `None` once it was dropped.
    pub(crate) fn session_mut(&mut self, id: ConnectionId) -> Option<&mut Session> {
        let connection = self.connections.iter_mut().find(|connection| connection.id == id);
        connection.map(|connection| &mut connection.session)
    }

    pub(crate) fn sessions_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.connections
            .iter_mut()
            .map(|connection| &mut connection.session)
    }

    /// `(market, account)` connections.
    pub(crate) fn count(&self) -> (usize, usize) {
        let account = self
            .connections
            .iter()
            .filter(|one| one.session.is_account())
            .count();
        (self.connections.len() - account, account)
    }

    /// Sends a message to every connection for which `text_for` has one. A fault that waits for `class` meets all
    /// of them alike.
    pub(crate) fn broadcast<M: Into<Frame>>(
        &mut self,
        class: Class,
        mut text_for: impl FnMut(&mut Session) -> Option<M>,
    ) {
        if self.is_stalled(class) {
            return;
        }
        let silent = class != Class::Account && self.silent_until.is_some_and(|until| Instant::now() < until);
        let mut fault = None;
        let mut taken = false;
        let (faults, rewrites) = (&mut self.faults, &mut self.rewrites);
        self.connections.retain_mut(|connection| {
            let Some(text) = text_for(&mut connection.session) else {
                return true;
            };
            if silent {
                return true;
            }
            if !taken {
                taken = true;
                fault = faults.take(class);
            }
            let frame = match text.into() {
                Frame::Text(text) => Frame::Text(rewrites.apply(&class, &text).map_or(text, Utf8Bytes::from)),
                other => other,
            };
            // A reader that is too slow, or gone, is dropped.
            connection.deliver(class, frame, fault)
        });
    }

    /// Sends an answer to one connection: no fault meets it.
    pub(crate) fn send(&mut self, id: ConnectionId, text: impl Into<Utf8Bytes>) {
        let text = text.into();
        self.connections.retain(|connection| {
            connection.id != id || connection.sender.try_send(Queued::text(text.clone())).is_ok()
        });
    }

    /// Sends a text that is no message of the wire.
    pub(crate) fn say(&mut self, target: Target, text: &str) {
        let text = Utf8Bytes::from(text.to_owned());
        self.connections.retain(|connection| {
            !target.holds(&connection.session)
                || connection.sender.try_send(Queued::text(text.clone())).is_ok()
        });
    }

    /// Drops connections without a word.
    pub(crate) fn drop_connections(&mut self, target: Target) {
        self.connections
            .retain(|connection| !target.holds(&connection.session));
    }

    /// Ends connections with a close frame, after what they still have to be sent.
    pub(crate) fn close_connections(&mut self, target: Target, code: u16, reason: &str) {
        self.close_those(|session| target.holds(session), code, reason);
    }

    /// The same for those for which `closes` holds.
    pub(crate) fn close_those(&mut self, closes: impl Fn(&Session) -> bool, code: u16, reason: &str) {
        self.connections.retain(|connection| {
            let closes = closes(&connection.session);
            if closes {
                let frame = Frame::Close {
                    code,
                    reason: reason.to_owned(),
                };
                // A full queue: the connection ends all the same.
                let _ = connection.sender.try_send(Queued {
                    frame,
                    not_before: None,
                });
            }
            !closes
        });
    }

    /// Loses all public messages of the next `wall` time; connections stay.
    pub(crate) fn silence(&mut self, wall: Duration) {
        self.silent_until = Some(Instant::now() + wall);
    }

    /// Makes no message of a class in the next `wall` time; connections, and what else they bring, stay.
    pub(crate) fn stall(&mut self, class: Class, wall: Duration) {
        self.stalled_until[class as usize] = Some(Instant::now() + wall);
    }

    /// Whether no message of a class is made now.
    pub(crate) fn is_stalled(&self, class: Class) -> bool {
        self.stalled_until[class as usize].is_some_and(|until| Instant::now() < until)
    }

    /// Makes the next checksums wrong.
    pub(crate) fn spoil_checksums(&mut self, count: u32) {
        self.wrong_checksums = count;
    }

    /// Whether the next checksum is to be wrong.
    pub(crate) fn spoils_checksum(&self) -> bool {
        self.wrong_checksums > 0
    }

    /// A wrong checksum was written.
    pub(crate) fn checksum_was_spoiled(&mut self) {
        self.wrong_checksums = self.wrong_checksums.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binance;

    fn session() -> Session {
        Session::Binance(binance::Session::account())
    }

    fn say(hub: &mut Hub, class: Class, text: &str) {
        hub.broadcast(class, |_| Some(Utf8Bytes::from(text.to_owned())));
    }

    fn heard(receiver: &mut Receiver<Queued>) -> Vec<String> {
        std::iter::from_fn(|| receiver.try_recv().ok())
            .map(|queued| match queued.frame {
                Frame::Text(text) => text.to_string(),
                Frame::Binary(bytes) => format!("{} bytes", bytes.len()),
                Frame::Close { code, .. } => format!("closed {code}"),
            })
            .collect()
    }

    #[test]
    fn a_full_queue_drops_the_connection() {
        let mut hub = Hub::default();
        let (_, _receiver) = hub.connect(session()).unwrap();
        for _ in 0..QUEUE_MAX {
            say(&mut hub, Class::Trade, "{}");
        }
        assert_eq!(hub.count(), (0, 1));
        say(&mut hub, Class::Trade, "{}");
        assert_eq!(hub.count(), (0, 0));
    }

    #[test]
    fn connections_are_bounded() {
        let mut hub = Hub::default();
        let held: Vec<_> = (0..=CONNECTIONS_MAX).map(|_| hub.connect(session())).collect();
        assert_eq!(held.iter().flatten().count(), CONNECTIONS_MAX);
    }

    #[test]
    fn faults_meet_the_messages_they_name() {
        let mut hub = Hub::default();
        let (_, mut receiver) = hub.connect(session()).unwrap();
        let fault = |hub: &mut Hub, fault: FrameFault| assert!(hub.faults.add(Class::Book, fault.into(), 1));
        fault(&mut hub, FrameFault::Drop);
        fault(&mut hub, FrameFault::Truncate);
        fault(&mut hub, FrameFault::Reorder);
        for text in [r#"{"u":1}"#, r#"{"u":2}"#, r#"{"u":3}"#] {
            say(&mut hub, Class::Book, text);
        }
        say(&mut hub, Class::Trade, "{}");
        say(&mut hub, Class::Book, r#"{"u":4}"#);
        assert_eq!(heard(&mut receiver), [r#"{"u"#, "{}", r#"{"u":4}"#, r#"{"u":3}"#]);
        fault(&mut hub, FrameFault::Duplicate);
        say(&mut hub, Class::Book, r#"{"u":5}"#);
        assert_eq!(heard(&mut receiver), [r#"{"u":5}"#, r#"{"u":5}"#]);
        hub.stall(Class::Book, Duration::from_hours(1));
        say(&mut hub, Class::Book, r#"{"u":6}"#);
        say(&mut hub, Class::Trade, r#"{"t":6}"#);
        assert_eq!(heard(&mut receiver), [r#"{"t":6}"#]);
        hub.stall(Class::Book, Duration::ZERO);
        assert!(!hub.is_stalled(Class::Book));
        hub.silence(Duration::from_hours(1));
        say(&mut hub, Class::Book, r#"{"u":6}"#);
        hub.close_connections(Target::All, 1012, "restart");
        assert_eq!(heard(&mut receiver), ["closed 1012"]);
        assert_eq!(hub.count(), (0, 0));
    }
}
