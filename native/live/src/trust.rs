//! Whom to obey, as the list of trusted keys says now: a key that is taken off it commands no more.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bundle::TrustedKeys;
use messaging::{KeyError, Keyring, Role, TrustedKey};
use tracing::{error, info, warn};

use crate::setup::read_trusted_keys;

/// Wall time between two looks at the list.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The list, looked at again and again.
#[derive(Debug)]
pub(crate) struct Trust {
    path: PathBuf,
    /// What the last look found.
    last: Result<TrustedKeys, String>,
    next: Instant,
}

impl Trust {
    /// From what the list said at the start.
    pub(crate) fn new(path: &Path, keys: &TrustedKeys) -> Self {
        Self {
            path: path.to_owned(),
            last: Ok(keys.clone()),
            next: Instant::now() + LOOK_EVERY,
        }
    }

    /// The keys that command, when it is time to look and the list says others than before. While it cannot be read,
    /// those before stay: a stop must be heard all the same.
    pub(crate) fn news(&mut self, now: Instant) -> Option<Keyring> {
        if now < self.next {
            return None;
        }
        self.next = now + LOOK_EVERY;
        let found = read_trusted_keys(&self.path);
        if found == self.last {
            return None;
        }
        self.last = found;
        let ring = match &self.last {
            Ok(keys) => keyring(keys).map_err(|error| error.to_string()),
            Err(problem) => Err(problem.clone()),
        };
        match ring {
            Ok(ring) => {
                info!("the list of trusted keys says others than before: they count from now on");
                Some(ring)
            }
            Err(problem) => {
                error!(
                    problem,
                    "the keys that were trusted before are obeyed as long as it lasts"
                );
                None
            }
        }
    }
}

/// The keys whose commands are obeyed: those of the four roles that command.
pub(crate) fn keyring(keys: &TrustedKeys) -> Result<Keyring, KeyError> {
    let commanding = keys.iter().filter_map(|key| {
        let role = Role::from_name(key.role().as_str())?;
        Some(TrustedKey::from_pem(role, key.public_key_pem()))
    });
    let keys = commanding.collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        warn!("no trusted key may command: nobody is obeyed but by the local control socket");
    }
    Keyring::new(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str = include_str!("../../../tests/contract/bundle/trusted_keys.toml");

    #[test]
    fn the_list_counts_as_it_stands_and_what_cannot_be_read_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trusted_keys.toml");
        std::fs::write(&path, KEYS).unwrap();
        let mut trust = Trust::new(&path, &read_trusted_keys(&path).unwrap());
        let mut now = Instant::now();
        let mut look = |text: &str| {
            std::fs::write(&path, text).unwrap();
            assert!(trust.news(now).is_none(), "it is not time yet");
            now += LOOK_EVERY;
            trust.news(now)
        };
        assert!(look(KEYS).is_none(), "nothing is new");
        assert!(look("[[key]]").is_none());
        assert!(look("[[key]]").is_none());
        assert!(
            look("").is_none(),
            "a list without keys is refused as at the start"
        );
        // One key less.
        let fewer = &KEYS[..KEYS.rfind("[[key]]").unwrap()];
        assert!(look(fewer).is_some());
        assert!(look(fewer).is_none());
        assert!(look(KEYS).is_some());
    }
}
