//! The command socket: a ROUTER that lets through what is genuine, allowed and new.

use std::fmt;
use std::time::Duration;

use domain::Timestamp;

use crate::ack::{Ack, Origin, Outcome, Refusal, RefusalReason};
use crate::command::CommandRef;
use crate::endpoint::{Context, Endpoint};
use crate::error::MessagingError;
use crate::keys::{KeyId, Keyring};
use crate::limits::{
    ACKS_WAITING_MAX, COMMAND_FRAME_BYTES_MAX, COMMAND_LINGER_MS, COMMANDS_WAITING_MAX, HANDSHAKE_MS,
    RECORDED_COMMANDS_MAX, RECORDED_QUERIES_MAX, REQUEST_FRAMES,
};
use crate::protocol::{Instruments, encode_ack};
use crate::record::Record;
use crate::verify::{Genuine, VerifiedCommand, Verifier};

/// Who sent a message: ZeroMQ's name of the connection. It says nothing about who that is.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Identity(Vec<u8>);

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("peer ")?;
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

/// A message that came in.
#[derive(Debug)]
pub struct Incoming {
    /// Where the answer goes.
    pub identity: Identity,
    /// The command, or why it is none. A refusal still wants an answer: [`Ack::refused`].
    pub body: Result<VerifiedCommand, Refusal>,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Handed to ZeroMQ.
    Sent,
    /// The peer is not connected any more. It may ask again.
    PeerGone,
    /// The peer does not read its answers.
    PeerFull,
}

/// What the socket is made with.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where.
    pub endpoint: Endpoint,
    /// The service's name, which every command must carry.
    pub instance: String,
    /// Whom to obey.
    pub keyring: Keyring,
    /// Counters that the durable record has seen, in any order; the highest of a key counts.
    pub floors: Vec<(KeyId, u64)>,
    /// Names of the instruments in answers.
    pub instruments: Instruments,
}

/// Messages since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerCounts {
    /// Came in.
    pub received: u64,
    /// Were refused here.
    pub refused: u64,
    /// Were repeats that were answered from memory.
    pub repeated: u64,
    /// Answers that reached nobody.
    pub undelivered: u64,
}

/// The receiving end of commands. Belongs to one thread at a time.
pub struct CommandServer {
    socket: zmq::Socket,
    verifier: Verifier,
    instruments: Instruments,
    commands: Record,
    queries: Record,
    counts: ServerCounts,
}

impl CommandServer {
    /// Opens the socket. Hold the run folder's lock first: ZeroMQ replaces a socket file that stands there.
    ///
    /// # Errors
    /// [`MessagingError`] when the directory is not private, the instance has no proper name, or ZeroMQ refuses.
    pub fn bind(context: &Context, config: ServerConfig) -> Result<Self, MessagingError> {
        let verifier = Verifier::new(config.instance, config.keyring, config.floors)?;
        let socket = context.socket(zmq::ROUTER)?;
        configure(&socket).map_err(MessagingError::socket("configure the command socket"))?;
        config.endpoint.bind(&socket)?;
        Ok(Self {
            socket,
            verifier,
            instruments: config.instruments,
            commands: Record::new(RECORDED_COMMANDS_MAX),
            queries: Record::new(RECORDED_QUERIES_MAX),
            counts: ServerCounts::default(),
        })
    }

    /// New names for answers.
    pub fn set_instruments(&mut self, instruments: Instruments) {
        self.instruments = instruments;
    }

    /// New keys to obey. What a key had reached is remembered, and a command that is under way goes on.
    pub fn set_keyring(&mut self, keyring: Keyring) {
        self.verifier.set_keyring(keyring);
    }

    /// Messages since the start.
    pub const fn counts(&self) -> ServerCounts {
        self.counts
    }

    /// Waits at most `timeout` for one message and judges it. `clock` is the host's wall clock, never a venue's
    /// compressed time. `None` when nothing came, or when it was a repeat and has been answered.
    ///
    /// A command that is let through raises its key's counter in memory. Write key and counter to the durable record
    /// before acting on it, and hand them back as [`ServerConfig::floors`] at the next start.
    ///
    /// # Errors
    /// [`MessagingError::Socket`] when ZeroMQ fails; nothing that a peer sends is an error.
    pub fn poll(
        &mut self,
        timeout: Duration,
        clock: &dyn Fn() -> Timestamp,
    ) -> Result<Option<Incoming>, MessagingError> {
        if !self.wait(timeout)? {
            return Ok(None);
        }
        let Some((identity, message)) = self.receive()? else {
            return Ok(None);
        };
        self.counts.received += 1;
        let body = match message.and_then(|message| self.verifier.authenticate(&message)) {
            Ok(genuine) => match self.judge(genuine, &identity, clock())? {
                Some(body) => body,
                None => return Ok(None),
            },
            Err(refusal) => Err(refusal),
        };
        self.counts.refused += u64::from(body.is_err());
        Ok(Some(Incoming { identity, body }))
    }

    /// Answers. Never blocks. An answer to a command is kept for repeats of it, and goes also to whoever repeated it
    /// last.
    ///
    /// # Errors
    /// [`MessagingError::Unencodable`] when the answer holds a value that the wire cannot hold (the peer is told that
    /// it failed); [`MessagingError::Socket`] when ZeroMQ fails.
    pub fn reply(&mut self, to: &Identity, ack: &Ack) -> Result<Delivery, MessagingError> {
        match encode_ack(&self.instruments, ack) {
            Ok(bytes) => self.deliver(to, ack, &bytes),
            Err(error) => {
                let failed = Ack {
                    outcome: Outcome::Failed {
                        reason: None,
                        text: format!("the answer could not be written: {error}"),
                    },
                    ..*ack
                };
                let bytes = encode_ack(&self.instruments, &failed)?;
                self.deliver(to, &failed, &bytes)?;
                Err(error.into())
            }
        }
    }

