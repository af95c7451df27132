//! Requests over the account's socket: numbered, answered by number, never sent twice.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::answer::{Outcome, Refusal};
use crate::error::VenueError;
use crate::last_look::LastLook;
use crate::secret::Secret;
use crate::websocket::{Departure, Outgoing};

/// Most requests whose answers are awaited.
const AWAITED_MAX: usize = 1_024;

/// Numbers of requests begin here: those below are the handshake's.
const FIRST_NUMBER: u64 = 1_000;

/// What the connection and whoever asks share.
#[derive(Debug, Default)]
pub(super) struct Desk {
    awaited: Mutex<BTreeMap<u64, oneshot::Sender<Outcome>>>,
    /// Of the subscription that is up.
    token: Mutex<Option<Secret>>,
}

impl Desk {
    /// A subscription with this token is up, or none is any more: answers that have not come will not.
    pub(super) fn set_token(&self, token: Option<Secret>) {
        if token.is_none() {
            lock(&self.awaited).clear();
        }
        *lock(&self.token) = token;
    }

    pub(super) fn token(&self) -> Option<Secret> {
        lock(&self.token).clone()
    }

    /// Gives an answer to whoever waits for it; `false` when nobody does.
    pub(super) fn answer(&self, number: u64, outcome: Outcome) -> bool {
        let waiting = lock(&self.awaited).remove(&number);
        waiting.is_some_and(|waiting| waiting.send(outcome).is_ok())
    }

    fn wait_for(&self, number: u64) -> Option<oneshot::Receiver<Outcome>> {
        let mut awaited = lock(&self.awaited);
        // Whoever has given up waiting makes room.
        if awaited.len() >= AWAITED_MAX {
            awaited.retain(|_, waiting| !waiting.is_closed());
        }
        if awaited.len() >= AWAITED_MAX {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        awaited.insert(number, sender);
        Some(receiver)
    }

    fn forget(&self, number: u64) {
        lock(&self.awaited).remove(&number);
    }
}

/// The door through which requests leave. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    desk: Arc<Desk>,
    queue: mpsc::Sender<Outgoing>,
    next: Arc<AtomicU64>,
    answer_timeout: Duration,
}

impl Requests {
    pub(super) fn new(desk: Arc<Desk>, queue: mpsc::Sender<Outgoing>, answer_timeout: Duration) -> Self {
        Self {
            desk,
            queue,
            next: Arc::new(AtomicU64::new(FIRST_NUMBER)),
            answer_timeout,
        }
    }

    /// Whether a request could leave now.
    pub(super) fn is_up(&self) -> bool {
        self.desk.token().is_some()
    }

    /// Sends a request once and waits for its answer. `head` is the request up to the token, which is the last of its
    /// parameters.
    ///
    /// # Errors
    /// [`VenueError::NotConnected`], [`VenueError::RateLimited`] and [`VenueError::Stopped`] when it did not leave;
    /// [`VenueError::NoAnswer`] when it may have been acted on: the connection ended, or too much time passed.
    pub(super) async fn exchange(
        &self,
        request: &'static str,
        head: &str,
        look: LastLook,
    ) -> Result<Outcome, VenueError> {
        let not_connected = |detail: &str| VenueError::NotConnected {
            request,
            detail: detail.to_owned(),
        };
        let token = self
            .desk
            .token()
            .ok_or_else(|| not_connected("the account's stream is down"))?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let comma = if head.ends_with('{') { "" } else { "," };
        let text = format!(
            r#"{head}{comma}"token":"{}"}},"req_id":{number}}}"#,
            token.expose()
        );
        let answer = self
            .desk
            .wait_for(number)
            .ok_or_else(|| not_connected("too many requests without an answer"))?;
        let (outgoing, ticket) = Outgoing::new(text, look);
        if self.queue.try_send(outgoing).is_err() {
            self.desk.forget(number);
            return Err(not_connected("no room for another request"));
        }
        let no_answer = |detail: &str| VenueError::NoAnswer {
            request,
            detail: detail.to_owned(),
        };
        let departure = ticket.departure(self.answer_timeout).await;
        let answered = match departure {
            Departure::Sent => timeout(self.answer_timeout, answer).await,
            Departure::Stopped | Departure::NotUp | Departure::Broken => {
                self.desk.forget(number);
                return Err(match departure {
                    Departure::Stopped => VenueError::Stopped { request },
                    Departure::NotUp => not_connected("the account's stream is down"),
                    _ => no_answer("the connection broke while it took the request"),
                });
            }
        };
        match answered {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(no_answer("the connection ended first")),
            Err(_) => {
                self.desk.forget(number);
                Err(no_answer("timed out"))
            }
        }
    }
}

