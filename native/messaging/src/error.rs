//! What can go wrong outside a single message.

use std::path::PathBuf;

use thiserror::Error;

use crate::keys::KeyId;
use crate::limits::{INSTANCE_BYTES_MAX, KEYS_MAX, SOCKET_PATH_BYTES_MAX};
use crate::protocol::ProtocolError;

/// Why a socket cannot be opened or used.
#[derive(Debug, Error)]
pub enum MessagingError {
    /// The directory of the sockets is missing or cannot be read.
    #[error("cannot use socket directory {path}: {source}")]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory of the sockets is not ours alone.
    #[error(
        "socket directory {path} is not private: {fault}; it must be a directory of our own user with mode 0700 (`chmod 700 {path}`)"
    )]
    NotPrivate {
        /// Which directory.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The kernel's limit on a Unix socket's path.
    #[error(
        "socket path {path} has {length} bytes, at most {SOCKET_PATH_BYTES_MAX} fit; use a shorter run directory"
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// A socket's name is not a plain file name.
    #[error("socket name {0:?} is not allowed: letters, digits, `.`, `_` and `-`, not starting with `.`")]
    SocketName(String),
    /// `tcp://` was asked for.
    #[error(
        "endpoint {endpoint:?} refused: commands and telemetry travel over ipc:// on one host; tcp:// would need CURVE with an allow-list, and this build {curve}"
    )]
    TcpRefused {
        /// What was asked for.
        endpoint: String,
        /// Whether libzmq could.
        curve: &'static str,
    },
    /// Neither `ipc://` nor `tcp://`.
    #[error("endpoint {0:?} refused: only ipc:// with an absolute path is allowed")]
    Scheme(String),
    /// The instance's name is empty, too long, or has characters that do not print.
    #[error(
        "instance name {0:?} refused: 1 to {INSTANCE_BYTES_MAX} printable ASCII characters without spaces"
    )]
    Instance(String),
    /// Two instruments share an id or a name.
    #[error("instrument {0} is listed twice")]
    DuplicateInstrument(String),
    /// A socket's path is not text, so that ZeroMQ cannot be given it.
    #[error("socket path {0:?} is not valid UTF-8; use another run directory")]
    NotText(PathBuf),
    /// The answer holds a value that the wire cannot hold. Whoever asked was told that it failed.
    #[error("the answer could not be written: {0}")]
    Unencodable(#[from] ProtocolError),
    /// ZeroMQ refused.
    #[error("ZeroMQ could not {action}: {source}")]
    Socket {
        /// What was tried.
        action: &'static str,
        /// What ZeroMQ said.
        source: zmq::Error,
    },
}

impl MessagingError {
    pub(crate) fn socket(action: &'static str) -> impl FnOnce(zmq::Error) -> Self {
        move |source| Self::Socket { action, source }
    }
}

/// Why a key cannot be trusted.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not the PEM of a P-256 public key.
    #[error(
        "not a P-256 public key in PEM (`-----BEGIN PUBLIC KEY-----`); other curves and key types are not accepted"
    )]
    NotAPublicKey,
    /// Not the PEM of a P-256 private key.
    #[error("not a P-256 private key in PKCS #8 PEM (`-----BEGIN PRIVATE KEY-----`)")]
    NotAPrivateKey,
    /// One key, two entries.
    #[error("key {0} is listed twice; one key has one role")]
    Duplicate(KeyId),
    /// More keys than the bound.
    #[error("{0} keys, at most {KEYS_MAX} are allowed")]
    TooMany(usize),
}
