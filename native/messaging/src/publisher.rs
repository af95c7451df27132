//! The telemetry socket: numbered, lossy, never in the way.

use std::fmt;

use domain::{Epoch, Timestamp};

use crate::endpoint::{Context, Endpoint};
use crate::error::MessagingError;
use crate::limits::{
    HANDSHAKE_MS, HEARTBEAT_INTERVAL, SUBSCRIPTION_BYTES_MAX, SUBSCRIPTIONS_PER_TURN,
    SUBSCRIPTIONS_WAITING_MAX, TELEMETRY_LINGER_MS, TELEMETRY_WAITING_MAX,
};
use crate::protocol::{Heading, Instruments, ProtocolError, encode_telemetry};
use crate::telemetry::{Telemetry, Topic, TopicSequence};
use crate::verify::checked_instance;

/// What the socket is made with.
#[derive(Debug)]
pub struct PublisherConfig {
    /// Where.
    pub endpoint: Endpoint,
    /// The service's name.
    pub instance: String,
    /// The service's life: sequences start again with each.
    pub epoch: Epoch,
    /// Names of the instruments.
    pub instruments: Instruments,
}

/// Messages since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublisherCounts {
    /// Handed to ZeroMQ, which drops what a slow subscriber has no room for, and says nothing about it.
    pub published: u64,
    /// Not taken by ZeroMQ; subscribers see the gap.
    pub unsent: u64,
    /// Refused for a value that the wire cannot hold.
    pub unencodable: u64,
    /// Requests to subscribe.
    pub subscriptions: u64,
}

/// The sending end of telemetry. Belongs to one thread at a time.
pub struct TelemetryPublisher {
    socket: zmq::Socket,
    instance: String,
    epoch: Epoch,
    instruments: Instruments,
    sequences: [u64; Topic::ALL.len()],
    counts: PublisherCounts,
    heartbeat_due: Option<Timestamp>,
}

impl TelemetryPublisher {
    /// Opens the socket.
    ///
    /// # Errors
    /// [`MessagingError`] when the directory is not private, the instance has no proper name, or ZeroMQ refuses.
    pub fn bind(context: &Context, config: PublisherConfig) -> Result<Self, MessagingError> {
        let instance = checked_instance(config.instance)?;
        let socket = context.socket(zmq::XPUB)?;
        configure(&socket).map_err(MessagingError::socket("configure the telemetry socket"))?;
        config.endpoint.bind(&socket)?;
        Ok(Self {
            socket,
            instance,
            epoch: config.epoch,
            instruments: config.instruments,
            sequences: [0; Topic::ALL.len()],
            counts: PublisherCounts::default(),
            heartbeat_due: None,
        })
    }

    /// New names of the instruments.
    pub fn set_instruments(&mut self, instruments: Instruments) {
        self.instruments = instruments;
    }

    /// Messages since the start.
    pub const fn counts(&self) -> PublisherCounts {
        self.counts
    }

    /// The last number of every topic but the heartbeat's.
    #[must_use]
    pub fn sequences(&self) -> Vec<TopicSequence> {
        Topic::ALL
            .iter()
            .zip(self.sequences)
            .filter(|(topic, _)| **topic != Topic::Heartbeat)
            .map(|(&topic, sequence)| TopicSequence { topic, sequence })
            .collect()
    }

    /// Publishes under the topic's next number. Never blocks: who is too slow misses it and sees the gap.
    ///
    /// # Errors
    /// [`ProtocolError`] for a value that the wire cannot hold: nothing was sent and no number used.
    pub fn publish(&mut self, now: Timestamp, telemetry: &Telemetry) -> Result<(), ProtocolError> {
        let topic = telemetry.topic();
        let heading = Heading {
            epoch: self.epoch.0,
            ts: now.nanos(),
            instance: &self.instance,
        };
        let sequence = self.sequences[topic as usize] + 1;
        let bytes = encode_telemetry(&self.instruments, &heading, sequence, telemetry).inspect_err(|_| {
            self.counts.unencodable += 1;
        })?;
        self.sequences[topic as usize] = sequence;
        let sent = self
            .socket
            .send_multipart([topic.as_str().as_bytes(), &bytes], zmq::DONTWAIT);
        match sent {
            Ok(()) => self.counts.published += 1,
            Err(_) => self.counts.unsent += 1,
        }
        Ok(())
    }

    /// What must happen from time to time: a heartbeat every second, and whenever somebody has subscribed. Call it
    /// each turn of the loop; it never waits.
    ///
    /// # Errors
    /// [`MessagingError::Socket`] when ZeroMQ fails.
    pub fn tend(&mut self, now: Timestamp) -> Result<(), MessagingError> {
        let newcomer = self.take_subscriptions()?;
        if newcomer || self.heartbeat_due.is_none_or(|due| due <= now) {
            let heartbeat = Telemetry::Heartbeat(self.sequences());
            self.publish(now, &heartbeat)?;
            self.heartbeat_due = Some(now.plus(HEARTBEAT_INTERVAL));
        }
        Ok(())
    }

    /// Reads what subscribers ask for, a bounded number a turn; true when somebody subscribed.
    fn take_subscriptions(&mut self) -> Result<bool, MessagingError> {
        let mut newcomer = false;
        for _ in 0..SUBSCRIPTIONS_PER_TURN {
            match self.socket.recv_msg(zmq::DONTWAIT) {
                // 1 subscribes, 0 unsubscribes; anything else is a message from a peer that is no subscriber.
                Ok(request) if request.first() == Some(&1) => {
                    newcomer = true;
                    self.counts.subscriptions += 1;
                }
                Ok(_) => {}
                Err(zmq::Error::EAGAIN | zmq::Error::EINTR) => break,
                Err(error) => return Err(MessagingError::socket("read subscriptions")(error)),
            }
        }
        Ok(newcomer)
    }
}

impl fmt::Debug for TelemetryPublisher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("TelemetryPublisher")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

fn configure(socket: &zmq::Socket) -> Result<(), zmq::Error> {
    socket.set_maxmsgsize(SUBSCRIPTION_BYTES_MAX)?;
    socket.set_rcvhwm(SUBSCRIPTIONS_WAITING_MAX)?;
    socket.set_sndhwm(TELEMETRY_WAITING_MAX)?;
    socket.set_linger(TELEMETRY_LINGER_MS)?;
    socket.set_handshake_ivl(HANDSHAKE_MS)?;
    // Tell us of every subscription, not only of a topic's first: each newcomer gets a heartbeat.
    socket.set_xpub_verbose(true)
}
