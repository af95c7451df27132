//! Why a recording cannot be read.

use std::path::PathBuf;

use thiserror::Error;

/// A recording that cannot be read. What stands before the place was read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be opened, or its bytes cannot be had.
    #[error("{}: {source}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not what the format says.
    #[error("{}:{line}: {problem}", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line of what is packed in it, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The file as a whole is none that can be played.
    #[error("{}: {problem}", file.display())]
    Content {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}