/// A message that answers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The request's number, where it says one.
    pub(super) number: Option<u64>,
    /// What was asked for.
    pub(super) method: String,
    /// What came of it.
    pub(super) outcome: Outcome,
}

/// Reads an answer; `None` for a message that is none.
pub(super) fn reply(message: &Bytes) -> Option<Reply> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
        #[serde(default)]
        req_id: Option<u64>,
        #[serde(default)]
        success: Option<bool>,
        #[serde(borrow, default)]
        error: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        result: Option<&'a RawValue>,
    }
    let raw: Raw<'_> = serde_json::from_slice(message).ok()?;
    let outcome = match (raw.success, raw.error, raw.result) {
        (Some(true), None, Some(result)) => Outcome::Done(message.slice_ref(result.get().as_bytes())),
        (Some(false) | None, Some(word), _) => Outcome::Refused(Refusal::new(vec![word.into_owned()])),
        _ => Outcome::Unreadable,
    };
    Some(Reply {
        number: raw.req_id,
        method: raw.method.into_owned(),
        outcome,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<Reply> {
        reply(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn reads_what_came_of_a_request() {
        let done = read(
            r#"{"method":"add_order","req_id":42,"success":true,"time_in":"x","result":{"order_id":"OA"}}"#,
        );
        let done = done.unwrap();
        assert_eq!((done.number, done.method.as_str()), (Some(42), "add_order"));
        assert_eq!(
            done.outcome,
            Outcome::Done(Bytes::from_static(br#"{"order_id":"OA"}"#))
        );
        let refused =
            read(r#"{"method":"add_order","req_id":99,"success":false,"error":"EOrder:Insufficient funds"}"#);
        let Outcome::Refused(refusal) = refused.unwrap().outcome else {
            panic!("refused")
        };
        assert_eq!(refusal.text(), "EOrder:Insufficient funds");
        for contradiction in [
            r#"{"method":"add_order","success":true,"error":"EOrder:x","result":{}}"#,
            r#"{"method":"add_order","success":true}"#,
            r#"{"method":"add_order","success":false}"#,
            r#"{"method":"add_order"}"#,
        ] {
            assert_eq!(
                read(contradiction).unwrap().outcome,
                Outcome::Unreadable,
                "{contradiction}"
            );
        }
        assert_eq!(read(r#"{"channel":"heartbeat"}"#), None);
    }

    #[tokio::test]
    async fn an_answer_awaited_when_the_connection_ends_never_comes() {
        let desk = Arc::new(Desk::default());
        desk.set_token(Some(Secret::new("t0ken".to_owned()).unwrap()));
        let waiting = desk.wait_for(7).unwrap();
        desk.set_token(None);
        assert!(waiting.await.is_err());
        assert!(!desk.answer(7, Outcome::Unreadable));
        assert!(!format!("{desk:?}").contains("t0ken"));
    }

    #[test]
    fn only_so_many_answers_are_awaited() {
        let desk = Desk::default();
        let kept: Vec<_> = (0..AWAITED_MAX as u64)
            .map(|number| desk.wait_for(number).unwrap())
            .collect();
        assert!(desk.wait_for(9_999).is_none());
        drop(kept);
        assert!(desk.wait_for(9_999).is_some(), "who has given up makes room");
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_never_panic(bytes: Vec<u8>) {
            let _ = reply(&bytes.into());
        }
    }
}
