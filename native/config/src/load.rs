//! Reads the service's file and what it extends.

use std::path::{Path, PathBuf};

use thiserror::Error;

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

/// Why a service's configuration could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
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
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(LoadError::Read { path, source }),
        };
        let name = path.display().to_string();
        let extends = Document::read(KEYS, &name, &text).text("extends");
        next = extends.map(|other| path.parent().unwrap_or(Path::new("")).join(other));
        sources.insert(0, SourceText { name, text });
    }
    let config = parse_service_layers(&sources)?;
    Ok(LoadedService { config, sources })
}