    fn wait(&self, timeout: Duration) -> Result<bool, MessagingError> {
        // Rounded up: a wait of less than a millisecond must not become a busy loop.
        let millis = i64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
        match self.socket.poll(zmq::POLLIN, millis) {
            Ok(ready) => Ok(ready > 0),
            Err(zmq::Error::EINTR) => Ok(false),
            Err(error) => Err(MessagingError::socket("wait for commands")(error)),
        }
    }

    /// One whole message: the peer and its one frame, or why it has not exactly one.
    #[expect(
        clippy::type_complexity,
        reason = "the two outcomes of one message, used here only"
    )]
    fn receive(&mut self) -> Result<Option<(Identity, Result<zmq::Message, Refusal>)>, MessagingError> {
        let failed = |error| MessagingError::socket("receive a command")(error);
        let identity = match self.socket.recv_bytes(zmq::DONTWAIT) {
            Ok(identity) => Identity(identity),
            Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let (mut frames, mut last) = (1, None);
        while self.socket.get_rcvmore().map_err(failed)? {
            // The parts of a message arrive together, so this does not wait.
            last = Some(self.socket.recv_msg(zmq::DONTWAIT).map_err(failed)?);
            frames += 1;
        }
        Ok(Some((
            identity,
            match last {
                Some(message) if frames == REQUEST_FRAMES => Ok(message),
                _ => Err(Refusal {
                    origin: Origin::default(),
                    reason: RefusalReason::Malformed,
                    text: format!("a command is one frame, not {} (use a DEALER socket)", frames - 1),
                }),
            },
        )))
    }

    /// What to do with a genuine command; `None` when it was a repeat and its answer has been sent again.
    fn judge(
        &mut self,
        genuine: Genuine,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Option<Result<VerifiedCommand, Refusal>>, MessagingError> {
        let CommandRef { key_id, counter, .. } = genuine.command.reference;
        let (key, content) = ((key_id, counter), genuine.content);
        let is_query = genuine.command.command.is_query();
        if is_query {
            // Changes nothing, so it is run again while it is valid, rather than keeping its answer.
            if self.queries.repeated(key, &content).is_some() {
                let fit = self.verifier.check_fit(&genuine, now);
                return Ok(Some(fit.map(|()| genuine.command)));
            }
        } else if let Some(entry) = self.commands.repeated(key, &content) {
            // Even after its expiry: nothing is done, only said again.
            entry.asker = identity.clone();
            self.counts.repeated += 1;
            if let Some(ack) = entry.ack.clone() {
                self.send(identity, &ack)?;
            }
            return Ok(None);
        }
        let admitted = self.verifier.admit(genuine, now);
        if admitted.is_ok() {
            let record = if is_query {
                &mut self.queries
            } else {
                &mut self.commands
            };
            record.admit(key, content, identity.clone());
        }
        Ok(Some(admitted))
    }

    /// Keeps the answer where a repeat will want it, and sends it.
    fn deliver(&mut self, to: &Identity, ack: &Ack, bytes: &[u8]) -> Result<Delivery, MessagingError> {
        let mut also = None;
        if let Some(key) = ack.origin.key.filter(|_| is_about_an_admitted_command(ack))
            && let Some(entry) = self.commands.get_mut(key)
        {
            entry.ack = Some(bytes.to_vec());
            also = Some(entry.asker.clone()).filter(|asker| asker != to);
        }
        let mut delivery = self.send(to, bytes)?;
        if let Some(asker) = also
            && self.send(&asker, bytes)? == Delivery::Sent
        {
            delivery = Delivery::Sent;
        }
        self.counts.undelivered += u64::from(delivery != Delivery::Sent);
        Ok(delivery)
    }

    fn send(&self, to: &Identity, bytes: &[u8]) -> Result<Delivery, MessagingError> {
        match self.socket.send_multipart([&to.0[..], bytes], zmq::DONTWAIT) {
            Ok(()) => Ok(Delivery::Sent),
            Err(zmq::Error::EHOSTUNREACH) => Ok(Delivery::PeerGone),
            Err(zmq::Error::EAGAIN) => Ok(Delivery::PeerFull),
            Err(error) => Err(MessagingError::socket("send an answer")(error)),
        }
    }
}

/// Whether a repeat should be given this answer. A refusal found while verifying is about a message that was not
/// let through: it may claim, or even replay, the counter of one that was.
fn is_about_an_admitted_command(ack: &Ack) -> bool {
    match ack.outcome {
        Outcome::Refused { reason, .. } => !reason.is_found_by_receiver(),
        Outcome::Accepted | Outcome::Applied(_) | Outcome::Failed { .. } => true,
    }
}

impl fmt::Debug for CommandServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CommandServer")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

fn configure(socket: &zmq::Socket) -> Result<(), zmq::Error> {
    socket.set_maxmsgsize(COMMAND_FRAME_BYTES_MAX)?;
    socket.set_rcvhwm(COMMANDS_WAITING_MAX)?;
    socket.set_sndhwm(ACKS_WAITING_MAX)?;
    socket.set_linger(COMMAND_LINGER_MS)?;
    socket.set_handshake_ivl(HANDSHAKE_MS)?;
    // An answer to a peer that has gone is an outcome, not silence.
    socket.set_router_mandatory(true)
}
