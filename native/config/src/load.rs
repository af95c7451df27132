//! Reads files of configuration: plain ones, up to a bound; the service's file with what it extends.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::FILE_BYTES_MAX;
use crate::document::Document;
use crate::fault::ConfigErrors;
use crate::service::{ServiceConfig, parse_service_layers};
use crate::service_schema::KEYS;

/// Most files that stand over each other.
const LAYERS_MAX: usize = 4;

/// A file's name and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// What messages call it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A service's configuration with the texts it was read from, lowest layer first (they go into the record
/// of the run).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedService {
    /// What the files say.
    pub config: ServiceConfig,
    /// The files.
    pub sources: Vec<SourceText>,
}

/// Why files of configuration could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, a pipe or a device: it may never end.
    #[error("{path}: is not a plain file; allowed: a plain file of at most {FILE_BYTES_MAX} bytes")]
    NotPlain {
        /// What is none.
        path: PathBuf,
    },
    /// A file is larger than any configuration.
    #[error("{path}: is too large; allowed: a plain file of at most {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Too many files extend each other.
    #[error("{path}: more than {LAYERS_MAX} files extend each other: let one of them stand alone")]
    TooManyLayers {
        /// The file that is one too many.
        path: PathBuf,
    },
    /// The files have faults.
    #[error(transparent)]
    Faults(#[from] ConfigErrors),
}

/// Reads a plain file of at most [`FILE_BYTES_MAX`] bytes.
///
/// # Errors
/// [`LoadError::Read`], [`LoadError::NotPlain`] or [`LoadError::TooLarge`].
pub fn read_file(path: &Path) -> Result<SourceText, LoadError> {
    let failed = |source| LoadError::Read {
        path: path.to_path_buf(),
        source,
    };
    // Before it is opened: opening a pipe waits for whoever writes into it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        let path = path.to_path_buf();
        return Err(LoadError::NotPlain { path });
    }
    let mut bytes = Vec::new();
    let most = FILE_BYTES_MAX as u64 + 1;
    let file = File::open(path).map_err(failed)?;
    file.take(most).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > FILE_BYTES_MAX {
        let path = path.to_path_buf();
        return Err(LoadError::TooLarge { path });
    }
    let text = String::from_utf8(bytes);
    let text =
        text.map_err(|_| failed(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text")))?;
    let name = path.display().to_string();
    Ok(SourceText { name, text })
}

/// Reads the service's file and, through `extends`, the files under it.
///
/// # Errors
/// [`LoadError`], with every fault of every file.
pub fn load_service(path: &Path) -> Result<LoadedService, LoadError> {
    let mut sources: Vec<SourceText> = Vec::new();
    let mut next = Some(path.to_path_buf());
    while let Some(path) = next.take() {
        if sources.len() == LAYERS_MAX {
            return Err(LoadError::TooManyLayers { path });
        }
        let source = read_file(&path)?;
        let extends = Document::read(KEYS, &source.name, &source.text).text("extends");
        next = extends.map(|other| path.parent().unwrap_or(Path::new("")).join(other));
        sources.insert(0, source);
    }
    let config = parse_service_layers(&sources)?;
    Ok(LoadedService { config, sources })
}
