//! What stops the server from starting.

use std::path::PathBuf;

use domain::FixedPointError;
use simulation::SimulationError;
use thiserror::Error;

/// Why the server does not start, or stops.
#[derive(Debug, Error)]
pub enum ServerError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The first line of the bars file is not the expected header.
    #[error("{path}:1: the header is `{found}`, expected `ts_open,open,high,low,close,volume`")]
    Header {
        /// Which file.
        path: PathBuf,
        /// What stands there.
        found: String,
    },
    /// A line of the bars file is not a bar.
    #[error("{path}:{line}: {field} is `{value}`: {source}")]
    Field {
        /// Which file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// Which column.
        field: &'static str,
        /// What stands there.
        value: String,
        /// Why it is not accepted.
        source: FixedPointError,
    },
    /// A line of the bars file has another number of columns, or no integer time.
    #[error("{path}:{line}: expected six columns with an integer ts_open in nanoseconds, found `{text}`")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A recording cannot be read, or holds nothing that can be served.
    #[error(transparent)]
    Recording(#[from] recording::ReadError),
    /// `--from` names no bar.
    #[error("--from {0}: no bar opens at this time (ns since the epoch, UTC)")]
    From(i64),
    /// An option is outside its range.
    #[error("{option} is {value}: {allowed}")]
    Option {
        /// Which.
        option: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A line of the keys is not `api_key:secret`.
    #[error(
        "{origin}, entry {entry}: expected `api_key:secret` (letters, digits, `_` and `-`; 8 to 128 of each)"
    )]
    Key {
        /// Where the keys came from.
        origin: String,
        /// Which entry, from 1. The entry itself is not shown: it is a secret.
        entry: usize,
    },
    /// A secret of Coinbase's wire is no key of P-256.
    #[error("keys, entry {entry}: the secret must be a P-256 key as PEM, its line ends as `\\n`")]
    PrivateKey {
        /// Which entry, from 1. The entry itself is not shown: it is a secret.
        entry: usize,
    },
    /// A key file that others can read is no secret.
    #[error("{path}: mode is {mode:04o}, must be 0400: run `chmod 0400` on it")]
    KeyFileMode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A certificate or its key is none.
    #[error("{path}: {reason}")]
    Tls {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The bars cannot be played.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The port cannot be served.
    #[error("cannot serve on 127.0.0.1:{port}: {source}")]
    Bind {
        /// Which port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
}
