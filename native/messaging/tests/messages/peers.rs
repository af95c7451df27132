//! Both sockets with ZeroMQ's own sockets at the other end.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use domain::{Epoch, Timestamp};
use messaging::protocol::decode_ack;
use messaging::{
    Ack, CommandServer, Context, Endpoint, Incoming, KeyId, MessagingError, PublisherConfig, ServerConfig,
    SocketDirectory, TelemetryPublisher,
};

use crate::samples::{INSTANCE, NOW, instruments, keyring};

/// Longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A private directory that goes away with it.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) context: Context,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder.path(), mode).expect("ours");
        Self {
            folder,
            context: Context::new(),
        }
    }

    pub(crate) fn endpoint(&self, name: &str) -> Endpoint {
        let directory = SocketDirectory::open(self.folder.path()).expect("private");
        directory.endpoint(name).expect("short")
    }

    pub(crate) fn server(&self, floors: Vec<(KeyId, u64)>) -> CommandServer {
        self.try_server(floors).expect("bound")
    }

    pub(crate) fn try_server(&self, floors: Vec<(KeyId, u64)>) -> Result<CommandServer, MessagingError> {
        let config = ServerConfig {
            endpoint: self.endpoint("command.sock"),
            instance: INSTANCE.to_owned(),
            keyring: keyring(),
            floors,
            instruments: instruments(),
        };
        CommandServer::bind(&self.context, config)
    }

    pub(crate) fn publisher(&self, epoch: u32) -> TelemetryPublisher {
        let config = PublisherConfig {
            endpoint: self.endpoint("telemetry.sock"),
            instance: INSTANCE.to_owned(),
            epoch: Epoch(epoch),
            instruments: instruments(),
        };
        TelemetryPublisher::bind(&self.context, config).expect("bound")
    }

    pub(crate) fn client(&self, kind: zmq::SocketType) -> Client {
        let socket = zmq::Context::new().socket(kind).expect("a socket");
        socket.set_linger(0).expect("an option");
        socket.set_rcvtimeo(20_000).expect("an option");
        socket
            .connect(self.endpoint("command.sock").as_str())
            .expect("connected");
        Client { socket }
    }
}

/// The other end of the command socket.
pub(crate) struct Client {
    pub(crate) socket: zmq::Socket,
}

impl Client {
    pub(crate) fn send(&self, message: &[u8]) {
        self.socket.send(message, 0).expect("sent");
    }

    pub(crate) fn ack(&self) -> Ack {
        let bytes = self.socket.recv_bytes(0).expect("an answer in time");
        decode_ack(&instruments(), &bytes).expect("an acknowledgement")
    }

    /// Whether an answer waits now. Only says no for certain after something later has been heard.
    pub(crate) fn has_answer(&self) -> bool {
        self.socket.poll(zmq::POLLIN, 0).expect("polled") > 0
    }
}

/// The next message that came in; repeats are answered on the way.
pub(crate) fn next(server: &mut CommandServer) -> Incoming {
    next_at(server, NOW)
}

pub(crate) fn next_at(server: &mut CommandServer, now: Timestamp) -> Incoming {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(incoming) = server.poll(Duration::from_millis(50), &|| now).expect("polled") {
            return incoming;
        }
    }
    panic!("nothing came in within {PATIENCE:?}")
}

/// Polls until so many messages have come in all together, and hands over those that were not repeats.
pub(crate) fn until_received(server: &mut CommandServer, count: u64) -> Vec<Incoming> {
    let started = Instant::now();
    let mut seen = Vec::new();
    while server.counts().received < count {
        assert!(started.elapsed() < PATIENCE, "{:?}", server.counts());
        seen.extend(server.poll(Duration::from_millis(50), &|| NOW).expect("polled"));
    }
    seen
}
