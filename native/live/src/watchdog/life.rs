//! Signs of life of a service, and their absence.

use std::path::Path;
use std::time::{Duration, Instant};

use domain::Epoch;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::control;
use crate::doors::LIVE_FILE;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Longest answer, bytes.
const ANSWER_BYTES_MAX: u64 = 4_096;

/// One sign: the rounds that the deciding thread of a life has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sign {
    pub(super) epoch: Epoch,
    pub(super) rounds: u64,
}

/// Asks the service for a sign; `None` when it gives none: it is gone, stopped, or not yet there.
pub(super) async fn ask(folder: &Path) -> Option<Sign> {
    let asked = async {
        let mut socket = UnixStream::connect(folder.join(control::SOCKET)).await.ok()?;
        socket.write_all(b"watch\n").await.ok()?;
        let mut answer = Vec::new();
        socket
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut answer)
            .await
            .ok()?;
        sign(&serde_json::from_slice(&answer).ok()?)
    };
    timeout(PATIENCE, asked).await.ok().flatten()
}

fn sign(answer: &Value) -> Option<Sign> {
    Some(Sign {
        epoch: epoch(answer)?,
        rounds: answer["rounds"].as_u64()?,
    })
}

fn epoch(said: &Value) -> Option<Epoch> {
    Some(Epoch(u32::try_from(said["epoch"].as_u64()?).ok()?))
}

/// Whether the service has written down that it runs, and not that it has ended in order.
pub(super) fn is_noted(folder: &Path) -> bool {
    folder.join(LIVE_FILE).exists()
}

/// The life that it has written down.
fn noted(folder: &Path) -> Option<Epoch> {
    let text = std::fs::read(folder.join(LIVE_FILE)).ok()?;
    epoch(&serde_json::from_slice(&text).ok()?)
}

/// The last sign of a service, and since when it stands.
#[derive(Debug)]
pub(super) struct Life {
    epoch: Option<Epoch>,
    rounds: Option<u64>,
    since: Instant,
}

impl Life {
    /// No service is known: nothing can fall silent.
    pub(super) fn unborn() -> Self {
        Self {
            epoch: None,
            rounds: None,
            since: Instant::now(),
        }
    }

    /// What the run folder tells, at the beginning as later: see [`Self::look_into`].
    pub(super) fn beginning(folder: &Path, now: Instant) -> Self {
        let mut life = Self::unborn();
        life.look_into(folder, now);
        life
    }

    /// What the run folder tells of a life that gives no sign: one that is newer than any that was heard, and was not ended
    /// in order, counts as silent from `now` on. It may have begun and died between two looks. Whether there is one.
    pub(super) fn look_into(&mut self, folder: &Path, now: Instant) -> bool {
        let Some(noted) = noted(folder) else { return false };
        if self.epoch.is_some_and(|known| known.0 >= noted.0) {
            return false;
        }
        *self = Self {
            epoch: Some(noted),
            rounds: None,
            since: now,
        };
        true
    }

    /// Takes a look's result in; whether it was a new sign of life.
    pub(super) fn hear(&mut self, sign: Option<Sign>, now: Instant) -> bool {
        let Some(sign) = sign else { return false };
        let known = (self.epoch, self.rounds);
        if known == (Some(sign.epoch), Some(sign.rounds)) {
            return false;
        }
        *self = Self {
            epoch: Some(sign.epoch),
            rounds: Some(sign.rounds),
            since: now,
        };
        true
    }

    /// How long the last sign stands, and of which life it was; `None` where no life is known.
    pub(super) fn silent_since(&self, now: Instant) -> Option<(Duration, Epoch)> {
        Some((now.saturating_duration_since(self.since), self.epoch?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn sign(epoch: u32, rounds: u64) -> Sign {
        Sign {
            epoch: Epoch(epoch),
            rounds,
        }
    }

    #[test]
    fn only_rounds_that_go_on_are_life() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let silent = |life: &Life, seconds| {
            let (silent, epoch) = life.silent_since(at(seconds)).unwrap();
            (silent.as_secs(), epoch.0)
        };
        let mut life = Life::unborn();
        assert_eq!(life.silent_since(at(9)), None, "nobody was there");
        assert!(!life.hear(None, at(1)));
        assert!(life.hear(Some(sign(3, 10)), at(2)));
        assert!(life.hear(Some(sign(3, 11)), at(3)));
        assert_eq!(silent(&life, 4), (1, 3));
        assert!(
            !life.hear(Some(sign(3, 11)), at(5)),
            "it answers, and decides nothing"
        );
        assert!(!life.hear(None, at(6)));
        assert_eq!(silent(&life, 7), (4, 3));
        assert!(life.hear(Some(sign(4, 11)), at(8)), "another life");
        assert_eq!(silent(&life, 8), (0, 4));
    }

    #[test]
    fn a_life_that_was_not_ended_in_order_is_silent_from_the_beginning() {
        let home = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        assert_eq!(Life::beginning(home.path(), begin).silent_since(begin), None);
        std::fs::write(home.path().join(LIVE_FILE), r#"{"pid": 1, "epoch": 7}"#).unwrap();
        assert!(is_noted(home.path()));
        let life = Life::beginning(home.path(), begin);
        let later = begin + Duration::from_secs(2);
        assert_eq!(life.silent_since(later), Some((Duration::from_secs(2), Epoch(7))));
    }

    #[test]
    fn a_life_that_died_between_two_looks_is_silent_once_its_note_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let note = |epoch: u32| {
            std::fs::write(home.path().join(LIVE_FILE), format!(r#"{{"epoch": {epoch}}}"#)).unwrap();
        };
        let begin = Instant::now();
        let later = begin + Duration::from_secs(2);
        let mut life = Life::unborn();
        assert!(!life.look_into(home.path(), begin), "nothing is noted");
        assert!(life.hear(Some(sign(7, 1)), begin));
        note(7);
        assert!(!life.look_into(home.path(), later), "it was heard itself");
        assert_eq!(life.silent_since(later), Some((Duration::from_secs(2), Epoch(7))));
        note(8);
        assert!(life.look_into(home.path(), later));
        assert_eq!(life.silent_since(later), Some((Duration::ZERO, Epoch(8))));
    }
}
