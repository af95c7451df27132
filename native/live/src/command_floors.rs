//! The highest counter of every key that signs commands, on disk before a command acts.
//!
//! One line for each command that was taken: key and counter. A life begins by writing the highest of each key alone.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use messaging::KeyId;

use crate::error::LiveError;
use crate::journal_record;
use crate::run_folder::write_durably;

/// The file in the run folder.
const FILE: &str = "command_counters";

/// The counters of a run.
#[derive(Debug)]
pub(crate) struct CommandFloors {
    file: File,
    highest: BTreeMap<KeyId, u64>,
}

impl CommandFloors {
    /// Reads what earlier lives took, and goes on from there. Open it before this life is recorded: then it is there
    /// wherever a record is.
    pub(crate) fn open(folder: &Path) -> Result<Self, LiveError> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => nothing_yet(folder, &path)?,
            Err(source) => return Err(failed("read", &path)(source)),
        };
        let highest = parse(&text).ok_or_else(|| LiveError::Content {
            path: path.clone(),
            problem: "has a line that is not a key and a counter: restore it from a copy, or commands could be replayed"
                .to_owned(),
        })?;
        let lines: Vec<_> = highest
            .iter()
            .map(|(key, counter)| line(*key, *counter))
            .collect();
        write_durably(folder, FILE, lines.concat().as_bytes())?;
        let mut options = OpenOptions::new();
        let file = options.append(true).mode(0o600).open(&path);
        Ok(Self {
            file: file.map_err(failed("open", &path))?,
            highest,
        })
    }

    /// What every key has reached.
    pub(crate) fn all(&self) -> Vec<(KeyId, u64)> {
        self.highest
            .iter()
            .map(|(key, counter)| (*key, *counter))
            .collect()
    }

    /// Keeps a counter; it is on disk when this returns.
    pub(crate) fn keep(&mut self, key: KeyId, counter: u64) -> io::Result<()> {
        self.file.write_all(line(key, counter).as_bytes())?;
        self.file.sync_data()
    }
}

/// No command has been taken here, if no life is recorded either.
fn nothing_yet(folder: &Path, path: &Path) -> Result<String, LiveError> {
    if matches!(journal_record::last_life(folder), Ok(None)) {
        return Ok(String::new());
    }
    Err(LiveError::Content {
        path: path.to_owned(),
        problem:
            "is missing, but lives are recorded here: restore it from a copy, or commands could be replayed; \
                  without one, make new keys for every role that commands, then this file, empty"
                .to_owned(),
    })
}

fn line(key: KeyId, counter: u64) -> String {
    format!("{key} {counter}\n")
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LiveError {
    let path = PathBuf::from(path);
    move |source| LiveError::File { action, path, source }
}

/// `None` for anything but whole lines; a line that a death cut short is not one of a command that acted.
fn parse(text: &str) -> Option<BTreeMap<KeyId, u64>> {
    let mut highest = BTreeMap::new();
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    for line in whole.lines() {
        let (key, counter) = line.split_once(' ')?;
        let counter: u64 = counter.parse().ok()?;
        let known = highest.entry(KeyId::from_hex(key)?).or_insert(counter);
        *known = counter.max(*known);
    }
    Some(highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_counter_outlives_every_life_and_a_torn_line_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (KeyId([1; 32]), KeyId([2; 32]));
        let mut floors = CommandFloors::open(folder.path()).unwrap();
        assert_eq!(floors.all(), []);
        for (key, counter) in [(one, 7), (other, 1), (one, 9)] {
            floors.keep(key, counter).unwrap();
        }
        drop(floors);
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{one} 4")).unwrap();
        let floors = CommandFloors::open(folder.path()).unwrap();
        assert_eq!(floors.all(), [(one, 9), (other, 1)]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_line_that_says_something_else_is_not_guessed() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["seven\n", "00 1\n", &format!("{} -1\n", KeyId([1; 32]))] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let error = CommandFloors::open(folder.path()).unwrap_err();
            assert!(matches!(error, LiveError::Content { .. }), "{text:?}");
        }
    }
}
