//! Tokens signed before they are needed: an ECDSA signature costs tens of microseconds, which would stand between a
//! decision and the socket.
//!
//! Each token is used once, because the venue asks for one per request. A token older than half its life is thrown away,
//! so that none runs out on its way. Where the pool is empty the token is signed on the spot: nothing waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Nanos, Timestamp};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;
use tracing::warn;

use super::sign::{Token, TokenSigner};
use crate::clock::Clock;
use crate::error::VenueError;

/// Tokens kept for each kind of request: as many as the venue takes in half a second.
const TOKENS_KEPT: usize = 16;

/// Shortest pause between two rounds of replacing what got old, wall time: where time is compressed tokens get old
/// faster than they are worth signing.
const REFRESH_PAUSE_MIN: Duration = Duration::from_millis(250);

/// One kind of request: its method and path.
type Kind = (&'static str, &'static str);

/// The tokens of one kind, the oldest first.
#[derive(Debug)]
struct Shelf {
    kind: Kind,
    tokens: Mutex<VecDeque<Token>>,
}

impl Shelf {
    /// The oldest token that is not too old.
    fn take(&self, not_before: Timestamp) -> Option<Token> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let token = tokens.pop_front()?;
            if token.issued >= not_before {
                return Some(token);
            }
        }
    }

    /// Throws away what is too old, and says how many are missing.
    fn missing(&self, not_before: Timestamp) -> usize {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|token| token.issued >= not_before);
        TOKENS_KEPT.saturating_sub(tokens.len())
    }

    fn put(&self, token: Token) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.push_back(token);
    }
}

/// What the pool and its task share.
#[derive(Debug)]
struct Shared {
    signer: Arc<TokenSigner>,
    clock: Arc<dyn Clock>,
    age_max: Nanos,
    shelves: Vec<Shelf>,
    taken: Notify,
}

/// Before which a token was signed too long ago at `now`.
const fn not_before(now: Timestamp, age: Nanos) -> Timestamp {
    now.plus(Nanos(-age.0))
}

impl Shared {
    async fn fill(&self) -> Result<(), VenueError> {
        // Replaced at half the age at which they count no more, so that the pool is rarely empty.
        let age = Nanos(self.age_max.0 / 2);
        for shelf in &self.shelves {
            for _ in 0..shelf.missing(not_before(self.clock.now(), age)) {
                let (method, path) = shelf.kind;
                shelf.put(self.signer.for_request(method, path, self.clock.now())?);
                yield_now().await;
            }
        }
        Ok(())
    }
}

/// Signed tokens for the requests that must leave at once.
#[derive(Debug)]
pub(super) struct TokenPool {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl TokenPool {
    /// Fills it in the current tokio runtime, for these kinds of requests, with tokens that live for `lifetime`.
    pub(super) fn spawn(
        signer: Arc<TokenSigner>,
        clock: Arc<dyn Clock>,
        lifetime: Nanos,
        kinds: &[Kind],
    ) -> Self {
        let shelves = kinds.iter().map(|&kind| Shelf {
            kind,
            tokens: Mutex::new(VecDeque::with_capacity(TOKENS_KEPT)),
        });
        let shared = Arc::new(Shared {
            signer,
            clock,
            age_max: Nanos(lifetime.0 / 2),
            shelves: shelves.collect(),
            taken: Notify::new(),
        });
        let task = tokio::spawn(keep_full(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// A token for this request: from the pool, or signed now.
    pub(super) fn take(&self, kind: Kind) -> Result<Token, VenueError> {
        let now = self.shared.clock.now();
        let shelf = self.shared.shelves.iter().find(|shelf| shelf.kind == kind);
        let kept = shelf.and_then(|shelf| shelf.take(not_before(now, self.shared.age_max)));
        self.shared.taken.notify_one();
        match kept {
            Some(token) => Ok(token),
            None => self.shared.signer.for_request(kind.0, kind.1, now),
        }
    }
}

impl Drop for TokenPool {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_full(shared: Arc<Shared>) {
    loop {
        if let Err(error) = shared.fill().await {
            warn!(%error, "no tokens signed ahead");
        }
        let oldest_until = shared.clock.now().plus(Nanos(shared.age_max.0 / 2));
        let pause = shared.clock.wall_until(oldest_until).max(REFRESH_PAUSE_MIN);
        tokio::select! {
            () = shared.taken.notified() => {}
            () = sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::{Endpoints, Settings};
    use super::super::sign::tests::{credentials, ec_pem};
    use super::*;
    use crate::clock::ServerClock;

    const ORDER: Kind = ("POST", "/orders");
    const CANCEL: Kind = ("POST", "/cancel");
    const LIFETIME: Nanos = Nanos::from_secs(120);

    fn shared() -> Shared {
        let settings = Settings::new(Endpoints::production());
        let signer = TokenSigner::new(&credentials(&ec_pem()), &settings).unwrap();
        Shared {
            signer: Arc::new(signer),
            clock: Arc::new(ServerClock::local()),
            age_max: Nanos(LIFETIME.0 / 2),
            shelves: [ORDER, CANCEL]
                .map(|kind| Shelf {
                    kind,
                    tokens: Mutex::default(),
                })
                .into(),
            taken: Notify::new(),
        }
    }

    #[tokio::test]
    async fn each_kind_has_its_own_tokens_and_each_is_used_once() {
        let shared = shared();
        shared.fill().await.unwrap();
        let never = Timestamp::from_nanos(i64::MIN);
        let mut seen = std::collections::BTreeSet::new();
        for shelf in &shared.shelves {
            while let Some(token) = shelf.take(never) {
                assert!(seen.insert(token.as_str().to_owned()), "used twice");
            }
        }
        assert_eq!(seen.len(), 2 * TOKENS_KEPT);
    }

    #[tokio::test]
    async fn an_old_token_is_not_used_and_is_replaced() {
        let shared = shared();
        shared.fill().await.unwrap();
        let shelf = &shared.shelves[0];
        let later = shared.clock.now().plus(Nanos(1));
        assert_eq!(shelf.missing(later), TOKENS_KEPT);
        shared.fill().await.unwrap();
        assert_eq!(shelf.missing(not_before(later, shared.age_max)), 0);
        assert!(shelf.take(later.plus(Nanos::from_secs(60))).is_none());
    }

    #[tokio::test]
    async fn an_empty_pool_signs_on_the_spot() {
        let shared = shared();
        let pool = TokenPool::spawn(
            Arc::clone(&shared.signer),
            Arc::clone(&shared.clock),
            LIFETIME,
            &[],
        );
        let [first, second] = [(); 2].map(|()| pool.take(ORDER).unwrap());
        assert_ne!(first.as_str(), second.as_str());
    }
}
